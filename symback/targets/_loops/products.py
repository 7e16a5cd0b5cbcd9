"""Which letters of a product are its rows and columns, and how they lie in its operands."""

from symback.printing import ordered
from symback.program import Affine, Contract, Expr, Lookup
from symback.targets._loops.nodes import Strided


def roles(expr: Contract) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the letters of a contraction's rows, of its batch (both sides' own), its columns."""
    left, right = expr.left.axes, expr.right.axes
    rows = tuple(axis for axis in left if axis not in right)
    batch = tuple(axis for axis in left if axis in right and axis not in expr.over)
    columns = tuple(axis for axis in right if axis not in left)
    return rows, batch, columns


def split_windows(
    first: Expr, second: Expr, over: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the summed letters that stand before the columns of windows, and those behind.

    Windows are written row by row as they are read: where what runs along a row is summed, in the
    order of the other matrix, it stays behind all other letters.
    """
    if not (isinstance(second, Lookup) and isinstance(first, Strided)):
        return over, ()
    last = second.places[-1]
    along = together_in(ordered(over, first.axes), first)
    if not (isinstance(last, Affine) and len(last.terms) > 1 and last.axes[0] == along[-1]):
        return over, ()
    if first.axes[-1] != along[-1]:
        return over, ()
    return tuple(letter for letter in over if letter not in along), along


def together_in(letters: tuple[str, ...], *arrays: Strided) -> tuple[str, ...]:
    """Return the last letters that stand next to each other, in this order, in all arrays."""
    for start in range(len(letters)):
        part = letters[start:]
        if all(
            part == array.axes[(at := array.axes.index(part[0])) : at + len(part)]
            for array in arrays
        ):
            return part
    return letters[-1:]


def is_plain(expr: Contract) -> bool:
    """Tell whether every summed letter is one of both sides: what a product of matrices needs."""
    return all(axis in expr.left.axes and axis in expr.right.axes for axis in expr.over)


def is_prefix(axes: tuple[str, ...], loops: tuple[str, ...]) -> bool:
    return set(axes) == set(loops[: len(axes)])
