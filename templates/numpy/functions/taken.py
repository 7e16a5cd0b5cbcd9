def taken(x: Array, *places: Array) -> Array:
    """Return x at places that broadcast against each other, 0 outside of x."""
    sizes = list(zip(places, x.shape, strict=True))
    inside = np.logical_and.reduce(
        np.broadcast_arrays(*((place >= 0) & (place < size) for place, size in sizes))
    )
    nearest = tuple(np.clip(place, 0, size - 1) for place, size in sizes)
    return np.where(inside, x[nearest], x.dtype.type(0))
