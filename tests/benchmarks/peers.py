"""Each peer's training step; as a process of its own, `python -m tests.benchmarks.peers PEER`.

A peer is a function from a task to a step: each call trains once, and returns the loss read back.
All peers start from the same parameters and data. The process reads a line `task seconds` at a
time, trains for so long (one step at least), and answers with the median of its steps and the loss
after the first few.
"""

import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symback import pipeline
from tests.benchmarks.making import network
from tests.benchmarks.scalar import Value

Array = NDArray[Any]
Step = Callable[[], float]

WARM = 5  # steps before the clock runs; the loss of the last is compared
LR, BETA1, BETA2, EPS = 0.001, 0.9, 0.999, 1e-8


@dataclass(frozen=True, slots=True)
class Task:
    """A network, a batch, and the type of the numbers."""

    widths: tuple[int, ...]
    batch: int
    dtype: str

    @property
    def name(self) -> str:
        """The task on one line, for people and for the process."""
        return f"{'-'.join(map(str, self.widths))}/{self.batch}/{self.dtype}"

    @classmethod
    def of(cls, name: str) -> "Task":
        """Return the task of that name."""
        widths, batch, dtype = name.split("/")
        return cls(tuple(map(int, widths.split("-"))), int(batch), dtype)

    @property
    def margins(self) -> bool:
        """Say whether it is micrograd's task: one output, a margin as its loss, plain descent."""
        return self.widths[-1] == 1

    def start(self) -> dict[str, Array]:
        """Return the parameters to start from, by PyTorch's names."""
        rng, params = np.random.default_rng(0), {}
        for k, (fan_in, fan_out) in enumerate(zip(self.widths, self.widths[1:], strict=False), 1):
            bound = fan_in**-0.5
            params[f"f{k}.weight"] = rng.uniform(-bound, bound, (fan_out, fan_in))
            params[f"f{k}.bias"] = rng.uniform(-bound, bound, fan_out)
        return {name: w.astype(self.dtype) for name, w in params.items()}

    def data(self) -> tuple[Array, Array]:
        """Return inputs, and labels (for margins: -1 or 1)."""
        rng = np.random.default_rng(1)
        x = rng.normal(size=(self.batch, self.widths[0])).astype(self.dtype)
        if self.margins:
            return x, rng.choice([-1.0, 1.0], (self.batch, 1)).astype(self.dtype)
        return x, rng.integers(0, self.widths[-1], self.batch)

    def spec(self) -> dict[str, Any]:
        """Return symback's spec."""
        spec = network(self.widths)
        if self.margins:
            for name, body in (item for layer in spec["layers"][:-1] for item in layer.items()):
                assert name, body
                body["activation"] = "relu"
            spec["inputs"]["t"] = ["n", 1]
            spec["loss"] = {"formula": "mean(relu(1 - t[n, k] * y[n, k]), n, k)"}
            spec["optimizer"] = {"sgd": {"lr": LR}}
        return spec


# ---------------------------------------------------------------- symback


def module_of(task: Task, target: str, *, readable: bool) -> Any:
    """Return the module that symback makes."""
    dtype = "float64" if target == "python" else task.dtype
    return pipeline.compile(task.spec(), target, dtype, readable=readable)


def stepped(module: Any, params: Any, x: Any, t: Any) -> Step:
    """Return a step by the two public calls."""
    state = module.init_state(params)

    def step() -> float:
        value, grads = module.value_and_grad(params, x, t)
        module.update(params, grads, state)
        return float(value)

    return step


def symback_numpy(task: Task) -> Step:
    """The fast form, its arrays kept from step to step, as the generated loop keeps them."""
    module = module_of(task, "numpy", readable=False)
    params, (x, t) = module.packed(task.start()), task.data()
    state, grads = module.init_state(params), module.packed(task.start())
    _, kept = module.forward(params, x)

    def step() -> float:
        module.forward(params, x, kept)
        module.backward(params, kept, t, grads)
        module.update(params, grads, state)
        return float(kept.loss)

    return step


def symback_calls(task: Task) -> Step:
    """The fast form by value_and_grad and update, which make their arrays anew."""
    module = module_of(task, "numpy", readable=False)
    return stepped(module, module.packed(task.start()), *task.data())


def symback_readable(task: Task) -> Step:
    """The readable form."""
    return stepped(module_of(task, "numpy", readable=True), task.start(), *task.data())


def symback_python(task: Task) -> Step:
    """The python target, on the standard library alone."""
    params = {name: w.tolist() for name, w in task.start().items()}
    x, t = (array.tolist() for array in task.data())
    return stepped(module_of(task, "python", readable=True), params, x, t)


# ---------------------------------------------------------------- others


def torch_eager(task: Task) -> Step:
    """PyTorch as its tutorials write it."""
    return _torch(task, fused=False)


def torch_fused(task: Task) -> Step:
    """PyTorch with Adam in one kernel."""
    return _torch(task, fused=True)


