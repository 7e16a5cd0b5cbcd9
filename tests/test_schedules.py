"""Learning rates against torch.optim.lr_scheduler, over 50 epochs."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from settings import IN_PYTHON, TARGETS, Settings, option_sets, shown

import symback
from symback import catalog
from symback.catalog.entry import Entry, Kind
from symback.errors import UserError

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
    "swa": {"swa_lr": 0.05},
}
COMBINED: Mapping[str, list[Settings]] = {
    "constant_factor": [{"factor": 1.0}],
    "multi_step": [{"milestones": [0, 5, 5, 30], "gamma": 0.5}, {"milestones": [30, 4]}],
    "cosine": [{"T_max": 7, "eta_min": 0.1}, {"T_max": EPOCHS}],
    "cosine_warm_restarts": [{"T_0": 3, "T_mult": 2, "eta_min": 0.01}],
    "linear": [{"start_factor": 1.0, "end_factor": 0.0, "total_iters": 10}],
    "polynomial": [{"total_iters": 40, "power": 2.0}, {"total_iters": 60, "power": 0.5}],
    "one_cycle": [
        {"total_steps": 60, "pct_start": 0.45, "anneal_strategy": "linear"},
        {"total_steps": 60, "pct_start": 0.4, "three_phase": True, "anneal_strategy": "linear"},
    ],
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
    "cyclic": {"base_lr": BASE},
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


def counterpart(entry: Entry) -> Any:
    """Return PyTorch's class; None where there is none."""
    path = entry.source.split(";")[0].split(".")
    modules = (torch.optim.lr_scheduler, torch.optim.swa_utils)
    return next((getattr(m, path[-1]) for m in modules if hasattr(m, path[-1])), None)


