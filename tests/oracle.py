"""Another reading of a spec to compare with: in a library that differentiates by itself.

`Library` is the table of counterparts that a library (PyTorch in pytorch.py, JAX in test_jax.py)
has for the catalogue's entries; `network` walks a spec with it. `evaluated` runs an emitted
module, `assert_close` says what equal is.
"""

import json
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from inspect import signature
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symback import catalog, emit, pipeline
from symback.catalog.entry import Entry, Kind
from symback.formula import explicit
from symback.program import Program

Array = NDArray[Any]
Arrays = dict[str, Array]
SpecMapping = dict[str, Any]

TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Result:
    """What a pass over some examples gives: output, loss, gradients by parameters and inputs."""

    output: Array
    loss: Array
    grads: Arrays


# ---------------------------------------------------------------- our side


@cache
def _program(spec: str, wrt: tuple[str, ...], dtype: str, readable: bool) -> Program:
    return pipeline.program(json.loads(spec), dtype, readable=readable, wrt=wrt)


@cache
def _module(spec: str, target: str, wrt: tuple[str, ...], dtype: str, readable: bool) -> ModuleType:
    return pipeline.imported(emit.emit(_program(spec, wrt, dtype, readable), target))


def compiled(
    spec: SpecMapping,
    target: str = "numpy",
    wrt: Sequence[str] = (),
    dtype: str = "float64",
    *,
    readable: bool = True,
) -> ModuleType:
    """Return the module of a spec; the same one for the same spec."""
    return _module(json.dumps(spec), target, tuple(wrt), dtype, readable)


def evaluated(module: ModuleType, params: Arrays, data: Arrays, seed: int | None = None) -> Result:
    """Run a module forward and backward; with a seed, as in training (dropout)."""
    is_numpy = hasattr(module, "np")
    given: Any = {key: w if is_numpy else w.tolist() for key, w in params.items()}
    examples: Any = {name: a if is_numpy else a.tolist() for name, a in data.items()}
    inputs = [examples[name] for name in signature(module.forward).parameters if name in data]
    drawn = [] if seed is None else [generator(module, seed)]
    output, _ = module.forward(given, *inputs, *drawn)
    output = np.array(output)  # the fast form's own arrays are written anew by the next pass
    drawn = [] if seed is None else [generator(module, seed)]
    loss, grads = module.value_and_grad(given, *examples.values(), *drawn)
    found = {name: np.array(gradient) for name, gradient in grads.items()}
    return Result(output, np.array(loss), found)


def growth(module: Any) -> int:
    """Return how much more memory a step takes at its peak with four times the examples."""
    peaks = []
    for n in (512, 2048):  # NumPy's own buffers have one size
        params = module.init(0)
        kind = next(iter(params.values())).dtype
        drawn = module.sample(n)
        given = drawn if isinstance(drawn, tuple) else (drawn,)
        data = [a if a.dtype.kind == "i" else a.astype(kind) for a in given]
        state, work = module.init_state(params), module.Workspace(params)
        more = [np.random.default_rng(0)] if "rng" in signature(module.one_step).parameters else []
        for _ in range(3):
            module.one_step(params, state, *data, work, *more)
        tracemalloc.start()
        module.one_step(params, state, *data, work, *more)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return peaks[1] - peaks[0]


def generator(module: ModuleType, seed: int) -> Any:
    """Return random numbers of the kind the module draws from."""
    return np.random.default_rng(seed) if hasattr(module, "np") else module.Random(seed)


def drawn_params(module: ModuleType, seed: int = 0) -> Arrays:
    """Return the parameters a module starts from, as arrays in float64."""
    return {key: np.array(w, np.float64) for key, w in module.init(seed).items()}


# ---------------------------------------------------------------- what equal is


def assert_close(got: Array, want: Array, what: str, tolerance: float = TOLERANCE) -> None:
    """Require equal shapes and values, relative to the largest magnitude; NaN never passes."""
    assert got.shape == want.shape, f"{what}: shape {got.shape}, not {want.shape}"
    scale = np.abs(want).max(initial=0.0)
    error = np.abs(got - want).max(initial=0.0)
    assert error <= tolerance * scale, f"{what}: off by {error}, largest {scale}:\n{got}\n{want}"


def assert_same(got: Result, want: Result, what: str = "", tolerance: float = TOLERANCE) -> None:
    """Require the same output, loss and gradients, the same names among them."""
    assert_close(got.output, want.output, f"{what} output", tolerance)
    assert_close(got.loss, want.loss, f"{what} loss", tolerance)
    assert set(got.grads) == set(want.grads)
    for name, gradient in want.grads.items():
        assert_close(got.grads[name], gradient, f"{what} gradient by {name}", tolerance)


