"""Catalogue options as numbers, and how parameters start: uniform(low, high) and the like."""

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from sympy import Expr, Integer

from symback import catalog, formula, notation
from symback import functions as fn
from symback.catalog.entry import Entry, Kind
from symback.errors import Mistake, UserError, near_miss
from symback.formula import Definition, Formula, Scope
from symback.program import Draw
from symback.spec import Choice, Start

Path = tuple[str | int, ...]
Functions = tuple[tuple[str, Definition], ...]

DRAWS = {  # and their numbers of arguments
    "uniform": 2,
    "normal": 2,
    "constant": 1,
    "keep": 1,
    "truncated": 4,
    "orthogonal": 1,
    "sparse": 2,
    "identity": 0,
    "dirac": 1,
}
AXES = {"orthogonal": (2, 9), "sparse": (2, 2), "identity": (2, 2), "dirac": (3, 5)}  # they need
LEAST_WITHIN = 1e-3  # the part of a normal distribution that bounds must leave


@lru_cache(maxsize=4096)
def parsed(
    text: str,
    ranks: tuple[tuple[str, int | None], ...],
    numbers: tuple[tuple[str, Expr], ...],
    functions: Functions,
    ellipsis: tuple[str, ...] | None,
) -> Formula:
    """Read a formula, once for all layers that use it."""
    scope = Scope(dict(ranks), dict(numbers), {}, dict(functions), ellipsis)
    return formula.parse(text, scope)


def at_path(error: UserError, path: Path) -> UserError:
    """Return the error with the place in the spec of the text that was read."""
    return UserError(*(replace(mistake, path=path) for mistake in error.mistakes))


def option_numbers(entry: Entry, given: Mapping[str, Any]) -> dict[str, Expr]:
    """Return what an entry's formulas may name of its options, as numbers."""
    numbers: dict[str, Expr] = {}
    for option in entry.options:
        value = given.get(option.name, option.default)
        numbers[f"{option.name}_given"] = Integer(int(value is not None))
        if option.choices:
            for choice in option.choices:
                numbers[f"{option.name}_{choice}"] = Integer(int(value == choice))
        if option.axes:
            each = value if isinstance(value, tuple) else (value,) * option.axes
            for axis, one in enumerate(each):
                if isinstance(one, int | float):
                    numbers[f"{option.name}_{axis}"] = fn.number(one)
        elif isinstance(value, tuple):
            numbers[f"{option.name}_count"] = Integer(len(value))
            numbers |= {f"{option.name}_{k}": fn.number(one) for k, one in enumerate(value)}
        elif value is None:
            continue
        elif isinstance(value, bool):
            numbers[option.name] = Integer(int(value))
        elif isinstance(value, int | float):
            numbers[option.name] = fn.number(value)
    return numbers


def start_of(
    init: Start,
    shape: tuple[int, ...],
    sizes: Mapping[str, int],
    path: Path,
) -> Draw:
    """Return how a parameter starts. `init`: a catalogue entry, a formula or the numbers."""
    if isinstance(init, tuple):
        return Draw("values", values=init)
    if isinstance(init, int | float):
        return Draw("constant", (float(init),))
    text: Choice | str = init
    numbers: dict[str, Expr] = {}
    if isinstance(init, Choice) or catalog.find(Kind.INITIALIZER, str(init)):
        choice = init if isinstance(init, Choice) else Choice(name=init, options=())
        entry = catalog.find(Kind.INITIALIZER, choice.name)
        if entry is None:
            hint = near_miss(choice.name, catalog.names(Kind.INITIALIZER))
            raise UserError(Mistake(f"there is no initialiser `{choice.name}`", path, hint=hint))
        text, numbers = entry.formulas[-1], option_numbers(entry, dict(choice.options))
    receptive = math.prod(shape[2:])
    fan_in = math.prod(shape[1:]) if len(shape) > 1 else shape[0] if shape else 1
    fan_out = shape[0] * receptive if shape else 1
    numbers = numbers | {"fan_in": Integer(fan_in), "fan_out": Integer(fan_out)}
    found = draw(str(text), numbers, sizes, path)
    least, most = AXES.get(found.kind, (0, len(shape)))
    if not least <= len(shape) <= most:
        wanted = f"{least}" if least == most else f"{least} or more"
        message = f"`{found.kind}` wants {wanted} axes; the parameter's shape is {shape}"
        raise UserError(Mistake(message, path))
    return found


