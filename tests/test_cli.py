"""The command line: what each command prints, writes and answers, and how it says what's wrong."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from symback import __version__, catalog, making, plot, progress, training
from symback.__main__ import cli
from symback.catalog.entry import Entry, Kind
from symback.emit import Module

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
NAMES = ("linear", "chain", "xor", "moons", "iris", "digits", "own_formula")
TARGETS = ("numpy", "python")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run every test in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str | Path, code: int = 0) -> Result:
    """Run a command; no traceback whatever happens, and the exit code is as said."""
    result = CliRunner().invoke(cli, [str(word) for word in words])
    unexpected = result.exception
    if unexpected is not None and not isinstance(unexpected, SystemExit):
        raise unexpected
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def started(*words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "symback", *words],
        capture_output=True,
        encoding=settings.get("PYTHONIOENCODING", "utf-8"),
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
    )


def example(name: str) -> Path:
    return EXAMPLES / f"{name}.yaml"


def refused(*words: str | Path) -> str:
    """Return what is said of a person's mistake: on standard error, nothing on standard output."""
    result = run(*words, code=1)
    assert not result.stdout
    return result.stderr


# ---------------------------------------------------------------- the whole


def test_help_names_every_command() -> None:
    shown = run("--help").stdout
    assert set(cli.commands) == {
        *("generate", "train", "inspect", "summary", "plot", "check", "verify", "explain"),
        *("catalog", "schema", "new"),
    }
    for name, command in cli.commands.items():
        assert name in shown
        assert not re.search(r"\w\.\.\.$", shown, re.MULTILINE)  # each command's line is whole
        assert command.help
        assert "Usage" in run(name, "-h").stdout


def test_version() -> None:
    assert __version__ in run("--version").stdout


def test_a_misspelt_command_gets_the_near_miss() -> None:
    assert "did you mean `train`?" in run("trian", "x.yaml", code=2).stderr


@pytest.mark.parametrize(
    "words",
    [
        ("generate",),
        ("generate", "a.yaml", "b.yaml"),
        ("generate", "a.yaml", "--target", "fortran"),
        ("generate", "a.yaml", "--dtype", "float16"),
        ("generate", "a.yaml", "--target", "python", "--dtype", "float32"),
        ("generate", "a.yaml", "--target", "python", "--standalone"),
        ("train", "a.yaml", "--epochs", "0"),
        ("train", "a.yaml", "--epochs", "many"),
        ("inspect", "a.yaml", "--format", "docx"),
        ("inspect", "a.yaml", "--lang", "zh-TW"),
        ("inspect", "a.yaml", "--format", "html", "--lang", "xx"),
        ("plot",),
        ("check", "a.yaml", "--seeds", "-1"),
        ("new",),
    ],
)
def test_wrong_usage_is_code_2(words: tuple[str, ...]) -> None:
    assert "Usage" in run(*words, code=2).stderr


def test_as_a_process() -> None:
    """The module and its exit codes, without click's runner around."""
    assert __version__ in started("--version").stdout
    missing = started("generate", "missing.yaml")
    assert missing.returncode == 1
    assert "missing.yaml: there is no such file" in missing.stderr
    assert not missing.stdout
    assert started("generate", "--nonsense").returncode == 2


def test_a_terminal_without_the_signs_shows_something_else() -> None:
    shown = started("inspect", str(example("linear")), PYTHONIOENCODING="latin-1")
    assert shown.returncode == 0, shown.stderr
    assert "?L/?z1[n,o]" in shown.stdout


def test_ctrl_c_is_code_130_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "plan", interrupted)
    result = run("generate", example("linear"), code=130)
    assert not result.output.strip()


