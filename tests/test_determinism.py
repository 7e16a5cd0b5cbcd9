"""The same spec gives the same bytes, whatever the order of Python's sets; modules stand alone."""

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
import ast, hashlib, json, sys
from symback import derive, generate

def foreign(text):  # modules that it imports beyond the standard library
    nodes = list(ast.walk(ast.parse(text)))
    names = [alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names]
    names += ["." * n.level + str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)]
    return sorted({name.partition(".")[0] for name in names} - sys.stdlib_module_names)

for source, forms in json.loads(sys.argv[1]):
    made = derive(source)
    for target, readable in forms:
        text = generate(made, target, readable=readable).text
        told = foreign(text) if sys.argv[2] == "imports" else []
        print(hashlib.sha256(text.encode()).hexdigest(), *told)
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


Asked = list[tuple[str | SpecMapping, list[tuple[str, bool]]]]


def started(asked: Asked, hash_seed: str, told: str = "") -> "subprocess.Popen[str]":
    """Start a process that prints each text's digest and, if told, what it imports."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(asked), told],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_same_bytes_and_no_other_imports() -> None:
    """For every hash seed, whatever was generated before, and again in the same process."""
    asked: Asked = [(source, FORMS) for source in sources()]
    again: Asked = [(source, FORMS) for source in EXAMPLES]
    backwards: Asked = [(source, FORMS[::-1]) for source, _ in asked[::-1]]
    both = started([*asked, *again], "0", "imports"), started(backwards, "4321")
    found, other = ([row.split() for row in each.communicate()[0].splitlines()] for each in both)
    assert [process.returncode for process in both] == [0, 0]
    first = [digest for digest, *_ in found]
    second = [digest for [digest] in other[::-1]]
    names = [f"{source} {form}" for source, forms in asked for form in forms]
    repeated = first[len(names) :]
    pairs = zip(names, first[: len(names)], second, strict=True)
    assert [name for name, a, b in pairs if a != b] == []
    assert repeated == first[: len(again) * len(FORMS)]  # the examples stand first
    assert len(set(second)) > len(EXAMPLES)  # they are not all the same text
    for name, (target, _), (_, *imported) in zip(names, FORMS * len(asked), found, strict=False):
        assert set(imported) == ALLOWED[target], name


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
