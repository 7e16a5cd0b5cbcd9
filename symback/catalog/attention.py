"""Attention, and layers that look up vectors for labels."""

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


def _of_one(source: str) -> tuple[str, ...]:
    """Return the formulas of queries, keys and values of one source: one product for all."""
    read = "{0}[n, h, {1}, d] = p[n, {1}, {2}width*h + d]"
    return (
        f"p[n, t, j] = sum(W[j, i] * {source}[n, t, i], i) + where(bias, b[j], 0)",
        read.format("q", "t", ""),
        read.format("k", "t", "length + "),
        read.format("v", "t", "2*length + "),
    )


def _of_three(*sources: str) -> tuple[str, ...]:
    """Return the same of three sources, each by its rows of the weight."""
    rows = ("width*h + d", "length + width*h + d", "2*length + width*h + d")
    return tuple(
        f"{letter}[n, h, {at}, d] = sum(W[{row}, i] * {source}[n, {at}, i], i)"
        f" + where(bias, b[{row}], 0)"
        for letter, at, row, source in zip("qkv", "tss", rows, sources, strict=True)
    )


def _attended(projected: tuple[str, ...], mask: str = "") -> tuple[str, ...]:
    """Return the formulas of an attention by heads, down to its projected output o.

    `mask`: a source that isn't 0 where a key isn't to be seen.
    """
    seen = f"where({mask}[n, s] == 0, z[n, h, t, s], {_HIDDEN})" if mask else "z[n, h, t, s]"
    masked = f"where(causal, where(s <= t, {seen}, {_HIDDEN}), {seen})"
    return (
        *projected,
        "z[n, h, t, s] = sum(q[n, h, t, d] * k[n, h, s, d], d) / sqrt(size(d))",
        f"seen[n, h, t, s] = {masked}",
        "a[n, h, t, s] = softmax(seen[n, h, t, s], s)",
        "g[n, h, t, s] = where(dropout > 0, r[n, h, t, s] * a[n, h, t, s], a[n, h, t, s])",
        "c[n, t, flat(h, d)] = sum(g[n, h, t, s] * v[n, h, s, d], s)",
        "o[n, t, i] = sum(U[i, j] * c[n, t, j], j) + where(bias, w[i], 0)",
    )


def _projections(prefix: str = "") -> tuple[Parameter, ...]:
    """Return the parameters of an attention by heads."""
    return (
        Parameter("W", f"{prefix}in_proj_weight", ("3*length", "length"), "xavier_uniform"),
        Parameter("b", f"{prefix}in_proj_bias", ("3*length",), "zeros"),
        Parameter("U", f"{prefix}out_proj.weight", ("length", "length"), _START),
        Parameter("w", f"{prefix}out_proj.bias", ("length",), "zeros"),
    )


_START = "uniform(-1/sqrt(fan_in), 1/sqrt(fan_in))"
_DROPPED = Random("r", "keep(1 - dropout)", ("n", "h", "t", "s"))
_BY_HEADS = (("length", "size(i)"), ("width", "size(i)/num_heads"))


def _normed(made: str, source: str, part: str) -> tuple[str, ...]:
    """Return the formulas of a layer norm of a sequence."""
    x, m, v = f"{source}[n, t, i]", f"m{part}[n, t]", f"v{part}[n, t]"
    return (
        f"{m} = mean({x}, i)",
        f"{v} = mean(({x} - {m})**2, i)",
        (
            f"{made}[n, t, i] = g{part}[i] * ({x} - {m}) / sqrt({v} + layer_norm_eps)"
            f" + where(bias, b{part}[i], 0)"
        ),
    )


def _dropped(mask: str, at: str, value: str) -> str:
    return f"where(dropout > 0, {mask}[{at}] * {value}, {value})"


def _fed(source: str) -> tuple[str, ...]:
    """Return the formulas of the part that works on each place by itself, down to f."""
    bent = "where(activation_relu, relu(lin[n, t, f]), gelu(lin[n, t, f]))"
    return (
        f"lin[n, t, f] = sum(A[f, i] * {source}[n, t, i], i) + where(bias, bl[f], 0)",
        f"u[n, t, f] = {_dropped('rl', 'n, t, f', bent)}",
        "fed[n, t, i] = sum(B[i, f] * u[n, t, f], f) + where(bias, bm[i], 0)",
    )


