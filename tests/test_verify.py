"""`symback verify`: mistakes planted in backward passes written by hand, each to be named."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from symback import evaluation, making, pipeline
from symback.__main__ import cli
from symback.spec import parse
from symback.verify import Verdict, compare, verify
from symback.verify.hypotheses import Hypotheses
from symback.verify.ratio import named

EXAMPLES = Path(__file__).parent.parent / "examples"

CHAIN = """
import numpy as np

def backward(params, x, t):
    W1, b1 = params["f1.weight"], params["f1.bias"]
    W2, b2 = params["f2.weight"], params["f2.bias"]
    W3, b3 = params["f3.weight"], params["f3.bias"]
    z1 = x @ W1.T + b1
    a1 = np.tanh(z1)
    z2 = a1 @ W2.T + b2
    a2 = np.tanh(z2)
    y = a2 @ W3.T + b3
    n = len(x)
    dz3 = 2 * (y - t) / n
    dW3 = dz3.T @ a2
    db3 = dz3.sum(axis=0)
    da2 = dz3 @ W3
    dz2 = da2 * (1 - a2**2)
    dW2 = dz2.T @ a1
    db2 = dz2.sum(axis=0)
    da1 = dz2 @ W2
    dz1 = da1 * (1 - a1**2)
    dW1 = dz1.T @ x
    db1 = dz1.sum(axis=0)
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2, "W3": dW3, "b3": db3}
"""
IRIS = """
import numpy as np

def backward(W1, b1, W2, b2, x, t):
    a1 = np.tanh(x @ W1.T + b1)
    z2 = a1 @ W2.T + b2
    s = z2 - z2.max(axis=1, keepdims=True)
    e = np.exp(s)
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(x))
    loss = (np.log(e.sum(axis=1)) - s[rows, t]).mean()
    dz2 = p.copy()
    dz2[rows, t] -= 1
    dz2 /= len(x)
    dW2 = dz2.T @ a1
    db2 = dz2.sum(axis=0)
    dz1 = dz2 @ W2 * (1 - a1**2)
    dW1 = dz1.T @ x
    db1 = dz1.sum(axis=0)
    return loss, (dW1, db1, dW2, db2)
"""
OWN_SPEC = """
model: own
inputs: {x: [n, 2], t: [n, 3]}
functions:
  snake: {args: [x], formula: x + sin(x)**2}
layers:
  - wave:
      formula: h[n, k] = sin(pitch * (sum(W[k, i] * x[n, i], i) + b[k]))
      parameters:
        W: {shape: [6, 2], init: "uniform(-0.3, 0.3)"}
        b: {shape: [6], init: "uniform(-1, 1)"}
      constants: {pitch: 5}
  - f2: {dense: 6, activation: snake}
  - f3: {dense: {units: 3, bias: false}}
loss: {mse: t, l2: 0.01}
optimizer: sgd
"""
OWN = """
import numpy as np

def backward(params, x, t):
    W1, b1 = params["wave.W"], params["wave.b"]
    W2, b2, W3 = params["f2.weight"], params["f2.bias"], params["f3.weight"]
    z1 = x @ W1.T + b1
    h1 = np.sin(5 * z1)
    z2 = h1 @ W2.T + b2
    a2 = z2 + np.sin(z2)**2
    y = a2 @ W3.T
    n = len(x)
    penalty = 2 * 0.01
    dz3 = 2 * (y - t) / (n * 3)
    dW3 = dz3.T @ a2 + penalty * W3
    dz2 = (dz3 @ W3) * (1 + 2 * np.sin(z2) * np.cos(z2))
    dW2 = dz2.T @ h1 + penalty * W2
    db2 = dz2.sum(axis=0) + penalty * b2
    dz1 = (dz2 @ W2) * 5 * np.cos(5 * z1)
    dW1 = dz1.T @ x + penalty * W1
    db1 = dz1.sum(axis=0) + penalty * b1
    return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2, "dW3": dW3}
"""
CONV_SPEC = """
model: conv
inputs: {x: [n, 2, 9], t: [n, 3]}
layers:
  - c1:
      formula: "z[n, o, u] = sum(W[o, c, p] * x[n, c, 2*u + p - 1], c, p) + b[o]"
      parameters:
        W: {shape: [4, 2, 3], init: "uniform(-0.5, 0.5)"}
        b: {shape: [4], init: zeros}
      sizes: {u: 5}
  - r: {activation: relu}
  - h: {flatten: }
  - f2: {dense: 3}
