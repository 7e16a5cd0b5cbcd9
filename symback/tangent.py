"""Tangents: how fast a formula's value moves when what it reads moves.

With a and b moving at ȧ and ḃ along some direction, z = f(a, b) moves at

    ż[o] = Σ_i ∂z[o]/∂a[i]·ȧ[i] + Σ_j ∂z[o]/∂b[j]·ḃ[j]

which is the derivative of f(a + ε·ȧ, b + ε·ḃ) by ε at ε = 0: a formula in index notation again.
"""

from collections.abc import Mapping

from sympy import Expr, S, Symbol

from symback import branches
from symback import functions as fn
from symback import index as ix

STEP = Symbol("ε", real=True)


def tangent(rhs: Expr, moving: Mapping[Expr, Expr]) -> Expr:
    """Return the tangent of an expression; `moving` has that of each access (or scalar) in it.

    Deltas in those tangents, as of a direction along one element, are used up.
    """
    moved = {access: access + STEP * speed for access, speed in moving.items() if speed != 0}
    slope = rhs.xreplace(moved).diff(STEP).xreplace({STEP: S.Zero})
    if slope.has(fn.SumOver) or ix.holds_delta(slope):
        slope = ix.contract(slope)
    return branches.merged(slope)
