"""Layers that read values at other places: padding, resizing, windows laid out in columns.

Along an axis h of the source the output's index is i, along w it is j, along d, h, w: i, j, k.
"""

from symback.catalog.entry import Case, Entry, Kind, Option

_AXES = {1: ("l",), 2: ("h", "w"), 3: ("d", "h", "w")}
_OUT = "ijk"


def _along(rank: int) -> tuple[tuple[int, str, str], ...]:
    """Return (number, axis, output index) of each axis."""
    return tuple((k, axis, _OUT[k]) for k, axis in enumerate(_AXES[rank]))


def _lengths(rank: int) -> tuple[tuple[str, str], ...]:
    return tuple((f"length_{k}", f"size({axis})") for k, axis, _ in _along(rank))


def _axis_by_axis(rank: int, term: str, body: str, *over: str) -> tuple[str, ...]:
    """Return formulas that work along one axis after another, the last one first.

    `body` is summed over the axis and the letters `over`; it holds `{term}`, the source where it
    stands, and k, axis, i.
    """
    formulas: list[str] = []
    source, spread = "x", list(_AXES[rank])
    for k, axis, i in reversed(_along(rank)):
        read = f"{source}[{', '.join(['n', 'c', *spread])}]"
        spread[k] = i
        made = "y" if k == 0 else f"u{k}"
        summed = body.format(k=k, axis=axis, i=i, **{term: read})
        formulas.append(
            f"{made}[{', '.join(['n', 'c', *spread])}] = sum({', '.join([summed, axis, *over])})"
        )
        source = made
    return tuple(formulas)


# ---------------------------------------------------------------- padding


def _padding(rank: int, least: int | None) -> Option:
    doc = "how much is put before and behind each axis, the last axis first"
    doc = "how much is put before and behind the axis" if rank == 1 else doc
    return Option("padding", doc=doc, required=True, whole=True, least=least, axes=2 * rank)


def _sides(rank: int, k: int) -> tuple[str, str]:
    """Return what the padding before and behind an axis is called."""
    return f"padding_{2 * (rank - 1 - k)}", f"padding_{2 * (rank - 1 - k) + 1}"


def _padded_size(rank: int, k: int, axis: str) -> str:
    before, behind = _sides(rank, k)
    return f"size({axis}) + {before} + {behind}"


def _constant_pad(rank: int, name: str, options: tuple[Option, ...], doc: str) -> Entry:
    """Return a padding with one number: zeros, which stand outside of an axis by themselves."""
    axes, before = ", ".join(_AXES[rank]), [_sides(rank, k)[0] for k in range(rank)]
    lands = " * ".join(f"delta({i}, {axis} + {before[k]})" for k, axis, i in _along(rank))
    value = f"sum(x[n, c, {axes}] * {lands}, {axes})"
    inside = " and ".join(
        f"{i} >= {before[k]} and {i} < length_{k} + {before[k]}" for k, _, i in _along(rank)
    )
    value += f" + where({inside}, 0, value)" if options else ""
    return Entry(
        kind=Kind.LAYER,
        name=f"{name}{rank}d",
        formulas=(f"y[n, c, {', '.join(i for _, _, i in _along(rank))}] = {value}",),
        doc=doc,
        source=f"torch.nn.{''.join(part.title() for part in name.split('_'))}{rank}d",
        options=(_padding(rank, None), *options),
        axes=("n", "c", *_AXES[rank]),
        numbers=_lengths(rank),
        sizes=tuple((i, _padded_size(rank, k, axis)) for k, axis, i in _along(rank)),
        main="padding",
    )


_MOVED = {  # where a place at `{at}` from the axis's start reads, and how far that works
    "replication_pad": (
        "minimum(maximum({at}, 0), length_{k} - 1)",
        "1",
        "The values at both ends of an axis are repeated outside of it.",
    ),
    "reflection_pad": (
        "length_{k} - 1 - abs(length_{k} - 1 - abs({at}))",
        "{before} < length_{k} and {behind} < length_{k}",
        "An axis goes on as its mirror image, without the value at the mirror.",
    ),
    "circular_pad": (
        "{at} - length_{k}*floor(({at})/length_{k})",
        "{before} <= length_{k} and {behind} <= length_{k}",
        "An axis goes on at its other end.",
    ),
}


