def overlap_into(total: Array, parts: Array, places: dict[int, tuple[range, ...]]) -> None:
    """Write the parts added up at their axes' a + b; what falls outside of the array is left out.

    It is the adjoint of `windows`; the axes of the b's are the parts' last.
    """
    total.fill(0)
    inner = [(axis, steps) for axis, (_, *rest) in places.items() for steps in rest]
    for chosen in np.ndindex(*(len(steps) for _, steps in inner)):
        into, part = [slice(None)] * total.ndim, [slice(None)] * total.ndim
        for axis, (outer, *_) in places.items():
            pairs = zip(inner, chosen, strict=True)
            shift = sum(steps[k] for (other, steps), k in pairs if other == axis)
            inside = [k for k, a in enumerate(outer) if 0 <= a + shift < total.shape[axis]]
            if not inside:
                break
            first, last = outer[inside[0]] + shift, outer[inside[-1]] + shift
            into[axis] = slice(first, last + 1, outer.step)
            part[axis] = slice(inside[0], inside[-1] + 1)
        else:
            at = total[tuple(into)]
            at += parts[(*part, *chosen)]
