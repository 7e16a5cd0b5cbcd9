"""Every layer over its options against PyTorch: output, and gradients by parameters and input."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import pytorch
from oracle import (
    Arrays,
    SpecMapping,
    assert_close,
    assert_same,
    compiled,
    drawn_params,
    entries,
    evaluated,
    generator,
)
from settings import TARGETS

from symback.catalog.entry import Kind

pytestmark = pytest.mark.torch
torch = pytorch.torch

ROWS = 4
DENSE = {"f1": {"dense": 3}}
OWN_LAYER = "h[n, k] = sin(pitch * (sum(W[k, i] * x[n, i], i) + b[k]))"
PRODUCT = "p[n, i] = x1[n, i] * x2[n, i]"
OWN = {
    OWN_LAYER: lambda x, W, b, pitch: torch.sin(pitch * (x @ W.T + b)),
    PRODUCT: lambda x1, x2: x1 * x2,
}
SINES = {
    "formula": OWN_LAYER,
    "parameters": {
        "W": {"shape": [3, 4], "init": "uniform(-0.5, 0.5)"},
        "b": {"shape": [3], "init": "zeros"},
    },
    "constants": {"pitch": 5},
}


@dataclass(frozen=True, slots=True)
class Net:
    """Layers between inputs of these shapes and an output of that shape, per example."""

    layers: tuple[Mapping[str, Any], ...]
    output: tuple[int, ...]
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: {"x": (4,)})

    @property
    def spec(self) -> SpecMapping:
        shapes = {**self.inputs, "t": self.output}
        return {
            "inputs": {name: ["n", *shape] for name, shape in shapes.items()},
            "layers": [dict(layer) for layer in self.layers],
            "loss": {"mse": "t"},
            "optimizer": {"sgd": {"lr": 0.1}},
        }

    @property
    def data(self) -> Arrays:
        rng = np.random.default_rng(4)
        shapes = {**self.inputs, "t": self.output}
        return {name: rng.normal(size=(ROWS, *shape)) for name, shape in shapes.items()}


NETS = {
    "dense": Net((DENSE,), (3,)),
    "dense, one": Net(({"f1": {"dense": 1}},), (1,), {"x": (1,)}),
    "dense, no bias": Net(({"f1": {"dense": {"units": 3, "bias": False}}},), (3,)),
    "dense, more axes": Net(
        ({"f1": {"dense": 5, "activation": "tanh"}}, {"f2": {"dense": 2}}), (3, 2), {"x": (3, 4)}
    ),
    "dense, many axes, no bias": Net(
        ({"f1": {"dense": {"units": 2, "bias": False}}},), (2, 3, 2), {"x": (2, 3, 4)}
    ),
    "flatten": Net(({"f0": {"flatten": None}}, DENSE), (3,), {"x": (2, 3)}),
    "flatten, three axes": Net(({"f0": {"flatten": None}}, DENSE), (3,), {"x": (2, 3, 4)}),
    "flatten, one axis": Net(({"f0": {"flatten": None}}, DENSE), (3,)),
    "flatten, in the middle": Net(
        ({"f0": {"dense": 2, "activation": "tanh"}}, {"f": {"flatten": None}}, DENSE),
        (3,),
        {"x": (3, 4)},
    ),
    "flatten, at the end": Net((DENSE, {"f2": {"flatten": None}}), (6,), {"x": (2, 4)}),
    "dropout, evaluation": Net((DENSE, {"f2": {"dropout": 0.3}}, {"f3": {"dense": 2}}), (2,)),
    "add, two": Net(
        (DENSE, {"f2": {"dense": 3, "from": "x"}}, {"f3": {"add": None, "from": ["f1", "f2"]}}),
        (3,),
    ),
    "add, three": Net(
        (
            DENSE,
            {"f2": {"dense": 3, "activation": "sigmoid"}},
            {"f3": {"add": None, "from": ["f1", "f2", "e"]}},
        ),
        (3,),
        {"x": (4,), "e": (3,)},
    ),
    "add, one to itself": Net((DENSE, {"f2": {"add": None, "from": ["f1", "f1"]}}), (3,)),
    "add, activation, more axes": Net(
        (DENSE, {"f2": {"add": None, "from": ["f1", "e"], "activation": "tanh"}}),
        (2, 3),
        {"x": (2, 4), "e": (2, 3)},
    ),
    "concat, two": Net(
        (
            DENSE,
            {"f2": {"dense": 2, "from": "x"}},
            {"f3": {"concat": None, "from": ["f1", "f2"]}},
            {"f4": {"dense": 2}},
        ),
        (2,),
    ),
    "concat, three": Net(
        (
            DENSE,
            {"f2": {"dense": 2, "activation": "tanh"}},
            {"f3": {"concat": None, "from": ["f2", "f1", "x"], "activation": "sigmoid"}},
            {"f4": {"dense": 2}},
        ),
        (2,),
    ),
    "concat, at the end": Net((DENSE, {"f2": {"concat": None, "from": ["f1", "x"]}}), (7,)),
    "concat, one with itself": Net((DENSE, {"f2": {"concat": None, "from": ["f1", "f1"]}}), (6,)),
    "concat, more axes": Net(
        (DENSE, {"f2": {"concat": None, "from": ["f1", "x"]}}), (2, 7), {"x": (2, 4)}
    ),
    "skip connections": Net(
        (
            {"f1": {"dense": 3, "activation": "tanh"}},
            {"f2": {"dense": 3, "activation": "relu"}},
            {"s1": {"add": None, "from": ["f2", "f1"]}},
            {"f3": {"dense": 3, "activation": "tanh"}},
            {"s2": {"add": None, "from": ["f3", "s1", "f1"]}},
            {"f4": {"dense": 2}},
        ),
        (2,),
    ),
    "a layer with no way to the loss": Net((DENSE, {"f2": {"dense": 2, "from": "x"}}), (2,)),
    "own layer": Net(({"f1": SINES}, {"f2": {"dense": 2}}), (2,)),
    "own layer, activation": Net(({"f1": {**SINES, "activation": "elu"}},), (3,)),
    "own layer of two": Net(
        (
            DENSE,
            {"f2": {"dense": 3, "from": "x", "activation": "sigmoid"}},
            {"f3": {"formula": PRODUCT, "from": ["f1", "f2"]}},
        ),
        (3,),
    ),
    "softmax in the middle": Net(
        ({"f1": {"dense": 3, "activation": "softmax"}}, {"f2": {"dense": 2}}), (2,)
    ),
    "log_softmax in the middle": Net(
        ({"f1": {"dense": 3, "activation": "log_softmax"}}, {"f2": {"dense": 2}}), (2,)
    ),
    "softmax over more axes": Net(
        ({"f1": {"dense": 3, "activation": "softmax"}}, {"f2": {"dense": 2}}), (5, 2), {"x": (5, 4)}
    ),
    "activations alone": Net(
        (DENSE, {"f2": {"activation": "softmax"}}, {"f3": {"activation": "tanh"}}), (3,)
    ),
}
nets = pytest.mark.parametrize("name", NETS)
targets = pytest.mark.parametrize("target", TARGETS)


def test_every_layer_has_a_counterpart() -> None:
    from layer_cases import CASES
    from test_attention import CASES as ATTENDING
    from test_layer_forms import OF_LABELS
    from test_state import CASES as WITH_STATES

    elsewhere = {case.layer for case in CASES} | {case.layer for case in WITH_STATES}
    elsewhere |= {case.layer for case in ATTENDING.values()}
    names = {entry.name for entry in entries(Kind.LAYER)} - elsewhere - OF_LABELS
    assert names == set(pytorch.LAYERS)
    assert names <= {key for net in NETS.values() for layer in net.layers for key in found(layer)}


def found(layer: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {key for body in layer.values() for key in body}


@pytest.mark.parametrize(
    ("target", "readable"), [("numpy", True), ("numpy", False), ("python", True)]
)
@nets
def test_layer(name: str, target: str, readable: bool) -> None:
    net = NETS[name]
    wrt = tuple(net.inputs)
    module = compiled(net.spec, target, wrt, readable=readable)
    params = drawn_params(module)
    assert module.check() == []
    theirs = pytorch.result(net.spec, params, net.data, wrt, own=OWN)
    assert_same(evaluated(module, params, net.data), theirs)


# ---------------------------------------------------------------- dropout

probabilities = pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 0.9])


def dropout(p: float) -> Net:
    """Return a network of two dropout layers, each with its own mask."""
    layers = (
        {"d1": {"dropout": {"p": p}}},
        {"f1": {"dense": 50, "activation": "tanh"}},
        {"d2": {"dropout": p}},
        {"f2": {"dense": 3}},
    )
    return Net(layers, (3,), {"x": (20,)})


@targets
@probabilities
def test_dropout_in_training(p: float, target: str) -> None:
    net = dropout(p)
    module = compiled(net.spec, target, ("x",))
    params = drawn_params(module)
    ours = evaluated(module, params, net.data, seed=3)
    masks = drawn_masks(module, params, net.data, 3)
    theirs = pytorch.result(net.spec, params, net.data, ("x",), masks=masks)
    assert_same(ours, theirs)


def drawn_masks(module: Any, params: Arrays, data: Arrays, seed: int) -> Arrays:
    """Return what the dropout layers of `dropout` multiply by, as the cache keeps it."""
    is_numpy = hasattr(module, "np")
    given: Any = {key: w if is_numpy else w.tolist() for key, w in params.items()}
    x = data["x"] if is_numpy else data["x"].tolist()
    _, cache = module.forward(given, x, generator(module, seed))
    return {"d1": np.array(cache.r1), "d2": np.array(cache.r3)}


@targets
@probabilities
def test_dropout_keeps_the_mean(p: float, target: str) -> None:
    """A kept value is divided by 1 − p; how many are kept lies within 5 standard deviations."""
    net = dropout(p)
    module = compiled(net.spec, target, ("x",))
    params, rng = drawn_params(module), np.random.default_rng(0)
    data = {"x": rng.normal(size=(500, 20)), "t": rng.normal(size=(500, 3))}
    for mask in drawn_masks(module, params, data, 0).values():
        assert_close(mask[mask > 0], np.full(np.count_nonzero(mask), 1 / (1 - p)), "kept values")
        kept = np.count_nonzero(mask) / mask.size
        assert abs(kept - (1 - p)) <= 5 * np.sqrt(p * (1 - p) / mask.size)


@targets
def test_dropout_is_drawn_by_the_seed(target: str) -> None:
    net = dropout(0.5)
    module = compiled(net.spec, target, ("x",))
    params = drawn_params(module)
    one, again, other = (drawn_masks(module, params, net.data, seed) for seed in (1, 1, 2))
    for layer, mask in one.items():
        assert np.array_equal(mask, again[layer])
        assert not np.array_equal(mask, other[layer])
        assert not np.array_equal(mask[0], mask[1])


@targets
def test_dropout_does_nothing_in_evaluation(target: str) -> None:
    net = dropout(0.5)
    kept = Net(tuple(layer for layer in net.layers if "d" not in next(iter(layer))), (3,))
    without = Net(kept.layers, net.output, net.inputs)
    params = drawn_params(compiled(net.spec, target, ("x",)))
    ours = evaluated(compiled(net.spec, target, ("x",)), params, net.data)
    plain = evaluated(compiled(without.spec, target, ("x",)), params, net.data)
    assert_same(ours, plain)
    drawn = evaluated(compiled(net.spec, target, ("x",)), params, net.data, seed=0)
    assert np.abs(drawn.output - plain.output).max() > 0.01


@targets
def test_the_output_of_predict_is_the_forward_pass(target: str) -> None:
    net = dropout(0.5)
    module = compiled(net.spec, target, ("x",))
    params = module.init()
    x = net.data["x"] if target == "numpy" else net.data["x"].tolist()
    output, _ = module.forward(params, x)
    assert_close(np.array(module.predict(params, x)), np.array(output), "predict")


@targets
def test_rrelu_draws_its_slopes_in_training(target: str) -> None:
    """The slopes lie evenly between lower and upper, and the gradient is taken with them."""
    rrelu = Net(({"f1": {"rrelu": {"lower": 0.2, "upper": 0.5}}}, {"f2": {"dense": 3}}), (3,))
    module = compiled(rrelu.spec, target, ("x",))
    params, x = drawn_params(module), -np.ones((400, 4))
    data = {"x": x, "t": np.zeros((400, 3))}
    given: Any = data if hasattr(module, "np") else {key: a.tolist() for key, a in data.items()}
    held: Any = params if hasattr(module, "np") else {k: w.tolist() for k, w in params.items()}
    _, cache = module.forward(held, given["x"], generator(module, 1))
    slopes = 0.35 * np.array(cache.r1)
    assert 0.2 <= slopes.min() < 0.21
    assert 0.49 < slopes.max() <= 0.5
    assert abs(slopes.mean() - 0.35) < 5 * 0.3 / np.sqrt(12 * slopes.size)
    leaves = {key: torch.tensor(w) for key, w in params.items()}
    at = torch.tensor(x, requires_grad=True)
    y = at * torch.tensor(slopes) @ leaves["f2.weight"].T + leaves["f2.bias"]
    (by_x,) = torch.autograd.grad((y**2).mean(), at)
    assert_close(evaluated(module, params, data, seed=1).grads["x"], by_x.numpy(), "x", 1e-11)
