"""Examples in a module: how they are checked, drawn to try the network on, and read from a file."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from symback.emit.arrays import shape_text
from symback.emit.target import Target
from symback.emit.templates import source
from symback.emit.text import quoted
from symback.program import Data, Draw, Program, Role, Tensor

# How targets are drawn that something is assumed of: by functions of the templates, or uniformly.
DRAWN = {"one_sum": "drawn_shares", "signs": "drawn_signs"}
RANGES = {
    "unit": Draw("uniform", (0.05, 0.95)),
    "positive": Draw("uniform", (0.5, 1.5)),
    "weights": Draw("uniform", (0.5, 1.5)),
    "": Draw("normal", (0.0, 1.0)),
}
LARGE = 4096  # values of one example


@dataclass(frozen=True, slots=True)
class Examples:
    """What the templates see of inputs and targets. What is absent is empty."""

    checks: tuple[str, ...]
    input_checks: tuple[str, ...]
    label_checks: tuple[str, ...]
    checking: tuple[str, ...]  # the source of the functions that check
    samples: tuple[str, ...]
    drawing: tuple[str, ...]  # the source of the functions that draw
    tried: int  # how many of them a check draws
    path: str
    format: str
    columns: tuple[str, ...]
    reads: tuple[str, ...]
    standardised: tuple[str, ...]
    test: str
    seed: str


def values(tensor: Tensor) -> int:
    """Return how many values a tensor has for each value of its run-time sizes."""
    return math.prod(dim for dim in tensor.shape if isinstance(dim, int))


def examples(program: Program, target: Target, name: str) -> Examples:
    """Return the strings around inputs and targets; `name` is the target's."""
    inputs = program.with_role(Role.INPUT)
    tensors = (*inputs, *program.with_role(Role.TARGET))
    data = program.data or Data("", "", ())
    checks = (*map(shape_check, tensors), *assumption_checks(program))
    starts = tuple(
        target.initial(t, program) for t in program.with_role(Role.PARAMETER) if t.draw is not None
    )
    samples = tuple(f"{t.name} = {sampled(t, program, target)}" for t in tensors)
    return Examples(
        checks=checks,
        input_checks=tuple(map(shape_check, inputs)),
        label_checks=tuple(shape_check(t) for t in tensors if t.classes is not None),
        checking=sources(checks, name),
        samples=samples,
        drawing=sources((*samples, *starts), name),
        tried=3 if sum(map(values, tensors)) > LARGE else 5,
        path=quoted(data.path) if data.path else "",
        format=data.format,
        columns=tuple(
            f"{quoted(c.tensor)}: ({', '.join(map(quoted, c.names))},)," for c in data.columns
        ),
        reads=tuple(data_read(tensor, data) for tensor in tensors) if data.path else (),
        standardised=tuple(columns.tensor for columns in data.columns if columns.standardise),
        test=repr(data.test) if data.test else "",
        seed=repr(data.seed),
    )


def sources(lines: Iterable[str], name: str) -> tuple[str, ...]:
    """Return the source of the functions, of those in a target's folder, that lines call first."""
    pattern = r"^(?:\w+ = )?((?:drawn|require)_\w+|labels(?:_or)?)\(|\b(drawn_\w+)\(rng, "
    calls = (call for line in lines for call in re.finditer(pattern, line))
    called = sorted({call[1] or call[2] for call in calls})
    return tuple(source(f"{name}/functions/{function}.py") for function in called)


def shape_check(tensor: Tensor) -> str:
    """Return the line that checks an input's or a target's shape, numbers and labels."""
    dims = ", ".join(quoted(d) if isinstance(d, str) else str(d) for d in tensor.shape)
    shape = f"({dims},)" if len(tensor.shape) == 1 else f"({dims})"
    arguments = f"{quoted(tensor.key)}, {tensor.name}, {shape}"
    if tensor.ignored is not None:
        return f"{tensor.name} = labels_or({tensor.ignored}, {arguments}, {tensor.classes})"
    if tensor.classes is not None:
        return f"{tensor.name} = labels({arguments}, {tensor.classes})"
    return f"{tensor.name} = expect({arguments})"


def assumption_checks(program: Program) -> tuple[str, ...]:
    """Return the lines that check what is assumed; labels are checked with the shapes."""
    return tuple(
        f"require_{a.kind}({quoted(a.tensor)}, {a.tensor}, {quoted(a.because)})"
        for a in program.assumptions
        if a.kind != "classes"
    )


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
