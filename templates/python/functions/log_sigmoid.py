def log_sigmoid(x: float) -> float:
    """log(1 / (1 + exp(−x))) = min(x, 0) − log(1 + exp(−|x|)), where nothing overflows."""
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))
