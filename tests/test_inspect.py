"""A derivation as it is shown: what it says, and that text, LaTeX and JSON say the same."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sympy.core.parameters import distribute

from symback import pipeline
from symback.errors import UserError
from symback.inspect import FORMATS, Story, show, stages, story
from symback.inspect.latex import escaped, named
from symback.inspect.messages import Language, text
from symback.program import Role

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = ("linear", "chain", "xor", "moons", "iris", "digits", "own_formula")
ODD = {  # names with underscores and digits, branches, a root, two consumers, a smoothed target
    "model": "odd_2",
    "inputs": {"x_in": ["n", 3], "t_1": ["n", 3]},
    "functions": {"bent": {"args": ["u"], "formula": "where(u > 0, sqrt(1 + u**2), abs(u) / 3)"}},
    "layers": [
        {"a_b": {"dense": 3, "activation": "bent"}},
        {"c_d": {"dense": 3, "activation": "softmax"}},
        {"e_f": {"add": {}, "from": ["a_b", "c_d"]}},
    ],
    "loss": {"formula": "mean((y[n, k] - t_1[n, k])**4, n, k) + 0.1 * max(y[n, k]**2, n, k)"},
    "optimizer": {"sgd": {"lr": 0.1}},
}


def told(source: str | dict[str, Any], wrt: str = "") -> Story:
    chosen = EXAMPLES / f"{source}.yaml" if isinstance(source, str) else source
    return story(pipeline.derive(chosen), wrt)


def section(text: str, title: str) -> str:
    """Return the part of a page under a title, up to the next empty line."""
    return text.partition(f"\n{title}")[2].partition("\n\n")[0]


NORMED = {  # states, which a pass in training renews
    "model": "normed",
    "inputs": {"x": ["n", 3], "t": ["n", 1]},
    "layers": [{"f": {"dense": 4}}, {"b": {"batch_norm1d": None}}, {"g": {"dense": 1}}],
    "loss": {"mse": "t"},
    "optimizer": {"sgd": {"lr": 0.1}},
}


# ---------------------------------------------------------------- content


def test_the_ladder_of_the_first_weight_of_digits() -> None:
    ladder = section(show(told("digits"), steps=True), "∂L/∂W1, the gradient by f1.weight")
    rows = [" ".join(row.split()) for row in ladder.strip().splitlines()]
    assert rows == [
        "chain rule ∂L/∂W1[o,i] = Σ_{n,p} ∂L/∂z1[n,p]·∂z1[n,p]/∂W1[o,i]",
        "Through z1, W1 changes the loss: for each element of z1, how much the",
        "loss changes with it, times how much it changes with W1, all added",
        "up.",
        "SymPy's derivative ∂L/∂W1[o,i] = Σ_{n,p} ∂L/∂z1[n,p]·Σ_j x[n,j]·δ(i,j)·δ(o,p)",
        "∂z1/∂W1 worked out: an element differentiated by itself is 1, by any",
        "other 0, and δ says which.",
        "deltas used up ∂L/∂W1[o,i] = Σ_n ∂L/∂z1[n,o]·x[n,i]",
        "The sum over j collapses, because δ(i,j) is zero unless j = i.",
        "The sum over p collapses, because δ(o,p) is zero unless p = o.",
        "NumPy dW1 = dz1.T @ x",
    ]


def test_softmax_and_cross_entropy_come_to_p_minus_t() -> None:
    ladder = section(show(told("digits"), steps=True), "∂L/∂z2, the gradient by f2.z")
    order = (
        "δ(k,l)",
        "·Σ_l T[n,l] − T[n,k])/N",
        "Because Σ_l T[n,l] = 1.",
        "p has been computed already and is used again.",
        "dz2 = (p - T) / n",
    )
    places = [ladder.index(part) for part in order]
    assert places == sorted(places)
    assert "∂L/∂z2[n,k] = (p[n,k] − T[n,k])/N" in ladder


def test_forward_values_are_reused() -> None:
    ladder = section(show(told("chain"), steps=True), "∂L/∂z1, ")
    assert "(1 − tanh(z1[n,o])²)" in ladder
    assert "(1 − a1[n,o]²)" in ladder
    assert "a1 has been computed already and is used again." in ladder


def test_each_source_of_a_sum_is_told_apart() -> None:
    ladder = section(show(told("moons"), steps=True), "∂L/∂W1, ")
    assert "what reaches it through penalty" in ladder
    assert "what reaches it through f1" in ladder
    assert "∂L/∂W1[i,j] = 0.0002·W1[i,j] + Σ_n ∂L/∂z1[n,i]·x[n,j]" in ladder


@pytest.mark.parametrize("name", NAMES)
def test_equations_are_those_of_the_module(name: str) -> None:
    """What is shown as final is, letter by letter, what the emitted comments say."""
    shown = told(name)
    statements = (
        *shown.program.forward,
        *shown.program.loss,
        *shown.program.backward,
    )
    formulas = (*shown.forward, *shown.loss, *shown.backward)
    assert [formula.text for formula in formulas] == [each.because for each in statements]
    module = pipeline.generate(EXAMPLES / f"{name}.yaml", readable=True).text
    for formula in shown.backward:
        assert re.search(rf"^    {re.escape(formula.code)}( |$)", module, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_every_step_says_what_happened(name: str) -> None:
    for formula in told(name).backward:
        for part in formula.steps:
            kinds = [rung.kind for rung in part.ladder]
            assert kinds == sorted(kinds, key="chain raw contracted assumed reused".split().index)
            assert all(rung.words for rung in part.ladder[1:])
            if part.ladder and len(formula.steps) == 1:
                assert part.ladder[-1].rhs == part.rhs


def test_assumptions_and_kinks_are_listed() -> None:
    shown = show(told("digits"))
    assert "t holds the labels 0 … 9" in shown
    assert "relu at 0: slope 0" in shown


@pytest.mark.parametrize("units", [1, 2])
def test_a_softmax_over_one_output_is_pointed_out(units: int) -> None:
    net = {
        "inputs": {"x": ["n", 3], "t": ["n", units]},
        "layers": [{"f": {"dense": units}}],
        "loss": {"cross_entropy": "t"},
        "optimizer": "sgd",
    }
    told_so = "loss: a softmax over one value is always 1, its logarithm 0" in show(told(net))
    assert told_so == (units == 1)


# ---------------------------------------------------------------- one gradient


def test_what_a_state_becomes_is_in_every_format() -> None:
    shown = told(NORMED)
    lines = ["M2[c] ← 0.9·M2[c] + 0.1·m2[c]", "k2 ← k2 + 1"]
    header = pipeline.generate(NORMED, readable=True).text.partition("import")[0]
    with distribute(False):
        after = section(show(shown, "text"), "After each pass in training")
        kept = json.loads(show(shown, "json"))["renewal"]
        tex = show(shown, "latex").partition("After each pass in training")[2]
        pages = {language: show(shown, "html", language=language) for language in Language}
    for line in lines:
        assert line in after
        assert line in header
        assert line in [each["equation"] for each in kept]
    assert r"M_{2,c} &\leftarrow 0.9 \, M_{2,c} + 0.1 \, m_{2,c}" in tex
    for language, page in pages.items():
        part = page.partition('<section id="renewal"')[2].partition("</section>")[0]
        assert text("section.renewal", language) in part
        assert part.count("←") == 1 + len(shown.renewal)
        assert f"<td>{text('role.state', language)}</td>" in page
    assert "1 & \\mathrm{training}" in show(shown, "latex")
    assert "+ -" not in show(shown, "latex")


def test_wrt_shows_the_chain_from_the_loss_down() -> None:
    shown = told("chain", "f2.weight")
    assert [formula.name for formula in shown.backward] == ["dz3", "da2", "dz2", "dW2"]
    assert shown.gradients == (("f2.weight", "dW2"),)


@pytest.mark.parametrize("word", ["W2", "f2.weight"])
def test_wrt_takes_keys_and_names(word: str) -> None:
    assert told("chain", word) == told("chain", "f2.weight")


def test_wrt_takes_values_and_inputs() -> None:
    assert told("chain", "z1").backward[-1].name == "dz1"
    by_input = story(pipeline.derive(EXAMPLES / "chain.yaml", ["x"]), "x")
    assert by_input.backward[-1].text == "∂L/∂x[n,i] = Σ_o ∂L/∂z1[n,o]·W1[o,i]"


@pytest.mark.parametrize(
    ("word", "hint"),
    [("f1.wieght", "did you mean `f1.weight`?"), ("t", "f1.weight, f1.bias"), ("L", "f1.weight")],
)
def test_wrt_of_what_has_no_gradient(word: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        told("chain", word)
    assert hint in str(caught.value)


# ---------------------------------------------------------------- text


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", NAMES)
def test_text_fits_the_width(name: str, width: int) -> None:
    """A line is longer only where it holds one long word, which can't be broken."""
    for row in show(told(name), steps=True, width=width).splitlines():
        assert len(row) <= width or len(row.split()) <= 1, row


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_the_same_twice(name: str, form: str) -> None:
    assert show(told(name), form, steps=True) == show(told(name), form, steps=True)


