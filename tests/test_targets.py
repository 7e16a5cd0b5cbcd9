"""The printers against the letters' own meaning: every statement is evaluated number by number."""

import itertools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import hand_made
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symback import pipeline
from symback.passes import buffers
from symback.program import (
    Apply,
    Concatenate,
    Contract,
    Expr,
    Number,
    Position,
    Program,
    Read,
    Reduce,
    Role,
    Size,
    Slice,
    Split,
    State,
    Statement,
    Tensor,
    Training,
    Update,
)
from symback.targets import numpy as numpy_target
from symback.targets import python as python_target

DIMS = {"n": 5, "i": 3, "j": 4, "k": 2, "t": 3, "s": 6}
Values = Mapping[str, Any]


# ---------------------------------------------------------------- the meaning of a statement

FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "add": lambda *a: sum(a[1:], a[0]),
    "multiply": lambda *a: math.prod(a),
    "subtract": lambda a, b: a - b,
    "divide": lambda a, b: a / b,
    "negative": lambda a: -a,
    "power": lambda a, b: a**b,
    "where": lambda c, a, b: a if c else b,
    "relu": lambda a: max(a, 0.0),
    "maximum": max,
    "minimum": min,
    "abs": abs,
    "gt": lambda a, b: float(a > b),
    "ge": lambda a, b: float(a >= b),
    "lt": lambda a, b: float(a < b),
    "le": lambda a, b: float(a <= b),
    "eq": lambda a, b: float(a == b),
    "ne": lambda a, b: float(a != b),
    "tanh": math.tanh,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "sin": math.sin,
}
REDUCTIONS: Mapping[str, Callable[[list[float]], float]] = {
    "sum": math.fsum,
    "max": max,
    "min": min,
    "prod": math.prod,
    "argmax": lambda a: a.index(max(a)),
    "argmin": lambda a: a.index(min(a)),
}


def at(expr: Expr, where: Mapping[str, int], values: Values, dims: Mapping[str, int]) -> Any:
    """Return the expression's value at one place, each letter a number."""

    def here(part: Expr) -> Any:
        return at(part, where, values, dims)

    def each(over: tuple[str, ...]) -> list[Mapping[str, int]]:
        places = itertools.product(*(range(dims[axis]) for axis in over))
        return [{**where, **dict(zip(over, place, strict=True))} for place in places]

    match expr:
        case Number(value):
            return value
        case Size(dim):
            return DIMS[dim]
        case Position(axis):
            return where[axis]
        case Read(name, axes):
            return values[name][tuple(where[axis] for axis in axes)]
        case Slice(name, axes, ranges):
            starts = [part[0] if part else 0 for part in ranges]
            return values[name][tuple(where[a] + s for a, s in zip(axes, starts, strict=True))]
        case Split(name, groups):
            return values[name][tuple(flat(group, where, dims) for group in groups)]
        case Concatenate(parts, letters, _, letter):
            place = where[letter]
            for part, own in zip(parts, letters, strict=True):
                if place < dims[own]:
                    return at(part, {**where, own: place}, values, dims)
                place -= dims[own]
            raise IndexError(letter)
        case Apply("where", (c, a, b)):
            return here(a) if here(c) else here(b)
        case Apply(function, args):
            return FUNCTIONS[function](*map(here, args))
        case Reduce(function, body, over):
            return REDUCTIONS[function]([at(body, p, values, dims) for p in each(over)])
        case Contract(left, right, over):
            return math.fsum(
                at(left, p, values, dims) * at(right, p, values, dims) for p in each(over)
            )


def flat(group: tuple[str, ...], where: Mapping[str, int], dims: Mapping[str, int]) -> int:
    place = 0
    for axis in group:
        place = place * dims[axis] + where[axis]
    return place


def meaning(statement: Statement, values: Values, dims: Mapping[str, int] = DIMS) -> Any:
    target = statement.target
    groups = target.groups if isinstance(target, Split) else tuple((a,) for a in target.axes)
    shape = [math.prod(dims[axis] for axis in group) for group in groups]
    array = np.empty(shape)
    for place in itertools.product(*(range(dims[axis]) for axis in target.axes)):
        where = dict(zip(target.axes, place, strict=True))
        index = tuple(flat(group, where, dims) for group in groups)
        array[index] = at(statement.value, where, values, dims)
    return array


# ---------------------------------------------------------------- programs made by hand


def tensor(name: str, axes: str, role: Role = Role.VALUE, classes: int | None = None) -> Tensor:
    return Tensor(name, name, role, tuple("n" if a == "n" else DIMS[a] for a in axes), classes)


