"""A constant factor between two arrays, and what it may be called: 2, −1, N, 1/(2·N)."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

POWERS = (0, -1, 1, -2, 2)
LARGEST = 10_000


def between(theirs: np.ndarray[Any, Any], ours: np.ndarray[Any, Any], tolerance: float) -> float:
    """Return r where theirs = r·ours at every element, NaN where there is no such number."""
    if theirs.shape != ours.shape or not np.isfinite(theirs).all():
        return np.nan
    square = float(np.vdot(ours, ours))
    if not 0 < square < np.inf:
        return np.nan
    r = float(np.vdot(ours, theirs)) / square
    if r == 0:
        return np.nan
    largest = np.abs(r * ours).max(initial=0.0)
    return r if np.abs(theirs - r * ours).max(initial=0.0) <= tolerance * largest else np.nan


def named(ratios: Sequence[float], counts: Sequence[int], tolerance: float) -> str:
    """Return ratios measured at points with N = `counts` examples as a product: "2/N"; else "".

    The number beside a power of N is a fraction of small whole numbers.
    """
    measured = np.array(ratios)
    for power in POWERS:
        rest = measured / np.array(counts, np.float64) ** power
        if not np.ptp(rest) <= tolerance * abs(rest[0]):
            continue
        number = Fraction(float(rest[0])).limit_denominator(LARGEST)
        if number == 0 or abs(float(number) / rest[0] - 1) > tolerance:
            return _text(f"{rest[0]:.6g}", "", power)
        sign = "−" if number < 0 else ""
        return sign + _text(str(abs(number.numerator)), str(number.denominator), power)
    return ""


def _text(above: str, below: str, power: int) -> str:
    counted = {2: "N²", 1: "N", 0: "", -1: "N", -2: "N²"}[power]
    top = [part for part in (above if above != "1" else "", counted if power > 0 else "") if part]
    low = [part for part in (below if below != "1" else "", counted if power < 0 else "") if part]
    shown = "·".join(top) or "1"
    if not low:
        return shown
    return f"{shown}/{low[0]}" if len(low) == 1 else f"{shown}/({'·'.join(low)})"
