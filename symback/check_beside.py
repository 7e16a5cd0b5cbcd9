"""The functions beside a module's passes, held against differences of its own loss and gradient."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from types import ModuleType
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = dict[str, Array]


def present(module: ModuleType) -> tuple[str, ...]:
    """Return the names of the functions that a module has beside its passes.

    Behind a detach there is nothing to hold them against.
    """
    if getattr(module, "DETACHED", ()):
        return ()
    return tuple(name for name in CHECKS if hasattr(module, name))


def wrong(module: ModuleType, name: str, seed: int) -> Iterator[tuple[float, float]]:
    """Yield (derived, measured) of what a function gets wrong along random directions."""
    trial = _Trial(module, np.random.default_rng(seed), seed)
    derived, along = CHECKS[name](trial)
    right, measured = module.agrees(derived, along)
    if not right:
        yield derived, measured


Along = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class _Trial:
    """Parameters a little off their start, examples, and the module's functions on arrays."""

    module: Any
    rng: np.random.Generator
    seed: int

    @property
    def params(self) -> Arrays:
        rng = np.random.default_rng(self.seed)
        held = self.module.init(self.seed)
        arrays = {name: np.asarray(w, np.float64) for name, w in held.items()}
        return {name: w + rng.normal(0, 0.01, w.shape) for name, w in arrays.items()}

    @property
    def data(self) -> tuple[Array, ...]:
        found = self.module.sample(5, self.seed)
        return tuple(np.asarray(each) for each in (found if isinstance(found, tuple) else (found,)))

    def call(self, name: str, params: Arrays, *given: Array | Arrays) -> Any:
        """Call a function of the module with its own kind of arrays."""
        lists = isinstance(next(iter(self.module.init(0).values())), list)

        def own(value: Array | Arrays) -> Any:
            if isinstance(value, dict):
                return {key: own(each) for key, each in value.items()}
            return value.tolist() if lists else value

        return getattr(self.module, name)(own(params), *map(own, given))

    def direction(self, like: Mapping[str, Any]) -> Arrays:
        return {name: self.rng.normal(size=np.shape(w)) for name, w in like.items()}

    def gradient(self, params: Arrays, data: tuple[Array, ...]) -> Arrays:
        _, grads = self.call("value_and_grad", params, *data)
        return {name: np.asarray(grads[name]) for name in params if name in grads}


def _dot(first: Mapping[str, Any], second: Mapping[str, Any]) -> float:
    return float(sum(np.vdot(first[name], second[name]) for name in second))


def _moved(params: Arrays, h: float, direction: Arrays) -> Arrays:
    return {name: w + h * direction[name] if name in direction else w for name, w in params.items()}


def _second(trial: _Trial) -> tuple[Arrays, Arrays, Along]:
    """Return two directions u and v, and how u·∂L/∂w changes along v."""
    params, data = trial.params, trial.data
    slopes = trial.gradient(params, data)
    u, v = trial.direction(slopes), trial.direction(slopes)
    return u, v, lambda h: _dot(trial.gradient(_moved(params, h, v), data), u)


def _hvp(trial: _Trial) -> tuple[float, Along]:
    u, v, along = _second(trial)
    return _dot(trial.call("hvp", trial.params, *trial.data, v), u), along


def _hessian(trial: _Trial) -> tuple[float, Along]:
    u, v, along = _second(trial)
    blocks = trial.call("hessian", trial.params, *trial.data)
    found = 0.0
    for first in u:
        for second in v:
            block = np.asarray(blocks[first][second]).reshape(u[first].size, v[second].size)
            found += float(u[first].ravel() @ block @ v[second].ravel())
    return found, along


def _jacobian(trial: _Trial) -> tuple[float, Along]:
    params, data = trial.params, trial.data
    names = list(signature(trial.module.jacobian).parameters)[1:]
    given = dict(zip(names, data, strict=False))
    found = {
        name: np.asarray(j) for name, j in trial.call("jacobian", params, *given.values()).items()
    }
    output = np.asarray(trial.call("predict", params, *given.values()))
    weights, moves = (
        trial.rng.normal(size=output.shape),
        trial.direction({n: given[n] for n in found}),
    )
    derived = 0.0
    for name, slopes in found.items():
        each = slopes.reshape(len(output), weights[0].size, moves[name][0].size)
        flat = moves[name].reshape(len(output), -1)
        derived += float(np.einsum("nk,nki,ni", weights.reshape(len(output), -1), each, flat))

    def along(h: float) -> float:
        return float(
            np.vdot(weights, trial.call("predict", params, *_moved(given, h, moves).values()))
        )

    return derived, along


def _per_example(trial: _Trial) -> tuple[float, Along]:
    params, data = trial.params, trial.data
    found = {name: np.asarray(g) for name, g in trial.call("per_example", params, *data).items()}
    count = len(data[0])
    moves = [trial.direction({name: g[0] for name, g in found.items()}) for _ in range(count)]
    derived = sum(_dot({n: g[k] for n, g in found.items()}, moves[k]) for k in range(count))

    def along(h: float) -> float:
        values = (
            trial.call("loss", _moved(params, h, moves[k]), *(each[k : k + 1] for each in data))
            for k in range(count)
        )
        return float(sum(np.sum(value) for value in values))

    return derived, along


CHECKS: Mapping[str, Callable[[_Trial], tuple[float, Along]]] = {
    "hvp": _hvp,
    "jacobian": _jacobian,
    "hessian": _hessian,
    "per_example": _per_example,
}
