"""Learning rates against torch.optim.lr_scheduler, over 50 epochs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from settings import IN_PYTHON, Settings, option_sets, shown

import symback
from symback import catalog
from symback.catalog.entry import Entry, Kind

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.torch

EPOCHS = 50
BASE = 0.5
SCHEDULES = [entry for entry in catalog.entries() if entry.kind is Kind.SCHEDULE]
NEEDED: Mapping[str, Settings] = {
    "step": {"step_size": 7},
    "multi_step": {"milestones": [5, 20, 30]},
    "exponential": {"gamma": 0.9},
    "cosine": {"T_max": 20},
    "cosine_warm_restarts": {"T_0": 7},
    "one_cycle": {"max_lr": 0.7, "total_steps": 51},
    "cyclic": {"max_lr": 0.7, "step_size_up": 5},
}
COMBINED: Mapping[str, list[Settings]] = {
    "constant_factor": [{"factor": 1.0}],
    "multi_step": [{"milestones": [0, 5, 5, 30], "gamma": 0.5}, {"milestones": [30, 4]}],
    "cosine": [{"T_max": 7, "eta_min": 0.1}, {"T_max": EPOCHS}],
    "cosine_warm_restarts": [{"T_0": 3, "T_mult": 2, "eta_min": 0.01}],
    "linear": [{"start_factor": 1.0, "end_factor": 0.0, "total_iters": 10}],
    "polynomial": [{"total_iters": 40, "power": 2.0}, {"total_iters": 60, "power": 0.5}],
    "one_cycle": [{"total_steps": 60, "pct_start": 0.45, "anneal_strategy": "linear"}],
    "cyclic": [
        {"step_size_up": 4, "step_size_down": 9, "mode": "triangular2"},
        {"mode": "exp_range", "gamma": 0.95},
        {"step_size_up": 2000},
    ],
    "reduce_on_plateau": [
        {"patience": 0, "factor": 0.9, "eps": 0.02},
        {"patience": 1, "cooldown": 3, "factor": 0.5},
        {"patience": 1, "threshold": 0.1},
        {"patience": 1, "threshold": 0.05, "threshold_mode": "abs"},
        {"patience": 1, "factor": 0.6, "min_lr": 0.2},
        {"mode": "max", "patience": 0, "threshold": 0.2, "factor": 0.7},
        {"mode": "max", "patience": 1, "threshold": 0.3, "threshold_mode": "abs", "factor": 0.7},
    ],
}
IMPOSSIBLE = {  # what PyTorch refuses to run, or runs only so far
    "one_cycle": {"total_steps": (2, 5), "pct_start": ()},
}
FIXED: Mapping[str, Settings] = {  # what PyTorch needs said to do the same
    "one_cycle": {"cycle_momentum": False},
    "cyclic": {"cycle_momentum": False, "base_lr": BASE},
}


def cases() -> list[tuple[Entry, dict[str, Any]]]:
    """Return every schedule with its option sets, without those PyTorch has no answer to."""
    return [
        (entry, chosen)
        for entry in SCHEDULES
        for chosen in option_sets(entry, COMBINED, NEEDED)
        if not any(
            chosen.get(name) in values for name, values in IMPOSSIBLE.get(entry.name, {}).items()
        )
    ]


def losses() -> list[float]:
    """Return a loss to watch: it falls, wavers, and stands still; negative at the end."""
    rng = np.random.default_rng(5)
    falling = 1 / (1 + 0.1 * np.arange(EPOCHS)) + 0.05 * rng.normal(size=EPOCHS)
    falling[20:35] = 0.3
    falling[42:] -= 0.8
    return [float(value) for value in falling]


def in_torch(entry: Entry, chosen: Settings, watched: Sequence[float]) -> list[float]:
    """Return PyTorch's rate of every epoch."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE)
    name = entry.source.split(";")[0]
    if not name.startswith("torch.optim.lr_scheduler."):
        return [BASE] * EPOCHS
    rule = getattr(torch.optim.lr_scheduler, name.split(".")[-1])
    scheduler = rule(optimizer, **chosen, **FIXED.get(entry.name, {}))
    rates = []
    for epoch in range(EPOCHS):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if entry.name == "reduce_on_plateau":
            scheduler.step(watched[epoch])
        else:
            scheduler.step()
    return rates


def spec(entry: Entry, chosen: Settings, per: str = "epoch") -> dict[str, Any]:
    """Return a model whose learning rate follows the schedule."""
    return {
        "model": "rates",
        "inputs": {"x": ["n", 1], "t": ["n", 1]},
        "layers": [{"f1": {"dense": 1}}],
        "loss": {"mse": "t"},
        "optimizer": {"sgd": BASE},
        "schedule": {entry.name: dict(chosen), "per": per},
    }


@pytest.mark.parametrize("target", IN_PYTHON)
@pytest.mark.parametrize(("entry", "chosen"), cases(), ids=shown)
def test_rates_are_pytorchs(entry: Entry, chosen: Settings, target: str) -> None:
    module = symback.compile(spec(entry, chosen), target)
    state = module.init_state(module.init())
    watched = losses()
    rates = []
    for epoch in range(EPOCHS):
        state.epoch, state.metric = epoch, watched[epoch - 1] if epoch else math.inf
        module.schedule(state)
        rates.append(state.lr)
    np.testing.assert_allclose(rates, in_torch(entry, chosen, watched), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("target", IN_PYTHON)
@pytest.mark.parametrize(
    "entry", [entry for entry in SCHEDULES if entry.name != "reduce_on_plateau"], ids=shown
)
def test_a_schedule_per_step_counts_steps(entry: Entry, target: str) -> None:
    chosen = NEEDED.get(entry.name, {})
    module = symback.compile(spec(entry, chosen, per="step"), target)
    state = module.init_state(module.init())
    rates = []
    for step in range(EPOCHS):
        state.step, state.epoch = step, step // 10
        module.schedule(state)
        rates.append(state.lr)
    np.testing.assert_allclose(rates, in_torch(entry, chosen, losses()), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("entry", SCHEDULES, ids=shown)
def test_defaults_are_pytorchs(entry: Entry) -> None:
    name = entry.source.split(";")[0]
    if not name.startswith("torch.optim.lr_scheduler."):
        assert not entry.options
        return
    rule = getattr(torch.optim.lr_scheduler, name.split(".")[-1])
    names = rule.__init__.__code__.co_varnames[1 : rule.__init__.__code__.co_argcount]
    theirs = dict(zip(reversed(names), reversed(rule.__init__.__defaults__ or ()), strict=False))
    for option in entry.options:
        assert option.name in names
        if option.required:
            assert theirs.get(option.name) is None, option.name
        else:
            assert option.default == theirs[option.name], option.name
