"""Sums of products of two printed arrays: `@` where it is one of matrices, einsum elsewhere."""

from collections.abc import Sequence

from symback.printing import Level, ordered, tuple_text
from symback.targets.numpy.array import Array, Kind, transposed


def matrix_product(
    left: Array, right: Array, over: tuple[str, ...], want: tuple[str, ...]
) -> Array | None:
    """Return left @ right where that gives the axes wanted, in order; None elsewhere."""
    found = matrix_operands(left, right, over, want)
    if found is None:
        return None
    text = f"{found[0].at(Level.PRODUCT)} @ {found[1].at(Level.SIGN)}"
    return Array(text, Level.PRODUCT, want, Kind.FLOAT)


def matrix_operands(
    left: Array, right: Array, over: tuple[str, ...], want: tuple[str, ...]
) -> tuple[Array, Array] | None:
    """Return the sides of left @ right where that gives the axes wanted, in order; else None.

    Axes of both that aren't summed must come first, in the same order: a product for each.
    """
    if len(over) != 1:
        return None
    batch = tuple(axis for axis in left.axes if axis in right.axes and axis not in over)
    rows = tuple(axis for axis in left.axes if axis not in right.axes)
    columns = tuple(axis for axis in right.axes if axis not in left.axes)
    if want != batch + rows + columns or len(columns) > 1:
        return None
    if batch and (len(rows) != 1 or len(columns) != 1):
        return None
    if len(rows) > 1:  # x[n,t,i]·W[o,i]: the axes before the last go along
        if left.axes != rows + over:
            return None
    elif left.axes[: len(batch)] != batch:
        return None
    if right.axes[: len(batch)] != batch:
        return None
    first = transposed(left, batch + rows + over)
    second = transposed(right, batch + over + columns)
    if not columns and len(rows) == 1 and first.text != left.text:
        return None  # v @ A rather than A.T @ v
    return first, second


def tensor_product(
    left: Array, right: Array, over: tuple[str, ...], want: tuple[str, ...]
) -> Array | None:
    """Return np.tensordot where it gives the axes wanted, in order; None elsewhere."""
    rows = tuple(axis for axis in left.axes if axis not in over)
    columns = tuple(axis for axis in right.axes if axis not in over)
    if want != rows + columns:
        return None
    over = ordered(over, left.axes)
    if left.axes == rows + over and right.axes == over + columns:
        at = str(len(over))
    else:
        places = (tuple_text(str(side.axes.index(axis)) for axis in over) for side in (left, right))
        at = tuple_text(places)
    text = f"np.tensordot({left.text}, {right.text}, {at})"
    return Array(text, Level.ATOM, want, Kind.FLOAT)


def turned_product(
    left: Array, right: Array, over: tuple[str, ...], want: tuple[str, ...]
) -> Array | None:
    """Return a matrix product for each value of the axes of both, its axes turned as wanted."""
    batch = tuple(axis for axis in want if axis in left.axes and axis in right.axes)
    rows = tuple(axis for axis in want if axis not in right.axes)
    columns = tuple(axis for axis in want if axis not in left.axes)
    if not batch:
        found = tensor_product(left, right, over, rows + columns)
        return found and transposed(found, want)
    if not len(rows) == len(columns) == len(over) == 1:
        return None
    first = transposed(left, batch + rows + over)
    second = transposed(right, batch + over + columns)
    text = f"{first.at(Level.PRODUCT)} @ {second.at(Level.SIGN)}"
    return transposed(Array(text, Level.PRODUCT, batch + rows + columns, Kind.FLOAT), want)


def einsum_letters(operands: Sequence[tuple[str, ...]], want: tuple[str, ...]) -> str:
    """Return einsum's subscripts: the letters themselves where each is one letter."""
    used = [axis for axes in operands for axis in axes]
    free = iter(c for c in "abcdefghijklmnopqrstuvwxyz" if c not in used)
    single = {
        axis: axis if len(axis) == 1 and axis.isascii() else next(free)
        for axis in dict.fromkeys(used)
    }
    inputs, output = (
        ",".join("".join(single[axis] for axis in axes) for axes in group)
        for group in (operands, (want,))
    )
    return f'"{inputs}->{output}"'
