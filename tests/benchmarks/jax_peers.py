"""JAX's networks: the same mathematics on jax.numpy, the whole step under one jit."""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp

from .nets import BETA1, BETA2, EPS, RATE, Net

Params = dict[str, Any]


def step_of(net: Net) -> Callable[[], float]:
    """Return a training step, the rule included; what it changes is donated."""
    model = MODELS.get(net.model) or dense(net)
    loss = LOSSES[net.loss]
    slope = jax.value_and_grad(lambda params, x, t: loss(model(params, x), t))

    def whole(params: Params, m: Params, v: Params, count: Any, x: Any, t: Any) -> Any:
        value, grads = slope(params, x, t)
        if net.rule == "sgd":
            return value, jax.tree.map(lambda w, g: w - RATE * g, params, grads), m, v, count
        count = count + 1
        m = jax.tree.map(lambda a, g: BETA1 * a + (1 - BETA1) * g, m, grads)
        v = jax.tree.map(lambda b, g: BETA2 * b + (1 - BETA2) * g * g, v, grads)
        rate, scale = RATE / (1 - BETA1**count), jnp.sqrt(1 - BETA2**count)
        params = jax.tree.map(
            lambda w, a, b: w - rate * a / (jnp.sqrt(b) / scale + EPS), params, m, v
        )
        return value, params, m, v, count

    compiled = jax.jit(whole, donate_argnums=(0, 1, 2, 3))
    x, t = (jnp.asarray(array) for array in net.data())
    params = {name: jnp.asarray(w) for name, w in net.start().items()}
    held = [params, *(jax.tree.map(jnp.zeros_like, params) for _ in range(2)), jnp.zeros(())]

    def step() -> float:
        value, *held[:] = compiled(*held, x, t)
        return float(value)

    return step


def cross_entropy(y: Any, t: Any) -> Any:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(y), t[:, None], axis=1))


LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "mse": lambda y, t: jnp.mean((y - t) ** 2),
    "cross_entropy": cross_entropy,
    "margin": lambda y, t: jnp.mean(jax.nn.relu(1 - t * y)),
}


def linear(params: Params, name: str, x: Any) -> Any:
    return x @ params[f"{name}.weight"].T + params[f"{name}.bias"]


def dense(net: Net) -> Callable[[Params, Any], Any]:
    """Return a network of dense layers."""
    bend = jnp.tanh if net.activation == "tanh" else jax.nn.relu
    depth = len(net.sizes) - 1

    def model(params: Params, x: Any) -> Any:
        for k in range(1, depth):
            x = bend(linear(params, f"f{k}", x))
        return linear(params, f"f{depth}", x)

    return model


def convolved(params: Params, name: str, x: Any, padding: int) -> Any:
    z = lax.conv_general_dilated(x, params[f"{name}.weight"], (1, 1), [(padding, padding)] * 2)
    return jax.nn.relu(z + params[f"{name}.bias"][:, None, None])


def pooled(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def conv(params: Params, x: Any) -> Any:
    x = convolved(params, "c2", convolved(params, "c1", x, 1), 1)
    return linear(params, "f3", x.reshape(len(x), -1))


def lenet(params: Params, x: Any) -> Any:
    x = pooled(convolved(params, "c3", pooled(convolved(params, "c1", x, 2)), 0))
    for name in ("f5", "f6"):
        x = jax.nn.relu(linear(params, name, x.reshape(len(x), -1)))
    return linear(params, "f7", x)


def lstm(params: Params, x: Any) -> Any:
    into = x @ params["rnn.weight_ih_l0"].T + params["rnn.bias_ih_l0"]

    def one(before: Any, p: Any) -> Any:
        h, s = before
        a = p + h @ params["rnn.weight_hh_l0"].T + params["rnn.bias_hh_l0"]
        u, f, m, o = jnp.split(a, 4, axis=1)
        s = jax.nn.sigmoid(f) * s + jax.nn.sigmoid(u) * jnp.tanh(m)
        return (jax.nn.sigmoid(o) * jnp.tanh(s), s), None

    zero = jnp.zeros((len(x), 128), x.dtype)
    (h, _), _ = lax.scan(one, (zero, zero), into.swapaxes(0, 1))
    return linear(params, "out", h)


def normed(params: Params, name: str, x: Any) -> Any:
    shifted = x - x.mean(-1, keepdims=True)
    scaled = shifted / jnp.sqrt((shifted**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * params[f"{name}.weight"] + params[f"{name}.bias"]


def block(params: Params, x: Any) -> Any:
    n, tokens, width = x.shape
    p = normed(params, "n1", x) @ params["attention.in_proj_weight"].T
    p = (p + params["attention.in_proj_bias"]).reshape(n, tokens, 3, 4, width // 4)
    q, k, v = p.transpose(2, 0, 3, 1, 4)
    a = jax.nn.softmax(q @ k.swapaxes(2, 3) / (width // 4) ** 0.5)
    c = (a @ v).transpose(0, 2, 1, 3).reshape(n, tokens, width)
    r = linear(params, "attention.out_proj", c) + x
    h = jax.nn.gelu(linear(params, "f1", normed(params, "n2", r)), approximate=False)
    return linear(params, "f2", h) + r


MODELS: dict[str, Callable[[Params, Any], Any]] = {
    "conv": conv,
    "lenet": lenet,
    "lstm": lstm,
    "block": block,
}
