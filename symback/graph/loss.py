"""The loss and the metrics of a spec → nodes of the network."""

from collections.abc import Mapping
from dataclasses import replace

from sympy import Expr, Integer, Symbol

from symback import catalog, formula
from symback import functions as fn
from symback import index as ix
from symback.catalog.entry import Entry, Kind
from symback.errors import Mistake, UserError
from symback.formula import Formula, Scope
from symback.graph.derivatives import written_out
from symback.graph.network import Network, Reading, target_of
from symback.graph.start import option_numbers
from symback.graph.types import Equation, Node, reads, subscripts
from symback.naming import axis_letters
from symback.program import Dim, Draw, Role, Tensor
from symback.spec import Choice, Loss

_Value = tuple[Equation, Mapping[str, Dim], str]  # L, its letters' ranges, the mean's divisor


def add_loss(network: Network, loss: Loss, output: str) -> tuple[str, str]:
    """Add the loss's nodes; return the objective's name and what its mean divides by.

    The divisor is the batch's size, a tensor's name, or "" where the loss is a sum.
    """
    reading = Reading("loss", ("loss",), None)
    if loss.choice is None:
        value, sizes, divisor = _own_loss(network, loss, output, reading)
    else:
        value, sizes, divisor = _entry_loss(network, loss, loss.choice, output, reading)
    if (loss.l1 or loss.l2) and loss.reduction == "none":
        message = "a penalty is added to one number; `reduction: none` leaves one per element"
        hint = "take `reduction: mean` or `sum`, or leave l1 and l2 out"
        raise UserError(Mistake(message, reading.path, hint=hint))
    if loss.l1 or loss.l2:  # L = E + R: the error of the data and the penalty
        data = formula.tensor("E", *subscripts(value.target))
        network.node(Equation(data, value.rhs), sizes, reading)
        reading.names["R"] = _penalty(network, loss)
        value = Equation(value.target, data + Symbol("R"))
    name = network.node(value, sizes, reading)
    network.tensors[name] = replace(network.tensors[name], role=Role.LOSS, key="loss")
    return name, divisor


def _own_loss(network: Network, loss: Loss, output: str, reading: Reading) -> _Value:
    """Read a loss that the spec gives as a formula."""
    assert loss.formula is not None
    reading.path = ("loss", "formula")
    reading.numbers = {name: fn.number(value) for name, value in loss.constants}
    reading.names = {**network.outputs, "y": output}
    formula.syntax(loss.formula, reading.path)
    reading.ellipsis = network.dots((loss.formula,), "y", output)
    read = written_out(network, network.read(loss.formula, reading), reading)
    rhs, sizes = read.rhs, dict(read.sizes)
    loose = sorted(letter.name for letter in ix.indices(rhs))
    if loose:
        message = f"the loss is one number; {', '.join(loose)} must be summed over"
        hint = "as mean((y[n, k] - t[n, k])**2, n, k)"
        raise UserError(Mistake(message, reading.path, hint=hint))
    batch = network.tensors[network.spec.inputs[0].name].shape[0]
    averaged = any(sizes.get(size.range) == batch for size in rhs.atoms(fn.Size))
    return Equation(Symbol("L"), rhs), sizes, str(batch) if averaged else ""


def _entry_loss(
    network: Network, loss: Loss, choice: Choice, output: str, reading: Reading
) -> _Value:
    """Read a loss of the catalogue: its intermediates, the element loss, the reduction."""
    entry = catalog.find(Kind.LOSS, choice.name)
    assert entry is not None  # the spec's validation found it
    _bind(network, loss, entry, choice, output, reading)
    for text in entry.formulas:  # every index's range, before any is needed
        _fitting(network, text, choice, reading)
    for text in entry.formulas[:-1]:
        _intermediate(network, _fitting(network, text, choice, reading), reading)
    last = _inlined(_fitting(network, entry.formulas[-1], choice, reading), reading)
    for fact in entry.assumes:
        holds = formula.parse(fact.where, Scope({}, reading.numbers)).rhs
        if formula.numeric(holds) and fact.letter in reading.names:
            network.facts.append((reading.names[fact.letter], fact.kind))
        elif fact.kind == "classes":  # labels outside the classes mean something
            network.open_labels.add(loss.target)
    return _reduced(network, loss, entry, last, reading)


def _bind(
    network: Network, loss: Loss, entry: Entry, choice: Choice, output: str, reading: Reading
) -> None:
    """Say what the entry's letters stand for, and set its switches."""
    reading.names = {"y": output, "t": loss.target}
    if loss.sample_weight:
        reading.names["s"] = loss.sample_weight
        network.facts.append((loss.sample_weight, "weights"))
    if loss.weights:
        name = network.namer.of("w")
        weights = Draw("values", values=loss.weights)
        shape = (len(loss.weights),)
        made = Tensor(name, "loss.weight", Role.CONSTANT, shape, draw=weights)
        reading.names["w"] = network.add(made, ("k",))
    switches = {
        "labels": network.tensors[loss.target].classes is not None,
        "weighted": bool(loss.weights),
        "sampled": loss.sample_weight is not None,
    }
    reading.numbers = option_numbers(entry, dict(choice.options))
    reading.numbers |= {name: Integer(int(value)) for name, value in switches.items()}
    reading.ellipsis = network.dots(entry.formulas, "y", output)
    reading.loose = frozenset(name for text in entry.formulas for name in formula.tensors(text))


