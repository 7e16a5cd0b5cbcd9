"""What happened at each step of a derivation, in words."""

from collections.abc import Callable, Mapping

from sympy import Expr, Indexed

from symback import functions as fn
from symback import index as ix
from symback import notation
from symback.derivation import Step
from symback.graph import name_of

TITLES = {
    "chain": "chain rule",
    "raw": "SymPy's derivative",
    "contracted": "deltas used up",
    "assumed": "assumption used",
    "reused": "forward values reused",
}


def told(step: Step, before: Expr | None, target: Expr, names: Mapping[str, str]) -> str:
    """Return what a step did to the expression before it; nothing where it is the first."""
    return "" if before is None else _TOLD[step.kind](before, step.rhs, target, names)


def _raw(before: Expr, after: Expr, target: Expr, names: Mapping[str, str]) -> str:
    return "the inner derivative, worked out"


def _contracted(before: Expr, after: Expr, target: Expr, names: Mapping[str, str]) -> str:
    """Say which sum each delta has removed: Σ_j δ(i,j)·f(j) = f(i)."""
    free = set(target.indices) if isinstance(target, Indexed) else set()
    done: list[str] = []
    for delta in ix.deltas(before):
        first, second = delta.args
        bound, other = (first, second) if first not in free else (second, first)
        if bound in free:
            done.append(f"δ({first},{second}) stays, as [{first} = {second}]")
        elif not done:
            done.append(f"Σ_{bound} collapses to {bound} = {other}, elsewhere δ is zero")
        else:
            done.append(f"Σ_{bound} to {bound} = {other}")
    return "; ".join(done) or "what stands in several places is put together"


def _assumed(before: Expr, after: Expr, target: Expr, names: Mapping[str, str]) -> str:
    used = [total for total in _totals(before) if total not in _totals(after)]
    return "because " + ", ".join(f"{notation.text(total, names)} = 1" for total in used)


def _totals(expr: Expr) -> list[Expr]:
    return sorted(expr.atoms(fn.SumOver), key=str)


def _reused(before: Expr, after: Expr, target: Expr, names: Mapping[str, str]) -> str:
    fresh = [part for part in _values(after) if part not in _values(before)]
    if not fresh:
        return "written so that it stays finite"
    shown = " and ".join(dict.fromkeys(names.get(name, name) for name in fresh))
    return f"{shown} {'is' if len(fresh) == 1 else 'are'} there already and used again"


def _values(expr: Expr) -> list[str]:
    return [name_of(part) for part in (*ix.accesses(expr), *ix.scalars(expr))]


_TOLD: Mapping[str, Callable[[Expr, Expr, Expr, Mapping[str, str]], str]] = {
    "raw": _raw,
    "contracted": _contracted,
    "assumed": _assumed,
    "reused": _reused,
}
