"""Formulas drawn by hypothesis: loss and gradients against `jax.grad` of the same text.

100 of them, or as many as the environment variable SYMBACK_FORMULAS says. A network of one or two
layers by formula, the second reading what the first reads and its parameters; the loss reads all.
"""

import ast
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import jax
import numpy as np
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from readings import Arrays, Loops, ranges

import symback
from symback.errors import UserError

EXAMPLES = int(os.environ.get("SYMBACK_FORMULAS", "100"))
LETTERS = "nipjk"  # i and p take as many values
TENSORS: Mapping[str, str] = {"x": "ni", "W": "jk", "v": "k", "Q": "ip", "T": "ijk", "c": ""}
PARAMETERS = ("W", "v", "Q", "T", "c")
CONSTANTS: Mapping[str, float] = {"w0": 1.5}
LAST = ("sum", "mean", "logsumexp")  # what the loss ends with
COMPUTED = (
    *("{} + 1", "{} - 1", "2*{} - 1", "1 - {}", "{} + {} - 1", "{} - {}", "2*{} - {} + 1"),
    "size({0}) - 1 - {0}",
)


@dataclass(frozen=True)
class Words:
    """What expressions are drawn from; `{}` stands for what is drawn within."""

    numbers: tuple[str, ...]
    wrapped: tuple[str, ...]  # where the argument may be anything small
    paired: tuple[str, ...]
    conditions: tuple[str, ...]
    reduced: tuple[str, ...]  # over a letter
    spread: tuple[str, ...]  # along a letter
    squares: tuple[str, ...] = ()  # along the rows i and the columns p
    of_squares: tuple[str, ...] = ()  # of a matrix, without them


CONDITIONS = (
    *("{} > {}", "{} <= {}", "{} < {} and {} > -1", "not ({} >= {})", "{} > {} or {} < 0.1"),
    *("{} == {}", "{} != {}"),
)
WORDS = Words(
    numbers=("0.5", "2", "-1.25", "pi", "w0"),
    wrapped=(
        *("tanh({})", "sin({})", "cos({})", "sigmoid({})", "softplus({})", "log_sigmoid({})"),
        *("atan({})", "erf({})", "erfc({})", "relu({})", "abs({})", "sign({})", "-({})", "({})**2"),
        *("exp(tanh({}))", "log(1.5 + ({})**2)", "log1p(({})**2)", "expm1(sin({}))", "({})**3"),
        *("sqrt(0.5 + ({})**2)", "asin(0.9 * tanh({}))", "acos(0.9 * sin({}))", "tan(sin({}))"),
        *("sinh(tanh({}))", "cosh(tanh({}))", "(1.2 + ({})**2)**0.7", "(1.2 + ({})**2)**-1.5"),
        *("1 / (1.5 + ({})**2)", "log(1 + exp({}))", "1 / (1 + exp(-({})))", "({}) * pi"),
        *("1 - sigmoid({})", "log(sigmoid({}))", "exp({}) - 1", "floor(3 * ({}))", "1 + erf({})"),
        *("detach({}) * w0", "bent({0}, 0.5)"),
    ),
    paired=(
        *("{} + {}", "{} - ({})", "({}) * ({})", "({}) / (1.5 + ({})**2)", "maximum({}, {})"),
        *(
            "minimum({}, {})",
            "logaddexp({}, {})",
            "{} + {}",
            "log(exp({}) + exp({}))",
            "bent({}, {})",
        ),
        "(1.2 + ({})**2) ** sin({})",
    ),
    conditions=CONDITIONS,
    reduced=(
        *("sum({}, {})", "sum({}, {})", "mean({}, {})", "max({}, {})", "min({}, {})"),
        *("prod({}, {})", "logsumexp({}, {})", "log(sum(exp({}), {}))", "0.5 * argmax({}, {})"),
    ),
    spread=(
        *("softmax({}, {})", "log_softmax({}, {})", "exp({0}) / sum(exp({0}), {1})"),
        "cumsum({}, {})",
    ),
    squares=(
        "inv(3 * delta(i, p) + 0.5 * sin({}), i, p)",
        "cholesky(4 * delta(i, p) + cos({}), i, p)",
    ),
    of_squares=(
        *("det(2 * delta(i, p) + sin({}), i, p)", "logdet(4 * delta(i, p) + tanh({}), i, p)"),
        "trace({}, i, p)",
    ),
)
PLAIN = replace(  # without what is a spec's own
    WORDS,
    numbers=WORDS.numbers[:-1],
    wrapped=WORDS.wrapped[:-2],
    paired=tuple(form for form in WORDS.paired if "bent" not in form),
)
EXACT = (
    Words(  # of numbers with few digits: no rounding, so that ties and zeros are such everywhere
        numbers=("0.5", "2", "-1", "0"),
        wrapped=("relu({})", "abs({})", "sign({})", "-({})", "({})**2", "floor({})", "0.5 * ({})"),
        paired=(
            *("{} + {}", "{} - ({})", "({}) * ({})", "maximum({}, {})", "minimum({}, {})"),
            "maximum({0}, {0})",
        ),
        conditions=CONDITIONS,
        reduced=(
            *("sum({}, {})", "max({}, {})", "min({}, {})", "prod({}, {})", "0.5 * argmax({}, {})"),
            "argmin({}, {})",
        ),
        spread=("cumsum({}, {})", "({0}) - max({0}, {1})"),
    )
)