def program(*tensors: Tensor, float_type: str = "float64", **fields: Any) -> Program:
    return Program(
        model="test",
        source="",
        digest="",
        tensors=tensors,
        forward=(),
        output="",
        loss=(),
        objective="L",
        weight="",
        backward=(),
        gradients=(),
        update=Update("sgd", (), (), (), ()),
        schedule=None,
        metrics=(),
        assumptions=(),
        training=Training(),
        float_type=float_type,
        **fields,
    )


def numpy_run(statement: Statement, program: Program, values: Values) -> tuple[Any, str]:
    lines = numpy_target.lines((statement,), program)
    names: dict[str, Any] = {"np": np, "math": math, "n": DIMS["n"], **values}
    exec(compile("\n".join(lines), "lines", "exec"), names)
    return names[statement.target.name], "\n".join(lines)


def python_run(statement: Statement, program: Program, values: Values) -> tuple[Any, str]:
    lines = python_target.lines((statement,), program)
    lists = {name: np.asarray(array).tolist() for name, array in values.items()}
    names: dict[str, Any] = {"math": math, "mul": operator.mul, "n": DIMS["n"]}
    names |= {"argmax": REDUCTIONS["argmax"], "chunks": chunks, **lists}
    exec(compile("\n".join(lines), "lines", "exec"), names)
    return names[statement.target.name], "\n".join(lines)


