"""The loss of label sequences without an alignment beside PyTorch: log-probabilities as they come.

PyTorch's backward pass takes for granted that its input is a log_softmax's output, so gradients are
compared by what is before one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import pytorch
from oracle import Arrays, Result, SpecMapping, assert_same, compiled, evaluated
from pytorch import F, torch
from settings import TARGETS

import symback
from symback.errors import UserError

pytestmark = pytest.mark.torch

CLASSES, STEPS = 4, 7


@dataclass(frozen=True, slots=True)
class Case:
    """Label sequences as rows of one length, and how many steps and labels of each count."""

    rows: Sequence[Sequence[int]]
    steps: Sequence[int] = ()
    labels: Sequence[int] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: Sequence[float] = ()

    @property
    def spec(self) -> SpecMapping:
        given: dict[str, tuple[str, Sequence[float]]] = {}
        given["I"], given["K"] = ("input_lengths", self.steps), ("target_lengths", self.labels)
        given["s"] = ("sample_weight", self.weights)
        compared = {key: name for name, (key, values) in given.items() if values}
        return {
            "inputs": {
                "x": ["n", STEPS, 3],
                "t": {"shape": ["n", len(self.rows[0])], "classes": CLASSES},
                **{name: ["n"] for name in compared.values()},
            },
            "layers": [{"f1": {"dense": CLASSES}}, {"f2": {"activation": "log_softmax"}}],
            "loss": {"ctc": {"target": "t", **compared, **self.options}},
            "optimizer": {"sgd": {"lr": 0.1}},
        }

    @property
    def data(self) -> Arrays:
        x = np.random.default_rng(2).normal(0, 2, (len(self.rows), STEPS, 3))
        found = {"x": x, "t": np.array(self.rows)}
        for name, values in (("I", self.steps), ("K", self.labels), ("s", self.weights)):
            if values:
                found[name] = np.array(values, np.float64)
        return found


VARIED = Case(
    [[2, 2, 3], [1, 2, 3], [1, 1, 1], [3, 1, 1], [2, 3, 1], [1, 2, 1]],
    [7, 6, 5, 3, 7, 2],
    [3, 2, 3, 2, 0, 3],
    {"zero_infinity": True},
)
CASES = {
    "varied": VARIED,
    "sum": Case(VARIED.rows, VARIED.steps, VARIED.labels, {**VARIED.options, "reduction": "sum"}),
    "none": Case(VARIED.rows, VARIED.steps, VARIED.labels, {**VARIED.options, "reduction": "none"}),
    "weights": Case(
        VARIED.rows, VARIED.steps, VARIED.labels, VARIED.options, [0.5, 2, 1, 0, 3, 1.5]
    ),
    "all steps and labels": Case([[2, 3, 1], [1, 1, 3]]),
    "fewer steps": Case([[2, 3], [3, 3]], [4, 3]),
    "fewer labels": Case([[2, 3, 2], [3, 3, 1]], (), [1, 3]),
    "another blank": Case([[2, 0, 0], [0, 1, 2]], [7, 5], [3, 3], {"blank": 3}),
    "one label": Case([[2], [1]], [1, 7]),
    "one example, as long as it may be": Case([[1, 2, 2, 1, 3]], [6]),
}
PARAMS = {
    "f1.weight": np.random.default_rng(1).normal(size=(CLASSES, 3)),
    "f1.bias": np.linspace(-1, 1, CLASSES),
}


def theirs(case: Case) -> Result:
    """Return PyTorch's output, loss and gradients."""
    leaves = {key: torch.tensor(w, requires_grad=True) for key, w in PARAMS.items()}
    x = torch.tensor(case.data["x"], requires_grad=True)
    y = F.log_softmax(F.linear(x, *leaves.values()), -1)
    rows = torch.tensor(case.rows)
    labels = torch.tensor(case.labels or [rows.shape[1]] * len(rows))
    steps = torch.tensor(case.steps or [STEPS] * len(rows))
    options = {"reduction": "mean", **case.options}
    reduction = options.pop("reduction")
    elements = F.ctc_loss(y.transpose(0, 1), rows, steps, labels, reduction="none", **options)
    if case.weights:
        elements = elements * torch.tensor(case.weights)
    if reduction == "mean":
        elements = elements / labels.clamp(min=1)
    loss = pytorch.reduced(elements, reduction)
    if not case.weights:
        own = F.ctc_loss(y.transpose(0, 1), rows, steps, labels, reduction=reduction, **options)
        torch.testing.assert_close(loss, own, rtol=1e-14, atol=0)
    sought = {"x": x, **leaves}
    grads = torch.autograd.grad(loss.sum(), list(sought.values()))
    found = {name: g.numpy() for name, g in zip(sought, grads, strict=True)}
    return Result(y.detach().numpy(), np.array(loss.detach().numpy()), found)


@pytest.mark.parametrize("name", CASES)
def test_ctc(name: str) -> None:
    case = CASES[name]
    ours = evaluated(compiled(case.spec, "numpy", ("x",)), PARAMS, case.data)
    assert_same(ours, theirs(case), name, 1e-11)


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "numpy"])
def test_other_targets(target: str) -> None:
    ours = evaluated(compiled(VARIED.spec, target, ("x",)), PARAMS, VARIED.data)
    assert_same(ours, theirs(VARIED), target, 1e-11)


def test_a_form_to_read_and_its_own_check() -> None:
    module = compiled(VARIED.spec, "numpy", ("x",), readable=True)
    assert_same(evaluated(module, PARAMS, VARIED.data), theirs(VARIED), "readable", 1e-11)
    assert module.check() == []


def test_labels_that_do_not_fit_cost_more_than_anything() -> None:
    case = Case([[1, 1, 2]], [3])
    module = compiled(case.spec, "numpy")
    assert module.loss(PARAMS, *case.data.values()) > 1e29 / 3


def test_the_loss_wants_labels() -> None:
    spec = VARIED.spec
    spec["inputs"]["t"] = ["n", 3]
    with pytest.raises(UserError, match="the target holds numbers"):
        symback.derive(spec)