@dataclass(frozen=True)
class Drawn:
    """A formula in the making, and the indices free in it."""

    text: str
    free: frozenset[str]


def alike(one: str, other: str) -> bool:
    """Say whether two letters take as many values."""
    return one == other or {one, other} == {"i", "p"}


@st.composite
def places(draw: st.DrawFn, letters: Sequence[str]) -> str:
    """Draw a computed place of some letters."""
    form = draw(st.sampled_from(COMPUTED))
    return form.format(*(draw(st.sampled_from(letters)) for _ in range(2)))


@st.composite
def accesses(draw: st.DrawFn, free: str, tensors: Mapping[str, str]) -> Drawn:
    """Draw a tensor read at letters of `free` that fit its axes, at integers or computed places.

    What isn't a plain letter says nothing of a letter's range: it isn't counted as free.
    """
    name = draw(st.sampled_from(sorted(tensors)))
    parts, plain = [], set()
    others = [letter for letter in free if letter != "n"]
    for axis in tensors[name]:
        fitting = [letter for letter in free if alike(letter, axis)]
        computed = [draw(places(others))] * len(COMPUTED) if axis != "n" and others else []
        if axis == "k" and "n" in free:
            computed.append("e[n]")
        part = draw(st.sampled_from([*fitting * 8, "0", *computed]))
        parts.append(part)
        plain |= {part} & set(free)
    text = f"{name}[{', '.join(parts)}]" if parts else name
    return Drawn(text, frozenset(plain))


@st.composite
def expressions(
    draw: st.DrawFn, depth: int, free: str, tensors: Mapping[str, str], words: Words = WORDS
) -> Drawn:
    """Draw an expression in which no other letters than `free` are free."""

    def inner(letters: str = free) -> Drawn:
        return draw(expressions(depth - 1, letters, tensors, words))

    kind = draw(st.integers(0, 10 if depth else 1))
    if kind == 0:
        leaves = [*words.numbers, *free, *(f"size({letter})" for letter in free)]
        others = [letter for letter in free if letter != "n"]
        if others:
            leaves.append(f"delta({draw(st.sampled_from(others))}, {draw(places(others))})")
        # an index as a value says nothing of its range
        return Drawn(draw(st.sampled_from(leaves)), frozenset())
    if kind == 1:
        return draw(accesses(free, tensors))
    if kind in (2, 3):
        a = inner()
        return Drawn(draw(st.sampled_from(words.wrapped)).format(a.text), a.free)
    if kind in (4, 5):
        a, b = inner(), inner()
        return Drawn(draw(st.sampled_from(words.paired)).format(a.text, b.text), a.free | b.free)
    if kind == 6:
        a, b, c, d = inner(), inner(), inner(), inner()
        held = draw(st.sampled_from(words.conditions)).format(*(f"({e.text})" for e in (a, b, c)))
        return Drawn(f"where({held}, {c.text}, {d.text})", a.free | b.free | c.free | d.free)
    axes = "".join(tensors.values())
    if kind == 10 and words.squares and "p" in axes:
        whole = {"i", "p"} <= set(free)
        forms = words.squares if whole else words.of_squares
        around = inner("".join(dict.fromkeys(free + "ip")))
        body = with_letter(with_letter(around, "i", tensors), "p", tensors)
        text = draw(st.sampled_from(forms)).format(body.text)
        return Drawn(text, body.free if whole else body.free - {"i", "p"})
    letter = draw(st.sampled_from([one for one in LETTERS if any(alike(one, a) for a in axes)]))
    if kind == 9 and letter in free:
        body = with_letter(inner(), letter, tensors)
        return Drawn(draw(st.sampled_from(words.spread)).format(body.text, letter), body.free)
    body = with_letter(inner("".join(dict.fromkeys(free + letter))), letter, tensors)
    text = draw(st.sampled_from(words.reduced)).format(body.text, letter)
    return Drawn(text, body.free - {letter})


