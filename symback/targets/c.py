"""C's printer: a program's statements as loops in C99, each with its formula.

`_loops` turns statements into nests of loops; here they are written down. Numbers of arrays are of
the type `real`, float or double; whole numbers (sizes, positions, labels) are `idx`. `R(exp)` is
exp or expf. The Python beside the C (metrics, the schedule, what is drawn) is the NumPy target's.
"""

import os
import re
import shlex
import shutil
import textwrap
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from importlib.util import find_spec
from math import inf, isfinite, prod
from typing import Any

from symback import printing
from symback.errors import Mistake, UserError
from symback.printing import COMPARISONS, Code, Level
from symback.program import (
    Affine,
    Apply,
    Dim,
    Expr,
    Lookup,
    Number,
    Position,
    Program,
    Read,
    Role,
    Size,
    Slice,
    Split,
    Statement,
    Tensor,
)
from symback.targets._about import About, Native
from symback.targets._alone import Alone, alone
from symback.targets._loops import (
    PARTS,
    THREADS,
    Access,
    Best,
    Call,
    Gain,
    Known,
    Loop,
    Nests,
    Node,
    Own,
    Parts,
    Product,
    Put,
    Start,
    Strided,
    inside,
    is_parallel,
    nests,
    reads_of,
    rounds,
    writes_of,
)
from symback.targets.numpy import drawn_into, helpers, initial, lines, size, sizes

__all__ = ["ABOUT", "drawn_into", "helpers", "initial", "lines", "native", "size", "sizes"]

WIDTH = 86  # the deepest place of the templates adds 12
ROWS = 256  # examples in a batch, where the spec takes all of them at once
KEYWORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while _Bool _Complex _Imaginary asm typeof true false bool
"""
OWN = """
    cache cholesky corner cube determinant dots eliminate fourth gemm grads inverse log_determinant
    idx larger log_sigmoid memcpy params product ptrdiff_t real side sigmoid sign size_t smaller
    softplus square state turn isfinite INFINITY NAN NULL HUGE_VAL HUGE_VALF HUGE_VALL EOF R B SIMD
    PARALLEL PRAGMA PARAMETERS LANES TILE ROWS SIZED BLAS COUNT BATCH main linux unix
"""
MATH = {
    *("exp", "log", "log1p", "expm1", "sqrt", "floor", "sinh", "cosh", "tanh"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "erf", "erfc", "pow", "fabs"),
}
VECTORS = MATH - {"floor", "sqrt", "fabs"}  # what libmvec has for several numbers at once
NEEDS = {  # which functions a helper calls
    "sigmoid": ("exp", "fabs"),
    "softplus": ("larger", "log1p", "exp", "fabs"),
    "log_sigmoid": ("smaller", "log1p", "exp", "fabs"),
    "gemm": ("product",),
    "eliminate": ("fabs",),
    "inverse": ("eliminate",),
    "determinant": ("eliminate",),
    "log_determinant": ("eliminate", "log"),
    "cholesky": ("sqrt",),
}
HELPERS = (  # in the order they need each other
    *("larger", "smaller", "sign", "square", "cube", "fourth"),
    *("sigmoid", "softplus", "log_sigmoid", "turn", "product", "dots", "gemm"),
    *("eliminate", "inverse", "determinant", "log_determinant", "cholesky"),
)
RESERVED = frozenset([*KEYWORDS.split(), *OWN.split(), *MATH, *(f"{name}f" for name in MATH)])
GAINS = {"sum": "+=", "prod": "*="}
STARTS = {"sum": 0, "prod": 1, "max": -inf, "min": inf}


@dataclass(frozen=True, slots=True)
class Scope:
    """What printing needs to know: the arrays, and what may not be the name of anything else."""

    arrays: Mapping[str, Tensor]
    sizes: frozenset[str]
    owners: Mapping[str, str] = field(default_factory=dict)  # arrays in the memory of others
    own: frozenset[str] = frozenset()  # arrays that each round of a loop has to itself
    exact: bool = False  # numbers in double whatever `real` is: an optimiser's and a schedule's
    alone: bool = False  # without threads: what a round has to itself is static

    def name(self, name: str) -> str:
        """Return a name that C leaves free."""
        return f"{name}_" if name in RESERVED else name

    def counter(self, letter: str) -> str:
        """Return the variable that counts along a letter."""
        plain = re.sub(r"\W", "_", letter)
        plain = f"at{plain}" if plain.startswith("_") else plain
        taken = plain in self.arrays or plain in self.sizes or plain in RESERVED
        return f"{plain}_" if taken or plain == "n" else plain

    @property
    def real(self) -> str:
        """Return the type of a number."""
        return "double" if self.exact else "real"

    def called(self, function: str) -> str:
        """Return a function of the C library, of the type that the numbers have."""
        return function if self.exact else f"R({function})"


@dataclass(frozen=True, slots=True)
class Value(Code):
    """A printed value; `whole`: of an integer type, which must not be divided as such."""

    whole: bool = False


# ---------------------------------------------------------------- numbers


def value(expr: Expr, scope: Scope) -> Value:
    """Return one number of an expression, inside of all its loops."""
    match expr:
        case Number(number):
            return literal(number, scope)
        case Size(dim):
            return Value(scope.name(dim), Level.ATOM, whole=True)
        case Position(axis):
            return Value(scope.counter(axis), Level.ATOM, whole=True)
        case Read() | Split() | Slice():
            tensor = scope.arrays.get(expr.name)
            whole = tensor is not None and tensor.classes is not None
            return Value(element(expr, scope), Level.ATOM, whole=whole)
        case Lookup():
            return looked_up(expr, scope)
        case Apply(name, args):
            return function(name, tuple(value(arg, scope) for arg in args), scope)
    raise ValueError(f"no number: {expr}")


def literal(number: float, scope: Scope) -> Value:
    """Return a number's text: whole ones as they are, others of the type `real`."""
    if not isfinite(number):
        text = {"nan": "NAN", "inf": "INFINITY", "-inf": "-INFINITY"}[str(float(number))]
        return Value(text, Level.SIGN)
    if number == int(number) and abs(number) < 1 << 31:
        return Value(str(int(number)), Level.SIGN if number < 0 else Level.ATOM, whole=True)
    text = repr(float(number))
    return Value(text if scope.exact else f"({scope.real}){text}", Level.SIGN)


