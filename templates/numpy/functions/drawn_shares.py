def drawn_shares(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Draw positive numbers that sum to one along the last axis."""
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1])
