"""The network as a drawing: tensors and formulas in rows from the inputs down to the loss.

A row holds the tensors, or the formulas, that are as many steps away from the inputs. Parameters
and targets stand at the left of the first formula that reads them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from symback.inspect.story import Formula, Story
from symback.program import Role, Tensor

ABOVE, GAP, ROW = 26, 26, 30  # pixels: margin, between neighbours, between rows
SIDE = 116  # the width of a parameter's box
LONGEST = 46  # characters of a formula in its box


@dataclass(frozen=True, slots=True)
class Box:
    """A tensor or a formula: where it stands, what is written in it, the layer it leads to."""

    kind: str  # formula, or the role of the tensor
    name: str
    left: float
    top: float
    width: float
    height: float
    lines: tuple[str, ...]
    adjoint: str  # ∂L/∂z1, "" where no derivative flows
    layer: str
    title: str

    @property
    def middle(self) -> float:
        return self.left + self.width / 2

    @property
    def centre(self) -> float:
        return self.top + self.height / 2


@dataclass(frozen=True, slots=True)
class Arrow:
    """A way that values take (forward), or derivatives (backward)."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Band:
    """The ground that a layer's boxes stand on."""

    layer: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything that is drawn, later over earlier."""

    width: float
    height: float
    bands: tuple[Band, ...]
    arrows: tuple[Arrow, ...]
    boxes: tuple[Box, ...]


def drawn(story: Story) -> Drawing:
    """Lay out the network of a story."""
    return _Layout(story).drawing()


class _Layout:
    """Places boxes row by row, then the arrows between them."""

    def __init__(self, story: Story) -> None:
        program = story.program
        self.formulas = (*story.forward, *story.loss)
        self.tensors = {tensor.name: tensor for tensor in program.tensors}
        self.back = story.adjoints
        self.objective = program.objective
        self.found = {self.back[f.name] for f in story.backward if f.name in self.back}
        self.flows = self._flows()
        self.rank = self._ranks()
        self.boxes: dict[str, Box] = {}
        self.sides = self._sides()

    def reads(self, formula: Formula) -> tuple[str, ...]:
        """Return the tensors that a formula reads, each once."""
        names = (name for part in formula.parts for name in part.names.values())
        return tuple(dict.fromkeys(n for n in names if n in self.tensors and n != formula.name))

    def key(self, formula: Formula) -> str:
        return f"={formula.name}" + "".join(f"+{part.layer}" for part in formula.parts[:1])

    def _flows(self) -> set[str]:
        """Return the tensors that derivatives flow through: from the loss to those asked for."""
        below = set(self.found)
        for formula in self.formulas:
            if below & set(self.reads(formula)):
                below.add(formula.name)
        above = {self.objective}
        for formula in reversed(self.formulas):
            if formula.name in above:
                above.update(self.reads(formula))
        return below & above

    def _ranks(self) -> dict[str, int]:
        """Return the row of every input, formula and value."""
        rank = {t.name: 0 for t in self.tensors.values() if t.role is Role.INPUT}
        for formula in self.formulas:
            above = [rank[name] for name in self.reads(formula) if name in rank]
            rank[self.key(formula)] = row = max(above, default=0) + 1
            rank[formula.name] = max(rank.get(formula.name, 0), row + 1)
        for formula in reversed(self.formulas):
            readers = [rank[self.key(f)] for f in self.formulas if formula.name in self.reads(f)]
            if readers and not any(name in rank for name in self.reads(formula)):
                rank[formula.name] = min(readers) - 1  # what only targets feed, beside its reader
                rank[self.key(formula)] = min(readers) - 2
        return rank

    def _sides(self) -> dict[str, list[str]]:
        """Return the tensors that stand at the side of each formula."""
        sides: dict[str, list[str]] = {}
        met = set(self.rank) | {formula.name for formula in self.formulas}
        for formula in self.formulas:
            beside = [name for name in self.reads(formula) if name not in met]
            sides[self.key(formula)] = beside
            met.update(beside)
        return sides

    # ------------------------------------------------------------ boxes

    def drawing(self) -> Drawing:
        top = float(ABOVE)
        last = max(self.rank.values())
        for row in range(last + 1):
            top += self.place(row, top) + ROW
        left = min(box.left for box in self.boxes.values()) - GAP
        self.boxes = {name: _moved(box, -left) for name, box in self.boxes.items()}
        arrows = (*self.arrows("forward"), *self.arrows("backward"))
        bands = tuple(self.bands())
        right = max(box.left + box.width for box in self.boxes.values())
        label = max(8 * len(band.layer) for band in bands)
        width = round(right + max(2 * GAP + 8, label + GAP), 1)
        return Drawing(width, top, bands, arrows, tuple(self.boxes.values()))

    def place(self, row: int, top: float) -> float:
        """Place the boxes of one row, centred on 0; return its height."""
        formulas = [f for f in self.formulas if self.rank[self.key(f)] == row]
        names = [name for name in self.rank if self.rank[name] == row and name in self.tensors]
        made = [self.formula(f) for f in formulas] or [self.tensor(name) for name in names]
        beside = [[self.tensor(n) for n in self.sides[self.key(f)]] for f in formulas]
        beside = beside or [[] for _ in made]
        order = sorted(range(len(made)), key=lambda k: self.above(made[k]))
        height = max((*(b.height for b in made), *(_stack(side) for side in beside)))
        if len(made) == 1:  # its sides hang out at the left, so that the chain stays straight
            left = -made[0].width / 2 - (SIDE + GAP if beside[0] else 0)
        else:
            hanging = sum(SIDE + GAP for side in beside if side)
            left = -(sum(box.width + GAP for box in made) - GAP + hanging) / 2
        for k in order:
            box, side = made[k], beside[k]
            if side:
                down = top + (height - _stack(side)) / 2
                for each in side:
                    self.boxes[each.name] = _moved(each, left, down)
                    down += each.height + 8
                left += SIDE + GAP
            self.boxes[box.name] = _moved(box, left, top + (height - box.height) / 2)
            left += box.width + GAP
        return height

    def above(self, box: Box) -> float:
        """Return the mean place of what a box hangs on."""
        names = [name for name in self.feeding(box.name) if name in self.boxes]
        places = [self.boxes[name].middle for name in names]
        return sum(places) / len(places) if places else 0.0

    def feeding(self, name: str) -> Iterator[str]:
        """Yield the boxes that an arrow leads from to this one."""
        for formula in self.formulas:
            if self.key(formula) == name:
                yield from self.reads(formula)
            elif formula.name == name:
                yield self.key(formula)

    def formula(self, formula: Formula) -> Box:
        shown = formula.text.partition(" = ")[2]
        line = shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
        width = max(120.0, 7.4 * len(line) + 28)
        key = self.key(formula)
        return Box("formula", key, 0, 0, width, 34, (line,), "", formula.layer, formula.text)

    def tensor(self, name: str) -> Box:
        tensor = self.tensors[name]
        adjoint = ""
        if name in self.found:
            adjoint = f"∂{self.objective}/∂{name}"
        layer = next((f.layer for f in self.formulas if f.name == name), "")
        layer = layer or next((f.layer for f in self.formulas if name in self.reads(f)), "")
        about = _shape(tensor)
        title = f"{tensor.key}: {about}" if about else tensor.key
        width = max(SIDE, 8.2 * len(name) + 7.2 * len(about) + 44, 8 * len(adjoint) + 30)
        side = tensor.role not in (Role.INPUT, Role.VALUE, Role.LOSS)
        width = SIDE if side and width < SIDE * 1.3 else width
        height = 48 if adjoint else 32
        return Box(
            str(tensor.role), name, 0, 0, width, height, (name, about), adjoint, layer, title
        )

    # ------------------------------------------------------------ what joins them

    def bands(self) -> Iterator[Band]:
        layers = dict.fromkeys(formula.layer for formula in self.formulas)
        for layer in layers:
            own = [b for b in self.boxes.values() if b.layer == layer and b.kind != Role.INPUT]
            left, top = min(b.left for b in own) - 12, min(b.top for b in own) - 11
            right = max(b.left + b.width for b in own) + 12
            yield Band(layer, left, top, right - left, max(b.top + b.height for b in own) - top + 9)

    def arrows(self, kind: str) -> Iterator[Arrow]:
        """Yield the arrows of one direction, the derivatives beside the values."""
        forward = kind == "forward"
        for formula in self.formulas:
            node = self.boxes[self.key(formula)]
            target = self.boxes[formula.name]
            for name in self.reads(formula):
                if forward or (name in self.flows and formula.name in self.flows):
                    near = self.rank.get(name, 0) + 1 == self.rank[node.name]
                    yield Arrow(kind, _way(self.boxes[name], node, near=near, forward=forward))
            if forward or formula.name in self.flows:
                yield Arrow(kind, _way(node, target, near=True, forward=forward))


def _moved(box: Box, right: float, down: float = 0.0) -> Box:
    return Box(
        box.kind, box.name, round(box.left + right, 1), round(box.top + down, 1), box.width,
        box.height, box.lines, box.adjoint, box.layer, box.title,
    )  # fmt: skip


def _stack(boxes: Sequence[Box]) -> float:
    """Return the height of boxes on top of each other."""
    return sum(box.height for box in boxes) + 8 * max(0, len(boxes) - 1)


def _shape(tensor: Tensor) -> str:
    return " × ".join(
        str(dim).upper() if isinstance(dim, str) else str(dim) for dim in tensor.shape
    )


def _way(start: Box, end: Box, *, near: bool, forward: bool) -> str:
    """Return the path between two boxes, bowed around what stands between unless they are near."""
    shift = -7 if forward else 7
    if (
        start.left + start.width < end.left and abs(start.centre - end.centre) < 3 * ROW
    ):  # from the side
        a = (start.left + start.width, start.centre + shift / 1.5)
        b = (end.left, end.centre + shift / 2)
        bend = (b[0] - a[0]) / 2
        points = a, (a[0] + bend, a[1]), (b[0] - bend, b[1]), b
    elif near:  # from above
        x1, x2 = start.middle + shift, end.middle + shift
        a, b = (x1, start.top + start.height), (x2, end.top)
        half = (b[1] - a[1]) / 2
        points = a, (x1, a[1] + half), (x2, b[1] - half), b
    else:  # past other rows, at the right
        out = max(start.left + start.width, end.left + end.width) + 2 * GAP + shift
        a = (start.left + start.width, start.centre + shift / 2)
        b = (end.left + end.width, end.centre + shift / 2)
        points = a, (out, a[1]), (out, b[1]), b
    ordered = points if forward else points[::-1]
    (x0, y0), *rest = ((round(x, 1), round(y, 1)) for x, y in ordered)
    return f"M{x0} {y0}C" + " ".join(f"{x} {y}" for x, y in rest)