def real(code: Value, scope: Scope) -> Value:
    """Return a whole number as a real one."""
    if not code.whole:
        return code
    return Value(f"({scope.real}){code.at(Level.SIGN)}", Level.SIGN)


def made(code: Code, *args: Value) -> Value:
    """Return an operator's result: whole if all that it was made from is."""
    return Value(code.text, code.level, whole=all(arg.whole for arg in args))


def function(name: str, args: tuple[Value, ...], scope: Scope) -> Value:
    """Return an elementwise function of numbers."""
    match name:
        case "add" if len(args) == 2 and args[0].text.startswith("-") and args[1].text[0] != "-":
            return made(printing.add(args[1], args[0]), *args)  # b - a rather than -a + b
        case "add":
            return made(summed(args), *args)
        case "subtract":
            return made(printing.add(args[0], args[1], "-"), *args)
        case "multiply":
            return made(multiplied(args), *args)
        case "divide":
            top = real(args[0], scope) if args[0].whole and args[1].whole else args[0]
            return Value(*fields(printing.divide(top, args[1])))
        case "negative":
            return made(printing.negate(args[0]), *args)
        case "power":
            return powered(args[0], args[1], scope)
        case "where":
            return chosen(*args)
        case "relu":
            test = f"{args[0].at(Level.BIT_OR)} <= 0 ? 0 : {args[0].text}"  # NaN stays NaN
            return Value(test, Level.CHOICE)
        case "abs":
            return called("fabs", args, scope)
        case "and" | "or":
            sign = {"and": " && ", "or": " || "}[name]
            return Value(sign.join(f"({arg.text})" for arg in args), Level.OR, whole=True)
        case "not":
            return Value(f"!({args[0].text})", Level.SIGN, whole=True)
        case "maximum" | "minimum":
            return Value(
                *fields(printing.call({"maximum": "larger", "minimum": "smaller"}[name], args))
            )
    if name in COMPARISONS:
        return Value(*fields(printing.compare(name, args[0], args[1])), whole=True)
    return called(name, args, scope)


def summed(args: Sequence[Code]) -> Code:
    return reduce(printing.add, args)


def multiplied(args: Sequence[Code]) -> Code:
    return reduce(printing.multiply, args)


def fields(code: Code) -> tuple[str, Level]:
    return code.text, code.level


def called(name: str, args: Sequence[Value], scope: Scope) -> Value:
    """Return a call: of the C library's function for the type, or of a helper."""
    shown = scope.called(name) if name in MATH else name
    return Value(*fields(printing.call(shown, args)))


def chosen(condition: Value, yes: Value, no: Value) -> Value:
    """Return condition ? yes : no."""
    if yes.text == no.text:
        return yes
    test = condition.at(Level.COMPARE)
    text = f"{test} ? {yes.at(Level.OR)} : {no.at(Level.OR)}"
    return Value(text, Level.CHOICE, whole=yes.whole and no.whole)


def powered(base: Value, exponent: Value, scope: Scope) -> Value:
    """Return base to the power; small whole powers are products."""
    match exponent.text.removeprefix("(real)"):
        case "1":
            return base
        case "2" | "3" | "4" as times if re.fullmatch(r"\w+", base.text) and not base.whole:
            return Value(" * ".join([base.text] * int(times)), Level.PRODUCT)
        case "2" | "3" | "4" as times if not scope.exact:
            word = {"2": "square", "3": "cube", "4": "fourth"}[times]
            return called(word, (base,), scope)
        case "0.5":
            return called("sqrt", (base,), scope)
        case "-0.5":
            one, root = Value("1", Level.ATOM), called("sqrt", (base,), scope)
            return Value(*fields(printing.divide(one, root)))
        case "-1" | "-2" | "-3" | "-4" as text:
            below = powered(base, Value(text[1:], Level.ATOM, whole=True), scope)
            one = Value(f"({scope.real})1" if below.whole else "1", Level.SIGN)
            return Value(*fields(printing.divide(one, below)))
    return called("pow", (base, exponent), scope)


def looked_up(expr: Lookup, scope: Scope) -> Value:
    """Return an element at computed places, zero outside of the array."""
    tests = bounds(expr, scope)
    place = element(expr, scope)
    if not tests:
        return Value(place, Level.ATOM)
    return Value(f"{tests} ? {place} : 0", Level.CHOICE)


def bounds(expr: Lookup, scope: Scope) -> str:
    """Return the test that computed places are inside of the array; "" where they always are."""
    ranges = dict(expr.sizes)
    tests: list[str] = []
    for place, dim in zip(expr.places, scope.arrays[expr.name].shape, strict=True):
        if isinstance(place, Read):  # a label that is left out is no place
            label = scope.arrays.get(place.name)
            if label is not None and label.ignored is not None:
                text = element(place, scope)
                tests += [f"{text} >= 0", f"{text} < {dim}"]
            continue
        if not isinstance(dim, int):
            continue
        lowest, highest = place.reach(ranges)
        text = printing.index(place, scope.counter)
        if lowest < 0:
            tests.append(f"{text} >= 0")
        if highest >= dim:
            tests.append(f"{text} < {dim}")
    return " && ".join(tests)


def place_text(place: Affine | Read, scope: Scope) -> str:
    """Return a computed index."""
    if isinstance(place, Affine):
        return printing.index(place, scope.counter)
    text = element(place, scope)
    tensor = scope.arrays.get(place.name)
    return text if tensor is not None and tensor.classes is not None else f"(idx){text}"


def element(access: Access, scope: Scope) -> str:
    """Return one number of an array by its indices; what is no array is a local number."""
    name = scope.name(access.name)
    tensor = scope.arrays.get(access.name)
    if tensor is None:
        return name
    places: list[str]
    match access:
        case Split(groups=groups, sizes=dims):
            ranges = dict(dims)
            places = [flat([(scope.counter(a), ranges[a]) for a in group]) for group in groups]
        case Slice(axes=axes, ranges=parts):
            starts = [part[0] if part else 0 for part in parts]
            places = [
                scope.counter(axis) + (f" + {start}" if start else "")
                for axis, start in zip(axes, starts, strict=True)
            ]
        case Lookup(places=computed):
            places = [place_text(place, scope) for place in computed]
        case Read(axes=axes):
            places = [scope.counter(axis) for axis in axes]
    return name + indexed(places, tensor.shape)


