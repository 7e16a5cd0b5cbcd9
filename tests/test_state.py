"""What a layer keeps and doesn't learn: running statistics against PyTorch, and own states.

A pass with a generator is that of training; a state is renewed after each of these, and read by
the passes of evaluation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch
from oracle import (
    Arrays,
    Result,
    SpecMapping,
    assert_close,
    assert_same,
    compiled,
    drawn_params,
    evaluated,
)

from symback import pipeline
from symback.errors import UserError

torch = pytorch.torch
nn = torch.nn
TOLERANCE = 1e-11
FORMS = (("numpy", True), ("numpy", False), ("python", True), ("c", True))
BEFORE = "v[...] = x[...] * (1 + s * x[...])"  # so that there is something to learn before


@dataclass(frozen=True, slots=True)
class Case:
    """A layer, PyTorch's, and the shape of an example."""

    layer: str
    options: dict[str, Any]
    theirs: Callable[[], Any]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.layer}, {self.options}, {self.shape}"

    def spec(self, **train: Any) -> SpecMapping:
        start = {"s": {"shape": [], "init": "constant(0.1)"}}
        return {
            "inputs": {"x": ["n", *self.shape], "t": ["n", *self.shape]},
            "layers": [
                {"f0": {"formula": BEFORE, "parameters": start}},
                {"f1": {self.layer: self.options}},
            ],
            "loss": {"mse": "t"},
            "optimizer": {"sgd": 0.1},
            "train": {"shuffle": False, "batch_size": 3, "epochs": 2, **train},
        }


CASES = [
    Case("batch_norm1d", {}, lambda: nn.BatchNorm1d(5), (5,)),
    Case("batch_norm1d", {"eps": 0.5}, lambda: nn.BatchNorm1d(3, eps=0.5), (3,)),
    Case("batch_norm1d", {"momentum": 0.3}, lambda: nn.BatchNorm1d(3, momentum=0.3), (3, 7)),
    Case(
        "batch_norm2d",
        {"momentum": "cumulative", "eps": 0.1},
        lambda: nn.BatchNorm2d(3, eps=0.1, momentum=None),
        (3, 3, 5),
    ),
    Case("batch_norm2d", {"affine": False}, lambda: nn.BatchNorm2d(1, affine=False), (1, 1, 3)),
    Case(
        "batch_norm2d",
        {"track_running_stats": False},
        lambda: nn.BatchNorm2d(2, track_running_stats=False),
        (2, 3, 2),
    ),
    Case("batch_norm3d", {}, lambda: nn.BatchNorm3d(2), (2, 1, 3, 2)),
    Case(
        "instance_norm",
        {"track_running_stats": True, "momentum": 0.2},
        lambda: nn.InstanceNorm1d(3, momentum=0.2, track_running_stats=True),
        (3, 5),
    ),
    Case(
        "instance_norm",
        {"track_running_stats": True, "affine": True},
        lambda: nn.InstanceNorm2d(2, affine=True, track_running_stats=True),
        (2, 3, 2),
    ),
]


def drawn(case: Case, rows: int = 8) -> Arrays:
    """Return examples in batches of 3, 3 and 2, far from zero mean and unit variance."""
    rng = np.random.default_rng(5)
    return {
        "x": 3 + 2 * rng.normal(size=(rows, *case.shape)),
        "t": rng.normal(size=(rows, *case.shape)),
    }


