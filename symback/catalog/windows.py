"""Layers that move a window along axes: convolutions and poolings, by one rule for 1, 2 and 3 axes.

Outputs have the indices i, j, k, places in a kernel p, q, r: along an axis the window's place is
stride·i + dilation·p − padding, and what lies outside of the axis is zero.
"""

from symback.catalog.entry import Case, Entry, Kind, Option, Parameter

_AXES = {1: ("l",), 2: ("h", "w"), 3: ("d", "h", "w")}
_LOWEST = "-3e38"  # below every number of a network, in float32 too
_Named = tuple[tuple[str, str], ...]  # name, formula
_FAN = "uniform(-1/sqrt({0}), 1/sqrt({0}))"


def _letters(rank: int) -> tuple[tuple[str, str, str], ...]:
    """Return (axis, output index, kernel index) for each axis."""
    return tuple(zip(_AXES[rank], "ijk", "pqr", strict=False))


def _each(rank: int, name: str, doc: str, default: int | None = 1, least: int = 1) -> Option:
    return Option(name, default=default, doc=doc, whole=True, least=least, axes=rank)


def _kernel(rank: int) -> Option:
    doc = "how many values the window takes along an axis"
    return Option("kernel_size", doc=doc, required=True, whole=True, least=1, axes=rank)


# ---------------------------------------------------------------- convolutions

_GROUPS = Option(
    "groups", default=1, doc="how many parts the channels fall in", whole=True, least=1
)
_BIAS = Option("bias", default=True, doc="add a learned bias to each channel")
_CHANNELS = Option("out_channels", doc="how many filters", required=True, whole=True, least=1)


def _convolved(
    rank: int,
    name: str,
    body: str,
    over: str,
    *,
    doc: str,
    source: str,
    options: tuple[Option, ...],
    numbers: _Named = (),
    lengths: tuple[str, ...],
    weight: tuple[str, str],
    fan: str,
) -> Entry:
    """Return a layer that sums `body` over channels c, places in the kernel and what `over` adds.

    In `body` {o} is the filter and {c} the channel of the input, in their groups. `lengths` are
    the output's, `weight` the first axes of the filters, `fan` the letter that counts for a start.
    """
    letters = _letters(rank)
    out, kernel = (", ".join(each[place] for each in letters) for place in (1, 2))
    product = f"sum({body}, c, {kernel}{over}) + where(bias, b[{{o}}], 0)"
    grouped = product.format(o="out_group*g + o", c="in_group*g + c")
    sizes = tuple(f"kernel_size_{k}" for k in range(rank))
    count = "*".join(f"size({letter})" for letter in (fan, *(p for _, _, p in letters)))
    return Entry(
        kind=Kind.LAYER,
        name=name,
        formulas=(f"z[n, o, {out}] = {product.format(o='o', c='c')}",),
        cases=(
            Case(
                "groups > 1",
                (f"v[n, g, o, {out}] = {grouped}", f"z[n, flat(g, o), {out}] = v[n, g, o, {out}]"),
            ),
        ),
        doc=doc,
        source=source,
        options=(_CHANNELS, _kernel(rank), *options, _GROUPS, _BIAS),
        axes=("n", "c", *_AXES[rank]),
        numbers=(
            ("in_group", "size(c)/groups"),
            ("out_group", "out_channels/groups"),
            *numbers,
        ),
        sizes=(
            ("g", "groups"),
            ("o", "out_group"),
            ("c", "in_group"),
            *((p, size) for (_, _, p), size in zip(letters, sizes, strict=True)),
            *((i, length) for (_, i, _), length in zip(letters, lengths, strict=True)),
        ),
        parameters=(
            Parameter("W", "weight", (*weight, *sizes), _FAN.format("fan_in")),
            Parameter("b", "bias", ("out_channels",), _FAN.format(count)),
        ),
    )


