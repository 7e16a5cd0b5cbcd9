"""`symback explain`: norms along the chain, held against the module's own gradients."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from symback import pipeline
from symback.__main__ import cli
from symback.explain import Explanation, Step, explain
from symback.explain import words as said

EXAMPLES = Path(__file__).parent.parent / "examples"
FRAME = "model: net\ninputs: {x: [n, 8], t: [n, 1]}\nlayers:\n%s\nloss: {mse: t}\noptimizer: sgd\n"


def told(folder: Path, *layers: str) -> Explanation:
    """Explain a network of these layers at drawn examples."""
    path = folder / "net.yaml"
    path.write_text(FRAME % "\n".join(f"  - {layer}" for layer in layers), "utf-8")
    return explain(path)


def step(found: Explanation, name: str) -> Step:
    return next(step for step in found.steps if step.name == name)


def close(got: float | None, want: Any) -> None:
    assert got is not None
    assert got == pytest.approx(float(want), rel=1e-12)


def test_norms_and_gains_are_those_of_the_modules_gradients() -> None:
    found = explain(EXAMPLES / "iris.yaml", seed=3)
    spec = pipeline.load(EXAMPLES / "iris.yaml")
    module: Any = pipeline.compile(spec, readable=True, wrt=["x"])
    from symback import data

    assert spec.data is not None
    arrays = data.read(spec.data, spec.inputs, spec.folder).train
    params = module.init(3)
    loss, grads = module.value_and_grad(params, arrays["x"], arrays["t"])
    close(found.loss, loss)
    assert [item.key for item in found.parameters] == [
        "f2.bias",
        "f2.weight",
        "f1.bias",
        "f1.weight",
    ]
    for item in found.parameters:
        close(item.gradient, np.linalg.norm(grads[item.key]))
        close(item.norm, np.linalg.norm(params[item.key]))
        close(item.ratio, item.gradient / item.norm)
        if params[item.key].ndim == 2:
            close(item.spectral, np.linalg.svd(params[item.key])[1][0])
    assert [each.name for each in found.steps] == ["z2", "a1", "z1", "x"]
    close(step(found, "x").norm, np.linalg.norm(grads["x"]))
    output, cache = module.forward(params, arrays["x"])
    p = np.exp(output - output.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    dz2 = (p - np.eye(3)[arrays["t"]]) / len(p)
    da1 = dz2 @ params["f2.weight"]
    dz1 = da1 * (1 - cache.a1**2)
    close(step(found, "z2").norm, np.linalg.norm(dz2))
    close(step(found, "a1").gain, np.linalg.norm(da1) / np.linalg.norm(dz2))
    close(step(found, "z1").gain, np.linalg.norm(dz1) / np.linalg.norm(da1))
    held = step(found, "z1").activation
    assert held is not None
    assert held.limits == (-1.0, 1.0)
    close(held.saturated, (1 - np.abs(cache.a1) < 0.01).mean())
    gains = {layer.name: layer.gain for layer in found.layers}
    close(gains["f2"], np.linalg.norm(da1) / np.linalg.norm(dz2))
    close(gains["f1"], np.linalg.norm(grads["x"]) / np.linalg.norm(da1))


def test_a_saturated_layer_is_where_the_gradient_shrinks(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        "f1: {dense: 16, activation: relu}",
        'f2: {dense: 16, activation: sigmoid, init: "uniform(-60, 60)"}',
        "f3: {dense: 1}",
    )
    held = step(found, "z2").activation
    assert held is not None
    assert held.saturated > 0.8
    first = said.findings(found)[0]
    gain = step(found, "z2").gain
    assert gain is not None
    assert first == (
        f"the gradient shrinks {1 / gain:.0f}-fold at f2: {held.saturated:.0%} of its sigmoid "
        "outputs are within 0.01 of 0 or 1"
    )


def test_dead_units_are_counted(tmp_path: Path) -> None:
    bias = "[-100, 0, -100, 0.5]"
    found = told(
        tmp_path, f"f1: {{dense: 4, activation: relu, init: {{bias: {bias}}}}}", "f2: {dense: 1}"
    )
    held = step(found, "z1").activation
    assert held is not None
    assert (held.dead, held.units) == (2, 4)
    assert held.off >= 0.5
    assert "2 of 4 units of f1 are dead: a1[n,o] = relu(z1[n,o]) has no slope for any example" in (
        said.findings(found)
    )
    assert "2 of 4 units dead" in said.page(found)


def test_large_weights_make_it_grow(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        "f1: {dense: 16}",
        'f2: {dense: 16, init: {weight: "uniform(-20, 20)"}}',
        "f3: {dense: 1}",
    )
    (finding,) = said.findings(found)
    spectral = next(item.spectral for item in found.parameters if item.key == "f2.weight")
    gain = next(layer.gain for layer in found.layers if layer.name == "f2")
    assert gain > 10
    assert finding == (
        f"the gradient grows {gain:,.0f}-fold at f2: the largest singular value of f2.weight is "
        f"{spectral:.3g}"
    )


def test_a_steady_decline_over_many_layers(tmp_path: Path) -> None:
    layers = [f"f{k}: {{dense: 8}}" for k in range(1, 16)]
    found = told(tmp_path, *layers, "f16: {dense: 1}")
    finding = said.findings(found)[0]
    assert "over 16 layers" in finding
    assert "shrinks" in finding


def test_a_sound_network_is_told_so(tmp_path: Path) -> None:
    (finding,) = said.findings(told(tmp_path, "f1: {dense: 8, activation: tanh}", "f2: {dense: 1}"))
    assert finding.startswith("no layer changes the gradient's size tenfold")


def test_what_is_not_finite_is_named(tmp_path: Path) -> None:
    found = told(tmp_path, 'f1: {dense: 8, init: "constant(1e200)"}', "f2: {dense: 1, init: ones}")
    assert "isn't finite" in said.findings(found)[0]


# ---------------------------------------------------------------- the command


def invoke(*words: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["explain", *(str(word) for word in words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def test_plain_text_where_nobody_watches() -> None:
    shown = invoke(EXAMPLES / "chain.yaml").stdout
    assert "∂L/∂a2" in shown
    assert "f1.weight" in shown
    assert "│" not in shown
    assert all(line == line.rstrip() for line in shown.splitlines())


def test_tables_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    said.draw(explain(EXAMPLES / "chain.yaml"))
    shown = capsys.readouterr().out
    assert "━" in shown
    assert "a2[n,o]" in shown


def test_json_holds_the_same_figures() -> None:
    shown = json.loads(invoke(EXAMPLES / "chain.yaml", "--json").stdout)
    found = explain(EXAMPLES / "chain.yaml")
    assert [row["norm"] for row in shown["steps"]] == [each.norm for each in found.steps]
    assert [row["name"] for row in shown["layers"]] == ["f3", "f2", "f1"]
    assert shown["findings"] == said.findings(found)


def test_weights_and_data_of_ones_own(tmp_path: Path) -> None:
    module: Any = pipeline.compile(EXAMPLES / "chain.yaml")
    params = {name: w * 0 + 0.5 for name, w in module.init(0).items()}
    module.save(tmp_path / "w.npz", params)
    np.savez(tmp_path / "d.npz", x=np.ones((3, 1)), t=np.zeros((3, 1)))
    found = explain(EXAMPLES / "chain.yaml", tmp_path / "d.npz", tmp_path / "w.npz")
    loss, _ = module.value_and_grad(params, np.ones((3, 1)), np.zeros((3, 1)))
    close(found.loss, loss)
    assert found.examples == f"3 examples of d.npz, weights of {tmp_path / 'w.npz'}"
    rows = "x,t\n" + "1,0\n" * 3
    (tmp_path / "d.csv").write_text(rows, "utf-8")
    close(explain(EXAMPLES / "chain.yaml", tmp_path / "d.csv", tmp_path / "w.npz").loss, loss)


def test_mistakes_are_told_in_words(tmp_path: Path) -> None:
    chain = EXAMPLES / "chain.yaml"
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    (tmp_path / "text.npz").write_text("no")
    for words, wanted in (
        (("--weights", tmp_path / "none.npz"), "none.npz: there is no such file"),
        (("--weights", tmp_path / "other.npz"), "has no array 'f1.weight' of the shape (4, 1)"),
        (("--weights", tmp_path / "text.npz"), "text.npz"),
        (("--data", tmp_path / "none.csv"), "there is no such file"),
        (("--data", tmp_path / "other.npz"), "there is no array `x`"),
    ):
        result = invoke(chain, *words, code=1)
        assert not result.stdout
        assert wanted in result.stderr


def test_a_recurrence_is_explained_step_by_step(tmp_path: Path) -> None:
    """Only the last of five steps reaches the loss: ∂L/∂h shrinks by U and tanh on the way back."""
    recurrent = (
        '{formula: "h[n, s, k] = tanh(sum(W[k, i]*x[n, s, i], i) + sum(U[k, j]*h[n, s-1, j], j))",'
        ' parameters: {W: {shape: [4, 2], init: "normal(0, 0.3)"},'
        ' U: {shape: [4, 4], init: "normal(0, 0.1)"}}}'
    )
    path = tmp_path / "steps.yaml"
    path.write_text(
        "model: steps\ninputs: {x: [n, 5, 2], t: [n, 4]}\nlayers:\n"
        f'  - r: {recurrent}\n  - last: {{formula: "p[n, k] = x[n, 4, k]"}}\n'
        "loss: {mse: t}\noptimizer: sgd\n",
        "utf-8",
    )
    module: Any = pipeline.compile(path)
    params, (x, t) = module.init(0), module.sample(64, 0)
    w, u = params["r.W"], params["r.U"]
    h = np.zeros((64, 6, 4))
    for s in range(5):
        h[:, s] = np.tanh(x[:, s] @ w.T + h[:, s - 1] @ u.T)
    dh = 2 * (h[:, 4] - t) / t.size
    norms = [np.linalg.norm(dh)]
    for s in (4, 3, 2, 1):
        dh = dh * (1 - h[:, s] ** 2) @ u
        norms.insert(0, np.linalg.norm(dh))
    found = explain(path)
    through = step(found, "h1").through
    assert through is not None
    assert through.letter == "s"
    assert through.norms == pytest.approx(norms, rel=1e-12)
    close(through.gain, (norms[0] / norms[4]) ** 0.25)
    assert step(found, "x").through is None
    words = "\n".join(said.findings(found))
    assert f"shrinks {norms[4] / norms[0]:,.0f}-fold from s = 4 to s = 0 of r" in words
    assert "s=0: " in said.page(found)
    assert json.loads(said.document(found))["steps"][1]["through"]["norms"] == list(through.norms)


def test_units_of_gates_are_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(
        "model: gates\ninputs: {x: [n, 3, 2], t: [n, 3, 4]}\nlayers: [{l: {lstm: 4}}]\n"
        "loss: {mse: t}\noptimizer: sgd\n",
        "utf-8",
    )
    found = explain(path)
    assert {each.activation.units for each in found.steps if each.activation} == {4}
    assert not any(each.activation.dead for each in found.steps if each.activation)


def test_a_softmax_is_no_activation_with_dead_units() -> None:
    """Half of a causal attention's shares are zero, and are meant to be."""
    found = explain(EXAMPLES / "gpt.yaml")
    softmax = next(each for each in found.steps if each.name == "g4")
    relu = next(each for each in found.steps if each.name == "z7")
    assert softmax.activation is None
    assert relu.activation is not None
