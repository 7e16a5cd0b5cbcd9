"""Program → Module: the strings of a program laid out by the templates of a target.

What a module contains is decided here, as strings; a template only says where they stand. It sees
one variable, `m`, a `View`: strings and tuples of strings, an empty one for what isn't there.
"""

from dataclasses import dataclass, replace
from typing import Any

from symback.emit.beside import Extra, functions
from symback.emit.blocks import Block
from symback.emit.constants import with_constants
from symback.emit.data import Examples, examples
from symback.emit.folding import fitted
from symback.emit.heading import header, imports
from symback.emit.loop import Loop, loop
from symback.emit.native import Compiled, beside, called, compiled
from symback.emit.network import Network, network
from symback.emit.optimizer import Optimizer, optimizer
from symback.emit.reading import live
from symback.emit.target import Boxes, printer
from symback.emit.templates import environment
from symback.emit.text import safe
from symback.errors import Mistake, UserError
from symback.program import Program, Role, Statement
from symback.shown import Shown
from symback.targets import names
from symback.targets._about import About, Layout
from symback.targets._alone import Alone

SIMPLE_DRAWS = ("constant", "values", "uniform", "normal")  # number by number
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
    layout: Layout
    header: tuple[str, ...]
    imports: tuple[str, ...]
    body: str
    functions: tuple[str, ...]  # the source of each helper
    net: Network
    optimizer: Optimizer
    beside: tuple[Extra, ...]
    loop: Loop
    examples: Examples
    native: Compiled | None  # of a target that compiles
    alone: Alone | None = None  # around a library that needs no Python
    interface: str = ""
    source: str = ""


def laid_out(program: Program, about: About) -> Layout:
    """Return which templates lay a program out; a search along lines has steps of its own."""
    layout = about.fast if program.buffers and about.fast else about.layout
    return replace(layout, steps=("common/search_step.py.j2",)) if program.update.search else layout


def emit(program: Program, target: str) -> Module:
    """Return the module's text for a target, a file or folder of symback/targets.

    Raises UserError where batches are to be joined whose outputs don't begin with the examples.
    """
    if program.training.accumulate > 1 and not program.by_rows:
        shape = ", ".join(map(str, program.tensor(program.output).shape))
        message = f"`accumulate` joins the batches' outputs, and `{program.output}` has ({shape})"
        hint = "write the last formula as y[n, k] = …, or leave accumulate out"
        raise UserError(Mistake(message, ("train", "accumulate"), hint=hint))
    templates = environment()
    view = viewed(with_constants(live(program)), target)
    if view.native:
        interface = templates.get_template(f"{target}/interface.h.j2").render(m=view)
        source_text = templates.get_template(f"{target}/source.c.j2").render(m=view)
        view = replace(view, interface=interface.strip(), source=source_text.strip())
    body = fitted(templates.get_template(f"{target}/body.py.j2").render(m=view))
    view = replace(view, body=body, imports=imports(body))
    text = templates.get_template("common/module.py.j2").render(m=view)
    return Module(program.model, target, text)


def codes(statement: Statement, program: Program) -> dict[str, str]:
    """Return a statement's code for each target, without its formula."""
    bare = (replace(statement, because=""),)
    return {name: "\n".join(printer(name).lines(bare, program, CODE)) for name in names()}


def standalone(program: Program, target: str) -> tuple[Module, ...]:
    """Return the files of a library that needs no Python, NAME.h and NAME.c; none of some targets.

    Their `target` is their suffix.
    """
    about = printer(target).ABOUT
    if about.standalone is None:
        return ()
    _require_alone(program)
    program = with_constants(live(program))
    view = viewed(program, target)
    native, around = about.standalone(program)
    view = replace(
        view,
        header=header(program, "the C library only"),
        native=compiled(native, target, linkage="static "),
        alone=around,
    )
    texts = {
        suffix: environment().get_template(f"{target}/alone.{suffix}.j2").render(m=view)
        for suffix in ("h", "c")
    }
    return tuple(Module(program.model, suffix, text) for suffix, text in texts.items())


def _require_alone(program: Program) -> None:
    """Refuse what needs Python: starts drawn by more than a number at a time, and a search."""
    if program.update.search:
        message = f"a library of its own doesn't train by {program.update.name}"
        raise UserError(Mistake(message, hint="leave out --standalone, or take adam"))
    for tensor in program.with_role(Role.PARAMETER):
        if tensor.draw is not None and tensor.draw.kind not in SIMPLE_DRAWS:
            message = f"a library of its own can't draw {tensor.key} by {tensor.draw.because}"
            hint = "take uniform, normal, constant or the numbers themselves"
            raise UserError(Mistake(message, hint=hint))


def viewed(program: Program, name: str) -> View:
    """Return a program's strings for the target of that name; body and imports come last."""
    target = printer(name)
    about = target.ABOUT
    like = about.like or name
    words: Any = environment().get_template(f"{like}/words.j2").module
    boxes = Boxes(
        *map(str, (words.scalar_open, words.scalar_close, words.scalar_read, words.whole))
    )
    block = Block(program, target, boxes)
    net = network(block)
    native = None
    if about.native:
        native = compiled(about.native(program), name)
        net = called(net, native)
        block = replace(block, program=beside(program))
    return View(
        title=safe(f"{program.model}: a network and its training, derived and written by symback."),
        layout=laid_out(program, about),
        header=header(program, about.needs),
        imports=(),
        body="",
        functions=block.functions(like),
        net=net,
        optimizer=optimizer(replace(block, program=program)),
        beside=functions(replace(block, target=printer(like), program=program)),
        loop=loop(program.training),
        examples=examples(program, target, like),
        native=native,
    )