# ---------------------------------------------------------------- JSON


@pytest.mark.parametrize("name", NAMES)
def test_json_says_what_the_text_says(name: str) -> None:
    shown = told(name)
    content = json.loads(show(shown, "json", steps=True))
    assert json.loads(json.dumps(content)) == content
    text = show(shown, width=10_000)
    for part in ("forward", "loss", "backward"):
        for row in content[part]:
            assert row["equation"] in text
    parameters = {tensor.key for tensor in shown.program.with_role(Role.PARAMETER)}
    assert set(content["gradients"]) == parameters
    names = {row["name"] for row in content["backward"]}
    assert set(content["gradients"].values()) <= names
    shapes = {tensor["name"]: tensor["shape"] for tensor in content["tensors"]}
    for key, adjoint in content["gradients"].items():
        [parameter] = [t for t in content["tensors"] if t["key"] == key]
        assert shapes[adjoint] == parameter["shape"]
    steps = [step for row in content["backward"] for term in row["terms"] for step in term["steps"]]
    assert {"chain", "raw", "contracted"} <= {step["kind"] for step in steps}
    assert "terms" not in json.loads(show(shown, "json"))["backward"][0]


# ---------------------------------------------------------------- LaTeX

COMMANDS = set(
    """documentclass usepackage begin end section subsection paragraph allowdisplaybreaks noindent
    exp frac partial sum prod sqrt left right max min log sin cos tan sinh cosh tanh arcsin arccos
    arctan operatorname mathrm mathit text texttt textgreater textless textbackslash item delta cdot
    pi le ge ne rightarrow pm dots surd textasciicircum textasciitilde""".split()
)


