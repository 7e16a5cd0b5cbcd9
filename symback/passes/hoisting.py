"""Hoisting: what doesn't depend on the batch or the parameters is worked out once.

A number that an operation on arrays reads is kept as an array without axes, in the program's float
type, so that NumPy needn't make one of it at every step; indicators of labels become rows of an
identity matrix. No bit changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from symback import printing
from symback.passes.names import all_names, names
from symback.printing import walk
from symback.program import (
    Apply,
    Draw,
    Expr,
    Number,
    Position,
    Program,
    Read,
    Role,
    Size,
    Statement,
    Tensor,
    Update,
)

WORDS = {0: "zero", 1: "one", 2: "two", 3: "three", 4: "four", 0.5: "half"}


def hoisted(program: Program) -> Program:
    """Return the program with the numbers that its buffers meet made once, beside them."""
    network = Once(program, all_names(program))
    blocks = [network.rewritten(b) for b in (program.forward, program.loss, program.backward)]
    forward, loss, backward = blocks
    return replace(
        program,
        forward=forward,
        loss=loss,
        backward=backward,
        buffers=(*program.buffers, *network.made.values()),
        once=tuple(network.once),
        update=optimizer(program.update, all_names(program)),
    )


def optimizer(update: Update, taken: frozenset[str]) -> Update:
    """Return the update with its numbers as arrays without axes, those of a step written anew."""
    numbers = Numbers(update, taken)
    elements = tuple(numbers.rewritten(statement) for statement in update.elements)
    scalars = tuple(
        replace(s, in_place=True) if s.target.name in numbers.kept else s for s in update.scalars
    )
    return replace(
        update,
        scalars=(*scalars, *numbers.each_step),
        elements=elements,
        buffers=(*update.buffers, *numbers.made.values()),
        once=tuple(numbers.once),
    )


@dataclass(slots=True)
class Once:
    """What is made once for a network, and the statements that read it."""

    program: Program
    taken: frozenset[str]
    made: dict[str, Tensor] = field(default_factory=dict)
    once: list[Statement] = field(default_factory=list)

    def rewritten(self, block: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple(self.statement(statement) for statement in block)

    def statement(self, statement: Statement) -> Statement:
        value = statement.value
        if not statement.in_place or not isinstance(value, Apply):
            return statement
        return replace(
            statement, value=self.indicators(statement) or self.numbers(value, statement)
        )

    def indicators(self, statement: Statement) -> Apply | None:
        """Return [t[n] = k], where t holds labels, as rows of an identity matrix."""
        certain = {a.tensor for a in self.program.assumptions if a.kind == "classes"}
        match statement.value:
            case Apply("eq", (Read(name, axes) as labels, Position(letter, int(size)))):
                turned = statement.target.axes == (letter, *axes)
                if name not in certain or not (turned or statement.target.axes == (*axes, letter)):
                    return None
                eye = Tensor(f"eye{size}", f"eye{size}", Role.CONSTANT, (size, size), draw=IDENTITY)
                self.made[eye.name] = eye
                places = (letter, f"{letter}'") if turned else (f"{letter}'", letter)
                return Apply("rows", (Read(eye.name, places), labels))
        return None

    def numbers(self, value: Apply, statement: Statement) -> Apply:
        """Return an operation with the numbers it reads as arrays."""
        if value.function in {"power", "where"}:
            return value
        bound = value.function in {"maximum", "minimum"}
        args = tuple(
            self.positions(arg, value)
            if isinstance(arg, Position)
            else arg
            if arg.axes or not fixed(arg, frozenset())
            else self.filled(arg, statement)
            if bound and isinstance(arg, Number)
            else self.number(arg, statement.target.name)
            for arg in value.args
        )
        return Apply(value.function, args)

    def positions(self, expr: Position, beside: Apply) -> Expr:
        """Return an array of 0, 1, …: labels where labels are beside it, floats elsewhere."""
        if not isinstance(expr.size, int):
            return expr
        labels = {t.name for t in self.program.tensors if t.classes is not None}
        whole = any(isinstance(arg, Read) and arg.name in labels for arg in beside.args)
        name = f"{'labels' if whole else 'places'}{expr.size}"
        while name in self.taken:
            name += "_"
        classes = expr.size if whole else None
        shape = (expr.size,)
        self.made[name] = Tensor(name, name, Role.CONSTANT, shape, classes, draw=POSITIONS)
        return Read(name, (expr.axis,))

    def filled(self, number: Number, statement: Statement) -> Read:
        """Return an array full of a number: NumPy bounds an array by one of its shape faster."""
        target = statement.target
        ranges = printing.ranges(statement, self.program)
        shape = tuple(ranges[axis] for axis in target.axes)
        draw = Draw("constant", (float(number.value),))
        known = next((t.name for t in self.made.values() if (t.shape, t.draw) == (shape, draw)), "")
        if not known:
            word = "zeros" if number.value == 0 else "bound"
            known = fresh(f"{word}_{target.name}", self.taken | self.made.keys())
            self.made[known] = Tensor(known, known, Role.CONSTANT, shape, draw=draw)
        return Read(known, target.axes)

    def number(self, expr: Expr, target: str) -> Read:
        """Return the array of a number: zero, one, N, or named after what reads it first."""
        known = next((s.target.name for s in self.once if s.value == expr), "")
        if not known:
            word = WORDS.get(expr.value, "") if isinstance(expr, Number) else ""
            first = "N" if expr == Size("n") else word or f"c_{target}"
            known = fresh(first, self.taken | self.made.keys())
            self.made[known] = Tensor(known, known, Role.CONSTANT, ())
            self.once.append(Statement(Read(known, ()), expr, ""))
        return Read(known, ())


IDENTITY = Draw("identity")
POSITIONS = Draw("positions")


@dataclass(slots=True)
class Numbers:
    """The numbers of an optimiser that meet arrays: fixed ones, and those of a step."""

    update: Update
    taken: frozenset[str]
    made: dict[str, Tensor] = field(default_factory=dict)
    once: list[Statement] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)  # scalars whose own statement writes the array
    each_step: list[Statement] = field(default_factory=list)

    def rewritten(self, statement: Statement) -> Statement:
        value = statement.value
        if not statement.in_place or not isinstance(value, Apply):
            return statement
        if value.function in {"power", "where"}:
            return statement
        args = tuple(arg if arg.axes else self.number(arg) for arg in value.args)
        return replace(statement, value=Apply(value.function, args))

    def number(self, expr: Expr) -> Expr:
        constants = frozenset(c.name for c in self.update.constants if c.name != "lr")
        known = next((s.target.name for s in (*self.once, *self.each_step) if s.value == expr), "")
        if known:
            return Read(known, ())
        if fixed(expr, constants):
            return self.make(self.once, expr, expr.name if isinstance(expr, Read) else word(expr))
        if not isinstance(expr, Read):
            return expr
        if expr.name not in self.kept and not self.is_own(expr.name):
            return self.make(self.each_step, expr, "rate")
        self.kept.add(expr.name)
        self.made[expr.name] = Tensor(expr.name, expr.name, Role.VALUE, ())
        return expr

    def is_own(self, name: str) -> bool:
        """Tell whether a scalar is written here, once a step, and read by arrays alone."""
        read = {n for s in self.update.scalars for n in names(s.value)}
        states = {state.name for state in self.update.states}
        written = {statement.target.name for statement in self.update.scalars}
        return name in written and name not in read | states

    def make(self, block: list[Statement], expr: Expr, wanted: str) -> Read:
        constants = {constant.name for constant in self.update.constants}
        name = fresh(wanted, (self.taken - constants) | self.made.keys())
        self.made[name] = Tensor(name, name, Role.CONSTANT, ())
        block.append(Statement(Read(name, ()), expr, "", in_place=block is self.each_step))
        return Read(name, ())


def word(expr: Expr) -> str:
    return WORDS.get(expr.value, "c") if isinstance(expr, Number) else "c"


def fixed(expr: Expr, constants: frozenset[str]) -> bool:
    """Tell whether a number is the same for every batch of a size, at every step."""
    return all(
        isinstance(node, Number | Size | Apply)
        or (isinstance(node, Read) and node.name in constants)
        for node in walk(expr)
    )


def fresh(first: str, taken: frozenset[str] | set[str]) -> str:
    """Return a name that isn't taken: c, d, … or c_z1, d_z1, … after the first."""
    rest = first[1:] if first.startswith("c") else f"_{first}"
    letters = (letter * times for times in range(1, 9) for letter in "cdk")
    return next(name for name in (first, *(f"{c}{rest}" for c in letters)) if name not in taken)
