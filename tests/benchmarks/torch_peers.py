"""PyTorch's networks: the same layers, parameters and loss, its own optimiser."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from .nets import RATE, Net


def step_of(net: Net, compiled: bool) -> Callable[[], float]:
    """Return a training step, forward and backward compiled by torch.compile if that is wanted."""
    model = module(net)
    model.load_state_dict({name: torch.from_numpy(w) for name, w in net.start().items()})
    loss = LOSSES[net.loss]
    x, t = (torch.from_numpy(array) for array in net.data())
    rules = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    rule = rules[net.rule](model.parameters(), lr=RATE)

    def objective() -> Any:
        return loss(model(x), t)

    value_of = torch.compile(objective) if compiled else objective

    def step() -> float:
        rule.zero_grad()
        value = value_of()
        value.backward()
        rule.step()
        return float(value.item())

    return step


LOSSES: dict[str, Callable[..., Any]] = {
    "mse": functional.mse_loss,
    "cross_entropy": functional.cross_entropy,
    "margin": lambda y, t: torch.relu(1 - t * y).mean(),
}


def module(net: Net) -> Any:
    """Return the network, its parameters by the same names."""
    return Dense(net) if net.sizes else MODULES[net.model]()


class Dense(torch.nn.Module):
    def __init__(self, net: Net) -> None:
        super().__init__()
        self.bend = torch.tanh if net.activation == "tanh" else torch.relu
        self.depth = len(net.sizes) - 1
        for k in range(1, self.depth + 1):
            self.add_module(f"f{k}", torch.nn.Linear(*net.sizes[k - 1 : k + 1]))

    def forward(self, x: Any) -> Any:
        for k in range(1, self.depth + 1):
            x = getattr(self, f"f{k}")(x)
            x = self.bend(x) if k < self.depth else x
        return x


class Conv(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c1 = torch.nn.Conv2d(1, 8, 3, padding=1)
        self.c2 = torch.nn.Conv2d(8, 16, 3, padding=1)
        self.f3 = torch.nn.Linear(16 * 28 * 28, 10)

    def forward(self, x: Any) -> Any:
        return self.f3(torch.relu(self.c2(torch.relu(self.c1(x)))).flatten(1))


class LeNet(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c1 = torch.nn.Conv2d(1, 6, 5, padding=2)
        self.c3 = torch.nn.Conv2d(6, 16, 5)
        self.f5 = torch.nn.Linear(400, 120)
        self.f6 = torch.nn.Linear(120, 84)
        self.f7 = torch.nn.Linear(84, 10)

    def forward(self, x: Any) -> Any:
        x = functional.max_pool2d(torch.relu(self.c1(x)), 2)
        x = functional.max_pool2d(torch.relu(self.c3(x)), 2).flatten(1)
        return self.f7(torch.relu(self.f6(torch.relu(self.f5(x)))))


class LSTM(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = torch.nn.LSTM(28, 128, batch_first=True)
        self.out = torch.nn.Linear(128, 10)

    def forward(self, x: Any) -> Any:
        return self.out(self.rnn(x)[0][:, -1])


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.n1 = torch.nn.LayerNorm(128)
        self.attention = torch.nn.MultiheadAttention(128, 4, batch_first=True)
        self.n2 = torch.nn.LayerNorm(128)
        self.f1 = torch.nn.Linear(128, 512)
        self.f2 = torch.nn.Linear(512, 128)

    def forward(self, x: Any) -> Any:
        h = self.n1(x)
        r = self.attention(h, h, h, need_weights=False)[0] + x
        return self.f2(functional.gelu(self.f1(self.n2(r)))) + r


MODULES: dict[str, Callable[[], Any]] = {
    "conv": Conv,
    "lenet": LeNet,
    "lstm": LSTM,
    "block": Block,
}
