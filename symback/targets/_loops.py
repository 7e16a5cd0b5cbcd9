"""Statements as nests of loops, for printers of languages that have loops and no arrays' algebra.

A statement over letters becomes loops over its target's letters. A sum inside of it gets loops of
its own, outside of every loop that it doesn't depend on; a sum of products that is a product of
matrices becomes a `Product`. Loops that run over the same range are then joined where no value is
needed before it is there, so that what one loop computes is still at hand for the next.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import groupby
from math import prod
from typing import Any, cast

from symback import printing
from symback.printing import COMPARISONS, natural, ordered, walk
from symback.program import (
    Affine,
    Apply,
    Concatenate,
    Contract,
    Dim,
    Expr,
    Lookup,
    Matrix,
    Program,
    Read,
    Reduce,
    Role,
    Scatter,
    Slice,
    Split,
    Statement,
    Tensor,
    merged,
)

CHEAP = {
    *("add", "subtract", "multiply", "negative", "where", "relu", "abs", "sign"),
    *("maximum", "minimum", "and", "or", "not", *COMPARISONS),
}
LARGEST = 1 << 19  # multiplications up to which a product's own loops are no slower than a BLAS
THREADS = 1 << 18  # rounds of a loop from which on several threads are worth starting
Access = Read | Split | Slice | Lookup
Leaf = (Read, Split, Slice, Lookup)


@dataclass(frozen=True, slots=True)
class Put:
    """target = value, at one place; a target without axes that is no array is a local number."""

    target: Access
    value: Expr
    because: str = ""


@dataclass(frozen=True, slots=True)
class Gain:
    """target = function(target, value): += for a sum, the larger of both for a maximum."""

    function: str
    target: Access
    value: Expr
    because: str = ""


@dataclass(frozen=True, slots=True)
class Best:
    """The place and the value of the largest (argmax) or smallest number met so far."""

    function: str
    place: str
    best: str
    letter: str
    value: Expr
    because: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """A local number, or an array, before anything is gained: 0 for a sum."""

    function: str
    target: Read
    size: tuple[Dim, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """target = Σ_over left·right, a product of matrices; loops around it bind other letters.

    `more`: it is added to what the target holds. `blas`: large enough for a library.
    """

    target: Read
    left: Read
    right: Read
    rows: tuple[str, ...]
    over: tuple[str, ...]
    columns: tuple[str, ...]
    sizes: tuple[tuple[str, Dim], ...]
    more: bool
    blas: bool
    because: str = ""


@dataclass(frozen=True, slots=True)
class Loop:
    """The body for each value of a letter; `serial`: one after another, up (1) or down (-1)."""

    letter: str
    size: Dim
    body: "tuple[Node, ...]"
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """target = function(operand), of a square matrix; loops around it bind the other letters.

    `work` is an array of the matrix's size that is written over.
    """

    function: str
    target: Read
    operand: Read
    size: int
    work: Read
    because: str = ""


Node = Put | Gain | Best | Start | Product | Call | Loop


@dataclass(frozen=True, slots=True)
class Nests:
    """What a block of statements does, and the arrays it needs that are no one's result."""

    nodes: tuple[Node, ...]
    scratch: tuple[Tensor, ...]


def nests(
    statements: Sequence[Statement],
    program: Program,
    taken: Iterable[str],
    *,
    rows: int,
    blas: bool,
) -> Nests:
    """Return statements as loops, joined where that can be.

    `taken`: names not to be used; `rows`: the examples of a batch, as far as is known; `blas`:
    large products may be left to a library.
    """
    work = Workshop(program, {*taken}, rows, blas)
    for loop, group in groupby(statements, lambda statement: statement.loop):
        if loop is None:
            for statement in group:
                work.add(statement)
        else:
            work.recur(tuple(group), loop.letter, loop.step)
    return Nests(joined(work.nodes, rows), tuple(work.scratch.values()))


# ---------------------------------------------------------------- one statement


