"""Program → Module: the strings of a program laid out by the templates of a target.

What a module contains is decided here, as strings; a template only says where they stand. It sees
one variable, `m`, a `View`: strings and tuples of strings, an empty one for what isn't there.
"""

import ast
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib import import_module
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, cast

from jinja2 import BaseLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined

from symback import __version__
from symback.program import (
    Data,
    Draw,
    Number,
    Program,
    Read,
    Role,
    Slice,
    Split,
    Statement,
    Tensor,
)

WIDTH = 100
OWN = "the spec's own formula"

# Upper-case names of a module, which no constant may take.
TAKEN = {"ACCUMULATE", "CLIP_NORM", "CLIP_VALUE", "COLUMNS", "DATA", "FLOAT", "LAYERS", "SHAPES"}
# What a module imports is what its text names.
IMPORTS = {
    "argparse": "import argparse",
    "ast": "import ast",
    "csv": "import csv",
    "math": "import math",
    "struct": "import struct",
    "sys": "import sys",
    "zipfile": "import zipfile",
    "np": "import numpy as np",
    "Callable": "from collections.abc import Callable",
    "Iterator": "from collections.abc import Iterator",
    "Mapping": "from collections.abc import Mapping",
    "Sequence": "from collections.abc import Sequence",
    "contextmanager": "from contextlib import contextmanager",
    "suppress": "from contextlib import suppress",
    "dataclass": "from dataclasses import dataclass",
    "pairwise": "from itertools import pairwise",
    "islice": "from itertools import islice",
    "chain": "from itertools import chain",
    "repeat": "from itertools import repeat",
    "fmean": "from statistics import fmean",
    "pstdev": "from statistics import pstdev",
    "mul": "from operator import mul",
    "Path": "from pathlib import Path",
    "Random": "from random import Random",
    "Any": "from typing import Any",
    "NamedTuple": "from typing import NamedTuple",
    "TypeAlias": "from typing import TypeAlias",
    "ArrayLike": "from numpy.typing import ArrayLike",
    "NDArray": "from numpy.typing import NDArray",
}


@dataclass(frozen=True, slots=True)
class Module:
    """A module's text; `name` is the model's, `target` the language it is written for."""

    name: str
    target: str
    text: str


class Target(Protocol):
    """What symback.targets.<name> offers: statements and draws as lines of code."""

    def lines(
        self, statements: Sequence[Statement], program: Program, width: int = 96
    ) -> tuple[str, ...]: ...
    def helpers(self, statements: Sequence[Statement], program: Program) -> tuple[str, ...]: ...
    def sizes(self, statements: Sequence[Statement], program: Program) -> tuple[str, ...]: ...
    def size(self, dim: str, tensor: Tensor) -> str: ...
    def initial(self, tensor: Tensor, program: Program) -> str: ...


@dataclass(frozen=True, slots=True)
class View:
    """All that a template sees. Lists of names are tuples; what is absent is empty."""

    title: str
    header: tuple[str, ...]
    imports: tuple[str, ...]
    body: str
    functions: tuple[str, ...]  # the source of each helper
    # the network
    float: str
    constants: tuple[str, ...]
    layers: tuple[str, ...]  # '"z1": "f1",'
    shapes: tuple[str, ...]  # fast form: '"f1.weight": (128, 64),'
    buffers: tuple[str, ...]  # fast form: 'self.z1 = np.empty((n, 128), dtype)'
    kept: tuple[str, ...]  # fast form: what the cache holds that isn't written in place
    scratch: tuple[str, ...]  # fast form: arrays of all parameters' elements for the update
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    data: tuple[str, ...]  # inputs and targets
    output: str
    cache_fields: tuple[str, ...]
    cache_names: str
    labels: tuple[str, ...]  # the inputs and targets that hold class labels
    first_key: str  # the first parameter, whose float type the pass takes
    one_sum: str  # which assumptions are checked
    signs: str
    unit: str
    positive: str
    drawn: tuple[str, ...]  # names drawn anew at each training step
    init: tuple[str, ...]
    draws: str  # "rng" where init draws
    head: tuple[str, ...]  # forward's parameters and sizes
    forward: tuple[str, ...]
    masks: tuple[str, ...]  # the lines that draw them, or set them to 1 in evaluation
    objective: tuple[str, ...]
    backward: tuple[str, ...]
    adjoints: tuple[str, ...]  # fast form: 'dW1 = grads["f1.weight"]', what backward writes into
    written: tuple[str, ...]  # fast form: 'grads["f.scale"][...] = dscale', for single numbers
    gradients: tuple[str, ...]  # '"f1.weight": dW1,'
    scalars: tuple[str, ...]  # the parameters that are single numbers
    beyond: str  # that there are gradients by more than the parameters
    loss_name: str
    unreduced: str  # the loss's name where it is an array
    weight: tuple[str, ...]  # the lines that end by computing what a batch counts for
    weight_name: str  # "n" for a mean over the examples, "" for a sum
    # the optimiser
    optimizer: str
    states: tuple[str, ...]
    starts: tuple[str, ...]
    state_fields: tuple[str, ...]
    clip_norm: str
    clip_value: str
    step: tuple[str, ...]
    elements: tuple[str, ...]
    after: tuple[str, ...]
    schedule_name: str
    schedule: tuple[str, ...]
    schedule_per_step: str
    schedule_per_epoch: str
    # the loop
    metrics: tuple[str, ...]  # names
    metric_lines: tuple[str, ...]
    metric_inputs: tuple[str, ...]  # the targets that metrics read
    epochs: str
    batch_size: str
    shuffle: str
    seed: str
    accumulate: str
    validation: str
    patience: str
    tolerance: str
    settle: str
    watched: str
    breaks: str
    checks: tuple[str, ...]
    input_checks: tuple[str, ...]
    samples: tuple[str, ...]
    drawing: tuple[str, ...]  # the source of the functions that draw them
    # the data file
    data_path: str
    data_format: str
    columns: tuple[str, ...]
    reads: tuple[str, ...]
    standardised: tuple[str, ...]
    test: str
    data_seed: str


