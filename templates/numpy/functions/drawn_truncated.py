def drawn_truncated(
    rng: Rng, shape: tuple[int, ...], mean: float, std: float, low: float, high: float
) -> Array:
    """Draw normal numbers; those outside of low … high are drawn again."""
    drawn = rng.normal(mean, std, shape)
    while (outside := (drawn < low) | (drawn > high)).any():
        drawn[outside] = rng.normal(mean, std, np.count_nonzero(outside))
    return drawn
