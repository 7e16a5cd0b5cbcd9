"""Networks drawn at random, and the example that can be followed by hand, against PyTorch."""

from pathlib import Path

import numpy as np
import pytest
import pytorch
from drawn import TRIES, WRT, Network, networks
from hypothesis import given, settings
from oracle import assert_same, compiled, evaluated
from settings import TARGETS

import symback

pytestmark = pytest.mark.torch
torch = pytorch.torch

LINEAR = Path(__file__).parent.parent / "examples" / "linear.yaml"


@settings(TRIES, max_examples=100)
@given(networks())
def test_loss_and_gradients(network: Network) -> None:
    params, data = network.params, network.data
    theirs = pytorch.result(network.spec, params, data, WRT)
    assert_same(evaluated(compiled(network.spec, "numpy", WRT), params, data), theirs)


def linear_in_torch(x: list[list[float]], t: list[list[float]]) -> list[float]:
    """Return the losses of a hundred steps from w = 1/2, b = 0, clipped to length 1."""
    model = torch.nn.Linear(1, 1, dtype=torch.float64)
    with torch.no_grad():
        model.weight.fill_(0.5)
        model.bias.fill_(0.0)
    measure = torch.nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    xs, ts = torch.tensor(x, dtype=torch.float64), torch.tensor(t, dtype=torch.float64)
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        value = measure(model(xs), ts)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(value.item())
    return losses


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("target", TARGETS)
def test_linear_example_follows_pytorch(target: str, readable: bool) -> None:
    module = symback.compile(LINEAR, target, readable=readable)
    x, t = module.read(str(LINEAR.with_suffix(".csv")))
    params = module.init()
    history = module.train(params, x, t)
    losses = [row.loss for row in history]
    wanted = linear_in_torch(np.array(x).tolist(), np.array(t).tolist())
    assert len(losses) == 100
    np.testing.assert_allclose(losses, wanted, rtol=1e-12, atol=0)
    assert losses[-1] < losses[0] / 10
