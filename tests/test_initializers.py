"""Starts of parameters: the numbers between which torch.nn.init draws."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from settings import Settings, shown
from test_draws import CASES, IN, OUT, draw

from symback.catalog.entry import Entry

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.torch


def simple(entry: Entry) -> bool:
    """Tell whether PyTorch draws every number by itself, and alike (the others: test_draws)."""
    alike = entry.formulas[0].startswith(("uniform(", "normal(", "constant("))
    return alike and "torch.nn" in entry.source


def recorded(
    run: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> tuple[str, tuple[float, ...]]:
    """Return the distribution that a PyTorch function draws from."""
    calls: list[tuple[str, tuple[float, ...]]] = []
    kinds = {"uniform_": "uniform", "normal_": "normal", "fill_": "constant", "zero_": "zero"}
    for method, kind in kinds.items():

        def record(tensor: Any, *numbers: float, kind: str = kind, **_: object) -> Any:
            calls.append((kind, numbers))
            return tensor

        monkeypatch.setattr(torch.Tensor, method, record)
    run()
    monkeypatch.undo()
    kind, numbers = calls[0]
    return ("constant", (0.0,)) if kind == "zero" else (kind, numbers)


@pytest.mark.parametrize(
    ("entry", "chosen"),
    [(entry, chosen) for entry, chosen in CASES if simple(entry)],
    ids=shown,
)
def test_numbers_are_pytorchs(
    entry: Entry, chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"low": "a", "high": "b", "value": "val"}
    options = {names.get(name, name): value for name, value in chosen.items()}
    weight = torch.empty(OUT, IN)
    if entry.name == "torch_default":
        wanted = recorded(lambda: torch.nn.Linear(IN, OUT), monkeypatch)
    else:
        rule = getattr(torch.nn.init, entry.source.split(";")[0].removeprefix("torch.nn.init."))
        wanted = recorded(lambda: rule(weight, **options), monkeypatch)
    made = draw(entry, chosen)
    assert made.kind == wanted[0]
    np.testing.assert_allclose(made.arguments, wanted[1], rtol=1e-14)