# ---------------------------------------------------------------- generate


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NAMES)
def test_generate_writes_a_module_that_runs(name: str, target: str, folder: Path) -> None:
    shown = run("generate", example(name), "--target", target).stdout
    assert f"{name}.py" in shown
    assert "are right" in shown
    check = [sys.executable, f"{name}.py", "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=True, cwd=folder)
    assert "right" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.py"]


def test_generate_a_library_without_python(folder: Path) -> None:
    shown = run("generate", example("xor"), "--target", "c", "--standalone").stdout
    assert shown.split() == ["xor.h", "xor.c"]
    assert {path.name for path in folder.iterdir()} == {"xor.h", "xor.c"}
    (folder / "xor.c").write_text("int main(void) { return 0; }")
    refused = run("generate", example("xor"), "--target", "c", "--standalone", code=1)
    assert "symback didn't write" in refused.stderr


def test_train_in_c(folder: Path) -> None:
    shown = run("train", example("iris"), "--target", "c", "--epochs", "3").stdout
    assert "all epochs done after 3 epochs" in shown
    assert {"iris.py", "iris.weights.npz"} <= {path.name for path in folder.iterdir()}


def test_generate_tells_rewrites_and_kinks(folder: Path) -> None:
    text = example("chain").read_text().replace("activation: tanh", "activation: mine", 1)
    text += "functions:\n  mine: {args: [x], formula: log(1 + exp(x)) + relu(x)}\n"
    (folder / "own.yaml").write_text(text)
    shown = run("generate", "own.yaml").stdout
    assert "softplus" in shown
    assert "relu at 0: slope 0" in shown


def test_generate_to_standard_output_writes_no_file(folder: Path) -> None:
    shown = run("generate", example("linear"), "-o", "-").stdout
    compile(shown, "linear.py", "exec")
    assert not list(folder.iterdir())
    run("generate", example("linear"), "-o", "named.py")
    assert Path("named.py").read_text(encoding="utf-8") == shown


def test_generate_float32_and_readable() -> None:
    run("generate", example("iris"), "--dtype", "float32")
    assert "float32" in Path("iris.py").read_text(encoding="utf-8")
    run("generate", example("iris"), "--readable")
    assert "out=" not in Path("iris.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", TARGETS)
def test_generate_with_gradients_by_the_inputs(target: str) -> None:
    run("generate", example("iris"), "--with", "inputs", "--target", target)
    assert "∂L/∂x[n,i] = " in Path("iris.py").read_text(encoding="utf-8")


def test_the_same_spec_gives_the_same_bytes() -> None:
    first, second = (
        started("generate", str(example("digits")), "-o", "-", PYTHONHASHSEED=seed).stdout
        for seed in ("1", "2")
    )
    assert first == second
    assert first


def test_a_check_keeps_to_one_core_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "")  # put back as it was when the test ends
    for before, after in ((None, "1"), ("2", "2")):
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
        if before:
            monkeypatch.setenv("OPENBLAS_NUM_THREADS", before)
        run("generate", example("linear"), "-o", "-")
        assert os.environ["OPENBLAS_NUM_THREADS"] == after


def test_show_stages_prints_each_stage_on_standard_error() -> None:
    result = run("generate", example("digits"), "--show-stages", "-o", "-")
    titles = [row for row in result.stderr.splitlines() if row and not row.startswith(" ")]
    assert titles == ["Spec", "Graph", "Derivation", "Program", "Passes", "Module"]
    assert "layer f1: dense (units 64); relu" in result.stderr
    assert "chain → raw → contracted" in result.stderr
    compile(result.stdout, "digits.py", "exec")


