"""Losses. The formulas read what the operands name, the output `y` and the target `t` mostly, and
where they are given the sample weights `s` and the class weights `w[k]`; the last one is the loss
of each element, `l`.

`reduction` (mean, sum, none) is applied to l. A mean divides by the number of elements of l, or by
`divisor`. `labels` is 1 where t holds class labels, `weighted` where there are class weights,
`sampled` where there are sample weights, `reduction_mean` where a mean is taken; `KEY_given` where
an operand is.
"""

from symback.catalog.entry import Entry, Fact, Kind, Operand, Option

_TARGET = Operand("t", "target", "the input that holds what is wanted: `target: t`")
_WEIGHTS = Operand("s", "sample_weight", "how much each counts", optional=True, holds="weights")
_COMPARED = (
    Operand("y", "output", "a layer (or an input); else the last layer", optional=True),
    _TARGET,
    _WEIGHTS,
)
_PAIR = (Operand("u", "x1", "the one"), Operand("v", "x2", "the other"))
_SAMPLE = "where(sampled, s[...], 1)"
_BY_WEIGHT = "where(sampled, sum(s[...], ...), size(...))"
_CHOSEN = "where(weighted, sum(w[k] * (t[...] == k), k), 1)"
_KEPT = "where(ignore_index_given, t[...] != ignore_index, 1)"
_IGNORE = Option(
    "ignore_index",
    doc="examples with this label count for nothing; without it, labels outside are refused",
    whole=True,
)
_LABELS = Fact("t", "classes", "labels and not ignore_index_given")
_NEVER = "-1e30"  # the logarithm of a probability of 0
_STEPS = "where(input_lengths_given, I[...], size(i))"
_PLACES = "where(target_lengths_given, K[...], size(k))"
_MARGIN = Option("margin", default=0.0, doc="how far apart is far enough")


def _distance(letter: str, a: str, b: str) -> tuple[str, str]:
    """Return the formulas of the distance of two letters along their last axis.

    The difference is taken first, so that eps isn't lost beside large values.
    """
    away = f"{a}{b}[..., i]"
    return (
        f"{away} = {a}[..., i] - {b}[..., i]",
        (
            f"{letter}[...] = where(p == 2, sqrt(sum(({away} + eps)**2, i)), where(p == 1,"
            f" sum(abs({away} + eps), i), sum(abs({away} + eps)**p, i)**(1 / p)))"
        ),
    )


