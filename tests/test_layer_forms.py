"""What a layer has beside one output: masks in training, further outputs, given starts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch
from oracle import (
    Result,
    SpecMapping,
    assert_close,
    assert_same,
    compiled,
    drawn_params,
    evaluated,
    generator,
)

import symback
from symback import pipeline
from symback.errors import UserError

torch = pytorch.torch
FORMS = (("numpy", True), ("numpy", False), ("python", True))
SCALE = {"s": {"shape": [], "init": "constant(0.9)"}}
LEARNED = {"f0": {"formula": "v[...] = s * x[...]", "parameters": SCALE}}
ALPHA = -1.7580993408473766
OF_LABELS = {"one_hot"}  # nothing is learned by it or before it: it has a test of its own


def spec(shape: list[int], *layers: dict[str, Any]) -> SpecMapping:
    return {
        "inputs": {"x": ["n", *shape]},
        "layers": [LEARNED, *layers],
        "loss": {"formula": "sum(sin(y[...]), ...)"},
        "optimizer": {"sgd": 0.1},
    }


def as_alpha(x: Any, mask: Any, p: float) -> Any:
    """Return torch's alpha dropout of a mask: dropped values are α', then mean 0 and variance 1."""
    a = ((1 - p) * (1 + p * ALPHA**2)) ** -0.5
    return a * np.where(mask > 0, x, ALPHA) - a * ALPHA * p


@pytest.mark.parametrize(("target", "readable"), FORMS)
@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        ("dropout1d", [4, 5], 2),
        ("dropout2d", [4, 3, 2], 2),
        ("dropout3d", [4, 2, 1, 3], 2),
        ("alpha_dropout", [4, 5], 3),
        ("feature_alpha_dropout", [4, 5], 2),
    ],
)
def test_masks(layer: str, shape: list[int], axes: int, target: str, readable: bool) -> None:
    """A mask has a value for each channel where channels are dropped; evaluation has none."""
    module = compiled(spec(shape, {"f1": {layer: 0.25}}), target, readable=readable)
    x = np.random.default_rng(2).normal(size=(6, *shape))
    params = drawn_params(module)
    given = x if hasattr(module, "np") else x.tolist()
    start = params if hasattr(module, "np") else {key: w.tolist() for key, w in params.items()}
    output, cache = module.forward(start, given, generator(module, 1))
    mask = np.array(cache.r2)
    assert mask.shape == x.shape[:axes]
    assert set(np.unique(mask)) == {0.0, 1 / 0.75}
    wide = mask.reshape(*mask.shape, *(1 for _ in x.shape[axes:]))
    v = 0.9 * x
    want = as_alpha(v, wide, 0.25) if "alpha" in layer else wide * v
    assert_close(np.array(output), want, layer, 1e-12)
    output, _ = module.forward(start, given)
    assert_close(np.array(output), v, layer)
    assert module.check() == []


@pytest.mark.torch
@pytest.mark.parametrize(("target", "readable"), FORMS)
def test_another_output(target: str, readable: bool) -> None:
    """The states of an lstm, by their name; PyTorch's c_n is their last step."""
    layers = ({"f1": {"lstm": 2}}, {"f2": {"last_step": None, "from": "f1.cell"}})
    module = compiled(spec([4, 3], *layers), target, readable=readable)
    params = drawn_params(module)
    x = np.random.default_rng(3).normal(size=(5, 4, 3))
    plain = hasattr(module, "np")
    start = params if plain else {key: w.tolist() for key, w in params.items()}
    _, grads = module.value_and_grad(start, x if plain else x.tolist())
    theirs = torch.nn.LSTM(3, 2, batch_first=True).double()
    leaves = {key[3:]: torch.tensor(w) for key, w in params.items() if key.startswith("f1.")}
    theirs.load_state_dict(leaves)
    _, (_, states) = theirs(0.9 * torch.tensor(x))
    torch.sin(states[0]).sum().backward()
    for key, w in theirs.named_parameters():
        assert w.grad is not None
        wanted = w.grad.numpy()
        assert np.abs(wanted).max() > 0 or "bias" not in key
        assert_close(np.array(grads[f"f1.{key}"]), wanted, key, 1e-11)


STACKS = (  # layers, both ways, on a target, to be read
    *((count, both, "numpy", False) for count, both in ((1, False), (2, False), (3, True))),
    *((1, True, target, True) for target in ("numpy", "python", "c")),
)


