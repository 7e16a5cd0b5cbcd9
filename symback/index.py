"""The algebra of indices: bound letters, sums, and deltas that make sums collapse.

SymPy's `diff` by an indexed tensor answers with Kronecker deltas:

    ∂(Σ_i W[o,i]·x[n,i])/∂W[a,b]  =  Σ_i δ(o,a)·δ(i,b)·x[n,i]

Under a sum each delta removes one bound index by substitution, Σ_i δ(i,b)·f(i) = f(b). Only
factors that hold a delta are multiplied out: opening any other, as Σ(x − mean)² into
Σx² − N·mean², loses digits.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from operator import attrgetter
from string import ascii_lowercase

from sympy import (
    Add,
    Expr,
    Indexed,
    Integer,
    Mul,
    Pow,
    S,
    Symbol,
    preorder_traversal,
)

from symback import functions as fn
from symback.functions import Index

Renaming = Mapping[Expr, Expr]
POLES = (fn.log, fn.log1p, fn.sqrt, fn.power, fn.tan, fn.asin, fn.acos)  # not finite everywhere
STEEP = (fn.exp, fn.expm1, fn.sinh, fn.cosh)  # finite of what reads zero, not of a large index


def indices(expr: Expr) -> set[Index]:
    """Return the free indices of an expression."""
    return {s for s in expr.free_symbols if isinstance(s, Index)}


@lru_cache(maxsize=8192)
def letters(expr: Expr) -> tuple[Index, ...]:
    """Return every index of an expression, bound or free, in a fixed order."""
    found = {part for part in preorder_traversal(expr) if isinstance(part, Index)}
    return tuple(sorted(found, key=lambda letter: (letter.name, letter.range)))


@lru_cache(maxsize=8192)
def accesses(expr: Expr) -> tuple[Indexed, ...]:
    """Return the tensor accesses of an expression, each once, in a fixed order."""
    return tuple(sorted(expr.atoms(Indexed), key=str))


def in_reading_order(expr: Expr, first: Iterable[Expr] = ()) -> tuple[Index, ...]:
    """Return the free indices of an expression: `first`, then in its largest tensors' order."""
    free = indices(expr)
    largest = sorted(accesses(expr), key=lambda access: -len(access.indices))
    met = [letter for access in largest for letter in access.indices]
    rest = sorted(free, key=lambda letter: letter.name)
    return tuple(dict.fromkeys(letter for letter in (*first, *met, *rest) if letter in free))


def affine(expr: Expr) -> tuple[Expr, dict[Index, int]] | None:
    """Return (offset, coefficients) of an index as 2·i + p − 1; None where it isn't affine.

    The offset holds integers and sizes; no coefficient is 0.
    """
    if isinstance(expr, Index):
        return S.Zero, {expr: 1}
    if isinstance(expr, Integer | fn.Size):
        return expr, {}
    if isinstance(expr, Add):
        parts = [affine(arg) for arg in expr.args]
        offset: Expr = S.Zero
        found: dict[Index, int] = {}
        for part in parts:
            if part is None:
                return None
            offset = offset + part[0]
            for letter, coefficient in part[1].items():
                found[letter] = found.get(letter, 0) + coefficient
        return offset, {letter: c for letter, c in found.items() if c}
    if isinstance(expr, Mul):
        number, rest = expr.as_coeff_Mul()
        part = affine(rest) if isinstance(number, Integer) and number != 1 else None
        if part is not None:
            return number * part[0], {letter: int(number) * c for letter, c in part[1].items()}
    return None


def row_major(terms: Mapping[Index, int], size: Callable[[Index], int]) -> tuple[Index, ...]:
    """Return the letters of Σ coefficient·letter, slowest first, if it counts 0, 1, 2, … once.

    So does 6·h + 2·i + j, where i takes 3 values and j takes 2. No letters where it doesn't.
    """
    order = sorted(terms, key=lambda letter: (-terms[letter], -size(letter), letter.name))
    step = 1
    for letter in reversed(order):
        if terms[letter] != step:
            return ()
        step *= size(letter)
    return tuple(order)


# ---------------------------------------------------------------- binding


def primed(letter: Index) -> Index:
    """Return the letter's second copy: the same range, running on its own."""
    return letter.called(f"{letter.name}'")


def binds(expr: Expr) -> bool:
    """Say whether the expression binds indices of its own: a sum does, a softmax doesn't."""
    return isinstance(expr, fn.Reduction) and not isinstance(expr, fn.Along)


