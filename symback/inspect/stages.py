"""What each stage made of a spec: Spec → Graph → Derivation → Program → passes → Module."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from sympy.core.parameters import distribute

from symback import notation, pipeline
from symback.derivation import Derivation
from symback.emit import Module
from symback.graph import Graph
from symback.passes import PASSES
from symback.passes.cost import BATCH, cost
from symback.program import Program, Statement, Tensor
from symback.spec import Choice, Layer, Rule, Spec

INDENT = "    "


def page(spec: Spec, module: Module, wrt: Sequence[str] = ()) -> str:
    """Return the stages as text."""
    derivation = pipeline.derive(spec, wrt)
    program = pipeline.program(spec, wrt=wrt)
    with distribute(False):
        parts = (
            ("Spec", _spec(spec)),
            ("Graph", _graph(derivation.graph)),
            ("Derivation", _derivation(derivation)),
            ("Program", _program(program)),
            ("Passes", _passes(program)),
            ("Module", _module(module)),
        )
        lines = [row for title, rows in parts for row in (title, *_indented(rows), "")]
    return "\n".join(lines) + "\n"


def _indented(rows: Iterable[str]) -> Iterator[str]:
    return (textwrap.indent(row, INDENT) for row in rows)


def _shape(shape: Iterable[int | str]) -> str:
    return f"[{', '.join(map(str, shape))}]"


# ---------------------------------------------------------------- each stage


def _spec(spec: Spec) -> Iterator[str]:
    yield f"model {spec.model}, digest {spec.digest[:16]}"
    for item in spec.inputs:
        labels = "" if item.classes is None else f", labels 0 … {item.classes - 1}"
        yield f"input {item.name} {_shape(item.shape)}{labels}"
    for layer in spec.layers:
        yield f"layer {layer.name}: {_layer(layer)}"
    for term in spec.loss:
        compared = "".join(f", {key} {name}" for key, name in term.operands)
        scaled = "" if term.scale == 1 else f"{term.scale:g} times "
        yield f"loss {scaled}{_choice(term.choice) or term.formula or 'penalties'}{compared}"
    yield f"optimizer {_rule(spec.optimizer)}"
    for rule in spec.schedule:
        until = "" if rule.until is None else f" until {rule.until}"
        parts = " times ".join(_rule(part) for part in rule.chained or (rule,))
        yield f"schedule {parts}{until}"


def _layer(layer: Layer) -> str:
    made = [_choice(layer.kind)] if layer.kind else list(layer.formulas)
    if layer.activation is not None:
        made.append(_choice(layer.activation))
    return "; ".join(made)


def _choice(choice: Choice | None) -> str:
    if choice is None:
        return ""
    options = ", ".join(f"{name} {value}" for name, value in choice.options)
    return f"{choice.name} ({options})" if options else choice.name


def _rule(rule: Rule) -> str:
    return _choice(rule.choice) or "; ".join(rule.formulas)


def _graph(graph: Graph) -> Iterator[str]:
    yield from (_tensor(tensor) for tensor in graph.tensors)
    for node in (*graph.layers, *graph.loss, *graph.renewal):
        sizes = {f"|{letter}|": str(dim).upper() for letter, dim in node.sizes}
        names = {**dict(node.names), **sizes}
        shown = notation.equation(node.equation.target, node.equation.rhs, names)
        yield f"{node.layer}: {shown}"


def _tensor(tensor: Tensor) -> str:
    return f"{tensor.role} {tensor.name} {_shape(tensor.shape)} ({tensor.key})"


def _derivation(derivation: Derivation) -> Iterator[str]:
    for line in derivation.backward:
        for term in line.terms:
            by = f"∂{derivation.graph.objective}/∂{line.target.removeprefix('d')}"
            kinds = " → ".join(step.kind for step in term.steps) or "named"
            yield f"{by} through {term.layer}: {kinds}"


def _program(program: Program) -> Iterator[str]:
    parts = (
        ("forward", program.forward),
        ("loss", program.loss),
        ("backward", program.backward),
        ("renewal", program.renewal),
        ("update", program.update.rules),
        ("schedule", program.schedule.statements if program.schedule else ()),
    )
    for title, statements in parts:
        yield from (_statement(title, statement) for statement in statements)


def _statement(title: str, statement: Statement) -> str:
    return f"{title}: {statement.said}"


def _passes(program: Program) -> Iterator[str]:
    """Yield what a training step costs before the passes (NumPy's fast form), and after each."""
    counted = [("lowered", cost(program))]
    for each in PASSES:
        program = each(program)
        counted.append((each.__name__, cost(program)))
    batch = program.training.batch_size or BATCH
    yield f"one step on {batch} examples, {program.float_type}"
    yield f"{'':<18}{'operations':>12}{'bytes moved':>14}{'flops':>14}{'bytes held':>14}"
    for name, c in counted:
        yield f"{name:<18}{c.operations:>12,}{c.bytes:>14,}{c.flops:>14,}{c.memory:>14,}"


def _module(module: Module) -> Iterator[str]:
    lines = module.text.splitlines()
    yield f"{module.name}.py for {module.target}, {len(lines)} lines"
    yield from (line for line in lines if line.startswith(("def ", "class ")))
