def cholesky(a: Array) -> Array:
    """Return the lower triangular L with L @ L.T = (a + a.T)/2; NaN where there is none."""
    try:
        return np.linalg.cholesky((a + a.swapaxes(-1, -2)) / 2)
    except np.linalg.LinAlgError:
        return np.full_like(a, np.nan)
