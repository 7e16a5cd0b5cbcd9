def sigmoid(x: float) -> float:
    """1 / (1 + exp(−x)), and exp(x) / (1 + exp(x)) where x < 0: nothing overflows."""
    e = math.exp(-abs(x))
    return 1 / (1 + e) if x >= 0 else e / (1 + e)
