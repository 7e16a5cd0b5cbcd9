"""What the README shows is what happens."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from symback import catalog, pipeline, spec
from symback.catalog.entry import Entry, Kind, Operand, Option, Parameter

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_console_blocks_show_what_is_printed() -> None:
    shown = blocks("console")
    assert shown
    for block in shown:
        call, _, wanted = block.partition("\n")
        arguments, _, tail = call.removeprefix("$ symback ").partition(" | tail -n ")
        command = [sys.executable, "-m", "symback", *arguments.split()]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode == ("differs" in wanted), ran.stderr  # 1 where verify finds something
        lines = ran.stdout.rstrip("\n").splitlines()[-int(tail or 0) :]
        assert "\n".join(lines) == wanted.rstrip("\n")


def test_the_python_block_runs() -> None:
    (program,) = (block for block in blocks("python") if block.startswith("import symback"))
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_the_emitted_lines_are_the_readmes() -> None:
    (shown,) = (block for block in blocks("python") if "dz3 = " in block)
    text = pipeline.generate(ROOT / "examples/chain.yaml", readable=True).text
    for line in shown.splitlines():
        assert line.strip() == "..." or line in text.splitlines()


def test_the_specs_are_specs() -> None:
    shown = blocks("yaml")
    whole = [block for block in shown if block.startswith("model:")]
    assert len(whole) == 2
    for block in whole:
        without_data = re.sub(r"^data:.*\n", "", block, flags=re.MULTILINE)
        assert pipeline.derive(spec.parse(without_data)).gradients
    (own,) = (block for block in shown if block.startswith("functions:"))
    frame = "model: own\ninputs: {x: [n, 2], t: [n, 1]}\n"
    assert "siren.W" in dict(pipeline.derive(spec.parse(frame + own)).gradients)


def test_the_layers_that_nobody_ships_are_layers() -> None:
    shapes = {"sinkhorn": "5, 5", "codebook": "8", "selective": "6, 16"}
    shown = [block for block in blocks("yaml") if block.split(":")[0].strip(" -") in shapes]
    assert len(shown) == len(shapes)
    for block in shown:
        name = block.split(":")[0].strip(" -")
        first = "  - f0: {formula: 'z[...] = s*x[...]', parameters: {s: {shape: [], init: ones}}}\n"
        text = (
            f"model: own\ninputs: {{x: [n, {shapes[name]}]}}\nlayers:\n{first}{block}"
            "loss: {formula: 'sum(y[...]**2, ...)'}\noptimizer: sgd\n"
        )
        assert pipeline.compile(spec.parse(text)).check() == []


def test_the_entries_work_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"Entry": Entry, "Kind": Kind, "Operand": Operand, "Option": Option}
    entries = [block for block in blocks("python") if block.startswith("Entry(")]
    made: list[Entry] = []
    for block in entries:
        assert len(block.splitlines()) < 11  # "under ten lines" and the brackets
        made.append(eval(block, {**known, "Parameter": Parameter}))  # noqa: S307
    monkeypatch.setattr(catalog, "_ENTRIES", (*catalog.entries(), *made))
    by_name = {(each.kind, each.name): each for each in catalog.entries()}
    monkeypatch.setattr(catalog, "_BY_NAME", by_name)
    model = {
        "inputs": {"x": ["n", 3], "t": ["n", 2]},
        "layers": [{"f1": {"dense": 2}}, {"f2": {"root_mean_square": {}}}],
        "loss": {"pseudo_huber": {"target": "t", "delta": 0.5}},
        "optimizer": "sgd",
    }
    assert pipeline.compile(model).check() == []


def test_the_c_lines_are_the_readmes() -> None:
    (shown,) = blocks("c")
    text = pipeline.generate(ROOT / "examples/chain.yaml", "c").text.splitlines()
    first, *_ = lines = [f"    {line}" for line in shown.splitlines()]
    assert any(text[at : at + len(lines)] == lines for at in range(len(text)) if text[at] == first)