ENTRIES = (
    Entry(
        kind=Kind.LOSS,
        name="mse",
        formulas=(f"l[...] = {_SAMPLE} * (y[...] - t[...])**2",),
        doc=(
            "The squared error. The mean is over all elements (not examples); with sample weights "
            "it divides by the sum of the weights."
        ),
        source="torch.nn.MSELoss; torch.nn.functional.mse_loss(weight=…)",
        operands=_COMPARED,
        divisor=_BY_WEIGHT,
        aliases=("mean_squared_error",),
    ),
    Entry(
        kind=Kind.LOSS,
        name="l1",
        formulas=(f"l[...] = {_SAMPLE} * abs(y[...] - t[...])",),
        doc=(
            "The absolute error. The mean is over all elements; with sample weights it divides by "
            "the sum of the weights."
        ),
        source="torch.nn.L1Loss; torch.nn.functional.l1_loss(weight=…)",
        operands=_COMPARED,
        divisor=_BY_WEIGHT,
        aliases=("mae", "mean_absolute_error"),
        kinks="slope 0 where y = t",
    ),
    Entry(
        kind=Kind.LOSS,
        name="huber",
        formulas=(
            "d[...] = y[...] - t[...]",
            (
                f"l[...] = {_SAMPLE}"
                " * where(abs(d[...]) <= delta, d[...]**2 / 2, delta * (abs(d[...]) - delta / 2))"
            ),
        ),
        doc=(
            "Half the squared error up to delta, straight beyond. The mean divides by the number "
            "of elements, with sample weights too, as PyTorch's does."
        ),
        source="torch.nn.HuberLoss; torch.nn.functional.huber_loss(weight=…)",
        operands=_COMPARED,
        options=(Option("delta", default=1.0, doc="where it becomes straight", above=0),),
    ),
    Entry(
        kind=Kind.LOSS,
        name="smooth_l1",
        formulas=(
            "d[...] = y[...] - t[...]",
            (
                f"l[...] = {_SAMPLE} * where(beta == 0, abs(d[...]),"
                " where(abs(d[...]) < beta, d[...]**2 / (2 * beta), abs(d[...]) - beta / 2))"
            ),
        ),
        doc="The absolute error, rounded off within beta of zero: huber divided by beta.",
        source="torch.nn.SmoothL1Loss",
        operands=_COMPARED,
        options=(Option("beta", default=1.0, doc="how far the rounding reaches", least=0),),
        kinks="slope 0 where y = t",
    ),
    Entry(
        kind=Kind.LOSS,
        name="bce_with_logits",
        formulas=(
            (
                f"l[...] = {_SAMPLE} * (where(pos_weight_given, pos_weight, 1)"
                " * t[...] * softplus(-y[...]) + (1 - t[...]) * softplus(y[...]))"
            ),
        ),
        doc=(
            "Binary cross-entropy, -t log p - (1 - t) log(1 - p) for p = sigmoid(y), written on "
            "the logits y so that it stays exact for every y. The mean divides by the number of "
            "elements, with weights too."
        ),
        source="torch.nn.BCEWithLogitsLoss",
        operands=_COMPARED,
        options=(Option("pos_weight", doc="how many times a positive target counts", least=0),),
        assumes=(Fact("t", "unit"),),
        aliases=("binary_cross_entropy_with_logits",),
    ),
    Entry(
        kind=Kind.LOSS,
        name="cross_entropy",
        formulas=(
            "T[..., k] = where(labels, t[...] == k, t[..., k])",
            (
                "S[..., k] = where(label_smoothing,"
                " (1 - label_smoothing) * T[..., k] + label_smoothing / size(k), T[..., k])"
            ),
            "q[..., k] = log_softmax(y[..., k], k)",
            (
                f"l[...] = -{_SAMPLE} * {_KEPT}"
                " * sum(where(weighted, w[k], 1) * S[..., k] * q[..., k], k)"
            ),
        ),
        doc=(
            "Cross-entropy of the softmax over the last axis of the logits y, against class labels "
            "or probabilities. The mean divides by the number of examples; with weights or "
            "ignored labels by the sum of the weights (of the labels' classes, unsmoothed, and of "
            "the samples) of the examples that count; class weights with probability targets "
            "leave the number of examples."
        ),
        source="torch.nn.CrossEntropyLoss",
        operands=_COMPARED,
        options=(
            Option(
                "label_smoothing",
                default=0.0,
                doc="the part of the target spread evenly over the classes",
                least=0,
                most=1,
            ),
            _IGNORE,
        ),
        assumes=(
            _LABELS,
            Fact("T", "one_sum", "not ignore_index_given"),
            Fact("S", "one_sum", "not ignore_index_given"),
        ),
        divisor=(
            "where(sampled or ignore_index_given or labels and weighted, "
            f"sum({_SAMPLE} * where(labels and weighted, sum(w[k] * T[..., k], k), 1) * {_KEPT},"
            " ...), size(...))"
        ),
    ),
    Entry(
        kind=Kind.LOSS,
        name="nll",
        formulas=(
            (
                f"l[...] = -{_SAMPLE} * {_KEPT}"
                " * sum(where(t[...] == k, where(weighted, w[k], 1) * y[..., k], 0), k)"
            ),
        ),
        doc=(
            "Minus the log-probability y of the class that the label t names. The mean divides by "
            "the sum of the weights of the examples that count."
        ),
        source="torch.nn.NLLLoss",
        operands=_COMPARED,
        options=(_IGNORE,),
        assumes=(_LABELS,),
        divisor=(
            "where(sampled or ignore_index_given or weighted, "
            f"sum({_SAMPLE} * {_CHOSEN} * {_KEPT}, ...), size(...))"
        ),
    ),
    Entry(
        kind=Kind.LOSS,
        name="multi_margin",
        formulas=(
            "u[...] = sum(where(t[...] == k, y[..., k], 0), k)",
            "m[..., k] = where(t[...] == k, 0, relu(margin - u[...] + y[..., k]))",
            (
                f"l[...] = {_SAMPLE} * {_CHOSEN}"
                " * sum(where(squared, m[..., k]**2, m[..., k]), k) / size(k)"
            ),
        ),
        doc=(
            "How far the scores y of the other classes come within a margin of the score of the "
            "class that the label t names. The mean divides by the number of examples."
        ),
        source="torch.nn.MultiMarginLoss",
        operands=_COMPARED,
        options=(
            Option("margin", default=1.0, doc="how far the true class should be ahead"),
            Option("squared", default=False, doc="square each shortfall (PyTorch's p=2)"),
        ),
        assumes=(Fact("t", "classes"),),
        kinks="slope 0 where a score is just a margin behind",
    ),
    Entry(
        kind=Kind.LOSS,
        name="hinge",
        formulas=(f"l[...] = {_SAMPLE} * relu(margin - t[...] * y[...])",),
        doc="The max-margin loss of targets -1 and +1.",
        source="Cortes and Vapnik 1995, doi:10.1007/BF00994018",
        operands=_COMPARED,
        options=(Option("margin", default=1.0, doc="from where an output costs nothing"),),
        assumes=(Fact("t", "signs"),),
        aliases=("max_margin",),
        kinks="slope 0 where t y = margin",
    ),
    Entry(
        kind=Kind.LOSS,
        name="soft_margin",
        formulas=(f"l[...] = {_SAMPLE} * softplus(-t[...] * y[...])",),
        doc="The logistic loss log(1 + exp(-t y)) of targets -1 and +1.",
        source="torch.nn.SoftMarginLoss",
        operands=_COMPARED,
        assumes=(Fact("t", "signs"),),
    ),
    Entry(
        kind=Kind.LOSS,
        name="hinge_embedding",
        formulas=(
            (
                f"l[...] = {_SAMPLE}"
                " * where(t[...] > 0, y[...], where(y[...] <= margin, margin - y[...], 0))"
            ),
        ),
        doc="A distance y where the target is +1, the lack of it up to a margin where it is -1.",
        source="torch.nn.HingeEmbeddingLoss",
        operands=_COMPARED,
        options=(Option("margin", default=1.0, doc="the distance wanted of unlike pairs"),),
        assumes=(Fact("t", "signs"),),
        kinks="slope -1 where y = margin and t = -1",
    ),
    Entry(
        kind=Kind.LOSS,
        name="poisson_nll",
        formulas=(
            "c[...] = where(t[...] > 1, t[...], 1)",
            (
                f"l[...] = {_SAMPLE}"
                " * (where(log_input, exp(y[...]) - t[...] * y[...],"
                " y[...] - t[...] * log(y[...] + eps))"
                " + where(full, where(t[...] > 1,"
                " c[...] * log(c[...]) - c[...] + log(2 * pi * c[...]) / 2, 0), 0))"
            ),
        ),
        doc=(
            "The negative log-likelihood of counts t of a Poisson distribution, without the term "
            "log t! unless `full` adds Stirling's formula for it."
        ),
        source="torch.nn.PoissonNLLLoss",
        operands=_COMPARED,
        options=(
            Option("log_input", default=True, doc="y is the logarithm of the rate"),
            Option("full", default=False, doc="add Stirling's approximation of log t!"),
            Option("eps", default=1e-8, doc="keeps the logarithm of a zero rate finite", above=0),
        ),
    ),
    Entry(
        kind=Kind.LOSS,
        name="kl_div",
        formulas=(
            (
                f"l[...] = {_SAMPLE} * where(log_target, exp(t[...]) * (t[...] - y[...]),"
                " t[...] * (log(where(t[...] > 0, t[...], 1)) - y[...]))"
            ),
        ),
        doc=(
            "The Kullback-Leibler divergence of log-probabilities y from the target's "
            "probabilities t, element by element. The mean divides by the number of elements, as "
            "PyTorch's does; the divergence itself is the sum divided by the number of examples."
        ),
        source="torch.nn.KLDivLoss",
        operands=_COMPARED,
        options=(Option("log_target", default=False, doc="t holds log-probabilities"),),
    ),
    Entry(
        kind=Kind.LOSS,
        name="ctc",
        formulas=(
            "e[..., i, k] = y[..., i, t[..., k]]",
            "b[..., i] = y[..., i, blank]",
            "Z[..., i] = cumsum(b[..., i], i)",
            "d[..., k] = t[..., k-1] != t[..., k]",
            (
                "A[..., i, k] = e[..., i, k] + where(i > 0,"
                " log(exp(A[..., i-1, k]) + exp(F[..., i-1, k])),"
                f" where(k == 0, 0, {_NEVER}))"
            ),
            f"B[..., i, k] = b[..., i] + where(i > 0, S[..., i-1, k], {_NEVER})",
            "S[..., i, k] = log(exp(A[..., i, k]) + exp(B[..., i, k]))",
            (
                "F[..., i, k] = where(k > 0,"
                " where(d[..., k], S[..., i, k-1], B[..., i, k-1]), Z[..., i])"
            ),
            f"P[...] = sum(where(i == {_STEPS} - 1 and k == {_PLACES} - 1, S[..., i, k], 0), i, k)",
            (
                "c[...] = -where(target_lengths_given, where(K[...] == 0,"
                f" sum(where(i == {_STEPS} - 1, Z[..., i], 0), i), P[...]), P[...])"
            ),
            (
                f"l[...] = {_SAMPLE} * where(zero_infinity, where(c[...] < 1e29, c[...], 0),"
                f" c[...]) / where(reduction_mean, maximum({_PLACES}, 1), 1)"
            ),
        ),
        doc=(
            "Minus the log-probability that the labels t [n, k] are read off the steps of y [n, i, "
            "classes], log-probabilities, where equal labels in a row count once and blanks not at "
            "all. Until step i, A ends on label k, B on a blank behind it, S on either, Z has met "
            "blanks alone, and F is what label k may follow. The mean divides each example by the "
            "number of its labels, then by the number of examples. Labels that don't fit into the "
            "steps cost 1e30 (PyTorch: infinity, and its gradient is NaN)."
        ),
        source="torch.nn.CTCLoss; Graves et al. 2006, doi:10.1145/1143844.1143891",
        operands=(
            *_COMPARED,
            Operand("I", "input_lengths", "how many steps count; all", optional=True),
            Operand("K", "target_lengths", "how many labels count; all", optional=True),
        ),
        options=(
            Option(
                "blank", default=0, doc="the class that stands for no label", least=0, whole=True
            ),
            Option("zero_infinity", default=False, doc="labels that can't be cost nothing"),
        ),
        assumes=(Fact("t", "classes", "labels"),),
    ),
    Entry(
        kind=Kind.LOSS,
        name="bce",
        formulas=(
            "P[...] = where(y[...] > exp(-100), log(where(y[...] > exp(-100), y[...], 1)), -100)",
            "Q[...] = where(y[...] < 1, log1p(-where(y[...] < 1, y[...], 0)), -100)",
            f"l[...] = -{_SAMPLE} * (t[...] * P[...] + (1 - t[...]) * Q[...])",
        ),
        doc=(
            "Binary cross-entropy of probabilities y, their logarithms cut off at -100 as "
            "PyTorch's are. On logits, `bce_with_logits` is exact where this loses all digits. The "
            "mean divides by the number of elements, with weights too."
        ),
        source="torch.nn.BCELoss",
        operands=_COMPARED,
        assumes=(Fact("t", "unit"),),
        aliases=("binary_cross_entropy",),
        kinks="slope 0 where a logarithm is cut off",
    ),
    Entry(
        kind=Kind.LOSS,
        name="gaussian_nll",
        formulas=(
            ("u[..., k] = where(v_short, v[...], where(v_narrow, v[..., 0], v[..., k]))"),
            "V[..., k] = maximum(u[..., k], eps)",
            (
                f"l[..., k] = {_SAMPLE.replace('...', '..., k')}"
                " * (log(V[..., k]) + (y[..., k] - t[..., k])**2 / V[..., k]"
                " + where(full, log(2 * pi), 0)) / 2"
            ),
        ),
        doc=(
            "The negative log-likelihood of a normal distribution with mean y and variance v, "
            "which may be one for the whole of an example: of shape [n, 1] or [n] beside [n, k]."
        ),
        source="torch.nn.GaussianNLLLoss",
        operands=(
            *_COMPARED[:2],
            Operand(
                "v", "var", "the variance: a layer or an input, never negative", holds="weights"
            ),
            _WEIGHTS,
        ),
        options=(
            Option("full", default=False, doc="add the constant log(2 pi) / 2"),
            Option("eps", default=1e-6, doc="the least variance", above=0),
        ),
        divisor="size(...) * size(k)",
        kinks="slope 0 by a variance below eps (PyTorch's is that of the variance eps)",
    ),
    Entry(
        kind=Kind.LOSS,
        name="margin_ranking",
        formulas=(
            "m[...] = margin - t[...] * (u[...] - v[...])",
            f"l[...] = {_SAMPLE} * where(m[...] >= 0, m[...], 0)",
        ),
        doc="How far x1 falls short of ranking above x2 where t is 1, below where it is -1.",
        source="torch.nn.MarginRankingLoss",
        operands=(*_PAIR, _TARGET, _WEIGHTS),
        options=(_MARGIN,),
        assumes=(Fact("t", "signs"),),
        kinks="the slope of what is short, where nothing is",
    ),
    Entry(
        kind=Kind.LOSS,
        name="cosine_embedding",
        formulas=(
            "U[...] = sum(u[..., i]**2, i) + 1e-12",
            "V[...] = sum(v[..., i]**2, i) + 1e-12",
            "c[...] = sum(u[..., i] * v[..., i], i) / sqrt(U[...] * V[...])",
            (
                f"l[...] = {_SAMPLE}"
                " * where(t[...] > 0, 1 - c[...], where(c[...] >= margin, c[...] - margin, 0))"
            ),
        ),
        doc=(
            "One minus the cosine of the angle between x1 and x2 where t is 1; where it is -1, the "
            "cosine as far as it is above a margin."
        ),
        source="torch.nn.CosineEmbeddingLoss",
        operands=(*_PAIR, _TARGET, _WEIGHTS),
        options=(
            Option("margin", default=0.0, doc="a cosine that costs nothing", least=-1, most=1),
        ),
        assumes=(Fact("t", "signs"),),
        kinks="slope 1 by the cosine at the margin",
    ),
    Entry(
        kind=Kind.LOSS,
        name="triplet_margin",
        formulas=(
            *_distance("near", "a", "b"),
            *_distance("far", "a", "c"),
            *_distance("across", "b", "c"),
            "m[...] = margin + near[...] - where(swap, minimum(far[...], across[...]), far[...])",
            f"l[...] = {_SAMPLE} * where(m[...] >= 0, m[...], 0)",
        ),
        doc=(
            "How far the anchor is from being nearer, by a margin, to the positive example than to "
            "the negative one, in the distance of the p-norm."
        ),
        source="torch.nn.TripletMarginLoss; Balntas et al. 2016, doi:10.5244/C.30.119",
        operands=(
            Operand("a", "anchor", "what is compared"),
            Operand("b", "positive", "what it should be like"),
            Operand("c", "negative", "what it should be unlike"),
            _WEIGHTS,
        ),
        options=(
            Option("margin", default=1.0, doc="how much nearer it should be", above=0),
            Option("p", default=2.0, doc="the norm's exponent", least=1, most=64),
            Option("eps", default=1e-6, doc="added to each difference", least=0),
            Option("swap", default=False, doc="take the positive example for the anchor if nearer"),
        ),
        aliases=("triplet",),
        kinks="the slope of what is short, where nothing is; half to each distance at a tie",
    ),
    Entry(
        kind=Kind.LOSS,
        name="multilabel_margin",
        formulas=(
            "m[..., k, j] = t[..., k] * (1 - t[..., j]) * relu(1 - y[..., k] + y[..., j])",
            f"l[...] = {_SAMPLE} * sum(m[..., k, j], k, j) / size(k)",
        ),
        doc=(
            "How far the scores y of the classes with t = 0 come within 1 of the scores of those "
            "with t = 1. The target holds 0 or 1 for each class (PyTorch's lists the labels). The "
            "mean divides by the number of examples."
        ),
        source="torch.nn.MultiLabelMarginLoss",
        operands=_COMPARED,
        assumes=(Fact("t", "unit"),),
        kinks="slope 0 where a score is just 1 behind",
    ),
    Entry(
        kind=Kind.LOSS,
        name="multilabel_soft_margin",
        formulas=(
            (
                f"l[...] = -{_SAMPLE} * sum(where(weighted, w[k], 1) * (t[..., k]"
                " * log_sigmoid(y[..., k]) + (1 - t[..., k]) * log_sigmoid(-y[..., k])), k)"
                " / size(k)"
            ),
        ),
        doc=(
            "Binary cross-entropy of the logits y of each class, its mean over the classes. The "
            "mean divides by the number of examples."
        ),
        source="torch.nn.MultiLabelSoftMarginLoss",
        operands=_COMPARED,
        assumes=(Fact("t", "unit"),),
    ),
)
