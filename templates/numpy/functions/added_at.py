def added_at(values: Array, shape: tuple[int, ...], *places: Array) -> Array:
    """Return an array of a shape, values added at places; what falls outside is left out."""
    values, *at = np.broadcast_arrays(values, *places)
    inside = np.logical_and.reduce(
        [(place >= 0) & (place < size) for place, size in zip(at, shape, strict=True)]
    )
    total = np.zeros(shape, values.dtype)
    np.add.at(total, tuple(place[inside] for place in at), values[inside])
    return total
