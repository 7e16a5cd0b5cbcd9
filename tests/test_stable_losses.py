"""Every loss of the catalogue against mpmath, value and gradient, for outputs to ±1e4.

The bound, where the outputs are exact: a value L(y) may be off by 4 eps·(1 + |L| + Σ_j |y_j·L_j|)
and a gradient L_j = ∂L/∂y_j by 4 eps·(1 + |L_j|): the 1 is the size of what both are put together
from, as in log Σ exp and p − t. Losses of one output by itself have no such 1 in their value. What
is finite and can be written as a number of the type stays so, and NumPy warns of nothing.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import mpmath
import numpy as np
import pytest
from loss_cases import on_target
from mpmath import mpf
from oracle import compiled, entries

from symback.catalog.entry import Kind

WAYS = [("numpy", "float64"), ("numpy", "float32"), ("python", "float64")]
SIZES = (0.0, 1e-30, 1e-3, 0.3, 1.7, 5.5, 20.5, 40.0, 88.0, 100.0, 800.0, 1e4)
CLASSES = 3
Row = Sequence[Any]


def softplus(x: Any) -> Any:
    return mpmath.log1p(mpmath.exp(x))


def log_softmax(y: Row) -> list[Any]:
    total = mpmath.log(sum(map(mpmath.exp, y)))
    return [y_k - total for y_k in y]


def cross_entropy(y: Row, t: Row, smoothing: float = 0.0) -> list[Any]:
    shares = [(1 - mpf(smoothing)) * t_k + mpf(smoothing) / CLASSES for t_k in t]
    return [-sum(a * b for a, b in zip(shares, log_softmax(y), strict=True))]


def multi_margin(y: Row, t: Row) -> list[Any]:
    right = list(t).index(1)
    gaps = [max(mpf(0), 1 - y[right] + y_k) for k, y_k in enumerate(y) if k != right]
    return [sum(gaps) / CLASSES]


def multilabel_margin(y: Row, t: Row) -> list[Any]:
    pairs = [(a, b) for a, held in zip(y, t, strict=True) if held for b in others(y, t)]
    return [sum((max(mpf(0), 1 - a + b) for a, b in pairs), mpf(0)) / CLASSES]


def others(y: Row, t: Row) -> list[Any]:
    return [y_k for y_k, t_k in zip(y, t, strict=True) if not t_k]


def each(of: Callable[[Any, Any], Any]) -> Callable[[Row, Row], list[Any]]:
    """Return the losses of a row, element by element."""
    return lambda y, t: [of(y_k, t_k) for y_k, t_k in zip(y, t, strict=True)]


def huber(d: Any, delta: float = 1.0) -> Any:
    return d * d / 2 if abs(d) <= delta else delta * (abs(d) - mpf(delta) / 2)


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss by its definition; `wanted` says what its targets are."""

    name: str
    true: Callable[[Row, Row], list[Any]]
    wanted: str = "numbers"
    options: dict[str, Any] = field(default_factory=dict)
    whole: bool = False  # of all classes together


LOSSES = {
    "mse": Loss("mse", each(lambda y, t: (y - t) ** 2)),
    "l1": Loss("l1", each(lambda y, t: abs(y - t))),
    "huber": Loss("huber", each(lambda y, t: huber(y - t))),
    "smooth_l1": Loss("smooth_l1", each(lambda y, t: huber(y - t))),
    "binary": Loss("bce_with_logits", each(lambda y, t: softplus(y) - t * y), "unit"),
    "binary, weighted": Loss(
        "bce_with_logits",
        each(lambda y, t: 3 * t * softplus(-y) + (1 - t) * softplus(y)),
        "unit",
        {"pos_weight": 3.0},
    ),
    "labels": Loss("cross_entropy", cross_entropy, "labels", whole=True),
    "labels, smoothed": Loss(
        "cross_entropy",
        lambda y, t: cross_entropy(y, t, 0.25),
        "labels",
        {"label_smoothing": 0.25},
        whole=True,
    ),
    "probabilities": Loss("cross_entropy", cross_entropy, "shares", whole=True),
    "nll": Loss("nll", lambda y, t: [-y[list(t).index(1)]], "labels", whole=True),
    "multi_margin": Loss("multi_margin", multi_margin, "labels", whole=True),
    "hinge": Loss("hinge", each(lambda y, t: max(mpf(0), 1 - t * y)), "signs"),
    "soft_margin": Loss("soft_margin", each(lambda y, t: softplus(-t * y)), "signs"),
    "hinge_embedding": Loss(
        "hinge_embedding", each(lambda y, t: y if t == 1 else max(mpf(0), 1 - y)), "signs"
    ),
    "poisson_nll": Loss("poisson_nll", each(lambda y, t: mpmath.exp(y) - t * y), "counts"),
    "bce": Loss("bce", each(lambda y, t: -t * mpmath.log(y) - (1 - t) * mpmath.log(1 - y)), "unit"),
    "multilabel_margin": Loss("multilabel_margin", multilabel_margin, "marks", whole=True),
    "multilabel_soft_margin": Loss(
        "multilabel_soft_margin",
        lambda y, t: [
            sum(softplus(y_k) - t_k * y_k for y_k, t_k in zip(y, t, strict=True)) / CLASSES
        ],
        "marks",
        whole=True,
    ),
    "kl_div": Loss("kl_div", each(lambda y, t: t * (mpmath.log(t) - y) if t else mpf(0)), "shares"),
}


