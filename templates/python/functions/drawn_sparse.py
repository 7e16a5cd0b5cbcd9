def drawn_sparse(rng: Rng, shape: tuple[int, ...], zeros: float, std: float) -> Array:
    """Draw normal numbers, and set a part of each column to zero."""
    drawn = [[rng.gauss(0, std) for _ in range(shape[1])] for _ in range(shape[0])]
    for column in range(shape[1]):
        for row in rng.sample(range(shape[0]), math.ceil(zeros * shape[0])):
            drawn[row][column] = 0.0
    return drawn
