def log_determinant(a: Array) -> float:
    """Return log det a; NaN where det a is below 0."""
    det = determinant(a)
    return math.log(det) if det > 0 else -math.inf if det == 0 else math.nan
