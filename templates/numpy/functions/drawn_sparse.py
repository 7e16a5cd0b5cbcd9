def drawn_sparse(rng: Rng, shape: tuple[int, ...], zeros: float, std: float) -> Array:
    """Draw normal numbers, and set a part of each column to zero."""
    drawn = rng.normal(0, std, shape)
    for column in range(shape[1]):
        drawn[rng.permutation(shape[0])[: math.ceil(zeros * shape[0])], column] = 0
    return drawn
