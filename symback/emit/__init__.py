"""Program → Module: the strings of a program laid out by the templates of a target.

What a module contains is decided here, as strings; a template only says where they stand. It sees
one variable, `m`, a `View`: strings and tuples of strings, an empty one for what isn't there.
"""

from dataclasses import dataclass, replace
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, cast

from symback.emit.blocks import Block
from symback.emit.constants import with_constants
from symback.emit.data import Examples, examples
from symback.emit.folding import fitted
from symback.emit.heading import header, imports
from symback.emit.loop import Loop, loop
from symback.emit.network import Network, network
from symback.emit.optimizer import Optimizer, optimizer
from symback.emit.reading import live
from symback.emit.target import Boxes, Target
from symback.emit.templates import environment
from symback.emit.text import safe
from symback.program import Program, Statement
from symback.shown import Shown

FIRST = "numpy"  # the target that is named first
CODE = 72  # columns of a statement's code beside its formula


@dataclass(frozen=True, slots=True)
class Module(Shown):
    """A module's text; `name` is the model's, `target` the language it is written for."""

    name: str
    target: str
    text: str


@dataclass(frozen=True, slots=True)
class View:
    """All that a template sees."""

    title: str
    header: tuple[str, ...]
    imports: tuple[str, ...]
    body: str
    functions: tuple[str, ...]  # the source of each helper
    net: Network
    optimizer: Optimizer
    loop: Loop
    examples: Examples


def emit(program: Program, target: str) -> Module:
    """Return the module's text for a target, a file of symback/targets."""
    templates = environment()
    words: Any = templates.get_template(f"{target}/words.j2").module
    boxes = Boxes(str(words.scalar_open), str(words.scalar_close), str(words.scalar_read))
    printer = cast(Target, import_module(f"symback.targets.{target}"))
    view = viewed(Block(with_constants(live(program)), printer, boxes), target)
    body = fitted(templates.get_template(f"{target}/body.py.j2").render(m=view))
    view = replace(view, body=body, imports=imports(body))
    text = templates.get_template("common/module.py.j2").render(m=view)
    return Module(program.model, target, text)


def targets() -> tuple[str, ...]:
    """Return the languages that a module can be written in: the files of symback/targets."""
    found = (each.name for each in iter_modules(import_module("symback.targets").__path__))
    return tuple(sorted(found, key=lambda name: (name != FIRST, name)))


def codes(statement: Statement, program: Program) -> dict[str, str]:
    """Return a statement's code for each target, without its formula."""
    bare = (replace(statement, because=""),)
    printers = {name: import_module(f"symback.targets.{name}") for name in targets()}
    return {
        name: "\n".join(cast(Target, printer).lines(bare, program, CODE))
        for name, printer in printers.items()
    }


def viewed(block: Block, name: str) -> View:
    """Return a program's strings for the target of that name; body and imports come last."""
    program = block.program
    return View(
        title=safe(f"{program.model}: a network and its training, derived and written by symback."),
        header=header(program, name),
        imports=(),
        body="",
        functions=block.functions(name),
        net=network(block),
        optimizer=optimizer(block),
        loop=loop(program.training),
        examples=examples(program, block.target, name),
    )