def indexed(places: Sequence[str], shape: tuple[Dim, ...]) -> str:
    """Return indices in brackets: one each where all but the first size are known, else a sum."""
    if not shape:
        return "[0]"
    if all(isinstance(dim, int) for dim in shape[1:]):
        return "".join(f"[{place}]" for place in places)
    return f"[{flat(list(zip(places, shape, strict=True)))}]"


def flat(places: Sequence[tuple[str, Dim]]) -> str:
    """Return where an element stands, row by row: i*3 + j."""
    first, *rest = places
    text = first[0]
    for place, dim in rest:
        before = f"({text})" if " " in text else text
        text = f"{before}*{dim} + {place}"
    return text


# ---------------------------------------------------------------- loops


def block(made_of: Nests, scope: Scope, rows: int) -> tuple[str, ...]:
    """Return the lines of a block of loops."""
    found: list[str] = []
    for node in made_of.nodes:
        found += outermost(node, scope, rows)
    return tuple(found)


def outermost(node: Node, scope: Scope, rows: int) -> Iterator[str]:
    """Yield the lines of a nest, on several threads where that is worth it and safe."""
    shapes = {tensor.name: tensor.shape for tensor in scope.arrays.values()}
    loop = node.loop if isinstance(node, Parts) else node
    shared = isinstance(node, Parts) or (
        isinstance(node, Loop) and is_parallel(node, Known(rows, shapes, scope.owners))
    )
    if isinstance(loop, Loop) and shared and not scope.alone:
        each = rounds(loop, rows) // (loop.size if isinstance(loop.size, int) else rows)
        yield f"PARALLEL({scope.name(str(loop.size))} * {each} >= {THREADS})"
    yield from printed(node, scope, "")


def printed(node: Node, scope: Scope, margin: str) -> Iterator[str]:
    """Yield a node's lines."""
    match node:
        case Loop(body=(Loop(body=(Put(because=because),)),)) if call := turned(node, scope):
            yield from told(call, because, margin)
        case Loop(letter, size, body):
            if pragma := vectorised(node, scope):
                yield margin + pragma
            at, end = scope.counter(letter), scope.name(str(size))
            upwards = f"idx {at} = 0; {at} < {end}; {at}++"
            downwards = f"idx {at} = {end} - 1; {at} >= 0; {at}--"
            yield f"{margin}for ({downwards if node.serial < 0 else upwards}) {{"
            for part in body:
                yield from printed(part, scope, margin + "    ")
            yield f"{margin}}}"
        case Parts():
            yield from in_parts(node, scope, margin)
        case Own(tensor):
            name, dims = scope.name(tensor.name), "".join(f"[{dim}]" for dim in tensor.shape)
            yield f"{margin}{'static ' if scope.alone else ''}real {name}{dims};"
        case Start():
            yield from started(node, scope, margin)
        case Put(target, expr, because):
            yield from told(put(target, expr, scope), because, margin)
        case Gain(function_name, target, expr, because):
            yield from told(gain(function_name, target, expr, scope), because, margin)
        case Best(function_name, place, best, letter, expr, _):
            sign, found = ">" if function_name == "argmax" else "<", value(expr, scope)
            better, more = f"{found.at(Level.COMPARE)} {sign} {best}", found.at(Level.OR)
            yield f"{margin}{place} = {better} ? {scope.counter(letter)} : {place};"
            yield f"{margin}{best} = {better} ? {more} : {best};"
        case Product():
            yield from told(product(node, scope), node.because, margin)
        case Call():
            yield from told(of_matrix(node, scope), node.because, margin)


def told(code: str, because: str, margin: str) -> Iterator[str]:
    """Yield a statement with its formula: beside it, or above where that would be too wide."""
    beside = f"{margin}{code}  // {because}"
    if because and len(beside) > WIDTH:
        for row in textwrap.wrap(because, WIDTH - len(margin) - 3, break_long_words=False):
            yield f"{margin}// {row}"
    if because and len(beside) <= WIDTH:
        yield beside
    else:
        yield from wrapped(margin + code)


def wrapped(line: str) -> list[str]:
    """Return a line of code as several where it is too wide; C doesn't mind."""
    margin = line[: len(line) - len(line.lstrip())]
    if len(line) <= WIDTH:
        return [line]
    return textwrap.wrap(
        line.strip(),
        WIDTH,
        initial_indent=margin,
        subsequent_indent=margin + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def put(target: Access, expr: Expr, scope: Scope) -> str:
    """Return an assignment; a local number is made by it."""
    place = element(target, scope)
    if isinstance(expr, Apply) and len(expr.args) == 2 and expr.args[0] == target:
        sign = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}.get(expr.function)
        if sign:
            return f"{place} {sign}= {value(expr.args[1], scope).text};"
    kind = "" if target.name in scope.arrays else f"const {scope.real} "
    return f"{kind}{place} = {value(expr, scope).text};"


def gain(function_name: str, target: Access, expr: Expr, scope: Scope) -> str:
    """Return how a sum, a product, a maximum or a minimum takes in one more value."""
    place, more = element(target, scope), value(expr, scope)
    if isinstance(target, Lookup) and (tests := bounds(target, scope)):
        return f"if ({tests}) {place} {GAINS[function_name]} {more.text};"
    if function_name in GAINS:
        return f"{place} {GAINS[function_name]} {more.text};"
    word = {"max": "larger", "min": "smaller"}[function_name]
    return f"{place} = {word}({place}, {more.text});"


