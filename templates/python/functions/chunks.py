def chunks(values: Array, size: int) -> list[Array]:
    """The values in rows of `size`."""
    return [values[start : start + size] for start in range(0, len(values), size)]
