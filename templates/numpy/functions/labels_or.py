def labels_or(
    ignored: int, name: str, values: Array, shape: tuple[int | str, ...], classes: int
) -> Array:
    """Return labels as integers, all in 0 … classes − 1 or `ignored`; raise ValueError else."""
    array = expect(name, values, shape)
    fits = (array == np.floor(array)) & (array >= 0) & (array < classes) | (array == ignored)
    require(name, array, fits, f"a whole number in 0 … {classes - 1}, or {ignored}")
    return array.astype(np.intp)
