"""Statements as nests of loops, for printers of languages that have loops and no arrays' algebra.

A statement over letters becomes loops over its target's letters. A sum inside of it gets loops of
its own, outside of every loop that it doesn't depend on; a sum of products that is a product of
matrices becomes a `Product`. Loops that run over the same range are then joined where no value is
needed before it is there, so that what one loop computes is still at hand for the next.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from itertools import groupby
from math import prod
from typing import Any, TypeVar, cast

from symback import printing
from symback.places import at, at_one_place, within_windows, written_out
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
LARGEST_WITHIN = 1 << 23  # the same for a product of each example: threads take examples instead
PARTS = 16  # that a batch is taken in where sums over it are gained on several threads
FEW = 4  # places of a window that are written out, so that what is around them is the inner loop
GAINED = 1 << 15  # numbers up to which such sums are worth an array for each part
STRIP = 32  # columns that a strip of a matrix has at most
NEAR = 1 << 18  # numbers that a round's own arrays may hold together: they stay in the cache
THREADS = 1 << 18  # rounds of a loop from which on several threads are worth starting
DEAR = 8  # rounds of a loop that take as long as an exponential
Access = Read | Split | Slice | Lookup
Strided = Read | Split
Leaf = (Read, Split, Slice, Lookup)
T = TypeVar("T")


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
    target: Strided
    size: tuple[Dim, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """target = Σ_over left·right, a product of matrices; loops around it bind other letters.

    `more`: it is added to what the target holds. `blas`: large enough for a library. `lined`: the
    right side is a copy in strips, as it is read.
    """

    target: "Strided"
    left: "Strided"
    right: "Strided"
    rows: tuple[str, ...]
    over: tuple[str, ...]
    columns: tuple[str, ...]
    sizes: tuple[tuple[str, Dim], ...]
    more: bool
    blas: bool
    because: str = ""
    lined: bool = False


@dataclass(frozen=True, slots=True)
class Lined:
    """target = right, a matrix of products: its columns in strips, each as it is read."""

    target: Read
    right: "Strided"
    over: tuple[str, ...]
    columns: tuple[str, ...]
    sizes: tuple[tuple[str, Dim], ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """The body for each value of a letter; `serial`: one after another, up (1) or down (-1)."""

    letter: str
    size: Dim
    body: "tuple[Node, ...]"
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Own:
    """An array that each round of a loop has to itself."""

    tensor: Tensor


@dataclass(frozen=True, slots=True)
class Parts:
    """The rounds of a loop over the batch in PARTS parts, which several threads may share.

    What is gained over the whole batch is gained in `sums`, for each part by itself, and added up
    in the order of the parts: the same whatever threads there are.
    """

    loop: Loop
    sums: tuple[tuple[str, Tensor], ...]  # what is gained, and the array that holds it by parts


@dataclass(frozen=True, slots=True)
class Shares:
    """A recurrence that doesn't mix the examples of a batch: each thread takes its share of them.

    It takes them through all steps, so that no step waits for another thread.
    """

    loop: Loop
    size: str


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


Node = Put | Gain | Best | Start | Product | Lined | Call | Loop | Own | Parts | Shares


@dataclass(frozen=True, slots=True)
class Nests:
    """What a block of statements does, and the arrays it needs that are no one's result.

    `own`: those that each round of a loop has to itself.
    """

    nodes: tuple[Node, ...]
    scratch: tuple[Tensor, ...]
    own: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What joining loops must know: the examples of a batch, the arrays' shapes, their memory.

    `owners`: an array that is another seen with other axes, and that one.
    """

    rows: int
    shapes: Mapping[str, tuple[Dim, ...]]
    owners: Mapping[str, str]


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
    work = Workshop(program, {*taken}, rows, blas)
    for loop, group in groupby(statements, lambda statement: statement.loop):
        if loop is None:
            for statement in group:
                work.add(statement)
        else:
            work.recur(tuple(group), loop.letter, loop.step)
    shapes = {t.name: t.shape for t in (*program.tensors, *work.scratch.values())}
    known = Known(rows, shapes, owners)
    return Finishing(work, known).finished(joined(work.nodes, known))


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
    matrices: dict[tuple[Expr, tuple[str, ...]], Strided] = field(default_factory=dict)

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
        value = self.fixed(value)
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
        for letter in reversed(self.loops(operand.axes[:-2])):
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

    def array(self, expr: Expr, axes: tuple[str, ...], wanted: str = "") -> Read:
        """Return scratch that holds the expression's value along these letters.

        One that has a name of its own has its formula too.
        """
        shape = tuple(self.dims[axis] for axis in axes)
        read = [n.name for n in walk(expr) if isinstance(n, Leaf)]
        name = self.fresh(wanted or "_".join(dict.fromkeys(["e", *(read[:2] or ["places"])])))
        because = ""
        if wanted:
            because = f"{printing.formula(Read(name, axes))} = {printing.formula(expr)}"
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
        room = [target] if isinstance(target, Strided) and self.is_real(target) else []

        def put(part: Expr, write: Callable[[Any], None]) -> Strided:
            fits = room and (isinstance(room[0], Read) or not isinstance(part, Scatter))
            if fits and set(part.axes) == set(axes):
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

                        def write(into: Strided) -> None:
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
                    first = natural(body)[:1]
                    if function == "sum" and top and free and self.is_batch(first, over):
                        inner = tuple(letter for letter in over if letter not in first)
                        each = Reduce("sum", Reduce("sum", body, inner), first)
                        return put(part, lambda into: self.gained(into, each, because))
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

    def is_batch(self, letters: tuple[str, ...], over: tuple[str, ...]) -> bool:
        """Tell whether a sum over the examples, and more, is taken of each example first."""
        return (
            len(over) > 1 and set(letters) <= set(over) and isinstance(self.dims[letters[0]], str)
        )

    def fixed(self, expr: Expr) -> Expr:
        """Return an expression with a sum over a single place as that place."""
        match expr:
            case Reduce("sum", Slice() as part, over) if all(self.dims[a] == 1 for a in over):
                return at_one_place(part, over, self.dims)
            case Reduce(function, body, (letter,)) if self.is_few(letter, body):
                count = int(self.dims[letter])
                return written_out(function, [at(body, letter, k, self.dims) for k in range(count)])
            case Apply(function, args):
                return Apply(function, tuple(self.fixed(arg) for arg in args))
        return expr

    def is_few(self, letter: str, *parts: Expr | Affine) -> bool:
        """Tell whether a letter runs over a few places of a window."""
        size = self.dims.get(letter, "")
        return isinstance(size, int) and size <= FEW and within_windows(letter, *parts)

    def is_real(self, target: Strided) -> bool:
        """Tell whether an array can hold part of a value: not if it holds labels."""
        tensors = {t.name: t for t in (*self.program.tensors, *self.scratch.values())}
        found = tensors.get(target.name)
        return found is not None and found.classes is None

    def matrix(self, expr: Expr, axes: tuple[str, ...]) -> Strided:
        """Return an operand of a product as an array; one that is computed has these axes."""
        holds_labels = isinstance(expr, Read) and not self.is_real(expr)
        if isinstance(expr, Strided) and len(set(expr.axes)) == len(expr.axes) and not holds_labels:
            return expr
        if (expr, axes) not in self.matrices:
            wanted, made = "", expr
            if isinstance(expr, Lookup) and any(
                isinstance(place, Affine) and len(place.terms) > 1 for place in expr.places
            ):
                wanted, made = f"{expr.name}_windows", self.within(expr)
            self.matrices[expr, axes] = self.array(made, axes, wanted)
        return self.matrices[expr, axes]

    def within(self, expr: Lookup) -> Lookup:
        """Return windows that reach out of their array as windows of a copy with margins."""
        tensors = {t.name: t for t in (*self.program.tensors, *self.scratch.values())}
        shape = tensors[expr.name].shape
        moving = [isinstance(place, Affine) and len(place.terms) > 1 for place in expr.places]
        if any(isinstance(place, Read) for place in expr.places):
            return expr
        sizes = dict(expr.sizes)
        outer: list[Affine] = []
        inner: list[Affine] = []
        around: dict[str, Dim] = {}
        out = False
        for k, (place, dim) in enumerate(zip(expr.places, shape, strict=True)):
            assert isinstance(place, Affine)
            if not moving[k]:
                around |= {letter: sizes[letter] for letter in place.axes}
                outer.append(place)
                inner.append(Affine(0, tuple((letter, 1) for letter in place.axes)))
                continue
            lowest, highest = place.reach(sizes)
            out = out or lowest < 0 or highest >= int(dim)
            letter = f"{place.axes[0]}'"
            around[letter] = highest - lowest + 1
            outer.append(Affine(lowest, ((letter, 1),)))
            inner.append(replace(place, offset=place.offset - lowest))
        if not out:
            return expr
        self.dims |= around
        framed = Lookup(expr.name, tuple(outer), tuple(around.items()))
        whole = self.array(framed, tuple(around), f"{expr.name}_framed")
        return Lookup(whole.name, tuple(p for p in inner if p.terms), expr.sizes)

    def product(
        self, into: Strided, first: Expr, second: Expr, over: tuple[str, ...], because: str
    ) -> None:
        """Write a product of matrices, in loops over the letters that no matrix can hold."""
        rows, _, columns = roles(Contract(first, second, over))
        if into.axes[-1] in rows:
            first, second, rows, columns = second, first, columns, rows
        over = ordered(over, natural(first))
        ends = together_in(ordered(columns, into.axes), into)
        apart = tuple(axis for axis in into.axes if axis in second.axes and axis not in ends)
        outside, along = split_windows(first, second, over)
        right = self.matrix(second, (*apart, *outside, *ends, *along))
        left = self.matrix(first, ordered(first.axes, (*into.axes, *over)))
        rows, _, columns = roles(Contract(left, right, over))
        rows, columns = (tuple(a for a in part if a != self.bound) for part in (rows, columns))
        if into.axes[-1] not in {*rows, *columns} or not rows or not columns:
            self.gained(into, Reduce("sum", Apply("multiply", (left, right)), over), because)
            return
        rows = together_in(ordered(rows, into.axes), into, left)
        columns = together_in(ordered(columns, into.axes), into, right)
        inner = together_in(ordered(over, left.axes), left, right)
        if len(inner) < len(over) and self.is_once(left, (*rows, *over)):
            left = self.turned(left, rows, ordered(over, right.axes))
            inner = together_in(ordered(over, right.axes), left, right)
        apart = tuple(axis for axis in over if axis not in inner)
        outer = self.loops(tuple(a for a in into.axes if a not in {*rows, *columns}))
        work = self.count(rows) * self.count(columns) * self.count(inner)
        batch = any(isinstance(self.dims[axis], str) for axis in (*outer, *apart))
        blas = self.blas and work > (LARGEST_WITHIN if batch else LARGEST)
        sizes = tuple((letter, self.dims[letter]) for letter in (*rows, *inner, *columns))
        lined = blas and outer == (self.bound,) and not apart and self.bound not in right.axes
        as_it_is = blas and not self.bound  # what each step reads is turned once, before them
        as_it_is |= lined or any(
            all(self.dims[a] == 1 for a in group) for group in (inner, columns)
        )
        if right.axes[-1] not in columns and not (right.axes[-1] in inner and (as_it_is or along)):
            right = self.turned(right, inner, columns)
        if left.axes[-1] not in {*rows, *inner} and (blas or right.axes[-1] in inner):
            left = self.turned(left, rows, inner)
        if apart:
            self.nodes.append(Start("sum", into, tuple(self.dims[axis] for axis in into.axes)))
        if lined:
            right = self.lined(right, inner, columns, sizes)
        node: Node = Product(
            into, left, right, rows, inner, columns, sizes, bool(apart), blas, because, lined
        )
        for letter in reversed((*outer, *apart)):
            node = Loop(letter, self.dims[letter], (node,))
        self.nodes.append(node)

    def is_once(self, matrix: Strided, letters: tuple[str, ...]) -> bool:
        """Tell whether a matrix has these letters alone, and none of the examples'."""
        known = all(isinstance(self.dims[axis], int) for axis in matrix.axes)
        return known and set(matrix.axes) <= set(letters) and self.bound not in matrix.axes

    def count(self, letters: Iterable[str]) -> int:
        """Return how many values letters have together, in a batch of the usual size."""
        return prod(d if isinstance(d := self.dims[a], int) else self.rows for a in letters)

    def turned(self, matrix: Strided, first: tuple[str, ...], last: tuple[str, ...]) -> Read:
        """Return a copy of a matrix whose rows are along other letters: Wᵀ."""
        outer = tuple(axis for axis in matrix.axes if axis not in {*first, *last})
        axes = (*outer, *first, *last)
        name = self.fresh(f"{matrix.name}_T")
        shape = tuple(self.dims[axis] for axis in axes)
        self.scratch[name] = Tensor(name, name, Role.VALUE, shape)
        turned = Read(name, axes)
        because = f"{printing.formula(turned)} = {printing.formula(matrix)}"
        before, self.nodes = self.nodes, []
        self.write(turned, matrix, because)
        fixed = {tensor.name for tensor in self.program.with_role(Role.PARAMETER)}
        early = matrix.name in fixed  # it doesn't change while a pass runs
        self.nodes = [*self.nodes, *before] if early else [*before, *self.nodes]
        return turned

    def lined(
        self,
        matrix: Strided,
        over: tuple[str, ...],
        columns: tuple[str, ...],
        sizes: tuple[tuple[str, Dim], ...],
    ) -> Read:
        """Return a copy of a matrix in strips of columns, which a product reads in their order."""
        name = self.fresh(f"{matrix.name}_strips")
        width = -(-self.count(columns) // STRIP) * STRIP
        self.scratch[name] = Tensor(name, name, Role.VALUE, (self.count(over), width))
        copy = Read(name, (over[-1], columns[-1]))
        self.nodes.append(Lined(copy, matrix, over, columns, sizes))
        return copy

    def scattered(self, into: Strided, expr: Scatter, because: str) -> None:
        """Write values added up at computed places."""
        axes = merged(natural(expr.body), *(place.axes for place in expr.places))
        body = self.taken_out(expr.body, None, axes, "")
        places: dict[str, Affine | Read] = dict(zip(expr.axes, expr.places, strict=True))
        whole: Access = Lookup(into.name, tuple(places[axis] for axis in into.axes), expr.sizes)
        if expr.groups:  # each place is filled once
            groups = dict(zip(expr.axes, expr.groups, strict=True))
            whole = Split(into.name, tuple(groups[axis] for axis in into.axes), expr.sizes)
        moving = [place for place in expr.places if isinstance(place, Affine)]
        few = [letter for letter in axes if self.is_few(letter, *moving)]
        few = [letter for letter in few if all(p.axes[:1] != (letter,) for p in moving)]
        axes = self.loops(tuple(letter for letter in axes if letter not in few))
        pairs: list[tuple[Expr, Expr]] = [(whole, body)]
        for letter in few:
            count = int(self.dims[letter])
            pairs = [
                (at(target, letter, k, self.dims), at(value, letter, k, self.dims))
                for target, value in pairs
                for k in range(count)
            ]
        if expr.groups:
            for target, value in pairs:
                self.write(cast(Access, target), value, because)
            return
        self.nodes.append(Start("sum", into, tuple(self.dims[axis] for axis in into.axes)))
        for target, value in pairs:
            gain = partial(gain_in, cast(Lookup, target), because)
            self.nodes += self.nested(axes, 0, value, gain)

    def gained(self, into: Strided, expr: Reduce, because: str) -> None:
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


def gain_in(target: Lookup, because: str, value: Expr) -> tuple[Node, ...]:
    return (Gain("sum", target, value, because),)


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


def costly(expr: Expr) -> bool:
    """Tell whether a value is worth computing once rather than in every round of a loop."""
    return any(
        isinstance(node, Reduce | Contract)
        or (isinstance(node, Apply) and node.function not in CHEAP)
        for node in walk(expr)
    )


# ---------------------------------------------------------------- joining loops


def joined(nodes: Sequence[Node], known: Known) -> tuple[Node, ...]:
    """Return the nodes with loops of the same range joined, the earliest that can take another."""
    starts = [node for node in nodes if isinstance(node, Start)]
    made: list[Node] = []
    for node in nodes:
        if isinstance(node, Start):
            continue
        place = home(made, node, known) if isinstance(node, Loop) else None
        if place is None:
            made.append(node)
        else:
            made[place] = together(cast(Loop, made[place]), cast(Loop, node))
    return tuple(
        replace(node, body=joined(node.body, known)) if isinstance(node, Loop) else node
        for node in (*starts, *made)
    )


def home(made: Sequence[Node], loop: Loop, known: Known) -> int | None:
    """Return the place of the loop that can take this one in, past nodes that don't mind."""
    for place in reversed(range(len(made))):
        other = made[place]
        alike = isinstance(other, Loop) and other.size == loop.size
        alike = alike and not (loop.serial or cast(Loop, other).serial)
        if alike and can_join(cast(Loop, other), loop, known):
            return place
        if shared(other, loop, known):
            return None
    return None


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
    if isinstance(node, Parts | Shares):
        yield from inside(node.loop)
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
        case Lined(right=right):
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
        case Product(target=target) | Lined(target=target):
            yield target
        case Call(target=target, work=work):
            yield target
            yield work
        case Best(place=place, best=best):
            yield Read(place, ())
            yield Read(best, ())


def shared(first: Node, second: Node, known: Known) -> frozenset[str]:
    """Return the arrays that one of two nodes writes and the other reads or writes."""

    def named(node: Node, of: Callable[[Node], Iterator[Access]]) -> set[str]:
        names = {access.name for part in inside(node) for access in of(part)}
        return {known.owners.get(name, name) for name in names}

    wrote = named(first, writes_of), named(second, writes_of)
    read = named(first, reads_of), named(second, reads_of)
    return frozenset((wrote[0] & (read[1] | wrote[1])) | (wrote[1] & read[0]))


def can_join(first: Loop, second: Loop, known: Known) -> bool:
    """Tell whether two loops can run as one: what they share, each round has to itself.

    One that several threads share isn't joined with one that they can't.
    """
    loops = (first, second)
    worth = any(gained_over(loop, known) is not None for loop in loops)
    if worth and any(shares(loop, known) is None for loop in loops):
        return False
    second = relettered(second, first.letter)
    names = shared(first, second, known)
    places = {
        (owner, place_of(access, first.letter))
        for loop in (first, second)
        for part in inside(loop)
        for access in (*reads_of(part), *writes_of(part))
        if (owner := known.owners.get(access.name, access.name)) in names
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


# ---------------------------------------------------------------- arrays of a round, sums by parts


@dataclass(frozen=True, slots=True)
class Finishing:
    """What is done to loops once they are joined."""

    work: Workshop
    known: Known

    def finished(self, nodes: tuple[Node, ...]) -> Nests:
        """Return the loops with arrays that each round has to itself, and sums by parts."""
        own: list[Tensor] = []
        made: list[Node] = []
        mentions = [names_in(node) for node in nodes]
        for place, node in enumerate(nodes):
            if not isinstance(node, Loop):
                made.append(node)
                continue
            elsewhere = {n for k, names in enumerate(mentions) if k != place for n in names}
            if node.serial:
                loop, brief = self.of_one_step(node, mentions[place] - elsewhere)
                self.work.scratch |= {tensor.name: tensor for tensor in brief}
                size = self.examples_of(loop)
                made.append(Shares(loop, size) if size else loop)
                continue
            loop, found = self.with_own(node, mentions[place] - elsewhere)
            own += found
            done = self.in_parts(loop)
            made.append(done)
            if isinstance(done, Parts):
                made += [self.added_up(name, parts) for name, parts in done.sums]
        names = {tensor.name for tensor in own}
        scratch = tuple(t for t in self.work.scratch.values() if t.name not in names)
        return Nests(tuple(made), scratch, tuple(own))

    def passing(self) -> dict[str, Tensor]:
        """Return the arrays that are no one's result: scratch, and adjoints that aren't asked for.

        Another that is seen as one of them needs its memory.
        """
        asked = {name for _, name in self.work.program.gradients}
        asked |= {*self.known.owners, *self.known.owners.values()}
        adjoints = self.work.program.with_role(Role.ADJOINT)
        return self.work.scratch | {t.name: t for t in adjoints if t.name not in asked}

    def of_one_step(self, loop: Loop, names: frozenset[str]) -> tuple[Loop, tuple[Tensor, ...]]:
        """Return a recurrence with arrays of one step for what no other step reads.

        Each step writes where the one before wrote, which is still at hand.
        """
        found: dict[str, tuple[Tensor, int]] = {}
        for name, tensor in self.passing().items():
            accesses = accesses_of(name, loop)
            axes = {step_axis(access, loop.letter) for access in accesses}
            if name in names and len(axes) == 1 and (axis := axes.pop()) is not None:
                shape = (*tensor.shape[:axis], *tensor.shape[axis + 1 :])
                found[name] = replace(tensor, shape=shape), axis

        def at_hand(access: Access) -> Access:
            return without(access, found[access.name][1]) if access.name in found else access

        body = replaced(loop.body, at_hand)
        return replace(loop, body=body), tuple(tensor for tensor, _ in found.values())

    def examples_of(self, loop: Loop) -> str:
        """Return the batch's size where a recurrence takes each example by itself, "" elsewhere."""
        letter, owners = "n'", self.known.owners
        sizes: set[Dim] = set()
        parts: list[Node] = []
        for part in loop.body:
            match part:
                case Loop(_, str(), _, 0):
                    sizes.add(part.size)
                    parts += relettered(part, letter).body
                case Product(rows=(own,)) if place_of(part.left, own):
                    sizes.add(dict(part.sizes)[own])
                    parts.append(renamed(part, {own: letter}))
                case _:
                    return ""
        nodes = [node for part in parts for node in inside(part)]
        arrays = self.known.shapes.keys() | self.work.scratch.keys()
        written = {owners.get(a.name, a.name) for n in nodes for a in writes_of(n)} & arrays
        places = {
            (owner, place_of(access, letter))
            for node in nodes
            for access in (*reads_of(node), *writes_of(node))
            if (owner := owners.get(access.name, access.name)) in written
        }
        own_places = all(place for _, place in places) and len(places) == len(written)
        batch = sizes.pop() if len(sizes) == 1 else ""
        return batch if own_places and isinstance(batch, str) else ""

    def with_own(self, loop: Loop, names: frozenset[str]) -> tuple[Loop, tuple[Tensor, ...]]:
        """Return a loop whose passing arrays are each round's own where nothing else reads them."""
        room, found = NEAR, []
        for name, tensor in self.passing().items():
            rest = size_of(tensor.shape[1:])
            if name not in names or not 0 < rest <= room or loop.serial or len(tensor.shape) < 2:
                continue
            accesses = accesses_of(name, loop)
            if tensor.shape[0] == loop.size and all(at_front(a, loop.letter) for a in accesses):
                room -= rest
                found.append(replace(tensor, shape=tensor.shape[1:]))
        own = {tensor.name for tensor in found}
        body = replaced(loop.body, lambda each: without(each, 0) if each.name in own else each)
        return replace(loop, body=(*map(Own, found), *body)), tuple(found)

    def in_parts(self, loop: Loop) -> Loop | Parts:
        """Return a loop that several threads may share with what it gains held by parts."""
        names = gained_over(loop, self.known)
        if not names:
            return loop
        sums: dict[str, Tensor] = {}
        for name in sorted(names):
            parts = self.work.fresh(f"{name}_parts")
            sums[name] = Tensor(parts, parts, Role.VALUE, (PARTS, *self.known.shapes[name]))
            self.work.scratch[parts] = sums[name]

        def held(access: Access) -> Access:
            if access.name not in sums:
                return access
            name = sums[access.name].name
            if isinstance(access, Split):
                groups, sizes = (("part",), *access.groups), (("part", PARTS), *access.sizes)
                return Split(name, groups, sizes)
            return Read(name, ("part", *access.axes))

        return Parts(replace(loop, body=replaced(loop.body, held)), tuple(sums.items()))

    def added_up(self, name: str, parts: Tensor) -> Node:
        """Return the loops that add the parts of a sum up, in their order."""
        axes = tuple(f"p'{k}" for k in range(len(parts.shape) - 1))
        node: Node = Gain("sum", Read(name, axes), Read(parts.name, ("part", *axes)))
        for letter, dim in reversed(list(zip(("part", *axes), parts.shape, strict=True))):
            node = Loop(letter, dim, (node,))
        return node


def accesses_of(name: str, node: Node) -> list[Access]:
    """Return where a node and everything in its loops reads or writes an array."""
    return [
        access
        for part in inside(node)
        for access in (*reads_of(part), *writes_of(part))
        if access.name == name
    ]


def names_in(node: Node) -> frozenset[str]:
    """Return the arrays that a node and everything in its loops reads or writes."""
    return frozenset(
        access.name for part in inside(node) for access in (*reads_of(part), *writes_of(part))
    )


def step_axis(access: Access, letter: str) -> int | None:
    """Return which axis a letter runs over by itself, None where it isn't such an axis."""
    match access:
        case Read(axes=axes) if axes.count(letter) == 1:
            return axes.index(letter)
        case Split(groups=groups) if (letter,) in groups:
            return groups.index((letter,))
    return None


def at_front(access: Access, letter: str) -> bool:
    """Tell whether a letter runs over an array's first axis, and over no other."""
    match access:
        case Read(axes=(first, *rest)):
            return first == letter and letter not in rest
        case Lookup(places=(first, *others)):
            mentioned = any(letter in place.axes for place in others)
            return first == Affine(0, ((letter, 1),)) and not mentioned
    return False


def without(access: Access, axis: int) -> Access:
    """Return an array without one of its axes."""

    def rest(parts: tuple[T, ...]) -> tuple[T, ...]:
        return (*parts[:axis], *parts[axis + 1 :])

    match access:
        case Read(axes=axes):
            return replace(access, axes=rest(axes))
        case Split(groups=groups):
            return replace(access, groups=rest(groups))
        case Lookup(places=places):
            return replace(access, places=rest(places))
    raise ValueError(f"no axis of its own: {access}")


def replaced(node: Any, swap: Callable[[Access], Access]) -> Any:
    """Return a node, or several, with other arrays in place of those it reads and writes."""
    if isinstance(node, Leaf):
        return swap(node)
    if isinstance(node, tuple):
        return tuple(replaced(part, swap) for part in node)
    if not is_dataclass(node) or isinstance(node, type | Tensor):
        return node
    held = {slot.name: getattr(node, slot.name) for slot in fields(node)}
    return replace(cast(Any, node), **{k: replaced(value, swap) for k, value in held.items()})
