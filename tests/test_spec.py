"""A spec is read as it was meant, and each mistake in it is shown where it stands."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from symback import catalog
from symback.catalog.entry import Entry, Kind, Option
from symback.errors import Mistake, UserError
from symback.program import Training
from symback.source import scan
from symback.spec import Choice, Input, OwnParameter, Rule, from_mapping, load, parse, schema
from symback.spec.written import TrainForm

PLAIN = """\
model: digits
inputs:
  x: [n, 64]                       # n is the batch axis
  t: {shape: [n], classes: 10}
layers:
  - f1: {dense: 128, activation: tanh}
  - f2: {dense: 10}
loss: {cross_entropy: t}
optimizer: {adam: {lr: 0.001}}
train: {epochs: 20, batch_size: 32, clip_norm: 1.0, tolerance: 1.0e-6, seed: 0}
data: {csv: digits.csv, x: "p0:p63", t: digit}
"""

OWN = """\
inputs: {x: [n, 2], t: [n, 32]}
functions:
  bend: {args: [u], formula: u * tanh(log(1 + exp(u)))}
layers:
  - siren:
      formula: h[n, k] = sin(w0 * (sum(W[k, i] * x[n, i], i) + b[k]))
      parameters: {W: {shape: [32, 2], init: "uniform(-0.5, 0.5)"}, b: {shape: [32], init: zeros}}
      constants: {w0: 30}
      activation: bend
