"""One step of a recurrence: its statements over the parts of arrays that the step works on.

A sum whose terms each stand at one place of an axis, a·[i = 0] + b·[i = 1], is written place by
place.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from symback import printing
from symback.passes.stepping.layout import Layout
from symback.program import (
    Affine,
    Apply,
    Dim,
    Expr,
    Leaf,
    Lookup,
    Loop,
    Number,
    Position,
    Read,
    Slice,
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
