def drawn_orthogonal(rng: Rng, shape: tuple[int, ...], gain: float) -> Array:
    """Draw unit vectors at right angles, times gain: the rows, or the columns of more rows."""
    rows, columns = shape[0], math.prod(shape[1:])
    vectors: Array = []
    for _ in range(min(rows, columns)):
        vector = [rng.gauss(0, 1) for _ in range(max(rows, columns))]
        for other in 2 * vectors:  # Gram and Schmidt's way, again for what rounding leaves
            along = sum(u * v for u, v in zip(other, vector, strict=True))
            vector = [v - along * u for u, v in zip(other, vector, strict=True)]
        length = math.hypot(*vector)
        vectors.append([v / length for v in vector])
    matrix = zip(*vectors, strict=True) if rows > columns else vectors
    return nested([gain * v for row in matrix for v in row], shape)
