def drawn_dirac(_: Rng, shape: tuple[int, ...], groups: int) -> Array:
    """Return the kernels that pass as many channels of each group on as they can."""
    kernels, count = np.zeros(shape), shape[0] // groups
    middle = tuple(size // 2 for size in shape[2:])
    for kernel in range(count * groups):
        if kernel % count < shape[1]:
            kernels[(kernel, kernel % count, *middle)] = 1
    return kernels
