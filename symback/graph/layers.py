"""A spec's layers → nodes of the network: the catalogue's, and those with own formulas."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sympy import Expr

from symback import catalog, formula
from symback import functions as fn
from symback.catalog import entry as entries
from symback.catalog.entry import Entry, Kind
from symback.errors import Mistake, UserError, near_miss
from symback.formula import Access, Definition, Formula
from symback.graph.network import Network, Reading, formula_paths, wrong_access
from symback.graph.recurrence import add_formulas
from symback.graph.start import Path, draw, option_numbers, start_of
from symback.naming import axis_letters
from symback.program import Draw, Role, Tensor
from symback.spec import Choice, Layer, Start

LARGEST = 10**8  # values in one parameter


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
    """Apply a catalogue layer; one that takes two sources takes more by pairs."""
    pairs = any("x2" in text for text in entry.formulas)
    if not pairs:
        if len(sources) != 1:
            raise UserError(Mistake(f"`{entry.name}` reads one source", (*path, "from")))
        return _entry_layer(network, layer, entry, number, {"x": sources[0]}, path)
    if len(sources) < 2:
        hint = "write `from: [f1, x]`"
        raise UserError(Mistake(f"`{entry.name}` reads two sources or more", path, hint=hint))
    output = sources[0]
    for other in sources[1:]:
        names = {"x1": output, "x2": other}
        output = _entry_layer(network, layer, entry, number, names, path)
    return output


def _entry_layer(
    network: Network,
    layer: Layer,
    entry: Entry,
    number: int,
    names: Mapping[str, str],
    path: Path,
) -> str:
    """Add a catalogue layer's formulas, its parameters and its random tensors."""
    assert layer.kind is not None
    numbers = option_numbers(entry, dict(layer.kind.options))
    reading = Reading(layer.name, path, number, numbers, dict(names))
    first = next(iter(names))
    reading.ellipsis = network.dots(entry.formulas, first, names[first])
    for letter, text in entry.random:
        _random(network, reading, letter, draw(text, numbers, {}, path), names[first])
    targets = [formula.target_name(text) for text in entry.formulas]
    reading.parts = frozenset(name for name in targets if targets.count(name) > 1)
    reading.loose = frozenset(name for text in entry.formulas for name in formula.tensors(text))
    accesses = [a for text in entry.formulas for a in network.read(text, reading).reads]
    _known_starts(layer, entry, path)
    for parameter in entry.parameters:
        access = next((a for a in accesses if a.name == parameter.letter), None)
        if access is not None:
            _entry_parameter(network, reading, layer, parameter, access)
    reading.loose = frozenset()
    return add_formulas(
        network, reading, entry.formulas, lambda k: network.read(entry.formulas[k], reading)
    )


def _random(network: Network, reading: Reading, letter: str, keep: Draw, like: str) -> None:
    """Add a random tensor, of the shape of another."""
    name = network.namer.of(letter, reading.number)
    shape = network.tensors[like].shape
    mask = Tensor(name, f"{reading.layer}.{letter}", Role.RANDOM, shape, draw=keep)
    reading.names[letter] = network.add(mask, network.letters[like])


def _known_starts(layer: Layer, entry: Entry, path: Path) -> None:
    """Refuse a start for a parameter that the entry hasn't."""
    known = [parameter.name for parameter in entry.parameters]
    for name, _ in layer.init:
        if name and name not in known:
            hint = near_miss(name, known) or f"it has {', '.join(f'`{one}`' for one in known)}"
            message = f"`{entry.name}` has no parameter `{name}`"
            raise UserError(Mistake(message, (*path, "init", name), hint=hint))


def _entry_parameter(
    network: Network, reading: Reading, layer: Layer, parameter: entries.Parameter, access: Access
) -> None:
    """Add a catalogue layer's parameter: its shape names options and indices."""
    shape: list[int] = []
    known = {letter: size for letter, (_, size) in reading.known.items()}
    for dim in parameter.shape:
        size = reading.numbers.get(dim, known.get(dim))
        assert size is not None, (parameter.name, dim)
        if isinstance(size, str):
            message = f"`{layer.name}` needs a fixed size where its input has `{size}`"
            raise UserError(Mistake(message, reading.path))
        shape.append(int(size))
    starts = dict(layer.init)
    init: Start = parameter.init
    if parameter.name in starts:
        init = starts[parameter.name]
    elif "" in starts and len(shape) > 1:
        init = starts[""]
    sizes = {letter: size for letter, size in known.items() if isinstance(size, int)}
    path = (*reading.path, "init", parameter.name)
    start = start_of(init, tuple(shape), sizes, path)
    _parameter(network, reading, parameter.letter, parameter.name, tuple(shape), start, path)


def _parameter(
    network: Network,
    reading: Reading,
    letter: str,
    name: str,
    shape: tuple[int, ...],
    start: Draw,
    path: Path,
) -> None:
    key = f"{reading.layer}.{name}"
    if math.prod(shape) > LARGEST:
        message = f"`{key}` of shape {shape} would hold {math.prod(shape):,} numbers"
        raise UserError(Mistake(message, reading.path, hint=f"{LARGEST:,} are allowed"))
    if start.kind == "values" and _shape(start.values) != shape:
        message = f"`{key}` has shape {shape}, its start {_shape(start.values)}"
        raise UserError(Mistake(message, path))
    name = network.namer.of(letter, reading.number)
    made = Tensor(name, key, Role.PARAMETER, shape, draw=start)
    reading.names[letter] = network.add(made, axis_letters(len(shape), (), "i"))
    network.outputs[key] = name


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
    for own in layer.parameters:
        where: Path = (*path, "parameters", own.name, "init")
        start = start_of(own.init, own.shape, {}, where)
        _parameter(network, reading, own.name, own.name, own.shape, start, where)
    wheres = formula_paths(layer.formulas, path)

    def read(place: int) -> Formula:
        text = layer.formulas[place]
        reading.path = wheres[place]
        reading.ellipsis = network.letters[sources[0]]
        for letter, source in names.items():
            dots = network.dots((text,), letter, source)
            reading.ellipsis = dots if dots is not None else reading.ellipsis
        return network.read(text, reading)

    taken = dict.fromkeys(reading.names, "")
    for text, where in zip(layer.formulas, wheres, strict=True):
        formula.syntax(text, where)
        target = formula.target_name(text)
        if not target:
            hint = f"h[n, k] = {text}"
            raise UserError(Mistake("a layer's formula names its result", where, hint=hint))
        if target in taken:
            at = Access(target, (), max(0, text.find(target)), len(target))
            raise wrong_access(at, where, f"`{target}` is taken", "use another letter")
        taken[target] = ""
    return add_formulas(network, reading, layer.formulas, read)


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