def in_parts(node: Parts, scope: Scope, margin: str) -> Iterator[str]:
    """Yield a loop over the parts of a batch, each with its own sums."""
    loop, part = node.loop, scope.counter("part")
    at, size = scope.counter(loop.letter), scope.name(str(loop.size))
    yield f"{margin}for (idx {part} = 0; {part} < {PARTS}; {part}++) {{"
    for _, tensor in node.sums:
        axes = tuple(f"p'{k}" for k in range(1, len(tensor.shape)))
        zero: Node = Put(Read(tensor.name, ("part", *axes)), Number(0))
        for letter, dim in reversed(list(zip(axes, tensor.shape[1:], strict=True))):
            zero = Loop(letter, dim, (zero,))
        yield from printed(zero, scope, margin + "    ")
    ends = f"{size} * {part} / {PARTS}", f"{size} * ({part} + 1) / {PARTS}"
    yield f"{margin}    for (idx {at} = {ends[0]}; {at} < {ends[1]}; {at}++) {{"
    for inner in loop.body:
        yield from printed(inner, scope, margin + "        ")
    yield f"{margin}    }}"
    yield f"{margin}}}"


def started(node: Start, scope: Scope, margin: str) -> Iterator[str]:
    """Yield the lines that set what will gain to its start."""
    name = scope.name(node.target.name)
    if node.function.startswith("arg"):
        yield f"{margin}idx {name} = 0;"
    elif node.target.name not in scope.arrays:
        kind = scope.real if margin else "double"  # a sum over all examples keeps its digits
        yield f"{margin}{kind} {name} = {literal(STARTS[node.function], scope).text};"
    else:
        zero = Put(node.target, Number(STARTS[node.function]))
        nest: Node = zero
        for letter, dim in reversed(list(zip(node.target.axes, node.size, strict=True))):
            nest = Loop(letter, dim, (nest,))
        yield from printed(nest, scope, margin)


def vectorised(loop: Loop, scope: Scope) -> str:
    """Return the directive of an innermost loop whose rounds can run side by side."""
    if loop.serial:
        return ""
    sums: list[str] = []
    for node in loop.body:
        match node:
            case Put(target=target) if not target.axes and target.name not in scope.arrays:
                continue  # a local number of the round's own
            case Put(target=target) if loop.letter in target.axes:
                continue
            case Gain(function="sum", target=target) if runs_along(target, loop.letter):
                continue
            case Gain(function="sum", target=target) if target.name not in scope.arrays:
                sums.append(scope.name(target.name))
            case _:
                return ""
    return f"SIMD(reduction(+:{', '.join(sums)}))" if sums else "SIMD()"


def turned(node: Loop, scope: Scope) -> str:
    """Return the call that copies a matrix with its axes turned, if that is all a nest does."""
    match node:
        case Loop(
            row,
            int() as rows,
            (Loop(column, int() as columns, (Put(Read() as into, Read() as of),)),),
        ) if into.axes[-2:] == (row, column) and of.axes[-2:] == (column, row):
            if {into.name, of.name} <= scope.arrays.keys() and min(rows, columns) > 1:
                starts = (
                    start(access, {row, column}, scope)
                    + f", {stride(access, access.axes[-2:-1], scope)}"
                    for access in (of, into)
                )
                return f"turn({rows}, {columns}, {', '.join(starts)});"
    return ""


def runs_along(target: Access, letter: str) -> bool:
    """Tell whether each round of a letter's loop writes a place of its own."""
    if not isinstance(target, Lookup):
        return letter in target.axes
    return any(isinstance(place, Affine) and letter in place.axes for place in target.places)


# ---------------------------------------------------------------- products of matrices


def product(node: Product, scope: Scope) -> str:
    """Return the call that computes a product of matrices."""
    dims = dict(node.sizes)
    target, left, right = node.target, node.left, node.right
    counts = [times([dims[a] for a in group]) for group in (node.rows, node.columns, node.over)]
    steps = [
        pointer(left, node, scope),
        stride(left, node.rows, scope),
        stride(left, node.over, scope),
        pointer(right, node, scope),
        stride(right, node.over, scope),
    ]
    along = not node.blas and right.axes[-1] in node.over  # both matrices run along their rows
    if along:
        steps = [pointer(left, node, scope), stride(left, node.rows, scope)]
        steps += [pointer(right, node, scope), stride(right, node.columns, scope)]
    if node.blas:
        steps.append(stride(right, node.columns, scope))
    ends = [pointer(target, node, scope), stride(target, node.rows, scope)]
    word = "gemm" if node.blas else "dots" if along else "product"
    more = ["1" if node.more else "0"]
    return f"{word}({', '.join([*counts, *steps, *ends, *more])});"


def of_matrix(node: Call, scope: Scope) -> str:
    """Return the call of a function of a matrix; what isn't a matrix itself is returned by it."""
    own = set(node.operand.axes[-2:])
    given = f"{node.size}, {start(node.operand, own, scope)}"
    work = f"&{scope.name(node.work.name)}[0][0]"
    called = printing.MATRICES[node.function]
    if node.function in {"inv", "cholesky"}:
        return f"{called}({given}, {start(node.target, own, scope)}, {work});"
    return f"{element(node.target, scope)} = {called}({given}, {work});"


def times(dims: Sequence[Dim]) -> str:
    """Return the product of sizes."""
    known = prod(dim for dim in dims if isinstance(dim, int))
    others = [str(dim) for dim in dims if isinstance(dim, str)]
    return " * ".join([*others, *([str(known)] if known != 1 or not others else [])])


def pointer(access: Strided, node: Product, scope: Scope) -> str:
    """Return where a matrix begins: at the letters bound around it, and at 0 of its own."""
    return start(access, {*node.rows, *node.over, *node.columns}, scope)


def start(access: Strided, own: set[str], scope: Scope) -> str:
    """Return where the part of an array begins that some letters run over."""
    tensor = scope.arrays[access.name]
    name = scope.name(access.name)
    groups = access.groups if isinstance(access, Split) else tuple((a,) for a in access.axes)
    dims = dict(zip(access.axes, seen(access, scope), strict=True))
    places = [
        "0"
        if own.issuperset(group)
        else flat([("0" if axis in own else scope.counter(axis), dims[axis]) for axis in group])
        for group in groups
    ]
    if len(places) == 1 and places[0] == "0":
        return name
    return f"&{name}{indexed(places, tensor.shape)}"


def seen(access: Strided, scope: Scope) -> tuple[Dim, ...]:
    """Return the sizes of an array along each letter, with its joined axes taken apart."""
    if isinstance(access, Split):
        return tuple(dict(access.sizes)[axis] for axis in access.axes)
    return scope.arrays[access.name].shape


