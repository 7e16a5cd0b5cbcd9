"""The catalogue's larger layers against PyTorch: output, loss, gradients by weights and sources.

Each layer follows something learned, so that gradients pass through; its weights go to PyTorch's
module as a state_dict, by name and shape.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from layer_cases import CASES, Case, torch
from oracle import (
    Arrays,
    Result,
    SpecMapping,
    assert_close,
    assert_same,
    compiled,
    drawn_params,
    entries,
    evaluated,
)

from symback.catalog.entry import Kind

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning"),
]

LOSS = "sum(sin(y[...]), ...)"
BEFORE = "v[...] = x[...] * (1 + s * x[...])"  # so that there is something to learn
FORMS = (("numpy", True), ("numpy", False), ("python", True))
SMALL = list({case.layer: case for case in reversed(CASES)}.values())


def names(case: Case) -> list[str]:
    return [f"x{place}" for place in range(1, len(case.shapes) + 1)]


def spec(case: Case) -> SpecMapping:
    """Return a network of the layer behind a factor that is learned; labels come as they are."""
    shapes = {name: ["n", *shape] for name, shape in zip(names(case), case.shapes, strict=True)}
    inputs: dict[str, Any] = dict(shapes)
    if case.classes:
        inputs["x1"] = {"shape": shapes["x1"], "classes": case.classes}
    layers: list[dict[str, Any]] = []
    sources = names(case)
    if not case.classes:
        start = {"s": {"shape": [], "init": "constant(0.1)"}}
        layers.append({"f0": {"formula": BEFORE, "parameters": start, "from": "x1"}})
        sources[0] = "f0"
    source = sources if len(sources) > 1 else sources[0]
    layers.append({"f1": {case.layer: dict(case.options), "from": source}})
    return {
        "inputs": inputs,
        "layers": layers,
        "loss": {"formula": LOSS},
        "optimizer": {"sgd": {"lr": 0.1}},
    }


def wrt(case: Case) -> tuple[str, ...]:
    return () if case.classes else tuple(names(case))


def drawn(case: Case, rows: int, seed: int = 3) -> Arrays:
    rng = np.random.default_rng(seed)
    if case.classes:
        return {"x1": rng.integers(0, case.classes, (rows, *case.shapes[0]))}
    return {
        name: rng.normal(size=(rows, *shape))
        for name, shape in zip(names(case), case.shapes, strict=True)
    }


def theirs(case: Case, params: Arrays, data: Arrays) -> Result:
    """Return PyTorch's output, loss and gradients."""
    leaves = {key: torch.tensor(w, requires_grad=True) for key, w in params.items()}
    given = {name: torch.tensor(a, requires_grad=name in wrt(case)) for name, a in data.items()}
    sources = list(given.values())
    if "f0.s" in leaves:
        sources[0] = sources[0] * (1 + leaves["f0.s"] * sources[0])
    own = {key[3:]: w for key, w in leaves.items() if key.startswith("f1.")}
    output = case.theirs(*sources, own)
    loss = torch.sin(output).sum()
    sought = {name: given[name] for name in wrt(case)} | leaves
    grads = torch.autograd.grad(loss, list(sought.values()))
    found = {name: g.numpy() for name, g in zip(sought, grads, strict=True)}
    return Result(output.detach().numpy(), np.array(loss.detach().numpy()), found)


def compare(case: Case, target: str, readable: bool, data: Arrays) -> None:
    """Compare a form; the fast one by its parameters alone, as it is trained."""
    module = compiled(spec(case), target, wrt(case) if readable else (), readable=readable)
    params = drawn_params(module)
    ours, want = evaluated(module, params, data), theirs(case, params, data)
    want = replace(want, grads={key: want.grads[key] for key in ours.grads})
    assert set(params) <= set(ours.grads)
    assert_same(ours, want, str(case), 1e-11)


def test_every_layer_is_compared() -> None:
    from test_attention import CASES as ATTENDING
    from test_layer_forms import OF_LABELS
    from test_parity_layers import NETS, found
    from test_state import CASES as KEEPING

    elsewhere = {key for net in NETS.values() for layer in net.layers for key in found(layer)}
    elsewhere |= {case.layer for case in KEEPING} | {case.layer for case in ATTENDING.values()}
    missing = {entry.name for entry in entries(Kind.LAYER)} - {case.layer for case in CASES}
    assert missing <= elsewhere | OF_LABELS


@pytest.mark.parametrize("case", CASES, ids=str)
def test_layer(case: Case) -> None:
    for readable in (True, False):
        for rows in (3, 1):
            compare(case, "numpy", readable, drawn(case, rows))
    assert compiled(spec(case), "numpy", wrt(case)).check() == []


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_layer_in_plain_python(case: Case) -> None:
    compare(case, "python", True, drawn(case, 2))


def ties(case: Case) -> Arrays:
    """Return sources with equal values side by side, zeros among them."""
    places = np.array([0.0, 1.0, 1.0, 0.0, -1.0, 1.0, -1.0])
    shapes: Mapping[str, tuple[int, ...]] = dict(zip(names(case), case.shapes, strict=True))
    return {name: np.resize(places, (2, *shape)) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.layer.startswith(("max_pool", "prelu"))], ids=str
)
def test_ties_and_kinks(case: Case) -> None:
    for target, readable in FORMS:
        compare(case, target, readable, ties(case))


def test_no_layer_is_named_in_the_engine() -> None:
    """The graph, the derivation, the lowering and the targets know no layer by its name."""
    import ast
    from pathlib import Path

    import symback

    root = Path(symback.__file__).parent
    files = [*root.glob("graph/*.py"), *root.glob("derivation/*.py"), *root.glob("targets/**/*.py")]
    files += root.glob("passes/*.py")
    files += [root / name for name in ("lower.py", "index.py", "program.py")]
    layers = {name for e in entries(Kind.LAYER) for name in (e.name, *e.aliases)}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in layers - SHARED_WORDS, f"{path.name}: {node.value}"


SHARED_WORDS = {"add", "linear", "identity"}  # arithmetic's; an activation's; a matrix's


@pytest.mark.parametrize("name", ["swiglu", "rms_norm"])
def test_assert_close_sees_a_difference(name: str) -> None:
    case = next(case for case in CASES if case.layer == name)
    module = compiled(spec(case), "numpy", wrt(case))
    params, data = drawn_params(module), drawn(case, 3)
    ours = evaluated(module, params, data)
    params["f1.weight" if "f1.weight" in params else "f1.w1.weight"][0] *= 1 + 1e-9
    with pytest.raises(AssertionError):
        assert_close(ours.output, theirs(case, params, data).output, name, 1e-11)
