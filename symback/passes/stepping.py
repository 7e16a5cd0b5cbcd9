"""Recurrences step by step: arrays lie step after step in memory, and a step works on its parts.

    h[n,t,k] = tanh(Σ_l U[k,l]·h[n,t − 1,l] + p[n,t,k])

h becomes an array h[t,n,k], made with a step of zeros before the first, `h_all`; the loop's body
works on `h_t`, `h_before`, which are views of it and lie side by side in memory. What a step alone
needs is an array of one step. A sum whose terms each stand at one place of an axis, a·[i = 0] +
b·[i = 1], is written place by place.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TypeVar

from symback import printing
from symback.passes.names import all_names, names
from symback.printing import formula, free, walk
from symback.program import (
    Affine,
    Apply,
    Concatenate,
    Contract,
    Dim,
    Draw,
    Expr,
    Leaf,
    Lookup,
    Loop,
    Matrix,
    Number,
    Position,
    Program,
    Read,
    Reduce,
    Role,
    Scatter,
    Slice,
    Split,
    Statement,
    Tensor,
    View,
)
from symback.steps import at_step, earlier, others, step_axis

COMPUTED = {Role.VALUE, Role.ADJOINT}
T = TypeVar("T")


def stepwise(program: Program) -> Program:
    """Return the program with its recurrences in views of arrays that lie step after step.

    A program with a recurrence that has another form (a number a step, several steps at once)
    stays as it is.
    """
    whole, program = program, taken_apart(program)
    statements = (*program.forward, *program.loss, *program.backward)
    looped = [statement for statement in statements if statement.loop is not None]
    if not looped or not all(fits(statement, program) for statement in looped):
        return whole
    if any(isinstance(node, Matrix) for s in statements for node in walk(s.value)):
        return whole
    return Stepping.of(program).program_in_steps()


def taken_apart(program: Program) -> Program:
    """Return the program with arrays of axes for themselves where a step reads joined ones."""
    made: dict[Split, Tensor] = {}

    def block(statements: Sequence[Statement]) -> Iterator[Statement]:
        for loop, group_ in groupby(statements, lambda statement: statement.loop):
            group = tuple(group_)
            if loop is None:
                yield from group
                continue
            found = {
                node: Read(copy(node), node.axes)
                for statement in group
                for node in walk(statement.value)
                if isinstance(node, Split) and loop.letter in node.axes
            }
            for node, read in found.items():
                yield Statement(read, node, f"{formula(read)} = {formula(node)}")
            for statement in group:
                yield replace(statement, value=swapped(statement.value, found))

    def copy(node: Split) -> str:
        if node not in made:
            name, taken = f"{node.name}_steps", all_names(program) | {t.name for t in made.values()}
            while name in taken:
                name += "_"
            made[node] = Tensor(name, name, Role.VALUE, tuple(dim for _, dim in node.sizes))
        return made[node].name

    forward, loss, backward = (
        tuple(block(statements)) for statements in (program.forward, program.loss, program.backward)
    )
    tensors = (*program.tensors, *made.values())
    return replace(program, tensors=tensors, forward=forward, loss=loss, backward=backward)


def swapped(expr: Expr, found: Mapping[Split, Read]) -> Expr:
    """Return an expression with other arrays in place of some."""
    match expr:
        case Split() if expr in found:
            return found[expr]
        case Apply(function, args):
            return Apply(function, tuple(swapped(arg, found) for arg in args))
        case Reduce(function, body, over):
            return Reduce(function, swapped(body, found), over)
        case Contract(left, right, over):
            return Contract(swapped(left, found), swapped(right, found), over)
    return expr


def fits(statement: Statement, program: Program) -> bool:
    """Tell whether a recurrence's statement works on arrays, at steps at fixed distances."""
    loop, target = statement.loop, statement.target
    assert loop is not None
    if isinstance(target, Split) or len(target.axes) < 2:
        return False
    arrays = {tensor.name: tensor for tensor in program.tensors}

    def known(node: Expr) -> bool:
        match node:
            case Split() | Scatter() | Concatenate() | Matrix():
                return loop.letter not in free(node)
            case Lookup(name, places, sizes) if loop.letter in node.axes:
                apart = [place for place in places if loop.letter in place.axes]
                if len(apart) != 1:
                    return False
                if isinstance(apart[0], Read):
                    return True
                shifted = apart[0].terms == ((loop.letter, 1),)
                return (
                    shifted
                    and arrays[name].role in COMPUTED
                    and dict(sizes)[loop.letter] == (loop.size)
                )
            case Read(name, axes) if loop.letter in axes:
                return arrays[name].shape[axes.index(loop.letter)] == loop.size
        return True

    return all(known(node) for node in walk(statement.value))


