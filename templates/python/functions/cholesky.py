def cholesky(a: Array) -> Array:
    """Return the lower triangular l with l·lᵀ = (a + aᵀ)/2; NaN where there is none."""
    lower = [[0.0] * len(a) for _ in a]
    for i, row in enumerate(lower):
        for j in range(i + 1):
            rest = (a[i][j] + a[j][i]) / 2 - sum(x * y for x, y in zip(row[:j], lower[j][:j], strict=True))
            if i == j:
                row[j] = math.sqrt(rest) if rest > 0 else math.nan
            else:
                row[j] = rest / lower[j][j]
    return lower
