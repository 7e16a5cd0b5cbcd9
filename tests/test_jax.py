"""Drawn networks against JAX, which is always there where the tests run.

Two independent differentiations beside ours (PyTorch's is in test_parity_*.py) agree on values and
slopes, over what JAX has counterparts of.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import TRIES, WRT, Network, networks
from hypothesis import given, settings
from oracle import Arrays, Library, Result, SpecMapping, assert_same, compiled, evaluated, network
from settings import TARGETS

jax.config.update("jax_enable_x64", True)

Tracer = Any  # jax.Array, or what stands for one while JAX differentiates


def dense(sources: Sequence[Tracer], own: Mapping[str, Tracer], units: int, bias: bool) -> Tracer:
    assert ("bias" in own) is bias
    assert len(own["weight"]) == units
    return sources[0] @ own["weight"].T + own.get("bias", 0.0)


def gelu(x: Tracer, approximate: str) -> Tracer:
    return jax.nn.gelu(x, approximate=approximate == "tanh")


def reduced(elements: Tracer, reduction: str) -> Tracer:
    return elements.mean() if reduction == "mean" else elements.sum()


def mse(y: Tracer, t: Tracer, reduction: str, sample: None, classes: None) -> Tracer:
    assert sample is classes is None
    return reduced((y - t) ** 2, reduction)


def huber(
    y: Tracer, t: Tracer, reduction: str, sample: None, classes: None, delta: float
) -> Tracer:
    assert sample is classes is None
    d = jnp.abs(y - t)
    return reduced(jnp.where(d <= delta, d**2 / 2, delta * (d - delta / 2)), reduction)


def bce_with_logits(
    y: Tracer, t: Tracer, reduction: str, sample: None, classes: None, pos_weight: None
) -> Tracer:
    assert sample is classes is pos_weight is None
    return reduced(-t * jax.nn.log_sigmoid(y) - (1 - t) * jax.nn.log_sigmoid(-y), reduction)


def cross_entropy(
    y: Tracer,
    t: Tracer,
    reduction: str,
    sample: None,
    classes: None,
    label_smoothing: float,
    ignore_index: None,
) -> Tracer:
    assert sample is classes is ignore_index is None
    wanted = jax.nn.one_hot(t, y.shape[-1], dtype=y.dtype)
    wanted = (1 - label_smoothing) * wanted + label_smoothing / y.shape[-1]
    return reduced(-(wanted * jax.nn.log_softmax(y)).sum(axis=-1), reduction)


JAX = Library(
    activations={
        "identity": lambda x: x,
        "sigmoid": jax.nn.sigmoid,
        "tanh": jnp.tanh,
        "relu": jax.nn.relu,
        "leaky_relu": jax.nn.leaky_relu,
        "elu": jax.nn.elu,
        "selu": jax.nn.selu,
        "celu": jax.nn.celu,
        "gelu": gelu,
        "silu": jax.nn.silu,
        "mish": jax.nn.mish,
        "softplus": lambda x, beta: jax.nn.softplus(beta * x) / beta,
        "log_sigmoid": jax.nn.log_sigmoid,
        "softmax": jax.nn.softmax,
        "log_softmax": jax.nn.log_softmax,
        "softsign": jax.nn.soft_sign,
        "relu6": jax.nn.relu6,
        "hardsigmoid": jax.nn.hard_sigmoid,
        "hardswish": jax.nn.hard_swish,
    },
    layers={
        "dense": dense,
        "flatten": lambda sources, own: sources[0].reshape(len(sources[0]), -1),
        "add": lambda sources, own: sum(sources[1:], sources[0]),
        "concat": lambda sources, own: jnp.concatenate(sources, axis=-1),
    },
    losses={
        "mse": mse,
        "huber": huber,
        "bce_with_logits": bce_with_logits,
        "cross_entropy": cross_entropy,
    },
)


def result(spec: SpecMapping, params: Arrays, data: Arrays, wrt: Sequence[str] = ()) -> Result:
    """Return output, loss and gradients of a spec by JAX's own differentiation."""

    def loss(sought: Mapping[str, Tracer]) -> tuple[Tracer, Tracer]:
        inputs = {name: sought.get(name, a) for name, a in data.items()}
        output, value = network(spec, JAX, {key: sought[key] for key in params}, inputs)
        return value, output

    leaves = {key: jnp.asarray(a) for key, a in params.items()}
    leaves |= {name: jnp.asarray(data[name]) for name in wrt}
    (value, output), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(leaves)
    return Result(np.array(output), np.array(value), {key: np.array(g) for key, g in grads.items()})


@settings(TRIES, max_examples=15)
@given(networks(tuple(JAX.activations), tuple(JAX.losses)))
def test_loss_and_gradients(drawn: Network) -> None:
    params, data = drawn.params, drawn.data
    theirs = result(drawn.spec, params, data, WRT)
    assert_same(evaluated(compiled(drawn.spec, "numpy", WRT), params, data), theirs)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("activation", JAX.activations)
def test_activation(activation: str, target: str) -> None:
    spec: SpecMapping = {
        "inputs": {"x": ["n", 2, 3], "t": ["n", 4]},
        "layers": [
            {"f0": {"flatten": None}},
            {"f1": {"dense": 5, "activation": activation}},
            {"f2": {"dense": 4}},
        ],
        "loss": {"mse": "t"},
        "optimizer": {"sgd": {"lr": 0.1}},
    }
    rng = np.random.default_rng(3)
    shapes = {"f1.weight": (5, 6), "f1.bias": (5,), "f2.weight": (4, 5), "f2.bias": (4,)}
    params = {key: rng.normal(size=shape) for key, shape in shapes.items()}
    data = {"x": rng.normal(size=(6, 2, 3)), "t": rng.normal(size=(6, 4))}
    theirs = result(spec, params, data, WRT)
    assert_same(evaluated(compiled(spec, target, WRT), params, data), theirs)