def substitute(expr: Expr, renaming: Renaming) -> Expr:
    """Put expressions in the place of free indices, minding the bound ones.

    A bound index that would capture a letter coming in is primed first.
    """
    free = indices(expr)
    renaming = {old: new for old, new in renaming.items() if old != new and old in free}
    if not renaming:
        return expr
    if binds(expr):
        coming = {letter for new in renaming.values() for letter in indices(new)}
        clash = {letter: _fresh(letter, {*coming, *free}) for letter in expr.bound}
        clash = {old: new for old, new in clash.items() if old in coming}
        bound = (clash.get(letter, letter) for letter in expr.bound)
        return expr.func(substitute(substitute(expr.body, clash), renaming), *bound)
    if expr in renaming:
        return renaming[expr]
    return expr.func(*(substitute(arg, renaming) for arg in expr.args))


def _fresh(letter: Index, taken: set[Index]) -> Index:
    while letter in taken:
        letter = primed(letter)
    return letter


def apart(expr: Expr) -> Expr:
    """Return the expression with no index bound that is free in it, or bound at another place."""
    used = {letter.name for letter in indices(expr)}

    def walk(part: Expr) -> Expr:
        if not part.has(fn.Reduction):
            return part
        if not binds(part):
            return part.func(*(walk(arg) for arg in part.args))
        renaming: dict[Expr, Expr] = {}
        for letter in part.bound:
            name = letter.name
            while name in used:
                name += "'"
            used.add(name)
            renaming[letter] = letter.called(name)
        return part.func(walk(substitute(part.body, renaming)), *renaming.values())

    return walk(expr)


def tidy(
    expr: Expr,
    free: Iterable[Index] = (),
    meaning: Callable[[Index], Hashable] = attrgetter("range"),
    known: dict[str, Hashable] | None = None,
) -> Expr:
    """Give bound indices plain letters, so that a letter means one thing at each place.

    No bound index has the letter of a free one (of `free`, or of the expression) or of a sum
    around it, and a letter means one range throughout; `meaning` says what a range is, `known`
    which letters mean what already, and is added to.
    """
    meant = {} if known is None else known
    given = {*free, *indices(expr)}
    meant |= {letter.name: meaning(letter) for letter in sorted(given, key=str)}

    def walk(part: Expr, scope: frozenset[str]) -> Expr:
        if not part.has(fn.Reduction):
            return part
        if not binds(part):
            return part.func(*(walk(arg, scope) for arg in part.args))
        renaming: dict[Expr, Expr] = {}
        for letter in part.bound:
            means = meaning(letter)
            name = next(
                name
                for name in _choices(letter)
                if name not in scope and meant.get(name, means) == means
            )
            meant[name] = means
            scope |= {name}
            renaming[letter] = letter.called(name)
        return part.func(walk(substitute(part.body, renaming), scope), *renaming.values())

    return walk(expr, frozenset(letter.name for letter in given))


def _choices(letter: Index) -> Iterator[str]:
    """Yield what an index may be called: as it is without primes, then further letters."""
    first = letter.name.rstrip("'")
    yield first
    start = ascii_lowercase.find(first[0]) + 1 if len(first) == 1 else 0
    yield from ascii_lowercase[start:] + ascii_lowercase[:start]
    primes = "'"
    while True:
        yield first + primes
        primes += "'"


def all_primed(expr: Expr) -> Expr:
    """Return the expression with every index, bound ones too, in its second copy."""
    return expr.xreplace({letter: primed(letter) for letter in letters(expr)})


# ---------------------------------------------------------------- deltas


def delta(i: Expr, j: Expr) -> Expr:
    """Return Kronecker's δ(i, j): 1 where both indices are the same, else 0."""
    return fn.Delta(i, j)


def compared(kronecker: Expr) -> Expr:
    """Return a delta as the comparison [i = j], a number behind the letter."""
    return fn.eq(*sorted(kronecker.args, key=lambda part: (bool(part.is_Integer), str(part))))


def all_compared(expr: Expr) -> Expr:
    """Return an expression with every delta as a comparison."""
    return expr.xreplace({delta: compared(delta) for delta in deltas(expr)})


def holds_delta(expr: Expr) -> bool:
    """Say whether a Kronecker delta stands anywhere in the expression."""
    return bool(expr.has(fn.Delta))


def deltas(expr: Expr) -> list[Expr]:
    """Return the Kronecker deltas of an expression, each once, in the order they stand."""
    found = (part for part in preorder_traversal(expr) if isinstance(part, fn.Delta))
    return list(dict.fromkeys(found))