def _convolution(rank: int) -> Entry:
    letters = _letters(rank)
    kernel = ", ".join(p for _, _, p in letters)
    place = ", ".join(
        f"stride_{k}*{i} + dilation_{k}*{p} - left_{k}" for k, (_, i, p) in enumerate(letters)
    )
    reach = "(size({0}) + 2*left_{1} - dilation_{1}*(kernel_size_{1} - 1) - 1)"
    return _convolved(
        rank,
        f"conv{rank}d",
        f"W[{{o}}, c, {kernel}] * x[n, {{c}}, {place}]",
        "",
        doc=(
            "Each filter is laid on every window of the input; the products are added up. "
            "Padding is zeros; `same` keeps the size, as PyTorch does with an even kernel too."
        ),
        source=f"torch.nn.Conv{rank}d",
        options=(
            _each(rank, "stride", "how far apart windows begin"),
            Option(
                "padding",
                default=0,
                doc="zeros before and behind an axis",
                choices=("valid", "same"),
                whole=True,
                least=0,
                axes=rank,
            ),
            _each(rank, "dilation", "how far apart a window's values are"),
        ),
        numbers=tuple(
            (
                f"left_{k}",
                (
                    f"where(padding_same, floor(dilation_{k}*(kernel_size_{k} - 1)/2),"
                    f" where(padding_valid, 0, padding_{k}))"
                ),
            )
            for k in range(rank)
        ),
        lengths=tuple(
            f"where(padding_same, floor((size({axis}) - 1)/stride_{k}),"
            f" floor({reach.format(axis, k)}/stride_{k})) + 1"
            for k, (axis, _, _) in enumerate(letters)
        ),
        weight=("out_channels", "in_group"),
        fan="c",
    )


def _transposed(rank: int) -> Entry:
    """Return a transposed convolution: each value adds its filters to where they stand."""
    letters = _letters(rank)
    kernel, place = (", ".join(each[at] for each in letters) for at in (2, 0))
    hits = " * ".join(
        f"delta({i}, stride_{k}*{axis} + dilation_{k}*{p} - padding_{k})"
        for k, (axis, i, p) in enumerate(letters)
    )
    return _convolved(
        rank,
        f"conv_transpose{rank}d",
        f"W[{{c}}, o, {kernel}] * x[n, {{c}}, {place}] * {hits}",
        f", {place}",
        doc=(
            "Each value of the input lays a multiple of the filters on the output; what lies on "
            "each other is added up. The adjoint of a convolution by its input."
        ),
        source=f"torch.nn.ConvTranspose{rank}d; Zeiler et al. 2010",
        options=(
            _each(rank, "stride", "how far apart the filters lie"),
            _each(rank, "padding", "how much is cut off before and behind an axis", 0, 0),
            _each(rank, "output_padding", "places more behind an axis", 0, 0),
            _each(rank, "dilation", "how far apart a filter's values are"),
        ),
        lengths=tuple(
            f"(size({axis}) - 1)*stride_{k} - 2*padding_{k}"
            f" + dilation_{k}*(kernel_size_{k} - 1) + output_padding_{k} + 1"
            for k, (axis, _, _) in enumerate(letters)
        ),
        weight=("in_group*groups", "out_group"),
        fan="o",
    )


# ---------------------------------------------------------------- poolings

_CEIL = Option("ceil_mode", default=False, doc="a last window may reach over the end")


def _pooled(rank: int, *, dilated: bool) -> tuple[_Named, _Named]:
    """Return the numbers and sizes of a pooling: steps, axes, windows.

    A window that reaches over the end begins within the axis or the padding before it.
    """
    numbers, sizes = [], []
    for k, (axis, i, p) in enumerate(_letters(rank)):
        reach = f"dilation_{k}*(kernel_size_{k} - 1)" if dilated else f"kernel_size_{k} - 1"
        room = f"(size({axis}) + 2*padding_{k} - ({reach}) - 1)"
        numbers += [
            (f"step_{k}", f"where(stride_given, stride_{k}, kernel_size_{k})"),
            (f"length_{k}", f"size({axis})"),
            (f"ceiled_{k}", f"-floor(-{room}/step_{k}) + 1"),
            (f"over_{k}", f"(ceiled_{k} - 1)*step_{k} >= size({axis}) + padding_{k}"),
            (
                f"windows_{k}",
                f"where(ceil_mode, ceiled_{k} - over_{k}, floor({room}/step_{k}) + 1)",
            ),
        ]
        sizes += [(p, f"kernel_size_{k}"), (i, f"windows_{k}")]
    return tuple(numbers), tuple(sizes)


