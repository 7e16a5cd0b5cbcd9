"""Optimisers: assignments for each element w of a parameter, g its gradient.

`lr` is the learning rate of this step, `step` its number from 1, `epsilon` the distance from 1 to
the next number of the program's type. A rule that reads a parameter as a whole has indices:
w[..., r, c] has its rows and columns, mean(w[...]**2, ...) runs over all its elements. The order of
operations is PyTorch's (torch.optim, one tensor at a time).
"""

from symback.catalog.entry import Case, Entry, Kind, Option

_DESCENT = "g = where(maximize, -g, g)"
_PENALTY = "g = where(weight_decay, g + weight_decay * w, g)"
_SHRINK = "w = where(decoupled_weight_decay, where(weight_decay, w - lr * weight_decay * w, w), w)"
_COUPLED = "g = where(decoupled_weight_decay, g, where(weight_decay, g + weight_decay * w, g))"
_FIRST_MOMENT = "m = beta1 * m + (1 - beta1) * g"
_SECOND_MOMENT = "v = beta2 * v + (1 - beta2) * g**2"
_ADAM = (
    _FIRST_MOMENT,
    _SECOND_MOMENT,
    "top = where(amsgrad, maximum(top, v), top)",
    "rate = lr / (1 - beta1**step)",
    "scale = sqrt(1 - beta2**step)",
    "w = w - rate * m / (sqrt(where(amsgrad, top, v)) / scale + eps)",
)

_MAXIMIZE = Option("maximize", default=False, doc="climb instead of descending")
_DECOUPLED = Option(
    "decoupled_weight_decay", default=False, doc="the decay shrinks w itself, as in adamw"
)
_BETAS = (
    Option("beta1", default=0.9, doc="how much of the mean gradient is kept", least=0, below=1),
    Option(
        "beta2",
        default=0.999,
        doc="how much of the mean squared gradient is kept",
        least=0,
        below=1,
    ),
)
_AMSGRAD = Option("amsgrad", default=False, doc="divide by the largest v met so far")
_MOMENTS = (("m", "0"), ("v", "0"))


def _lr(default: float) -> Option:
    return Option("lr", default=default, doc="the learning rate", least=0)


def _eps(default: float) -> Option:
    return Option("eps", default=default, doc="keeps the division finite", least=0)


def _decay(default: float = 0.0) -> Option:
    return Option("weight_decay", default=default, doc="the pull of each w towards zero", least=0)