def draw(text: str, numbers: Mapping[str, Expr], sizes: Mapping[str, int], path: Path) -> Draw:
    """Read `uniform(-1/sqrt(fan_in), 1/sqrt(fan_in))` and the like.

    `sizes` are the ranges of the indices that it may ask the size of.
    """
    try:
        return _drawn(text, tuple(numbers.items()), tuple(sizes.items()))
    except UserError as error:
        raise at_path(error, path) from None


@lru_cache(maxsize=4096)
def _drawn(
    text: str, numbers: tuple[tuple[str, Expr], ...], sizes: tuple[tuple[str, int], ...]
) -> Draw:
    """Read a start, once for all parameters that share it."""
    ranges = dict(sizes)
    node = formula.syntax(text).value
    if isinstance(node, ast.Name) and node.id in {"zeros", "ones"}:
        return Draw("constant", (float(node.id == "ones"),), because=node.id)
    if not (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and DRAWS.get(node.func.id) == len(node.args)
    ):
        hint = (
            "write uniform(low, high), normal(mean, std), constant(value), zeros, ones, "
            "truncated(mean, std, low, high) or an initialiser's name"
        )
        raise UserError(Mistake(f"`{text}` draws nothing", hint=hint))
    values: list[float] = []
    shown: list[str] = []
    for argument in node.args:
        part = ast.get_source_segment(text.strip(), argument) or ""
        read = parsed(part, (), numbers, (), None).rhs
        value = read.xreplace({s: Integer(ranges[s.range]) for s in read.atoms(fn.Size)})
        found = formula.numeric(value)
        if found is None or not math.isfinite(found):
            raise UserError(Mistake(f"`{part}` is no number"))
        values.append(found)
        shown.append(notation.text(value, {}))
    kind = node.func.id
    wrong = _unfit(kind, values)
    if wrong:
        raise UserError(Mistake(f"`{text}` draws nothing", hint=wrong))
    if kind == "uniform" and values[0] == -values[1]:
        return Draw(kind, tuple(values), because=f"uniform in ±{shown[1]}")
    return Draw(kind, tuple(values), because=f"{kind}({', '.join(shown)})")


def _unfit(kind: str, values: Sequence[float]) -> str:
    """Return what is wrong with the numbers of a start."""
    match kind, values:
        case "uniform", [low, high] if low > high or math.isinf(high - low):
            return "uniform(low, high) wants low ≤ high"
        case "normal", [_, std] if std < 0:
            return "normal(mean, std) wants std ≥ 0"
        case "truncated", [mean, std, low, high] if not _within(mean, std, low, high):
            return f"the bounds hold less than {LEAST_WITHIN:g} of that normal distribution"
        case "sparse", [zeros, std] if not 0 <= zeros <= 1 or std < 0:
            return "sparse(zeros, std) wants a part of zeros from 0 to 1, and std ≥ 0"
        case "dirac", [groups] if groups < 1 or groups % 1:
            return "dirac(groups) wants a whole number"
    return ""


def _within(mean: float, std: float, low: float, high: float) -> bool:
    """Say whether a normal distribution is often enough within bounds to be drawn from."""
    if std <= 0:
        return std == 0 and low <= mean <= high
    below, above = ((bound - mean) / (std * math.sqrt(2)) for bound in (low, high))
    return (math.erf(above) - math.erf(below)) / 2 >= LEAST_WITHIN
