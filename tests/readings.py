"""Two readings of a formula's text that share nothing with symback's: what tests compare with.

`Loops` walks Python's syntax tree with one loop for each index, number by number. `Arrays` turns
the same tree into operations of JAX, one axis for each letter, so that `jax.grad` can be asked.
"""

import ast
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf, erfc, logsumexp

jax.config.update("jax_enable_x64", True)

At = Mapping[str, int]

NUMBERS: Mapping[str, Callable[..., float]] = {
    **{name: getattr(math, name) for name in "exp log log1p expm1 sqrt floor".split()},
    **{name: getattr(math, name) for name in "sin cos tan asin acos atan".split()},
    **{name: getattr(math, name) for name in "sinh cosh tanh erf erfc".split()},
    "abs": abs,
    "sign": lambda x: float((x > 0) - (x < 0)),
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x: math.log(1 + math.exp(x)),
    "log_sigmoid": lambda x: -math.log(1 + math.exp(-x)),
    "logaddexp": lambda a, b: math.log(math.exp(a) + math.exp(b)),
    "maximum": max,
    "minimum": min,
    "detach": lambda x: x,
    "bent": lambda a, b: a * math.tanh(b) + max(a, 0.0),  # a spec's own
}
ARRAYS: Mapping[str, Callable[..., Any]] = {
    **{name: getattr(jnp, name) for name in "exp log log1p expm1 sqrt floor".split()},
    **{name: getattr(jnp, name) for name in "sin cos tan sinh cosh tanh sign".split()},
    **{f"a{name}": getattr(jnp, f"arc{name}") for name in "sin cos tan".split()},
    **{name: getattr(jnp, name) for name in "maximum minimum".split()},
    "abs": lambda x: x * jnp.sign(x),  # slope 0 at 0, as PyTorch's; JAX's own is 1
    "erf": erf,
    "erfc": erfc,
    "relu": lambda x: jnp.where(x > 0, x, 0.0),
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "log_sigmoid": jax.nn.log_sigmoid,
    "detach": jax.lax.stop_gradient,
    "bent": lambda a, b: a * jnp.tanh(b) + jnp.where(a > 0, a, 0.0),
    "logaddexp": jnp.logaddexp,
}
MATRICES: Mapping[str, Callable[[Any], Any]] = {
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "logdet": lambda a: np.linalg.slogdet(a)[1],
    "trace": np.trace,
    "cholesky": lambda a: np.linalg.cholesky((a + np.swapaxes(a, -1, -2)) / 2),
}
LINEAR: Mapping[str, Callable[[Any], Any]] = {
    "inv": jnp.linalg.inv,
    "det": jnp.linalg.det,
    "logdet": lambda a: jnp.linalg.slogdet(a)[1],
    "trace": lambda a: jnp.trace(a, axis1=-2, axis2=-1),
    "cholesky": lambda a: jnp.linalg.cholesky((a + jnp.swapaxes(a, -1, -2)) / 2),
}
COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
}
JOINED: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}


def called(node: ast.Call) -> str:
    """Return the name of the function called."""
    assert isinstance(node.func, ast.Name)
    return node.func.id


def subscripts(node: ast.Subscript) -> list[ast.expr]:
    """Return a tensor's indices, one node each."""
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def groups(statement: ast.stmt) -> list[list[str]]:
    """Return the letters at each axis of what a formula assigns: several in a flat(…)."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Subscript):
        return []
    parts = subscripts(statement.targets[0])
    return [
        [ast.unparse(p) for p in (part.args if isinstance(part, ast.Call) else [part])]
        for part in parts
    ]


def ranges(root: ast.AST, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return how many values each index takes, by the axes it stands at."""
    return {
        part.id: shapes[ast.unparse(node.value)][axis]
        for node in ast.walk(root)
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) in shapes
        for axis, part in enumerate(subscripts(node))
        if isinstance(part, ast.Name)
    }


def logsumexp_of(values: Sequence[float]) -> float:
    """Return log Σ exp(v)."""
    top = max(values)
    return top + math.log(math.fsum(math.exp(value - top) for value in values))


