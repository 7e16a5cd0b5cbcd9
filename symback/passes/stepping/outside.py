"""Outside of recurrences: statements that read and write arrays as they lie now."""

from dataclasses import dataclass, field, replace

from symback.passes.stepping.layout import Layout
from symback.program import (
    Affine,
    Expr,
    Lookup,
    Read,
    Role,
    Scatter,
    Slice,
    Split,
    Statement,
    Tensor,
    mapped,
)


@dataclass(slots=True)
class Outside:
    """Statements outside of recurrences, and the copies of inputs that they read."""

    layout: Layout
    copies: dict[str, Tensor] = field(default_factory=dict)  # inputs → copies, steps first

    def statement(self, statement: Statement) -> Statement:
        """Return a statement that reads arrays as they lie now."""
        layout, target, value = self.layout, statement.target, statement.value
        if not layout.lies(value) and target.name not in layout.lying:
            return statement
        letters = layout.letters(statement)
        if layout.is_moved(target.name) and isinstance(target, Read):
            if isinstance(value, Scatter) and value.axes == target.axes:
                value = replace(
                    value,
                    axes=layout.first(target.name, value.axes),
                    shape=layout.first(target.name, value.shape),
                    places=layout.first(target.name, value.places),
                )
            target = Read(target.name, layout.first(target.name, target.axes))
        return replace(statement, target=target, value=self.laid(value, letters))

    def laid(self, expr: Expr, letters: frozenset[str]) -> Expr:
        """Return an expression whose arrays are read as they lie."""
        layout = self.layout

        def again(node: Expr) -> Expr:
            return self.laid(node, letters)

        def label(place: Affine | Read) -> Affine | Read:
            made = again(place) if isinstance(place, Read) else place
            assert isinstance(made, Affine | Read)
            return made

        match expr:
            case Read(name, axes) if name in layout.lying:
                return layout.whole(name, layout.first(name, axes), 0)
            case Read(name, axes) if name in layout.tensors:
                if layout.tensors[name].role is Role.INPUT and letters & {*axes[1:]}:
                    return self.copy(expr, next(a for a in axes[1:] if a in letters))
                return expr
            case Slice(name, axes, ranges) if name in layout.lying:
                made = layout.whole(name, layout.first(name, axes), 0)
                first, *rest = layout.first(name, ranges)
                if isinstance(made, Slice):
                    (start, stop), *_ = (r for r in made.ranges if r)
                    first = (start + first[0], start + first[1]) if first else (start, stop)
                return Slice(made.name, made.axes, (first, *rest))
            case Split(name, groups) if layout.is_moved(name):
                made = layout.whole(name, (), 0)
                return replace(expr, name=made.name, groups=layout.first(name, groups))
            case Lookup(name, places, sizes) if name in layout.lying:
                offset = layout.shifted(expr)
                beside = layout.first(name, places)[1:]
                plain = Lookup(name, beside, sizes).is_plain
                if offset is not None and plain:
                    axes = tuple(a for place in layout.first(name, places) for a in place.axes)
                    return layout.whole(name, axes, offset, int(dict(sizes)[axes[0]]))
                return self.looked_up(expr, tuple(map(label, places)))
            case Lookup(places=places):
                return replace(expr, places=tuple(map(label, places)))
            case Scatter(body=body, places=places):
                return replace(expr, body=again(body), places=tuple(map(label, places)))
        return mapped(expr, again)

    def looked_up(self, expr: Lookup, places: tuple[Affine | Read, ...]) -> Lookup:
        """Return an array read at computed places, as it lies."""
        layout = self.layout
        lying = layout.lying[expr.name]
        step, *rest = layout.first(expr.name, places)
        if isinstance(step, Affine):
            step = replace(step, offset=step.offset + lying.before)
            return replace(expr, name=lying.whole, places=(step, *rest))
        if layout.is_fixed(expr.name):
            return replace(expr, places=places)
        return replace(expr, places=(step, *rest))

    def copy(self, read: Read, letter: str) -> Read:
        """Return the reading of an input's copy that lies step after step."""
        axis = read.axes.index(letter)
        if read.name not in self.copies:
            tensor = self.layout.tensors[read.name]
            shape = (tensor.shape[axis], *tensor.shape[:axis], *tensor.shape[axis + 1 :])
            name = self.layout.fresh(f"{read.name}_steps")
            self.copies[read.name] = replace(tensor, name=name, shape=shape, role=Role.VALUE)
        order = (letter, *read.axes[:axis], *read.axes[axis + 1 :])
        return Read(self.copies[read.name].name, order)

    def copied(self, name: str) -> Statement:
        tensor, copy = self.layout.program.tensor(name), self.copies[name]
        axis = tensor.shape.index(copy.shape[0], 1)
        letters = tuple("ntabcdefgh"[: len(tensor.shape)])
        order = (letters[axis], *letters[:axis], *letters[axis + 1 :])
        said = f"{copy.name}[{','.join(order)}] = {name}[{','.join(letters)}]"
        return Statement(Read(copy.name, order), Read(name, letters), said)