def stride(access: Strided, letters: tuple[str, ...], scope: Scope) -> str:
    """Return how far apart two neighbours along the letters, the last of them, stand."""
    shape = seen(access, scope)
    return times(shape[access.axes.index(letters[-1]) + 1 :]) if letters else "0"


# ---------------------------------------------------------------- a program


def runs() -> bool:
    """Tell whether there are cffi and a C compiler."""
    chosen = shlex.split(os.environ.get("CC", ""))[:1] or ["cc", "gcc", "clang"]
    return find_spec("cffi") is not None and any(map(shutil.which, chosen))


def native(program: Program) -> Native:
    """Return the parts of a program's C; large products are left to a BLAS.

    Raises UserError where the output doesn't begin with the examples.
    """
    shape = program.tensor(program.output).shape
    if not isinstance(shape[0] if shape else None, str):
        message = f"the output {program.output} has the shape ({', '.join(map(str, shape))})"
        hint = "C's outputs begin with the examples: write the last formula as y[n, k] = …"
        raise UserError(Mistake(message, hint=hint))
    made_of, held, scope = looped(program, blas=True)
    return parts(program, made_of, held, scope, scheduled(program, "step"))


def standalone(program: Program) -> tuple[Native, Alone]:
    """Return the parts of a plain C library: no BLAS, nothing that a compiler must know."""
    made_of, held, scope = looped(program, blas=False)
    scope = replace(scope, alone=True)
    made_parts = parts(program, made_of, held, scope, scheduled(program, "step", "epoch"))
    states = [*program.update.states, *(program.schedule.states if program.schedule else ())]
    known = [*(t.name for t in program.tensors), *(t.name for t in held), *(s.name for s in states)]
    around = alone(program, held, {name: scope.name(name) for name in known})
    return replace(made_parts, vectors=()), around


def looped(program: Program, *, blas: bool) -> tuple[tuple[Nests, ...], tuple[Tensor, ...], Scope]:
    """Return the loops of the passes, the arrays that they need, and what printing them needs."""
    sizes_known = printing.run_time_sizes(program)
    rows = program.training.batch_size or ROWS
    taken = {*(tensor.name for tensor in program.tensors), *sizes_known, *RESERVED}
    owners = reshaped(program)
    blocks: list[Nests] = []
    for statements in (program.forward, program.loss, program.backward, program.renewal):
        own = tuple(s for s in statements if s.target.name not in owners)
        blocks.append(nests(own, program, taken, rows=rows, blas=blas, owners=owners))
        taken |= {tensor.name for tensor in (*blocks[-1].scratch, *blocks[-1].own)}
    scratch = tuple(tensor for made_of in blocks for tensor in made_of.scratch)
    near = tuple(tensor for made_of in blocks for tensor in made_of.own)
    arrays = {t.name: t for t in (*program.tensors, *scratch, *near)}
    scope = Scope(arrays, sizes_known, owners, frozenset(t.name for t in near))
    return tuple(blocks), fields_of(program, scope, blocks), scope


def reshaped(program: Program) -> dict[str, str]:
    """Return the arrays that are others seen with axes joined or taken apart, and those."""
    kept = {t.name for t in program.with_role(Role.VALUE, Role.ADJOINT)}
    fixed = {program.output, program.objective, *(name for _, name in program.gradients)}
    owners: dict[str, str] = {}
    for statement in (*program.forward, *program.loss, *program.backward):
        target, value = statement.target, statement.value
        if not isinstance(value, Strided) or value.axes != target.axes:
            continue
        if not (isinstance(target, Split) or isinstance(value, Split)):
            continue
        if target.name in kept - fixed and value.name in kept - fixed and not statement.loop:
            owners[target.name] = owners.get(value.name, value.name)
    return owners


def parts(
    program: Program,
    blocks: Sequence[Nests],
    held: Sequence[Tensor],
    scope: Scope,
    setting: tuple[str, ...],
) -> Native:
    """Return the lines of everything; `setting`: those of the schedule."""
    rows = program.training.batch_size or ROWS
    forward, objective, backward, renewal = (
        body(made_of, program, scope, rows, vectors)
        for made_of, vectors in zip(blocks, VECTORS_OF, strict=True)
    )
    rule = updated(program)
    text = (*forward, *objective, *backward, *renewal, *rule.elements)
    words, numbers = used(text), used((*rule.step, *setting))
    learned = {key for key, _ in program.gradients}
    parameters = ordered_parameters(program)
    count = sum(prod(map(int, t.shape)) for t in parameters if t.key in learned)
    output = program.tensor(program.output)
    return Native(
        cache=tuple(field_of(tensor, scope) for tensor in held),
        state=rule.fields,
        functions=tuple(name for name in HELPERS if name in words | numbers),
        vectors=tuple(sorted(words & VECTORS)),
        constants=constants(program, (*text, *rule.step, *setting)),
        weights=tuple(
            row
            for tensor in program.with_role(Role.CONSTANT)
            for row in wrapped(constant(tensor, scope))
        ),
        forward=forward,
        objective=objective,
        total=total(program, scope),
        backward=backward,
        renewal=renewal if program.renewal else (),
        schedule=setting,
        step=rule.step,
        loads=rule.loads,
        elements=rule.elements,
        stores=rule.stores,
        after=rule.after,
        gather=gathered(program, scope),
        arrays=(
            *(line for tensor in held if tensor.role not in GIVEN for line in kept(tensor, scope)),
            *(seen_again(scope.arrays[name], owner) for name, owner in scope.owners.items()),
        ),
        inputs=tuple(given(t, scope) for t in program.with_role(Role.INPUT)),
        targets=tuple(given(t, scope) for t in program.with_role(Role.TARGET)),
        shapes=tuple(f'"{t.key}": {shape_text(t)},' for t in parameters),
        whole=tuple(given(t, scope, "whole") for t in program.with_role(*GIVEN)),
        rows=tuple(batch_rows(t, scope) for t in program.with_role(*GIVEN)),
        rest=tuple(
            f"self.{t.name}[...] = {printing.number(t.draw.rest)}"
            for t in program.with_role(Role.RANDOM)
            if t.draw
        ),
        masks=tuple(line for t in program.with_role(Role.RANDOM) for line in mask(t, program)),
        beyond=tuple(
            f'"{key}": cache.{name}'
            for key, name in program.gradients
            if not is_parameter(key, program)
        ),
        remembers=rule.remembers,
        starts=starts(program),
        output=scope.name(output.name),
        width=str(prod(map(int, output.shape[1:]))),
        count=str(count),
        parallel="parallel" if count >= THREADS else "",
        blas="blas" if "gemm" in words else "",
    )


