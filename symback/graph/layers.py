"""A spec's layers → nodes of the network: the catalogue's, and those with own formulas."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sympy import Expr, Integer

from symback import catalog, formula
from symback import functions as fn
from symback.catalog import entry as entries
from symback.catalog.entry import Entry, Kind
from symback.errors import Mistake, UserError, near_miss
from symback.formula import Access, Definition, Formula, Scope
from symback.graph.derivatives import written_out
from symback.graph.network import TRAINING, Network, Reading, formula_paths, wrong_access
from symback.graph.recurrence import add_formulas
from symback.graph.start import Path, draw, option_numbers, start_of
from symback.naming import axis_letters
from symback.program import Dim, Draw, Role, Tensor
from symback.spec import Choice, Layer, Start

LARGEST = 10**8  # values in one parameter
MOST_SOURCES = 5  # of a layer of the catalogue, whose number of axes its forms may ask for


def add_layer(network: Network, layer: Layer, place: int, before: str) -> str:
    """Add a layer's nodes; return the tensor it puts out. `before` is what the one before does."""
    path: Path = ("layers", place, layer.name)
    output = [network.outputs[name] for name in layer.sources] or [before]
    made = output[0]
    if layer.kind is not None:
        entry = catalog.find(Kind.LAYER, layer.kind.name)
        assert entry is not None  # the spec's validation found it
        made = _folded(network, layer, entry, place + 1, output, path)
    elif layer.formulas:
        made = _own_layer(network, layer, place + 1, output, path)
    if layer.activation is not None:
        made = _activation(network, layer.activation, layer, place + 1, made, path)
    network.outputs[layer.name] = made
    return made


def _folded(
    network: Network, layer: Layer, entry: Entry, number: int, sources: Sequence[str], path: Path
) -> str:
    """Apply a catalogue layer; one that only joins two sources takes more by pairs."""
    assert layer.kind is not None
    numbers = option_numbers(entry, dict(layer.kind.options))
    numbers |= {"sources": Integer(len(sources)), "round": Integer(0)}
    ranks = dict(enumerate((len(network.tensors[name].shape) for name in sources), 1))
    numbers |= {f"axes_{k}": Integer(ranks.get(k, 0)) for k in range(1, MOST_SOURCES + 1)}
    letters = _sources(_formulas(entry, numbers, path))
    pairs = len(letters) == 2 and not entry.parameters
    carried: dict[str, str] = {}  # letter → what the round before puts out beside its output

    def applied(*read: str) -> str:
        names = dict(zip(letters, read, strict=True)) | carried
        output, reading = _entry_layer(network, layer, entry, number, dict(numbers), names, path)
        carried.update({into: reading.names[letter] for letter, into in entry.carried})
        return output

    if len(sources) == len(letters):
        _require_shapes(network, entry, dict(zip(letters, sources, strict=True)), numbers, path)
        output = applied(*sources)
        for again in range(1, int(numbers.get(entry.rounds, 1))):
            numbers["round"] = Integer(again)
            output = applied(output, *sources[1:])
        return output
    if not pairs or len(sources) < 2:
        wanted = ("one source", "two sources", "three sources")[len(letters) - 1]
        message = f"`{entry.name}` reads {wanted}{' or more' * pairs}"
        hint = "" if len(letters) == 1 else "write `from: [f1, x]`" if len(letters) == 2 else ""
        at = path if len(sources) < len(letters) else (*path, "from")
        raise UserError(Mistake(message, at, hint=hint))
    output = sources[0]
    for other in sources[1:]:
        output = applied(output, other)
    return output


def _require_shapes(
    network: Network,
    entry: Entry,
    sources: Mapping[str, str],
    numbers: dict[str, Expr],
    path: Path,
) -> None:
    """Refuse a further source whose axes aren't as long as the entry says."""
    examples = network.tensors[next(iter(sources.values()))].shape[0]
    for letter, texts in entry.shapes:
        shape = network.tensors[sources[letter]].shape if letter in sources else ()
        wanted: list[Dim] = [
            examples if text == "n" else int(_whole(text, numbers, {}, path)) for text in texts
        ]
        if len(shape) == len(wanted) and list(shape) != wanted:
            place = list(sources).index(letter)
            message = (
                f"`{entry.name}` reads a state of shape {_listed(wanted)}, here is {_listed(shape)}"
            )
            hint = f"see `symback catalog {entry.name}`"
            raise UserError(Mistake(message, (*path, "from", place), hint=hint))


def _sources(formulas: Sequence[str]) -> tuple[str, ...]:
    """Return what formulas call their sources: x, or x1, x2, …"""
    read = {name for text in formulas for name in formula.tensors(text)}
    numbered = tuple(sorted(name for name in read if name[0] == "x" and name[1:].isdigit()))
    return numbered or ("x",)


