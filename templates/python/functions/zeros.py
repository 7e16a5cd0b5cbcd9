def zeros(shape: tuple[int, ...]) -> Array:
    """Return an array of zeros."""
    return nested([0.0] * math.prod(shape), shape)