@dataclass(slots=True)
class Workshop:
    """The loops made so far, and the names given to scratch arrays and local numbers."""

    program: Program
    taken: set[str]
    rows: int
    blas: bool
    nodes: list[Node] = field(default_factory=list)
    scratch: dict[str, Tensor] = field(default_factory=dict)
    dims: dict[str, Dim] = field(default_factory=dict)  # each letter's range in the statement
    bound: str = ""  # the letter of the recurrence that is being written
    matrices: dict[tuple[Expr, tuple[str, ...]], Read] = field(default_factory=dict)

    def recur(self, statements: Sequence[Statement], letter: str, step: int) -> None:
        """Write a recurrence: one loop over the letter, in which all statements are computed."""
        before, self.nodes, self.bound = self.nodes, [], letter
        for statement in statements:
            self.add(statement)
        made, self.nodes, self.bound = self.nodes, before, ""
        steps = [node for node in made if isinstance(node, Loop) and node.letter == letter]
        self.nodes += [node for node in made if node not in steps]
        body = tuple(part for node in steps for part in node.body)
        self.nodes.append(Loop(letter, steps[0].size, body, serial=step))

    def loops(self, axes: tuple[str, ...]) -> tuple[str, ...]:
        """Return letters in the order of their loops: a recurrence's is the outermost."""
        return ordered(axes, (self.bound,))

    def add(self, statement: Statement) -> None:
        """Write a statement's loops."""
        whole = replace(
            self.program, tensors=(*self.program.tensors, *self.scratch.values()), buffers=()
        )
        self.dims = dict(printing.ranges(statement, whole))
        self.matrices = {}
        target, value, because = statement.target, statement.value, statement.because
        if isinstance(value, Concatenate):
            self.pieces(target, value, because)
            return
        if isinstance(value, Matrix):
            self.of_matrix(target, value, because)
            return
        made = self.taken_out(value, target, self.loops(target.axes), because)
        said = because if made == value else ""
        if made != target:
            self.write(target, made, said or because)

    def write(self, target: Access, value: Expr, because: str) -> None:
        """Write an elementwise statement."""
        axes = self.loops(target.axes)
        self.nodes += self.nested(axes, 0, value, lambda made: (Put(target, made, because),))

    def of_matrix(self, target: Access, value: Matrix, because: str) -> None:
        """Write a function of matrices, one for each round of the other letters' loops."""
        operand, size = value.operand, int(self.dims[value.operand.axes[-1]])
        into = target if isinstance(target, Read) and target.axes == value.axes else None
        if into is None:
            into = self.kept("e_matrix", value.axes)
        work = self.fresh("e_work")
        self.scratch[work] = Tensor(work, work, Role.VALUE, (size, size))
        node: Node = Call(value.function, into, operand, size, Read(work, ("", "")), because)
        for letter in reversed(operand.axes[:-2]):
            node = Loop(letter, self.dims[letter], (node,), serial=1)  # they share `work`
        self.nodes.append(node)
        if into != target:
            self.write(target, into, because)

    def kept(self, name: str, axes: tuple[str, ...]) -> Read:
        """Return scratch for a value along these letters."""
        name = self.fresh(name)
        shape = tuple(self.dims[axis] for axis in axes)
        self.scratch[name] = Tensor(name, name, Role.VALUE, shape)
        return Read(name, axes)

    def pieces(self, target: Access, joined_value: Concatenate, because: str) -> None:
        """Write a concatenation: each part into its own range of the target."""
        start, place = 0, target.axes.index(joined_value.letter)
        for part, letter in zip(joined_value.parts, joined_value.letters, strict=True):
            size = int(self.dims[letter])
            axes = tuple(letter if a == joined_value.letter else a for a in target.axes)
            ranges = tuple(
                (start, start + size) if at == place else None for at in range(len(axes))
            )
            into = Slice(target.name, axes, ranges)
            self.write(into, self.taken_out(part, None, self.loops(axes), because), because)
            start += size

    def fresh(self, name: str) -> str:
        """Return the name, made longer until nothing else has it."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def array(self, expr: Expr, axes: tuple[str, ...], because: str = "") -> Read:
        """Return scratch that holds the expression's value along these letters."""
        shape = tuple(self.dims[axis] for axis in axes)
        read = [n.name for n in walk(expr) if isinstance(n, Leaf)]
        name = self.fresh("_".join(dict.fromkeys(["e", *read[:2]])))
        self.scratch[name] = Tensor(name, name, Role.VALUE, shape)
        target = Read(name, axes)
        made = self.taken_out(expr, target, self.loops(axes), because)
        if made != target:
            self.write(target, made, because)
        return target

    # ------------------------------------------------------------ what is computed before

    def taken_out(
        self, expr: Expr, target: Access | None, axes: tuple[str, ...], because: str
    ) -> Expr:
        """Return the expression with products, and sums that its loops can't hold, computed before.

        The first of them that has all of the target's letters is left in the target itself.
        """
        room = [target] if isinstance(target, Read) and self.is_real(target) else []

        def put(part: Expr, write: Callable[[Read], None]) -> Read:
            if room and set(part.axes) == set(axes):
                into = room.pop()
            else:
                into_axes = natural(part)
                name = self.fresh(f"e_{target.name if target else 'part'}")
                shape = tuple(self.dims[axis] for axis in into_axes)
                self.scratch[name] = Tensor(name, name, Role.VALUE, shape)
                into = Read(name, into_axes)
            write(into)
            return into

        def visited(part: Expr, loops: tuple[str, ...], top: bool) -> Expr:
            match part:
                case Contract(left, right, over):
                    rows, _, columns = roles(part)
                    if rows and columns and is_plain(part):

                        def write(into: Read) -> None:
                            said = f"{printing.formula(into)} = {printing.formula(part)}"
                            self.product(into, left, right, over, because if part == expr else said)

                        return put(part, write)
                    body = Apply("multiply", (left, right))
                    return visited(Reduce("sum", body, over), loops, top)
                case Reduce(function, body, over):
                    free = part.axes
                    last = natural(body)[-1:]
                    gained = function in {"sum", "prod", "max", "min"}
                    if gained and free and set(last) <= set(free) and top:
                        return put(part, lambda into: self.gained(into, part, because))
                    if not is_prefix(free, loops):
                        return self.array(part, natural(part))
                    inside = (*loops[: len(free)], *ordered(over, natural(body)))
                    return replace(part, body=visited(body, inside, top=False))
                case Concatenate():
                    return self.array_of_pieces(part)
                case Scatter():
                    return put(part, lambda into: self.scattered(into, part, because))
                case Apply(function, args):
                    if costly(part) and part.axes and not is_prefix(part.axes, loops):
                        return self.array(part, natural(part))
                    return Apply(function, tuple(visited(arg, loops, top) for arg in args))
            return part

        return visited(expr, axes, top=True)

    def array_of_pieces(self, expr: Concatenate) -> Read:
        """Return scratch that holds a concatenation."""
        sizes = [int(self.dims[letter]) for letter in expr.letters]
        self.dims[expr.letter] = sum(sizes)
        name = self.fresh("e_joined")
        shape = tuple(self.dims[axis] for axis in expr.axes)
        self.scratch[name] = Tensor(name, name, Role.VALUE, shape)
        target = Read(name, expr.axes)
        own = dict(self.dims)
        self.pieces(target, expr, "")
        self.dims = own
        return target

    def is_real(self, target: Read) -> bool:
        """Tell whether an array can hold part of a value: not if it holds labels."""
        tensors = {t.name: t for t in (*self.program.tensors, *self.scratch.values())}
        found = tensors.get(target.name)
        return found is not None and found.classes is None

    def matrix(self, expr: Expr, axes: tuple[str, ...]) -> Read:
        """Return an operand of a product as an array; one that is computed has these axes."""
        holds_labels = isinstance(expr, Read) and not self.is_real(expr)
        if isinstance(expr, Read) and len(set(expr.axes)) == len(expr.axes) and not holds_labels:
            return expr
        if (expr, axes) not in self.matrices:
            self.matrices[expr, axes] = self.array(expr, axes)
        return self.matrices[expr, axes]

    def product(
        self, into: Read, first: Expr, second: Expr, over: tuple[str, ...], because: str
    ) -> None:
        """Write a product of matrices, in loops over the letters that no matrix can hold."""
        rows, _, columns = roles(Contract(first, second, over))
        if into.axes[-1] in rows:
            first, second, rows, columns = second, first, columns, rows
        over = ordered(over, natural(first))
        ends = together_in(ordered(columns, into.axes), into)
        apart = tuple(axis for axis in into.axes if axis in second.axes and axis not in ends)
        right = self.matrix(second, (*apart, *over, *ends))
        left = self.matrix(first, ordered(first.axes, (*into.axes, *over)))
        rows, _, columns = roles(Contract(left, right, over))
        rows, columns = (tuple(a for a in part if a != self.bound) for part in (rows, columns))
        if into.axes[-1] not in {*rows, *columns} or not rows or not columns:
            self.gained(into, Reduce("sum", Apply("multiply", (left, right)), over), because)
            return
        rows = together_in(ordered(rows, into.axes), into, left)
        columns = together_in(ordered(columns, into.axes), into, right)
        inner = together_in(ordered(over, left.axes), left, right)
        work = self.count(rows) * self.count(columns) * self.count(inner)
        blas = self.blas and work > LARGEST
        if right.axes[-1] not in columns and not (blas and right.axes[-1] in inner):
            right = self.turned(right, inner, columns)
        if blas and left.axes[-1] not in {*rows, *inner}:
            left = self.turned(left, rows, inner)
        apart = tuple(axis for axis in over if axis not in inner)
        if apart:
            self.nodes.append(Start("sum", into, tuple(self.dims[axis] for axis in into.axes)))
        sizes = tuple((letter, self.dims[letter]) for letter in (*rows, *inner, *columns))
        node: Node = Product(
            into, left, right, rows, inner, columns, sizes, bool(apart), blas, because
        )
        outer = self.loops(tuple(a for a in into.axes if a not in {*rows, *columns}))
        for letter in reversed((*outer, *apart)):
            node = Loop(letter, self.dims[letter], (node,))
        self.nodes.append(node)

    def count(self, letters: Iterable[str]) -> int:
        """Return how many values letters have together, in a batch of the usual size."""
        return prod(d if isinstance(d := self.dims[a], int) else self.rows for a in letters)

    def turned(self, matrix: Read, first: tuple[str, ...], last: tuple[str, ...]) -> Read:
        """Return a copy of a matrix whose rows are along other letters: Wᵀ."""
        outer = tuple(axis for axis in matrix.axes if axis not in {*first, *last})
        axes = (*outer, *first, *last)
        name = self.fresh(f"{matrix.name}_T")
        shape = tuple(self.dims[axis] for axis in axes)
        self.scratch[name] = Tensor(name, name, Role.VALUE, shape)
        turned = Read(name, axes)
        because = f"{printing.formula(turned)} = {printing.formula(matrix)}"
        self.write(turned, matrix, because)
        return turned

    def scattered(self, into: Read, expr: Scatter, because: str) -> None:
        """Write values added up at computed places."""
        axes = merged(natural(expr.body), *(place.axes for place in expr.places))
        body = self.taken_out(expr.body, None, axes, "")
        if expr.groups:  # each place is filled once
            groups = dict(zip(expr.axes, expr.groups, strict=True))
            filled = Split(into.name, tuple(groups[axis] for axis in into.axes), expr.sizes)
            self.write(filled, body, because)
            return
        places: dict[str, Affine | Read] = dict(zip(expr.axes, expr.places, strict=True))
        target = Lookup(into.name, tuple(places[axis] for axis in into.axes), expr.sizes)
        axes = self.loops(axes)
        self.nodes.append(Start("sum", into, tuple(self.dims[axis] for axis in into.axes)))
        self.nodes += self.nested(axes, 0, body, lambda made: (Gain("sum", target, made, because),))

    def gained(self, into: Read, expr: Reduce, because: str) -> None:
        """Write a reduction that adds up in the target, in the order of what it reads."""
        order = natural(expr.body)
        outer = tuple(axis for axis in order if axis in expr.over)
        axes = self.loops((*outer, *(axis for axis in order if axis not in expr.over)))
        body = self.taken_out(expr.body, None, axes, "")
        size = tuple(self.dims[axis] for axis in into.axes)
        self.nodes.append(Start(expr.function, into, size))
        self.nodes += self.nested(
            axes, 0, body, lambda made: (Gain(expr.function, into, made, because),)
        )

    # ------------------------------------------------------------ loops

    def nested(
        self,
        axes: tuple[str, ...],
        depth: int,
        value: Expr,
        leaf: Callable[[Expr], tuple[Node, ...]],
    ) -> tuple[Node, ...]:
        """Return loops over the axes from `depth` on, each value computed as far out as it can."""
        before: list[Node] = []
        value = self.hoisted(value, axes[:depth], before, last=depth == len(axes))
        if depth == len(axes):
            return (*before, *leaf(value))
        inner = self.nested(axes, depth + 1, value, leaf)
        return (*before, Loop(axes[depth], self.dims[axes[depth]], inner))

    def hoisted(
        self, expr: Expr, bound: tuple[str, ...], before: list[Node], *, last: bool
    ) -> Expr:
        """Return the expression with what the bound letters determine held in local numbers."""
        match expr:
            case Contract(left, right, over):
                product = Reduce("sum", Apply("multiply", (left, right)), over)
                return self.hoisted(product, bound, before, last=last)
            case Reduce() if set(expr.axes) <= set(bound):
                return self.reduced(expr, bound, before)
            case Apply("where", (condition, *branches)) if last:
                ready = [self.hoisted(condition, bound, before, last=last)]
                for branch in branches:  # computed for all: a vector has no branches
                    made = self.hoisted(branch, bound, before, last=last)
                    ready.append(self.let(made, before) if costly(made) else made)
                return Apply("where", tuple(ready))
            case Apply(function, args):
                inside = not last and costly(expr) and set(expr.axes) <= set(bound)
                made = Apply(
                    function,
                    tuple(self.hoisted(a, bound, before, last=last or inside) for a in args),
                )
                return self.let(made, before) if inside else made
        return expr

    def let(self, expr: Expr, before: list[Node]) -> Read:
        """Return the name of a local number that holds the value."""
        name = self.fresh("e")
        before.append(Put(Read(name, ()), expr))
        return Read(name, ())

    def reduced(self, expr: Reduce, bound: tuple[str, ...], before: list[Node]) -> Read:
        """Return the name of a local number that a reduction's loops leave its result in."""
        over = ordered(expr.over, natural(expr.body))
        axes = (*bound, *over)
        name = self.fresh({"sum": "sum", "prod": "product"}.get(expr.function, expr.function))
        if expr.function.startswith("arg"):
            best = self.fresh("best")
            before.append(Start(expr.function, Read(name, ())))
            before.append(Start(expr.function.removeprefix("arg"), Read(best, ())))

            def leaf(made: Expr) -> tuple[Node, ...]:
                return (Best(expr.function, name, best, over[0], made),)
        else:
            before.append(Start(expr.function, Read(name, ())))

            def leaf(made: Expr) -> tuple[Node, ...]:
                return (Gain(expr.function, Read(name, ()), made),)

        before += self.nested(axes, len(bound), expr.body, leaf)
        return Read(name, ())


