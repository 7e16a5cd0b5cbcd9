def drawn_dirac(_: Rng, shape: tuple[int, ...], groups: int) -> Array:
    """Return the kernels that pass as many channels of each group on as they can."""
    count, size = shape[0] // groups, math.prod(shape[2:])
    middle = 0
    for axis in shape[2:]:
        middle = middle * axis + axis // 2
    flat = [0.0] * math.prod(shape)
    for kernel in range(count * groups):
        channel = kernel % count
        if channel < shape[1]:
            flat[(kernel * shape[1] + channel) * size + middle] = 1.0
    return nested(flat, shape)
