"""Layers. The formulas read `x`, or `x1` and `x2` where there are two sources.

The axes `...` stands for are those of a source that the formula doesn't name. More sources than
two are joined pairwise, from the left.
"""

from symback.catalog.entry import Case, Entry, Kind, Option, Parameter, Random

_P = Option("p", default=0.5, doc="the probability of a zero", least=0, below=1)
_UNITS = (
    Option("units", doc="the number of outputs", required=True, whole=True, least=1),
    Option("bias", default=True, doc="add a learned bias"),
)
_VECTORS = (
    Option("embedding_dim", doc="how long a vector is", required=True, whole=True, least=1),
    Option(
        "num_embeddings",
        doc="how many vectors; one for each of the input's classes",
        whole=True,
        least=1,
    ),
)
_PADDING = Option("padding_idx", doc="a label that stands for none", whole=True, least=0)
_COUNTED = "where(padding_idx_given, x[n, t] != padding_idx, 1)"
_TABLE = (
    Parameter(
        "E",
        "weight",
        ("where(num_embeddings_given, num_embeddings, classes)", "embedding_dim"),
        "normal(0, 1)",
    ),
)
_SATURATED = "-1.7580993408473766"  # what SELU tends to, far left
_ALPHA = (
    f"a[{{0}}] = where(r[{{1}}] > 0, x[{{0}}], {_SATURATED})",
    (
        f"y[{{0}}] = where(training, (a[{{0}}] - {_SATURATED}*p)"
        f" / sqrt((1 - p)*(1 + p*({_SATURATED})**2)), x[{{0}}])"
    ),
)


def _masked(
    name: str,
    formulas: tuple[str, ...],
    doc: str,
    source: str,
    axes: tuple[str, ...] = (),
    drawn: tuple[str, ...] = (),
) -> Entry:
    """Return a dropout: a layer whose formulas read a mask r, along all axes or those drawn."""
    return Entry(
        kind=Kind.LAYER,
        name=name,
        formulas=formulas,
        doc=doc,
        source=source,
        options=(_P,),
        axes=axes,
        random=(Random("r", "keep(1 - p)", drawn),),
        main="p",
    )


def _dropout(rank: int) -> Entry:
    places = {1: ("l",), 2: ("h", "w"), 3: ("d", "h", "w")}[rank]
    at = ", ".join(("n", "c", *places))
    return _masked(
        f"dropout{rank}d",
        (f"y[{at}] = r[n, c] * x[{at}]",),
        "A dropout that sets whole channels to zero.",
        f"torch.nn.Dropout{rank}d; Tompson et al. 2014, arXiv:1411.4280",
        ("n", "c", *places),
        ("n", "c"),
    )


def _softmax(name: str, doc: str, source: str) -> Entry:
    """Return a softmax over a chosen axis; without a choice over the last."""

    def over(*axes: str) -> tuple[str, ...]:
        at = ", ".join(axes)
        (along,) = [axis for axis in axes if axis == "k"]
        return (f"y[{at}] = {name}(x[{at}], {along})",)

    return Entry(
        kind=Kind.LAYER,
        name=name,
        formulas=over("...", "k"),
        cases=(
            Case("dim == 1", over("n", "k", "...")),
            Case("dim == 2", over("n", "a", "k", "...")),
            Case("dim == 3", over("n", "a", "b", "k", "...")),
            Case("dim == -2", over("...", "k", "a")),
            Case("dim == -3", over("...", "k", "a", "b")),
        ),
        doc=doc,
        source=source,
        options=(Option("dim", default=-1, doc="the axis", whole=True, least=-3, most=3),),
        main="dim",
    )


_MOST_CLUSTERS = 6