def _entry_layer(
    network: Network,
    layer: Layer,
    entry: Entry,
    number: int,
    numbers: dict[str, Expr],
    names: Mapping[str, str],
    path: Path,
) -> tuple[str, Reading]:
    """Add a catalogue layer's formulas, its parameters and its random tensors."""
    formulas = _formulas(entry, numbers, path)
    reading = Reading(layer.name, path, number, numbers, dict(names))
    first = next(iter(names))
    axes = _axes(network, reading, entry, names[first])
    if (classes := network.tensors[names[first]].classes) is not None:
        numbers["classes"] = Integer(classes)
    for name, text in entry.numbers:
        numbers[name] = _whole(text, numbers, axes, path)
    for letter, text in entry.sizes:
        size = int(_whole(text, numbers, axes, path))
        if size < 1:
            message = (
                f"`{layer.name}` would leave nothing of its input of shape {_listed(axes.values())}"
            )
            raise UserError(Mistake(message, path, hint=f"see `symback catalog {entry.name}`"))
        reading.known[letter] = (letter, size)
    running = [each for each in entry.running if _holds(each.where, numbers)]
    texts = (*formulas, *(each.next for each in running if each.next))
    if _read_in_training(texts):
        reading.names[TRAINING] = network.training()
    reading.ellipsis = network.dots(formulas, first, names[first])
    targets = [formula.target_name(text) for text in formulas]
    reading.parts = frozenset(name for name in targets if targets.count(name) > 1)
    reading.loose = frozenset(name for text in formulas for name in formula.tensors(text))
    fitting = partial(_fitting, network, reading, entry, tuple(names.values()))
    accesses = [a for text in formulas for a in fitting(text).reads]
    _known_starts(layer, entry, int(numbers.get(entry.rounds, 1)), path)
    for parameter in entry.parameters:
        access = next((a for a in accesses if a.name == parameter.letter), None)
        if access is not None:
            _entry_tensor(network, reading, layer, parameter, Role.PARAMETER)
    for each in running:
        _entry_tensor(network, reading, layer, each, Role.STATE)
    reading.loose = frozenset()

    def read(place: int) -> Formula:
        for each in entry.random:
            if each.letter not in reading.names and each.letter in formula.tensors(formulas[place]):
                keep = draw(each.draw, numbers, {}, path)
                _random(network, reading, each, keep, axes, names[first])
        return fitting(formulas[place])

    made = _add_formulas(network, reading, formulas, read)
    for each in (each for each in running if each.next):
        network.renewed(network.read(each.next, reading), reading)
    for name, letter in entry.outputs:
        if letter in reading.names:
            network.outputs[f"{layer.name}.{name}"] = reading.names[letter]
            network.beside.add(reading.names[letter])
    return made, reading


def _fitting(
    network: Network, reading: Reading, entry: Entry, sources: Sequence[str], text: str
) -> Formula:
    """Read a catalogue formula; where the shapes of several sources don't fit, say so of them."""
    try:
        return network.read(text, reading)
    except UserError:
        if len(sources) < 2:
            raise
        shapes = " and ".join(_listed(network.tensors[name].shape) for name in sources)
        hint = f"see `symback catalog {entry.name}`"
        message = f"`{entry.name}` doesn't fit sources of shape {shapes}"
        raise UserError(Mistake(message, reading.path, hint=hint)) from None


def _add_formulas(
    network: Network, reading: Reading, texts: Sequence[str], read: Callable[[int], Formula]
) -> str:
    """Add a layer's formulas; return the last one's tensor."""

    def add(found: Formula) -> str:
        return network.equation(written_out(network, found, reading), reading)

    return add_formulas(network, reading, texts, read, add)


def _holds(condition: str, numbers: Mapping[str, Expr]) -> bool:
    """Say whether a formula over options isn't zero."""
    return bool(formula.numeric(formula.parse(condition, Scope({}, numbers)).rhs))


def _formulas(entry: Entry, numbers: Mapping[str, Expr], path: Path) -> tuple[str, ...]:
    """Return the formulas that the options choose."""
    for case in entry.cases:
        if _holds(case.where, numbers):
            if not case.formulas:
                message = f"there is no `{entry.name}` where {case.where}"
                raise UserError(Mistake(message, path))
            return case.formulas
    return entry.formulas


