def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(−x)): with e = exp(−|x|), 1 / (1 + e) where x ≥ 0, else e / (1 + e)."""
    e = np.exp(-np.abs(x))
    y: Array = np.where(x >= 0, 1, e) / (1 + e)
    return y
