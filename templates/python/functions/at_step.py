def at_step(array: Array, axis: int, step: int) -> Any:
    """Return the part of an array at one step of an axis, zeros where there is no such step."""
    if axis:
        return [at_step(row, axis - 1, step) for row in array]
    if 0 <= step < len(array):
        return array[step]
    return zeros(shape_of(array[0])) if isinstance(array[0], list) else 0.0
