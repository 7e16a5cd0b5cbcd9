"""Passes: Program → Program, the same mathematics in a form that runs faster."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from symback.printing import COMPARISONS, natural, ranges, walk
from symback.program import (
    Apply,
    Concatenate,
    Contract,
    Dim,
    Draw,
    Expr,
    Leaf,
    Number,
    Position,
    Program,
    Read,
    Reduce,
    Role,
    Size,
    Slice,
    Split,
    Statement,
    Tensor,
)

COMMUTATIVE = {"add", "multiply", "maximum", "minimum"}


def buffers(program: Program) -> Program:
    """Return the program with each array statement as operations that write into arrays made once.

    The order of operations is kept, so the numbers are too, to the last bit; only the sum over the
    batch becomes a product with ones, which is faster. Scalars, views and what has no form that
    writes in place stay as they are.
    """
    taken = all_names(program)
    network = Workspace(program, taken)
    optimizer = Workspace(replace(program, tensors=()), taken)
    forward, loss, backward = (
        network.rewritten(block) for block in (program.forward, program.loss, program.backward)
    )
    elements = optimizer.rewritten(program.update.elements)
    return replace(
        program,
        forward=forward,
        loss=loss,
        backward=backward,
        update=replace(program.update, elements=elements),
        buffers=(*network.made.values(), *optimizer.made.values()),
    )


@dataclass(slots=True)
class Workspace:
    """The arrays made so far, and the statements written for the one that is being rewritten."""

    program: Program
    taken: frozenset[str]  # names that scratch arrays must not have
    made: dict[str, Tensor] = field(default_factory=dict)
    free: dict[tuple[Dim, ...], list[str]] = field(default_factory=dict)  # scratch not in use
    written: list[Statement] = field(default_factory=list)
    dims: dict[str, Dim] = field(default_factory=dict)  # each letter's range in the statement

    # ------------------------------------------------------------ statements

    def rewritten(self, block: Sequence[Statement]) -> tuple[Statement, ...]:
        """Return a block's statements in place; a group's first statement carries its formula."""
        done: list[Statement] = []
        for statement in block:
            if statement.loop is not None:  # step by step, in arrays of its own
                done.append(statement)
                continue
            self.written = []
            self.dims = dict(ranges(statement, self.program))
            self.rewrite(statement)
            first, *rest = self.written
            done.append(replace(first, because=statement.because))
            done += [replace(further, because="") for further in rest]
        return tuple(done)

    def rewrite(self, statement: Statement) -> None:
        target, value = statement.target, statement.value
        tensors = {tensor.name: tensor for tensor in self.program.tensors}
        tensor = tensors.get(target.name)
        labels = tensor is not None and tensor.classes is not None
        gradient = target.name in {name for _, name in self.program.gradients}
        view = isinstance(value, Read | Slice | Split) and not gradient and tensor is not None
        if isinstance(target, Split) or labels or (view and value.axes == target.axes):
            self.written.append(statement)
        elif not target.axes:
            self.number(statement)
        else:
            self.make(target, gradient=gradient)
            self.write(value, target, frozenset())

    def make(self, target: Read, *, gradient: bool) -> None:
        """Note the target's own array, unless it is there already or a part of the gradient."""
        states = {state.name for state in self.program.update.states}
        tensor = next((t for t in self.program.tensors if t.name == target.name), None)
        if tensor is not None and not gradient:
            self.made[tensor.name] = tensor
        elif tensor is None and target.name not in states | {"w", "g"}:
            self.made[target.name] = Tensor(target.name, target.name, Role.VALUE, ("p",))

    def put(self, target: Read, value: Expr) -> None:
        """Write one operation."""
        self.written.append(Statement(target, value, "", in_place=True))

    # ------------------------------------------------------------ scratch arrays

    def scratch(self, axes: tuple[str, ...]) -> Read:
        """Return an array of these axes that nothing else uses now."""
        shape = tuple(self.dims.get(axis, axis) for axis in axes)
        spare = self.free.setdefault(shape, [])
        if not spare:
            name = self.fresh(shape)
            self.made[name] = Tensor(name, name, Role.VALUE, shape)
            spare.append(name)
        return Read(spare.pop(), axes)

    def fresh(self, shape: tuple[Dim, ...]) -> str:
        """Return a name for scratch: e, f, … of the first array of that shape: e_z1."""
        tensors = self.program.tensors
        like = next(
            (f"_{tensor.name}" for tensor in tensors if shape and tensor.shape == shape), ""
        )
        taken = self.taken | self.made.keys()
        letters = (letter * times for times in range(1, 9) for letter in "efghuv")
        return next(name for letter in letters if (name := f"{letter}{like}") not in taken)

    def release(self, *operands: Expr) -> None:
        """Give scratch arrays back."""
        own = {tensor.name for tensor in self.program.tensors}
        for operand in operands:
            if isinstance(operand, Read) and operand.name in self.made and operand.name not in own:
                shape = self.made[operand.name].shape
                if operand.name not in self.free.get(shape, [operand.name]):
                    self.free[shape].append(operand.name)

    # ------------------------------------------------------------ expressions

    def write(self, expr: Expr, into: Read, busy: frozenset[str]) -> None:
        """Write operations that leave the expression's value in the array `into`.

        The arrays named in `busy` are still read later, so they must keep their values.
        """
        expr = plainer(expr)
        match expr:
            case Apply("where", args):
                self.choose(args, into, busy)
            case Apply(name, args):
                operands = self.operands(args, into, busy)
                if name in COMMUTATIVE and operands[1] == into:
                    operands = (operands[1], operands[0])
                self.put(into, Apply(name, operands))
                self.release(*(operand for operand in operands if operand != into))
            case Reduce() | Contract() | Concatenate() if set(expr.axes) != set(into.axes):
                made = self.operand(expr)
                self.put(into, made)
                self.release(made)
            case Reduce(name, body, over):
                operand = self.operand(body)
                self.put(into, self.summed(Reduce(name, operand, over)))
                self.release(operand)
            case Contract(left, right, over):
                sides = self.operand(left), self.operand(right)
                self.put(into, Contract(*sides, over))
                self.release(*sides)
            case Concatenate(parts):
                ready = tuple(self.operand(part) for part in parts)
                self.put(into, replace(expr, parts=ready))
                self.release(*ready)
            case _:
                self.put(into, expr)

    def operands(
        self, args: tuple[Expr, ...], into: Read, busy: frozenset[str]
    ) -> tuple[Expr, ...]:
        """Return arguments ready to be operated on; at most one is computed in `into` itself.

        That one comes last, and only where nothing that is read afterwards needs `into`.
        """
        needed = {name for arg in args if simple(arg) for name in names(arg)} | busy
        fits = [
            place
            for place, arg in enumerate(args)
            if not simple(arg) and set(arg.axes) == set(into.axes) and into.name not in needed
        ]
        ready = {
            place: arg if simple(arg) else self.operand(arg)
            for place, arg in enumerate(args)
            if place not in fits[:1]
        }
        for place in fits[:1]:
            self.write(args[place], into, busy | needed)
            ready[place] = into
        return tuple(ready[place] for place in range(len(args)))

    def operand(self, expr: Expr) -> Expr:
        """Return an expression that is an array or a number already, or scratch that holds it."""
        if simple(expr):
            return expr
        if not expr.axes:
            return self.scalar(expr)
        made = self.scratch(natural(expr))
        self.write(expr, made, frozenset())
        return made

    def scalar(self, expr: Expr) -> Read:
        """Return the name of a number that is computed before it is needed."""
        number = Read(self.fresh(()), ())
        self.taken |= {number.name}
        self.number(Statement(number, expr, ""))
        return number

    def number(self, statement: Statement) -> None:
        """Write a statement for a single number; until then the scratch arrays of its sums stay."""
        value = self.extracted(statement.value)
        self.written.append(replace(statement, value=value))
        self.release(*(node for node in walk(value) if isinstance(node, Read)))

    def choose(self, args: tuple[Expr, ...], into: Read, busy: frozenset[str]) -> None:
        """Write where(c, a, b): b everywhere, then a where c holds."""
        condition, yes, no = args
        if isinstance(condition, Apply) and condition.function in COMPARISONS:
            ready = tuple(self.operand(arg) for arg in condition.args)
            condition = Apply(condition.function, ready)
        else:
            ready = (self.operand(condition),)
            condition = Apply("ne", (ready[0], Number(0)))
        yes = self.operand(yes)
        needed = names(condition) | names(yes) | busy
        place = into if into.name not in needed else self.scratch(into.axes)
        self.write(no, place, busy | needed)
        self.put(place, Apply("where", (condition, yes, place)))
        if place != into:
            self.put(into, place)
            self.release(place)
        self.release(yes, *ready)

    def summed(self, expr: Reduce) -> Expr:
        """Return a sum over the batch as a product with ones, the faster of the two."""
        body = expr.body
        if expr.function != "sum" or not isinstance(body, Read) or len(body.axes) != 2:
            return expr
        if expr.over != body.axes[:1] or not isinstance(self.dims.get(expr.over[0]), str):
            return expr
        dim = self.dims[expr.over[0]]
        ones = Tensor("ones", "ones", Role.CONSTANT, (dim,), draw=Draw("constant", (1.0,)))
        self.made["ones"] = ones
        return Contract(Read("ones", expr.over), body, expr.over)

    def extracted(self, expr: Expr) -> Expr:
        """Return a scalar expression whose sums read arrays that are there."""
        match expr:
            case Apply(name, args):
                return Apply(name, tuple(self.extracted(arg) for arg in args))
            case Reduce(name, body, over):
                return Reduce(name, self.operand(body), over)
            case Contract(left, right, over) if set(left.axes) == set(right.axes) == set(over):
                return self.extracted(Reduce("sum", Apply("multiply", (left, right)), over))
            case Contract(left, right, over):
                return Contract(self.operand(left), self.operand(right), over)
        return expr


