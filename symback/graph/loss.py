"""The loss and the metrics of a spec → nodes of the network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sympy import Add, Expr, Integer, Symbol

from symback import catalog, formula
from symback import functions as fn
from symback import index as ix
from symback.catalog.entry import Entry, Kind
from symback.errors import Mistake, UserError
from symback.formula import Formula, Scope
from symback.graph.derivatives import written_out
from symback.graph.network import Network, Reading, target_of
from symback.graph.recurrence import add_formulas
from symback.graph.start import Path, option_numbers
from symback.graph.types import Equation, Node, name_of, reads, subscripts
from symback.naming import axis_letters
from symback.program import Dim, Draw, Role, Tensor
from symback.spec import Choice, Term

DATA_ROLES = (Role.INPUT, Role.TARGET)  # what comes from outside
COMPARED = {"y": "output", "t": "target"}  # by a metric


@dataclass(frozen=True, slots=True)
class _Value:
    """What a term comes to: an equation, what its letters are, and what its mean divides by.

    The divisor is the batch's size, a tensor's name, or "" where the term is a sum.
    """

    reading: Reading
    equation: Equation
    sizes: Mapping[str, Dim]
    divisor: str


def add_loss(network: Network, terms: Sequence[Term], output: str) -> tuple[str, str]:
    """Add the loss's nodes; return the objective's name and what its mean divides by."""
    paths: list[Path] = [("loss", place) for place in range(len(terms))]
    _require_numbers(terms, paths)
    values = [
        _term(network, term, output, path)
        for term, path in zip(terms, paths, strict=True)
        if term.choice or term.formula
    ]
    divisor = _common_divisor(network, [value.divisor for value in values])
    scales = [term.scale for term in terms if term.choice or term.formula]
    total = values[0]
    penalties = [(term, path) for term, path in zip(terms, paths, strict=True) if penalised(term)]
    if len(values) > 1 or scales != [1] or penalties:
        total = _added(network, values, scales, penalties)
    name = network.node(total.equation, total.sizes, total.reading)
    network.tensors[name] = replace(network.tensors[name], role=Role.LOSS, key="loss")
    return name, divisor


def penalised(term: Term) -> bool:
    """Say whether a term adds a penalty on parameters."""
    return bool(term.l1 or term.l2)


def _require_numbers(terms: Sequence[Term], paths: Sequence[Path]) -> None:
    """Refuse an unreduced loss beside anything that is added to it, and a loss of no data."""
    with_penalty = any(map(penalised, terms))
    for term, path in zip(terms, paths, strict=True):
        if term.reduction == "none" and (with_penalty or len(terms) > 1):
            added = "a penalty" if with_penalty else "another term"
            message = f"{added} is added to one number; `reduction: none` leaves one per element"
            hint = "take `reduction: mean` or `sum`, or leave what is added out"
            raise UserError(Mistake(message, path, hint=hint))
    if not any(term.choice or term.formula for term in terms):
        message = "the loss has penalties alone, and nothing to learn from"
        raise UserError(Mistake(message, ("loss",), hint="add a term such as {mse: t}"))


def _term(network: Network, term: Term, output: str, path: Path) -> _Value:
    """Read a term: a formula or an entry of the catalogue."""
    reading = Reading("loss", path, None)
    if term.choice is None:
        return _own_loss(network, term, output, reading)
    return _entry_loss(network, term, term.choice, output, reading)


def _added(
    network: Network,
    values: Sequence[_Value],
    scales: Sequence[float],
    penalties: Sequence[tuple[Term, Path]],
) -> _Value:
    """Return L = λ₁·E₁ + λ₂·E₂ + R: the errors of the data and the penalties."""
    reading = Reading("loss", ("loss",), None)
    parts: list[Expr] = []
    sizes: dict[str, Dim] = {}
    for number, (value, scale) in enumerate(zip(values, scales, strict=True), 1):
        letter = "E" if len(values) == 1 else f"E{number}"
        error = formula.tensor(letter, *subscripts(value.equation.target))
        equation = Equation(error, value.equation.rhs)
        reading.names[letter] = network.node(equation, value.sizes, value.reading)
        sizes |= value.sizes
        parts.append(error if scale == 1 else fn.number(scale) * error)
    for number, (term, path) in enumerate(penalties, 1):
        letter = "R" if len(penalties) == 1 else f"R{number}"
        reading.names[letter] = _penalty(network, term, letter, path)
        parts.append(Symbol(letter))
    return _Value(reading, Equation(values[0].equation.target, Add(*parts)), sizes, "")


def _common_divisor(network: Network, divisors: Sequence[str]) -> str:
    """Return what the mean of all terms together divides by.

    Means over different things have none in common: batches of an epoch are averaged by their
    sizes then, and gradients can't be gathered over several batches as if they were one.
    """
    if len(set(divisors)) == 1:
        return divisors[0]
    if network.spec.training.accumulate > 1:
        message = "the terms of the loss divide by different things; batches can't be joined to one"
        hint = "give all terms one `reduction` (and one `sample_weight`), or accumulate 1"
        raise UserError(Mistake(message, ("train", "accumulate"), hint=hint))
    return str(network.tensors[network.spec.inputs[0].name].shape[0])


def _own_loss(network: Network, loss: Term, output: str, reading: Reading) -> _Value:
    """Read a loss that the spec gives as a formula."""
    assert loss.formula is not None
    reading.path = (*reading.path, "formula")
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
    return _Value(reading, Equation(Symbol("L"), rhs), sizes, str(batch) if averaged else "")


def _entry_loss(
    network: Network, loss: Term, choice: Choice, output: str, reading: Reading
) -> _Value:
    """Read a loss of the catalogue: its intermediates, the element loss, the reduction."""
    entry = catalog.find(Kind.LOSS, choice.name)
    assert entry is not None  # the spec's validation found it
    _bind(network, loss, entry, choice, output, reading)
    needed = _needed(network, entry, reading)
    add_formulas(
        network,
        reading,
        needed,
        lambda place: _fitting(network, needed[place], entry, reading),
        lambda read: _intermediate(network, read, reading),
    )
    last = _inlined(_fitting(network, entry.formulas[-1], entry, reading), reading)
    _add_facts(network, entry, reading)
    return _reduced(network, loss, entry, last, reading)


def _bind(
    network: Network, loss: Term, entry: Entry, choice: Choice, output: str, reading: Reading
) -> None:
    """Say what the entry's letters stand for, and set its switches."""
    given = {key: network.outputs[name] for key, name in loss.operands}
    reading.names = {
        operand.letter: given.get(operand.key, output)
        for operand in entry.operands
        if operand.key in given or operand.letter == "y"
    }
    if loss.weights:
        name = network.namer.of("w")
        weights = Draw("values", values=loss.weights)
        shape = (len(loss.weights),)
        made = Tensor(name, "loss.weight", Role.CONSTANT, shape, draw=weights)
        reading.names["w"] = network.add(made, ("k",))
    switches = {
        "labels": _holds_labels(network, reading),
        "weighted": bool(loss.weights),
        "sampled": "s" in reading.names,
        "reduction_mean": loss.reduction == "mean",
        **{f"{each.key}_given": each.key in given for each in entry.operands},
    }
    reading.numbers = option_numbers(entry, dict(choice.options))
    lead = entry.operands[0].letter
    switches |= _shorter(network, reading, lead)
    reading.numbers |= {name: Integer(int(value)) for name, value in switches.items()}
    reading.ellipsis = network.dots(entry.formulas, lead, reading.names[lead])
    reading.loose = frozenset(name for text in entry.formulas for name in formula.tensors(text))