def chunks(values: list[Any], size: int) -> list[list[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


# ---------------------------------------------------------------- random expressions

ARRAYS = ("n", "i", "ni", "in", "nj", "ji", "ij", "nij", "jni", "ntj", "tjn", "k", "")


def reads(axes: str) -> st.SearchStrategy[Expr]:
    """Return reads of arrays whose letters are among these."""
    fitting = [a for a in ARRAYS if set(a) <= set(axes)]
    return st.sampled_from(fitting).map(lambda a: Read(f"v_{a}", tuple(a)))


@cache
def expressions(axes: str, depth: int) -> st.SearchStrategy[Expr]:
    """Return expressions over these letters, well conditioned so that results compare closely."""
    leaf: st.SearchStrategy[Expr] = st.one_of(
        reads(axes),
        reads(axes),
        st.sampled_from([Number(1), Number(2), Number(-0.5), Number(0.25), Size("n")]),
        *([st.just(Position("i", DIMS["i"]))] if "i" in axes else []),
    )
    if depth == 0:
        return leaf
    below = st.deferred(lambda: expressions(axes, depth - 1))

    def applied(name: str, *args: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        return st.tuples(*args).map(lambda found: Apply(name, found))

    kinds = [
        leaf,
        *(applied(name, below, below) for name in ("add", "multiply", "subtract")),
        applied("add", below, below, below),
        applied("multiply", below, below, below),
        *(applied(name, below) for name in ("negative", "tanh", "sin", "abs", "relu")),
        *(applied(name, below, below) for name in ("gt", "le", "maximum")),
        applied("where", applied("gt", below, below), below, below),
        applied("where", below, below, below),
        applied("divide", below, st.sampled_from([Number(2), Number(-4), Size("n")])),
        applied("power", below, st.sampled_from([Number(2), Number(3)])),
        applied("sqrt", applied("abs", below)),
        below,
    ]
    free = [a for a in "nijt" if a not in axes]
    if free:
        kinds.append(st.sampled_from(free).flatmap(lambda a: sums(axes, a, depth)))
        kinds.append(st.sampled_from(free).flatmap(lambda a: products(axes, a, depth)))
    if len(free) > 1:
        kinds.append(products(axes, free[0] + free[1], depth))
    return st.one_of(kinds)


def sums(axes: str, over: str, depth: int) -> st.SearchStrategy[Expr]:
    body = expressions(axes + over, depth - 1).filter(lambda e: over in e.axes)
    names = st.sampled_from(["sum", "sum", "max", "min"])
    return st.builds(lambda name, e: Reduce(name, e, (over,)), names, body)


def products(axes: str, over: str, depth: int) -> st.SearchStrategy[Expr]:
    side = st.one_of(reads(axes + over), expressions(axes + over, depth - 1))
    side = side.filter(lambda e: set(over) <= set(e.axes))
    return st.builds(lambda left, right: Contract(left, right, tuple(over)), side, side)


def statements() -> st.SearchStrategy[Statement]:
    targets = st.sampled_from([a for a in ARRAYS if "k" not in a])
    return targets.flatmap(
        lambda axes: st.builds(
            lambda value: Statement(Read("y", tuple(axes)), value, "y = …"), expressions(axes, 3)
        )
    )


def values_of(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {f"v_{a}": rng.normal(size=[DIMS[axis] for axis in a]) for a in ARRAYS}


def all_arrays(axes: tuple[str, ...], float_type: str = "float64") -> Program:
    arrays = [tensor(f"v_{a}", a) for a in ARRAYS]
    return program(*arrays, tensor("y", "".join(axes)), float_type=float_type)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(statements())
def test_numpy_means_what_the_letters_say(statement: Statement) -> None:
    values = values_of(7)
    found, text = numpy_run(statement, all_arrays(statement.target.axes), values)
    expected = meaning(statement, values)
    assert np.shape(found) == expected.shape, text
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11, err_msg=text)
    assert not statement.target.axes or found.dtype == np.float64, text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(statements())
def test_numpy_stays_in_float32(statement: Statement) -> None:
    values = {name: array.astype(np.float32)[()] for name, array in values_of(7).items()}
    program = all_arrays(statement.target.axes, "float32")
    found, text = numpy_run(statement, program, values)
    assert not statement.target.axes or found.dtype == np.float32, text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(statements())
def test_python_means_what_the_letters_say(statement: Statement) -> None:
    values = values_of(7)
    found, text = python_run(statement, all_arrays(statement.target.axes), values)
    expected = meaning(statement, values)
    assert np.shape(found) == expected.shape, text
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11, err_msg=text)
    assert all(type(number) is float for number in np.asarray(found, object).ravel()), text
    assert max(map(len, text.splitlines())) <= 96, text


# ---------------------------------------------------------------- in place


def aligned(shape: tuple[int, ...], dtype: Any, value: float = math.nan) -> Any:
    """Return an array as a module's own function makes it, filled with what nobody may read."""
    whole = np.dtype(dtype).kind in "bi"
    return np.full(shape, 0 if whole and math.isnan(value) else value, dtype)


def run_in_place(program: Program, values: Values) -> tuple[dict[str, Any], str]:
    """Run a program's forward statements and its update, every array made beforehand."""
    dims = {"n": DIMS["n"], "p": 6}
    names: dict[str, Any] = {"np": np, "math": math, "aligned": aligned, "n": DIMS["n"]}
    for buffer in (*program.buffers, *program.update.buffers):
        sized = tuple(dims[dim] if isinstance(dim, str) else dim for dim in buffer.shape)
        once = (*program.once, *program.update.once)
        made = numpy_target.made(replace(buffer, shape=sized), once, "np.float64")
        exec(compile(f"{buffer.name} = {made}", "buffer", "exec"), names)
    for name, owner in program.storage:
        names[name] = names[owner]
    names |= {name: np.array(value) for name, value in values.items()}
    rule = replace(program, tensors=(), buffers=program.update.buffers)
    text = "\n".join(
        [
            *numpy_target.lines(program.forward, program),
            *numpy_target.lines((*program.update.scalars, *program.update.elements), rule),
        ]
    )
    exec(compile(text, "lines", "exec"), names)
    return names, text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(statements())
def test_in_place_means_the_same(statement: Statement) -> None:
    values = values_of(7)
    plain = replace(all_arrays(statement.target.axes), forward=(statement,))
    fast = buffers(plain)
    found, text = run_in_place(fast, values)
    expected = meaning(statement, values)
    np.testing.assert_allclose(found["y"], expected, rtol=1e-11, atol=1e-11, err_msg=text)
    for name, value in values.items():
        np.testing.assert_array_equal(found[name], value, err_msg=f"{name} was changed: {text}")


def element_expressions(depth: int) -> st.SearchStrategy[Expr]:
    """Return what an optimiser may do with w, g, m and a rate, for each element."""
    reads = [Read("w", ("p",)), Read("g", ("p",)), Read("m", ("p",)), Read("lr", ())]
    leaf: st.SearchStrategy[Expr] = st.sampled_from([*reads, Number(0.9), Number(1)])
    if depth == 0:
        return leaf
    below = element_expressions(depth - 1)
    two = st.sampled_from(["add", "subtract", "multiply", "maximum", "gt", "divide"])
    one = st.sampled_from(["negative", "tanh", "abs", "relu", "sign"])
    return st.one_of(
        leaf,
        st.builds(lambda name, a, b: Apply(name, (a, b)), two, below, below),
        st.builds(lambda name, a: Apply(name, (a,)), one, below),
        st.builds(lambda a, b, c: Apply("add", (a, b, c)), below, below, below),
        st.builds(lambda a, b, c: Apply("where", (a, b, c)), below, below, below),
        st.builds(lambda a: Apply("power", (a, Number(2))), below),
        st.builds(lambda a: Apply("power", (a, Number(3))), below),
    ).filter(lambda e: depth < 3 or e.axes == ("p",))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(element_expressions(3), element_expressions(3))
def test_updates_in_place_read_before_they_write(first: Expr, second: Expr) -> None:
    elements = (
        Statement(Read("m", ("p",)), first, "m ← …"),
        Statement(Read("w", ("p",)), second, "w ← …"),
    )
    rng = np.random.default_rng(5)
    values = {name: rng.normal(size=6) for name in "wgm"} | {"lr": 0.125}
    update = Update("own", (), (State("m", 0.0),), (), elements)
    plain = replace(program(), update=update)
    with np.errstate(all="ignore"):
        expected, _ = run_in_place(plain, values)
        found, text = run_in_place(buffers(plain), values)
    for name in "wgm":
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-14, err_msg=text)


# ---------------------------------------------------------------- chosen statements


def read(name: str, axes: str) -> Read:
    return Read(name, tuple(axes))


def contract(left: Expr, right: Expr, over: str) -> Contract:
    return Contract(left, right, tuple(over))


X = tensor("x", "nti")
CHOSEN: Mapping[str, tuple[Statement, tuple[Tensor, ...]]] = {
    "y = x @ W.T + b": (
        Statement(
            read("y", "ntj"),
            Apply("add", (contract(read("x", "nti"), read("W", "ji"), "i"), read("b", "j"))),
            "",
        ),
        (X, tensor("W", "ji"), tensor("b", "j")),
    ),
    "y = np.tensordot(d, x, ((0, 1), (0, 1)))": (
        Statement(read("y", "ji"), contract(read("d", "ntj"), read("x", "nti"), "nt"), ""),
        (X, tensor("d", "ntj")),
    ),
    "y = q @ v.swapaxes(-1, -2)": (
        Statement(read("y", "nts"), contract(read("q", "nti"), read("v", "nsi"), "i"), ""),
        (tensor("q", "nti"), tensor("v", "nsi")),
    ),
    "y = q.transpose(0, 2, 1, 3) @ v.transpose(0, 2, 3, 1)": (
        Statement(read("y", "nkts"), contract(read("q", "ntki"), read("v", "nski"), "i"), ""),
        (tensor("q", "ntki"), tensor("v", "nski")),
    ),
    "y = W @ b": (
        Statement(read("y", "i"), contract(read("W", "ij"), read("b", "j"), "j"), ""),
        (tensor("W", "ij"), tensor("b", "j")),
    ),
    "y = b @ W": (
        Statement(read("y", "i"), contract(read("W", "ji"), read("b", "j"), "j"), ""),
        (tensor("W", "ji"), tensor("b", "j")),
    ),
    "y = d * (z > 0)": (
        Statement(
            read("y", "nj"),
            Apply("multiply", (Apply("gt", (read("z", "nj"), Number(0))), read("d", "nj"))),
            "",
        ),
        (tensor("z", "nj"), tensor("d", "nj")),
    ),
    "y = x - x.max(axis=1, keepdims=True)": (
        Statement(
            read("y", "nti"),
            Apply("subtract", (read("x", "nti"), Reduce("max", read("x", "nti"), ("t",)))),
            "",
        ),
        (X,),
    ),
    "y = x.reshape(-1, 9)": (
        Statement(
            Split("y", (("n",), ("t", "i")), (("n", "n"), ("t", 3), ("i", 3))),
            read("x", "nti"),
            "",
        ),
        (X,),
    ),
    "y = f.reshape(-1, 3, 2) + 1": (
        Statement(
            read("y", "ntk"),
            Apply(
                "add",
                (
                    Split("f", (("n",), ("t", "k")), (("n", "n"), ("t", 3), ("k", 2))),
                    Number(1),
                ),
            ),
            "",
        ),
        (tensor("f", "ns"),),
    ),
    "y = f[:, 2:5] * b": (
        Statement(
            read("y", "ni"),
            Apply("multiply", (Slice("f", ("n", "i"), (None, (2, 5))), read("b", "i"))),
            "",
        ),
        (tensor("f", "ns"), tensor("b", "i")),
    ),
    "y = np.concatenate((a, np.tanh(c)), axis=1)": (
        Statement(
            read("y", "ns"),
            Concatenate(
                (read("a", "nj"), Apply("tanh", (read("c", "nk"),))), ("j", "k"), (4, 2), "s"
            ),
            "",
        ),
        (tensor("a", "nj"), tensor("c", "nk")),
    ),
}


@pytest.mark.parametrize("line", CHOSEN)
def test_chosen_statements(line: str) -> None:
    statement, arrays = CHOSEN[line]
    rng = np.random.default_rng(3)
    values = {
        array.name: rng.normal(size=[DIMS["n"] if d == "n" else int(d) for d in array.shape])
        for array in arrays
    }
    groups = statement.target.groups if isinstance(statement.target, Split) else None
    shape = tuple(
        "n" if group == ("n",) else math.prod(DIMS[axis] for axis in group)
        for group in groups or [(axis,) for axis in statement.target.axes]
    )
    made = program(*arrays, Tensor("y", "y", Role.VALUE, shape))
    expected = meaning(statement, values)
    found, text = numpy_run(statement, made, values)
    assert text == line
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)
    found, text = python_run(statement, made, values)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13, err_msg=text)
    found_in_place, text = run_in_place(buffers(replace(made, forward=(statement,))), values)
    np.testing.assert_allclose(found_in_place["y"], expected, rtol=1e-13, atol=1e-13, err_msg=text)


