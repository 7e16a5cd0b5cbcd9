"""Computed indices: windows, labels, recurrences. Loss and gradients against JAX, on every form.

The oracle reads the same text with a reading of its own (`readings`); a place outside of an array
reads zero. Recurrences are computed step by step there, and differentiated by JAX.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jax
import numpy as np
import pytest
from readings import Arrays, Loops

import symback
from symback.errors import UserError

ROWS = 3
FORMS = [("numpy", True), ("numpy", False), ("python", True), ("c", True)]


@dataclass(frozen=True)
class Case:
    """A layer of formulas. `sizes` are the letters' ranges, `over` the output's letters."""

    layer: str | Sequence[str]
    over: str
    sizes: Mapping[str, int]
    parameters: Mapping[str, Sequence[int]]
    x: Sequence[int]
    classes: int | None = None
    given: Mapping[str, int] = field(default_factory=dict)  # what the spec says of sizes
    steps: str = ""  # the letter of a recurrence

    @property
    def texts(self) -> Sequence[str]:
        return [self.layer] if isinstance(self.layer, str) else self.layer

    @property
    def loss(self) -> str:
        letters = ", ".join(self.over)
        return f"sum(sin(y[{letters}]) * y[{letters}] + y[{letters}], {letters})"

    def spec(self) -> dict[str, Any]:
        held = {name: {"shape": list(s), "init": "zeros"} for name, s in self.parameters.items()}
        layer = {"formula": self.layer, "parameters": held, "sizes": dict(self.given)}
        shape: Any = ["n", *self.x]
        return {
            "inputs": {"x": {"shape": shape, "classes": self.classes} if self.classes else shape},
            "layers": [{"f1": layer}],
            "loss": {"formula": self.loss},
            "optimizer": "sgd",
        }

    def value(self, tensors: Mapping[str, Any], sizes: Mapping[str, int]) -> Any:
        """Return the loss as JAX has it."""
        reading = Arrays(tensors, sizes)
        if self.steps:
            made = reading.steps(self.texts, self.steps)
        else:
            made = {}
            for text in self.texts:
                name = text.partition("[")[0].strip()
                made[name] = Arrays({**tensors, **made}, sizes).array(text)
        *_, output = made.values()
        return Arrays({"y": output}, sizes).array(self.loss)


def gate(name: str, function: str) -> str:
    return (
        f"{name}[n, t, k] = {function}(sum(W{name}[k, i] * x[n, t, i], i)"
        f" + sum(U{name}[k, j] * h[n, t - 1, j], j))"
    )


CASES = {
    "convolution": Case(
        "z[n, o, i, j] = sum(K[o, c, p, q] * x[n, c, i + p - 1, j + q - 1], c, p, q) + b[o]",
        "noij",
        {"o": 4, "c": 2, "p": 3, "q": 3, "i": 5, "j": 4},
        {"K": (4, 2, 3, 3), "b": (4,)},
        (2, 5, 4),
    ),
    "stride": Case(
        "z[n, o, i] = sum(K[o, c, p] * tanh(x[n, c, 2*i + p - 1]), c, p)",
        "noi",
        {"o": 3, "c": 2, "p": 3, "i": 4},
        {"K": (3, 2, 3)},
        (2, 7),
    ),
    "dilation": Case(
        "z[n, i] = sum(K[p] * x[n, i + 2*p], p)",
        "ni",
        {"p": 3, "i": 5},
        {"K": (3,)},
        (9,),
    ),
    "transposed convolution": Case(
        "z[n, u] = sum(K[u - 2*i + 1] * x[n, i], i)",
        "nu",
        {"u": 7, "i": 4},
        {"K": (3,)},
        (4,),
        given={"u": 7},
    ),
    "largest of a window": Case(
        "z[n, i] = max(w[p] * x[n, 2*i + p], p)",
        "ni",
        {"p": 2, "i": 3},
        {"w": (2,)},
        (6,),
    ),
    "mean of a window": Case(
        "z[n, i] = w[i] * mean(exp(x[n, 3*i + p]), p)",
        "ni",
        {"p": 3, "i": 2},
        {"w": (2,)},
        (7,),
        given={"p": 3},
    ),
    "difference": Case(
        "z[n, i] = w[i] * (x[n, i + 1] - x[n, i])", "ni", {"i": 5}, {"w": (5,)}, (5,)
    ),
    "reversed": Case("z[n, i] = w[i] * x[n, size(i) - 1 - i]", "ni", {"i": 4}, {"w": (4,)}, (4,)),
    "toeplitz": Case(
        "z[n, i] = sum(w[i - j + 3] * x[n, j], j) * u[i]",
        "ni",
        {"i": 4, "j": 4},
        {"w": (7,), "u": (4,)},
        (4,),
    ),
    "hankel": Case(
        "z[n, i, j] = x[n, i + j] * w[i, j]", "nij", {"i": 2, "j": 3}, {"w": (2, 3)}, (4,)
    ),
    "halves": Case(
        ["h[n, s, i] = x[n, 3*s + i]", "z[n, i] = h[n, 0, i] * sigmoid(h[n, 1, i]) * w[i]"],
        "ni",
        {"s": 2, "i": 3},
        {"w": (3,)},
        (6,),
        given={"s": 2, "i": 3},
    ),
    "parts of an axis": Case(
        [
            "p[n, j] = w[j] * x[n, j]",
            "q[n, h, d] = p[n, 3*h + d]",
            "k[n, h, d] = p[n, 6 + 3*h + d]",
            "z[n, h, d] = sin(q[n, h, d]) * k[n, h, d]",
        ],
        "nhd",
        {"j": 12, "h": 2, "d": 3},
        {"w": (12,)},
        (12,),
        given={"h": 2, "d": 3},
    ),
    "blocks": Case(
        "z[n, i, j] = w[i] * mean(x[n, 2*i + p, 3*j + q] * x[n, 2*i + p, 0], p, q)",
        "nij",
        {"i": 3, "j": 2, "p": 2, "q": 3},
        {"w": (3,)},
        (6, 6),
        given={"p": 2, "q": 3},
    ),
    "shuffled": Case(
        "z[n, flat(h, a), flat(w, b)] = x[n, 3*a + b, h, w] * K[a, b]",
        "nuv",
        {"h": 2, "w": 4, "a": 2, "b": 3, "u": 4, "v": 12},
        {"K": (2, 3)},
        (6, 2, 4),
        given={"a": 2, "b": 3},
    ),
    "groups": Case(
        "z[n, flat(g, o), i] = sum(W[2*g + o, c, p] * x[n, 2*g + c, i + p - 1], c, p)",
        "nui",
        {"g": 2, "o": 2, "c": 2, "p": 3, "i": 5, "u": 4},
        {"W": (4, 2, 3)},
        (4, 5),
        given={"g": 2, "o": 2, "c": 2, "p": 3},
    ),
    "a kernel of one": Case(
        "z[n, o, i] = sum(K[o, c, p] * x[n, c, i + p], c, p)",
        "noi",
        {"o": 3, "c": 2, "p": 1, "i": 4},
        {"K": (3, 2, 1)},
        (2, 4),
    ),
    "diagonals": Case(
        "z[n, i] = w[i] * x[n, i, i] * x[n, i, size(i) - 1 - i]",
        "ni",
        {"i": 3},
        {"w": (3,)},
        (3, 3),
    ),
    "fixed places": Case("z[n] = w[2] * x[n, 3] * exp(x[n, 1])", "n", {}, {"w": (4,)}, (4,)),
    "a fixed place beside a window": Case(
        "z[n, k] = sin(w[k] * x[n, 0]) + sum(W[k, i] * x[n, i + 1], i)",
        "nk",
        {"k": 3, "i": 2},
        {"w": (3,), "W": (3, 2)},
        (3,),
    ),
    "embedding": Case(
        "z[n, t, d] = E[x[n, t], d] * P[t, d]",
        "ntd",
        {"t": 4, "d": 3},
        {"E": (5, 3), "P": (4, 3)},
        (4,),
        classes=5,
    ),
    "labels at the last axis": Case(
        "z[n, d, t] = tanh(E[d, x[n, t]])", "ndt", {"t": 4, "d": 3}, {"E": (3, 5)}, (4,), classes=5
    ),
    "bag": Case(
        "z[n, d] = mean(E[x[n, t], d], t)", "nd", {"t": 4, "d": 3}, {"E": (5, 3)}, (4,), classes=5
    ),
    "pairs of labels": Case(
        "z[n, t] = sum(B[x[n, t], x[n, u]], u)",
        "nt",
        {"t": 3, "u": 3},
        {"B": (4, 4)},
        (3,),
        classes=4,
    ),
    "running sum": Case(
        "z[n, i] = w[i] * sum(where(j <= i, exp(w[j]) * x[n, j], 0), j)",
        "ni",
        {"i": 4, "j": 4},
        {"w": (4,)},
        (4,),
    ),
    "attention": Case(
        [
            "q[n, t, d] = sum(Q[d, i] * x[n, t, i], i)",
            "s[n, t, u] = sum(q[n, t, d] * x[n, u, d], d)",
            "a[n, t, u] = softmax(where(u <= t, s[n, t, u], -1e9), u)",
            "z[n, t, d] = sum(a[n, t, u] * x[n, u, d], u)",
        ],
        "ntd",
        {"t": 4, "u": 4, "d": 3, "i": 3},
        {"Q": (3, 3)},
        (4, 3),
    ),
    "recurrence": Case(
        "h[n, t, k] = tanh(sum(U[k, j] * h[n, t - 1, j], j) + sum(W[k, i] * x[n, t, i], i) + b[k])",
        "ntk",
        {"t": 4, "k": 3, "j": 3, "i": 2},
        {"U": (3, 3), "W": (3, 2), "b": (3,)},
        (4, 2),
        steps="t",
    ),
    "moving mean": Case(
        "h[n, t] = a * h[n, t - 1] + (1 - a) * x[n, t]", "nt", {"t": 5}, {"a": ()}, (5,), steps="t"
    ),
    "two steps back": Case(
        "h[n, t] = a * h[n, t - 1] + sin(b * h[n, t - 2]) + x[n, t]",
        "nt",
        {"t": 5},
        {"a": (), "b": ()},
        (5,),
        steps="t",
    ),
    "backwards": Case(
        "h[n, k, t] = tanh(sum(U[k, j] * h[n, j, t + 1], j) + x[n, k, t])",
        "nkt",
        {"t": 4, "k": 2, "j": 2},
        {"U": (2, 2)},
        (2, 4),
        steps="t",
    ),
    "start": Case(
        "h[n, t, k] = tanh(sum(U[k, j] * where(t == 0, s[j], h[n, t - 1, j]), j) + x[n, t, k])",
        "ntk",
        {"t": 4, "k": 2, "j": 2},
        {"U": (2, 2), "s": (2,)},
        (4, 2),
        steps="t",
    ),
    "beside a fixed place": Case(
        [
            "a[n, t, c, k] = sum(W[c, k, i] * x[n, t, i], i)",
            "s[n, t, k] = sigmoid(a[n, t, 1, k]) * s[n, t - 1, k] + a[n, t, 0, k]",
        ],
        "ntk",
        {"t": 3, "k": 2, "c": 2, "i": 2},
        {"W": (2, 2, 2)},
        (3, 2),
        steps="t",
    ),
    "a step before, at a fixed place": Case(
        "s[n, t, k] = x[n, t - 1, 1, k] * s[n, t - 1, k] + x[n, t, 0, k] * w[k]",
        "ntk",
        {"t": 3, "k": 2},
        {"w": (2,)},
        (3, 2, 2),
        steps="t",
    ),
    "its own fixed place": Case(
        "h[n, t, k] = tanh(h[n, t - 1, 1] * w[k] + x[n, t, k])",
        "ntk",
        {"t": 3, "k": 2},
        {"w": (2,)},
        (3, 2),
        steps="t",
    ),
    "its own neighbours": Case(
        (
            "h[n, t, i] = tanh(w[0] * h[n, t - 1, i - 1] + w[1] * h[n, t - 1, i]"
            " + w[2] * h[n, t - 1, i + 1] + x[n, t, i])"
        ),
        "nti",
        {"t": 3, "i": 4},
        {"w": (3,)},
        (3, 4),
        steps="t",
    ),
    "its own window": Case(
        "h[n, t, i] = tanh(sum(K[p] * h[n, t - 1, i + p - 1], p) + x[n, t, i])",
        "nti",
        {"t": 3, "i": 4, "p": 3},
        {"K": (3,)},
        (3, 4),
        steps="t",
    ),
    "windows that move with it": Case(
        (
            "h[n, t] = tanh(h[n, t - 1] * x[n, 2*t + 1]"
            " + sum(K[p] * x[n, 2*t + p] * h[n, t - 1], p))"
        ),
        "nt",
        {"t": 3, "p": 2},
        {"K": (2,)},
        (6,),
        steps="t",
    ),
    "through a logarithm and a quotient": Case(
        "h[n, t] = log(2 + h[n, t - 1]**2) / x[n, t] + w * sqrt(x[n, t]**2 + h[n, t - 1]**2)",
        "nt",
        {"t": 4},
        {"w": ()},
        (4,),
        steps="t",
    ),
    "through a maximum": Case(
        "h[n, t, k] = x[n, t, k] + max(h[n, t - 1, j] * U[k, j], j)",
        "ntk",
        {"t": 3, "k": 2, "j": 2},
        {"U": (2, 2)},
        (3, 2),
        steps="t",
    ),
    "through a softmax": Case(
        "h[n, t, k] = softmax(w[k] * h[n, t - 1, k] + x[n, t, k], k) * x[n, t, k]",
        "ntk",
        {"t": 3, "k": 2},
        {"w": (2,)},
        (3, 2),
        steps="t",
    ),
    "a logarithm of the place": Case(
        "z[n, i] = log(i + 1) * sum(w[p] * x[n, i + p - 1], p)",
        "ni",
        {"i": 4, "p": 3},
        {"w": (3,)},
        (4,),
    ),
    "its own neighbours through logarithms": Case(
        "h[n, t, k] = w[k] * log(1.5 + h[n, t + 1, k + 1]**2) * log(k + 2) * log(t + 1)"
        " + x[n, t, k]",
        "ntk",
        {"t": 3, "k": 3},
        {"w": (3,)},
        (3, 3),
        steps="t",
    ),
    "every other of its own": Case(
        "h[n, t, k] = sin(w[k] * h[n, t - 1, 2*k - 1] + x[n, t, k])",
        "ntk",
        {"t": 3, "k": 4},
        {"w": (4,)},
        (3, 4),
        steps="t",
    ),
    "a delta that moves with the steps": Case(
        "h[n, t, k] = sin(sum(W[k, l] * h[n, t - 1, l] * delta(k, 2*t - l), l) + x[n, t, k])"
        " + W[k, 0] * h[n, t - 1, 2*k - 1] * delta(k, 2*t - 1)",
        "ntk",
        {"t": 3, "k": 3, "l": 3},
        {"W": (3, 3)},
        (3, 3),
        steps="t",
    ),
    "a sum without parameters": Case(
        "h[n, t, k] = tanh(cumsum(h[n, t - 1, k], k)) + w[k] * x[n, t, k]",
        "ntk",
        {"t": 3, "k": 2},
        {"w": (2,)},
        (3, 2),
        steps="t",
    ),
    "among the examples": Case(
        "h[n, t] = softmax(w * h[n, t - 1] + x[n, t], n) + min(h[n, t - 1], n)",
        "nt",
        {"t": 3},
        {"w": ()},
        (3,),
        steps="t",
    ),
    "axes in another order": Case(
        [
            "a[k, t, n] = sin(h[n, t - 1, k] + x[n, t, k])",
            "h[n, t, k] = w[k] * a[k, t, n] + a[k - 1, t - 1, n]",
        ],
        "ntk",
        {"t": 3, "k": 2},
        {"w": (2,)},
        (3, 2),
        steps="t",
    ),
    "an inverse and a determinant": Case(
        "h[n, t, k] = sum(inv(3 * delta(k, j) + U[k, j] * h[n, t - 1, 0], k, j) * x[n, t, j], j)"
        " + logdet(9 * delta(i, j) + h[n, t - 1, i] * h[n, t - 1, j], i, j)",
        "ntk",
        {"t": 3, "k": 2, "j": 2, "i": 2},
        {"U": (2, 2)},
        (3, 2),
        steps="t",
    ),
    "long short-term memory": Case(
        [
            gate("f", "sigmoid"),
            gate("g", "tanh"),
            gate("o", "sigmoid"),
            "c[n, t, k] = f[n, t, k] * c[n, t - 1, k] + (1 - f[n, t, k]) * g[n, t, k]",
            "h[n, t, k] = o[n, t, k] * tanh(c[n, t, k])",
        ],
        "ntk",
        {"t": 3, "k": 2, "j": 2, "i": 2},
        {f"{kind}{name}": (2, 2) for name in "fgo" for kind in "WU"},
        (3, 2),
        steps="t",
    ),
}


@cache
def oracle(name: str) -> tuple[Any, Mapping[str, Any], Any, Mapping[str, Any]]:
    """Draw a case's x and parameters; return them, the loss and the slopes as JAX has them."""
    case = CASES[name]
    rng = np.random.default_rng(0)
    sizes = {"n": ROWS, **case.sizes}
    x: Any = rng.normal(size=(ROWS, *case.x))
    if case.classes:
        x = rng.integers(0, case.classes, (ROWS, *case.x))
    held = {key: rng.normal(size=shape) for key, shape in case.parameters.items()}
    given = held if case.classes else {**held, "x": x}
    by = jax.jit(jax.value_and_grad(lambda g: case.value({"x": x, **g}, sizes)))
    return x, held, *by(given)


