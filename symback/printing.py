"""What the printers of all targets share: precedence, numbers, and formulas beside the code."""

import ast
import builtins
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import reduce
from math import isfinite

from symback import wrapping
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
    Scatter,
    Size,
    Slice,
    Split,
    Stack,
    Statement,
    Tensor,
    merged,
)


class Level(IntEnum):
    """How tightly Python's operators bind, loosest first."""

    CHOICE = 0  # a if c else b
    OR = 1
    AND = 2
    NOT = 3
    COMPARE = 4
    BIT_OR = 5
    BIT_AND = 6
    SUM = 7
    PRODUCT = 8
    SIGN = 9
    POWER = 10
    ATOM = 11


COMPARISONS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}


def number(value: float) -> str:
    """Return the shortest text that reads back as the value; whole numbers as integers."""
    if not isfinite(value):
        return {"nan": "math.nan", "inf": "math.inf", "-inf": "-math.inf"}[str(float(value))]
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return re.sub(r"e([+-])0*", lambda found: "e-" if found[1] == "-" else "e", repr(float(value)))


# ---------------------------------------------------------------- operators


@dataclass(frozen=True, slots=True)
class Code:
    """A printed expression, and how tightly its outermost operator binds."""

    text: str
    level: Level

    def at(self, least: Level) -> str:
        """Return the text, in parentheses where it binds more loosely than its place asks."""
        return self.text if self.level >= least else f"({self.text})"


def add(left: Code, right: Code, sign: str = "+") -> Code:
    """Return left ± right; adding −b is subtracting b."""
    if right.level >= Level.PRODUCT and right.text.startswith("-"):
        term, sign = right.text[1:], "-" if sign == "+" else "+"
    else:
        term = right.at(Level.PRODUCT)
    return Code(f"{left.at(Level.SUM)} {sign} {term}", Level.SUM)


def multiply(left: Code, right: Code) -> Code:
    """Return left · right."""
    if left.text == "-1":
        return negate(right)
    return Code(f"{left.at(Level.PRODUCT)} * {right.at(Level.SIGN)}", Level.PRODUCT)


def divide(left: Code, right: Code) -> Code:
    """Return left / right."""
    return Code(f"{left.at(Level.PRODUCT)} / {right.at(Level.SIGN)}", Level.PRODUCT)


def negate(value: Code) -> Code:
    """Return −value; a product's sign is its first factor's."""
    if value.text.startswith("-") or value.level < Level.PRODUCT:
        return Code(f"-({value.text})", Level.SIGN)
    return Code(f"-{value.text}", min(value.level, Level.SIGN))


def power(base: Code, exponent: Code, *, unrolled: bool) -> Code:
    """Return base ** exponent; small powers of a name may be written as products."""
    if unrolled and exponent.text in {"2", "3", "4"} and base.text.isidentifier():
        return Code(" * ".join([base.text] * int(exponent.text)), Level.PRODUCT)
    if exponent.text == "1":
        return base
    if exponent.text in {"-1", "-2", "-3", "-4"}:
        below = power(base, Code(exponent.text[1:], Level.ATOM), unrolled=unrolled)
        return divide(Code("1", Level.ATOM), below)
    return Code(f"{base.at(Level.ATOM)}**{exponent.at(Level.SIGN)}", Level.POWER)


def compare(name: str, left: Code, right: Code) -> Code:
    """Return a comparison."""
    sides = left.at(Level.BIT_OR), right.at(Level.BIT_OR)
    return Code(f" {COMPARISONS[name]} ".join(sides), Level.COMPARE)


def choose(condition: Code, yes: Code, no: Code) -> Code:
    """Return yes if condition else no; of two that are the same, one."""
    if yes.text == no.text:
        return yes
    text = f"{yes.at(Level.OR)} if {condition.at(Level.OR)} else {no.text}"
    return Code(text, Level.CHOICE)


def logic(name: str, args: Sequence[Code]) -> Code:
    """Return Python's and, or, not."""
    level = {"and": Level.AND, "or": Level.OR, "not": Level.NOT}[name]
    texts = [arg.at(Level(level + 1)) for arg in args]
    return Code(f"not {texts[0]}" if name == "not" else f" {name} ".join(texts), level)


def call(name: str, args: Iterable[Code]) -> Code:
    """Return a function's call."""
    return Code(f"{name}({', '.join(arg.text for arg in args)})", Level.ATOM)


def tuple_text(parts: Iterable[str]) -> str:
    """Return a tuple's text: (3,), (n, 10)."""
    listed = tuple(parts)
    return f"({listed[0]},)" if len(listed) == 1 else f"({', '.join(listed)})"


def literal(value: float) -> Code:
    """Return a number."""
    return Code(number(value), Level.SIGN if value < 0 else Level.ATOM)


