"""Emitted code as a book would print it: no detours, formulas that break where a reader would."""

import re
from functools import cache
from typing import Any

import numpy as np
import pytest

from symback import pipeline, wrapping

IMAGES = ["n", 4, 6, 6]
W = {"W": {"shape": [3, 2], "init": "normal(0, 1)"}}
LAYERS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "lstm": (["n", 5, 3], {"lstm": 4}),
    "gru": (["n", 5, 3], {"gru": 4}),
    "max_pool2d": (IMAGES, {"max_pool2d": {"kernel_size": 2}}),
    "group_norm": (IMAGES, {"group_norm": 2}),
    "zero_pad1d": (["n", 4, 6], {"zero_pad1d": 2}),
    "rms_norm": (["n", 16], {"rms_norm": {}}),
    "glu": (["n", 8], {"glu": {}}),
    "split": (["n", 2], {"formula": "y[n, k] = W[k, 0] * x[n, 0] + W[k, 1] ** 2 * x[n, 1]"}),
}


@cache
def text(name: str, target: str = "numpy", *, readable: bool = True) -> str:
    """Return the module of a network of one layer behind another."""
    shape, layer = LAYERS[name]
    if "formula" in layer:
        layer = {**layer, "parameters": W}
    spec = {
        "inputs": {"x": shape},
        "layers": [{"before": {"dense": shape[-1]}}, {"f": layer}],
        "loss": {"formula": "mean(y[...]**2, ...)"},
        "optimizer": "sgd",
    }
    return pipeline.generate(spec, target, readable=readable).text


def passes(name: str) -> str:
    """Return the code of the forward and the backward pass, without the helpers."""
    whole = text(name)
    return whole[whole.index("def forward(") : whole.index("def value_and_grad(")]


@pytest.mark.parametrize("name", LAYERS)
def test_no_detours(name: str) -> None:
    """One place of an axis isn't summed over, a square is a square, a fraction in lowest terms."""
    code = re.sub(r"#.*", "", passes(name))
    assert not re.search(r"\d:\d+\]\.sum\(", code)
    assert not re.search(r"(?<![\w.])(?<!\* )([a-z]\w*) \* \1\b(?! \*)", code)
    assert not re.search(r"\b2 / \d*[02468] \*", code)
    assert not re.search(r"\w\) \* \(np\.arange\(\d+\) == \d\)", code)
    assert not re.search(r"\b\d == \d\b", text(name, readable=False))
    assert "(range(-1" not in code  # a value one step away is no window


@pytest.mark.parametrize("name", LAYERS)
def test_formulas_break_between_terms(name: str) -> None:
    """No row of a comment ends within an index, on any target."""
    modules = [text(name), text(name, readable=False), text(name, "python"), text(name, "c")]
    for module in modules:
        for row in re.findall(r"(?:#|//) (.*)", module):
            assert row.count("[") == row.count("]"), row


def test_gates_are_written_place_by_place() -> None:
    for k, gate in enumerate("ufmo"):
        assert f"da2[:, t, {k}] = d{gate}2[:, t] * " in text("lstm")
        assert f"# ∂L/∂a2[n,t,{k},k] = ∂L/∂{gate}2[n,t,k]" in text("lstm")
        assert f"= sigmoid(a2[:, t, {k}])" in text("lstm") or gate == "m"


def test_a_factor_of_all_places_is_one_of_each() -> None:
    """∂L/∂h = f·(g·[i = 0] + k·[i = 1]) is stacked from f·g and f·k."""
    assert "dh2 = np.stack((dy2 * sig2, dy2 * h2[:, 0] * sig2 * (1 - sig2)), axis=1)" in text("glu")


def test_a_pool_is_a_maximum() -> None:
    for module in (text("max_pool2d"), text("max_pool2d", "python")):
        assert "max_p" in module
        assert "where p =" not in module
    assert ".max(axis=" in text("max_pool2d")


def test_an_adjoint_of_several_terms_is_regrouped() -> None:
    assert "δ(" not in text("group_norm")
    assert "# ∂L/∂z1[n,(g,c)," in text("group_norm")


def test_parts_of_a_parameter_are_stacked() -> None:
    assert re.search(r"dW2 = np\.stack\(", text("split"))


def test_zeros_around_are_padded() -> None:
    assert "y2 = np.pad(z1, ((0, 0), (0, 0), (2, 2)))" in text("zero_pad1d")


def test_headers_tell_the_networks_formulas() -> None:
    """What shared operations are kept in isn't among them."""
    spec = {
        "inputs": {"x": ["n", 3], "t": ["n", 2]},
        "layers": [{"f": {"dense": 2}}],
        "loss": {"mse": "t"},
        "optimizer": "sgd",
    }
    heading = pipeline.generate(spec).text.split('"""')[1]
    assert "u_z1" not in heading
    assert "L = Σ_{n,o} (z1[n,o] − t[n,o])²/(N·2)" in heading


def test_a_stack_is_what_its_parts_are() -> None:
    """Its gradient, on every target, is that of the same layer written with one product."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(4, 2)), rng.normal(size=(3, 2))
    both = [
        {"formula": "y[n, k] = W[k, 0] * x[n, 0] + W[k, 1] * x[n, 1]"},
        {"formula": "y[n, k] = sum(W[k, i] * x[n, i], i)"},
    ]
    found = []
    for target in ("numpy", "python", "c"):
        for layer in both:
            spec = {
                "inputs": {"x": ["n", 2]},
                "layers": [{"f": {**layer, "parameters": W}}],
                "loss": {"formula": "mean(sin(y[n, k]), n, k)"},
                "optimizer": "sgd",
            }
            module = pipeline.compile(spec, target)
            plain = target == "python"
            weights = {"f.W": w.tolist() if plain else w}
            _, grads = module.value_and_grad(weights, x.tolist() if plain else x)
            found.append(np.asarray(grads["f.W"]))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-12)


LONG = "∂L/∂s[n,t] = ∂L/∂h[n,t]·o[n,t]·(1 − v[n,t]²) + ∂L/∂s[n,t + 1]·f[n,t + 1]"


@pytest.mark.parametrize(
    ("width", "rows"),
    [
        (80, [LONG]),
        (60, [LONG[: LONG.index(" + ∂")], "    " + LONG[LONG.index("+ ∂") :]]),
    ],
)
def test_rows(width: int, rows: list[str]) -> None:
    assert wrapping.rows(LONG, width) == rows


def test_rows_of_several_formulas() -> None:
    """The first stands behind what comes before all, the others below it."""
    assert wrapping.rows("a = b\nc = d", 20, "f  ", "       ") == ["f  a = b", "   c = d"]


@pytest.mark.parametrize("width", range(12, 80, 7))
def test_rows_fit_and_lose_nothing(width: int) -> None:
    rows = wrapping.rows(LONG, width)
    assert " ".join(row.strip() for row in rows) == LONG
    assert all(len(row) <= width or " " not in row.strip() for row in rows)
