def added_at(shape: tuple[int, ...], values: Iterable[tuple[tuple[int, ...], float]]) -> Array:
    """Return an array of a shape, values added at places; what falls outside is left out."""
    flat = [0.0] * math.prod(shape)
    for place, value in values:
        at = 0
        for k, size in zip(place, shape, strict=True):
            if not 0 <= k < size:
                break
            at = at * size + k
        else:
            flat[at] += value
    return nested(flat, shape)
