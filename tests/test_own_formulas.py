"""Formulas that people write: well-known layers and losses, as a spec has them, on every target."""

from typing import Any

import numpy as np
import pytest
from oracle import compiled

from symback import pipeline
from symback.check import check_text
from symback.errors import UserError
from symback.spec import parse

WEIGHT = {"shape": [2, 3], "init": "normal(0, 1)"}
LAYERS: dict[str, tuple[Any, dict[str, Any]]] = {  # of x, 3 numbers, to 2
    "layer norm, in steps": (
        [
            "mu[n] = mean(x[n, i], i)",
            "v[n] = mean((x[n, i] - mu[n])**2, i)",
            "r[n, i] = (x[n, i] - mu[n]) / sqrt(v[n] + 1e-5)",
            "h[n, k] = sum(W[k, i] * r[n, i], i)",
        ],
        {"W": WEIGHT},
    ),
    "attention over learned keys": (
        "h[n, k] = sum(softmax(sum(Q[j, i]*x[n, i], i), j) * V[j, k], j)",
        {
            "Q": {"shape": [5, 3], "init": "normal(0, 1)"},
            "V": {"shape": [5, 2], "init": "normal(0, 1)"},
        },
    ),
    "radial basis": (
        "h[n, k] = exp(-b[k]**2 * sum((x[n, i] - c[k, i])**2, i))",
        {"c": WEIGHT, "b": {"shape": [2], "init": "ones"}},
    ),
    "bilinear": (
        "h[n, k] = sum(W[k, i, j] * x[n, i] * x[n, j], i, j)",
        {"W": {"shape": [2, 3, 3], "init": "normal(0, 1)"}},
    ),
    "maxout": (
        "h[n, k] = max(sum(W[k, p, i] * x[n, i], i), p)",
        {"W": {"shape": [2, 4, 3], "init": "normal(0, 1)"}},
    ),
    "gated": (
        "h[n, k] = sigmoid(sum(W[k, i]*x[n, i], i)) * tanh(sum(V[k, i]*x[n, i], i))",
        {"W": WEIGHT, "V": WEIGHT},
    ),
    "weight norm": (
        "h[n, k] = sum(V[k, i]*x[n, i], i) / sqrt(sum(V[k, i]**2, i))",
        {"V": WEIGHT},
    ),
    "cubic": ("h[n, k] = sum(a[k, i]*x[n, i] + b[k, i]*x[n, i]**3, i)", {"a": WEIGHT, "b": WEIGHT}),
    "product": ("h[n, k] = prod(x[n, i] + W[k, i], i)", {"W": WEIGHT}),
    "centred over the batch": (
        "h[n, k] = sum(W[k, i]*(x[n, i] - mean(x[m, i], m)), i)",
        {"W": WEIGHT},
    ),
}
FUNCTIONS = {  # a function's text, what stands above the caret, words of the hint
    "beta*u": ("beta", "`u`"),
    "u^2": ("u^2", "x**2"),
    "u if u > 0 else 0": ("u if u > 0 else 0", "where(c, a, b)"),
    "math.sin(u)": ("math.sin(u)", "write sin(…)"),
    "2u": ("2", "write it as"),
    "u - mean(u, k)": ("mean(u, k)", ""),
}
ERROR = "(y[n, k] - t[n, k])"
LOSSES = {
    "huber": f"mean(where(abs{ERROR} < 1.5, 0.5*{ERROR}**2, 1.5*(abs{ERROR} - 0.75)), n, k)",
    "log cosh": f"mean(log(cosh{ERROR}), n, k)",
    "quantile": f"mean(maximum(-0.9*{ERROR}, 0.1*{ERROR}), n, k)",
    "log barrier": f"mean({ERROR}**2, n, k) - 0.1*mean(log(2 - y[n, k]**2/(1 + y[n, k]**2)), n, k)",
    "focal": "-mean((1 - sigmoid(y[n, k]))**2 * t[n, k] * log(sigmoid(y[n, k])), n, k)",
    "cosine": (
        "1 - mean(sum(y[n, k]*t[n, k], k)"
        " / (sqrt(sum(y[n, k]**2, k) + 1e-8) * sqrt(sum(t[n, k]**2, k) + 1e-8)), n)"
    ),
    "entropy": (
        f"mean({ERROR}**2, n, k) + 0.1*mean(sum(softmax(y[n, k], k)*log_softmax(y[n, k], k), k), n)"
    ),
    "one tensor by two names": f"mean({ERROR}**2 * (1 + f1[n, k - 1]**2), n, k)",
    "a number by itself and in a condition": (
        f"mean({ERROR}**2, n, k)"
        " * where(logsumexp(y[n, k], n, k) > -9, logsumexp(y[n, k], n, k), 1)"
    ),
    "a delta by itself": f"mean({ERROR}**2 * (1 + delta(k, 2*k - 1)), n, k)",
    "root mean square": f"sqrt(mean({ERROR}**2, n, k))",
    "spread over the batch": (
        f"mean({ERROR}**2, n, k) + 0.1*mean((y[n, k] - mean(y[m, k], m))**2, n, k)"
    ),
    "a letter for two ranges": f"mean({ERROR}**2, n, k) + 0.01*sum(f1.weight[k, i]**2, k, i)",
    "by the largest target": f"mean({ERROR}**2 * (1 + (argmax(t[n, j], j) == k)), n, k)",
}