loss: {mse: t}
optimizer: sgd
"""
CONV = """
import numpy as np

def backward(params, x, t):
    W, b = params["c1.W"], params["c1.b"]
    W4, b4 = params["f2.weight"], params["f2.bias"]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    windows = np.stack([padded[:, :, 2 * u : 2 * u + 3] for u in range(5)], axis=2)
    z1 = np.einsum("ncup,ocp->nou", windows, W) + b[:, None]
    h = np.maximum(z1, 0).reshape(len(x), -1)
    dy = 2 * (h @ W4.T + b4 - t) / t.size
    dW4, db4 = dy.T @ h, dy.sum(axis=0)
    dz1 = (dy @ W4).reshape(z1.shape) * (z1 > 0)
    dW = np.einsum("nou,ncup->ocp", dz1, windows)
    db = dz1.sum(axis=(0, 2))
    return dW, db, dW4, db4
"""
RELU_SPEC = """
model: gate
inputs: {x: [n, 4], t: {shape: [n], classes: 4}}
layers:
  - f1: {dense: 4, activation: relu}
  - f2: {dense: 4, activation: sigmoid}
  - s: {add: , from: [f1, f2]}
  - f3: {dense: 4}
loss: {cross_entropy: t}
optimizer: sgd
"""
RELU = """
import numpy as np

def backward(params, x, t):
    W1, b1 = params["f1.weight"], params["f1.bias"]
    W2, b2 = params["f2.weight"], params["f2.bias"]
    W3, b3 = params["f3.weight"], params["f3.bias"]
    z1 = x @ W1.T + b1
    a1 = np.maximum(z1, 0)
    z2 = a1 @ W2.T + b2
    a2 = 1 / (1 + np.exp(-z2))
    h = a1 + a2
    z3 = h @ W3.T + b3
    s = z3 - z3.max(axis=1, keepdims=True)
    p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
    T = np.eye(4)[t]
    dz3 = (p - T) / len(x)
    dW3 = dz3.T @ h
    db3 = dz3.sum(axis=0)
    dh = dz3 @ W3
    dz2 = dh * a2 * (1 - a2)
    dW2 = dz2.T @ a1
    db2 = dz2.sum(axis=0)
    da1 = dz2 @ W2 + dh
    dz1 = da1 * (z1 > 0)
    dW1 = dz1.T @ x
    db1 = dz1.sum(axis=0)
    return dW1, db1, dW2, db2, dW3, db3
"""
SOURCES = {
    "chain": (CHAIN, ""),
    "iris": (IRIS, ""),
    "own": (OWN, OWN_SPEC),
    "gate": (RELU, RELU_SPEC),
    "conv": (CONV, CONV_SPEC),
}


@cache
def hypotheses(model: str) -> Hypotheses:
    """Return a model's network, with gradients by its inputs, and what can be wrong with it."""
    text = SOURCES[model][1]
    spec = parse(text) if text else pipeline.load(EXAMPLES / f"{model}.yaml")
    return Hypotheses(evaluation.network(spec, making.input_names(spec)))


def compared(folder: Path, model: str, *changes: tuple[str, str]) -> Verdict:
    """Verify a model's backward pass with some of its text changed."""
    source, _ = SOURCES[model]
    for old, new in changes:
        assert source.count(old) >= 1, f"{old} isn't there"
        source = source.replace(old, new)
    file = folder / f"{model}_by_hand.py"
    file.write_text(source, "utf-8")
    return compare(hypotheses(model), f"{file}:backward")


