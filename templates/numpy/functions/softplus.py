def softplus(x: Array) -> Array:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(−|x|)), where nothing overflows."""
    y: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return y
