"""What a training step costs, counted on the Program: operations, bytes, floating-point work."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

from symback.printing import ranges, walk
from symback.program import (
    Apply,
    Contract,
    Dim,
    Expr,
    Form,
    Leaf,
    Program,
    Reduce,
    Role,
    Statement,
    Tensor,
)

BATCH = 32  # examples, where a batch is the whole data


@dataclass(frozen=True, slots=True)
class Cost:
    """One training step: operations on arrays, bytes they read and write, additions and products.

    `memory` is the bytes of all arrays but the data, all of them at once.
    """

    operations: int
    bytes: int
    flops: int
    memory: int


def cost(program: Program) -> Cost:
    """Count a step on a batch of the spec's size."""
    dims = sizes(program)
    item = 4 if program.float_type == "float32" else 8
    update = program.update
    rule = replace(program, tensors=(), buffers=update.buffers)  # its names are its own
    network = (*program.forward, *program.loss, *program.backward)
    found = [
        work
        for step in network
        for _ in range(rounds(step, program))
        for work in operations(step, program, dims)
    ]
    found += [work for step in update.elements for work in operations(step, rule, dims)]
    for form, shape in wholes(program):
        alone = replace(program, tensors=form.tensors, buffers=form.buffers)
        here = {**dims, **{str(name): int(dim) for name, dim in form.sizes(shape).items()}}
        for part in form.parts:
            work = [each for s in part.statements for each in operations(s, alone, here)]
            found += work * part.times
    return Cost(
        operations=len(found),
        bytes=item * sum(moved for moved, _ in found),
        flops=sum(flops for _, flops in found),
        memory=item * sum(size(tensor, dims) for tensor in arrays(program)),
    )


def rounds(step: Statement, program: Program) -> int:
    """Return how often a statement runs: at each step of a recurrence where it computes a part."""
    if program.gives_name(step):
        return 0
    whole = step.loop is None or step.loop.letter in step.target.axes
    return 1 if whole or step.loop is None else step.loop.size


def wholes(program: Program) -> Iterator[tuple[Form, tuple[Dim, ...]]]:
    """Yield the rule and the shape of each parameter that is updated as a whole."""
    shapes = {tensor.key: tensor.shape for tensor in program.with_role(Role.PARAMETER)}
    learned = {key for key, _ in program.gradients}
    for form in program.update.forms:
        yield from ((form, shapes[key]) for key in form.keys if key in learned)


def sizes(program: Program) -> Mapping[str, int]:
    """Return the run-time sizes: n examples, p elements of all parameters."""
    parameters = program.with_role(Role.PARAMETER)
    count = sum(prod(int(dim) for dim in tensor.shape) for tensor in parameters)
    return {"n": program.training.batch_size or BATCH, "p": count}


def size(tensor: Tensor, dims: Mapping[str, int]) -> int:
    return prod(dims[dim] if isinstance(dim, str) else dim for dim in tensor.shape)


def arrays(program: Program) -> Iterator[Tensor]:
    """Yield every array of a step that has memory of its own, again for gradients and states."""
    update = program.update
    shared = {name for name, _ in program.storage}
    values = program.with_role(Role.VALUE, Role.ADJOINT, Role.LOSS)
    yield from (t for t in (program.buffers or values) if t.name not in shared)
    yield from update.buffers
    copies = 1 + bool(program.buffers) + len(update.states)  # w, g, states
    yield from (Tensor(s.name, key, Role.STATE, shape) for key, s, shape in program.held)
    for tensor in program.with_role(Role.PARAMETER):
        yield from (tensor,) * copies


def operations(
    step: Statement, program: Program, dims: Mapping[str, int]
) -> Iterator[tuple[int, int]]:
    """Yield, for each operation on arrays, the numbers it moves and its floating-point work."""
    letters: dict[str, Dim] = {"p": "p", **ranges(step, program)}

    def count(axes: tuple[str, ...]) -> int:
        along = (letters.get(axis, 1) for axis in axes)
        return prod(dims.get(dim, 1) if isinstance(dim, str) else dim for dim in along)

    nodes = [node for node in walk(step.value) if node.axes or isinstance(node, Reduce | Contract)]
    for node in nodes:
        match node:
            case Apply("rows", (_, labels)):
                yield count(labels.axes) + 2 * count(step.target.axes), 0
            case Apply(args=args):
                result = count(node.axes)
                yield sum(count(arg.axes) for arg in args) + result, result * max(1, len(args) - 1)
            case Reduce(body=body):
                yield count(body.axes) + count(node.axes), count(body.axes)
            case Contract(left, right):
                both = tuple(dict.fromkeys((*left.axes, *right.axes)))
                moved = sum(count(part.axes) for part in (left, right, node))
                yield moved, 2 * count(both)
    if step.target.axes and not any(works(node) for node in nodes):
        yield 2 * count(step.target.axes), 0  # a copy


def works(node: Expr) -> bool:
    return not isinstance(node, Leaf)
