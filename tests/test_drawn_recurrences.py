"""Recurrences drawn by hypothesis: loss and gradients against JAX, which runs the same text.

One to three formulas read each other and themselves at other steps, upwards or downwards, beside
anything else; an eighth of what test_drawn_formulas draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from readings import Arrays
from test_drawn_formulas import EXAMPLES, FORMS, PLAIN, expressions

import symback
from symback.errors import UserError

TENSORS: Mapping[str, str] = {"x": "ntk", "v": "k", "U": "kl", "s": "k", "c": ""}
PARAMETERS = ("v", "U", "s", "c")
BESIDE: Mapping[str, str] = {"x": "ntk", "v": "k", "c": ""}  # what formulas are drawn over
EARLIER = (  # what another step gives, of the formula `{0}`; the steps before are {1}, {2}
    *("{0}[n, {1}, k]", "{0}[n, {1}, k]", "{0}[n, {1}, 0]", "{0}[n, {2}, k]"),
    *("{0}[n, {1}, k - 1]", "{0}[n, {1}, k + 1]", "sum(U[k, l] * {0}[n, {1}, l], l)"),
    *("sum(U[l, k] * {0}[n, {1}, l], l)", "where({3}, s[k], {0}[n, {1}, k])"),
    *("max(U[k, l] * {0}[n, {1}, l], l)", "softmax(c * {0}[n, {1}, k], k)"),
    *("1 / (1.5 + {0}[n, {1}, k]**2)", "logsumexp({0}[n, {1}, l] * U[k, l], l)"),
)
JOINED = ("{} + {}", "({}) * ({})", "maximum({}, {})", "where({} > 0.1, {}, x[n, t, k])")


@dataclass(frozen=True)
class Case:
    """The formulas of a recurrence, in order; which way it runs; numbers to try it on."""

    texts: tuple[str, ...]
    way: int
    values: Mapping[str, Any]

    @property
    def used(self) -> tuple[str, ...]:
        """The parameters that the formulas read."""
        told = " ".join(self.texts)
        return tuple(n for n in PARAMETERS if f"{n}[" in told or (n == "c" and "c" in _words(told)))

    def spec(self) -> dict[str, Any]:
        held = {n: {"shape": list(np.shape(self.values[n])), "init": "zeros"} for n in self.used}
        return {
            "inputs": {
                "x": ["n", *self.values["x"].shape[1:]],
                "e": {"shape": ["n"], "classes": len(self.values["v"])},
            },
            "layers": [
                {"f1": {"formula": list(self.texts), "parameters": held, "from": ["x", "e"]}}
            ],
            "loss": {"formula": "sum(sin(y[n, t, k]) * y[n, t, k] + y[n, t, k], n, t, k)"},
            "optimizer": "sgd",
        }

    def value(self, given: Mapping[str, Any]) -> Any:
        """Return the loss as JAX has it."""
        n, t, k = self.values["x"].shape
        sizes = {"n": n, "t": t, "k": k, "l": k}
        *_, y = Arrays({**self.values, **given}, sizes).steps(self.texts, "t", self.way).values()
        return (jax.numpy.sin(y) * y + y).sum()


def _words(text: str) -> set[str]:
    return set("".join(c if c.isalnum() or c == "_" else " " for c in text).split())


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw one to three formulas, each reading one of them at another step."""
    way = draw(st.sampled_from([1, -1]))
    steps = ("t - 1", "t - 2", "t == 0") if way > 0 else ("t + 1", "t + 2", "t == size(t) - 1")
    names = "abh"[-draw(st.integers(1, 3)) :]
    texts = []
    for place, name in enumerate(names):
        others = [name, *names] if len(names) > 1 else [name]
        earlier = draw(st.sampled_from(EARLIER)).format(draw(st.sampled_from(others)), *steps)
        part = draw(expressions(1, "ntk", BESIDE, PLAIN)).text
        above = f"{names[place - 1]}[n, t, k]" if place else "v[k]"
        body = draw(st.sampled_from(JOINED)).format(earlier, part)
        if draw(st.booleans()):
            body = draw(st.sampled_from(PLAIN.wrapped)).format(body)
        texts.append(f"{name}[n, t, k] = sin(0.5 * ({body}) + x[n, t, k]) + 0.3 * {above}")
    last = texts[-1].partition(" = ")
    texts[-1] = f"{last[0]} = ({last[2]}) + 0.2 * {names[0]}[n, {steps[0]}, k]"
    n, t, k = (draw(st.integers(low, 3)) for low in (1, 1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    shapes = {"x": (n, t, k), "v": (k,), "U": (k, k), "s": (k,), "c": ()}
    values: dict[str, Any] = {name: rng.uniform(-1.5, 1.5, s) for name, s in shapes.items()}
    values["e"] = rng.integers(0, k, n)
    return Case(tuple(texts), way, values)


@settings(
    max_examples=max(EXAMPLES // 8, 1),
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(cases(), FORMS)
def test_drawn_recurrences_agree_with_jax(case: Case, way: tuple[str, bool]) -> None:
    target, readable = way
    try:
        made: Any = symback.compile(case.spec(), target, readable=readable, wrt=("x",))
    except UserError as error:  # formulas that fold to less than was drawn
        folded = ("changes the loss", "which doesn't occur", "no finite value")
        assume(not any(said in str(error) for said in folded))
        raise
    plain = target == "python"
    params = {f"f1.{name}": case.values[name].copy() for name in case.used}
    if plain:
        params = {key: np.atleast_1d(value).tolist() for key, value in params.items()}
    x, e = (case.values[name].tolist() if plain else case.values[name] for name in "xe")
    value, grads = made.value_and_grad(params, x, e)
    given_ = {name: case.values[name] for name in (*case.used, "x")}
    wanted, slopes = jax.jit(jax.value_and_grad(case.value))(given_)
    assume(np.isfinite(wanted) and abs(wanted) < 1e6)
    np.testing.assert_allclose(value, wanted, rtol=1e-10, atol=1e-10)
    largest = max(1.0, *(float(np.max(np.abs(slope))) for slope in slopes.values()))
    assume(np.isfinite(largest) and largest < 1e6)
    for name, slope in slopes.items():
        key = name if name == "x" else f"f1.{name}"  # a condition alone has no gradient by name
        got = np.reshape(grads.get(key, np.zeros_like(slope)), np.shape(slope))
        np.testing.assert_allclose(got, slope, rtol=1e-10, atol=1e-10 * largest)
