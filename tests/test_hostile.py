"""Whatever a spec holds, it gets a clear error: nothing of it runs, and nothing is written."""

import json
import string
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symback import graph
from symback.errors import UserError
from symback.spec import from_mapping, load, parse

TRACE = "trace_of_an_attack"  # what a payload that runs would leave in the working folder
PAYLOAD = f"__import__('pathlib').Path('{TRACE}').touch()"

BASE: dict[str, Any] = {
    "inputs": {"x": ["n", 4], "t": ["n", 2]},
    "layers": [{"f1": {"dense": 2}}],
    "loss": {"mse": "t"},
    "optimizer": "sgd",
}

FORMULAS = [
    PAYLOAD,
    f"exec({PAYLOAD!r})",
    f"eval({PAYLOAD!r})",
    f'x[n, k] + eval("{PAYLOAD}")',
    f"open('{TRACE}', 'w')",
    "x.__class__.__mro__[1].__subclasses__()",
    "x[n, k].real",
    "().__class__.__bases__[0]",
    "(lambda: 1)()",
    "[c for c in x]",
    "{x: 1}",
    "f'{x}'",
    "'text'",
    "b'bytes'",
    "x[n, k] if x else 0",
    "(x := 1)",
    "*x",
    "x @ x",
    "x[n, k] // 2",
    "x[n, k] % 2",
    "x[n, k] << 99",
    "x[n, k] is x[n, k]",
    "sum(x[n, k], n=1)",
    "sum(*x)",
    "exp(**x)",
    "await x",
    "yield x",
    "import os",
    "x[n, k]; import os",
    "del x",
    "assert x",
    "x[n, k] = y[n, k] = 1",
    "9**9**9",
    "9**9**9**9 * x[n, k]",
    "x[n, k] ** 10**10",
    "x[n, k] ** 65",
    "exp(exp(exp(9))) * x[n, k]",
    "maximum(x[n, k], exp(exp(exp(9))))",
    "where(exp(exp(exp(9))) > 1, x[n, k], 0)",
    "1/0 * x[n, k]",
    "log(0) * x[n, k]",
    "sqrt(-1) * x[n, k]",
    "1e999 * x[n, k]",
    "1j * x[n, k]",
    "x[n, k] * 99999999999999999999",
    "(" * 60 + "x[n, k]" + ")" * 60 + "[",
    "tanh(" * 60 + "x[n, k]" + ")" * 60,
    "-" * 500 + "x[n, k]",
    "x[n, k]" + " + x[n, k]" * 300,
    "x[n, k] + " * 300,
    "x[n, k" + ", k" * 200 + "]",
    "x[n, x[n, x[n, x[n, k]]]]",
    "x[n, 1.5]",
    "x[n, k:2]",
    "x[n, 'k']",
    "x[9**9**9, k]",
    "\uff45\uff58\uff45\uff43(x[n, k])",  # exec in fullwidth letters, which Python would fold
    "\u0445[n, k]",  # a Cyrillic x
    "x[n, k] \u2212 1",
    "x[n, k]\u202e",
    "x[n, k] # comment\nimport os",
    "x[n, k]\\\n",
    "",
    " ",
    "=",
    "h[n, k] =",
    "h = h = 1",
    "\x00",
    "x" * 2001,
    "__builtins__",
    "np.load('x')",
    "sympify('1')",
    "Symbol('x')",
    "oo",
    "nan",
    "None",
    "...",
    "print(x)",
    "size(9**9)",
    "sum(x[n, k], 3)",
    "sum(x[n, k])",
    "softmax(x[n, k], n + k)",
]

NAMES = [
    "f\nimport os",
    "f;import os",
    "f'",
    'f"',
    "f`",
    "f\\",
    "f#",
    "f.weight",
    "f[0]",
    "f()",
    "{f}",
    "{{ f }}",
    "{% f %}",
    "%s",
    "../f",
    "",
    " ",
    "1",
    "__f__",
    "__class__",
    "_",
    "lambda",
    "None",
    "True",
    "np",
    "numpy",
    "math",
    "builtins",
    "params",
    "forward",
    "f\u0430",  # a Cyrillic a
    "\uff46",  # a fullwidth f
    "\u00b2",
    "f\u200b",
    "f\x00",
    "f" * 41,
]


@pytest.fixture(autouse=True)
def _in_a_folder_that_stays_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    yield
    assert list(empty.iterdir()) == []


