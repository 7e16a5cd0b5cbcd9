"""inv, det, logdet, trace, solve and cholesky, of many matrices at once: against torch.linalg."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from oracle import assert_close

import symback
from symback.errors import UserError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

FORMS = [("numpy", True), ("numpy", False), ("python", True), ("c", True)]


@dataclass(frozen=True)
class Case:
    """A layer over x (n, 3, 3), w (3, 3) and v (3), and the same in PyTorch."""

    formulas: Sequence[str]
    wanted: Callable[[Any, Any, Any], Any]

    def spec(self) -> dict[str, Any]:
        shapes: Mapping[str, list[int]] = {"w": [3, 3], "v": [3]}
        used = {name: shape for name, shape in shapes.items() if f"{name}[" in str(self.formulas)}
        held = {name: {"shape": s, "init": "normal(0, 1)"} for name, s in used.items()}
        return {
            "inputs": {"x": ["n", 3, 3]},
            "layers": [{"f": {"formula": list(self.formulas), "parameters": held}}],
            "loss": {"formula": "mean(sin(y[n]), n)"},
            "optimizer": "sgd",
        }


def gram(x: Any, w: Any) -> Any:
    return x @ x.mT + w @ w.mT + torch.eye(3)


def quadratic(a: Any, v: Any) -> Any:
    z = torch.linalg.solve(a, v.expand(len(a), 3))
    return (torch.linalg.solve(a, z) * z).sum(1) + a.logdet()


GRAM = "A[n, i, j] = sum(x[n, i, k]*x[n, j, k], k) + sum(w[i, k]*w[j, k], k) + (i == j)"
CASES = {
    "det": Case(["y[n] = det(x[n, i, j] + w[i, j], i, j)"], lambda x, w, v: torch.det(x + w)),
    "det of the inputs alone": Case(
        ["y[n] = v[1] * det(4*delta(i, j) + tanh(x[n, i, j]), i, j)"],
        lambda x, w, v: v[1] * torch.det(4 * torch.eye(3, dtype=x.dtype) + torch.tanh(x)),
    ),
    "logdet": Case([GRAM, "y[n] = logdet(A[n, i, j], i, j)"], lambda x, w, v: gram(x, w).logdet()),
    "inv": Case(
        ["B[n, i, j] = inv(x[n, i, j] + w[i, j], i, j)", "y[n] = sum(B[n, i, j]*v[i], i, j)"],
        lambda x, w, v: (torch.linalg.inv(x + w) * v[:, None]).sum((1, 2)),
    ),
    "the inverse's columns first": Case(
        ["y[n] = sum(inv(x[n, j, i] + w[i, j], i, j)*v[i], i, j)"],
        lambda x, w, v: (torch.linalg.inv(x.mT + w) * v[:, None]).sum((1, 2)),
    ),
    "solve": Case(
        ["z[n, j] = solve(x[n, i, j] + w[i, j], v[i], i, j)", "y[n] = sum(z[n, j]**2, j)"],
        lambda x, w, v: (torch.linalg.solve(x + w, v.expand(len(x), 3)) ** 2).sum(1),
    ),
    "one inverse for all that need it": Case(
        [
            GRAM,
            "z[n, j] = solve(A[n, i, j], v[i], i, j)",
            "q[n, i] = sum(inv(A[n, i, j], i, j)*z[n, j], j)",
            "y[n] = sum(q[n, i]*z[n, i], i) + logdet(A[n, i, j], i, j)",
        ],
        lambda x, w, v: quadratic(gram(x, w), v),
    ),
    "trace": Case(
        ["y[n] = trace(sum(w[i, k]*x[n, k, j], k), i, j)"],
        lambda x, w, v: torch.einsum("ik,nki->n", w, x),
    ),
    "cholesky": Case(
        [
            GRAM,
            "L[n, i, j] = cholesky(A[n, i, j], i, j)",
            "y[n] = sum(L[n, i, j]*v[i]*v[j]**2, i, j)",
        ],
        lambda x, w, v: torch.einsum("nij,i,j->n", torch.linalg.cholesky(gram(x, w)), v, v**2),
    ),
}


@pytest.mark.parametrize(("target", "readable"), FORMS)
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_pytorch(name: str, target: str, readable: bool) -> None:
    case, rng = CASES[name], np.random.default_rng(4)
    module: Any = symback.compile(case.spec(), target, readable=readable, wrt=["x"])
    x, arrays = rng.normal(size=(4, 3, 3)), {"w": rng.normal(size=(3, 3)), "v": rng.normal(size=3)}
    own = {key: arrays[key.removeprefix("f.")] for key in module.init(0)}
    plain = target == "python"
    given: Any = {key: (a.tolist() if plain else a.copy()) for key, a in own.items()}
    loss, grads = module.value_and_grad(given, x.tolist() if plain else x)
    held = {"x": torch.tensor(x), **{key: torch.tensor(a) for key, a in arrays.items()}}
    for tensor in held.values():
        tensor.requires_grad_()
    value = torch.sin(case.wanted(held["x"], held["w"], held["v"])).mean()
    value.backward()
    assert_close(np.asarray(loss), value.detach().numpy(), "loss", 1e-11)
    for key in (*own, "x"):
        slope = held[key.removeprefix("f.")].grad.numpy()
        assert_close(np.asarray(grads[key]), slope, key, 1e-11)


@pytest.mark.parametrize("target", ["numpy", "python", "c"])
def test_what_has_no_inverse_is_named_in_training(target: str) -> None:
    module: Any = symback.compile(CASES["inv"].spec(), target)
    params = module.init(0)
    zero = np.zeros((1, 3, 3)).tolist()
    for key in params:
        params[key] = params[key] if key == "f.v" else [[0.0] * 3] * 3
    if target != "python":
        params = {key: np.asarray(w, np.float64) for key, w in params.items()}
    with pytest.raises(FloatingPointError, match="finite"):
        module.train(params, zero if target == "python" else np.asarray(zero), epochs=1)


WRONG = {
    "y[n] = det(x[n, i, j], i)": "`det` needs two indices",
    "y[n] = sum(solve(x[n, i, j], v[k], i, j), j, k)": "`solve` needs a matrix's two indices",
}


def test_mistakes() -> None:
    for text, message in WRONG.items():
        with pytest.raises(UserError, match=message):
            symback.derive(Case([text], lambda x, w, v: x).spec())
    spec = Case(["y[n] = det(x[n, i, j], i, j)"], lambda x, w, v: x).spec()
    spec["inputs"]["x"] = ["n", 3, 4]
    with pytest.raises(UserError, match="of square matrices, this one is 3 by 4"):
        symback.derive(spec)


@pytest.mark.parametrize(("target", "readable"), FORMS)
def test_an_inverse_is_worked_out_once(target: str, readable: bool) -> None:
    made = symback.generate(
        CASES["one inverse for all that need it"].spec(), target, readable=readable
    )
    assert len(re.findall(r"(?<!def )(?<!void )\binverse\(", made.text)) == 1
