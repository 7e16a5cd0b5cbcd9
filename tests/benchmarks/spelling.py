"""The small GPT of examples/gpt.yaml beside the same on a scalar autograd, micrograd.

`python -m tests.benchmarks.spelling` prints what the loss of one name and its gradient by all 3,696
parameters take, on every target, after holding them against each other.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from micrograd.engine import Value

from symback import pipeline

from .report import machine, table

SPEC = Path(__file__).parent.parent.parent / "examples" / "gpt.yaml"
NAME = "christopher"
HEADS, WIDTH = 4, 4


def exp(x: Any) -> Any:
    """Return eˣ, which micrograd lacks."""
    out = Value(math.exp(x.data), (x,), "exp")

    def backward() -> None:
        x.grad += out.data * out.grad

    out._backward = backward
    return out


def log(x: Any) -> Any:
    """Return log x, which micrograd lacks."""
    out = Value(math.log(x.data), (x,), "log")

    def backward() -> None:
        x.grad += out.grad / x.data

    out._backward = backward
    return out


def linear(x: Sequence[Any], w: Sequence[Sequence[Any]]) -> list[Any]:
    return [sum(a * b for a, b in zip(row, x, strict=True)) for row in w]


def normed(x: Sequence[Any]) -> list[Any]:
    """Return x divided by its root mean square."""
    scale = (sum(a * a for a in x) / len(x) + 1e-5) ** -0.5
    return [a * scale for a in x]


def softmax(x: Sequence[Any]) -> list[Any]:
    most = max(a.data for a in x)
    exps = [exp(a - most) for a in x]
    total = sum(exps)
    return [a / total for a in exps]


def scalar_loss(w: dict[str, Any], letters: Sequence[int], after: Sequence[int]) -> Any:
    """Return the mean −log p of each letter's successor."""
    keys: list[list[list[Any]]] = [[] for _ in range(HEADS)]
    values: list[list[list[Any]]] = [[] for _ in range(HEADS)]
    losses = []
    for place, (letter, target) in enumerate(zip(letters, after, strict=True)):
        pairs = zip(w["letter.weight"][letter], w["place.P"][place], strict=True)
        h = [a + b for a, b in pairs]
        x = normed(h)
        seen = []
        for head in range(HEADS):
            q = linear(x, w["attention.Q"][head])
            keys[head].append(linear(x, w["attention.K"][head]))
            values[head].append(linear(x, w["attention.V"][head]))
            fits = [dot(q, k) / math.sqrt(WIDTH) for k in keys[head]]
            shares = softmax(fits)
            seen += [dot(shares, [v[d] for v in values[head]]) for d in range(WIDTH)]
        out = [[a for head in row for a in head] for row in w["attention.O"]]
        h = [a + b for a, b in zip(h, linear(seen, out), strict=True)]
        wide = [a.relu() for a in linear(normed(h), w["wide.weight"])]
        h = [a + b for a, b in zip(h, linear(wide, w["narrow.weight"]), strict=True)]
        losses.append(-log(softmax(linear(h, w["letter.weight"]))[target]))
    return sum(losses) / len(losses)


def dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    return sum(p * q for p, q in zip(a, b, strict=True))


def nested(array: Any, make: Callable[[float], Any]) -> Any:
    """Return an array as lists, each number made into something."""
    return [nested(row, make) for row in array] if np.ndim(array) else make(float(array))


def gradient(values: Any) -> Any:
    return [gradient(each) for each in values] if isinstance(values, list) else values.grad


def micrograd(params: dict[str, Any], x: Any, t: Any) -> tuple[float, dict[str, Any]]:
    """Return the loss and its gradients, every number a node of a graph."""
    w = {key: nested(array, Value) for key, array in params.items()}
    loss = scalar_loss(w, x[0], t[0])
    loss.backward()
    return loss.data, {key: gradient(values) for key, values in w.items()}


def seconds(run: Callable[[], object], rounds: int) -> float:
    """Return the median of as many runs, after one to warm up."""
    run()
    found = []
    for _ in range(rounds):
        begun = time.perf_counter()
        run()
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


def main() -> None:
    """Compare, measure, print."""
    sys.setrecursionlimit(10**6)
    letters = [ord(letter) - ord("a") + 1 for letter in NAME]
    x, t = np.array([[0, *letters]]), np.array([[*letters, 0]])
    start = pipeline.compile(SPEC).init()
    loss, grads = micrograd(start, x, t)
    rows = [("micrograd", seconds(partial(micrograd, start, x, t), 5), "")]
    for target in ("python", "numpy", "c"):
        module: Any = pipeline.compile(SPEC, target)
        plain = target == "python"
        params = {key: w.tolist() if plain else w for key, w in start.items()}
        a, b = (x.tolist(), t.tolist()) if plain else (x, t)
        other, others = module.value_and_grad(params, a, b)
        assert math.isclose(other, loss, rel_tol=1e-10), (other, loss)
        for key, grad in grads.items():
            np.testing.assert_allclose(others[key], grad, rtol=1e-8, atol=1e-12)
        once = seconds(partial(module.value_and_grad, params, a, b), 50)
        rows.append((f"symback {target}", once, f"{rows[0][1] / once:,.0f} ×"))
    shown = [(name, f"{1e3 * once:,.2f}", ratio) for name, once, ratio in rows]
    print(f"{machine()}.\n")
    print(table(("the loss of a name and its gradient", "ms", "as fast as micrograd"), shown))


if __name__ == "__main__":
    main()
