"""Learning rates over time: assignments that set `lr`.

They read `base` (the optimiser's lr), `epoch` (how often the schedule has run before, as PyTorch's
last_epoch: the number of the epoch from 0, or of the step with `per: step`), `lr` (the rate last
set, base at first) and `metric` (the loss watched).
"""

from symback.catalog.entry import Entry, Kind, Option

_EDGE = "where(threshold_mode_rel, threshold * best, threshold)"
_ETA_MIN = Option("eta_min", default=0.0, doc="the rate at the lowest point")


def _count(name: str, doc: str, default: int | None = None) -> Option:
    return Option(name, default=default, doc=doc, required=default is None, whole=True, least=1)


def _cycling(base: float, most: float) -> tuple[Option, ...]:
    return (
        Option(
            "cycle_momentum",
            default=True,
            doc="move the optimiser's momentum (beta1) against the rate",
        ),
        Option(
            "base_momentum", default=base, doc="the momentum at the highest rate", above=0, below=1
        ),
        Option(
            "max_momentum", default=most, doc="the momentum at the lowest rate", above=0, below=1
        ),
    )


def _gamma(default: float | None = 0.1) -> Option:
    return Option("gamma", default=default, doc="the factor", required=default is None)


ENTRIES = (
    Entry(
        kind=Kind.SCHEDULE,
        name="constant",
        formulas=("lr = base",),
        doc="The optimiser's rate throughout.",
        source="no scheduler in torch.optim",
    ),
    Entry(
        kind=Kind.SCHEDULE,
        name="constant_factor",
        formulas=("lr = where(epoch < total_iters, factor * base, base)",),
        doc="A part of the rate for the first epochs.",
        source="torch.optim.lr_scheduler.ConstantLR",
        options=(
            Option("factor", default=1 / 3, doc="the part", least=0, most=1),
            _count("total_iters", "how many epochs it lasts", 5),
        ),
        aliases=("ConstantLR",),
    ),
    Entry(
        kind=Kind.SCHEDULE,
        name="step",
        formulas=("lr = base * gamma**floor(epoch / step_size)",),
        doc="The rate is multiplied by gamma every step_size epochs.",
        source="torch.optim.lr_scheduler.StepLR",
        options=(_count("step_size", "how many epochs a rate lasts"), _gamma()),
        main="step_size",
        aliases=("StepLR",),
    ),
    Entry(
        kind=Kind.SCHEDULE,
        name="multi_step",
        formulas=("lr = base * gamma**sum(epoch >= milestones[k], k)",),
        doc="The rate is multiplied by gamma at each milestone.",
        source="torch.optim.lr_scheduler.MultiStepLR",
        options=(
            Option(
                "milestones",
                doc="the epochs at which it falls",
                required=True,
                whole=True,
                least=0,
                listed=True,
            ),
            _gamma(),
        ),
        main="milestones",
        aliases=("MultiStepLR",),
    ),
    Entry(
        kind=Kind.SCHEDULE,
        name="exponential",
        formulas=("lr = base * gamma**epoch",),
        doc="The rate is multiplied by gamma every epoch.",
        source="torch.optim.lr_scheduler.ExponentialLR",
        options=(_gamma(None),),
        main="gamma",
        aliases=("ExponentialLR",),
    ),
    Entry(
        kind=Kind.SCHEDULE,
        name="cosine",
        formulas=("lr = eta_min + (base - eta_min) * (1 + cos(pi * epoch / T_max)) / 2",),
        doc="Half a wave of the cosine down to eta_min in T_max epochs (and up again after).",
        source="torch.optim.lr_scheduler.CosineAnnealingLR",
        options=(_count("T_max", "how many epochs it falls"), _ETA_MIN),
        main="T_max",
        aliases=("CosineAnnealingLR", "cosine_annealing"),
    ),
    Entry(
        kind=Kind.SCHEDULE,
        name="cosine_warm_restarts",
        formulas=(
            "passed = passed + 1",
            "full = passed >= period",
            "passed = where(full, 0, passed)",
            "period = where(full, T_mult * period, period)",
            "lr = eta_min + (base - eta_min) * (1 + cos(pi * passed / period)) / 2",
        ),
        doc="The cosine's fall over and over, each T_mult times as long as the one before.",
        source="torch.optim.lr_scheduler.CosineAnnealingWarmRestarts",
        options=(
            _count("T_0", "how many epochs the first fall takes"),
            _count("T_mult", "how much longer each next one is", 1),
            _ETA_MIN,
        ),
        states=(("passed", "-1"), ("period", "T_0")),
        main="T_0",
        aliases=("CosineAnnealingWarmRestarts",),
    ),
    Entry(
        kind=Kind.SCHEDULE,
        name="linear",
        formulas=(
            (
                "lr = base * (start_factor"
                " + (end_factor - start_factor) * minimum(epoch, total_iters) / total_iters)"
            ),
        ),
        doc="From one part of the rate to another in equal steps: a warm-up.",
        source="torch.optim.lr_scheduler.LinearLR",
        options=(
            Option("start_factor", default=1 / 3, doc="the part at first", above=0, most=1),
            Option("end_factor", default=1.0, doc="the part at last", least=0, most=1),
            _count("total_iters", "how many epochs it takes", 5),
        ),
        aliases=("LinearLR",),
    ),
    Entry(
        kind=Kind.SCHEDULE,
        name="polynomial",
        formulas=("lr = base * (1 - minimum(epoch, total_iters) / total_iters)**power",),
        doc="Down to zero along a power.",
        source="torch.optim.lr_scheduler.PolynomialLR",
        options=(
            _count("total_iters", "how many epochs it takes", 5),
            Option("power", default=1.0, doc="the exponent", above=0, most=64),
        ),
        main="total_iters",
        aliases=("PolynomialLR",),
    ),
    Entry(
        kind=Kind.SCHEDULE,
        name="reduce_on_plateau",
        formulas=(
            (
                "better = epoch <= 1 or where(mode_min,"
                f" metric < best - {_EDGE}, metric > best + {_EDGE})"
            ),
            "best = where(better and epoch > 0, metric, best)",
            "bad = where(better or waiting > 0, 0, bad + 1)",
            "waiting = maximum(waiting - 1, 0)",
            "stuck = bad > patience",
            "lower = maximum(factor * lr, min_lr)",
            "lr = where(stuck and lr - lower > eps, lower, lr)",
            "waiting = where(stuck, cooldown, waiting)",
            "bad = where(stuck, 0, bad)",
        ),
        doc="The rate is reduced when the loss watched hasn't improved for `patience` epochs.",
        source="torch.optim.lr_scheduler.ReduceLROnPlateau",
        options=(
            Option("mode", default="min", doc="what is better", choices=("min", "max")),
            Option("factor", default=0.1, doc="what the rate is multiplied by", least=0, below=1),
            Option("patience", default=10, doc="epochs without improvement", whole=True, least=0),
            Option("threshold", default=1e-4, doc="how much better counts as better"),
            Option(
                "threshold_mode",
                default="rel",
                doc="rel: as a part of the best; abs: as it is",
                choices=("rel", "abs"),
            ),
            Option("cooldown", default=0, doc="epochs of rest afterwards", whole=True, least=0),
            Option("min_lr", default=0.0, doc="the least rate", least=0),
            Option("eps", default=1e-8, doc="smaller reductions are left out", least=0),
        ),
        states=(("best", "0"), ("bad", "0"), ("waiting", "0")),
        aliases=("ReduceLROnPlateau",),
    ),
    Entry(
        kind=Kind.SCHEDULE,
        name="swa",
        formulas=(
            "part = minimum(epoch, anneal_epochs) / anneal_epochs",
            "part = where(anneal_strategy_cos, (1 - cos(pi * part)) / 2, part)",
            "lr = part * swa_lr + (1 - part) * base",
        ),
        doc="From the optimiser's rate to another, which stays: for averaging weights.",
        source="torch.optim.swa_utils.SWALR; Izmailov et al. 2018, arXiv:1803.05407",
        options=(
            Option("swa_lr", doc="the rate at last", required=True, least=0),
            _count("anneal_epochs", "how many epochs it takes", 10),
            Option(
                "anneal_strategy",
                default="cos",
                doc="along a cosine or a line",
                choices=("cos", "linear"),
            ),
        ),
        main="swa_lr",
        aliases=("SWALR",),
    ),
    Entry(
        kind=Kind.SCHEDULE,
        name="one_cycle",
        formulas=(
            "low = max_lr / div_factor",
            "peak = pct_start * total_steps - 1",
            "turn = where(three_phase, 2 * pct_start * total_steps - 2, total_steps - 1)",
            "now = minimum(epoch, total_steps - 1)",
            "rises = now <= peak",
            "falls = now <= turn",
            (
                "part = where(rises, now, where(falls, now - peak, now - turn))"
                " / where(rises, peak, where(falls, turn - peak, total_steps - 1 - turn))"
            ),
            "first = where(rises, low, where(falls, max_lr, low))",
            (
                "last = where(rises, max_lr,"
                " where(three_phase and falls, low, low / final_div_factor))"
            ),
            "part = where(anneal_strategy_cos, (1 - cos(pi * part)) / 2, part)",
            "lr = first + (last - first) * part",
            "full = where(rises, max_momentum, where(falls, base_momentum, max_momentum))",
            "rest = where(rises, base_momentum, max_momentum)",
            "momentum = where(cycle_momentum, full + (rest - full) * part, momentum)",
        ),
        doc=(
            "Up to max_lr and down to almost nothing while the momentum goes down and up, meant "
            "for `per: step`. The optimiser's own rate and momentum are ignored."
        ),
        source="torch.optim.lr_scheduler.OneCycleLR; Smith and Topin 2017, arXiv:1708.07120",
        options=(
            Option("max_lr", doc="the highest rate", required=True, above=0),
            Option("total_steps", doc="how long it takes", required=True, whole=True, least=2),
            Option("pct_start", default=0.3, doc="the part of it that rises", least=0, most=1),
            Option(
                "anneal_strategy",
                default="cos",
                doc="along a cosine or a line",
                choices=("cos", "linear"),
            ),
            Option(
                "three_phase",
                default=False,
                doc="fall to the first rate as it rose, and only then to the last",
            ),
            Option("div_factor", default=25.0, doc="max_lr over the first rate", above=0),
            Option("final_div_factor", default=1e4, doc="the first rate over the last", above=0),
            *_cycling(0.85, 0.95),
        ),
        states=(("momentum", "max_momentum"),),
        aliases=("OneCycleLR",),
    ),
    Entry(
        kind=Kind.SCHEDULE,
        name="cyclic",
        formulas=(
            "period = step_size_up + where(step_size_down_given, step_size_down, step_size_up)",
            "cycle = floor(1 + epoch / period)",
            "part = 1 + epoch / period - cycle",
            "turn = step_size_up / period",
            "height = where(part <= turn, part / turn, (part - 1) / (turn - 1))",
            (
                "height = height * where(mode_triangular, 1,"
                " where(mode_triangular2, 1 / 2**(cycle - 1), gamma**epoch))"
            ),
            "lr = base + (max_lr - base) * height",
            (
                "momentum = where(cycle_momentum,"
                " max_momentum - (max_momentum - base_momentum) * height, momentum)"
            ),
        ),
        doc=(
            "Up from the optimiser's rate to max_lr and back, over and over, while the momentum "
            "goes down and up, meant for `per: step`. The optimiser's own momentum is ignored."
        ),
        source="torch.optim.lr_scheduler.CyclicLR; Smith 2015, arXiv:1506.01186",
        options=(
            Option("max_lr", doc="the highest rate", required=True, above=0),
            _count("step_size_up", "how long it rises", 2000),
            Option("step_size_down", doc="how long it falls; as it rises", whole=True, least=1),
            Option(
                "mode",
                default="triangular",
                doc="cycles alike, each half as high, or falling by gamma",
                choices=("triangular", "triangular2", "exp_range"),
            ),
            Option("gamma", default=1.0, doc="the factor of exp_range"),
            *_cycling(0.8, 0.9),
        ),
        states=(("momentum", "max_momentum"),),
        aliases=("CyclicLR",),
    ),
)
