def labels_or(
    ignored: int, name: str, values: Array, shape: tuple[int | str, ...], classes: int
) -> Array:
    """Return labels as integers, all in 0 … classes − 1 or `ignored`; raise ValueError else."""
    array = expect(name, values, shape)
    known = {*range(classes), ignored}
    require(name, array, lambda label: label in known, f"one of 0 … {classes - 1}, or {ignored}")
    return nested(list(map(int, numbers(array))), shape_of(array))
