"""Derivatives inside formulas, d(u[n], x[n, 0]): loss and gradients against JAX's grad of grad."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import Array, assert_close

import symback
from symback import check
from symback.errors import UserError

jax.config.update("jax_enable_x64", True)

FORMS = [("numpy", True), ("numpy", False), ("python", True), ("c", True)]
Params = Mapping[str, Any]


def dense(params: Params, name: str, x: Any) -> Any:
    return x @ params[f"{name}.weight"].T + params[f"{name}.bias"]


def network(params: Params, x: Any) -> Any:
    """The output for one example: two dense layers, the first curved."""
    return dense(params, "f2", jnp.tanh(dense(params, "f1", x)))


def normed(params: Params, x: Any) -> Any:
    h = dense(params, "f1", x)
    h = (h - h.mean()) / jnp.sqrt(h.var() + 1e-5)
    return dense(params, "f3", jax.nn.softmax(jax.nn.gelu(h, approximate=False)))


@dataclass(frozen=True)
class Case:
    """A loss with derivatives, and the same of one example (output y, input x) in JAX."""

    loss: str
    one: Callable[[Params, Any], Any]
    layers: list[Any] = field(
        default_factory=lambda: [{"f1": {"dense": 5, "activation": "tanh"}}, {"f2": {"dense": 2}}]
    )

    def spec(self) -> dict[str, Any]:
        return {
            "inputs": {"x": ["n", 3]},
            "layers": self.layers,
            "loss": {"formula": self.loss},
            "optimizer": "sgd",
        }


def chained(params: Params, x: Any) -> Any:
    """Two dense layers, between them a recurrence along the units and a skip."""
    h, found = 0.0, []
    for z in dense(params, "f1", x):
        h = jnp.tanh(z + params["step.u"][0] * h * x[0])
        found.append(h)
    return dense(params, "f2", jnp.array([*found, *x[1:]]))


def chained_slope(params: Params, x: Any) -> Any:
    flow = jax.jacobian(lambda x: jnp.tanh(dense(params, "f1", x)))(x)[:, 1]
    h, total = 0.0, 0.0
    for slope in flow[::-1]:
        h = jnp.sin(slope + h)
        total = total + h
    return total


def side_by_side(params: Params, x: Any) -> Any:
    y = jnp.concatenate([dense(params, "f1", x), dense(params, "f2", x)])
    return jnp.sin(y) * y


def scalar(params: Params, x: Any) -> Any:
    return network(params, x)[0]


def gradient_of_own_layer(params: Params, x: Any) -> Any:
    flow = jax.jacobian(lambda x: jnp.tanh(dense(params, "f1", x)))(x)
    return (dense(params, "f2", flow[:, 1]) ** 2).sum()


CASES = {
    "by one value": Case(
        "mean(d(y[n, 0], x[n, 1])**2, n)", lambda p, x: jax.grad(scalar, 1)(p, x)[1] ** 2
    ),
    "by every value": Case(
        "mean(sum(d(y[n, 0], x[n, i])**2, i), n)",
        lambda p, x: (jax.grad(scalar, 1)(p, x) ** 2).sum(),
    ),
    "Burgers": Case(
        (
            "mean((d(y[n, 0], x[n, 0]) + y[n, 0]*d(y[n, 0], x[n, 1])"
            " - 0.01*d(d(y[n, 0], x[n, 1]), x[n, 1]))**2, n)"
        ),
        lambda p, x: (
            (
                jax.grad(scalar, 1)(p, x)[0]
                + scalar(p, x) * jax.grad(scalar, 1)(p, x)[1]
                - 0.01 * jax.hessian(scalar, 1)(p, x)[1, 1]
            )
            ** 2
        ),
    ),
    "Laplacian": Case(
        "mean(sum(d(d(y[n, k], x[n, i]), x[n, i]), i)**2, n, k)",
        lambda p, x: (jnp.einsum("kii->k", jax.hessian(network, 1)(p, x)) ** 2).mean(),
    ),
    "the whole second derivative": Case(
        "mean(sum(d(d(y[n, 0], x[n, i]), x[n, j])**2, i, j), n)",
        lambda p, x: (jax.hessian(scalar, 1)(p, x) ** 2).sum(),
    ),
    "of an expression": Case(
        "mean(d(sin(y[n, 0])*x[n, 1], x[n, 1]), n)",
        lambda p, x: jax.grad(lambda x: jnp.sin(scalar(p, x)) * x[1])(x)[1],
    ),
    "norms, softmax and gelu": Case(
        "mean(sum(d(y[n, k], x[n, i])**2, k, i), n)",
        lambda p, x: (jax.jacobian(normed, 1)(p, x) ** 2).sum(),
        [
            {"f1": {"dense": 5}},
            {"norm": {"layer_norm": {"elementwise_affine": False}}},
            {"act": {"formula": "a[n, k] = softmax(gelu(x[n, k]), k)"}},
            {"f3": {"dense": 2}},
        ],
    ),
    "of straight layers side by side": Case(
        "mean(sum(d(sin(y[n, k])*y[n, k], x[n, i])**2, i, k), n)",
        lambda p, x: (jax.jacobian(side_by_side, 1)(p, x) ** 2).sum(),
        [
            {"f1": {"dense": 2}},
            {"f2": {"dense": 3, "from": "x"}},
            {"both": {"concat": None, "from": ["f1", "f2"]}},
        ],
    ),
    "in a layer": Case(
        "mean(sum(y[n, k]**2, k), n)",
        gradient_of_own_layer,
        [
            {"f1": {"dense": 5, "activation": "tanh"}},
            {"slope": {"from": ["f1", "x"], "formula": "g[n, k] = d(x1[n, k], x[n, 1])"}},
            {"f2": {"dense": 2}},
        ],
    ),
    "through a recurrence and a skip": Case(
        "mean(sum(d(d(y[n, 0], x[n, 1]), x[n, i])**2, i) + sum(d(y[n, k], x[n, 0])**2, k), n)",
        lambda p, x: (
            (jax.hessian(chained, 1)(p, x)[0, 1] ** 2).sum()
            + (jax.jacobian(chained, 1)(p, x)[:, 0] ** 2).sum()
        ),
        [
            {"f1": {"dense": 5}},
            {
                "step": {
                    "formula": "h[n, k] = tanh(x1[n, k] + u[0] * h[n, k - 1] * x[n, 0])",
                    "parameters": {"u": {"shape": [1], "init": "uniform(0.5, 1)"}},
                    "from": ["f1", "x"],
                }
            },
            {"rest": {"formula": "r[n, i] = x[n, i + 1]", "sizes": {"i": 2}, "from": "x"}},
            {"both": {"concat": None, "from": ["step", "rest"]}},
            {"f2": {"dense": 2}},
        ],
    ),
    "by a part of what is joined": Case(
        "mean(sum(d(y[n, k]**2, f1[n, j])**2, k, j), n)",
        lambda p, x: (
            jax.jacobian(lambda h: dense(p, "f2", jnp.concatenate([x, jnp.sin(h)])) ** 2)(
                dense(p, "f1", x)
            )
            ** 2
        ).sum(),
        [
            {"f1": {"dense": 5}},
            {"act": {"formula": "a[n, k] = sin(x[n, k])"}},
            {"both": {"concat": None, "from": ["x", "act"]}},
            {"f2": {"dense": 2}},
        ],
    ),
    "in a recurrence": Case(
        "mean(sum(y[n, k], k), n)",
        chained_slope,
        [
            {"f1": {"dense": 5, "activation": "tanh"}},
            {
                "back": {
                    "formula": "g[n, k] = sin(d(x1[n, k], x[n, 1]) + g[n, k + 1])",
                    "from": ["f1", "x"],
                }
            },
        ],
    ),
    "by another layer's output": Case(
        "mean(sum(d(y[n, k], f1[n, j])**2, k, j), n)",
        lambda p, x: (
            jax.jacobian(lambda h: dense(p, "f2", jnp.sin(h)))(dense(p, "f1", x)) ** 2
        ).sum(),
        [{"f1": {"dense": 5}}, {"f2": {"dense": 2}}],
    ),
}
CASES["by another layer's output"].layers.insert(1, {"act": {"formula": "a[n, k] = sin(x[n, k])"}})


EVERYWHERE = {"Burgers", "Laplacian", "norms, softmax and gelu", "through a recurrence and a skip"}
X = np.random.default_rng(1).normal(size=(4, 3))


@cache
def wanted(name: str) -> tuple[dict[str, Array], Array, dict[str, Array]]:
    """Return the parameters at the start, and JAX's loss and gradients there."""
    case = CASES[name]
    start = symback.compile(case.spec()).init(3)

    def whole(params: Params) -> Any:
        return jax.vmap(lambda one: case.one(params, one))(X).mean()

    loss, slopes = jax.jit(jax.value_and_grad(whole))(
        {key: jnp.asarray(w) for key, w in start.items()}
    )
    return start, np.asarray(loss), {key: np.asarray(slope) for key, slope in slopes.items()}


