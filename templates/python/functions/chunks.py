def chunks(values: Sequence[float], size: int) -> list[Sequence[float]]:
    """The values in rows of `size`."""
    return [values[start : start + size] for start in range(0, len(values), size)]