def test_in_place_gives_the_same_bits() -> None:
    plain = hand_made.digits(6, 5, 3)
    fast = buffers(plain)
    rng = np.random.default_rng(11)
    values = {
        t.name: rng.integers(0, 3, 5) if t.classes else rng.normal(size=shape_of(t))
        for t in plain.with_role(Role.INPUT, Role.PARAMETER, Role.TARGET)
    }
    gradients = {name: np.full(shape_of(plain.tensor(name)), np.nan) for _, name in plain.gradients}
    found = [
        run_in_place(replace(p, forward=p.forward + p.loss + p.backward, update=NONE), start)[0]
        for p, start in ((plain, values), (fast, values | gradients))
    ]
    for key, name in plain.gradients:
        bits = 0 if key.endswith("weight") else 1e-14  # a bias adds up in another order
        np.testing.assert_allclose(found[1][name], found[0][name], rtol=bits)
    assert found[0][plain.objective] == found[1][plain.objective]


NONE = Update("none", (), (), (), ())


def shape_of(array: Tensor) -> list[int]:
    return [DIMS["n"] if isinstance(dim, str) else dim for dim in array.shape]


# ---------------------------------------------------------------- helper functions

EXACT: Mapping[str, Callable[[Any], Any]] = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "log_sigmoid": lambda x: -mpmath.log1p(mpmath.exp(-x)),
    "tanhshrink": lambda x: x - mpmath.tanh(x),
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
}
PLACES = [*np.linspace(-40, 40, 161), 1e4, -1e4, 0.0, 1e-9, -1e-30, -745.0, -100.0, 26.0]


