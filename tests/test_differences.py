"""Every entry over its options: derived gradients are the slopes of the loss itself.

Each module checks itself by central differences, without PyTorch or JAX.
"""

from collections.abc import Iterable
from typing import Any

import pytest
from loss_cases import Case, cases
from loss_cases import spec as loss_spec
from oracle import SpecMapping, compiled, entries
from settings import IN_PYTHON, Settings, option_sets, shown

from symback.catalog.entry import Entry, Kind
from symback.formula import explicit

NEEDED: dict[str, dict[str, Any]] = {
    "dense": {"units": 3},
    "threshold": {"threshold": 0.2, "value": 0.3},
}
SOURCES = {"add": ["f1", "f2"], "concat": ["f1", "f2"]}
# Layers that take any input; those with shapes of their own are checked by test_parity_catalog.
ANYWHERE = ("dense", "flatten", "dropout", "add", "concat")
ACTIVATIONS = [
    entry
    for entry in entries(Kind.ACTIVATION)
    if explicit(entry.formulas[-1], "x") <= 1  # any layer's output has one axis beside the first
]
LAYERS = [entry for entry in entries(Kind.LAYER) if entry.name in ANYWHERE]
targets = pytest.mark.parametrize("target", IN_PYTHON)


def of(listed: Iterable[Entry]) -> list[tuple[Entry, dict[str, Any]]]:
    """Return entries, each with its option sets."""
    return [(entry, chosen) for entry in listed for chosen in option_sets(entry, {}, NEEDED)]


def spec(layer: SpecMapping) -> SpecMapping:
    """Return a network with a layer between two others of one width."""
    return {
        "inputs": {"x": ["n", 4], "t": ["n", 2]},
        "layers": [
            {"f1": {"dense": 3, "activation": "tanh"}},
            {"f2": {"dense": 3}},
            {"f3": layer},
            {"f4": {"dense": 2}},
        ],
        "loss": {"mse": "t"},
        "optimizer": {"sgd": {"lr": 0.1}},
    }


@targets
@pytest.mark.parametrize(("entry", "chosen"), of(ACTIVATIONS), ids=shown)
def test_activation(entry: Entry, chosen: Settings, target: str) -> None:
    assert compiled(spec({"activation": {entry.name: dict(chosen)}}), target).check() == []


@targets
@pytest.mark.parametrize(("entry", "chosen"), of(LAYERS), ids=shown)
def test_layer(entry: Entry, chosen: Settings, target: str) -> None:
    layer = {entry.name: dict(chosen), "from": SOURCES.get(entry.name, "f2")}
    assert compiled(spec(layer), target).check() == []


@pytest.mark.parametrize("case", [each for each in cases() if each.reduction == "mean"], ids=str)
def test_loss(case: Case) -> None:
    written = loss_spec(case)
    if case.chosen.get("log_input") is False:  # the output is a rate
        written["layers"][-1]["f2"]["activation"] = "softplus"
    assert compiled(written, "numpy", ("x", "e")).check() == []
