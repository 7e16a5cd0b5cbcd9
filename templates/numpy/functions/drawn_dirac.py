def drawn_dirac(_: Rng, shape: tuple[int, ...], groups: int) -> Array:
    """Return the kernels that pass as many channels of each group on as they can."""
    kernels = np.zeros(shape)
    count = shape[0] // groups
    for channel in range(min(count, shape[1])):
        kernels[(slice(channel, None, count), channel, *(size // 2 for size in shape[2:]))] = 1
    return kernels
