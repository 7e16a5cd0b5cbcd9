"""In a terminal: drawn formulas, the summary, training as it is watched."""

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sympy import Rational, Symbol
from sympy.core.parameters import distribute

from symback import functions as fn
from symback import pipeline, progress
from symback.inspect import show, story
from symback.inspect.drawn import Box, Writer, below, beside
from symback.inspect.summary import summary

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
NAMES = ("linear", "chain", "xor", "moons", "iris", "digits", "own_formula")
u, v = Symbol("u"), Symbol("v")


def told(name: str) -> Any:
    return story(pipeline.derive(EXAMPLES / f"{name}.yaml"))


def drawing(expr: Any) -> list[str]:
    with distribute(False):
        return [line.rstrip() for line in Writer({}, {}, {}).write(expr).lines]


# ---------------------------------------------------------------- drawn formulas


@pytest.mark.parametrize(
    ("expr", "lines"),
    [
        (u / v, ["u", "─", "v"]),
        (u / (v + 1) + 1, ["  u", "───── + 1", "v + 1"]),
        ((u / v) ** 2, ["u²", "──", "v²"]),
        (fn.sqrt(u + 1), [" _____", "√u + 1"]),
        (fn.sin(u / v), ["   ⎛u⎞", "sin⎜─⎟", "   ⎝v⎠"]),
        (fn.abs_(u / v), ["│u│", "│─│", "│v│"]),
        (fn.gt(u, 0), ["[u > 0]"]),
        (fn.where(fn.gt(u, 0), u, v), ["⎧ u  where u > 0", "⎨", "⎩ v  elsewhere"]),
        (u - v, ["u − v"]),
        (-u * Rational(1, 2), ["−0.5·u"]),
        (u**2, ["u²"]),
    ],
)
def test_a_formula_is_drawn(expr: Any, lines: list[str]) -> None:
    assert drawing(expr) == lines


def test_boxes_stand_on_one_line() -> None:
    tall = below(below(Box(("a",)), Box(("─",)), 0), Box(("b",)), 1)
    row = beside(tall, " + ", "c")
    assert row.lines == ("a    ", "─ + c", "b    ")
    assert row.base == 1


def test_a_loss_and_a_gradient_are_drawn() -> None:
    text = show(told("chain"), "pretty")
    rows = text.splitlines()
    at = rows.index("Loss")
    assert rows[at + 1 : at + 5] == [
        "               Σ  (z3[n,o] − t[n,o])²",
        "              n,o",
        "    loss  L = ───────────────────────",
        "                         N",
    ]
    [at] = [k for k, row in enumerate(rows) if "∂W1[o,i]" in row]
    assert [row.strip() for row in rows[at - 2 : at + 1]] == [
        "∂L           ∂L",
        "──────── = Σ ────────·x[n,i]",
        "∂W1[o,i]   n ∂z1[n,o]",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", NAMES)
def test_drawn_formulas_fit_the_width(name: str, width: int) -> None:
    text = show(told(name), "pretty", steps=True, width=width)
    for row in text.splitlines():
        assert len(row) <= width or len(row.split()) <= 1, row
    assert "∂L" in text
    assert "─" in text


def test_a_drawn_page_says_what_the_plain_one_says() -> None:
    """Whatever stands in one line is the same in both; words, titles and code, too."""
    shown = told("digits")
    plain, pretty = (show(shown, form, steps=True, width=200) for form in ("text", "pretty"))
    for row in plain.splitlines():
        words = row.strip()
        code = words.removeprefix("NumPy").strip()
        if words.endswith(".") or code != words:
            assert code in pretty, words


# ---------------------------------------------------------------- summary


def test_the_summary_of_digits() -> None:
    text = summary(told("digits"), 100, styled=False)
    rows = {row.split()[0]: row.split() for row in text.splitlines() if row.split()}
    assert rows["f1"] == ["f1", "N", "×", "64", "4,160", "266,240", "268,288", "82,432"]
    assert rows["total"][1] == "4,810"
    assert "\x1b" not in text
    assert "38,480 bytes" in text
    assert all(len(row) <= 100 for row in text.splitlines())


# ---------------------------------------------------------------- a real terminal


def in_terminal(folder: Path, *words: str, **extra: str) -> str:
    """Run a command in a terminal of 80 columns; return all that it printed."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "TERM": "xterm-256color"}
    env.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "symback", *words]
    with subprocess.Popen(
        command, cwd=folder, env={**env, **extra}, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        printed = b""
        while select.select([ours], [], [], 120)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the terminal is closed
                break
            if not part:
                break
            printed += part
    os.close(ours)
    assert process.returncode == 0, printed
    return printed.decode().replace("\r\n", "\n")


COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PAINT = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-9]|4[0-9]|9[0-7])[0-9;]*m")


def test_inspect_draws_in_a_terminal(tmp_path: Path) -> None:
    spec = str(EXAMPLES / "chain.yaml")
    assert in_terminal(tmp_path, "inspect", spec) == show(told("chain"), "pretty", width=80)
    assert in_terminal(tmp_path, "inspect", spec, "--format", "text") == show(
        told("chain"), "text", width=80
    )


@pytest.mark.parametrize("plain", [False, True])
def test_train_is_live_in_a_terminal(tmp_path: Path, plain: bool) -> None:
    extra = {"NO_COLOR": "1"} if plain else {}
    text = in_terminal(tmp_path, "train", str(EXAMPLES / "xor.yaml"), "--epochs", "40", **extra)
    assert "40/40" in text
    bare = COLOUR.sub("", text)
    assert re.search(r"loss +binary accuracy +gradient norm +learning rate", bare)
    assert "left" in bare
    assert any(bar in bare for bar in progress.BARS)
    assert "all epochs done after 40 epochs" in bare
    assert bool(PAINT.search(text)) is not plain


def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path) -> None:
    spec = str(EXAMPLES / "xor.yaml")
    text = in_terminal(tmp_path, "train", spec, "--epochs", "3", TERM="dumb")
    assert re.search(r"^epoch 3/3  loss \S+", text, re.MULTILINE)
    assert "\x1b" not in text


def test_validation_has_a_row_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    class Epoch(NamedTuple):
        epoch: int
        loss: float
        accuracy: float
        lr: float
        val_loss: float
        val_accuracy: float

    with progress.live(1) as shown:
        shown(Epoch(1, 0.5, 0.75, 0.01, 0.625, 0.7))
    text = capsys.readouterr().out
    assert re.search(r"training +0.5 +0.75 +0.01", text)
    assert re.search(r"validation +0.625 +0.7", text)
