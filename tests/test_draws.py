"""Starts of parameters: both targets draw what the catalogue says, and the same again."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from settings import IN_PYTHON, Settings, option_sets, shown

import symback
from symback import catalog, pipeline
from symback.catalog.entry import Entry, Kind
from symback.errors import UserError
from symback.program import Draw

OUT, IN = 40, 60
INITIALIZERS = [entry for entry in catalog.entries() if entry.kind is Kind.INITIALIZER]
NEEDED: Mapping[str, Settings] = {"constant": {"value": 0.3}, "sparse": {"sparsity": 0.33}}
COMBINED: Mapping[str, list[Settings]] = {
    "uniform": [{"low": -2.0, "high": -1.0}],
    "normal": [{"mean": 3.0, "std": 0.5}, {"std": 0.0}],
    "trunc_normal": [{"mean": 1.0, "a": 0.0, "b": 1.5}, {"std": 0.02}],
    "kaiming_uniform": [{"mode": "fan_out", "nonlinearity": "relu"}],
    "kaiming_normal": [{"mode": "fan_out", "nonlinearity": "tanh"}],
}
CASES = [
    (entry, chosen)
    for entry in INITIALIZERS
    if entry.name != "dirac"  # of kernels
    for chosen in option_sets(entry, COMBINED, NEEDED)
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
        case "truncated", (mean, std, low, high):
            assert low <= w.min()
            assert w.max() <= high
            sides = ((bound - mean) / std for bound in (low, high))
            normal = NormalDist()
            below, above = (normal.cdf(side) for side in sides)
            median = mean + std * normal.inv_cdf((below + above) / 2)
            assert abs(np.mean(w < median) - 0.5) < 2 / math.sqrt(w.size)
        case "orthogonal", (gain,):
            np.testing.assert_allclose(w @ w.T, gain**2 * np.eye(OUT), atol=1e-13 * gain**2)
            assert abs(w.mean()) < 4 * gain / math.sqrt(w.size * IN)
        case "sparse", (zeros, std):
            assert np.all((w == 0).sum(axis=0) == math.ceil(zeros * OUT))
            assert len({tuple(column) for column in (w == 0).T}) > 1 or zeros == 1
            left = w[w != 0]
            assert left.size == 0 or abs(left.std() - std) <= 4 * std / math.sqrt(2 * left.size)
        case "identity", ():
            assert np.array_equal(w, np.eye(OUT, IN))
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


@pytest.mark.parametrize("target", IN_PYTHON)
@pytest.mark.parametrize("rows", [3, 30])
def test_orthogonal_kernels(rows: int, target: str) -> None:
    """All axes but the first are one; with more rows than that, the columns are orthogonal."""
    module = symback.compile(kernels("orthogonal", rows, 2, [3, 2]), target)
    w = np.array(module.init(seed=3)["f1.weight"]).reshape(rows, -1)
    product = w @ w.T if rows <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-13)


def kernels(init: Any, rows: int, channels: int, size: list[int]) -> dict[str, Any]:
    """Return a model of one convolution."""
    layer = {"conv1d": 0, "conv2d": 0}
    name = list(layer)[len(size) - 1]
    settings = {"out_channels": rows, "kernel_size": size if len(size) > 1 else size[0]}
    return {
        "model": "starts",
        "inputs": {"x": ["n", channels, *(4 for _ in size)]},
        "layers": [{"f1": {name: settings, "init": {"weight": init}}}],
        "loss": {"formula": "sum(y[...]**2, ...)"},
        "optimizer": "sgd",
    }


@pytest.mark.parametrize("target", IN_PYTHON)
@pytest.mark.parametrize(
    ("rows", "channels", "size", "groups"),
    [(4, 4, [3], 1), (6, 2, [3, 2], 2), (5, 3, [2, 3], 1), (2, 3, [3], 1)],
)
def test_dirac_is_pytorchs(
    rows: int, channels: int, size: list[int], groups: int, target: str
) -> None:
    torch = pytest.importorskip("torch")
    wanted = torch.nn.init.dirac_(torch.empty(rows, channels, *size), groups).numpy()
    module = symback.compile(kernels({"dirac": groups}, rows, channels, size), target)
    assert np.array_equal(np.array(module.init()["f1.weight"]), wanted)


@pytest.mark.parametrize(
    ("init", "words"),
    [
        ("dirac", "`dirac` wants 3 or more axes"),
        ({"trunc_normal": {"a": 50.0, "b": 60.0}}, "the bounds hold less than 0.001"),
        ("truncated(0, 1, 2, -2)", "the bounds hold less"),
        ("orthogonal(1, 2)", "draws nothing"),
        ("sparse(2, 1)", "a part of zeros from 0 to 1"),
    ],
)
def test_impossible_starts_are_told(init: Any, words: str) -> None:
    model = spec(INITIALIZERS[0], {})
    model["layers"][0]["f1"]["init"] = {"weight": init}
    with pytest.raises(UserError, match=words):
        symback.derive(model)
