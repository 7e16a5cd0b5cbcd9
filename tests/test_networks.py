"""Networks drawn at random: every target, form and precision of a spec computes the same.

Whatever the catalogue offers goes together.
"""

import numpy as np
import pytest
from drawn import LOSSES, TRIES, WRT, Network, networks
from hypothesis import given
from loss_cases import Case, cases, ordinary
from loss_cases import spec as loss_spec
from oracle import assert_same, compiled, entries, evaluated
from settings import OF_MATRICES

from symback.catalog.entry import Kind

# What needs more than an output and a target, or an output that no network of any kind has: held
# against PyTorch by themselves (test_parity_operands, test_parity_losses).
APART = {"bce", "gaussian_nll", "margin_ranking", "cosine_embedding", "triplet_margin"}
APART |= {"multilabel_margin", "multilabel_soft_margin", "ctc"}


def test_every_loss_is_drawn() -> None:
    assert {entry.name for entry in entries(Kind.LOSS)} - APART == set(LOSSES)


@TRIES
@given(networks())
def test_all_forms_agree(network: Network) -> None:
    params, data = network.params, network.data
    readable = evaluated(compiled(network.spec, "numpy", WRT), params, data)
    plain = evaluated(compiled(network.spec, "python", WRT), params, data)
    fast = evaluated(compiled(network.spec, "numpy", WRT, readable=False), params, data)
    assert_same(plain, readable, "plain Python:")
    assert_same(fast, readable, "with buffers:")
    single = compiled(network.spec, "numpy", WRT, "float32", readable=False)
    halved = {key: w.astype(np.float32) for key, w in params.items()}
    rough = evaluated(single, halved, data)
    assert {gradient.dtype for gradient in rough.grads.values()} == {np.dtype(np.float32)}
    assert_same(rough, readable, "float32:", tolerance=1e-4)


FITTING = {(case.entry.name, case.wanted): case for case in reversed(cases())}


@pytest.mark.parametrize("optimizer", [entry.name for entry in entries(Kind.OPTIMIZER)])
@pytest.mark.parametrize("case", FITTING.values(), ids=str)
def test_every_loss_with_every_optimizer(case: Case, optimizer: str) -> None:
    """One step along the gradient makes the loss smaller, if it is small enough."""
    spec = loss_spec(case)
    spec["optimizer"] = {optimizer: {"lr": 1e-5}}
    if optimizer in OF_MATRICES:
        units = spec["layers"][0]["f1"]["dense"]
        spec["layers"] = [{"f1": {"dense": {"units": units, "bias": False}}}, *spec["layers"][1:]]
    module = compiled(spec, "numpy", readable=False)
    params, data = module.init(), list(ordinary(case).values())
    before = module.loss(params, *data)
    module.train(params, *data, epochs=1)
    assert module.loss(params, *data) < before
