"""Every metric beside scikit-learn's or its definition, on every target that computes it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from oracle import SpecMapping, compiled, entries
from settings import IN_PYTHON

from symback.catalog.entry import Kind

scores = pytest.importorskip("sklearn.metrics")

Numbers = Any  # an array
CLASSES, ROWS, IGNORED = 6, 60, -1


def by_labels(score: Callable[..., float], **options: Any) -> Callable[[Numbers, Numbers], float]:
    return lambda y, t: score(t, y.argmax(axis=1), **options)


def by_sides(score: Callable[..., float]) -> Callable[[Numbers, Numbers], float]:
    return lambda y, t: score(t.ravel() > 0.5, y.ravel() > 0)


def top(k: int) -> Callable[[Numbers, Numbers], float]:
    return lambda y, t: scores.top_k_accuracy_score(t, y, k=k, labels=range(CLASSES))


def perplexity(y: Numbers, t: Numbers) -> float:
    shares = np.exp(y - np.log(np.exp(y).sum(axis=1, keepdims=True)))
    return float(np.exp(-np.log(shares[np.arange(len(t)), t]).mean()))


MACRO: Mapping[str, Any] = {"average": "macro", "zero_division": 0}
OF_LABELS: Mapping[str, Any] = {
    "accuracy": by_labels(scores.accuracy_score),
    "top_k": top(5),
    "precision": by_labels(scores.precision_score, **MACRO),
    "recall": by_labels(scores.recall_score, **MACRO),
    "f1": by_labels(scores.f1_score, **MACRO),
    "perplexity": perplexity,
}
OF_NUMBERS: Mapping[str, Any] = {
    "binary_accuracy": by_sides(scores.accuracy_score),
    "binary_precision": by_sides(scores.precision_score),
    "binary_recall": by_sides(scores.recall_score),
    "binary_f1": by_sides(scores.f1_score),
    "mae": lambda y, t: scores.mean_absolute_error(t, y),
    "mse": lambda y, t: scores.mean_squared_error(t, y),
    "rmse": lambda y, t: scores.root_mean_squared_error(t, y),
    "mape": lambda y, t: scores.mean_absolute_percentage_error(t, y),
    "max_error": lambda y, t: scores.max_error(t, y),
    "r2": lambda y, t: scores.r2_score(t, y),
    "explained_variance": lambda y, t: scores.explained_variance_score(t, y),
}


def test_every_metric_has_its_counterpart() -> None:
    assert {entry.name for entry in entries(Kind.METRIC)} == {*OF_LABELS, *OF_NUMBERS}


def spec(loss: Any, target: Any, width: int, metrics: list[Any]) -> SpecMapping:
    return {
        "inputs": {"x": ["n", width], "t": target},
        "layers": [{"f1": {"dense": width}}],
        "loss": loss,
        "optimizer": "sgd",
        "metrics": metrics,
    }


LABELS = {"shape": ["n"], "classes": CLASSES}
IGNORING = {"cross_entropy": {"target": "t", "ignore_index": IGNORED}}


def found(written: SpecMapping, target: str, y: Numbers, t: Numbers) -> dict[str, float]:
    module = compiled(written, target)
    held = (y, t) if target == "numpy" else (y.tolist(), t.tolist())
    return dict(module.metrics(*held))


def labelled() -> tuple[Numbers, Numbers]:
    """Return outputs and labels; class 4 doesn't occur, class 5 is never chosen."""
    rng = np.random.default_rng(2)
    t = rng.choice([0, 1, 2, 3, 5], ROWS)
    y = rng.normal(size=(ROWS, CLASSES)) + 1.5 * np.eye(CLASSES)[t]
    y[:, 4:] -= 9
    return y, t


@pytest.mark.parametrize("target", IN_PYTHON)
def test_of_labels(target: str) -> None:
    y, t = labelled()
    got = found(spec({"cross_entropy": "t"}, LABELS, CLASSES, [*OF_LABELS]), target, y, t)
    assert got == pytest.approx({name: of(y, t) for name, of in OF_LABELS.items()}, rel=1e-12)


@pytest.mark.parametrize("target", IN_PYTHON)
def test_ignored_labels_count_for_nothing(target: str) -> None:
    y, t = labelled()
    kept = np.arange(ROWS) % 4 > 0
    written = spec(IGNORING, LABELS, CLASSES, [*OF_LABELS])
    got = found(written, target, y, np.where(kept, t, IGNORED))
    wanted = {name: of(y[kept], t[kept]) for name, of in OF_LABELS.items()}
    assert got == pytest.approx(wanted, rel=1e-12)
    nothing = found(written, target, y, np.full(ROWS, IGNORED))
    assert nothing == {name: float(name == "perplexity") for name in OF_LABELS}


@pytest.mark.parametrize("target", IN_PYTHON)
def test_of_shares(target: str) -> None:
    """Targets of one row of probabilities each: their largest is the class."""
    y, t = labelled()
    names = [name for name in OF_LABELS if name != "perplexity"]
    written = spec({"cross_entropy": "t"}, ["n", CLASSES], CLASSES, names)
    got = found(written, target, y, 0.1 + 0.4 * np.eye(CLASSES)[t])
    assert got == pytest.approx({name: OF_LABELS[name](y, t) for name in names}, rel=1e-12)


@pytest.mark.parametrize("k", [1, 3])
def test_top_k(k: int) -> None:
    y, t = labelled()
    got = found(spec({"cross_entropy": "t"}, LABELS, CLASSES, [{"top_k": k}]), "numpy", y, t)
    assert got["top_k"] == top(k)(y, t)


@pytest.mark.parametrize("target", IN_PYTHON)
def test_of_numbers(target: str) -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=(ROWS, 1))
    t = np.where(rng.random(y.shape) < 0.5, 0.0, 1.0)
    t[0] = 3.5
    got = found(spec({"mse": "t"}, ["n", 1], 1, [*OF_NUMBERS]), target, y, t)
    assert got == pytest.approx({name: of(y, t) for name, of in OF_NUMBERS.items()}, rel=1e-12)


def test_an_autoencoder_is_measured_on_its_input() -> None:
    written = spec({"mse": "x"}, ["n", 3], 3, ["mse"])
    module = compiled(written | {"inputs": {"x": ["n", 3]}})
    x = np.random.default_rng(0).normal(size=(9, 3))
    params = module.init(0)
    assert module.evaluate(params, x)["mse"] == pytest.approx(module.loss(params, x), rel=1e-12)


def test_a_metric_compares_with_the_target_of_the_last_layer() -> None:
    """The first term has another output; the second compares the network's."""
    y, t = labelled()
    written = spec({}, LABELS, CLASSES, ["accuracy"])
    written["inputs"]["u"] = ["n", 2]
    written["layers"].insert(0, {"f0": {"dense": 2}})
    written["loss"] = [{"mse": {"target": "u", "output": "f0"}}, {"cross_entropy": "t"}]
    assert found(written, "numpy", y, t)["accuracy"] == scores.accuracy_score(t, y.argmax(axis=1))