def _shorter(network: Network, reading: Reading, lead: str) -> dict[str, bool]:
    """Say of what has one number for the whole last axis how: without that axis, or 1 long."""
    whole = network.shape(lead, reading)
    found = {}
    for letter in reading.names:
        shape = network.shape(letter, reading)
        found[f"{letter}_short"] = shape == whole[:-1]
        found[f"{letter}_narrow"] = shape == (*whole[:-1], 1) != whole
    return found


def _holds_labels(network: Network, reading: Reading) -> bool:
    """Say whether the target holds labels of classes."""
    return "t" in reading.names and network.tensors[reading.names["t"]].classes is not None


def _add_facts(network: Network, entry: Entry, reading: Reading) -> None:
    """Note what the derivation may take for granted of what comes from outside.

    A layer's output promises nothing.
    """
    target = network.tensors.get(reading.names.get("t", ""))
    for fact in entry.assumes if target is not None and target.role in DATA_ROLES else ():
        holds = formula.parse(fact.where, Scope({}, reading.numbers)).rhs
        if formula.numeric(holds) and fact.letter in reading.names:
            network.facts.append((reading.names[fact.letter], fact.kind))
        elif fact.kind == "classes":  # labels outside the classes mean something
            network.open_labels.add(reading.names["t"])
    for operand in entry.operands:
        name = reading.names.get(operand.letter, "")
        if operand.holds and name and network.tensors[name].role in DATA_ROLES:
            network.facts.append((name, operand.holds))


def _fitting(network: Network, text: str, entry: Entry, reading: Reading) -> Formula:
    """Read a catalogue formula; where shapes don't fit, say so of what it compares."""
    try:
        return network.read(text, reading)
    except UserError:
        named = [(each.letter, each.key) for each in entry.operands] or [*COMPARED.items()]
        shapes = " and ".join(
            f"`{key}` of shape ({', '.join(map(str, network.shape(letter, reading)))})"
            for letter, key in named
            if letter in reading.names
        )
        held = f"the target holds {'labels' if _holds_labels(network, reading) else 'numbers'}; "
        hint = f"{held if 't' in reading.names else ''}see `symback catalog {entry.name}`"
        message = f"`{entry.name}` doesn't fit {shapes}"
        raise UserError(Mistake(message, (*reading.path, entry.name), hint=hint)) from None


