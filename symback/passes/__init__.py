"""Passes: Program → Program, the same mathematics in a form that runs faster."""

from collections.abc import Callable
from functools import reduce

from symback.passes.buffers import buffers
from symback.passes.folding import folded
from symback.passes.hoisting import hoisted
from symback.passes.products import ordered_products
from symback.passes.sharing import shared
from symback.passes.storage import stored
from symback.program import Program

__all__ = ["PASSES", "buffers", "fast", "folded", "hoisted", "ordered_products", "shared", "stored"]

PASSES: tuple[Callable[[Program], Program], ...] = (
    ordered_products,
    shared,
    folded,
    buffers,
    hoisted,
    stored,
)


def fast(program: Program) -> Program:
    """Return the program after all passes."""
    return reduce(lambda made, each: each(made), PASSES, program)
