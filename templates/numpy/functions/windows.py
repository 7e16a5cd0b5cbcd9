def windows(x: Array, places: dict[int, tuple[range, ...]]) -> Array:
    """Return x at a + b for all a, b of an axis's ranges, 0 outside of x; b's axes come last."""
    around = margins(x.shape, places)
    if any(map(any, around)):
        x = np.pad(x, around)
    start, shape, strides = [0] * x.ndim, list(x.shape), list(x.strides)
    for axis, (outer, *inner) in places.items():
        start[axis] = around[axis][0] + outer[0] + sum(steps[0] for steps in inner)
        shape[axis], strides[axis] = len(outer), outer.step * x.strides[axis]
        shape += [len(steps) for steps in inner]
        strides += [steps.step * x.strides[axis] for steps in inner]
    first = x[tuple(slice(place, None) for place in start)]
    return np.lib.stride_tricks.as_strided(first, shape, strides, writeable=False)
