"""What the printers of all targets share: precedence, numbers, and formulas beside the code."""

import ast
import builtins
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import isfinite

from symback.program import (
    Apply,
    Concatenate,
    Contract,
    Dim,
    Expr,
    Position,
    Program,
    Read,
    Reduce,
    Slice,
    Split,
    Statement,
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


def wrapped(text: str, level: Level, least: Level) -> str:
    """Return the text, in parentheses where it binds more loosely than its place asks."""
    return text if level >= least else f"({text})"


def number(value: float) -> str:
    """Return the shortest text that reads back as the value; whole numbers as integers."""
    if not isfinite(value):
        return {"nan": "math.nan", "inf": "math.inf", "-inf": "-math.inf"}[str(float(value))]
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return re.sub(r"e([+-])0*", lambda found: "e-" if found[1] == "-" else "e", repr(float(value)))


# ---------------------------------------------------------------- letters


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return the expressions directly below one."""
    match expr:
        case Apply(args=args):
            return args
        case Reduce(body=body):
            return (body,)
        case Contract(left=left, right=right):
            return (left, right)
        case Concatenate(parts=parts):
            return parts
    return ()


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield the expression and everything below it, depth first, left to right."""
    yield expr
    for child in children(expr):
        yield from walk(child)


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


def ranges(statement: Statement, program: Program) -> Mapping[str, Dim]:
    """Return the range of every letter of the statement whose range an array tells."""
    shapes = {tensor.name: tensor.shape for tensor in (*program.tensors, *program.buffers)}
    found: dict[str, Dim] = {}
    for node in (statement.target, *walk(statement.value)):
        match node:
            case Read(name=name, axes=axes) if name in shapes:
                found |= dict(zip(axes, shapes[name], strict=True))
            case Split(sizes=sizes):
                found |= dict(sizes)
            case Slice(name=name, axes=axes, ranges=parts) if name in shapes:
                for axis, dim, part in zip(axes, shapes[name], parts, strict=True):
                    found[axis] = dim if part is None else part[1] - part[0]
            case Position(axis=axis, size=size):
                found[axis] = size
    return found


# ---------------------------------------------------------------- lines


@dataclass(frozen=True, slots=True)
class Line:
    """A statement's code, of one line or more, and the formula it computes."""

    code: tuple[str, ...]
    because: str


def beside(block: Sequence[Line], width: int) -> tuple[str, ...]:
    """Lay the formulas out: aligned after the code where they fit, else above it, wrapped."""
    short = [line for line in block if len(line.code) == 1 and line.because]
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
    for row in textwrap.wrap(line.because, width - len("# "), break_long_words=False):
        yield f"# {row}"
    yield from line.code


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