def test_every_loss_has_its_definition() -> None:
    assert {loss.name for loss in LOSSES.values()} == {
        entry.name for entry in entries(Kind.LOSS) if on_target(entry)
    }


def rows(loss: Loss, dtype: str) -> tuple[Any, Any, Any]:
    """Return outputs, targets, and targets as numbers for each output, exact in the type."""
    rng = np.random.default_rng(8)
    signed = np.array([sign * size for size in SIZES for sign in (-1, 1)])
    y = np.concatenate([rng.choice(signed, (40, CLASSES)), np.resize(signed, (8, CLASSES))])
    y = y.astype(dtype).astype(np.float64)
    if loss.name == "poisson_nll":  # exp is the loss there
        y = np.minimum(y, 60.0)
    if loss.name == "bce":  # a probability
        y = np.where(y > 0, 1 / (2 + np.abs(y)), 1 - 1 / (2 + np.abs(y)))
        y = y.astype(dtype).astype(np.float64)
    n = len(y)
    t = {
        "numbers": rng.normal(size=y.shape),
        "unit": rng.choice([0.0, 1.0, 0.25, 0.875], y.shape),
        "signs": rng.choice([-1.0, 1.0], y.shape),
        "marks": rng.choice([0.0, 1.0], y.shape),
        "counts": rng.integers(0, 5, y.shape).astype(np.float64),
        "shares": np.array([[0.25, 0.25, 0.5], [1.0, 0.0, 0.0], [0.0, 0.125, 0.875]])[
            np.arange(n) % 3
        ],
        "labels": np.eye(CLASSES)[np.arange(n) % CLASSES],
    }[loss.wanted]
    t = t.astype(dtype).astype(np.float64)
    return y, t.argmax(axis=1) if loss.wanted == "labels" else t, t


def truth(loss: Loss, y: Row, t: Row) -> tuple[list[Any], list[Any]]:
    """Return a row's losses, and the gradient of their sum, by central differences."""
    with mpmath.workdps(250):
        at, held = [mpf(value) for value in y], [mpf(value) for value in t]
        slopes = []
        for k, here in enumerate(at):
            step = max(abs(here), mpf(10) ** -30) * mpf(10) ** -50
            sides = ([*at[:k], here + side * step, *at[k + 1 :]] for side in (1, -1))
            above, below = (sum(loss.true(side, held)) for side in sides)
            slopes.append((above - below) / (2 * step))
        return loss.true(at, held), slopes


@pytest.mark.parametrize(("target", "dtype"), WAYS)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_keep_their_digits(name: str, target: str, dtype: str) -> None:
    loss = LOSSES[name]
    wanted = {"shape": ["n"], "classes": CLASSES} if loss.wanted == "labels" else ["n", CLASSES]
    spec = {
        "inputs": {"x": ["n", CLASSES], "t": wanted},
        "layers": [
            {"f1": {"dense": {"units": CLASSES, "bias": False}, "init": np.eye(3).tolist()}}
        ],
        "loss": {loss.name: {"target": "t", "reduction": "none", **loss.options}},
        "optimizer": "sgd",
    }
    module: Any = compiled(spec, target, ("x",), dtype, readable=target == "python")
    y, t, numbers = rows(loss, dtype)
    given: tuple[Any, Any] = (y.astype(dtype), t)
    if target == "python":
        given = (y.tolist(), t.tolist())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, grads = module.value_and_grad(module.init(0), *given)
    values = np.array(found, np.float64).reshape(len(y), -1)
    slopes = np.array(grads["x"], np.float64)
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).tiny)
    for row, held, value, slope in zip(y, numbers, values, slopes, strict=True):
        true, gradient = truth(loss, row, held)
        moved = [abs(y_k * g_k) for y_k, g_k in zip(row, gradient, strict=True)]
        for k, (got, right) in enumerate(zip(value, true, strict=True)):
            scale = 1 + sum(moved) if loss.whole else moved[k]
            allowed = 4 * eps * (abs(right) + scale) + tiny
            assert abs(got - right) <= allowed, f"L({row}, {held}) = {got}, truly {float(right)}"
        for got, right in zip(slope, gradient, strict=True):
            allowed = 4 * eps * (1 + abs(right)) + tiny
            assert abs(got - right) <= allowed, f"∂L({row}, {held}) = {got}, truly {float(right)}"
