"""Checks across the parts of a spec: names are unique, and whatever is named exists.

They read the values as written and skip what has not the form it should have, which the forms
report; so both kinds of mistakes are shown at once.
"""

import re
from collections.abc import Iterator
from typing import Any

from symback.catalog import find
from symback.catalog.entry import Kind
from symback.errors import near_miss
from symback.source import Keys
from symback.spec.form import Wrong

DATA_KEYS = ("csv", "npz", "test", "seed", "standardise")
OUTPUT = "y"  # of the network, in a loss or a metric


def mapping(value: Any, key: str) -> dict[str, Any]:
    """Return the mapping under a key, empty where there is none."""
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def listed(value: Any, key: str) -> list[tuple[Keys, dict[str, Any]]]:
    """Return path and settings of each mapping in the list under a key, or of the one there."""
    held = value.get(key) if isinstance(value, dict) else None
    parts = held if isinstance(held, list) else [held]
    return [((key, place), part) for place, part in enumerate(parts) if isinstance(part, dict)]


def layers(value: Any) -> list[tuple[Keys, str, dict[str, Any]]]:
    """Return path, name and settings of each layer that has a name."""
    held = value.get("layers") if isinstance(value, dict) else None
    found: list[tuple[Keys, str, dict[str, Any]]] = []
    for number, item in enumerate(held if isinstance(held, list) else ()):
        if isinstance(item, dict) and len(item) == 1:
            [(name, settings)] = item.items()
            body = settings if isinstance(settings, dict) else {}
            found.append((("layers", number, name), name, body))
    return found


def check(value: Any) -> Iterator[Wrong]:
    """Yield every mistake across the parts."""
    yield from _unique(value)
    yield from _batch(value)
    yield from _sources(value)
    yield from _search(value)
    if mapping(value, "inputs"):
        yield from _loss(value)
        yield from _data(value)


def _unique(value: Any) -> Iterator[Wrong]:
    taken = {OUTPUT: "the network's output in losses and metrics"}
    for name in mapping(value, "inputs"):
        if name == OUTPUT:
            told = f"`{OUTPUT}` is {taken[OUTPUT]}"
            yield Wrong(("inputs", name), told, "call a target t", key=True)
        taken[name] = "an input"
    for name in mapping(value, "functions"):
        if name in taken:
            told = f"`{name}` is already {taken[name]}"
            yield Wrong(("functions", name), told, "give each its own name", key=True)
        taken[name] = "a function"
    for path, name, _ in layers(value):
        if name in taken:
            told = f"`{name}` is already {taken[name]}"
            yield Wrong(path, told, "give each layer its own name", key=True)
        taken.setdefault(name, "a layer")
    for name, body in mapping(value, "functions").items():
        args = body.get("args") if isinstance(body, dict) else None
        for word in mapping(body, "constants"):
            if word in (args if isinstance(args, list) else [args]):
                told = f"`{word}` is already an argument"
                hint = "choose another name"
                yield Wrong(("functions", name, "constants", word), told, hint, key=True)
    owners = [(path, body) for path, _, body in layers(value)]
    owners += [(("optimizer",), mapping(value, "optimizer"))]
    owners += [*listed(value, "loss"), *listed(value, "schedule")]
    for path, body in owners:
        own: dict[str, str] = {}
        for kind in ("parameters", "constants", "state"):
            for name in mapping(body, kind):
                other = own.get(name) or taken.get(name)
                if other:
                    told = f"`{name}` is already {other}"
                    yield Wrong((*path, kind, name), told, "choose another name", key=True)
                own[name] = f"one of the {kind} here"


def _batch(value: Any) -> Iterator[Wrong]:
    """All inputs have the batch as their first axis, under one name."""
    first = ""
    for name, settings in mapping(value, "inputs").items():
        shape = settings.get("shape") if isinstance(settings, dict) else settings
        axis = shape[0] if isinstance(shape, list) and shape else None
        if isinstance(axis, str) and first and axis != first:
            told = f"the batch is `{first}` above and `{axis}` here; it is one axis"
            yield Wrong(("inputs", name, "shape", 0), told, f"write {first}")
        elif isinstance(axis, str):
            first = axis


def _sources(value: Any) -> Iterator[Wrong]:
    """A layer reads inputs and layers above it."""
    inputs, every = mapping(value, "inputs"), [name for _, name, _ in layers(value)]
    above = list(inputs)
    for path, name, body in layers(value):
        named = body.get("from", [])
        for number, source in enumerate(named if isinstance(named, list) else [named]):
            if not isinstance(source, str) or source in above or not inputs:
                continue
            told, hint = f"there is no layer or input `{source}`", near_miss(source, above)
            if source == name:
                told, hint = f"`{name}` can't read itself", "a layer reads what is above it"
            elif source in every:
                told = f"`{source}` comes later; a layer reads what is above it"
                hint = f"move `{source}` up, before `{name}`"
            yield Wrong((*path, "from", number), told, hint or f"there are: {', '.join(above)}")
        above += [name, *(f"{name}.{each}" for each in _beside(body))]


