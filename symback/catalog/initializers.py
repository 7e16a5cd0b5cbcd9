"""Starts of parameters: uniform(low, high), normal(mean, std) or constant(value).

`fan_in` and `fan_out` are how many inputs feed one output and how many outputs one input feeds:
for a weight of shape (out, in) they are in and out.
"""

from symback.catalog.entry import Entry, Kind, Option

_GAIN = Option("gain", default=1.0, doc="a factor; 5/3 suits tanh, sqrt(2) relu")
_KAIMING = (
    Option("a", default=0.0, doc="the slope left of zero of a leaky_relu"),
    Option(
        "mode",
        default="fan_in",
        doc="keep the variance forward (fan_in) or backward (fan_out)",
        choices=("fan_in", "fan_out"),
    ),
    Option(
        "nonlinearity",
        default="leaky_relu",
        doc="the activation that follows",
        choices=("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"),
    ),
)
_FAN = "where(mode_fan_in, fan_in, fan_out)"
_GAIN_OF = (
    "where(nonlinearity_leaky_relu, sqrt(2 / (1 + a**2)), where(nonlinearity_relu, sqrt(2),"
    " where(nonlinearity_tanh, 5/3, where(nonlinearity_selu, 3/4, 1))))"
)
_KAIMING_BOUND = f"{_GAIN_OF} * sqrt(3 / {_FAN})"
_XAVIER_BOUND = "gain * sqrt(6 / (fan_in + fan_out))"

ENTRIES = (
    Entry(
        kind=Kind.INITIALIZER,
        name="torch_default",
        formulas=("uniform(-1 / sqrt(fan_in), 1 / sqrt(fan_in))",),
        doc="PyTorch's own start of a linear layer, for the weight and for the bias.",
        source="torch.nn.Linear.reset_parameters",
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="zeros",
        formulas=("constant(0)",),
        doc="All zeros.",
        source="torch.nn.init.zeros_",
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="ones",
        formulas=("constant(1)",),
        doc="All ones.",
        source="torch.nn.init.ones_",
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="constant",
        formulas=("constant(value)",),
        doc="One value everywhere.",
        source="torch.nn.init.constant_",
        options=(Option("value", doc="the value", required=True),),
        main="value",
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="uniform",
        formulas=("uniform(low, high)",),
        doc="Evenly between low and high.",
        source="torch.nn.init.uniform_",
        options=(
            Option("low", default=0.0, doc="the least value"),
            Option("high", default=1.0, doc="the largest value"),
        ),
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="normal",
        formulas=("normal(mean, std)",),
        doc="Normally distributed.",
        source="torch.nn.init.normal_",
        options=(
            Option("mean", default=0.0, doc="the mean"),
            Option("std", default=1.0, doc="the standard deviation", least=0),
        ),
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="trunc_normal",
        formulas=("truncated(mean, std, a, b)",),
        doc="Normally distributed between two bounds; what falls outside is drawn again.",
        source="torch.nn.init.trunc_normal_",
        options=(
            Option("mean", default=0.0, doc="the mean"),
            Option("std", default=1.0, doc="the standard deviation", least=0),
            Option("a", default=-2.0, doc="the least value"),
            Option("b", default=2.0, doc="the largest value"),
        ),
        aliases=("truncated_normal",),
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="orthogonal",
        formulas=("orthogonal(gain)",),
        doc=(
            "Unit vectors at right angles to each other: the rows, all further axes taken "
            "together, or the columns where there are more rows."
        ),
        source="torch.nn.init.orthogonal_; Saxe et al. 2013, arXiv:1312.6120",
        options=(_GAIN,),
        main="gain",
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="sparse",
        formulas=("sparse(sparsity, std)",),
        doc="Normally distributed, a part of each column of the matrix being zero.",
        source="torch.nn.init.sparse_; Martens 2010",
        options=(
            Option("sparsity", doc="the part of zeros", required=True, least=0, most=1),
            Option("std", default=0.01, doc="the standard deviation of the others", least=0),
        ),
        main="sparsity",
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="eye",
        formulas=("identity()",),
        doc="A matrix of ones on the diagonal: a layer that passes its inputs on.",
        source="torch.nn.init.eye_",
        aliases=("identity",),
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="dirac",
        formulas=("dirac(groups)",),
        doc="Kernels of a convolution that pass as many channels on as they can.",
        source="torch.nn.init.dirac_",
        options=(
            Option("groups", default=1, doc="groups of the convolution", whole=True, least=1),
        ),
        main="groups",
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="lecun_uniform",
        formulas=("uniform(-sqrt(3 / fan_in), sqrt(3 / fan_in))",),
        doc="Evenly, with the variance 1 over the number of inputs, as selu wants it.",
        source="jax.nn.initializers.lecun_uniform; LeCun et al. 1998",
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="lecun_normal",
        formulas=("normal(0, 1 / sqrt(fan_in))",),
        doc=(
            "Normally, with the variance 1 over the number of inputs, as selu wants it. (JAX cuts "
            "it off at two standard deviations.)"
        ),
        source="jax.nn.initializers.lecun_normal; Klambauer et al. 2017, arXiv:1706.02515",
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="xavier_uniform",
        formulas=(f"uniform(-{_XAVIER_BOUND}, {_XAVIER_BOUND})",),
        doc="Evenly, so that the variance stays about equal forward and backward.",
        source="torch.nn.init.xavier_uniform_; Glorot and Bengio 2010",
        options=(_GAIN,),
        main="gain",
        aliases=("glorot_uniform",),
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="xavier_normal",
        formulas=("normal(0, gain * sqrt(2 / (fan_in + fan_out)))",),
        doc="Normally, so that the variance stays about equal forward and backward.",
        source="torch.nn.init.xavier_normal_; Glorot and Bengio 2010",
        options=(_GAIN,),
        main="gain",
        aliases=("glorot_normal",),
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="kaiming_uniform",
        formulas=(f"uniform(-{_KAIMING_BOUND}, {_KAIMING_BOUND})",),
        doc="Evenly, so that the variance stays equal through the activation that follows.",
        source="torch.nn.init.kaiming_uniform_; He et al. 2015, arXiv:1502.01852",
        options=_KAIMING,
        aliases=("he_uniform",),
    ),
    Entry(
        kind=Kind.INITIALIZER,
        name="kaiming_normal",
        formulas=(f"normal(0, {_GAIN_OF} / sqrt({_FAN}))",),
        doc="Normally, so that the variance stays equal through the activation that follows.",
        source="torch.nn.init.kaiming_normal_; He et al. 2015, arXiv:1502.01852",
        options=_KAIMING,
        aliases=("he_normal",),
    ),
)