def _moved_pad(rank: int, name: str) -> Entry:
    """Return a padding with the axis's own values."""
    place, holds, doc = _MOVED[name]
    body = f"where({{axis}} == {place.replace('{at}', '{i} - before_{k}')}, {{x}}, 0)"
    numbers, sizes = list(_lengths(rank)), []
    for k, axis, i in _along(rank):
        before, behind = _sides(rank, k)
        numbers.append((f"before_{k}", before))
        fits = holds.format(k=k, before=before, behind=behind)
        sizes.append((i, f"where({fits}, {_padded_size(rank, k, axis)}, 0)"))
    return Entry(
        kind=Kind.LAYER,
        name=f"{name}{rank}d",
        formulas=_axis_by_axis(rank, "x", body),
        doc=doc,
        source=f"torch.nn.{''.join(part.title() for part in name.split('_'))}{rank}d",
        options=(_padding(rank, 0),),
        axes=("n", "c", *_AXES[rank]),
        numbers=tuple(numbers),
        sizes=tuple(sizes),
        main="padding",
    )


# ---------------------------------------------------------------- resizing

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
_RATIO = "where(size_given, length_{k}/size_{k}, 1/scale_factor_{k})"
_CENTRED = f"({{i}} + 1/2)*{_RATIO} - 1/2"
_ENDS = "{i}*(length_{k} - 1)/maximum(out_{k} - 1, 1)"


def _cubic(rank: int) -> tuple[str, ...]:
    """Return the formulas of a resizing by cubic polynomials (a = −3/4) of the four values beside.

    With a place's whole part f, the values at f − 1, f, f + 1, f + 2 weigh by how far away they
    are, d; outside of the axis its ends are repeated.
    """
    weights: list[str] = []
    for k, _, i in _along(rank):
        place = f"where(align_corners, {_ENDS}, {_CENTRED})".format(k=k, i=i)
        d = f"d{k}[{i}, p]"
        weights += [
            f"f{k}[{i}] = floor({place})",
            f"{d} = abs({place} - f{k}[{i}] + 1 - p)",
            (
                f"w{k}[{i}, p] = where({d} <= 1, (5*{d}/4 - 9/4)*{d}**2 + 1,"
                f" -3/4*((({d} - 5)*{d} + 8)*{d} - 4))"
            ),
        ]
    at = "minimum(maximum(f{k}[{i}] + p - 1, 0), length_{k} - 1)"
    return (*weights, *_axis_by_axis(rank, "x", f"w{{k}}[{{i}}, p]*({{axis}} == {at})*{{x}}", "p"))


def _upsample(rank: int) -> Entry:
    """Return a resizing: the nearest value, or weights 1 − |place − h| of the two beside a place.

    The place of i in the source is i·r, or with the middle of a value at ½: (i + ½)·r − ½.
    """
    linear, along = _LINEAR[rank], _along(rank)
    centred = f"minimum(maximum({_CENTRED}, 0), length_{{k}} - 1)"
    weight = f"maximum(1 - abs(where(align_corners, {_ENDS}, {centred}) - {{axis}}), 0)"
    cubic = (Case("mode_bicubic", _cubic(rank)),) if rank == 2 else ()
    exact = f"where({{axis}} == floor(({{i}} + 1/2)*{_RATIO}), {{x}}, 0)"
    modes = ("nearest", "nearest_exact", linear, *(["bicubic"] if cubic else []))
    whole = " and ".join(f"scale_factor_{k} == floor(scale_factor_{k})" for k, _, _ in along)
    repeated = ", ".join(
        f"flat({axis}, {copy})" for (_, axis, _), copy in zip(along, "abe", strict=False)
    )
    times = f"where(mode_nearest, where({whole}, scale_factor_{{0}}, 1), 1)"
    return Entry(
        kind=Kind.LAYER,
        name=f"upsample{rank}d",
        formulas=_axis_by_axis(rank, "x", f"where({{axis}} == floor({{i}}*{_RATIO}), {{x}}, 0)"),
        cases=(
            Case(f"mode_{linear}", _axis_by_axis(rank, "x", f"{weight}*{{x}}")),
            *cubic,
            Case("mode_nearest_exact", _axis_by_axis(rank, "x", exact)),
            Case(
                f"not size_given and {whole}",
                (f"y[n, c, {repeated}] = x[n, c, {', '.join(_AXES[rank])}]",),
            ),
        ),
        doc=(
            "More places along each axis, or fewer: the value before or nearest (nearest_exact, "
            "PyTorch's nearest-exact), or a mean of those beside."
        ),
        source="torch.nn.Upsample, torch.nn.functional.interpolate",
        options=(
            Option("scale_factor", default=2, doc="how many times as many", above=0, axes=rank),
            Option("size", doc="how many, instead", whole=True, least=1, axes=rank),
            Option("mode", default="nearest", doc="what is read", choices=modes),
            Option("align_corners", default=False, doc="the first and the last value stay there"),
        ),
        axes=("n", "c", *_AXES[rank]),
        numbers=(
            *_lengths(rank),
            *(
                (
                    f"out_{k}",
                    f"where(size_given, size_{k}, floor(length_{k}*scale_factor_{k}))",
                )
                for k, _, _ in along
            ),
        ),
        sizes=(
            *((i, f"out_{k}") for k, _, i in along),
            *([("p", "4")] if cubic else []),
            *((copy, times.format(k)) for k, copy in zip(range(rank), "abe", strict=False)),
        ),
        main="scale_factor",
        aliases=("upsample",) if rank == 2 else (),
    )