def in_torch(entry: Entry, chosen: Settings, watched: Sequence[float]) -> list[float]:
    """Return PyTorch's rate of every epoch."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE, momentum=0.1)
    rule = counterpart(entry)
    if rule is None:
        return [BASE] * EPOCHS
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
    rule = counterpart(entry)
    if rule is None:
        assert not entry.options
        return
    names = rule.__init__.__code__.co_varnames[1 : rule.__init__.__code__.co_argcount]
    theirs = dict(zip(reversed(names), reversed(rule.__init__.__defaults__ or ()), strict=False))
    for option in entry.options:
        assert option.name in names
        if option.required:
            assert theirs.get(option.name) is None, option.name
        else:
            assert option.default == theirs[option.name], option.name


# ---------------------------------------------------------------- momentum

CYCLES: list[Settings] = [
    {"one_cycle": {"max_lr": 0.2, "total_steps": 40, "base_momentum": 0.6}},
    {"one_cycle": {"max_lr": 0.2, "total_steps": 40, "pct_start": 0.4, "three_phase": True}},
    {"one_cycle": {"max_lr": 0.2, "total_steps": 40, "anneal_strategy": "linear"}},
    {"cyclic": {"max_lr": 0.2, "step_size_up": 6, "max_momentum": 0.95}},
    {"cyclic": {"max_lr": 0.2, "step_size_up": 6, "mode": "triangular2"}},
    {"cyclic": {"max_lr": 0.2, "step_size_up": 6, "mode": "exp_range", "gamma": 0.9}},
    {"cyclic": {"max_lr": 0.2, "step_size_up": 6, "cycle_momentum": False}},
]
MOVED = {  # optimisers that have a momentum, with options that its presence decides on
    "sgd": {"nesterov": True, "momentum": 0.5},
    "rmsprop": {},
    "adam": {"weight_decay": 0.1},
    "adamw": {},
    "adamax": {},
    "nadam": {},
    "radam": {},
}


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Let PyTorch keep its own scalars (NAdam's product of momenta) in float64 too."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("schedule", "optimizer"),
    [(schedule, "sgd") for schedule in CYCLES]
    + [(CYCLES[k], name) for k in (0, 3) for name in MOVED if name != "sgd"],
    ids=shown,
)
def test_the_momentum_moves_against_the_rate(
    schedule: Settings, optimizer: str, target: str
) -> None:
    [(name, chosen)] = schedule.items()
    options = {"lr": 0.05, **MOVED[optimizer]}
    kinds = {entry.name: entry for entry in catalog.entries() if entry.kind is Kind.OPTIMIZER}
    w = torch.tensor([[0.3, -0.7]], dtype=torch.float64, requires_grad=True)
    theirs = kinds[optimizer].source.split(";")[0].split(".")[-1]
    rule = getattr(torch.optim, theirs)([w], **options)
    [entry] = [each for each in SCHEDULES if each.name == name]
    more = {"base_lr": 0.05} if name == "cyclic" else {}
    scheduler = counterpart(entry)(rule, **chosen, **more)
    init = {"weight": [[0.3, -0.7]]}
    model = BARE | {
        "inputs": {"x": ["n", 2], "t": ["n", 1]},
        "layers": [{"f1": {"dense": {"units": 1, "bias": False}, "init": init}}],
        "optimizer": {optimizer: options},
        "schedule": {**schedule, "per": "step"},
    }
    module = symback.compile(model, target)
    params = module.init()
    state = module.init_state(params)
    for step in range(40):
        [[first, second]] = w.detach().tolist()
        slope = [[0.4 * first + math.sin(0.7 * step), 0.4 * second - 0.2]]
        w.grad = torch.tensor(slope, dtype=torch.float64)
        rule.step()
        scheduler.step()
        given = {"f1.weight": slope if target == "python" else np.array(slope)}
        module.update(params, given, state)
        np.testing.assert_allclose(
            params["f1.weight"], w.detach().numpy(), rtol=1e-11, atol=1e-14, err_msg=f"step {step}"
        )


def test_a_momentum_that_isnt_there_is_not_moved() -> None:
    model = BARE | {"optimizer": "adagrad", "schedule": CYCLES[0]}
    with pytest.raises(UserError, match="`adagrad` has none") as error:
        symback.derive(model)
    assert "cycle_momentum: false" in str(error.value)
    model["schedule"] = {"one_cycle": {**CYCLES[0]["one_cycle"], "cycle_momentum": False}}
    symback.derive(model)


@pytest.mark.parametrize("target", IN_PYTHON)
def test_a_schedule_of_ones_own_moves_the_momentum(target: str) -> None:
    schedule = {
        "formula": ["lr = base", "momentum = 1 - 1 / (epoch + 2)"],
        "state": {"momentum": 0.5},
    }
    model = BARE | {"optimizer": {"sgd": {"lr": BASE, "momentum": 0.9}}, "schedule": schedule}
    module = symback.compile(model, target)
    state = module.init_state(module.init())
    found = []
    for state.epoch in range(4):
        module.schedule(state)
        found.append(state.momentum)
    np.testing.assert_allclose(found, [1 / 2, 2 / 3, 3 / 4, 4 / 5])


@pytest.mark.parametrize("target", IN_PYTHON)
def test_the_momentum_waits_for_its_turn(target: str) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE, momentum=0.3)
    first = torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=4)
    then = torch.optim.lr_scheduler.CyclicLR(optimizer, BASE, 0.9, step_size_up=3)
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [first, then], [4])
    schedule = [
        {"linear": {"total_iters": 4}, "until": 4, "per": "step"},
        {"cyclic": {"max_lr": 0.9, "step_size_up": 3}, "per": "step"},
    ]
    model = BARE | {"optimizer": {"sgd": {"lr": BASE, "momentum": 0.3}}, "schedule": schedule}
    module = symback.compile(model, target)
    state = module.init_state(module.init())
    for state.step in range(14):
        module.schedule(state)
        [group] = optimizer.param_groups
        np.testing.assert_allclose(
            (state.lr, state.momentum), (group["lr"], group["momentum"]), rtol=1e-12
        )
        optimizer.step()
        scheduler.step()


# ---------------------------------------------------------------- put together

Rules = torch.optim.lr_scheduler


def rates(schedule: Any, target: str, per: str = "epoch") -> list[float]:
    """Return our rate of every epoch (or step)."""
    module = symback.compile(BARE | {"schedule": schedule}, target)
    state = module.init_state(module.init())
    found = []
    for now in range(EPOCHS):
        setattr(state, per, now)
        module.schedule(state)
        found.append(state.lr)
    return found


def theirs(make: Any) -> list[float]:
    """Return PyTorch's; `make` takes the optimiser."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE)
    scheduler = make(optimizer)
    found = []
    for _ in range(EPOCHS):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return found


BARE: dict[str, Any] = {
    "model": "rates",
    "inputs": {"x": ["n", 1], "t": ["n", 1]},
    "layers": [{"f1": {"dense": 1}}],
    "loss": {"mse": "t"},
    "optimizer": {"sgd": BASE},
}
IN_TURN: list[dict[str, Any]] = [
    {"linear": {"total_iters": 5}, "until": 5},
    {"cosine": {"T_max": 20, "eta_min": 0.01}, "until": 25},
    {"cosine_warm_restarts": {"T_0": 4, "eta_min": 0.02}},
]


