"""Every loss over options, reductions, weights and targets against PyTorch.

Compared are the loss and its gradients by the logits (the input e), the parameters and the input.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pytorch
from loss_cases import CLASSES, PROBABILITIES, Case, at_kinks, cases, far_out, ordinary, spec
from oracle import Arrays, SpecMapping, assert_same, compiled, entries, evaluated
from settings import TARGETS

from symback.catalog.entry import Kind

pytestmark = pytest.mark.torch

CASES = cases()
PLAINEST = list({(case.entry.name, case.wanted): case for case in reversed(CASES)}.values())
APART = {"ctc"}  # compared in a test of their own
EXAMPLES = (ordinary, at_kinks, far_out)
WEIGHT = np.random.default_rng(1).normal(0, 0.5, (CLASSES, 3))
WRT = ("x", "e")


def compare(written: SpecMapping, target: str, data: Arrays, params: Arrays) -> None:
    """Hold a spec's loss and gradients against PyTorch's."""
    ours = evaluated(compiled(written, target, wrt=WRT), params, data)
    assert_same(ours, pytorch.result(written, params, data, WRT))


def start() -> Arrays:
    """Return the parameters: no bias, so that the logits are e where x is zero."""
    return {"f1.weight": WEIGHT, "f1.bias": np.zeros(CLASSES)}


def test_every_loss_has_a_counterpart() -> None:
    assert {entry.name for entry in entries(Kind.LOSS)} - APART == {
        *pytorch.LOSSES,
        *pytorch.COMPARISONS,
    }


@pytest.mark.parametrize("case", CASES, ids=str)
def test_loss(case: Case) -> None:
    for examples in EXAMPLES:
        compare(spec(case), "numpy", examples(case), start())


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", PLAINEST, ids=str)
@pytest.mark.parametrize("target", [name for name in TARGETS if name != "numpy"])
def test_loss_on_other_targets(case: Case, reduction: str, target: str) -> None:
    written = spec(Case(case.entry, case.chosen, case.wanted, reduction))
    for examples in EXAMPLES:
        compare(written, target, examples(case), start())


@pytest.mark.parametrize("case", PLAINEST, ids=str)
def test_more_axes(case: Case) -> None:
    """Examples of two axes, [n, 2, …]: all but the classes' are averaged over."""
    written = spec(case)
    for name, shape in written["inputs"].items():
        sizes = shape["shape"] if isinstance(shape, dict) else shape
        more = [sizes[0], 2, *sizes[1:]]
        written["inputs"][name] = shape | {"shape": more} if isinstance(shape, dict) else more
    halves = [ordinary(case), at_kinks(case)]
    data = {name: np.stack([half[name] for half in halves], axis=1) for name in halves[0]}
    for target in TARGETS:
        compare(written, target, data, start())


PENALTIES: list[dict[str, Any]] = [
    {"l1": 0.3, "l2": 0.2},
    {"l2": 0.01},
    {"l1": 0.01},
    {"l2": 0.1, "penalise": ["f1.weight"]},
    {"l1": 0.1, "penalise": ["f1.bias"]},
]


@pytest.mark.parametrize(
    ("case", "penalties"),
    [(case, PENALTIES[0]) for case in PLAINEST] + [(PLAINEST[0], each) for each in PENALTIES[1:]],
    ids=str,
)
def test_penalties(case: Case, penalties: dict[str, Any]) -> None:
    """λ₁·Σ|w| + λ₂·Σw² is added to the loss, undivided; |w| has the slope 0 at 0."""
    written = spec(case, penalties)
    params = {"f1.weight": WEIGHT.copy(), "f1.bias": np.linspace(-1, 1, CLASSES) / 20}
    params["f1.weight"][1] = 0
    for target in TARGETS:
        compare(written, target, ordinary(case), params)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_examples_are_not_all_the_same(examples: Callable[[Case], Arrays]) -> None:
    for case in CASES:
        least = 0.5 if case.entry.name in PROBABILITIES else 1
        assert np.ptp(examples(case)["e"]) > least, str(case)
