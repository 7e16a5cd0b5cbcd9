"""Recurrences: a loop that computes its statements step by step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from symback import printing
from symback.places import at
from symback.printing import Line, tuple_text
from symback.program import (
    Affine,
    Dim,
    Expr,
    Leaf,
    Lookup,
    Loop,
    Position,
    Program,
    Read,
    Slice,
    Split,
    Stack,
    Statement,
    Tensor,
)
from symback.steps import at_step, earlier, others, step_axis
from symback.targets.numpy.array import Scope, index, shape_arguments
from symback.targets.numpy.places import stepped
from symback.targets.numpy.values import assigned, shown


def part(expr: Lookup, loop: Loop, program: Program) -> str:
    """Return the part of an array that a step works on: h2[t - 1]."""
    counter = printing.counter(loop.letter, program)
    own = {(), (loop.letter,)}
    texts = [
        printing.index(place, lambda _: counter)
        if isinstance(place, Affine) and place.axes in own
        else ":"
        for place in expr.places
    ]
    return f"{expr.name}{index(texts)}"


def looped(
    statements: Sequence[Statement], loop: Loop, program: Program, width: int
) -> tuple[str, ...]:
    """Return a loop that computes its statements step by step.

    An array that is read at another step has so many steps more at its end. They stay zero, and
    are what a step before the first (-1 counts from the end) and one behind the last read.
    """
    step = Step(loop, program)
    block = [
        Line(printing.folded(code, width - 4), said)
        for statement in statements
        for code, said in step.codes(statement)
    ]
    cast = "" if program.float_type == "float64" else f", np.{program.float_type}"
    before, after = [], []
    for statement in statements:
        name, axis = statement.target.name, statement.target.axes.index(loop.letter)
        dims = [str(dim) for dim in program.tensor(name).shape]
        more = printing.farthest(name, statements, loop)
        if more:
            after.append(f"{name} = {name}{index([*[':'] * axis, f':{loop.size}'])}")
            dims[axis] = f"{loop.size} + {more}"
        before.append(f"{name} = np.zeros({tuple_text(dims)}{cast})")
    body = (f"    {row}" for row in printing.beside(block, width - 4))
    return (*step.shifted.values(), *before, head(loop, program), *body, *after)


def head(loop: Loop, program: Program) -> str:
    """Return the line that a recurrence's loop begins with."""
    steps = f"range({loop.size})" if loop.step > 0 else f"reversed(range({loop.size}))"
    return f"for {printing.counter(loop.letter, program)} in {steps}:"