# (model, what is changed, what must be said, the gradients that are explained by it)
MUTANTS = [
    ("chain", ("2 * (y - t) / n", "(y - t) / n"), "in dz3: the factor 2 is missing", "all"),
    ("chain", ("2 * (y - t) / n", "2 * (y - t)"), "in dz3: the factor 1/N.* is missing", "all"),
    ("chain", ("2 * (y - t) / n", "2 * (t - y) / n"), "in dz3: the sign is wrong", "all"),
    ("chain", ("2 * (y - t) / n", "2 * (y + t) / n"), "the sign of t.* is wrong", "all"),
    ("chain", ("2 * (y - t) / n", "2 * y / n"), r"t\[n,o\] is missing in", "all"),
    (
        "chain",
        ("da2 * (1 - a2**2)", "da2"),
        "the activation's derivative is missing",
        "W2 b2 W1 b1",
    ),
    ("chain", ("da1 * (1 - a1**2)", "da1"), "the activation's derivative is missing", "W1 b1"),
    ("chain", ("(1 - a1**2)", "(1 - a1)"), r"a1\[n,o\] stands for a1\[n,o\]²", "W1 b1"),
    ("chain", ("(1 - a1**2)", "(1 + a1**2)"), r"the sign of .*a1\[n,o\]² is wrong", "W1 b1"),
    ("chain", ("(1 - a1**2)", "(1 - z1**2)"), "z1 stands where a1 belongs", "W1 b1"),
    ("chain", ("(1 - a1**2)", "(1 - np.tanh(a1)**2)"), "taken at a1, it belongs at z1", "W1 b1"),
    ("chain", ("(1 - a2**2)", "(1 - a1**2)"), "a1 stands where a2 belongs", "W2 b2 W1 b1"),
    ("chain", ("(1 - a1**2)", "(1 - a1**2)**2"), "counts twice", "W1 b1"),
    ("chain", ("dW2 = dz2.T @ a1", "dW2 = dz2.T @ z1"), "z1 stands where a1 belongs", "W2"),
    ("chain", ("dW2 = dz2.T @ a1", "dW2 = dz2.T @ a2"), "a2 stands where a1 belongs", "W2"),
    ("chain", ("dW2 = dz2.T @ a1", "dW2 = a1.T @ dz2"), "dW2 is transposed", "W2"),
    (
        "chain",
        ("dW1 = dz1.T @ x", "dW1 = x.T @ dz1"),
        r"dW1 is transposed: its shape is \(4, 1\)",
        "W1",
    ),
    (
        "chain",
        ("dW1 = dz1.T @ x", "dW1 = da1.T @ x"),
        "∂L/∂a1 stands where ∂L/∂z1 belongs: the derivative of a1.* is missing",
        "W1",
    ),
    ("chain", ("dz2 @ W2", "dz2 @ W2.T"), r"W2\[o,i\] is read transposed", "W1 b1"),
    ("chain", ("dz2 @ W2", "dz3 @ W3"), "∂L/∂a2 stands where ∂L/∂a1 belongs", "W1 b1"),
    (
        "chain",
        ("db2 = dz2.sum(axis=0)", "db2 = dz2"),
        r"in db2: the sum over n is missing: its shape is \(n, 4\), `.sum\(axis=0\)`",
        "b2",
    ),
    ("chain", ("db2 = dz2.sum(axis=0)", "db2 = dz2.sum(axis=1)"), "summed over o; .* over n", "b2"),
    ("chain", ("db2 = dz2.sum(axis=0)", "db2 = dz2.mean(axis=0)"), "a mean over n", "b2"),
    ("chain", ("db2 = dz2.sum(axis=0)", "db2 = dz2[-1]"), "the last n alone counts", "b2"),
    (
        "chain",
        ("db2 = dz2.sum(axis=0)", "db2 = dz2.sum(axis=0, keepdims=True)"),
        "axis too many",
        "b2",
    ),
    ("chain", ("db2 = dz2.sum(axis=0)", "db2 = np.zeros(4)"), "db2 is zero everywhere", "b2"),
    (
        "chain",
        ('"W2": dW2, "b2": db2', '"W2": dW2, "b2": db1'),
        "what is given for db2 is db1",
        "b2",
    ),
    (
        "chain",
        ('"b1": db1, "W2": dW2, "b2": db2', '"b1": db2, "W2": dW2, "b2": db1'),
        "db2 and db1 stand in each other's place",
        "b2 b1",
    ),
    (
        "chain",
        ("db2 = dz2.sum(axis=0)", "db2 = 3 * dz2.sum(axis=0)"),
        "db2 equals ours times 3",
        "b2",
    ),
    ("chain", ("a2 = np.tanh(z2)", "a2 = z2"), "in a2: z2.* stands for tanh", "all"),
    ("chain", ("y = a2 @ W3.T + b3", "y = a2 @ W3.T"), r"in z3: b3\[o\] is missing", "all"),
    (
        "chain",
        ("dW2 = dz2.T @ a1", "dW2 = dz2.T @ a1; dW2[1] *= 2"),
        "only at index 1 of axis 0",
        "W2",
    ),
    ("iris", ("dz2 /= len(x)", "pass"), "in dz2: the factor 1/N.* is missing", "all"),
    ("iris", ("dz2 = p.copy()", "dz2 = z2.copy()"), "z2 stands where p belongs", "all"),
    ("iris", ("dz2[rows, t] -= 1", "dz2[rows, t] += 1"), "the sign of .*T.* is wrong", "all"),
    ("iris", ("dz2[rows, t] -= 1", "pass"), r"T\[n,k\] is missing", "all"),
    (
        "iris",
        ("return loss, (dW1, db1, dW2, db2)", "return loss, (-dW1, -db1, -dW2, -db2)"),
        "the sign is wrong",
        "all",
    ),
    (
        "iris",
        ("* (1 - a1**2)", "* a1 * (1 - a1)"),
        "in dz1: the derivative is that of sigmoid, but a1.* = tanh",
        "W1 b1",
    ),
    ("iris", ("dz2 @ W2 * (1 - a1**2)", "dz2 @ W2"), "activation's derivative is missing", "W1 b1"),
    ("iris", ("t]).mean()", "t]).sum()"), "in L: .*1/N.* is missing", "L"),
    ("iris", ("loss = (", "loss = -("), "in L: the sign is wrong", "L"),
    (
        "iris",
        ("z2 - z2.max(axis=1, keepdims=True)", "z2"),
        "NaN where outputs are large .* take the maximum away before exp: m",
        "all L",
    ),
    ("own", ("* 5 * np.cos", "* np.cos"), "in dz1: the factor 5 is missing", "W1 b1"),
    (
        "own",
        ("np.cos(5 * z1)", "np.cos(z1)"),
        "in dz1: z1.* stands for 5·z1|the factor 5 is missing",
        "W1 b1",
    ),
    ("own", ("np.cos(5 * z1)", "np.sin(5 * z1)"), r"in dz1: sin\(.*\) stands for cos", "W1 b1"),
    (
        "own",
        ("(1 + 2 * np.sin(z2) * np.cos(z2))", "(1 + np.sin(z2) * np.cos(z2))"),
        "in dz2: the factor 2 is missing",
        "W2 b2 W1 b1",
    ),
    (
        "own",
        ("(1 + 2 * np.sin(z2) * np.cos(z2))", "(2 * np.sin(z2) * np.cos(z2))"),
        "in dz2: 1 is missing",
        "W2 b2 W1 b1",
    ),
    ("own", ("/ (n * 3)", "/ n"), "in dz3: the factor .*3.* is missing", "all"),
    ("own", ("penalty = 2 * 0.01", "penalty = 0"), "the term .* is missing", "W3"),
    (
        "own",
        ("dW1 = dz1.T @ x + penalty * W1", "dW1 = dz1.T @ x"),
        r"the term .*W1.* is missing",
        "W1",
    ),
    ("own", ("penalty * W2", "penalty * W2.T"), r"W2.* is read transposed", "W2"),
    (
        "gate",
        ("dz2 @ W2 + dh", "dz2 @ W2"),
        "the term .* is missing, what reaches a1 through s",
        "W1 b1",
    ),
    (
        "gate",
        ("dz2 @ W2 + dh", "dh"),
        "the term .* is missing, what reaches a1 through f2",
        "W1 b1",
    ),
    (
        "gate",
        ("dh * a2 * (1 - a2)", "dh * a2"),
        r"\(1 − a2.*\), of the derivative of a2, is missing",
        "W2 b2 W1 b1",
    ),
    ("gate", ("(z1 > 0)", "(z1 < 0)"), "stands for", "W1 b1"),
    ("gate", ("da1 * (z1 > 0)", "da1"), "activation's derivative is missing, that of a1", "W1 b1"),
    (
        "gate",
        ("dh * a2 * (1 - a2)", "dh * np.exp(-z2) / (1 + np.exp(-z2)) ** 2"),
        "dW2, db2, dW1, db1: NaN where outputs are large",
        "W2 b2 W1 b1",
    ),
    ("gate", ("(p - T)", "(T - p)"), "in dz4: the sign is wrong", "all"),
    ("gate", ("dz3.T @ h", "dz3.T @ a2"), "in dW4: a2 stands where y3 belongs", "W4"),
    (
        "conv",
        ("(1, 1)))", "(0, 2)))"),
        r"in z1: x\[n,c,2·u \+ p\] stands where x.* belongs",
        "W4 b4 b1",
    ),
    ("conv", ("return dW,", "return dW[:, :, ::-1],"), "reversed along axis 2", "W1"),
    ("conv", ("return dW,", "return dW.transpose(1, 0, 2),"), "dW1 is transposed", "W1"),
    ("conv", ("dz1.sum(axis=(0, 2))", "dz1.mean(axis=2).sum(axis=0)"), "mean over u", "b1"),
    ("conv", ("dz1.sum(axis=(0, 2))", "dz1.sum(axis=0)"), "the sum over u is missing", "b1"),
    ("conv", ("* (z1 > 0)", ""), "the activation's derivative is missing", "W1 b1"),
]


