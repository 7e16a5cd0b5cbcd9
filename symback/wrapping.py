"""Formulas that are too long for a line, in rows.

    ∂L/∂W[o,i] = Σ_n ∂L/∂z[n,o]·x[n,i] + Σ_n ∂L/∂y[n,o]·a[n,i]

goes on with `+ Σ_n …`: a row begins with a sign where it can, and stays out of brackets where a row
isn't left nearly empty by that, out of an index, `[n,i + 1]`, where there is any other place.
"""

from collections.abc import Iterator
from itertools import chain, repeat

STARTS = ("+ ", "− ", "where ")  # what a row may well begin with
OPENING, CLOSING = "([{", ")]}"
INDEX = 8  # round brackets that speak against a place as much as an index does


def rows(formulas: str, width: int, first: str = "", rest: str = "    ") -> list[str]:
    """Return formulas, one a line, in rows of at most `width` columns where their spaces allow it.

    `first` stands before the first formula, as much room before the others, `rest` before the
    rows that one goes on in.
    """
    margins = chain([first], repeat(" " * len(first)))
    pairs = zip(formulas.split("\n"), margins, strict=False)
    return [row for formula, margin in pairs for row in _rows(formula, width, margin, rest)]


def _rows(formula: str, width: int, margin: str, rest: str) -> Iterator[str]:
    while len(margin) + len(formula) > width:
        spaces = list(_spaces(formula))
        room = width - len(margin)
        fitting = [space for space in spaces if space[1] <= room]
        if not spaces:
            break
        _, place = min(fitting, key=lambda space: _cost(formula, space, room), default=spaces[0])
        yield margin + formula[:place]
        formula, margin = formula[place + 1 :], rest
    yield margin + formula


def _spaces(text: str) -> Iterator[tuple[int, int]]:
    """Yield each space: how many brackets are open there, an index's for many, and its place."""
    opened: list[str] = []
    for place, character in enumerate(text):
        if character in OPENING:
            opened.append(character)
        elif character in CLOSING and opened:
            opened.pop()
        elif character == " ":
            yield len(opened) + INDEX * opened.count("["), place


def _cost(formula: str, space: tuple[int, int], room: int) -> tuple[int, int]:
    """Return what speaks against breaking at a space; of equal ones the last is taken."""
    depth, place = space
    is_sign = formula.startswith(STARTS, place + 1)
    return 2 * depth + (not is_sign) + 4 * (3 * place < room), -place