def roles(expr: Contract) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the letters of a contraction's rows, of its batch (both sides' own), its columns."""
    left, right = expr.left.axes, expr.right.axes
    rows = tuple(axis for axis in left if axis not in right)
    batch = tuple(axis for axis in left if axis in right and axis not in expr.over)
    columns = tuple(axis for axis in right if axis not in left)
    return rows, batch, columns


def together_in(letters: tuple[str, ...], *arrays: Read) -> tuple[str, ...]:
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


def costly(expr: Expr) -> bool:
    """Tell whether a value is worth computing once rather than in every round of a loop."""
    return any(
        isinstance(node, Reduce | Contract)
        or (isinstance(node, Apply) and node.function not in CHEAP)
        for node in walk(expr)
    )


# ---------------------------------------------------------------- joining loops


def joined(nodes: Sequence[Node], rows: int) -> tuple[Node, ...]:
    """Return the nodes with loops of the same range joined, the earliest that can take another."""
    starts = [node for node in nodes if isinstance(node, Start)]
    made: list[Node] = []
    for node in nodes:
        if isinstance(node, Start):
            continue
        place = home(made, node, rows) if isinstance(node, Loop) else None
        if place is None:
            made.append(node)
        else:
            made[place] = together(cast(Loop, made[place]), cast(Loop, node))
    return tuple(
        replace(node, body=joined(node.body, rows)) if isinstance(node, Loop) else node
        for node in (*starts, *made)
    )


def home(made: Sequence[Node], loop: Loop, rows: int) -> int | None:
    """Return the place of the loop that can take this one in, past nodes that don't mind."""
    for place in reversed(range(len(made))):
        other = made[place]
        alike = isinstance(other, Loop) and other.size == loop.size
        alike = alike and not (loop.serial or cast(Loop, other).serial)
        if alike and can_join(cast(Loop, other), loop, rows):
            return place
        if shared(other, loop):
            return None
    return None


