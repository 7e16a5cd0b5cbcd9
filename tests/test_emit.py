"""The emitted module: what it is made of, what it refuses, and its loop, on programs by hand."""

import ast
import importlib.util
import math
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import loss_cases
import numpy as np
import operand_cases
import pytest
from hand_made import SGD, digits, put, read, times
from oracle import entries
from settings import OF_IMAGES, OF_MATRICES, fitting, of_images, of_matrices

from symback import derivation, pipeline
from symback.catalog.entry import Kind
from symback.emit import emit
from symback.emit.text import quoted, safe
from symback.passes import buffers
from symback.program import (
    Assumption,
    Columns,
    Constant,
    Data,
    Program,
    Schedule,
    Training,
)

TARGETS = ["numpy", "fast", "python", "c"]  # fast: NumPy with buffers
Load = Callable[[Program, str], ModuleType]


def emitted(program: Program, target: str) -> str:
    """Return the text of a program's module."""
    if target == "fast":
        return emit(buffers(program), "numpy").text
    return emit(program, target).text


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that writes a program's module to a file and imports it."""

    def written(program: Program, target: str) -> ModuleType:
        path = tmp_path / f"{program.model}_{target}.py"
        path.write_text(emitted(program, target), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return written


def small(**training: Any) -> Program:
    """Return the digits network with few units, and some settings of its training."""
    return replace(digits(4, 5, 3), training=Training(**training))


def clusters(target: str, n: int = 60) -> tuple[Any, Any]:
    """Return points around three centres, and which: easily learnt."""
    rng = np.random.default_rng(7)
    t = np.arange(n) % 3
    x = 3 * np.eye(3, 4)[t] + 0.3 * rng.normal(size=(n, 4))
    return (x, t) if target != "python" else (x.tolist(), t.tolist())


def taken(values: Any, rows: list[int]) -> Any:
    return values[rows] if isinstance(values, np.ndarray) else [values[i] for i in rows]


def flat(params: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.concatenate([np.ravel(w) for w in params.values()])


EVERYTHING = replace(
    small(
        epochs=4,
        batch_size=8,
        accumulate=2,
        clip_norm=1.0,
        clip_value=0.5,
        validation=0.2,
        patience=3,
        tolerance=1e-6,
        settle=2,
    ),
    schedule=Schedule(
        "halving",
        (Constant("rate", 0.9),),
        (),
        (put("lr", "", times(read("lr"), read("rate")), "lr = lr·rate"),),
    ),
    data=Data(
        "points.csv",
        "csv",
        (Columns("x", ("a:d",), standardise=True), Columns("t", ("kind",))),
        test=0.25,
    ),
)
NUMBERS = replace(
    EVERYTHING, data=Data("points.npz", "npz", (Columns("x", ("x",)), Columns("t", ("t",))))
)


ROOT = Path(__file__).parent.parent
FORMS = [
    ("python", True, "float64"),
    ("numpy", True, "float64"),
    ("numpy", False, "float32"),
    ("c", False, "float32"),
]
NEEDED: dict[str, Any] = {  # values of the options that must be given
    "T_0": 7,
    "T_max": 20,
    "gamma": 0.9,
    "max_lr": 0.7,
    "milestones": [5, 20],
    "sparsity": 0.5,
    "step_size": 7,
    "swa_lr": 0.05,
    "threshold": 0.1,
    "total_steps": 51,
    "value": 0.5,
}


def choice(kind: Kind, number: int) -> dict[str, Any]:
    """Return an entry of a kind with what it needs, all of them in turn."""
    listed = [entry for entry in entries(kind) if entry.name not in (*OF_IMAGES, *OF_MATRICES)]
    entry = listed[number % len(listed)]
    return {entry.name: {o.name: NEEDED[o.name] for o in entry.options if o.required}}


def sweep() -> Iterator[dict[str, Any]]:
    """Yield specs that hold every entry of the catalogue, and the losses in many ways."""
    for number, case in enumerate(loss_cases.cases()[::11]):
        spec = loss_cases.spec(case)
        figures = entries(Kind.METRIC)
        by_labels = case.wanted == "labels"
        first = {"dense": 5, "activation": choice(Kind.ACTIVATION, number)}
        first["init"] = choice(Kind.INITIALIZER, number)
        second = {"dense": 4, "activation": choice(Kind.ACTIVATION, number + 7)}
        schedule: dict[str, Any] = choice(Kind.SCHEDULE, number)
        optimizer = choice(Kind.OPTIMIZER, number)
        schedule = fitting(schedule, optimizer)
        yield spec | {
            "model": f"sweep{number}",
            "layers": [{"f0": first}, {"e0": second}, {"drop": {"dropout": 0.5}}, *spec["layers"]],
            "optimizer": optimizer,
            "schedule": schedule | {"per": "step" if number % 3 == 1 else "epoch"},
            "metrics": [e.name for e in figures if ("labels" in "".join(e.formulas)) == by_labels],
            "train": {"accumulate": 1 + number % 2, "validation": 0.2 * (number % 3 == 0)},
        }
    yield of_images()
    yield of_matrices("muon")
    for number, how in enumerate(({}, {"line_search_fn": "strong_wolfe", "max_eval": 9})):
        yield {
            **of_matrices("lbfgs"),
            "model": f"search{number}",
            "layers": [{"f1": {"dense": 2}}, {"norm": {"batch_norm1d": None}}][: 2 - number],
            "optimizer": {"lbfgs": how},
            "schedule": {"exponential": 0.9, "per": ("step", "epoch")[number]},
            "metrics": ["mae"][:number],
            "train": {"validation": 0.2 * number},
        }
    for number, compared in enumerate(operand_cases.PLAINEST):
        yield operand_cases.spec(compared) | {"model": f"operands{number}"}
    for number, among in enumerate(([], [{"drop": {"dropout": 0.5}}])):
        state = {"shape": [], "init": "zeros", "next": "k = k + where(training, 1, 0)"}
        yield {
            "model": f"kept{number}",
            "inputs": {"x": ["n", 3], "t": ["n", 3]},
            "layers": [
                {"f0": {"batch_norm1d": None}},
                *among,
                {"f1": {"formula": "y[n, i] = k * f0[n, i]", "from": "f0", "state": {"k": state}}},
            ],
            "loss": {"mse": "t"},
            "optimizer": "adam",
            "train": {"accumulate": 1 + number},
        }


SECOND = {  # with hvp and the like: scalars, drawn masks, a skip connection
    "model": "second",
    "inputs": {"x": ["n", 3], "t": {"shape": ["n"], "classes": 3}},
    "layers": [
        {
            "f1": {
                "formula": "a[n, k] = tanh(scale*sum(W[k, i]*x[n, i], i))",
                "parameters": {
                    "W": {"shape": [4, 3], "init": "normal(0, 1)"},
                    "scale": {"shape": [], "init": 1},
                },
            }
        },
        {"drop": {"dropout": 0.5}},
        {"both": {"concat": {}, "from": ["drop", "x"]}},
        {"f2": {"dense": 3}},
    ],
    "loss": {"cross_entropy": "t"},
    "optimizer": "sgd",
}


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of modules: examples and programs by hand in every form, the catalogue in
    plain Python and in one of the other forms in turn.
    """
    folder = tmp_path_factory.mktemp("modules")
    by_hand = {"digits": digits(), "everything": EVERYTHING, "npz": NUMBERS}
    for target in TARGETS:
        for name, program in by_hand.items():
            path = folder / f"{name}_{target}.py"
            path.write_text(emitted(program, target), encoding="utf-8")
    sources: list[tuple[Path | dict[str, Any], list[tuple[str, bool, str]]]] = [
        *((path, FORMS) for path in sorted((ROOT / "examples").glob("*.yaml"))),
        *((spec, [FORMS[0], FORMS[1 + number % 3]]) for number, spec in enumerate(sweep())),
    ]
    for source, forms in sources:
        for target, readable, dtype in forms:
            module = pipeline.generate(source, target, dtype, readable=readable)
            path = folder / f"{module.name}_{target}_{'readable' if readable else 'fast'}.py"
            assert not path.exists()
            path.write_text(module.text, encoding="utf-8")
    for target, readable, dtype in FORMS:
        module = pipeline.generate(
            SECOND, target, dtype, readable=readable, functions=tuple(derivation.FUNCTIONS)
        )
        path = folder / f"second_{target}_{'readable' if readable else 'fast'}.py"
        path.write_text(module.text, encoding="utf-8")
    return folder


def test_emitted_text_passes_linter_and_type_checker(modules: Path) -> None:
    """Both in one test, so that the modules are made by one process only."""
    texts = [path.read_text(encoding="utf-8") for path in modules.iterdir()]
    assert len(texts) > 90
    assert not [text for text in texts if "noqa" in text]
    for command in (
        ["ruff", "check", "--no-cache", "--config", str(ROOT / "pyproject.toml")],
        ["mypy", "--strict", "--config-file="],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command, str(modules)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_text_is_the_same_each_time(target: str) -> None:
    assert emitted(EVERYTHING, target) == emitted(EVERYTHING, target)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_emitted_that_is_not_used(target: str) -> None:
    text = emitted(digits(), target)
    words = ("patience", "clip", "schedule(state", "validation", "settled", "COLUMNS", "joined")
    for word in words:
        assert word not in text
    for name in re.findall(r"^def (\w+)", text, re.MULTILINE):
        public = {"loss", "value_and_grad", "predict", "evaluate", "save", "load", "main"}
        assert name in {*public, "one_step"} or len(re.findall(rf"\b{name}\b", text)) > 1, name


@pytest.mark.parametrize("target", TARGETS)
def test_gradients_pass_their_own_check(load: Load, target: str) -> None:
    assert load(small(), target).check() == []


@pytest.mark.parametrize("target", TARGETS)
def test_check_names_parameter_place_and_both_values(load: Load, target: str) -> None:
    program = small()
    wrong = tuple(
        replace(s, value=times(read("da1", "nj"), read("a1", "nj")))
        if s.target.name == "dz1"
        else s
        for s in program.backward
    )
    mismatches = load(replace(program, backward=wrong), target).check()
    assert {mismatch.parameter for mismatch in mismatches} == {"f1.weight", "f1.bias"}
    assert any(mismatch.place is None for mismatch in mismatches)
    assert all(mismatch.derived != mismatch.measured for mismatch in mismatches)


@pytest.mark.parametrize("target", TARGETS)
def test_trains_and_evaluates(load: Load, target: str) -> None:
    module = load(replace(small(epochs=30, batch_size=7), update=SGD), target)
    x, t = clusters(target)
    params = module.init(1)
    seen: list[Any] = []
    history = module.train(params, x, t, report=seen.append)
    assert history.stopped == "all epochs done"
    assert seen == list(history)
    assert [row.epoch for row in history] == list(range(1, 31))
    assert history[-1].loss < 0.1 < history[0].loss
    figures = module.evaluate(params, x, t, batch_size=7)
    assert figures["accuracy"] == 1
    assert figures["loss"] == pytest.approx(module.loss(params, x, t), rel=1e-12)
    best = np.asarray(module.predict(params, x, batch_size=7)).argmax(axis=1)
    assert best.tolist() == np.asarray(t).tolist()


@pytest.mark.parametrize("target", TARGETS)
def test_epoch_loss_is_the_mean_over_uneven_batches(load: Load, target: str) -> None:
    still = replace(SGD, constants=(Constant("lr", 0.0),))
    module = load(replace(small(epochs=1, batch_size=7), update=still), target)
    x, t = clusters(target)
    params = module.init()
    (row,) = module.train(params, x, t)
    assert row.loss == pytest.approx(module.loss(params, x, t), rel=1e-12)
    assert row.accuracy == pytest.approx(module.evaluate(params, x, t)["accuracy"], rel=1e-12)


@pytest.mark.parametrize("target", TARGETS)
def test_accumulating_equals_one_batch(load: Load, target: str) -> None:
    x, t = clusters(target, 50)  # batches of 16, 16, 16 and 2 join to one of 50
    joined = load(replace(small(epochs=3, batch_size=16, accumulate=4), update=SGD), target)
    whole = load(replace(small(epochs=3, batch_size=64), update=SGD, model="whole"), target)
    ends = []
    for module in joined, whole:
        params = module.init()
        history = module.train(params, x, t)
        ends.append((flat(params), [row.loss for row in history]))
    np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-11, atol=1e-14)
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-12)


@pytest.mark.parametrize("target", TARGETS)
def test_update_clips_as_torch_does(load: Load, target: str) -> None:
    module = load(replace(small(clip_norm=0.05), update=SGD), target)
    params, x, t = module.init(), *clusters(target)
    before = flat(params)
    _, grads = module.value_and_grad(params, x, t)
    g = flat(grads)
    norm = module.update(params, grads, module.init_state(params))
    assert norm == pytest.approx(math.sqrt(g @ g), rel=1e-12)
    clip = min(1, 0.05 / (norm + 1e-6))
    assert clip < 1
    np.testing.assert_allclose(flat(params), before - 0.1 * clip * g, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("target", TARGETS)
def test_save_and_load(load: Load, target: str, tmp_path: Path) -> None:
    module = load(small(), target)
    params = module.init(3)
    module.save(tmp_path / "w.npz", params)
    again = module.load(tmp_path / "w.npz")
    assert list(again) == ["f1.weight", "f1.bias", "f2.weight", "f2.bias"]
    np.testing.assert_array_equal(flat(again), flat(params))
    with np.load(tmp_path / "w.npz", allow_pickle=False) as stored:
        assert stored["f1.weight"].shape == (5, 4)
    for other in TARGETS:
        np.testing.assert_array_equal(
            flat(load(small(), other).load(tmp_path / "w.npz")), flat(params)
        )
    with pytest.raises(ValueError, match=r"f1\.weight.*shape"):
        load(replace(digits(6, 5, 3), model="other"), target).load(tmp_path / "w.npz")
    assert [path.name for path in tmp_path.glob("*.part")] == []


@pytest.mark.parametrize("target", TARGETS)
def test_wrong_data_are_refused(load: Load, target: str) -> None:
    module = load(small(), target)
    x, t = clusters(target, 6)

    def changed(values: Any, place: tuple[int, ...], value: float) -> Any:
        array = np.array(values, float)
        array[place] = value
        return array if target != "python" else array.tolist()

    column = np.array(t)[:, None]
    cases = [
        (changed(x, (2, 1), math.nan), t, r"x\[2, 1\] is nan"),
        (x, changed(t, (4,), 3), r"t\[4\] is 3.*0 … 2"),
        (x, changed(t, (4,), 0.5), r"t\[4\] is 0.5"),
        (
            x,
            column if target != "python" else column.tolist(),
            r"t has the shape \(6, 1\), not \(n,\)",
        ),
        (taken(x, [0, 1, 2]), t, "differ: {'x': 3, 't': 6}"),
    ]
    for data, labels, message in cases:
        with pytest.raises(ValueError, match=message):
            module.train(module.init(), data, labels)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("classes", [None, 3])
def test_every_function_refuses_another_shape(load: Load, target: str, classes: int | None) -> None:
    """(n,) against (n, 1) would broadcast in silence; so would one target for all examples."""
    wanted: Any = {"shape": ["n"], "classes": 3} if classes else ["n", 1]
    spec = {
        "model": "shapes",
        "inputs": {"x": ["n", 2], "t": wanted},
        "layers": [{"f1": {"dense": classes or 1}}],
        "loss": {"cross_entropy" if classes else "mse": "t"},
        "optimizer": "sgd",
    }
    module = load(pipeline.program(spec), target)
    params = module.init()
    x = [[0.5, 1.0], [1.5, -1.0], [0.0, 2.0]]
    right: list[Any] = [0, 2, 1] if classes else [[0.5], [1.0], [2.0]]
    if classes:
        shapes = [("[[0], [2], [1]]", r"t has the shape \(3, 1\), not \((n|3),\)")]
        shapes += [("[1]", r"(t has the shape \(1,\), not \(3,\)|differ)")]
    else:
        shapes = [("[0.5, 1.0, 2.0]", r"t has the shape \(3,\), not \((n|3), 1\)")]
        shapes += [("[[0.5]]", r"(t has the shape \(1, 1\), not \(3, 1\)|differ)")]
    _, cache = module.forward(params, x)
    assert math.isfinite(module.loss(params, x, right))
    for text, message in shapes:
        wrong = ast.literal_eval(text)
        with pytest.raises(ValueError, match=message):
            module.loss(params, x, wrong)
        with pytest.raises(ValueError, match=message):
            module.value_and_grad(params, x, wrong)
        with pytest.raises(ValueError, match=message):
            module.backward(params, cache, wrong)
        with pytest.raises(ValueError, match=message):
            module.evaluate(params, x, wrong)
    for bad, message in (
        ([[0.5], [1.0], [2.0]], r"x has the shape \(3, 1\), not \(n, 2\)"),
        ([0.5, 1.0], r"x has the shape \(2,\), not \(n, 2\)"),
        ([], "x holds no examples"),
    ):
        for call in (module.forward, module.predict):
            with pytest.raises(ValueError, match=message):
                call(params, bad)
        with pytest.raises(ValueError, match=message):
            module.loss(params, bad, right)


@pytest.mark.parametrize("target", TARGETS)
def test_a_label_outside_the_classes_has_no_loss(load: Load, target: str) -> None:
    module = load(small(), target)
    params, (x, t) = module.init(), clusters(target, 6)
    for label in (-1, 3, 0.5):
        wrong = [*list(t)[:5], label]
        with pytest.raises(ValueError, match=rf"t\[5\] is {label}"):
            module.loss(params, x, wrong)
        with pytest.raises(ValueError, match=rf"t\[5\] is {label}"):
            module.value_and_grad(params, x, wrong)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("loss", ["cross_entropy", "nll"])
def test_an_ignored_label_trains_as_if_it_were_not_there(
    load: Load, loss: str, reduction: str, target: str
) -> None:
    options = {"target": "t", "ignore_index": -100, "reduction": reduction}
    spec = {
        "model": "ignoring",
        "inputs": {"x": ["n", 4], "t": {"shape": ["n"], "classes": 3}},
        "layers": [{"f1": {"dense": 3, "activation": "log_softmax" if loss == "nll" else "tanh"}}],
        "loss": {loss: options},
        "optimizer": {"sgd": {"lr": 0.1}},
        "train": {"batch_size": "all", "shuffle": False, "epochs": 3},
    }
    module = load(pipeline.program(spec), target)
    x, t = clusters("numpy", 12)
    t[[2, 7]] = -100
    kept = t >= 0
    whole, part = module.init(), module.init()
    rows = [(x, t), (x[kept], t[kept])]
    pairs = [(a.tolist(), b.tolist()) for a, b in rows] if target == "python" else rows
    one = module.train(whole, *pairs[0])
    other = module.train(part, *pairs[1])
    np.testing.assert_allclose(flat(whole), flat(part), rtol=1e-12)
    assert one[-1].loss == pytest.approx(other[-1].loss, rel=1e-12)
    assert module.evaluate(whole, *pairs[0])["loss"] == pytest.approx(
        module.evaluate(part, *pairs[1])["loss"], rel=1e-12
    )
    for wrong in (-1, 3):
        t[0] = wrong
        with pytest.raises(ValueError, match=rf"t\[0\] is {wrong}.*0 … 2, or -100"):
            module.loss(whole, x, t)


@pytest.mark.parametrize("target", TARGETS)
def test_arrays_and_lists_are_the_same_data(load: Load, target: str) -> None:
    module = load(small(), target)
    x, t = clusters("numpy", 12)
    found = []
    for rows, kinds in (
        (x, t),
        (x.tolist(), t.tolist()),
        (tuple(x.tolist()), tuple(t.tolist())),
        (x, t + 0.0),
    ):
        found.append(module.train(module.init(), rows, kinds, epochs=2)[-1])
    assert len(set(found)) == 1


@pytest.mark.parametrize("target", TARGETS)
def test_impossible_counts_are_refused(load: Load, target: str) -> None:
    module = load(small(), target)
    impossible: list[dict[str, Any]] = [{"epochs": -1}, {"batch_size": 0}, {"batch_size": -2}]
    for wrong in impossible:
        with pytest.raises(ValueError, match="0 and 1 are the least"):
            module.train(module.init(), *clusters(target, 6), **wrong)
    history = module.train(module.init(), *clusters(target, 6), epochs=0)
    assert (list(history), history.stopped) == ([], "all epochs done")


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_no_file_of_parameters_is_refused(load: Load, target: str, tmp_path: Path) -> None:
    module = load(small(), target)
    right = {key: np.array(w) for key, w in module.init().items()}
    path = tmp_path / "w.npz"
    for content in (b"", b"hello", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"w\.npz"):
            module.load(path)
    files: list[dict[str, Any]] = [
        {key: w.astype(str) for key, w in right.items()},
        {key: w.astype(object) for key, w in right.items()},
        {key: w + 0j for key, w in right.items()},
        {key: w for key, w in right.items() if key != "f2.bias"},
        right | {"f3.weight": np.ones(2)},
    ]
    for changed in files:
        np.savez(path, **changed)
        with pytest.raises(ValueError, match=r"w\.npz"):
            module.load(path)


@pytest.mark.parametrize("target", TARGETS)
def test_parameters_of_other_types_and_orders_are_read(
    load: Load, target: str, tmp_path: Path
) -> None:
    module = load(small(), target)
    right = {key: np.round(9 * np.array(w)) for key, w in module.init().items()}
    files: list[dict[str, Any]] = [
        {key: w.astype(np.float32) for key, w in right.items()},
        {key: w.astype(np.int16) for key, w in right.items()},
        {key: np.asfortranarray(w) for key, w in right.items()},
    ]
    for number, changed in enumerate(files):
        np.savez(tmp_path / f"{number}.npz", **changed)
        params = module.load(tmp_path / f"{number}.npz")
        np.testing.assert_array_equal(flat(params), flat(right))
        assert target == "python" or params["f1.weight"].dtype == np.float64
        module.train(params, *clusters(target, 6), epochs=1)


@pytest.mark.parametrize("target", TARGETS)
def test_assumptions_are_checked(load: Load, target: str) -> None:
    program = small()
    free = replace(
        program,
        tensors=tuple(replace(t, classes=None) if t.name == "t" else t for t in program.tensors),
        assumptions=(Assumption("t", "signs", "t² = 1"),),
    )
    module = load(free, target)
    x, t = clusters(target, 6)
    with pytest.raises(ValueError, match=r"t\[0\] is 0.0, not -1 or 1 \(t² = 1\)"):
        module.train(module.init(), x, t)
    _, drawn = module.sample(9)
    assert set(np.asarray(drawn).tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("target", TARGETS)
def test_sample_weights_are_checked(load: Load, target: str) -> None:
    spec = {
        "inputs": {"x": ["n", 4], "t": {"shape": ["n"], "classes": 3}, "s": ["n"]},
        "layers": [LAST],
        "loss": {"cross_entropy": {"target": "t", "sample_weight": "s"}},
        "optimizer": "sgd",
    }
    module = load(pipeline.program(spec), target)
    x, t, s = module.sample(9)
    assert 0.5 <= min(s) < max(s) <= 1.5
    assert module.check() == []
    s[2] = -1.0
    with pytest.raises(ValueError, match=r"s\[2\] is -1.0, not 0 or above \(s ≥ 0\)"):
        module.train(module.init(), x, t, s)


@pytest.mark.parametrize("target", TARGETS)
def test_interruption_keeps_what_was_learnt(load: Load, target: str) -> None:
    module = load(replace(small(epochs=9), update=SGD), target)
    params, (x, t) = module.init(), clusters(target)
    start = flat(params).copy()

    def interrupt(row: Any) -> None:
        if row.epoch == 2:
            raise KeyboardInterrupt

    history = module.train(params, x, t, report=interrupt)
    assert len(history) == 2
    assert history.stopped == "interrupted"
    assert np.abs(flat(params) - start).max() > 1e-3


@pytest.mark.parametrize("target", TARGETS)
def test_nonfinite_values_stop_with_the_layer(load: Load, target: str) -> None:
    module = load(small(batch_size=8), target)
    x, t = clusters(target)
    params = module.init()
    params["f2.weight"][0][0] = math.nan
    with pytest.raises(FloatingPointError, match=r"epoch 1, batch 1: f2\.weight"):
        module.train(params, x, t)
    params = module.init()
    for row in params["f2.weight"]:
        row[:] = [1.7e308 for _ in row]
    params["f1.bias"][:] = [9.0 for _ in params["f1.bias"]]
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="z2 of layer f2"):
        module.train(params, x, t)


@pytest.mark.parametrize("target", TARGETS)
def test_overflow_in_a_pass_stops_with_the_layer(load: Load, target: str) -> None:
    layers = [{"f1": {"dense": 4}}, {"up": {"formula": "h[n, k] = exp(f1[n, k])"}}, LAST]
    spec = {**PLAIN, "layers": layers, "loss": {"cross_entropy": "t"}}
    module = load(pipeline.program(spec), target)
    params = module.init()
    params["f1.bias"][:] = [800.0] * 4
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=r"1: \w+ of layer up"):
        module.train(params, *clusters(target))


@pytest.mark.parametrize("target", TARGETS)
def test_stops_when_converged_or_no_better(load: Load, target: str) -> None:
    still = replace(SGD, constants=(Constant("lr", 0.0),))
    x, t = clusters(target)
    settled = load(replace(small(tolerance=1e-9, settle=3), update=still), target)
    history = settled.train(settled.init(), x, t)
    assert (len(history), history.stopped) == (4, "converged")
    rising = replace(SGD, constants=(Constant("lr", -0.05),))
    early = load(replace(small(patience=2, validation=0.2), update=rising, model="early"), target)
    params = early.init()
    history = early.train(params, x, t)
    assert (len(history), history.stopped) == (3, "no better since epoch 1")
    first = early.init()
    early.train(first, x, t, epochs=1)
    np.testing.assert_array_equal(flat(params), flat(first))


@pytest.mark.parametrize("target", TARGETS)
def test_schedule_and_history(load: Load, target: str, tmp_path: Path) -> None:
    module = load(EVERYTHING, target)
    history = module.train(module.init(), *clusters(target))
    assert [row.lr for row in history] == pytest.approx([0.001 * 0.9 ** (k + 1) for k in range(4)])
    history.to_csv(tmp_path / "history.csv")
    first, *rows = (tmp_path / "history.csv").read_text(encoding="utf-8").splitlines()
    assert first == "epoch,loss,accuracy,gradient_norm,lr,val_loss,val_accuracy"
    assert len(rows) == 4


@pytest.mark.parametrize("target", TARGETS)
def test_runs_as_a_script_on_its_data(target: str, tmp_path: Path) -> None:
    x, t = clusters("numpy")
    lines = ["a,b,c,d,kind", *(",".join(map(str, [*row, k])) for row, k in zip(x, t, strict=True))]
    (tmp_path / "points.csv").write_text("\n".join(lines), encoding="utf-8")
    np.savez(tmp_path / "points.npz", x=x, t=t)
    for program in EVERYTHING, NUMBERS:
        path = tmp_path / "module.py"
        path.write_text(emitted(program, target), encoding="utf-8")
        done = run(path, "--epochs", "2", "--save", "w.npz", "--history", "h.csv")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("epoch ") == 2
        assert ("test  loss" in done.stdout) == (program is EVERYTHING)
        assert (tmp_path / "w.npz").exists()
        assert (tmp_path / "h.csv").exists()
    (tmp_path / "wrong.csv").write_text("\n".join(lines[:3]) + "\n1,2,x,4,0\n", encoding="utf-8")
    path.write_text(emitted(EVERYTHING, target), encoding="utf-8")
    done = run(path, "--data", "wrong.csv")
    assert done.returncode == 1
    assert done.stderr.strip() == "module.py: line 4, column c: 'x' is no finite number"
    (tmp_path / "points.csv").unlink()
    done = run(path)
    assert done.returncode == 1
    assert done.stderr == (
        "module.py: points.csv is neither beside this module nor in this folder; give --data FILE\n"
    )
    assert run(path, "--data", "no.csv").stderr == "module.py: there is no file no.csv\n"
    done = run(path, "--check")
    assert (done.returncode, done.stdout) == (0, "the gradients are right\n")


def run(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(path), *arguments]
    return subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)


def test_float_type_follows_the_parameters(load: Load) -> None:
    module = load(replace(small(), float_type="float32"), "numpy")
    x, t = clusters("numpy")
    params = module.init()
    for kind in np.float32, np.float64:
        params = {name: w.astype(kind) for name, w in params.items()}
        y, _ = module.forward(params, x)
        _, grads = module.value_and_grad(params, x, t)
        module.update(params, grads, module.init_state(params))
        assert {array.dtype for array in (y, *grads.values(), *params.values())} == {np.dtype(kind)}


PLAIN: dict[str, Any] = {
    "model": "plain",
    "inputs": {"x": ["n", 4], "t": {"shape": ["n"], "classes": 3}},
    "optimizer": {"sgd": {"lr": 0.005, "momentum": 0.9}},
    "schedule": {"cosine": {"T_max": 9}, "per": "step"},
}
FIRST = {"f1": {"dense": 5, "activation": "softplus"}}
SCALED = {
    "g": {
        "formula": "h[n, k] = r * f1[n, k]",
        "parameters": {"r": {"shape": [], "init": "constant(0.5)"}},
    }
}
LAST = {"f2": {"dense": 3}}
LOSSES = {
    "weights": {"target": "t", "weight": [0.5, 1.0, 2.0]},
    "sum": {"target": "t", "reduction": "sum"},
    "none": {"target": "t", "reduction": "none"},
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("loss", LOSSES)
def test_accumulating_is_exact_whatever_the_loss_divides_by(
    load: Load, target: str, loss: str, tmp_path: Path
) -> None:
    x, t = clusters(target, 50)
    ends = []
    for name, settings in {
        "parts": {"batch_size": 16, "accumulate": 4},
        "whole": {"batch_size": 64},
    }.items():
        spec: dict[str, Any] = {
            **PLAIN,
            "model": name,
            "layers": [FIRST, SCALED, LAST],
            "loss": {"cross_entropy": LOSSES[loss]},
            "train": settings | {"epochs": 2},
        }
        module = load(pipeline.program(spec), target)
        assert module.check() == []
        params = module.init()
        history = module.train(params, x, t)
        module.save(tmp_path / "w.npz", params)
        assert flat(module.load(tmp_path / "w.npz")).tolist() == flat(params).tolist()
        ends.append((flat(params), [row.loss for row in history]))
    np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-10, atol=1e-13)
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-11)


@pytest.mark.parametrize("target", TARGETS)
def test_dropout_is_drawn_in_training_alone(load: Load, target: str) -> None:
    spec = {
        **PLAIN,
        "layers": [FIRST, {"d": {"dropout": 0.5}}, LAST],
        "loss": {"cross_entropy": "t"},
    }
    module = load(pipeline.program(spec), target)
    assert module.check() == []
    params, (x, t) = module.init(), clusters(target)
    rng = np.random.default_rng if target != "python" else Random
    drawn = [module.value_and_grad(params, x, t, rng(seed))[0] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert module.loss(params, x, t) == module.evaluate(params, x, t)["loss"]


def test_free_text_stays_text() -> None:
    hostile = '"""\\\nimport os # \u2028\x00'
    program = replace(digits(), source=hostile, notes=(hostile,), model="plain")
    text = emitted(program, "numpy")
    assert "\nimport os #" not in text
    compile(text, "module.py", "exec")
    assert '"""' not in safe(hostile).replace('\\"\\"\\"', "")
    namespace: dict[str, str] = {}
    exec(f"text = {quoted(hostile)}", namespace)
    assert namespace["text"] == hostile


@pytest.mark.parametrize("target", TARGETS)
def test_ctrl_c_in_a_script_keeps_what_was_learnt(target: str, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(emitted(small(epochs=10**7, batch_size=8), target), encoding="utf-8")
    command = [sys.executable, "-u", str(path), "--save", "w.npz", "--history", "h.csv"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        next(process.stdout)
        process.send_signal(signal.SIGINT)
        *rows, last = process.stdout
        assert (last, process.stderr.read()) == ("interrupted\n", "")
    assert process.returncode == 0
    with np.load(tmp_path / "w.npz", allow_pickle=False) as stored:
        assert set(stored) == {"f1.weight", "f1.bias", "f2.weight", "f2.bias"}
    assert len((tmp_path / "h.csv").read_text().splitlines()) == len(rows) + 2


@pytest.mark.parametrize("option", ["--save", "--history"])
@pytest.mark.parametrize("place", ["folder", "missing/w.npz"])
def test_a_script_refuses_an_impossible_place_before_it_trains(
    option: str, place: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "model.py"
    path.write_text(emitted(small(), "numpy"), encoding="utf-8")
    command = [sys.executable, str(path), option, place]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"model.py: {place} is no place for a file; name one in a folder")