def network(case: Case, params: Arrays) -> Any:
    """Return the same network in PyTorch, from our parameters."""

    class Theirs(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.s = nn.Parameter(torch.tensor(params["f0.s"]))
            self.f1 = case.theirs().double()
            own = {key[3:]: torch.tensor(w) for key, w in params.items() if key.startswith("f1.")}
            if "num_batches_tracked" in own:  # in plain Python a number is kept in a list of one
                own["num_batches_tracked"] = own["num_batches_tracked"].reshape(())
            self.f1.load_state_dict(own)  # by name and shape, strictly

        def forward(self, x: Any) -> Any:
            return self.f1(x * (1 + self.s * x))

    return Theirs()


def trained(theirs: Any, data: Arrays, steps: Sequence[Sequence[slice]], clip: float) -> None:
    """Take a step of SGD for each list of batches, on their joined gradient, twice over."""
    x, t = (torch.tensor(data[name]) for name in ("x", "t"))
    rule = torch.optim.SGD(theirs.parameters(), 0.1)
    theirs.train()
    for parts in (*steps, *steps):
        rule.zero_grad()
        count = sum(len(x[rows]) for rows in parts)
        for rows in parts:
            share = len(x[rows]) / count
            (share * nn.functional.mse_loss(theirs(x[rows]), t[rows])).backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        rule.step()


def assert_held(params: Any, theirs: Any, what: str) -> None:
    """Require PyTorch's parameters and states, all of them."""
    wanted = {"f0.s" if key == "s" else key: w for key, w in theirs.state_dict().items()}
    assert sorted(params) == sorted(wanted)
    if not what.startswith("c"):  # whose vector has what is learned first
        assert list(params) == list(wanted)
    for key, w in wanted.items():
        got = np.array(params[key]).reshape(tuple(w.shape))
        assert_close(got, w.detach().double().numpy(), f"{what} {key}", TOLERANCE)


def given(module: Any, arrays: Arrays) -> Any:
    """Return arrays as a module takes them."""
    is_numpy = hasattr(module, "np")
    return {name: a.copy() if is_numpy else a.tolist() for name, a in arrays.items()}


def kept(case: Case) -> bool:
    """Tell whether the layer keeps anything: else it is the same in training and evaluation."""
    return bool(case.options.get("track_running_stats", True))


def forms(case: Case) -> list[tuple[str, bool]]:
    """Return the targets to try a case on: NumPy, and the slower ones where a case is new."""
    first = {(c.layer[:5], "cumulative" in c.options.values()): c for c in reversed(CASES)}
    return [form for form in FORMS if form[0] == "numpy" or case in first.values()]


BATCHES = (slice(0, 3), slice(3, 6), slice(6, 8))


@pytest.mark.torch
@pytest.mark.parametrize("case", CASES, ids=str)
def test_training_and_evaluation(case: Case) -> None:
    """Steps in training change parameters and states as PyTorch's; evaluation reads them."""
    data = drawn(case)
    for target, readable in forms(case):
        module = compiled(case.spec(), target, ("x",), readable=readable)
        start = drawn_params(module)
        params = given(module, start)
        theirs = network(case, start)
        trained(theirs, data, [[rows] for rows in BATCHES], clip=1e9)
        module.train(params, *given(module, data).values())
        assert_held(params, theirs, target)
        theirs.eval()
        output = theirs(torch.tensor(data["x"])).detach().numpy()
        found = np.array(module.predict(params, given(module, data)["x"]))
        assert_close(found, output, f"{target} predictions", TOLERANCE)


@pytest.mark.torch
@pytest.mark.parametrize(("target", "readable"), FORMS)
def test_accumulated_parts_each_count(target: str, readable: bool) -> None:
    """A step on several batches renews the states after each, as PyTorch's passes do."""
    case = CASES[0]
    module = compiled(case.spec(accumulate=2, clip_norm=0.01), target, readable=readable)
    start, data = drawn_params(module), drawn(case)
    params = given(module, start)
    theirs = network(case, start)
    trained(theirs, data, [BATCHES[:2], BATCHES[2:]], clip=0.01)
    module.train(params, *given(module, data).values())
    assert_held(params, theirs, target)


@pytest.mark.torch
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_of_both_forms(case: Case) -> None:
    for target, readable in forms(case):
        module = compiled(case.spec(), target, ("x",), readable=readable)
        params = drawn_params(module)
        for key in [key for key in params if "running" in key]:
            params[key] = np.random.default_rng(1).uniform(0.5, 1.5, params[key].shape)
        well = "eps" in case.options or len(case.shape) > 1  # of two values each is ±1 else
        for rows in (2, 3) if well else (3,):
            data = drawn(case, rows)
            for learning in (True, False):
                theirs = network(case, params)
                theirs.train(learning)
                x = torch.tensor(data["x"], requires_grad=True)
                output = theirs(x)
                loss = nn.functional.mse_loss(output, torch.tensor(data["t"]))
                loss.backward()
                grads = {"x": x.grad, "f0.s": theirs.s.grad}
                grads |= {f"f1.{name}": w.grad for name, w in theirs.f1.named_parameters()}
                arrays = {name: g.numpy() for name, g in grads.items()}
                shown = output.detach().numpy()
                want = Result(shown, loss.detach().numpy(), arrays)
                ours = evaluated(module, params, data, 0 if learning and kept(case) else None)
                assert_same(ours, want, f"{target} {rows} {learning}", TOLERANCE)


# ---------------------------------------------------------------- states of one's own

OWN: SpecMapping = {
    "inputs": {"x": ["n", 3], "t": ["n", 3]},
    "layers": [
        {
            "f": {
                "formula": [
                    "c[k] = mean(x[n, k], n)",
                    "y[n, k] = w * (x[n, k] - where(training, c[k], m[k]))",
                ],
                "parameters": {"w": {"shape": [], "init": "ones"}},
                "state": {
                    "m": {"shape": [3], "init": "zeros", "next": "m[k] = 0.5*m[k] + 0.5*c[k]"},
                    "b": {"shape": [3], "init": [1, 2, 4], "next": "b[k] = b[2 - k] + m[k]"},
                    "last": {"shape": [], "init": 7.0, "next": "last = mean(x[n, k]**2, n, k)"},
                    "steps": {"shape": [], "init": "zeros", "next": "steps = steps + 1"},
                },
            }
        }
    ],
    "loss": {"mse": "t"},
    "optimizer": {"sgd": 0.1},
    "train": {"batch_size": 4, "epochs": 1, "shuffle": False},
}


@pytest.mark.parametrize(("target", "readable"), FORMS)
def test_own_states(target: str, readable: bool) -> None:
    """States are renewed in order, each read as it was before; evaluation reads them."""
    module = compiled(OWN, target, readable=readable)
    start = drawn_params(module)
    params = given(module, start)
    rng = np.random.default_rng(0)
    data = {"x": 2 + rng.normal(size=(7, 3)), "t": rng.normal(size=(7, 3))}
    module.train(params, *given(module, data).values())
    m, b, w = np.zeros(3), np.array([1.0, 2.0, 4.0]), 1.0
    for rows in (slice(0, 4), slice(4, 7)):
        x, t = data["x"][rows], data["t"][rows]
        m = 0.5 * m + 0.5 * x.mean(0)
        b = b[::-1] + m
        last = np.mean(x**2)
        centred = x - x.mean(0)
        w -= 0.1 * np.mean(2 * (w * centred - t) * centred)
    wanted = {"f.w": w, "f.m": m, "f.b": b, "f.last": last, "f.steps": 2.0}
    assert params.keys() == wanted.keys()
    for key, value in wanted.items():
        want = np.array(value)
        assert_close(np.array(params[key]).reshape(want.shape), want, f"{target} {key}")
    found = module.predict(params, given(module, data)["x"])
    assert_close(np.array(found), w * (data["x"] - m), target)
    assert module.STATES == ("f.m", "f.b", "f.last", "f.steps")
    assert module.check() == []


@pytest.mark.parametrize("target", ["numpy", "python"])
def test_states_are_saved(target: str, tmp_path: Path) -> None:
    """A file of PyTorch's, whole numbers among it, is read; what is written is read again."""
    module = compiled(CASES[0].spec(), target)
    arrays = {key: np.array(w) for key, w in module.init(3).items()}
    arrays |= {"f0.s": np.array(0.5), "f1.num_batches_tracked": np.array(12, np.int64)}
    np.savez(tmp_path / "theirs.npz", allow_pickle=False, **arrays)
    params = module.load(tmp_path / "theirs.npz")
    module.save(tmp_path / "ours.npz", params)
    again = module.load(tmp_path / "ours.npz")
    assert again.keys() == arrays.keys()
    for key, w in arrays.items():
        assert np.array_equal(np.array(again[key]).reshape(w.shape), w)


def test_a_frozen_layer_goes_on_counting() -> None:
    spec = CASES[0].spec()
    spec["layers"][1]["f1"]["frozen"] = True
    module = compiled(spec)
    params = module.init(0)
    module.train(params, *drawn(CASES[0]).values())
    assert np.array_equal(params["f1.weight"], np.ones(5))
    assert params["f1.num_batches_tracked"] == 6
    assert not np.array_equal(params["f1.running_mean"], np.zeros(5))


def wrong(**changes: Any) -> SpecMapping:
    """Return the spec of own states with other settings of its layer."""
    [layer] = OWN["layers"]
    return {**OWN, "layers": [{"f": {**layer["f"], **changes}}]}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (wrong(state={"m": {"shape": [3], "init": "zeros"}}), "`next` is missing"),
        (
            wrong(state={"m": {"shape": [3], "init": "zeros", "next": "z[k] = m[k]"}}),
            "says what `m` becomes",
        ),
        (
            wrong(state={"m": {"shape": [3], "init": "zeros", "next": "m[k] = nothing[k]"}}),
            "no tensor `nothing`",
        ),
        (
            wrong(state={"m": {"shape": [2], "init": "zeros", "next": "m[k] = c[k]"}}),
            "takes 3 values",
        ),
        (
            wrong(state={"w": {"shape": [], "init": "zeros", "next": "w = w"}}),
            "already one of the parameters",
        ),
        ({**OWN, "layers": [{"f": {"dense": 3, "state": {}}}]}, "goes with a `formula`"),
    ],
)
def test_mistakes(spec: SpecMapping, told: str) -> None:
    with pytest.raises(UserError, match=told):
        pipeline.generate(spec)
