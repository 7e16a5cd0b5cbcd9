"""Losses of more than an output and a target, and of several terms, beside PyTorch."""

from typing import Any

import numpy as np
import pytest
import pytorch
from operand_cases import CASES, PLAINEST, REDUCED, ROWS, WIDTH, Case, learned, spec
from oracle import Array, Arrays, Result, SpecMapping, assert_same, compiled, evaluated
from pytorch import F, torch
from settings import TARGETS

import symback
from symback.errors import UserError

pytestmark = pytest.mark.torch

TOLERANCE = 1e-11
PLACES = [0.0, 1.0, -1.0, 0.5, 2.0]


def ordinary(case: Case, rows: int = ROWS) -> Arrays:
    rng = np.random.default_rng(4)
    data: Arrays = {"x": rng.normal(0, 0.3, (rows, 3))}
    shape = (rows, WIDTH)[: len(case.elements)]
    for operand in learned(case):
        e = rng.normal(size=(rows, WIDTH))
        data[f"e_{operand.key}"] = 3 + np.abs(e) if operand.key == "var" else e
    if any(operand.key == "target" for operand in case.entry.operands):
        numbers = case.entry.name == "gaussian_nll"
        signs = np.where(rng.random(shape) < 0.5, -1.0, 1.0)
        data["t"] = rng.normal(size=shape) if numbers else signs
    if case.weighted:
        data["s"] = rng.uniform(0, 2, shape)
    return data


def at_kinks(case: Case) -> Arrays:
    """Return examples with equal operands among them, and short by just the margin."""
    data = ordinary(case, 10)
    data["x"] *= 0
    for number, operand in enumerate(learned(case)):
        moved = np.roll(PLACES, number)
        rows = np.resize(np.concatenate([PLACES, moved]), data[f"e_{operand.key}"].shape)
        data[f"e_{operand.key}"] = rows + 3.5 if operand.key == "var" else rows + (rows == 0)
    return data


def drawn(case: Case) -> Arrays:
    rng = np.random.default_rng(6)
    params: Arrays = {}
    for operand in learned(case):
        params[f"f_{operand.key}.weight"] = rng.normal(0, 0.5, (WIDTH, 3))
        params[f"f_{operand.key}.bias"] = np.zeros(WIDTH)
    return params


def theirs(case: Case, params: Arrays, data: Arrays) -> Result:
    """Return PyTorch's output, loss and gradients."""
    leaves = {key: torch.tensor(w, requires_grad=True) for key, w in params.items()}
    given = {k: torch.tensor(a, requires_grad=k.startswith("e_")) for k, a in data.items()}
    compared: dict[str, Any] = {}
    for operand in learned(case):
        w, b = leaves[f"f_{operand.key}.weight"], leaves[f"f_{operand.key}.bias"]
        compared[operand.key] = F.linear(given["x"], w, b) + given[f"e_{operand.key}"]
    output = list(compared.values())[-1]
    if "t" in given:
        compared["target"] = given["t"]
    options = {o.name: o.default for o in case.entry.options} | dict(case.chosen)
    elements = pytorch.COMPARISONS[case.entry.name](**compared, **options)
    if "s" in given:
        elements = elements * given["s"]
    loss = pytorch.reduced(elements, case.reduction)
    sought = {k: a for k, a in given.items() if k.startswith("e_")} | leaves
    grads = torch.autograd.grad(loss.sum(), list(sought.values()))
    found = {name: g.numpy() for name, g in zip(sought, grads, strict=True)}
    return Result(output.detach().numpy(), np.array(loss.detach().numpy()), found)


def compare(case: Case, target: str, data: Arrays) -> None:
    wrt = tuple(name for name in data if name.startswith("e_"))
    module = compiled(spec(case), target, wrt)
    params = drawn(case)
    assert_same(evaluated(module, params, data), theirs(case, params, data), str(case), TOLERANCE)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_options(case: Case) -> None:
    for data in (ordinary(case), ordinary(case, 1), at_kinks(case)):
        compare(case, "numpy", data)


