"""A statement as loops over its target's letters.

A sum inside of it gets loops of its own, outside of every loop that it doesn't depend on; a sum of
products that is a product of matrices becomes a `Product`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any, cast

from symback import printing
from symback.places import at, within_windows, written_out
from symback.printing import natural, ordered, walk
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
    Stack,
    Statement,
    Tensor,
    mapped,
    merged,
)
from symback.targets._loops.nodes import (
    CHEAP,
    Access,
    Best,
    Call,
    Gain,
    Leaf,
    Lined,
    Loop,
    Node,
    Product,
    Put,
    Start,
    Strided,
)
from symback.targets._loops.products import is_plain, is_prefix, roles, split_windows, together_in

LARGEST = 1 << 19  # multiplications up to which a product's own loops are no slower than a BLAS
LARGEST_WITHIN = 1 << 23  # the same for a product of each example: threads take examples instead
STRIP = 32  # columns that a strip of a matrix has at most
FEW = 4  # places of a window that are written out, so that what is around them is the inner loop


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
        if isinstance(value, Stack):
            self.places(target, value.letter, statement.parts)
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
        operand, size = value.operand, self.dims[value.operand.axes[-1]]
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

    def places(self, target: Access, letter: str, parts: Sequence[tuple[Expr, str]]) -> None:
        """Write parts side by side, each at its place of the target, with its formula."""
        for k, (part, said) in enumerate(parts):
            into = at(target, letter, k, self.dims)
            assert isinstance(into, Access)
            self.write(into, self.taken_out(part, None, self.loops(into.axes), said), said)

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
                case Stack(letter=letter):
                    self.dims[letter] = len(part.parts)
                    into = self.kept("e_stacked", natural(part))
                    self.places(into, letter, [(each, "") for each in part.parts])
                    return into
                case Scatter():
                    return put(part, lambda into: self.scattered(into, part, because))
                case Apply():
                    if costly(part) and part.axes and not is_prefix(part.axes, loops):
                        return self.array(part, natural(part))
                    return mapped(part, lambda inner: visited(inner, loops, top))
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
        """Return an expression with a reduction over a few places of windows written out."""
        match expr:
            case Reduce(function, body, (letter,)) if self.is_few(letter, body):
                count = int(self.dims[letter])
                return written_out(function, [at(body, letter, k, self.dims) for k in range(count)])
            case Apply():
                return mapped(expr, self.fixed)
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


def costly(expr: Expr) -> bool:
    """Tell whether a value is worth computing once rather than in every round of a loop."""
    return any(
        isinstance(node, Reduce | Contract)
        or (isinstance(node, Apply) and node.function not in CHEAP)
        for node in walk(expr)
    )