ENTRIES = (
    Entry(
        kind=Kind.OPTIMIZER,
        name="sgd",
        formulas=(
            _DESCENT,
            _PENALTY,
            (
                "b = where(momentum, momentum * b"
                " + where(dampening, where(step == 1, 1, 1 - dampening), 1) * g, b)"
            ),
            "w = w - lr * where(momentum, where(nesterov, g + momentum * b, b), g)",
        ),
        doc="Stochastic gradient descent, with momentum. The first step isn't dampened.",
        source="torch.optim.SGD",
        options=(
            _lr(0.001),
            Option("momentum", default=0.0, doc="how much of the last direction is kept", least=0),
            Option("dampening", default=0.0, doc="the part of the gradient left out of it"),
            _decay(),
            Option("nesterov", default=False, doc="look ahead along the new direction"),
            _MAXIMIZE,
        ),
        states=(("b", "0"),),
        momentum="momentum",
        main="lr",
    ),
    Entry(
        kind=Kind.OPTIMIZER,
        name="adam",
        formulas=(_DESCENT, _SHRINK, _COUPLED, *_ADAM),
        doc="Steps of the mean gradient over the root of the mean squared gradient.",
        source="torch.optim.Adam; Kingma and Ba 2014, arXiv:1412.6980",
        options=(_lr(0.001), *_BETAS, _eps(1e-8), _decay(), _AMSGRAD, _MAXIMIZE, _DECOUPLED),
        states=(*_MOMENTS, ("top", "0")),
        momentum="beta1",
        main="lr",
    ),
    Entry(
        kind=Kind.OPTIMIZER,
        name="adamw",
        formulas=(_DESCENT, "w = where(weight_decay, w - lr * weight_decay * w, w)", *_ADAM),
        doc="Adam whose weight decay shrinks w itself, before the step.",
        source="torch.optim.AdamW; Loshchilov and Hutter 2017, arXiv:1711.05101",
        options=(_lr(0.001), *_BETAS, _eps(1e-8), _decay(0.01), _AMSGRAD, _MAXIMIZE),
        states=(*_MOMENTS, ("top", "0")),
        momentum="beta1",
        main="lr",
    ),
    Entry(
        kind=Kind.OPTIMIZER,
        name="rmsprop",
        formulas=(
            _DESCENT,
            _PENALTY,
            "v = alpha * v + (1 - alpha) * g**2",
            "a = where(centered, alpha * a + (1 - alpha) * g, a)",
            "d = g / (sqrt(where(centered, maximum(v - a**2, 0), v)) + eps)",
            "b = where(momentum, momentum * b + d, b)",
            "w = w - lr * where(momentum, b, d)",
        ),
        doc="The gradient over the root of its mean square.",
        source="torch.optim.RMSprop; Graves 2013, arXiv:1308.0850",
        options=(
            _lr(0.01),
            Option("alpha", default=0.99, doc="how much of the mean square is kept", least=0),
            _eps(1e-8),
            _decay(),
            Option("momentum", default=0.0, doc="how much of the last direction is kept", least=0),
            Option("centered", default=False, doc="divide by the deviation from the mean instead"),
            _MAXIMIZE,
        ),
        states=(("v", "0"), ("a", "0"), ("b", "0")),
        momentum="momentum",
        main="lr",
    ),
    Entry(
        kind=Kind.OPTIMIZER,
        name="adagrad",
        formulas=(
            _DESCENT,
            _PENALTY,
            "v = v + g**2",
            "w = w - lr / where(lr_decay, 1 + (step - 1) * lr_decay, 1) * g / (sqrt(v) + eps)",
        ),
        doc="The gradient over the root of the sum of its squares so far.",
        source="torch.optim.Adagrad; Duchi et al. 2011, JMLR 12",
        options=(
            _lr(0.01),
            Option("lr_decay", default=0.0, doc="lr is divided by 1 + (step - 1) of it", least=0),
            _decay(),
            Option("initial_accumulator_value", default=0.0, doc="where the sum starts", least=0),
            _eps(1e-10),
            _MAXIMIZE,
        ),
        states=(("v", "initial_accumulator_value"),),
        main="lr",
    ),
    Entry(
        kind=Kind.OPTIMIZER,
        name="adadelta",
        formulas=(
            _DESCENT,
            _PENALTY,
            "v = rho * v + (1 - rho) * g**2",
            "d = sqrt(u + eps) / sqrt(v + eps) * g",
            "u = rho * u + (1 - rho) * d**2",
            "w = w - lr * d",
        ),
        doc="Steps as large, in the mean, as those before: no learning rate to choose.",
        source="torch.optim.Adadelta; Zeiler 2012, arXiv:1212.5701",
        options=(
            _lr(1.0),
            Option("rho", default=0.9, doc="how much of the means is kept", least=0, most=1),
            _eps(1e-6),
            _decay(),
            _MAXIMIZE,
        ),
        states=(("v", "0"), ("u", "0")),
        main="lr",
    ),
    Entry(
        kind=Kind.OPTIMIZER,
        name="adamax",
        formulas=(
            _DESCENT,
            _PENALTY,
            _FIRST_MOMENT,
            "u = maximum(beta2 * u, abs(g) + eps)",
            "rate = lr / (1 - beta1**step)",
            "w = w - rate * m / u",
        ),
        doc="Adam with the largest recent gradient in place of the mean square.",
        source="torch.optim.Adamax; Kingma and Ba 2014, arXiv:1412.6980",
        options=(_lr(0.002), *_BETAS, _eps(1e-8), _decay(), _MAXIMIZE),
        states=(("m", "0"), ("u", "0")),
        momentum="beta1",
        main="lr",
    ),
    Entry(
        kind=Kind.OPTIMIZER,
        name="nadam",
        formulas=(
            _DESCENT,
            _SHRINK,
            _COUPLED,
            "mu = beta1 * (1 - 0.5 * 0.96**(step * momentum_decay))",
            "mu_next = beta1 * (1 - 0.5 * 0.96**((step + 1) * momentum_decay))",
            "mu_product = mu_product * mu",
            _FIRST_MOMENT,
            _SECOND_MOMENT,
            "d = sqrt(v / (1 - beta2**step)) + eps",
            (
                "w = w - lr * (1 - mu) / (1 - mu_product) * g / d"
                " - lr * mu_next / (1 - mu_product * mu_next) * m / d"
            ),
        ),
        doc="Adam with Nesterov's momentum.",
        source="torch.optim.NAdam; Dozat 2016",
        options=(
            _lr(0.002),
            *_BETAS,
            _eps(1e-8),
            _decay(),
            Option("momentum_decay", default=0.004, doc="how slowly the momentum grows", least=0),
            _DECOUPLED,
            _MAXIMIZE,
        ),
        states=(*_MOMENTS, ("mu_product", "1")),
        momentum="beta1",
        main="lr",
    ),
    Entry(
        kind=Kind.OPTIMIZER,
        name="radam",
        formulas=(
            _DESCENT,
            _SHRINK,
            _COUPLED,
            _FIRST_MOMENT,
            _SECOND_MOMENT,
            "far = 2 / (1 - beta2) - 1",
            "rho = far - 2 * step * beta2**step / (1 - beta2**step)",
            (
                "trust = where(3 * beta2 > 2, sqrt(maximum((rho - 4) * (rho - 2) * far"
                " / ((far - 4) * (far - 2) * rho), 0) * (1 - beta2**step)), 1)"
            ),
            "rate = lr / (1 - beta1**step)",
            (
                "w = w - rate * m"
                " * where(3 * beta2 > 2, where(rho > 5, trust / (sqrt(v) + eps), 1), 1)"
            ),
        ),
        doc="Adam that waits until the mean square can be trusted; plain momentum before.",
        source="torch.optim.RAdam; Liu et al. 2019, arXiv:1908.03265",
        options=(_lr(0.001), *_BETAS, _eps(1e-8), _decay(), _DECOUPLED, _MAXIMIZE),
        states=_MOMENTS,
        momentum="beta1",
        main="lr",
    ),
    Entry(
        kind=Kind.OPTIMIZER,
        name="asgd",
        formulas=(
            _DESCENT,
            _PENALTY,
            "eta = lr / (1 + lambd * lr * (step - 1))**alpha",
            "mu = 1 / maximum(step - 1 - t0, 1)",
            "w = w - lambd * eta * w",
            "w = w - eta * g",
            "ax = ax + mu * (w - ax)",
        ),
        doc=(
            "Gradient descent with a falling rate, which keeps the mean of the parameters since "
            "step t0 + 2 beside them, in the state's ax, as PyTorch does."
        ),
        source="torch.optim.ASGD; Polyak and Juditsky 1992, doi:10.1137/0330046",
        options=(
            _lr(0.01),
            Option("lambd", default=1e-4, doc="how fast w shrinks and the rate falls", least=0),
            Option("alpha", default=0.75, doc="the power by which the rate falls", least=0),
            Option("t0", default=1e6, doc="the step from which on the mean is taken", least=0),
            _decay(),
            _MAXIMIZE,
        ),
        states=(("ax", "0"),),
        kept=("ax",),
        main="lr",
    ),
    Entry(
        kind=Kind.OPTIMIZER,
        name="rprop",
        formulas=(
            _DESCENT,
            "c = g * last",
            (
                "size = minimum(maximum("
                "size * where(c > 0, eta_plus, where(c < 0, eta_minus, 1)), size_min), size_max)"
            ),
            "last = where(c < 0, 0, g)",
            "w = w - sign(last) * size",
        ),
        doc="Steps by the gradient's sign alone, their size growing while it stays. Full batches.",
        source="torch.optim.Rprop; Riedmiller and Braun 1993",
        options=(
            Option("lr", default=0.01, doc="the size of the first steps", least=0),
            Option("eta_minus", default=0.5, doc="a step's factor when the sign turns", above=0),
            Option("eta_plus", default=1.2, doc="a step's factor while the sign stays", above=1),
            Option("size_min", default=1e-6, doc="the smallest step", above=0),
            Option("size_max", default=50.0, doc="the largest step", above=0),
            _MAXIMIZE,
        ),
        states=(("last", "0"), ("size", "lr")),
        main="lr",
    ),
    Entry(
        kind=Kind.OPTIMIZER,
        name="adafactor",
        formulas=(
            _DESCENT,
            "part = step**beta2_decay",
            "least = where(eps1_given, eps1, epsilon)",
            "alpha = maximum(eps2, sqrt(mean(w[...]**2, ...))) * minimum(lr, 1 / sqrt(step))",
            "w = where(weight_decay, w - lr * weight_decay * w, w)",
            "...",
            "u = g / sqrt(maximum(v, least**2))",
            "w = w - alpha / maximum(1, sqrt(mean(u[...]**2, ...)) / d) * u",
        ),
        cases=(
            Case(
                "axes > 1",
                (
                    "R[..., r] = R[..., r] + part * (mean(g[..., r, c]**2, c) - R[..., r])",
                    "C[..., c] = C[..., c] + part * (mean(g[..., r, c]**2, r) - C[..., c])",
                    "M[...] = maximum(mean(R[..., r], r), least)",
                    "v[..., r, c] = R[..., r] * C[..., c] / M[...]",
                ),
            ),
            Case("1", ("V = V + part * (g**2 - V)", "v = V")),
        ),
        doc=(
            "The gradient over the root of its mean square, which is kept as the means of the rows "
            "and of the columns alone. Steps are in proportion to the parameter's own size."
        ),
        source="torch.optim.Adafactor; Shazeer and Stern 2018, arXiv:1804.04235",
        options=(
            Option("lr", default=0.01, doc="the largest relative size of a step", least=0),
            Option("beta2_decay", default=-0.8, doc="the power of step: how means settle", most=0),
            Option("eps1", doc="the least mean square's root; the type's epsilon", least=0),
            Option("eps2", default=1e-3, doc="the least size of a parameter that counts", least=0),
            Option("d", default=1.0, doc="the largest root mean square of a direction", least=1),
            _decay(),
            _MAXIMIZE,
        ),
        states=(("R", "0"), ("C", "0"), ("V", "0")),
        main="lr",
    ),
    Entry(
        kind=Kind.OPTIMIZER,
        name="muon",
        formulas=(
            "b = b + (1 - momentum) * (g - b)",
            "u = where(nesterov, g + momentum * (b - g), b)",
            "X = u / maximum(sqrt(sum(u[...]**2, ...)), eps)",
            "...",
            "w = where(weight_decay, w - lr * weight_decay * w, w)",
            (
                "w[r, c] = w[r, c] - lr * where(adjust_lr_fn_match_rms_adamw,"
                " 0.2 * sqrt(maximum(size(r), size(c))), sqrt(maximum(1, size(r) / size(c))))"
                " * X[r, c]"
            ),
        ),
        cases=(
            Case("axes != 2", ()),
            Case(
                "rows > columns",
                (
                    "A[c, k] = sum(X[r, c] * X[r, k], r)",
                    (
                        "B[c, k] = ns_coefficients_1 * A[c, k]"
                        " + ns_coefficients_2 * sum(A[c, l] * A[l, k], l)"
                    ),
                    "X[r, c] = ns_coefficients_0 * X[r, c] + sum(X[r, k] * B[k, c], k)",
                ),
            ),
            Case(
                "1",
                (
                    "A[r, k] = sum(X[r, c] * X[k, c], c)",
                    (
                        "B[r, k] = ns_coefficients_1 * A[r, k]"
                        " + ns_coefficients_2 * sum(A[r, l] * A[l, k], l)"
                    ),
                    "X[r, c] = ns_coefficients_0 * X[r, c] + sum(B[r, k] * X[k, c], k)",
                ),
            ),
        ),
        rounds="ns_steps",
        doc=(
            "Momentum made nearly orthogonal by Newton and Schulz's iteration, for matrices alone. "
            "PyTorch rounds the iteration to bfloat16; here it has the numbers of the module."
        ),
        source="torch.optim.Muon; Jordan 2024, kellerjordan.github.io/posts/muon",
        options=(
            _lr(0.001),
            _decay(0.1),
            Option("momentum", default=0.95, doc="how much of the last direction is kept", least=0),
            Option("nesterov", default=True, doc="look ahead along the new direction"),
            Option(
                "ns_coefficients",
                default=(3.4445, -4.775, 2.0315),
                doc="of X, X·Xᵀ·X and X·Xᵀ·X·Xᵀ·X in a round",
                axes=3,
            ),
            _eps(1e-7),
            Option("ns_steps", default=5, doc="how many rounds", whole=True, least=0, most=99),
            Option(
                "adjust_lr_fn",
                doc="how a step grows with the matrix: √(rows/columns), or Adam's size",
                choices=("original", "match_rms_adamw"),
            ),
        ),
        states=(("b", "0"),),
        main="lr",
        momentum="momentum",
    ),
    Entry(
        kind=Kind.OPTIMIZER,
        name="lbfgs",
        formulas=(),
        search="lbfgs",
        doc=(
            "Quasi-Newton steps: the inverse Hessian is built of the last steps and how the "
            "gradient changed in them. All examples at once; every step has several iterations."
        ),
        source="torch.optim.LBFGS; Nocedal 1980, doi:10.1090/S0025-5718-1980-0572855-7",
        options=(
            Option(
                "lr", default=1.0, doc="the length of an iteration, or the first tried", least=0
            ),
            Option("max_iter", default=20, doc="iterations of a step", whole=True, least=1),
            Option("max_eval", doc="evaluations of a step; 5/4·max_iter", whole=True, least=1),
            Option(
                "tolerance_grad",
                default=1e-7,
                doc="a step ends where no element of the gradient is larger",
                least=0,
            ),
            Option(
                "tolerance_change",
                default=1e-9,
                doc="a step ends where parameters or loss change by less",
                least=0,
            ),
            Option("history_size", default=100, doc="steps remembered", whole=True, least=1),
            Option(
                "line_search_fn",
                doc="how long an iteration is: lr, or as the strong Wolfe conditions ask",
                choices=("strong_wolfe",),
            ),
        ),
        main="lr",
    ),
)