@pytest.mark.torch
@pytest.mark.parametrize(("count", "both", "target", "readable"), STACKS)
@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_last_states_are_read_by_another_recurrence(
    kind: str, count: int, both: bool, target: str, readable: bool
) -> None:
    """An encoder's last states, of all layers and both ways, are where a decoder starts."""
    options = {"hidden_size": 3, "num_layers": count, "bidirectional": both}
    last = ["f1.h_n", *(["f1.c_n"] if kind == "lstm" else [])]
    layers = ({"f1": {kind: options}}, {"f2": {kind: options, "from": ["f0", *last]}})
    module = compiled(spec([4, 2], *layers), target, ("x",), readable=readable)
    params = drawn_params(module)
    x = np.random.default_rng(3).normal(size=(2, 4, 2))
    ours = evaluated(module, params, {"x": x})
    leaves = {key: torch.tensor(w, requires_grad=True) for key, w in params.items()}
    theirs = getattr(torch.nn, kind.upper())(
        2, 3, num_layers=count, bidirectional=both, batch_first=True
    ).double()

    def run(layer: str, *given: Any) -> Any:
        own = {k.partition(".")[2]: w for k, w in leaves.items() if k.startswith(layer)}
        assert set(own) == set(theirs.state_dict())
        return torch.func.functional_call(theirs, own, given)

    at = torch.tensor(x, requires_grad=True)
    _, states = run("f1.", at * leaves["f0.s"])
    output, _ = run("f2.", at * leaves["f0.s"], states)
    sought = {"x": at, **leaves}
    loss = torch.sin(output).sum()
    found = dict(zip(sought, torch.autograd.grad(loss, list(sought.values())), strict=True))
    want = {key: found[key].numpy() for key in ours.grads}
    assert set(params) <= set(ours.grads)
    assert_same(ours, Result(output.detach().numpy(), np.array(loss.item()), want), kind, 1e-11)


@pytest.mark.parametrize(("target", "readable"), FORMS)
def test_labels_as_zeros_and_a_one(target: str, readable: bool) -> None:
    """A dense layer of them picks columns of its weight: their slopes are counts of labels."""
    layers: list[Any] = [{"f1": {"one_hot": None, "from": "c"}}, {"f2": {"dense": 2}}]
    written = spec([3], *layers)
    written["inputs"] = {"c": {"shape": ["n", 3], "classes": 4}}
    written["layers"], written["loss"] = layers, {"formula": "sum(y[...], ...)"}
    module = compiled(written, target, readable=readable)
    params, labels = drawn_params(module), np.array([[0, 3, 3], [1, 3, 0]])
    ours = evaluated(module, params, {"c": labels})
    ones = np.eye(4)[labels]
    assert_close(ours.output, ones @ params["f2.weight"].T + params["f2.bias"], "output")
    assert_close(ours.grads["f2.weight"], np.tile(ones.sum((0, 1)), (2, 1)), "weight")


def test_an_own_formula_on_the_way_is_an_output() -> None:
    own = {"formula": ["c[n, k] = sin(v[n, k])", "y[n, k] = c[n, k]**2"], "from": "f0"}
    own["formula"] = [text.replace("v[", "x[") for text in own["formula"]]
    module = compiled(spec([3], {"f1": own}, {"f2": {"add": None, "from": ["f1.c", "f1"]}}))
    x = np.random.default_rng(3).normal(size=(5, 3))
    output, _ = module.forward(module.init(0), x)
    assert_close(np.array(output), np.sin(0.9 * x) + np.sin(0.9 * x) ** 2, "sum")


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ({"last_step": None, "from": "f0.cell"}, "no layer or input `f0.cell`"),
        ({"lstm": 2, "from": ["f0", "f0"]}, "`lstm` reads three sources"),
        ({"rnn": {"hidden_size": 2, "num_layers": 2}, "from": ["f0", "f0.h_n"]}, "f0.h_n"),
        (
            {"rnn": {"hidden_size": 2, "num_layers": 2}, "from": ["f0", "f0"]},
            r"reads a state of shape \(n, 2, 2\), here is \(n, 4, 3\)",
        ),
        ({"rnn": 2, "init": {"weight_ih_l1": "zeros"}}, "no parameter `weight_ih_l1`"),
        ({"rnn": 2, "init": {"weight_l0": "zeros"}}, "weight_l0"),
        ({"reflection_pad1d": 4}, "would leave nothing"),
    ],
)
def test_mistakes(layer: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        pipeline.generate(spec([4, 3], {"f1": layer}))


def test_starts_by_name_in_each_layer() -> None:
    starts = {"weight_ih_l1": "ones", "bias_hh_l0": "constant(0.5)"}
    layer = {"rnn": {"hidden_size": 2, "num_layers": 2}, "init": starts}
    params = compiled(spec([4, 3], {"f1": layer})).init(0)
    assert np.array_equal(params["f1.weight_ih_l1"], np.ones((2, 2)))
    assert np.array_equal(params["f1.bias_hh_l0"], np.full(2, 0.5))


@pytest.mark.parametrize(("kind", "axes"), [("lstm", 3), ("gru", 5), ("rnn", 3)])
def test_given_states_have_a_place_for_each_layer_and_way(
    kind: str, axes: int, tmp_path: Path
) -> None:
    """One of too many is refused as one of too few is, where the spec names it."""
    states = "h, c" if kind == "lstm" else "h"
    options = "{hidden_size: 3, num_layers: 2, bidirectional: true}"
    text = f"""model: steps
inputs: {{x: [n, 4, 2], h: [n, {axes}, 3], c: [n, 4, 3], t: [n, 4, 6]}}
layers:
  - r: {{{kind}: {options}, from: [x, {states}]}}
loss: {{mse: t}}
optimizer: sgd
"""
    path = tmp_path / "steps.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        symback.derive(path)
    said = f"steps.yaml:4:{text.splitlines()[3].index(', h') + 3}: layers[0].r.from[1]"
    assert f"`{kind}` reads a state of shape (n, 4, 3), here is (n, {axes}, 3)" in str(caught.value)
    assert said.partition(": ")[0] in str(caught.value)
    path.write_text(text.replace(f"h: [n, {axes}, 3]", "h: [n, 4, 3]"), encoding="utf-8")
    symback.derive(path)
