"""Option sets for the catalogue's entries: every option on its own, and combinations by name."""

from collections.abc import Mapping, Sequence
from typing import Any

from symback.catalog import find
from symback.catalog.entry import Entry, Kind, Option
from symback.targets import names

Settings = Mapping[str, Any]
TARGETS = names()
OF_IMAGES = ("softmax2d", "dirac")  # entries that want images or kernels
OF_MATRICES = ("muon", "lbfgs")  # optimisers that want no biases, or no draws
IN_PYTHON = tuple(name for name in TARGETS if name != "c")  # what compiling wouldn't change


def others(option: Option) -> Sequence[Any]:
    """Return values of an option that differ from its default."""
    if option.choices:
        return [choice for choice in option.choices if choice != option.default]
    if isinstance(option.default, bool):
        return [not option.default]
    if option.listed:
        return []
    if option.whole:
        least = 1 if option.least is None else int(option.least)
        return [least, least + 3]
    if option.most == 0:
        return [-0.15]
    if 1 in {option.above, option.least}:
        return [1.5]
    return [0.6] if 1 in {option.below, option.most} else [0.15]


def option_sets(
    entry: Entry, combined: Mapping[str, Sequence[Settings]], needed: Mapping[str, Settings]
) -> list[dict[str, Any]]:
    """Return the defaults, every option varied alone, and the combinations listed for the entry.

    `needed` gives the options that an entry can't do without.
    """
    base = dict(needed.get(entry.name, {}))
    alone = [{option.name: value} for option in entry.options for value in others(option)]
    sets = [base, *({**base, **one} for one in alone)]
    sets += [{**base, **several} for several in combined.get(entry.name, ())]
    return [chosen for place, chosen in enumerate(sets) if chosen not in sets[:place]]


def shown(value: object) -> str:
    """Return a test's name for an entry, a target or an option set."""
    if isinstance(value, Entry):
        return value.name
    if isinstance(value, Mapping):
        return ",".join(f"{name}={value[name]}" for name in value) or "defaults"
    return str(value)


def of_images() -> dict[str, Any]:
    """Return a spec that uses the entries that want images or kernels."""
    convolution = {"out_channels": 3, "kernel_size": 2}
    return {
        "model": "images",
        "inputs": {"x": ["n", 2, 4, 4], "t": ["n", 3, 3, 3]},
        "layers": [
            {"f1": {"conv2d": convolution, "init": {"weight": {"dirac": {}}}}},
            {"f2": {"activation": {"softmax2d": {}}}},
        ],
        "loss": {"mse": "t"},
        "optimizer": "sgd",
    }


def of_matrices(optimizer: str) -> dict[str, Any]:
    """Return a spec of two matrices, trained by an optimiser that doesn't go with everything."""
    return {
        "model": "matrices",
        "inputs": {"x": ["n", 3], "t": ["n", 2]},
        "layers": [{f"f{k}": {"dense": {"units": k, "bias": False}}} for k in (5, 2)],
        "loss": {"mse": "t"},
        "optimizer": {optimizer: {}},
    }


def fitting(schedule: dict[str, Any], optimizer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schedule that moves the momentum only of an optimiser that has one."""
    [(name, chosen)] = schedule.items()
    entries = [find(Kind.OPTIMIZER, rule) for rule in optimizer]
    if name in {"one_cycle", "cyclic"} and not all(e and e.momentum for e in entries):
        return {name: {**(chosen or {}), "cycle_momentum": False}}
    return schedule


def of_sequences() -> dict[str, Any]:
    """Return a spec whose loss compares sequences of labels of another length."""
    return {
        "model": "sequences",
        "inputs": {"x": ["n", 7, 3], "t": {"shape": ["n", 2], "classes": 4}},
        "layers": [{"f1": {"dense": 4}}, {"f2": {"activation": "log_softmax"}}],
        "loss": {"ctc": {"target": "t"}},
        "optimizer": "sgd",
    }