def factors(expr: Expr) -> list[Expr]:
    """Return the factors of a product, numbers first."""
    return list(Mul.make_args(expr))


def product(parts: Iterable[Expr]) -> Expr:
    """Multiply."""
    made: Expr = S.One
    for part in parts:
        made = made * part
    return made


def contract(expr: Expr, incoming: Expr | None = None, *, stepwise: bool = False) -> Expr:
    """Return the expression with its Kronecker deltas used up: each has removed a bound index.

    A delta between free indices becomes the comparison [i = j]. A delta stays where a sum over it
    adds to a computed place: Σ_{i,p} δ(2·i + p, u)·f(i, p), or Σ_n δ(label[n], k)·f(n).

    `incoming` is the adjoint that comes in, an access that reads 0 outside of its array. It allows
    Σ_i δ(i + p, u)·∂L/∂z[i]·f(i) = ∂L/∂z[u − p]·f(u − p): what f is out there doesn't matter.
    Where f may be infinite there, that is done for the adjoint of a recurrence alone (`stepwise`),
    as nothing is added up at places step by step: f counts as 0 there.
    """
    if not holds_delta(expr):
        return expr
    terms = _terms(apart(expr), ())
    return factored([_collapsed(term, bound, incoming, stepwise) for term, bound in terms])


def _terms(expr: Expr, bound: tuple[Index, ...]) -> Iterator[tuple[list[Expr], tuple[Index, ...]]]:
    """Yield the terms of an expression under a sum: the factors of each, and its bound indices.

    Sums and products are opened only where they hold a delta. All bound indices are apart.
    """
    if isinstance(expr, Add) and holds_delta(expr):
        plain = [arg for arg in expr.args if not holds_delta(arg)]
        if plain:
            yield [Add(*plain)], bound
        for arg in expr.args:
            if holds_delta(arg):
                yield from _terms(arg, bound)
        return
    if isinstance(expr, fn.SumOver) and holds_delta(expr):
        yield from _terms(expr.body, bound + expr.bound)
        return
    parts = factors(expr)
    opened = next((part for part in parts if _opens(part)), None)
    if opened is None:
        yield parts, bound
        return
    others = [part for part in parts if part is not opened]
    for term, within in _terms(opened, bound):
        yield from _terms_of_product([*others, *term], within)


def _terms_of_product(
    parts: list[Expr], bound: tuple[Index, ...]
) -> Iterator[tuple[list[Expr], tuple[Index, ...]]]:
    if any(_opens(part) for part in parts):
        yield from _terms(product(parts), bound)
    else:
        yield parts, bound


def _opens(part: Expr) -> bool:
    return isinstance(part, Add | fn.SumOver) and holds_delta(part)


def unify(total: Expr, renaming: Renaming) -> Expr:
    """Rename the bound indices of one reduction."""
    bound = (renaming.get(letter, letter) for letter in total.bound)
    return total.func(substitute(total.body, renaming), *bound)


def _collapsed(
    parts: list[Expr], bound: tuple[Index, ...], incoming: Expr | None, stepwise: bool
) -> Expr:
    """Return Σ_bound Π parts with its deltas used up."""
    left, running = list(parts), list(bound)
    waiting = [part for part in left if isinstance(part, fn.Delta)]
    while waiting:
        found = next((solved for d in waiting if (solved := _solved(d, left, running))), None)
        shifted = found is None
        found = found or next(
            (s for d in waiting if (s := _shifted(d, left, running, incoming, stepwise))), None
        )
        if found is None:
            break
        delta, gone, stays = found
        running.remove(gone)  # Σ_i δ(i,a)·f(i) = f(a)
        left.remove(delta)
        if shifted:
            left = [
                part if _is_harmless(part, gone) else _inside(part, gone, stays) for part in left
            ]
        left = [f for part in left for f in factors(substitute(part, {gone: stays}))]
        waiting = [part for part in left if isinstance(part, fn.Delta)]
    for delta in waiting:
        if not indices(delta) & set(running):
            left[left.index(delta)] = compared(delta)
    return summed(left, running)


Solved = tuple[Expr, Index, Expr]  # the delta, the index that goes, what it is


def _solved(delta: Expr, left: list[Expr], running: list[Index]) -> Solved | None:
    """Solve a delta of plain indices: δ(i, a) for i, where i runs."""
    first, second = delta.args
    for gone, stays in ((first, second), (second, first)):
        if gone in running and isinstance(stays, Index | Integer):
            return delta, gone, stays
    return None