def _clustered(count: int) -> tuple[str, ...]:
    """Return the formulas of log-probabilities in clusters: the head's, then those of each tail."""
    within = "oprstd"[:count]  # a place in each
    tails = (
        (
            f"u{k}[n, m] = sum(A{k}[m, i] * x[n, i], i)",
            f"v{k}[n, {o}] = sum(B{k}[{o}, m] * u{k}[n, m], m)",
            f"w{k}[n, {o}] = log_softmax(v{k}[n, {o}], {o})",
        )
        for k, o in enumerate(within)
    )
    return (
        "z[n, c] = sum(H[c, i] * x[n, i], i) + where(head_bias, b[c], 0)",
        "q[n, c] = log_softmax(z[n, c], c)",
        *(text for tail in tails for text in tail),
        "e[n, j] = sum(q[n, c] * delta(j, c), c)",
        "y[n, j] = e[n, j]",
        *(f"y[n, end_{k} + {o}] = q[n, end_0 + {k}] + w{k}[n, {o}]" for k, o in enumerate(within)),
    )


def _adaptive_log_softmax() -> Entry:
    ends = range(_MOST_CLUSTERS + 1)
    rising = " and ".join(f"(end_{k} < end_{k + 1} or cutoffs_count <= {k})" for k in ends[:-1])
    return Entry(
        kind=Kind.LAYER,
        name="adaptive_log_softmax",
        formulas=_clustered(1),
        cases=tuple(
            Case(f"cutoffs_count == {count}", _clustered(count)) for count in ends if count > 1
        ),
        doc=(
            "Log-probabilities of many classes, frequent ones first: those up to the first cutoff "
            "have a place of their own in the head, those up to each further one (the last: all "
            "classes) share one, times what a tail of less width gives them. With `loss: {nll: t}` "
            "the loss is PyTorch's, which computes the labels' clusters alone."
        ),
        source="torch.nn.AdaptiveLogSoftmaxWithLoss; Grave et al. 2017, arXiv:1609.04309",
        options=(
            Option("n_classes", doc="how many classes", required=True, whole=True, least=2),
            Option("cutoffs", doc="where clusters end but the last", required=True, listed=True),
            Option(
                "div_value", default=4.0, doc="how much narrower each tail is", least=1, most=1e3
            ),
            Option("head_bias", default=False, doc="add a learned bias to the head"),
        ),
        axes=("n", "i"),
        numbers=(
            ("length", "size(i)"),
            *((f"end_{k}", f"where(cutoffs_count > {k}, cutoffs_{k}, n_classes)") for k in ends),
            *((f"width_{k}", f"floor(length/div_value**{k + 1})") for k in ends[:-1]),
        ),
        sizes=(
            ("j", f"where({rising} and cutoffs_count <= {_MOST_CLUSTERS}, end_0, 0)"),
            ("c", "end_0 + cutoffs_count"),
        ),
        parameters=(
            Parameter("H", "head.weight", ("c", "length"), "torch_default"),
            Parameter("b", "head.bias", ("c",), "uniform(-1/sqrt(size(i)), 1/sqrt(size(i)))"),
            *(
                each
                for k in ends[:-1]
                for each in (
                    Parameter(
                        f"A{k}", f"tail.{k}.0.weight", (f"width_{k}", "length"), "torch_default"
                    ),
                    Parameter(
                        f"B{k}",
                        f"tail.{k}.1.weight",
                        (f"end_{k + 1} - end_{k}", f"width_{k}"),
                        "torch_default",
                    ),
                )
            ),
        ),
    )


