"""Attention, and layers that look up vectors for labels."""

from symback.catalog.entry import Entry, Kind, Option, Parameter

_CAUSAL = Option("causal", default=False, doc="a place sees itself and those before it only")
_HIDDEN = "-1e30"  # the softmax of it is zero

ENTRIES = (
    Entry(
        kind=Kind.LAYER,
        name="scaled_dot_product_attention",
        formulas=(
            (
                "e[..., t, s] = sum(x1[..., t, d] * x2[..., s, d], d)"
                " * where(scale_given, scale, 1/sqrt(size(d)))"
            ),
            (
                f"a[..., t, s] = softmax(where(causal, where(s <= t, e[..., t, s], {_HIDDEN}),"
                " e[..., t, s]), s)"
            ),
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
        formulas=(
            "p[n, t, j] = sum(W[j, i] * x[n, t, i], i) + where(bias, b[j], 0)",
            "q[n, h, t, d] = p[n, t, width*h + d]",
            "k[n, h, t, d] = p[n, t, length + width*h + d]",
            "v[n, h, t, d] = p[n, t, 2*length + width*h + d]",
            "e[n, h, t, s] = sum(q[n, h, t, d] * k[n, h, s, d], d) / sqrt(size(d))",
            (
                f"a[n, h, t, s] = softmax(where(causal, where(s <= t, e[n, h, t, s], {_HIDDEN}),"
                " e[n, h, t, s]), s)"
            ),
            "c[n, t, flat(h, d)] = sum(a[n, h, t, s] * v[n, h, s, d], s)",
            "y[n, t, o] = sum(U[o, i] * c[n, t, i], i) + where(bias, w[o], 0)",
        ),
        doc="Self-attention by several heads, each on its part of the projected input.",
        source=(
            "torch.nn.MultiheadAttention(batch_first=True); Vaswani et al. 2017, arXiv:1706.03762"
        ),
        options=(
            Option(
                "num_heads",
                doc="how many heads share the width of the input",
                required=True,
                whole=True,
                least=1,
            ),
            _CAUSAL,
            Option("bias", default=True, doc="add learned biases"),
        ),
        axes=("n", "t", "i"),
        numbers=(("length", "size(i)"), ("width", "size(i)/num_heads")),
        sizes=(("h", "num_heads"), ("d", "width")),
        parameters=(
            Parameter("W", "in_proj_weight", ("3*length", "length"), "xavier_uniform"),
            Parameter("b", "in_proj_bias", ("3*length",), "zeros"),
            Parameter(
                "U",
                "out_proj.weight",
                ("length", "length"),
                "uniform(-1/sqrt(fan_in), 1/sqrt(fan_in))",
            ),
            Parameter("w", "out_proj.bias", ("length",), "zeros"),
        ),
        main="num_heads",
    ),
)