def _shifted(
    delta: Expr, left: list[Expr], running: list[Index], incoming: Expr | None, stepwise: bool
) -> Solved | None:
    """Solve δ(i + p, u) for i, where the incoming adjoint at i takes care of its range."""
    parts = [affine(side) for side in delta.args]
    if parts[0] is None or parts[1] is None or not isinstance(incoming, Indexed):
        return None
    (first, here), (second, there) = parts[0], parts[1]
    total = {x: here.get(x, 0) - there.get(x, 0) for x in (*here, *there)}
    masks = [part for part in left if isinstance(part, Indexed) and part.base == incoming.base]
    for gone, coefficient in total.items():
        masked = any(gone in mask.indices for mask in masks)
        others_stay = stepwise or all(
            _is_harmless(part, gone) for part in left if part is not delta
        )
        moved = {x for mask in masks for x in indices(mask)} & (total.keys() - {gone})
        if stepwise and moved:  # ∂L/∂z[t, 2·t − l] isn't a step's: [k = 2·t − l]·∂L/∂z[t, k] is
            continue
        if gone in running and abs(coefficient) == 1 and masked and others_stay:
            others = [-coefficient * c * x for x, c in total.items() if x != gone]
            return delta, gone, Add(*others, -coefficient * first, coefficient * second)
    return None


def _is_harmless(part: Expr, letter: Index) -> bool:
    """Say whether a factor stays finite where the letter leaves its range and reads zeros."""
    if letter not in indices(part) or isinstance(part, Indexed):
        return True
    reductions = (f for f in part.atoms(fn.Reduction) if f.has(Indexed))
    steep = (f for f in part.atoms(*STEEP) if letter in indices(_without_reads(f)))
    functions = (*reductions, *steep, *part.atoms(*POLES))
    return not any(letter in indices(f) for f in functions) and not any(
        power.has(letter) and not power.exp.is_positive for power in part.atoms(Pow)
    )


def _without_reads(expr: Expr) -> Expr:
    return expr.xreplace(dict.fromkeys(accesses(expr), S.Zero))


def _inside(part: Expr, letter: Index, place: Expr) -> Expr:
    """Return a factor that counts as 0 where the letter, at its place, leaves its range."""
    offset, terms = affine(place) or (S.Zero, {})
    after, before = fn.ge(place, 0), fn.lt(place, fn.size(letter))
    shifted = list(terms.values()) == [1]
    if shifted and offset.is_positive:
        return fn.where(before, part, 0)
    if shifted and offset.is_negative:
        return fn.where(after, part, 0)
    return fn.where(after * before, part, 0)


def of_constant(expr: Expr) -> Expr:
    """Return a maximum, a product and the like without the indices its body doesn't depend on."""
    running = [letter for letter in expr.bound if letter in indices(expr.body)]
    if isinstance(expr, fn.ArgMax):  # the first of equal values
        return S.Zero
    inner = expr.func(expr.body, *running) if running else expr.body
    if isinstance(expr, fn.ProdOver):
        return fn.power(inner, product(fn.size(x) for x in expr.bound if x not in running))
    return inner


def places_of(total: Expr) -> tuple[dict[Index, Expr], list[Expr]]:
    """Split Σ δ(u, place)·f·g: the place that each free index u stands for, and the factors f, g.

    A delta that isn't of this form becomes a factor, the comparison [i = j].
    """
    places: dict[Index, Expr] = {}
    parts: list[Expr] = []
    for part in factors(total.body):
        if isinstance(part, fn.Delta):
            at, place = part.args if not indices(part.args[0]) & {*total.bound} else part.args[::-1]
            apart = isinstance(at, Index) and at not in {*total.bound, *places, *indices(place)}
            if apart:  # of δ(k, k − 1) neither is the other's place
                places[at] = place
                continue
        parts.append(all_compared(part))
    return places, parts


def at_place(expr: Expr, u: Index) -> tuple[int, Expr] | None:
    """Return the place k and f of f·δ(u, k) or f·[u = k], where f doesn't depend on u."""
    parts = factors(expr)
    for part in parts:
        if isinstance(part, fn.Delta | fn.eq) and u in part.args:
            other = part.args[1] if part.args[0] == u else part.args[0]
            rest = product(x for x in parts if x is not part)
            if isinstance(other, Integer) and u not in indices(rest):
                return int(other), rest
    return None


@dataclass(frozen=True, slots=True)
class Unfolded:
    """f(u) as g(letters), where u = offset + the letters joined row-major, each value met once."""

    rhs: Expr
    letters: tuple[Index, ...]
    offset: int
    count: int


