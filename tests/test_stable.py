"""Formulas stay honest from 1e-30 to 1e4: what the emitted code computes, against mpmath.

The bound. A value f(x) may be off by 4 eps·(|f| + |x·f′|): four roundings of the result and of what
the rounding of x makes of it. A slope f′(x) may be off by 4 eps·(1 + |f′| + |x·f″|): the 1 is the
size of the terms it is put together from, as in 1 − tanh(x)², where the forward value is used
again. Where the true value is finite, nothing is NaN or infinite, and NumPy warns of nothing.
"""

import ast
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
from oracle import compiled

from symback import catalog, pipeline
from symback.catalog.entry import Kind

SIZES = (1e-30, 1e-8, 1e-3, 0.1, 0.9, 5.0, 20.5, 40.0, 88.0, 100.0, 700.0, 800.0, 1e3, 1e4)
POINTS = tuple(sign * size for size in SIZES for sign in (-1, 1))
WAYS = [("numpy", "float64"), ("numpy", "float32"), ("python", "float64")]

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "expm1": mpmath.expm1,
    "sqrt": mpmath.sqrt,
    "tanh": mpmath.tanh,
    "cosh": mpmath.cosh,
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "abs": abs,
    "sign": mpmath.sign,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "log_sigmoid": lambda x: -mpmath.log1p(mpmath.exp(-x)),
    "logaddexp": lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)),
    "tanhshrink": lambda x: x - mpmath.tanh(x),
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "maximum": max,
    "minimum": min,
    "where": lambda c, a, b: a if c else b,
    "mish": lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))),
}
OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Eq: lambda a, b: a == b,
}
NAIVE = {
    "softplus": "log(1 + exp(x))",
    "sigmoid": "1 / (1 + exp(-x))",
    "sigmoid_up": "exp(x) / (1 + exp(x))",
    "log_sigmoid": "log(1 / (1 + exp(-x)))",
    "log_rest": "log(1 - 1 / (1 + exp(-x)))",
    "rest": "1 - sigmoid(x)",
    "mish": "x * tanh(log(1 + exp(x)))",
    "tanh": "(exp(x) - exp(-x)) / (exp(x) + exp(-x))",
    "elu": "where(x > 0, x, exp(x) - 1)",
    "normal": "(1 + erf(x)) / 2",
    "log_add": "log(exp(x) + exp(2 * x))",
    "log_add_three": "log(exp(x) + exp(2 * x) + exp(0.5 * x))",
    "shrunk": "tanh(x) - x",
    "log_cosh": "log(cosh(x))",
}


def value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Evaluate a scalar formula with mpmath's numbers."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return mpmath.mpf(repr(number))
        case ast.Name(id=word):
            return mpmath.pi if word == "pi" else names[word]
        case ast.BinOp(left=left, op=op, right=right):
            return OPERATORS[type(op)](value(left, names), value(right, names))
        case ast.UnaryOp(operand=operand):
            return -value(operand, names)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return OPERATORS[type(op)](value(left, names), value(right, names))
        case ast.Call(func=ast.Name(id=word), args=arguments):
            return FUNCTIONS[word](*(value(argument, names) for argument in arguments))
    raise AssertionError(ast.dump(node))


@cache
def true_function(text: str, names: tuple[tuple[str, Any], ...] = ()) -> Callable[[Any], Any]:
    """Return a formula as a function; the same one for the same formula."""
    tree = ast.parse(text, mode="eval").body
    return lambda x: value(tree, {**dict(names), "x": x})


def spec_of(name: Any, functions: Mapping[str, Any]) -> dict[str, Any]:
    """A network that is the function: one weight of 1, and a loss whose slope is f′."""
    return {
        "inputs": {"x": ["n", 1], "t": ["n", 1]},
        "functions": dict(functions),
        "layers": [
            {"f1": {"dense": {"units": 1, "bias": False}, "init": "ones", "activation": name}}
        ],
        "loss": {"formula": "sum(y[n, k] * t[n, k], n, k)"},
        "optimizer": "sgd",
    }


@cache
def derivatives(true: Callable[[Any], Any], x: float) -> tuple[Any, Any, Any]:
    """Return f, f′ and f″ by central differences, with digits enough for 1 − sigmoid(x)."""
    with mpmath.workdps(int(400 + 0.95 * abs(x))):
        at = mpmath.mpf(x)
        step = abs(at) * mpmath.mpf(10) ** -20
        below, f, above = true(at - step), true(at), true(at + step)
        return f, (above - below) / (2 * step), (above - 2 * f + below) / step**2