def _fitting(network: Network, text: str, choice: Choice, reading: Reading) -> Formula:
    """Read a catalogue formula; where shapes don't fit, say so of the output and the target."""
    try:
        return network.read(text, reading)
    except UserError:
        shapes = " and ".join(
            f"{what} ({', '.join(map(str, network.shape(letter, reading)))})"
            for letter, what in (("y", "an output of shape"), ("t", "a target of shape"))
        )
        labels = network.tensors[reading.names["t"]].classes is not None
        held = "labels" if labels else "numbers"
        hint = f"the target holds {held}; see `symback catalog {choice.name}`"
        message = f"`{choice.name}` doesn't fit {shapes}"
        raise UserError(Mistake(message, (*reading.path, choice.name), hint=hint)) from None


def _intermediate(network: Network, read: Formula, reading: Reading) -> None:
    """Add an intermediate of the loss.

    A log-softmax and its like isn't cut off: with it, the slope becomes p − t by itself.
    """
    read = _inlined(read, reading)
    if isinstance(read.rhs, fn.Soft | fn.LogSumExp):
        reading.inlined[target_of(read)] = read
    else:
        network.equation(read, reading)


def _inlined(read: Formula, reading: Reading) -> Formula:
    """Put the intermediates that weren't cut off into a formula."""
    rhs, sizes = read.rhs, dict(read.sizes)
    for target, value in reading.inlined.items():
        for access in ix.accesses(rhs):
            if access.base == target.base:
                swap = dict(zip(target.indices, access.indices, strict=True))
                rhs = rhs.xreplace({access: ix.substitute(value.rhs, swap)})
                sizes |= dict(value.sizes)
    return replace(read, rhs=rhs, sizes=tuple(sizes.items()))


def _reduced(
    network: Network, loss: Loss, entry: Entry, element: Formula, reading: Reading
) -> _Value:
    """Apply the reduction: mean, sum or none."""
    letters, sizes = subscripts(target_of(element)), dict(element.sizes)
    if loss.reduction == "none":
        return Equation(formula.tensor("L", *letters), element.rhs), sizes, ""
    total = ix.summed(ix.factors(element.rhs), letters)
    if loss.reduction == "sum":
        return Equation(Symbol("L"), total), sizes, ""
    divisor = network.read(entry.divisor or "size(...)", reading)
    batch, sizes = str(network.shape("y", reading)[0]), sizes | dict(divisor.sizes)
    if not reads(divisor.rhs):
        return Equation(Symbol("L"), total / divisor.rhs), sizes, batch
    network.node(Equation(Symbol("M"), divisor.rhs), sizes, reading)  # a sum of weights
    return Equation(Symbol("L"), total / Symbol("M")), sizes, reading.names["M"]


def _penalty(network: Network, loss: Loss) -> str:
    """Add R = λ₁·Σ|w| + λ₂·Σw² over the parameters penalised."""
    reading = Reading("penalty", ("loss",), None)
    sizes: dict[str, Dim] = {}
    absolute: Expr = Integer(0)
    square: Expr = Integer(0)
    for tensor in list(network.tensors.values()):
        if tensor.role is not Role.PARAMETER or tensor.key not in (loss.penalise or [tensor.key]):
            continue
        reading.names[tensor.key] = tensor.name
        letters = [
            fn.Index(name, f"{tensor.key}:{axis}")
            for axis, name in enumerate(axis_letters(len(tensor.shape), (), "i"))
        ]
        sizes |= {letter.range: dim for letter, dim in zip(letters, tensor.shape, strict=True)}
        access = formula.tensor(tensor.key, *letters)
        absolute = absolute + fn.SumOver(fn.abs_(access), *letters)
        square = square + fn.SumOver(access**2, *letters)
    total = fn.number(loss.l1) * absolute + fn.number(loss.l2) * square
    return network.node(Equation(Symbol("R"), total), sizes, reading)


def metric_nodes(network: Network, name: str, output: str) -> tuple[Node, ...]:
    """Return the nodes of a metric: a formula of the catalogue on the output and the target."""
    entry = catalog.find(Kind.METRIC, name)
    assert entry is not None  # the spec's validation found it
    targets = [t.name for t in network.tensors.values() if t.role is Role.TARGET]
    target = network.spec.loss.target or next(iter(targets), "")
    if not target:
        raise UserError(Mistake(f"the metric `{name}` needs a target", ("metrics",)))
    labels = network.tensors[target].classes is not None
    numbers: dict[str, Expr] = {"labels": Integer(int(labels))}
    reading = Reading(name, ("metrics",), None, numbers, {"y": output, "t": target})
    reading.ellipsis = network.dots(entry.formulas, "y", output)
    read = _fitting(network, entry.formulas[-1], Choice(entry.name), reading)
    network.place(Equation(target_of(read), read.rhs), dict(read.sizes), reading)
    return network.taken_nodes()
