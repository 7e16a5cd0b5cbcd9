"""The places that an expression reads: a letter at one value, the digits that count an axis."""

from collections.abc import Mapping, Sequence
from functools import reduce
from math import prod
from typing import cast

from symback.printing import walk
from symback.program import (
    Affine,
    Apply,
    Dim,
    Expr,
    Lookup,
    Number,
    Position,
    Read,
    Split,
    mapped,
)


def at(expr: Expr, letter: str, value: int, dims: Mapping[str, Dim]) -> Expr:
    """Return an expression where a letter has one value."""
    match expr:
        case Position(axis) if axis == letter:
            return Number(value)
        case Read(name, axes) if letter in axes:
            places = tuple(
                Affine(value, ()) if axis == letter else Affine(0, ((axis, 1),)) for axis in axes
            )
            sizes = tuple((axis, dims[axis]) for axis in axes if axis != letter)
            return Lookup(name, places, sizes)
        case Lookup(name, _, sizes) | Split(name, _, sizes) if letter in expr.axes:
            moved = tuple(placed(place, letter, value) for place in places_of(expr))
            return Lookup(name, moved, tuple(pair for pair in sizes if pair[0] != letter))
    return mapped(expr, lambda part: at(part, letter, value, dims))


def places_of(access: Lookup | Split) -> tuple[Affine | Read, ...]:
    """Return the computed places of an array; letters joined in an axis count as digits do."""
    if isinstance(access, Lookup):
        return access.places
    sizes = dict(access.sizes)
    found = []
    for group in access.groups:
        steps = [prod(int(sizes[a]) for a in group[k + 1 :]) for k in range(len(group))]
        found.append(Affine(0, tuple(zip(group, steps, strict=True))))
    return tuple(found)


def within_windows(letter: str, *parts: Expr | Affine) -> bool:
    """Tell whether a letter runs within windows, and picks no label."""
    nodes = [n for part in parts if not isinstance(part, Affine) for n in walk(part)]
    places: list[Affine | Read] = [part for part in parts if isinstance(part, Affine)]
    places += [p for n in nodes if isinstance(n, Lookup | Split) for p in places_of(n)]
    mine = [place for place in places if letter in place.axes]
    return all(isinstance(place, Affine) for place in mine) and any(
        isinstance(place, Affine) and len(place.terms) > 1 for place in mine
    )


def placed(place: Affine | Read, letter: str, value: int) -> Affine | Read:
    """Return a computed place where a letter has one value."""
    if isinstance(place, Read):
        return place
    offset = place.offset + sum(value * step for axis, step in place.terms if axis == letter)
    return Affine(offset, tuple(term for term in place.terms if term[0] != letter))


def written_out(function: str, parts: Sequence[Expr]) -> Expr:
    """Return a reduction of a few values without a loop."""
    joining = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum"}
    if function in joining:
        return reduce(lambda a, b: Apply(joining[function], (a, b)), parts)
    better, kept = ("gt", "maximum") if function == "argmax" else ("lt", "minimum")
    best, place = parts[0], cast(Expr, Number(0))
    for k, part in enumerate(parts[1:], 1):
        place = Apply("where", (Apply(better, (part, best)), Number(k), place))
        best = Apply(kept, (best, part))
    return place
