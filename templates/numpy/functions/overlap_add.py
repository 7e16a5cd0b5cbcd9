def overlap_add(
    parts: Array, shape: tuple[int, ...], places: dict[int, tuple[range, ...]]
) -> Array:
    """Return an array of a shape, the parts added at its axes' a + b: the adjoint of `windows`."""
    around = margins(shape, places)
    sizes = zip(shape, around, strict=True)
    total = np.zeros([before + size + behind for size, (before, behind) in sizes], parts.dtype)
    inner = [(axis, steps) for axis, (_, *rest) in places.items() for steps in rest]
    for chosen in np.ndindex(*(len(steps) for _, steps in inner)):
        at = [slice(None)] * len(shape)
        for axis, (outer, *_) in places.items():
            steps = (b[k] for (other, b), k in zip(inner, chosen, strict=True) if other == axis)
            first = around[axis][0] + outer[0] + sum(steps)
            end = first + outer.step * len(outer)
            at[axis] = slice(first, end if end >= 0 else None, outer.step)
        total[tuple(at)] += parts[(..., *chosen)]
    inside = (slice(before, before + size) for size, (before, _) in zip(shape, around, strict=True))
    return total[tuple(inside)]
