"""The network in a module: parameters, passes, loss and metrics."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from symback.emit.arrays import (
    cached,
    drawn,
    initial,
    mask,
    mask_again,
    mask_made,
    names,
    scores,
    shape_text,
)
from symback.emit.blocks import Block
from symback.emit.folding import WIDTH
from symback.emit.reading import reads, weighing
from symback.emit.text import quoted
from symback.program import Role, Tensor


@dataclass(frozen=True, slots=True)
class Given:
    """An array that a function is given: its name, the call that checks its shape, if labels.

    `checked` is the call that checks labels too.
    """

    name: str
    shaped: str
    label: str
    checked: str


@dataclass(frozen=True, slots=True)
class Network:
    """What the templates see of the network. What is absent is empty."""

    float: str
    layers: tuple[str, ...]  # '"z1": "f1",'
    shapes: tuple[str, ...]  # fast form: '"f1.weight": (128, 64),'
    buffers: tuple[str, ...]  # fast form: 'self.z1 = np.empty((n, 128), dtype)'
    kept: tuple[str, ...]  # fast form: what the cache holds that isn't written in place
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    data: tuple[str, ...]  # inputs and targets
    arriving: tuple[Given, ...]  # the inputs, in `forward`
    compared: tuple[Given, ...]  # the targets, in `objective`
    reread: tuple[Given, ...]  # the targets that `backward` reads
    output: str
    by_rows: str  # "by rows" where the output begins with the examples
    output_shape: str  # fast form, of all examples: "(len(order), 10)"
    cache_fields: tuple[str, ...]
    cache_names: str
    first_key: str  # the first parameter, whose float type the pass takes
    scalars: tuple[str, ...]  # the parameters that are single numbers
    init: tuple[str, ...]
    draws: str  # "rng" where init draws
    drawn: tuple[str, ...]  # names drawn anew at each training step
    modes: str  # what a generator does, in words
    masks: tuple[str, ...]  # the lines that draw them, or set them to 1 in evaluation
    head: tuple[str, ...]  # forward's parameters and sizes
    forward: tuple[str, ...]
    objective: tuple[str, ...]
    loss_name: str
    unreduced: str  # the loss's name where it is an array
    met: str  # fast form: the loss of the last backward pass, as a number: "cache.loss"
    score_fields: tuple[str, ...]  # the loss's values that backward reads
    score_names: str
    kept_scores: tuple[str, ...]  # fast form: those that aren't written in place
    weight: tuple[str, ...]  # the lines that end by computing what a batch counts for
    weight_name: str  # "n" for a mean over the examples, "" for a sum
    backward: tuple[str, ...]
    adjoints: tuple[str, ...]  # fast form: 'dW1 = grads["f1.weight"]', what backward writes into
    written: tuple[str, ...]  # fast form: 'grads["f.scale"][...] = dscale', of what is made anew
    gradients: tuple[str, ...]  # '"f1.weight": dW1,'
    beyond: tuple[str, ...]  # '"x": x', the inputs that there are gradients by
    inert: tuple[str, ...]  # the keys of what has no gradient
    without: tuple[str, ...]  # the same, in words
    frozen: str  # the keys of what isn't checked, as a set: states, what is frozen, or detached
    detached: tuple[str, ...]  # the keys of the last
    states: tuple[str, ...]  # the keys of what is kept and not learned
    renewal: tuple[str, ...]  # the lines that bring it up to date after a pass in training
    metrics: tuple[str, ...]  # names
    metric_values: tuple[str, ...]  # what they are called in the lines
    metric_lines: tuple[str, ...]
    metric_inputs: tuple[str, ...]  # the targets that metrics read


def given(tensor: Tensor, count: str) -> Given:
    """Return how an input or a target is checked where there are `count` examples."""
    rest = "".join(f" {size}," for size in tensor.shape[1:]).rstrip(",")
    arguments = f"{quoted(tensor.key)}, {tensor.name}, ({count},{rest})"
    shaped = f"shaped({arguments})"
    if tensor.classes is None:
        return Given(tensor.name, shaped, "", shaped)
    called = "labels(" if tensor.ignored is None else f"labels_or({tensor.ignored}, "
    return Given(tensor.name, shaped, "label", f"{called}{arguments}, {tensor.classes})")


def modes(random: Sequence[Tensor]) -> str:
    """Return in words what a pass with a generator is."""
    masks = ", ".join(tensor.name for tensor in random if tensor.shape)
    if not any(tensor.draw and tensor.draw.rest == 0 for tensor in random):
        return f"With a generator {masks} are drawn, as in training; without, all are 1."
    drawn_too = f" and {masks} are drawn" if masks else ""
    return f"With a generator it is the pass of training{drawn_too}; without, of evaluation."


def buffers(block: Block) -> tuple[str, ...]:
    """Return the lines that make a fast module's arrays, and give some a second name."""
    program = block.program
    arrays, storage = block.arrays, dict(program.storage)
    groups: dict[str, list[str]] = {}
    for array in arrays:
        groups.setdefault(storage.get(array.name, array.name), []).append(array.name)
    first = {group[0] for group in groups.values()}
    made = (
        f"self.{b.name} = {block.target.made(b, program.once, 'dtype')}"
        for b in arrays
        if b.name in first
    )
    again = tuple(
        " = ".join(f"self.{name}" for name in (*others, kept))
        for kept, *others in groups.values()
        if others
    )
    said = ("# Written once nothing needs the values any more of what stands on the right.",)
    loops = any(s.loop for s in (*program.forward, *program.loss, *program.backward))
    steps = (
        "# A recurrence's arrays lie step after step: the steps are their first axis; those called",
        "# `…_all` have a step of zeros more, before the first or behind the last.",
    )
    turned = (
        "# Of n examples by a few columns the columns come first: examples lie side by side.",
    )
    narrow = any(isinstance(b.shape[-1], str) for b in arrays if len(b.shape) == 2)
    about = (*(steps if loops and program.views else ()), *(turned if narrow else ()))
    return (*about, *made, *(said if again else ()), *again)