def rounds(node: Node, rows: int) -> int:
    """Return how many innermost rounds a nest has in a batch of so many examples."""
    if isinstance(node, Product):
        return prod(dim if isinstance(dim, int) else rows for _, dim in node.sizes) // 8
    if not isinstance(node, Loop):
        return 1
    size = node.size if isinstance(node.size, int) else rows
    inner = (rounds(part, rows) for part in node.body if isinstance(part, Loop | Product))
    return size * max(sum(inner), 1)


def is_parallel(loop: Loop, rows: int) -> bool:
    """Tell whether a loop is worth several threads and no two rounds write the same place."""
    if loop.serial or rounds(loop, rows) < THREADS:
        return False
    nodes = list(inside(loop))
    local = {
        node.target.name
        for node in nodes
        if isinstance(node, Start) or (isinstance(node, Put) and not node.target.axes)
    }
    writes = [
        access
        for node in nodes
        if not isinstance(node, Start)
        for access in writes_of(node)
        if access.name not in local
    ]
    return all(
        place_of(a, loop.letter) is not None if isinstance(a, Lookup) else loop.letter in a.axes
        for a in writes
    )


def together(first: Loop, second: Loop) -> Loop:
    return Loop(first.letter, first.size, (*first.body, *relettered(second, first.letter).body))