@pytest.mark.parametrize(
    ("model", "change", "said", "explained"),
    MUTANTS,
    ids=[f"{model}: {old} → {new}" for model, (old, new), _, _ in MUTANTS],
)
def test_a_planted_mistake_is_named(
    model: str, change: tuple[str, str], said: str, explained: str, tmp_path: Path
) -> None:
    verdict = compared(tmp_path, model, change)
    assert not verdict.ok
    first = verdict.findings[0]
    assert re.search(said, first.words), first
    wanted = {f"d{word}" if word != "L" else word for word in explained.split()}
    if "dall" in wanted:
        wanted = wanted - {"dall"} | {
            name for name in (*verdict.wrong, *first.names) if name != "L"
        }
        assert len(wanted) >= 4
    assert set(first.names) == wanted, first


@pytest.mark.parametrize("model", SOURCES)
def test_a_right_backward_pass_is_right(model: str, tmp_path: Path) -> None:
    verdict = compared(tmp_path, model)
    assert verdict.ok
    assert not verdict.wrong
    assert len(verdict.right) >= 4


OTHER_ALGEBRA = [
    ("chain", [("dz1 = da1 * (1 - a1**2)", "dz1 = da1 / np.cosh(z1)**2")]),
    ("chain", [("dz1 = da1 * (1 - a1**2)", "dz1 = (da1 - a1 * da1) * (1 + a1)")]),
    ("chain", [("dW2 = dz2.T @ a1", "dW2 = np.einsum('no,ni->oi', dz2, a1)")]),
    ("chain", [("dW2 = dz2.T @ a1", "dW2 = sum(np.outer(g, a) for g, a in zip(dz2, a1))")]),
    ("chain", [("dz3 = 2 * (y - t) / n", "e = y - t; dz3 = e / e.size + e / e.size")]),
    ("chain", [("db1 = dz1.sum(axis=0)", "db1 = np.ones(n) @ dz1")]),
    ("chain", [("dW1 = dz1.T @ x", "dW1 = (dz1.T @ x).tolist()")]),
    ("iris", [("return loss, (dW1, db1, dW2, db2)", "return dW1, db1, dW2, db2")]),
    ("iris", [("return loss, (dW1, db1, dW2, db2)", "return loss, dW1, db1, dW2, db2")]),
    (
        "iris",
        [
            (
                "return loss, (dW1, db1, dW2, db2)",
                "return {'loss': loss, 'grad_W1': dW1, 'b1_grad': db1, 'dL_dW2': dW2, 'd_b2': db2}",
            )
        ],
    ),
    (
        "iris",
        [
            ("W1, b1, W2, b2, x, t", "x, t, b2, W2, b1, W1"),
            ("(dW1, db1, dW2, db2)", "(db2, dW2, db1, dW1)"),
        ],
    ),
    (
        "iris",
        [
            ("W1, b1, W2, b2, x, t", "X, y, f1_weight, f1_bias, f2_weight, f2_bias"),
            ("import numpy as np\n", "import numpy as np\nW1 = b1 = W2 = b2 = x = t = None\n"),
            (
                "    a1 = np",
                """    x, t, W1, b1, W2, b2 = X, y, f1_weight, f1_bias, f2_weight, f2_bias
    a1 = np""",
            ),
        ],
    ),
    (
        "iris",
        [
            ("W1, b1, W2, b2, x, t", "theta, features, kinds"),
            (
                "    a1 = np",
                "    W1, b1, W2, b2 = theta.values()\n    x, t = features, kinds\n    a1 = np",
            ),
        ],
    ),
    (
        "iris",
        [
            ("backward(W1, b1, W2, b2, x, t)", "backward(x, t, *weights)"),
            ("    a1 = np", "    W1, b1, W2, b2 = weights\n    a1 = np"),
        ],
    ),
    (
        "iris",
        [
            ("backward(W1, b1, W2, b2, x, t)", "backward(x, t, *, W1, eps=0.0, **others)"),
            (
                "    a1 = np",
                "    b1, W2, b2 = others['b1'], others['W2'], others['b2']\n    a1 = np",
            ),
        ],
    ),
    ("own", [("2 * np.sin(z2) * np.cos(z2)", "np.sin(2 * z2)")]),
    ("own", [('params["wave.W"], params["wave.b"]', "params.W1, params['wave_b']")]),
    ("gate", [("da1 * (z1 > 0)", "np.where(z1 <= 0, 0, da1)")]),
]