def with_letter(body: Drawn, letter: str, tensors: Mapping[str, str]) -> Drawn:
    """Return an expression in which the letter occurs."""
    if letter in body.free:
        return body
    name, axes = next(
        (name, axes) for name, axes in tensors.items() if any(alike(letter, a) for a in axes)
    )
    place = next(k for k, axis in enumerate(axes) if alike(letter, axis))
    parts = [letter if k == place else axis for k, axis in enumerate(axes)]
    others = [part for part in parts if part != letter]
    read = f"{name}[{', '.join(parts)}]"
    read = f"sum({read}, {', '.join(others)})" if others else read
    return Drawn(f"({body.text}) * {read}", body.free | {letter})


@dataclass(frozen=True)
class Case:
    """Layers by formula and a loss by formula, with numbers to try them on.

    The formulas of the first layer stand in order; the second layer, if there is one, reads the
    first's output and parameters.
    """

    first: tuple[str, ...]
    second: str
    loss: str
    values: Mapping[str, Any]

    def spec(self) -> dict[str, Any]:
        shape = {name: list(np.shape(self.values[name])) for name in TENSORS}
        held = {name: {"shape": shape[name], "init": "zeros"} for name in self.used()}
        layers: dict[str, Any] = {
            "f1": {"formula": list(self.first), "parameters": held, "from": ["x", "e"]}
        }
        if self.second:
            layers["f2"] = {"formula": self.second, "from": ["f1", "x", "e"]}
        for name, texts in (("f1", self.first), ("f2", (self.second,))):
            if any("w0" in names(text) for text in texts):
                layers[name]["constants"] = dict(CONSTANTS)
        return {
            "model": "drawn",
            "inputs": {
                "x": ["n", *shape["x"][1:]],
                "t": ["n"],
                "e": {"shape": ["n"], "classes": shape["v"][0]},
            },
            "functions": {"bent": {"args": ["a", "b"], "formula": "a * tanh(b) + relu(a)"}},
            "layers": [{name: body} for name, body in layers.items()],
            "loss": {"formula": self.loss},
            "optimizer": {"sgd": {"lr": 0.1}},
            "train": {"epochs": 1},
        }

    def used(self) -> list[str]:
        """Return the parameters that the first layer reads."""
        return [name for name in PARAMETERS if any(name in names(text) for text in self.first)]

    def value(self, given: Mapping[str, Any], reading: type[Loops] | type[Arrays]) -> Any:
        """Return the loss by another reading of the same text."""
        tensors = {**self.values, **given}
        tensors |= CONSTANTS
        tensors |= {f"f1.{name}": tensors[name] for name in PARAMETERS}
        for text in (*self.first, *filter(None, [self.second])):
            shapes = {name: np.shape(tensor) for name, tensor in tensors.items()}
            sizes = sizes_of(shapes) | ranges(ast.parse(text), shapes)
            made = reading(tensors, sizes).array(text)
            name = text.partition("[")[0]
            tensors |= {name: made, "y": made} | ({"f1": made} if name == "h" else {})
        return reading(tensors, sizes).array(self.loss)


