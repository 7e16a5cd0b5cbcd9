"""Formulas in two dimensions, in Unicode: fractions with a bar, sums with their letters below."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sympy import Add, Expr, Rational

from symback import notation
from symback.inspect import writing
from symback.inspect.story import Part
from symback.notation import SUPERSCRIPTS, Binds, in_order

SIDES = {  # top, middle, bottom of a tall bracket
    "(": ("⎛", "⎜", "⎝"),
    ")": ("⎞", "⎟", "⎠"),
    "[": ("⎡", "⎢", "⎣"),
    "]": ("⎤", "⎥", "⎦"),
    "|": ("│", "│", "│"),
}
BIG = {"sum": "Σ", "prod": "Π"}


@dataclass(frozen=True, slots=True)
class Box:
    """Lines of equal width; `base` is the one that stands on the line of writing."""

    lines: tuple[str, ...]
    base: int = 0

    @property
    def width(self) -> int:
        """How many columns it takes."""
        return len(self.lines[0])

    def centred(self, width: int) -> "Box":
        """Return the box in the middle of that many columns."""
        return Box(tuple(line.center(width) for line in self.lines), self.base)

    def spread(self, above: int, below: int) -> tuple[str, ...]:
        """Return the lines with empty ones, so many above the base and below it."""
        blank = " " * self.width
        over = above - self.base
        under = below - (len(self.lines) - 1 - self.base)
        return (blank,) * over + self.lines + (blank,) * under


def beside(*parts: Box | str) -> Box:
    """Return boxes next to each other, on one line of writing."""
    boxes = [Box((part,)) if isinstance(part, str) else part for part in parts]
    above = max(box.base for box in boxes)
    below = max(len(box.lines) - 1 - box.base for box in boxes)
    rows = zip(*(box.spread(above, below) for box in boxes), strict=True)
    return Box(tuple("".join(row) for row in rows), above)


def below(upper: Box, lower: Box, base: int) -> Box:
    """Return one box over another, the line of writing given."""
    width = max(upper.width, lower.width)
    return Box(upper.centred(width).lines + lower.centred(width).lines, base)


class Writer(writing.Writer[Box]):
    """Writes the expressions of one part as boxes."""

    def row(self, *parts: Box | str) -> Box:
        """Return parts beside each other."""
        return beside(*parts)

    def tensor(self, name: str, indices: Sequence[Box]) -> Box:
        """Return an element of a tensor, ∂L over ∂z[n,o] where it is an adjoint."""
        shown: list[Box | str] = []
        for index in indices:
            shown += [",", index] if shown else [index]
        letters: list[Box | str] = ["[", *shown, "]"] if shown else []
        if name in self.adjoints:
            return self.fraction(Box(("∂L",)), beside(f"∂{self.adjoints[name]}", *letters))
        return beside(name, *letters)

    def index(self, name: str) -> Box:
        """Return an index."""
        return Box((name,))

    def size(self, shown: str) -> Box:
        """Return how many values an index takes."""
        return Box((shown,))

    def number(self, value: Rational) -> tuple[Box, Binds]:
        """Return a number."""
        shown, binds = notation.number(value)
        return Box((shown,)), binds

    def fraction(self, above: Box, below_: Box) -> Box:
        """Return above over below, a bar between."""
        bar = Box(("─" * max(above.width, below_.width),))
        return below(below(above, bar, 0), below_, len(above.lines))

    def enclosed(self, inside: Box, sides: str = "()") -> Box:
        """Return the inside between two signs, as tall as it is."""
        left, right = (_tall(side, len(inside.lines), inside.base) for side in sides)
        return beside(left, inside, right)

    def raised(self, base: Box, exponent: Box) -> Box:
        """Return a power; a whole one as a superscript."""
        if len(exponent.lines) == 1 and exponent.lines[0].isdigit():
            top = exponent.lines[0].translate(SUPERSCRIPTS)
            return beside(base, Box((top,) + (" " * len(top),) * base.base, base.base))
        blank = (" " * exponent.width,) * (base.base + 1)
        return beside(base, Box(exponent.lines + blank, len(exponent.lines) + base.base))

    def root(self, inside: Box) -> Box:
        """Return a square root."""
        *upper, last = inside.lines
        lines = (f" {'_' * inside.width}", *(f"│{line}" for line in upper), f"√{last}")
        return Box(lines, inside.base + 1)

    def big(self, word: str, bound: Sequence[Box]) -> Box:
        """Return the sign of a reduction, its letters below."""
        shown: list[Box | str] = []
        for box in bound:
            shown += [",", box] if shown else [box]
        sign = below(Box((BIG.get(word, word),)), beside(*shown), 0)
        return beside(sign, " ") if word in BIG else sign

    def word(self, word: str) -> Box:
        """Return a function's name."""
        return Box((word,))

    def delta(self, indices: Sequence[Box]) -> Box:
        """Return Kronecker's delta."""
        first, second = indices
        return beside("δ(", first, ",", second, ")")

    def cases(self, yes: Box, condition: Box, no: Box) -> Box:
        """Return a branch."""
        width = max(yes.width, no.width)
        upper = beside(_left(yes, width), "  where ", condition)
        lower = beside(_left(no, width), "  elsewhere")
        full = max(upper.width, lower.width)
        rows = (*_left(upper, full).lines, " " * full, *_left(lower, full).lines)
        base = len(upper.lines)
        brace = ["⎧", *["⎪"] * (len(rows) - 2), "⎩"]
        brace[base] = "⎨"
        return beside(Box(tuple(brace), base), " ", Box(rows, base))


def _left(box: Box, width: int) -> Box:
    return Box(tuple(line.ljust(width) for line in box.lines), box.base)


def _tall(side: str, height: int, base: int) -> Box:
    if height == 1:
        return Box((side,))
    top, middle, bottom = SIDES[side]
    return Box((top, *[middle] * (height - 2), bottom), base)


def equation(
    parts: Sequence[tuple[Part, Expr]], adjoints: Mapping[str, str], width: int, sign: str = "="
) -> Box | None:
    """Return target = term + term …, below each other where they are wider than `width`.

    None where one of them is too wide alone.

    Each part comes with what it is equal to; the target is the first part's.
    """
    first = parts[0][0]
    left = beside(first.writer(Writer, adjoints).write(first.target), f" {sign} ")
    pieces = [piece for part, rhs in parts for piece in _terms(part.writer(Writer, adjoints), rhs)]
    pieces[0] = (pieces[0][0].removeprefix(" + ").replace(" − ", "−"), pieces[0][1])
    rows: list[list[Box | str]] = [[left]]
    for joint, term in pieces:
        shown = beside(joint, term)
        if beside(*rows[-1], shown).width > width and len(rows[-1]) > 1:
            rows.append([" " * 4])
        rows[-1].append(shown)
    boxes = [beside(*row) for row in rows]
    full = max(box.width for box in boxes)
    lines = [line for box in boxes for line in _left(box, full).lines]
    return Box(tuple(lines), boxes[0].base) if full <= width else None


def _terms(writer: writing.Writer[Box], rhs: Expr) -> Iterator[tuple[str, Box]]:
    """Yield the terms of a sum with their signs."""
    if not isinstance(rhs, Add):
        yield " + ", writer.write(rhs)
        return
    added, taken = in_order(rhs)
    for term in added:
        yield " + ", writer.within(term, Binds.SUM)
    for term in taken:
        yield " − ", writer.within(term, Binds.PRODUCT)
