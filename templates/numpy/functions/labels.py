def labels(name: str, values: Array, shape: tuple[int | str, ...], classes: int) -> Array:
    """Return class labels as integers; raise ValueError unless all are in 0 … classes − 1."""
    array = expect(name, values, shape)
    fits = (array == np.floor(array)) & (array >= 0) & (array < classes)
    require(name, array, fits, f"a whole number in 0 … {classes - 1}")
    return array.astype(np.intp)
