"""Windows: products with windows become products of matrices.

    z[n,o,i,j] = Σ_c,p,q W[o,c,p,q]·x[n,c,i + p − 1,j + q − 1]

x is copied with its margins of zeros, and its windows from there, side by side: what is left is
for each n a matrix W of o rows times a matrix of i·j columns. Adding up where windows of a step as
large as they are lie is a reshape. A reduction of a few places is written out. Results change in
the last bits where sums are taken in another order.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import prod

from symback.passes.names import all_names
from symback.places import at, within_windows, written_out
from symback.printing import formula, ranges
from symback.program import (
    Affine,
    Contract,
    Dim,
    Draw,
    Expr,
    Lookup,
    Program,
    Read,
    Reduce,
    Role,
    Scatter,
    Split,
    Statement,
    Tensor,
    mapped,
    merged,
)

FEW = 4  # places of a window that are written out
ADDED = 3  # how much longer it takes to add a number up among others than to copy it


def windowed(program: Program) -> Program:
    """Return the program with its windows as matrices."""
    work = Windowing(program, {*all_names(program)})
    forward, loss, backward = (
        tuple(made for statement in block for made in work.statements(statement))
        for block in (program.forward, program.loss, program.backward)
    )
    return replace(
        program,
        tensors=(*program.tensors, *work.made.values()),
        forward=forward,
        loss=loss,
        backward=backward,
    )


@dataclass(slots=True)
class Windowing:
    """The arrays made so far, and the statements that are to stand before the one at hand."""

    program: Program
    taken: set[str]
    made: dict[str, Tensor] = field(default_factory=dict)
    known: dict[tuple[object, ...], str] = field(default_factory=dict)  # what windows → their array
    before: list[Statement] = field(default_factory=list)
    dims: dict[str, Dim] = field(default_factory=dict)
    order: tuple[str, ...] = ()  # the target's letters

    def statements(self, statement: Statement) -> Iterator[Statement]:
        """Yield a statement after those that it needs now."""
        if statement.loop is not None:
            yield statement
            return
        self.dims, self.before = dict(ranges(statement, self.program)), []
        self.order = statement.target.axes
        value = statement.value
        target = statement.target
        if isinstance(value, Scatter) and value.groups and target.axes == value.axes:
            target = Split(target.name, value.groups, value.sizes)
            value = value.body
        value = self.value(value)
        if isinstance(target, Split) and not isinstance(value, Read | Split | Contract):
            yield from self.before
            yield from self.laid_out(statement, target, value)
            return
        yield from self.before
        yield replace(statement, target=target, value=value)

    def value(self, expr: Expr) -> Expr:
        """Return an expression with its windows as matrices."""
        match expr:
            case Contract(left, right, over):
                for windows, other in ((left, right), (right, left)):
                    if isinstance(windows, Lookup) and isinstance(other, Read):
                        made = self.product(other, windows, over)
                        if made is not None:
                            return made
            case Reduce(function, body, (letter,)) if self.is_few(letter, body):
                count = int(self.dims[letter])
                return written_out(function, [at(body, letter, k, self.dims) for k in range(count)])
        return mapped(expr, self.value)

    def is_few(self, letter: str, body: Expr) -> bool:
        """Tell whether a letter runs over a few places within windows."""
        size = self.dims.get(letter, "")
        return isinstance(size, int) and size <= FEW and within_windows(letter, body)

    # ------------------------------------------------------------ products with windows

    def product(self, other: Read, windows: Lookup, over: tuple[str, ...]) -> Expr | None:
        """Return a product with windows as one with a matrix; None for what are no windows."""
        places = [place for place in windows.places if isinstance(place, Affine)]
        moving = [place for place in places if len(place.terms) == 2]
        still = [place for place in places if len(place.terms) != 2]
        letters = [letter for place in places for letter in place.axes]
        plain = all(p.offset == 0 and [c for _, c in p.terms] == [1] for p in still)
        if not moving or not plain or len(places) < len(windows.places):
            return None
        if len({*letters}) < len(letters):
            return None
        ends = tuple(place.axes[0] for place in moving)
        inner = tuple(place.axes[1] for place in moving)
        axes = (*(a for p in still for a in p.axes), *inner, *ends)
        own = tuple(letter for letter in over if letter in axes)
        if own != over and {*own} != {*over}:
            return None
        if set(ends) <= set(over):  # ∂L/∂W: for each n a product, then their sum
            rest = tuple(letter for letter in over if letter not in ends)
            if other.axes[-len(ends) :] != ends or any(letter in inner for letter in over):
                return None
            made = Contract(other, self.array(windows, axes), ends)
            return Reduce("sum", made, rest) if rest else made
        if set(ends) & set(over):
            return None
        summed = tuple(letter for letter in axes if letter in over)
        rows = tuple(letter for letter in other.axes if letter not in over)
        if set(rows) & set(axes):
            return None
        if (spread := self.spread(other, windows, over)) is not None:
            return spread
        if other.axes != rows + summed:
            other = self.turned(other, rows + summed)
        return Contract(other, self.array(windows, axes), summed)

    def spread(self, other: Read, windows: Lookup, over: tuple[str, ...]) -> Scatter | None:
        """Return Σ_{o,p} W[o,c,p]·z[n,o,k − p] as values W[o,c,p]·z[n,o,i] added up at k = i + p.

        Where these are few beside the windows of z.
        """
        letters = tuple(axis for place in windows.places for axis in place.axes)
        sizes = dict(windows.sizes)
        read: list[str] = []
        places: dict[str, Affine] = {}
        moved: list[tuple[str, Dim]] = []
        for place, dim in zip(windows.places, self.program.tensor(windows.name).shape, strict=True):
            match place:
                case Affine(offset, ((outer, 1), (inner, -1))) if inner in over:
                    read.append(f"{outer}'")
                    places[outer] = Affine(-offset, ((read[-1], 1), (inner, 1)))
                    moved.append((read[-1], dim))
                case Affine() if place.letter:
                    read.append(place.letter)
                case _:
                    return None
        kept = tuple(a for a in merged(letters, other.axes) if a not in over)
        axes = tuple(axis for axis in self.order if axis in kept)
        inside = tuple(letter for letter in over if letter not in {*read})
        body = Contract(other, Read(windows.name, tuple(read)), tuple(a for a in over if a in read))
        if len(axes) < len(kept) or not body.over or not {*inside} <= {*other.axes}:
            return None
        ranges = {**self.dims, **dict(moved)}
        ours, theirs = (
            prod(dim for a in found if isinstance(dim := ranges[a], int))
            for found in (body.axes, letters)
        )
        if ADDED * ours >= theirs:
            return None
        at_ = tuple(places.get(axis, Affine(0, ((axis, 1),))) for axis in axes)
        found = tuple((a, ranges[a]) for a in body.axes)
        return Scatter(body, axes, tuple(sizes.get(a, ranges[a]) for a in axes), at_, found)

    def array(self, windows: Lookup, axes: tuple[str, ...]) -> Read:
        """Return the windows, side by side, as an array with these axes."""
        swap = {letter: str(k) for k, letter in enumerate(axes)}
        places = tuple(
            Affine(place.offset, tuple((swap[letter], c) for letter, c in place.terms))
            for place in windows.places
            if isinstance(place, Affine)
        )
        sizes = dict(windows.sizes)
        key = (windows.name, places, tuple(sizes[letter] for letter in axes))
        if key not in self.known:
            framed = self.framed(windows)
            name = self.make(f"{windows.name}_windows", tuple(sizes[a] for a in axes))
            target = Read(name, axes)
            self.before.append(Statement(target, framed, said(target, framed)))
            self.known[key] = name
        return Read(self.known[key], axes)

    def framed(self, windows: Lookup) -> Lookup:
        """Return windows that reach out of their array as windows of a copy with margins."""
        shape = self.program.tensor(windows.name).shape
        sizes = dict(windows.sizes)
        dims: list[Dim] = []
        outer: list[Affine] = []
        inner: list[Affine] = []
        out = False
        for place, dim in zip(windows.places, shape, strict=True):
            assert isinstance(place, Affine)
            if len(place.terms) < 2:
                dims.append(dim)
                outer.append(place)
                inner.append(place)
                continue
            lowest, highest = place.reach(sizes)
            lowest, highest = min(lowest, 0), max(highest, int(dim) - 1)
            out = out or lowest < 0 or highest >= int(dim)
            letter = f"{place.axes[0]}'"
            dims.append(highest - lowest + 1)
            outer.append(Affine(lowest, ((letter, 1),)))
            inner.append(replace(place, offset=place.offset - lowest))
        if not out:
            return windows
        axes = tuple(letter for place in outer for letter in place.axes)
        zero = Draw("constant", (0.0,))
        name = self.make(f"{windows.name}_framed", tuple(dims), zero)
        source = Lookup(windows.name, tuple(outer), tuple(zip(axes, dims, strict=True)))
        target = Read(name, axes)
        self.before.append(Statement(target, source, said(target, source)))
        return Lookup(name, tuple(inner), windows.sizes)

    def turned(self, matrix: Read, axes: tuple[str, ...]) -> Read:
        """Return a copy of an array with its axes in another order."""
        shape = dict(zip(matrix.axes, self.program.tensor(matrix.name).shape, strict=True))
        target = Read(self.make(f"{matrix.name}_T", tuple(shape[a] for a in axes)), axes)
        self.before.append(Statement(target, matrix, said(target, matrix)))
        return target

    def make(self, wanted: str, shape: tuple[Dim, ...], draw: Draw | None = None) -> str:
        """Return the name of a new array."""
        name = wanted
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        self.made[name] = Tensor(name, name, Role.VALUE, shape, draw=draw)
        return name

    # ------------------------------------------------------------ arrays seen with other axes

    def laid_out(self, statement: Statement, target: Split, value: Expr) -> Iterator[Statement]:
        """Yield a value in an array of its own axes, and that array with axes joined."""
        sizes = dict(target.sizes)
        own = Read(self.make(f"r_{target.name}", tuple(sizes[a] for a in target.axes)), target.axes)
        yield replace(statement, target=own, value=value)
        yield Statement(target, own, said(target, own))


def said(target: Read | Split, value: Expr) -> str:
    return f"{formula(target)} = {formula(value)}"