def anywhere(entry: Entry) -> bool:
    """Say whether an activation can follow any layer: along one axis at most, by its name alone."""
    needs = any(option.required for option in entry.options)
    return not needs and explicit(entry.formulas[-1], "x") <= 1


# ---------------------------------------------------------------- the other side


@dataclass(frozen=True, slots=True)
class Library:
    """Counterparts of the catalogue's entries, by name. They take every option by keyword.

    activations: f(x, **options); layers: f(sources, parameters, **options); losses:
    f(y, t, reduction, sample_weight, class_weight, **options); dropout's mask is a parameter.
    `zero` is what a penalty starts from.
    """

    activations: Mapping[str, Callable[..., Any]]
    layers: Mapping[str, Callable[..., Any]]
    losses: Mapping[str, Callable[..., Any]]
    own: Mapping[str, Callable[..., Any]] = field(default_factory=dict)  # by the formula


def entries(kind: Kind) -> list[Entry]:
    """Return the catalogue's entries of a kind."""
    return [entry for entry in catalog.entries() if entry.kind is kind]


def choice(kind: Kind, written: Any) -> tuple[Entry, dict[str, Any]]:
    """Return the entry that `tanh` or `{elu: {alpha: 2}}` names, and all its options."""
    [(name, given)] = written.items() if isinstance(written, dict) else [(written, None)]
    entry = catalog.find(kind, name)
    assert entry is not None, name
    return entry, options(entry, given)


def options(entry: Entry, given: Any) -> dict[str, Any]:
    """Return every option of an entry, the default where none is given."""
    if given is not None and not isinstance(given, dict):
        given = {entry.main: given}
    return {option.name: option.default for option in entry.options} | dict(given or {})


def network(
    spec: SpecMapping, library: Library, params: Mapping[str, Any], data: Mapping[str, Any]
) -> tuple[Any, Any]:
    """Return a spec's output and loss. `params` and `data` are the library's arrays.

    A dropout layer's mask is found among the parameters under `name.mask`.
    """
    values = dict(data)
    previous = next(iter(spec["inputs"]))
    for layer in spec["layers"]:
        [(name, body)] = layer.items()
        named = body.get("from", previous)
        sources = [values[source] for source in ([named] if isinstance(named, str) else named)]
        own = {key.removeprefix(f"{name}."): w for key, w in params.items() if in_layer(key, name)}
        value = _layer(body, library, sources, own)
        if "activation" in body:
            chosen, settings = choice(Kind.ACTIVATION, body["activation"])
            value = library.activations[chosen.name](value, **settings)
        values[name] = value
        previous = name
    return value, _loss(spec["loss"], library, value, params, data)


def in_layer(key: str, layer: str) -> bool:
    """Tell whether a parameter belongs to a layer."""
    return key.rpartition(".")[0] == layer


def _layer(
    body: Mapping[str, Any], library: Library, sources: Sequence[Any], own: Mapping[str, Any]
) -> Any:
    if "formula" in body:
        return library.own[body["formula"]](*sources, **own, **body.get("constants", {}))
    for key, given in body.items():
        entry = catalog.find(Kind.LAYER, key)
        if entry is not None:
            return library.layers[entry.name](sources, own, **options(entry, given))
    return sources[0]


def _loss(
    written: Mapping[str, Any],
    library: Library,
    y: Any,
    params: Mapping[str, Any],
    data: Mapping[str, Any],
) -> Any:
    if "formula" in written:
        others = {name: a for name, a in data.items() if name in written["formula"]}
        value = library.own[written["formula"]](y, **others)
    else:
        beside = {"target", "reduction", "weight", "sample_weight"}
        name = next(key for key in written if isinstance(written[key], str | dict))
        given = written[name] if isinstance(written[name], dict) else {"target": written[name]}
        entry = catalog.find(Kind.LOSS, name)
        assert entry is not None, name
        chosen = options(entry, {key: part for key, part in given.items() if key not in beside})
        value = library.losses[entry.name](
            y,
            data[given["target"]],
            given.get("reduction", "mean"),
            data[given["sample_weight"]] if "sample_weight" in given else None,
            given.get("weight"),
            **chosen,
        )
    penalised = written.get("penalise", [key for key in params if not key.endswith(".mask")])
    l1 = written.get("l1") if isinstance(written.get("l1"), float) else 0.0
    for key in penalised if l1 or "l2" in written else ():
        w = params[key]
        value = value + l1 * abs(w).sum() + written.get("l2", 0.0) * (w * w).sum()
    return value
