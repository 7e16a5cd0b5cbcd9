"""Attention, and the layers that a transformer is made of.

Queries stand at places t, keys and values at s, or u in a memory; a head h has a width of d values.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from symback.catalog.entry import Case, Entry, Kind, Option, Parameter, Random

_CAUSAL = Option("causal", default=False, doc="a place sees itself and those before it only")
_HIDDEN = "-1e30"  # the softmax of it is zero

_HEADS = Option(
    "num_heads",
    doc="how many heads share the width of the input",
    required=True,
    whole=True,
    least=1,
)
_BIAS = Option("bias", default=True, doc="add learned biases")
_Mask = tuple[str, str]  # a source, and its indices
_More = tuple[str, str]  # a query's product with a key, and the value there

# ---------------------------------------------------------------- attention by heads


def _of_one(source: str) -> tuple[str, ...]:
    """Return the formulas of queries, keys and values of one source: one product for all."""
    read = "{0}[n, h, {1}, d] = p[n, {1}, {2}width*h + d]"
    return (
        f"p[n, t, j] = sum(W[j, i] * {source}[n, t, i], i) + where(bias, b[j], 0)",
        read.format("q", "t", ""),
        read.format("k", "t", "length + "),
        read.format("v", "t", "2*length + "),
    )


def _of_three(
    sources: Sequence[str], part: str = "", s: str = "s", weights: str = ""
) -> tuple[str, ...]:
    """Return the same of three sources, each by its rows of the weight or by one of `weights`."""
    rows = ("width*h + d", "length + width*h + d", "2*length + width*h + d")
    return tuple(
        f"{letter}{part}[n, h, {at}, d] ="
        f" sum({f'{own}[{rows[0]}' if weights else f'W{part}[{row}'}, i] * {source}[n, {at}, i], i)"
        f" + where(bias, b{part}[{row}], 0)"
        for letter, own, at, row, source in zip(
            "qkv", weights or "qkv", ("t", s, s), rows, sources, strict=True
        )
    )


def _attended(
    projected: tuple[str, ...],
    masks: Sequence[_Mask] = (),
    part: str = "",
    s: str = "s",
    more: Sequence[_More] = (),
) -> tuple[str, ...]:
    """Return the formulas of an attention by heads, down to its projected output o.

    A mask with the indices [n, s] isn't 0 where a key isn't to be seen; any other is added. Every
    query sees `more` keys behind those, at each the product with it and the value there.
    """
    at = f"n, h, t, {s}"
    seen = f"z{part}[{at}]"
    for source, places in masks:
        if places == f"n, {s}":
            seen = f"where({source}[{places}] == 0, {seen}, {_HIDDEN})"
        else:
            seen = f"{seen} + {source}[{places}]"
    if not part:  # what comes later stands in the same sequence
        seen = f"where(causal, where(s <= t, {seen}, {_HIDDEN}), {seen})"
    q, k, v, a, c = (f"{letter}{part}" for letter in "qkvac")
    return (
        *projected,
        f"z{part}[{at}] = sum({q}[n, h, t, d] * {k}[n, h, {s}, d], d) / sqrt(size(d))",
        f"seen{part}[{at}] = {seen}",
        *(f"seen{part}[n, h, t, size({s}) + {k} + e] = {z}" for k, (z, _) in enumerate(more)),
        *(f"{v}[n, h, size({s}) + {k} + e, d] = {value}" for k, (_, value) in enumerate(more)),
        f"{a}[{at}] = softmax(seen{part}[{at}], {s})",
        f"g{part}[{at}] = {_dropped(f'r{part}', at, f'{a}[{at}]')}",
        f"{c}[n, t, flat(h, d)] = sum(g{part}[{at}] * {v}[n, h, {s}, d], {s})",
        f"o{part}[n, t, i] = sum(U{part}[i, j] * {c}[n, t, j], j) + where(bias, w{part}[i], 0)",
    )


def _dropped(mask: str, at: str, value: str) -> str:
    return f"where(dropout > 0, {mask}[{at}] * {value}, {value})"


def _projections(prefix: str = "", part: str = "") -> tuple[Parameter, ...]:
    """Return the parameters of an attention by heads."""
    return (
        Parameter(f"W{part}", f"{prefix}in_proj_weight", ("3*length", "length"), "xavier_uniform"),
        Parameter(f"b{part}", f"{prefix}in_proj_bias", ("3*length",), "zeros"),
        Parameter(f"U{part}", f"{prefix}out_proj.weight", ("length", "length"), _START),
        Parameter(f"w{part}", f"{prefix}out_proj.bias", ("length",), "zeros"),
    )


_START = "uniform(-1/sqrt(fan_in), 1/sqrt(fan_in))"
_DROPPED = Random("r", "keep(1 - dropout)", ("n", "h", "t", "s"))
_BY_HEADS = (("length", "size(i)"), ("width", "size(i)/num_heads"))
_PLACES = {2: "n, s", 3: "n, t, s", 4: "n, h, t, s"}  # of a mask with so many axes
_MASKS = ((), (2,), (3,), (4,), (2, 3), (2, 4))


def _shown(attended: tuple[str, ...]) -> tuple[str, ...]:
    """Return an attention as a layer, which shows what it sees: the mean over the heads."""
    return (*attended, "m[n, t, s] = mean(a[n, h, t, s], h)", "y[n, t, i] = o[n, t, i]")


_LEARNED = (
    "sum(q[n, h, t, d] * bk[e, 0, width*h + d], d) / sqrt(size(d))",
    "bv[e, 0, width*h + d]",
)
_SEEN_BY_ALL: Mapping[str, Sequence[_More]] = {
    "add_bias_kv and add_zero_attn": (_LEARNED, ("0", "0")),
    "add_bias_kv": (_LEARNED,),
    "add_zero_attn": (("0", "0"),),
    "": (),
}


def _heads_cases() -> Iterator[Case]:
    """Yield the forms of attention: of one source or three, with masks, with keys for all."""
    for said, more in _SEEN_BY_ALL.items():
        beside = [said] if said else []
        if said:
            yield Case(f"sources == 1 and {said}", _shown(_attended(_of_one("x"), more=more)))
        for own, axes in product((True, False), _MASKS):
            masks = [(f"x{4 + k}", _PLACES[count]) for k, count in enumerate(axes)]
            asked = [f"sources == {3 + len(axes)}", *beside]
            asked += [f"axes_{4 + k} == {count}" for k, count in enumerate(axes)]
            asked += ["(kdim_given or vdim_given)"] if own else []
            projected = _of_three(("x1", "x2", "x3"), weights="QKV" if own else "")
            yield Case(" and ".join(asked), _shown(_attended(projected, masks, more=more)))


# ---------------------------------------------------------------- parts of a transformer


def _normed(made: str, source: str, part: str) -> tuple[str, ...]:
    """Return the formulas of a layer norm of a sequence."""
    x, m, v = f"{source}[n, t, i]", f"mu{part}[n, t]", f"var{part}[n, t]"
    return (
        f"{m} = mean({x}, i)",
        f"{v} = mean(({x} - {m})**2, i)",
        (
            f"{made}[n, t, i] = gn{part}[i] * ({x} - {m}) / sqrt({v} + layer_norm_eps)"
            f" + where(bias, bn{part}[i], 0)"
        ),
    )


def _fed(source: str) -> tuple[str, ...]:
    """Return the formulas of the part that works on each place by itself, down to of."""
    bent = "where(activation_relu, relu(lin[n, t, f]), gelu(lin[n, t, f]))"
    return (
        f"lin[n, t, f] = sum(A[f, i] * {source}[n, t, i], i) + where(bias, bl[f], 0)",
        f"u[n, t, f] = {_dropped('rl', 'n, t, f', bent)}",
        "of[n, t, i] = sum(B[i, f] * u[n, t, f], f) + where(bias, bm[i], 0)",
    )


def _block(
    source: str, memory: str, masks: Sequence[_Mask], *, norm_first: bool, normed: bool
) -> tuple[str, ...]:
    """Return the formulas of a layer: its parts, each added to what it reads, with its norm.

    With a memory the second part attends to it. `normed`: another norm stands behind it all.
    """
    crossed = [mask for mask in masks if memory]
    parts = ["a", *(["c"] if memory else []), "f"]
    formulas: list[str] = []
    now = source
    for part in parts:
        read = f"h{part}" if norm_first else now
        formulas += _normed(read, now, part) if norm_first else ()
        if part == "a":
            formulas += _attended(_of_one(read), () if memory else masks)
        elif part == "c":
            projected = _of_three((read, memory, memory), "c", "u")
            formulas += _attended(projected, crossed, "c", "u")
        else:
            formulas += _fed(read)
        given = f"o{part.replace('a', '')}[n, t, i]"
        made = "y" if part == "f" and norm_first and not normed else f"s{part}"
        dropped = _dropped(f"d{part}", "n, t, i", given)
        formulas.append(f"{made}[n, t, i] = {now}[n, t, i] + {dropped}")
        now = made
        if not norm_first:
            now = "y" if part == "f" and not normed else f"n{part}"
            formulas += _normed(now, made, part)
    return (*formulas, *(_normed("y", now, "n") if normed else ()))


def _layer_cases(memory: bool, stacked: bool) -> Iterator[Case]:
    """Yield the forms of a layer of an encoder, or of a decoder with a memory."""
    count = 1 + memory
    choices = ((True, False), (True, False) if stacked else (False,), (2, 3, 0))
    for norm_first, normed, axes in product(*choices):
        source = "x1" if memory or axes else "x"
        places = _PLACES.get(axes, "").replace("s", "u") if memory else _PLACES.get(axes, "")
        masks = [(f"x{count + 1}", places)] if axes else []
        asked = [f"sources == {count + bool(axes)}"]
        asked += [f"axes_{count + 1} == {axes}"] if axes else []
        asked += ["norm_first"] if norm_first else []
        asked += ["norm and round + 1 == num_layers"] if normed else []
        formulas = _block(
            source, "x2" if memory else "", masks, norm_first=norm_first, normed=normed
        )
        yield Case(" and ".join(asked), formulas)


def _weights(prefix: str, memory: bool) -> tuple[Parameter, ...]:
    """Return the parameters of a layer of an encoder, or of a decoder."""
    norms = "acf" if memory else "af"
    return (
        *_projections(f"{prefix}self_attn."),
        *(_projections(f"{prefix}multihead_attn.", "c") if memory else ()),
        Parameter("A", f"{prefix}linear1.weight", ("f", "length"), _START),
        Parameter(
            "bl", f"{prefix}linear1.bias", ("f",), "uniform(-1/sqrt(size(i)), 1/sqrt(size(i)))"
        ),
        Parameter("B", f"{prefix}linear2.weight", ("length", "f"), _START),
        Parameter(
            "bm", f"{prefix}linear2.bias", ("length",), "uniform(-1/sqrt(size(f)), 1/sqrt(size(f)))"
        ),
        *(
            Parameter(f"{letter}{part}", f"{prefix}norm{k}.{name}", ("length",), start)
            for k, part in enumerate(norms, 1)
            for letter, name, start in (("gn", "weight", "ones"), ("bn", "bias", "zeros"))
        ),
    )


def _transformer(name: str, memory: bool, stacked: bool, doc: str, source: str) -> Entry:
    """Return an entry of a layer of a transformer, or of several on each other."""
    several = (
        Option("num_layers", doc="how many layers", required=True, whole=True, least=1, most=100),
        Option("norm", default=False, doc="a layer norm behind them all"),
    )
    masks = "third" if memory else "second"
    seen = "the memory" if memory else "the source"
    return Entry(
        kind=Kind.LAYER,
        name=name,
        formulas=_block(
            "x1" if memory else "x", "x2" if memory else "", (), norm_first=False, normed=False
        ),
        cases=tuple(_layer_cases(memory, stacked)),
        doc=(
            f"{doc} A {masks} source, [n, s], isn't 0 at the places of {seen} that are not to be "
            "seen (PyTorch's key_padding_mask); one of [n, t, s] is added to the products."
        ),
        source=f"{source}(batch_first=True); Vaswani et al. 2017, arXiv:1706.03762",
        options=(
            _HEADS,
            *(several if stacked else ()),
            Option("dim_feedforward", default=2048, doc="values within", whole=True, least=1),
            Option("dropout", default=0.1, doc="the probability of a zero", least=0, below=1),
            Option("activation", default="relu", doc="the bend within", choices=("relu", "gelu")),
            Option("layer_norm_eps", default=1e-5, doc="keeps the division finite", least=0),
            Option("norm_first", default=False, doc="the norms stand before"),
            _CAUSAL,
            _BIAS,
        ),
        axes=("n", "t", "i"),
        numbers=_BY_HEADS,
        sizes=(("h", "num_heads"), ("d", "width"), ("f", "dim_feedforward")),
        parameters=(
            *_weights("layers.{}." if stacked else "", memory),
            *(
                (
                    Parameter("gnn", "norm.weight", ("length",), "ones"),
                    Parameter("bnn", "norm.bias", ("length",), "zeros"),
                )
                if stacked
                else ()
            ),
        ),
        random=(
            _DROPPED,
            Random("rl", "keep(1 - dropout)", ("n", "t", "f")),
            Random("da", "keep(1 - dropout)"),
            Random("df", "keep(1 - dropout)"),
            *(
                (
                    Random("rc", "keep(1 - dropout)", ("n", "h", "t", "u")),
                    Random("dc", "keep(1 - dropout)"),
                )
                if memory
                else ()
            ),
        ),
        rounds="num_layers" if stacked else "",
        main="" if stacked else "num_heads",
        aliases=("encoder_layer",) if name == "transformer_encoder_layer" else (),
    )


_ENCODED = "Self-attention, then two dense layers on each place"
_DECODED = (
    "Self-attention, attention to a memory (`from: [x, memory]`), then two dense layers on each "
    "place"
)
_JOINED = "each with a dropout, added to what it reads, and a layer norm behind, or before."


def _products(mask: str) -> tuple[str, ...]:
    """Return the formulas of a plain attention; `mask` is added to the products."""
    return (
        (
            "z[..., t, s] = sum(x1[..., t, d] * x2[..., s, d], d)"
            f" * where(scale_given, scale, 1/sqrt(size(d))){mask}"
        ),
        (f"seen[..., t, s] = where(causal, where(s <= t, z[..., t, s], {_HIDDEN}), z[..., t, s])"),
        "a[..., t, s] = softmax(seen[..., t, s], s)",
        "y[..., t, v] = sum(a[..., t, s] * x3[..., s, v], s)",
    )


ENTRIES = (
    Entry(
        kind=Kind.LAYER,
        name="scaled_dot_product_attention",
        formulas=_products(""),
        cases=(Case("sources == 4", _products(" + x4[..., t, s]")),),
        doc=(
            "Of queries, keys and values (`from: [q, k, v]`): each query's mean of the values, "
            "weighted by the softmax of its products with the keys. A fourth source, [..., t, s], "
            "is added to the products (PyTorch's attn_mask)."
        ),
        source=(
            "torch.nn.functional.scaled_dot_product_attention; Vaswani et al. 2017, "
            "arXiv:1706.03762"
        ),
        options=(
            _CAUSAL,
            Option("scale", doc="a factor for the products; 1/sqrt of their length"),
        ),
        aliases=("attention",),
    ),
    Entry(
        kind=Kind.LAYER,
        name="multihead_attention",
        formulas=_shown(_attended(_of_one("x"))),
        cases=tuple(_heads_cases()),
        doc=(
            "Attention by several heads, each on its part of the projected input. Of one source: "
            "self-attention; of queries, keys and values (`from: [q, k, v]`) else. A mask is a "
            "fourth source: [n, s], not 0 at the keys that are not to be seen (PyTorch's "
            "key_padding_mask), or [n, t, s] or [n, h, t, s], added to the products (attn_mask); "
            "with both, this is the fifth. Learned or zero keys and values may stand behind the "
            "others, which every query sees. The weights, their mean over the heads, can be read "
            "as `name.weights`."
        ),
        source=(
            "torch.nn.MultiheadAttention(batch_first=True); Vaswani et al. 2017, arXiv:1706.03762"
        ),
        options=(
            _HEADS,
            _CAUSAL,
            _BIAS,
            Option("dropout", default=0.0, doc="of the weights' values", least=0, below=1),
            Option("kdim", doc="the keys' length where it is another", whole=True, least=1),
            Option("vdim", doc="the values' length where it is another", whole=True, least=1),
            Option("add_bias_kv", default=False, doc="a learned key and value behind the others"),
            Option("add_zero_attn", default=False, doc="a key and a value of zeros behind them"),
        ),
        axes=("n", "t", "i"),
        numbers=_BY_HEADS,
        sizes=(("h", "num_heads"), ("d", "width"), ("e", "1")),
        parameters=(
            *_projections(),
            Parameter("bk", "bias_k", ("1", "1", "length"), "xavier_normal"),
            Parameter("bv", "bias_v", ("1", "1", "length"), "xavier_normal"),
            Parameter("Q", "q_proj_weight", ("length", "length"), "xavier_uniform"),
            *(
                Parameter(
                    letter.upper(),
                    f"{letter}_proj_weight",
                    ("length", f"where({letter}dim_given, {letter}dim, length)"),
                    "xavier_uniform",
                )
                for letter in "kv"
            ),
        ),
        random=(_DROPPED,),
        outputs=(("weights", "m"),),
        main="num_heads",
    ),
    _transformer(
        "transformer_encoder_layer",
        False,
        False,
        f"{_ENCODED}; {_JOINED}",
        "torch.nn.TransformerEncoderLayer",
    ),
    _transformer(
        "transformer_decoder_layer",
        True,
        False,
        f"{_DECODED}; {_JOINED}",
        "torch.nn.TransformerDecoderLayer",
    ),
    _transformer(
        "transformer_encoder",
        False,
        True,
        f"Layers on each other: {_ENCODED.lower()}; {_JOINED}",
        "torch.nn.TransformerEncoder",
    ),
    _transformer(
        "transformer_decoder",
        True,
        True,
        f"Layers on each other: {_DECODED[0].lower()}{_DECODED[1:]}; {_JOINED} Called `decoder`, "
        "behind a transformer_encoder called `encoder` and both with a norm, it has the parameters "
        "of torch.nn.Transformer.",
        "torch.nn.TransformerDecoder",
    ),
)