@pytest.mark.parametrize(("model", "changes"), OTHER_ALGEBRA)
def test_equal_algebra_raises_no_alarm(
    model: str, changes: list[tuple[str, str]], tmp_path: Path
) -> None:
    verdict = compared(tmp_path, model, *changes)
    assert verdict.ok, verdict.findings


def test_several_mistakes_are_told_apart(tmp_path: Path) -> None:
    verdict = compared(
        tmp_path,
        "chain",
        ("2 * (y - t) / n", "2 * (y - t)"),
        ("dz2 = da2 * (1 - a2**2)", "dz2 = da2"),
        ("db2 = dz2.sum(axis=0)", "db2 = dz2"),
        ("dW1 = dz1.T @ x", "dW1 = x.T @ dz1"),
    )
    said = [finding.words for finding in verdict.findings]
    assert len(said) == 4
    for words, wanted in zip(
        said, ("1/N", "derivative is missing", "sum over n", "transposed"), strict=True
    ):
        assert wanted in words


def test_a_finding_shows_both_formulas_and_the_line(tmp_path: Path) -> None:
    verdict = compared(tmp_path, "chain", ("da1 * (1 - a1**2)", "da1"))
    (finding,) = verdict.findings
    assert finding.yours == "∂L/∂z1[n,o] = ∂L/∂a1[n,o]"
    assert finding.right == "∂L/∂z1[n,o] = ∂L/∂a1[n,o]·(1 − a1[n,o]²)"
    assert finding.code == "dz1 = da1 * (1 - a1**2)"