@pytest.mark.parametrize(("target", "readable"), FORMS)
@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients_are_jax_s(name: str, target: str, readable: bool) -> None:
    case = CASES[name]
    sizes = {"n": ROWS, **case.sizes}
    x, held, wanted, slopes = oracle(name)
    wrt = () if case.classes else ("x",)
    module = symback.compile(case.spec(), target, readable=readable, wrt=wrt)
    params: Any = {f"f1.{key}": value.copy() for key, value in held.items()}
    if target == "python":
        params = {key: np.atleast_1d(value).tolist() for key, value in params.items()}
        value, grads = module.value_and_grad(params, x.tolist())
    else:
        value, grads = module.value_and_grad(params, x)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    for key, slope in slopes.items():
        got = np.asarray(grads[key if key == "x" else f"f1.{key}"]).reshape(np.shape(slope))
        np.testing.assert_allclose(got, slope, rtol=1e-10, atol=1e-12)
    assert module.check() == []
    if not case.steps and len(case.texts) == 1:
        by_hand = Loops({"x": x, **held}, sizes).array(case.texts[0])
        found = module.forward(params, x.tolist() if target == "python" else x)[0]
        np.testing.assert_allclose(found, by_hand, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(("target", "readable"), FORMS)
def test_labels_pick_rows_of_columns(target: str, readable: bool) -> None:
    """As many examples as classes: what stands the wrong way round has the right shape."""
    spec = {
        "inputs": {"x": ["n", 2], "e": {"shape": ["n"], "classes": 3}},
        "layers": [
            {"f1": {"dense": {"units": 3, "bias": False}}},
            {"f2": {"formula": "h[k, n] = x[n, k]"}},
        ],
        "loss": {"formula": "sum(y[e[n], n]**2, n)"},
        "optimizer": "sgd",
    }
    rng = np.random.default_rng(0)
    w, x, e = rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), np.array([1, 1, 2])
    module: Any = symback.compile(spec, target, readable=readable)
    given = [w.tolist(), x.tolist(), e.tolist()] if target == "python" else [w.copy(), x, e]
    value, grads = module.value_and_grad({"f1.weight": given[0]}, *given[1:])
    picked = (w[e] * x).sum(axis=1)
    np.testing.assert_allclose(value, (picked**2).sum(), rtol=1e-12)
    wanted = (e == np.arange(3)[:, None]) * 2 * picked @ x
    np.testing.assert_allclose(grads["f1.weight"], wanted, rtol=1e-12)


