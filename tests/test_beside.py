"""hvp, jacobian, hessian and per_example: against JAX's, on every form of a module."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from oracle import Array, assert_close

import symback
from symback import check
from symback.__main__ import cli
from symback.errors import UserError

jax.config.update("jax_enable_x64", True)

FORMS = [("numpy", True), ("numpy", False), ("python", True), ("c", True)]
FUNCTIONS = ("hvp", "jacobian", "hessian", "per_example")
Params = Mapping[str, Any]
Data = Mapping[str, Any]


def dense(params: Params, name: str, x: Any) -> Any:
    return x @ params[f"{name}.weight"].T + params[f"{name}.bias"]


@dataclass(frozen=True)
class Case:
    """A network, and its output for all examples and its loss in JAX."""

    inputs: Mapping[str, Any]
    layers: list[Any]
    loss: Any
    output: Callable[[Params, Any], Any]
    value: Callable[[Params, Any, Any], Any]  # of the output and the target

    def spec(self) -> dict[str, Any]:
        return {
            "inputs": dict(self.inputs),
            "layers": self.layers,
            "loss": self.loss,
            "optimizer": "sgd",
        }

    def data(self, count: int = 6) -> dict[str, Any]:
        rng = np.random.default_rng(5)
        found: dict[str, Any] = {}
        for name, held in self.inputs.items():
            shape = held["shape"] if isinstance(held, dict) else held
            size = (count, *shape[1:])
            if isinstance(held, dict):
                found[name] = rng.integers(0, held["classes"], size)
            else:
                found[name] = rng.normal(size=size)
        return found


def cross_entropy(params: Params, y: Any, t: Any) -> Any:
    return -jax.nn.log_softmax(y)[jnp.arange(len(t)), t].mean()


def mse(params: Params, y: Any, t: Any) -> Any:
    return ((y - t) ** 2).mean()


def images(params: Params, x: Any) -> Any:
    h = jax.lax.conv_general_dilated(x, params["c.weight"], (1, 1), "VALID")
    h = jnp.tanh(h + params["c.bias"][:, None, None])
    return dense(params, "f", h.reshape(len(x), -1))


def steps(params: Params, x: Any) -> Any:
    h = jnp.zeros((len(x), 3))
    for t in range(x.shape[1]):
        h = h @ params["r.weight_hh_l0"].T + params["r.bias_hh_l0"]
        h = jnp.tanh(h + x[:, t] @ params["r.weight_ih_l0"].T + params["r.bias_ih_l0"])
    return dense(params, "f", h)


def gates(params: Params, x: Any) -> Any:
    h = c = jnp.zeros((len(x), 2))
    for t in range(x.shape[1]):
        z = x[:, t] @ params["r.weight_ih_l0"].T + params["r.bias_ih_l0"]
        z = z + h @ params["r.weight_hh_l0"].T + params["r.bias_hh_l0"]
        i, f, g, o = jnp.split(z, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return dense(params, "f", h)


def attention(params: Params, x: Any) -> Any:
    h, z = jnp.zeros((len(x), 2)), dense(params, "f", x)
    for t in range(x.shape[1]):
        h = jax.nn.softmax(z[:, t] + h @ params["r.U"].T, axis=1)
        h = h * jax.nn.logsumexp(h + z[:, t], axis=1, keepdims=True)
    return h


def in_parts(params: Params, x: Any) -> Any:
    for _ in range(2):
        x = x + jnp.tanh(x @ params["r.W"].T) * x[:, :1]
    return x


def best(params: Params, x: Any) -> Any:
    g = jax.nn.softmax(x @ params["r.G"].T, 1)
    k = jnp.argmax(g, 1)
    return jnp.einsum("noi,ni->no", params["r.W"][k], x) * jnp.take_along_axis(g, k[:, None], 1)


LABELS = {"x": ["n", 3], "t": {"shape": ["n"], "classes": 4}}
CASES = {
    "classifier": Case(
        LABELS,
        [{"f1": {"dense": 5, "activation": "tanh"}}, {"f2": {"dense": 4}}],
        {"cross_entropy": "t"},
        lambda p, x: dense(p, "f2", jnp.tanh(dense(p, "f1", x))),
        cross_entropy,
    ),
    "a penalty": Case(
        {"x": ["n", 3], "t": ["n", 2]},
        [{"f1": {"dense": 4, "activation": "sigmoid"}}, {"f2": {"dense": 2}}],
        {"mse": "t", "l2": 0.1},
        lambda p, x: dense(p, "f2", jax.nn.sigmoid(dense(p, "f1", x))),
        lambda p, y, t: mse(p, y, t) + 0.1 * sum((w**2).sum() for w in p.values()),
    ),
    "a skip connection": Case(
        {"x": ["n", 3], "t": ["n", 2]},
        [
            {"f1": {"dense": 3, "activation": "gelu"}},
            {"both": {"concat": {}, "from": ["f1", "x"]}},
            {"f2": {"dense": 2}},
        ],
        {"huber": {"target": "t", "delta": 0.5}},
        lambda p, x: dense(
            p, "f2", jnp.concatenate([jax.nn.gelu(dense(p, "f1", x), approximate=False), x], 1)
        ),
        lambda p, y, t: jnp.where(
            abs(y - t) <= 0.5, 0.5 * (y - t) ** 2, 0.5 * (abs(y - t) - 0.25)
        ).mean(),
    ),
    "two layers side by side": Case(
        {"x": ["n", 3], "t": ["n", 2]},
        [
            {"f1": {"dense": 2, "activation": "tanh"}},
            {"f2": {"dense": 3, "activation": "sigmoid", "from": "x"}},
            {"both": {"concat": {}, "from": ["f1", "f2"]}},
            {"f": {"dense": 2}},
        ],
        {"mse": "t"},
        lambda p, x: dense(
            p,
            "f",
            jnp.concatenate([jnp.tanh(dense(p, "f1", x)), jax.nn.sigmoid(dense(p, "f2", x))], 1),
        ),
        mse,
    ),
    "logistic regression": Case(
        {"x": ["n", 3], "t": ["n", 1]},
        [{"f": {"dense": 1}}],
        {"formula": "mean(softplus(y[n, k]) - t[n, k]*y[n, k], n, k)"},
        lambda p, x: dense(p, "f", x),
        lambda p, y, t: (jax.nn.softplus(y) - t * y).mean(),
    ),
    "matrix factorisation": Case(
        {"x": {"shape": ["n"], "classes": 4}, "t": ["n"]},
        [
            {"user": {"embedding": 2}},
            {
                "item": {
                    "formula": "y[n] = sum(x[n, k]*V[k], k)",
                    "parameters": {"V": {"shape": [2], "init": "normal(0, 1)"}},
                }
            },
        ],
        {"mse": "t"},
        lambda p, x: p["user.weight"][x] @ p["item.V"],
        mse,
    ),
    "a recurrence": Case(
        {"x": ["n", 3, 2], "t": ["n", 2]},
        [{"r": {"rnn": {"hidden_size": 3}}}, {"last": {"last_step": {}}}, {"f": {"dense": 2}}],
        {"mse": "t"},
        steps,
        mse,
    ),
    "gates": Case(
        {"x": ["n", 3, 2], "t": ["n", 2]},
        [{"r": {"lstm": {"hidden_size": 2}}}, {"last": {"last_step": {}}}, {"f": {"dense": 2}}],
        {"mse": "t"},
        gates,
        mse,
    ),
    "a softmax at each step": Case(
        {"x": ["n", 3, 2], "t": ["n", 2]},
        [
            {"f": {"dense": 2}},
            {
                "r": {
                    "formula": [
                        "p[n, t, k] = softmax(x[n, t, k] + sum(U[k, j]*h[n, t-1, j], j), k)",
                        "h[n, t, k] = p[n, t, k]*logsumexp(p[n, t, j] + x[n, t, j], j)",
                    ],
                    "parameters": {"U": {"shape": [2, 2], "init": "normal(0, 1)"}},
                }
            },
            {"last": {"last_step": {}}},
        ],
        {"mse": "t"},
        attention,
        mse,
    ),
    "a step in parts": Case(
        {"x": ["n", 3], "t": ["n", 3]},
        [
            {
                "r": {
                    "formula": [
                        "s[n, r, k] = where(r == 0, x[n, k], z[n, r - 1, k])",
                        "a[n, r, k] = tanh(sum(W[k, j]*s[n, r, j], j))",
                        "z[n, r, k] = s[n, r, k] + a[n, r, k]*s[n, r, 0]",
                        "y[n, k] = z[n, size(r) - 1, k]",
                    ],
                    "parameters": {"W": {"shape": [3, 3], "init": "normal(0, 1)"}},
                    "sizes": {"r": 2},
                }
            },
        ],
        {"mse": "t"},
        in_parts,
        mse,
    ),
    "the best of two": Case(
        {"x": ["n", 3], "t": ["n", 2]},
        [
            {
                "r": {
                    "formula": [
                        "g[n, e] = softmax(sum(G[e, i]*x[n, i], i), e)",
                        "k[n] = argmax(g[n, e], e)",
                        "y[n, o] = g[n, k[n]] * sum(W[k[n], o, i]*x[n, i], i)",
                    ],
                    "parameters": {
                        "G": {"shape": [2, 3], "init": "normal(0, 1)"},
                        "W": {"shape": [2, 2, 3], "init": "normal(0, 1)"},
                    },
                }
            },
        ],
        {"formula": "mean(sin(y[n, o])*(y[n, o] - t[n, o])**2, n, o)"},
        best,
        lambda p, y, t: (jnp.sin(y) * (y - t) ** 2).mean(),
    ),
    "a convolution": Case(
        {"x": ["n", 1, 4, 4], "t": {"shape": ["n"], "classes": 3}},
        [
            {"c": {"conv2d": {"out_channels": 2, "kernel_size": 3}, "activation": "tanh"}},
            {"flat": {"flatten": {}}},
            {"f": {"dense": 3}},
        ],
        {"cross_entropy": "t"},
        images,
        cross_entropy,
    ),
}


@cache
def wanted(name: str) -> tuple[dict[str, Array], dict[str, Array], dict[str, Any]]:
    """Return the start, a direction, and JAX's results by function."""
    case = CASES[name]
    start = symback.compile(case.spec()).init(3)
    data = case.data()
    x, t = data["x"], data["t"]
    rng = np.random.default_rng(9)
    direction = {key: rng.normal(size=w.shape) for key, w in start.items()}
    params = {key: jnp.asarray(w) for key, w in start.items()}

    def loss(params: Params, x: Any = x, t: Any = t) -> Any:
        return case.value(params, case.output(params, x), t)

    def results(params: Params) -> dict[str, Any]:
        found = {
            "hvp": jax.jvp(jax.grad(loss), (params,), (direction,))[1],
            "hessian": jax.hessian(loss)(params),
            "per_example": jax.vmap(lambda x, t: jax.grad(loss)(params, x[None], t[None]))(x, t),
        }
        if x.dtype.kind == "f":
            one = jax.vmap(jax.jacobian(lambda x: case.output(params, x[None])[0]))
            found["jacobian"] = {"x": one(x)}
        return found

    return start, direction, jax.jit(results)(params)


