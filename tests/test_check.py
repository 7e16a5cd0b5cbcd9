"""The check of gradients: right modules pass, planted mistakes are found."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from symback import pipeline
from symback.check import Mismatch, Report, check, check_text
from symback.emit import Module
from symback.errors import UserError

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = ("linear", "chain", "xor", "moons", "iris", "own_formula")
SQUARE = {  # every matrix is square: a wrong transpose keeps all shapes
    "model": "square",
    "inputs": {"x": ["n", 4], "t": ["n", 4]},
    "layers": [
        {"f1": {"dense": 4, "activation": "tanh"}},
        {"f2": {"dense": 4, "activation": "relu"}},
        {"f3": {"dense": 4}},
    ],
    "loss": {"mse": "t"},
    "optimizer": {"sgd": {"lr": 0.1}},
}
END = r"(?=  +# |$)"  # where a line's code ends: before its comment
READABLE = {
    "a wrong sign": (rf"^(    d\w+ = )(.+?){END}", r"\1-(\2)"),
    "a missing mean": (r" / (n\b|\(n \* \d+\))", ""),
    "a missing reduction": (r"\.sum\(axis=0\)", "[0]"),
    "a mean for a sum": (r"\.sum\(axis=0\)", ".mean(axis=0)"),
    "a dropped factor": (rf"^(    d\w+ = d\w+) \* .+?{END}", r"\1"),
    "relu's slope the wrong way": (r"(\w+) > 0", r"\1 < 0"),
    "relu's slope 1 everywhere": (r"(\w+) > 0", r"\1 > -1e9"),
}
TRANSPOSED = {
    "a gradient transposed": (rf"^(    dW\d = )(.+?){END}", r"\1(\2).T"),
    "a weight transposed": (r"(@ W\d)", r"\1.T"),
}
IN_PLACE = {
    "a weight transposed": (r"(W\d)\.T\.dot\(", r"\1.dot("),
    "a gradient transposed": (r"(dz\d)\.dot\((\w+)\.T, out", r"\2.dot(\1.T, out"),
    "a dropped factor": (r"^    (d\w+) \*= da\d$", r"    \1 *= 1"),
    "relu's slope the wrong way": (r"np\.greater", "np.less"),
}


def mutants(module: Module, mutation: tuple[str, str]) -> Iterator[Module]:
    """Yield the module with one place of `backward` changed, for every place that matches."""
    pattern, replacement = mutation
    start = module.text.index("def backward(")
    stop = module.text.index("def value_and_grad(")
    body = module.text[start:stop]
    for match in re.finditer(pattern, body, re.MULTILINE):
        changed = body[: match.start()] + match.expand(replacement) + body[match.end() :]
        yield replace(module, text=module.text[:start] + changed + module.text[stop:])


def found(module: Module) -> Report:
    return check_text(module, (0, 1))


@pytest.fixture(scope="module", params=NAMES)
def readable(request: pytest.FixtureRequest) -> Module:
    return pipeline.generate(EXAMPLES / f"{request.param}.yaml", readable=True)


def test_every_planted_mistake_is_found(readable: Module) -> None:
    planted = 0
    for name, mutation in READABLE.items():
        for mutant in mutants(readable, mutation):
            planted += 1
            assert not found(mutant).right, f"{name} in {readable.name} was not found"
    assert planted >= 5


@pytest.mark.parametrize("name", [*READABLE, *TRANSPOSED])
def test_every_kind_of_mistake_is_planted_and_found(name: str) -> None:
    module = pipeline.generate(SQUARE, readable=True)
    planted = list(mutants(module, (READABLE | TRANSPOSED)[name]))
    assert planted
    assert [found(mutant).right for mutant in planted] == [False] * len(planted)


@pytest.mark.parametrize("name", IN_PLACE)
def test_mistakes_in_the_fast_form_are_found(name: str) -> None:
    planted = list(mutants(pipeline.generate(SQUARE), IN_PLACE[name]))
    assert planted
    assert [found(mutant).right for mutant in planted] == [False] * len(planted)


def test_mistakes_in_plain_python_are_found() -> None:
    module = pipeline.generate(EXAMPLES / "chain.yaml", "python")
    planted = [
        *mutants(module, (r"2 / n \*", "2 *")),
        *mutants(module, (r"\(1 - (\w+) \* \1\)", r"(1 + \1 * \1)")),
        *mutants(module, (r"sum\((dz\w+)\)", r"\1[0]")),
    ]
    assert len(planted) >= 6
    assert [found(mutant).right for mutant in planted] == [False] * len(planted)


@pytest.mark.parametrize("target", ["numpy", "python"])
@pytest.mark.parametrize("name", NAMES)
def test_right_modules_pass_from_every_start(name: str, target: str) -> None:
    report = check_text(pipeline.generate(EXAMPLES / f"{name}.yaml", target), tuple(range(6)))
    assert report.right, str(report)
    assert len(report.parameters) >= 2


@pytest.mark.parametrize(
    ("target", "readable"), [("numpy", True), ("numpy", False), ("python", True)]
)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_wrong_gradient_by_the_input_is_found(
    activation: str, target: str, readable: bool
) -> None:
    layers = [{"f1": {"dense": 4, "activation": activation}}, {"f2": {"dense": 4}}]
    spec: dict[str, Any] = SQUARE | {"layers": layers}
    module = pipeline.generate(spec, target, readable=readable, wrt=("x",))
    report = found(module)
    assert report.right, str(report)
    assert set(report.parameters) == {"f1.weight", "f1.bias", "f2.weight", "f2.bias", "x"}
    [mutant] = mutants(module, (r'"x": dx', '"x": dz1'))
    wrong = found(mutant).mismatches
    assert {mismatch.parameter for mismatch in wrong} == {"x"}
    assert any(mismatch.place is not None and len(mismatch.place) == 2 for mismatch in wrong)


@pytest.mark.parametrize(
    ("target", "readable"), [("numpy", True), ("numpy", False), ("python", True)]
)
def test_a_parameter_without_a_gradient_is_told(target: str, readable: bool) -> None:
    layers = [{"f1": {"dense": 4}}, {"f2": {"dense": 4, "from": "x"}}]
    module = pipeline.generate(SQUARE | {"layers": layers}, target, readable=readable)
    report = found(module)
    assert report.right, str(report)
    assert report.parameters == ("f2.weight", "f2.bias")
    assert "the loss doesn't depend on f1.weight, f1.bias" in str(report)


def test_a_gradient_that_was_left_out_is_found() -> None:
    layers = [{"f1": {"dense": 4}}, {"f2": {"dense": 4, "from": "x"}}]
    module = pipeline.generate(SQUARE | {"layers": layers}, readable=True)
    [mutant] = mutants(module, (r'^        "f2.bias": db2,\n', ""))
    assert {wrong.parameter for wrong in found(mutant).mismatches} == {"f2.bias"}


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "hardtanh", "softshrink"])
@pytest.mark.parametrize("loss", ["l1", "huber", "hinge"])
def test_kinks_raise_no_false_alarm(activation: str, loss: str) -> None:
    layers = [{"f1": {"dense": 8, "activation": activation}}, {"f2": {"dense": 4}}]
    spec: dict[str, Any] = SQUARE | {"layers": layers, "loss": {loss: "t"}}
    report = check_text(pipeline.generate(spec), tuple(range(12)))
    assert report.right, str(report)


def test_a_start_exactly_on_a_kink_passes() -> None:
    start = {"weight": "zeros", "bias": "zeros"}
    layers = [
        {"f1": {"dense": 4, "activation": "relu", "init": start}},
        {"f2": {"dense": 4}},
    ]
    report = check_text(pipeline.generate(SQUARE | {"layers": layers}), (0, 1, 2))
    assert report.right, str(report)


def test_a_report_names_parameter_element_and_both_values() -> None:
    wrong = Mismatch("f1.weight", (3, 2), 0.5, -0.25)
    report = Report("net", ("f1.weight",), (0,), (wrong, replace(wrong, place=None)))
    assert not report.right
    for part in ("f1.weight", "[3, 2]", "0.5", "-0.25", "direction", "2 gradients"):
        assert part in str(report)
    with pytest.raises(UserError, match="nothing was written"):
        report.require("nothing was written")


def test_a_long_report_is_cut() -> None:
    wrong = Mismatch("f1.weight", (0, 0), 1.0, 2.0)
    shown = str(Report("net", ("f1.weight",), (0,), (wrong,) * 25))
    assert shown.count("derived") == 10
    assert "15 more" in shown


def test_a_right_report_asks_for_nothing() -> None:
    report = Report("net", ("f1.weight",), (0,), ())
    report.require("nothing was written")
    assert "right" in str(report)


def test_a_report_on_many_parameters_is_short() -> None:
    report = Report("net", tuple(f"f{k}.weight" for k in range(1, 51)), (0,), ())
    told = "f1.weight, f2.weight, f3.weight … f50.weight (50 in all) are right"
    assert str(report) == f"the gradients by {told}"


def test_nan_is_no_agreement() -> None:
    module = pipeline.generate(EXAMPLES / "chain.yaml", readable=True)
    [mutant] = mutants(module, (rf"^(    dW1 = )(.+?){END}", r"\1(\2) * np.nan"))
    assert not found(mutant).right


def test_what_has_no_check_is_refused() -> None:
    with pytest.raises(UserError, match="no gradients to check"):
        check(re)


def test_a_module_that_fails_is_refused_in_words() -> None:
    module = pipeline.generate(EXAMPLES / "chain.yaml", readable=True)
    [mutant] = mutants(module, (rf"^(    dW1 = )(.+?){END}", r"\1missing"))
    with pytest.raises(UserError, match="can't be computed: NameError"):
        found(mutant)
