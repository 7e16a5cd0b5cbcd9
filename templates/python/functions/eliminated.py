def eliminated(a: Array, right: Array) -> tuple[float, Array]:
    """Return det a, and x with a·x = right, by elimination with the largest pivots; x is NaN where
    there is none.
    """
    rows = [[*row, *more] for row, more in zip(a, right, strict=True)]
    det = 1.0
    for k in range(len(rows)):
        best = max(range(k, len(rows)), key=lambda i: abs(rows[i][k]))
        if best != k:
            rows[k], rows[best], det = rows[best], rows[k], -det
        pivot = rows[k][k]
        det *= pivot
        if pivot == 0:
            return 0.0, [[math.nan] * len(row) for row in right]
        rows[k] = [value / pivot for value in rows[k]]
        for i, row in enumerate(rows):
            if i != k and row[k] != 0:
                times = row[k]
                rows[i] = [x - times * y for x, y in zip(row, rows[k], strict=True)]
    return det, [row[len(rows) :] for row in rows]