def latex(source: str | dict[str, Any]) -> str:
    return show(told(source), "latex", steps=True)


def opened_and_closed(text: str) -> None:
    """Assert that braces, environments and \\left … \\right are nested as they must be."""
    waiting: list[str] = []
    tokens = r"\\begin\{(\w+\*?)\}|\\end\{(\w+\*?)\}|\\(left|right)\b|\\.|([{}])"
    for match in re.finditer(tokens, text):
        begun, ended, side, brace = match.groups()
        opens = begun or ("left" if side == "left" else "") or ("{" if brace == "{" else "")
        closes = ended or ("left" if side == "right" else "") or ("{" if brace == "}" else "")
        if opens:
            waiting.append(opens)
        elif closes:
            assert waiting, text[: match.end()][-80:]
            assert waiting.pop() == closes, text[: match.end()][-80:]
    assert not waiting


@pytest.mark.parametrize("source", [*NAMES, ODD], ids=[*NAMES, "odd"])
def test_latex_is_well_formed(source: str | dict[str, Any]) -> None:
    text = latex(source)
    assert text.isascii()
    assert text.startswith("\\documentclass")
    assert text.rstrip().endswith("\\end{document}")
    opened_and_closed(text)
    assert set(re.findall(r"\\([A-Za-z]+)", text)) <= COMMANDS | {"alpha", "beta"}
    assert "?" not in text  # what there is no sign for
    outside = re.sub(r"\\begin\{align\}.*?\\end\{align\}|\$[^$]*\$", "", text, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)[_^&#%]", outside)


@pytest.mark.parametrize("source", [*NAMES, ODD], ids=[*NAMES, "odd"])
def test_latex_compiles(source: str | dict[str, Any], tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex")
    (tmp_path / "net.tex").write_text(latex(source), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "net.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_latex_says_it_as_mathematicians_write_it() -> None:
    text = latex("digits")
    for part in (
        r"\frac{\partial L}{\partial W_{1,oi}} &= \sum_{np} \frac{\partial L}{\partial z_{1,np}}",
        r"\delta_{ij} \, \delta_{op}",
        r"&= \frac{p_{nk} - T_{nk}}{N} && \text{forward values reused}",
        r"The sum over $j$ collapses, because $\delta_{ij}$ is zero unless $j = i$.",
        r"\texttt{dW1 = dz1.T @ x}",
    ):
        assert part in text


def test_latex_has_the_terms_in_the_order_of_the_text() -> None:
    """1 − a² and b·c keep their order, since both are ordered in one place."""
    shown = told("own_formula")
    with distribute(False):
        text = show(shown, "text")
        drawn = show(shown, "latex")
    assert "2·sin2[n,o]·cos(z2[n,o]) + 1" in text
    assert r"2 \, \mathrm{sin}_{2,no} \, \cos(z_{2,no}) + 1" in drawn


@pytest.mark.parametrize(
    ("name", "subscript", "shown"),
    [
        ("W1", "", "W_{1}"),
        ("W1", "oi", "W_{1,oi}"),
        ("x", "ni", "x_{ni}"),
        ("dW1", "", r"\frac{\partial L}{\partial W_{1}}"),
        ("dW1", "oi", r"\frac{\partial L}{\partial W_{1,oi}}"),
        ("delta2", "", r"\delta_{2}"),
        ("sp2", "no", r"\mathrm{sp}_{2,no}"),
        ("t_1", "n", "t_{1,n}"),
        ("e_f_W3_", "", r"\mathrm{e\_f\_W}_{3}"),
        ("W1_2", "oi", "W_{1,2,oi}"),
        ("u0_1", "", "u_{0,1}"),
        ("z3_x1x1", "n", r"z_{3,\mathrm{x1x1},n}"),
    ],
)
def test_latex_names(name: str, subscript: str, shown: str) -> None:
    assert named(name, {"dW1": "W1"}, subscript) == shown


def test_latex_escapes_everything() -> None:
    nasty = r"\input{/etc/passwd} $x$ % # & _ ^ ~ < >" + "\n\0😀"
    shown = escaped(nasty)
    assert shown.isascii()
    assert "\\input" not in shown
    assert not re.search(r"(?<!\\)[$%#&_^~<>]", shown)
    opened_and_closed(shown)


# ---------------------------------------------------------------- stages


@pytest.mark.parametrize("name", NAMES)
def test_stages_tell_the_whole_way(name: str) -> None:
    spec = pipeline.load(EXAMPLES / f"{name}.yaml")
    page = stages.page(spec, pipeline.generate(spec))
    for title in ("Spec\n", "Graph\n", "Derivation\n", "Program\n", "Module\n"):
        assert title in page
    for line in told(name).backward:
        assert f"backward: {line.text}" in page
    assert "|n|" not in page
