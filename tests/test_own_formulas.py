"""Formulas that people write: well-known layers and losses, as a spec has them, on every target."""

from typing import Any

import numpy as np
import pytest

from symback import pipeline
from symback.check import check_text

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
