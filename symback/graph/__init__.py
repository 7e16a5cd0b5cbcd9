"""Spec → Graph: tensors with shapes, and the network's formulas in order, one node each."""

from dataclasses import replace

from sympy.core.parameters import distribute

from symback import functions as fn
from symback.errors import Mistake, UserError
from symback.graph.layers import add_layer
from symback.graph.loss import add_loss, metric_nodes
from symback.graph.network import TRAINING, Network
from symback.graph.recipe import rules
from symback.graph.types import (
    Equation,
    Form,
    Graph,
    Loop,
    Node,
    Recipe,
    Rewrite,
    name_of,
    of_matrix,
    reads,
    subscripts,
)
from symback.naming import axis_letters
from symback.program import Role, Tensor
from symback.spec import Spec

__all__ = [
    "Equation",
    "Form",
    "Graph",
    "Loop",
    "Node",
    "Recipe",
    "Rewrite",
    "build",
    "name_of",
    "of_matrix",
    "reads",
    "subscripts",
]


def build(spec: Spec) -> Graph:
    """Read every formula of a spec and fit the shapes together.

    Raises UserError, each mistake with its place in the spec.
    """
    try:
        with distribute(False):  # 2·(y − t) stays as written
            return _built(spec)
    except UserError as error:
        raise UserError(*(spec.locate(mistake) for mistake in error.mistakes)) from None


def _built(spec: Spec) -> Graph:
    network = Network(spec)
    for item in spec.inputs:
        letters = axis_letters(len(item.shape), (), str(item.shape[0]))
        held = Tensor(item.name, item.name, Role.TARGET, item.shape, item.classes, item.ignored)
        network.add(held, letters)
        network.outputs[item.name] = item.name
    output = spec.inputs[0].name
    for place, layer in enumerate(spec.layers):
        output = add_layer(network, layer, place, output)
    layers = network.taken_nodes()
    renewal = tuple(network.renewal)
    for name in {name for node in layers for _, name in node.names}:
        if network.tensors[name].role is Role.TARGET:  # a layer reads it
            network.tensors[name] = replace(network.tensors[name], role=Role.INPUT)
    if not any(item.role is Role.INPUT for item in network.tensors.values()):
        hint = "the first layer reads the first input, as x[n, i]"
        raise UserError(Mistake("no layer reads an input", ("layers",), hint=hint))
    objective, divisor = add_loss(network, spec.loss, output)
    loss = network.taken_nodes()
    metrics = metric_nodes(network, spec.metrics, output)
    others = (*loss, *renewal, *(node for _, nodes in metrics for node in nodes))
    layers, unread = _without_unread(layers, others, network.beside - {output})
    used = {name for node in (*layers, *loss, *renewal) for _, name in node.names}
    tensors = tuple(
        item
        for item in network.tensors.values()
        if item.name not in unread
        and (item.role not in (Role.PARAMETER, Role.RANDOM) or item.name in used)
    )
    if not any(item.role is Role.PARAMETER for item in tensors):
        hint = "a dense layer has some, or a layer's own formula with `parameters:`"
        raise UserError(Mistake("there is no parameter to learn", ("layers",), hint=hint))
    labels = [
        (item.name, "classes")
        for item in tensors
        if item.classes is not None and item.name not in network.open_labels
    ]
    frozen = {layer.name for layer in spec.layers if layer.frozen}
    learned = [
        item
        for item in tensors
        if item.role is Role.PARAMETER and item.key.partition(".")[0] not in frozen
    ]
    optimizer, schedule = rules(spec, network.functions, learned)
    if optimizer.search:
        _require_steady(optimizer.name, tensors)
    return Graph(
        model=spec.model,
        source=spec.source,
        digest=spec.digest,
        tensors=tensors,
        layers=layers,
        output=output,
        loss=loss,
        objective=objective,
        divisor=divisor,
        renewal=renewal,
        metrics=metrics,
        facts=tuple(dict.fromkeys([*network.facts, *labels])),
        optimizer=optimizer,
        schedule=schedule,
        training=spec.training,
        data=spec.data,
        frozen=frozenset(
            item.key
            for item in tensors
            if item.role is Role.PARAMETER and item.key.partition(".")[0] in frozen
        ),
        detached=_detached((*layers, *loss), tensors),
        rewrites=tuple(network.rewrites),
        rewritten=tuple(network.rewritten),
    )


def _without_unread(
    layers: tuple[Node, ...], others: tuple[Node, ...], beside: set[str]
) -> tuple[tuple[Node, ...], set[str]]:
    """Leave out what a layer offers beside its output and nothing reads; say what that is."""
    unread: set[str] = set()
    while True:
        kept = tuple(node for node in layers if node.target not in unread)
        read = {name for n in (*kept, *others) for _, name in n.names if name != n.target}
        if beside - read == unread:
            return kept, unread
        unread = beside - read


def _require_steady(optimizer: str, tensors: tuple[Tensor, ...]) -> None:
    """Refuse what is drawn anew at each evaluation, where losses are compared."""
    drawn = [t.key for t in tensors if t.role is Role.RANDOM and t.draw and t.draw.arguments]
    drawn = [key for key in drawn if key != TRAINING]
    if drawn:
        message = f"`{optimizer}` compares losses, and {drawn[0]} is drawn anew for each of them"
        hint = "leave the layer that draws out, or take adam"
        raise UserError(Mistake(message, ("optimizer",), hint=hint))


def _detached(nodes: tuple[Node, ...], tensors: tuple[Tensor, ...]) -> frozenset[str]:
    """Return the keys of the parameters that what stands in a detach(…) depends on."""
    above = {
        dict(node.names)[name_of(read)]
        for node in nodes
        for part in node.equation.rhs.atoms(fn.detach)
        for read in reads(part)
    }
    for node in reversed(nodes):
        if node.target in above:
            above |= {name for _, name in node.names}
    return frozenset(t.key for t in tensors if t.role is Role.PARAMETER and t.name in above)