def assert_nested(got: Any, want: Any, what: str) -> None:
    """Require the same arrays under the same keys."""
    if isinstance(want, Mapping):
        assert set(got) == set(want), what
        for key in want:
            assert_nested(got[key], want[key], f"{what}.{key}")
    else:
        assert_close(np.asarray(got), np.asarray(want), what, 1e-11)


@pytest.mark.parametrize(
    ("name", "target", "readable"),
    [
        (name, target, readable)
        for name in CASES
        for target, readable in FORMS
        if target == "numpy" or name in {"classifier", "a skip connection", "gates"}
    ],
)
def test_agrees_with_jax(name: str, target: str, readable: bool) -> None:
    start, direction, found = wanted(name)
    functions = tuple(each for each in FUNCTIONS if each in found)
    module: Any = symback.compile(
        CASES[name].spec(), target, readable=readable, functions=functions
    )
    plain = target == "python"

    def given(arrays: Mapping[str, Array]) -> dict[str, Any]:
        return {key: (a.tolist() if plain else a.copy()) for key, a in arrays.items()}

    params, data = given(start), given(CASES[name].data())
    assert_nested(module.hvp(params, *data.values(), given(direction)), found["hvp"], "hvp")
    assert_nested(module.hessian(params, *data.values()), found["hessian"], "hessian")
    assert_nested(module.per_example(params, *data.values()), found["per_example"], "per_example")
    if "jacobian" in found:
        assert_nested(module.jacobian(params, data["x"]), found["jacobian"], "jacobian")
    assert check.check(module).right


