"""L-BFGS against torch.optim.LBFGS: the same net, the same data, the same losses step by step."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from settings import TARGETS, Settings, shown

import symback
from symback.errors import UserError

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.torch

STEPS = 6
NET: Mapping[str, Any] = {
    "model": "valley",
    "inputs": {"x": ["n", 3], "t": {"shape": ["n"], "classes": 3}},
    "layers": [{"f1": {"dense": 5, "activation": "tanh"}}, {"f2": {"dense": 3}}],
    "loss": {"cross_entropy": "t"},
    "metrics": ["accuracy"],
    "optimizer": "lbfgs",
    "train": {"epochs": STEPS},
}
WOLFE: Settings = {"line_search_fn": "strong_wolfe"}
CASES: list[Settings] = [
    {},
    {"lr": 0.3, "max_iter": 4},
    {"lr": 0.5, "max_iter": 7, "history_size": 2, "max_eval": 3},
    {"max_iter": 1},
    {"tolerance_grad": 0.05, "lr": 0.5},
    {"tolerance_change": 0.01, "lr": 0.2},
    WOLFE,
    {**WOLFE, "lr": 3.0, "max_iter": 5},
    {**WOLFE, "lr": 0.001, "max_iter": 3, "history_size": 3},
    {**WOLFE, "lr": 40.0, "max_iter": 4},
    {**WOLFE, "max_iter": 6, "max_eval": 4},
    {**WOLFE, "max_iter": 4, "max_eval": 1},
    {**WOLFE, "tolerance_grad": 0.02},
    {**WOLFE, "tolerance_change": 0.01, "history_size": 1},
]
FORMS = [("numpy", True), *((target, False) for target in TARGETS)]


def sample() -> tuple[Any, Any]:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(24, 3))
    return x, (x[:, 0] + x[:, 1] ** 2 > 0.5).astype(int) + (x[:, 2] > 0.7)


def in_torch(
    chosen: Settings, start: Mapping[str, Any], rates: Any = None
) -> tuple[list[float], Any]:
    """Return PyTorch's losses before every step, and its parameters at last."""
    leaves = {key: torch.tensor(np.array(w), requires_grad=True) for key, w in start.items()}
    optimizer = torch.optim.LBFGS(leaves.values(), **chosen)
    scheduler = rates(optimizer) if rates else None
    x, t = map(torch.tensor, sample())

    def closure() -> Any:
        optimizer.zero_grad()
        h = torch.tanh(x @ leaves["f1.weight"].T + leaves["f1.bias"])
        y = h @ leaves["f2.weight"].T + leaves["f2.bias"]
        loss = torch.nn.functional.cross_entropy(y, t)
        loss.backward()
        return loss

    losses = []
    for _ in range(STEPS):
        losses.append(float(optimizer.step(closure).detach()))
        if scheduler:
            scheduler.step()
    return losses, {key: w.detach().numpy() for key, w in leaves.items()}


@lru_cache(maxsize=4)
def wanted(chosen: str, start: tuple[tuple[str, tuple[int, ...], bytes], ...]) -> tuple[Any, Any]:
    """Return the same of options in JSON and of a start that is known again by its bytes."""
    arrays = {key: np.frombuffer(held).reshape(shape) for key, shape, held in start}
    return in_torch(json.loads(chosen), arrays)


def trained(module: Any, target: str) -> tuple[Any, Any, Any]:
    """Return where training started, its history and where it led."""
    params, (x, t) = module.init(3), sample()
    start = {key: np.array(w) for key, w in params.items()}
    data = (x.tolist(), t.tolist()) if target == "python" else (x, t)
    return start, module.train(params, *data), params


@pytest.mark.parametrize(("target", "readable"), FORMS)
@pytest.mark.parametrize("chosen", CASES, ids=shown)
def test_steps_are_pytorchs(chosen: Settings, target: str, readable: bool) -> None:
    module = symback.compile({**NET, "optimizer": {"lbfgs": chosen}}, target, readable=readable)
    start, history, params = trained(module, target)
    begun = tuple((key, w.shape, w.tobytes()) for key, w in start.items())
    losses, end = wanted(json.dumps(chosen), begun)
    np.testing.assert_allclose([row.loss for row in history], losses, rtol=1e-9, atol=1e-13)
    for key, w in end.items():
        np.testing.assert_allclose(params[key], w, rtol=1e-6, atol=1e-8, err_msg=key)
    assert history[-1].loss < history[0].loss


