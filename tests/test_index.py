"""The algebra of indices: substitution, deltas, sums that stay closed; and what becomes of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mpmath
import numpy as np
import pytest
from sympy import Expr, Integer, preorder_traversal
from sympy.core.parameters import distribute

from symback import functions as fn
from symback import index as ix
from symback import notation, pipeline
from symback.formula import Scope, index, parse, tensor
from symback.inspect.latex import Writer

RANKS = {"x": 2, "W": 2, "v": 1, "u": 1, "c": 0}
a, b, i, j, k, n = (index(letter) for letter in "abijkn")
delta = fn.Delta


def read(text: str) -> Expr:
    return parse(text, Scope(RANKS)).rhs


def shown(expr: Expr) -> str:
    return notation.text(expr, {})


# ---------------------------------------------------------------- letters


@pytest.mark.parametrize(
    ("text", "renaming", "becomes"),
    [
        ("x[n, i]", {"n": "i", "i": "n"}, "x[i,n]"),
        ("sum(W[k, i], i)", {"k": "j"}, "Σ_i W[j,i]"),
        ("sum(W[k, i], i)", {"i": "j"}, "Σ_i W[k,i]"),
        ("sum(v[i] * sum(W[k, j], j), i)", {"k": "l"}, "Σ_i v[i]·Σ_j W[l,j]"),
        ("softmax(x[n, k], k)", {"k": "j"}, "softmax_j(x[n,j])"),
        ("size(k) * v[k]", {"k": "j"}, "|v:0|·v[j]"),
        ("where(k > 2, v[k], 0)", {"k": "i"}, "{v[i] where i > 2}"),
    ],
)
def test_substitution_renames_free_indices(
    text: str, renaming: Mapping[str, str], becomes: str
) -> None:
    expr = read(text)
    free = {letter.name: letter for letter in ix.indices(expr)}
    swap = {free[old]: free[old].called(new) for old, new in renaming.items() if old in free}
    assert shown(ix.substitute(expr, swap)) == becomes


@pytest.mark.parametrize(
    ("text", "renaming", "becomes"),
    [
        ("sum(W[k, i], i)", {"k": "i"}, "Σ_i' W[i,i']"),
        ("sum(v[i] * sum(W[k, j], j), i)", {"k": "j"}, "Σ_i v[i]·Σ_j' W[j,j']"),
        ("sum(v[i] * max(x[k, i], i), i)", {"k": "i"}, "Σ_i' v[i']·(max_j x[i,j])"),
    ],
)
def test_substitution_captures_nothing(
    text: str, renaming: Mapping[str, str], becomes: str
) -> None:
    expr = read(text)
    bound = {letter.name: letter for letter in ix.letters(expr)}
    swap = {bound[old]: bound[new] for old, new in renaming.items()}
    assert shown(ix.substitute(expr, swap)) == becomes


@pytest.mark.parametrize(
    ("text", "free"),
    [
        ("sum(W[k, i] * v[i], i)", "k"),
        ("sum(W[k, i], i) * v[i]", "ki"),
        ("softmax(W[k, i], i)", "ki"),
        ("logsumexp(W[k, i], k, i)", ""),
        ("size(k) * c", ""),
        ("argmax(W[k, i], i) + n * v[n]", "kn"),
    ],
)
def test_a_bound_index_is_not_free(text: str, free: str) -> None:
    assert {letter.name for letter in ix.indices(read(text))} == set(free)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("sum(v[i] * sum(u[i], i), i)", "Σ_i v[i]·Σ_j u[j]"),
        ("sum(v[i] + sum(v[i] * max(v[i], i), i), i)", None),
        ("sum(v[k], k) + sum(W[k, i], k, i)", "Σ_{l,i} W[l,i] + Σ_k v[k]"),
        ("sum(v[k], k) + sum(W[k, i] * v[k], k, i)", "Σ_{k,i} W[k,i]·v[k] + Σ_k v[k]"),
        ("v[k] / sum(v[k], k)", "v[k]/Σ_l v[l]"),
        ("sum(v[k], k) / size(k)", "Σ_k v[k]/|v:0|"),
    ],
)
def test_a_letter_means_one_range_and_is_bound_once(text: str, becomes: str | None) -> None:
    expr = read(text)
    if becomes is not None:
        assert shown(expr) == becomes
    meant: dict[str, set[str]] = {}
    for letter in ix.letters(expr):
        meant.setdefault(letter.name, set()).add(letter.range)
    assert all(len(ranges) == 1 for ranges in meant.values())
    assert ix.tidy(expr) == expr
    inside = [part for part in preorder_traversal(expr) if isinstance(part, fn.Reduction)]
    for total in inside:
        nested = total.body.atoms(fn.Reduction)
        assert not any(set(total.bound) & set(other.bound) for other in nested)


# ---------------------------------------------------------------- deltas


def total(body: Expr, *bound: Expr) -> Expr:
    return fn.SumOver(body, *bound)


def v(letter: Expr) -> Expr:
    return tensor("v", letter)


def W(first: Expr, second: Expr) -> Expr:
    return tensor("W", first, second)


@pytest.mark.parametrize(
    ("expr", "becomes"),
    [
        (total(delta(i, a) * v(i), i), "v[a]"),
        (total(delta(a, i) * delta(b, j) * W(i, j), i, j), "W[a,b]"),
        (total(delta(i, j) * W(i, j), i, j), "Σ_j W[j,j]"),
        (total(delta(i, a) * v(i), i, j), "|j|·v[a]"),
        (total(delta(i, a), i), "1"),
        (total(delta(i, a) * delta(i, b) * v(i), i), "v[a]·[a = b]"),
        (delta(a, b) * v(a), "v[a]·[a = b]"),
        (total(delta(i, 0) * v(i), i), "v[0]"),
        (total(delta(a, 0) * W(a, i), i), "(Σ_i W[a,i])·[a = 0]"),
        (total((delta(i, a) + 2) * v(i), i), "2·Σ_i v[i] + v[a]"),
        (total(v(i) * total(delta(j, a) * W(i, j), j), i), "Σ_i W[i,a]·v[i]"),
        (total(v(i) * total(delta(i, a) * W(i, j), j), i), "v[a]·Σ_j W[a,j]"),
        (total(delta(i, a) * total(W(i, a), a), i), "Σ_a' W[a,a']"),
    ],
)
def test_a_delta_removes_an_index(expr: Expr, becomes: str) -> None:
    with distribute(False):
        made = ix.contract(expr)
    assert not ix.holds_delta(made)
    assert shown(made) == becomes


def test_sums_without_a_delta_stay_closed() -> None:
    square = (v(i) - tensor("c")) ** 2
    with distribute(False):
        made = ix.contract(total(delta(j, a) * v(j) * total(square, i), j))
    assert made == v(a) * total(square, i)


def test_an_empty_sum_counts() -> None:
    assert ix.summed([v(a)], (i, j)) == v(a) * fn.size(i) * fn.size(j)
    assert ix.summed([Integer(3), v(i)], (i, j)) == 3 * fn.size(j) * total(v(i), i)


def test_common_factors_come_to_the_front() -> None:
    with distribute(False):
        made = ix.factored([v(a) * v(b), -v(a) * tensor("c")])
    assert made == v(a) * (v(b) - tensor("c"))


# ---------------------------------------------------------------- what becomes of it

Arrays = Mapping[str, Any]


def spec(
    layer: str | Sequence[str], loss: object, parameters: Mapping[str, Sequence[int]], **inputs: Any
) -> dict[str, Any]:
    """A network of one layer by formula."""
    held = {name: {"shape": list(shape), "init": "zeros"} for name, shape in parameters.items()}
    return {
        "inputs": {"x": ["n", 3], **inputs},
        "layers": [{"f1": {"formula": layer, "parameters": held}}],
        "loss": loss,
        "optimizer": "sgd",
    }


def gradients(given: dict[str, Any], params: Arrays, *data: Any) -> tuple[float, Arrays]:
    """Return loss and gradients, the same of every form of the module."""
    fast = pipeline.compile(given, wrt=("x",))
    plain = pipeline.compile(given, "python", wrt=("x",))
    made = pipeline.compile(given, readable=True, wrt=("x",))
    value, grads = made.value_and_grad({key: w.copy() for key, w in params.items()}, *data)
    lists = {key: w.tolist() for key, w in params.items()}
    results = [
        fast.value_and_grad({key: w.copy() for key, w in params.items()}, *data),
        plain.value_and_grad(lists, *(part.tolist() for part in data)),
    ]
    for other, others in results:
        np.testing.assert_allclose(other, value, rtol=1e-12)
        assert set(others) == set(grads)
        for key, grad in grads.items():
            np.testing.assert_allclose(others[key], grad, rtol=1e-10, atol=1e-14)
    return value, grads


def measured(value: Callable[[Any], Any], at: Any) -> Any:
    """Return the gradient by central differences in 60 digits."""
    step = mpmath.mpf(10) ** -25
    found = np.empty(at.shape)
    for place in np.ndindex(at.shape):
        shift = np.vectorize(mpmath.mpf, otypes=[object])(np.zeros(at.shape))
        shift[place] = step
        found[place] = float((value(at + shift) - value(at - shift)) / (2 * step))
    return found


def exact(array: Any) -> Any:
    return np.vectorize(mpmath.mpf, otypes=[object])(array)


NORM = [
    "m[n] = mean(x[n, i], i)",
    "s[n] = mean((x[n, i] - m[n])**2, i)",
    "h[n, i] = g[i] * (x[n, i] - m[n]) / sqrt(s[n] + 1e-5)",
]
NORM_AT_ONCE = (
    "h[n, i] = g[i] * (x[n, i] - mean(x[n, j], j))"
    " / sqrt(mean((x[n, k] - mean(x[n, j], j))**2, k) + 1e-5)"
)


@pytest.mark.parametrize("layer", [NORM, NORM_AT_ONCE], ids=["in steps", "at once"])
def test_layer_norm_keeps_its_digits_far_from_zero(layer: str | list[str]) -> None:
    """Σ(x − m)² isn't opened into Σx² − N·m²: at an offset of 1e8 that would leave no digit.

    The offset itself rounds m to about 1e-8, so 1e-7 is what the data hold.
    """
    given = spec(layer, {"formula": "sum(y[n, i] * t[n, i], n, i)"}, {"g": [3]}, t=["n", 3])
    rng = np.random.default_rng(0)
    x = 1e8 + rng.uniform(-2, 2, (2, 3))
    t, g = rng.normal(size=(2, 3)), rng.normal(size=3)
    value, grads = gradients(given, {"f1.g": g}, x, t)

    def norm(x: Any, g: Any) -> Any:
        centred = x - (x.sum(axis=1) / 3)[:, None]
        root = np.vectorize(mpmath.sqrt)((centred**2).sum(axis=1) / 3 + mpmath.mpf("1e-5"))
        return (g * centred / root[:, None] * exact(t)).sum()

    with mpmath.workdps(80):
        np.testing.assert_allclose(value, float(norm(exact(x), exact(g))), rtol=1e-7)
        slope = measured(lambda g: norm(exact(x), g), exact(g))
        np.testing.assert_allclose(grads["f1.g"], slope, rtol=1e-7)
        slope = measured(lambda x: norm(x, exact(g)), exact(x))
    np.testing.assert_allclose(grads["x"], slope, rtol=1e-6, atol=1e-7)


def test_softmax_and_cross_entropy_become_a_difference() -> None:
    given = {
        "inputs": {"x": ["n", 3], "t": {"shape": ["n"], "classes": 4}},
        "layers": [{"f1": {"dense": 4}}],
        "loss": {"cross_entropy": "t"},
        "optimizer": "sgd",
    }
    made = pipeline.program(given, readable=True)
    (line,) = [s for s in made.backward if s.target.name == "dz1"]
    assert line.because == "∂L/∂z1[n,k] = (p[n,k] − T[n,k])/N"


def test_a_difference_needs_targets_that_sum_to_one() -> None:
    loss = {"formula": "-sum(t[n, k] * log_softmax(y[n, k], k), n, k)"}
    made = pipeline.program(
        spec("h[n, i] = x[n, i] * g[i]", loss, {"g": [3]}, t=["n", 3]), readable=True
    )
    said = {line.target.name: line.because for line in made.backward}
    assert said["dh1"] == "∂L/∂h1[n,k] = p[n,k]·s[n] − t[n,k]"
    assert said["s"].startswith("s[n] = Σ_")


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_a_product_with_zeros_has_its_slope(zeros: int) -> None:
    """∂Π/∂w_i is the product of the others: with one zero only its own, with two none."""
    given = spec("h[n, i] = x[n, i] * prod(w[k], k)", {"formula": "sum(y[n, i], n, i)"}, {"w": [4]})
    w = np.array([2.0, -3.0, 0.5, 7.0])
    w[:zeros] = 0
    x = np.array([[1.0, 2.0, 4.0]])
    value, grads = gradients(given, {"f1.w": w}, x)
    others = [np.prod(np.delete(w, place)) for place in range(4)]
    np.testing.assert_allclose(value, 7 * np.prod(w), rtol=1e-12)
    np.testing.assert_allclose(grads["f1.w"], 7 * np.array(others), rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "w", "slope"),
    [
        ("max(w[k], k)", [1.0, 3.0, 2.0, 3.0], [0, 0.5, 0, 0.5]),
        ("min(w[k], k)", [1.0, 1.0, 1.0, 3.0], [1 / 3, 1 / 3, 1 / 3, 0]),
        ("max(w[k], k)", [-1.0, -3.0, -2.0, -4.0], [1, 0, 0, 0]),
        ("maximum(w[0], w[1])", [2.0, 2.0, 0.0, 0.0], [0.5, 0.5, 0, 0]),
        ("maximum(w[0], w[1])", [1.0, 2.0, 0.0, 0.0], [0, 1, 0, 0]),
        ("abs(w[2])", [1.0, 2.0, 0.0, 0.0], [0, 0, 0, 0]),
        ("relu(w[2])", [1.0, 2.0, 0.0, 0.0], [0, 0, 0, 0]),
        ("argmax(w[k], k) * w[3]", [1.0, 5.0, 0.0, 2.0], [0, 0, 0, 1]),
    ],
)
def test_kinks_and_ties(text: str, w: list[float], slope: list[float]) -> None:
    given = spec(f"h[n, i] = x[n, i] * {text}", {"formula": "sum(y[n, i], n, i)"}, {"w": [4]})
    _, grads = gradients(
        given, {"f1.w": np.array(w)}, np.array([[1.0, 0.0, 1.0], [0.0, 1.0, -2.0]])
    )
    np.testing.assert_allclose(grads["f1.w"], slope, rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "shapes", "true", "slopes"),
    [
        (
            "h[n, i] = x[n, i] * Q[i, i]",
            {"Q": (3, 3)},
            lambda x, Q: x * np.diag(Q),
            {"Q": lambda x, Q: np.diag(x.sum(axis=0))},
        ),
        (
            "h[n, i] = x[n, i] * sum(Q[j, j], j)",
            {"Q": (3, 3)},
            lambda x, Q: x * np.trace(Q),
            {"Q": lambda x, Q: x.sum() * np.eye(3)},
        ),
        (
            "h[n, i, k] = x[n, i] * Q[i, i] * v[k, 0]",
            {"Q": (3, 3), "v": (2, 2)},
            lambda x, Q, v: x[:, :, None] * np.diag(Q)[:, None] * v[:, 0],
            {
                "Q": lambda x, Q, v: np.diag(x.sum(axis=0)) * v[:, 0].sum(),
                "v": lambda x, Q, v: np.outer([(x * np.diag(Q)).sum()] * 2, [1, 0]),
            },
        ),
        (
            "h[n, i] = x[n, i] * v[1]",
            {"v": (2,)},
            lambda x, v: x * v[1],
            {"v": lambda x, v: np.array([0, x.sum()])},
        ),
        (
            "h[n] = x[n, 2] * v[0] + x[n, 0]",
            {"v": (2,)},
            lambda x, v: x[:, 2] * v[0] + x[:, 0],
            {"v": lambda x, v: np.array([x[:, 2].sum(), 0])},
        ),
        (
            "h[n, i] = x[n, i] * W[1, i] + W[0, 2]",
            {"W": (2, 3)},
            lambda x, W: x * W[1] + W[0, 2],
            {"W": lambda x, W: np.stack([[0, 0, x.size], x.sum(axis=0)])},
        ),
    ],
)
def test_repeated_and_fixed_indices(
    layer: str,
    shapes: Mapping[str, Sequence[int]],
    true: Callable[..., Any],
    slopes: Mapping[str, Callable[..., Any]],
) -> None:
    letters = layer[2 : layer.index("]")]
    given = spec(layer, {"formula": f"sum(y[{letters}], {letters})"}, shapes)
    rng = np.random.default_rng(0)
    held = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    x = rng.normal(size=(4, 3))
    value, grads = gradients(given, {f"f1.{name}": w for name, w in held.items()}, x)
    np.testing.assert_allclose(value, true(x, **held).sum(), rtol=1e-12)
    for name, slope in slopes.items():
        np.testing.assert_allclose(grads[f"f1.{name}"], slope(x, **held), rtol=1e-12, atol=1e-15)
    step = 1e-6
    for place in np.ndindex(x.shape):
        shift = np.zeros_like(x)
        shift[place] = step
        slope = (true(x + shift, **held).sum() - true(x - shift, **held).sum()) / (2 * step)
        np.testing.assert_allclose(grads["x"][place], slope, rtol=1e-7, atol=1e-8)


def test_the_same_letter_bound_twice() -> None:
    """Σ_n t[n]·(Σ_n y[n]): the inner n is another index than the outer one."""
    loss = {"formula": "sum(t[n] * sum(y[n, i] * 2, n, i) * y[n, 0], n)"}
    given = spec("h[n, i] = x[n, i] * v[i]", loss, {"v": [3]}, t=["n"])
    rng = np.random.default_rng(0)
    x, t, held = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=3)
    value, grads = gradients(given, {"f1.v": held}, x, t)
    y = x * held
    whole, first = 2 * y.sum(), (t * y[:, 0]).sum()
    np.testing.assert_allclose(value, whole * first, rtol=1e-12)
    slope = 2 * x.sum(axis=0) * first + np.array([(t * x[:, 0]).sum() * whole, 0, 0])
    np.testing.assert_allclose(grads["f1.v"], slope, rtol=1e-12)


def test_large_numbers_are_written_as_powers_of_ten() -> None:
    assert notation.number(Integer(-(10**30))) == ("−1e30", notation.Binds.SUM)
    assert notation.number(Integer(25 * 10**16)) == ("2.5e17", notation.Binds.ATOM)
    assert notation.number(Integer(123_456)) == ("123456", notation.Binds.ATOM)
    assert Writer({}, {}, {}).number(Integer(-(10**30)))[0] == "-10^{30}"
