"""Losses that compare more than an output and a target, as specs.

Each operand is a layer f + e, learned from x, and is e itself where x and the bias are zero; so the
gradients by parameters and by e pass through every operand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loss_cases import on_target
from oracle import SpecMapping, entries
from settings import Settings, option_sets

from symback.catalog.entry import Entry, Kind, Operand

WIDTH, ROWS = 4, 6
COMBINED: Mapping[str, Sequence[Settings]] = {
    "gaussian_nll": [{"full": True, "eps": 0.01}],
    "margin_ranking": [{"margin": 1.0}],
    "cosine_embedding": [{"margin": 0.5}, {"margin": -0.5}],
    "triplet_margin": [{"p": 1.0}, {"p": 3.0, "swap": True}, {"margin": 20.0, "swap": True}],
}
OF_EXAMPLES = ("cosine_embedding", "triplet_margin")  # one loss for each


@dataclass(frozen=True, slots=True)
class Case:
    """A loss as a spec may write it."""

    entry: Entry
    chosen: Settings
    reduction: str = "mean"
    weighted: bool = False

    def __str__(self) -> str:
        given = [f"{name}={value}" for name, value in self.chosen.items()]
        return ", ".join([self.entry.name, *given, self.reduction, *["weights"] * self.weighted])

    @property
    def elements(self) -> list[int | str]:
        """Return the shape of the loss before its reduction."""
        return ["n"] if self.entry.name in OF_EXAMPLES else ["n", WIDTH]


ENTRIES = [
    entry
    for entry in entries(Kind.LOSS)
    if not on_target(entry) and "input_lengths" not in {each.key for each in entry.operands}
]
CASES = [Case(entry, chosen) for entry in ENTRIES for chosen in option_sets(entry, COMBINED, {})]
PLAINEST = list({case.entry.name: case for case in reversed(CASES)}.values())
REDUCED = [
    Case(case.entry, case.chosen, reduction, weighted)
    for case in PLAINEST
    for reduction, weighted in (("mean", True), ("none", True))
]


def learned(case: Case) -> list[Operand]:
    """Return the operands that are layers."""
    return [o for o in case.entry.operands if o.key not in ("target", "sample_weight")]


def spec(case: Case) -> SpecMapping:
    shapes: dict[str, Any] = {"x": ["n", 3]}
    layers: list[dict[str, Any]] = []
    compared = {}
    for operand in learned(case):
        key = operand.key
        shapes[f"e_{key}"] = ["n", WIDTH]
        layers.append({f"f_{key}": {"dense": WIDTH, "from": "x"}})
        layers.append({f"o_{key}": {"add": None, "from": [f"f_{key}", f"e_{key}"]}})
        compared[key] = f"o_{key}"
    if any(operand.key == "target" for operand in case.entry.operands):
        shapes["t"] = case.elements
        compared["target"] = "t"
    if case.weighted:
        shapes["s"] = case.elements
        compared["sample_weight"] = "s"
    return {
        "inputs": shapes,
        "layers": layers,
        "loss": {case.entry.name: compared | {"reduction": case.reduction, **case.chosen}},
        "optimizer": {"sgd": {"lr": 0.1}},
    }
