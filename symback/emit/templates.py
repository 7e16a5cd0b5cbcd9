"""Where the templates are, and how they are read; each is parsed once."""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from jinja2 import BaseLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined


@cache
def environment() -> Environment:
    """Return Jinja set to fail on anything undefined; templates of the package or the checkout."""
    return Environment(
        loader=loader(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,  # nobody edits them meanwhile
        autoescape=False,  # the text is Python; what isn't a checked name is escaped by `safe`
    )


def loader() -> BaseLoader:
    """Return what reads the templates."""
    at = folder()
    return FileSystemLoader(at) if isinstance(at, Path) else PackageLoader("symback", "templates")


def folder() -> Traversable:
    """Return where the templates are: in the installed package, or beside it in a checkout."""
    installed = files("symback").joinpath("templates")
    if installed.is_dir():
        return installed
    checkout = Path(__file__).parents[2] / "templates"
    if (checkout / "common" / "module.py.j2").is_file():
        return checkout
    raise FileNotFoundError("symback's templates are missing: reinstall the package")


def data(path: str) -> bytes:
    """Return the bytes of a file of the templates, a font say."""
    return folder().joinpath(path).read_bytes()


@cache
def source(path: str) -> str:
    """Return the text of a file of the templates, without its last line end."""
    found, _, _ = loader().get_source(environment(), path)
    return found.rstrip("\n")


@cache
def functions(target: str) -> frozenset[str]:
    """Return the names of a target's helper functions."""
    paths = (Path(path) for path in loader().list_templates())
    return frozenset(p.stem for p in paths if p.parent == Path(target, "functions"))


def sources(target: str, called: Iterable[str]) -> tuple[str, ...]:
    """Return the source of helper functions, and of those that they call themselves."""
    found: dict[str, str] = {}
    waiting = set(called)
    while waiting:
        name = waiting.pop()
        found[name] = source(f"{target}/functions/{name}.py")
        words = set(re.findall(r"\b(\w+)\(", found[name]))
        waiting |= (words & functions(target)) - found.keys()
    return tuple(found[name] for name in sorted(found))