def unfolded(
    rhs: Expr,
    u: Index,
    size: Callable[[Index], int],
    number: Callable[[Expr], int],
    along: Callable[[Expr, int], Index | None],
) -> Unfolded | None:
    """Undo a sum that has one term for each u: Σ_s z[s, u − 3·s] is z[s, i] at u = 3·s + i.

    Likewise Σ_{s,i} δ(u, 3·s + i)·f(s, i) is f(s, i) there. `number` works a size out, `along`
    gives a new letter for an axis of an access, None where its length is known at run time only.
    """
    around = [part for part in factors(rhs) if not isinstance(part, fn.SumOver)]
    totals = [part for part in factors(rhs) if isinstance(part, fn.SumOver)]
    if len(totals) != 1 or u not in indices(totals[0]):
        return None
    parts = factors(totals[0].body)
    for part, place in _places(parts, u, along):
        found = affine(place)
        if found is None:
            continue
        letters = row_major(found[1], size)
        new = [x for x in letters if x not in totals[0].bound]
        count = prod(size(letter) for letter in letters)
        if not letters or not count or len(new) > isinstance(part, Indexed):
            continue
        rest = [x for x in parts if x is not part] if isinstance(part, fn.Delta) else parts
        left = [letter for letter in totals[0].bound if letter not in letters]
        inside = [substitute(x, {u: place}) for x in rest]
        outside = [substitute(x, {u: place}) for x in around]
        made = product([*outside, summed([f for x in inside for f in factors(x)], left)])
        return Unfolded(made, letters, number(found[0]), count)
    return None


def _places(
    parts: list[Expr], u: Index, along: Callable[[Expr, int], Index | None]
) -> Iterator[tuple[Expr, Expr]]:
    """Yield what u is, by a delta, or by an access that reads 0 wherever u is something else."""
    for part in parts:
        if isinstance(part, fn.Delta) and u in part.args:
            first, second = part.args
            yield part, second if first == u else first
        if isinstance(part, Indexed):
            for axis, at in enumerate(part.indices):
                found = None if at == u else affine(at)
                if found is None or found[1].get(u) != 1:
                    continue
                letter = along(part, axis)
                if letter is not None:
                    others = (-c * x for x, c in found[1].items() if x != u)
                    yield part, Add(letter, *others, -found[0])


def summed(parts: list[Expr], bound: Iterable[Index]) -> Expr:
    """Return Σ_bound Π parts, what doesn't depend on the bound indices in front of the sum."""
    running = tuple(bound)
    inside = [part for part in parts if indices(part) & set(running)]
    outside = [part for part in parts if not indices(part) & set(running)]
    used = {letter for part in inside for letter in indices(part)}
    free = [letter for letter in running if letter not in used]  # Σ_i 1 = how many i there are
    running = tuple(letter for letter in running if letter in used)
    counted = product([*outside, *(fn.size(letter) for letter in free)])
    if not running:
        return counted
    whole = product(inside)
    number, rest = whole.as_coeff_Mul()
    if isinstance(rest, fn.SumOver):  # Σ_n Σ_k = Σ_{n,k}
        return counted * number * fn.SumOver(rest.body, *running, *rest.bound)
    return counted * number * fn.SumOver(rest, *running)


def factored(terms: list[Expr]) -> Expr:
    """Add terms, with the factors that all have in common in front: p·u − p·v = p·(u − v)."""
    total = Add(*terms)
    if not isinstance(total, Add):
        return total
    powers = [_powers(term) for term in total.args]
    common = {
        base: min((power[base] for power in powers), key=abs)
        for base in powers[0]
        if all(base in power for power in powers)
        and len({power[base] > 0 for power in powers}) == 1
    }
    if not common:
        return total
    front = product(base**power for base, power in common.items())
    return front * Add(*(term / front for term in total.args))


def _powers(term: Expr) -> dict[Expr, Expr]:
    """Return a term's factors that aren't numbers, with their whole exponents."""
    found: dict[Expr, Expr] = {}
    for part in factors(term):
        base, power = part.as_base_exp() if isinstance(part, Pow) else (part, S.One)
        if not part.is_Number:
            found[base] = power
    return found


@lru_cache(maxsize=8192)
def scalars(expr: Expr) -> tuple[Symbol, ...]:
    """Return the symbols of an expression that are tensors without axes, in a fixed order."""
    labels = {access.base.label for access in expr.atoms(Indexed)}
    found = {
        s
        for s in expr.free_symbols
        if isinstance(s, Symbol) and not isinstance(s, Index) and s not in labels
    }
    return tuple(sorted(found, key=lambda symbol: symbol.name))
