"""The stability report: where a naive formula fails, against known borders of floating point."""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from click.testing import CliRunner
from sympy.core.parameters import distribute

from symback import functions as fn
from symback import graph, pipeline, stability
from symback.__main__ import cli
from symback.formula import Scope, parse
from symback.stability import LOST, Failure, Site

EXAMPLES = Path(__file__).parent.parent / "examples"
LARGEST = math.log(float(np.finfo(np.float64).max))  # exp overflows above 709.78
LARGEST_SINGLE = math.log(float(np.finfo(np.float32).max))  # 88.72
HALF = 2.0**-26.5  # of the digits of float64


def spec_of(formula: str) -> dict[str, Any]:
    return {
        "model": "naive",
        "inputs": {"x": ["n", 1], "t": ["n", 1]},
        "functions": {"naive": {"args": ["x"], "formula": formula}},
        "layers": [{"f1": {"dense": 1, "activation": "naive"}}],
        "loss": {"mse": "t"},
        "optimizer": "sgd",
    }


@cache
def only(formula: str) -> Site:
    (site,) = stability.sites(graph.build(pipeline.load(spec_of(formula))))
    return site


def failures(formula: str, what: str, kind: str = "float64") -> dict[str, list[Failure]]:
    found: dict[str, list[Failure]] = {}
    for failure in only(formula).written.failures[what, kind]:
        found.setdefault(failure.how, []).append(failure)
    return found


def near(got: float, want: float, tolerance: float) -> None:
    assert abs(got - want) <= tolerance * abs(want), (got, want)


def test_softplus_overflows_where_exp_does() -> None:
    for kind, border in (("float64", LARGEST), ("float32", LARGEST_SINGLE)):
        found = failures("log(1 + exp(x))", "value", kind)
        (infinite,) = found["infinite"]
        near(infinite.low, border, 1e-4)
        assert infinite.high == math.inf
        (nan,) = failures("log(1 + exp(x))", "derivative", kind)["NaN"]
        near(nan.low, border, 1e-4)


def test_softplus_loses_its_digits_where_exp_is_lost_beside_one() -> None:
    (lost,) = failures("log(1 + exp(x))", "value")[LOST]
    # 1 + e rounds e to a multiple of eps: half the digits are gone for e < eps/2^-26.5, about
    near(lost.high, math.log(float(np.finfo(np.float64).eps) / HALF), 0.1)


def test_expm1_and_roots_lose_theirs_near_zero() -> None:
    (lost,) = failures("where(x > 0, x, exp(x) - 1)", "value")[LOST]
    assert -1e-8 < lost.low < -1e-10
    (lost,) = failures("sqrt(1 + x**2) - 1", "value")[LOST]
    assert 3e-5 < lost.high < 2e-4


def test_a_quotient_is_nan_where_both_overflow() -> None:
    low, high = failures("(exp(x) - exp(-x)) / (exp(x) + exp(-x))", "value")["NaN"]
    near(high.low, LARGEST, 1e-4)
    near(low.high, -LARGEST, 1e-4)
    (slope,) = failures("exp(x) / (1 + exp(x))", "derivative")["NaN"]
    near(slope.low, LARGEST / 2, 1e-4)  # (1 + exp(u))² overflows


@pytest.mark.parametrize(
    "formula",
    ["log(1 + exp(x))", "where(x > 0, x, exp(x) - 1)", "sqrt(1 + x**2) - 1", "(1 + erf(x)) / 2"],
)
def test_what_replaces_it_keeps_its_digits(formula: str) -> None:
    assert not any(only(formula).computed.failures.values())


def test_the_failures_are_those_of_numpy() -> None:
    """The borders hold for the same formula typed into NumPy."""
    formula = "log(1 / (1 + exp(-x)))"
    (infinite,) = failures(formula, "value")["infinite"]
    with np.errstate(all="ignore"):

        def typed(u: float) -> float:
            return float(np.log(1 / (1 + np.exp(-np.float64(u)))))

        assert math.isinf(typed(infinite.high))
        assert math.isfinite(typed(infinite.high * (1 - 1e-6)))
    (lost,) = failures(formula, "value")[LOST]
    for u, is_lost in ((lost.low * 1.1, True), (lost.low * 0.9, False)):
        with mpmath.workdps(60):
            true = mpmath.log(1 / (1 + mpmath.exp(-mpmath.mpf(u))))
        assert (abs(typed(u) - true) > HALF * abs(true)) == is_lost


