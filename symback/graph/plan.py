"""Schedules put together: one after the other, or each on the rate that the one before gives."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sympy import Expr, Integer, Symbol

from symback import formula
from symback import functions as fn
from symback.errors import Mistake, UserError
from symback.graph.start import Path
from symback.graph.types import Equation, Recipe

RATE, BASE = Symbol("lr"), Symbol("base")
MOMENTUM = "momentum"  # the state of a schedule that is the optimiser's too


def in_turn(parts: Sequence[Recipe], ends: Sequence[int]) -> Recipe:
    """Return schedules that run one after the other; part k ends where `ends[k]` epochs are over.

    Each counts from its own start, and starts from the optimiser's rate. Source:
    torch.optim.lr_scheduler.SequentialLR.
    """
    clock = formula.tensor(parts[0].per)
    found: list[Equation] = []
    apart = _apart(parts)
    for (part, _), start, end in zip(apart, (0, *ends), (*ends, None), strict=True):
        now = fn.maximum(clock - start, Integer(0)) if start else clock
        begun = fn.ge(clock, Integer(start)) if start else None
        active = begun if end is None else _both(begun, fn.lt(clock, Integer(end)))
        found += _while(part, active, {clock: now})
    rates = [rate for _, rate in apart]
    rate = rates[-1]
    for before, end in reversed(list(zip(rates[:-1], ends, strict=True))):
        rate = fn.where(fn.lt(clock, Integer(end)), before, rate)
    return _joined(apart, [*found, Equation(RATE, rate)])


def chained(parts: Sequence[Recipe], path: Path) -> Recipe:
    """Return schedules that run at once, each taking the rate of the one before for its base.

    Where they multiply the rate, their factors are multiplied. Source:
    torch.optim.lr_scheduler.ChainedScheduler. Raises UserError for one that goes on from the rate
    last set, which isn't its own.
    """
    base: Expr = BASE
    found: list[Equation] = []
    apart = _apart(parts)
    for place, (part, rate) in enumerate(apart):
        if any(equation.rhs.has(RATE) for equation in part.equations):
            message = f"`{part.name}` goes on from the rate last set, which others have a part in"
            hint = "chain schedules that read `base` and `epoch`, or run them one after the other"
            raise UserError(Mistake(message, (*path, place), hint=hint))
        found += [replace(each, rhs=each.rhs.xreplace({BASE: base})) for each in part.equations]
        base = rate
    return _joined(apart, [*found, Equation(RATE, base)])


def _joined(apart: Sequence[tuple[Recipe, Expr]], equations: Sequence[Equation]) -> Recipe:
    parts = [part for part, _ in apart]
    return Recipe(
        ", ".join(part.name for part in parts),
        tuple(constant for part in parts for constant in part.constants),
        tuple({state.name: state for part in parts for state in part.states}.values()),
        tuple(equations),
        parts[0].per,
    )


def _while(part: Recipe, active: Expr | None, clock: Mapping[Expr, Expr]) -> list[Equation]:
    """Return a part's equations; its states change only while it is active."""
    states = {state.name for state in part.states}
    found = []
    for equation in part.equations:
        rhs = equation.rhs.xreplace(clock)
        if active is not None and equation.name in states:
            rhs = fn.where(active, rhs, equation.target)
        found.append(Equation(equation.target, rhs))
    return found


def _both(one: Expr | None, other: Expr) -> Expr:
    return other if one is None else one * other


def _apart(parts: Sequence[Recipe]) -> list[tuple[Recipe, Expr]]:
    """Return the parts, with names of their own where several have the same, and their rates."""
    named = [dict.fromkeys(_names(part)) for part in parts]
    often = Counter(name for names in named for name in names)
    used = set(often)
    found = []
    for number, (part, names) in enumerate(zip(parts, named, strict=True), 1):
        new = {}
        for name in names:
            if name != MOMENTUM and (often[name] > 1 or name == RATE.name):
                new[name] = f"{name}{number}"
                while new[name] in used:
                    new[name] += "_"
                used.add(new[name])
        found.append((renamed(part, new), formula.tensor(new[RATE.name])))
    return found


def _names(part: Recipe) -> list[str]:
    listed = [*(each.name for each in part.constants), *(each.name for each in part.states)]
    return [*listed, *(equation.name for equation in part.equations)]


def renamed(part: Recipe, new: Mapping[str, str]) -> Recipe:
    """Return a recipe with other names. The rate last set, which it may read, stays `lr`."""
    swap = {formula.tensor(old): formula.tensor(name) for old, name in new.items()}
    before = {old: name for old, name in swap.items() if old != RATE}
    equations = []
    for equation in part.equations:
        equations.append(
            Equation(swap.get(equation.target, equation.target), equation.rhs.xreplace(before))
        )
        if equation.target == RATE:
            before = swap
    return replace(
        part,
        constants=tuple(
            replace(each, name=new.get(each.name, each.name)) for each in part.constants
        ),
        states=tuple(replace(each, name=new.get(each.name, each.name)) for each in part.states),
        equations=tuple(equations),
    )