@dataclass(slots=True)
class Lying:
    """How an array lies: the axis that its steps have in the program, and margins of zeros.

    `whole` is the array with its margins, steps first; without margins it is the array itself.
    """

    axis: int
    before: int = 0
    after: int = 0
    whole: str = ""


@dataclass(slots=True)
class Stepping:
    """A program while its recurrences are put into steps."""

    program: Program
    tensors: dict[str, Tensor]
    taken: set[str]
    lying: dict[str, Lying] = field(default_factory=dict)
    brief: set[str] = field(default_factory=set)  # adjoints that only their own step reads
    elsewhere: set[str] = field(default_factory=set)  # what is read outside of recurrences
    copies: dict[str, Tensor] = field(default_factory=dict)  # inputs → copies, steps first
    made: dict[str, Tensor] = field(default_factory=dict)  # arrays with margins
    views: list[View] = field(default_factory=list)
    known: dict[tuple[object, ...], str] = field(default_factory=dict)  # a part → its view's name

    @classmethod
    def of(cls, program: Program) -> "Stepping":
        """Return the work that lies ahead: which arrays lie in steps, with which margins."""
        work = cls(program, {t.name: t for t in program.tensors}, {*all_names(program)})
        work.find()
        work.spread()
        work.measure()
        return work

    @property
    def statements(self) -> tuple[Statement, ...]:
        program = self.program
        return (*program.forward, *program.loss, *program.backward, *program.renewal)

    # ------------------------------------------------------------ which arrays

    def find(self) -> None:
        """Note the arrays that a recurrence computes or reads, step by step."""
        apart = (statement for statement in self.statements if statement.loop is None)
        self.elsewhere = {name for statement in apart for name in names(statement.value)}
        self.elsewhere |= {name for _, name in self.program.gradients}
        for statement in self.statements:
            if (loop := statement.loop) is None:
                continue
            for node in (statement.target, *walk(statement.value)):
                match node:
                    case Read(name, axes) | Slice(name, axes) if loop.letter in axes:
                        self.lie(name, axes.index(loop.letter))
                    case Lookup(name) if loop.letter in node.axes:
                        place = node.places[step_axis(node, loop)]
                        if isinstance(place, Affine):
                            self.lie(name, step_axis(node, loop))
        for statement in self.statements:
            name, loop = statement.target.name, statement.loop
            if (
                loop is None
                or name in self.elsewhere
                or self.tensors[name].role is not Role.ADJOINT
            ):
                continue
            if all(self.is_own(name, other, loop) for other in self.statements):
                self.brief.add(name)

    def lie(self, name: str, axis: int) -> None:
        if self.tensors[name].role in COMPUTED:
            self.lying.setdefault(name, Lying(axis))

    def is_own(self, name: str, statement: Statement, loop: Loop) -> bool:
        """Tell whether a statement reads an array, if at all, at the step that it is computed."""
        if name not in names(statement.value):
            return True
        shifted = any(isinstance(n, Lookup) and n.name == name for n in walk(statement.value))
        return statement.loop == loop and not shifted

    def spread(self) -> None:
        """Let what is multiplied with such arrays, or is such a product, lie in the same way."""
        fixed = {self.program.output, *(name for _, name in self.program.gradients)}
        for _ in self.statements:
            before = len(self.lying)
            for statement in self.statements:
                letters = self.letters(statement)
                product = isinstance(statement.value, Contract | Lookup)
                parts: list[Expr] = [statement.target] if product or self.all_lie(statement) else []
                if product and statement.target.name in self.lying:
                    parts += walk(statement.value)
                for node in walk(statement.value):
                    if isinstance(node, Contract) and self.lies(node):
                        parts += walk(node)
                for part in parts if statement.loop is None else ():
                    if (
                        isinstance(part, Read)
                        and part.name not in fixed
                        and part.name in self.tensors
                    ):
                        for axis in (k for k, a in enumerate(part.axes) if a in letters):
                            self.lie(part.name, axis)
            if len(self.lying) == before:
                return

    def all_lie(self, statement: Statement) -> bool:
        """Tell whether all arrays lie in steps that an elementwise statement reads along them."""
        letters = self.letters(statement)
        read = [
            node.name
            for node in walk(statement.value)
            if isinstance(node, Leaf) and letters & {*node.axes}
        ]
        return isinstance(statement.value, Apply) and bool(read) and {*read} <= self.lying.keys()

    def lies(self, expr: Expr) -> bool:
        """Tell whether an expression reads an array that lies in steps."""
        return not self.lying.keys().isdisjoint(names(expr))

    def letters(self, statement: Statement) -> frozenset[str]:
        """Return the letters of the axes along which a statement's arrays lie in steps."""
        found = set[str]()
        for node in (statement.target, *walk(statement.value)):
            if isinstance(node, Leaf) and node.name in self.lying:
                axis = self.lying[node.name].axis
                match node:
                    case Read(axes=axes) | Slice(axes=axes):
                        found.add(axes[axis])
                    case Split(groups=groups):
                        found |= {*groups[axis]}
                    case Lookup(places=places):
                        found |= {*places[axis].axes}
        return frozenset(found)

    # ------------------------------------------------------------ how they lie

    def measure(self) -> None:
        """Note the margins, and what arrays are called with them."""
        for statement in self.statements:
            for node in walk(statement.value):
                if isinstance(node, Lookup) and (offset := self.shifted(node)) is not None:
                    lying = self.lying[node.name]
                    place = node.places[lying.axis]
                    last = offset + int(dict(node.sizes)[place.axes[0]])
                    lying.before = max(lying.before, -offset)
                    lying.after = max(
                        lying.after, last - int(self.tensors[node.name].shape[lying.axis])
                    )
        fixed = {self.program.output, *(name for _, name in self.program.gradients)}
        for name, lying in self.lying.items():
            lying.whole = name
            if name not in fixed and not (lying.before or lying.after):
                continue
            lying.whole = self.fresh(f"{name}_all")
            first, *rest = self.first(name, self.tensors[name].shape)
            shape = (int(first) + lying.before + lying.after, *rest)
            draw = Draw("constant", (0.0,))
            self.made[lying.whole] = replace(
                self.tensors[name], name=lying.whole, shape=shape, draw=draw
            )

    def shifted(self, node: Lookup) -> int | None:
        """Return how far a reading of an array is shifted along its steps; None for others."""
        if node.name not in self.lying:
            return None
        place = node.places[self.lying[node.name].axis]
        if isinstance(place, Read) or [c for _, c in place.terms] != [1]:
            return None
        [letter] = place.axes
        rest = [p for k, p in enumerate(node.places) if k != self.lying[node.name].axis]
        return None if any(letter in p.axes for p in rest) else place.offset

    def fresh(self, wanted: str) -> str:
        while wanted in self.taken:
            wanted += "_"
        self.taken.add(wanted)
        return wanted

    def first(self, name: str, parts: Sequence[T]) -> tuple[T, ...]:
        """Return what belongs to an array's axes with its steps' first."""
        axis = self.lying[name].axis
        return (parts[axis], *parts[:axis], *parts[axis + 1 :])

    # ------------------------------------------------------------ the program

    def program_in_steps(self) -> Program:
        program = self.program
        blocks = [
            tuple(self.block(block))
            for block in (program.forward, program.loss, program.backward, program.renewal)
        ]
        forward, loss, backward, renewal = blocks
        copied = tuple(self.copied(name) for name in self.copies)
        tensors = tuple(map(self.tensor, program.tensors)) + tuple(self.copies.values())
        return replace(
            program,
            tensors=tensors,
            forward=(*copied, *forward),
            loss=loss,
            backward=backward,
            renewal=renewal,
            buffers=(*program.buffers, *self.made.values()),
            views=tuple(self.views),
        )

    def tensor(self, tensor: Tensor) -> Tensor:
        """Return an array as it is now: steps first, or of one step."""
        if tensor.name not in self.lying or self.is_fixed(tensor.name):
            return tensor
        shape = self.first(tensor.name, tensor.shape)
        return replace(tensor, shape=shape[1:] if tensor.name in self.brief else shape)

    def is_fixed(self, name: str) -> bool:
        """Tell whether an array itself must stay as it is: the output, a gradient."""
        return name == self.program.output or name in {n for _, n in self.program.gradients}

    def copied(self, name: str) -> Statement:
        tensor, copy = self.program.tensor(name), self.copies[name]
        axis = tensor.shape.index(copy.shape[0], 1)
        letters = tuple("ntabcdefgh"[: len(tensor.shape)])
        order = (letters[axis], *letters[:axis], *letters[axis + 1 :])
        said = f"{copy.name}[{','.join(order)}] = {name}[{','.join(letters)}]"
        return Statement(Read(copy.name, order), Read(name, letters), said)

    def block(self, statements: Iterable[Statement]) -> Iterator[Statement]:
        for loop, group in groupby(statements, lambda statement: statement.loop):
            if loop is None:
                for statement in group:
                    if self.has_margins(statement.target.name):
                        yield self.named(statement.target.name)
                    yield self.outside(statement)
            else:
                yield from self.steps(tuple(group), loop)

    # ------------------------------------------------------------ outside of recurrences

    def outside(self, statement: Statement) -> Statement:
        """Return a statement that reads arrays as they lie now."""
        target, value = statement.target, statement.value
        letters = self.letters(statement)
        if not letters:
            return statement
        moved = target.name in self.lying and not self.is_fixed(target.name)
        if moved and isinstance(target, Read):
            if isinstance(value, Scatter) and value.axes == target.axes:
                value = replace(
                    value,
                    axes=self.first(target.name, value.axes),
                    shape=self.first(target.name, value.shape),
                    places=self.first(target.name, value.places),
                )
            target = Read(target.name, self.first(target.name, target.axes))
        return replace(statement, target=target, value=self.laid(value, letters))

    def laid(self, expr: Expr, letters: frozenset[str]) -> Expr:
        """Return an expression whose arrays are read as they lie."""

        def again(node: Expr) -> Expr:
            return self.laid(node, letters)

        def label(place: Affine | Read) -> Affine | Read:
            made = again(place) if isinstance(place, Read) else place
            assert isinstance(made, Affine | Read)
            return made

        match expr:
            case Read(name, axes) if name in self.lying:
                return self.whole(name, self.first(name, axes), 0)
            case Read(name, axes) if name in self.tensors:
                if self.tensors[name].role is Role.INPUT and letters & {*axes[1:]}:
                    return self.copy(expr, next(a for a in axes[1:] if a in letters))
                return expr
            case Slice(name, axes, ranges) if name in self.lying:
                made = self.whole(name, self.first(name, axes), 0)
                first, *rest = self.first(name, ranges)
                if isinstance(made, Slice):
                    (start, stop), *_ = (r for r in made.ranges if r)
                    first = (start + first[0], start + first[1]) if first else (start, stop)
                return Slice(made.name, made.axes, (first, *rest))
            case Split(name, groups) if name in self.lying and not self.is_fixed(name):
                made = self.whole(name, (), 0)
                return replace(expr, name=made.name, groups=self.first(name, groups))
            case Lookup(name, places, sizes) if name in self.lying:
                offset = self.shifted(expr)
                beside = self.first(name, places)[1:]
                plain = Lookup(name, beside, sizes).is_plain
                if offset is not None and plain:
                    axes = tuple(a for place in self.first(name, places) for a in place.axes)
                    return self.whole(name, axes, offset, int(dict(sizes)[axes[0]]))
                return self.looked_up(expr, tuple(map(label, places)))
            case Lookup(places=places):
                return replace(expr, places=tuple(map(label, places)))
            case Scatter(body=body, places=places):
                return replace(expr, body=again(body), places=tuple(map(label, places)))
            case Concatenate(parts=parts):
                return replace(expr, parts=tuple(map(again, parts)))
            case Apply(function, args):
                return Apply(function, tuple(map(again, args)))
            case Reduce(function, body, over):
                return Reduce(function, again(body), over)
            case Contract(left, right, over):
                return Contract(again(left), again(right), over)
        return expr

    def whole(
        self, name: str, axes: tuple[str, ...], offset: int, count: int | None = None
    ) -> Read | Slice:
        """Return an array's steps from one on, as they lie."""
        lying = self.lying[name]
        steps = int(self.tensors[name].shape[lying.axis])
        count = steps if count is None else count
        start = lying.before + offset
        if start == 0 and count == steps + lying.before + lying.after:
            return Read(lying.whole, axes)
        if offset == 0 and count == steps and not self.is_fixed(name):
            return Read(name, axes)
        return Slice(lying.whole, axes, ((start, start + count), *[None] * (len(axes) - 1)))

    def looked_up(self, expr: Lookup, places: tuple[Affine | Read, ...]) -> Lookup:
        """Return an array read at computed places, as it lies."""
        lying = self.lying[expr.name]
        step, *rest = self.first(expr.name, places)
        if isinstance(step, Affine):
            step = replace(step, offset=step.offset + lying.before)
            return replace(expr, name=lying.whole, places=(step, *rest))
        if self.is_fixed(expr.name):
            return replace(expr, places=places)
        return replace(expr, places=(step, *rest))

    def copy(self, read: Read, letter: str) -> Read:
        """Return the reading of an input's copy that lies step after step."""
        axis = read.axes.index(letter)
        if read.name not in self.copies:
            tensor = self.tensors[read.name]
            shape = (tensor.shape[axis], *tensor.shape[:axis], *tensor.shape[axis + 1 :])
            name = self.fresh(f"{read.name}_steps")
            self.copies[read.name] = replace(tensor, name=name, shape=shape, role=Role.VALUE)
        order = (letter, *read.axes[:axis], *read.axes[axis + 1 :])
        return Read(self.copies[read.name].name, order)

    # ------------------------------------------------------------ recurrences

    def steps(self, group: tuple[Statement, ...], loop: Loop) -> Iterator[Statement]:
        """Yield a recurrence's statements over the parts of arrays that a step works on."""
        step = OneStep(self, loop)
        for name in (statement.target.name for statement in group):
            if self.lying[name].whole == name and name not in self.brief:
                self.made[name] = self.tensor(self.tensors[name])
        made = [each for statement in group for each in step.statements(statement)]
        yield from step.views.values()
        yield from made
        for name in dict.fromkeys(statement.target.name for statement in group):
            kept = name in self.elsewhere or self.tensors[name].role is Role.VALUE
            if self.lying[name].whole != name and kept:
                yield self.named(name)

    def has_margins(self, name: str) -> bool:
        """Tell whether an array is the inside of another."""
        return name in self.lying and self.lying[name].whole != name and not self.is_fixed(name)

    def named(self, name: str) -> Statement:
        """Return the statement that names an array within its margins, or copies it from there."""
        tensor, lying = self.tensors[name], self.lying[name]
        letters = tuple(f"i{k}" for k in range(len(tensor.shape)))
        axes = self.first(name, letters)
        end = lying.before + int(tensor.shape[lying.axis])
        value = Slice(lying.whole, axes, ((lying.before, end), *[None] * (len(axes) - 1)))
        return Statement(Read(name, letters if self.is_fixed(name) else axes), value, "")