GIVEN = (Role.INPUT, Role.TARGET)


def given(tensor: Tensor, scope: Scope, holder: str = "cache") -> str:
    """Return the line that lets the C read an input or a target."""
    kind = "np.intp" if tensor.classes is not None else f"{holder}.dtype"
    array = f"np.ascontiguousarray({tensor.name}, {kind})"
    call = f'{holder}.give("{scope.name(tensor.name)}", {array})'
    return f"cache.{tensor.name} = {call}" if holder == "cache" else call


def batch_rows(tensor: Tensor, scope: Scope) -> str:
    """Return the line that makes the array which a batch's rows are copied to."""
    kind = ", np.intp" if tensor.classes is not None else ""
    shape = shape_text(replace(tensor, shape=("count", *tensor.shape[1:])))
    name = tensor.name
    return f'cache.{name} = cache.made("{scope.name(name)}", {shape}{kind})'


def mask(tensor: Tensor, program: Program) -> tuple[str, ...]:
    """Return the lines that draw a random array; the generator writes where it can."""
    name, draw = f"self.{tensor.name}", tensor.draw
    if draw is None or draw.kind != "keep":
        sized = tuple("self.n" if isinstance(dim, str) else dim for dim in tensor.shape)
        return (f"{name}[...] = {initial(replace(tensor, shape=sized), program)}",)
    keep = printing.number(draw.arguments[0])
    return (
        f"rng.random(out=self.{tensor.name}_drawn)",
        f"np.less(self.{tensor.name}_drawn, {keep}, out={name})",
        f"{name} /= {keep}",
    )


def kept(tensor: Tensor, scope: Scope) -> tuple[str, ...]:
    """Return the lines that make an array of the cache, and what a mask is drawn in."""
    name = tensor.name
    sized = replace(tensor, shape=tuple("n" if isinstance(d, str) else d for d in tensor.shape))
    made_line = f'self.{name} = self.made("{scope.name(name)}", {shape_text(sized)})'
    if tensor.role is Role.RANDOM and tensor.draw and tensor.draw.kind == "keep":
        return made_line, f"self.{name}_drawn = np.empty({shape_text(sized)})"
    return (made_line,)


def seen_again(tensor: Tensor, owner: str) -> str:
    """Return the line that names an array which is another seen with other axes."""
    shape = shape_text(replace(tensor, shape=("n", *tensor.shape[1:])))
    return f"self.{tensor.name} = self.{owner}.reshape({shape})"


def starts(program: Program) -> tuple[str, ...]:
    """Return the lines that set a state to its start."""
    scope = Scope({}, frozenset())
    update, schedule = program.update, program.schedule
    once = {statement.target.name for statement in update.scalars}
    has_rate = any(constant.name == "lr" for constant in update.constants)
    found = ["self.lr = LR"] if has_rate else []
    found += ["self.metric = math.inf"] if schedule else []
    for state in update.states:
        name = scope.name(state.name)
        if state.name in once:
            found.append(f"self.{name} = {state.start!r}")
        else:
            filled = "np.zeros_like(w)" if state.start == 0 else f"np.full_like(w, {state.start!r})"
            found.append(f'self.array("{state.name}", "{name}", {filled})')
    for state in schedule.states if schedule else ():
        found.append(f"self.{scope.name(state.name)} = {state.start!r}")
    return tuple(found)


def used(text: Iterable[str]) -> frozenset[str]:
    """Return the functions that lines call, and those that these call."""
    waiting = [word for word in words_of(text) if word in {*HELPERS, *MATH}]
    found: set[str] = set()
    while waiting:
        word = waiting.pop()
        found.add(word)
        waiting += [need for need in NEEDS.get(word, ()) if need not in found]
    return frozenset(found)


def words_of(text: Iterable[str]) -> frozenset[str]:
    """Return the words of lines of code, without the formulas."""
    return frozenset(word for line in text for word in re.findall(r"\w+", line.partition("//")[0]))


def fields_of(program: Program, scope: Scope, blocks: Sequence[Nests]) -> tuple[Tensor, ...]:
    """Return the arrays that a pass reads and writes, but for parameters and their gradients."""
    gradients = {name for key, name in program.gradients if is_parameter(key, program)}
    named = {
        access.name
        for made_of in blocks
        for node in made_of.nodes
        for inner in inside(node)
        for access in (*reads_of(inner), *writes_of(inner))
    }
    names = named | {scope.owners[name] for name in named & scope.owners.keys()}
    return tuple(
        tensor
        for tensor in scope.arrays.values()
        if tensor.role not in {Role.PARAMETER, Role.STATE, Role.CONSTANT}
        and tensor.name not in gradients
        and tensor.name not in scope.own
        and tensor.name not in scope.owners
        and (tensor.name in names or tensor.role in {*GIVEN, Role.RANDOM})
    )


def is_parameter(key: str, program: Program) -> bool:
    return any(tensor.key == key for tensor in program.with_role(Role.PARAMETER))


def field_of(tensor: Tensor, scope: Scope) -> str:
    """Return an array's field of the struct cache."""
    return f"{declared(tensor, scope, const=tensor.role in GIVEN)};  // {shape_text(tensor)}"


def declared(tensor: Tensor, scope: Scope, *, const: bool = False, restrict: bool = False) -> str:
    """Return the declaration of a pointer to an array's rows: real (*z1)[16]."""
    kind = "idx" if tensor.classes is not None else "real"
    name = f"*{'restrict ' if restrict else ''}{scope.name(tensor.name)}"
    return f"{'const ' if const else ''}{kind} {rows_of(name, tensor.shape)}"


