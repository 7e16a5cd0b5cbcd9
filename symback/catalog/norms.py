"""Layers that bring values to zero mean and unit variance, or to unit size."""

from symback.catalog.entry import Entry, Kind, Option, Parameter, Running


def _eps(default: float = 1e-5) -> Option:
    return Option("eps", default=default, doc="keeps the division finite", least=0)


def _affine(default: bool) -> Option:
    doc = "learn a factor and a summand for each channel"
    return Option("affine", default=default, doc=doc)


_GROUPED = (
    "m[n, g] = mean(x[n, in_group*g + c, ...], c, ...)",
    "v[n, g] = mean((x[n, in_group*g + c, ...] - m[n, g])**2, c, ...)",
    "u[n, flat(g, c), ...] = (x[n, in_group*g + c, ...] - m[n, g]) / sqrt(v[n, g] + eps)",
)
_CHANNEL = (
    Parameter("w", "weight", ("channels",), "ones"),
    Parameter("b", "bias", ("channels",), "zeros"),
)

_SHARE = "how much a batch counts in the running mean and variance"


def _tracking(default: bool) -> Option:
    doc = "keep a running mean and variance, and take these outside of training"
    return Option("track_running_stats", default=default, doc=doc)


def _running(share: str, mean: str, variance: str, count: str) -> tuple[Running, ...]:
    """Return the running statistics of channels: mean, variance, how many batches."""
    on = "track_running_stats"
    return (
        Running(
            "M",
            "running_mean",
            ("channels",),
            "zeros",
            f"M[c] = (1 - {share})*M[c] + {share}*{mean}",
            on,
        ),
        Running(
            "V",
            "running_var",
            ("channels",),
            "ones",
            f"V[c] = (1 - {share})*V[c] + {share}*{variance}",
            on,
        ),
        Running("k", "num_batches_tracked", (), "zeros", count, on),
    )


def _taken(of: str) -> tuple[str, ...]:
    """Return mean and variance as they count: those met, outside of training the running ones."""
    choice = "{0}[{1}] = where(track_running_stats, where(training, {2}[{1}], {3}[c]), {2}[{1}])"
    return (choice.format("p", of, "m", "M"), choice.format("q", of, "v", "V"))


_PLACES = {1: ("...",), 2: ("h", "w"), 3: ("d", "h", "w")}


def _batch_norm(rank: int) -> Entry:
    numbers = "size(n)*size(...)"
    return Entry(
        kind=Kind.LAYER,
        name=f"batch_norm{rank}d",
        formulas=(
            "m[c] = mean(x[n, c, ...], n, ...)",
            "v[c] = mean((x[n, c, ...] - m[c])**2, n, ...)",
            *_taken("c"),
            "u[n, c, ...] = (x[n, c, ...] - p[c]) / sqrt(q[c] + eps)",
            "y[n, c, ...] = where(affine, w[c] * u[n, c, ...] + b[c], u[n, c, ...])",
        ),
        doc=(
            "Each channel is brought to zero mean and unit variance over the batch; outside of "
            "training, by the running mean and variance of the batches met. A batch of one value "
            "a channel has variance 0, where PyTorch refuses it."
        ),
        source=f"torch.nn.BatchNorm{rank}d; Ioffe and Szegedy 2015, arXiv:1502.03167",
        options=(
            _eps(),
            Option(
                "momentum",
                default=0.1,
                doc=f"{_SHARE}; cumulative: all batches alike",
                choices=("cumulative",),
                least=0,
                most=1,
            ),
            _affine(True),
            _tracking(True),
        ),
        axes=("n", "c", *_PLACES[rank]),
        numbers=(("channels", "size(c)"),),
        parameters=_CHANNEL,
        running=_running(
            "where(momentum_cumulative, 1/(k + 1), momentum)",
            "m[c]",
            f"v[c]*{numbers}/maximum({numbers} - 1, 1)",
            "k = k + 1",
        ),
    )


