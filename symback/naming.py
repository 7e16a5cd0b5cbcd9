"""Every name in an emitted module is decided here: z1, a1, W1, dz1, dW1, L."""

import builtins
import keyword
from collections.abc import Iterable
from string import ascii_lowercase

from symback import functions as fn

# What a value is called that a formula computes without naming it.
WORDS = {
    "softmax": "p",
    "log_softmax": "q",
    "logsumexp": "lse",
    "max": "top",
    "min": "low",
    "sum": "s",
    "prod": "prod",
    "argmax": "best",
    "argmin": "least",
    "exp": "e",
    "expm1": "em",
    "log": "ln",
    "sigmoid": "sig",
    "log_sigmoid": "ls",
    "softplus": "sp",
    "tanh": "th",
    "sqrt": "root",
    "power": "pow",
    "maximum": "hi",
    "minimum": "lo",
    "where": "pick",
}

# Names that the emitted modules use themselves.
TAKEN = frozenset(
    {"params", "grads", "cache", "rng", "np", "math", "state", "x", "t", "y", "w", "g", "lr", "n"}
    | {"norm", "rows", "value", "key", "name", "seed", "step", "epoch", "history", "batch", "train"}
    | {"forward", "backward", "loss", "update", "predict", "save", "load", "init", "check", "main"}
    | set(fn.ELEMENTWISE)
    | set(dir(builtins))
    | set(keyword.kwlist)
)


class Namer:
    """Hands out names, each once."""

    def __init__(self, used: Iterable[str]) -> None:
        self._used = {*used, *TAKEN}

    def of(self, local: str, number: int | None = None) -> str:
        """Return the name of a layer's local letter: W in layer 1 is W1; the loss has no number."""
        plain = local.replace(".", "_")
        name = plain if number is None else f"{plain}{number}"
        while name in self._used or f"d{name}" in self._used:
            name += "_"
        self._used |= {name, f"d{name}"}
        return name


def adjoint(name: str) -> str:
    """Return the name of ∂L/∂name."""
    return f"d{name}"


def word_for(function: str, taken: Iterable[str]) -> str:
    """Return a letter for the value of an unnamed part of a formula."""
    used = set(taken)
    first = WORDS.get(function, function)
    following = (f"{first}{letter}" for letter in ascii_lowercase)
    return next(name for name in (first, *following) if name not in used)


def axis_letters(count: int, used: Iterable[str], batch: str = "n") -> tuple[str, ...]:
    """Return letters for axes without a letter yet: the batch's n, then i, j, k, …"""
    taken = set(used)
    order = dict.fromkeys([batch if len(batch) == 1 else "n", *"ijklmopqrsuvwabcdefgh"])
    return tuple([name for name in order if name not in taken][:count])