def _axes(network: Network, reading: Reading, entry: Entry, source: str) -> dict[str, Dim]:
    """Return how long each axis is that the entry gives a name; the source must have just these.

    `...` among them stands for any number of axes.
    """
    shape, names = network.tensors[source].shape, list(entry.axes)
    if "..." in names:
        place = names.index("...")
        names[place : place + 1] = [""] * (len(shape) - len(names) + 1)
    if names and len(shape) != len(names):
        message = f"`{entry.name}` reads ({', '.join(entry.axes)}), here is {_listed(shape)}"
        hint = "give the input these axes, or lay them out: y[n, a, b] = x[n, 8*a + b]"
        raise UserError(Mistake(message, reading.path, hint=hint))
    return dict(zip(names, shape, strict=False))


def _listed(shape: Iterable[Dim]) -> str:
    return f"({', '.join(map(str, shape))})"


def _whole(text: str, numbers: Mapping[str, Expr], sizes: Mapping[str, Dim], path: Path) -> Integer:
    """Work out a formula over options and sizes of axes: a whole number."""
    rhs = formula.parse(text, Scope({}, numbers)).rhs
    dims = {size: sizes.get(size.range) for size in rhs.atoms(fn.Size)}
    for dim in dims.values():
        if isinstance(dim, str):
            raise UserError(Mistake(f"this needs a fixed size where its input has `{dim}`", path))
    value = formula.numeric(rhs.xreplace({size: Integer(dim) for size, dim in dims.items()}))
    assert value is not None, text
    if value != int(value):
        raise UserError(Mistake(f"`{text}` must be whole, here it is {value:g}", path))
    return Integer(int(value))


def _random(
    network: Network,
    reading: Reading,
    random: entries.Random,
    keep: Draw,
    axes: Mapping[str, Dim],
    like: str,
) -> None:
    """Add a random tensor, of the axes that it names or the shape of another."""
    name = network.namer.of(random.letter, reading.number)
    sizes = {letter: size for letter, (_, size) in reading.known.items()}
    shape = tuple(axes.get(axis) or sizes[axis] for axis in random.axes)
    made = Tensor(
        name,
        f"{reading.layer}.{random.letter}",
        Role.RANDOM,
        shape or network.tensors[like].shape,
        draw=keep,
    )
    reading.names[random.letter] = network.add(made, random.axes or network.letters[like])


def _known_starts(layer: Layer, entry: Entry, rounds: int, path: Path) -> None:
    """Refuse a start for a parameter that the entry hasn't."""
    named = [
        parameter.name.format(each) for each in range(rounds) for parameter in entry.parameters
    ]
    known = list(dict.fromkeys(named))
    for name, _ in layer.init:
        if name and name not in known:
            hint = near_miss(name, known) or f"it has {', '.join(f'`{one}`' for one in known)}"
            message = f"`{entry.name}` has no parameter `{name}`"
            raise UserError(Mistake(message, (*path, "init", name), hint=hint))


def _entry_tensor(
    network: Network,
    reading: Reading,
    layer: Layer,
    parameter: entries.Parameter | entries.Running,
    role: Role,
) -> None:
    """Add what a catalogue layer learns or keeps: its shape names options and indices."""
    known = {letter: size for letter, (_, size) in reading.known.items()}
    shape = tuple(
        int(_whole(f"size({dim})" if dim in known else dim, reading.numbers, known, reading.path))
        for dim in parameter.shape
    )
    starts = dict(layer.init)
    init: Start = parameter.init
    name = parameter.name.format(reading.numbers["round"])
    if name in starts:
        init = starts[name]
    elif "" in starts and len(shape) > 1:
        init = starts[""]
    sizes = {letter: size for letter, size in known.items() if isinstance(size, int)}
    path = (*reading.path, "init", name)
    start = start_of(init, shape, sizes, path)
    made = Tensor("", f"{layer.name}.{name}", role, shape, draw=start)
    _add(network, reading, parameter.letter, made, path)


def _add(network: Network, reading: Reading, letter: str, tensor: Tensor, path: Path) -> None:
    """Add a parameter or a state, which a layer's formulas call by its letter."""
    key, shape, start = tensor.key, tensor.shape, tensor.draw
    count = math.prod(map(int, shape))
    if count > LARGEST:
        message = f"`{key}` of shape {shape} would hold {count:,} numbers"
        raise UserError(Mistake(message, reading.path, hint=f"{LARGEST:,} are allowed"))
    if start is not None and start.kind == "values" and _shape(start.values) != shape:
        message = f"`{key}` has shape {shape}, its start {_shape(start.values)}"
        raise UserError(Mistake(message, path))
    named = replace(tensor, name=network.namer.of(letter, reading.number))
    reading.names[letter] = network.add(named, axis_letters(len(shape), (), "i"))
    network.outputs[key] = named.name


def _shape(values: Any) -> tuple[int, ...]:
    """Return the shape of nested tuples."""
    return (len(values), *_shape(values[0])) if isinstance(values, tuple) and values else ()


