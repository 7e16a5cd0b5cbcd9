def labels(name: str, values: Array, shape: tuple[int | str, ...], classes: int) -> Array:
    """Return class labels as integers; raise ValueError unless all are in 0 … classes − 1."""
    array = expect(name, values, shape)
    require(name, array, lambda label: label in range(classes), f"one of 0 … {classes - 1}")
    return nested(list(map(int, numbers(array))), shape_of(array))
