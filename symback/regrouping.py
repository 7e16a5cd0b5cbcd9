"""Sums that only regroup an axis are undone: a reshape says what a gather would work out.

The adjoint of q[n,h,t,d] = p[n,t,3·h + d] comes as ∂L/∂p[n,t,i] = Σ_h ∂L/∂q[n,h,t,i − 3·h], where
for each i a single h has a place inside of the array. It is ∂L/∂p[n,t,(h,d)] = ∂L/∂q[n,h,t,d].
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sympy import Add, Expr, Indexed, Integer

from symback import functions as fn
from symback import index as ix
from symback.derivation import Term
from symback.functions import Index
from symback.graph import Equation, name_of, subscripts
from symback.naming import FREE_LETTERS
from symback.program import Dim

Shapes = Mapping[str, tuple[Dim, ...]]


@dataclass(frozen=True, slots=True)
class Part:
    """A term that fills a part of the target: along one axis `count` values from `start` on."""

    term: Term
    letters: tuple[Index, ...]  # that part of the axis, row-major
    start: int
    count: int


def regrouped(terms: Sequence[Term], shapes: Shapes) -> tuple[Term, ...] | None:
    """Return terms with axes of their target taken apart, None where no sum is undone so.

    The target has Flat indices: ∂L/∂p[n,t,(h,d)], the same for all terms.
    """
    before = tuple(one for term in terms for one in _summands(term))
    made = before
    for axis in range(len(subscripts(terms[0].equation.target))):
        made = _taken_apart(made, axis, shapes) or made
    holds_delta = any(ix.holds_delta(term.equation.rhs) for term in made)
    return None if made is before or holds_delta else made


def _taken_apart(terms: Sequence[Term], axis: int, shapes: Shapes) -> tuple[Term, ...] | None:
    """Return terms over the same letters in the place of one axis, None where that can't be."""
    u = subscripts(terms[0].equation.target)[axis]
    if not isinstance(u, Index):
        return None
    length = dict(terms[0].sizes)[u.range]
    parts = [part for term in terms if (part := _unfolded(term, axis, shapes))]
    whole = [part for part in parts if part.start == 0 and part.count == length]
    runs = {tuple(dict(part.term.sizes)[x.range] for x in part.letters) for part in whole}
    if len(whole) < len(terms) or len(runs) > 1:
        return None
    return tuple(_called(part, axis, whole[0].letters) for part in whole)


def _called(part: Part, axis: int, names: Sequence[Index]) -> Term:
    """Return a part's term with its letters along the axis called as these."""
    swap = {old: old.called(new.name) for old, new in zip(part.letters, names, strict=True)}
    equation = part.term.equation
    target, rhs = (ix.substitute(side, swap) for side in (equation.target, equation.rhs))
    made = replace(part.term, equation=Equation(target, rhs))
    letters = tuple(swap.values())
    return at(made, axis, fn.Flat(*letters) if len(letters) > 1 else letters[0])


def side_by_side(terms: Sequence[Term], shapes: Shapes) -> tuple[int, tuple[Part, ...]] | None:
    """Return the axis and the parts of it, in order, that terms fill, each one and all of it."""
    single = [one for term in terms for one in _summands(term)]
    target = terms[0].equation.target
    for axis, u in enumerate(subscripts(target)):
        found = [_unfolded(term, axis, shapes) for term in single]
        parts = sorted((part for part in found if part), key=lambda part: part.start)
        ends = [0, *(part.start + part.count for part in parts)]
        length = dict(terms[0].sizes).get(u.range) if isinstance(u, Index) else None
        if (
            len(parts) == len(single) > 1
            and [part.start for part in parts] == ends[:-1]
            and ends[-1] == length
            and not any(ix.holds_delta(part.term.equation.rhs) for part in parts)
        ):
            return axis, tuple(parts)
    return None


@dataclass(frozen=True, slots=True)
class Places:
    """Terms that each stand at one place of an axis, every place having some, and all others.

    ∂L/∂a[n,i] = f[n]·δ(i,0) + g[n]·δ(i,1) + h[n,i]
    """

    axis: int
    at: tuple[tuple[Term, ...], ...]  # for each place, without their δ or [i = k]
    others: tuple[Term, ...]


