def drawn_truncated(
    rng: Rng, shape: tuple[int, ...], mean: float, std: float, low: float, high: float
) -> Array:
    """Draw normal numbers; those outside of low … high are drawn again."""
    flat: list[float] = []
    while len(flat) < math.prod(shape):
        drawn = rng.gauss(mean, std)
        flat += [drawn] if low <= drawn <= high else []
    return nested(flat, shape)
