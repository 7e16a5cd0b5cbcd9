"""The optimiser and the learning rate's schedule in a module."""

import math
from dataclasses import dataclass, replace

from symback.emit.arrays import names
from symback.emit.blocks import Block
from symback.emit.constants import constants, has_rate
from symback.program import Role, Tensor

BLOCK = 16384  # elements: a few arrays of them stay in a core's own cache
OWN = "the spec's own formula"


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
    schedule_name: str
    schedule: tuple[str, ...]
    per_step: str
    per_epoch: str


def optimizer(block: Block) -> Optimizer:
    """Return the optimiser's and the schedule's strings."""
    program = block.program
    update, schedule, training = program.update, program.schedule, program.training
    once = {statement.target.name for statement in update.scalars}
    states = tuple(state for state in update.states if state.name not in once)
    count = sum(math.prod(map(int, t.shape)) for t in program.with_role(Role.PARAMETER))
    blocks = BLOCK if program.buffers and count > BLOCK else 0
    scratch = names(b for b in update.buffers if b.shape)
    own = tuple(state.name for state in states)
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
        schedule_name=named(schedule.name) if schedule else "",
        schedule=block.schedule(),
        per_step="step" if schedule and schedule.per == "step" else "",
        per_epoch="epoch" if schedule and schedule.per == "epoch" else "",
    )


def scratch_made(tensor: Tensor, block: Block, blocks: int) -> str:
    """Return what makes an array that the update writes into, of as many elements as a block."""
    if tensor.shape and tensor.role is not Role.MASK and not blocks:
        return "np.empty_like(w)"
    shape = ("BLOCK" if blocks else "w.size",) if tensor.shape else ()
    return block.target.made(replace(tensor, shape=shape), block.program.update.once, "w.dtype")


def named(name: str) -> str:
    """Return an entry's name, or words for the spec's own formula."""
    return OWN if name == "own" else name


def state_fields(block: Block) -> tuple[str, ...]:
    """Return the fields of the class State: arrays first, then numbers with their starts."""
    program = block.program
    update, schedule = program.update, program.schedule
    once = {statement.target.name for statement in update.scalars}
    kind = "Array" if program.buffers else "Params"
    epochs = (
        "epoch: int = 0  # epochs done",
        "metric: float = math.inf  # the last epoch's loss",
    )
    return (
        *(f"{s.name}: {kind}  # for each parameter" for s in update.states if s.name not in once),
        *(f"{b.name}: Array  # {'scratch' if b.shape else 'a number'}" for b in update.buffers),
        f"lr: float = {'LR' if has_rate(program) else '0.0'}  # the learning rate",
        "step: int = 0  # steps taken",
        *(f"{s.name}: float = {s.start!r}" for s in update.states if s.name in once),
        *(epochs if schedule else ()),
        *(f"{s.name}: float = {s.start!r}" for s in (schedule.states if schedule else ())),
    )
