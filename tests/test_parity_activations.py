"""Every activation over its options against PyTorch: values and slopes, at kinks and far out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import pytorch
from oracle import Result, SpecMapping, assert_close, assert_same, compiled, entries, evaluated
from pytorch import torch
from settings import TARGETS, Settings, option_sets, shown

from symback.catalog.entry import Entry, Kind

pytestmark = pytest.mark.torch

KINKS = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0, 6.0, -6.0, 0.15, -0.15, 2.0, -2.0]
FAR = [20.0, -20.0, 40.0, -40.0, 800.0, -800.0]
WIDTH = 5
COMBINED: Mapping[str, Sequence[Settings]] = {
    "leaky_relu": [{"negative_slope": 1.0}, {"negative_slope": -0.5}],
    "elu": [{"alpha": 2.0}, {"alpha": -0.5}],
    "celu": [{"alpha": 2.0}],
    "softplus": [{"beta": 3.0}],
    "hardtanh": [{"min_val": -3.0, "max_val": 6.0}, {"max_val": 0.0}],
    "softshrink": [{"lambd": 0.0}, {"lambd": 3.0}],
    "hardshrink": [{"lambd": 0.0}, {"lambd": 3.0}],
    "threshold": [{"threshold": -1.0, "value": 20.0}],
}
NEEDED: Mapping[str, Settings] = {"threshold": {"threshold": 0.5, "value": 0.0}}
OF_IMAGES = ("softmax2d",)
SCALE: Settings = {"shape": [3], "init": "constant(0.7)"}
LOSS = "sum(c[n, k] * y[n, k], n, k)"
OWN = {LOSS: lambda y, c: (c * y).sum()}
CASES = [
    (entry, chosen)
    for entry in entries(Kind.ACTIVATION)
    if entry.name not in OF_IMAGES
    for chosen in option_sets(entry, COMBINED, NEEDED)
]


def spec(entry: Entry, chosen: Settings) -> SpecMapping:
    """Return a network whose activation reads f1 + e: exactly e where x and the bias are zero."""
    return {
        "inputs": {"x": ["n", 3], "e": ["n", WIDTH], "c": ["n", WIDTH]},
        "layers": [
            {"f1": {"dense": WIDTH}},
            {"f2": {"add": None, "from": ["f1", "e"], "activation": {entry.name: dict(chosen)}}},
        ],
        "loss": {"formula": LOSS},
        "optimizer": {"sgd": {"lr": 0.1}},
    }


def both(
    entry: Entry, chosen: Settings, target: str, x: Any, e: Any, c: Any
) -> tuple[Result, Result]:
    """Return ours and PyTorch's."""
    written = spec(entry, chosen)
    module = compiled(written, target, wrt=("x", "e"))
    weight = np.random.default_rng(1).normal(size=(WIDTH, 3))
    params = {"f1.weight": weight, "f1.bias": np.zeros(WIDTH)}
    data = {"x": x, "e": e, "c": c}
    theirs = pytorch.result(written, params, data, ("x", "e"), own=OWN)
    return evaluated(module, params, data), theirs


def test_every_activation_has_a_counterpart() -> None:
    assert {entry.name for entry in entries(Kind.ACTIVATION)} == set(pytorch.ACTIVATIONS)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("entry", "chosen"), CASES, ids=shown)
def test_in_a_network(entry: Entry, chosen: Settings, target: str) -> None:
    rng = np.random.default_rng(2)
    x, e, c = (rng.normal(size=(8, width)) for width in (3, WIDTH, WIDTH))
    assert_same(*both(entry, chosen, target, x, 2 * e, c))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("entry", "chosen"), CASES, ids=shown)
def test_at_kinks_and_far_out(entry: Entry, chosen: Settings, target: str) -> None:
    ends = [chosen[name] for name in ("min_val", "max_val", "lambd") if name in chosen]
    values = [*KINKS, *FAR, *ends, *(-end for end in ends)]
    values += [0.0] * (-len(values) % WIDTH)
    e = np.array(values).reshape(-1, WIDTH)
    x, c = np.zeros((len(e), 3)), np.ones_like(e)
    c[:, 0] = 2.0  # so that a softmax, whose values sum to one, has slopes
    ours, theirs = both(entry, chosen, target, x, e, c)
    for place in np.ndindex(e.shape):
        where = f"{entry.name}({e[place]})"
        scale = max(1.0, abs(float(theirs.output[place])))
        for what, got, want in (
            (where, ours.output[place], theirs.output[place]),
            (f"slope of {where}", ours.grads["e"][place], theirs.grads["e"][place]),
        ):
            assert abs(got - want) <= 1e-12 * scale, f"{what}: {got}, not {want}"
    for name in ("f1.weight", "f1.bias"):
        assert_close(ours.grads[name], theirs.grads[name], name)


@pytest.mark.parametrize("target", TARGETS)
def test_softmax_over_channels(target: str) -> None:
    shape = ["n", 3, 2, 4]
    written: SpecMapping = {
        "inputs": {"x": shape, "c": shape},
        "layers": [
            {"f1": {"formula": "v[n, j, ...] = s[j] * x[n, j, ...]", "parameters": {"s": SCALE}}},
            {"f2": {"activation": "softmax2d"}},
        ],
        "loss": {"formula": "sum(c[...] * y[...], ...)"},
        "optimizer": "sgd",
    }
    rng = np.random.default_rng(3)
    data = {name: rng.normal(size=(5, 3, 2, 4)) for name in ("x", "c")}
    start = rng.normal(size=3)
    ours = evaluated(compiled(written, target, wrt=("x",)), {"f1.s": start}, data)
    s, x, c = (torch.tensor(a, requires_grad=True) for a in (start, data["x"], data["c"]))
    y = torch.softmax(s[:, None, None] * x, 1)
    loss = (c * y).sum()
    by_x, by_s = torch.autograd.grad(loss, (x, s))
    found = {"x": by_x.numpy(), "f1.s": by_s.numpy()}
    assert_same(ours, Result(y.detach().numpy(), loss.detach().numpy(), found), target, 1e-11)
