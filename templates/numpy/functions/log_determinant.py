def log_determinant(a: Array) -> Array:
    """Return log det of each square matrix in the last two axes; NaN where det is below 0."""
    sign, size = np.linalg.slogdet(a)
    return np.where(sign < 0, np.nan, size)