def _torch(task: Task, *, fused: bool) -> Step:
    import torch

    dtype = getattr(torch, task.dtype)
    layers: list[Any] = []
    start = list(task.start().values())
    for weight, bias in zip(start[::2], start[1::2], strict=True):
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=dtype)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))
        layers += [layer, torch.nn.Tanh()]
    model = torch.nn.Sequential(*layers[:-1])
    x, t = (torch.from_numpy(array) for array in task.data())
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=fused)

    def step() -> float:
        optimizer.zero_grad()
        loss = criterion(model(x), t)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def jax_jit(task: Task) -> Step:
    """JAX: the whole step compiled, with Adam, its arguments given up for the results."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    params = {name: jnp.asarray(w) for name, w in task.start().items()}
    x, t = (jnp.asarray(array) for array in task.data())
    depth = len(task.widths) - 1

    def loss_of(params: Any, x: Any, t: Any) -> Any:
        for k in range(1, depth + 1):
            x = x @ params[f"f{k}.weight"].T + params[f"f{k}.bias"]
            x = jnp.tanh(x) if k < depth else x
        return -jnp.take_along_axis(jax.nn.log_softmax(x), t[:, None], axis=1).mean()

    def stepped(params: Any, m: Any, v: Any, count: Any, x: Any, t: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(params, x, t)
        count = count + 1
        m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, grads)
        v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, grads)
        rate, scale = LR / (1 - BETA1**count), jnp.sqrt(1 - BETA2**count)
        params = jax.tree.map(
            lambda w, m, v: w - (rate * m / (jnp.sqrt(v) / scale + EPS)).astype(w.dtype),
            params, m, v,
        )  # fmt: skip
        return loss, params, m, v, count

    compiled = jax.jit(stepped, donate_argnums=(0, 1, 2, 3))
    zeros = [jax.tree.map(jnp.zeros_like, params) for _ in range(2)]
    held = [params, *zeros, jnp.zeros((), task.dtype)]

    def step() -> float:
        loss, *held[:] = compiled(*held, x, t)
        return float(loss)

    return step


def scalar_autograd(task: Task) -> Step:
    """One object per number, as micrograd has it."""
    start = list(task.start().values())
    layers = [
        ([[Value(w) for w in row] for row in weight.tolist()], [Value(b) for b in bias.tolist()])
        for weight, bias in zip(start[::2], start[1::2], strict=True)
    ]
    params = [w for weight, bias in layers for w in (*(w for row in weight for w in row), *bias)]
    x, t = (array.tolist() for array in task.data())

    def margin(row: list[float], target: float) -> Value:
        values = [Value(v) for v in row]
        for place, (weight, bias) in enumerate(layers, 1):
            sums = []
            for w_o, b_o in zip(weight, bias, strict=True):
                total = b_o
                for w, v in zip(w_o, values, strict=True):
                    total = total + w * v
                sums.append(total.relu() if place < len(layers) else total)
            values = sums
        return (Value(1.0) + Value(-target) * values[0]).relu()

    def step() -> float:
        total = Value(0.0)
        for row, (target,) in zip(x, t, strict=True):
            total = total + margin(row, target)
        loss = total * Value(1 / len(x))
        for w in params:
            w.grad = 0.0
        loss.backward()
        for w in params:
            w.data -= LR * w.grad
        return loss.data

    return step


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer: what the table calls it, its step, and the library that it needs."""

    title: str
    step: Callable[[Task], Step]
    library: str = ""

    @property
    def installed(self) -> bool:
        """Say whether its library can be imported."""
        return not self.library or importlib.util.find_spec(self.library) is not None


PEERS = {
    "numpy": Peer("symback numpy", symback_numpy),
    "calls": Peer("the same, new arrays", symback_calls),
    "readable": Peer("symback numpy, readable", symback_readable),
    "python": Peer("symback python", symback_python),
    "torch": Peer("PyTorch eager", torch_eager, "torch"),
    "fused": Peer("PyTorch eager, fused Adam", torch_fused, "torch"),
    "jax": Peer("JAX jit", jax_jit, "jax"),
    "scalar": Peer("autograd by scalars", scalar_autograd),
}


def main() -> None:
    """Answer each line `task seconds` with `median loss`."""
    make = PEERS[sys.argv[1]].step

    @cache
    def prepared(name: str) -> tuple[Step, float]:
        step = make(Task.of(name))
        return step, [step() for _ in range(WARM)][-1]

    for line in sys.stdin:
        name, length = line.split()
        step, loss = prepared(name)
        taken: list[float] = []
        ending = time.perf_counter() + float(length)
        while not taken or time.perf_counter() < ending:
            begun = time.perf_counter()
            step()
            taken.append(time.perf_counter() - begun)
        print(statistics.median(taken), repr(float(loss)), flush=True)


if __name__ == "__main__":
    main()