@pytest.mark.parametrize(("target", "readable"), FORMS)
@pytest.mark.parametrize(
    ("formula", "axes"),
    [
        ("z[i, n] = w[i] * x[n, i]**2", "in"),
        ("z[i] = w[i] * mean(x[n, i]**2, n)", "i"),
        ("z = sum(w[i] * mean(x[n, i]**2, n), i)", ""),
        ("z[n, m] = sum(w[i] * x[n, i] * x[m, i], i)", "nm"),
    ],
)
def test_outputs_have_any_axes(target: str, readable: bool, formula: str, axes: str) -> None:
    """More rows than a batch: trained, predicted, evaluated, and the gradient is the loss's."""
    held = {"w": {"shape": [3], "init": "normal(0, 1)"}}
    spec: dict[str, Any] = {
        "inputs": {"x": ["n", 3]},
        "layers": [{"f1": {"formula": formula, "parameters": held}}],
        "loss": {
            "formula": f"mean(sin(y[{', '.join(axes)}]), {', '.join(axes)})" if axes else "sin(y)"
        },
        "optimizer": "sgd",
        "train": {"epochs": 2, "batch_size": 4},
    }
    module: Any = symback.compile(spec, target, readable=readable)
    assert module.check(seed=1) == []
    params, x = module.init(0), np.random.default_rng(0).normal(size=(6, 3))
    given = x.tolist() if target == "python" else x
    assert len(module.train(params, given)) == 2
    squares = np.asarray(params["f1.w"]) * x**2
    wanted = {
        "in": squares.T,
        "i": squares.mean(axis=0),
        "": squares.mean(axis=0).sum(),
        "nm": x * np.asarray(params["f1.w"]) @ x.T,
    }[axes]
    np.testing.assert_allclose(module.predict(params, given), wanted, rtol=1e-12)
    loss = module.evaluate(params, given)["loss"]
    assert np.isfinite(loss)
    spec |= {"train": {"accumulate": 2}}
    with pytest.raises(UserError, match="`accumulate` joins the batches' outputs"):
        symback.generate(spec, target, readable=readable)


