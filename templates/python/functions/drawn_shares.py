def drawn_shares(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Draw positive numbers that sum to one along the last axis."""
    flat = [rng.expovariate(1.0) for _ in range(math.prod(shape))]
    rows = nested(flat, (-1, shape[-1]))
    return nested([value / sum(row) for row in rows for value in row], shape)
