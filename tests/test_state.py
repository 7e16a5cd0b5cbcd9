"""What a layer keeps and doesn't learn: running statistics against PyTorch, and own states.

A pass with a generator is that of training; a state is renewed after each of these, and read by
the passes of evaluation.
"""

from collections.abc import Callable
from dataclasses import dataclass
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


class Theirs(nn.Module):  # type: ignore[misc]
    """The same network in PyTorch, from our parameters."""

    def __init__(self, case: Case, params: Arrays) -> None:
        super().__init__()
        self.s = nn.Parameter(torch.tensor(params["f0.s"]))
        self.f1 = case.theirs().double()
        own = {key[3:]: torch.tensor(w) for key, w in params.items() if key.startswith("f1.")}
        if "num_batches_tracked" in own:  # in plain Python a number is kept in a list of one
            own["num_batches_tracked"] = own["num_batches_tracked"].reshape(())
        self.f1.load_state_dict(own)  # by name and shape, strictly

    def forward(self, x: Any) -> Any:
        return self.f1(x * (1 + self.s * x))

    def trained(self, data: Arrays, batches: list[list[slice]]) -> None:
        """Take a step of SGD for each list of parts, on their joined gradient."""
        x, t = (torch.tensor(data[name]) for name in ("x", "t"))
        rule = torch.optim.SGD(self.parameters(), 0.1)
        for parts in batches:
            rule.zero_grad()
            count = sum(len(x[rows]) for rows in parts)
            for rows in parts:
                share = len(x[rows]) / count
                (share * nn.functional.mse_loss(self(x[rows]), t[rows])).backward()
            rule.step()

    def held(self) -> Arrays:
        """Return parameters and states by our names."""
        kept = {"f0.s" if key == "s" else key: w for key, w in self.state_dict().items()}
        return {key: w.detach().double().numpy() for key, w in kept.items()}


def given(module: Any, arrays: Arrays) -> Any:
    """Return arrays as a module takes them."""
    is_numpy = hasattr(module, "np")
    return {name: a.copy() if is_numpy else a.tolist() for name, a in arrays.items()}


def kept(case: Case) -> bool:
    """Tell whether the layer keeps anything: else it is the same in training and evaluation."""
    return case.options.get("track_running_stats", True)


def forms(case: Case) -> list[tuple[str, bool]]:
    """Return the targets to try a case on: C, which is slow to compile, where a case is new."""
    first = {(c.layer[:5], "cumulative" in c.options.values()): c for c in reversed(CASES)}
    return [form for form in FORMS if form[0] != "c" or case in first.values()]


BATCHES = [[slice(0, 3)], [slice(3, 6)], [slice(6, 8)]]


@pytest.mark.torch
@pytest.mark.parametrize("case", CASES, ids=str)
def test_training_and_evaluation(case: Case) -> None:
    """Steps in training change parameters and states as PyTorch's; evaluation reads them."""
    data = drawn(case)
    for target, readable in forms(case):
        module = compiled(case.spec(), target, ("x",), readable=readable)
        start = drawn_params(module)
        params = given(module, start)
        theirs = Theirs(case, start)
        theirs.train()
        theirs.trained(data, 2 * BATCHES)
        module.train(params, *given(module, data).values())
        want = theirs.held()
        assert sorted(params) == sorted(want)
        if target != "c":  # whose vector has what is learned first
            assert list(params) == list(want)
        for key, w in want.items():
            got = np.array(params[key]).reshape(w.shape)
            assert_close(got, w, f"{target} {key}", TOLERANCE)
        theirs.eval()
        with torch.no_grad():
            output = theirs(torch.tensor(data["x"])).numpy()
        found = np.array(module.predict(params, given(module, data)["x"]))
        assert_close(found, output, f"{target} predictions", TOLERANCE)


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
                theirs = Theirs(case, params)
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
