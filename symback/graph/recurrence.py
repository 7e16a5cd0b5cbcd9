"""Formulas that read their own output at another step: h[n, t, k] = tanh(… h[n, t-1, j] …).

Formulas that read each other so are one recurrence: they are computed together, step by step along
the letter t. A step outside of the range reads zero.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from sympy import Integer

from symback import formula
from symback import index as ix
from symback.formula import Access, Formula
from symback.functions import Index
from symback.graph.network import Network, Reading, target_of, wrong_access
from symback.graph.start import Path
from symback.graph.types import Equation, Loop
from symback.program import Role, Tensor

EARLIER = "a recurrence reads another step of what it computes, as h[n, t-1, k]"


def add_formulas(
    network: Network,
    reading: Reading,
    texts: Sequence[str],
    read: Callable[[int], Formula],
    add: Callable[[Formula], str],
) -> str:
    """Add formulas in order, recurrences among them; return the last one's tensor.

    `read` reads the formula at a place, `add` adds one that is no part of a recurrence.
    """
    output = ""
    for places in _groups(texts):
        if len(places) == 1 and not _looks_ahead(texts, places[0], places):
            output = add(read(places[0]))
        else:
            output = _recurrence(network, reading, places, texts, read)
    return output


def _groups(texts: Sequence[str]) -> Iterator[range]:
    """Yield the places of formulas that are computed together."""
    start = 0
    while start < len(texts):
        end = start + 1
        reached = start
        while reached < end:
            ahead = _looks_ahead(texts, reached, range(len(texts)))
            end = max([end, *(place + 1 for place in ahead)])
            reached += 1
        yield range(start, end)
        start = end


def _looks_ahead(texts: Sequence[str], at: int, among: Sequence[int]) -> list[int]:
    """Return the places, here or later, of formulas whose output the formula reads."""
    targets = {formula.target_name(texts[place]): place for place in among}
    names = formula.read_names(texts[at])
    return [targets[name] for name in names if targets.get(name, -1) >= at]


def _recurrence(
    network: Network,
    reading: Reading,
    places: Sequence[int],
    texts: Sequence[str],
    read: Callable[[int], Formula],
) -> str:
    """Add the formulas of one recurrence. Their tensors are there before any is computed."""
    group = {formula.target_name(texts[place]) for place in places}
    around = reading.loose
    reading.loose = around | group
    formulas = _read(places, reading, read)
    loop = replace(_loop(formulas, group), group=f"{reading.layer}.{min(group)}")
    for found, path in formulas:  # shapes first: a formula may read what another one computes
        access, sizes = found.target, dict(found.sizes)
        assert access is not None
        shape = tuple(network.range_of(part, access, sizes, path) for part in access.subscripts)
        name = network.namer.of(access.name, reading.number)
        made = Tensor(name, f"{reading.layer}.{access.name}", Role.VALUE, shape)
        letters = tuple(part.name for part in access.subscripts if isinstance(part, Index))
        reading.names[access.name] = network.add(made, letters)
    reading.loose, reading.awaited = around, frozenset(group)
    formulas = _read(places, reading, read)
    network.loop = loop
    kept, network.nodes = network.nodes, []
    for found, reading.path in formulas:
        network.node(Equation(target_of(found), found.rhs), dict(found.sizes), reading)
    network.loop, reading.awaited, reading.stepped = None, frozenset(), frozenset()
    apart = [node for node in network.nodes if node.loop is None]
    network.nodes = [*kept, *apart, *(node for node in network.nodes if node.loop is not None)]
    return reading.names[target_of(formulas[-1][0]).base.label.name]


def _read(
    places: Sequence[int], reading: Reading, read: Callable[[int], Formula]
) -> list[tuple[Formula, Path]]:
    """Read formulas, each with its place in the spec."""
    return [(read(place), reading.path) for place in places]


def _loop(formulas: Sequence[tuple[Formula, Path]], group: set[str]) -> Loop:
    """Return the letter that the recurrence runs along, and its direction; check every access.

    It is a letter that every access shifts the same way, or leaves where a formula above has
    computed what it reads; others may be shifted as they like.
    """
    done: set[str] = set()
    within: list[tuple[Access, Path, dict[str, int], bool]] = []
    for found, path in formulas:
        assert found.target is not None
        for access in found.reads:
            if access.name in group:
                shifts = dict(_shifts(access, found.target))
                within.append((access, path, shifts, access.name in done))
        done.add(found.target.name)
    possible = [
        (letter, -sign)
        for letter in dict.fromkeys(letter for _, _, shifts, _ in within for letter in shifts)
        for sign in (-1, 1)
        if all(
            shifts.get(letter, 0) * sign > 0 or (there and letter not in shifts)
            for _, _, shifts, there in within
        )
    ]
    if not possible:
        for access, path, shifts, there in within:
            if not shifts and not there:
                raise wrong_access(access, path, f"`{access.name}` isn't there yet", EARLIER)
        access, path, _, _ = within[0]
        letters = sorted({letter for _, _, shifts, _ in within for letter in shifts})
        mixed = f"this recurrence runs along {' and '.join(letters)}, or both ways at once"
        raise wrong_access(access, path, mixed, EARLIER)
    letter, step = possible[0]
    for found, path in formulas:
        assert found.target is not None
        if letter not in {part.name for part in found.target.subscripts if isinstance(part, Index)}:
            message = f"all formulas of the recurrence along {letter} have it on the left"
            raise wrong_access(found.target, path, message)
    return Loop("", letter, step)


def _shifts(access: Access, target: Access) -> Iterator[tuple[str, int]]:
    """Yield the letters of the target that the access reads at another step, and how far away."""
    free = [part for part in target.subscripts if isinstance(part, Index)]
    for part in access.subscripts:
        found = ix.affine(part)
        if isinstance(part, Index) or found is None or len(found[1]) != 1:
            continue
        ((letter, coefficient),) = found[1].items()
        if letter in free and coefficient == 1 and isinstance(found[0], Integer):
            yield letter.name, int(found[0])