SIGNS = (  # code → mathematics
    (r"\*\*2(?![\d.])", "²"),
    (r"\*\*3(?![\d.])", "³"),
    (r"\*\*", "^"),
    (r" \* ", "·"),
    (r" / ", "/"),
    (r"(?<!\de)-", "−"),
)


def formula(expr: Expr) -> str:
    """Return an expression in the letters of mathematics, for a comment."""
    text = _formula(expr).text
    for code, sign in SIGNS:
        text = re.sub(code, sign, text)
    return text


def _formula(expr: Expr) -> Code:
    match expr:
        case Number(value):
            return literal(value)
        case Size(dim):
            return Code(dim, Level.ATOM)
        case Position(axis):
            return Code(axis, Level.ATOM)
        case Read(name, axes):
            return Code(f"{name}[{','.join(axes)}]" if axes else name, Level.ATOM)
        case Split(name, groups):
            places = (f"({','.join(group)})" if len(group) > 1 else group[0] for group in groups)
            return Code(f"{name}[{','.join(places)}]", Level.ATOM)
        case Slice(name, axes, parts):
            places = (
                f"{part[0]} + {axis}" if part and part[0] else axis
                for axis, part in zip(axes, parts, strict=True)
            )
            return Code(f"{name}[{','.join(places)}]", Level.ATOM)
        case Lookup(name, places):
            return Code(f"{name}[{','.join(map(_place, places))}]", Level.ATOM)
        case Scatter(body, axes, _, places):
            marks = [
                f"[{_place(place)} = {axis}]"
                for axis, place in zip(axes, places, strict=True)
                if place != Affine(0, ((axis, 1),))
            ]
            return Code(f"Σ {'·'.join([_formula(body).at(Level.PRODUCT), *marks])}", Level.SUM)
        case Concatenate(parts, letter=letter):
            return call(f"join_{letter}", map(_formula, parts))
        case Stack(parts, letter):
            return call(f"stack_{letter}", map(_formula, parts))
        case Reduce(name, body, over):
            sign = {"sum": "Σ", "prod": "Π"}.get(name, name)
            return Code(f"{sign}_{','.join(over)} {_formula(body).at(Level.PRODUCT)}", Level.SUM)
        case Matrix(name, operand):
            return call(name, [_formula(operand)])
        case Contract(left, right, over):
            product = multiply(_formula(left), _formula(right))
            return Code(f"Σ_{','.join(over)} {product.text}", Level.SUM)
        case Apply(name, args):
            return _applied(name, [_formula(arg) for arg in args])


def _place(place: Affine | Read) -> str:
    return _formula(place).text if isinstance(place, Read) else index(place)


def index(place: Affine, called: Callable[[str], str] = str) -> str:
    """Return an affine index's text, 2*i + p - 1; `called` says what a letter is called."""
    shown = ""
    for letter, coefficient in place.terms:
        if called(letter) == "0":
            continue
        size = abs(coefficient)
        term = called(letter) if size == 1 else f"{size}*{called(letter)}"
        sign = "-" if coefficient < 0 else "+"
        shown = f"{shown} {sign} {term}" if shown else f"-{term}" if coefficient < 0 else term
    if not shown:
        return str(place.offset)
    if place.offset:
        shown += f" {'-' if place.offset < 0 else '+'} {abs(place.offset)}"
    return shown


def _applied(name: str, args: list[Code]) -> Code:
    match name:
        case "add":
            return reduce(add, args)
        case "subtract":
            return add(args[0], args[1], "-")
        case "multiply":
            return reduce(multiply, args)
        case "divide":
            return divide(args[0], args[1])
        case "negative":
            return negate(args[0])
        case "power":
            return power(args[0], args[1], unrolled=False)
    return compare(name, args[0], args[1]) if name in COMPARISONS else call(name, args)


# The functions of matrices by what a helper of theirs is called.
MATRICES = {
    "inv": "inverse",
    "det": "determinant",
    "logdet": "log_determinant",
    "cholesky": "cholesky",
}


# ---------------------------------------------------------------- letters


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return the expressions directly below one."""
    match expr:
        case Apply(args=args):
            return args
        case Reduce(body=body):
            return (body,)
        case Matrix(operand=operand):
            return (operand,)
        case Contract(left=left, right=right):
            return (left, right)
        case Concatenate(parts=parts) | Stack(parts=parts):
            return parts
        case Lookup(places=places):
            return tuple(place for place in places if isinstance(place, Read))
        case Scatter(body=body, places=places):
            return (body, *(place for place in places if isinstance(place, Read)))
    return ()


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield the expression and everything below it, depth first, left to right."""
    yield expr
    for child in children(expr):
        yield from walk(child)


