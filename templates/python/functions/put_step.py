def put_step(array: Array, axis: int, step: int, part: Array) -> None:
    """Put a part where one step of an axis stands."""
    if axis:
        for row, inner in zip(array, part, strict=True):
            put_step(row, axis - 1, step, inner)
    else:
        array[step] = part
