"""Liveness: arrays whose values are not needed at the same time share their memory.

The values of the forward pass stay, since whatever reads them may run again; adjoints, values of
the loss and scratch take the memory of what nothing reads any more. No bit changes: a result takes
an operand's memory only where both are read and written element by element.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from symback.passes.names import names
from symback.printing import walk
from symback.program import Apply, Leaf, Program, Read, Role, Statement, Tensor


@dataclass(frozen=True, slots=True)
class Life:
    """An array's first and last statement, by their numbers."""

    first: int
    last: int


def stored(program: Program) -> Program:
    """Return the program with the memory of each buffer that has none of its own."""
    steps = (*program.forward, *program.loss, *program.backward)
    lives = lifetimes(steps)
    kept = {*held(program), *(name for step in steps for name in viewed(step))}
    owners: dict[str, Life] = {}  # an array with memory of its own → until when it is in use
    shared: dict[str, str] = {}
    made = {buffer.name: buffer for buffer in program.buffers}
    free = [b for b in program.buffers if b.name in lives and b.name not in kept and movable(b)]
    for buffer in sorted(free, key=lambda b: lives[b.name].first):
        life = lives[buffer.name]
        fitting = [
            name
            for name, use in owners.items()
            if alike(made[name], buffer)
            and (use.last < life.first or follows(steps, use.last, life.first, name, shared))
        ]
        owner = max(fitting, key=lambda name: owners[name].last, default=buffer.name)
        if owner != buffer.name:
            shared[buffer.name] = owner
        owners[owner] = Life(owners.get(owner, life).first, life.last)
    return replace(program, storage=tuple(shared.items()))


def alike(one: Tensor, other: Tensor) -> bool:
    """Tell whether two arrays hold as many values of one kind: numbers, labels or truth values."""

    def kind(tensor: Tensor) -> tuple[bool, bool]:
        return tensor.role is Role.MASK, tensor.classes is not None

    return (one.shape, kind(one)) == (other.shape, kind(other))


def lifetimes(steps: Sequence[Statement]) -> Mapping[str, Life]:
    """Return from which statement to which each array is read or written."""
    lives: dict[str, Life] = {}
    for place, step in enumerate(steps):
        for name in {*names(step.value), step.target.name}:
            lives[name] = Life(lives.get(name, Life(place, place)).first, place)
    ends = [k for k, (step, then) in enumerate(pairwise((*steps, None))) if ends_loop(step, then)]
    for end in ends:  # the next round reads again what was there before the loop
        start = next(k for k in range(end, -1, -1) if not k or steps[k - 1].loop != steps[end].loop)
        for name, life in lives.items():
            if life.first < start <= life.last < end:
                lives[name] = Life(life.first, end)
    return lives


def ends_loop(step: Statement | None, then: Statement | None) -> bool:
    """Tell whether a statement is the last of a recurrence."""
    return step is not None and step.loop is not None and (then is None or then.loop != step.loop)


def held(program: Program) -> Iterator[str]:
    """Yield the names of what a caller may read: the forward pass's values, the loss."""
    yield from (statement.target.name for statement in program.forward)
    yield from (program.objective, program.weight)


def viewed(step: Statement) -> Iterator[str]:
    """Yield the arrays whose memory a statement may give another name, beside its target."""
    if step.target.axes and not step.in_place:
        yield from (step.target.name, *names(step.value))


def movable(buffer: Tensor) -> bool:
    """Tell whether a buffer is written anew at each pass, and more than a number."""
    kept = buffer.role is Role.CONSTANT or buffer.draw is not None  # margins stay zero
    return not kept and bool(buffer.shape)


def follows(
    steps: Sequence[Statement], last: int, first: int, owner: str, shared: Mapping[str, str]
) -> bool:
    """Tell whether a statement may write its result over the operand it reads for the last time."""
    step = steps[first]
    if last != first or not step.in_place or not isinstance(step.value, Apply):
        return False
    here = [
        node
        for node in walk(step.value)
        if isinstance(node, Leaf) and shared.get(node.name, node.name) == owner
    ]
    return step.value.function not in {"where", "rows", "erf", "erfc"} and all(
        isinstance(node, Read) and node.axes == step.target.axes for node in here
    )