def names(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def sizes_of(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Return the range of each letter."""
    return {
        letter: shapes[name][place]
        for name, axes in TENSORS.items()
        for place, letter in enumerate(axes)
    }


@st.composite
def formulas(
    draw: st.DrawFn, depth: int, name: str, tensors: Mapping[str, str], words: Words
) -> Drawn:
    """Draw a formula that computes a tensor of that name; its letters are told as they stand."""
    letters = draw(st.sampled_from(["n", "nk", "kn", "nij", "np"]))
    body = draw(expressions(depth, letters, tensors, words))
    for letter in letters:
        body = with_letter(body, letter, tensors)
    return Drawn(f"{name}[{', '.join(letters)}] = {body.text}", frozenset([letters]))


@st.composite
def cases(draw: st.DrawFn, words: Words = WORDS) -> Case:
    """Draw layers, a loss and numbers."""
    sizes = {letter: draw(st.integers(1, 3)) for letter in "nij"} | {"k": draw(st.integers(2, 3))}
    sizes["p"] = sizes["i"]
    parts, known = [], dict(TENSORS)
    if draw(st.booleans()):
        parts.append(draw(formulas(2, "u", known, words)))
        ((known["u"],),) = (parts[-1].free,)
    parts.append(draw(formulas(3 if len(parts) < 1 else 2, "h", known, words)))
    first = tuple(part.text for part in parts)
    (letters,) = parts[-1].free
    if not any("W" in names(text) for text in first):
        first = (*first[:-1], f"{first[-1]} + W[0, 0]")
    held = {name: axes for name, axes in TENSORS.items() if any(name in names(f) for f in first)}
    shared = {f"f1.{name}": axes for name, axes in held.items() if name in PARAMETERS and axes}
    over = {"y": letters, "f1": letters, "t": "n"}
    second = ""
    if draw(st.booleans()):
        reads = {"f1": letters, "x": "ni", "f1.W": "jk"} | shared
        drawn = draw(formulas(2, "g", reads, words))
        second, (letters,) = drawn.text, drawn.free
        over["y"] = letters
    outside = PLAIN if words is WORDS else words  # a loss has no constants
    inner = draw(expressions(2, letters, over | shared, outside))
    for letter in letters:
        inner = with_letter(inner, letter, over)
    reduce = draw(
        st.sampled_from([word for word in LAST if f"{word}({{}}, {{}})" in words.reduced])
    )
    at = ", ".join(letters)
    loss = f"{reduce}(({inner.text}) * 0.5 + y[{at}], {at})"
    assume(max(map(len, (*first, second))) < 1500)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    values = {
        name: rng.uniform(-1.5, 1.5, [sizes[letter] for letter in axes])
        for name, axes in {**TENSORS, "t": "n"}.items()
    }
    if words is EXACT:
        values = {name: np.round(2 * value) / 2 for name, value in values.items()}
    labels = rng.integers(0, sizes["k"], sizes["n"])
    return Case(first, second, loss, {**values, "e": labels})


def compiled(case: Case, target: str, readable: bool) -> ModuleType:
    """Return the case's module; a formula that folds to less than was drawn is drawn anew."""
    try:
        return symback.compile(case.spec(), target, readable=readable, wrt=("x",))
    except UserError as error:
        folded = (
            "changes the loss",
            "which doesn't occur",
            "no finite value",
            "40 is allowed",
            "500 are allowed",
            "grows too large",
        )
        assume(not any(said in str(error) for said in folded))
        raise


FORMS = st.sampled_from([("numpy", True), ("numpy", False), ("python", True), ("c", False)])


def compare(case: Case, way: tuple[str, bool]) -> None:
    """Hold a case's loss and gradients against both readings."""
    made = compiled(case, *way)
    keys = {name: f"f1.{name}" for name in case.used()}
    params = {key: case.values[name].copy() for name, key in keys.items()}
    data = {name: case.values[name] for name in "xte"}
    if way[0] == "python":
        params = {key: np.atleast_1d(value).tolist() for key, value in params.items()}
        data = {name: value.tolist() for name, value in data.items()}
    value, grads = made.value_and_grad(params, **data)
    given_ = {name: case.values[name] for name in (*keys, "x")}
    oracle = jax.jit(jax.value_and_grad(lambda given: case.value(given, Arrays)))
    wanted, slopes = oracle(given_)
    assume(np.isfinite(wanted) and abs(wanted) < 1e6)
    np.testing.assert_allclose(value, wanted, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(value, case.value({}, Loops), rtol=1e-10, atol=1e-10)
    largest = max(1.0, *(float(np.max(np.abs(slope))) for slope in slopes.values()))
    assume(np.isfinite(largest) and largest < 1e6)
    for name, values in given_.items():
        got = np.reshape(grads.get(keys.get(name, name), np.zeros_like(values)), values.shape)
        np.testing.assert_allclose(got, slopes[name], rtol=1e-10, atol=1e-10 * largest)


def drawn(part: int) -> settings:
    """Return the settings of a test that draws one of so many examples."""
    return settings(
        max_examples=max(EXAMPLES // part, 1),
        deadline=None,
        phases=[Phase.generate],  # to make a failure smaller takes many minutes
        suppress_health_check=list(HealthCheck),
    )


@drawn(1)
@given(cases(), FORMS)
def test_drawn_formulas_agree_with_jax(case: Case, way: tuple[str, bool]) -> None:
    compare(case, way)


@drawn(4)
@given(cases(EXACT), FORMS)
def test_ties_and_zeros_agree_with_jax(case: Case, way: tuple[str, bool]) -> None:
    compare(case, way)
