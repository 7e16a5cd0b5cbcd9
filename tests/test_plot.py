"""Plots: what is drawn of a history and of a network's answers, and what is refused."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from symback import pipeline, plot, training
from symback.__main__ import cli
from symback.plot import figures

pytest.importorskip("matplotlib", reason="needs matplotlib")

from matplotlib.figure import Figure

from symback.plot import answers as pictures
from symback.plot import curves

EXAMPLES = Path(__file__).parent.parent / "examples"
HISTORY = plot.History(
    tuple(
        "epoch loss accuracy gradient_norm lr val_loss val_accuracy"
        " gradient_norm.f1 gradient_norm.f2".split()
    ),
    tuple((k, 1 / k, 1 - 1 / k, 2.0 / k, 0.1, 1.5 / k, 0.5, 1.0 / k, 1.5 / k) for k in range(1, 9)),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == code, result.output
    return result.output


def drawn(panels: Any) -> Iterator[Any]:
    """Draw each panel into a figure of its own."""
    for panel in panels:
        figure = Figure()
        panel(figure)
        yield figure


def titles(panels: Any) -> list[str]:
    return [figure.axes[0].get_title() or figure.get_suptitle() for figure in drawn(panels)]


# ---------------------------------------------------------------- histories


def test_a_history_is_read_as_it_was_saved(folder: Path) -> None:
    HISTORY.save(folder / "a.history.csv")
    assert figures.read(folder / "a.history.csv") == HISTORY


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "a.csv:"),
        ("epoch,loss\n", "a.csv:1:"),
        ("a,b\n1,2\n", "a.csv:1:"),
        ("epoch,loss\n1,much\n", "a.csv:2:"),
        ("epoch,loss\n1,2\n2,1,0\n", "a.csv:3:"),
    ],
)
def test_what_is_no_history_is_refused(folder: Path, text: str, place: str) -> None:
    (folder / "a.csv").write_text(text)
    told = run("plot", "a.csv", code=1)
    assert told.startswith(place)
    assert "no history" in told


def test_files_that_are_missing_or_not_the_networks_are_refused(folder: Path) -> None:
    assert "no such file" in run("plot", "none.csv", code=1)
    HISTORY.save(folder / "iris.history.csv")
    spec = str(EXAMPLES / "iris.yaml")
    assert "--weights" in run("plot", "iris.history.csv", "--spec", spec, code=1)
    np.savez(folder / "iris.weights.npz", a=np.zeros(3))
    assert "no weights of the network" in run("plot", "iris.history.csv", "--spec", spec, code=1)
    (folder / "iris.weights.npz").write_bytes(b"text")
    assert "no weights of the network" in run("plot", "iris.history.csv", "--spec", spec, code=1)
    assert ".png, .svg or .pdf" in run("plot", "iris.history.csv", "-o", "a.txt", code=1)


def test_training_saves_the_norm_of_each_layers_gradient(folder: Path) -> None:
    run("train", str(EXAMPLES / "iris.yaml"), "--epochs", "2", "--quiet")
    with (folder / "iris.history.csv").open() as file:
        rows = list(csv.DictReader(file))
    module = pipeline.compile(EXAMPLES / "iris.yaml")
    with np.load(folder / "iris.weights.npz") as stored:
        params = dict(stored)
    given = training.examples(pipeline.load(EXAMPLES / "iris.yaml"), module, "numpy")
    probed = [array[: training.PROBED] for array in given.train]
    _, grads = module.value_and_grad(params, *probed)
    for layer in ("f1", "f2"):
        parts = [grads[f"{layer}.weight"].ravel(), grads[f"{layer}.bias"]]
        norm = float(np.linalg.norm(np.concatenate(parts)))
        assert float(rows[-1][f"gradient_norm.{layer}"]) == pytest.approx(norm, rel=1e-12)


@pytest.mark.parametrize("target", ["numpy", "python"])
def test_norms_are_the_same_on_every_target(folder: Path, target: str) -> None:
    run("train", str(EXAMPLES / "xor.yaml"), "--epochs", "1", "--quiet", "--target", target)
    history = figures.read(folder / "xor.history.csv")
    assert {"gradient_norm.f1", "gradient_norm.f2"} < set(history.names)
    assert all(value > 0 for value in history.column("gradient_norm.f1"))


# ---------------------------------------------------------------- curves


def test_there_is_a_panel_for_each_figure() -> None:
    panels = curves.panels(HISTORY)
    assert titles(panels) == ["loss", "accuracy", "gradient norm", "learning rate"]
    loss, accuracy, norms, rate = drawn(panels)
    for figure in (loss, accuracy):
        words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        assert words == ["training", "validation"]
    words = [text.get_text() for text in norms.axes[0].get_legend().get_texts()]
    assert words[1:] == ["f1", "f2"]
    [line] = rate.axes[0].get_lines()
    assert list(line.get_ydata()) == HISTORY.column("lr")


def test_lines_are_told_apart_in_grey() -> None:
    """No line has both the dashes and the mark of another; none has a colour."""
    for figure in drawn(curves.panels(HISTORY)):
        lines = figure.axes[0].get_lines()
        assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == len(lines)
        assert all(float(line.get_color()) <= 0.6 for line in lines)


# ---------------------------------------------------------------- answers


def trained(name: str, epochs: int) -> plot.Answers:
    spec = pipeline.load(EXAMPLES / f"{name}.yaml")
    module = pipeline.compile(spec)
    given = training.examples(spec, module, "numpy")
    done = training.run(module, given, 0, epochs)
    answers = training.answers(spec, module, done.params, given)
    assert answers is not None
    return answers


def test_digits_have_a_confusion_matrix_and_mistakes_as_images() -> None:
    answers = trained("digits", 4)
    counts = np.zeros((10, 10), int)
    for right, said in zip(answers.right, answers.said, strict=True):
        counts[right, said] += 1
    matrix, images = drawn(pictures.panels(answers))
    texts = matrix.axes[0].texts
    shown = {(int(t.get_position()[1]), int(t.get_position()[0])): int(t.get_text()) for t in texts}
    assert shown == {(i, j): counts[i, j] for i, j in zip(*counts.nonzero(), strict=True)}
    wrong = int((answers.right != answers.said).sum())
    drawn_images = [axes.get_images()[0].get_array() for axes in images.axes if axes.get_images()]
    assert len(drawn_images) == min(wrong, pictures.SHOWN)
    assert all(image.shape == (8, 8) for image in drawn_images)
    worst = [axes.get_title() for axes in images.axes if axes.get_title()]
    assert all(label.split(", ")[0] != label.split(", ")[1] for label in worst)


def test_the_worst_mistake_comes_first() -> None:
    x, t = np.arange(4 * 25.0).reshape(4, 25), np.array([0, 1, 0, 1])
    y = np.array([[2.0, 1.0], [3.0, 0.0], [0.0, 9.0], [0.0, 1.0]])
    answers = figures.answers(lambda _: y, x, t, 2)
    assert answers is not None
    *_, images = drawn(pictures.panels(answers))
    first, second = (axes.get_images()[0].get_array() for axes in images.axes)
    assert np.array_equal(first.ravel(), x[2])
    assert np.array_equal(second.ravel(), x[1])


def test_two_inputs_have_a_decision_boundary() -> None:
    answers = trained("moons", 60)
    boundary, matrix = drawn(pictures.panels(answers))
    assert boundary.axes[0].get_title() == "decision boundary"
    words = [text.get_text() for text in boundary.axes[0].get_legend().get_texts()]
    assert words == ["-1", "1"]
    points = sum(len(part.get_offsets()) for part in boundary.axes[0].collections)
    assert points >= len(answers.x)
    assert "right" in matrix.axes[0].get_title()


def test_what_makes_no_classes_has_curves_alone() -> None:
    spec = pipeline.load(EXAMPLES / "own_formula.yaml")
    module = pipeline.compile(spec)
    given = training.examples(spec, module, "numpy")
    assert training.answers(spec, module, module.init(0), given) is None


@pytest.mark.parametrize(
    ("shape", "picture"),
    [
        ((64,), (8, 8)),
        ((28, 28), (28, 28)),
        ((1, 5, 6), (5, 6)),
        ((2,), None),
        ((16,), None),
        ((3, 8, 8), None),
        ((65,), None),
        ((), None),
    ],
)
def test_what_is_an_image(shape: tuple[int, ...], picture: tuple[int, int] | None) -> None:
    assert pictures.picture_shape(shape) == picture


# ---------------------------------------------------------------- files


def test_plot_draws_what_train_saved(folder: Path) -> None:
    spec = str(EXAMPLES / "iris.yaml")
    run("train", spec, "--epochs", "3", "--quiet", "--plot", "first.svg")
    assert "iris.loss.png" in run("plot", "iris.history.csv")
    assert (folder / "iris.loss.png").read_bytes().startswith(b"\x89PNG")
    run("plot", "iris.history.csv", "--spec", spec, "-o", "again.svg")
    assert (folder / "again.svg").read_bytes() == (folder / "first.svg").read_bytes()