def rows_of(name: str, shape: tuple[Dim, ...]) -> str:
    """Return a pointer's declarator: a number's, or an array's of all axes but the first."""
    known = len(shape) > 1 and all(isinstance(dim, int) for dim in shape[1:])
    return f"({name})" + "".join(f"[{dim}]" for dim in shape[1:]) if known else name


VECTORS_OF = (("params",), ("params",), ("params", "grads"), ())


def body(
    made_of: Nests, program: Program, scope: Scope, rows: int, vectors: Sequence[str]
) -> tuple[str, ...]:
    """Return the lines of a function: what it reads and writes is named, then its loops."""
    text = block(made_of, scope, rows)
    nodes = [inner for node in made_of.nodes for inner in inside(node)]
    names = dict.fromkeys(a.name for node in nodes for a in (*reads_of(node), *writes_of(node)))
    words = words_of(text)
    sized = [f"const idx {scope.name(d)} = cache->n;" for d in sorted(scope.sizes) if d in words]
    named = [scope.arrays[name] for name in names if name in scope.arrays.keys() - scope.own]
    written = {access.name for node in nodes for access in writes_of(node)}
    views = [
        viewed(tensor, program, scope, written) for tensor in named if tensor.role != Role.CONSTANT
    ]
    unused = [f"(void){name};" for name in vectors if name not in words_of(views)]
    return (*sized, *(row for line in views for row in wrapped(line)), *unused, *text)


def viewed(
    tensor: Tensor, program: Program, scope: Scope, written: Container[str] = frozenset()
) -> str:
    """Return the line that names an array of the cache, or of the vector of all parameters."""
    offsets = places(program)
    gradients = {name: key for key, name in program.gradients if is_parameter(key, program)}
    kept = tensor.role in {Role.PARAMETER, Role.STATE}
    const = tensor.role in GIVEN or (kept and tensor.name not in written)
    owner = scope.owners.get(tensor.name, tensor.name)
    alone = owner == tensor.name and owner not in scope.owners.values()
    left = declared(tensor, scope, const=const, restrict=alone)
    if owner != tensor.name:
        kind = "idx" if tensor.classes is not None else "real"
        return f"{left} = ({kind} {rows_of('*', tensor.shape)})cache->{scope.name(owner)};"
    if kept:
        vector, start = "params", offsets[tensor.key]
    elif tensor.name in gradients:
        vector, start = "grads", offsets[gradients[tensor.name]]
    else:
        return f"{left} = cache->{scope.name(tensor.name)};"
    place = f"{vector} + {start}" if start else vector
    pointer_type = rows_of("*", tensor.shape)
    if pointer_type == "*":
        return f"{left} = {place};"
    cast = f"({'const ' if const else ''}real {pointer_type})"
    return f"{left} = {cast}({place});" if start else f"{left} = {cast}{place};"


def ordered_parameters(program: Program) -> tuple[Tensor, ...]:
    """Return the parameters as the vector holds them, those without a gradient last."""
    learned = {key for key, _ in program.gradients}
    parameters = program.with_role(Role.PARAMETER, Role.STATE)
    return tuple(sorted(parameters, key=lambda tensor: tensor.key not in learned))


def places(program: Program) -> dict[str, int]:
    """Return where each parameter begins in the vector of all of them."""
    found: dict[str, int] = {}
    start = 0
    for tensor in ordered_parameters(program):
        found[tensor.key] = start
        start += prod(map(int, tensor.shape))
    return found


def shape_text(tensor: Tensor) -> str:
    """Return (n, 64)."""
    dims = ", ".join(map(str, tensor.shape))
    return f"({dims},)" if len(tensor.shape) == 1 else f"({dims})"


def constant(tensor: Tensor, scope: Scope) -> str:
    """Return the definition of an array of the spec's numbers."""
    draw = tensor.draw
    if draw is None:
        raise ValueError(f"{tensor.name} has no values of its own")
    dims = "".join(f"[{dim}]" for dim in tensor.shape) or "[1]"
    filled: Any = draw.values
    if draw.kind == "constant":
        filled = draw.arguments[0]
        for dim in reversed(tensor.shape):
            filled = (filled,) * int(dim)
    return f"static const real {scope.name(tensor.name)}{dims} = {braced(filled)};"


def braced(nested: object) -> str:
    """Return nested tuples of numbers in braces."""
    if isinstance(nested, tuple):
        return f"{{{', '.join(braced(item) for item in nested)}}}"
    return repr(float(str(nested)))


def total(program: Program, scope: Scope) -> tuple[str, ...]:
    """Return the lines that end by returning the loss, or the sum of one that isn't reduced."""
    tensor = program.tensor(program.objective)
    name = scope.name(tensor.name)
    if not tensor.shape:
        return (f"return cache->{name}[0];",)
    count = times([f"cache->{dim}" if isinstance(dim, str) else dim for dim in tensor.shape])
    return (
        f"const real *all = (const real *)cache->{name};",
        "double sum = 0;",
        f"for (idx i = 0; i < {count}; i++) {{",
        "    sum += all[i];",
        "}",
        "return sum;",
    )


def gathered(program: Program, scope: Scope) -> tuple[str, ...]:
    """Return the lines that copy row `from` of all inputs and targets to row i of a batch."""
    found: list[str] = []
    for tensor in program.with_role(Role.INPUT, Role.TARGET):
        name = scope.name(tensor.name)
        width = prod(map(int, tensor.shape[1:]))
        kind = "idx" if tensor.classes is not None else "real"
        into, source = f"({kind} *)cache->{name}", f"(const {kind} *)all->{name}"
        step = f"*{width}" if width != 1 else ""
        size = f"{width} * sizeof({kind})" if width != 1 else f"sizeof({kind})"
        found += wrapped(f"memcpy({into} + i{step}, {source} + rows[i]{step}, {size});")
    return tuple(found)


# ---------------------------------------------------------------- optimiser and schedule


@dataclass(frozen=True, slots=True)
class Rule:
    """The optimiser's lines."""

    fields: tuple[str, ...]  # of the struct state
    remembers: tuple[str, ...]  # the same, for Python
    step: tuple[str, ...]  # numbers of the step
    loads: tuple[str, ...]  # of one parameter
    elements: tuple[str, ...]
    stores: tuple[str, ...]
    after: tuple[str, ...]