@dataclass(slots=True)
class Step:
    """The statements of a recurrence at one step: what they read of arrays is the step's part."""

    loop: Loop
    program: Program
    shifted: dict[Lookup, str] = field(default_factory=dict)  # lines before the loop
    parts: dict[str, Tensor] = field(default_factory=dict)

    @property
    def counter(self) -> str:
        """The variable that counts the steps, apart from the arrays of the same letter."""
        return printing.counter(self.loop.letter, self.program)

    def codes(self, statement: Statement) -> Iterator[tuple[str, str]]:
        """Yield a statement's code at the step, that of each part of a stack, and its formula."""
        ranges = printing.ranges(statement, self.program)
        if not isinstance(statement.value, Stack):
            target = self.read(statement.target)
            yield self.code(target, statement.value, ranges), statement.because
            return
        for k, (part, said) in enumerate(statement.parts):
            place = at(statement.target, statement.value.letter, k, ranges)
            assert isinstance(place, Lookup)
            here = self.at_a_step(place)
            assert isinstance(here, Read)
            yield self.code(here, part, ranges), said

    def code(self, target: Read, value: Expr, ranges: Mapping[str, Dim]) -> str:
        """Return the code that computes a part of an array at the step."""
        made = Statement(target, self.at(value), "")
        tensors = {tensor.name: tensor for tensor in self.program.tensors}
        scope = Scope(tensors | self.parts, ranges, self.program.float_type)
        return f"{target.name} = {assigned(made, scope)}"

    def at(self, expr: Expr) -> Expr:
        """Return an expression at the step."""
        return at_step(expr, self.loop, self.leaf)

    def leaf(self, expr: Leaf | Position) -> Expr:
        """Return the part of an array at the step."""
        match expr:
            case Position():
                return Read(self.counter, ())
            case Read():
                return self.read(expr)
            case Slice(name, axes, ranges):
                parts = []
                for axis, part in zip(axes, ranges, strict=True):
                    whole = f"{part[0]}:{part[1]}" if part else ":"
                    place = self.place(part[0] if part else 0)
                    parts.append(place if axis == self.loop.letter else whole)
                return self.part(name, parts, tuple(a for a in axes if a != self.loop.letter))
            case Split(name, _, sizes):
                text = f"{name}.reshape({shape_arguments([dict(sizes)[a] for a in expr.axes])})"
                return self.read(Read(text, expr.axes))
            case Lookup():
                return self.lookup(expr)

    def read(self, expr: Read | Split) -> Read:
        """Return the part of an array at the step: h1[:, t]."""
        parts = [self.counter if axis == self.loop.letter else ":" for axis in expr.axes]
        axes = tuple(axis for axis in expr.axes if axis != self.loop.letter)
        return self.part(expr.name, parts, axes)

    def part(self, name: str, parts: list[str], axes: tuple[str, ...]) -> Read:
        text = f"{name}{index(parts)}"
        tensor = next((t for t in self.program.tensors if t.name == name), None)
        if tensor is not None:
            shape = tuple(d for d, at in zip(tensor.shape, parts, strict=True) if ":" in at)
            self.parts[text] = replace(tensor, name=text, shape=shape)
        return Read(text, axes)

    def place(self, offset: int) -> str:
        """Return the step so far away: t - 1."""
        return printing.index(Affine(offset, ((self.loop.letter, 1),)), lambda _: self.counter)

    def lookup(self, expr: Lookup) -> Expr:
        """Return an array at computed places, at the step."""
        place = expr.places[step_axis(expr, self.loop)]
        if isinstance(place, Read):
            places = tuple(self.read(p) if isinstance(p, Read) else p for p in expr.places)
            return replace(others(expr, self.loop), places=places)
        here = Affine(0, ((self.loop.letter, 1),))
        whole = self.program.tensor(expr.name).shape[step_axis(expr, self.loop)] == self.loop.size
        if expr.name in printing.computed(self.loop, self.program) or (place == here and whole):
            return self.at_a_step(expr)
        return self.ahead(expr, place)

    def at_a_step(self, expr: Lookup) -> Expr:
        """Return an array at this step or at another that the recurrence computed: h1[:, t - 1]."""
        axis = step_axis(expr, self.loop)
        offset, rest = earlier(expr, self.loop)
        shape = self.program.tensor(expr.name).shape
        inside = stepped(rest, (*shape[:axis], *shape[axis + 1 :]))
        parts = inside or [":"] * len(rest.places)
        parts.insert(axis, self.place(offset))
        read = self.part(expr.name, parts, tuple(a for p in rest.places for a in p.axes))
        return read if inside else replace(rest, name=read.name)

    def ahead(self, expr: Lookup, place: Affine) -> Read:
        """Return the step's part of an array that is read elsewhere, made before the loop."""
        if expr not in self.shifted:
            word = "before" if place.offset < 0 else "after" if place.offset else "at"
            name = f"{expr.name}_{word}" + (str(abs(place.offset)) if abs(place.offset) > 1 else "")
            while name in {line.partition(" = ")[0] for line in self.shifted.values()}:
                name += "_"
            tensors = {tensor.name: tensor for tensor in self.program.tensors}
            scope = Scope(tensors, dict(expr.sizes), self.program.float_type)
            self.shifted[expr] = f"{name} = {shown(expr, expr.axes, scope).text}"
        made = self.shifted[expr].partition(" = ")[0]
        parts = [self.counter if axis == self.loop.letter else ":" for axis in expr.axes]
        text = f"{made}{index(parts)}"
        self.parts[text] = self.program.tensor(expr.name)
        return Read(text, tuple(axis for axis in expr.axes if axis != self.loop.letter))