def test_adjoints_on_the_way_are_compared_too(tmp_path: Path) -> None:
    verdict = compared(
        tmp_path,
        "chain",
        ('return {"W1"', 'return {"dz2": dz2, "da1": da1, "dx": dz1 @ W1, "W1"'),
        ("dz2 @ W2", "2 * dz2 @ W2"),
    )
    assert {"dz2", "db2"} <= set(verdict.right)
    (finding,) = verdict.findings
    assert finding.names == ("da1", "dW1", "db1", "dx")
    assert "da1 equals ours times 2" in finding.words


def test_a_backward_pass_over_our_cache(tmp_path: Path) -> None:
    file = tmp_path / "part.py"
    file.write_text(
        "def backward(params, cache, t):\n"
        "    dz3 = 2 * (cache.z3 - t) / len(t)\n"
        "    dz2 = dz3 @ params['W3'] * (1 - cache['a2']**2)\n"
        "    dz1 = dz2 @ params['W2'] * (1 - cache.a1**2)\n"
        "    pairs = ((dz1, cache.x), (dz2, cache.a1), (dz3, cache.a2))\n"
        "    return [g for d, a in pairs for g in (d.T @ a, d.sum(0))]\n",
        "utf-8",
    )
    assert verify(EXAMPLES / "chain.yaml", f"{file}:backward").ok


def test_what_the_module_itself_computes_is_right(tmp_path: Path) -> None:
    for name, way in (("iris", []), ("own_formula", []), ("moons", ["--target", "python"])):
        made = tmp_path / f"{name}.py"
        invoke("generate", EXAMPLES / f"{name}.yaml", "-o", made, *way)
        arrays = ["--arrays", "list"] if way else []
        invoke("verify", EXAMPLES / f"{name}.yaml", f"{made}:value_and_grad", *arrays)