@pytest.fixture
def mistaken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the engine write one gradient with the wrong sign."""
    honest = making.plan

    def wrong(source: Path, *_: str, **__: bool) -> making.Plan:
        plan = honest(source, readable=True)
        text = re.sub(r"(    dW1 = )(.+?)(  +#)", r"\1-(\2)\3", plan.module.text)
        module = Module(plan.module.name, plan.module.target, text)
        return replace(plan, module=module, checked=module)

    monkeypatch.setattr(making, "plan", wrong)


@pytest.mark.usefixtures("mistaken")
@pytest.mark.parametrize("command", ["generate", "train"])
def test_a_wrong_gradient_is_not_written(command: str, folder: Path) -> None:
    told = run(command, example("chain"), code=1).stderr
    assert "∂L/∂f1.weight at [" in told
    assert "derived" in told
    assert "measured" in told
    assert "nothing was written" in told
    assert not list(folder.iterdir())


def test_a_file_of_somebody_else_is_left_alone(folder: Path) -> None:
    Path("linear.py").write_text("# my own\n")
    for command in ("generate", "train"):
        assert "symback didn't write" in refused_somehow(command, example("linear"))
    assert Path("linear.py").read_text() == "# my own\n"
    assert [path.name for path in folder.iterdir()] == ["linear.py"]
    run("generate", example("linear"), "-o", "other.py")
    run("generate", example("linear"), "-o", "other.py")  # its own it replaces


def refused_somehow(*words: str | Path) -> str:
    return run(*words, code=1).stderr


def test_nothing_is_left_where_writing_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    run("generate", example("linear"))
    before = Path("linear.py").read_bytes()
    monkeypatch.setattr(Path, "write_bytes", full)
    assert "No space left" in refused("generate", example("linear"))
    assert Path("linear.py").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["linear.py"]


@pytest.mark.parametrize("output", ["missing/a.py", ".", "/", "/proc/a.py", "a" * 300, "a\0b.py"])
def test_an_impossible_place_is_said_in_words(output: str) -> None:
    assert refused("generate", example("linear"), "-o", output)


# ---------------------------------------------------------------- train


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["linear", "iris", "own_formula"])
def test_train_saves_what_it_learnt(name: str, target: str, folder: Path) -> None:
    shown = run("train", example(name), "--target", target, "--epochs", "3").stdout
    assert re.search(r"^epoch 3/3  loss \S+", shown, re.MULTILINE)
    assert "all epochs done after 3 epochs" in shown
    assert ("test  loss" in shown) == (name == "iris")
    names = {f"{name}.py", f"{name}.weights.npz", f"{name}.history.csv"}
    if plot.available():
        names.add(f"{name}.loss.png")
    assert {path.name for path in folder.iterdir()} == names
    history = Path(f"{name}.history.csv").read_text().splitlines()
    assert len(history) == 4
    with np.load(f"{name}.weights.npz", allow_pickle=False) as weights:
        assert {"f2.weight", "f2.bias"} <= set(weights) or name == "linear"
        assert all(np.isfinite(weights[key]).all() for key in weights)


def test_digits_are_learnt() -> None:
    lines = run("train", example("digits"), "--json").stdout.splitlines()
    end = json.loads(lines[-1])
    assert end["event"] == "end"
    assert end["test"]["accuracy"] >= 0.97
    epochs = [json.loads(line) for line in lines[:-1]]
    assert [row["epoch"] for row in epochs] == list(range(1, len(epochs) + 1))
    assert epochs[-1]["loss"] < 0.1 * epochs[0]["loss"]


def test_train_quiet_prints_nothing() -> None:
    result = run("train", example("xor"), "--quiet", "--epochs", "2")
    assert not result.output
    assert Path("xor.weights.npz").exists()


def test_train_in_another_folder_with_another_seed(folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    for name, seed in (("a", "1"), ("b", "2")):
        run("train", example("xor"), "--epochs", "2", "--folder", name, "--seed", seed)
    first, second = (Path(name, "xor.history.csv").read_text() for name in ("a", "b"))
    assert first != second
    assert refused_somehow("train", example("xor"), "--folder", "missing")


def test_train_without_data_draws_a_sample(folder: Path) -> None:
    text = example("chain").read_text()
    (folder / "drawn.yaml").write_text(re.sub("^data:.*", "", text, flags=re.MULTILINE))
    shown = run("train", "drawn.yaml", "--epochs", "2").stdout
    assert f"{training.DRAWN} examples drawn at random" in shown


@pytest.mark.parametrize("data", ["", "data: {csv: one.csv, x: [a, b], test: 0.25}\n"])
@pytest.mark.parametrize("target", ["numpy", "python"])
def test_a_network_without_a_target_trains(target: str, data: str, folder: Path) -> None:
    """An autoencoder: the loss reads the input alone, and the module has one array of data."""
    text = "model: one\ninputs: {x: [n, 2]}\nlayers: [f1: {dense: 2}]\noptimizer: adam\n"
    text += 'loss: {formula: "mean((y[n, k] - x[n, k])**2, n, k)"}\n'
    (folder / "one.yaml").write_text(text + "train: {epochs: 2, validation: 0.25}\n" + data)
    (folder / "one.csv").write_text("a,b\n" + "".join(f"{k},{k * k}\n" for k in range(12)))
    done = run("train", "one.yaml", "--target", target)
    assert done.exit_code == 0, done.output
    script = subprocess.run(
        [sys.executable, "one.py", "--epochs", "2"], capture_output=True, text=True, check=False
    )
    assert (script.returncode, script.stderr) == (0, "")
    assert "val_loss" in script.stdout


def test_train_says_what_is_wrong_with_the_data(folder: Path) -> None:
    (folder / "xor.yaml").write_text(example("xor").read_text())
    assert "there is no such file" in refused("train", "xor.yaml")
    (folder / "xor.csv").write_text("a,b,t\n0,0,0\n0,one,1\n")
    assert "xor.csv:3" in refused("train", "xor.yaml")
    (folder / "xor.csv").write_text("a,b,t\n0,0,0\n0,1,7\n")
    told = refused_somehow("train", "xor.yaml", "--quiet")
    assert "t" in told
    assert "7" in told


def test_a_loss_that_explodes_is_told_with_its_layer(folder: Path) -> None:
    text = example("chain").read_text().replace("lr: 0.1", "lr: 1.0e+300")
    (folder / "chain.yaml").write_text(text)
    (folder / "chain.csv").write_bytes((EXAMPLES / "chain.csv").read_bytes())
    told = refused_somehow("train", "chain.yaml", "--quiet")
    assert "not finite" in told
    assert "learning rate" in told


def test_ctrl_c_saves_what_was_learnt(folder: Path) -> None:
    command = [sys.executable, "-m", "symback", "train", str(example("digits")), "--json"]
    with subprocess.Popen(
        [*command, "--epochs", "1000000"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        rows = iter(process.stdout)
        next(rows)
        process.send_signal(signal.SIGINT)
        *_, last = rows
    assert process.returncode == 130
    end = json.loads(last)
    assert end["stopped"] == "interrupted"
    assert end["epochs"] >= 1
    assert Path("digits.weights.npz").exists()
    assert len(Path("digits.history.csv").read_text().splitlines()) == end["epochs"] + 1


@pytest.mark.skipif(not plot.available(), reason="needs matplotlib")
@pytest.mark.parametrize("ending", plot.FORMATS)
def test_train_draws_where_it_is_told_to(ending: str) -> None:
    run("train", example("iris"), "--epochs", "2", "--quiet", "--plot", f"picture{ending}")
    head = Path(f"picture{ending}").read_bytes()[:8]
    assert head.startswith((b"\x89PNG", b"<?xml", b"%PDF"))
    assert not Path("iris.loss.png").exists()


def test_a_plot_of_no_known_format_is_refused_before_training() -> None:
    assert ".png, .svg or .pdf" in refused("train", example("xor"), "--plot", "loss.txt")


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plot, "available", lambda: False)
    assert plot.INSTALL in run("train", example("xor"), "--epochs", "1").stdout
    assert not Path("xor.loss.png").exists()
    assert plot.INSTALL in refused("train", example("xor"), "--plot", "loss.png")


def test_the_live_display_holds_bar_curve_and_figures(capsys: pytest.CaptureFixture[str]) -> None:
    from typing import NamedTuple

    class Epoch(NamedTuple):
        epoch: int
        loss: float
        lr: float

    with progress.live(3) as show:
        for epoch in (1, 2, 3):
            show(Epoch(epoch, 1 / epoch, 0.1))
    shown = capsys.readouterr().out
    assert "3/3" in shown
    assert re.search(r"loss +learning rate", shown)
    assert re.search(r"0\.3333 +0\.1", shown)
    assert progress.BARS[0] in shown
    assert progress.BARS[-1] in shown


@pytest.mark.parametrize("losses", [[1.0], [2.0] * 50, [0.0, 1e-320, 1.0], list(range(1, 200))])
def test_the_curve_fits(losses: list[float]) -> None:
    shown = progress.curve(losses)
    assert len(shown) == min(len(losses), progress.CURVE)
    assert set(shown) <= set(progress.BARS)
    if losses[-1] > losses[0]:
        assert (shown[0], shown[-1]) == (progress.BARS[0], progress.BARS[-1])


# ---------------------------------------------------------------- inspect, check


@pytest.mark.parametrize("form", ["text", "latex", "json"])
@pytest.mark.parametrize("name", NAMES)
def test_inspect_shows_every_example(name: str, form: str) -> None:
    assert run("inspect", example(name), "--format", form, "--steps").stdout


def test_inspect_writes_a_file() -> None:
    shown = run("inspect", example("chain"), "--format", "latex").stdout
    run("inspect", example("chain"), "--format", "latex", "-o", "chain.tex")
    assert Path("chain.tex").read_text(encoding="utf-8") == shown


def test_inspect_gives_the_near_miss() -> None:
    assert "did you mean `f1.weight`?" in refused("inspect", example("chain"), "--wrt", "f1.wieght")
    assert "f1.weight, f1.bias" in refused("inspect", example("chain"), "--wrt", "zzz")


def test_check_of_a_spec_checks_every_target() -> None:
    shown = run("check", example("moons")).stdout
    assert "moons, numpy: the gradients by f1.weight" in shown
    assert "moons, python: the gradients by f1.weight" in shown
    assert "python" not in run("check", example("moons"), "--target", "numpy").stdout


def test_check_of_a_module(folder: Path) -> None:
    run("generate", example("chain"), "--readable")
    assert "are right" in run("check", "chain.py").stdout
    text = Path("chain.py").read_text(encoding="utf-8")
    wrong = re.sub(r"(    db2 = )(.+?)(  +#)", r"\1-(\2)\3", text)
    assert wrong != text
    Path("chain.py").write_text(wrong, encoding="utf-8")
    assert "∂L/∂f2.bias at" in run("check", "chain.py", code=1).stderr
    assert [path.name for path in folder.iterdir()] == ["chain.py"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1/0", "ZeroDivisionError"),
        ("def", "no Python"),
        ("x = 1", "no gradients to check"),
        ("import missing_module", "ModuleNotFoundError"),
        ("def init(seed): return {}\ndef check(seed): raise TypeError('hm')", "TypeError"),
        ("\0", "null byte"),
    ],
)
def test_check_of_what_is_no_module(text: str, words: str) -> None:
    Path("other.py").write_text(text)
    assert words in refused("check", "other.py")


# ---------------------------------------------------------------- catalog, schema, new


def test_the_catalogue_lists_every_entry() -> None:
    shown = run("catalog").stdout
    words = " ".join(shown.split())
    for entry in catalog.entries():
        assert re.search(rf"^  (.*, )?{entry.name}(,|  |$)", shown, re.MULTILINE), entry.name
        assert entry.doc.split(". ")[0].removesuffix(".") in words


@pytest.mark.parametrize("entry", catalog.entries(), ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_the_catalogue_shows_an_entry(entry: Entry) -> None:
    shown = " ".join(run("catalog", entry.name).stdout.split())
    for part in (entry.source, *(option.doc for option in entry.options)):
        assert " ".join(part.split()) in shown
    if entry.kind in (Kind.LAYER, Kind.ACTIVATION, Kind.LOSS) and entry.name != "identity":
        assert "∂L/∂" in shown


def test_the_catalogue_knows_aliases_and_near_misses() -> None:
    assert run("catalog", "residual").stdout == run("catalog", "add").stdout
    assert "did you mean `tanh`?" in refused("catalog", "tanhh")
    assert "lists what there is" in refused("catalog", "\x1b[31m")


def test_the_schema_is_json() -> None:
    schema = json.loads(run("schema").stdout)
    assert {"model", "inputs", "layers", "loss"} <= set(schema["properties"])


def test_a_new_model_trains_at_once(folder: Path) -> None:
    run("new", "mine")
    assert sorted(path.name for path in folder.iterdir()) == ["mine.csv", "mine.yaml"]
    end = json.loads(run("train", "mine.yaml", "--json").stdout.splitlines()[-1])
    assert end["test"]["rmse"] < 0.3
    before = Path("mine.yaml").read_bytes()
    told = refused("new", "mine")
    assert "mine.yaml: the file exists already" in told
    assert "mine.csv: the file exists already" in told
    assert Path("mine.yaml").read_bytes() == before


@pytest.mark.parametrize("name", ["", "1a", "a b", "../up", "a/b", "class", "a" * 41, "é", "a\n"])
def test_a_name_that_no_model_can_have(name: str, folder: Path) -> None:
    assert refused("new", name)
    assert not list(folder.iterdir())


# ---------------------------------------------------------------- mistakes in a spec

WRONG = """\
model: wrong
inputs:
  x: [n, 2]
  t: [n, 1]
