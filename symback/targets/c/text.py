"""Lines of C with their formulas, no wider than a page."""

import re
import textwrap
from collections.abc import Iterable, Iterator

from symback import wrapping
from symback.targets.c.scope import WIDTH


def told(code: str, because: str, margin: str) -> Iterator[str]:
    """Yield a statement with its formula: beside it, or above where that would be too wide."""
    beside = f"{margin}{code}  // {because}"
    if because and len(beside) <= WIDTH and "\n" not in because:
        yield beside
        return
    for row in wrapping.rows(because, WIDTH - len(margin) - 3) if because else ():
        yield f"{margin}// {row}"
    yield from wrapped(margin + code)


def wrapped(line: str) -> list[str]:
    """Return a line of code as several where it is too wide; C doesn't mind."""
    margin = line[: len(line) - len(line.lstrip())]
    if len(line) <= WIDTH:
        return [line]
    return textwrap.wrap(
        line.strip(),
        WIDTH,
        initial_indent=margin,
        subsequent_indent=margin + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def words_of(text: Iterable[str]) -> frozenset[str]:
    """Return the words of lines of code, without the formulas."""
    return frozenset(word for line in text for word in re.findall(r"\w+", line.partition("//")[0]))
