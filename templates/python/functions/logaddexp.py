def logaddexp(a: float, b: float) -> float:
    """log(exp(a) + exp(b)) = max(a, b) + log(1 + exp(−|a − b|)), where nothing overflows."""
    return max(a, b) + (math.log(2.0) if a == b else math.log1p(math.exp(-abs(a - b))))
