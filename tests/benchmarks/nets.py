"""The networks that are measured: their specs, and a batch of random numbers for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Batch = tuple[Array, Array]
# The learning rate, and Adam's numbers. With a rate so small, thousands of steps on one batch don't
# end in numbers too small to be normal: processors take a hundred times as long for them, unless
# they count as zero, as in JAX and in symback's C.
RATE, BETA1, BETA2, EPS = 1e-6, 0.9, 0.999, 1e-8


@dataclass(frozen=True, slots=True)
class Product:
    """`count` products of matrices, (rows, inner)·(columns, inner)ᵀ, and their gradients.

    `down`: the left side has a gradient too, not the weights alone.
    """

    count: int
    rows: int
    inner: int
    columns: int
    down: bool = True


@dataclass(frozen=True, slots=True)
class Net:
    """A network, trained by one rule on batches of one size."""

    name: str
    model: str
    batch: int
    rule: str  # "adam" or "sgd"
    given: tuple[int, ...]  # an example's shape
    wanted: tuple[int, ...]  # its target's shape; () for a label
    layers: tuple[dict[str, Any], ...]
    shapes: Mapping[str, tuple[int, ...]]  # of the parameters, by PyTorch's names
    products: tuple[Product, ...]  # of a forward pass
    loss: str = "cross_entropy"  # or "mse", or "margin": mean relu(1 − t·y), micrograd's demo
    classes: int = 10
    activation: str = ""  # of dense layers
    sizes: tuple[int, ...] = ()  # of dense layers, where there are no others

    @property
    def parameters(self) -> int:
        return sum(map(prod, self.shapes.values()))

    def spec(self) -> dict[str, Any]:
        """Return the spec symback is given."""
        margin = "mean(relu(1 - t[n, k]*y[n, k]), n, k)"
        labels = {"shape": ["n"], "classes": self.classes}
        return {
            "model": self.model,
            "inputs": {
                "x": ["n", *self.given],
                "t": ["n", *self.wanted] if self.wanted else labels,
            },
            "layers": list(self.layers),
            "loss": {"formula": margin} if self.loss == "margin" else {self.loss: "t"},
            "optimizer": {self.rule: {"lr": RATE}},
            "train": {"batch_size": self.batch},
        }

    def data(self) -> Batch:
        """Return a batch: inputs in float32, and targets or labels."""
        rng = np.random.default_rng(0)
        x = rng.normal(size=(self.batch, *self.given)).astype(np.float32)
        if not self.wanted:
            return x, rng.integers(0, self.classes, self.batch)
        t = rng.normal(size=(self.batch, *self.wanted))
        return x, (np.sign(t) if self.loss == "margin" else t).astype(np.float32)

    def start(self) -> dict[str, Array]:
        """Return the weights that every peer starts from."""
        rng = np.random.default_rng(1)
        found = {}
        for name, shape in self.shapes.items():
            bound = 1 / np.sqrt(prod(shape[1:])) if len(shape) > 1 else 0.1
            found[name] = rng.uniform(-bound, bound, shape).astype(np.float32)
        return found


def dense(sizes: tuple[int, ...], batch: int, activation: str, loss: str) -> Net:
    """Return a network of dense layers, trained by Adam."""
    pairs = list(pairwise(sizes))
    shapes: dict[str, tuple[int, ...]] = {}
    for k, (a, b) in enumerate(pairs, 1):
        shapes |= {f"f{k}.weight": (b, a), f"f{k}.bias": (b,)}
    *hidden, last = sizes[1:]
    return Net(
        name=f"{'-'.join(map(str, sizes))} ({batch})",
        model=f"net{'_'.join(map(str, sizes))}",
        batch=batch,
        rule="adam",
        given=sizes[:1],
        wanted=() if loss == "cross_entropy" else (last,),
        layers=(
            *({f"f{k}": {"dense": h, "activation": activation}} for k, h in enumerate(hidden, 1)),
            {f"f{len(pairs)}": {"dense": last}},
        ),
        shapes=shapes,
        products=tuple(Product(1, batch, a, b, k > 0) for k, (a, b) in enumerate(pairs)),
        loss=loss,
        classes=last,
        activation=activation,
        sizes=sizes,
    )


def conv(channels: int, size: int, padding: int) -> dict[str, Any]:
    kind = {"out_channels": channels, "kernel_size": size, "padding": padding}
    return {"conv2d": kind, "activation": "relu"}


CONV = Net(
    name="conv 8, conv 16 on 28×28 (64)",
    model="conv",
    batch=64,
    rule="sgd",
    given=(1, 28, 28),
    wanted=(),
    layers=(
        {"c1": conv(8, 3, 1)},
        {"c2": conv(16, 3, 1)},
        {"flat": {"flatten": {}}},
        {"f3": {"dense": 10}},
    ),
    shapes={
        "c1.weight": (8, 1, 3, 3),
        "c1.bias": (8,),
        "c2.weight": (16, 8, 3, 3),
        "c2.bias": (16,),
        "f3.weight": (10, 16 * 28 * 28),
        "f3.bias": (10,),
    },
    products=(
        Product(64, 8, 9, 28 * 28, down=False),
        Product(64, 16, 8 * 9, 28 * 28),
        Product(1, 64, 16 * 28 * 28, 10),
    ),
)
LENET = Net(
    name="LeNet on 28×28 (64)",
    model="lenet",
    batch=64,
    rule="adam",
    given=(1, 28, 28),
    wanted=(),
    layers=(
        {"c1": conv(6, 5, 2)},
        {"s2": {"max_pool2d": 2}},
        {"c3": conv(16, 5, 0)},
        {"s4": {"max_pool2d": 2}},
        {"flat": {"flatten": {}}},
        {"f5": {"dense": 120, "activation": "relu"}},
        {"f6": {"dense": 84, "activation": "relu"}},
        {"f7": {"dense": 10}},
    ),
    shapes={
        "c1.weight": (6, 1, 5, 5),
        "c1.bias": (6,),
        "c3.weight": (16, 6, 5, 5),
        "c3.bias": (16,),
        "f5.weight": (120, 400),
        "f5.bias": (120,),
        "f6.weight": (84, 120),
        "f6.bias": (84,),
        "f7.weight": (10, 84),
        "f7.bias": (10,),
    },
    products=(
        Product(64, 6, 25, 28 * 28, down=False),
        Product(64, 16, 6 * 25, 10 * 10),
        *(Product(1, 64, a, b) for a, b in ((400, 120), (120, 84), (84, 10))),
    ),
)
LSTM = Net(
    name="LSTM, 28 steps, 128 units (64)",
    model="lstm",
    batch=64,
    rule="adam",
    given=(28, 28),
    wanted=(),
    layers=({"rnn": {"lstm": 128}}, {"last": {"last_step": {}}}, {"out": {"dense": 10}}),
    shapes={
        "rnn.weight_ih_l0": (512, 28),
        "rnn.weight_hh_l0": (512, 128),
        "rnn.bias_ih_l0": (512,),
        "rnn.bias_hh_l0": (512,),
        "out.weight": (10, 128),
        "out.bias": (10,),
    },
    products=(
        Product(1, 64 * 28, 28, 512, down=False),
        Product(28, 64, 128, 512),
        Product(1, 64, 128, 10),
    ),
)
BLOCK = Net(
    name="transformer block, 64 tokens, width 128 (8)",
    model="block",
    batch=8,
    rule="adam",
    given=(64, 128),
    wanted=(64, 128),
    layers=(
        {"n1": {"layer_norm": {}}},
        {"attention": {"multihead_attention": 4}},
        {"r1": {"add": {}, "from": ["attention", "x"]}},
        {"n2": {"layer_norm": {}}},
        {"f1": {"dense": 512, "activation": "gelu"}},
        {"f2": {"dense": 128}},
        {"r2": {"add": {}, "from": ["f2", "r1"]}},
    ),
    shapes={
        "n1.weight": (128,),
        "n1.bias": (128,),
        "attention.in_proj_weight": (384, 128),
        "attention.in_proj_bias": (384,),
        "attention.out_proj.weight": (128, 128),
        "attention.out_proj.bias": (128,),
        "n2.weight": (128,),
        "n2.bias": (128,),
        "f1.weight": (512, 128),
        "f1.bias": (512,),
        "f2.weight": (128, 512),
        "f2.bias": (128,),
    },
    products=(
        Product(1, 512, 128, 384),
        Product(32, 64, 32, 64),
        Product(32, 64, 64, 32),
        Product(1, 512, 128, 128),
        Product(1, 512, 128, 512),
        Product(1, 512, 512, 128),
    ),
    loss="mse",
)

DENSE = (
    dense((2, 8, 1), 4, "tanh", "mse"),
    dense((4, 16, 3), 150, "tanh", "cross_entropy"),
    dense((64, 128, 10), 32, "relu", "cross_entropy"),
    dense((784, 128, 10), 64, "relu", "cross_entropy"),
    dense((784, 1024, 1024, 10), 256, "relu", "cross_entropy"),
)
DEEP = (CONV, LENET, LSTM, BLOCK)
PLAIN = dense((2, 16, 16, 1), 100, "relu", "margin")  # for plain Python
NETS = {net.name: net for net in (*DENSE, *DEEP, PLAIN)}
