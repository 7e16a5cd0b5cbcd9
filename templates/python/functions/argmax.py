def argmax(values: Sequence[float]) -> int:
    """The place of the largest value, the first of equal ones."""
    return values.index(max(values))