def relettered(loop: Loop, letter: str) -> Loop:
    """Return the loop counting with another letter; its own use of that letter moves away."""
    if loop.letter == letter:
        return loop
    used = {name for node in inside(loop) for name in letters_of(node)}
    spare = letter + "_"
    while spare in used:
        spare += "_"
    return cast(Loop, renamed(loop, {loop.letter: letter, letter: spare}))


def renamed(node: Any, swap: Mapping[str, str]) -> Any:
    """Return a node with letters renamed, wherever letters stand."""
    if isinstance(node, Loop):
        return Loop(
            swap.get(node.letter, node.letter),
            node.size,
            tuple(renamed(part, swap) for part in node.body),
            node.serial,
        )
    if not is_dataclass(node) or isinstance(node, type):
        return node
    changed: dict[str, Any] = {}
    for slot in fields(node):
        value = getattr(node, slot.name)
        if slot.name in {"axes", "over", "rows", "columns", "letters"}:
            changed[slot.name] = tuple(swap.get(letter, letter) for letter in value)
        elif slot.name in {"axis", "letter"}:
            changed[slot.name] = swap.get(value, value)
        elif slot.name == "groups":
            changed[slot.name] = tuple(tuple(swap.get(a, a) for a in group) for group in value)
        elif slot.name in {"sizes", "terms"}:
            changed[slot.name] = tuple((swap.get(letter, letter), dim) for letter, dim in value)
        elif isinstance(value, tuple):
            changed[slot.name] = tuple(renamed(part, swap) for part in value)
        else:
            changed[slot.name] = renamed(value, swap)
    return replace(cast(Any, node), **{k: v for k, v in changed.items() if hasattr(node, k)})


