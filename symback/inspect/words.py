"""What happened at each step of a derivation: which message says it, of which letters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sympy import Expr, Indexed

from symback import functions as fn
from symback import index as ix
from symback import notation
from symback.derivation import Step
from symback.functions import Index
from symback.graph import name_of
from symback.inspect import latex, messages
from symback.inspect.messages import Maths, Said, said


@dataclass(frozen=True, slots=True)
class Letters:
    """How a term's letters are shown: in a line of Unicode, and by a LaTeX writer."""

    unicode: Mapping[str, str]
    latex: latex.Writer

    def maths(self, expr: Expr) -> Maths:
        """Return an expression."""
        return Maths(notation.text(expr, self.unicode), self.latex.write(expr))

    def tensor(self, access: Expr) -> Maths:
        """Return a tensor as a whole, without indices."""
        letter = name_of(access)
        name = self.latex.names.get(letter, letter)
        return Maths(self.unicode.get(letter, letter), latex.named(name, self.latex.adjoints))

    def slope(self, slope: Expr) -> Maths:
        """Return ∂z/∂w, of whole tensors."""
        above, below = (self.tensor(arg) for arg in slope.args)
        shown = rf"\partial {above.latex} / \partial {below.latex}"
        return Maths(f"∂{above.text}/∂{below.text}", shown)


def title(kind: str) -> str:
    """Return the name of the message that entitles a kind of step; the kind itself is one, too."""
    name = f"step.{kind}.title"
    return name if messages.found(name) else kind


def told(step: Step, before: Expr | None, target: Expr, letters: Letters) -> tuple[Said, ...]:
    """Return what a step did to the expression before it, None where it is the first."""
    tell = _TOLD.get(step.kind)
    return (Said(step.words),) if tell is None else tell(before, step.rhs, target, letters)


def _chain(before: Expr | None, after: Expr, target: Expr, letters: Letters) -> tuple[Said, ...]:
    slopes = sorted(after.atoms(fn.Slope), key=str)
    through, by = (letters.tensor(arg) for arg in slopes[0].args)
    return (said("step.chain", by=by, through=through),)


def _raw(before: Expr | None, after: Expr, target: Expr, letters: Letters) -> tuple[Said, ...]:
    if before is None:
        at = name_of(target)
        name = letters.latex.adjoints.get(letters.latex.names.get(at, at), at)
        return (said("step.first", by=Maths(name, latex.named(name, {}))),)
    slopes = sorted(before.atoms(fn.Slope), key=str)
    return tuple(said("step.raw", slope=letters.slope(slope)) for slope in slopes)


def _contracted(
    before: Expr | None, after: Expr, target: Expr, letters: Letters
) -> tuple[Said, ...]:
    """Say which sum each delta has removed: Σ_j δ(i,j)·f(j) = f(i)."""
    free = set(target.indices) if isinstance(target, Indexed) else set()
    kept = set(ix.deltas(after))
    done = [
        _delta(delta, free, delta in kept, letters)
        for delta in (ix.deltas(before) if before is not None else ())
    ]
    return tuple(done) or (said("step.together"),)


def _delta(delta: Expr, free: set[Expr], kept: bool, letters: Letters) -> Said:
    first, second = delta.args
    bound, other = (first, second) if first not in free else (second, first)
    shown, left, right = (letters.maths(part) for part in (delta, bound, other))
    equal = Maths(f"{left.text} = {right.text}", f"{left.latex} = {right.latex}")
    if ix.indices(delta) <= free:
        return said("step.stays", delta=shown, bracket=letters.maths(ix.compared(delta)))
    if kept:
        return said("step.scatters", delta=shown, equal=equal)
    if not isinstance(bound, Index):
        return said("step.solved", delta=shown, equal=equal)
    return said("step.collapses", letter=left, delta=shown, equal=equal)


def _assumed(before: Expr | None, after: Expr, target: Expr, letters: Letters) -> tuple[Said, ...]:
    totals = [] if before is None else sorted(before.atoms(fn.SumOver), key=str)
    used = [letters.maths(total) for total in totals if not after.has(total)]
    return tuple(
        said("step.assumed", facts=Maths(f"{total.text} = 1", f"{total.latex} = 1"))
        for total in used
    )


def _reused(before: Expr | None, after: Expr, target: Expr, letters: Letters) -> tuple[Said, ...]:
    known = set() if before is None else {name_of(part) for part in _values(before)}
    fresh = {name_of(part): part for part in _values(after) if name_of(part) not in known}
    if not fresh:
        return (said("step.finite"),)
    return tuple(said("step.reused", values=letters.tensor(part)) for part in fresh.values())


def _values(expr: Expr) -> tuple[Expr, ...]:
    return (*ix.accesses(expr), *ix.scalars(expr))


_TOLD: Mapping[str, Callable[[Expr | None, Expr, Expr, Letters], tuple[Said, ...]]] = {
    "chain": _chain,
    "raw": _raw,
    "contracted": _contracted,
    "assumed": _assumed,
    "reused": _reused,
}
