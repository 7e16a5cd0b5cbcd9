"""Starts of parameters: both targets draw what the catalogue says, and the same again."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from settings import IN_PYTHON, Settings, option_sets, shown

import symback
from symback import catalog, pipeline
from symback.catalog.entry import Entry, Kind
from symback.program import Draw

OUT, IN = 40, 60
INITIALIZERS = [entry for entry in catalog.entries() if entry.kind is Kind.INITIALIZER]
NEEDED: Mapping[str, Settings] = {"constant": {"value": 0.3}}
COMBINED: Mapping[str, list[Settings]] = {
    "uniform": [{"low": -2.0, "high": -1.0}],
    "normal": [{"mean": 3.0, "std": 0.5}, {"std": 0.0}],
    "kaiming_uniform": [{"mode": "fan_out", "nonlinearity": "relu"}],
    "kaiming_normal": [{"mode": "fan_out", "nonlinearity": "tanh"}],
}
CASES = [
    (entry, chosen) for entry in INITIALIZERS for chosen in option_sets(entry, COMBINED, NEEDED)
]


def spec(entry: Entry, chosen: Settings) -> dict[str, Any]:
    """Return a model whose weight starts so, and whose bias starts by default."""
    return {
        "model": "starts",
        "inputs": {"x": ["n", IN], "t": ["n", OUT]},
        "layers": [{"f1": {"dense": OUT, "init": {"weight": {entry.name: dict(chosen)}}}}],
        "loss": {"mse": "t"},
        "optimizer": {"sgd": 0.1},
    }


def draw(entry: Entry, chosen: Settings, key: str = "f1.weight") -> Draw:
    """Return how a parameter is drawn, in numbers."""
    tensors = pipeline.program(spec(entry, chosen)).tensors
    [found] = [tensor.draw for tensor in tensors if tensor.key == key]
    assert found is not None
    return found


@pytest.mark.parametrize("target", IN_PYTHON)
@pytest.mark.parametrize(("entry", "chosen"), CASES, ids=shown)
def test_draws_keep_to_the_numbers(entry: Entry, chosen: Settings, target: str) -> None:
    module = symback.compile(spec(entry, chosen), target)
    made = draw(entry, chosen)
    w = np.array(module.init(seed=1)["f1.weight"])
    assert w.shape == (OUT, IN)
    assert np.array_equal(w, np.array(module.init(seed=1)["f1.weight"]))
    match made.kind, made.arguments:
        case "constant", (value,):
            assert np.all(w == value)
        case "uniform", (low, high):
            width = high - low
            assert low <= w.min() < low + 0.01 * width
            assert high - 0.01 * width < w.max() <= high
            assert abs(w.mean() - (low + high) / 2) < 4 * width / math.sqrt(12 * w.size)
            assert not np.array_equal(w, np.array(module.init(seed=2)["f1.weight"]))
        case "normal", (mean, std):
            assert abs(w.mean() - mean) <= 4 * std / math.sqrt(w.size)
            assert abs(w.std() - std) <= 4 * std / math.sqrt(2 * w.size)
            assert std == 0 or 3 < np.abs((w - mean) / std).max() < 6
        case unknown:
            pytest.fail(f"an unknown draw: {unknown}")


def test_a_bias_starts_between_the_weights_bounds() -> None:
    [entry] = [entry for entry in INITIALIZERS if entry.name == "torch_default"]
    bias, weight = draw(entry, {}, "f1.bias"), draw(entry, {})
    assert bias.kind == "uniform"
    assert bias.arguments == weight.arguments
    np.testing.assert_allclose(bias.arguments, (-1 / math.sqrt(IN), 1 / math.sqrt(IN)), rtol=1e-15)


def test_fans_differ() -> None:
    [entry] = [entry for entry in INITIALIZERS if entry.name == "kaiming_normal"]
    forward, backward = draw(entry, {"mode": "fan_in"}), draw(entry, {"mode": "fan_out"})
    assert forward.arguments[1] / backward.arguments[1] == pytest.approx(math.sqrt(OUT / IN))
