"""Which names statements read and write, and which statements a value needs."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from symback.printing import walk
from symback.program import Expr, Leaf, Program, Statement


def read_names(expr: Expr) -> Iterable[str]:
    """Return the names an expression reads, in order, again where it reads them again."""
    return (node.name for node in walk(expr) if isinstance(node, Leaf))


def reads(statements: Iterable[Statement]) -> dict[str, None]:
    """Return the names that statements read, each once, in order."""
    return dict.fromkeys(name for s in statements for name in read_names(s.value))


def incoming(statements: Sequence[Statement]) -> dict[str, None]:
    """Return the names that statements read before they write them."""
    written: set[str] = set()
    before: dict[str, None] = {}
    for statement in statements:
        before |= {n: None for n in read_names(statement.value) if n not in written}
        written.add(statement.target.name)
    return before


def writes(name: str, statements: Iterable[Statement]) -> bool:
    return any(statement.target.name == name for statement in statements)


def needed_by(statements: Sequence[Statement], wanted: Iterable[str]) -> tuple[Statement, ...]:
    """Return the statements whose values are wanted, with those they read, in order.

    A recurrence's read each other, the later ones too.
    """
    needed = set(wanted)
    while True:
        kept = [statement for statement in statements if statement.target.name in needed]
        more = needed | {name for statement in kept for name in read_names(statement.value)}
        if more == needed:
            return tuple(kept)
        needed = more


def live(program: Program) -> Program:
    """Return the program without statements of the loss that neither it nor an adjoint reads."""
    parts = (view.tensor.name for view in program.views)  # who writes them writes an array
    wanted = (program.objective, program.weight, *reads(program.backward), *parts)
    return replace(program, loss=needed_by(program.loss, wanted))


def weighing(program: Program) -> tuple[Statement, ...]:
    """Return the statements that compute what a batch counts for in a mean over batches.

    A loss L = S/D of a sum S over examples has, for batches b, S = Σ_b D_b·L_b and D = Σ_b D_b, and
    its gradient likewise. D is the number of examples, or is computed by the loss's statements
    (the sum of the weights of the labels met); where L is a sum itself, parts add up.
    """
    return () if program.weight in {"", "n"} else needed_by(program.loss, [program.weight])
