def inverse(a: Array) -> Array:
    """Return the inverse of a square matrix; NaN where there is none."""
    ones = [[float(i == j) for j in range(len(a))] for i in range(len(a))]
    return eliminated(a, ones)[1]