def _own_layer(
    network: Network, layer: Layer, number: int, sources: Sequence[str], path: Path
) -> str:
    """Add a layer that the spec defines by formulas; the last one is its output."""
    numbers: dict[str, Expr] = {name: fn.number(value) for name, value in layer.constants}
    names = _own_names(network, layer, sources)
    reading = Reading(layer.name, path, number, numbers, names)
    reading.known = {letter: (letter, size) for letter, size in layer.sizes}
    for role, key, given in (
        (Role.PARAMETER, "parameters", layer.parameters),
        (Role.STATE, "state", layer.states),
    ):
        for own in given:
            where: Path = (*path, key, own.name, "init")
            start = start_of(own.init, own.shape, {}, where)
            made = Tensor("", f"{layer.name}.{own.name}", role, own.shape, draw=start)
            _add(network, reading, own.name, made, where)
    wheres = formula_paths(layer.formulas, path)
    texts = (*layer.formulas, *(state.next for state in layer.states))
    if not {TRAINING} & {*numbers, *reading.names} and _read_in_training(texts):
        reading.names[TRAINING] = network.training()

    def read(text: str, where: Path) -> Formula:
        reading.path = where
        reading.ellipsis = network.letters[sources[0]]
        for letter, source in names.items():
            dots = network.dots((text,), letter, source)
            reading.ellipsis = dots if dots is not None else reading.ellipsis
        return network.read(text, reading)

    taken = dict.fromkeys(reading.names, "")
    targets = [formula.target_name(text) for text in layer.formulas]
    reading.parts = frozenset(name for name in targets if targets.count(name) > 1)
    for text, where in zip(layer.formulas, wheres, strict=True):
        formula.syntax(text, where)
        target = formula.target_name(text)
        if not target:
            hint = f"h[n, k] = {text}"
            raise UserError(Mistake("a layer's formula names its result", where, hint=hint))
        further = target in reading.parts and formula.fills_part(text)
        if target in taken and not further:
            at = Access(target, (), max(0, text.find(target)), len(target))
            raise wrong_access(at, where, f"`{target}` is taken", "use another letter")
        taken[target] = ""
    output = _add_formulas(
        network, reading, layer.formulas, lambda k: read(layer.formulas[k], wheres[k])
    )
    for state in layer.states:
        where = (*path, "state", state.name, "next")
        found = read(state.next, where)
        if found.target is None or found.target.name != state.name:
            hint = f"as {state.name}[…] = 0.9*{state.name}[…] + 0.1*…"
            message = f"this says what `{state.name}` becomes: it stands left of `=`"
            raise UserError(Mistake(message, where, hint=hint))
        network.renewed(found, reading)
    for name in map(formula.target_name, layer.formulas):
        network.outputs[f"{layer.name}.{name}"] = reading.names[name]
    return output


def _read_in_training(texts: Iterable[str]) -> bool:
    """Say whether some formula asks for `training`."""
    return any(formula.mentions(text, TRAINING) for text in texts)


def _own_names(network: Network, layer: Layer, sources: Sequence[str]) -> dict[str, str]:
    """Return what an own formula may read: `x`, the layer's source, and the source by its name.

    Of several sources the first is x1, the next x2; one that is called x itself stays x. The
    parameters of layers before, f1.weight, can be read too: weights that are shared.
    """
    shared = {name: tensor for name, tensor in network.outputs.items() if "." in name}
    if layer.sources:
        named = dict(zip(layer.sources, sources, strict=True))
        places = [f"x{k + 1}" for k in range(len(sources))] if len(sources) > 1 else ["x"]
        return {**shared, **dict(zip(places, sources, strict=True)), **named}
    named = {
        name: tensor
        for name, tensor in network.outputs.items()
        if tensor == sources[0] and "." not in name
    }
    return {**shared, **named, "x": sources[0]}


def _activation(
    network: Network, choice: Choice, layer: Layer, number: int, source: str, path: Path
) -> str:
    """Apply an activation: an expression in x for each element, or a formula on axes."""
    where: Path = (*path, "activation")
    own = {item.name for item in network.spec.functions}
    entry = None if choice.name in own else catalog.find(Kind.ACTIVATION, choice.name)
    numbers = {} if entry is None else option_numbers(entry, dict(choice.options))
    text = f"{choice.name}(x)" if entry is None else entry.formulas[-1]
    reading = Reading(layer.name, where, number, numbers)
    if "[" in text:
        reading.names = {"x": source}
        reading.ellipsis = network.dots((text,), "x", source)
    else:
        reading.names = {"z": source}
        reading.ellipsis = network.letters[source]
        whole = Definition(("x",), text, tuple(numbers.items()))
        reading.functions = (("activation_", whole),)
        text = "a[...] = activation_(z[...])"
    return network.equation(network.read(text, reading), reading)