def test_several_arguments_are_tried_along_a_direction() -> None:
    spec = {
        **spec_of("x"),
        "inputs": {"x": ["n", 1], "t": ["n", 3]},
        "layers": [
            {"z": {"dense": 3}},
            {"own": {"formula": "h[n, k] = exp(z[n, k]) / sum(exp(z[n, j]), j)"}},
        ],
    }
    (site,) = stability.sites(graph.build(pipeline.load(spec)))
    assert site.argument == "z1 is u times a fixed direction"
    assert "NaN" in {each.how for each in site.written.failures["value", "float64"]}
    assert not site.computed.failures["value", "float64"]


def test_only_the_part_that_is_rewritten_is_reported() -> None:
    assert only("x * tanh(log(1 + exp(2 * x + 1)))").written.text == "log(exp(2·u + 1) + 1)"
    assert only("x * tanh(log(1 + exp(2 * x + 1)))").argument == "u is z1[n,o]"


def test_functions_agree_with_mpmath() -> None:
    """Both tables of functions compute the same, over every elementwise function."""
    for word in fn.ELEMENTWISE:
        assert word in stability.NUMPY
        assert word in stability.MPMATH
    with distribute(False):
        for word, made in fn.ELEMENTWISE.items():
            if made.nargs.args == (1,) or len(made.slopes) == 1:
                expr = made(stability.ARGUMENT)
                at = 1.5 if word not in {"asin", "acos"} else 0.4
                got = stability.evaluated(expr, np.float64(at), np.float64, stability.NUMPY)
                want = stability.evaluated(expr, mpmath.mpf(at), mpmath.mpf, stability.MPMATH)
                near(float(got), float(want), 1e-14)


@pytest.mark.parametrize(
    "text",
    [
        "sum(x[i], i)",
        "max(x[i], i)",
        "min(x[i], i)",
        "prod(x[i], i)",
        "logsumexp(x[i], i)",
        "softmax(x[i], i)",
        "log_softmax(x[i], i)",
    ],
)
def test_reductions_agree_with_mpmath(text: str) -> None:
    with distribute(False):
        expr = parse(
            f"y = sum({text}, i)" if "softmax(" in text else f"y = {text}", Scope({"x": 1}, {}, {})
        ).rhs
    got = stability.evaluated(expr, np.float64(0), np.float64, stability.NUMPY)
    want = stability.evaluated(expr, mpmath.mpf(0), mpmath.mpf, stability.MPMATH)
    assert abs(float(got) - float(want)) <= 1e-15 * max(1, abs(float(want)))


# ---------------------------------------------------------------- where it is shown


def invoke(*words: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


def written(folder: Path, formula: str) -> Path:
    path = folder / "naive.yaml"
    path.write_text(json.dumps(spec_of(formula)), "utf-8")  # JSON is YAML
    return path


def test_inspect_shows_it(tmp_path: Path) -> None:
    shown = invoke("inspect", written(tmp_path, "log(1 + exp(x))"), "--stability")
    assert shown.startswith("f1: log(exp(u) + 1), where u is z1[n,o]\n")
    assert "infinite for u ≥ 709.8" in shown
    assert "infinite for u ≥ 88.72" in shown
    assert "is computed as softplus(u)" in shown


def test_inspect_as_json(tmp_path: Path) -> None:
    path = written(tmp_path, "log(1 + exp(x))")
    (site,) = json.loads(invoke("inspect", path, "--stability", "--format", "json"))
    assert site["computed"]["failures"] == []
    assert {"of": "value", "type": "float64", "how": "infinite"}.items() <= site["written"][
        "failures"
    ][1].items()
    assert site["written"]["failures"][1]["to"] is None
    assert "text or json" in invoke("inspect", path, "--stability", "--format", "latex", code=2)


def test_a_spec_without_rewrites_says_so() -> None:
    shown = invoke("inspect", EXAMPLES / "chain.yaml", "--stability")
    assert shown == "no formula is rewritten: each is computed as it was written\n"


def test_generate_says_it_shortly(tmp_path: Path) -> None:
    told = invoke("generate", written(tmp_path, "log(1 + exp(x))"), "-o", tmp_path / "naive.py")
    wanted = (
        "  f1: log(exp(u) + 1) as written: its value infinite for u ≥ 709.8, "
        "its derivative NaN for u ≥ 709.8, where u is z1[n,o]\n"
    )
    assert wanted in told
    told = invoke("generate", written(tmp_path, "sqrt(1 + x**2) - 1"), "-o", tmp_path / "naive.py")
    assert "as written: its value half the digits lost for |u| ≤ " in told
