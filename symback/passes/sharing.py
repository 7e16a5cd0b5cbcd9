"""Sharing: what several statements work out is worked out once. No bit changes.

Two expressions are the same if they differ by their letters alone: z[n,o] − t[n,o] in the loss is
z[n,k] − t[n,k] in an adjoint.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from symback.passes.names import all_names, names
from symback.printing import COMPARISONS, formula, natural, ranges_among, walk
from symback.program import (
    Apply,
    Contract,
    Dim,
    Expr,
    Number,
    Position,
    Program,
    Read,
    Reduce,
    Role,
    Size,
    Statement,
    Tensor,
    mapped,
)

KNOWN = (Apply, Contract, Number, Position, Read, Reduce, Size)
TRUTHS = {*COMPARISONS, "and", "or", "not"}


@dataclass(frozen=True, slots=True)
class Place:
    """An expression in a statement, in letters 0, 1, … of the order met, with their ranges."""

    canonical: Expr
    dims: tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """A statement, and the expressions in it that are operations on arrays: the number of each."""

    statement: Statement
    numbers: tuple[int, ...]
    exprs: tuple[Expr, ...]


def shared(program: Program) -> Program:
    """Return the program with every array that is worked out twice as a statement of its own."""
    work = Sharing.of(program)
    while (number := work.largest_again()) is not None:
        work.share(number)
    forward, loss, backward = (tuple(at.statement for at in block) for block in work.blocks)
    tensors = tuple(work.tensors.values())
    return replace(program, tensors=tensors, forward=forward, loss=loss, backward=backward)


@dataclass(slots=True)
class Sharing:
    """A program while its expressions get statements: each statement is looked through once."""

    tensors: dict[str, Tensor]
    taken: set[str]
    blocks: list[list[Looked]] = field(default_factory=list)
    places: dict[Place, int] = field(default_factory=dict)  # each place's number
    sizes: list[int] = field(default_factory=list)  # by number: how large the expression is
    done: set[int] = field(default_factory=set)  # each has its statement after one round

    @classmethod
    def of(cls, program: Program) -> "Sharing":
        """Return the work that lies ahead in a program."""
        work = cls({t.name: t for t in program.tensors}, set(all_names(program)))
        blocks = (program.forward, program.loss, program.backward)
        work.blocks = [[work.looked(statement) for statement in block] for block in blocks]
        return work

    def looked(self, statement: Statement) -> Looked:
        """Look a statement through; one of a recurrence's steps is left as it is."""
        if statement.loop is not None:
            return Looked(statement, (), ())
        dims = ranges_among(statement, self.tensors)
        exprs = tuple(worth(statement.value))
        return Looked(statement, tuple(self.number(expr, dims) for expr in exprs), exprs)

    def number(self, expr: Expr, dims: Mapping[str, Dim]) -> int:
        """Return the number of an expression: the same for the same in other letters."""
        key = place(expr, dims)
        if key not in self.places:
            self.places[key] = len(self.places)
            self.sizes.append(sum(1 for _ in walk(key.canonical)))
        return self.places[key]

    def largest_again(self) -> int | None:
        """Return the number of the largest expression that is worked out again."""
        counts = Counter(number for block in self.blocks for at in block for number in at.numbers)
        again = (k for k, count in counts.items() if count > 1 and k not in self.done)
        return max(again, key=lambda number: self.sizes[number], default=None)

    def share(self, number: int) -> None:
        """Put a statement for an expression before the first that needs it; the others read it."""
        self.done.add(number)
        first = next(at for block in self.blocks for at in block if number in at.numbers)
        expr = first.exprs[first.numbers.index(number)]
        made = statement_of(expr, first.statement, self.taken)
        there = made.target == first.statement.target  # it has a statement of its own already
        if not there:
            dims = ranges_among(first.statement, self.tensors)
            shape = tuple(dims[axis] for axis in made.target.axes)
            name = made.target.name
            self.tensors[name] = Tensor(name, name, Role.VALUE, shape)
            self.taken.add(name)
        self.blocks = [
            [changed for at in block for changed in self.changed(at, number, made, at is first)]
            for block in self.blocks
        ]

    def changed(self, at: Looked, number: int, made: Statement, first: bool) -> Iterator[Looked]:
        """Yield what stands for a statement once another holds the expression of that number."""
        if number not in at.numbers:
            yield at
            return
        if first:
            yield self.looked(made)
        if first and made.target == at.statement.target:
            return
        pairs = zip(at.exprs, at.numbers, strict=True)
        same = {expr for expr, its in pairs if its == number}
        own = letters(made.value)

        def value(node: Expr) -> Expr:
            if node in same:
                here = dict(zip(own, letters(node), strict=True))
                return Read(made.target.name, tuple(here[axis] for axis in made.target.axes))
            return mapped(node, value)

        yield self.looked(replace(at.statement, value=value(at.statement.value)))


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
    made = mapped(expr, lambda part: renamed(part, swap))
    match made:
        case Read(axes=axes):
            return replace(made, axes=tuple(swap[axis] for axis in axes))
        case Position(axis):
            return replace(made, axis=swap[axis])
        case Reduce(over=over) | Contract(over=over):
            return replace(made, over=tuple(swap[axis] for axis in over))
    return made


def statement_of(expr: Expr, first: Statement, taken: Collection[str]) -> Statement:
    """Return the statement for an expression: the one whose value it is, or a new one.

    A statement that spreads its value along more letters isn't one.
    """
    whole = set(first.target.axes) == set(expr.axes)
    if first.value == expr and isinstance(first.target, Read) and whole:
        return first
    arrays = (node for node in walk(expr) if isinstance(node, Read))
    read = max(arrays, key=lambda node: bool(node.axes)).name  # a number where there is no array
    named = (f"{letter * times}_{read}" for times in range(1, 99) for letter in "urh")
    target = Read(next(name for name in named if name not in taken), natural(expr))
    said = f"{formula(target)} = {formula(expr)}"
    return Statement(target, expr, said)
