"""A story as Unicode: each formula in a line, or drawn in two dimensions."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sympy import Expr

from symback import notation, wrapping
from symback.inspect import drawn, messages
from symback.inspect.story import Formula, Part, Story, shown
from symback.inspect.words import title
from symback.program import Role, Tensor

INDENT = "    "
KINDS = ("chain", "raw", "contracted", "assumed", "reused")
TITLE = 2 + max(len(messages.text(title(kind))) for kind in KINDS)
NARROWEST = 40


@dataclass(frozen=True, slots=True)
class Lines:
    """A page of at most `width` columns, each formula in a line that goes on where it is long."""

    story: Story
    width: int

    def page(self, *, steps: bool) -> str:
        """Return the whole story; `steps` shows how each gradient was found."""
        story, program = self.story, self.story.program
        source = f", from {program.source}" if program.source else ""
        lines = [f"{program.model}{source}", "", *_tensors(story)]
        lines += ["", "Forward", *self.layers(story.forward)]
        lines += ["", "Loss", *self.layers(story.loss)]
        if steps:
            lines += ["", "Backward, step by step; δ(i,j) is 1 where i = j, else 0"]
            for formula in story.backward:
                lines += ["", *self.ladder(formula)]
        else:
            lines += ["", "Backward", *self.layers(story.backward)]
        if story.renewal:
            lines += ["", messages.text("section.renewal"), *self.layers(story.renewal)]
        if program.assumptions:
            lines += ["", "Taken for granted, and checked before training"]
            lines += [f"{INDENT}{each.because}" for each in program.assumptions]
        if program.notes:
            lines += ["", "Stability and kinks"]
            for note in program.notes:
                lines += folded(note, self.width, INDENT)
        whole = "\n".join(line.rstrip() for line in lines) + "\n"
        return re.sub(r"\n{3,}", "\n\n", whole)

    def layers(self, formulas: Sequence[Formula]) -> Iterator[str]:
        """Yield the equations, each layer's name before its first."""
        size = max((len(formula.layer) for formula in formulas), default=0)
        before = ""
        for formula in formulas:
            name = formula.layer if formula.layer != before else ""
            before = formula.layer
            yield from self.whole(formula, f"{INDENT}{name:<{size}}  ")

    def ladder(self, formula: Formula) -> Iterator[str]:
        """Yield a gradient's steps: how each of its terms was found, all of it, its code."""
        if formula.of is None:
            yield f"{formula.name}, a value of layer {formula.layer}"
        else:
            yield f"∂L/∂{formula.of.name}, the gradient by {formula.of.key}"
        for part in formula.steps:
            if len(formula.steps) > 1:
                yield f"  what reaches it through {part.layer}"
            for rung in part.ladder:
                yield from self.titled(messages.text(title(rung.kind)), part, rung.rhs)
                for words in rung.words:
                    yield from folded(messages.text(words), self.width, self.words())
        if not formula.is_told or formula.is_regrouped:
            yield from self.whole(formula, f"{INDENT}{'equation':<{TITLE}}")
        yield from folded(formula.code, self.width, f"{INDENT}{'NumPy':<{TITLE}}")

    def words(self) -> str:
        """Return what stands before the words of a step."""
        return INDENT + " " * TITLE + "  "

    def titled(self, name: str, part: Part, rhs: Expr) -> Iterator[str]:
        """Yield a step's title and its equation."""
        names = shown(part, self.story.adjoints)
        equation = notation.equation(part.target, rhs, names)
        yield from formula_rows(equation, self.width, f"{INDENT}{name:<{TITLE}}")

    def whole(self, formula: Formula, first: str) -> Iterator[str]:
        """Yield a whole equation after what comes first."""
        yield from formula_rows(formula.text, self.width, first)


class Drawn(Lines):
    """A page whose formulas are drawn in two dimensions, where they fit its width."""

    __slots__ = ()

    def words(self) -> str:
        """Return what stands before the words of a step."""
        return INDENT * 2

    def titled(self, name: str, part: Part, rhs: Expr) -> Iterator[str]:
        """Yield a step's title, and its equation below."""
        yield f"{INDENT}{name}"
        drawing = drawn.equation([(part, rhs)], self.story.adjoints, self.width - len(INDENT * 2))
        names = shown(part, self.story.adjoints)
        plain = notation.equation(part.target, rhs, names)
        yield from self.drawing(drawing, plain, INDENT * 2)

    def whole(self, formula: Formula, first: str) -> Iterator[str]:
        """Yield a whole equation after what comes first."""
        terms = [(part, part.rhs) for part in formula.parts]
        width = self.width - len(first)
        drawing = None  # what is regrouped is told in a line
        if not formula.is_regrouped:
            drawing = drawn.equation(terms, self.story.adjoints, width, formula.sign)
        yield from self.drawing(drawing, formula.text, first)

    def drawing(self, drawing: drawn.Box | None, plain: str, first: str) -> Iterator[str]:
        """Yield a drawing after what comes first, the plain line where it doesn't fit."""
        if drawing is None:
            yield from formula_rows(plain, self.width, first)
            return
        for place, line in enumerate(drawing.lines):
            yield (first if place == drawing.base else " " * len(first)) + line
        if len(drawing.lines) > 1:
            yield ""


def page(story: Story, *, steps: bool, width: int) -> str:
    """Return a story with each formula in a line."""
    return Lines(story, max(width, NARROWEST)).page(steps=steps)


def pretty(story: Story, *, steps: bool, width: int) -> str:
    """Return a story with its formulas drawn in two dimensions."""
    return Drawn(story, max(width, NARROWEST)).page(steps=steps)


def _tensors(story: Story) -> Iterator[str]:
    held = story.program.with_role(Role.INPUT, Role.TARGET, Role.PARAMETER, Role.STATE)
    size = max(len(tensor.name) for tensor in held)
    for tensor in held:
        shape = " × ".join(str(dim).upper() if dim == "n" else str(dim) for dim in tensor.shape)
        yield f"{INDENT}{tensor.name:<{size}}  {shape or 'a number'}  {_about(tensor)}"


def _about(tensor: Tensor) -> str:
    if tensor.role in (Role.PARAMETER, Role.STATE):
        return f"{tensor.role} {tensor.key}"
    if tensor.classes is not None:
        return f"labels 0 … {tensor.classes - 1}"
    return str(tensor.role)


def formula_rows(formula: str, width: int, first: str) -> list[str]:
    """Return a formula in rows of at most `width` where its spaces allow it."""
    rest = " " * (len(first) + 4)
    return wrapping.rows(formula, max(width, len(rest) + NARROWEST // 2), first, rest)


def folded(formula: str, width: int, first: str) -> list[str]:
    """Return words or code in lines of at most `width` where their spaces allow it."""
    rest = " " * (len(first) + 4)
    margins = [first, *[" " * len(first)] * formula.count("\n")]
    return [
        row
        for line, margin in zip(formula.split("\n"), margins, strict=True)
        for row in textwrap.wrap(
            line,
            max(width, len(rest) + NARROWEST // 2),
            initial_indent=margin,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]