def _largest(rank: int) -> tuple[str, ...]:
    """Return the formulas of a max pooling: along the last axis first, then along the others.

    The first of equal values is taken, and gets the slope: row by row as PyTorch does.
    """
    letters = _letters(rank)
    formulas = []
    source, spread = "x", [axis for axis, _, _ in letters]
    for k in reversed(range(rank)):
        axis, i, p = letters[k]
        place = f"step_{k}*{i} + dilation_{k}*{p} - padding_{k}"
        at = ", ".join(["n", "c", *(place if letter == axis else letter for letter in spread)])
        spread[k] = i
        to = ", ".join(["n", "c", *spread])
        inside = f"where(padding_{k} or ceil_mode, {place} >= 0 and {place} < length_{k}, 1)"
        first, made = f"a{k}", "y" if k == 0 else f"u{k}"
        formulas += [
            f"{first}[{to}] = argmax(where({inside}, {source}[{at}], {_LOWEST}), {p})",
            f"{made}[{to}] = sum(where({p} == {first}[{to}], {source}[{at}], 0), {p})",
        ]
        source = made
    return tuple(formulas)


def _max_pool(rank: int) -> Entry:
    numbers, sizes = _pooled(rank, dilated=True)
    return Entry(
        kind=Kind.LAYER,
        name=f"max_pool{rank}d",
        formulas=_largest(rank),
        doc="The largest value of each window, the padding not among them.",
        source=f"torch.nn.MaxPool{rank}d",
        options=(
            _kernel(rank),
            _each(rank, "stride", "how far apart windows begin; as far as they reach", None),
            _each(rank, "padding", "how far windows begin before an axis", 0, 0),
            _each(rank, "dilation", "how far apart a window's values are"),
            _CEIL,
        ),
        axes=("n", "c", *_AXES[rank]),
        numbers=numbers,
        sizes=sizes,
        main="kernel_size",
        kinks="the first of equal values gets the slope",
    )


def _avg_pool(rank: int) -> Entry:
    numbers, sizes = _pooled(rank, dilated=False)
    letters = _letters(rank)
    out, kernel = (", ".join(each[place] for each in letters) for place in (1, 2))
    places = [f"step_{k}*{i} + {p} - padding_{k}" for k, (_, i, p) in enumerate(letters)]
    count = " * ".join(
        f"sum(where(count_include_pad, {place} < length_{k} + padding_{k},"
        f" {place} >= 0 and {place} < length_{k}), {letters[k][2]})"
        for k, place in enumerate(places)
    )
    all_ = "*".join(f"kernel_size_{k}" for k in range(rank))
    padded = " or ".join(f"padding_{k}" for k in range(rank))
    return Entry(
        kind=Kind.LAYER,
        name=f"avg_pool{rank}d",
        formulas=(
            (
                f"y[n, c, {out}] = sum(x[n, c, {', '.join(places)}], {kernel})"
                f" / where(ceil_mode or not count_include_pad and ({padded}), {count}, {all_})"
            ),
        ),
        doc="The mean of each window.",
        source=f"torch.nn.AvgPool{rank}d",
        options=(
            _kernel(rank),
            _each(rank, "stride", "how far apart windows begin; as far as they reach", None),
            _each(rank, "padding", "zeros before and behind an axis", 0, 0),
            _CEIL,
            Option("count_include_pad", default=True, doc="the padding counts in the mean"),
        ),
        axes=("n", "c", *_AXES[rank]),
        numbers=numbers,
        sizes=sizes,
        main="kernel_size",
    )


