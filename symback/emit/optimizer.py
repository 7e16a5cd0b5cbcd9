"""The optimiser and the learning rate's schedule in a module."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from symback import printing
from symback.emit.arrays import names
from symback.emit.blocks import Block
from symback.emit.constants import constants, has_rate
from symback.emit.folding import WIDTH
from symback.emit.reading import incoming
from symback.emit.text import quoted
from symback.program import Form, Program, Role, Tensor

BLOCK = 32768  # elements: a few arrays of them stay in a core's own cache
OWN = "the spec's own formula"


@dataclass(frozen=True, slots=True)
class Rule:
    """The update of parameters that are worked on as whole arrays."""

    keys: str  # '("f1.weight", "f2.weight")'
    number: str  # that such a parameter is a single number
    read: tuple[str, ...]  # 'R, C = state.R[name], state.C[name]'
    lines: tuple[str, ...]
    write: str  # 'state.R[name], state.C[name] = R, C', of what isn't written in place


@dataclass(frozen=True, slots=True)
class Kept:
    """A state, or scratch, with an array for some of the parameters."""

    name: str
    start: str  # "" for scratch
    kind: str  # "bool" for scratch that holds truth values
    shapes: str  # '{"f1.weight": (4,), "f2.weight": (2,)}'


@dataclass(frozen=True, slots=True)
class Optimizer:
    """What the templates see of the optimiser. What is absent is empty."""

    name: str
    constants: tuple[str, ...]
    states: tuple[str, ...]  # of each parameter
    starts: tuple[str, ...]
    scratch: tuple[str, ...]  # fast form: arrays of the parameters' elements that it writes into
    makes: tuple[str, ...]  # fast form: 'e=np.empty_like(w),'
    unpack: tuple[str, ...]  # fast form: 'm, v, e = state.m, state.v, state.e'
    blocks: str  # fast form: how many elements are worked on at a time, if not all
    blocked: tuple[str, ...]  # fast form: the arrays of which a block is taken: w, g, m, v
    fields: tuple[str, ...]  # of the class State
    clip_norm: str
    clip_value: str
    step: tuple[str, ...]
    elements: tuple[str, ...]
    after: tuple[str, ...]
    forms: tuple[Rule, ...]  # instead of `elements`
    kept: tuple[Kept, ...]  # their states
    shared: tuple[str, ...]  # what several of them compute, in arrays of different axes
    numbers: tuple[str, ...]  # and in numbers
    search: str  # a template of its own, which evaluates the loss as it goes
    chosen: tuple[str, ...]  # its switches that are on
    learned: tuple[str, ...]  # the keys of what it changes
    schedule_name: str
    schedule: tuple[str, ...]
    watches: str  # what it reads of the last epoch: its loss
    per_step: str
    per_epoch: str


def optimizer(block: Block) -> Optimizer:
    """Return the optimiser's and the schedule's strings."""
    program = block.program
    update, schedule, training = program.update, program.schedule, program.training
    once = {statement.target.name for statement in update.scalars}
    states = tuple(state for state in update.states if state.name not in once)
    count = sum(math.prod(map(int, t.shape)) for t in program.with_role(Role.PARAMETER))
    blocks = BLOCK if program.buffers and count > BLOCK and not update.forms else 0
    scratch = names(b for b in update.buffers if b.shape)
    own = tuple(state.name for state in states)
    parameters = {tensor.key for tensor in program.with_role(Role.PARAMETER)}
    return Optimizer(
        name=named(update.name),
        constants=constants(program),
        states=own,
        starts=tuple(repr(state.start) for state in states),
        scratch=scratch,
        makes=tuple(f"{b.name}={scratch_made(b, block, blocks)}," for b in update.buffers),
        unpack=block.unpacked("state", (*own, *scratch)),
        blocks=repr(blocks) if blocks else "",
        blocked=own,
        fields=state_fields(block),
        clip_norm="" if training.clip_norm is None else repr(training.clip_norm),
        clip_value="" if training.clip_value is None else repr(training.clip_value),
        step=block.step(),
        elements=block.target.lines(
            update.elements, block.rule, 88 if blocks or not program.buffers else 92
        ),
        after=tuple(f"state.{s.name} = {s.name}" for s in update.states if s.name in once),
        forms=tuple(rule(form, block) for form in update.forms),
        kept=kept(program),
        shared=shared(update.forms)[0],
        numbers=shared(update.forms)[1],
        search=update.search,
        chosen=update.chosen,
        learned=tuple(quoted(key) for key, _ in program.gradients if key in parameters),
        schedule_name=named(schedule.name) if schedule else "",
        schedule=block.schedule(),
        watches="metric" if watches(program) else "",
        per_step="step" if schedule and schedule.per == "step" else "",
        per_epoch="epoch" if schedule and schedule.per == "epoch" else "",
    )


def rule(form: Form, block: Block) -> Rule:
    """Return the strings of a form."""
    learned = {key for key, _ in block.program.gradients}
    keys = [quoted(key) for key in form.keys if key in learned]
    states = [form.tensor(state.name) for state in form.states]
    anew = [t for t in states if not (t.shape and block.program.buffers)]
    places = {t.name: f"state.{t.name}[name]" for t in (*states, *form.buffers)}
    reads = {
        t.name: places[t.name] + ("" if t.shape else block.boxes.read)
        for t in (*states, *form.buffers)
    }
    written = ", ".join(places[tensor.name] for tensor in anew)
    values = ", ".join(block.boxes.boxed(tensor, tensor.name) for tensor in anew)
    return Rule(
        keys=f"({', '.join(keys)}{',' * (len(keys) == 1)})",
        number="" if form.tensor("w").shape else "number",
        read=printing.unpacked(reads, WIDTH - 16),
        lines=block.form(form),
        write=f"{written} = {values}" if anew else "",
    )


def shared(forms: Sequence[Form]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the arrays that several forms compute, the same in each or not, and the numbers."""
    often = Counter(
        name
        for form in forms
        for name in {s.target.name for s in form.statements} - {s.name for s in form.states}
    )
    arrays = {tensor.name for form in forms for tensor in (*form.tensors, *form.buffers)}
    names_ = sorted(name for name, count in often.items() if count > 1 and name not in {"w", "g"})
    return (
        tuple(name for name in names_ if name in arrays),
        tuple(name for name in names_ if name not in arrays),
    )


