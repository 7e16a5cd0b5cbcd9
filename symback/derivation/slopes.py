"""One equation differentiated: ∂L/∂operand for each operand, every step kept."""

from functools import lru_cache

from sympy import Expr, Indexed, S

from symback import branches
from symback import functions as fn
from symback import index as ix
from symback.derivation.sharing import shared
from symback.derivation.types import Local, Slope, Step
from symback.formula import tensor
from symback.functions import Index
from symback.graph import Equation, name_of, subscripts
from symback.naming import FREE_LETTERS, adjoint


@lru_cache(maxsize=4096)
def differentiate(
    equation: Equation,
    by: tuple[str, ...],
    unit_sums: frozenset[str],
    seed: Expr | None,
    stepwise: frozenset[str] = frozenset(),
) -> Local:
    """Differentiate one equation by the operands named.

    `unit_sums` names operands that sum to one over their last axis. `seed` is ∂L/∂target where it
    is a number (1 at the loss itself); elsewhere it is the tensor d<target>. `stepwise` names the
    operands that a recurrence computes, which the equation is a part of.
    """
    used: set[str] = set()
    slopes = [_slope(equation, operand, unit_sums, seed, stepwise, used) for operand in by]
    return shared(equation, slopes, tuple(sorted(used)))


def _slope(
    equation: Equation,
    operand: str,
    unit_sums: frozenset[str],
    seed: Expr | None,
    stepwise: frozenset[str],
    used: set[str],
) -> Slope:
    """Return ∂L/∂operand, with the ladder that leads to it."""
    at = _first_access(equation, operand)
    letters = subscripts(at)
    target = tensor(adjoint(operand), *letters)
    out = ix.all_primed(equation.target)
    running = ix.letters(out)
    incoming = seed if seed is not None else _adjoint_access(out)
    inner = ix.all_primed(equation.rhs).diff(at)

    def shown(expr: Expr) -> Expr:
        return ix.tidy(expr, letters)

    def total(slope: Expr) -> Expr:
        whole = incoming * slope
        return fn.SumOver(whole, *running) if running and whole != 0 else whole

    steps = [
        Step("chain", shown(total(fn.Slope(out, at))), "the chain rule"),
        Step("raw", shown(total(inner)), "SymPy's derivative, with its deltas"),
    ]
    left = ix.contract(total(inner), incoming, stepwise=operand in stepwise)
    contracted = shown(branches.merged(left, incoming))
    if contracted != steps[-1].rhs:
        words = "each δ(i, a) is zero unless i = a, so its sum collapses"
        steps.append(Step("contracted", contracted, words))
    assumed = _unit_sums(contracted, unit_sums, used)
    if assumed != contracted:
        words = "because " + ", ".join(f"Σ {name} = 1" for name in sorted(used))
        steps.append(Step("assumed", ix.factored(list(assumed.as_ordered_terms())), words))
    return Slope(operand, Equation(target, steps[-1].rhs), tuple(steps))


def _adjoint_access(out: Expr) -> Expr:
    return tensor(adjoint(name_of(out)), *subscripts(out))


def _first_access(equation: Equation, operand: str) -> Expr:
    """Return the operand with a letter of its own on each axis."""
    read = [access for access in ix.accesses(equation.rhs) if name_of(access) == operand]
    if not read:
        return tensor(operand)
    taken = {letter.name for letter in (*ix.letters(equation.rhs), *ix.letters(equation.target))}
    seen: list[Index] = []
    for place, part in enumerate(read[0].indices):
        if isinstance(part, Index) and part not in seen:
            seen.append(part)
            continue
        standing = [access.indices[place] for access in read]
        ranges = [other.range for other in standing if isinstance(other, Index)]
        choices = (Index(name, (*ranges, f"{operand}:{place}")[0]) for name in FREE_LETTERS)
        seen.append(next(letter for letter in choices if letter.name not in taken))
        taken.add(seen[-1].name)
    return tensor(operand, *seen)


def _unit_sums(expr: Expr, unit_sums: frozenset[str], used: set[str]) -> Expr:
    """Put 1 for Σ_k t[n, k] where the target is known to sum to one."""
    for total in sorted(expr.atoms(fn.SumOver), key=str):
        body = total.body
        known = isinstance(body, Indexed) and name_of(body) in unit_sums
        if (
            known
            and total.bound == body.indices[-1:]
            and not set(total.bound) & set(body.indices[:-1])
        ):
            used.add(name_of(body))
            expr = expr.xreplace({total: S.One})
    return expr
