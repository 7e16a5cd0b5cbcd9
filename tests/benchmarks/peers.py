"""Who is measured: each function makes a network's step, forward, backward, Adam, loss read back.

A step is called without arguments and returns the loss of the batch it was made with; every peer
starts from the same weights, so that their losses agree.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from symback import pipeline

from .nets import Net

Step = Callable[[], float]
Array = np.ndarray[Any, Any]
RATE, BETA1, BETA2, EPS = 0.001, 0.9, 0.999, 1e-8


def params_of(net: Net) -> dict[str, Array]:
    """Return the starting weights by PyTorch's names."""
    names = [f"f{k}.{part}" for k in range(1, len(net.sizes)) for part in ("weight", "bias")]
    return dict(zip(names, net.start(), strict=True))


# ---------------------------------------------------------------- symback


def numpy_fast(net: Net) -> Step:
    """symback's NumPy module."""
    module: Any = pipeline.compile(net.spec(), "numpy", "float32")
    x, t = net.data()
    params = module.packed(params_of(net))
    state, work = module.init_state(params), module.Workspace(params)
    return lambda: float(module.one_step(params, state, x, t, work)[0])


def numpy_readable(net: Net) -> Step:
    """symback's NumPy module in the readable form."""
    module: Any = pipeline.compile(net.spec(), "numpy", "float32", readable=True)
    x, t = net.data()
    params = params_of(net)
    state = module.init_state(params)
    return lambda: float(module.one_step(params, state, x, t)[0])


def plain_python(net: Net) -> Step:
    """symback's module of plain Python."""
    module: Any = pipeline.compile(net.spec(), "python")
    x, t = (array.tolist() for array in net.data())
    params = {name: w.tolist() for name, w in params_of(net).items()}
    state = module.init_state(params)
    return lambda: float(module.one_step(params, state, x, t)[0])


# ---------------------------------------------------------------- the floor, and NumPy by hand


def floor(net: Net) -> Step:
    """The matrix products alone, and moving what Adam must: 4 vectors read, 3 written."""
    x, _ = net.data()
    weights = net.start()[::2]
    values = [x, *(np.ones((net.batch, size), np.float32) for size in net.sizes[1:])]
    layers = [
        (before, after, np.empty_like(after), np.empty_like(before), w, np.empty_like(w))
        for before, after, w in zip(values, values[1:], weights, strict=False)
    ]
    vectors = [np.ones(net.parameters, np.float32) for _ in range(4)]
    w, g, m, v = vectors

    def step() -> float:
        for before, _, z, _, weight, _ in layers:
            before.dot(weight.T, out=z)
        for place, (before, after, _, down, weight, gradient) in reversed([*enumerate(layers)]):
            after.T.dot(before, out=gradient)
            if place:
                after.dot(weight, out=down)
        np.copyto(m, g)
        np.copyto(v, g)
        np.copyto(w, m)
        return float(g[0])

    return step