def placed(terms: Sequence[Term]) -> Places | None:
    """Return the terms by the places of an axis that they stand at."""
    single = [one for term in terms for one in _summands(term)]
    for axis, u in enumerate(subscripts(terms[0].equation.target)):
        length = dict(terms[0].sizes).get(u.range) if isinstance(u, Index) else None
        if not (isinstance(u, Index) and isinstance(length, int) and length > 1):
            continue
        found = [(one, _at_place(one, axis)) for term in single for one in _opened(term, u)]
        at = tuple(tuple(f[1] for _, f in found if f and f[0] == k) for k in range(length))
        if all(at):
            return Places(axis, at, tuple(term for term, f in found if f is None))
    return None


def in_order(terms: Sequence[Term]) -> tuple[Term, ...]:
    """Return terms that stand at the places of an axis in the order of these, before all others."""
    places = placed(terms)
    if places is None:
        return tuple(terms)

    def first(term: Term) -> int:
        u = subscripts(term.equation.target)[places.axis]
        opened = (each for one in _summands(term) for each in _opened(one, u))
        found = [_at_place(each, places.axis) for each in opened]
        return min((each[0] for each in found if each), default=len(places.at))

    return tuple(sorted(terms, key=first))


def _opened(term: Term, u: Index) -> Iterator[Term]:
    """Yield the terms of f·(g·δ(u,0) + h·δ(u,1)), where f doesn't depend on u."""
    parts = ix.factors(term.equation.rhs)
    sums = [part for part in parts if isinstance(part, Add) and u in ix.indices(part)]
    rest = [part for part in parts if part not in sums]
    if len(sums) != 1 or any(u in ix.indices(part) for part in rest):
        yield term
        return
    for one in sums[0].args:
        rhs = ix.product([*rest, one])
        yield replace(term, equation=Equation(term.equation.target, rhs))


def _at_place(term: Term, axis: int) -> tuple[int, Term] | None:
    """Return the place k and the term f of f·δ(u,k), where f doesn't depend on u."""
    u = subscripts(term.equation.target)[axis]
    parts = ix.factors(term.equation.rhs)
    for part in parts:
        if isinstance(part, fn.Delta | fn.eq) and u in part.args:
            other = part.args[1] if part.args[0] == u else part.args[0]
            rest = ix.product(x for x in parts if x is not part)
            if isinstance(other, Integer) and u not in ix.indices(rest):
                return int(other), replace(term, equation=Equation(term.equation.target, rest))
    return None


def place(part: Part) -> Expr:
    """Return the index into the target's axis: 3·h + d + 6."""
    sizes = dict(part.term.sizes)
    made: Expr = Integer(part.start)
    step = 1
    for letter in reversed(part.letters):
        made = made + step * letter
        step *= int(sizes[letter.range])
    return made


def _summands(term: Term) -> Iterator[Term]:
    for rhs in Add.make_args(term.equation.rhs):
        yield replace(term, equation=Equation(term.equation.target, rhs))


def _unfolded(term: Term, axis: int, shapes: Shapes) -> Part | None:
    u = subscripts(term.equation.target)[axis]
    if not isinstance(u, Index):
        return None
    sizes = dict(term.sizes)
    names = dict(term.names)
    both = (*ix.letters(term.equation.target), *ix.letters(term.equation.rhs))
    free = (name for name in FREE_LETTERS if name not in {letter.name for letter in both})

    def size(letter: Index) -> int:
        dim = sizes[letter.range]
        return dim if isinstance(dim, int) else 0

    def along(access: Indexed, at: int) -> Index | None:
        name = name_of(access)
        dim = shapes[names.get(name, name)][at]
        if isinstance(dim, str):
            return None
        made = Index(next(free), f"{name}:{at}")
        return made if sizes.setdefault(made.range, dim) == dim else None

    def number(offset: Expr) -> int:
        return int(offset.xreplace({s: Integer(sizes[s.range]) for s in offset.atoms(fn.Size)}))

    found = ix.unfolded(term.equation.rhs, u, size, number, along)
    if found is None or found.offset < 0:
        return None
    made = replace(
        term, equation=Equation(term.equation.target, found.rhs), sizes=tuple(sizes.items())
    )
    return Part(made, found.letters, found.offset, found.count)


def at(term: Term, axis: int, place: Expr) -> Term:
    """Return the term with another index at an axis of its target."""
    target = term.equation.target
    parts = (*target.indices[:axis], place, *target.indices[axis + 1 :])
    return replace(term, equation=Equation(target.func(target.base, *parts), term.equation.rhs))
