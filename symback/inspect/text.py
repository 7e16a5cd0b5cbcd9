"""A story as lines of Unicode."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from symback import notation
from symback.inspect import messages
from symback.inspect.story import Formula, Part, Story, shown
from symback.inspect.words import title
from symback.program import Role, Tensor

INDENT = "    "
KINDS = ("chain", "raw", "contracted", "assumed", "reused")
TITLE = 2 + max(len(messages.text(title(kind))) for kind in KINDS)
NARROWEST = 40


def page(story: Story, *, steps: bool, width: int) -> str:
    """Return the whole story; `steps` shows how each gradient was found."""
    width = max(width, NARROWEST)
    program = story.program
    source = f", from {program.source}" if program.source else ""
    lines = [f"{program.model}{source}", ""]
    lines += _tensors(story, width)
    lines += ["", "Forward", *_layers(story.forward, width)]
    lines += ["", "Loss", *_layers(story.loss, width)]
    if steps:
        lines += ["", "Backward, step by step; δ(i,j) is 1 where i = j, else 0"]
        for formula in story.backward:
            lines += ["", *_ladder(formula, story.adjoints, width)]
    else:
        lines += ["", "Backward", *_layers(story.backward, width)]
    if program.assumptions:
        lines += ["", "Taken for granted, and checked before training"]
        lines += [f"{INDENT}{each.because}" for each in program.assumptions]
    if program.notes:
        lines += ["", "Stability and kinks"]
        for note in program.notes:
            lines += _folded(note, width, INDENT)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _tensors(story: Story, width: int) -> Iterator[str]:
    held = story.program.with_role(Role.INPUT, Role.TARGET, Role.PARAMETER)
    size = max(len(tensor.name) for tensor in held)
    for tensor in held:
        shape = " × ".join(str(dim).upper() if dim == "n" else str(dim) for dim in tensor.shape)
        yield f"{INDENT}{tensor.name:<{size}}  {shape or 'a number'}  {_about(tensor)}"


def _about(tensor: Tensor) -> str:
    if tensor.role is Role.PARAMETER:
        return f"parameter {tensor.key}"
    if tensor.classes is not None:
        return f"labels 0 … {tensor.classes - 1}"
    return str(tensor.role)


def _layers(formulas: Sequence[Formula], width: int) -> Iterator[str]:
    """Yield the equations, each layer's name before its first."""
    size = max((len(formula.layer) for formula in formulas), default=0)
    before = ""
    for formula in formulas:
        name = formula.layer if formula.layer != before else ""
        before = formula.layer
        yield from _folded(formula.text, width, f"{INDENT}{name:<{size}}  ")


def _ladder(formula: Formula, adjoints: Mapping[str, str], width: int) -> Iterator[str]:
    """Yield a gradient's steps: how each of its terms was found, then all of it, then its code."""
    if formula.of is None:
        yield f"{formula.name}, a value of layer {formula.layer}"
    else:
        yield f"∂L/∂{formula.of.name}, the gradient by {formula.of.key}"
    for part in formula.steps:
        if len(formula.steps) > 1:
            yield f"  what reaches it through {part.layer}"
        yield from _rungs(part, adjoints, width)
    if not formula.is_told:
        yield from _row("equation", formula.text, width)
    yield from _row("NumPy", formula.code, width)


def _rungs(part: Part, adjoints: Mapping[str, str], width: int) -> Iterator[str]:
    names = shown(part, adjoints)
    for rung in part.ladder:
        formula = notation.equation(part.target, rung.rhs, names)
        yield from _row(messages.text(title(rung.kind)), formula, width)
        for words in rung.words:
            yield from _folded(messages.text(words), width, INDENT + " " * TITLE + "  ")


def _row(title: str, formula: str, width: int) -> Iterator[str]:
    yield from _folded(formula, width, f"{INDENT}{title:<{TITLE}}")


def _folded(formula: str, width: int, first: str) -> list[str]:
    """Return a formula in lines of at most `width` where its spaces allow it."""
    rest = " " * (len(first) + 4)
    return textwrap.wrap(
        formula,
        max(width, len(rest) + NARROWEST // 2),
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
