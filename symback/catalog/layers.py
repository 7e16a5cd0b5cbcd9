"""Layers. The formulas read `x`, or `x1` and `x2` where there are two sources.

The axes `...` stands for are those of a source that the formula doesn't name. More sources than
two are joined pairwise, from the left.
"""

from symback.catalog.entry import Entry, Kind, Option, Parameter

ENTRIES = (
    Entry(
        kind=Kind.LAYER,
        name="dense",
        formulas=("z[..., o] = sum(W[o, i] * x[..., i], i) + where(bias, b[o], 0)",),
        doc="Every output is a weighted sum of all inputs, plus a bias.",
        source="torch.nn.Linear",
        options=(
            Option("units", doc="the number of outputs", required=True, whole=True, least=1),
            Option("bias", default=True, doc="add a learned bias"),
        ),
        parameters=(
            Parameter("W", "weight", ("units", "i"), "uniform(-1/sqrt(size(i)), 1/sqrt(size(i)))"),
            Parameter("b", "bias", ("units",), "uniform(-1/sqrt(size(i)), 1/sqrt(size(i)))"),
        ),
        main="units",
        aliases=("linear",),
    ),
    Entry(
        kind=Kind.LAYER,
        name="flatten",
        formulas=("y[n, flat(...)] = x[n, ...]",),
        doc="All axes but the first are joined into one, the last index running fastest.",
        source="torch.nn.Flatten",
    ),
    Entry(
        kind=Kind.LAYER,
        name="dropout",
        formulas=("y[...] = r[...] * x[...]",),
        doc=(
            "In training each value is set to zero with probability p, the others are divided by "
            "1 - p; elsewhere nothing happens."
        ),
        source="torch.nn.Dropout",
        options=(Option("p", default=0.5, doc="the probability of a zero", least=0, below=1),),
        random=(("r", "keep(1 - p)"),),
        main="p",
    ),
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
)
