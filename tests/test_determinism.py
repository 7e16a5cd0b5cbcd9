"""The same spec gives the same bytes, whatever the order of Python's sets; modules stand alone."""

import ast
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import operand_cases
import pytest
from loss_cases import cases
from loss_cases import spec as loss_spec
from oracle import SpecMapping, entries
from settings import OF_IMAGES, OF_MATRICES, TARGETS, fitting, of_images, of_matrices, of_sequences

from symback import generate
from symback.catalog.entry import Entry, Kind, Option

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(str(path) for path in (ROOT / "examples").glob("*.yaml"))
FORMS = [("numpy", True), ("numpy", False), ("python", True), ("c", True)]
ALLOWED = {"numpy": {"numpy"}, "python": set[str](), "c": {"numpy"}}  # beyond the standard library
PROGRAM = """
import hashlib, json, sys
from symback import generate
for source, target, readable in json.loads(sys.argv[1]):
    text = generate(source, target, readable=readable).text
    print(hashlib.sha256(text.encode()).hexdigest())
"""
BLOCKED = """
import runpy, sys
sys.modules["symback"] = sys.modules["sympy"] = None  # an import of these fails
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def required(option: Option) -> Any:
    """Return a value for an option that must be given."""
    if option.listed:
        return [3, 7]
    return 3 if option.whole else 0.5


def written(entry: Entry) -> dict[str, dict[str, Any]]:
    """Return an entry as a spec names it."""
    return {entry.name: {o.name: required(o) for o in entry.options if o.required}}


@cache
def swept() -> list[SpecMapping]:
    """Return specs that between them use every entry of these kinds."""
    losses = list({(case.entry.name, case.wanted): case for case in cases()}.values())
    activations, initializers = (
        [entry for entry in entries(kind) if entry.name not in OF_IMAGES]
        for kind in (Kind.ACTIVATION, Kind.INITIALIZER)
    )
    schedules = entries(Kind.SCHEDULE)
    optimizers = [e for e in entries(Kind.OPTIMIZER) if e.name not in OF_MATRICES]
    lists = (losses, activations, optimizers, schedules, initializers)
    found = [
        of_images(),
        of_sequences(),
        *map(of_matrices, OF_MATRICES),
        *(operand_cases.spec(case) for case in operand_cases.PLAINEST),
    ]
    for k in range(max(len(listed) for listed in lists)):
        spec = loss_spec(losses[k % len(losses)])
        spec["layers"][0]["f1"] |= {
            "activation": written(activations[k % len(activations)]),
            "init": written(initializers[k % len(initializers)]),
        }
        spec["layers"].insert(1, {"d": {"dropout": 0.2}})
        spec["optimizer"] = written(optimizers[k % len(optimizers)])
        spec["schedule"] = fitting(written(schedules[k % len(schedules)]), spec["optimizer"])
        found.append(spec)
    return found


def sources() -> list[str | SpecMapping]:
    """Return the examples and the sweep."""
    return [*EXAMPLES, *swept()]


def test_the_sweep_uses_every_entry() -> None:
    text = json.dumps(swept())
    for kind in (Kind.LOSS, Kind.ACTIVATION, Kind.OPTIMIZER, Kind.SCHEDULE, Kind.INITIALIZER):
        for entry in entries(kind):
            assert f'"{entry.name}": {{' in text, entry.name


def digests(*hash_seeds: str) -> list[list[str]]:
    """Generate all of it in a process for each seed, side by side; return what came out."""
    asked = [(source, *form) for source in sources() for form in FORMS]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(asked)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in hash_seeds
    ]
    found = [process.communicate()[0].split() for process in running]
    assert [process.returncode for process in running] == [0] * len(running)
    assert {len(lines) for lines in found} == {len(asked)}
    return found


def test_the_same_bytes_for_every_hash_seed() -> None:
    first, second = digests("0", "4321")
    names = [str(source) for source in sources() for _ in FORMS]
    different = [name for name, a, b in zip(names, first, second, strict=True) if a != b]
    assert different == []
    assert len(set(first)) > len(EXAMPLES)  # they are not all the same text


@pytest.mark.parametrize(("target", "readable"), FORMS)
def test_the_same_bytes_again(target: str, readable: bool) -> None:
    """In one process too, whatever was generated before."""
    for source in EXAMPLES:
        first = generate(source, target, readable=readable)
        assert generate(source, target, readable=readable).text == first.text


@pytest.mark.parametrize("target", TARGETS)
def test_modules_import_only_what_they_may(target: str) -> None:
    for source in sources():
        imported = set()
        for node in ast.walk(ast.parse(generate(source, target).text)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                imported.add(str(node.module).partition(".")[0])
        assert imported
        assert imported <= sys.stdlib_module_names | ALLOWED[target]


@pytest.mark.parametrize("target", TARGETS)
def test_a_module_runs_without_symback(target: str, tmp_path: Path) -> None:
    path = tmp_path / "linear.py"
    path.write_text(generate(ROOT / "examples" / "linear.yaml", target).text, encoding="utf-8")
    (tmp_path / "linear.csv").write_bytes((ROOT / "examples" / "linear.csv").read_bytes())
    for arguments in (["--check"], ["--epochs", "3"]):
        done = subprocess.run(
            [sys.executable, "-c", BLOCKED, str(path), *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout
