"""What stands at the place of the largest value is the largest value.

    a[n,i] = argmax_p(x[n,2·i + p])
    y[n,i] = Σ_p {x[n,2·i + p] where p = a[n,i]}

is written in two equations so that the gradient goes to one place even where several are largest;
forward the second is y[n,i] = max_p(x[n,2·i + p]).
"""

from collections.abc import Sequence
from dataclasses import replace

from sympy import Expr, Indexed

from symback import functions as fn
from symback import index as ix
from symback import notation
from symback.derivation import Line, Term
from symback.graph import Equation, name_of, subscripts

LARGEST = {fn.ArgMax: fn.MaxOver, fn.ArgMin: fn.MinOver}


def with_extremes(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Return lines with a maximum or a minimum where the value at its place is read."""
    places: dict[str, Term] = {}
    made: list[Line] = []
    for line in lines:
        if len(line.terms) == 1 and type(line.terms[0].equation.rhs) in LARGEST:
            places[line.target] = line.terms[0]
        made.append(replace(line, terms=tuple(_extreme(term, places) for term in line.terms)))
    return tuple(made)


def _extreme(term: Term, places: dict[str, Term]) -> Term:
    """Return the term as a maximum where it reads the value at a place among `places`."""
    total = term.equation.rhs
    if not (isinstance(total, fn.SumOver) and len(total.bound) == 1):
        return term
    [letter], chosen = total.bound, total.body
    if not (isinstance(chosen, fn.where) and isinstance(chosen.args[0], fn.eq)):
        return term
    condition, value, other = chosen.args
    [place] = [side for side in condition.args if side != letter] or [letter]
    if other != 0 or letter not in condition.args or not isinstance(place, Indexed):
        return term
    found = places.get(dict(term.names)[name_of(place)])
    if found is None or _read(value, term) != _read(_at(found, place, letter), found):
        return term
    largest = LARGEST[type(found.equation.rhs)](value, letter)
    return replace(term, equation=Equation(term.equation.target, largest))


def _at(found: Term, place: Indexed, letter: Expr) -> Expr:
    """Return what the place is the largest of, in the letters of the one who reads it."""
    best = found.equation.rhs
    swap = dict(zip(subscripts(found.equation.target), place.indices, strict=True))
    return ix.substitute(ix.substitute(best.body, {best.bound[0]: letter}), swap)


def _read(value: Expr, term: Term) -> str:
    """Return a value over the tensors themselves, whatever letters the term has for them."""
    return notation.text(value, dict(term.names))