# ---------------------------------------------------------------- windows in columns


def _each(name: str, doc: str, default: int | None = 1, least: int = 1) -> Option:
    needed = default is None
    return Option(name, default=default, doc=doc, required=needed, whole=True, least=least, axes=2)


_WINDOWS = (
    _each("kernel_size", "how many values a window takes along an axis", None),
    _each("dilation", "how far apart a window's values are"),
    _each("padding", "zeros before and behind an axis", 0, 0),
    _each("stride", "how far apart windows begin"),
)
_PLACES = ("stride_0*i + dilation_0*p - padding_0", "stride_1*j + dilation_1*q - padding_1")


def _windows(length: str, k: int) -> str:
    """Return how many windows an axis has."""
    reach = f"dilation_{k}*(kernel_size_{k} - 1)"
    return f"floor(({length} + 2*padding_{k} - {reach} - 1)/stride_{k}) + 1"


_KERNEL = (("p", "kernel_size_0"), ("q", "kernel_size_1"))

ENTRIES = (
    *(
        _constant_pad(rank, "zero_pad", (), "Zeros are put around; a negative padding cuts off.")
        for rank in (1, 2, 3)
    ),
    *(
        _constant_pad(
            rank,
            "constant_pad",
            (Option("value", doc="the number", required=True),),
            "A number is put around; a negative padding cuts off.",
        )
        for rank in (1, 2, 3)
    ),
    *(_moved_pad(rank, name) for name in _MOVED for rank in (1, 2, 3)),
    *(_upsample(rank) for rank in (1, 2, 3)),
    Entry(
        kind=Kind.LAYER,
        name="unfold",
        formulas=(f"y[n, flat(c, p, q), flat(i, j)] = x[n, c, {', '.join(_PLACES)}]",),
        doc="Each window becomes a column: (n, c, h, w) becomes (n, c·kernel, windows).",
        source="torch.nn.Unfold",
        options=_WINDOWS,
        axes=("n", "c", "h", "w"),
        sizes=(*_KERNEL, ("i", _windows("size(h)", 0)), ("j", _windows("size(w)", 1))),
        main="kernel_size",
    ),
    Entry(
        kind=Kind.LAYER,
        name="fold",
        formulas=(
            (
                "y[n, c, h, w] = sum(x[n, all*c + across*p + q, columns*i + j]"
                f" * delta(h, {_PLACES[0]}) * delta(w, {_PLACES[1]}), p, q, i, j)"
            ),
        ),
        doc="Columns are laid back as windows of an image, and added up where these overlap.",
        source="torch.nn.Fold",
        options=(_each("output_size", "how large the image is", None), *_WINDOWS),
        axes=("n", "k", "l"),
        numbers=(
            ("across", "kernel_size_1"),
            ("all", "kernel_size_0*kernel_size_1"),
            ("columns", _windows("output_size_1", 1)),
        ),
        sizes=(
            *_KERNEL,
            ("c", "size(k)/all"),
            ("h", "output_size_0"),
            ("w", "output_size_1"),
            ("i", _windows("output_size_0", 0)),
            ("j", "columns"),
        ),
    ),
)