def check(spec: dict[str, Any], true: Callable[[Any], Any], target: str, dtype: str) -> None:
    """Hold value and slope at every point against the true ones, within the bound."""
    module: Any = compiled(spec, target, ("x",), dtype, readable=target == "python")
    limits = np.finfo(dtype)
    points = np.array(POINTS, dtype)
    points = points[points != 0].reshape(-1, 1)
    given = (points, np.ones_like(points))
    if target == "python":
        given = tuple(array.tolist() for array in given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params = module.init(0)
        output = np.array(module.forward(params, given[0])[0], np.float64).ravel()
        slope = np.array(module.value_and_grad(params, *given)[1]["x"], np.float64).ravel()
    for x, got, got_slope in zip(points.ravel().tolist(), output, slope, strict=True):
        f, first, second = derivatives(true, x)
        allowed = 4 * limits.eps * (abs(f) + abs(x * first)) + limits.tiny
        assert abs(got - f) <= allowed, f"f({x}) = {got}, truly {float(f)}"
        allowed = 4 * limits.eps * (1 + abs(first) + abs(x * second))
        assert abs(got_slope - first) <= allowed, f"f'({x}) = {got_slope}, truly {float(first)}"


NEEDED: Mapping[str, Mapping[str, float]] = {"threshold": {"threshold": 0.5, "value": 0.25}}


def plain_activations() -> list[str]:
    return [
        entry.name
        for entry in catalog.entries()
        if entry.kind is Kind.ACTIVATION and "[" not in entry.formulas[0]
    ]


@pytest.mark.parametrize(("target", "dtype"), WAYS)
@pytest.mark.parametrize("name", plain_activations())
def test_activations_keep_their_digits(name: str, target: str, dtype: str) -> None:
    entry = catalog.find(Kind.ACTIVATION, name)
    assert entry is not None
    names: dict[str, Any] = {}
    for option in entry.options:
        names |= {f"{option.name}_{one}": one == option.default for one in option.choices}
        if isinstance(option.default, int | float):
            names[option.name] = mpmath.mpf(repr(option.default))
    given = NEEDED.get(name, {})
    names |= {option: mpmath.mpf(repr(number)) for option, number in given.items()}
    written = {name: dict(given)} if given else name
    check(
        spec_of(written, {}), true_function(entry.formulas[0], tuple(names.items())), target, dtype
    )


@pytest.mark.parametrize(("target", "dtype"), WAYS)
@pytest.mark.parametrize("name", NAIVE)
def test_naive_formulas_are_made_stable(name: str, target: str, dtype: str) -> None:
    own = {"naive": {"args": ["x"], "formula": NAIVE[name]}}
    check(spec_of("naive", own), true_function(NAIVE[name]), target, dtype)


@pytest.mark.parametrize("name", NAIVE)
def test_what_was_rewritten_is_reported(name: str) -> None:
    own = {"naive": {"args": ["x"], "formula": NAIVE[name]}}
    notes = pipeline.program(spec_of("naive", own)).notes
    assert any("→" in note and note.startswith("f1: ") for note in notes)


@pytest.mark.parametrize("target", ["numpy", "python"])
@pytest.mark.parametrize(
    "text", ["exp(z[n, k]) / sum(exp(z[n, j]), j)", "log(sum(exp(z[n, j]), j)) * z[n, k]"]
)
def test_sums_of_exponentials_do_not_overflow(text: str, target: str) -> None:
    layers = [{"z": {"dense": 3, "init": "ones"}}, {"own": {"formula": f"h[n, k] = {text}"}}]
    spec = {
        "inputs": {"x": ["n", 1], "t": ["n", 3]},
        "layers": layers,
        "loss": {"mse": "t"},
        "optimizer": "sgd",
    }
    module: Any = compiled(spec, target, ("x",), readable=target == "python")
    x, t = [[1e4], [-1e4], [800.0]], [[0.0] * 3] * 3
    given = (x, t) if target == "python" else (np.array(x), np.array(t))
    loss, grads = module.value_and_grad(module.init(0), *given)
    assert np.isfinite(loss)
    assert all(np.isfinite(np.array(gradient)).all() for gradient in grads.values())