def all_names(program: Program) -> frozenset[str]:
    """Return every name of the program: tensors, states, constants, sizes."""
    update = program.update
    blocks = (program.forward, program.loss, program.backward, update.scalars, update.elements)
    statements = [statement for block in blocks for statement in block]
    return frozenset(
        {"w", "g", "n", "p", "ones"}
        | {tensor.name for tensor in program.tensors}
        | {state.name for state in update.states}
        | {constant.name for constant in update.constants}
        | {statement.target.name for statement in statements}
        | {name for statement in statements for name in names(statement.value)}
    )


def names(expr: Expr) -> frozenset[str]:
    """Return the names of the arrays an expression reads."""
    return frozenset(node.name for node in walk(expr) if isinstance(node, Leaf))


def simple(expr: Expr) -> bool:
    """Tell whether an expression can stand as an operand: an array, or a number to be computed."""
    if isinstance(expr, Leaf | Number | Size | Position):
        return True
    plain = not any(isinstance(node, Reduce | Contract | Concatenate) for node in walk(expr))
    return plain and not expr.axes


def plainer(expr: Expr) -> Expr:
    """Return an expression whose outermost operation NumPy can write in place."""
    match expr:
        case Apply("add" | "multiply" as name, args) if len(args) > 2:
            return reduce(lambda a, b: Apply(name, (a, b)), args)
        case Apply("add", (Apply("negative", (a,)), b)):
            return plainer(Apply("subtract", (b, a)))
        case Apply("add", (a, Apply("negative", (b,)))):
            return plainer(Apply("subtract", (a, b)))
        case Apply("relu", (x,)):
            return Apply("maximum", (x, Number(0)))
        case Apply("softplus", (x,)):
            return Apply("add", (Apply("maximum", (x, Number(0))), tail(x)))
        case Apply("log_sigmoid", (x,)):
            return Apply("subtract", (Apply("minimum", (x, Number(0))), tail(x)))
        case Apply("sigmoid", (x,)):  # 1 / (1 + e) or e / (1 + e), e = exp(−|x|)
            below = Apply("add", (Number(1), shrunk(x)))
            return Apply("divide", (Apply("exp", (Apply("minimum", (x, Number(0))),)), below))
        case Apply("power", (base, Number(2))) if simple(base):
            return Apply("multiply", (base, base))
        case Apply("power", (base, Number(3))) if simple(base):
            return plainer(Apply("multiply", (base, base, base)))
        case Apply("power", (base, Number(0.5))):
            return Apply("sqrt", (base,))
        case Apply("power", (base, Number(-0.5))):
            return Apply("divide", (Number(1), Apply("sqrt", (base,))))
        case Apply("power", (base, Number(value))) if value in {-1, -2, -3}:
            return Apply("divide", (Number(1), Apply("power", (base, Number(-value)))))
        case Apply("power", (base, Number(1))):
            return plainer(base)
    return expr


def shrunk(x: Expr) -> Expr:
    """Return exp(−|x|), which never overflows."""
    return Apply("exp", (Apply("negative", (Apply("abs", (x,)),)),))


def tail(x: Expr) -> Expr:
    """Return log(1 + exp(−|x|))."""
    return Apply("log1p", (shrunk(x),))
