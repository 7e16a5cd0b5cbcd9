"""Loops over the same range as one, where no value is needed before it is there."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import cast

from symback.targets._loops.nodes import (
    Access,
    Known,
    Loop,
    Node,
    Start,
    inside,
    letters_of,
    place_of,
    reads_of,
    renamed,
    writes_of,
)
from symback.targets._loops.threads import gained_over, shares


def joined(nodes: Sequence[Node], known: Known) -> tuple[Node, ...]:
    """Return the nodes with loops of the same range joined, the earliest that can take another."""
    starts = [node for node in nodes if isinstance(node, Start)]
    made: list[Node] = []
    for node in nodes:
        if isinstance(node, Start):
            continue
        place = home(made, node, known) if isinstance(node, Loop) else None
        if place is None:
            made.append(node)
        else:
            made[place] = together(cast(Loop, made[place]), cast(Loop, node))
    return tuple(
        replace(node, body=joined(node.body, known)) if isinstance(node, Loop) else node
        for node in (*starts, *made)
    )


def home(made: Sequence[Node], loop: Loop, known: Known) -> int | None:
    """Return the place of the loop that can take this one in, past nodes that don't mind."""
    for place in reversed(range(len(made))):
        other = made[place]
        alike = isinstance(other, Loop) and other.size == loop.size
        alike = alike and not (loop.serial or cast(Loop, other).serial)
        if alike and can_join(cast(Loop, other), loop, known):
            return place
        if shared(other, loop, known):
            return None
    return None


def together(first: Loop, second: Loop) -> Loop:
    return Loop(first.letter, first.size, (*first.body, *relettered(second, first.letter).body))


def relettered(loop: Loop, letter: str) -> Loop:
    """Return the loop counting with another letter; its own use of that letter moves away."""
    if loop.letter == letter:
        return loop
    used = {name for node in inside(loop) for name in letters_of(node)}
    spare = letter + letter  # `letter_` is what a counter is called beside a size of that name
    while spare in used:
        spare += "_"
    return cast(Loop, renamed(loop, {loop.letter: letter, letter: spare}))


def shared(first: Node, second: Node, known: Known) -> frozenset[str]:
    """Return the arrays that one of two nodes writes and the other reads or writes."""

    def named(node: Node, of: Callable[[Node], Iterator[Access]]) -> set[str]:
        names = {access.name for part in inside(node) for access in of(part)}
        return {known.owners.get(name, name) for name in names}

    wrote = named(first, writes_of), named(second, writes_of)
    read = named(first, reads_of), named(second, reads_of)
    return frozenset((wrote[0] & (read[1] | wrote[1])) | (wrote[1] & read[0]))


def can_join(first: Loop, second: Loop, known: Known) -> bool:
    """Tell whether two loops can run as one: what they share, each round has to itself.

    One that several threads share isn't joined with one that they can't.
    """
    loops = (first, second)
    worth = any(gained_over(loop, known) is not None for loop in loops)
    if worth and any(shares(loop, known) is None for loop in loops):
        return False
    second = relettered(second, first.letter)
    names = shared(first, second, known)
    places = {
        (owner, place_of(access, first.letter))
        for loop in (first, second)
        for part in inside(loop)
        for access in (*reads_of(part), *writes_of(part))
        if (owner := known.owners.get(access.name, access.name)) in names
    }
    return all(place is not None for _, place in places) and len(places) == len(names)