@dataclass(slots=True)
class OneStep:
    """A step of a recurrence: its statements, and the views that they work on."""

    work: Stepping
    loop: Loop
    views: dict[tuple[str, tuple[Affine, ...]], Statement] = field(default_factory=dict)

    def statements(self, statement: Statement) -> Iterator[Statement]:
        """Yield a statement at the step, one for each place that its terms stand at."""
        target, letter = statement.target, self.loop.letter
        value = at_step(statement.value, self.loop, self.part)
        rest = tuple(axis for axis in target.axes if axis != letter)
        placed = by_place(value, rest)
        for place, term in placed.items():
            at = self.view(target.name, target.axes, 0, place)
            said = statement.because if term is next(iter(placed.values())) else ""
            yield replace(statement, target=at, value=term, because=said)

    def part(self, leaf: Leaf | Position) -> Expr:
        """Return what the step has of an array."""
        letter = self.loop.letter
        match leaf:
            case Position():
                return Read(printing.counter(letter, self.work.program), ())
            case Slice(name, axes, ranges):
                axis = axes.index(letter)
                start = (ranges[axis] or (0, 0))[0]
                view = self.view(name, axes, start)
                parts = (*ranges[:axis], *ranges[axis + 1 :])
                return Slice(view.name, view.axes, parts) if any(parts) else view
            case Lookup(name, places):
                axis = step_axis(leaf, self.loop)
                if isinstance(label := places[axis], Read):
                    labels = self.part(label)
                    assert isinstance(labels, Read)
                    at = (*places[:axis], labels, *places[axis + 1 :])
                    return replace(others(leaf, self.loop), places=at)
                offset, rest = earlier(leaf, self.loop)
                axes = tuple(f"_{k}" for k in range(len(places)))
                if rest.is_plain:
                    axes = tuple(a for place in places for a in place.axes)
                view = self.view(name, (*axes[:axis], letter, *axes[axis + 1 :]), offset)
                return view if rest.is_plain else replace(rest, name=view.name)
        assert isinstance(leaf, Read)
        return self.view(leaf.name, leaf.axes, 0)

    def view(
        self, name: str, axes: tuple[str, ...], offset: int, place: tuple[str, int] | None = None
    ) -> Read:
        """Return the view of an array at a step so far away, at a place of another axis if told."""
        work, letter = self.work, self.loop.letter
        if name in work.brief and place is None:
            return Read(name, tuple(axis for axis in axes if axis != letter))
        tensor = work.tensors[name]
        sizes: dict[str, Dim] = dict(zip(axes, tensor.shape, strict=True))
        whole, order = name, axes
        if name in work.lying:
            lying = work.lying[name]
            whole, order, offset_ = lying.whole, work.first(name, axes), offset + lying.before
        else:
            offset_ = offset
        kept = tuple(a for a in order if a != letter and (place is None or a != place[0]))
        at = tuple(
            Affine(offset_, ((letter, 1),))
            if axis == letter
            else Affine(place[1], ())
            if place is not None and axis == place[0]
            else Affine(0, ((f"_{k}", 1),))
            for k, axis in enumerate(order)
            if not (name in work.brief and axis == letter)
        )
        if (whole, at) not in self.views:
            word = "" if not offset else "before" if offset < 0 else "after"
            far = str(abs(offset)) if abs(offset) > 1 else ""
            ending = f"{place[1]}" if place is not None else f"{word}{far}" or letter
            key = (whole, offset_, place and (order.index(place[0]), place[1]))
            view = work.known.get(key) or work.fresh(f"{name}_{ending}")
            work.known[key] = view
            shape = tuple(sizes[axis] for axis in kept)
            letters = [(f"_{k}", sizes[axis]) for k, axis in enumerate(order) if axis in kept]
            read = Lookup(whole, at, (*letters, (letter, self.loop.size)))
            work.views.append(View(replace(tensor, name=view, shape=shape, draw=None), read))
            target = Read(view, tuple(a for p in at for a in p.axes if a != letter))
            self.views[whole, at] = Statement(target, read, "", loop=self.loop)
        return Read(self.views[whole, at].target.name, kept)


def by_place(value: Expr, axes: tuple[str, ...]) -> dict[tuple[str, int] | None, Expr]:
    """Return the terms of a sum by the place that each stands at: [i = 0]·a + [i = 1]·b.

    Under None the whole value, where it isn't such a sum or has none at some place.
    """
    whole: dict[tuple[str, int] | None, Expr] = {None: value}
    if not isinstance(value, Apply) or value.function != "add":
        return whole
    found: dict[tuple[str, int] | None, Expr] = {}
    count = 0
    for term in value.args:
        factors = term.args if isinstance(term, Apply) and term.function == "multiply" else ()
        marks = [f for f in factors if isinstance(f, Apply) and f.function == "eq"]
        match marks:
            case [Apply(_, (Position(letter, int(size)), Number(int(place)))) as mark]:
                left = tuple(factor for factor in factors if factor is not mark)
                if letter not in axes or (letter, place) in found or len(left) != 1:
                    return whole
                found[letter, place] = left[0]
                count = size
            case _:
                return whole
    alone = {letter for key in found if key for letter in key[:1]}
    return (
        dict(sorted(found.items(), key=str)) if len(alone) == 1 and len(found) == count else whole
    )