def inside(node: Node) -> Iterator[Node]:
    """Yield a node and everything in its loops."""
    yield node
    if isinstance(node, Loop):
        for part in node.body:
            yield from inside(part)


def values_of(node: Node) -> Iterator[Expr]:
    """Yield every expression that a node itself reads, and everything in it."""
    match node:
        case Put(value=value) | Gain(value=value) | Best(value=value):
            yield from walk(value)
        case Product(left=left, right=right):
            yield left
            yield right
        case Call(operand=operand):
            yield operand


def letters_of(node: Node) -> Iterator[str]:
    """Yield the letters that a node names."""
    if isinstance(node, Loop):
        yield node.letter
    for access in (*reads_of(node), *writes_of(node)):
        yield from access.axes
    for value in values_of(node):
        yield from value.axes


def reads_of(node: Node) -> Iterator[Access]:
    """Yield what a node reads; what it gains on, it reads too."""
    yield from (value for value in values_of(node) if isinstance(value, Leaf))
    if isinstance(node, Gain):
        yield node.target
        if isinstance(node.target, Lookup):
            yield from (place for place in node.target.places if isinstance(place, Read))
    if isinstance(node, Best):
        yield Read(node.best, ())


def writes_of(node: Node) -> Iterator[Access]:
    """Yield what a node writes."""
    match node:
        case Put(target=target) | Gain(target=target) | Start(target=target):
            yield target
        case Product(target=target):
            yield target
        case Call(target=target, work=work):
            yield target
            yield work
        case Best(place=place, best=best):
            yield Read(place, ())
            yield Read(best, ())


