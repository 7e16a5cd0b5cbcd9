def scatter_add(values: Array, labels: Array, size: int) -> Array:
    """Return Σ of the values of each label 0 … size−1: total[labels[…]] += values[…]."""
    flat = labels.ravel()
    order = np.argsort(flat, kind="stable")
    met, first = np.unique(flat[order], return_index=True)
    rows = values.reshape(flat.size, *values.shape[labels.ndim :])[order]
    total = np.zeros((size, *rows.shape[1:]), values.dtype)
    total[met] = np.add.reduceat(rows, first, axis=0)
    return total
