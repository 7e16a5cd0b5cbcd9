"""NumPy's printer: one statement of the Program to one line of NumPy.

The letters of the axes say how operands line up: an array is printed in the order of letters its
place wants, and what it lacks is broadcast, by itself on the left and as `[:, None]` elsewhere.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import reduce
from itertools import groupby

from symback import printing
from symback.printing import COMPARISONS, Code, Level, Line, number, ordered
from symback.program import (
    Affine,
    Apply,
    Concatenate,
    Contract,
    Dim,
    Expr,
    Lookup,
    Loop,
    Matrix,
    Number,
    Position,
    Program,
    Read,
    Reduce,
    Role,
    Scatter,
    Size,
    Slice,
    Split,
    Statement,
    Tensor,
    merged,
)
from symback.targets._about import About

ABOUT = About("NumPy only", ("float64", "float32"), in_place=True)

# Where NumPy's name, or Python's for plain numbers, isn't the formula language's.
RENAMED = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
PLAIN = {"maximum": "max", "minimum": "min", "abs": "abs"}
MATH = {
    *("exp", "log", "log1p", "expm1", "sqrt", "floor", "sinh", "cosh", "tanh"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "erf", "erfc"),
}
UFUNCS = MATH - {"erf", "erfc"} | {"sign", "abs", "maximum", "minimum"}
SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
OPERATORS = {  # what writes in place by these names of NumPy's
    **{name: name for name in (*SIGNS, "negative", "power")},
    "gt": "greater",
    "ge": "greater_equal",
    "lt": "less",
    "le": "less_equal",
    "eq": "equal",
    "ne": "not_equal",
}


class Kind(Enum):
    """What the numbers of a printed value are, by NumPy's rules of promotion."""

    PLAIN = "a Python number, which takes the type of what it meets"
    BOOL = "truth values"
    INT = "integers, which would turn float32 into float64"
    FLOAT = "floats of the program's type"


@dataclass(frozen=True, slots=True)
class Array(Code):
    """A printed value, with the letters of its axes in order."""

    axes: tuple[str, ...]
    kind: Kind


@dataclass(frozen=True, slots=True)
class Scope:
    """What a statement's printing needs to know around it."""

    tensors: Mapping[str, Tensor]
    ranges: Mapping[str, Dim]
    float_type: str

    def cast(self, array: Array) -> Array:
        """Return the array as floats of the program's type."""
        if array.kind in {Kind.FLOAT, Kind.PLAIN}:
            return array
        text = postfix(array, f".astype(np.{self.float_type})")
        return Array(text, Level.ATOM, array.axes, Kind.FLOAT)

    def settled(self, array: Array) -> Array:
        """Return the array, cast where mixing it with floats would change their type."""
        single = self.float_type != "float64"
        return self.cast(array) if array.kind is Kind.INT and single else array


# ---------------------------------------------------------------- statements


def lines(statements: Sequence[Statement], program: Program, width: int = 96) -> tuple[str, ...]:
    """Return the statements' code, each line with its formula."""
    rows: list[str] = []
    for loop, group in groupby(statements, lambda statement: statement.loop):
        if loop is None:
            rows += straight(tuple(group), program, width)
        else:
            rows += looped(tuple(group), loop, program, width)
    return tuple(rows)


def straight(statements: Sequence[Statement], program: Program, width: int) -> tuple[str, ...]:
    """Return the code of statements that each compute a whole array."""
    block: list[Line] = []
    in_group = False
    tensors = printing.arrays(program)
    for statement in statements:
        rows = printing.folded(code_among(statement, tensors, program.float_type), width)
        if in_group and not statement.because:  # a further operation of the same formula
            block[-1] = replace(block[-1], code=block[-1].code + rows)
        else:
            block.append(Line(rows, statement.because))
        in_group = bool(program.buffers)
    return printing.beside(block, width)


def code(statement: Statement, program: Program) -> str:
    """Return one statement's code without its formula."""
    if statement.loop is not None:
        return Step(statement.loop, program).code(statement)
    return code_among(statement, printing.arrays(program), program.float_type)


def code_among(statement: Statement, tensors: Mapping[str, Tensor], float_type: str) -> str:
    """Return the code of a statement outside of recurrences, over these arrays."""
    scope = Scope(tensors, printing.ranges_among(statement, tensors), float_type)
    if statement.in_place and isinstance(statement.target, Read):
        return in_place(statement.target, statement.value, scope)
    return f"{statement.target.name} = {assigned(statement, scope)}"


# ---------------------------------------------------------------- recurrences


