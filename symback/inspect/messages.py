"""The words of a derivation, in each language: messages.toml, the one place where they stand.

A sentence is a `Said`: the name of a message and what stands in its places, names or mathematics.
`text` makes it plain Unicode; `pieces` leaves the mathematics for a page or LaTeX to set.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any


class Language(StrEnum):
    """A language that a derivation can be told in."""

    ENGLISH = "en"
    CHINESE = "zh-TW"


@dataclass(frozen=True, slots=True)
class Maths:
    """A piece of mathematics within a sentence, in Unicode and in LaTeX."""

    text: str
    latex: str


@dataclass(frozen=True, slots=True)
class Said:
    """A message by its name, step.collapses, with what stands in its places."""

    name: str
    places: tuple[tuple[str, "str | Maths"], ...] = ()


def said(name: str, /, **places: str | Maths) -> Said:
    """Return a message with what stands in its places."""
    return Said(name, tuple(places.items()))


@cache
def catalogue() -> Mapping[str, Any]:
    """Return all messages, a table for each section."""
    return tomllib.loads(files(__package__).joinpath("messages.toml").read_text("utf-8"))


def found(name: str) -> Mapping[str, str] | None:
    """Return a message in every language; None where the catalogue doesn't have it."""
    at: Any = catalogue()
    for part in name.split("."):
        at = at.get(part) if isinstance(at, Mapping) else None
    return at if isinstance(at, Mapping) else None


def fixed() -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield every message without places, by its name."""

    def within(table: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, str]]]:
        english = table.get(Language.ENGLISH)
        if english is not None and not any(place for _, place, _, _ in Formatter().parse(english)):
            yield name, table
        for key, inner in table.items():
            if isinstance(inner, Mapping):
                yield from within(inner, f"{name}.{key}".lstrip("."))

    yield from within(catalogue(), "")


def text(message: Said | str, language: Language = Language.ENGLISH) -> str:
    """Return a sentence in plain Unicode."""
    return "".join(
        piece.text if isinstance(piece, Maths) else piece for piece in pieces(message, language)
    )


def pieces(message: Said | str, language: Language = Language.ENGLISH) -> Iterator[str | Maths]:
    """Yield a sentence's words and its mathematics, in order.

    A message that the catalogue doesn't have is its own words.
    """
    whole = message if isinstance(message, Said) else Said(message)
    form = found(whole.name)
    if form is None:
        yield whole.name
        return
    places = dict(whole.places)
    for words, place, _, _ in Formatter().parse(form[language]):
        if words:
            yield words
        if place is not None:
            yield places[place]


def phrase(english: str, language: Language) -> str:
    """Return what the engine says of a kink or a rewrite, in the language as far as it is known."""
    if language is Language.ENGLISH:
        return english
    for known, translated in sorted(catalogue()["phrases"].items(), key=lambda pair: -len(pair[0])):
        english = english.replace(known, translated)
    return english
