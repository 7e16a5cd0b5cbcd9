"""Activations: an expression in `x`, or a formula on axes where the values depend on each other.

Derivatives at kinks are PyTorch's, and follow from the formulas: a comparison has derivative 0, so
`where(x > 0, a, b)` has b's slope at 0.
"""

from symback.catalog.entry import Entry, Kind, Option


def _activation(
    name: str,
    formula: str,
    doc: str,
    source: str,
    *options: Option,
    main: str = "",
    aliases: tuple[str, ...] = (),
    kinks: str = "",
) -> Entry:
    return Entry(
        kind=Kind.ACTIVATION,
        name=name,
        formulas=(formula,),
        doc=doc,
        source=source,
        options=options,
        main=main,
        aliases=aliases,
        kinks=kinks,
    )


ENTRIES = (
    _activation("identity", "x", "The value itself.", "torch.nn.Identity", aliases=("linear",)),
    _activation("sigmoid", "sigmoid(x)", "1/(1 + exp(-x)), from 0 to 1.", "torch.nn.Sigmoid"),
    _activation("tanh", "tanh(x)", "The hyperbolic tangent, from -1 to 1.", "torch.nn.Tanh"),
    _activation(
        "relu",
        "relu(x)",
        "x where it is positive, else 0.",
        "torch.nn.ReLU",
        kinks="slope 0 at x = 0",
    ),
    _activation(
        "leaky_relu",
        "where(x > 0, x, negative_slope * x)",
        "x where it is positive, else a small part of it.",
        "torch.nn.LeakyReLU",
        Option("negative_slope", default=0.01, doc="the slope left of zero"),
        main="negative_slope",
        kinks="slope negative_slope at x = 0",
    ),
    _activation(
        "elu",
        "where(x > 0, x, alpha * expm1(x))",
        "x where it is positive, else alpha (exp(x) - 1).",
        "torch.nn.ELU; Clevert et al. 2015, arXiv:1511.07289",
        Option("alpha", default=1.0, doc="minus the value far left"),
        main="alpha",
        kinks="slope alpha at x = 0",
    ),
    _activation(
        "selu",
        "1.0507009873554804934193349852946"
        " * where(x > 0, x, 1.6732632423543772848170429916717 * expm1(x))",
        "An elu scaled so that zero mean and unit variance reproduce themselves.",
        "torch.nn.SELU; Klambauer et al. 2017, arXiv:1706.02515",
        kinks="the left slope, 1.758…, at x = 0",
    ),
    _activation(
        "celu",
        "where(x > 0, x, alpha * expm1(x / alpha))",
        "An elu whose slope is continuous for every alpha.",
        "torch.nn.CELU; Barron 2017, arXiv:1704.07483",
        Option("alpha", default=1.0, doc="minus the value far left", above=0),
        main="alpha",
    ),
    _activation(
        "gelu",
        "where(approximate_tanh,"
        " x * sigmoid(2 * sqrt(2/pi) * (x + 0.044715 * x**3)),"
        " 0.5 * x * erfc(-x / sqrt(2)))",
        "x times the probability that a standard normal number is below x. The approximation is "
        "0.5 x (1 + tanh(u)), written x sigmoid(2u): the same, without its cancellation far left.",
        "torch.nn.GELU; Hendrycks and Gimpel 2016, arXiv:1606.08415",
        Option(
            "approximate",
            default="none",
            doc="none: by the error function; tanh: its approximation",
            choices=("none", "tanh"),
        ),
        main="approximate",
    ),
    _activation(
        "silu",
        "x * sigmoid(x)",
        "x times its sigmoid.",
        "torch.nn.SiLU; Elfwing et al. 2017, arXiv:1702.03118",
        aliases=("swish",),
    ),
    _activation(
        "mish",
        "x * tanh(softplus(x))",
        "x times the hyperbolic tangent of its softplus.",
        "torch.nn.Mish; Misra 2019, arXiv:1908.08681",
    ),
    _activation(
        "softplus",
        "where(beta == 1, softplus(x), softplus(beta * x) / beta)",
        "log(1 + exp(beta x)) / beta, a smooth relu, exact for every x. (PyTorch returns x itself "
        "where beta x > 20, which is less by 2e-9 at most.)",
        "torch.nn.Softplus",
        Option("beta", default=1.0, doc="how sharply it bends at zero", above=0),
        main="beta",
    ),
    _activation(
        "log_sigmoid",
        "log_sigmoid(x)",
        "The logarithm of the sigmoid.",
        "torch.nn.LogSigmoid",
        aliases=("logsigmoid",),
    ),
    _activation(
        "softmax",
        "a[..., k] = softmax(x[..., k], k)",
        "exp(x) divided by its sum over the last axis: probabilities.",
        "torch.nn.Softmax(dim=-1)",
    ),
    _activation(
        "log_softmax",
        "a[..., k] = log_softmax(x[..., k], k)",
        "The logarithm of the softmax over the last axis.",
        "torch.nn.LogSoftmax(dim=-1)",
    ),
    _activation(
        "softmin",
        "a[..., k] = softmax(-x[..., k], k)",
        "exp(-x) divided by its sum over the last axis: the softmax of -x.",
        "torch.nn.Softmin(dim=-1)",
    ),
    _activation(
        "softmax2d",
        "a[..., k, i, j] = softmax(x[..., k, i, j], k)",
        "The softmax over the channels of images [n, channels, rows, columns].",
        "torch.nn.Softmax2d",
    ),
    _activation(
        "softsign",
        "x / (1 + abs(x))",
        "From -1 to 1, slower than tanh.",
        "torch.nn.Softsign",
    ),
    _activation(
        "hardtanh",
        "where(x <= min_val, min_val, where(x >= max_val, max_val, x))",
        "x, cut off at both ends.",
        "torch.nn.Hardtanh",
        Option("min_val", default=-1.0, doc="the least value"),
        Option("max_val", default=1.0, doc="the largest value"),
        kinks="slope 0 at both ends",
    ),
    _activation(
        "relu6",
        "where(x <= 0, 0, where(x >= 6, 6, x))",
        "A relu cut off at 6.",
        "torch.nn.ReLU6",
        kinks="slope 0 at x = 0 and x = 6",
    ),
    _activation(
        "hardsigmoid",
        "where(x <= -3, 0, where(x >= 3, 1, (x + 3) / 6))",
        "A sigmoid of three straight pieces. (PyTorch's slope is 1/6 rounded to float32.)",
        "torch.nn.Hardsigmoid",
        kinks="slope 0 at x = -3 and x = 3",
    ),
    _activation(
        "hardswish",
        "where(x <= -3, 0, where(x >= 3, x, x * (x + 3) / 6))",
        "x times its hardsigmoid.",
        "torch.nn.Hardswish; Howard et al. 2019, arXiv:1905.02244",
        kinks="slope 0 at x = -3, 1 at x = 3",
    ),
    _activation(
        "tanhshrink",
        "x - tanh(x)",
        "What is left of x without its hyperbolic tangent, exact near 0 too.",
        "torch.nn.Tanhshrink",
    ),
    _activation(
        "threshold",
        "where(x > threshold, x, value)",
        "x where it is above the threshold, else a value.",
        "torch.nn.Threshold",
        Option("threshold", doc="above what x stays", required=True),
        Option("value", doc="what stands elsewhere", required=True),
        kinks="slope 0 at x = threshold, where it may jump",
    ),
    _activation(
        "softshrink",
        "where(abs(x) <= lambd, 0, where(x > 0, x - lambd, x + lambd))",
        "x moved towards zero by lambd, and zero within.",
        "torch.nn.Softshrink",
        Option("lambd", default=0.5, doc="how far it moves", least=0),
        main="lambd",
        kinks="slope 0 at x = -lambd and x = lambd",
    ),
    _activation(
        "hardshrink",
        "where(abs(x) <= lambd, 0, x)",
        "x, and zero where it is small.",
        "torch.nn.Hardshrink",
        Option("lambd", default=0.5, doc="up to what size values become zero", least=0),
        main="lambd",
        kinks="it jumps at x = -lambd and x = lambd; slope 0 there",
    ),
)
