"""The examples, on every target: generated, checked, trained to what each promises."""

from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from settings import TARGETS

import symback

EXAMPLES = Path(__file__).parent.parent / "examples"
SPECS = sorted(path.stem for path in EXAMPLES.glob("*.yaml") if path.stem != "lenet")
FORMS = [("numpy", False), ("numpy", True), ("python", True), ("c", True)]

targets = pytest.mark.parametrize("target", TARGETS)
forms = pytest.mark.parametrize(("target", "readable"), FORMS)


@cache
def module(name: str, target: str, readable: bool = False) -> ModuleType:
    """Return an example's module."""
    return symback.compile(EXAMPLES / f"{name}.yaml", target, readable=readable)


@cache
def data(name: str, target: str) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return the rows for training and for the test; the same where all are for training."""
    read = module(name, target).read(str(EXAMPLES / f"{name}.csv"))
    return read if isinstance(read[0], tuple) else (read, read)


@cache
def trained(name: str, target: str, epochs: int = 0, rows: int = 10**6) -> tuple[Any, Any]:
    """Train an example as its spec says, or for fewer epochs; return parameters and history."""
    made = module(name, target)
    (x, t), _ = data(name, target)
    params = made.init()
    history = made.train(params, x[:rows], t[:rows], **({"epochs": epochs} if epochs else {}))
    return params, history


def test_there_are_examples() -> None:
    wanted = {"linear", "chain", "xor", "moons", "addition", "iris", "digits", "own_formula"}
    assert wanted <= set(SPECS)


@forms
@pytest.mark.parametrize("name", SPECS)
def test_gradients_are_right(name: str, target: str, readable: bool) -> None:
    for seed in (0, 1):
        assert module(name, target, readable).check(seed) == []


@forms
@pytest.mark.parametrize("name", SPECS)
def test_loss_falls(name: str, target: str, readable: bool) -> None:
    """A few epochs on some rows; the loss after them, in evaluation, is less than before."""
    made = module(name, target, readable)
    x, t = (part[:64] for part in data(name, target)[0])
    params = made.init(1)
    before = made.evaluate(params, x, t)["loss"]
    history = made.train(params, x, t, epochs=10)
    assert len(history) == 10
    assert made.evaluate(params, x, t)["loss"] < 0.95 * before


@pytest.mark.parametrize("name", SPECS)
def test_readable_and_fast_form_train_alike(name: str) -> None:
    x, t = (part[:64] for part in data(name, "numpy")[0])
    losses = []
    for readable in (False, True):
        made = module(name, "numpy", readable)
        losses.append([row.loss for row in made.train(made.init(), x, t, epochs=5)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9, atol=0)


@targets
def test_chain_fits_its_parabola(target: str) -> None:
    _, history = trained("chain", target)
    assert len(history) == 300
    assert history[-1].loss < 0.01


@targets
def test_xor_is_learnt(target: str) -> None:
    made, (params, _) = module("xor", target), trained("xor", target)
    outputs = np.array(made.predict(params, data("xor", target)[0][0])).ravel()
    wanted = np.array(data("xor", target)[0][1]).ravel()
    assert np.array_equal(outputs > 0, wanted > 0.5)


@targets
def test_moons_are_told_apart(target: str) -> None:
    """As micrograd's demo: every point on its side after 100 steps, the rate falling to 0.1."""
    made, (params, history) = module("moons", target), trained("moons", target)
    assert len(history) == 100
    assert history[0].lr == 1.0
    assert history[-1].lr == pytest.approx(1 - 0.9 * 99 / 100, rel=1e-12)
    assert made.evaluate(params, *data("moons", target)[0])["binary_accuracy"] == 1.0


@targets
def test_iris_are_told_apart(target: str) -> None:
    made, (params, _) = module("iris", target), trained("iris", target)
    assert made.evaluate(params, *data("iris", target)[1])["accuracy"] >= 0.9


def test_digits_are_read() -> None:
    made, (params, _) = module("digits", "numpy"), trained("digits", "numpy")
    training, test = data("digits", "numpy")
    assert len(test[0]) == round(0.2 * (len(training[0]) + len(test[0])))
    assert made.evaluate(params, *test)["accuracy"] >= 0.97


def test_digits_are_read_in_plain_python() -> None:
    """Three epochs over 600 images: enough to read most."""
    made, (params, _) = module("digits", "python"), trained("digits", "python", 3, 600)
    _, (x, t) = data("digits", "python")
    assert made.evaluate(params, x, t)["accuracy"] >= 0.85


@targets
def test_own_formulas_learn(target: str) -> None:
    _, history = trained("own_formula", target)
    assert history[-1].loss < history[0].loss / 20


def rows(name: str, target: str) -> list[tuple[float, ...]]:
    """Return all rows of an example's data, sorted."""
    training, test = data(name, target)
    parts = [training] if test is training else [training, test]
    joined = [np.hstack([np.array(a).reshape(len(a), -1) for a in part]) for part in parts]
    return sorted(map(tuple, np.vstack(joined)))


@pytest.mark.parametrize("name", [name for name in SPECS if name != "iris"])
def test_both_targets_read_the_same_rows(name: str) -> None:
    """Which are kept for the test is drawn differently; iris is standardised by the others."""
    assert rows(name, "numpy") == rows(name, "python")


def test_a_recurrence_learns_to_add() -> None:
    """Every bit of every sum it has not seen is right: it has found out how to carry."""
    made, (params, _) = module("addition", "numpy"), trained("addition", "numpy")
    assert made.evaluate(params, *data("addition", "numpy")[1])["binary_accuracy"] == 1.0


def test_lenet_reads_digits() -> None:
    """On NumPy alone: in plain Python its convolutions take minutes."""
    made = symback.compile(EXAMPLES / "lenet.yaml")
    train, test = made.read(str(EXAMPLES / "digits.csv"))
    params = made.init()
    made.train(params, *train)
    assert made.evaluate(params, *test)["accuracy"] >= 0.97
