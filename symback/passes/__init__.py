"""Passes: Program → Program, the same mathematics in a form that runs faster."""

from collections.abc import Callable
from functools import reduce

from symback.passes.buffers import buffers
from symback.passes.columns import columned
from symback.passes.folding import folded
from symback.passes.hoisting import hoisted
from symback.passes.products import ordered_products
from symback.passes.sharing import shared
from symback.passes.stepping import stepwise
from symback.passes.storage import stored
from symback.passes.windowing import windowed
from symback.program import Program

__all__ = [
    "LOOPS",
    "PASSES",
    "buffers",
    "columned",
    "fast",
    "folded",
    "hoisted",
    "looped",
    "ordered_products",
    "shared",
    "stepwise",
    "stored",
    "windowed",
]

PASSES: tuple[Callable[[Program], Program], ...] = (
    ordered_products,
    windowed,
    shared,
    folded,
    stepwise,
    columned,
    buffers,
    hoisted,
    stored,
)
LOOPS: tuple[Callable[[Program], Program], ...] = (ordered_products,)


def fast(program: Program) -> Program:
    """Return the program after all passes, for a target whose statements write in place."""
    return reduce(lambda made, each: each(made), PASSES, program)


def looped(program: Program) -> Program:
    """Return the program after the passes for a target that makes loops of it."""
    return reduce(lambda made, each: each(made), LOOPS, program)
