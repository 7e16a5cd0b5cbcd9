"""The value of an expression of numbers."""

import math
from collections.abc import Mapping

from sympy import Add, Expr, Mul, Pow, Rational, Symbol, pi

from symback import functions as fn


def numeric(expr: Expr, constants: Mapping[str, float] | None = None) -> float | None:
    """Return the value of an expression of numbers and named constants, None for any other.

    Raises ArithmeticError or ValueError where it has no finite value.
    """
    if isinstance(expr, Symbol) and constants:
        return constants.get(expr.name)
    if isinstance(expr, Rational):
        return float(expr.p / expr.q)
    if expr is pi:
        return math.pi
    if isinstance(expr, Add | Mul | Pow | fn.Elementwise):
        values = [numeric(arg, constants) for arg in expr.args]
        known = [value for value in values if value is not None]
        return _apply(expr, known) if len(known) == len(values) else None
    return None


def _apply(expr: Expr, values: list[float]) -> float:
    match expr:
        case Add():
            return math.fsum(values)
        case Mul():
            return math.prod(values)
        case Pow():
            return math.pow(*values)
        case _:
            return float(type(expr).number(*values))