@pytest.mark.parametrize("case", REDUCED, ids=str)
def test_reductions(case: Case) -> None:
    compare(case, "numpy", ordinary(case))


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "numpy"])
@pytest.mark.parametrize("case", PLAINEST, ids=str)
def test_other_targets(case: Case, target: str) -> None:
    compare(case, target, ordinary(case))


# ---------------------------------------------------------------- one variance for a whole example


@pytest.mark.parametrize("shape", [["n"], ["n", 1]], ids=str)
def test_one_variance_for_an_example(shape: list[Any]) -> None:
    written: SpecMapping = {
        "inputs": {"x": ["n", 3], "t": ["n", 2], "v": shape},
        "layers": [{"f1": {"dense": 2}}],
        "loss": {"gaussian_nll": {"target": "t", "var": "v"}},
        "optimizer": "sgd",
    }
    rng = np.random.default_rng(1)
    x, t, v = rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), rng.uniform(1, 2, 5)
    module = compiled(written)
    params = {"f1.weight": rng.normal(size=(2, 3)), "f1.bias": rng.normal(size=2)}
    w, b = (torch.tensor(value, requires_grad=True) for value in params.values())
    loss = F.gaussian_nll_loss(F.linear(torch.tensor(x), w, b), torch.tensor(t), torch.tensor(v))
    loss.backward()
    value, grads = module.value_and_grad(params, x, t, v.reshape(5, *shape[1:]))
    assert value == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(grads["f1.weight"], w.grad, rtol=1e-11)


# ---------------------------------------------------------------- several terms


TERMS: SpecMapping = {
    "inputs": {
        "x": ["n", 3],
        "t": ["n", 2],
        "c": {"shape": ["n"], "classes": 4},
        "s": ["n", 2],
    },
    "layers": [
        {"f1": {"dense": 5, "activation": "tanh"}},
        {"f2": {"dense": 2}},
        {"f3": {"dense": 4, "from": "f1"}},
    ],
    "loss": [
        {"mse": {"target": "t", "output": "f2"}, "scale": 0.7},
        {"cross_entropy": {"target": "c", "output": "f3", "label_smoothing": 0.1}},
        {"l1": {"target": "f2", "output": "t"}, "scale": 0.2, "l2": 0.01},
        {"formula": "mean(f1[n, i]**2, n, i)", "scale": 3.0},
        {"l1": 0.05, "penalise": "f3.weight"},
    ],
    "optimizer": {"sgd": {"lr": 0.1}},
}


