"""Every loss with its options, reductions, weights and kinds of targets, and examples for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from oracle import Array, Arrays, SpecMapping, entries
from settings import Settings, option_sets

from symback.catalog.entry import Entry, Kind

CLASSES = 5
CLASS_WEIGHTS = [0.5, 2.0, 1.0, 0.0, 3.0]
ROWS = 7
COMBINED: Mapping[str, Sequence[Settings]] = {
    "huber": [{"delta": 3.0}],
    "smooth_l1": [{"beta": 0.0}, {"beta": 3.0}],
    "bce_with_logits": [{"pos_weight": 0.0}, {"pos_weight": 3.0}],
    "cross_entropy": [
        {"label_smoothing": 0.1},
        {"label_smoothing": 1.0},
        {"ignore_index": -100, "label_smoothing": 0.1},
    ],
    "nll": [{"ignore_index": -100}],
    "multi_margin": [{"margin": 0.5, "squared": True}],
    "hinge": [{"margin": 0.0}],
    "hinge_embedding": [{"margin": 0.0}],
    "poisson_nll": [{"log_input": False, "full": True, "eps": 0.01}],
}
# What a loss compares with, where its facts don't say: drawn by the function of that name below.
WANTED: Mapping[str, str] = {"poisson_nll": "counts", "kl_div": "probabilities"}
MEANS: Mapping[str, Sequence[str]] = {"kl_div": ("batchmean",)}  # PyTorch has it for this alone
FACTS = ("signs", "unit")
PROBABILITIES = ("bce",)  # losses whose output is one


def on_target(entry: Entry) -> bool:
    """Tell whether a loss compares the network's output with a target, and nothing else."""
    return {operand.key for operand in entry.operands} == {"output", "target", "sample_weight"}


@dataclass(frozen=True, slots=True)
class Case:
    """One loss as a spec may write it; `wanted` says what its targets are."""

    entry: Entry
    chosen: Settings
    wanted: str
    reduction: str = "mean"
    class_weights: bool = False
    sample_weights: bool = False

    def __str__(self) -> str:
        marks = ("class weights", self.class_weights), ("sample weights", self.sample_weights)
        given = [f"{name}={value}" for name, value in self.chosen.items()]
        words = [self.entry.name, *given, self.wanted, self.reduction]
        return ", ".join([*words, *(mark for mark, on in marks if on)])

    @property
    def rank_of_target(self) -> int:
        """Return how many axes the target has: labels lack the one of the classes."""
        return 1 if self.wanted == "labels" else 2

    @property
    def over_classes(self) -> bool:
        """Return whether the loss of an example is one number, a sum over the classes."""
        return self.entry.formulas[-1].startswith("l[...] = ") and any(
            "y[..., k]" in text for text in self.entry.formulas
        )


def wanted(entry: Entry, chosen: Settings) -> Iterator[str]:
    """Yield the kinds of targets a loss takes."""
    text = " ".join(entry.formulas)
    facts = [fact.kind for fact in entry.assumes if fact.kind in FACTS]
    if "t[...] == k" in text:
        yield "labels"
    if "t[..., k]" in text and "ignore_index" not in chosen:  # there is no such class to ignore
        yield "marks" if "unit" in facts else "probabilities"
    elif "t[...] == k" not in text:
        yield facts[0] if facts else WANTED.get(entry.name, "numbers")


def cases() -> list[Case]:
    """Return the cases: all weights with a mean; none and all of them with the others."""
    found = []
    for entry in filter(on_target, entries(Kind.LOSS)):
        by_class = (False, True) if "w[k]" in " ".join(entry.formulas) else (False,)
        for chosen in option_sets(entry, COMBINED, {}):
            for kind in wanted(entry, chosen):
                for reduction in ("mean", "sum", "none", *MEANS.get(entry.name, ())):
                    weights = [(c, s) for c in by_class for s in (False, True)]
                    if reduction != "mean":
                        weights = [weights[0], weights[-1]]
                    found += [Case(entry, chosen, kind, reduction, *on) for on in weights]
    return found


