def determinant(a: Array) -> float:
    """Return the determinant of a square matrix."""
    return eliminated(a, [[] for _ in a])[0]
