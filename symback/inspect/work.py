"""What a training step costs: numbers held, operations, bytes, statement by statement.

An operation is one addition, multiplication, comparison or function value for one element.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from math import prod

from symback.inspect.story import Formula, Story
from symback.printing import ranges
from symback.program import Apply, Contract, Dim, Program, Reduce, Role, Scatter, Tensor


@dataclass(frozen=True, slots=True)
class Work:
    """What one statement does for a batch: the shape computed, operations, bytes computed."""

    shape: tuple[Dim, ...]
    operations: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LayerWork:
    """A layer's parameters, the shape of what it hands on, and its work in one step."""

    layer: str
    output: tuple[Dim, ...]
    parameters: int
    forward: int
    backward: int
    bytes: int


def batch(program: Program) -> int:
    """Return how many examples a step is counted for: the spec's batch, 1 where it takes all."""
    return program.training.batch_size or 1


def numbers(tensor: Tensor, examples: int) -> int:
    """Return how many numbers an array holds."""
    return prod(examples if isinstance(dim, str) else dim for dim in tensor.shape)


def item_bytes(program: Program) -> int:
    """Return the bytes of one number."""
    return 4 if program.float_type == "float32" else 8


def of(formula: Formula, program: Program) -> Work:
    """Return what the formula's statement does for a batch."""
    examples = batch(program)
    found = ranges(formula.statement, program)
    sizes = {
        letter: examples if isinstance(dim, str) else int(dim) for letter, dim in found.items()
    }
    held = program.tensor(formula.name)
    moved = numbers(held, examples) * item_bytes(program)
    return Work(held.shape, _operations(formula.statement.value, sizes), moved)


def _operations(expr: object, sizes: Mapping[str, int]) -> int:
    """Return the operations of an array expression; what is only read or moved costs none."""
    inner = sum(_operations(part, sizes) for part in _parts(expr))
    match expr:
        case Contract(left=left, right=right):
            return inner + 2 * _count({*left.axes, *right.axes}, sizes)
        case Reduce(body=body) | Scatter(body=body):
            return inner + _count(body.axes, sizes)
        case Apply(args=args):
            return inner + max(1, len(args) - 1) * _count(expr.axes, sizes)
    return inner


def _parts(expr: object) -> Iterator[object]:
    """Yield the expressions within one, whatever kind of node it is."""
    if not is_dataclass(expr):
        return
    for field in fields(expr):
        value = getattr(expr, field.name)
        for part in value if isinstance(value, tuple) else (value,):
            if is_dataclass(part):
                yield part


def _count(axes: Iterable[str], sizes: Mapping[str, int]) -> int:
    return prod(sizes.get(axis, 1) for axis in axes)


def layers(story: Story) -> tuple[LayerWork, ...]:
    """Return the work of every layer, the loss last."""
    program = story.program
    names = dict.fromkeys(formula.layer for formula in (*story.forward, *story.loss))
    held = {t.name: numbers(t, 1) for t in program.with_role(Role.PARAMETER)}
    owner = owners(story)
    made = []
    for layer in names:
        ahead = [f for f in (*story.forward, *story.loss) if f.layer == layer]
        back = [f for f in story.backward if f.layer == layer]
        ahead_work, back_work = ([of(f, program) for f in part] for part in (ahead, back))
        made.append(
            LayerWork(
                layer,
                program.tensor(ahead[-1].name).shape,
                sum(count for name, count in held.items() if owner.get(name) == layer),
                sum(work.operations for work in ahead_work),
                sum(work.operations for work in back_work),
                sum(work.bytes for work in (*ahead_work, *back_work)),
            )
        )
    return tuple(made)


def owners(story: Story) -> dict[str, str]:
    """Return the layer of every parameter: the first that reads it."""
    found: dict[str, str] = {}
    for formula in (*story.forward, *story.loss):
        for part in formula.parts:
            for name in part.names.values():
                found.setdefault(name, formula.layer)
    return found
