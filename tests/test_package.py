"""The package as a whole: what it imports, what importing it costs, what the wheel holds."""

import ast
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STAGES = ("formula", "spec", "graph", "derivation", "lower", "emit", "pipeline")
HEAVY = {"sympy", "numpy", "rich", "jinja2", "pydantic", "yaml", "matplotlib", "torch", "jax"}


def files() -> dict[str, Path]:
    """Return every module of symback with its file."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((ROOT / "symback").rglob("*.py"))
    }


def statements(body: list[ast.stmt], *, later: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that run: those at the top and, if `later`, those inside functions too."""
    for statement in body:
        match statement:
            case ast.Import() | ast.ImportFrom():
                yield statement
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from statements(statement.orelse, later=later)
            case ast.FunctionDef() if not later:
                continue
            case _:
                inner = ast.iter_child_nodes(statement)
                yield from statements([n for n in inner if isinstance(n, ast.stmt)], later=later)


def imported(path: Path, known: Mapping[str, Path], *, later: bool = True) -> set[str]:
    """Return the modules a file imports: symback's by their full names, others by the first."""
    found: set[str] = set()
    for statement in statements(ast.parse(path.read_text("utf-8")).body, later=later):
        if isinstance(statement, ast.Import):
            words = [alias.name for alias in statement.names]
        else:
            assert statement.level == 0, f"{path}: imports are absolute"
            base = statement.module or ""
            words = [f"{base}.{alias.name}" for alias in statement.names]
            words = [word if word in known else base for word in words]
        found |= {word if word in known else word.partition(".")[0] for word in words}
    return found


def graph(*, later: bool = True) -> dict[str, set[str]]:
    """Return what each module of symback imports."""
    known = files()
    return {name: imported(path, known, later=later) - {name} for name, path in known.items()}


def reach(imports: Mapping[str, set[str]], *start: str) -> set[str]:
    """Return everything that is imported once these are."""
    seen: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += imports.get(name, set())
    return seen


def below(package: str, names: set[str]) -> set[str]:
    """Return the names that are the package or stand in it."""
    return {name for name in names if f"{name}.".startswith(f"{package}.")}


def test_no_import_goes_in_a_circle() -> None:
    order = list(TopologicalSorter(graph(later=False)).static_order())
    assert "symback.program" in order


def test_each_stage_imports_only_the_stages_before_it() -> None:
    imports = graph()
    for place, stage in enumerate(STAGES):
        modules = below(f"symback.{stage}", set(imports))
        assert modules, f"the stage {stage} has no file"
        for later in STAGES[place + 1 :]:
            assert not below(f"symback.{later}", reach(imports, *modules)), (stage, later)


def test_a_target_knows_only_the_program() -> None:
    imports = graph()
    targets = below("symback.targets", set(imports)) - {"symback.targets"}
    assert len(targets) >= 2
    heard = {name for name in reach(imports, *targets) if name.startswith("symback.")}
    of_program = {"program", "printing", "places", "steps", "wrapping", "errors"}
    allowed = {f"symback.{name}" for name in of_program} | below("symback.targets", heard)
    assert heard <= allowed, sorted(heard - allowed)


def test_what_emits_code_never_sees_sympy() -> None:
    imports = graph()
    emitting = {"symback.emit"} | below("symback.targets", set(imports))
    assert "sympy" not in reach(imports, *emitting)


def test_only_index_computes_with_deltas() -> None:
    """`functions` defines them; `notation` and `writing` write them down: no other file may."""
    knowing = set()
    for name, path in files().items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            words = {
                getattr(node, "id", None),
                getattr(node, "attr", None),
                node.name if isinstance(node, ast.alias) else None,
            }
            if "Delta" in words:
                knowing.add(name)
    writing = {"symback.notation", "symback.inspect.writing", "symback.functions"}
    assert knowing - writing == {"symback.index"}


def loaded(code: str) -> set[str]:
    """Return which heavy packages a fresh interpreter has loaded after running the code."""
    told = f"{code}\nimport sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(run.stdout.splitlines()[-1].split()) & HEAVY


def test_importing_symback_loads_nothing_heavy() -> None:
    assert loaded("import symback; symback.__version__") == set()


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv = ['symback', '--help']\n"
        "try:\n"
        "    runpy.run_module('symback', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code"
    )
    assert loaded(code) == set()


def test_the_public_functions_are_loaded_when_asked_for() -> None:
    code = (
        "import symback\n"
        "assert all(callable(getattr(symback, name)) for name in symback.__all__[1:])\n"
        "import symback.derivation, symback.emit, symback.spec\n"
        "assert all(callable(getattr(symback, name)) for name in symback.__all__[1:])"
    )
    assert "sympy" in loaded(code)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the checkout, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return path


def test_the_wheel_holds_types_and_templates(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    files = (path for path in (ROOT / "templates").rglob("*") if path.is_file())
    templates = {path.relative_to(ROOT).as_posix() for path in files}
    assert {"templates/html/OFL.txt", "templates/html/stix-two-math-subset.woff2"} < templates
    beside = {"symback/py.typed", "symback/inspect/messages.toml"}
    assert held >= {f"symback/{name}" for name in templates} | beside
    assert not [name for name in held if name.startswith(("tests/", "examples/", "templates/"))]


@pytest.mark.parametrize("target", ["numpy", "python"])
def test_the_wheel_generates_from_another_folder(wheel: Path, tmp_path: Path, target: str) -> None:
    """Installed elsewhere, run elsewhere: the bytes are the checkout's."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    spec = ROOT / "examples" / "iris.yaml"
    written = {}
    for place in (site, ROOT):
        output = tmp_path / f"{place.name}.py"
        command = ["symback", "generate", str(spec), "--target", target, "-o", str(output)]
        script = (
            "import sys, symback; assert symback.__file__.startswith(sys.argv.pop());"
            "from symback.__main__ import main; main()"
        )
        subprocess.run(
            [sys.executable, "-c", script, *command[1:], str(place)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(place)},
            check=True,
            capture_output=True,
        )
        written[place] = output.read_bytes()
    assert written[site] == written[ROOT]
    assert b"import symback" not in written[site]