def spec(case: Case, penalties: Mapping[str, Any] | None = None) -> SpecMapping:
    """Return a network whose output is f1 + e: exactly e where x and the bias are zero."""
    shape = ["n", CLASSES]
    target: Any = {"shape": ["n"], "classes": CLASSES} if case.wanted == "labels" else shape
    written = {"target": "t", "reduction": case.reduction, **case.chosen}
    inputs = {"x": ["n", 3], "e": shape, "t": target}
    if case.class_weights:
        written["weight"] = CLASS_WEIGHTS
    if case.sample_weights:
        inputs["s"] = ["n"] if case.over_classes else shape
        written["sample_weight"] = "s"
    # the loss l1 beside the penalty l1 goes by its other name
    name = case.entry.aliases[0] if case.entry.name in (penalties or {}) else case.entry.name
    return {
        "inputs": inputs,
        "layers": [{"f1": {"dense": CLASSES}}, {"f2": {"add": None, "from": ["f1", "e"]}}],
        "loss": {name: written, **(penalties or {})},
        "optimizer": {"sgd": {"lr": 0.1}},
    }


def targets(case: Case, rng: np.random.Generator) -> Array:
    """Draw targets of the kind, the ends of their range among them."""
    shape = (ROWS, CLASSES)
    match case.wanted:
        case "labels":
            labels = np.arange(ROWS) % CLASSES
            if case.chosen.get("ignore_index") == -100:
                labels[2] = -100
            return labels
        case "probabilities":
            drawn = rng.uniform(0.1, 1, shape)
            drawn[0] = np.eye(CLASSES)[1]
            drawn /= drawn.sum(axis=1, keepdims=True)
            return np.log(drawn + 0.01) if case.chosen.get("log_target") else drawn
        case "signs":
            return np.where(rng.random(shape) < 0.5, -1.0, 1.0)
        case "marks":
            return rng.integers(0, 2, shape).astype(np.float64)
        case "unit":
            return np.clip(rng.uniform(-0.5, 1.5, shape), 0, 1)
        case "counts":
            return rng.integers(0, 5, shape).astype(np.float64)
        case _:
            return rng.normal(size=shape)


def ordinary(case: Case) -> Arrays:
    """Draw examples; the rate of a Poisson distribution is positive."""
    rng = np.random.default_rng(5)
    e = rng.normal(0, 2, (ROWS, CLASSES))
    if case.chosen.get("log_input") is False:
        e = 4 + np.abs(e)
    x = rng.normal(0, 0.5, (ROWS, 3))
    if case.entry.name in PROBABILITIES:
        x, e = x / 50, rng.uniform(0.1, 0.9, e.shape)
    data = {"x": x, "e": e, "t": targets(case, rng)}
    if case.sample_weights:
        data["s"] = rng.uniform(0, 2, (ROWS,) if case.over_classes else (ROWS, CLASSES))
    return data


def at_kinks(case: Case) -> Arrays:
    """Return examples whose outputs lie on kinks: x is zero, so that the output is e."""
    data = ordinary(case)
    places = [0.0, 1.0, -1.0, 0.15, -0.15, 3.0, -3.0, 0.5, -0.5, 2.0, -2.0]
    if case.entry.name in PROBABILITIES:
        places = [1e-9, 1 - 1e-9, 0.5, 0.25]
    e = np.resize(np.array(places), (ROWS, CLASSES))
    if case.wanted == "numbers":  # y − t at the places themselves
        data["t"] = np.where(e == 2, e, 0.0)
    if case.chosen.get("log_input") is False:
        e = np.abs(e)
    return data | {"x": np.zeros((ROWS, 3)), "e": e}


def far_out(case: Case) -> Arrays:
    """Return examples with outputs up to ±800, where exp would overflow."""
    data = ordinary(case)
    places = [0.0, 800.0, -800.0, 40.0, -40.0, 20.0, -20.0, 1.0]
    if case.entry.name == "poisson_nll":  # exp is the loss there
        places = [4.0, 20.0, 40.0]
    if case.entry.name in PROBABILITIES:
        places = [1e-11, 0.5, 1 - 2**-36]
    e = np.resize(np.array(places), (ROWS, CLASSES))
    return data | {"x": np.zeros((ROWS, 3)), "e": e}