def test_defaults_are_pytorchs() -> None:
    from symback import catalog
    from symback.catalog.entry import Kind

    entry = catalog.find(Kind.OPTIMIZER, "lbfgs")
    assert entry is not None
    theirs = torch.optim.LBFGS([torch.zeros(1)]).defaults
    for option in entry.options:
        if option.name != "max_eval":  # worked out of max_iter there
            assert option.default == theirs[option.name], option.name


@pytest.mark.parametrize("per", ["epoch", "step"])
def test_a_schedule_moves_its_rate(per: str) -> None:
    chosen: Settings = {"max_iter": 3, "lr": 0.8}
    schedule = {"exponential": {"gamma": 0.7}, "per": per}
    model = {**NET, "optimizer": {"lbfgs": chosen}, "schedule": schedule}
    start, history, _ = trained(symback.compile(model), "numpy")
    losses, _ = in_torch(chosen, start, lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.7))
    np.testing.assert_allclose([row.loss for row in history], losses, rtol=1e-9)
    np.testing.assert_allclose([row.lr for row in history], 0.8 * 0.7 ** np.arange(STEPS))


@pytest.mark.parametrize(("target", "readable"), FORMS)
def test_what_stands_around_it_goes_on(target: str, readable: bool) -> None:
    """Frozen layers, running statistics, validation, early stops, parameters of one's own."""
    layers = [
        {"f1": {"dense": 5, "frozen": True}},
        {"norm": {"batch_norm1d": None}},
        {"f2": {"dense": 3}},
    ]
    train = {"epochs": 9, "validation": 0.25, "patience": 2, "batch_size": "all", "tolerance": 1e-9}
    model = {**NET, "layers": layers, "train": train, "optimizer": {"lbfgs": {"max_iter": 3}}}
    module = symback.compile(model, target, readable=readable)
    start, history, params = trained(module, target)
    assert module.check() == []
    changed = {key for key, w in params.items() if not np.array_equal(np.array(w), start[key])}
    assert changed >= {"norm.weight", "f2.weight", "norm.running_mean"}
    assert not {key for key in changed if key.startswith("f1")}
    assert history[-1].loss < history[0].loss
    if target != "python":
        plain = dict(start)  # arrays apart: they are written back
        again = module.train(plain, *sample())
        np.testing.assert_allclose([row.loss for row in again], [row.loss for row in history])


@pytest.mark.parametrize("target", TARGETS)
def test_a_loss_that_runs_away_is_told(target: str) -> None:
    model = {
        "model": "away",
        "inputs": {"x": ["n", 1], "t": ["n", 1]},
        "layers": [{"f1": {"dense": 1}}],
        "loss": {"formula": "mean((y[n, i] - t[n, i])**4, n, i)"},
        "optimizer": {"lbfgs": {"lr": 1e200}},
    }
    module = symback.compile(model, target)
    x, t = [[1.0], [2.0]], [[3.0], [4.0]]
    data = (x, t) if target == "python" else (np.array(x), np.array(t))
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="epoch 1: "):
        module.train(module.init(), *data)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train": {"batch_size": 16}}, ["compares losses of all examples", "batch_size: all"]),
        ({"train": {"clip_norm": 1.0}}, ["no use for `clip_norm`", "leave it out"]),
        ({"train": {"clip_value": 1.0}}, ["no use for `clip_value`"]),
        ({"train": {"accumulate": 2}}, ["nothing to accumulate"]),
        ({"layers": [{"f1": {"dense": 3}}, {"d": {"dropout": 0.5}}]}, ["drawn anew", "adam"]),
        ({"optimizer": {"lbfgs": {"line_search_fn": "wolfe"}}}, ["strong_wolfe"]),
        ({"optimizer": {"lbfgs": {"max_iters": 3}}}, ["did you mean `max_iter`"]),
        (
            {"schedule": {"one_cycle": {"max_lr": 1, "total_steps": 9}}},
            ["`lbfgs` has none", "cycle_momentum: false"],
        ),
    ],
)
def test_what_doesnt_go_with_it_is_told(changes: Settings, words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        symback.derive({**NET, **changes})
    for word in words:
        assert word in str(error.value)


def test_a_library_of_its_own_has_none() -> None:
    from symback import pipeline

    with pytest.raises(UserError, match="doesn't train by lbfgs") as error:
        pipeline.standalone(NET)
    assert "adam" in str(error.value)
