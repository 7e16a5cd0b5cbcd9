"""The examples, on every target: generated, checked, trained to what each promises."""

import runpy
import shutil
from functools import cache
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from settings import TARGETS

import symback

EXAMPLES = Path(__file__).parent.parent / "examples"
LARGE = ("gpt", "lenet", "lstm")  # plain Python takes long over these
SPECS = sorted(path.stem for path in EXAMPLES.glob("*.yaml") if path.stem not in LARGE)
FORMS = [("numpy", False), ("numpy", True), ("python", True), ("c", True)]

targets = pytest.mark.parametrize("target", TARGETS)
forms = pytest.mark.parametrize(("target", "readable"), FORMS)


@cache
def module(name: str, target: str, readable: bool = False) -> ModuleType:
    """Return an example's module."""
    return symback.compile(EXAMPLES / f"{name}.yaml", target, readable=readable)


@cache
def data(name: str, target: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the rows for training and for the test; the same where all are for training."""
    made = module(name, target)
    read: Any = made.read(str(EXAMPLES / made.DATA))
    if symback.load(EXAMPLES / f"{name}.yaml").data.test:  # type: ignore[union-attr]
        training, test = read
    else:
        training = test = read
    return arrays(training), arrays(test)


def arrays(given: Any) -> tuple[Any, ...]:
    """Return a network's arrays; a single one stands by itself."""
    return given if isinstance(given, tuple) else (given,)


@cache
def trained(name: str, target: str, epochs: int = 0, rows: int = 10**6) -> tuple[Any, Any]:
    """Train an example as its spec says, or for fewer epochs; return parameters and history."""
    made = module(name, target)
    training = [array[:rows] for array in data(name, target)[0]]
    params = made.init()
    history = made.train(params, *training, **({"epochs": epochs} if epochs else {}))
    return params, history


def test_there_are_examples() -> None:
    wanted = {"linear", "chain", "xor", "moons", "addition", "iris", "digits", "own_formula"}
    assert wanted | {"autoencoder", "siren", "texts", "factors"} <= set(SPECS)
    assert all((EXAMPLES / f"{name}.yaml").is_file() for name in LARGE)


def test_data_is_made_again_to_the_byte(tmp_path: Path) -> None:
    for name in ("names.txt", "river.txt"):
        shutil.copy(EXAMPLES / name, tmp_path)
    made = runpy.run_path(str(EXAMPLES / "make_data.py"))
    for make in made["MADE"]:
        make.__globals__["HERE"] = tmp_path
        make()
    written = sorted(path.name for path in tmp_path.iterdir())
    assert {path.name for path in EXAMPLES.glob("*.csv")} <= set(written)
    for name in written:
        assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes(), name


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
    examples = [part[:64] for part in data(name, target)[0]]
    params = made.init(1)
    before = made.evaluate(params, *examples)["loss"]
    history = made.train(params, *examples, epochs=10)
    assert len(history) == 10
    assert made.evaluate(params, *examples)["loss"] < 0.95 * before


@pytest.mark.parametrize("name", LARGE)
def test_large_ones_agree_on_every_target(name: str) -> None:
    """Loss and gradients of a few examples, and the loss after two steps."""
    ours = module(name, "numpy")
    assert ours.check() == []
    examples, start = arrays(ours.sample(3)), ours.init()
    loss, grads = ours.value_and_grad(start, *examples)
    for target in [target for target in TARGETS if target != "numpy"]:
        made = module(name, target)
        plain = target == "python"
        params = {key: w.tolist() if plain else w.copy() for key, w in start.items()}
        given = [array.tolist() if plain else array for array in examples]
        other_loss, other_grads = made.value_and_grad(params, *given)
        assert other_loss == pytest.approx(loss, rel=1e-11)
        for key, grad in grads.items():
            np.testing.assert_allclose(other_grads[key], grad, rtol=1e-9, atol=1e-13)
        history = made.train(params, *given, epochs=2)
        assert history[1].loss < history[0].loss


@pytest.mark.parametrize("name", SPECS)
def test_readable_and_fast_form_train_alike(name: str) -> None:
    examples = [part[:64] for part in data(name, "numpy")[0]]
    losses = []
    for readable in (False, True):
        made = module(name, "numpy", readable)
        losses.append([row.loss for row in made.train(made.init(), *examples, epochs=5)])
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
    made, (params, _) = module("lenet", "numpy"), trained("lenet", "numpy")
    assert made.evaluate(params, *data("lenet", "numpy")[1])["accuracy"] >= 0.97


def test_a_small_gpt_learns_to_spell() -> None:
    made, (params, history) = module("gpt", "numpy"), trained("gpt", "numpy", 4)
    assert history[0].loss > history[-1].loss
    assert made.evaluate(params, *data("gpt", "numpy")[1])["loss"] < 2.45  # log 27 is 3.3
    spelled = runpy.run_path(str(EXAMPLES / "spell.py"))["spelled"]
    rng = Random(1)
    names = [spelled(made, params, rng, 0.7) for _ in range(20)]
    letters = [letter for name in names for letter in name]
    assert 60 < len(letters) < 200  # 3 to 10 a name
    vowels = sum(letter in "aeiouy" for letter in letters) / len(letters)
    assert 0.3 < vowels < 0.6


def test_a_letter_sees_only_those_before_it() -> None:
    made, params = module("gpt", "numpy"), module("gpt", "numpy").init()
    x, _ = made.sample(4)
    other = x.copy()
    other[:, 7:] = (other[:, 7:] + 1) % 27
    before, after = made.predict(params, x), made.predict(params, other)
    np.testing.assert_array_equal(before[:, :7], after[:, :7])
    assert np.abs(before[:, 7:] - after[:, 7:]).min(axis=2).max() > 0


def test_an_lstm_remembers_a_text() -> None:
    _, history = trained("lstm", "numpy", 4)
    assert history[-1].loss < 0.8 * history[0].loss


def test_an_autoencoder_restores_digits() -> None:
    """Better than the mean of all images, from eight numbers each."""
    made, (params, _) = module("autoencoder", "numpy"), trained("autoencoder", "numpy", 8)
    (training,), (test,) = data("autoencoder", "numpy")
    plain = np.mean((np.mean(training, axis=0) - test) ** 2) / 16**2
    assert made.evaluate(params, test)["loss"] < 0.4 * plain


def test_a_siren_is_its_image() -> None:
    made, (params, _) = module("siren", "numpy"), trained("siren", "numpy")
    assert made.evaluate(params, *data("siren", "numpy")[0])["rmse"] < 0.05


def test_short_texts_are_told_apart() -> None:
    made, (params, _) = module("texts", "numpy"), trained("texts", "numpy")
    assert made.evaluate(params, *data("texts", "numpy")[1])["accuracy"] >= 0.9


def test_ratings_are_told_from_two_vectors() -> None:
    """Near the noise of 0.1 in them, on pairs it hasn't seen; the mean alone is off by more."""
    made, (params, _) = module("factors", "numpy"), trained("factors", "numpy")
    test = data("factors", "numpy")[1]
    assert made.evaluate(params, *test)["rmse"] < 0.3 < 0.5 * np.std(test[2])