def _needed(network: Network, entry: Entry, reading: Reading) -> tuple[str, ...]:
    """Return the formulas that the last one needs, once the options have chosen its branches."""
    read = [_fitting(network, text, entry, reading) for text in entry.formulas]  # and every range
    reads_of = {formula.target_name(each.text): {a.name for a in each.reads} for each in read}
    wanted = {formula.target_name(read[-1].text)}
    while more := {name for each in wanted for name in reads_of.get(each, ())} - wanted:
        wanted |= more
    return tuple(text for text in entry.formulas[:-1] if formula.target_name(text) in wanted)


def _intermediate(network: Network, read: Formula, reading: Reading) -> str:
    """Add an intermediate of the loss.

    A log-softmax and its like isn't cut off: with it, the slope becomes p − t by itself.
    """
    read = _inlined(read, reading)
    if isinstance(read.rhs, fn.Soft | fn.LogSumExp):
        reading.inlined[target_of(read)] = read
        return ""
    return network.equation(read, reading)


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
    network: Network, loss: Term, entry: Entry, element: Formula, reading: Reading
) -> _Value:
    """Apply the reduction: mean, sum, batchmean (over the examples) or none."""
    letters, sizes = subscripts(target_of(element)), dict(element.sizes)
    if loss.reduction == "none":
        return _Value(reading, Equation(formula.tensor("L", *letters), element.rhs), sizes, "")
    total = ix.summed(ix.factors(element.rhs), letters)
    if loss.reduction == "sum":
        return _Value(reading, Equation(Symbol("L"), total), sizes, "")
    if loss.reduction == "batchmean":
        assert isinstance(letters[0], fn.Index)
        total = total / fn.Size(Symbol(letters[0].range))
        return _Value(reading, Equation(Symbol("L"), total), sizes, str(sizes[letters[0].range]))
    divisor = network.read(entry.divisor or "size(...)", reading)
    batch = str(network.shape(entry.operands[0].letter, reading)[0])
    sizes |= dict(divisor.sizes)
    if not reads(divisor.rhs):
        return _Value(reading, Equation(Symbol("L"), total / divisor.rhs), sizes, batch)
    network.node(Equation(Symbol("M"), divisor.rhs), sizes, reading)  # a sum of weights
    return _Value(reading, Equation(Symbol("L"), total / Symbol("M")), sizes, reading.names["M"])


def _penalty(network: Network, loss: Term, letter: str, path: Path) -> str:
    """Add R = λ₁·Σ|w| + λ₂·Σw² over the parameters penalised."""
    reading = Reading("penalty", path, None)
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
    return network.node(Equation(Symbol(letter), total), sizes, reading)


def metric_nodes(
    network: Network, chosen: Sequence[Choice], output: str
) -> tuple[tuple[str, tuple[Node, ...]], ...]:
    """Return each metric's nodes: formulas of the catalogue on the output and the target.

    What an earlier metric has worked out is taken from there.
    """
    known: dict[object, str] = {}
    return tuple((each.name, _metric_nodes(network, each, output, known)) for each in chosen)


def _metric_nodes(
    network: Network, choice: Choice, output: str, known: dict[object, str]
) -> tuple[Node, ...]:
    entry = catalog.find(Kind.METRIC, choice.name)
    assert entry is not None  # the spec's validation found it
    reading = Reading(entry.name, ("metrics",), None)
    reading.names = {"y": output, "t": _target(network, entry.name, output)}
    held = network.tensors[reading.names["t"]]
    reading.numbers = option_numbers(entry, dict(choice.options)) | {
        "labels": Integer(int(held.classes is not None)),
        "ignored_given": Integer(int(held.ignored is not None)),
        "ignored": Integer(held.ignored or 0),
    }
    reading.ellipsis = network.dots(entry.formulas, "y", output)
    for text in entry.formulas:
        read = _fitting(network, text, entry, reading)
        equation = Equation(target_of(read), read.rhs)
        same = (equation, *(reading.names[name_of(each)] for each in reads(read.rhs)))
        if same in known and text != entry.formulas[-1]:
            reading.names[equation.name] = known[same]
        else:
            network.place(equation, dict(read.sizes), reading)
            known[same] = reading.names[equation.name]
    return network.taken_nodes()


def _target(network: Network, metric: str, output: str) -> str:
    """Return what a metric compares the output with: what the loss does, if that is an input."""
    terms = [dict(term.operands) for term in network.spec.loss]
    named = [
        read.get("target", "")
        for read in terms
        if "output" not in read or network.outputs[read["output"]] == output
    ]
    others = [t.name for t in network.tensors.values() if t.role is Role.TARGET]
    inputs = {item.name for item in network.spec.inputs}
    target = next((name for name in (*named, *others) if name in inputs), "")
    if not target:
        raise UserError(Mistake(f"the metric `{metric}` needs a target", ("metrics",)))
    return target
