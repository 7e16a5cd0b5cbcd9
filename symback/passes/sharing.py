"""Sharing: what several statements work out is worked out once. No bit changes.

Two expressions are the same if they differ by their letters alone: z[n,o] − t[n,o] in the loss is
z[n,k] − t[n,k] in an adjoint.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from symback.passes.names import all_names, names
from symback.printing import COMPARISONS, formula, natural, ranges, walk
from symback.program import (
    Apply,
    Concatenate,
    Contract,
    Dim,
    Expr,
    Number,
    Position,
    Program,
    Read,
    Reduce,
    Role,
    Scatter,
    Size,
    Statement,
    Tensor,
)

KNOWN = (Apply, Contract, Number, Position, Read, Reduce, Size)
TRUTHS = {*COMPARISONS, "and", "or", "not"}


@dataclass(frozen=True, slots=True)
class Place:
    """An expression in a statement, in letters 0, 1, … of the order met, with their ranges."""

    canonical: Expr
    dims: tuple[Dim, ...]


def shared(program: Program) -> Program:
    """Return the program with every array that is worked out twice as a statement of its own."""
    done: set[Place] = set()  # each has its statement after one round
    while True:
        counts: dict[Place, list[tuple[Expr, Statement]]] = {}
        for statement in (*program.forward, *program.loss, *program.backward):
            if statement.loop is not None:  # a step of a recurrence
                continue
            dims = ranges(statement, program)
            for expr in worth(statement.value):
                counts.setdefault(place(expr, dims), []).append((expr, statement))
        again = {k: found for k, found in counts.items() if len(found) > 1 and k not in done}
        if not again:
            return program
        key = max(again, key=lambda key: sum(1 for _ in walk(key.canonical)))
        done.add(key)
        program = with_statement(program, key, *again[key][0])


def worth(expr: Expr) -> Iterator[Expr]:
    """Yield the expressions in one that are operations on arrays of the network."""
    for node in walk(expr):
        if not isinstance(node, Apply | Reduce | Contract) or not node.axes:
            continue
        truth = isinstance(node, Apply) and node.function in TRUTHS
        counted = isinstance(node, Reduce) and node.function.startswith("arg")
        if (
            not truth
            and not counted
            and names(node)
            and all(isinstance(part, KNOWN) for part in walk(node))
        ):
            yield node


def letters(expr: Expr) -> tuple[str, ...]:
    """Return an expression's letters, those that are summed too, in the order met."""
    found: dict[str, None] = {}
    for node in walk(expr):
        if isinstance(node, Read | Position):
            found |= dict.fromkeys(node.axes)
    return tuple(found)


def place(expr: Expr, dims: Mapping[str, Dim]) -> Place:
    own = letters(expr)
    swap = {letter: str(k) for k, letter in enumerate(own)}
    return Place(renamed(expr, swap), tuple(dims.get(letter, "") for letter in own))


def renamed(expr: Expr, swap: Mapping[str, str]) -> Expr:
    """Return an expression in other letters."""
    match expr:
        case Read(name, axes):
            return Read(name, tuple(swap[axis] for axis in axes))
        case Position(axis, size):
            return Position(swap[axis], size)
        case Apply(name, args):
            return Apply(name, tuple(renamed(arg, swap) for arg in args))
        case Reduce(name, body, over):
            return Reduce(name, renamed(body, swap), tuple(swap[axis] for axis in over))
        case Contract(left, right, over):
            sides = renamed(left, swap), renamed(right, swap)
            return Contract(*sides, tuple(swap[axis] for axis in over))
    return expr


def statement_of(expr: Expr, first: Statement, program: Program) -> Statement:
    """Return the statement for an expression: the one whose value it is, or a new one."""
    if first.value == expr and isinstance(first.target, Read):
        return first
    arrays = (node for node in walk(expr) if isinstance(node, Read))
    read = max(arrays, key=lambda node: bool(node.axes)).name  # a number where there is no array
    taken = all_names(program)
    named = (f"{letter * times}_{read}" for times in range(1, 99) for letter in "urh")
    target = Read(next(name for name in named if name not in taken), natural(expr))
    said = f"{formula(target)} = {formula(expr)}".replace(" - ", " − ")
    return Statement(target, expr, said)


def with_statement(program: Program, key: Place, expr: Expr, first: Statement) -> Program:
    """Return the program with a statement for an expression before the first that needs it."""
    own = letters(expr)
    made = statement_of(expr, first, program)
    there = made.target == first.target  # it has a statement of its own already

    def value(node: Expr, dims: Mapping[str, Dim]) -> Expr:
        if node in worth(node) and place(node, dims) == key:
            here = dict(zip(own, letters(node), strict=True))
            return Read(made.target.name, tuple(here[axis] for axis in made.target.axes))
        match node:
            case Apply(function, args):
                return Apply(function, tuple(value(arg, dims) for arg in args))
            case Reduce(function, body, over):
                return Reduce(function, value(body, dims), over)
            case Contract(left, right, over):
                return Contract(value(left, dims), value(right, dims), over)
            case Scatter(body=body):
                return replace(node, body=value(body, dims))
            case Concatenate(parts=parts):
                return replace(node, parts=tuple(value(part, dims) for part in parts))
        return node

    def block(statements: Sequence[Statement]) -> tuple[Statement, ...]:
        done: list[Statement] = []
        for statement in statements:
            if statement is first:
                done.append(made)
            if statement.loop is not None:
                done.append(statement)
            elif statement is not first or not there:
                changed = value(statement.value, ranges(statement, program))
                done.append(replace(statement, value=changed))
        return tuple(done)

    dims = ranges(first, program)
    shape = tuple(dims[axis] for axis in made.target.axes)
    tensor = Tensor(made.target.name, made.target.name, Role.VALUE, shape)
    return replace(
        program,
        tensors=program.tensors if there else (*program.tensors, tensor),
        forward=block(program.forward),
        loss=block(program.loss),
        backward=block(program.backward),
    )
