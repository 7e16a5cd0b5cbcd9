"""Computed places: labels, slices in steps, windows."""

from collections.abc import Iterable, Sequence

from symback.printing import tuple_text
from symback.program import Affine, Dim, Lookup, Read, Scatter


def stepped(expr: Lookup, shape: Sequence[Dim]) -> list[str] | None:
    """Return the slices that read an array in steps, 1::2; None where places are more than that."""
    sizes = dict(expr.sizes)
    letters = [axis for place in expr.places for axis in place.axes]
    parts = []
    for place, dim in zip(expr.places, shape, strict=True):
        if not isinstance(place, Affine) or len(place.terms) > 1 or len({*letters}) < len(letters):
            return None
        if place.letter and sizes[place.letter] == dim:
            parts.append(":")
            continue
        if isinstance(dim, str):
            return None
        first, last = place.reach(sizes)
        step = place.terms[0][1] if place.terms else 1
        if first < 0 or last >= dim or step < 1:
            return None
        end = last + 1 if last + step < dim else ""
        text = f"{place.offset or ''}:{end}" + (f":{step}" if step > 1 else "")
        parts.append(text if place.terms else str(place.offset))
    return parts


def apart(expr: Lookup, shape: Sequence[Dim]) -> tuple[list[str], list[Dim]] | None:
    """Return the slices, and the shape they then get, that read windows which don't overlap.

    x[n, 3·h + d + 6] is x[:, 6:12] with its last axis taken apart. None for other places.
    """
    sizes = dict(expr.sizes)
    parts: list[str] = []
    dims: list[Dim] = []
    for place, dim in zip(expr.places, shape, strict=True):
        if not isinstance(place, Affine):
            return None
        match place.terms:
            case [(letter, 1)] if not place.offset and sizes[letter] == dim:
                parts.append(":")
                dims.append(dim)
            case [(outer, step), (inner, 1)] if sizes[inner] == step and isinstance(dim, int):
                count = int(sizes[outer])
                end = place.offset + count * step
                if not 0 <= place.offset < end <= dim:
                    return None
                whole = place.offset == 0 and end == dim
                parts.append(":" if whole else f"{place.offset or ''}:{end if end < dim else ''}")
                dims += [count, step]
            case _:
                return None
    letters = [axis for place in expr.places for axis in place.axes]
    return (parts, dims) if len({*letters}) == len(letters) else None


def shifted(expr: Lookup, shape: Sequence[Dim]) -> tuple[list[str], list[tuple[int, int]]] | None:
    """Return the slices of what is read of an array, and how many zeros stand around that.

    x[n, t − 1] is x[:, :-1] after a zero. None for other places.
    """
    sizes = dict(expr.sizes)
    letters = [axis for place in expr.places for axis in place.axes]
    parts: list[str] = []
    around: list[tuple[int, int]] = []
    for place, dim in zip(expr.places, shape, strict=True):
        if not isinstance(place, Affine) or [c for _, c in place.terms] != [1]:
            return None
        size = sizes[place.axes[0]]
        if size == dim and not place.offset:
            parts.append(":")
            around.append((0, 0))
            continue
        if not (isinstance(dim, int) and isinstance(size, int)):
            return None
        first, last = max(place.offset, 0), min(place.offset + size, dim)
        if first >= last:
            return None
        parts.append(f"{first or ''}:{'' if last == dim else last - dim}")
        around.append((first - place.offset, place.offset + size - last))
    return (parts, around) if len({*letters}) == len(letters) else None


def margins(expr: Scatter) -> list[tuple[int, int]] | None:
    """Return how many zeros stand around values that are put into an array as they stand."""
    sizes = dict(expr.sizes)
    letters = [axis for place in expr.places for axis in place.axes]
    around: list[tuple[int, int]] = []
    for place, dim in zip(expr.places, expr.shape, strict=True):
        if not isinstance(place, Affine) or [c for _, c in place.terms] != [1]:
            return None
        size = sizes[place.axes[0]]
        if size == dim and not place.offset:
            around.append((0, 0))
            continue
        if not (isinstance(dim, int) and isinstance(size, int)):
            return None
        around.append((place.offset, dim - place.offset - size))
    inside = all(before >= 0 and after >= 0 for before, after in around)
    return around if inside and len({*letters}) == len(letters) else None


def padding(around: Sequence[tuple[int, int]]) -> str:
    """Return np.pad's second argument."""
    return tuple_text(f"({before}, {after})" for before, after in around)


def is_one_gather(
    places: Sequence[Affine | Read], sizes: Iterable[tuple[str, Dim]], shape: Sequence[Dim]
) -> bool:
    """Tell whether labels stand at one axis, other letters by themselves at the others."""
    dims = dict(sizes)
    labels = [place for place in places if isinstance(place, Read)]
    others = [place for place in places if isinstance(place, Affine)]
    letters = [axis for place in places for axis in place.axes]
    return (
        len(labels) == 1
        and len(set(letters)) == len(letters)
        and all(place.letter for place in others)
        and all(
            dims.get(place.axes[0], dim) == dim
            for place, dim in zip(places, shape, strict=True)
            if isinstance(place, Affine)
        )
    )


def are_windows(places: Sequence[Affine | Read]) -> bool:
    """Tell whether each place moves a window, no letter standing at two of them."""
    letters = [axis for place in places for axis in place.axes]
    return len(set(letters)) == len(letters) and all(len(place.axes) <= 2 for place in places)


def window_ranges(
    places: Sequence[Affine | Read], sizes: Iterable[tuple[str, Dim]], shape: Sequence[Dim]
) -> str:
    """Return the ranges whose sums are the indices, for each axis that isn't read as it is."""
    dims = dict(sizes)
    parts = []
    for axis, (place, dim) in enumerate(zip(places, shape, strict=True)):
        assert isinstance(place, Affine)
        if place.letter and dims[place.letter] == dim:
            continue
        ranges = [place_range(dims.get(a, 1), c) for a, c in place.terms] or ["range(1)"]
        if place.offset:
            first = place.terms[0] if place.terms else ("", 1)
            ranges[0] = place_range(dims.get(first[0], 1), first[1], place.offset)
        parts.append(f"{axis}: {tuple_text(ranges)}")
    return "{" + ", ".join(parts) + "}"


def place_range(count: Dim, step: int, start: int = 0) -> str:
    """Return range(start, stop, step) of so many values."""
    if step == 1:
        stop = f"{start} + {count}" if start and isinstance(count, str) else count
        stop = start + count if isinstance(count, int) else stop
        return f"range({start}, {stop})" if start else f"range({stop})"
    assert isinstance(count, int)
    return f"range({start}, {start + step * count}, {step})"