def _lp_pool(rank: int) -> Entry:
    numbers, sizes = _pooled(rank, dilated=False)
    letters = _letters(rank)
    out, kernel = (", ".join(each[place] for each in letters) for place in (1, 2))
    places = ", ".join(f"step_{k}*{i} + {p}" for k, (_, i, p) in enumerate(letters))
    within = " * ".join(
        f"sum(step_{k}*{i} + {p} < length_{k}, {p})" for k, (_, i, p) in enumerate(letters)
    )
    all_ = "*".join(f"kernel_size_{k}" for k in range(rank))
    return Entry(
        kind=Kind.LAYER,
        name=f"lp_pool{rank}d",
        formulas=(
            (
                f"s[n, c, {out}] = sum(x[n, c, {places}]**norm_type, {kernel})"
                f" * where(ceil_mode, {all_}/({within}), 1)"
            ),
            (
                f"y[n, c, {out}] = where(norm_type == 1, s[n, c, {out}],"
                f" where(norm_type == 2, sqrt(s[n, c, {out}]), s[n, c, {out}]**(1/norm_type)))"
            ),
        ),
        doc="The p-norm of each window: the root of the sum of its values' powers.",
        source=f"torch.nn.LPPool{rank}d",
        options=(
            Option("norm_type", doc="the power p", required=True, above=0),
            _kernel(rank),
            _each(rank, "stride", "how far apart windows begin; as far as they reach", None),
            _CEIL,
        ),
        axes=("n", "c", *_AXES[rank]),
        numbers=(*((f"padding_{k}", "0") for k in range(rank)), *numbers),
        sizes=sizes,
    )


def _adaptive(rank: int, kind: str) -> Entry:
    """Return as many windows as wanted, along the last axis first: their means, or largest."""
    formulas: list[str] = []
    source, spread = "x", list(_AXES[rank])
    for k in reversed(range(rank)):
        axis, i, _ = _letters(rank)[k]
        read = f"{source}[{', '.join(['n', 'c', *spread])}]"
        spread[k] = i
        to = ", ".join(["n", "c", *spread])
        first = f"floor({i}*length_{k}/output_size_{k})"
        behind = f"-floor(-({i} + 1)*length_{k}/output_size_{k})"
        inside = f"{first} <= {axis} and {axis} < {behind}"
        made = "y" if k == 0 else f"u{k}"
        if kind == "avg":
            total = f"sum(where({inside}, {read}, 0), {axis})"
            formulas.append(f"{made}[{to}] = {total} / ({behind} - {first})")
        else:
            formulas += [
                f"a{k}[{to}] = argmax(where({inside}, {read}, {_LOWEST}), {axis})",
                f"{made}[{to}] = sum(where({axis} == a{k}[{to}], {read}, 0), {axis})",
            ]
        source = made
    means = "The means of as many windows as wanted, which together cover the axis."
    largest = "The largest values of as many windows as wanted, which together cover the axis."
    return Entry(
        kind=Kind.LAYER,
        name=f"adaptive_{kind}_pool{rank}d",
        formulas=tuple(formulas),
        doc=means if kind == "avg" else largest,
        source=f"torch.nn.Adaptive{kind.title()}Pool{rank}d",
        options=(
            Option(
                "output_size",
                doc="how many windows along an axis",
                required=True,
                whole=True,
                least=1,
                axes=rank,
            ),
        ),
        axes=("n", "c", *_AXES[rank]),
        numbers=tuple((f"length_{k}", f"size({axis})") for k, axis in enumerate(_AXES[rank])),
        sizes=tuple((i, f"output_size_{k}") for k, (_, i, _) in enumerate(_letters(rank))),
        main="output_size",
        kinks="" if kind == "avg" else "the first of equal values gets the slope",
    )


ENTRIES = (
    *(_convolution(rank) for rank in (1, 2, 3)),
    *(_transposed(rank) for rank in (1, 2, 3)),
    *(_max_pool(rank) for rank in (1, 2, 3)),
    *(_avg_pool(rank) for rank in (1, 2, 3)),
    *(_lp_pool(rank) for rank in (1, 2, 3)),
    *(_adaptive(rank, "avg") for rank in (1, 2, 3)),
    *(_adaptive(rank, "max") for rank in (1, 2, 3)),
    Entry(
        kind=Kind.LAYER,
        name="global_avg_pool",
        formulas=("y[n, c] = mean(x[n, c, ...], ...)",),
        doc="The mean of each channel over all its places.",
        source=(
            "torch.nn.AdaptiveAvgPool2d(1), then torch.nn.Flatten; Lin et al. 2013, arXiv:1312.4400"
        ),
        axes=("n", "c", "..."),
    ),
)