def refusal(layer: str | Sequence[str], x: Any, **more: Any) -> str:
    """Return what is said of a layer that can't be read."""
    spec = {
        "inputs": {"x": x},
        "layers": [{"f1": {"formula": layer, **more}}],
        "loss": {"formula": "0"},
        "optimizer": "sgd",
    }
    with pytest.raises(UserError) as caught:
        symback.derive(spec)
    return str(caught.value)


@pytest.mark.parametrize(
    ("layer", "x", "said"),
    [
        ("z[n, i] = w[x[n, i]]", ["n", 3], "`x` holds numbers, not labels"),
        (
            "z[n, i] = w[x[n, i]]",
            {"shape": ["n", 3], "classes": 5},
            "`x` has 5 classes, this axis 4 values",
        ),
        ("z[n, i] = w[i] * x[n + 1, i]", ["n", 4], "at the axis of n values stands a plain index"),
        ("z[n, i] = sum(x[n, i + p], p) * w[0]", ["n", 4], "how many values does the index"),
        ("z[n, i] = x[n, 2*i] * z[n, i] * w[i]", ["n", 4], "isn't there yet"),
        ("z[n, i] = x[n, i] * z[n, i - 1] * z[n, i + 1] * w[i]", ["n", 4], "both ways at once"),
        (["a[n, i] = b[n, i] * w[i]", "b[n, i] = a[n, i] * x[n, i]"], ["n", 4], "isn't there yet"),
        *(
            (
                ["a[n, i] = b[n, i - 1] * w[i]", f"b[n, i] = a[n, {place}] * x[n, i]"],
                ["n", 4],
                "`a` is computed step by step along i",
            )
            for place in ("0", "2*i - 3", "size(i) - 1 - i")
        ),
    ],
)
def test_what_cannot_be_computed_is_refused(layer: str | list[str], x: Any, said: str) -> None:
    assert said in refusal(layer, x, parameters={"w": {"shape": [4], "init": "zeros"}})


