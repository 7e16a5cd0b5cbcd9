"""Which loops are worth several threads, and which sums threads can gain by parts."""

from collections.abc import Iterable
from math import prod

from symback.program import Apply, Dim, Lookup
from symback.targets._loops.nodes import (
    CHEAP,
    Access,
    Gain,
    Known,
    Leaf,
    Loop,
    Node,
    Own,
    Product,
    Put,
    Start,
    Strided,
    inside,
    place_of,
    values_of,
    writes_of,
)

GAINED = 1 << 15  # numbers up to which such sums are worth an array for each part
THREADS = 1 << 18  # rounds of a loop from which on several threads are worth starting
DEAR = 8  # rounds of a loop that take as long as an exponential


def rounds(node: Node, rows: int) -> int:
    """Return how many innermost rounds a nest has in a batch of so many examples.

    A call of exp or the like counts as DEAR rounds.
    """
    if isinstance(node, Product):
        return prod(dim if isinstance(dim, int) else rows for _, dim in node.sizes) // 8
    if not isinstance(node, Loop):
        return DEAR * sum(
            isinstance(part, Apply) and part.function not in CHEAP | {"divide", "power"}
            for part in values_of(node)
        )
    size = node.size if isinstance(node.size, int) else rows
    return size * max(sum(rounds(part, rows) for part in node.body), 1)


def is_parallel(loop: Loop, known: Known) -> bool:
    """Tell whether a loop is worth several threads, and what each round writes is its own."""
    return gained_over(loop, known) == frozenset()


def gained_over(loop: Loop, known: Known) -> frozenset[str] | None:
    """Return the arrays that a loop worth several threads gains sums in over all its rounds.

    None where rounds write the same places otherwise, or such arrays are too large to be held for
    each part of the batch.
    """
    return shares(loop, known) if rounds(loop, known.rows) >= THREADS else None


def shares(loop: Loop, known: Known) -> frozenset[str] | None:
    """Return the arrays that a loop gains sums in, None where threads can't share its rounds."""
    if loop.serial:
        return None
    nodes = list(inside(loop))
    local = {
        node.target.name
        for node in nodes
        if isinstance(node, Start) or (isinstance(node, Put) and not node.target.axes)
    }
    local |= {node.tensor.name for node in nodes if isinstance(node, Own)}
    writes = [
        (node, access)
        for node in nodes
        if not isinstance(node, Start)
        for access in writes_of(node)
        if access.name not in local
    ]
    shared_ = [(node, a) for node, a in writes if not is_own(a, loop.letter)]
    names = frozenset(access.name for _, access in shared_)
    others = [(node, a) for node, a in writes if is_own(a, loop.letter) and a.name in names]
    read = {value.name for node in nodes for value in values_of(node) if isinstance(value, Leaf)}
    sizes = [size_of(known.shapes.get(name, ("",))) for name in names]
    sums = all(is_sum(node) and isinstance(access, Strided) for node, access in shared_)
    if names and (not sums or others or names & read or isinstance(loop.size, int)):
        return None
    return names if all(sizes) and sum(sizes) <= GAINED else None


def is_own(access: Access, letter: str) -> bool:
    """Tell whether each round of a letter's loop has a place of its own there."""
    if isinstance(access, Lookup):
        return place_of(access, letter) is not None
    return letter in access.axes


def is_sum(node: Node) -> bool:
    return (isinstance(node, Gain) and node.function == "sum") or (
        isinstance(node, Product) and node.more
    )


def size_of(shape: Iterable[Dim]) -> int:
    """Return how many numbers an array has; 0 where that is known at run time only."""
    return prod(dim if isinstance(dim, int) else 0 for dim in shape)