def drawn_terms(rows: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(2)
    x, t = rng.normal(size=(rows, 3)), rng.normal(size=(rows, 2))
    return x, t, rng.integers(0, 4, rows), rng.uniform(0, 2, (rows, 2))


@pytest.mark.parametrize("target", TARGETS)
def test_terms_are_added_up(target: str) -> None:
    module = compiled(TERMS, target)
    x, t, c, s = drawn_terms(6)
    params = {key: np.array(w, np.float64) for key, w in module.init(0).items()}
    leaves = {key: torch.tensor(w, requires_grad=True) for key, w in params.items()}

    def dense(layer: str, value: Any) -> Any:
        return F.linear(value, leaves[f"{layer}.weight"], leaves[f"{layer}.bias"])

    a1 = torch.tanh(dense("f1", torch.tensor(x)))
    z2, z3 = dense("f2", a1), dense("f3", a1)
    loss = (
        0.7 * F.mse_loss(z2, torch.tensor(t))
        + F.cross_entropy(z3, torch.tensor(c), label_smoothing=0.1)
        + 0.2 * F.l1_loss(torch.tensor(t), z2)
        + 0.01 * sum((w * w).sum() for w in leaves.values())
        + 3 * (a1**2).mean()
        + 0.05 * leaves["f3.weight"].abs().sum()
    )
    grads = torch.autograd.grad(loss, list(leaves.values()))
    found = {key: g.numpy() for key, g in zip(leaves, grads, strict=True)}
    want = Result(z3.detach().numpy(), np.array(loss.item()), found)
    data = {"x": x, "t": t, "c": c, "s": s}
    assert_same(evaluated(module, params, data), want, target, TOLERANCE)
    assert module.check() == []


def test_batches_of_terms_average_exactly() -> None:
    """All terms are means over the examples: an epoch's loss is that over all of them."""
    model = TERMS | {"train": {"batch_size": 4, "epochs": 1}, "optimizer": {"sgd": {"lr": 0.0}}}
    module = symback.compile(model)
    params, data = module.init(0), drawn_terms(10)
    history = module.train(params, *data)
    assert history[0].loss == pytest.approx(module.loss(params, *data), rel=1e-12)


def refused(**changes: Any) -> str:
    with pytest.raises(UserError) as refusal:
        symback.derive({**TERMS, **changes})
    return str(refusal.value)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ([], "loss"),
        ([{"mse": "t", "scale": 0}], "a scale of 0"),
        ([{"l2": 0.1}], "penalties alone"),
        ([{"mse": {"target": "t", "output": "f2", "reduction": "none"}}, {"mse": "t"}], "another"),
        ({"mse": {"target": "t", "output": "f22"}}, "did you mean `f2`"),
        ({"mse": {"target": "t", "ouput": "f2"}}, "did you mean `output`"),
        ({"mse": {"target": "t", "output": "f2", "weight": [1, 2]}}, "unknown option of `mse`"),
        ({"mse": {"target": 3}}, "the name of an input or a layer"),
        ("triplet_margin", "write {triplet_margin: {anchor: …, positive: …, negative: …}}"),
        ({"triplet_margin": "t"}, "{anchor: …, positive: …, negative: …}"),
        ({"triplet_margin": {"anchor": "f2", "positive": "t"}}, "needs `negative`"),
        ({"triplet_margin": {"anchor": "f2", "positive": "t", "negativ": "t"}}, "`negative`"),
        ({"triplet_margin": {"anchor": "f2", "positive": "t", "negative": "f3"}}, "doesn't fit"),
        ({"mse": "t", "output": "f2"}, "mse: {target: …, output: …}"),
    ],
)
def test_mistakes_are_told(loss: Any, words: str) -> None:
    assert words in refused(loss=loss)


def test_a_mistyped_operand_is_told_once() -> None:
    loss = {"triplet_margin": {"anchor": "f2", "positive": "t", "negativ": "t"}}
    assert "needs `negative`" not in refused(loss=loss)


def test_terms_without_a_common_divisor_are_not_accumulated() -> None:
    mixed = [{"mse": {"target": "t", "output": "f2"}}, {"l1": {"target": "t", "output": "f2"}}]
    mixed[1]["l1"]["reduction"] = "sum"
    symback.derive({**TERMS, "loss": mixed})
    assert "different things" in refused(loss=mixed, train={"accumulate": 2})


def test_what_a_layer_gives_promises_nothing() -> None:
    """p − t needs rows of the target that sum to one: those of an input are checked."""
    both = [{"p": {"dense": 4, "activation": "softmax"}}, {"q": {"dense": 4, "from": "x"}}]
    inputs = {"x": ["n", 3], "t": ["n", 4]}
    spec = {"inputs": inputs, "layers": both, "optimizer": "sgd"}
    outside = symback.generate(spec | {"loss": {"cross_entropy": "t"}}).text
    assert "require_one_sum" in outside
    module = symback.compile(
        spec
        | {
            "loss": {"cross_entropy": {"target": "f", "output": "q"}},
            "layers": [{"f": {"dense": 4}}, both[1]],
        }
    )
    assert module.check() == []