def _encoder(norm_first: bool) -> tuple[str, ...]:
    """Return the formulas of an encoder's layer; norms before or behind what they bring in line."""
    first, second = (
        _dropped("ra", "n, t, i", "o[n, t, i]"),
        _dropped("rf", "n, t, i", "fed[n, t, i]"),
    )
    if norm_first:
        return (
            *_normed("h", "x", "a"),
            *_attended(_of_one("h")),
            f"sa[n, t, i] = x[n, t, i] + {first}",
            *_normed("na", "sa", "f"),
            *_fed("na"),
            f"y[n, t, i] = sa[n, t, i] + {second}",
        )
    return (
        *_attended(_of_one("x")),
        f"sa[n, t, i] = x[n, t, i] + {first}",
        *_normed("na", "sa", "a"),
        *_fed("na"),
        f"sf[n, t, i] = na[n, t, i] + {second}",
        *_normed("y", "sf", "f"),
    )


ENTRIES = (
    Entry(
        kind=Kind.LAYER,
        name="scaled_dot_product_attention",
        formulas=(
            (
                "z[..., t, s] = sum(x1[..., t, d] * x2[..., s, d], d)"
                " * where(scale_given, scale, 1/sqrt(size(d)))"
            ),
            (
                f"seen[..., t, s] = where(causal, where(s <= t, z[..., t, s], {_HIDDEN}),"
                " z[..., t, s])"
            ),
            "a[..., t, s] = softmax(seen[..., t, s], s)",
            "y[..., t, v] = sum(a[..., t, s] * x3[..., s, v], s)",
        ),
        doc=(
            "Of queries, keys and values (`from: [q, k, v]`): each query's mean of the values, "
            "weighted by the softmax of its products with the keys."
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
        formulas=(*_attended(_of_one("x")), "y[n, t, i] = o[n, t, i]"),
        cases=(
            Case(
                "sources == 3", (*_attended(_of_three("x1", "x2", "x3")), "y[n, t, i] = o[n, t, i]")
            ),
            Case(
                "sources == 4",
                (*_attended(_of_three("x1", "x2", "x3"), "x4"), "y[n, t, i] = o[n, t, i]"),
            ),
        ),
        doc=(
            "Attention by several heads, each on its part of the projected input. Of one source: "
            "self-attention; of queries, keys and values (`from: [q, k, v]`) else; a fourth source "
            "isn't 0 at the keys (n, s) that are not to be seen, as PyTorch's key_padding_mask."
        ),
        source=(
            "torch.nn.MultiheadAttention(batch_first=True); Vaswani et al. 2017, arXiv:1706.03762"
        ),
        options=(
            _HEADS,
            _CAUSAL,
            _BIAS,
            Option("dropout", default=0.0, doc="of the weights' values", least=0, below=1),
        ),
        axes=("n", "t", "i"),
        numbers=_BY_HEADS,
        sizes=(("h", "num_heads"), ("d", "width")),
        parameters=_projections(),
        random=(_DROPPED,),
        main="num_heads",
    ),
    Entry(
        kind=Kind.LAYER,
        name="transformer_encoder_layer",
        formulas=_encoder(norm_first=False),
        cases=(Case("norm_first", _encoder(norm_first=True)),),
        doc=(
            "Self-attention, then two dense layers on each place; each with a dropout, added to "
            "what it reads, and a layer norm behind, or before."
        ),
        source=(
            "torch.nn.TransformerEncoderLayer(batch_first=True); Vaswani et al. 2017, "
            "arXiv:1706.03762"
        ),
        options=(
            _HEADS,
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
            *_projections("self_attn."),
            Parameter("A", "linear1.weight", ("f", "length"), _START),
            Parameter("bl", "linear1.bias", ("f",), "uniform(-1/sqrt(size(i)), 1/sqrt(size(i)))"),
            Parameter("B", "linear2.weight", ("length", "f"), _START),
            Parameter(
                "bm", "linear2.bias", ("length",), "uniform(-1/sqrt(size(f)), 1/sqrt(size(f)))"
            ),
            Parameter("ga", "norm1.weight", ("length",), "ones"),
            Parameter("ba", "norm1.bias", ("length",), "zeros"),
            Parameter("gf", "norm2.weight", ("length",), "ones"),
            Parameter("bf", "norm2.bias", ("length",), "zeros"),
        ),
        random=(
            _DROPPED,
            Random("rl", "keep(1 - dropout)", ("n", "t", "f")),
            Random("ra", "keep(1 - dropout)"),
            Random("rf", "keep(1 - dropout)"),
        ),
        main="num_heads",
        aliases=("encoder_layer",),
    ),
)