@pytest.mark.torch
def test_tensors_of_torch(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    file = tmp_path / "by_torch.py"
    file.write_text(
        "import torch\n\n"
        "def grads(params, x, t):\n"
        "    w = [p.requires_grad_() for p in params.values()]\n"
        "    y = torch.tanh(x @ w[0].T + w[1])\n"
        "    y = torch.tanh(y @ w[2].T + w[3]) @ w[4].T + w[5]\n"
        "    loss = torch.nn.functional.mse_loss(y, t)\n"
        "    return loss, torch.autograd.grad(loss, w)\n\n"
        "def single(params, x, t):\n"
        "    loss, found = grads({k: p.float() for k, p in params.items()}, x.float(), t.float())\n"
        "    return found\n",
        "utf-8",
    )
    for name, tolerance in (("grads", 1e-6), ("single", 1e-3)):
        verdict = verify(EXAMPLES / "chain.yaml", f"{file}:{name}", arrays="torch")
        assert verdict.ok, verdict.findings
        assert verdict.tolerance == tolerance


# ---------------------------------------------------------------- the command


def invoke(*words: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def written(folder: Path, text: str) -> Path:
    file = folder / "theirs.py"
    file.write_text(text, "utf-8")
    return file


def test_the_exit_code_and_the_text(tmp_path: Path) -> None:
    right = written(tmp_path, CHAIN)
    shown = invoke("verify", EXAMPLES / "chain.yaml", f"{right}:backward").stdout
    assert "right     dW3, db3, dW2, db2, dW1, db1" in shown
    wrong = written(tmp_path, CHAIN.replace("dz2.T @ a1", "-dz2.T @ a1"))
    shown = invoke("verify", EXAMPLES / "chain.yaml", f"{wrong}:backward", code=1).stdout
    assert "differs   dW2" in shown
    assert "in dW2: the sign is wrong" in shown or "dW2: the sign is wrong" in shown
    assert "    NumPy   dW2 = dz2.T @ a1" in shown


def test_json(tmp_path: Path) -> None:
    wrong = written(tmp_path, CHAIN.replace("da1 * (1 - a1**2)", "da1"))
    shown = invoke("verify", EXAMPLES / "chain.yaml", f"{wrong}:backward", "--json", code=1).stdout
    told = json.loads(shown)
    assert told["ok"] is False
    assert told["differs"] == ["dW1", "db1"]
    assert told["findings"][0]["gradients"] == ["dW1", "db1"]


def test_the_usual_name_is_found_without_being_given(tmp_path: Path) -> None:
    file = written(tmp_path, CHAIN + "\ndef helper(): ...\n")
    assert f"{file}:backward against" in invoke("verify", EXAMPLES / "chain.yaml", file).stdout


WRONG_FILES: list[tuple[str, str, str]] = [
    ("def backward(params, x, t)\n    pass", "backward", "theirs.py:1: this is no Python"),
    (
        "import nowhere_to_be_found",
        "backward",
        "theirs.py:1: importing it fails: ModuleNotFoundError",
    ),
    ("raise SystemExit(3)", "backward", "theirs.py:1: importing it fails: SystemExit: 3"),
    ("def backwards(params, x, t): ...", "backward", "did you mean `backwards`?"),
    ("backward = 3", "backward", "`backward` is a int, not a function"),
    ("def one(): ...\ndef two(): ...", "", "its functions: one, two"),
    (
        CHAIN.replace("dz2 @ W2", "dz2 @ W3"),
        "backward",
        "theirs.py:21: `backward` fails: ValueError",
    ),
    (CHAIN.replace("dz2 @ W2", "dz9 @ W2"), "backward", "NameError: name 'dz9' is not defined"),
    (CHAIN.replace('params["f1.weight"]', 'params["f9.weight"]'), "backward", "KeyError"),
    ("def backward(params, x, t): pass", "backward", "`backward` returns nothing"),
    ("def backward(params, x, t): return 1, 2, 3", "backward", "returns 3 arrays, not 6"),
    ("def backward(params, x, t): return {'W9': 1}", "backward", "a gradient by `W9`, which isn't"),
    (
        "def backward(params, x, t): return {'W1': 1}",
        "backward",
        "no gradient by b1, W2, b2, W3, b3",
    ),
    ("def backward(params, x, t): return {'W1': 'no'}", "backward", "returns no gradient by"),
    ("def backward(params, x, t): return [None] * 6", "backward", "returns None for W1"),
    ("def backward(W1, x, t, speed): ...", "backward", "what is the argument `speed`"),
    ("def backward(w, x, t, a, b): ...", "backward", "or let it take (params, x, t)"),
    (
        "import random\n" + CHAIN.replace("2 * (y", "random.random() * (y"),
        "backward",
        "two calls with the same arguments give two different dW",
    ),
]


@pytest.mark.parametrize(("text", "name", "said"), WRONG_FILES)
def test_mistakes_of_the_file_are_told_in_words(
    text: str, name: str, said: str, tmp_path: Path
) -> None:
    file = written(tmp_path, text)
    place = f"{file}:{name}" if name else str(file)
    shown = invoke("verify", EXAMPLES / "chain.yaml", place, code=1)
    assert not shown.stdout
    assert said in shown.stderr


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    shown = invoke("verify", EXAMPLES / "chain.yaml", f"{tmp_path}/none.py:backward", code=1)
    assert "none.py: there is no such file" in shown.stderr


def test_imports_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "chain_parts_of_mine.py").write_text(CHAIN, "utf-8")
    file = written(tmp_path, "from chain_parts_of_mine import backward")
    invoke("verify", EXAMPLES / "chain.yaml", f"{file}:backward")


@pytest.mark.parametrize(
    ("ratios", "counts", "shown"),
    [
        ((2.0, 2.0), (5, 7), "2"),
        ((-1.0, -1.0), (5, 7), "−1"),
        ((5.0, 7.0), (5, 7), "N"),
        ((1 / 5, 1 / 7), (5, 7), "1/N"),
        ((2 / 15, 2 / 21), (5, 7), "2/(3·N)"),
        ((25.0, 49.0), (5, 7), "N²"),
        ((1.5, 1.5), (5, 7), "3/2"),
        ((np.pi, np.pi), (5, 7), "3.14159"),
        ((1.0, 2.0), (5, 7), ""),
    ],
)
def test_a_ratio_gets_its_name(ratios: Any, counts: Any, shown: str) -> None:
    assert named(ratios, counts, 1e-9) == shown


RECURRENT = {
    "model": "steps",
    "inputs": {"x": ["n", 5, 2], "t": ["n", 5, 4]},
    "layers": [
        {
            "r": {
                "formula": (
                    "h[n, s, k] = tanh(sum(W[k, i]*x[n, s, i], i) + sum(U[k, j]*h[n, s-1, j], j))"
                ),
                "parameters": {
                    "W": {"shape": [4, 2], "init": "normal(0, 0.3)"},
                    "U": {"shape": [4, 4], "init": "normal(0, 0.3)"},
                },
            }
        }
    ],
    "loss": {"mse": "t"},
    "optimizer": "sgd",
}
THROUGH_TIME = """
import numpy as np

def backward(x, t, W1, U1):
    h = np.zeros((len(x), 6, 4))
    for s in range(5):
        h[:, s] = np.tanh(x[:, s] @ W1.T + h[:, s - 1] @ U1.T)
    h = h[:, :5]
    dh = 2 * (h - t) / t.size
    dz = np.zeros_like(h)
    later = 0
    for s in reversed(range(5)):
        dz[:, s] = (dh[:, s] + later) * (1 - h[:, s] ** 2)
        later = dz[:, s] @ U1
    before = np.concatenate([np.zeros((len(x), 1, 4)), h[:, :-1]], axis=1)
    return np.einsum("nsk,nsi->ki", dz, x), np.einsum("nsk,nsj->kj", dz, before)
"""


@cache
def recurrent() -> Hypotheses:
    return Hypotheses(evaluation.network(RECURRENT, ["x"]))


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("", "", ""),
        ("later = dz[:, s] @ U1", "later = 0", "is missing, what reaches h1 through r"),
        ("later = dz[:, s] @ U1", "later = dz[:, s] @ U1.T", "U1[k,j] is read transposed"),
        (" * (1 - h[:, s] ** 2)", "", "the activation's derivative is missing"),
        ("h[:, :-1]], axis=1)", "h[:, :-1]], axis=1) * 2", "dU1 equals ours times 2"),
    ],
    ids=["right", "truncated", "transposed", "slope", "twice"],
)
def test_mistakes_through_time_are_named(
    tmp_path: Path, right: str, wrong: str, words: str
) -> None:
    assert right in THROUGH_TIME
    (tmp_path / "mine.py").write_text(THROUGH_TIME.replace(right, wrong) if right else THROUGH_TIME)
    verdict = compare(recurrent(), f"{tmp_path / 'mine.py'}:backward")
    assert verdict.ok == (not words)
    assert words in " ".join(finding.words for finding in verdict.findings)