@pytest.mark.parametrize(
    ("name", "target", "readable"),
    [
        (name, target, readable)
        for name in CASES
        for target, readable in FORMS
        if target == "numpy" or name in EVERYWHERE
    ],
)
def test_agrees_with_jax(name: str, target: str, readable: bool) -> None:
    module = symback.compile(CASES[name].spec(), target, readable=readable)
    start, loss, slopes = wanted(name)
    plain = target == "python"
    given: Any = {key: (w.tolist() if plain else w.copy()) for key, w in start.items()}
    value, grads = module.value_and_grad(given, X.tolist() if plain else X)
    assert_close(np.asarray(value), loss, "loss")
    for key, slope in slopes.items():
        if key in grads:
            assert_close(np.asarray(grads[key]), slope, key)
        else:  # a bias behind the last curve: no derivative by x sees it
            assert not slope.any()


def test_a_parameter_can_be_what_moves() -> None:
    loss = "mean(sum(d(y[n, k], f2.weight[o, j])**2, k, o, j), n)"
    module = symback.compile(Case(loss, scalar).spec())
    params, x = module.init(2), np.random.default_rng(3).normal(size=(4, 3))
    value, grads = module.value_and_grad(params, x)
    hidden = np.tanh(x @ params["f1.weight"].T + params["f1.bias"])  # ∂y_k/∂W_oj = δ_ko·h_j
    assert_close(np.asarray(value), 2 * (hidden**2).sum() / 4, "loss")
    assert not module.check()
    assert set(grads) == {"f1.weight", "f1.bias"}


