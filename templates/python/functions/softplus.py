def softplus(x: float) -> float:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(−|x|)), where nothing overflows."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