def _beside(body: dict[str, Any]) -> Iterator[str]:
    """Yield what a layer can be asked for beside its output."""
    for key in body:
        entry = find(Kind.LAYER, key)
        yield from (name for name, _ in (entry.outputs if entry else ()))
    written = body.get("formula")
    for text in written if isinstance(written, list) else [written]:
        named = (
            re.match(r"\s*([a-zA-Z]\w*)\s*(\[[^\]]*\])?\s*=(?!=)", text)
            if isinstance(text, str)
            else None
        )
        if named:
            yield named[1]


def _search(value: Any) -> Iterator[Wrong]:
    """What goes with an optimiser that compares losses along a line: one loss, of all examples."""
    named = value.get("optimizer") if isinstance(value, dict) else None
    names = [named] if isinstance(named, str) else list(mapping(value, "optimizer"))
    entries = [entry for name in names if (entry := find(Kind.OPTIMIZER, name))]
    if not any(entry.search for entry in entries):
        return
    train, name = mapping(value, "train"), names[0]
    if train.get("batch_size") not in (None, "all"):
        told = f"`{name}` compares losses of all examples, not of batches"
        yield Wrong(("train", "batch_size"), told, "write `batch_size: all`, or leave it out")
    for key in ("clip_norm", "clip_value"):
        if train.get(key) is not None:
            told = f"`{name}` has no use for `{key}`: its steps are measured by the loss itself"
            yield Wrong(("train", key), told, "leave it out", key=True)
    if train.get("accumulate") not in (None, 1):
        told = f"`{name}` takes all examples at once: there is nothing to accumulate"
        yield Wrong(("train", "accumulate"), told, "leave it out", key=True)


def _loss(value: Any) -> Iterator[Wrong]:
    """A loss of the catalogue compares inputs and layers; penalties name parameters."""
    inputs = mapping(value, "inputs")
    every = [*inputs, *(name for _, name, _ in layers(value))]
    known = list(_parameters(value))
    for path, term in listed(value, "loss"):
        for key, part in term.items():
            entry = find(Kind.LOSS, key)
            needed = [each.key for each in entry.operands if not each.optional] if entry else []
            given = {needed[0]: part} if len(needed) == 1 and isinstance(part, str) else part
            for operand in entry.operands if entry and isinstance(given, dict) else ():
                name = given.get(operand.key)
                if isinstance(name, str) and name not in every:
                    told = f"there is no input or layer `{name}`"
                    hint = near_miss(name, every) or f"there are: {', '.join(every)}"
                    yield Wrong((*path, key, operand.key), told, hint)
        named = term.get("penalise", [])
        for number, name in enumerate(named if isinstance(named, list) else [named]):
            if isinstance(name, str) and name not in known:
                hint = near_miss(name, known) or f"there are: {', '.join(known)}"
                told = f"there is no parameter `{name}`"
                yield Wrong((*path, "penalise", number), told, hint)


def _parameters(value: Any) -> Iterator[str]:
    for _, name, body in layers(value):
        for key in body:
            entry = find(Kind.LAYER, key)
            for parameter in entry.parameters if entry else ():
                yield f"{name}.{parameter.name}"
        for key in mapping(body, "parameters"):
            yield f"{name}.{key}"


def _data(value: Any) -> Iterator[Wrong]:
    """Each input has its columns; only numbers that aren't labels are standardised."""
    data, inputs = mapping(value, "data"), mapping(value, "inputs")
    for key in data:
        if key not in (*DATA_KEYS, *inputs):
            near = near_miss(key, (*DATA_KEYS, *inputs))
            hint = f"{near} inputs: {', '.join(inputs)}; keys: {', '.join(DATA_KEYS)}".strip()
            yield Wrong(("data", key), f"there is no input `{key}`", hint, key=True)
    if data:
        for name in inputs:
            if name in DATA_KEYS:
                told = f"`{name}` is a key of `data`; an input read from a file needs another name"
                yield Wrong(("inputs", name), told, key=True)
            elif name not in data:
                told = f"`data` doesn't say where `{name}` is"
                yield Wrong(("data", name), told, f"{name}: column, or {name}: first:last", True)
    named = data.get("standardise", [])
    for number, name in enumerate(named if isinstance(named, list) else [named]):
        path = ("data", "standardise", number)
        if isinstance(name, str) and name not in inputs:
            hint = near_miss(name, inputs) or f"the inputs are: {', '.join(inputs)}"
            yield Wrong(path, f"there is no input `{name}`", hint)
        elif isinstance(name, str) and mapping(inputs, name).get("classes") is not None:
            yield Wrong(path, f"`{name}` holds labels, which have no mean", "leave it out")