def by_hand(net: Net) -> Step:
    """A NumPy step as one writes it by hand: buffers, a flat vector of parameters, Adam over it."""
    x, t = net.data()
    start = net.start()
    vector = np.concatenate([w.ravel() for w in start])
    gradient, m, v = (np.zeros_like(vector) for _ in range(3))
    e, f = np.empty_like(vector), np.empty_like(vector)
    weights: list[Array] = []
    biases: list[Array] = []
    grads_w: list[Array] = []
    grads_b: list[Array] = []
    place = 0
    for k, w in enumerate(start):
        part = slice(place, place := place + w.size)
        (biases if k % 2 else weights).append(vector[part].reshape(w.shape))
        (grads_b if k % 2 else grads_w).append(gradient[part].reshape(w.shape))
    z = [np.empty((net.batch, size), np.float32) for size in net.sizes[1:]]
    a = [x, *(np.empty_like(value) for value in z[:-1])]
    down = [np.empty_like(value) for value in z]
    ones = np.ones(net.batch, np.float32)
    rows = np.arange(net.batch)
    count = 0

    def step() -> float:
        nonlocal count
        for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
            np.matmul(a[k], w.T, out=z[k])
            z[k] += b
            if k + 1 < len(z):
                if net.activation == "tanh":
                    np.tanh(z[k], out=a[k + 1])
                else:
                    np.maximum(z[k], 0, out=a[k + 1])
        y, dy = z[-1], down[-1]
        if net.loss == "cross_entropy":
            np.subtract(y, y.max(axis=1, keepdims=True), out=dy)
            np.exp(dy, out=dy)
            dy /= dy.sum(axis=1, keepdims=True)
            value = float(-np.log(dy[rows, t]).sum() / net.batch)
            dy[rows, t] -= 1
            dy /= net.batch
        else:
            np.subtract(y, t, out=dy)
            value = float(np.vdot(dy, dy) / dy.size)
            dy *= 2 / dy.size
        for k in reversed(range(len(z))):
            np.matmul(down[k].T, a[k], out=grads_w[k])
            np.matmul(ones, down[k], out=grads_b[k])
            if k:
                np.matmul(down[k], weights[k], out=down[k - 1])
                if net.activation == "tanh":
                    np.multiply(a[k], a[k], out=z[k - 1])
                    np.subtract(1, z[k - 1], out=z[k - 1])
                    down[k - 1] *= z[k - 1]
                else:
                    down[k - 1] *= z[k - 1] > 0
        count += 1
        np.multiply(gradient, 1 - BETA1, out=e)
        np.multiply(m, BETA1, out=m)
        np.add(m, e, out=m)
        np.multiply(gradient, gradient, out=e)
        np.multiply(e, 1 - BETA2, out=e)
        np.multiply(v, BETA2, out=v)
        np.add(v, e, out=v)
        np.sqrt(v, out=f)
        np.divide(f, (1 - BETA2**count) ** 0.5, out=f)
        np.add(f, EPS, out=f)
        np.divide(m, f, out=e)
        np.multiply(e, RATE / (1 - BETA1**count), out=e)
        np.subtract(vector, e, out=vector)
        return value

    return step


# ---------------------------------------------------------------- peers


def torch_module(net: Net) -> tuple[Any, Any]:
    """Return PyTorch's network, and its loss as a function of output and target."""
    import torch

    layers: list[Any] = []
    for k, (a, b) in enumerate(zip(net.sizes, net.sizes[1:], strict=False)):
        if k:
            layers.append(torch.nn.Tanh() if net.activation == "tanh" else torch.nn.ReLU())
        layers.append(torch.nn.Linear(a, b))
    model = torch.nn.Sequential(*layers)
    with torch.no_grad():
        for parameter, w in zip(model.parameters(), net.start(), strict=True):
            parameter.copy_(torch.from_numpy(w))
    losses = {
        "mse": torch.nn.functional.mse_loss,
        "cross_entropy": torch.nn.functional.cross_entropy,
        "margin": lambda y, t: torch.relu(1 - t * y).mean(),
    }
    return model, losses[net.loss]


def torch_step(net: Net, compiled: bool) -> Step:
    import torch

    model, loss = torch_module(net)
    x, t = (torch.from_numpy(array) for array in net.data())
    adam = torch.optim.Adam(model.parameters(), lr=RATE)

    def objective() -> Any:
        return loss(model(x), t)

    value_of = torch.compile(objective) if compiled else objective

    def step() -> float:
        adam.zero_grad()
        value = value_of()
        value.backward()
        adam.step()
        return float(value.item())

    return step


def torch_eager(net: Net) -> Step:
    """PyTorch as it is."""
    return torch_step(net, compiled=False)


def torch_compile(net: Net) -> Step:
    """PyTorch with forward and backward compiled by torch.compile."""
    return torch_step(net, compiled=True)


def objective_of(net: Net, np: Any) -> Callable[..., Any]:
    """Return the loss as a function of the weights, in jax.numpy or autograd's NumPy."""

    def objective(params: list[Any], x: Any, t: Any) -> Any:
        activation = np.tanh if net.activation == "tanh" else lambda z: np.maximum(z, 0)
        for k in range(0, len(params), 2):
            x = (activation(x) if k else x) @ params[k].T + params[k + 1]
        if net.loss == "mse":
            return np.mean((x - t) ** 2)
        if net.loss == "margin":
            return np.mean(np.maximum(1 - t * x, 0))
        shifted = x - np.max(x, axis=1, keepdims=True)
        logarithms = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
        return -np.mean(logarithms[np.arange(len(t)), t])

    return objective