layers:
  - f1: {dense: -3, activation: tanhh}
loss: {mse: target}
optimiser: {sgd: {lr: 0.1}}
"""


@pytest.mark.parametrize("command", ["generate", "train", "inspect", "check"])
def test_every_mistake_is_shown_with_its_place(command: str) -> None:
    Path("wrong.yaml").write_text(WRONG)
    told = refused(command, "wrong.yaml")
    for place in ("wrong.yaml:6:", "wrong.yaml:8:"):
        assert place in told
    assert "did you mean `tanh`?" in told
    assert "did you mean `optimizer`?" in told
    assert "^^^" in told


def hostile() -> Iterator[bytes]:
    yield b""
    yield b"\x00\xff\xfe"
    yield b"[" * 5000
    yield b"a: &x [*x]"
    yield b"model: !!python/object/apply:os.system [echo]"
    yield b"model: {}\n" * 3
    yield b"x" * 70_000
    text = example("chain").read_bytes()
    for key in (b"model: chain", b"mse: t", b"dense: 4", b"[n, 1]", b"activation: tanh"):
        for value in (b"''", b"[]", b"{}", b"9e999", b"-1", b"\xe2\x88\x82", b"__import__('os')"):
            yield text.replace(key, key.partition(b":")[0] + b": " + value, 1)


@pytest.mark.parametrize("content", list(hostile()))
def test_no_spec_ends_in_a_traceback(content: bytes) -> None:
    Path("bad.yaml").write_bytes(content)
    for command in ("inspect", "generate"):
        result = CliRunner().invoke(cli, [command, "bad.yaml"])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert result.exit_code in (0, 1)


def test_a_folder_is_no_spec(folder: Path) -> None:
    for command in ("generate", "train", "inspect", "check"):
        assert refused(command, folder)