def helper(target: str, name: str) -> Callable[..., Any]:
    path = Path(__file__).parent.parent / "templates" / target / "functions" / f"{name}.py"
    names: dict[str, Any] = {"np": np, "math": math, "Array": Any, "Sequence": Sequence}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    found: Callable[..., Any] = names[name]
    return found


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXACT)
def test_helpers_are_exact_to_two_units(name: str, kind: type[Any]) -> None:
    x = np.array(PLACES, kind)
    found = helper("numpy", name)(x)
    assert found.dtype == kind
    with mpmath.workdps(120):
        exact = [EXACT[name](mpmath.mpf(float(value))) for value in x]
        for value, true in zip(found, exact, strict=True):
            error = abs(mpmath.mpf(float(value)) - true)
            assert error <= 2 * np.finfo(kind).eps * abs(true) + np.finfo(kind).tiny


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "log_sigmoid", "tanhshrink"])
def test_helpers_agree_between_targets(name: str) -> None:
    plain = [helper("python", name)(value) for value in PLACES]
    np.testing.assert_allclose(plain, helper("numpy", name)(np.array(PLACES)), rtol=1e-15)


def test_python_reads_rows_and_places_as_a_person_would() -> None:
    text = pipeline.generate(Path(__file__).parent.parent / "examples/lstm.yaml", "python").text
    assert "y1 = [[list(E1[x[n_][i]]) for i in range(24)] for n_ in range(n)]" in text
    assert "a2_t_3 = [list(a2_t[n_][3]) for n_ in range(n)]  # a2_t_3[n,k] = a2_t[n,3,k]" in text
    assert "in range(1)" not in text
