"""The networks that are measured: their specs, and a batch of random numbers for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Batch = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@dataclass(frozen=True, slots=True)
class Net:
    """A network of dense layers, trained by Adam on batches of one size."""

    sizes: tuple[int, ...]
    batch: int
    activation: str
    loss: str  # "mse", "cross_entropy" or "margin": mean relu(1 − t·y), micrograd's demo

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.sizes))} ({self.batch})"

    @property
    def parameters(self) -> int:
        return sum((a + 1) * b for a, b in zip(self.sizes, self.sizes[1:], strict=False))

    def spec(self) -> dict[str, Any]:
        """Return the spec symback is given."""
        *hidden, last = self.sizes[1:]
        layers = [
            {f"f{k}": {"dense": units, "activation": self.activation}}
            for k, units in enumerate(hidden, 1)
        ]
        outputs = ["n", self.sizes[-1]]
        labels = {"shape": ["n"], "classes": self.sizes[-1]}
        margin = "mean(relu(1 - t[n, k]*y[n, k]), n, k)"
        losses: Mapping[str, Any] = {"margin": {"formula": margin}}
        return {
            "model": f"net{'_'.join(map(str, self.sizes))}",
            "inputs": {
                "x": ["n", self.sizes[0]],
                "t": labels if self.loss == "cross_entropy" else outputs,
            },
            "layers": [*layers, {f"f{len(hidden) + 1}": {"dense": last}}],
            "loss": losses.get(self.loss, {self.loss: "t"}),
            "optimizer": {"adam": {"lr": 0.001}},
            "train": {"batch_size": self.batch},
        }

    def data(self) -> Batch:
        """Return a batch: inputs in float32, and targets or labels."""
        rng = np.random.default_rng(0)
        x = rng.normal(size=(self.batch, self.sizes[0])).astype(np.float32)
        if self.loss == "cross_entropy":
            return x, rng.integers(0, self.sizes[-1], self.batch)
        t = rng.normal(size=(self.batch, self.sizes[-1]))
        return x, (np.sign(t) if self.loss == "margin" else t).astype(np.float32)

    def start(self) -> list[np.ndarray[Any, Any]]:
        """Return weights (out, in) and biases, as every peer starts from them."""
        rng = np.random.default_rng(1)
        params = []
        for a, b in zip(self.sizes, self.sizes[1:], strict=False):
            bound = 1 / np.sqrt(a)
            params.append(rng.uniform(-bound, bound, (b, a)).astype(np.float32))
            params.append(rng.uniform(-bound, bound, b).astype(np.float32))
        return params


DENSE = (
    Net((2, 8, 1), 4, "tanh", "mse"),
    Net((4, 16, 3), 150, "tanh", "cross_entropy"),
    Net((64, 128, 10), 32, "relu", "cross_entropy"),
    Net((784, 128, 10), 64, "relu", "cross_entropy"),
    Net((784, 1024, 1024, 10), 256, "relu", "cross_entropy"),
)
PLAIN = Net((2, 16, 16, 1), 100, "relu", "margin")  # for plain Python
NETS = {net.name: net for net in (*DENSE, PLAIN)}