@dataclass(frozen=True)
class Loops:
    """A formula's value number by number. `sizes`: the indices' ranges."""

    tensors: Mapping[str, Any]
    sizes: Mapping[str, int]

    def array(self, text: str) -> Any:
        """Return what a formula assigns, as an array along its target's indices."""
        (statement,) = ast.parse(text.strip()).body
        assert isinstance(statement, ast.Assign | ast.Expr)
        axes = groups(statement)
        letters = [letter for group in axes for letter in group]
        made = np.empty([self.sizes[letter] for letter in letters])
        for at in self.places(letters, {}):
            made[tuple(at[letter] for letter in letters)] = self.value(statement.value, at)
        return made.reshape([math.prod(map(self.sizes.__getitem__, group)) for group in axes])

    def places(self, letters: Sequence[str], at: At) -> Iterator[dict[str, int]]:
        """Yield every value the indices take, beside those already set."""
        runs = itertools.product(*(range(self.sizes[letter]) for letter in letters))
        yield from ({**at, **dict(zip(letters, run, strict=True))} for run in runs)

    def value(self, node: ast.expr, at: At) -> float:
        """Return an expression's value where the indices stand."""
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id="pi"):
                return math.pi
            case ast.Name(id=word):
                return float(at[word] if word in at else self.tensors[word])
            case ast.Subscript():
                tensor = self.tensors[ast.unparse(node.value)]
                place = tuple(round(self.value(part, at)) for part in subscripts(node))
                inside = all(0 <= k < size for k, size in zip(place, np.shape(tensor), strict=True))
                return float(tensor[place]) if inside else 0.0
            case ast.BinOp():
                return float(
                    JOINED[type(node.op)](self.value(node.left, at), self.value(node.right, at))
                )
            case ast.UnaryOp(op=ast.Not()):
                return float(not self.value(node.operand, at))
            case ast.UnaryOp(op=ast.USub()):
                return -self.value(node.operand, at)
            case ast.BoolOp():
                held = [bool(self.value(part, at)) for part in node.values]
                return float(all(held) if isinstance(node.op, ast.And) else any(held))
            case ast.Compare():
                pair = self.value(node.left, at), self.value(node.comparators[0], at)
                return float(COMPARED[type(node.ops[0])](*pair))
            case ast.Call():
                return self.call(node, at)
        raise TypeError(ast.dump(node))

    def call(self, node: ast.Call, at: At) -> float:
        """Return a function's value."""
        word = called(node)
        if word == "size":
            return float(self.sizes[ast.unparse(node.args[0])])
        if word == "where":
            return self.value(node.args[1 if self.value(node.args[0], at) else 2], at)
        if word == "delta":
            return float(self.value(node.args[0], at) == self.value(node.args[1], at))
        if word in NUMBERS:
            return float(NUMBERS[word](*(self.value(argument, at) for argument in node.args)))
        letters = [ast.unparse(argument) for argument in node.args[1:]]
        if word == "cumsum":
            places = ({**at, letters[0]: k} for k in range(at[letters[0]] + 1))
            return math.fsum(self.value(node.args[0], place) for place in places)
        if word in MATRICES:
            shape = [self.sizes[letter] for letter in letters]
            flat = [self.value(node.args[0], place) for place in self.places(letters, at)]
            made = MATRICES[word](np.reshape(flat, shape))
            return float(made[tuple(at[letter] for letter in letters)] if made.ndim else made)
        values = [self.value(node.args[0], place) for place in self.places(letters, at)]
        match word:
            case "sum":
                return math.fsum(values)
            case "mean":
                return math.fsum(values) / len(values)
            case "max":
                return max(values)
            case "min":
                return min(values)
            case "prod":
                return math.prod(values)
            case "logsumexp":
                return logsumexp_of(values)
            case "argmax":
                return float(values.index(max(values)))
            case "argmin":
                return float(values.index(min(values)))
            case "softmax":
                return math.exp(self.value(node.args[0], at) - logsumexp_of(values))
            case "log_softmax":
                return self.value(node.args[0], at) - logsumexp_of(values)
        raise TypeError(word)


def library(*values: Any) -> Any:
    """Return what computes with the values: NumPy where JAX follows none of them."""
    return np if all(isinstance(value, np.ndarray | int | float) for value in values) else jnp