def refuse(mapping: dict[str, Any]) -> None:
    """Assert that a spec is refused, as text and from Python, in words."""
    with pytest.raises(UserError) as caught:
        graph.build(parse(json.dumps(mapping)))  # JSON is YAML
    assert all(mistake.message for mistake in caught.value.mistakes)
    with pytest.raises(UserError):
        graph.build(from_mapping(mapping))


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda text: ascii(text)[:40])
def test_a_layer(formula: str) -> None:
    refuse(BASE | {"layers": [{"f1": {"formula": f"h[n, k] = {formula}"}}]})
    refuse(BASE | {"layers": [{"f1": {"formula": formula}}]})


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda text: ascii(text)[:40])
def test_a_loss(formula: str) -> None:
    refuse(BASE | {"loss": {"formula": f"mean(({formula}) * y[n, k] * t[n, k], n, k)"}})


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda text: ascii(text)[:40])
def test_an_optimiser_and_a_schedule(formula: str) -> None:
    refuse(BASE | {"optimizer": {"formula": f"w = w - ({formula})", "constants": {"lr": 0.1}}})
    refuse(BASE | {"schedule": {"formula": f"lr = {formula}"}})


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda text: ascii(text)[:40])
def test_a_function(formula: str) -> None:
    layer = {"f1": {"dense": 2, "activation": "own"}}
    refuse(BASE | {"functions": {"own": {"args": ["u"], "formula": formula}}, "layers": [layer]})


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda text: ascii(text)[:40])
def test_a_start(formula: str) -> None:
    refuse(BASE | {"layers": [{"f1": {"dense": 2, "init": {"weight": formula}}}]})
    refuse(BASE | {"layers": [{"f1": {"dense": 2, "init": f"uniform(0, {formula})"}}]})


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name(name: str) -> None:
    formula = "h[n, k] = sum(W[k, i]*x[n, i], i)"
    parameters = {name: {"shape": [2, 4], "init": "zeros"}}
    refuse(BASE | {"inputs": BASE["inputs"] | {name: ["n", 1]}})
    refuse(BASE | {"inputs": {"x": [name, 4], "t": [name, 2]}})
    refuse(BASE | {"layers": [{name: {"dense": 2}}]})
    refuse(BASE | {"layers": [{"f1": {"formula": formula, "parameters": parameters}}]})
    refuse(BASE | {"layers": [{"f1": {"formula": "h[n, k] = x[n, k]", "constants": {name: 1}}}]})
    refuse(BASE | {"functions": {name: {"args": ["u"], "formula": "u"}}})
    refuse(BASE | {"functions": {"own": {"args": [name], "formula": "1"}}})
    refuse(BASE | {"optimizer": {"formula": "w = w - g", "state": {name: 0}}})
    refuse(BASE | {"layers": [{"f1": {"dense": 2, "from": name}}]})
    refuse(BASE | {"loss": {"mse": name}})
    refuse(BASE | {"layers": [{"f1": {name: 2}}]})
    refuse(BASE | {"layers": [{"f1": {"dense": 2, "activation": name}}]})
    refuse(BASE | {"metrics": [name]})
    refuse(BASE | {name: 1})


@pytest.mark.parametrize("name", ["m\nimport os", "a/b", "../m", "os", "random", "", "m'", '"""'])
def test_the_name_of_the_model(name: str) -> None:
    refuse(BASE | {"model": name})


YAML = {
    "an alias bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n",
    "an alias of itself": "a: &a [*a]\n",
    "a merge": "a: &a {x: 1}\nb: {<<: *a}\n",
    "a Python object": f"model: !!python/object/apply:os.system ['touch {TRACE}']\n",
    "a Python name": "model: !!python/name:os.system\n",
    "a tag of its own": "model: !run x\n",
    "a directive": "%TAG ! tag:yaml.org,2002:python/\n---\nmodel: !object x\n",
    "two documents": "model: a\n---\nmodel: b\n",
    "a repeated key": "model: a\nmodel: b\n",
    "a repeated key, written otherwise": 'model: a\n"mod\\u0065l": b\n',
    "lists too deep": "a: " + "[" * 3000,
    "mappings too deep": "a: " + "{a: " * 3000,
    "rows too deep": "".join(" " * k + "a:\n" for k in range(200)),
    "dashes too deep": "- " * 3000,
    "a large text": "model: " + "m" * 65_536,
    "a large comment": "# " + "c" * 65_536,
    "a large number": "model: " + "9" * 60_000,
    "a number too large": "train: {tolerance: 1e999}\n",
    "no number": "train: {tolerance: .nan}\n",
    "a tab": "model:\tm\n",
    "a bell": "model: \x07\n",
    "an escape": "model: \x1b[2J\n",
    "a null": "model: \x00\n",
    "text turned round": "model: \u202em\n",
    "a surrogate": "model: \ud800\n",
    "a surrogate escaped": 'model: "\\ud800"\n',
    "a list": "[1, 2]\n",
    "a number": "3\n",
    "nothing": "",
    "blanks": " \n\n",
    "a key that is a list": "? [a]\n: b\n",
    "a key that is nothing": "? \n: b\n",
    "an open bracket": "a: [1\n",
    "an open quote": "a: 'x\n",
    "only a colon": ":\n",
    "only a star": "*",
    "only an ampersand": "&",
    "only a percent": "%",
    "an escape that is none": 'a: "\\q"\n',
    "a character out of range": 'a: "\\UFFFFFFFF"\n',
}