def test_a_recurrence_is_printed_as_a_loop() -> None:
    case = CASES["moving mean"]
    text = symback.generate(case.spec(), readable=True).text
    found = re.findall(r"^    for (\w+) in (.*):$", text, re.MULTILINE)
    assert ("t", "range(5)") in found
    assert ("t", "reversed(range(5))") in found


def test_a_running_sum_is_a_sum_up_to_here() -> None:
    case = CASES["running sum"]
    spec = case.spec()
    spec["layers"][0]["f1"]["formula"] = "z[n, i] = w[i] * cumsum(exp(w[i]) * x[n, i], i)"
    rng = np.random.default_rng(0)
    params, x = {"f1.w": rng.normal(size=4)}, rng.normal(size=(3, 4))
    for target, readable in FORMS:
        module = symback.compile(spec, target, readable=readable)
        given = {"f1.w": params["f1.w"].tolist()} if target == "python" else params
        found = module.forward(given, x.tolist() if target == "python" else x)[0]
        wanted = params["f1.w"] * np.cumsum(np.exp(params["f1.w"]) * x, axis=1)
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
        assert module.check() == []


def test_weights_are_shared_by_their_key() -> None:
    """An autoencoder whose second layer is the first one's transpose: both add to one gradient."""
    spec = {
        "inputs": {"x": ["n", 4]},
        "layers": [
            {"f1": {"dense": 3, "activation": "tanh"}},
            {"f2": {"formula": "r[n, i] = sum(f1.weight[k, i] * x[n, k], k)"}},
        ],
        "loss": {"formula": "mean((y[n, i] - x[n, i])**2, n, i)"},
        "optimizer": "sgd",
    }
    rng = np.random.default_rng(0)
    held = {"f1.weight": rng.normal(size=(3, 4)), "f1.bias": rng.normal(size=3)}
    x = rng.normal(size=(5, 4))

    def loss(given: Mapping[str, Any]) -> Any:
        hidden = jax.numpy.tanh(x @ given["f1.weight"].T + given["f1.bias"])
        return ((hidden @ given["f1.weight"] - x) ** 2).mean()

    wanted, slopes = jax.value_and_grad(loss)(held)
    module = symback.compile(spec)
    value, grads = module.value_and_grad({key: w.copy() for key, w in held.items()}, x)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    for key, slope in slopes.items():
        np.testing.assert_allclose(grads[key], slope, rtol=1e-10)


