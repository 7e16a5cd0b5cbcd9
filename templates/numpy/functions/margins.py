def margins(shape: tuple[int, ...], places: dict[int, tuple[range, ...]]) -> list[tuple[int, int]]:
    """Return how far the sums of each axis's ranges reach before the axis and behind it."""
    around = [(0, 0)] * len(shape)
    for axis, ranges in places.items():
        low, high = sum(map(min, ranges)), sum(map(max, ranges))
        around[axis] = (max(0, -low), max(0, high + 1 - shape[axis]))
    return around
