def log_sigmoid(x: Array) -> Array:
    """log(1 / (1 + exp(−x))) = min(x, 0) − log(1 + exp(−|x|)), where nothing overflows."""
    y: Array = np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
    return y