def test_a_wrong_factor_is_caught() -> None:
    spec = CASES["classifier"].spec()
    made = symback.generate(spec, readable=True, functions=FUNCTIONS)
    lines = made.text.splitlines()
    for name, line in (
        ("hvp", "    dz2_v = p_v / n"),
        ("jacobian", "    z1_x = W1"),
        ("hessian", "    dz2_W1 = p_W1 / n"),
        ("per_example", "    dz2 = (p - T) / n"),
    ):
        start = next(k for k, text in enumerate(lines) if text.startswith(f"def {name}("))
        place = next(
            k for k in range(start, len(lines)) if lines[k].split("  #")[0].rstrip() == line
        )
        code, _, comment = lines[place].partition("#")
        wrong = [*lines[:place], f"{code.rstrip()} * 2  # {comment}", *lines[place + 1 :]]
        text = "\n".join(wrong) + "\n"
        report = check.check_text(type(made)(made.name, made.target, text))
        assert any(name in wrong.parameter for wrong in report.mismatches), name


def test_what_cannot_be_derived_is_refused() -> None:
    with pytest.raises(UserError, match="all of them hold labels"):
        symback.generate(CASES["matrix factorisation"].spec(), functions=["jacobian"])
    spec = CASES["classifier"].spec()
    spec["layers"].insert(1, {"bn": {"batch_norm1d": {}}})
    with pytest.raises(UserError, match="`bn` mixes the examples"):
        symback.generate(spec, functions=["per_example"])
    spec = CASES["classifier"].spec()
    spec["loss"] = {"cross_entropy": {"target": "t", "weight": [1, 2, 3, 4]}}
    with pytest.raises(UserError, match="divides by a sum of weights"):
        symback.generate(spec, functions=["per_example"])