def emit(program: Program, target: str) -> Module:
    """Return the module's text for a target, a file of symback/targets."""
    templates = environment()
    words: Any = templates.get_template(f"{target}/words.j2").module
    boxes = Boxes(str(words.scalar_open), str(words.scalar_close), str(words.scalar_read))
    printer = cast(Target, import_module(f"symback.targets.{target}"))
    view = viewed(program, printer, target, boxes)
    body = fitted(templates.get_template(f"{target}/body.py.j2").render(m=view))
    view = replace(view, body=body, imports=imports(body))
    text = templates.get_template("common/module.py.j2").render(m=view)
    return Module(program.model, target, text)


def environment() -> Environment:
    """Return Jinja set to fail on anything undefined; templates of the package or the checkout."""
    return Environment(
        loader=loader(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the text is Python; what isn't a checked name is escaped by `safe`
    )


def loader() -> BaseLoader:
    """Return where the templates are: in the installed package, or beside it in a checkout."""
    if files("symback").joinpath("templates").is_dir():
        return PackageLoader("symback", "templates")
    checkout = Path(__file__).parent.parent / "templates"
    if (checkout / "common" / "module.py.j2").is_file():
        return FileSystemLoader(checkout)
    raise FileNotFoundError("symback's templates are missing: reinstall the package")


# ---------------------------------------------------------------- the view


def viewed(program: Program, target: Target, name: str, boxes: "Boxes") -> View:
    """Return a program's strings for a target."""
    program = with_constants(program)
    inputs = program.with_role(Role.INPUT)
    targets = program.with_role(Role.TARGET)
    random = program.with_role(Role.RANDOM)
    training, data, update, schedule = (
        program.training,
        program.data,
        program.update,
        program.schedule,
    )
    once = {statement.target.name for statement in update.scalars}
    states = tuple(state for state in update.states if state.name not in once)
    schedule_states = () if schedule is None else schedule.states
    watched = "val_loss" if training.validation else "loss"
    weight = weighing(program)
    block = Block(program, target, boxes)
    held = set(names(cached(program)))
    known = {tensor.key for tensor in program.with_role(Role.PARAMETER)}
    samples = tuple(sampled(tensor, program, target) for tensor in (*inputs, *targets))
    return View(
        title=safe(f"{program.model}: a network and its training, derived and written by symback."),
        header=header(program, name),
        imports=(),
        body="",
        functions=block.functions(name),
        float=program.float_type,
        constants=constants(program),
        layers=tuple(
            f"{quoted(name)}: {quoted(layer)},"
            for name, layer in dict(program.layers).items()
            if name in held
        ),
        shapes=tuple(
            f"{quoted(tensor.key)}: {shape_text(tensor)},"
            for tensor in program.with_role(Role.PARAMETER)
        )
        if program.buffers
        else (),
        buffers=tuple(
            f"self.{b.name} = np.{'ones' if b.draw else 'empty'}({shape_text(b)}, dtype)"
            for b in program.buffers
            if "p" not in b.shape
        ),
        kept=tuple(n for n in names(cached(program)) if n not in names(program.buffers)),
        scratch=tuple(b.name for b in program.buffers if "p" in b.shape),
        inputs=names(inputs),
        targets=names(targets),
        data=names((*inputs, *targets)),
        output=program.output,
        cache_fields=tuple(
            f"{tensor.name}: Array  # {shape_text(tensor)}" for tensor in cached(program)
        ),
        cache_names=", ".join(f"{tensor.name}={tensor.name}" for tensor in cached(program)),
        labels=tuple(t.name for t in (*inputs, *targets) if t.classes is not None),
        first_key=quoted(program.with_role(Role.PARAMETER)[0].key),
        one_sum=assumed(program, "one_sum"),
        signs=assumed(program, "signs"),
        unit=assumed(program, "unit"),
        positive=assumed(program, "positive"),
        drawn=names(random),
        init=tuple(
            line
            for tensor in program.with_role(Role.PARAMETER)
            for line in initial(tensor, boxes.boxed(tensor, target.initial(tensor, program)))
        ),
        draws="rng" if any(drawn(tensor) for tensor in program.with_role(Role.PARAMETER)) else "",
        head=block.head(),
        forward=target.lines(program.forward, program),
        masks=tuple(line for tensor in random for line in mask(tensor, program, target)),
        objective=block.objective(program.loss),
        backward=block.backward(),
        adjoints=tuple(
            f"{name} = grads[{quoted(key)}]"
            if key in known
            else f"{name} = np.empty_like(cache.{name.removeprefix('d')})"
            for key, name in program.gradients
            if program.tensor(name).shape
        ),
        written=tuple(
            f"grads[{quoted(key)}][...] = {name}"
            for key, name in program.gradients
            if not program.tensor(name).shape
        ),
        gradients=tuple(
            f"{quoted(key)}: {boxes.boxed(program.tensor(name), name)},"
            for key, name in program.gradients
        ),
        scalars=tuple(quoted(t.key) for t in program.with_role(Role.PARAMETER) if not t.shape),
        beyond="inputs" if {key for key, _ in program.gradients} - known else "",
        loss_name=program.objective,
        unreduced=program.objective if program.tensor(program.objective).shape else "",
        weight=block.weight(weight) if weight else (),
        weight_name=program.weight,
        optimizer=OWN if update.name == "own" else update.name,
        states=tuple(state.name for state in states),
        starts=tuple(repr(state.start) for state in states),
        state_fields=(
            *(
                f"{state.name}: {'Array' if program.buffers else 'Params'}  # for each parameter"
                for state in states
            ),
            *(f"{b.name}: Array  # scratch" for b in program.buffers if "p" in b.shape),
            f"lr: float = {'LR' if has_rate(program) else '0.0'}  # the learning rate",
            "step: int = 0  # steps taken",
            *(f"{s.name}: float = {s.start!r}" for s in update.states if s.name in once),
            *(("epoch: int = 0  # epochs done",) if schedule else ()),
            *(("metric: float = math.inf  # the last epoch's loss",) if schedule else ()),
            *(f"{s.name}: float = {s.start!r}" for s in schedule_states),
        ),
        clip_norm="" if training.clip_norm is None else repr(training.clip_norm),
        clip_value="" if training.clip_value is None else repr(training.clip_value),
        step=block.step(),
        elements=target.lines(update.elements, program, 88),
        after=tuple(f"state.{s.name} = {s.name}" for s in update.states if s.name in once),
        schedule_name=OWN
        if schedule and schedule.name == "own"
        else schedule.name
        if schedule
        else "",
        schedule=block.schedule(),
        schedule_per_step="step" if schedule and schedule.per == "step" else "",
        schedule_per_epoch="epoch" if schedule and schedule.per == "epoch" else "",
        metrics=tuple(metric.name for metric in program.metrics),
        metric_lines=block.metrics(),
        metric_inputs=tuple(
            name
            for name in names(targets)
            if any(name in reads(metric.statements) for metric in program.metrics)
        ),
        epochs=repr(training.epochs),
        batch_size=repr(training.batch_size),
        shuffle="shuffle" if training.shuffle and training.batch_size is not None else "",
        seed=repr(training.seed),
        accumulate=repr(training.accumulate) if training.accumulate > 1 else "",
        validation=repr(training.validation) if training.validation else "",
        patience="" if training.patience is None else repr(training.patience),
        tolerance="" if training.tolerance is None else repr(training.tolerance),
        settle=repr(training.settle),
        watched=watched,
        breaks="" if training.patience is training.tolerance is None else "break",
        checks=(
            *map(shape_check, (*inputs, *targets)),
            *(
                f"{REQUIRED[a.kind]}({quoted(a.tensor)}, {a.tensor}, {quoted(a.because)})"
                for a in program.assumptions
                if a.kind in REQUIRED
            ),
        ),
        input_checks=tuple(map(shape_check, inputs)),
        samples=samples,
        drawing=drawing(samples, name),
        data_path="" if data is None else quoted(data.path),
        data_format="" if data is None else data.format,
        columns=()
        if data is None
        else tuple(
            f"{quoted(c.tensor)}: ({', '.join(map(quoted, c.names))},)," for c in data.columns
        ),
        reads=()
        if data is None
        else tuple(data_read(tensor, data) for tensor in (*inputs, *targets)),
        standardised=()
        if data is None
        else tuple(columns.tensor for columns in data.columns if columns.standardise),
        test=repr(data.test) if data and data.test else "",
        data_seed="" if data is None else repr(data.seed),
    )


# Assumptions that a function of the templates checks; labels are checked with the shapes.
REQUIRED = {
    "one_sum": "require_one_sum",
    "signs": "require_signs",
    "unit": "require_unit",
    "positive": "require_positive",
}
# How targets are drawn that something is assumed of, again by functions of the templates.
DRAWN = {"one_sum": "drawn_shares", "signs": "drawn_signs"}
RANGES = {
    "unit": Draw("uniform", (0.05, 0.95)),
    "positive": Draw("uniform", (0.5, 1.5)),
    "": Draw("normal", (0.0, 1.0)),
}


@dataclass(frozen=True, slots=True)
class Boxes:
    """How a target keeps a parameter that is a single number, so that it can be changed in place:
    what stands before and after the number, and after the box to read it.
    """

    open: str
    close: str
    read: str

    def boxed(self, tensor: Tensor, value: str) -> str:
        """Return a parameter's value, in a box if it is a number."""
        return value if tensor.shape else f"{self.open}{value}{self.close}"


@dataclass(frozen=True, slots=True)
class Block:
    """The bodies of a program's functions: names unpacked, sizes, then the statements' lines."""

    program: Program
    target: Target
    boxes: Boxes

    def head(self) -> tuple[str, ...]:
        """Return what stands before the forward pass: parameters, constants, sizes."""
        statements = self.program.forward
        inputs = self.program.with_role(Role.INPUT)
        return (
            *self.parameters(statements),
            *self.unpacked("cache", self.cached(statements) if self.program.buffers else ()),
            *self.constants(statements),
            *self.sizes(statements, inputs[0]),
        )

    def objective(self, statements: Sequence[Statement]) -> tuple[str, ...]:
        """Return lines over the cache and the targets: the loss."""
        return (
            *self.parameters(statements),
            *self.unpacked("cache", self.cached(statements)),
            *self.constants(statements),
            *self.sizes(statements, self.program.with_role(Role.INPUT)[0], "cache."),
            *self.target.lines(statements, self.program),
        )

    def weight(self, statements: Sequence[Statement]) -> tuple[str, ...]:
        """Return the lines that compute, from targets, what they count for in a mean."""
        first = self.program.with_role(Role.TARGET)[0]
        buffers = self.cached(statements)
        made = f"cache = Cache(len({first.name}), np.dtype(FLOAT))"
        return (
            *((made, *self.unpacked("cache", buffers)) if buffers else ()),
            *self.constants(statements),
            *self.sizes(statements, first),
            *self.target.lines(statements, self.program),
        )

    def backward(self) -> tuple[str, ...]:
        """Return the adjoints' lines, after those of the loss that they read (fast form: all)."""
        loss, adjoints = self.program.loss, self.program.backward
        if not self.program.buffers:
            loss = needed_by(loss, reads(adjoints))
        return self.objective((*loss, *adjoints))

    def step(self) -> tuple[str, ...]:
        """Return the optimiser's scalars of a step."""
        update = self.program.update
        wanted = reads((*update.scalars, *update.elements))
        once = [state.name for state in update.states if writes(state.name, update.scalars)]
        known = [name for name in ("step", "lr", *once) if name in wanted]
        return (*self.unpacked("state", known), *self.target.lines(update.scalars, self.program))

    def schedule(self) -> tuple[str, ...]:
        """Return the schedule's lines, from state to state."""
        schedule = self.program.schedule
        if schedule is None:
            return ()
        states = [state.name for state in schedule.states]
        known = [
            n
            for n in ("lr", "epoch", "step", "metric", *states)
            if n in incoming(schedule.statements)
        ]
        written = [name for name in ("lr", *states) if writes(name, schedule.statements)]
        return (
            *self.unpacked("state", known),
            *self.target.lines(schedule.statements, self.program),
            *(f"state.{name} = {name}" for name in written),
        )

    def metrics(self) -> tuple[str, ...]:
        """Return the metrics' lines; they read the output `y` and the targets."""
        statements = tuple(s for metric in self.program.metrics for s in metric.statements)
        if not statements:
            return ()
        output = self.program.tensor(self.program.output)
        return (
            *self.constants(statements),
            *self.sizes(statements, output),
            *self.target.lines(statements, self.program),
        )

    def parameters(self, statements: Sequence[Statement]) -> tuple[str, ...]:
        """Return the parameters that statements read, unpacked layer by layer."""
        wanted = reads(statements)
        used = [t for t in self.program.with_role(Role.PARAMETER) if t.name in wanted]
        layers = dict.fromkeys(tensor.key.rpartition(".")[0] for tensor in used)
        groups = [[t for t in used if t.key.rpartition(".")[0] == layer] for layer in layers]
        return tuple(
            f"{', '.join(names(group))} = "
            + ", ".join(
                f"params[{quoted(t.key)}]{'' if t.shape else self.boxes.read}" for t in group
            )
            for group in groups
        )

    def cached(self, statements: Sequence[Statement]) -> tuple[str, ...]:
        """Return the names of the cache that statements read or, fast form, write into."""
        buffers = tuple(b for b in self.program.buffers if "p" not in b.shape)
        touched = {*reads(statements)}
        touched |= {s.target.name for s in statements} & set(names(buffers))
        if statements is self.program.forward:
            touched -= {s.target.name for s in statements} - set(names(buffers))
            touched -= set(names(self.program.with_role(Role.INPUT, Role.RANDOM)))
        held = dict.fromkeys((*names(cached(self.program)), *names(buffers)))
        return tuple(name for name in held if name in touched)

    def unpacked(self, source: str, wanted: Sequence[str]) -> tuple[str, ...]:
        """Return lines that give attributes names of their own, as many a line as fit."""
        groups: list[list[str]] = []
        for name in wanted:
            if groups and len(unpacking(source, [*groups[-1], name])) <= WIDTH - 12:
                groups[-1].append(name)
            else:
                groups.append([name])
        return tuple(unpacking(source, group) for group in groups)

    def constants(self, statements: Sequence[Statement]) -> tuple[str, ...]:
        """Return the spec's arrays of numbers that statements read."""
        wanted = reads(statements)
        return tuple(
            f"{tensor.name} = {self.target.initial(tensor, self.program)}"
            for tensor in self.program.with_role(Role.CONSTANT)
            if tensor.name in wanted
        )

    def sizes(
        self, statements: Sequence[Statement], tensor: Tensor, prefix: str = ""
    ) -> tuple[str, ...]:
        """Return the run-time sizes that statements name."""
        dims = dict.fromkeys(self.target.sizes(statements, self.program))
        if not prefix and statements is self.program.forward:
            for drawn_tensor in self.program.with_role(Role.RANDOM):
                dims |= dict.fromkeys(dim for dim in drawn_tensor.shape if isinstance(dim, str))
        holder = replace(tensor, name=f"{prefix}{tensor.name}")
        return tuple(f"{dim} = {self.target.size(dim, holder)}" for dim in dims)

    def functions(self, name: str) -> tuple[str, ...]:
        """Return the source of the helper functions that any line calls."""
        program = self.program
        statements = [*program.forward, *program.loss, *program.backward]
        statements += [s for metric in program.metrics for s in metric.statements]
        statements += [*program.update.scalars, *program.update.elements]
        statements += program.schedule.statements if program.schedule else ()
        called = dict.fromkeys(self.target.helpers(statements, program))
        return tuple(source(f"{name}/functions/{function}.py") for function in called)


def unpacking(source: str, wanted: Sequence[str]) -> str:
    """Return `a, b = cache.a, cache.b`."""
    return f"{', '.join(wanted)} = " + ", ".join(f"{source}.{name}" for name in wanted)


def drawing(samples: Iterable[str], target: str) -> tuple[str, ...]:
    """Return the source of the functions that draw the examples."""
    called = sorted({draw.partition("(")[0] for draw in samples if draw.startswith("drawn_")})
    return tuple(source(f"{target}/functions/{function}.py") for function in called)


def source(path: str) -> str:
    """Return the text of a file of the templates, without its last line end."""
    found, _, _ = cast(Any, loader()).get_source(environment(), path)
    return str(found).rstrip("\n")


def names(tensors: Iterable[Tensor]) -> tuple[str, ...]:
    return tuple(tensor.name for tensor in tensors)


def cached(program: Program) -> tuple[Tensor, ...]:
    """Return what a forward pass leaves: inputs, random values and every value, in order."""
    order = dict.fromkeys(statement.target.name for statement in program.forward)
    tensors = {tensor.name: tensor for tensor in program.tensors}
    values = tuple(tensors[name] for name in order if name in tensors)  # the rest is scratch
    return (*program.with_role(Role.INPUT, Role.RANDOM), *values)


def shape_text(tensor: Tensor) -> str:
    """Return (n, 64)."""
    dims = ", ".join(map(str, tensor.shape))
    return f"({dims},)" if len(tensor.shape) == 1 else f"({dims})"


def shape_check(tensor: Tensor) -> str:
    """Return the line that checks an input's or a target's shape, numbers and labels."""
    dims = ", ".join(quoted(d) if isinstance(d, str) else str(d) for d in tensor.shape)
    shape = f"({dims},)" if len(tensor.shape) == 1 else f"({dims})"
    arguments = f"{quoted(tensor.key)}, {tensor.name}, {shape}"
    if tensor.classes is not None:
        return f"{tensor.name} = labels({arguments}, {tensor.classes})"
    return f"{tensor.name} = expect({arguments})"


def initial(tensor: Tensor, start: str) -> tuple[str, ...]:
    """Return a parameter's entry of `init`, with the rule of its start beside or above it."""
    entry = f"{quoted(tensor.key)}: {start},"
    rule = f"# {tensor.draw.because}" if tensor.draw and tensor.draw.because else ""
    beside = f"{entry}  {rule}" if rule else entry
    return (beside,) if len(beside) <= WIDTH - 8 else (rule, entry) if rule else (entry,)


def mask(tensor: Tensor, program: Program, target: Target) -> tuple[str, ...]:
    """Return the lines that draw a random tensor in training and set it to 1 otherwise."""
    ones = target.initial(replace(tensor, draw=Draw("constant", (1.0,))), program)
    drawn = target.initial(tensor, program)
    line = f"{tensor.name} = {ones} if rng is None else {drawn}"
    if len(line) <= WIDTH - 4:
        return (line,)
    first, second = f"    {tensor.name} = {ones}", f"    {tensor.name} = {drawn}"
    return ("if rng is None:", first, "else:", second)


def assumed(program: Program, kind: str) -> str:
    """Return the kind of assumption if it is made of any tensor."""
    return kind if any(assumption.kind == kind for assumption in program.assumptions) else ""


def drawn(tensor: Tensor) -> bool:
    """Tell whether a parameter's start is random."""
    return tensor.draw is not None and tensor.draw.kind not in {"constant", "values"}


def sampled(tensor: Tensor, program: Program, target: Target) -> str:
    """Return the expression that draws an input or a target as the loss assumes it."""
    shape = shape_text(tensor)
    if tensor.classes is not None:
        return f"drawn_labels(rng, {shape}, {tensor.classes})"
    kinds = [a.kind for a in program.assumptions if a.tensor == tensor.name]
    kind = kinds[0] if kinds else ""
    if kind in DRAWN:
        return f"{DRAWN[kind]}(rng, {shape})"
    return target.initial(
        replace(tensor, draw=RANGES[kind]), replace(program, float_type="float64")
    )


def data_read(tensor: Tensor, data: Data) -> str:
    """Return the line that reads an input or a target from the data file."""
    if data.format == "npz":
        columns = next(columns for columns in data.columns if columns.tensor == tensor.name)
        return f"_, {tensor.name} = read_npz(file, {quoted(columns.names[0])})"
    row = replace(tensor, shape=tensor.shape[1:])
    return f"{tensor.name} = read_columns(file, {quoted(tensor.name)}, {shape_text(row)})"


def quoted(text: str) -> str:
    """Return a string literal, in double quotes, whatever the text holds."""
    escapes = {"\\": "\\\\", '"': '\\"'}
    shown = (c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return '"' + "".join(escapes.get(c, c) for c in shown) + '"'


# ---------------------------------------------------------------- statements


def children(node: Any) -> Iterable[Any]:
    """Return the expressions inside an expression or a statement."""
    for field in fields(node):
        value = getattr(node, field.name)
        for part in value if isinstance(value, tuple) else (value,):
            if is_dataclass(part):
                yield part


def read_names(node: Any) -> Iterable[str]:
    """Return the names an expression reads, in order, again where it reads them again."""
    if isinstance(node, Read | Split | Slice):
        yield node.name
    for part in children(node):
        yield from read_names(part)


def reads(statements: Iterable[Statement]) -> dict[str, None]:
    """Return the names that statements read, each once, in order."""
    return dict.fromkeys(name for s in statements for name in read_names(s.value))


def incoming(statements: Sequence[Statement]) -> dict[str, None]:
    """Return the names that statements read before they write them."""
    written: set[str] = set()
    before: dict[str, None] = {}
    for statement in statements:
        before |= {n: None for n in read_names(statement.value) if n not in written}
        written.add(statement.target.name)
    return before


def writes(name: str, statements: Iterable[Statement]) -> bool:
    return any(statement.target.name == name for statement in statements)


def needed_by(statements: Sequence[Statement], wanted: Iterable[str]) -> tuple[Statement, ...]:
    """Return the statements whose values are wanted, with those they read, in order."""
    missing = set(wanted)
    kept: list[Statement] = []
    for statement in reversed(statements):
        if statement.target.name in missing:
            missing.discard(statement.target.name)
            missing |= set(read_names(statement.value))
            kept.insert(0, statement)
    return tuple(kept)


def weighing(program: Program) -> tuple[Statement, ...]:
    """Return the statements that compute what a batch counts for in a mean over batches.

    A loss L = S/D of a sum S over examples has, for batches b, S = Σ_b D_b·L_b and D = Σ_b D_b, and
    its gradient likewise. D is the number of examples, or is computed by the loss's statements
    (the sum of the weights of the labels met); where L is a sum itself, parts add up.
    """
    return () if program.weight in {"", "n"} else needed_by(program.loss, [program.weight])


# ---------------------------------------------------------------- constants


def with_constants(program: Program) -> Program:
    """Return the program with the optimiser's and the schedule's constants in upper case.

    One whose name would mean two things is written out as its number instead.
    """
    update, schedule = program.update, program.schedule
    listed = [*update.constants, *(schedule.constants if schedule else ())]
    values: dict[str, set[float]] = {}
    for constant in listed:
        values.setdefault(constant.name.upper(), set()).add(constant.value)
    swap: dict[str, Any] = {}
    for constant in listed:
        name = constant.name.upper()
        clear = len(values[name]) == 1 and name not in TAKEN
        swap[constant.name] = Read(name, ()) if clear else Number(constant.value)
    rate = next((c for c in update.constants if c.name == "lr"), None)
    swap.pop("lr", None)
    in_schedule = dict(swap)
    if rate is not None:
        in_schedule["base"] = Read("LR", ())
    return replace(
        program,
        update=replace(
            update,
            scalars=tuple(swapped(s, swap) for s in update.scalars),
            elements=tuple(swapped(s, swap) for s in update.elements),
        ),
        schedule=schedule
        and replace(
            schedule, statements=tuple(swapped(s, in_schedule) for s in schedule.statements)
        ),
    )


def swapped(statement: Statement, swap: dict[str, Any]) -> Statement:
    """Return a statement with some of the names it reads replaced."""
    return replace(statement, value=renamed(statement.value, swap))


def renamed(node: Any, swap: dict[str, Any]) -> Any:
    """Return an expression with some of the names it reads replaced."""
    if isinstance(node, Read):
        return swap.get(node.name, node)
    if not is_dataclass(node):
        return tuple(renamed(part, swap) for part in node) if isinstance(node, tuple) else node
    changed = {field.name: renamed(getattr(node, field.name), swap) for field in fields(node)}
    return replace(cast(Any, node), **changed)


def has_rate(program: Program) -> bool:
    return any(constant.name == "lr" for constant in program.update.constants)


def constants(program: Program) -> tuple[str, ...]:
    """Return the named numbers that some line reads, one assignment each."""
    update, schedule = program.update, program.schedule
    used = reads((*update.scalars, *update.elements, *(schedule.statements if schedule else ())))
    listed = [*update.constants, *(schedule.constants if schedule else ())]
    lines = {
        constant.name.upper(): f"{constant.name.upper()} = {constant.value!r}"
        + (f"  # {safe(constant.doc)}" if constant.doc else "")
        for constant in listed
        if constant.name.upper() in used or constant.name == "lr"
    }
    return tuple(lines.values())


# ---------------------------------------------------------------- text


def safe(text: str) -> str:
    """Return free text so that neither a docstring nor a comment can end in it."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return shown.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


def header(program: Program, target: str) -> tuple[str, ...]:
    """Return the docstring's lines: origin, needs, formulas, letters, notes, assumptions."""
    origin = f" from `{program.source}`" if program.source else ""
    needs = "the standard library alone" if target == "python" else "NumPy only"
    lines = [
        f"Made by symback {__version__}{origin}; edit the spec, not this file. It needs",
        f"{needs}. The spec's SHA-256 is {program.digest[:16]}.",
        "",
        *(row for s in program.forward + program.loss if s.because for row in indented(s.because)),
    ]
    if program.letters:
        lines += ["", *filled([f"{k}  {v}" for k, v in program.letters.items()], "    ")]
    if program.notes:
        lines += ["", *(row for note in program.notes for row in textwrap.wrap(note, WIDTH))]
    if program.assumptions:
        lines += ["", "Taken for granted, and checked before training:"]
        lines += [f"    {a.because}" for a in program.assumptions]
    return tuple(safe(line) for line in lines)


def indented(text: str) -> list[str]:
    """Return a formula's lines, indented; a long one goes on further in."""
    return textwrap.wrap(text, WIDTH, initial_indent="    ", subsequent_indent="        ")


def filled(parts: Sequence[str], between: str) -> list[str]:
    """Return the parts on as few indented lines as hold them."""
    lines = [between + parts[0]]
    for part in parts[1:]:
        if len(lines[-1] + between + part) <= WIDTH:
            lines[-1] += between + part
        else:
            lines.append(between + part)
    return lines


def imports(body: str) -> tuple[str, ...]:
    """Return the import lines of the names a text reads, the standard library's first."""
    used = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    lines = [line for name, line in IMPORTS.items() if name in used]
    blocks = [
        [line for line in lines if "numpy" not in line],
        [line for line in lines if "numpy" in line],
    ]
    shown = [grouped(block) for block in blocks if block]
    return tuple(line for block in shown for line in ("", *block))[1:]


def grouped(lines: Sequence[str]) -> list[str]:
    """Return import lines sorted, the names of one module together."""
    plain = sorted(line for line in lines if line.startswith("import"))
    modules: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("from"):
            _, module, _, name = line.split()
            modules.setdefault(module, []).append(name)
    return plain + [f"from {m} import {', '.join(sorted(modules[m]))}" for m in sorted(modules)]


def fitted(text: str) -> str:
    """Return code with every line that is too long broken inside its brackets."""
    return "\n".join(row for line in text.split("\n") for row in broken(line))


def broken(line: str) -> list[str]:
    """Return one line, or several where it is too long and has brackets to break."""
    if len(line) <= WIDTH or line.lstrip().startswith("#"):
        return [line]
    opening, closing = outermost(line)
    if opening < 0:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    parts = split(line[opening + 1 : closing])
    comprehension = len(parts) > 1 and parts[-1].startswith("for ")
    inner = [
        row
        for part in parts
        for row in broken(f"{indent}    {part}" + ("" if comprehension else ","))
    ]
    if all(re.fullmatch(r"[-+.\de]+", part) for part in parts):
        first = indent + "    "
        inner = textwrap.wrap(
            ", ".join(parts) + ",", WIDTH, initial_indent=first, subsequent_indent=first
        )
    return [line[: opening + 1], *inner, indent + line[closing:]]


def masked(line: str) -> str:
    """Return a line with its strings made of underscores: their brackets are no brackets."""
    return re.sub(r"\"(\\.|[^\"\\])*\"|'(\\.|[^'\\])*'", lambda found: "_" * len(found[0]), line)


def outermost(line: str) -> tuple[int, int]:
    """Return where the widest bracket of a line opens and closes, or (-1, -1)."""
    stack: list[int] = []
    widest = (-1, -1)
    for at, char in enumerate(masked(line)):
        if char in "([{":
            stack.append(at)
        elif char in ")]}" and stack:
            start = stack.pop()
            if not stack and at - start > widest[1] - widest[0]:
                widest = (start, at)
        elif char == "#" and not stack:
            break
    return widest


def split(inside: str) -> list[str]:
    """Return a bracket's parts: at its commas, or before each `for` of a comprehension."""
    plain, depth = masked(inside), 0
    ends: dict[str, list[int]] = {",": [], " for ": []}
    for at, char in enumerate(plain):
        depth += (char in "([{") - (char in ")]}")
        for mark, found in ends.items():
            if depth == 0 and plain.startswith(mark, at):
                found.append(at)
    cuts = [-1, *(ends[" for "] or ends[","]), len(inside)]
    parts = [inside[a + 1 : b].strip() for a, b in pairwise(cuts)]
    return [part for part in parts if part]