def spec(layer: dict[str, Any], loss: dict[str, Any]) -> dict[str, Any]:
    return {
        "inputs": {"x": ["n", 3], "t": ["n", 2]},
        "layers": [{"f1": layer}],
        "loss": loss,
        "optimizer": "adam",
    }


SPECS = {
    name: spec({"formula": formula, "parameters": parameters}, {"mse": "t"})
    for name, (formula, parameters) in LAYERS.items()
} | {name: spec({"dense": 2}, {"formula": formula}) for name, formula in LOSSES.items()}


@pytest.mark.parametrize("name", SPECS)
def test_gradients_are_right_on_every_target(name: str) -> None:
    """Each by differences of its own loss; by parameters and by the input; the losses agree."""
    losses = []
    start: dict[str, Any] = {}
    for target, readable in (("numpy", True), ("numpy", False), ("python", True), ("c", True)):
        module = pipeline.generate(SPECS[name], target, readable=readable, wrt=("x",))
        report = check_text(module)
        assert report.right, str(report)
        assert "x" in report.parameters
        made = pipeline.imported(module)
        start = start or {key: np.array(w) for key, w in made.init().items()}
        params = {key: w if target != "python" else w.tolist() for key, w in start.items()}
        rng = np.random.default_rng(6)
        losses.append(made.loss(params, rng.normal(size=(4, 3)), rng.normal(size=(4, 2))))
    np.testing.assert_allclose(losses, losses[0], rtol=1e-12)


@pytest.mark.parametrize("text", FUNCTIONS)
def test_a_function_is_read_where_it_stands(text: str) -> None:
    above = f'''
model: own
inputs: {{x: [n, 2], t: [n, 1]}}
functions:
  calls: {{args: [u], formula: "bend(u) + 1"}}
  bend: {{args: [u], formula: "{text}"}}
layers:
  - f: {{dense: 1, activation: calls}}
loss: {{mse: t}}
optimizer: sgd
'''
    with pytest.raises(UserError) as caught:
        pipeline.derive(parse(above))
    (mistake,) = caught.value.mistakes
    at, hint = FUNCTIONS[text]
    assert (mistake.line, mistake.column) == (6, above.splitlines()[5].index(at, 30) + 1)
    assert mistake.row[(mistake.column or 0) - 1 :][: mistake.length] == at
    assert hint in mistake.hint


def test_a_sum_that_stands_twice_is_taken_once() -> None:
    """u·sigmoid(u) of a sum u: one product forward, one gradient by its weights."""
    layer = {"formula": "h[n, k] = silu(sum(W[k, i] * x[n, i], i))", "parameters": {"W": WEIGHT}}
    program = pipeline.program(spec(layer, {"mse": "t"}))
    assert "".join(statement.because for statement in program.forward).count("Σ") == 1
    by_weights = program.backward[-1]
    assert by_weights.target.name == "dW1"
    assert by_weights.because.count("Σ") == 1


def test_a_function_has_constants_of_its_own_and_a_layer_any_name() -> None:
    """Names that Python's own functions have are free for layers: no variable is called so."""
    own = {"args": "x", "formula": "x + sin(a*x)**2/a", "constants": {"a": 2.5}}
    gated = {"formula": "h[n, k] = snake(next[n, k]) * next.weight[k, 0]", "from": "next"}
    spec = {
        "inputs": {"x": ["n", 3], "t": ["n", 2]},
        "functions": {"snake": own},
        "layers": [{"next": {"dense": 2, "activation": "snake"}}, {"list": gated}],
        "loss": {"mse": "t"},
        "optimizer": "sgd",
    }
    for target in ("numpy", "python"):
        module = compiled(spec, target)
        assert module.check() == []
    module = compiled(spec)
    params, x = module.init(0), np.eye(3)
    z = x @ params["next.weight"].T + params["next.bias"]
    for _ in range(2):
        z = z + np.sin(2.5 * z) ** 2 / 2.5
    np.testing.assert_allclose(module.forward(params, x)[0], z * params["next.weight"][:, 0])


@pytest.mark.parametrize(
    ("constants", "told"),
    [({"x": 1}, "already an argument"), ({"b": 1}, "nothing is called `a`")],
)
def test_constants_of_a_function_are_checked(constants: dict[str, float], told: str) -> None:
    own = {"args": "x", "formula": "a*x", "constants": constants}
    spec = {
        "inputs": {"x": ["n", 3], "t": ["n", 2]},
        "functions": {"scaled": own},
        "layers": [{"f1": {"dense": 2, "activation": "scaled"}}],
        "loss": {"mse": "t"},
        "optimizer": "sgd",
    }
    with pytest.raises(UserError, match=told):
        pipeline.derive(spec)


def test_axes_that_a_layer_lacks_are_laid_out_as_it_says() -> None:
    image: dict[str, Any] = {
        "inputs": {"x": ["n", 64], "t": ["n", 2, 6, 6]},
        "layers": [{"c": {"conv2d": {"out_channels": 2, "kernel_size": 3}}}],
        "loss": {"mse": "t"},
        "optimizer": "sgd",
    }
    with pytest.raises(UserError, match=r"lay them out: y\[n, a, b\] = x\[n, 8\*a \+ b\]"):
        pipeline.derive(image)
    laid = {"formula": "y[n, c, a, b] = x[n, 64*c + 8*a + b]", "sizes": {"c": 1, "a": 8, "b": 8}}
    image["layers"].insert(0, {"image": laid})
    assert pipeline.compile(image).check() == []
