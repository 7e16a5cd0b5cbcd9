"""One step of a recurrence: its statements over the parts of arrays that the step works on.

What is stacked from parts is written part by part.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from symback import printing
from symback.passes.stepping.layout import Layout
from symback.program import (
    Affine,
    Dim,
    Expr,
    Leaf,
    Lookup,
    Loop,
    Position,
    Read,
    Slice,
    Stack,
    Statement,
    View,
)
from symback.steps import at_step, earlier, others, step_axis


@dataclass(slots=True)
class Views:
    """What the steps of all recurrences call their parts of arrays."""

    layout: Layout
    made: list[View] = field(default_factory=list)
    known: dict[tuple[object, ...], str] = field(default_factory=dict)  # a part → its view's name


@dataclass(slots=True)
class OneStep:
    """A step of a recurrence: its statements, and the views that they work on."""

    views: Views
    loop: Loop
    given: dict[tuple[str, tuple[Affine, ...]], Statement] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        return self.views.layout

    def statements(self, statement: Statement) -> Iterator[Statement]:
        """Yield a statement at the step, one for each part of a stack."""
        name, axes = statement.target.name, statement.target.axes
        made = replace(statement, value=at_step(statement.value, self.loop, self.part))
        if not isinstance(made.value, Stack):
            yield replace(made, target=self.view(name, axes, 0))
            return
        for k, (part, said) in enumerate(made.parts):
            at = self.view(name, axes, 0, (made.value.letter, k))
            yield replace(made, target=at, value=part, because=said)

    def part(self, leaf: Leaf | Position) -> Expr:
        """Return what the step has of an array."""
        letter = self.loop.letter
        match leaf:
            case Position():
                return Read(printing.counter(letter, self.layout.program), ())
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
        layout, letter = self.layout, self.loop.letter
        if name in layout.brief and place is None:
            return Read(name, tuple(axis for axis in axes if axis != letter))
        tensor = layout.tensors[name]
        sizes: dict[str, Dim] = dict(zip(axes, tensor.shape, strict=True))
        whole, order = name, axes
        if name in layout.lying:
            lying = layout.lying[name]
            whole, order, offset_ = lying.whole, layout.first(name, axes), offset + lying.before
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
            if not (name in layout.brief and axis == letter)
        )
        if (whole, at) not in self.given:
            word = "" if not offset else "before" if offset < 0 else "after"
            far = str(abs(offset)) if abs(offset) > 1 else ""
            ending = f"{place[1]}" if place is not None else f"{word}{far}" or letter
            key = (whole, offset_, place and (order.index(place[0]), place[1]))
            view = self.views.known.get(key) or layout.fresh(f"{name}_{ending}")
            self.views.known[key] = view
            shape = tuple(sizes[axis] for axis in kept)
            letters = [(f"_{k}", sizes[axis]) for k, axis in enumerate(order) if axis in kept]
            read = Lookup(whole, at, (*letters, (letter, self.loop.size)))
            self.views.made.append(View(replace(tensor, name=view, shape=shape, draw=None), read))
            target = Read(view, tuple(a for p in at for a in p.axes if a != letter))
            self.given[whole, at] = Statement(target, read, "", loop=self.loop)
        return Read(self.given[whole, at].target.name, kept)