loss: {formula: "mean((y[n, k] - t[n, k])**2, n, k)", l2: 1e-4}
optimizer: {formula: [m = beta*m + g, w = w - lr*m], state: {m: 0}, constants: {lr: 0.1, beta: 0.9}}
schedule: {formula: lr = base * (1 - 0.9*epoch/100), per: step}
"""

MAPPING: dict[str, Any] = {
    "inputs": {"x": ["n", 4], "t": ["n", 2]},
    "layers": [{"f1": {"dense": 2}}],
    "loss": {"mse": "t"},
    "optimizer": "sgd",
}


def refused(text: str) -> tuple[Mistake, ...]:
    with pytest.raises(UserError) as caught:
        parse(text, "model.yaml")
    return caught.value.mistakes


def only(text: str) -> Mistake:
    mistakes = refused(text)
    assert len(mistakes) == 1, "\n".join(map(str, mistakes))
    return mistakes[0]


def marked(mistake: Mistake) -> str:
    """Return the text above the caret."""
    assert mistake.column is not None
    return mistake.row[mistake.column - 1 : mistake.column - 1 + mistake.length]


def test_plain_spec_is_read() -> None:
    spec = parse(PLAIN)
    assert spec.model == "digits"
    assert spec.inputs == (Input("x", ("n", 64)), Input("t", ("n",), 10))
    assert [layer.name for layer in spec.layers] == ["f1", "f2"]
    assert spec.layers[0].kind == Choice("dense", (("units", 128),))
    assert spec.layers[0].activation == Choice("tanh")
    assert [(term.choice, term.operands) for term in spec.loss] == [
        (Choice("cross_entropy"), (("target", "t"),))
    ]
    assert spec.optimizer.choice == Choice("adam", (("lr", 0.001),))
    assert spec.training == Training(clip_norm=1.0, tolerance=1e-6)
    assert spec.data is not None
    assert [column.names for column in spec.data.columns] == [("p0:p63",), ("digit",)]


def test_formulas_of_ones_own_are_read() -> None:
    spec = parse(OWN)
    (layer,) = spec.layers
    assert layer.kind is None
    assert layer.formulas[0].startswith("h[n, k] = sin(")
    assert layer.parameters == (
        OwnParameter("W", (32, 2), "uniform(-0.5, 0.5)"),
        OwnParameter("b", (32,), Choice("zeros")),
    )
    assert layer.constants == (("w0", 30.0),)
    assert layer.activation == Choice("bend")
    assert spec.loss[0].formula == "mean((y[n, k] - t[n, k])**2, n, k)"
    assert spec.loss[0].l2 == 1e-4
    assert spec.optimizer == Rule(
        None,
        ("m = beta*m + g", "w = w - lr*m"),
        (("m", 0.0),),
        (("lr", 0.1), ("beta", 0.9)),
        "step",
    )
    assert spec.schedule == (Rule(None, ("lr = base * (1 - 0.9*epoch/100)",), per="step"),)


@pytest.mark.parametrize(
    ("init", "read"),
    [
        ("xavier_uniform", (("", Choice("xavier_uniform")),)),
        ("{kaiming_uniform: {a: 0.2}}", (("", Choice("kaiming_uniform", (("a", 0.2),))),)),
        ('"normal(0, 1/sqrt(fan_in))"', (("", "normal(0, 1/sqrt(fan_in))"),)),
        (
            "{weight: [[1, 2], [3, 4]], bias: [0, 0.5]}",
            (("weight", ((1.0, 2.0), (3.0, 4.0))), ("bias", (0.0, 0.5))),
        ),
        ("{bias: {constant: 0.1}}", (("bias", Choice("constant", (("value", 0.1),))),)),
    ],
)
def test_starts(init: str, read: object) -> None:
    spec = parse(PLAIN.replace("{dense: 10}", f"{{dense: 10, init: {init}}}"))
    assert spec.layers[1].init == read


def test_the_train_form_has_every_setting_of_the_loop_and_its_default() -> None:
    assert Training(**TrainForm().model_dump()) == Training()
    assert set(TrainForm.model_fields) == {field.name for field in dataclasses.fields(Training)}


@pytest.mark.parametrize("size", ["all", "null"])
def test_the_whole_data_as_one_batch(size: str) -> None:
    assert parse(PLAIN.replace("batch_size: 32", f"batch_size: {size}")).training.batch_size is None


def test_the_batch_may_have_any_name() -> None:
    text = PLAIN.replace("[n, 64]", "[batch, 64]").replace("[n]", "[batch]")
    assert parse(text, "digits.yaml") == parse(PLAIN, "digits.yaml")


def test_a_list_of_nothing() -> None:
    with pytest.raises(UserError, match="`layers` must be a list of one or more, not empty"):
        from_mapping(MAPPING | {"layers": []})


def test_from_python_is_the_same_spec() -> None:
    text = json.dumps(MAPPING)  # JSON is YAML
    assert from_mapping(MAPPING).digest == parse(text).digest
    assert from_mapping(MAPPING).layers == parse(text).layers


def test_digest_is_of_the_content() -> None:
    digest = parse(PLAIN).digest
    assert parse("# a comment\n" + PLAIN.replace("0.001", "1e-3"), "other").digest == digest
    assert parse(PLAIN.replace("{adam: {lr: 0.001}}", "{adam: 0.001}")).digest == digest
    assert parse(PLAIN.replace("tanh", "relu")).digest != digest
    assert len(digest) == 64


def test_load_names_the_file_and_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "digits.yaml"
    path.write_text(PLAIN)
    spec = load(path)
    assert (spec.source, spec.folder) == ("digits.yaml", str(tmp_path))
    with pytest.raises(UserError, match=r"did you mean `digits\.yaml`"):
        load(tmp_path / "digit.yaml")


# ---------------------------------------------------------------- YAML


def test_scalars_are_those_of_yaml_1_2() -> None:
    text = "[1e-3, 010, off, yes, no, True, ~, true, null, 5., .5, '1', 1_0, 0x10]"
    read = [0.001, 10, "off", "yes", "no", "True", "~", True, None, 5.0, 0.5, "1", "1_0", "0x10"]
    value = scan(text, "").value
    assert value == read
    assert isinstance(value, list)
    assert [type(each) for each in value] == [type(each) for each in read]


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("sin(w0 * zz)", "zz"),
        ('"sin(w0 * zz)"', "zz"),
        ('"\\x73in(\\u0077\\t0 * zz)"', "zz"),
        ("'sin(''w0'' * zz)'", "zz"),
        ("sin(w0\n     * zz)", "zz"),
        (">\n     sin(w0\n     * zz) + 1\n", "zz"),
        ("|\n     sin(w0\n       * zz) + 1\n", "zz"),
        ('"sin(w0 \\\n     * zz)"', "zz"),
    ],
)
def test_the_caret_stands_below_the_character_of_a_formula(written: str, word: str) -> None:
    document = scan(f"a:\n  - f: {written}\n", "m.yaml")
    value = document.find(("a", 0, "f"))
    assert isinstance(value, str)
    at = Mistake("", ("a", 0, "f"), offset=value.index(word), length=len(word))
    assert marked(document.locate(at)) == word


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("a: {formula: h[n, k] = 3}", "[", "inside { } or [ ] a formula needs quotes"),
        ("a: {b: 1\nc: 2", "{", "a bracket isn't closed"),
        ("a:\n- [1, [2, 3]\n- 4", "[", "a bracket isn't closed"),
        ("a: b: c", ":", "put quotes around the text"),
        ("a: @x", "@", "put quotes around the text"),
        ("a: 'x", "'", "the quotes are never closed"),
        ("a:\n\tb: 1", "\t", "use spaces"),
        ("a:\n  b: 1\n c: 2", "c", "isn't indented like those around it"),
        ("a: 1\nb: 2\na: 3", "a", "given twice; the first is in line 1"),
        ("a: &x 1", "&x 1", "an anchor"),
        ("a: !!int 1", "!!int 1", "a tag"),
        ("a: 1\n---\nb: 2", "---", "a second document"),
    ],
)
def test_what_is_no_yaml_of_a_spec_is_explained(text: str, at: str, words: str) -> None:
    mistake = next(each for each in refused(text) if words in str(each))
    assert marked(mistake) == at


def test_locate_points_into_a_formula_of_the_spec() -> None:
    spec = parse(OWN, "own.yaml")
    text = spec.layers[0].formulas[0]
    path = ("layers", 0, "siren", "formula", 0)  # a single formula may be counted, too
    mistake = spec.locate(Mistake("no such tensor", path, offset=text.index("b[k]"), length=1))
    assert (mistake.source, mistake.line, mistake.column) == ("own.yaml", 6, 64)
    assert marked(mistake) == "b"
    assert str(mistake).splitlines()[-1] == "    " + " " * 63 + "^"


def test_locate_in_a_spec_from_python_shows_the_formula() -> None:
    formula = "z[n, k] = 2 * q[n, k]"
    mapping = MAPPING | {"layers": [{"f1": {"formula": formula}}]}
    mistake = from_mapping(mapping).locate(
        Mistake("no `q`", ("layers", 0, "f1", "formula"), offset=formula.index("q"))
    )
    assert mistake.row == formula
    assert marked(mistake) == "q"
    assert "layers[0].f1.formula" in mistake.source


# ---------------------------------------------------------------- mistakes

NEAR = [  # a typo, where the caret stands, what is meant
    (("tanh", "tahn"), "tahn", "tanh"),
    (("{dense: 10}", "{dens: 10}"), "dens", "dense"),
    (("cross_entropy", "cross_entrpy"), "cross_entrpy", "cross_entropy"),
    (("adam", "adm"), "adm", "adam"),
    (("lr:", "lrr:"), "lrr", "lr"),
    (("epochs", "epoch"), "epoch", "epochs"),
    (("optimizer", "optimiser"), "optimiser", "optimizer"),
    (("{dense: 10}", "{dense: 10, from: f}"), "f", "f1"),
    (("classes", "clases"), "clases", "classes"),
    (("cross_entropy: t", "cross_entropy: tt"), "tt", "t"),
    (("{dense: 10}", "{dense: 10, init: zero}"), "zero", "zeros"),
    (("{dense: 10}", "{dense: 10, init: {wieght: zeros}}"), "wieght", "weight"),
    (("train:", "metrics: [acuracy]\ntrain:"), "acuracy", "accuracy"),
    (("train:", "schedule: {cosin: 3}\ntrain:"), "cosin", "cosine"),
    (("loss: {", "loss: {penalise: f1.weigth, "), "f1.weigth", "f1.weight"),
]


@pytest.mark.parametrize(("change", "at", "meant"), NEAR, ids=[meant for _, _, meant in NEAR])
def test_a_typo_is_shown_with_what_was_meant(change: tuple[str, str], at: str, meant: str) -> None:
    mistake = only(PLAIN.replace(*change))
    assert marked(mistake) == at
    assert f"did you mean `{meant}`?" in mistake.hint


WRONG = [  # a change, the text above the caret, words of the message or the hint
    (("128", "0"), "0", "a whole number, from 1 to 1,000,000,000, not 0"),
    (("128", "2.5"), "2.5", "whole number"),
    (("128", "'128'"), "'128'", "without quotes: 128"),
    (("lr: 0.001", "lr: -1"), "-1", "0 or more"),
    (("lr: 0.001", "lr: .nan"), ".nan", "number"),
    (("epochs: 20", "epochs: ten"), "ten", "whole number"),
    (("epochs: 20", "shuffle: yes"), "yes", "write true"),
    (("epochs: 20", "validation: 1.5"), "1.5", "0 or more and below 1"),
    (("epochs: 20", "clip_value: 0"), "0", "above 0"),
    (("[n, 64]", "[64]"), "64", "write [n, 64]"),
    (("[n, 64]", "[n, k]"), "k", "whole number"),
    (("[n, 64]", "[m, 64]"), "n", "write m"),
    (("f2", "f1"), "f1", "already a layer"),
    (("f2", "x"), "x", "already an input"),
    (("f2", "loss"), "loss", "the generated module"),
    (("f2", "lambda"), "lambda", "a word of Python"),
    (
        ("data: {", "functions: {len: {args: [u], formula: u}}\ndata: {"),
        "len",
        "Python's own functions",
    ),
    (("f2", "_f"), "_f", "underscore"),
    (("f2", "f-2"), "f-2", "no name"),
    (("f2", "fé"), "fé", "U+00E9"),
    (("digits\n", "random\n"), "random", "hide Python's own"),
    (("{dense: 10}", "{dense: 10, from: f2}"), "f2", "can't read itself"),
    (("activation: tanh", "from: f2"), "f2", "comes later"),
    (("{dense: 10}", "{dense: 10, bias: false}"), "bias", "dense: {units: …, bias: …}"),
    (("{dense: 10}", "{dense: 10, flatten: }"), "flatten", "one layer at a time"),
    (("{dense: 10}", "{dense: 10, constants: {a: 1}}"), "constants", "goes with a `formula`"),
    (("{dense: 10}", "{dense: 10, init: [[1, 2], [3]]}"), "init", "different lengths"),
    (("activation: tanh", "activation: {tanh: {a: 1}}"), "a", "`tanh` has no options"),
    (("digits.csv", "/etc/passwd"), "/etc/passwd", "absolute"),
    (("digits.csv", "../digits.csv"), "../digits.csv", "leads out of it"),
    (("t: digit}", "t: digit, standardise: t}"), "t", "labels"),
    (('csv: digits.csv, x: "p0:p63"', "npz: d.npz, x: [a, b]"), "x", "one array of an .npz"),
    (("csv: digits.csv, ", ""), "data", "give one file"),
    (
        ("{cross_entropy: t}", "{cross_entropy: t, label_smoothing: 0.1}"),
        "label_smoothing",
        "cross_entropy: {target: …, label_smoothing: …}",
    ),
    (("{adam: {lr: 0.001}}", "{adam: {lr: 0.1}, sgd: 1}"), "sgd", "one optimizer at a time"),
    (("{adam: {lr: 0.001}}", "{}"), "optimizer", "give a formula or one of: sgd, adam"),
    (("  - f2: {dense: 10}", "  - f2:\n    dense: 10"), "f", "indent dense further"),
    (("{dense: 10}", "{dense:10}"), "dense:10", "a space after the colon: `dense: 10`"),
    (("{cross_entropy: t}", "cross_entropy"), "cross_entropy", "write {cross_entropy: t}"),
    (("x: [n, 64]", "x: 64"), "64", "write [n, 64]"),
    (("epochs: 20", "shuffle: 'false'"), "'false'", "without quotes: false"),
    (("f2: {dense: 10}", "dense: 10"), "d", "write `- f1: {dense: 10}`"),
    (("f2: {dense: 10}", "flatten:"), "f", "write `- f1: flatten`"),
    (("{dense: 10}", "10"), "10", "softmax … (`symback catalog` lists all)"),
]


@pytest.mark.parametrize(("change", "at", "words"), WRONG, ids=[words for _, _, words in WRONG])
def test_a_mistake_says_what_is_wrong_and_what_would_be_right(
    change: tuple[str, str], at: str, words: str
) -> None:
    mistake = only(PLAIN.replace(*change, 1))
    assert marked(mistake) == at
    assert words in str(mistake)


@pytest.mark.parametrize("key", ["inputs", "layers", "loss", "optimizer"])
def test_a_part_that_is_missing_is_asked_for(key: str) -> None:
    lines = json.loads(json.dumps(MAPPING))
    del lines[key]
    with pytest.raises(UserError, match=f"`{key}` is missing"):
        from_mapping(lines)


def test_all_mistakes_are_shown_at_once_in_the_order_of_the_file() -> None:
    text = PLAIN
    for change, _, _ in (*NEAR[:4], NEAR[5]):
        text = text.replace(*change)
    mistakes = refused(text + "model: again\n")
    assert len(mistakes) == 6
    assert [each.line for each in mistakes] == sorted(each.line or 0 for each in mistakes)
    assert "given twice" in mistakes[-1].message


def test_what_is_alike_is_told_once_and_ten_at_the_most() -> None:
    layers = "\n".join(f"  - g{k}: {{dens: 4, activation: tahn}}" for k in range(12))
    with pytest.raises(UserError) as caught:
        parse(PLAIN.replace("  - f2: {dense: 10}", layers), "model.yaml")
    told = str(caught.value)
    assert len(caught.value.mistakes) == 24
    assert told.count("unknown activation `tahn`") == told.count("`dens`") == 1
    assert told.count("the same at 8:") == 2
    assert told.count("and 1 more") == 2
    many = UserError(*(Mistake(f"number {k}") for k in range(15)))
    assert str(many).splitlines() == [*(f"number {k}" for k in range(10)), "… and 5 more"]


def test_a_file_is_near_by_its_name_not_by_its_ending(tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").write_text(PLAIN)
    (tmp_path / "digits.csv").write_text("")
    for name, told in (("digits", True), ("digit.yaml", True), ("waves.yaml", False)):
        with pytest.raises(UserError) as caught:
            load(tmp_path / name)
        assert ("did you mean `digits.yaml`?" in str(caught.value)) == told


def test_data_that_links_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (inside / "digits.csv").symlink_to(tmp_path / "secret.csv")
    (inside / "spec.yaml").write_text(PLAIN)
    with pytest.raises(UserError, match="links out of it"):
        load(inside / "spec.yaml")


def test_an_input_called_like_the_output_is_refused() -> None:
    mapping = MAPPING | {"inputs": {"x": ["n", 4], "y": ["n", 2]}, "loss": {"mse": "y"}}
    mistake = only(json.dumps(mapping))
    assert marked(mistake) == '"y"'
    assert mistake.hint == "call a target t"


def test_a_function_of_the_spec_is_an_activation_without_options() -> None:
    mistake = only(OWN.replace("activation: bend", "activation: {bend: {a: 1}}"))
    assert "is a function of this spec" in mistake.message
    near = only(OWN.replace("activation: bend", "activation: bent"))
    assert "did you mean `bend`?" in near.hint


# ---------------------------------------------------------------- over the catalogue


def example(option: Option) -> object:
    """Return a value that the option takes."""
    if option.choices:
        return option.choices[-1]
    if isinstance(option.default, bool):
        return not option.default
    low = option.least if option.least is not None else option.above
    high = option.most if option.most is not None else option.below
    if option.whole or option.listed:
        number = int(low or 0) + 1 if high is None else int(high)
        return [number] if option.listed else number
    if low is not None and high is not None:
        return (low + high) / 2
    return float(low) + 0.5 if low is not None else float(high) - 0.5 if high is not None else 0.5


def with_entry(entry: Entry, name: str, options: object) -> dict[str, Any]:
    """Return a spec that uses an entry."""
    match entry.kind:
        case Kind.LAYER:
            return MAPPING | {"layers": [{"f1": {name: options}}]}
        case Kind.ACTIVATION:
            return MAPPING | {"layers": [{"f1": {"dense": 2, "activation": {name: options}}}]}
        case Kind.INITIALIZER:
            return MAPPING | {"layers": [{"f1": {"dense": 2, "init": {"weight": {name: options}}}}]}
        case Kind.LOSS:
            given = options if isinstance(options, dict) else {}
            compared = {each.key: "t" for each in entry.operands if not each.optional}
            return MAPPING | {"loss": {name: {**compared, **given}}}
        case Kind.METRIC:
            return MAPPING | {"metrics": [{name: options} if options else name]}
        case _:
            return MAPPING | {entry.kind.value: {name: options}}


@pytest.mark.parametrize("entry", catalog.entries(), ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_every_entry_is_read_with_all_its_options_and_by_each_name(entry: Entry) -> None:
    options = {option.name: example(option) for option in entry.options}
    for name in (entry.name, *entry.aliases):
        spec = from_mapping(with_entry(entry, name, options or None))
        found = {
            Kind.LAYER: spec.layers[0].kind,
            Kind.ACTIVATION: spec.layers[0].activation,
            Kind.INITIALIZER: dict(spec.layers[0].init).get("weight"),
            Kind.LOSS: spec.loss[0].choice,
            Kind.OPTIMIZER: spec.optimizer.choice,
            Kind.SCHEDULE: spec.schedule[0].choice if spec.schedule else None,
            Kind.METRIC: spec.metrics[0] if spec.metrics else None,
        }[entry.kind]
        assert isinstance(found, Choice)
        assert found.name == entry.name
        assert {
            key: list(value) if isinstance(value, tuple) else value for key, value in found.options
        } == options


@pytest.mark.parametrize(
    ("entry", "option"),
    [(entry, option) for entry in catalog.entries() for option in entry.options],
    ids=lambda part: part.name,
)
def test_every_option_refuses_what_it_cannot_be(entry: Entry, option: Option) -> None:
    others = {each.name: example(each) for each in entry.options}
    outside: list[object] = ["nonsense", {"a": 1}]
    outside += [option.least - 1] if option.least is not None else []
    outside += [option.most + 1] if option.most is not None else []
    outside += [bound for bound in (option.above, option.below) if bound is not None]
    outside += [0.5] if option.whole else []
    for value in outside:
        given = [value] if option.listed and isinstance(value, int | float) else value
        with pytest.raises(UserError, match=f"`{option.name}` must be"):
            from_mapping(with_entry(entry, entry.name, others | {option.name: given}))
    if option.required:
        del others[option.name]
        with pytest.raises(UserError, match=f"needs `{option.name}`"):
            from_mapping(with_entry(entry, entry.name, others))


def test_the_schema_knows_every_name() -> None:
    text = json.dumps(schema())
    for entry in catalog.entries():
        assert f'"{entry.name}"' in text
        for option in entry.options:
            assert f'"{option.name}"' in text
    top = schema()
    assert set(top["required"]) == {"inputs", "layers", "loss", "optimizer"}
    assert "chosen" not in text
    assert "weighing" not in text
