def sign(x: float) -> float:
    """−1, 0 or 1; NaN of NaN."""
    return math.copysign(1.0, x) if x < 0 or x > 0 else x