def kept(program: Program) -> tuple[Kept, ...]:
    """Return the states of whole parameters and their scratch, with the shapes of the arrays."""
    shapes: dict[tuple[str, str, str], list[str]] = {}

    def noted(name: str, start: str, kind: str, key: str, shape: tuple[int, ...]) -> None:
        dims = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
        shapes.setdefault((name, start, kind), []).append(f"{quoted(key)}: {dims}")

    for key, state, shape in program.held:
        noted(state.name, repr(state.start), "", key, shape)
    learned = {key for key, _ in program.gradients}
    for form in program.update.forms:
        for buffer in form.buffers:
            start = "" if buffer.draw is None else repr(buffer.draw.arguments[0])
            kind = "bool" if buffer.role is Role.MASK else ""
            for tensor in program.with_role(Role.PARAMETER):
                if tensor.key in learned & {*form.keys}:
                    shape = form.shape(buffer, tensor.shape)
                    noted(buffer.name, start, kind, tensor.key, shape)
    return tuple(
        Kept(name, start, kind, f"{{{', '.join(listed)}}}")
        for (name, start, kind), listed in shapes.items()
    )


def scratch_made(tensor: Tensor, block: Block, blocks: int) -> str:
    """Return what makes an array that the update writes into, of as many elements as a block."""
    shape = ("BLOCK" if blocks else "w.size",) if tensor.shape else ()
    return block.target.made(replace(tensor, shape=shape), block.program.update.once, "w.dtype")


def named(name: str) -> str:
    """Return an entry's name, or words for the spec's own formula."""
    return OWN if name == "own" else name


def watches(program: Program) -> bool:
    """Tell whether the learning rate depends on the last epoch's loss."""
    schedule = program.schedule
    return schedule is not None and "metric" in incoming(schedule.statements)


def state_fields(block: Block) -> tuple[str, ...]:
    """Return the fields of the class State: arrays first, then numbers with their starts."""
    program = block.program
    update, schedule = program.update, program.schedule
    once = {statement.target.name for statement in update.scalars}
    kind = "Array" if program.buffers else "Params"
    held = {state.name for _, state, _ in program.held}
    metric = "metric: float = math.inf  # the last epoch's loss"
    epochs = ("epoch: int = 0  # epochs done", *((metric,) if watches(program) else ()))
    return (
        *(f"{s.name}: {kind}  # for each parameter" for s in update.states if s.name not in once),
        *(
            f"{state.name}: Params  # {'by' if state.name in held else 'scratch, by'} parameter"
            for state in kept(program)
        ),
        *(f"{b.name}: Array  # {'scratch' if b.shape else 'a number'}" for b in update.buffers),
        f"lr: float = {'LR' if has_rate(program) else '0.0'}  # the learning rate",
        "step: int = 0  # steps taken",
        *(f"{s.name}: float = {s.start!r}" for s in update.states if s.name in once),
        *(epochs if schedule else ()),
        *(f"{s.name}: float = {s.start!r}" for s in (schedule.states if schedule else ())),
    )
