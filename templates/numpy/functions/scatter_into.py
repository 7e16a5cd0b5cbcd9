def scatter_into(total: Array, labels: Array, values: Array) -> None:
    """Write Σ of the values of each label, 0 where none has it: total[labels[…]] += values[…]."""
    total.fill(0)
    np.add.at(total, labels, values)
