"""Layers and losses nobody ships, as formulas: loss and gradients against JAX, on every form."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import symback
from symback.errors import UserError

jax.config.update("jax_enable_x64", True)

FORMS = [("numpy", True), ("numpy", False), ("python", True), ("c", True)]
ROWS = 4
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A layer of formulas between inputs and a loss, and the loss in JAX.

    `value` takes the parameters by name (f1.W is W) and the inputs.
    """

    formula: str | Sequence[str]
    parameters: Mapping[str, Sequence[int]]
    inputs: Mapping[str, Any]
    loss: str
    value: Callable[..., Any]
    sizes: Mapping[str, int] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)

    @property
    def spec(self) -> dict[str, Any]:
        held = {k: {"shape": list(s), "init": "zeros"} for k, s in self.parameters.items()}
        layer = {
            "formula": self.formula,
            "parameters": held,
            "sizes": dict(self.sizes),
            "constants": dict(self.constants),
            "from": list(self.inputs),
        }
        return {
            "inputs": dict(self.inputs),
            "layers": [{"f1": layer}],
            "loss": {"formula": self.loss},
            "optimizer": "sgd",
        }

    @property
    def wrt(self) -> tuple[str, ...]:
        """The inputs that hold numbers."""
        return tuple(name for name, held in self.inputs.items() if not isinstance(held, dict))

    def drawn(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return parameters and inputs to try it on."""
        rng = np.random.default_rng(2)
        held = {key: rng.normal(size=shape) for key, shape in self.parameters.items()}
        data: dict[str, Any] = {}
        for name, given in self.inputs.items():
            if isinstance(given, dict):
                shape = (ROWS, *given["shape"][1:])
                data[name] = rng.integers(0, given["classes"], shape)
            else:
                data[name] = rng.normal(size=(ROWS, *given[1:]))
        return held, data


CURVED = "sum(sin(y[...]) * y[...], ...)"


def curved(y: Any) -> Any:
    return (jnp.sin(y) * y).sum()


def learned_tokens(p: Params, x: Any) -> Any:
    """A row of scores, then more of them: all share one softmax."""
    more = jnp.tanh(x @ p["W"].T)
    a = jax.nn.softmax(jnp.concatenate([x**2, more, jnp.zeros((len(x), 2))], 1), axis=1)
    return curved(a[:, ::-1] * p["v"])


def three_axes(p: Params, x: Any) -> Any:
    first = x[:, None] * p["W"]
    second = jax.nn.softmax(first, axis=2)
    h = jnp.concatenate([first, second, first * second], 1)
    return curved((h**2 * jnp.arange(6)[:, None]).sum(axis=1))


softmax, softplus, sigmoid = jax.nn.softmax, jax.nn.softplus, jax.nn.sigmoid
logsumexp, still = jax.scipy.special.logsumexp, jax.lax.stop_gradient


def experts(p: Params, x: Any) -> Any:
    gates = softmax(x @ p["G"].T, 1)
    k = jnp.argmax(gates, 1)
    y = jnp.einsum("noi,ni->no", p["W"][k], x)
    return curved(y * gates[jnp.arange(len(x)), k][:, None])


def splines(p: Params, x: Any) -> Any:
    u = jnp.abs(2 * x[:, :, None] - jnp.arange(5) + 2.0)
    b = jnp.where(u < 0.5, 0.75 - u**2, jnp.where(u < 1.5, (1.5 - u) ** 2 / 2, 0))
    return curved(jnp.einsum("oik,nik->no", p["A"], b))


def graph(p: Params, x: Any, edges: Any) -> Any:
    a = edges**2 + jnp.eye(5)
    d = a.sum(2)
    return curved(jnp.tanh(a / jnp.sqrt(d[:, :, None] * d[:, None, :]) @ x @ p["W"].T))


def sinkhorn(p: Params, x: Any) -> Any:
    c, v = p["s"] * x, jnp.zeros(x[:, 0].shape)
    for _ in range(4):
        u = -logsumexp(c + v[:, None, :], axis=2)
        v = -logsumexp(c + u[:, :, None], axis=1)
    return curved(jnp.exp(c + u[:, :, None] + v[:, None, :]))


def flow(p: Params, x: Any) -> Any:
    def f(z: Any) -> Any:
        return jnp.tanh(z @ p["W"].T + p["b"])

    z, h = x, 0.1
    for _ in range(4):
        a = f(z)
        b = f(z + h / 2 * a)
        c = f(z + h / 2 * b)
        z = z + h / 6 * (a + 2 * b + 2 * c + f(z + h * c))
    return curved(z)


def contrast(p: Params, a: Any, b: Any) -> Any:
    u, v = (z / jnp.sqrt((z**2).sum(1, keepdims=True)) for z in (a @ p["W"].T, b @ p["W"].T))
    same = jnp.where(jnp.eye(len(a)) > 0, -jnp.inf, 2 * u @ u.T)
    cross = 2 * u @ v.T
    return -(jnp.diag(cross) - logsumexp(jnp.concatenate([same, cross], 1), axis=1)).mean()


def codebook(p: Params, x: Any) -> Any:
    z = x @ p["W"].T
    q = p["E"][jnp.argmin(((z[:, None] - p["E"]) ** 2).sum(2), 1)]
    drawn = ((still(z) - q) ** 2).mean() + 0.25 * ((z - still(q)) ** 2).mean()
    return curved(z + still(q - z)) + drawn


def selective(p: Params, x: Any) -> Any:
    r, u, v = softplus(x @ p["D"].T + p["b"]), x @ p["B"].T, x @ p["C"].T
    h: Any = jnp.zeros((len(x), 3, 2))
    total = 0.0
    for t in range(x.shape[1]):
        h = jnp.exp(-jnp.exp(p["L"]) * r[:, t, :, None]) * h
        h = h + (r[:, t] * x[:, t])[:, :, None] * u[:, t, None, :]
        total = total + curved((h * v[:, t, None, :]).sum(2) + p["d"] * x[:, t])
    return total


def weighted_keys(p: Params, x: Any) -> Any:
    k, v, r = x @ p["K"].T, x @ p["V"].T, sigmoid(x @ p["R"].T)
    w = jnp.exp(-jnp.exp(p["w"]))
    a = b = jnp.zeros((len(x), 3))
    total = 0.0
    for t in range(x.shape[1]):
        e = jnp.exp(p["u"] + k[:, t])
        total = total + curved(r[:, t] * (a + e * v[:, t]) / (b + e))
        a, b = w * a + jnp.exp(k[:, t]) * v[:, t], w * b + jnp.exp(k[:, t])
    return total


def rotated(p: Params, x: Any) -> Any:
    w = jnp.arange(4)[:, None] * 10000.0 ** (-jnp.arange(2) / 2)
    a, b = (z.reshape(*z.shape[:2], 2, 2) for z in (x @ p["Q"].T, x @ p["K"].T))

    def turned(z: Any) -> Any:
        both = (
            (z[..., 0] * jnp.cos(w) - z[..., 1] * jnp.sin(w)),
            (z[..., 0] * jnp.sin(w) + z[..., 1] * jnp.cos(w)),
        )
        return jnp.stack(both, -1)

    s = jnp.einsum("ntps,nups->ntu", turned(a), turned(b))
    s = s - (jnp.arange(4)[:, None] - jnp.arange(4)) / 4
    return curved(softmax(jnp.where(jnp.tril(jnp.ones((4, 4))) > 0, s, -1e30), 2) @ x)


def memory(p: Params, x: Any) -> Any:
    d, e = np.arange(4)[:, None], np.arange(4)
    a = (2 * d + 1) * np.where(d < e, -1.0, (-1.0) ** (d - e + 1))
    m: Any = jnp.zeros((len(x), 4))
    total = 0.0
    for t in range(x.shape[1]):
        drive = (x[:, t] @ p["w"])[:, None] * (2 * e + 1) * (-1.0) ** e
        m = m + 0.1 * (m @ a.T + drive)
        total = total + curved(m @ p["V"].T)
    return total


def tagger(p: Params, x: Any, e: Any) -> Any:
    n, a = jnp.arange(len(x)), x[:, 0]
    score = x[n, 0, e[:, 0]]
    for t in range(1, x.shape[1]):
        a = logsumexp(a[:, :, None] + p["T"], axis=1) + x[:, t]
        score = score + x[n, t, e[:, t]] + p["T"][e[:, t - 1], e[:, t]]
    return (logsumexp(a, axis=1) - score).mean()


def likelihood(p: Params, x: Any, t: Any) -> Any:
    k = jnp.exp(-(((x[:, None] - x) * p["l"]) ** 2).sum(2)) + 0.1 * jnp.eye(len(x))
    return t @ jnp.linalg.solve(k, t) + jnp.linalg.slogdet(k)[1]


def capsules(p: Params, x: Any) -> Any:
    u = jnp.einsum("ijdk,nik->nijd", p["W"], x)
    b = jnp.zeros(u.shape[:3])
    for _ in range(3):
        s = (softmax(b, 2)[..., None] * u).sum(1)
        q = (s**2).sum(-1, keepdims=True)
        v = s * jnp.sqrt(q) / (1 + q)
        b = b + jnp.einsum("nijd,njd->nij", u, v)
    return curved(v)


CASES = {
    "the best of several experts": Case(
        [
            "g[n, e] = softmax(sum(G[e, i] * x[n, i], i), e)",
            "k[n] = argmax(g[n, e], e)",
            "y[n, o] = g[n, k[n]] * sum(W[k[n], o, i] * x[n, i], i)",
        ],
        {"G": (4, 3), "W": (4, 2, 3)},
        {"x": ["n", 3]},
        CURVED,
        experts,
    ),
    "a memory that is recalled": Case(
        "y[n, i] = sum(softmax(2 * sum(M[k, j] * x[n, j], j), k) * M[k, i], k)",
        {"M": (5, 3)},
        {"x": ["n", 3]},
        CURVED,
        lambda p, x: curved(softmax(2 * x @ p["M"].T, 1) @ p["M"]),
    ),
    "splines on the edges": Case(
        [
            "u[n, i, k] = abs(2*x[n, i] - k + 2)",
            (
                "b[n, i, k] = where(u[n, i, k] < 0.5, 0.75 - u[n, i, k]**2,"
                " where(u[n, i, k] < 1.5, (1.5 - u[n, i, k])**2 / 2, 0))"
            ),
            "y[n, o] = sum(A[o, i, k] * b[n, i, k], i, k)",
        ],
        {"A": (2, 3, 5)},
        {"x": ["n", 3]},
        CURVED,
        splines,
        sizes={"k": 5},
    ),
    "a graph whose edges are data": Case(
        [
            "a[n, u, v] = e[n, u, v]**2 + delta(u, v)",
            "d[n, u] = sum(a[n, u, v], v)",
            "b[n, u, v] = a[n, u, v] / sqrt(d[n, u] * d[n, v])",
            "y[n, u, o] = tanh(sum(W[o, i] * b[n, u, v] * x[n, v, i], v, i))",
        ],
        {"W": (2, 3)},
        {"x": ["n", 5, 3], "e": ["n", 5, 5]},
        CURVED,
        graph,
    ),
    "rows and columns made to add up to one": Case(
        [
            "c[n, i, j] = s * x[n, i, j]",
            "u[n, t, i] = -logsumexp(c[n, i, j] + v[n, t - 1, j], j)",
            "v[n, t, j] = -logsumexp(c[n, i, j] + u[n, t, i], i)",
            "y[n, i, j] = exp(c[n, i, j] + u[n, size(t) - 1, i] + v[n, size(t) - 1, j])",
        ],
        {"s": ()},
        {"x": ["n", 3, 3]},
        CURVED,
        sinkhorn,
        sizes={"t": 4},
    ),
    "a differential equation by Runge and Kutta": Case(
        [
            "s[n, t, k] = where(t == 0, x[n, k], z[n, t - 1, k])",
            "a[n, t, k] = tanh(sum(W[k, j] * s[n, t, j], j) + b[k])",
            "c[n, t, k] = tanh(sum(W[k, j] * (s[n, t, j] + h/2*a[n, t, j]), j) + b[k])",
            "d[n, t, k] = tanh(sum(W[k, j] * (s[n, t, j] + h/2*c[n, t, j]), j) + b[k])",
            "e[n, t, k] = tanh(sum(W[k, j] * (s[n, t, j] + h*d[n, t, j]), j) + b[k])",
            "g[n, t, k] = a[n, t, k] + 2*c[n, t, k] + 2*d[n, t, k] + e[n, t, k]",
            "z[n, t, k] = s[n, t, k] + h/6 * g[n, t, k]",
            "y[n, k] = z[n, size(t) - 1, k]",
        ],
        {"W": (3, 3), "b": (3,)},
        {"x": ["n", 3]},
        CURVED,
        flow,
        sizes={"t": 4},
        constants={"h": 0.1},
    ),
    "pairs of the batch against each other": Case(
        [
            "p[n, k] = sum(W[k, i] * a[n, i], i)",
            "q[n, k] = sum(W[k, i] * b[n, i], i)",
            "u[n, k] = p[n, k] / sqrt(sum(p[n, j]**2, j))",
            "v[n, k] = q[n, k] / sqrt(sum(q[n, j]**2, j))",
        ],
        {"W": (4, 3)},
        {"a": ["n", 3], "b": ["n", 3]},
        "-mean(2*sum(f1.u[n, k]*y[n, k], k)"
        " - logaddexp(logsumexp(where(n == m, -1e30, 2*sum(f1.u[n, k]*f1.u[m, k], k)), m),"
        " logsumexp(2*sum(f1.u[n, k]*y[m, k], k), m)), n)",
        contrast,
    ),
    "the nearest of a codebook": Case(
        [
            "z[n, i] = sum(W[i, j] * x[n, j], j)",
            "k[n] = argmin(sum((z[n, i] - E[c, i])**2, i), c)",
            "q[n, i] = E[k[n], i]",
            "y[n, i] = z[n, i] + detach(q[n, i] - z[n, i])",
        ],
        {"W": (2, 3), "E": (5, 2)},
        {"x": ["n", 3]},
        f"{CURVED.replace('...', 'n, i')} + mean((detach(f1.z[n, i]) - f1.q[n, i])**2, n, i)"
        " + 0.25*mean((f1.z[n, i] - detach(f1.q[n, i]))**2, n, i)",
        codebook,
    ),
    "a state that chooses what it keeps": Case(
        [
            "r[n, t, i] = softplus(sum(D[i, j] * x[n, t, j], j) + b[i])",
            "u[n, t, s] = sum(B[s, j] * x[n, t, j], j)",
            "v[n, t, s] = sum(C[s, j] * x[n, t, j], j)",
            (
                "h[n, t, i, s] = exp(-exp(L[i, s]) * r[n, t, i]) * h[n, t - 1, i, s]"
                " + r[n, t, i] * x[n, t, i] * u[n, t, s]"
            ),
            "y[n, t, i] = sum(v[n, t, s] * h[n, t, i, s], s) + d[i] * x[n, t, i]",
        ],
        {"D": (3, 3), "b": (3,), "B": (2, 3), "C": (2, 3), "L": (3, 2), "d": (3,)},
        {"x": ["n", 4, 3]},
        CURVED,
        selective,
    ),
    "keys that fade": Case(
        [
            "k[n, t, i] = sum(K[i, j] * x[n, t, j], j)",
            "v[n, t, i] = sum(V[i, j] * x[n, t, j], j)",
            "r[n, t, i] = sigmoid(sum(R[i, j] * x[n, t, j], j))",
            "a[n, t, i] = exp(-exp(w[i])) * a[n, t - 1, i] + exp(k[n, t, i]) * v[n, t, i]",
            "b[n, t, i] = exp(-exp(w[i])) * b[n, t - 1, i] + exp(k[n, t, i])",
            (
                "y[n, t, i] = r[n, t, i] * (a[n, t - 1, i] + exp(u[i] + k[n, t, i]) * v[n, t, i])"
                " / (b[n, t - 1, i] + exp(u[i] + k[n, t, i]))"
            ),
        ],
        {"K": (3, 3), "V": (3, 3), "R": (3, 3), "w": (3,), "u": (3,)},
        {"x": ["n", 4, 3]},
        CURVED,
        weighted_keys,
    ),
    "places as rotations, and a slope": Case(
        [
            "q[n, t, i] = sum(Q[i, j] * x[n, t, j], j)",
            "k[n, t, i] = sum(K[i, j] * x[n, t, j], j)",
            "w[t, p] = t * 10000**(-p/size(p))",
            (
                "a[n, t, p, s] = q[n, t, 2*p + s]*cos(w[t, p])"
                " + where(s == 0, -q[n, t, 2*p + 1], q[n, t, 2*p])*sin(w[t, p])"
            ),
            (
                "b[n, t, p, s] = k[n, t, 2*p + s]*cos(w[t, p])"
                " + where(s == 0, -k[n, t, 2*p + 1], k[n, t, 2*p])*sin(w[t, p])"
            ),
            "z[n, t, u] = sum(a[n, t, p, s] * b[n, u, p, s], p, s) - (t - u)/4",
            "y[n, t, i] = sum(softmax(where(u <= t, z[n, t, u], -1e30), u) * x[n, u, i], u)",
        ],
        {"Q": (4, 3), "K": (4, 3)},
        {"x": ["n", 4, 3]},
        CURVED,
        rotated,
        sizes={"t": 4, "u": 4, "p": 2, "s": 2},
    ),
    "a memory of Legendre's polynomials": Case(
        [
            "A[d, e] = (2*d + 1) * where(d < e, -1, -cos(pi*(d - e)))",
            "u[n, t] = sum(w[i] * x[n, t, i], i)",
            (
                "m[n, t, d] = m[n, t - 1, d] + 0.1*(sum(A[d, e] * m[n, t - 1, e], e)"
                " + (2*d + 1) * cos(pi*d) * u[n, t])"
            ),
            "y[n, t, o] = sum(V[o, d] * m[n, t, d], d)",
        ],
        {"w": (2,), "V": (3, 4)},
        {"x": ["n", 3, 2]},
        CURVED,
        memory,
        sizes={"d": 4, "e": 4},
    ),
    "a path of labels against all paths": Case(
        [
            "a[n, t, k] = x[n, t, k] + where(t > 0, logsumexp(a[n, t - 1, j] + T[j, k], j), 0)",
            "s[n] = sum(x[n, t, e[n, t]] + where(t > 0, T[e[n, t - 1], e[n, t]], 0), t)",
            "y[n] = logsumexp(a[n, size(t) - 1, k], k) - s[n]",
        ],
        {"T": (3, 3)},
        {"x": ["n", 4, 3], "e": {"shape": ["n", 4], "classes": 3}},
        "mean(y[n], n)",
        tagger,
    ),
    "the likelihood of a Gaussian process": Case(
        "K[n, m] = exp(-sum(l[i]**2 * (x[n, i] - x[m, i])**2, i)) + 0.1*delta(n, m)",
        {"l": (3,)},
        {"x": ["n", 3], "t": ["n"]},
        "sum(t[n] * t[m] * inv(y[n, m], n, m), n, m) + logdet(y[n, m], n, m)",
        likelihood,
    ),
    "capsules that agree": Case(
        [
            "u[n, i, j, d] = sum(W[i, j, d, k] * x[n, i, k], k)",
            "b[n, r, i, j] = b[n, r - 1, i, j] + sum(u[n, i, j, d] * v[n, r - 1, j, d], d)",
            "c[n, r, i, j] = softmax(b[n, r, i, j], j)",
            "s[n, r, j, d] = sum(c[n, r, i, j] * u[n, i, j, d], i)",
            "q[n, r, j] = sum(s[n, r, j, d]**2, d)",
            "v[n, r, j, d] = s[n, r, j, d] * sqrt(q[n, r, j]) / (1 + q[n, r, j])",
            "y[n, j, d] = v[n, size(r) - 1, j, d]",
        ],
        {"W": (3, 2, 2, 2)},
        {"x": ["n", 3, 2]},
        CURVED,
        capsules,
        sizes={"r": 3},
    ),
    "parts of an axis share a softmax": Case(
        [
            "c[n, i] = x[n, i]**2",
            "c[n, size(i) + j] = tanh(sum(W[j, k] * x[n, k], k))",
            "c[n, size(i) + size(j) + e] = 0",
            "a[n, i] = softmax(c[n, i], i)",
            "y[n, i] = a[n, size(i) - 1 - i] * v[i]",
        ],
        {"W": (2, 3), "v": (7,)},
        {"x": ["n", 3]},
        CURVED,
        learned_tokens,
        sizes={"e": 2},
    ),
    "one letter for parts of any size": Case(
        [
            "h[n, s, i] = x[n, i] * W[s, i]",
            "h[m, 2 + s, k] = softmax(x[m, k] * W[s, k], k)",
            "h[n, 4 + s, i] = x[n, i] * W[s, i] * softmax(x[n, i] * W[s, i], i)",
            "y[n, i] = sum(h[n, s, i]**2 * s, s)",
        ],
        {"W": (2, 3)},
        {"x": ["n", 3]},
        CURVED,
        three_axes,
    ),
}


@cache
def oracle(name: str) -> tuple[dict[str, Any], dict[str, Any], Any, dict[str, Any]]:
    """Return parameters, inputs, and the loss and the slopes as JAX has them."""
    case = CASES[name]
    held, data = case.drawn()
    moving = {**held, **{key: data[key] for key in case.wrt}}

    def loss(given: Params) -> Any:
        inputs = (given.get(key, data[key]) for key in data)
        return case.value({key: given[key] for key in held}, *inputs)

    return held, data, *jax.jit(jax.value_and_grad(loss))(moving)


@pytest.mark.parametrize(
    ("name", "target", "readable"),
    [
        (name, *form)
        for place, name in enumerate(CASES)
        for form in (
            ("numpy", False),
            *(FORMS if "parts" in name else [FORMS[place % 2 * 2]]),
            FORMS[3],
        )
    ],
)
def test_loss_and_gradients_are_jax_s(name: str, target: str, readable: bool) -> None:
    case = CASES[name]
    held, data, wanted, slopes = oracle(name)
    module: Any = symback.compile(case.spec, target, readable=readable, wrt=case.wrt)
    plain = target == "python"
    params = {
        f"f1.{key}": np.atleast_1d(w).tolist() if plain else w.copy() for key, w in held.items()
    }
    given = [array.tolist() if plain else array for array in data.values()]
    value, grads = module.value_and_grad(params, *given)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    for key, slope in slopes.items():
        got = np.asarray(grads[key if key in data else f"f1.{key}"]).reshape(np.shape(slope))
        scale = np.abs(slope).max(initial=0.0)
        np.testing.assert_allclose(got, slope, rtol=1e-10, atol=1e-12 * scale, err_msg=key)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        (["z[n, 2 + i] = w[i] * x[n, 0]"], "`z` has 0 values so far, this part begins at 2"),
        (
            ["z[n, i] = x[n, i]", "z[n, 5 + j] = w[j] * x[n, 0]"],
            "`z` has 4 values so far, this part begins at 5",
        ),
        (["z[n, i] = x[n, i]", "z[n, i] = 2 * x[n, i] * w[0]"], "`z` is taken"),
        (["z[n, size(j) + i] = w[i] * x[n, 0]"], "how many values does the index j take?"),
        (
            ["z[n, i, k] = x[n, i] * w[k]", "z[n, size(i) + i, j] = x[n, i] * x[n, j]"],
            "`z` has 3 values along this axis, 4 here",
        ),
    ],
)
def test_a_part_stands_right_behind_those_before(formula: list[str], said: str) -> None:
    layer = {"formula": formula, "parameters": {"w": {"shape": [3], "init": "zeros"}}}
    spec = {
        "inputs": {"x": ["n", 4]},
        "layers": [{"f1": layer}],
        "loss": {"formula": "sum(y[...], ...)"},
        "optimizer": "sgd",
    }
    with pytest.raises(UserError) as caught:
        symback.derive(spec)
    assert said in str(caught.value)