def shared(first: Node, second: Node) -> frozenset[str]:
    """Return the names that one of two nodes writes and the other reads or writes."""

    def named(node: Node, of: Callable[[Node], Iterator[Access]]) -> set[str]:
        return {access.name for part in inside(node) for access in of(part)}

    wrote = named(first, writes_of), named(second, writes_of)
    read = named(first, reads_of), named(second, reads_of)
    return frozenset((wrote[0] & (read[1] | wrote[1])) | (wrote[1] & read[0]))


def can_join(first: Loop, second: Loop, rows: int) -> bool:
    """Tell whether two loops can run as one: what they share, each round has to itself.

    One that several threads share isn't joined with one that they can't.
    """
    if is_parallel(first, rows) != is_parallel(second, rows):
        return False
    second = relettered(second, first.letter)
    names = shared(first, second)
    places = {
        (access.name, place_of(access, first.letter))
        for loop in (first, second)
        for part in inside(loop)
        for access in (*reads_of(part), *writes_of(part))
        if access.name in names
    }
    return all(place is not None for _, place in places) and len(places) == len(names)


def place_of(access: Access, letter: str) -> tuple[Any, ...] | None:
    """Return at which axis, and from where on, a letter runs over an array by itself."""
    match access:
        case Read(axes=axes) if axes.count(letter) == 1:
            return axes.index(letter), 0
        case Slice(axes=axes, ranges=ranges) if axes.count(letter) == 1:
            place = axes.index(letter)
            part = ranges[place]
            return place, part[0] if part else 0
        case Split(groups=groups) if groups.count((letter,)) == 1:
            return groups.index((letter,)), 0
        case Lookup(places=places) if sum(letter in p.axes for p in places) == 1:
            plain = Affine(0, ((letter, 1),))
            return (places.index(plain), 0) if plain in places else None
    return None
