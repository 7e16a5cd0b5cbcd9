"""Formulas that read their own output at another step: h[n, t, k] = tanh(… h[n, t-1, j] …).

Formulas that read each other so are one recurrence: they are computed together, step by step along
the letter t. A step outside of the range reads zero.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sympy import Integer

from symback import formula
from symback import index as ix
from symback.errors import UserError
from symback.formula import Access, Formula
from symback.functions import Index
from symback.graph.derivatives import written_out
from symback.graph.network import Network, Reading, Step, target_of, wrong_access
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
    formulas = [(written_out(network, found, reading), path) for found, path in formulas]

    def steps() -> Iterator[Step]:
        for found, reading.path in formulas:
            yield Step(Equation(target_of(found), found.rhs), dict(found.sizes), reading)

    network.step_by_step(loop, steps())
    reading.awaited, reading.stepped = frozenset(), frozenset()
    return reading.names[target_of(formulas[-1][0]).base.label.name]


def _read(
    places: Sequence[int], reading: Reading, read: Callable[[int], Formula]
) -> list[tuple[Formula, Path]]:
    """Read formulas, each with its place in the spec."""
    return [(read(place), reading.path) for place in places]


def _loop(formulas: Sequence[tuple[Formula, Path]], group: set[str]) -> Loop:
    """Return the letter that the recurrence runs along, and its direction; check every access.

    Every access shifts the letter the same way, or leaves it where a formula above has computed
    what it reads; others may be shifted as they like.
    """
    targets: dict[str, Access] = {}
    within: list[_Within] = []
    for found, path in formulas:
        assert found.target is not None
        here = [access for access in found.reads if access.name in group]
        within += [_Within(access, found.target, path, access.name in targets) for access in here]
        targets[found.target.name] = found.target
    possible = [
        (letter, step)
        for letter in dict.fromkeys(x for target in targets.values() for x in _letters(target))
        for step in (1, -1)
        if all(each.is_before(letter, step, targets) for each in within)
    ]
    if not possible:
        raise _refused(within, targets)
    letter, step = possible[0]
    for found, path in formulas:
        assert found.target is not None
        if letter not in _letters(found.target):
            message = f"all formulas of the recurrence along {letter} have it on the left"
            raise wrong_access(found.target, path, message)
    return Loop("", letter, step)


@dataclass(frozen=True, slots=True)
class _Within:
    """What a formula reads of the recurrence that it is a part of.

    `above`: a formula above it computes that, at the same step.
    """

    access: Access
    by: Access
    path: Path
    above: bool

    def is_before(self, letter: str, step: int, targets: Mapping[str, Access]) -> bool:
        """Say whether it is there when the recurrence runs along the letter in steps of ±1."""
        shift = self.shift(letter, targets)
        return shift is not None and (shift * step < 0 or (shift == 0 and self.above))

    def shift(self, letter: str, targets: Mapping[str, Access]) -> int | None:
        """Return how far away it reads along the letter: -1 of h[n, t - 1, k]; None of no step."""
        target = targets[self.access.name]
        if letter not in _letters(target):
            return 0
        axis = _letters(target).index(letter)
        others = (part for k, part in enumerate(self.access.subscripts) if k != axis)
        offset, terms = ix.affine(self.access.subscripts[axis]) or (Integer(0), {})
        here = [part for part in self.by.subscripts if isinstance(part, Index)]
        moving = [part for part in here if part.name == letter]
        if any(part.has(*moving) for part in others) or not isinstance(offset, Integer):
            return None
        return int(offset) if terms == dict.fromkeys(moving, 1) and moving else None

    def shifts(self, targets: Mapping[str, Access]) -> dict[str, int]:
        """Return how far away it reads along each letter that it reads at another step."""
        letters = _letters(targets[self.access.name])
        found = {letter: self.shift(letter, targets) for letter in letters if letter}
        return {letter: shift for letter, shift in found.items() if shift}


def _letters(target: Access) -> tuple[str, ...]:
    """Return the letter at each axis of what a formula computes, "" where there is none."""
    return tuple(part.name if isinstance(part, Index) else "" for part in target.subscripts)


def _refused(within: Sequence[_Within], targets: Mapping[str, Access]) -> UserError:
    """Return what is wrong with a recurrence that runs along no letter."""
    for each in within:
        if not each.shifts(targets) and not each.above:
            return wrong_access(
                each.access, each.path, f"`{each.access.name}` isn't there yet", EARLIER
            )
    letters = sorted({letter for each in within for letter in each.shifts(targets)})
    for each in within:
        if all(each.shift(letter, targets) is None for letter in letters):
            steps = f"`{each.access.name}` is computed step by step along {' and '.join(letters)}"
            return wrong_access(each.access, each.path, steps, EARLIER)
    mixed = f"this recurrence runs along {' and '.join(letters)}, or both ways at once"
    return wrong_access(within[0].access, within[0].path, mixed, EARLIER)
