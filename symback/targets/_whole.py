"""An optimiser's rule for whole parameters made ready for loops, which write arrays as they go."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from symback.printing import walk
from symback.program import (
    Contract,
    Form,
    Leaf,
    Part,
    Program,
    Read,
    Reduce,
    Role,
    Statement,
    Tensor,
)
from symback.targets._loops import Access, replaced


@dataclass(frozen=True, slots=True)
class Held:
    """An array of numbers that the optimiser keeps: of all parameters, one behind the other."""

    name: str
    size: int
    start: float | None  # None: it is written before it is read


@dataclass(frozen=True, slots=True)
class Whole:
    """The lines of an optimiser's rule for whole parameters, and the arrays that it works in."""

    lines: tuple[str, ...]
    work: tuple[Tensor, ...]


def states_of(program: Program) -> tuple[Held, ...]:
    """Return the states of whole parameters."""
    sizes: dict[str, int] = {}
    starts: dict[str, float] = {}
    for _, state, shape in program.held:
        sizes[state.name] = sizes.get(state.name, 0) + prod(shape)
        starts[state.name] = state.start
    return tuple(Held(name, size, starts[name]) for name, size in sizes.items())


def offsets(program: Program) -> Mapping[tuple[str, str], int]:
    """Return where the numbers of a parameter begin in a state's: by key and state."""
    ends: dict[str, int] = {}
    found: dict[tuple[str, str], int] = {}
    for key, state, shape in program.held:
        found[key, state.name] = ends.get(state.name, 0)
        ends[state.name] = ends.get(state.name, 0) + prod(shape)
    return found


def apart(form: Form) -> Form:
    """Return the form with what is summed for an array that was read or written before set aside.

    A sum's array begins as zeros, before whatever stands in front of it, and what the sum reads of
    the array must still be there. A number that is assigned again gets another name.
    """
    tensors = {tensor.name: tensor for tensor in form.tensors}
    used = {*tensors, *(statement.target.name for statement in form.statements)}
    last: dict[str, str] = {}  # of numbers: the name that holds the value now

    def fresh(name: str) -> str:
        while name in used:
            name += "_"
        used.add(name)
        return name

    def now(access: Access) -> Access:
        return replace(access, name=last.get(access.name, access.name))

    parts: list[Part] = []
    for part in form.parts:
        made: list[Statement] = []
        met: set[str] = set()  # arrays
        for statement in part.statements:
            target, value = statement.target, replaced(statement.value, now)
            read = [node for node in walk(value) if isinstance(node, Leaf)]
            met |= {access.name for access in read}
            if target.name not in tensors:
                last[target.name] = fresh(target.name) if target.name in last else target.name
                target = Read(last[target.name], ())
            summed = any(isinstance(n, Reduce | Contract) and n.axes for n in walk(value))
            if summed and target.name in met:
                aside = fresh(f"{target.name}n")
                tensors[aside] = replace(tensors[target.name], name=aside, role=Role.VALUE)
                into = Read(aside, target.axes)
                made.append(replace(statement, target=into, value=value))
                made.append(Statement(target, into, ""))
            else:
                made.append(replace(statement, target=target, value=value))
            met.add(target.name)
        parts.append(replace(part, statements=tuple(made)))
    return replace(form, tensors=tuple(tensors.values()), parts=tuple(parts))