def like(name: str, targets: Sequence[str], output: str) -> str:
    """Return a new array of the shape that an input or a target has."""
    if name in targets:
        return f"np.empty(np.shape({name}), cache.{output}.dtype)"
    return f"np.empty_like(cache.{name})"


def network(block: Block) -> Network:
    """Return the network's strings."""
    program, target, boxes = block.program, block.target, block.boxes
    inputs, targets = program.with_role(Role.INPUT), program.with_role(Role.TARGET)
    parameters, random = program.with_role(Role.PARAMETER), program.with_role(Role.RANDOM)
    params = program.with_role(Role.PARAMETER, Role.STATE)
    known = dict.fromkeys(tensor.key for tensor in params)
    held, scored = cached(program), scores(program)
    arrays = names(block.arrays)
    reread = reads(program.backward)
    weight = weighing(program)
    states = (tensor.key for tensor in program.with_role(Role.STATE))
    fixed = {*program.frozen, *program.detached, *states}
    compared = tuple(given(tensor, f"len(cache.{inputs[0].name})") for tensor in targets)
    assigned = {s.target.name for s in program.backward if not s.in_place}
    inert = [key for key in known if key not in dict(program.gradients)]
    gradients = tuple((key, program.tensor(name)) for key, name in program.gradients)
    return Network(
        float=program.float_type,
        layers=tuple(
            f"{quoted(name)}: {quoted(layer)},"
            for name, layer in dict(program.layers).items()
            if name in names(held)
        ),
        shapes=tuple(
            f"{quoted(t.key)}: {shape_text(t)},"
            for t in parameters
            if program.buffers and t.key in dict(gradients)
        ),
        buffers=(*buffers(block), *(line for t in block.masked for line in mask_made(t))),
        kept=tuple(name for name in names(held) if name not in {*arrays, *names(block.masked)}),
        inputs=names(inputs),
        targets=names(targets),
        data=names((*inputs, *targets)),
        arriving=tuple(
            given(t, f"len({inputs[0].name})" if k else '"n"') for k, t in enumerate(inputs)
        ),
        compared=compared,
        reread=tuple(t for t in compared if t.name in reread),
        output=program.output,
        by_rows="by rows" if program.by_rows else "",
        output_shape=shape_text(program.tensor(program.output)).replace("(n,", "(len(order),"),
        cache_fields=tuple(
            f"{tensor.name}: float"
            if target.ABOUT.lists and not tensor.shape
            else f"{tensor.name}: Array  # {shape_text(tensor)}"
            for tensor in held
        ),
        cache_names=", ".join(f"{name}={name}" for name in names(held)),
        first_key=quoted(parameters[0].key),
        scalars=tuple(quoted(t.key) for t in params if not t.shape),
        init=tuple(
            line
            for tensor in params
            for line in initial(tensor, boxes.boxed(tensor, target.initial(tensor, program)))
        ),
        draws="rng" if any(map(drawn, params)) else "",
        drawn=names(random),
        modes=modes(random),
        masks=tuple(
            line
            for tensor in random
            for line in (
                mask_again(tensor, target)
                if tensor in block.masked
                else mask(tensor, program, target)
            )
        ),
        head=block.head(),
        forward=target.lines(program.forward, block.network),
        objective=block.objective(),
        loss_name=program.objective,
        unreduced=program.objective if program.tensor(program.objective).shape else "",
        met="float(cache.loss.sum())" if program.tensor(program.objective).shape else "cache.loss",
        score_fields=tuple(
            f"{tensor.name}: Array  # {shape_text(tensor)}"
            if tensor.shape
            else f"{tensor.name}: float"
            for tensor in (() if program.buffers else scored)  # else the cache holds them
        ),
        score_names=", ".join(f"{name}={name}" for name in names(scored)),
        kept_scores=tuple(name for name in names(scored) if name not in arrays),
        weight=block.weight(weight) if weight else (),
        weight_name=program.weight,
        backward=block.backward(),
        adjoints=tuple(
            f"{tensor.name} = grads[{quoted(key)}]"
            if key in known
            else f"{tensor.name} = {like(key, names(targets), program.output)}"
            for key, tensor in gradients
            if tensor.name not in assigned
        ),
        written=tuple(
            f"grads[{quoted(key)}][...] = {tensor.name}"
            for key, tensor in gradients
            if tensor.name in assigned and key in known
        ),
        gradients=tuple(
            f"{quoted(key)}: {boxes.boxed(tensor, tensor.name)}," for key, tensor in gradients
        ),
        beyond=tuple(
            f"{quoted(t.key)}: {t.name}" for t in (*inputs, *targets) if t.key in dict(gradients)
        ),
        inert=tuple(map(quoted, inert)),
        without=tuple(textwrap.wrap(f"Without a gradient: {', '.join(inert)}.", WIDTH - 4)),
        states=tuple(quoted(t.key) for t in program.with_role(Role.STATE)),
        renewal=block.renewal(),
        detached=tuple(map(quoted, sorted(program.detached))),
        frozen=f"{{{', '.join(map(quoted, sorted(fixed)))}}}" if fixed else "",
        metrics=tuple(metric.name for metric in program.metrics),
        metric_values=tuple(metric.statements[-1].target.name for metric in program.metrics),
        metric_lines=block.metrics(),
        metric_inputs=tuple(
            name
            for name in names((*inputs, *targets))
            if any(name in reads(metric.statements) for metric in program.metrics)
        ),
    )