ENTRIES = (
    Entry(
        kind=Kind.LAYER,
        name="layer_norm",
        formulas=(
            "m[...] = mean(x[..., i], i)",
            "v[...] = mean((x[..., i] - m[...])**2, i)",
            "u[..., i] = (x[..., i] - m[...]) / sqrt(v[...] + eps)",
            (
                "y[..., i] = where(elementwise_affine, w[i] * u[..., i] + where(bias, b[i], 0),"
                " u[..., i])"
            ),
        ),
        doc="Each example's last axis is brought to zero mean and unit variance.",
        source="torch.nn.LayerNorm; Ba et al. 2016, arXiv:1607.06450",
        options=(
            _eps(),
            Option("elementwise_affine", default=True, doc="learn a factor for each place"),
            Option("bias", default=True, doc="learn a summand for each place too"),
        ),
        parameters=(
            Parameter("w", "weight", ("i",), "ones"),
            Parameter("b", "bias", ("i",), "zeros"),
        ),
    ),
    Entry(
        kind=Kind.LAYER,
        name="rms_norm",
        formulas=(
            "r[...] = sqrt(mean(x[..., i]**2, i) + where(eps_given, eps, 2.220446049250313e-16))",
            "y[..., i] = x[..., i] / r[...] * where(elementwise_affine, w[i], 1)",
        ),
        doc=(
            "The last axis is divided by its root mean square. Without an eps it is that of "
            "float64, 2.2e-16."
        ),
        source="torch.nn.RMSNorm; Zhang and Sennrich 2019, arXiv:1910.07467",
        options=(
            Option("eps", doc="keeps the division finite", least=0),
            Option("elementwise_affine", default=True, doc="learn a factor for each place"),
        ),
        parameters=(Parameter("w", "weight", ("i",), "ones"),),
    ),
    *(_batch_norm(rank) for rank in (1, 2, 3)),
    Entry(
        kind=Kind.LAYER,
        name="group_norm",
        formulas=(
            *_GROUPED,
            "y[n, k, ...] = where(affine, w[k] * u[n, k, ...] + b[k], u[n, k, ...])",
        ),
        doc="Each group of channels of an example is brought to zero mean and unit variance.",
        source="torch.nn.GroupNorm; Wu and He 2018, arXiv:1803.08494",
        options=(
            Option(
                "num_groups",
                doc="how many groups the channels fall in",
                required=True,
                whole=True,
                least=1,
            ),
            _eps(),
            _affine(True),
        ),
        axes=("n", "c", "..."),
        numbers=(("channels", "size(c)"), ("in_group", "size(c)/num_groups")),
        sizes=(("g", "num_groups"), ("c", "in_group")),
        parameters=_CHANNEL,
        main="num_groups",
    ),
    Entry(
        kind=Kind.LAYER,
        name="instance_norm",
        formulas=(
            "m[n, c] = mean(x[n, c, ...], ...)",
            "v[n, c] = mean((x[n, c, ...] - m[n, c])**2, ...)",
            *_taken("n, c"),
            "u[n, c, ...] = (x[n, c, ...] - p[n, c]) / sqrt(q[n, c] + eps)",
            "y[n, c, ...] = where(affine, w[c] * u[n, c, ...] + b[c], u[n, c, ...])",
        ),
        doc="Each channel of each example is brought to zero mean and unit variance.",
        source="torch.nn.InstanceNorm2d; Ulyanov et al. 2016, arXiv:1607.08022",
        options=(
            _eps(),
            Option("momentum", default=0.1, doc=_SHARE, least=0, most=1),
            _affine(False),
            _tracking(False),
        ),
        axes=("n", "c", "..."),
        numbers=(("channels", "size(c)"),),
        parameters=_CHANNEL,
        running=_running(
            "momentum",
            "mean(m[n, c], n)",
            "mean(v[n, c], n)*size(...)/maximum(size(...) - 1, 1)",
            "",  # PyTorch's doesn't count
        ),
    ),
    Entry(
        kind=Kind.LAYER,
        name="local_response_norm",
        formulas=(
            "s[n, c, ...] = sum(x[n, c + p - before, ...]**2, p)",
            "y[n, c, ...] = x[n, c, ...] / (k + alpha / size * s[n, c, ...])**beta",
        ),
        doc="Each value is divided by a power of the mean square of the channels around it.",
        source="torch.nn.LocalResponseNorm; Krizhevsky et al. 2012",
        options=(
            Option("size", doc="how many channels count", required=True, whole=True, least=1),
            Option("alpha", default=1e-4, doc="how much they count"),
            Option("beta", default=0.75, doc="the power"),
            Option("k", default=1.0, doc="what is added to them"),
        ),
        numbers=(("before", "floor(size/2)"),),
        sizes=(("p", "size"),),
        main="size",
    ),
)