def looped(
    statements: Sequence[Statement], loop: Loop, program: Program, width: int
) -> tuple[str, ...]:
    """Return a loop that computes its statements step by step.

    An array that is read at another step has so many steps more at its end. They stay zero, and
    are what a step before the first (-1 counts from the end) and one behind the last read.
    """
    step = Step(loop, program)
    block = [
        Line(printing.folded(step.code(statement), width - 4), statement.because)
        for statement in statements
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
        before.append(f"{name} = np.zeros({printing.tuple_text(dims)}{cast})")
    steps = f"range({loop.size})" if loop.step > 0 else f"reversed(range({loop.size}))"
    body = (f"    {row}" for row in printing.beside(block, width - 4))
    return (*step.shifted.values(), *before, f"for {step.counter} in {steps}:", *body, *after)


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

    def code(self, statement: Statement) -> str:
        """Return a statement's code at the step."""
        target, value = self.read(statement.target), self.at(statement.value)
        plain = Statement(target, value, "")
        tensors = {tensor.name: tensor for tensor in self.program.tensors}
        ranges = printing.ranges(statement, self.program)
        scope = Scope(tensors | self.parts, ranges, self.program.float_type)
        return f"{target.name} = {assigned(plain, scope)}"

    def at(self, expr: Expr) -> Expr:
        """Return an expression at the step."""
        if self.loop.letter not in printing.free(expr):
            return expr
        match expr:
            case Position():
                return Read(self.counter, ())
            case Read():
                return self.read(expr)
            case Slice(name, axes, ranges):
                parts = []
                for axis, part in zip(axes, ranges, strict=True):
                    whole = f"{part[0]}:{part[1]}" if part else ":"
                    at_step = self.place(part[0] if part else 0)
                    parts.append(at_step if axis == self.loop.letter else whole)
                return self.part(name, parts, tuple(a for a in axes if a != self.loop.letter))
            case Split(name, _, sizes):
                text = f"{name}.reshape({shape_arguments([dict(sizes)[a] for a in expr.axes])})"
                return self.read(Read(text, expr.axes))
            case Lookup():
                return self.lookup(expr)
            case Apply(function, args):
                return Apply(function, tuple(self.at(arg) for arg in args))
            case Reduce(function, body, over):
                return Reduce(function, self.at(body), over)
            case Matrix(function, operand):
                return Matrix(function, self.read(operand))
            case Contract(left, right, over):
                return Contract(self.at(left), self.at(right), over)
        raise NotImplementedError(f"a {type(expr).__name__} in a recurrence")

    def read(self, expr: Read | Split) -> Read:
        """Return the part of an array at the step: h1[:, t]."""
        parts = [self.counter if axis == self.loop.letter else ":" for axis in expr.axes]
        axes = tuple(axis for axis in expr.axes if axis != self.loop.letter)
        return self.part(expr.name, parts, axes)

    def part(self, name: str, parts: list[str], axes: tuple[str, ...]) -> Read:
        text = f"{name}{index(parts)}"
        tensor = next((t for t in self.program.tensors if t.name == name), None)
        if tensor is not None:
            self.parts[text] = replace(tensor, name=text)
        return Read(text, axes)

    def place(self, offset: int) -> str:
        """Return the step so far away: t - 1."""
        return printing.index(Affine(offset, ((self.loop.letter, 1),)), lambda _: self.counter)

    def lookup(self, expr: Lookup) -> Expr:
        """Return an array at computed places, at the step."""
        letter = self.loop.letter
        axis = next(k for k, place in enumerate(expr.places) if letter in place.axes)
        place = expr.places[axis]
        if isinstance(place, Read):
            places = tuple(self.read(p) if isinstance(p, Read) else p for p in expr.places)
            sizes = tuple((name, size) for name, size in expr.sizes if name != letter)
            return Lookup(expr.name, places, sizes)
        if expr.name in printing.computed(self.loop, self.program):
            return self.earlier(expr, axis, place)
        return self.ahead(expr, place)

    def earlier(self, expr: Lookup, axis: int, place: Affine) -> Expr:
        """Return what the recurrence has computed at another step: h1[:, t - 1]."""
        at = (*expr.places[:axis], *expr.places[axis + 1 :])
        if place.terms != ((self.loop.letter, 1),) or any(self.loop.letter in p.axes for p in at):
            raise NotImplementedError("steps that don't follow each other")
        parts = [":"] * len(expr.places)
        parts[axis] = self.place(place.offset)
        read = self.part(expr.name, parts, tuple(a for p in at for a in p.axes))
        sizes = tuple((name, size) for name, size in expr.sizes if name != self.loop.letter)
        shape = self.program.tensor(expr.name).shape
        self.parts[read.name] = replace(
            self.parts[read.name], shape=(*shape[:axis], *shape[axis + 1 :])
        )
        if all(p == Affine(0, ((a, 1),)) for p in at for a in p.axes) and all(p.axes for p in at):
            return read
        return Lookup(read.name, at, sizes)

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


def in_place(target: Read, value: Expr, scope: Scope) -> str:
    """Return one operation that writes into the target's array."""
    name, axes = target.name, target.axes
    if not axes:
        return f"{name}[...] = {shown(value, (), scope).text}"
    match value:
        case Apply("rows", (Read(table), Read(labels))):
            return f'{table}.take({labels}, axis=0, out={name}, mode="clip")'
        case Apply("where", (condition, yes, rest)) if rest == target:
            test, new = (operand(part, axes, axes, scope).text for part in (condition, yes))
            return f"np.copyto({name}, {new}, where={test})"
        case Apply(function, args) if function in SIGNS or function in UFUNCS | set(OPERATORS):
            ready = [operand(arg, axes, axes, scope) for arg in args]
            if function in SIGNS and args[0] == target:
                return f"{name} {SIGNS[function]}= {ready[1].text}"
            called = OPERATORS.get(function, RENAMED.get(function, function))
            return f"np.{called}({', '.join(arg.text for arg in ready)}, out={name})"
        case Contract():
            return product_into(target, value, scope)
        case Reduce("argmax" | "argmin"):  # positions are integers, the array holds floats
            pass
        case Reduce() if is_read(value):
            pass
        case Reduce() if ordered(value.axes, printing.natural(value.body)) == axes:
            return f"{reduced(value, scope).text[:-1]}, out={name})"
        case Concatenate():
            return f"{joined(value, axes, scope).text[:-1]}, out={name})"
        case Lookup() if (tensor := scope.tensors.get(name)) and tensor.draw is not None:
            return within_margins(target, value, scope)
        case Apply():
            return f"{name}[...] = {spread(shown(value, axes, scope), axes).text}"
    return f"{name}[...] = {operand(value, axes, axes, scope).text}"


def product_into(target: Read, value: Contract, scope: Scope) -> str:
    """Return a contraction that writes into the target's array: `dot` where two axes are all."""
    name, axes, over = target.name, target.axes, value.over
    sides = [shown(side, printing.natural(side), scope) for side in (value.left, value.right)]
    plain = all(side.kind is Kind.FLOAT for side in sides)  # dot wants the very type of its result
    for left, right in (sides, sides[::-1]):
        found = matrix_operands(left, right, over, axes)
        if found and plain and max(len(side.axes) for side in (*found, target)) <= 2:
            return f"{postfix(found[0], '.dot')}({found[1].text}, out={name})"
        if found:
            return f"np.matmul({found[0].text}, {found[1].text}, out={name})"
    for left, right in (sides, sides[::-1]):
        for made in (joined_product, batched_product):
            text = made(left, right, over, target, scope) if plain else None
            if text is not None:
                return text
    letters = einsum_letters([side.axes for side in sides], axes)
    return f"np.einsum({letters}, {sides[0].text}, {sides[1].text}, out={name})"


def within_margins(target: Read, value: Lookup, scope: Scope) -> str:
    """Return the assignment of an array to the inside of one that has margins of zeros."""
    into, source = [], []
    dims = zip(value.places, scope.tensors[value.name].shape, strict=True)
    sizes = dict(value.sizes)
    for place, dim in dims:
        assert isinstance(place, Affine)
        [(letter, _)] = place.terms
        size = sizes[letter]
        if place.offset == 0 and size == dim:
            into.append(":")
            source.append(":")
            continue
        first = max(0, -place.offset)
        last = min(int(size), int(dim) - place.offset)
        into.append(f"{first}:{last}")
        whole = first + place.offset == 0 and last + place.offset == dim
        source.append(":" if whole else f"{first + place.offset}:{last + place.offset}")
    return f"{target.name}{index(into)} = {value.name}{index(source)}"


def batched_product(
    left: Array, right: Array, over: tuple[str, ...], target: Read, scope: Scope
) -> str | None:
    """Return a product for each value of the first axes, the others joined; None elsewhere."""
    letters = list(target.axes)
    groups_: list[tuple[str, ...]] = []
    for one, other in ((right, left), (left, right)):  # columns, then rows
        end: list[str] = []
        while letters and letters[-1] in one.axes and letters[-1] not in other.axes:
            end.insert(0, letters.pop())
        groups_.append(tuple(end))
    (columns, rows), batch = groups_, tuple(letters)
    if not rows or not columns:
        return None
    matrices = []
    for side, own, swapped in ((left, rows, False), (right, columns, True)):
        before = tuple(a for a in batch if a in side.axes)
        if before not in {(), batch}:
            return None
        groups = (over, own) if swapped else (own, over)
        for pair in (groups, groups[::-1]):
            if side.axes == before + pair[0] + pair[1]:
                joined = tuple(grouped(group, scope) for group in (*((a,) for a in before), *pair))
                text = side.at(Level.ATOM)
                if max(map(len, pair)) > 1:
                    text = postfix(side, f".reshape({shape_arguments(joined)})")
                matrices.append(text + (".swapaxes(-1, -2)" if pair != groups else ""))
                break
        else:
            return None
    dims = tuple(grouped(group, scope) for group in (*((a,) for a in batch), rows, columns))
    into = target.name
    if max(len(rows), len(columns)) > 1:
        into = f"{into}.reshape({shape_arguments(dims)})"
    return f"np.matmul({matrices[0]}, {matrices[1]}, out={into})"


def joined_product(
    left: Array, right: Array, over: tuple[str, ...], target: Read, scope: Scope
) -> str | None:
    """Return a product of matrices whose axes are several letters joined; None elsewhere."""
    rows, columns = (tuple(a for a in side.axes if a not in over) for side in (left, right))
    if target.axes != rows + columns or not rows or not columns:
        return None
    first, second = (
        joined_matrix(left, rows, over, scope),
        joined_matrix(right, over, columns, scope),
    )
    if first is None or second is None:
        return None
    place = Array(target.name, Level.ATOM, target.axes, Kind.FLOAT)
    into = joined_matrix(place, rows, columns, scope)
    return f"{first}.dot({second}, out={into})"


def joined_matrix(
    array: Array, rows: tuple[str, ...], columns: tuple[str, ...], scope: Scope
) -> str | None:
    """Return an array as a matrix of joined letters, where its axes stand in that order."""
    if array.axes == columns + rows != rows + columns:
        text = joined_matrix(array, columns, rows, scope)
        return None if text is None else f"{text}.T"
    if array.axes != rows + columns:
        return None
    if len(array.axes) == 2:
        return array.at(Level.ATOM)
    dims = (grouped(rows, scope), grouped(columns, scope))
    return postfix(array, f".reshape({shape_arguments(dims)})")


def assigned(statement: Statement, scope: Scope) -> str:
    """Return the value as the target's array: its order of axes, its shape, its type."""
    target = statement.target
    value = shown(statement.value, target.axes, scope)
    tensor = scope.tensors.get(target.name)
    labels = value.kind is Kind.INT if tensor is None else tensor.classes is not None
    if target.axes and not labels:
        value = scope.cast(value)
    if value.axes != target.axes:
        value = filled(value, target, scope)
    if isinstance(target, Split):
        dims = tuple(grouped(group, scope) for group in target.groups)
        return postfix(value, f".reshape({shape_arguments(dims)})")
    return value.text


def filled(value: Array, target: Read | Split, scope: Scope) -> Array:
    """Return a value that lacks letters of the target in the target's whole shape."""
    missing = [axis for axis in target.axes if axis not in scope.ranges]
    kind = scope.float_type
    if missing:  # an optimiser's state, of the shape of its parameter
        text = f"np.full_like({target.name}, {value.text})"
    elif value.text in {"0", "1"}:
        dtype = "" if kind == "float64" else f", np.{kind}"
        made = "np.zeros" if value.text == "0" else "np.ones"
        text = f"{made}({shape(target.axes, scope)}{dtype})"
    elif not value.axes:
        text = f"np.full({shape(target.axes, scope)}, {value.text}, np.{kind})"
    else:
        whole = spread(value, target.axes).text
        text = f"np.broadcast_to({whole}, {shape(target.axes, scope)})"
    return Array(text, Level.ATOM, target.axes, Kind.FLOAT)


def shape(axes: Iterable[str], scope: Scope) -> str:
    """Return the shape along the letters as a tuple's text."""
    return printing.tuple_text(str(scope.ranges[axis]) for axis in axes)


def grouped(group: tuple[str, ...], scope: Scope) -> Dim:
    """Return the size of letters joined into one axis: -1 where it is known at run time only."""
    dims = [scope.ranges[axis] for axis in group]
    if any(isinstance(dim, str) for dim in dims):
        return " * ".join(str(dim) for dim in dims)
    return reduce(lambda product, dim: product * int(dim), dims, 1)


def shape_arguments(dims: Sequence[Dim]) -> str:
    """Return the arguments of a reshape: a single run-time size is -1, worked out by NumPy."""
    run_time = [dim for dim in dims if isinstance(dim, str)]
    return ", ".join("-1" if run_time == [dim] else str(dim) for dim in dims)


# ---------------------------------------------------------------- values


def shown(expr: Expr, order: Sequence[str], scope: Scope) -> Array:
    """Return the expression printed, its axes in this order."""
    match expr:
        case Number(value):
            return result(printing.literal(value), Kind.PLAIN)
        case Size(dim):
            return Array(dim, Level.ATOM, (), Kind.PLAIN)
        case Position(axis, size):
            return Array(f"np.arange({size})", Level.ATOM, (axis,), Kind.INT)
        case Read():
            return transposed(array_read(expr, scope), order)
        case Split():
            return transposed(split_read(expr, scope), order)
        case Slice(name, axes, ranges):
            parts = [":" if part is None else f"{part[0]}:{part[1]}" for part in ranges]
            whole = array_read(Read(name, axes), scope)
            return transposed(replace(whole, text=name + index(parts)), order)
        case Lookup():
            return transposed(looked_up(expr, scope), order)
        case Scatter():
            return transposed(scattered(expr, scope), order)
        case Concatenate():
            return joined(expr, order, scope)
        case Apply():
            return applied(expr, order, scope)
        case Reduce():
            return transposed(reduced(expr, scope), order)
        case Matrix(function, operand):
            text = f"{printing.MATRICES[function]}({array_read(operand, scope).text})"
            return transposed(Array(text, Level.ATOM, expr.axes, Kind.FLOAT), order)
        case Contract():
            return contracted(expr, order, scope)


def array_read(expr: Read, scope: Scope) -> Array:
    """Return an array by its name; what isn't a tensor is a number or an optimiser's array."""
    tensor = scope.tensors.get(expr.name)
    if tensor is None:
        kind = Kind.FLOAT if expr.axes else Kind.PLAIN
    else:
        kind = Kind.FLOAT if tensor.classes is None else Kind.INT
        kind = Kind.BOOL if tensor.role is Role.MASK else kind
    if len(set(expr.axes)) == len(expr.axes):
        return Array(expr.name, Level.ATOM, expr.axes, kind)
    once = tuple(dict.fromkeys(expr.axes))  # a diagonal: x[i,i]
    text = f"np.einsum({einsum_letters((expr.axes,), once)}, {expr.name})"
    return Array(text, Level.ATOM, once, kind)


def split_read(expr: Split, scope: Scope) -> Array:
    """Return an array whose joined axes are taken apart."""
    whole = array_read(Read(expr.name, ()), scope)
    sizes = dict(expr.sizes)
    dims = [sizes[axis] for axis in expr.axes]
    text = f"{expr.name}.reshape({shape_arguments(dims)})"
    kind = Kind.FLOAT if whole.kind is Kind.PLAIN else whole.kind
    return Array(text, Level.ATOM, expr.axes, kind)


def joined(expr: Concatenate, order: Sequence[str], scope: Scope) -> Array:
    """Return the parts one after another, each spread over all axes."""
    axes = ordered(expr.axes, order)
    at = axes.index(expr.letter)
    parts = []
    for part, letter in zip(expr.parts, expr.letters, strict=True):
        own = tuple(letter if axis == expr.letter else axis for axis in axes)
        value = shown(part, own, scope)
        if value.axes != own:
            value = filled(value, Read("", own), scope)
        parts.append(scope.settled(value))
    kind = parts[0].kind if len({part.kind for part in parts}) == 1 else Kind.FLOAT
    text = f"np.concatenate(({', '.join(part.text for part in parts)}), axis={at})"
    return Array(text, Level.ATOM, axes, kind)


def postfix(array: Array, suffix: str) -> str:
    """Return the text with a method, an attribute or an index after it."""
    return array.at(Level.ATOM) + suffix


def transposed(array: Array, order: Sequence[str]) -> Array:
    """Return the array with its axes in this order."""
    axes = ordered(array.axes, order)
    if axes == array.axes:
        return array
    places = [array.axes.index(axis) for axis in axes]
    swap = [*range(len(axes) - 2), len(axes) - 1, len(axes) - 2]
    if len(axes) == 2:
        suffix = ".T"
    elif places == swap:
        suffix = ".swapaxes(-1, -2)"
    else:
        suffix = f".transpose({', '.join(map(str, places))})"
    return Array(postfix(array, suffix), Level.ATOM, axes, array.kind)


def spread(array: Array, axes: tuple[str, ...]) -> Array:
    """Return the array so that it broadcasts over the axes: on the left that needs nothing."""
    own = array.axes
    if not own or axes[-len(own) :] == own:
        return array
    parts = [":" if axis in own else "None" for axis in axes[axes.index(own[0]) :]]
    return replace(array, text=postfix(array, index(parts)), level=Level.ATOM)


def index(parts: list[str]) -> str:
    """Return an index; whole axes at its end go without saying."""
    while parts and parts[-1] == ":":
        parts = parts[:-1]
    return f"[{', '.join(parts)}]" if parts else ""


# ---------------------------------------------------------------- computed places


def looked_up(expr: Lookup, scope: Scope) -> Array:
    """Return an array at computed indices: by labels, as windows, or element by element."""
    whole = array_read(Read(expr.name, ()), scope)
    kind = Kind.FLOAT if whole.kind is Kind.PLAIN else whole.kind
    places = expr.places
    labels = [place for place in places if isinstance(place, Read)]
    if is_one_gather(places, expr.sizes, scope.tensors[expr.name].shape):
        at = [place.name if isinstance(place, Read) else ":" for place in places]
        axes = merged(*(place.axes for place in places))
        return Array(f"{expr.name}{index(at)}", Level.ATOM, axes, kind)
    if (parts := stepped(expr, scope.tensors[expr.name].shape)) is not None:
        return Array(f"{expr.name}{index(parts)}", Level.ATOM, expr.axes, kind)
    if not labels and are_windows(places):
        fixed = "".join(", 0" if not place.axes else ", :" for place in places)
        kept = f"[{fixed.rstrip(', :').removeprefix(', ')}]" if ", 0" in fixed else ""
        shape = scope.tensors[expr.name].shape
        text = f"windows({expr.name}, {window_ranges(places, expr.sizes, shape)}){kept}"
        return Array(text, Level.ATOM, expr.axes, kind)
    at = [element_place(place, expr.axes, scope) for place in places]
    return Array(f"taken({expr.name}, {', '.join(at)})", Level.ATOM, expr.axes, kind)


def stepped(expr: Lookup, shape: Sequence[Dim]) -> list[str] | None:
    """Return the slices that read an array in steps, 1::2; None where places are more than that."""
    sizes = dict(expr.sizes)
    letters = [axis for place in expr.places for axis in place.axes]
    parts = []
    for place, dim in zip(expr.places, shape, strict=True):
        if not isinstance(place, Affine) or len(place.terms) > 1 or len({*letters}) < len(letters):
            return None
        if (
            place.terms
            and place == Affine(0, ((place.axes[0], 1),))
            and sizes[place.axes[0]] == dim
        ):
            parts.append(":")
            continue
        if isinstance(dim, str):
            return None
        first, last = place.reach(sizes)
        step = place.terms[0][1] if place.terms else 1
        if first < 0 or last >= dim or step < 1:
            return None
        text = f"{place.offset}:{last + 1}" + (f":{step}" if step > 1 else "")
        parts.append(text if place.terms else str(place.offset))
    return parts


def scattered(expr: Scatter, scope: Scope) -> Array:
    """Return values added up at computed places of an array that is zero elsewhere."""
    places = expr.places
    dims = printing.tuple_text(map(str, expr.shape))
    if groups := expr.groups:
        regrouped = whole_array(expr.body, merged(*groups), scope)
        text = postfix(regrouped, f".reshape({shape_arguments(expr.shape)})")
        return Array(text, Level.ATOM, expr.axes, Kind.FLOAT)
    if is_one_gather(places, (*expr.sizes, *zip(expr.axes, expr.shape, strict=True)), expr.shape):
        at, labels = next((k, p) for k, p in enumerate(places) if isinstance(p, Read))
        others = tuple(axis for axis in expr.axes if axis != expr.axes[at])
        values = whole(expr.body, (*labels.axes, *others), scope)
        text = f"scatter_add({values}, {labels.name}, {expr.shape[at]})"
        return Array(text, Level.ATOM, (expr.axes[at], *others), Kind.FLOAT)
    affine = [place for place in places if isinstance(place, Affine)]
    if len(affine) == len(places) and are_windows(places):
        fixed = {f"_{k}": 1 for k, place in enumerate(affine) if not place.axes}
        outer = [place.axes[0] if place.axes else f"_{k}" for k, place in enumerate(affine)]
        inner = [axis for place in affine for axis in place.axes[1:]]
        inside = replace(scope, ranges={**scope.ranges, **fixed})
        values = whole(expr.body, (*outer, *inner), inside)
        ranges = window_ranges(places, expr.sizes, expr.shape)
        text = f"overlap_add({values}, {dims}, {ranges})"
        return Array(text, Level.ATOM, expr.axes, Kind.FLOAT)
    letters = tuple(letter for letter, _ in expr.sizes)
    at_ = [element_place(place, letters, scope) for place in places]
    text = f"added_at({whole(expr.body, letters, scope)}, {dims}, {', '.join(at_)})"
    return Array(text, Level.ATOM, expr.axes, Kind.FLOAT)


def whole(expr: Expr, axes: tuple[str, ...], scope: Scope) -> str:
    """Return a value's text, spread over all of the axes, in this order."""
    return whole_array(expr, axes, scope).text


def whole_array(expr: Expr, axes: tuple[str, ...], scope: Scope) -> Array:
    """Return a value spread over all of the axes, in this order."""
    value = scope.cast(shown(expr, axes, scope))
    return value if value.axes == axes else filled(value, Read("", axes), scope)


def is_one_gather(
    places: Sequence[Affine | Read], sizes: Iterable[tuple[str, Dim]], shape: Sequence[Dim]
) -> bool:
    """Tell whether labels stand at one axis, other letters by themselves at the others."""
    dims = dict(sizes)
    labels = [place for place in places if isinstance(place, Read)]
    others = [place for place in places if isinstance(place, Affine)]
    letters = [axis for place in places for axis in place.axes]
    return (
        len(labels) == 1
        and len(set(letters)) == len(letters)
        and all(place == Affine(0, ((axis, 1),)) for place in others for axis in place.axes)
        and all(len(place.axes) == 1 for place in others)
        and all(
            dims.get(place.axes[0], dim) == dim
            for place, dim in zip(places, shape, strict=True)
            if isinstance(place, Affine)
        )
    )


def are_windows(places: Sequence[Affine | Read]) -> bool:
    """Tell whether each place moves a window, no letter standing at two of them."""
    letters = [axis for place in places for axis in place.axes]
    return len(set(letters)) == len(letters) and all(len(place.axes) <= 2 for place in places)


def window_ranges(
    places: Sequence[Affine | Read], sizes: Iterable[tuple[str, Dim]], shape: Sequence[Dim]
) -> str:
    """Return the ranges whose sums are the indices, for each axis that isn't read as it is."""
    dims = dict(sizes)
    parts = []
    for axis, (place, dim) in enumerate(zip(places, shape, strict=True)):
        assert isinstance(place, Affine)
        if place.axes and place == Affine(0, ((place.axes[0], 1),)) and dims[place.axes[0]] == dim:
            continue
        ranges = [place_range(dims.get(a, 1), c) for a, c in place.terms] or ["range(1)"]
        if place.offset:
            first = place.terms[0] if place.terms else ("", 1)
            ranges[0] = place_range(dims.get(first[0], 1), first[1], place.offset)
        parts.append(f"{axis}: {printing.tuple_text(ranges)}")
    return "{" + ", ".join(parts) + "}"


def place_range(count: Dim, step: int, start: int = 0) -> str:
    """Return range(start, stop, step) of so many values."""
    if step == 1:
        stop = f"{start} + {count}" if start and isinstance(count, str) else count
        stop = start + count if isinstance(count, int) else stop
        return f"range({start}, {stop})" if start else f"range({stop})"
    assert isinstance(count, int)
    return f"range({start}, {start + step * count}, {step})"


def element_place(place: Affine | Read, axes: tuple[str, ...], scope: Scope) -> str:
    """Return an index array that broadcasts over the axes."""
    if isinstance(place, Read):
        return spread(shown(place, axes, scope), axes).text
    terms = []
    for letter, coefficient in place.terms:
        steps = Array(f"np.arange({scope.ranges[letter]})", Level.ATOM, (letter,), Kind.INT)
        text = spread(steps, axes).text
        terms.append(text if coefficient == 1 else f"{coefficient} * {text}")
    if place.offset or not terms:
        terms.append(str(place.offset))
    return " + ".join(terms).replace("+ -", "- ")


# ---------------------------------------------------------------- elementwise


def applied(expr: Apply, order: Sequence[str], scope: Scope) -> Array:
    """Return an elementwise function of its arguments, all spread over their joint axes."""
    axes = ordered(expr.axes, order)
    args = tuple(operand(arg, axes, order, scope) for arg in expr.args)
    return replace(function(expr.function, args, scope), axes=axes)


def operand(expr: Expr, axes: tuple[str, ...], order: Sequence[str], scope: Scope) -> Array:
    """Return an argument so that it broadcasts; a reduction in place keeps its axes."""
    if isinstance(expr, Reduce) and not expr.function.startswith("arg"):
        body = printing.natural(expr.body)
        kept = tuple(None if axis in expr.over else axis for axis in body)
        place = tuple(axis if axis in expr.axes else None for axis in axes)
        if expr.axes and kept == place and place[-len(expr.axes) :] != expr.axes:
            return reduced(expr, scope, keep=True)
    return spread(shown(expr, order, scope), axes)


def function(name: str, args: tuple[Array, ...], scope: Scope) -> Array:
    """Return the function of arguments that broadcast; the caller orders the result's axes."""
    match name:
        case "add":
            if len(args) == 2 and args[0].text.startswith("-") and args[1].text[0] != "-":
                args = (args[1], args[0])  # b - a rather than -a + b
            return reduce(lambda a, b: arithmetic(printing.add, a, b, scope), args)
        case "subtract":
            return arithmetic(lambda a, b: printing.add(a, b, "-"), args[0], args[1], scope)
        case "multiply":
            # A comparison is 0 or 1 and multiplies last: `dz * (x > 0)`.
            args = tuple(sorted(args, key=lambda arg: arg.kind is Kind.BOOL))
            return reduce(lambda a, b: arithmetic(printing.multiply, a, b, scope), args)
        case "divide":
            return arithmetic(printing.divide, args[0], args[1], scope)
        case "negative":
            value = scope.cast(args[0]) if args[0].axes else args[0]
            return result(printing.negate(value), value.kind, value)
        case "power":
            return powered(args[0], args[1], scope)
        case "where":
            return chosen(args[0], args[1], args[2], scope)
        case "relu":
            return named("maximum", (args[0], result(printing.literal(0), Kind.PLAIN)), scope)
    plain = all(arg.kind is Kind.PLAIN for arg in args)
    if name in COMPARISONS:
        kind = Kind.PLAIN if plain else Kind.BOOL
        return result(printing.compare(name, args[0], args[1]), kind, *args)
    if name in {"and", "or", "not"}:
        if plain:
            return result(printing.logic(name, args), Kind.PLAIN)
        return result(printing.call(f"np.logical_{name}", args), Kind.BOOL, *args)
    return named(name, args, scope)


def result(code: Code, kind: Kind, *args: Array) -> Array:
    """Return a printed value with the axes of what it was made from."""
    return Array(code.text, code.level, merged(*(arg.axes for arg in args)), kind)


def arithmetic(
    operator: Callable[[Code, Code], Code], left: Array, right: Array, scope: Scope
) -> Array:
    """Return an operator of two values, so that NumPy answers in the program's float type."""
    kinds = {left.kind, right.kind}
    if kinds == {Kind.PLAIN}:
        return result(operator(left, right), Kind.PLAIN)
    if kinds == {Kind.BOOL} and operator is printing.multiply:
        return result(operator(left, right), Kind.BOOL, left, right)
    if Kind.FLOAT not in kinds:
        if not left.axes and not right.axes:
            return result(operator(left, right), Kind.INT)
        if left.kind is Kind.PLAIN:
            right = scope.cast(right)
        else:
            left = scope.cast(left)
    left, right = scope.settled(left), scope.settled(right)
    return result(operator(left, right), Kind.FLOAT, left, right)


def powered(base: Array, exponent: Array, scope: Scope) -> Array:
    """Return base ** exponent; small powers of a name are products, 12 times faster than x**3."""
    plain = base.kind is Kind.PLAIN and exponent.kind is Kind.PLAIN
    kind = Kind.PLAIN if plain else Kind.FLOAT
    base = base if plain else scope.cast(base)
    if exponent.text in {"0.5", "-0.5"}:
        root = named("sqrt", (base,), scope)
        one = result(printing.literal(1), Kind.PLAIN)
        return root if exponent.text == "0.5" else result(printing.divide(one, root), kind, base)
    return result(printing.power(base, exponent, unrolled=not plain), kind, base, exponent)


def chosen(condition: Array, yes: Array, no: Array, scope: Scope) -> Array:
    """Return where(condition, yes, no): np.where of arrays, a conditional of numbers."""
    if not (condition.axes or yes.axes or no.axes):
        kinds = {yes.kind, no.kind}
        kind = kinds.pop() if len(kinds) == 1 else Kind.FLOAT
        return result(printing.choose(condition, yes, no), kind)
    if condition.kind is not Kind.BOOL:
        zero = result(printing.literal(0), Kind.PLAIN)
        condition = result(printing.compare("ne", condition, zero), Kind.BOOL, condition)
    if Kind.FLOAT in {yes.kind, no.kind}:
        yes, no, kind = scope.settled(yes), scope.settled(no), Kind.FLOAT
    else:  # two numbers would make float64 or integers: the result is cast where that matters
        kind = Kind.BOOL if yes.kind is no.kind is Kind.BOOL else Kind.INT
    args = (condition, yes, no)
    return result(printing.call("np.where", args), kind, *args)


def named(name: str, args: tuple[Array, ...], scope: Scope) -> Array:
    """Return a function called by its name: NumPy's, Python's for plain numbers, or a helper's."""
    if all(arg.kind is Kind.PLAIN for arg in args):
        if name not in MATH and name not in PLAIN:
            called = f"np.{name}" if name in UFUNCS else name
            args = (result(printing.call(called, args), Kind.PLAIN),)
            name = "float"
        called = f"math.{name}" if name in MATH else PLAIN.get(name, name)
        return result(printing.call(called, args), Kind.PLAIN)
    args = tuple(arg if arg.kind is Kind.PLAIN else scope.cast(arg) for arg in args)
    called = f"np.{RENAMED.get(name, name)}" if name in UFUNCS else name
    return result(printing.call(called, args), Kind.FLOAT, *args)


# ---------------------------------------------------------------- sums and products


def reduced(expr: Reduce, scope: Scope, *, keep: bool = False) -> Array:
    """Return a reduction of a value whose axes stand in their natural order."""
    if is_read(expr) and not keep:
        return read_at_places(expr, scope)
    body = shown(expr.body, printing.natural(expr.body), scope)
    axes = tuple(axis for axis in body.axes if axis not in expr.over)
    places = [str(body.axes.index(axis)) for axis in ordered(expr.over, body.axes)]
    at = places[0] if len(places) == 1 else printing.tuple_text(places)
    arguments = [f"axis={at}"] if axes else []
    arguments += ["keepdims=True"] if keep else []
    text = postfix(body, f".{expr.function}({', '.join(arguments)})")
    counted = expr.function.startswith("arg") or (
        expr.function in {"sum", "prod"} and body.kind is Kind.BOOL
    )
    kind = Kind.INT if counted else body.kind
    return Array(text, Level.ATOM, axes, kind)


def is_read(expr: Expr) -> bool:
    """Tell whether a sum is only a reading of an array at one place of some axes, x[:, 0]."""
    match expr:
        case Reduce("sum", Slice(axes=axes), over):
            return all(axis.startswith("_") for axis in over) and set(over) <= set(axes)
    return False


def read_at_places(expr: Reduce, scope: Scope) -> Array:
    """Return an array at one place of some axes: x[:, 0]."""
    body = expr.body
    assert isinstance(body, Slice)
    parts = [
        str(part[0]) if part and axis in expr.over else f"{part[0]}:{part[1]}" if part else ":"
        for axis, part in zip(body.axes, body.ranges, strict=True)
    ]
    while parts[-1] == ":":
        parts.pop()
    kind = array_read(Read(body.name, body.axes), scope).kind
    return Array(body.name + index(parts), Level.ATOM, expr.axes, kind)


def contracted(expr: Contract, order: Sequence[str], scope: Scope) -> Array:
    """Return Σ_over left·right: `@` where it is a matrix product, else a sum of products."""
    left, right = (shown(side, printing.natural(side), scope) for side in (expr.left, expr.right))
    left, right = (scope.cast(a) if a.kind is Kind.INT else a for a in (left, right))
    if left.kind is right.kind is Kind.BOOL:
        left = scope.cast(left)
    want = ordered(expr.axes, order)
    if not want and left.axes == right.axes and len(left.axes) > 1:
        return Array(f"float(np.vdot({left.text}, {right.text}))", Level.ATOM, (), Kind.PLAIN)
    found = (
        matrix_product(left, right, expr.over, want)
        or matrix_product(right, left, expr.over, want)
        or inner_product(expr, want, scope)
        or tensor_product(left, right, expr.over, want)
        or tensor_product(right, left, expr.over, want)
        or turned_product(left, right, expr.over, want)
    )
    if found is None:
        letters = einsum_letters((left.axes, right.axes), want)
        text = f"np.einsum({letters}, {left.text}, {right.text})"
        found = Array(text, Level.ATOM, want, Kind.FLOAT)
    return found


def matrix_product(
    left: Array, right: Array, over: tuple[str, ...], want: tuple[str, ...]
) -> Array | None:
    """Return left @ right where that gives the axes wanted, in order; None elsewhere."""
    found = matrix_operands(left, right, over, want)
    if found is None:
        return None
    text = f"{found[0].at(Level.PRODUCT)} @ {found[1].at(Level.SIGN)}"
    return Array(text, Level.PRODUCT, want, Kind.FLOAT)


def matrix_operands(
    left: Array, right: Array, over: tuple[str, ...], want: tuple[str, ...]
) -> tuple[Array, Array] | None:
    """Return the sides of left @ right where that gives the axes wanted, in order; else None.

    Axes of both that aren't summed must come first, in the same order: a product for each.
    """
    if len(over) != 1:
        return None
    batch = tuple(axis for axis in left.axes if axis in right.axes and axis not in over)
    rows = tuple(axis for axis in left.axes if axis not in right.axes)
    columns = tuple(axis for axis in right.axes if axis not in left.axes)
    if want != batch + rows + columns or len(columns) > 1:
        return None
    if batch and (len(rows) != 1 or len(columns) != 1):
        return None
    if len(rows) > 1:  # x[n,t,i]·W[o,i]: the axes before the last go along
        if left.axes != rows + over:
            return None
    elif left.axes[: len(batch)] != batch:
        return None
    if right.axes[: len(batch)] != batch:
        return None
    first = transposed(left, batch + rows + over)
    second = transposed(right, batch + over + columns)
    if not columns and len(rows) == 1 and first.text != left.text:
        return None  # v @ A rather than A.T @ v
    return first, second


def inner_product(expr: Contract, want: tuple[str, ...], scope: Scope) -> Array | None:
    """Return (a * b).sum() where both sides have all the letters; None elsewhere."""
    if set(expr.left.axes) != set(expr.right.axes):
        return None
    product = Reduce("sum", Apply("multiply", (expr.left, expr.right)), expr.over)
    found = reduced(product, scope)
    return transposed(found, want)


def tensor_product(
    left: Array, right: Array, over: tuple[str, ...], want: tuple[str, ...]
) -> Array | None:
    """Return np.tensordot where it gives the axes wanted, in order; None elsewhere."""
    rows = tuple(axis for axis in left.axes if axis not in over)
    columns = tuple(axis for axis in right.axes if axis not in over)
    if want != rows + columns:
        return None
    if left.axes == rows + over and right.axes == over + columns:
        at = str(len(over))
    else:
        places = (
            printing.tuple_text(str(side.axes.index(axis)) for axis in over)
            for side in (left, right)
        )
        at = printing.tuple_text(places)
    text = f"np.tensordot({left.text}, {right.text}, {at})"
    return Array(text, Level.ATOM, want, Kind.FLOAT)


def turned_product(
    left: Array, right: Array, over: tuple[str, ...], want: tuple[str, ...]
) -> Array | None:
    """Return a matrix product for each value of the axes of both, its axes turned as wanted."""
    batch = tuple(axis for axis in want if axis in left.axes and axis in right.axes)
    rows = tuple(axis for axis in want if axis not in right.axes)
    columns = tuple(axis for axis in want if axis not in left.axes)
    if not batch:
        found = tensor_product(left, right, over, rows + columns)
        return found and transposed(found, want)
    if not len(rows) == len(columns) == len(over) == 1:
        return None
    first = transposed(left, batch + rows + over)
    second = transposed(right, batch + over + columns)
    text = f"{first.at(Level.PRODUCT)} @ {second.at(Level.SIGN)}"
    return transposed(Array(text, Level.PRODUCT, batch + rows + columns, Kind.FLOAT), want)


def einsum_letters(operands: Sequence[tuple[str, ...]], want: tuple[str, ...]) -> str:
    """Return einsum's subscripts: the letters themselves where each is one letter."""
    used = [axis for axes in operands for axis in axes]
    free = iter(c for c in "abcdefghijklmnopqrstuvwxyz" if c not in used)
    single = {
        axis: axis if len(axis) == 1 and axis.isascii() else next(free)
        for axis in dict.fromkeys(used)
    }
    inputs, output = (
        ",".join("".join(single[axis] for axis in axes) for axes in group)
        for group in (operands, (want,))
    )
    return f'"{inputs}->{output}"'


# ---------------------------------------------------------------- around the lines


def helpers(statements: Sequence[Statement], program: Program) -> tuple[str, ...]:
    """Return the names of the helper functions the lines call."""
    return tuple(sorted(printing.called(bare(statements, program))))


def sizes(statements: Sequence[Statement], program: Program) -> tuple[str, ...]:
    """Return the run-time sizes the lines use, to be defined before them."""
    read = printing.read(bare(statements, program))
    return tuple(sorted(read & printing.run_time_sizes(program)))


def size(dim: str, tensor: Tensor) -> str:
    """Return the expression of a run-time size, read off an array."""
    at = tensor.shape.index(dim)
    return f"len({tensor.name})" if at == 0 else f"{tensor.name}.shape[{at}]"


def imports(statements: Sequence[Statement], program: Program) -> tuple[str, ...]:
    """Return the import lines that the lines need."""
    read = printing.read(bare(statements, program))
    known = {"math": "import math", "np": "import numpy as np"}
    return tuple(line for name, line in known.items() if name in read)


def bare(statements: Sequence[Statement], program: Program) -> tuple[str, ...]:
    """Return the code without the formulas."""
    if any(statement.loop for statement in statements):
        return lines(statements, program)
    tensors = printing.arrays(program)
    return tuple(code_among(statement, tensors, program.float_type) for statement in statements)


def made(tensor: Tensor, once: Sequence[Statement], dtype: str) -> str:
    """Return the expression that makes one of a fast module's buffers."""
    numbers = {statement.target.name: statement.value for statement in once}
    dims = printing.tuple_text(str(dim) for dim in tensor.shape)
    if tensor.name in numbers:
        text = shown(numbers[tensor.name], (), Scope({}, {}, "float64")).text
        return f"np.array({text}, {dtype})"
    if tensor.draw is not None and tensor.draw.kind == "identity":
        return f"np.eye({tensor.shape[0]}, dtype={dtype})"
    if tensor.draw is not None:
        value = number(tensor.draw.arguments[0])
        if value in {"0", "1"}:
            return f"np.{'zeros' if value == '0' else 'ones'}({dims}, {dtype})"
        return f"np.full({dims}, {value}, {dtype})"
    return f"np.empty({dims}, {'bool' if tensor.role is Role.MASK else dtype})"


def drawn_into(tensor: Tensor) -> tuple[str, ...]:
    """Return the lines that draw a fast module's random array anew; none where it has no such form.

    Its `…_drawn` holds the generator's numbers, float64 as they are without it.
    """
    draw, name = tensor.draw, tensor.name
    if draw is None or draw.kind != "keep":
        return ()
    keep = number(draw.arguments[0])
    return (
        f"rng.random(out=cache.{name}_drawn)",
        f"np.less(cache.{name}_drawn, {keep}, out={name})",
        f"{name} /= {keep}",
    )


def initial(tensor: Tensor, program: Program) -> str:
    """Return the expression that draws the tensor's values from the generator `rng`."""
    draw = tensor.draw
    if draw is None:
        raise ValueError(f"{tensor.name} has no values of its own")
    dims = printing.tuple_text(str(dim) for dim in tensor.shape)
    kind = program.float_type
    single = kind != "float64"
    cast, dtype = (f".astype(np.{kind})", f", np.{kind}") if single else ("", "")
    match draw.kind:
        case "constant":
            value = number(draw.arguments[0])
            if value in {"0", "1"}:
                return f"np.{'zeros' if value == '0' else 'ones'}({dims}{dtype})"
            return f"np.full({dims}, {value}, np.{kind})"
        case "values":
            return f"np.array({values(draw.values)}, np.{kind})"
        case "keep":
            keep = number(draw.arguments[0])
            mask = f"(rng.random({dims}) < {keep}) / {keep}"
            return f"({mask}){cast}" if single else mask
        case "identity":
            return f"np.eye{dims[:-1]}, dtype=np.{kind})"
        case "uniform" | "normal":
            low, high = (number(argument) for argument in draw.arguments)
            return f"rng.{draw.kind}({low}, {high}, {dims}){cast}"
    arguments = ", ".join(("rng", dims, *map(number, draw.arguments)))
    return f"drawn_{draw.kind}({arguments}){cast}"


def values(nested: object) -> str:
    """Return nested tuples of numbers as the text of nested lists."""
    if isinstance(nested, tuple):
        return f"[{', '.join(values(item) for item in nested)}]"
    return number(float(str(nested)))
