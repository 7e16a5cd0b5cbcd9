"""A story as a LaTeX document that compiles as it is, its equations numbered."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from symback.inspect.latex import RELATIONS, Writer, escaped, named
from symback.inspect.messages import Maths, Said, pieces, said, text
from symback.inspect.story import Formula, Part, Story
from symback.inspect.words import title

PREAMBLE = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{amsmath,amssymb}
\usepackage[margin=2.5cm]{geometry}
\allowdisplaybreaks
"""


def document(story: Story, *, steps: bool) -> str:
    """Return a whole document; `steps` shows how each gradient was found."""
    program = story.program
    lines = [PREAMBLE, r"\begin{document}", rf"\section*{{{escaped(program.model)}}}"]
    for name, formulas in (("forward", story.forward), ("loss", story.loss)):
        lines += [_heading(f"section.{name}"), *_aligned(formulas, story.adjoints)]
    lines.append(_heading("section.backward"))
    if steps:
        for formula in story.backward:
            lines += _ladder(formula, story.adjoints)
    else:
        lines += _aligned(story.backward, story.adjoints)
    if story.renewal:
        lines += [_heading("section.renewal"), *_aligned(story.renewal, story.adjoints)]
    if program.assumptions:
        lines.append(_heading("kept.assumptions"))
        lines += _listed(escaped(assumption.because) for assumption in program.assumptions)
    if program.notes:
        lines += [_heading("kept.notes"), *_listed(map(escaped, program.notes))]
    return "\n".join([*lines, r"\end{document}", ""])


def _heading(name: str) -> str:
    return rf"\subsection*{{{escaped(text(name))}}}"


def _aligned(formulas: Sequence[Formula], adjoints: Mapping[str, str]) -> list[str]:
    """Return equations below each other, numbered."""
    rows = [
        f" &{RELATIONS[formula.sign]} ".join(formula.sides(Writer, adjoints))
        for formula in formulas
    ]
    return [r"\begin{align}", " \\\\\n".join(rows), r"\end{align}"] if rows else []


def _ladder(formula: Formula, adjoints: Mapping[str, str]) -> Iterator[str]:
    by = "" if formula.of is None else f", {text(said('steps.by', key=formula.of.key))}"
    yield rf"\paragraph{{${named(formula.name, adjoints)}${escaped(by)}}}"
    for part in formula.steps:
        if not part.ladder:
            continue
        if len(formula.steps) > 1:
            yield escaped(text(said("steps.through", layer=part.layer))) + ":"
        yield from _rungs(part, adjoints)
    if not formula.is_told:
        yield from _aligned([formula], adjoints)
    yield rf"\noindent NumPy: \texttt{{{escaped(formula.code)}}}"


def _rungs(part: Part, adjoints: Mapping[str, str]) -> Iterator[str]:
    writer = part.writer(Writer, adjoints)
    rows = []
    for place, rung in enumerate(part.ladder):
        left = "" if place else writer.write(part.target)
        words = escaped(text(title(rung.kind)))
        rows.append(rf"{left} &= {writer.write(rung.rhs)} && \text{{{words}}}")
    yield from (r"\begin{align}", " \\\\\n".join(rows), r"\end{align}")
    yield from _listed(_sentence(words) for rung in part.ladder for words in rung.words)


def _listed(rows: Iterable[str]) -> list[str]:
    items = [rf"\item {row}" for row in rows]
    return [r"\begin{itemize}", *items, r"\end{itemize}"] if items else []


def _sentence(words: Said) -> str:
    """Return a sentence, its mathematics set as such."""
    return "".join(
        f"${piece.latex}$" if isinstance(piece, Maths) else escaped(piece)
        for piece in pieces(words)
    )