WRONG = {
    "mean(d(y[n, 0], 3), n)": "a derivative is taken by an element of a tensor",
    "mean(d(y[n, 0]), n)": "`d` takes 2 arguments",
    "mean(d(y[n, 0], x[0, 1]), n)": "of one example alone nothing can be derived",
    "sum(d(y[n, 0], x[m, 1]), n, m)": "`y` has no m here",
    "mean(d(y[n, 0], t[n]), n)": "`t` holds labels",
    "mean(d(y[n, 0], x[n, 2*k]), n, k)": "`x` has a computed index here",
    "mean(d(y[n, 0], x[n, 3]), n)": "`x` has 3 values here: 0 … 2",
}


@pytest.mark.parametrize("loss", WRONG)
def test_mistakes(loss: str) -> None:
    spec = Case(loss, scalar).spec()
    spec["inputs"]["t"] = {"shape": ["n"], "classes": 3}
    with pytest.raises(UserError) as caught:
        symback.derive(spec)
    assert WRONG[loss] in str(caught.value)
    assert "loss" in str(caught.value)


MIXING = {
    "a[n, k] = x[n, k] - mean(x[m, k], m)": "`mix` mixes the examples",
    "h[n, t] = tanh(x[n, t] + mean(h[m, t - 1], m))": "`mix` mixes the examples",
}


@pytest.mark.parametrize("layer", MIXING)
def test_what_cannot_be_derived_is_refused(layer: str) -> None:
    layers = [{"f1": {"dense": 5}}, {"mix": {"formula": layer}}, {"f2": {"dense": 2}}]
    with pytest.raises(UserError, match=MIXING[layer]):
        symback.derive(Case("mean(d(y[n, 0], x[n, 0]), n)", scalar, layers).spec())


def test_a_loss_that_no_derivative_reaches_is_refused() -> None:
    with pytest.raises(UserError, match="no parameter changes the loss"):
        symback.derive(Case("mean(d(x[n, 0]*x[n, 1], x[n, 0]), n)", scalar).spec())


def test_nothing_flows_through_a_detach() -> None:
    rounded = "h[n, k] = x[n, k] + detach(floor(x[n, k]) - x[n, k])"  # the straight-through trick
    layers = [{"f1": {"dense": 5}}, {"step": {"formula": rounded}}, {"f2": {"dense": 2}}]
    case = Case("mean(y[n, k]**2, n, k)", scalar, layers)

    def whole(params: Params) -> Any:
        z = dense(params, "f1", X)
        return (dense(params, "f2", z + jax.lax.stop_gradient(jnp.floor(z) - z)) ** 2).mean()

    for target, readable in FORMS:
        module: Any = symback.compile(case.spec(), target, readable=readable)
        start = {key: np.asarray(w) for key, w in module.init(3).items()}
        plain = target == "python"
        given = {key: (w.tolist() if plain else w) for key, w in start.items()}
        _, grads = module.value_and_grad(given, X.tolist() if plain else X)
        for key, slope in jax.grad(whole)(start).items():
            assert_close(np.asarray(grads[key]), np.asarray(slope), key)
        assert module.DETACHED == ("f1.bias", "f1.weight")
        report = check.check(module)
        assert report.right
        assert "not f1.bias, f1.weight, behind a detach" in str(report)


def test_a_network_that_is_detached_learns_nothing() -> None:
    layers = [{"f1": {"dense": 2}}, {"end": {"formula": "y[n, k] = detach(x[n, k])"}}]
    with pytest.raises(UserError, match="no parameter changes the loss"):
        symback.derive(Case("mean(y[n, k]**2, n, k)", scalar, layers).spec())
