"""Tangents: how fast a formula's value moves when what it reads moves.

With a and b moving at ȧ and ḃ along some direction, z = f(a, b) moves at

    ż[o] = Σ_i ∂z[o]/∂a[i]·ȧ[i] + Σ_j ∂z[o]/∂b[j]·ḃ[j]

which is the derivative of f(a + ε·ȧ, b + ε·ḃ) by ε at ε = 0: a formula in index notation again.
"""

from collections.abc import Iterable, Mapping

from sympy import Add, Expr, S, Symbol

from symback import branches
from symback import index as ix
from symback.functions import Index
from symback.naming import FREE_LETTERS

STEP = Symbol("ε", real=True)


def tangent(rhs: Expr, moving: Mapping[Expr, Expr]) -> Expr:
    """Return the tangent of an expression; `moving` has that of each access (or scalar) in it.

    Deltas in those tangents, as of a direction along one element, are used up. What each access
    contributes is a term of its own, so that a sum of products stays one.
    """
    terms = []
    for access, speed in moving.items():
        if speed != 0:
            moved = rhs.xreplace({access: access + STEP * speed})
            slope = moved.diff(STEP).xreplace({STEP: S.Zero})
            terms.append(ix.contract(slope) if ix.holds_delta(slope) else slope)
    return branches.merged(Add(*terms))


def direction_letters(tensor: str, axes: Iterable[int], used: set[str]) -> tuple[Index, ...]:
    """Return a letter for each of these axes of the tensor that moves, none of them in use."""
    spare = iter([letter for letter in FREE_LETTERS if letter not in used])
    return tuple(Index(next(spare), f"∂{tensor}:{axis}") for axis in axes)


def letter_of(name: str, names: dict[str, str]) -> str:
    """Return the letter that a tensor has among `names`, by letter; a new one is noted there."""
    letter = name
    while names.setdefault(letter, name) != name:
        letter += "_"
    return letter