def jax_jit(net: Net) -> Step:
    """JAX with the whole step, Adam included, under one jit; what it changes is donated."""
    import jax

    objective = jax.value_and_grad(objective_of(net, jax.numpy))

    def whole(params: Any, m: Any, v: Any, count: Any, x: Any, t: Any) -> Any:
        value, grads = objective(params, x, t)
        count = count + 1
        m = [BETA1 * a + (1 - BETA1) * g for a, g in zip(m, grads, strict=True)]
        v = [BETA2 * b + (1 - BETA2) * g * g for b, g in zip(v, grads, strict=True)]
        rate, scale = RATE / (1 - BETA1**count), jax.numpy.sqrt(1 - BETA2**count)
        params = [
            w - rate * a / (jax.numpy.sqrt(b) / scale + EPS)
            for w, a, b in zip(params, m, v, strict=True)
        ]
        return value, params, m, v, count

    compiled = jax.jit(whole, donate_argnums=(0, 1, 2, 3))
    x, t = (jax.numpy.asarray(array) for array in net.data())
    params = [jax.numpy.asarray(w) for w in net.start()]
    held = [
        params,
        *([jax.numpy.zeros_like(w) for w in params] for _ in range(2)),
        jax.numpy.zeros(()),
    ]

    def step() -> float:
        value, *held[:] = compiled(*held, x, t)
        return float(value)

    return step


def autograd_numpy(net: Net) -> Step:
    """HIPS autograd: NumPy recorded on a tape; Adam as one vector, by hand."""
    import autograd
    import autograd.numpy

    slope = autograd.value_and_grad(objective_of(net, autograd.numpy))
    x, t = net.data()
    params = net.start()
    m, v = ([np.zeros_like(w) for w in params] for _ in range(2))
    count = 0

    def step() -> float:
        nonlocal count
        value, grads = slope(params, x, t)
        count += 1
        rate, scale = RATE / (1 - BETA1**count), (1 - BETA2**count) ** 0.5
        for k, g in enumerate(grads):
            m[k] += (1 - BETA1) * (g - m[k])
            v[k] += (1 - BETA2) * (g * g - v[k])
            params[k] -= rate * m[k] / (np.sqrt(v[k]) / scale + EPS)
        return float(value)

    return step


def scikit_learn(net: Net) -> Step:
    """scikit-learn's MLP, one batch by partial_fit; its squared loss is half of ours."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    x, t = net.data()
    options: dict[str, Any] = {
        "hidden_layer_sizes": net.sizes[1:-1],
        "activation": net.activation,
        "alpha": 0.0,
        "batch_size": net.batch,
    }
    if net.loss == "cross_entropy":
        model, more = MLPClassifier(**options), {"classes": np.arange(net.sizes[-1])}
    else:
        model, more, t = MLPRegressor(**options), {}, t.ravel()
    model.partial_fit(x, t, **more)
    start = net.start()
    model.coefs_ = [w.T.copy() for w in start[::2]]
    model.intercepts_ = [b.copy() for b in start[1::2]]
    del model._optimizer  # made anew, over these arrays

    def step() -> float:
        model.partial_fit(x, t)
        return float(model.loss_)

    return step


def micrograd(net: Net) -> Step:
    """micrograd: one object per number. Plain gradient descent, as in its demo."""
    from micrograd.nn import MLP

    model = MLP(net.sizes[0], list(net.sizes[1:]))
    for k, layer in enumerate(model.layers):
        weights, biases = (array.tolist() for array in net.start()[2 * k : 2 * k + 2])
        for neuron, row, bias in zip(layer.neurons, weights, biases, strict=True):
            neuron.b.data = bias
            for cell, weight in zip(neuron.w, row, strict=True):
                cell.data = weight
    x, t = (array.tolist() for array in net.data())

    def step() -> float:
        scores = [model(row) for row in x]
        losses = [(1 - goal[0] * score).relu() for goal, score in zip(t, scores, strict=True)]
        value = sum(losses) * (1.0 / len(losses))
        model.zero_grad()
        value.backward()
        for p in model.parameters():
            p.data -= RATE * p.grad
        return float(value.data)

    return step


PEERS: dict[str, Callable[[Net], Step]] = {
    "floor": floor,
    "NumPy by hand": by_hand,
    "symback numpy": numpy_fast,
    "symback numpy readable": numpy_readable,
    "symback python": plain_python,
    "PyTorch eager": torch_eager,
    "torch.compile": torch_compile,
    "JAX jit": jax_jit,
    "scikit-learn": scikit_learn,
    "autograd": autograd_numpy,
    "micrograd": micrograd,
}