@pytest.mark.parametrize("target", IN_PYTHON)
@pytest.mark.parametrize("per", ["epoch", "step"])
def test_one_after_the_other(per: str, target: str) -> None:
    def make(optimizer: Any) -> Any:
        parts = [
            Rules.LinearLR(optimizer, total_iters=5),
            Rules.CosineAnnealingLR(optimizer, 20, 0.01),
            Rules.CosineAnnealingWarmRestarts(optimizer, 4, eta_min=0.02),
        ]
        return Rules.SequentialLR(optimizer, parts, [5, 25])

    schedule = [{**part, "per": per} for part in IN_TURN]
    np.testing.assert_allclose(rates(schedule, target, per), theirs(make), rtol=1e-10)


@pytest.mark.parametrize("target", IN_PYTHON)
def test_chained(target: str) -> None:
    def make(optimizer: Any) -> Any:
        parts = [
            Rules.LinearLR(optimizer, total_iters=8),
            Rules.ExponentialLR(optimizer, 0.95),
            Rules.MultiStepLR(optimizer, [10, 30]),
        ]
        return Rules.ChainedScheduler(parts, optimizer)

    parts = [
        {"linear": {"total_iters": 8}},
        {"exponential": 0.95},
        {"multi_step": {"milestones": [10, 30]}},
    ]
    np.testing.assert_allclose(rates({"chained": parts}, target), theirs(make), rtol=1e-10)


@pytest.mark.parametrize("target", IN_PYTHON)
def test_formulas_of_ones_own_and_chains_take_turns(target: str) -> None:
    warm = {"formula": "lr = base * (epoch + 1) / k", "constants": {"k": 4}, "until": 4}
    then = {"chained": [{"polynomial": {"total_iters": 20}}, {"exponential": 0.9}]}
    found = rates([warm, then], target)
    down = [BASE * max(0.0, 1 - t / 20) * 0.9**t for t in range(EPOCHS - 4)]
    np.testing.assert_allclose(found, [0.125, 0.25, 0.375, 0.5, *down], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("target", IN_PYTHON)
def test_a_plateau_goes_on_from_the_rate_it_finds(target: str) -> None:
    schedule = [{"constant_factor": {"factor": 0.5}, "until": 3}, {"reduce_on_plateau": None}]
    assert rates(schedule, target)[:4] == [BASE / 2] * 4


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ([{"cosine": 3}, {"cosine": 5}], "add `until: 5`"),
        ([{"cosine": 3, "until": 4}], "runs to the end"),
        ([{"cosine": 3, "until": 4}, {"cosine": 3, "until": 4}, {"cosine": 2}], "no later than"),
        ([{"cosine": 3, "until": 0}, {"cosine": 3}], "from 1 to"),
        ([{"cosine": 3, "until": 4}, {"cosine": 3, "per": "step"}], "all run per epoch"),
        ({"chained": [{"cosine": 3}, {"cosin": 3}]}, "did you mean `cosine`"),
        ({"chained": [{"cosine": 3}], "cosine": 3}, "another stands beside it"),
        ({"chained": [{"reduce_on_plateau": None}, {"cosine": 3}]}, "goes on from the rate"),
        ({"chained": []}, "one or more"),
        ({"chained": [{"cosine": 3, "until": 3}]}, "unknown"),
    ],
)
def test_mistakes_are_told(schedule: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        symback.derive(BARE | {"schedule": schedule})


def test_constants_of_one_name_keep_their_values() -> None:
    """The optimiser's eps and the schedule's are two numbers."""
    model = BARE | {"optimizer": {"adam": {"eps": 0.5}}}
    model["schedule"] = {"reduce_on_plateau": {"eps": 0.25, "patience": 0}}
    text = symback.generate(model, target="python").text
    assert "> 0.25" in text
    assert "0.5" in text


@pytest.mark.parametrize("target", IN_PYTHON)
def test_lambdas_are_formulas(target: str) -> None:
    """LambdaLR is a factor of `base`, MultiplicativeLR one of the rate last set."""
    found = rates({"formula": "lr = base / (1 + epoch)"}, target)
    wanted = theirs(lambda optimizer: Rules.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch)))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    found = rates({"formula": "lr = lr * where(epoch > 0, 1 - 1 / (epoch + 5), 1)"}, target)
    wanted = theirs(lambda o: Rules.MultiplicativeLR(o, lambda epoch: 1 - 1 / (epoch + 5)))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_the_catalogue_has_every_scheduler() -> None:
    names = {alias for entry in SCHEDULES for alias in entry.aliases}
    theirs_all = {
        name
        for name, made in vars(Rules).items()
        if isinstance(made, type) and issubclass(made, Rules.LRScheduler) and name[0] != "_"
    }
    put_together = {"SequentialLR", "ChainedScheduler"}
    assert theirs_all - names == {"LRScheduler", "LambdaLR", "MultiplicativeLR", *put_together}
