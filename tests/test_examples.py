"""Every example on every target: generated, checked, trained; figures that the README names."""

import csv
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from settings import TARGETS

from symback import data, pipeline

EXAMPLES = Path(__file__).parent.parent / "examples"
SPECS = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


@cache
def module_of(name: str, target: str) -> ModuleType:
    return pipeline.compile(EXAMPLES / f"{name}.yaml", target)


def examples_of(name: str, target: str) -> tuple[list[Any], list[Any]]:
    """Return the inputs for training and for the test as the target takes them."""
    spec = pipeline.load(EXAMPLES / f"{name}.yaml")
    assert spec.data is not None
    table = data.read(spec.data, spec.inputs, spec.folder)
    parts = []
    for part in (table.train, table.test):
        arrays = [part[item.name] for item in spec.inputs]
        parts.append([a if target == "numpy" else a.tolist() for a in arrays])
    return parts[0], parts[1]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", SPECS)
def test_the_gradients_are_right(name: str, target: str) -> None:
    module = module_of(name, target)
    assert [module.check(seed) for seed in range(3)] == [[], [], []]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", SPECS)
def test_training_lowers_the_loss(name: str, target: str) -> None:
    module = module_of(name, target)
    params = module.init(0)
    training, _ = examples_of(name, target)
    before = module.evaluate(params, *training)["loss"]
    history = module.train(params, *training, epochs=5)
    assert len(history) == 5
    assert module.evaluate(params, *training)["loss"] < before


@pytest.mark.parametrize(("target", "epochs"), [("numpy", 30), ("python", 8)])
def test_digits_are_read(target: str, epochs: int) -> None:
    module = module_of("digits", target)
    params = module.init(0)
    training, test = examples_of("digits", target)
    module.train(params, *training, epochs=epochs)
    assert module.evaluate(params, *test)["accuracy"] >= 0.97


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("name", "figure", "least"),
    [("moons", "binary_accuracy", 1.0), ("xor", "binary_accuracy", 1.0), ("iris", "accuracy", 0.9)],
)
def test_classes_are_told_apart(name: str, figure: str, least: float, target: str) -> None:
    module = module_of(name, target)
    params = module.init(0)
    training, _ = examples_of(name, target)
    module.train(params, *training)
    assert module.evaluate(params, *training)[figure] >= least


@pytest.mark.torch
@pytest.mark.parametrize("target", TARGETS)
def test_linear_follows_pytorch_to_the_last_digits(target: str) -> None:
    torch = pytest.importorskip("torch")
    module = module_of("linear", target)
    params = module.init(0)
    line = torch.nn.Linear(1, 1, dtype=torch.float64)
    with torch.no_grad():
        line.weight[:] = torch.tensor(params["f1.weight"])
        line.bias[:] = torch.tensor(params["f1.bias"])
    training, _ = examples_of("linear", target)
    x, t = (torch.tensor(np.array(values)) for values in training)
    optimizer = torch.optim.SGD(line.parameters(), lr=0.01)
    wanted = []
    for _ in range(100):
        loss = torch.nn.functional.mse_loss(line(x), t)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(line.parameters(), 1.0)
        optimizer.step()
        wanted.append(loss.item())
    history = module.train(params, *training)
    np.testing.assert_allclose([row.loss for row in history], wanted, rtol=1e-12, atol=0)


@pytest.mark.parametrize("target", TARGETS)
def test_a_module_is_a_script(target: str, tmp_path: Path) -> None:
    script = tmp_path / "digits.py"
    script.write_text(pipeline.generate(EXAMPLES / "digits.yaml", target).text, encoding="utf-8")
    options = ["--data", str(EXAMPLES / "digits.csv"), "--epochs", "1", "--history", "h.csv"]
    for arguments in (["--check"], options):
        command = [sys.executable, "-I", str(script), *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert ran.returncode == 0, ran.stderr
    with (tmp_path / "h.csv").open(encoding="utf-8", newline="") as file:
        header, row = csv.reader(file)
    assert header[:2] == ["epoch", "loss"]
    assert float(row[1]) > 0


ALL_TEXTS = """
import hashlib, sys
from pathlib import Path
from symback import pipeline
for path in sorted(Path(sys.argv[1]).glob("*.yaml")):
    for target, readable in (("numpy", True), ("numpy", False), ("python", True)):
        text = pipeline.generate(path, target, readable=readable).text
        assert "import symback" not in text
        print(path.stem, target, readable, hashlib.sha256(text.encode()).hexdigest())
"""


def test_the_same_spec_gives_the_same_bytes() -> None:
    root = EXAMPLES.parent
    printed = set()
    for seed in ("1", "2"):
        setting = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        command = [sys.executable, "-c", ALL_TEXTS, str(EXAMPLES)]
        ran = subprocess.run(command, env=setting, capture_output=True, text=True, check=True)
        printed.add(ran.stdout)
    assert len(printed) == 1
    assert len(next(iter(printed)).splitlines()) == 3 * len(SPECS)
