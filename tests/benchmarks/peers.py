"""Who is measured: each function makes a network's step, forward, backward, Adam, loss read back.

A step is called without arguments and returns the loss of the batch it was made with; every peer
starts from the same weights, so that their losses agree.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from symback import pipeline

from .nets import BETA1, BETA2, EPS, RATE, Net

Step = Callable[[], float]
Array = np.ndarray[Any, Any]


# ---------------------------------------------------------------- symback


def numpy_fast(net: Net) -> Step:
    """symback's NumPy module."""
    module: Any = pipeline.compile(net.spec(), "numpy", "float32")
    x, t = net.data()
    params = module.packed(net.start())
    state, work = module.init_state(params), module.Workspace(params)
    return lambda: float(module.one_step(params, state, x, t, work)[0])


def numpy_readable(net: Net) -> Step:
    """symback's NumPy module in the readable form."""
    module: Any = pipeline.compile(net.spec(), "numpy", "float32", readable=True)
    x, t = net.data()
    params = net.start()
    state = module.init_state(params)
    return lambda: float(module.one_step(params, state, x, t)[0])


def c(net: Net) -> Step:
    """symback's C module: a step is one call."""
    module: Any = pipeline.compile(net.spec(), "c", "float32")
    x, t = net.data()
    params = module.packed(net.start())
    state, work = module.init_state(params), module.Workspace(params)
    return lambda: float(module.one_step(params, state, x, t, work)[0])


def plain_python(net: Net) -> Step:
    """symback's module of plain Python."""
    module: Any = pipeline.compile(net.spec(), "python")
    x, t = (array.tolist() for array in net.data())
    params = {name: w.tolist() for name, w in net.start().items()}
    state = module.init_state(params)
    return lambda: float(module.one_step(params, state, x, t)[0])


# ---------------------------------------------------------------- the floor, and NumPy by hand


def floor(net: Net) -> Step:
    """The matrix products alone, and moving what the rule must: Adam's 4 vectors read, 3 written.

    Products of one size are taken on the same arrays, again and again.
    """
    layers = []
    for part in net.products:
        shapes = ((part.rows, part.inner), (part.columns, part.inner), (part.rows, part.columns))
        left, right, product = (np.ones(shape, np.float32) for shape in shapes)
        layers.append((part, left, right, product, np.empty_like(left), np.empty_like(right)))
    w, g, m, v = (np.ones(net.parameters, np.float32) for _ in range(4))
    adam = net.rule == "adam"

    def step() -> float:
        for part, left, right, product, _, _ in layers:
            for _ in range(part.count):
                left.dot(right.T, out=product)
        for part, left, right, product, down, gradient in reversed(layers):
            for _ in range(part.count):
                product.T.dot(left, out=gradient)
                if part.down:
                    product.dot(right, out=down)
        if adam:
            np.copyto(m, g)
            np.copyto(v, g)
        np.copyto(w, m if adam else g)
        return float(g[0])

    return step


def by_hand(net: Net) -> Step:
    """A NumPy step as one writes it by hand: buffers, a flat vector of parameters, Adam over it."""
    x, t = net.data()
    start = list(net.start().values())
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


def torch_eager(net: Net) -> Step:
    """PyTorch as it is."""
    from .torch_peers import step_of

    return step_of(net, compiled=False)


def torch_compile(net: Net) -> Step:
    """PyTorch with forward and backward compiled by torch.compile."""
    from .torch_peers import step_of

    return step_of(net, compiled=True)


def jax_jit(net: Net) -> Step:
    """JAX with the whole step under one jit."""
    from .jax_peers import step_of

    return step_of(net)


def autograd_numpy(net: Net) -> Step:
    """HIPS autograd: NumPy recorded on a tape; Adam as one vector, by hand."""
    import autograd
    import autograd.numpy as anp

    def objective(params: list[Any], x: Any, t: Any) -> Any:
        for k in range(0, len(params), 2):
            if k:
                x = anp.tanh(x) if net.activation == "tanh" else anp.maximum(x, 0)
            x = x @ params[k].T + params[k + 1]
        if net.loss == "mse":
            return anp.mean((x - t) ** 2)
        shifted = x - anp.max(x, axis=1, keepdims=True)
        logarithms = shifted - anp.log(anp.sum(anp.exp(shifted), axis=1, keepdims=True))
        return -anp.mean(logarithms[np.arange(len(t)), t])

    slope = autograd.value_and_grad(objective)
    x, t = net.data()
    params = list(net.start().values())
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
    start = list(net.start().values())
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
    start = list(net.start().values())
    for k, layer in enumerate(model.layers):
        weights, biases = (array.tolist() for array in start[2 * k : 2 * k + 2])
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
    "symback c": c,
    "symback python": plain_python,
    "PyTorch eager": torch_eager,
    "torch.compile": torch_compile,
    "JAX jit": jax_jit,
    "scikit-learn": scikit_learn,
    "autograd": autograd_numpy,
    "micrograd": micrograd,
}
EVERY = {"floor", "symback numpy", "symback c", "PyTorch eager", "torch.compile", "JAX jit"}
IN_PYTHON = ("symback python", "micrograd")  # without NumPy