def updated(program: Program) -> Rule:
    """Return the optimiser's lines: its numbers in double, its elements in `real`."""
    update, schedule = program.update, program.schedule
    exact = Scope({}, frozenset(), exact=True)
    scope = Scope({}, frozenset())
    once = {statement.target.name for statement in update.scalars}
    each = [state.name for state in update.states if state.name not in once]
    single = [state.name for state in update.states if state.name in once]
    planned = [state.name for state in (schedule.states if schedule else ())]
    epochs_c = ("idx epoch;  // epochs done", "double metric;  // the last epoch's loss")
    epochs_python = ("epoch: int  # epochs done", "metric: float  # the last epoch's loss")
    training = program.training
    norm = "‖∂L/∂w‖₂ of the last step"
    if training.clip_norm is not None or training.clip_value is not None:
        norm += ", as it was before clipping"
    read = {n.name for s in (*update.scalars, *update.elements) for n in leaves(s.value)}
    known = [name for name in ("step", "lr", *single) if name in read]
    written = {statement.target.name for statement in update.elements}
    elements = tuple(
        line
        for statement, first in firsts(update.elements, {"w", "g", *each})
        for line in told(assigned(statement, first, scope, exact), statement.because, " " * 8)
    )
    return Rule(
        fields=(
            *(f"real *{scope.name(name)};  // for each parameter" for name in each),
            "double lr;  // the learning rate",
            "idx step;  // steps taken",
            *(f"double {scope.name(name)};" for name in single),
            *(epochs_c if schedule else ()),
            *(f"double {scope.name(name)};" for name in planned),
            f"double norm;  // {norm}",
        ),
        remembers=(
            *(f"{name}: Array  # for each parameter" for name in each),
            "lr: float  # the learning rate",
            "step: int  # steps taken",
            *(f"{name}: float" for name in single),
            *(epochs_python if schedule else ()),
            *(f"{name}: float" for name in planned),
            f"norm: float  # {norm}",
        ),
        step=(
            *(f"double {scope.name(name)} = state->{scope.name(name)};" for name in known),
            *(
                line
                for statement, first in firsts(update.scalars, set(known))
                for line in told(number(statement, first, exact), statement.because, "")
            ),
            *(f"real *restrict {name}_all = state->{scope.name(name)};" for name in each),
        ),
        loads=tuple(f"real {scope.name(name)} = {name}_all[p];" for name in each),
        elements=tuple(line.removeprefix(" " * 8) for line in elements),
        stores=tuple(f"{name}_all[p] = {scope.name(name)};" for name in each if name in written),
        after=tuple(f"state->{scope.name(name)} = {scope.name(name)};" for name in single),
    )


def firsts(statements: Sequence[Statement], known: set[str]) -> Iterator[tuple[Statement, bool]]:
    """Yield statements, and whether each is the first to give its name a value."""
    there = set(known)
    for statement in statements:
        yield statement, statement.target.name not in there
        there.add(statement.target.name)


def number(statement: Statement, first: bool, scope: Scope) -> str:
    """Return the assignment of a number, in double."""
    name = scope.name(statement.target.name)
    return f"{'double ' if first else ''}{name} = {value(statement.value, scope).text};"


def assigned(statement: Statement, first: bool, scope: Scope, exact: Scope) -> str:
    """Return the assignment of a number for each parameter; what none of them changes is cast."""
    name = scope.name(statement.target.name)
    shown = value(rounded(statement.value, exact), scope).text
    return f"{'real ' if first else ''}{name} = {shown};"


def rounded(expr: Expr, exact: Scope) -> Expr:
    """Return an expression whose parts without letters are computed in double, then rounded."""
    if isinstance(expr, Apply) and expr.axes:
        if expr.function == "divide" and not expr.args[1].axes:  # once a step, not for each
            below = Apply("divide", (Number(1), expr.args[1]))
            return Apply("multiply", (rounded(expr.args[0], exact), rounded(below, exact)))
        return Apply(expr.function, tuple(rounded(arg, exact) for arg in expr.args))
    if expr.axes or isinstance(expr, Number):
        return expr
    code = value(expr, exact)
    return Read(f"(real){code.at(Level.ATOM)}", ())


def leaves(expr: Expr) -> Iterator[Read]:
    """Yield every name an expression reads."""
    return (node for node in printing.walk(expr) if isinstance(node, Read))


def scheduled(program: Program, *per: str) -> tuple[str, ...]:
    """Return the lines of a schedule that runs per step or epoch, as wanted."""
    schedule = program.schedule
    if schedule is None or schedule.per not in per:
        return ()
    scope = Scope({}, frozenset(), exact=True)
    states = [state.name for state in schedule.states]
    written = {statement.target.name for statement in schedule.statements}
    read = {leaf.name for s in schedule.statements for leaf in leaves(s.value)}
    names = ("lr", "epoch", "step", "metric", *states)
    known = [name for name in names if name in read or name in states or name == "lr"]
    return (
        *(f"double {scope.name(name)} = state->{scope.name(name)};" for name in known),
        *(
            line
            for statement, first in firsts(schedule.statements, set(known))
            for line in told(number(statement, first, scope), statement.because, "")
        ),
        *(
            f"state->{scope.name(name)} = {scope.name(name)};"
            for name in ("lr", *states)
            if name in written
        ),
    )


def constants(program: Program, text: Sequence[str]) -> tuple[str, ...]:
    """Return the optimiser's and the schedule's numbers that lines name."""
    schedule = program.schedule
    listed = [*program.update.constants, *(schedule.constants if schedule else ())]
    words = words_of(text)
    scope = Scope({}, frozenset(), exact=True)
    found = {
        constant.name.upper(): constant.value
        for constant in listed
        if scope.name(constant.name.upper()) in words
    }
    return tuple(
        f"static const double {scope.name(name)} = {value(Number(number), scope).text};"
        for name, number in found.items()
    )


ABOUT = About(
    "NumPy, cffi and a C compiler",
    ("float64", "float32"),
    like="numpy",
    native=native,
    standalone=standalone,
    runs=runs,
)
