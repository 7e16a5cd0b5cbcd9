"""What is said to a person whose spec, formula or data can't be used."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


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
    """Something a person typed or supplied can't be used; every mistake found is listed."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


def near_miss(word: str, known: "Iterable[str]") -> str:
    """Return "did you mean `tanh`?" for a misspelt word, or "" where nothing is near."""
    near = get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""
