"""`symback check`: the gradients of a spec's modules, or of a module that was written before."""

import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from symback import pipeline
from symback.check import Report, check, check_text
from symback.emit.target import printer
from symback.errors import Mistake, UserError
from symback.targets import names


def reports(path: Path, target: str | None, seeds: Sequence[int]) -> list[tuple[str, Report]]:
    """Check a module, or what a spec's module is on each target; each report with its title.

    Raises UserError where there is nothing to check.
    """
    if path.suffix == ".py":
        return [(str(path), check(module(path), seeds))]
    return list(_of_spec(path, target, seeds))


def _of_spec(path: Path, target: str | None, seeds: Sequence[int]) -> Iterator[tuple[str, Report]]:
    spec = pipeline.load(path)
    able = [name for name in names() if printer(name).ABOUT.runs()]
    for each in able if target is None else (target,):
        yield f"{spec.model}, {each}", check_text(pipeline.generate(spec, each), seeds)


def module(path: Path) -> ModuleType:
    """Import a module from its file. Raises UserError where that fails."""
    found = spec_from_file_location(path.stem, path)
    if not path.is_file() or found is None or found.loader is None:
        raise UserError(Mistake("there is no such file", source=str(path)))
    made = module_from_spec(found)
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # no __pycache__ beside a file that is only looked at
    sys.modules.setdefault(path.stem, made)  # where dataclasses look for the names in annotations
    try:
        found.loader.exec_module(made)
    except SyntaxError as error:
        told = f"this is no Python: {error.msg}"
        raise UserError(Mistake(told, source=str(path), line=error.lineno)) from None
    except Exception as error:
        raise UserError(failure(path, error, "importing it fails")) from None
    finally:
        sys.dont_write_bytecode = before
    return made


def failure(path: Path, error: BaseException, what: str) -> Mistake:
    """Say what a person's own file has raised, and at which of its lines."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    line, row = (own[-1].lineno, own[-1].line or "") if own else (None, "")
    reason = f"{type(error).__name__}: {error}".removesuffix(": ")
    return Mistake(f"{what}: {reason}", source=str(path), line=line, row=row)