def test_examples_that_meet_in_pairs_have_nothing_of_their_own() -> None:
    layer = {
        "formula": "y[n, m] = sum(l[i] * (x[n, i] - x[m, i])**2, i)",
        "parameters": {"l": {"shape": [3], "init": "ones"}},
    }
    spec = {
        "inputs": {"x": ["n", 3]},
        "layers": [{"f1": layer}],
        "loss": {"formula": "mean(exp(-y[n, m]), n, m)"},
        "optimizer": "sgd",
    }
    for function in ("jacobian", "per_example"):
        with pytest.raises(UserError, match="mixes the examples"):
            symback.generate(spec, functions=[function])


def test_the_command_lists_what_there_is(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        "model: line\ninputs: {x: [n, 2], t: [n, 1]}\nlayers: [{f: {dense: 1}}]\nloss: {mse: t}\n"
    )
    (tmp_path / "line.yaml").write_text(text + "optimizer: sgd\n", encoding="utf-8")
    run = CliRunner().invoke(cli, ["generate", "line.yaml", "--with", "hvp, hessian"])
    assert run.exit_code == 0, run.output
    assert "hvp, hessian" in run.output
    written = (tmp_path / "line.py").read_text(encoding="utf-8")
    assert "def hvp(" in written
    assert "def hessian(" in written
    run = CliRunner().invoke(cli, ["generate", "line.yaml", "--with", "hesian"])
    assert run.exit_code == 2
    assert "did you mean `hessian`?" in run.output