def free(expr: Expr) -> frozenset[str]:
    """Return the letters that an expression reads arrays at, apart from those it sums over."""
    match expr:
        case Reduce(body=body, over=over):
            return free(body) - set(over)
        case Contract(left=left, right=right, over=over):
            return (free(left) | free(right)) - set(over)
        case Scatter(axes=axes):
            return frozenset(axes)
        case Matrix():
            return frozenset(expr.axes)
        case Read() | Split() | Slice() | Lookup():
            inside = (free(place) for place in children(expr))
            return frozenset(expr.axes).union(*inside)
    return frozenset(expr.axes).union(*map(free, children(expr)))


def farthest(name: str, statements: Iterable[Statement], loop: Loop) -> int:
    """Return how many steps away a recurrence reads an array."""
    return max(
        (
            abs(place.offset)
            for statement in statements
            for node in walk(statement.value)
            if isinstance(node, Lookup) and node.name == name
            for place in node.places
            if isinstance(place, Affine) and loop.letter in place.axes
        ),
        default=0,
    )


def computed(loop: Loop, program: Program) -> frozenset[str]:
    """Return the arrays that a recurrence computes."""
    blocks = (program.forward, program.loss, program.backward)
    return frozenset(s.target.name for block in blocks for s in block if s.loop == loop)


def counter(letter: str, program: Program) -> str:
    """Return the variable that counts along a letter, apart from arrays and sizes of that name."""
    taken = {tensor.name for tensor in program.tensors} | run_time_sizes(program)
    return f"{letter}_" if letter in taken else letter


def factors(expr: Apply) -> tuple[Expr, ...]:
    """Return a function's arguments; those of a product behind a number among them: 2·(a·b)."""
    match expr:
        case Apply("multiply", (first, Apply("multiply", inner))) if not first.axes:
            return (first, *inner)
    return expr.args


def natural(expr: Expr) -> tuple[str, ...]:
    """Return the letters in the order of the arrays that hold most of them."""
    if isinstance(expr, Apply):
        found = sorted((natural(arg) for arg in expr.args), key=len, reverse=True)
        return merged(*found)
    return expr.axes


def ordered(axes: Iterable[str], order: Sequence[str]) -> tuple[str, ...]:
    """Return the letters in this order; the ones it lacks follow as they come."""
    known = tuple(axes)
    return merged(tuple(a for a in order if a in known), known)


def arrays(program: Program) -> dict[str, Tensor]:
    """Return every array by its name."""
    views = (view.tensor for view in program.views)
    return {tensor.name: tensor for tensor in (*program.tensors, *program.buffers, *views)}


def ranges(statement: Statement, program: Program) -> dict[str, Dim]:
    """Return the range of every letter of the statement whose range an array tells."""
    return ranges_among(statement, arrays(program))


def ranges_among(statement: Statement, known: Mapping[str, Tensor]) -> dict[str, Dim]:
    """Return the same where the arrays are known by name: many statements are asked about."""
    found: dict[str, Dim] = {}
    for node in (statement.target, *walk(statement.value)):
        match node:
            case Read(name=name, axes=axes) if name in known:
                found |= dict(zip(axes, known[name].shape, strict=True))
            case Split(sizes=sizes):
                found |= dict(sizes)
            case Slice(name=name, axes=axes, ranges=parts) if name in known:
                for axis, dim, part in zip(axes, known[name].shape, parts, strict=True):
                    found[axis] = dim if part is None else part[1] - part[0]
            case Position(axis=axis, size=size):
                found[axis] = size
            case Lookup(sizes=sizes):
                found |= dict(sizes)
            case Stack(parts, letter):
                found[letter] = len(parts)
            case Scatter(axes=axes, shape=dims, sizes=sizes):
                found |= dict(zip(axes, dims, strict=True)) | dict(sizes)
            case Concatenate(letters=letters, counts=counts, letter=letter):
                found |= dict(zip(letters, counts, strict=True)) | {letter: sum(counts)}
    return found


# ---------------------------------------------------------------- lines


@dataclass(frozen=True, slots=True)
class Line:
    """A statement's code, of one line or more, and the formulas it computes, one a line."""

    code: tuple[str, ...]
    because: str


def beside(block: Sequence[Line], width: int) -> tuple[str, ...]:
    """Lay the formulas out: aligned after the code where they fit, else above it, wrapped."""
    short = [line for line in block if len(line.code) == 1 and line.because]
    short = [line for line in short if "\n" not in line.because]
    column = 0
    while short:
        column = max(len(line.code[0]) for line in short)
        if all(column + len("  # ") + len(line.because) <= width for line in short):
            break
        widest = max(len(line.code[0]) + len(line.because) for line in short)
        if widest + len("  # ") > width:
            short = [s for s in short if len(s.code[0]) + len(s.because) + len("  # ") <= width]
        else:
            short = [line for line in short if len(line.code[0]) < column]
    return tuple(text for line in block for text in _laid(line, line in short, column, width))


