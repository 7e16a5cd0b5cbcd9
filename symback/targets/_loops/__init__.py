"""Statements as nests of loops, for printers of languages that have loops and no arrays' algebra.

A statement over letters becomes loops over its target's letters. A sum inside of it gets loops of
its own, outside of every loop that it doesn't depend on; a sum of products that is a product of
matrices becomes a `Product`. Loops that run over the same range are then joined where no value is
needed before it is there, so that what one loop computes is still at hand for the next.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from symback import printing
from symback.program import Program, Statement
from symback.targets._loops.finishing import PARTS, Finishing
from symback.targets._loops.joining import joined
from symback.targets._loops.nodes import (
    Access,
    Best,
    Call,
    Gain,
    Known,
    Leaf,
    Lined,
    Loop,
    Nests,
    Node,
    Own,
    Parts,
    Product,
    Put,
    Shares,
    Start,
    Strided,
    inside,
    once,
    reads_of,
    replaced,
    values_of,
    writes_of,
)
from symback.targets._loops.threads import THREADS, is_parallel, rounds
from symback.targets._loops.writing import Workshop

__all__ = [
    "PARTS",
    "THREADS",
    "Access",
    "Best",
    "Call",
    "Gain",
    "Known",
    "Leaf",
    "Lined",
    "Loop",
    "Nests",
    "Node",
    "Own",
    "Parts",
    "Product",
    "Put",
    "Shares",
    "Start",
    "Strided",
    "inside",
    "is_parallel",
    "nests",
    "once",
    "reads_of",
    "replaced",
    "rounds",
    "values_of",
    "writes_of",
]


def nests(
    statements: Sequence[Statement],
    program: Program,
    taken: Iterable[str],
    *,
    rows: int,
    blas: bool,
    owners: Mapping[str, str],
) -> Nests:
    """Return statements as loops, joined where that can be.

    `taken`: names not to be used; `rows`: the examples of a batch, as far as is known; `blas`:
    large products may be left to a library; `owners`: arrays that are others seen with other axes.
    """
    arrays = printing.arrays(program)
    letters = {letter for s in statements for letter in printing.ranges_among(s, arrays)}
    work = Workshop(program, {*taken, *letters}, rows, blas)
    for loop, group in groupby(statements, lambda statement: statement.loop):
        if loop is None:
            for statement in group:
                work.add(statement)
        else:
            work.recur(tuple(group), loop.letter, loop.step)
    shapes = {t.name: t.shape for t in (*program.tensors, *work.scratch.values())}
    known = Known(rows, shapes, owners)
    made = Finishing(work, known).finished(joined(work.nodes, known))
    return replace(made, nodes=tuple(part for node in made.nodes for part in once(node)))
