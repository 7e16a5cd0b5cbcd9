"""Layers and losses nobody ships, as formulas: loss and gradients against JAX, on every form."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symback
from symback.errors import UserError

jax.config.update("jax_enable_x64", True)

FORMS = [("numpy", True), ("numpy", False), ("python", True), ("c", True)]
ROWS = 4
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A layer of formulas between inputs and a loss, and the loss in JAX.

    `value` takes the parameters by name (f1.W is W) and the inputs.
    """

    formula: str | Sequence[str]
    parameters: Mapping[str, Sequence[int]]
    inputs: Mapping[str, Any]
    loss: str
    value: Callable[..., Any]
    sizes: Mapping[str, int] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)

    @property
    def spec(self) -> dict[str, Any]:
        held = {k: {"shape": list(s), "init": "zeros"} for k, s in self.parameters.items()}
        layer = {
            "formula": self.formula,
            "parameters": held,
            "sizes": dict(self.sizes),
            "constants": dict(self.constants),
            "from": list(self.inputs),
        }
        return {
            "inputs": dict(self.inputs),
            "layers": [{"f1": layer}],
            "loss": {"formula": self.loss},
            "optimizer": "sgd",
        }

    @property
    def wrt(self) -> tuple[str, ...]:
        """The inputs that hold numbers."""
        return tuple(name for name, held in self.inputs.items() if not isinstance(held, dict))

    def drawn(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return parameters and inputs to try it on."""
        rng = np.random.default_rng(2)
        held = {key: rng.normal(size=shape) for key, shape in self.parameters.items()}
        data: dict[str, Any] = {}
        for name, given in self.inputs.items():
            if isinstance(given, dict):
                shape = (ROWS, *given["shape"][1:])
                data[name] = rng.integers(0, given["classes"], shape)
            else:
                data[name] = rng.normal(size=(ROWS, *given[1:]))
        return held, data


CURVED = "sum(sin(y[...]) * y[...], ...)"


def curved(y: Any) -> Any:
    return (jnp.sin(y) * y).sum()


def learned_tokens(p: Params, x: Any) -> Any:
    """A row of scores, then more of them: all share one softmax."""
    more = jnp.tanh(x @ p["W"].T)
    a = jax.nn.softmax(jnp.concatenate([x**2, more, jnp.zeros((len(x), 2))], 1), axis=1)
    return curved(a[:, ::-1] * p["v"])


def three_axes(p: Params, x: Any) -> Any:
    first = x[:, None] * p["W"]
    second = jax.nn.softmax(first, axis=2)
    h = jnp.concatenate([first, second, first * second], 1)
    return curved((h**2 * jnp.arange(6)[:, None]).sum(axis=1))


CASES = {
    "parts of an axis share a softmax": Case(
        [
            "c[n, i] = x[n, i]**2",
            "c[n, size(i) + j] = tanh(sum(W[j, k] * x[n, k], k))",
            "c[n, size(i) + size(j) + e] = 0",
            "a[n, i] = softmax(c[n, i], i)",
            "y[n, i] = a[n, size(i) - 1 - i] * v[i]",
        ],
        {"W": (2, 3), "v": (7,)},
        {"x": ["n", 3]},
        CURVED,
        learned_tokens,
        sizes={"e": 2},
    ),
    "one letter for parts of any size": Case(
        [
            "h[n, s, i] = x[n, i] * W[s, i]",
            "h[m, 2 + s, k] = softmax(x[m, k] * W[s, k], k)",
            "h[n, 4 + s, i] = x[n, i] * W[s, i] * softmax(x[n, i] * W[s, i], i)",
            "y[n, i] = sum(h[n, s, i]**2 * s, s)",
        ],
        {"W": (2, 3)},
        {"x": ["n", 3]},
        CURVED,
        three_axes,
    ),
}


@cache
def oracle(name: str) -> tuple[dict[str, Any], dict[str, Any], Any, dict[str, Any]]:
    """Return parameters, inputs, and the loss and the slopes as JAX has them."""
    case = CASES[name]
    held, data = case.drawn()
    moving = {**held, **{key: data[key] for key in case.wrt}}

    def loss(given: Params) -> Any:
        inputs = (given.get(key, data[key]) for key in data)
        return case.value({key: given[key] for key in held}, *inputs)

    return held, data, *jax.jit(jax.value_and_grad(loss))(moving)


@pytest.mark.parametrize(("target", "readable"), FORMS)
@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients_are_jax_s(name: str, target: str, readable: bool) -> None:
    case = CASES[name]
    held, data, wanted, slopes = oracle(name)
    module: Any = symback.compile(case.spec, target, readable=readable, wrt=case.wrt)
    plain = target == "python"
    params = {
        f"f1.{key}": np.atleast_1d(w).tolist() if plain else w.copy() for key, w in held.items()
    }
    given = [array.tolist() if plain else array for array in data.values()]
    value, grads = module.value_and_grad(params, *given)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    for key, slope in slopes.items():
        got = np.asarray(grads[key if key in data else f"f1.{key}"]).reshape(np.shape(slope))
        scale = np.abs(slope).max(initial=0.0)
        np.testing.assert_allclose(got, slope, rtol=1e-10, atol=1e-12 * scale, err_msg=key)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        (["z[n, 2 + i] = w[i] * x[n, 0]"], "`z` has 0 values so far, this part begins at 2"),
        (
            ["z[n, i] = x[n, i]", "z[n, 5 + j] = w[j] * x[n, 0]"],
            "`z` has 4 values so far, this part begins at 5",
        ),
        (["z[n, i] = x[n, i]", "z[n, i] = 2 * x[n, i] * w[0]"], "`z` is taken"),
        (["z[n, size(j) + i] = w[i] * x[n, 0]"], "how many values does the index j take?"),
        (
            ["z[n, i, k] = x[n, i] * w[k]", "z[n, size(i) + i, j] = x[n, i] * x[n, j]"],
            "`z` has 3 values along this axis, 4 here",
        ),
    ],
)
def test_a_part_stands_right_behind_those_before(formula: list[str], said: str) -> None:
    layer = {"formula": formula, "parameters": {"w": {"shape": [3], "init": "zeros"}}}
    spec = {
        "inputs": {"x": ["n", 4]},
        "layers": [{"f1": layer}],
        "loss": {"formula": "sum(y[...], ...)"},
        "optimizer": "sgd",
    }
    with pytest.raises(UserError) as caught:
        symback.derive(spec)
    assert said in str(caught.value)