@dataclass(frozen=True)
class Arrays:
    """A formula in JAX: every value has one axis for each letter, of length 1 without it.

    What depends on nothing that is differentiated, indices above all, is computed at once, in
    NumPy: JAX takes long to trace and to compile.
    """

    tensors: Mapping[str, Any]
    sizes: Mapping[str, int]

    def array(self, text: str) -> Any:
        """Return what a formula assigns, as an array along its target's indices."""
        (statement,) = ast.parse(text.strip()).body
        assert isinstance(statement, ast.Assign | ast.Expr)
        with np.errstate(all="ignore"):
            made = self.value(statement.value)
        axes = groups(statement)
        letters = [letter for group in axes for letter in group]
        made = self.along(made, letters)
        order = [self.axis(letter) for letter in letters]
        rest = [axis for axis in range(made.ndim) if axis not in order]
        shape = [math.prod(map(self.sizes.__getitem__, group)) for group in axes]
        return jnp.transpose(made, [*order, *rest]).reshape(shape)

    def axis(self, letter: str) -> int:
        """Return the axis of a letter."""
        return sorted(self.sizes).index(letter)

    def along(self, made: Any, letters: Sequence[str]) -> Any:
        """Return a value repeated along the letters that it doesn't depend on."""
        shape = list(made.shape)
        for letter in letters:
            shape[self.axis(letter)] = self.sizes[letter]
        return jnp.broadcast_to(made, shape)

    def plain(self, value: Any) -> Any:
        """Return a number as an array without letters."""
        known = library(value)
        return known.reshape(known.asarray(value, float), [1] * len(self.sizes))

    def value(self, node: ast.expr) -> Any:
        """Return an expression's values."""
        match node:
            case ast.Constant():
                return self.plain(node.value)
            case ast.Name(id="pi"):
                return self.plain(math.pi)
            case ast.Name(id=word) if word in self.tensors:
                return self.plain(self.tensors[word])
            case ast.Name(id=word):
                return self.running(word)
            case ast.Subscript():
                return self.read(node)
            case ast.BinOp(op=ast.Pow()):
                try:
                    return self.value(node.left) ** ast.literal_eval(node.right)
                except ValueError:
                    return self.value(node.left) ** self.value(node.right)
            case ast.BinOp():
                return JOINED[type(node.op)](self.value(node.left), self.value(node.right))
            case ast.UnaryOp(op=ast.Not()):
                return jnp.where(self.value(node.operand) == 0, 1.0, 0.0)
            case ast.UnaryOp(op=ast.USub()):
                return -self.value(node.operand)
            case ast.BoolOp():
                both = isinstance(node.op, ast.And)
                made = self.value(node.values[0]) != 0
                for part in node.values[1:]:
                    other = self.value(part) != 0
                    made = made & other if both else made | other
                return jnp.where(made, 1.0, 0.0)
            case ast.Compare():
                pair = self.value(node.left), self.value(node.comparators[0])
                return jnp.where(COMPARED[type(node.ops[0])](*pair), 1.0, 0.0)
            case ast.Call():
                return self.call(node)
        raise TypeError(ast.dump(node))

    def running(self, letter: str) -> Any:
        """Return an index as a value: 0, 1, …"""
        shape = [1] * len(self.sizes)
        shape[self.axis(letter)] = self.sizes[letter]
        return np.arange(self.sizes[letter], dtype=float).reshape(shape)

    def read(self, node: ast.Subscript) -> Any:
        """Return a tensor where its indices stand, 0 outside of it."""
        tensor = self.tensors[ast.unparse(node.value)]
        parts = [self.value(part) for part in subscripts(node)]
        known = library(*parts)
        places = [known.asarray(part, int) for part in parts]
        sizes = list(zip(places, np.shape(tensor), strict=True))
        inside = known.asarray(True)
        for place, size in sizes:
            inside = inside & (place >= 0) & (place < size)
        nearest = tuple(known.clip(place, 0, size - 1) for place, size in sizes)
        found = library(tensor, *parts).asarray(tensor)[nearest]
        if known is np and inside.all():
            return found
        return library(found, inside).where(inside, found, 0.0)

    def steps(self, texts: Sequence[str], letter: str, way: int = 0) -> dict[str, Any]:
        """Return what formulas of a recurrence assign, upwards (1) or downwards (-1) in `letter`.

        Without a way it goes by what they read: letter - 1 or letter + 1.
        """
        found: dict[str, Any] = {}
        axes: dict[str, int] = {}
        targets = {text.partition("[")[0]: text for text in texts}
        for name, text in targets.items():
            (statement,) = ast.parse(text).body
            assert isinstance(statement, ast.Assign)
            assert isinstance(statement.targets[0], ast.Subscript)
            letters = [ast.unparse(part) for part in subscripts(statement.targets[0])]
            found[name] = jnp.zeros([self.sizes[one] for one in letters])
            axes[name] = letters.index(letter)
        order = range(self.sizes[letter])
        upwards = f"{letter} - 1" in " ".join(texts) or f"{letter} - 2" in " ".join(texts)
        for step in order if way > 0 or (upwards and not way) else reversed(order):
            for name, text in targets.items():
                made = Arrays({**self.tensors, **found}, self.sizes).array(text)
                at = (*[slice(None)] * axes[name], step)
                found[name] = found[name].at[at].set(made[at])
        return found

    def call(self, node: ast.Call) -> Any:
        """Return a function's values."""
        word = called(node)
        if word == "size":
            return self.plain(self.sizes[ast.unparse(node.args[0])])
        if word == "where":
            condition, yes, no = map(self.value, node.args)
            return jnp.where(condition != 0, yes, no)
        if word == "delta":
            return jnp.where(self.value(node.args[0]) == self.value(node.args[1]), 1.0, 0.0)
        if word in ARRAYS:
            return ARRAYS[word](*map(self.value, node.args))
        letters = [ast.unparse(argument) for argument in node.args[1:]]
        axes = tuple(self.axis(letter) for letter in letters)
        body = self.along(self.value(node.args[0]), letters)
        if word in LINEAR:
            turned = LINEAR[word](jnp.moveaxis(body, axes, (-2, -1)))
            kept = turned if turned.ndim == body.ndim else turned[..., None, None]
            return jnp.moveaxis(kept, (-2, -1), axes)
        match word:
            case "cumsum":
                return jnp.cumsum(body, axis=axes[0])
            case "sum" | "mean" | "max" | "min" | "prod":
                return getattr(jnp, word)(body, axis=axes, keepdims=True)
            case "argmax" | "argmin":
                return jnp.asarray(getattr(jnp, word)(body, axis=axes[0], keepdims=True), float)
            case "logsumexp":
                return logsumexp(body, axis=axes, keepdims=True)
            case "softmax" | "log_softmax":
                return getattr(jax.nn, word)(body, axis=axes)
        raise TypeError(word)