@pytest.mark.parametrize("text", YAML.values(), ids=YAML.keys())
def test_yaml(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        parse(text)
    path = tmp_path / "spec.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError):
        load(path)


def test_files_that_are_no_specs(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("model: caf\u00e9\n".encode("latin-1"))
    (tmp_path / "wide.yaml").write_text("model: m\n", encoding="utf-16")
    (tmp_path / "large.yaml").write_bytes(b"#" * 10**6)
    (tmp_path / "circle.yaml").symlink_to(tmp_path / "circle.yaml")
    (tmp_path / "locked").mkdir()
    for name in (
        *(each.name for each in tmp_path.iterdir()),
        "none.yaml",
        "none/none.yaml",
        "a\x00b",
        "n" * 5000,
    ):
        with pytest.raises(UserError):
            load(tmp_path / name)


SIZES: dict[str, dict[str, Any]] = {
    "an input": {"inputs": {"x": ["n", 10**9], "t": ["n", 2]}},
    "an image": {"inputs": {"x": ["n", *[1000] * 6], "t": ["n", 2]}},
    "a layer": {"layers": [{"f1": {"dense": 10**12}}]},
    "a parameter": {
        "layers": [
            {
                "f1": {
                    "formula": "h[n, k] = sum(W[k, i]*x[n, i], i)",
                    "parameters": {"W": {"shape": [10**9, 4], "init": "zeros"}},
                }
            }
        ]
    },
    "a negative layer": {"layers": [{"f1": {"dense": -1}}]},
    "a layer that is no number": {"layers": [{"f1": {"dense": float("nan")}}]},
    "a layer without end": {"layers": [{"f1": {"dense": float("inf")}}]},
    "labels": {"inputs": {"x": ["n", 4], "t": {"shape": ["n"], "classes": 10**12}}},
    "layers": {"layers": [{f"f{k}": {"dense": 2}} for k in range(1001)]},
    "epochs": {"train": {"epochs": 10**12}},
    "a rate": {"optimizer": {"sgd": 10**400}},
    "a start": {"layers": [{"f1": {"dense": 2, "init": {"bias": [[[0.0]]]}}}]},
}


@pytest.mark.parametrize("change", SIZES.values(), ids=SIZES.keys())
def test_a_size(change: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        graph.build(from_mapping(BASE | change))


PATHS = ["/etc/passwd", "../x.csv", "a/../../x.csv", "..", "C:\\x.csv", "\\\\host\\x", "..\\x", ""]
PATHS += ["\n", "x\x00.csv", "x\n.csv", "n" * 5000]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ascii(path)[:20])
def test_a_path(path: str) -> None:
    for kind in ("csv", "npz"):
        refuse(BASE | {"data": {kind: path, "x": "a:d", "t": "e:f"}})


def test_objects_from_python() -> None:
    circle: dict[str, Any] = dict(BASE)
    circle["inputs"] = circle
    values: list[Any] = [
        circle,
        BASE | {"model": object()},
        BASE | {"layers": {1, 2}},
        {},
        [],
        None,
    ]
    for value in [*values, BASE | {"model": "a\x1b"}, BASE | {3: 4}]:
        with pytest.raises(UserError):
            from_mapping(value)


PIECES = ["x[n, k]", "n", "k", "t", "+", "*", "**", "(", ")", ",", "9", "exp", "sum", "[", "]", "."]
PIECES += [
    "=",
    "where",
    "-",
    "'",
    ":",
    "lambda",
    "size",
    "...",
    "1e308",
    "/",
    "0",
    " ",
    "\n",
    "not",
]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_formulas_of_any_pieces(pieces: list[str]) -> None:
    mapping = BASE | {"layers": [{"f1": {"formula": "h[n, k] = " + "".join(pieces)}}]}
    with suppress(UserError):  # nothing else may be raised
        graph.build(from_mapping(mapping))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_specs_with_any_character_changed(data: st.DataObject) -> None:
    text = json.dumps(BASE, indent=1)
    at = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.text(alphabet=string.printable, max_size=3))
    with suppress(UserError):  # nothing else may be raised
        graph.build(parse(text[:at] + new + text[at + 1 :]))