@pytest.mark.parametrize(("target", "readable"), FORMS)
def test_a_recurrence_stands_between_other_layers(target: str, readable: bool) -> None:
    recurrent = CASES["recurrence"].spec()["layers"][0]["f1"]
    layers = [
        {"f0": {"dense": 2, "activation": "sigmoid"}},
        {"f1": recurrent},
        {"f2": {"flatten": {}}},
        {"f3": {"dense": 3}},
    ]
    spec = {
        "inputs": {"x": ["n", 4, 3], "t": {"shape": ["n"], "classes": 3}},
        "layers": layers,
        "loss": {"cross_entropy": "t"},
        "optimizer": "adam",
    }
    module = symback.compile(spec, target, readable=readable, wrt=("x",))
    assert module.check(seed=1) == []
    params = module.init(0)
    history = module.train(params, *module.sample(8), epochs=2)
    assert np.isfinite(history[-1].loss)


@pytest.mark.parametrize(("target", "readable"), FORMS)
def test_a_frozen_layer_keeps_its_start(target: str, readable: bool) -> None:
    spec = {
        "inputs": {"x": ["n", 3], "t": ["n", 1]},
        "layers": [
            {"f1": {"dense": 4, "activation": "tanh", "frozen": True}},
            {"f2": {"dense": 1}},
        ],
        "loss": {"mse": "t"},
        "optimizer": {"adamw": {"lr": 0.1, "weight_decay": 0.5}},
    }
    module = symback.compile(spec, target, readable=readable)
    params, start = module.init(0), module.init(0)
    data = module.sample(8)
    assert set(module.value_and_grad(params, *data)[1]) == {"f2.weight", "f2.bias"}
    assert module.check() == []
    module.train(params, *data, epochs=2)
    for name in ("f1.weight", "f1.bias"):
        np.testing.assert_array_equal(params[name], start[name])
    assert np.any(np.asarray(params["f2.weight"]) != np.asarray(start["f2.weight"]))
