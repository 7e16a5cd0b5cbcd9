"""The optimiser's and the schedule's numbers, named in upper case at the top of the module."""

from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

from symback.emit.reading import reads
from symback.emit.text import safe
from symback.program import Constant, Number, Program, Read, Statement

# Upper-case names of a module, which no constant may take.
TAKEN = {
    "ACCUMULATE",
    "BLOCK",
    "CLIP_NORM",
    "CLIP_VALUE",
    "COLUMNS",
    "DATA",
    "FLOAT",
    "LAYERS",
    "SHAPES",
}


def with_constants(program: Program) -> Program:
    """Return the program with the optimiser's and the schedule's constants in upper case.

    One whose name would mean two things is written out as its number instead.
    """
    update, schedule = program.update, program.schedule
    listed = [*update.constants, *(schedule.constants if schedule else ())]
    values: dict[str, set[float]] = {}
    arrays = {tensor.name for form in update.forms for tensor in form.tensors}
    for constant in listed:
        values.setdefault(constant.name.upper(), set()).add(constant.value)

    def named(constant: Constant) -> Any:
        name = constant.name.upper()
        clear = len(values[name]) == 1 and name not in TAKEN | arrays
        return Read(name, ()) if clear else Number(constant.value)

    swap: dict[str, Any] = {each.name: named(each) for each in update.constants}
    rate = next((c for c in update.constants if c.name == "lr"), None)
    swap.pop("lr", None)
    in_schedule = {each.name: named(each) for each in (schedule.constants if schedule else ())}
    made = {buffer.name for buffer in update.buffers}
    in_arrays = {name: read for name, read in swap.items() if name not in made}
    if rate is not None:
        in_schedule["base"] = Read("LR", ())
    return replace(
        program,
        update=replace(
            update,
            scalars=tuple(swapped(s, swap) for s in update.scalars),
            elements=tuple(swapped(s, in_arrays) for s in update.elements),
            once=tuple(swapped(s, swap) for s in update.once),
            forms=tuple(
                replace(
                    form,
                    parts=tuple(
                        replace(part, statements=tuple(swapped(s, swap) for s in part.statements))
                        for part in form.parts
                    ),
                )
                for form in update.forms
            ),
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


def decimal(value: float) -> str:
    """Return a number as Python reads it back: 1e-8, not 1e-08."""
    return repr(value).replace("e-0", "e-")


def constants(program: Program) -> tuple[str, ...]:
    """Return the named numbers that some line reads, one assignment each."""
    update, schedule = program.update, program.schedule
    rules = (*update.rules, *update.once)
    used = reads((*rules, *(schedule.statements if schedule else ())))
    listed = [*update.constants, *(schedule.constants if schedule else ())]
    lines = {
        constant.name.upper(): f"{constant.name.upper()} = {decimal(constant.value)}"
        + (f"  # {safe(constant.doc)}" if constant.doc else "")
        for constant in listed
        if constant.name.upper() in used or constant.name == "lr" or update.search
    }
    return tuple(lines.values())
