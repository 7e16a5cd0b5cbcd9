"""Whole Hessians, derived and written out by symback, beside JAX's under jit (float32).

Of logistic regression, mean log(1 + exp(w·x)) − t·w·x by w, and of a matrix factorisation,
mean (U·Vᵀ − T)² by U (Laue, Mitterreiter and Giesen 2018, arXiv:1811.03388, have both).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from symback import pipeline

Array = np.ndarray[Any, Any]
RANK = 5  # of the factorisation


@dataclass(frozen=True, slots=True)
class Hessian:
    """A problem of one size: `logistic` or `factors`."""

    kind: str
    size: int

    @property
    def name(self) -> str:
        return f"Hessian, {self.kind} {self.size}"

    @property
    def model(self) -> str:
        return f"{self.kind}{self.size}"

    def spec(self) -> dict[str, Any]:
        """Return the spec symback is given."""
        n = self.size
        if self.kind == "logistic":
            inputs, shape = {"x": ["n", n], "t": ["n"]}, [n]
            formula = "y[n] = sum(w[i]*x[n, i], i)"
            loss = "mean(softplus(y[n]) - t[n]*y[n], n)"
        else:
            inputs, shape = {"x": ["n", n, n], "v": ["n", n, RANK]}, [n, RANK]
            formula = "r[n, i, j] = sum(w[i, k]*v[n, j, k], k) - x[n, i, j]"
            loss = "mean(y[n, i, j]**2, n, i, j)"
        held = {"w": {"shape": shape, "init": "zeros"}}
        source = {} if self.kind == "logistic" else {"from": ["x", "v"]}
        return {
            "model": self.model,
            "inputs": inputs,
            "layers": [{"f": {"formula": formula, "parameters": held, **source}}],
            "loss": {"formula": loss},
            "optimizer": "sgd",
        }

    def data(self) -> tuple[Array, Array]:
        """Return twice as many examples as weights and 0 or 1 for each; or T, and V."""
        rng, n = np.random.default_rng(0), self.size
        if self.kind == "logistic":
            x = rng.normal(size=(2 * n, n)).astype(np.float32)
            return x, rng.integers(0, 2, 2 * n).astype(np.float32)
        t, v = rng.normal(size=(1, n, n)), rng.normal(size=(1, n, RANK))
        return t.astype(np.float32), v.astype(np.float32)

    def start(self) -> Array:
        """Return w, or U."""
        shape = (self.size,) if self.kind == "logistic" else (self.size, RANK)
        return np.random.default_rng(1).normal(0, 0.1, shape).astype(np.float32)


def numpy_hessian(problem: Hessian) -> Callable[[], float]:
    """symback's `hessian` in NumPy; a step returns the trace, for comparison."""
    module: Any = pipeline.compile(problem.spec(), "numpy", "float32", functions=["hessian"])
    params = {"f.w": problem.start()}
    data = problem.data()
    return lambda: traced(module.hessian(params, *data)["f.w"]["f.w"])


def jax_hessian(problem: Hessian) -> Callable[[], float]:
    """jax.hessian under jit."""
    import jax
    from jax import numpy as jnp

    x, more = map(jnp.asarray, problem.data())

    def loss(w: Any, x: Any, more: Any) -> Any:
        if problem.kind == "logistic":
            y = x @ w
            return (jax.nn.softplus(y) - more * y).mean()
        return ((w @ more[0].T - x[0]) ** 2).mean()

    whole = jax.jit(jax.hessian(loss))
    w = jnp.asarray(problem.start())
    return lambda: traced(np.asarray(whole(w, x, more)))


def traced(block: Array) -> float:
    size = round(block.size**0.5)
    return float(np.trace(block.reshape(size, size)))


HESSIANS = tuple(
    Hessian(kind, size)
    for kind, sizes in (("logistic", (100, 300, 1000)), ("factors", (100, 300)))
    for size in sizes
)
PEERS: dict[str, Callable[[Hessian], Callable[[], float]]] = {
    "symback hessian": numpy_hessian,
    "JAX hessian": jax_hessian,
}