def _laid(line: Line, is_short: bool, column: int, width: int) -> Iterator[str]:
    if is_short:
        yield f"{line.code[0]:<{column}}  # {line.because}"
        return
    for row in wrapping.rows(line.because, width - len("# ")) if line.because else ():
        yield f"# {row}"
    yield from line.code


def unpacked(values: Mapping[str, str], width: int) -> tuple[str, ...]:
    """Return lines that give values their names, as many a line as fit: a, b = x.a, x.b."""
    rows: list[str] = []
    group: dict[str, str] = {}
    for name, value in values.items():
        wider = {**group, name: value}
        if group and len(assigned(wider)) > width:
            rows.append(assigned(group))
            wider = {name: value}
        group = wider
    return (*rows, assigned(group)) if group else ()


def assigned(values: Mapping[str, str]) -> str:
    return f"{', '.join(values)} = {', '.join(values.values())}"


# ---------------------------------------------------------------- long lines

BREAKS = (
    (" for ",),
    (", ",),
    (" if ", " else "),
    (" and ", " or "),
    tuple(f" {sign} " for sign in COMPARISONS.values()),
    (" + ", " - "),
    (" * ", " / ", " @ "),
)
HEAD = re.compile(
    r"(\w+(\[[^\]]*\])? [-+*/]?= |for .+? in |if |else |not |and |or |([-+*/@<>]|[<>=!]=) )?"
)


def folded(text: str, width: int, indent: int = 0) -> tuple[str, ...]:
    """Return a line that is too wide as several, broken inside its longest pair of brackets."""
    margin = " " * indent
    comma = "," if text.endswith(",") else ""
    if indent + len(text) <= width:
        return (margin + text,)
    found = HEAD.match(text)
    head = found[0] if found else ""
    value = text[len(head) :].removesuffix(comma)
    start, stop = longest_brackets(value)
    around = max(len(margin) + len(head) + start + 1, len(margin) + len(value) - stop)
    if stop - start < len(value) // 2 or around > width:  # no bracket holds most of it
        parts = broken(value)
        if not parts:
            return (margin + text,)
        value, start, stop = f"({value})", 0, len(value) + 1
    else:
        parts = broken(value[start + 1 : stop]) or [value[start + 1 : stop]]
    rows = [row for part in parts for row in folded(part, width, indent + 4)]
    first, last = f"{margin}{head}{value[: start + 1]}", f"{margin}{value[stop:]}{comma}"
    return (first, *rows, last)


def depths(text: str) -> Iterator[tuple[int, str, int]]:
    """Yield each character outside of quotes: its place, itself, the brackets open before it."""
    depth, quoted = 0, False
    for place, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif not quoted:
            depth -= character in ")]}"
            yield place, character, depth
            depth += character in "([{"


def longest_brackets(text: str) -> tuple[int, int]:
    """Return where the longest outermost pair of brackets opens and closes."""
    opened = [place for place, character, depth in depths(text) if character in "([" and not depth]
    closed = [place for place, character, depth in depths(text) if character in ")]" and not depth]
    pairs = list(zip(opened, closed, strict=True))
    return max(pairs, key=lambda pair: pair[1] - pair[0], default=(0, 0))


def broken(body: str) -> list[str]:
    """Return what stands in brackets in parts: after each comma, or before for, if, + or *."""
    places = [place for place, _, depth in depths(body) if place and not depth]
    for marks in BREAKS:
        cuts = [place for place in places if body.startswith(marks, place)]
        if cuts:
            pairs = zip([0, *cuts], [*cuts, len(body)], strict=True)
            parts = [body[start:stop].removeprefix(",").strip() for start, stop in pairs]
            return [f"{part}," for part in parts] if marks == (", ",) else parts
    return []


# ---------------------------------------------------------------- names the code uses


def called(lines: Iterable[str]) -> frozenset[str]:
    """Return the functions the lines call by a bare name that Python doesn't know."""
    return frozenset(
        node.func.id
        for node in _nodes(lines)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if not hasattr(builtins, node.func.id)
    )


def read(lines: Iterable[str]) -> frozenset[str]:
    """Return the names the lines read."""
    return frozenset(
        node.id
        for node in _nodes(lines)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    )


def _nodes(lines: Iterable[str]) -> Iterator[ast.AST]:
    return ast.walk(ast.parse("\n".join(lines)))


def run_time_sizes(program: Program) -> frozenset[str]:
    """Return the names of the sizes that are known only when the module runs."""
    dims = (dim for tensor in program.tensors for dim in tensor.shape)
    return frozenset(dim for dim in dims if isinstance(dim, str))
