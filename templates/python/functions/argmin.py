def argmin(values: Sequence[float]) -> int:
    """The place of the smallest value, the first of equal ones."""
    return values.index(min(values))
