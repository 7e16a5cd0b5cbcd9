"""Recurrences step by step: what an expression reads of arrays at one step."""

from collections.abc import Callable

from symback import printing
from symback.errors import Mistake, UserError
from symback.program import (
    Apply,
    Contract,
    Expr,
    Leaf,
    Lookup,
    Loop,
    Matrix,
    Position,
    Read,
    Reduce,
    Slice,
    Split,
    Stack,
    mapped,
)


def at_step(
    expr: Expr,
    loop: Loop,
    part: Callable[[Leaf | Position], Expr],
) -> Expr:
    """Return an expression at a step: of each array along the loop's letter, `part` reads that.

    Raises UserError for what can't be computed at one step.
    """
    if loop.letter not in printing.free(expr):
        return expr

    def inner(expr: Expr) -> Expr:
        return at_step(expr, loop, part)

    match expr:
        case Position() | Read() | Split() | Slice() | Lookup() as leaf:
            return part(leaf)
        case Apply() | Reduce() | Contract() | Stack() as whole:
            return mapped(whole, inner)
        case Matrix(function, operand):
            of_step = part(operand)
            assert isinstance(of_step, Read)
            return Matrix(function, of_step)
    raise UserError(
        Mistake(
            f"the recurrence over {loop.letter} would compute a {type(expr).__name__} at each "
            "step, which isn't written step by step",
            hint="compute it in a layer of its own, before the recurrence or after it",
        )
    )


def step_axis(expr: Lookup, loop: Loop) -> int:
    """Return the first axis whose place the steps move."""
    return next(k for k, place in enumerate(expr.places) if loop.letter in place.axes)


def others(expr: Lookup, loop: Loop) -> Lookup:
    """Return a Lookup of what one step has of an array: its other places."""
    axis = step_axis(expr, loop)
    places = (*expr.places[:axis], *expr.places[axis + 1 :])
    sizes = tuple(pair for pair in expr.sizes if pair[0] != loop.letter)
    return Lookup(expr.name, places, sizes)


def earlier(expr: Lookup, loop: Loop) -> tuple[int, Lookup]:
    """Return how far away a step is whose values are read, and the places that are read of it.

    Raises UserError where that isn't the same at every step.
    """
    place, rest = expr.places[step_axis(expr, loop)], others(expr, loop)
    apart = any(loop.letter in other.axes for other in rest.places)
    if apart or isinstance(place, Read) or place.terms != ((loop.letter, 1),):
        raise UserError(
            Mistake(
                f"the gradient of this recurrence over {loop.letter} reads `{expr.name}` at steps "
                "that don't follow each other, which this target can't write",
                hint=f"compute what depends on multiples of {loop.letter} in a layer before it",
            )
        )
    return place.offset, rest
