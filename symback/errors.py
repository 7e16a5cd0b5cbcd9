"""What is said to a person whose spec, formula or data can't be used."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

MOST_TOLD = 10  # mistakes, or places of one


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, and what would be right.

    `path` is the place in the spec, as keys and list positions; `offset` and `length` mark a part
    of the text found there (for a formula: the characters at fault); `hint` says what to type.
    `source`, where given, is the file (or other text) that holds the mistake, with `line` and
    `column` (both from 1) and the `row` of text itself.
    """

    message: str
    path: tuple[str | int, ...] = ()
    offset: int | None = None
    length: int = 1
    hint: str = ""
    source: str = ""
    line: int | None = None
    column: int | None = None
    row: str = ""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.source, self.line, self.column) if part)
        lines = [f"{place}: {self.message}" if place else self.message]
        if self.row:
            lines.append(f"    {self.row}")
            if self.column is not None:
                lines.append("    " + " " * (self.column - 1) + "^" * max(1, self.length))
        if self.hint:
            lines.append(f"  {self.hint}")
        return "\n".join(lines)


class UserError(Exception):
    """Something a person typed or supplied can't be used; every mistake found is kept.

    What is told is each mistake once, with the other lines that have it, and ten at the most.
    """

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("\n".join(_told(mistakes)))
        self.mistakes = mistakes


def _told(mistakes: "Sequence[Mistake]") -> "Iterator[str]":
    """Yield the first mistakes in words, those that are alike together, and how many more."""
    alike: dict[object, list[Mistake]] = {}
    for mistake in mistakes:
        same = (mistake.source, mistake.message, mistake.hint)
        alike.setdefault(same if mistake.line else id(mistake), []).append(mistake)
    for first, *others in list(alike.values())[:MOST_TOLD]:
        yield str(first)
        if others:
            yield f"  the same at {_places(others)}"
    more = sum(map(len, list(alike.values())[MOST_TOLD:]))
    if more:
        yield f"… and {more} more"


def _places(mistakes: "Sequence[Mistake]") -> str:
    """Return the lines and columns of mistakes, the first few."""
    shown = [f"{mistake.line}:{mistake.column}" for mistake in mistakes[:MOST_TOLD]]
    more = len(mistakes) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def listed(names: "Sequence[str]") -> str:
    """Return the names a hint gives: all, or the first of many and where the rest is listed."""
    if len(names) <= 2 * MOST_TOLD:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_TOLD])} … (`symback catalog` lists all)"


def near_file(path: "Path", endings: "Sequence[str]") -> str:
    """Return "did you mean `net.yaml`?" for a file that isn't there, or ""."""
    folder = path.parent
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    stems = {file.stem: file.name for file in there if file.suffix in endings}
    near = get_close_matches(path.stem, stems, n=1, cutoff=0.6)
    return f"did you mean `{stems[near[0]]}`?" if near else ""


def near_miss(word: str, known: "Iterable[str]") -> str:
    """Return "did you mean `tanh`?" for a misspelt word, or "" where nothing is near."""
    near = get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""