ENTRIES = (
    Entry(
        kind=Kind.LAYER,
        name="dense",
        formulas=("z[..., o] = sum(W[o, i] * x[..., i], i) + where(bias, b[o], 0)",),
        doc="Every output is a weighted sum of all inputs, plus a bias.",
        source="torch.nn.Linear",
        options=_UNITS,
        parameters=(
            Parameter("W", "weight", ("units", "i"), "uniform(-1/sqrt(size(i)), 1/sqrt(size(i)))"),
            Parameter("b", "bias", ("units",), "uniform(-1/sqrt(size(i)), 1/sqrt(size(i)))"),
        ),
        main="units",
        aliases=("linear",),
    ),
    Entry(
        kind=Kind.LAYER,
        name="identity",
        formulas=("y[...] = x[...]",),
        doc="The source as it is.",
        source="torch.nn.Identity",
    ),
    Entry(
        kind=Kind.LAYER,
        name="flatten",
        formulas=("y[n, flat(...)] = x[n, ...]",),
        doc="All axes but the first are joined into one, the last index running fastest.",
        source="torch.nn.Flatten",
    ),
    _masked(
        "dropout",
        ("y[...] = r[...] * x[...]",),
        "In training each value is set to zero with probability p, the others are divided by "
        "1 - p; elsewhere nothing happens.",
        "torch.nn.Dropout",
    ),
    *(_dropout(rank) for rank in (1, 2, 3)),
    _masked(
        "alpha_dropout",
        tuple(text.format("...", "...") for text in _ALPHA),
        "A dropout for SELU: values become what it tends to; mean and variance are kept.",
        "torch.nn.AlphaDropout; Klambauer et al. 2017, arXiv:1706.02515",
    ),
    _masked(
        "feature_alpha_dropout",
        tuple(text.format("n, c, ...", "n, c") for text in _ALPHA),
        "An alpha_dropout of whole channels.",
        "torch.nn.FeatureAlphaDropout",
        ("n", "c", "..."),
        ("n", "c"),
    ),
    _softmax("softmax", "Positive numbers that sum to 1 along an axis.", "torch.nn.Softmax"),
    _adaptive_log_softmax(),
    _softmax("log_softmax", "The logarithm of a softmax along an axis.", "torch.nn.LogSoftmax"),
    Entry(
        kind=Kind.LAYER,
        name="add",
        formulas=("y[...] = x1[...] + x2[...]",),
        doc="The sum of two layers of one shape: a residual connection.",
        source="He et al. 2015, arXiv:1512.03385",
        aliases=("residual",),
    ),
    Entry(
        kind=Kind.LAYER,
        name="concat",
        formulas=("y[..., i] = x1[..., i]", "y[..., size(i) + j] = x2[..., j]"),
        doc="Two layers side by side along the last axis.",
        source="torch.cat(dim=-1)",
        aliases=("concatenate",),
    ),
    Entry(
        kind=Kind.LAYER,
        name="bilinear",
        formulas=(
            "z[..., o] = sum(W[o, i, j] * x1[..., i] * x2[..., j], i, j) + where(bias, b[o], 0)",
        ),
        doc="Every output is a weighted sum of all products of two layers' values.",
        source="torch.nn.Bilinear",
        options=_UNITS,
        parameters=(
            Parameter(
                "W", "weight", ("units", "i", "j"), "uniform(-1/sqrt(size(i)), 1/sqrt(size(i)))"
            ),
            Parameter("b", "bias", ("units",), "uniform(-1/sqrt(size(i)), 1/sqrt(size(i)))"),
        ),
        main="units",
    ),
    Entry(
        kind=Kind.LAYER,
        name="embedding",
        formulas=(
            (
                "y[..., d] = where(padding_idx_given,"
                " where(x[...] == padding_idx, 0, E[x[...], d]), E[x[...], d])"
            ),
        ),
        doc=(
            "A learned vector for each label; zeros for the label `padding_idx` (PyTorch's vector "
            "for it starts with zeros and isn't learned)."
        ),
        source="torch.nn.Embedding",
        options=(*_VECTORS, _PADDING),
        parameters=_TABLE,
        main="embedding_dim",
    ),
    Entry(
        kind=Kind.LAYER,
        name="embedding_bag",
        formulas=(
            (
                f"y[n, d] = sum({_COUNTED} * E[x[n, t], d], t) / where(mode_mean,"
                f" where(padding_idx_given, maximum(sum({_COUNTED}, t), 1), size(t)), 1)"
            ),
        ),
        cases=(
            Case(
                "mode_max",
                (
                    f"a[n, d] = argmax(where({_COUNTED}, E[x[n, t], d], -3e38), t)",
                    f"y[n, d] = sum(where(t == a[n, d], {_COUNTED} * E[x[n, t], d], 0), t)",
                ),
            ),
        ),
        doc=(
            "The sum, mean or largest of the learned vectors of an example's labels; the label "
            "`padding_idx` doesn't count."
        ),
        source="torch.nn.EmbeddingBag",
        options=(
            *_VECTORS,
            _PADDING,
            Option(
                "mode",
                default="mean",
                doc="what is made of an example's vectors",
                choices=("mean", "sum", "max"),
            ),
        ),
        parameters=_TABLE,
        main="embedding_dim",
        kinks="the first of equal largest values gets the slope",
    ),
    Entry(
        kind=Kind.LAYER,
        name="one_hot",
        formulas=("y[..., k] = where(x[...] == k, 1, 0)",),
        doc="For each label zeros, and a 1 at its place.",
        source="torch.nn.functional.one_hot",
        options=(
            Option(
                "num_classes",
                doc="how many places; as many as the input has classes",
                whole=True,
                least=1,
            ),
        ),
        sizes=(("k", "where(num_classes_given, num_classes, classes)"),),
        main="num_classes",
    ),
    Entry(
        kind=Kind.LAYER,
        name="normalize",
        formulas=(
            (
                "u[...] = where(p == 2, sqrt(maximum(sum(x[..., i]**2, i), eps**2)),"
                " where(p == 1, maximum(sum(abs(x[..., i]), i), eps),"
                " maximum(sum(abs(x[..., i])**p, i), eps**p)**(1/p)))"
            ),
            "y[..., i] = x[..., i] / u[...]",
        ),
        doc="A vector along the last axis, divided by its p-norm.",
        source="torch.nn.functional.normalize(dim=-1)",
        options=(
            Option("p", default=2.0, doc="the norm's power", least=1, most=64),
            Option("eps", default=1e-12, doc="the least norm counted", above=0),
        ),
        main="p",
        kinks="a norm below eps has slope 0",
    ),
    Entry(
        kind=Kind.LAYER,
        name="glu",
        formulas=(
            "h[..., s, i] = x[..., half*s + i]",
            "y[..., i] = h[..., 0, i] * sigmoid(h[..., 1, i])",
        ),
        doc="The first half of the last axis, each value times the sigmoid of one of the second.",
        source="torch.nn.GLU(dim=-1); Dauphin et al. 2016, arXiv:1612.08083",
        axes=("...", "k"),
        numbers=(("half", "size(k)/2"),),
        sizes=(("s", "2"), ("i", "half")),
    ),
    Entry(
        kind=Kind.LAYER,
        name="swiglu",
        formulas=(
            "g[..., h] = silu(sum(W[h, i] * x[..., i], i))",
            "u[..., h] = sum(V[h, i] * x[..., i], i)",
            "y[..., o] = sum(U[o, h] * g[..., h] * u[..., h], h)",
        ),
        doc="A hidden layer gated by another, as in Llama's feed-forward part.",
        source="Shazeer 2020, arXiv:2002.05202",
        options=(Option("hidden", doc="values within", required=True, whole=True, least=1),),
        parameters=(
            Parameter("W", "w1.weight", ("hidden", "i"), "torch_default"),
            Parameter("V", "w3.weight", ("hidden", "i"), "torch_default"),
            Parameter("U", "w2.weight", ("i", "hidden"), "torch_default"),
        ),
        main="hidden",
    ),
    Entry(
        kind=Kind.LAYER,
        name="prelu",
        formulas=(
            (
                "y[n, k, ...] = where(x[n, k, ...] > 0, x[n, k, ...],"
                " where(num_parameters == 1, a[0], a[k]) * x[n, k, ...])"
            ),
        ),
        doc="A leaky_relu whose slope is learned, one for all channels or one for each.",
        source="torch.nn.PReLU; He et al. 2015, arXiv:1502.01852",
        options=(
            Option("num_parameters", default=1, doc="1 or how many channels", whole=True, least=1),
        ),
        parameters=(Parameter("a", "weight", ("num_parameters",), "constant(0.25)"),),
        kinks="the slope left of 0 at x = 0",
        main="num_parameters",
    ),
    Entry(
        kind=Kind.LAYER,
        name="rrelu",
        formulas=("y[...] = where(x[...] > 0, x[...], (lower + upper) / 2 * r[...] * x[...])",),
        doc=(
            "A leaky_relu whose slope is drawn in training, for each value, between lower and "
            "upper; elsewhere it is the mean of both."
        ),
        source="torch.nn.RReLU; Xu et al. 2015, arXiv:1505.00853",
        options=(
            Option("lower", default=1 / 8, doc="the least slope", above=0),
            Option("upper", default=1 / 3, doc="the largest slope", above=0),
        ),
        random=(Random("r", "uniform(2 * lower / (lower + upper), 2 * upper / (lower + upper))"),),
        kinks="the slope left of 0 at x = 0",
    ),
    Entry(
        kind=Kind.LAYER,
        name="cosine_similarity",
        formulas=(
            "u[...] = maximum(sqrt(sum(x1[..., i]**2, i)), eps)",
            "v[...] = maximum(sqrt(sum(x2[..., i]**2, i)), eps)",
            "y[...] = sum(x1[..., i] * x2[..., i], i) / (u[...] * v[...])",
        ),
        doc="The cosine of the angle between two vectors.",
        source="torch.nn.CosineSimilarity(dim=-1)",
        options=(Option("eps", default=1e-8, doc="the least length counted", above=0),),
        kinks="a length below eps has slope 0, where PyTorch keeps that of the length",
    ),
    Entry(
        kind=Kind.LAYER,
        name="pairwise_distance",
        formulas=(
            "d[..., i] = x1[..., i] - x2[..., i] + eps",
            (
                "y[...] = where(p == 1, sum(abs(d[..., i]), i), where(p == 2,"
                " sqrt(sum(d[..., i]**2, i)), sum(abs(d[..., i])**p, i)**(1/p)))"
            ),
        ),
        doc="How far two vectors are apart.",
        source="torch.nn.PairwiseDistance",
        options=(
            Option("p", default=2.0, doc="the norm's power", above=0),
            Option("eps", default=1e-6, doc="keeps the slope at equal vectors finite", least=0),
        ),
    ),
    Entry(
        kind=Kind.LAYER,
        name="pixel_shuffle",
        formulas=("y[n, c, flat(h, a), flat(w, b)] = x[n, all*c + upscale_factor*a + b, h, w]",),
        doc="Channels become places: (n, c r², h, w) becomes (n, c, r h, r w).",
        source="torch.nn.PixelShuffle; Shi et al. 2016, arXiv:1609.05158",
        options=(Option("upscale_factor", doc="r", required=True, whole=True, least=1),),
        axes=("n", "c", "h", "w"),
        numbers=(("all", "upscale_factor**2"),),
        sizes=(
            ("a", "upscale_factor"),
            ("b", "upscale_factor"),
            ("c", "size(c)/all"),
        ),
        main="upscale_factor",
    ),
    Entry(
        kind=Kind.LAYER,
        name="pixel_unshuffle",
        formulas=(
            "y[n, flat(c, a, b), i, j] = x[n, c, downscale_factor*i + a, downscale_factor*j + b]",
        ),
        doc="Places become channels: (n, c, r h, r w) becomes (n, c r², h, w).",
        source="torch.nn.PixelUnshuffle",
        options=(Option("downscale_factor", doc="r", required=True, whole=True, least=1),),
        axes=("n", "c", "h", "w"),
        sizes=(
            ("a", "downscale_factor"),
            ("b", "downscale_factor"),
            ("i", "size(h)/downscale_factor"),
            ("j", "size(w)/downscale_factor"),
        ),
        main="downscale_factor",
    ),
    Entry(
        kind=Kind.LAYER,
        name="channel_shuffle",
        formulas=("y[n, flat(c, g), ...] = x[n, in_group*g + c, ...]",),
        doc="Channels are put in another order: the first of each group, then the second.",
        source="torch.nn.ChannelShuffle; Zhang et al. 2017, arXiv:1707.01083",
        options=(Option("groups", doc="how many groups", required=True, whole=True, least=1),),
        axes=("n", "c", "..."),
        numbers=(("in_group", "size(c)/groups"),),
        sizes=(("g", "groups"), ("c", "in_group")),
        main="groups",
    ),
    Entry(
        kind=Kind.LAYER,
        name="unflatten",
        formulas=("y[..., a, b] = x[..., last*a + b]",),
        doc="The last axis becomes two.",
        source="torch.nn.Unflatten(-1, …)",
        options=(Option("rows", doc="the first one's length", required=True, whole=True, least=1),),
        axes=("...", "k"),
        numbers=(("last", "size(k)/rows"),),
        sizes=(("a", "rows"), ("b", "last")),
        main="rows",
    ),
)
