"""An entry of the catalogue for reading: its formulas, and the derivatives the engine finds.

A derivative is that of a small network which the entry is put into.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

from symback import catalog, pipeline, wrapping
from symback.catalog.entry import Case, Entry, Kind, Option
from symback.errors import Mistake, UserError, near_miss
from symback.inspect.story import Formula, Story, story
from symback.program import Role

INDENT = "    "
LABELS = {"shape": ["n"], "classes": 4}
TARGETS: tuple[Any, ...] = (["n", 4], LABELS, ["n"])  # the kinds of target that a loss is tried on


def named(name: str, width: int) -> str:
    """Return all there is to know of the entries of that name.

    Raises UserError, with the near miss, where there is none.
    """
    found = [entry for entry in catalog.entries() if name in (entry.name, *entry.aliases)]
    if not found:
        known = [word for entry in catalog.entries() for word in (entry.name, *entry.aliases)]
        hint = near_miss(name, known) or "`symback catalog` lists what there is"
        raise UserError(Mistake(f"the catalogue has no `{name}`", hint=hint))
    return "\n".join("\n".join(_entry(entry, width)) + "\n" for entry in found)


def _entry(entry: Entry, width: int) -> Iterator[str]:
    also = f", also {', '.join(entry.aliases)}" if entry.aliases else ""
    yield f"{entry.name}, {_article(entry.kind)}{also}"
    yield from _wrapped(entry.doc, width, INDENT)
    yield ""
    if entry.search:
        yield f"{INDENT}Without formulas: a search, in the function `update` of a module"
    else:
        yield f"{INDENT}In the formula language"
    for formula in entry.formulas:
        yield from _wrapped(formula, width, INDENT * 2)
    for name, worked_out in entry.numbers:
        yield from _wrapped(f"{name} is {worked_out}", width, INDENT * 2)
    for letter, size in entry.sizes:
        yield from _wrapped(f"{letter} takes {size} values", width, INDENT * 2)
    for case in entry.cases:
        yield f"{INDENT}{_case(entry, case)}"
        for formula in case.formulas:
            yield from _wrapped(formula, width, INDENT * 2)
    kept = [each.next for each in entry.running if each.next]
    if kept:
        yield f"{INDENT}After each pass in training"
        for formula in kept:
            yield from _wrapped(formula, width, INDENT * 2)
    if entry.divisor:
        yield from _wrapped(f"a mean divides by {entry.divisor}", width, INDENT * 2)
    equations = list(_equations(entry, width))
    if equations:
        yield f"{INDENT}Derived, at the defaults"
        yield from equations
    if entry.operands:
        yield f"{INDENT}Compares"
        for operand in entry.operands:
            may = "may be left out" if operand.optional else "required"
            told = f"{operand.key}, {operand.letter} above ({may}): {operand.doc}"
            yield from _wrapped(told, width, INDENT * 2)
    if entry.options:
        yield f"{INDENT}Options"
        for option in entry.options:
            yield from _wrapped(_option(option), width, INDENT * 2)
    if entry.kinks:
        yield from _wrapped(f"Kinks: {entry.kinks}", width, INDENT)
    yield from _wrapped(f"Source: {entry.source}", width, INDENT)


def _case(entry: Entry, case: Case) -> str:
    """Return when a case's formulas are taken; an optimiser's stand at its `...`."""
    where = f"where {case.where}" if case.where != "1" else "elsewhere"
    if entry.kind is not Kind.OPTIMIZER:
        return where.capitalize()
    times = f"{entry.rounds} times, " if entry.rounds else ""
    return f"At `...`, {times}{where}" if case.formulas else f"Refused {where}"


def _article(kind: Kind) -> str:
    return f"{'an' if str(kind)[0] in 'aeiou' else 'a'} {kind}"


def _option(option: Option) -> str:
    beside = "or" if option.numeric else "one of"
    values = f", {beside} {', '.join(option.choices)}" if option.choices else ""
    if option.required:
        default = "required"
    elif option.default is None:
        default = "none by default"
    else:
        default = f"default {_value(option.default)}"
    return f"{option.name} ({default}{values}): {option.doc}"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _wrapped(text: str, width: int, first: str) -> list[str]:
    rest = " " * (len(first) - len(first.lstrip())) + INDENT
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


# ---------------------------------------------------------------- derivatives


def _equations(entry: Entry, width: int) -> Iterator[str]:
    """Yield the entry's equations at work, and every gradient that passes through it."""
    found = derived(entry)
    for formula in found:
        yield from wrapping.rows(formula.text, max(width, 40), INDENT * 2, INDENT * 3)
    if found and all(formula.of is None for formula in found):
        yield f"{INDENT * 2}∂L/∂{found[-1].name} is passed on as it is"


def derived(entry: Entry) -> tuple[Formula, ...]:
    """Return the equations of a layer, an activation or a loss, forward and backward.

    Other kinds of entries stand beside the network: no gradient passes through them.
    """
    if entry.kind not in (Kind.LAYER, Kind.ACTIVATION, Kind.LOSS):
        return ()
    if entry.kind is Kind.LOSS:
        told = _of_loss(entry)
        return (*told.loss, *takewhile(_is_of_value, told.backward))
    told = _first_that_fits(_networks(entry))
    inside = [formula for formula in told.forward if formula.layer == "f"]
    back = [
        formula for formula in told.backward if any(part.layer == "f" for part in formula.steps)
    ]
    return (*inside, *back)


def _is_of_value(formula: Formula) -> bool:
    return formula.of is None or formula.of.role is not Role.PARAMETER


def _first_that_fits(specs: Iterable[Mapping[str, Any]]) -> Story:
    """Derive the first spec whose shapes suit the entry in it."""
    refused: list[UserError] = []
    for spec in specs:
        try:
            return story(pipeline.derive(spec))
        except UserError as error:
            refused.append(error)
    raise refused[-1]


def _networks(entry: Entry) -> Iterator[dict[str, Any]]:
    """Yield specs of networks with the entry as their layer f."""
    joins = entry.parameters or entry.options
    own = ("x3[", *(("x2[",) if joins else ()))
    within = any(word in text for text in entry.formulas for word in own)
    if entry.axes or within or _of_labels(entry):
        yield from (_apart(entry, size) for size in (2, 8))
        return
    layers: list[dict[str, Any]] = [{"before": {"dense": 4}}]
    shape: tuple[int | str, ...] = ("n", 4)
    if entry.kind is Kind.ACTIVATION:
        layers.append({"f": {"activation": {entry.name: _required(entry)}}})
    elif any("x2" in formula for formula in entry.formulas):
        layers.append({"other": {"dense": 4, "from": "x"}})
        layers.append({"f": {entry.name: {}, "from": ["before", "other"]}})
    else:
        if any("flat(" in formula for formula in entry.formulas):
            shape = ("n", 2, 4)
        layers.append({"f": {entry.name: _required(entry)}})
    layers.append({"after": {"dense": 4}})
    yield _spec(layers, {"mse": "t"}, ["n", 4], shape)
    images = ("n", 2, 3, 4)
    yield _spec(layers, {"mse": "t"}, list(images), images)


def _apart(entry: Entry, size: int) -> dict[str, Any]:
    """Return the spec of the entry behind something learned, where it needs axes of its own."""
    sizes = [8 for _ in entry.axes[1:] or ("t", "d")]
    required = {
        option.name: [size // 2] if option.listed else size
        for option in entry.options
        if option.required
    }
    sources = sorted({f"x{k}" for k in (1, 2, 3) for text in entry.formulas if f"x{k}[" in text})
    names = [f"before{k}" for k in range(max(len(sources), 1))]
    before: list[dict[str, Any]] = [{name: {"dense": 8, "from": "x"}} for name in names]
    inputs: dict[str, Any] = {"x": ["n", *sizes]}
    after: list[dict[str, Any]] = []
    if _of_labels(entry):
        inputs, before = {"x": {"shape": ["n", 8], "classes": 4}}, []
        after = [] if entry.parameters else [{"after": {"dense": 4}}]
    body: dict[str, Any] = {entry.name: required}
    if sources:
        body["from"] = names
    return {
        "model": "shown",
        "inputs": inputs,
        "layers": [*before, {"f": body}, *after],
        "loss": {"formula": "mean(y[...]**2, ...) / 2"},
        "optimizer": {"sgd": {"lr": 0.1}},
    }


def _of_labels(entry: Entry) -> bool:
    """Say whether a layer reads labels: its sizes are those of their classes."""
    sizes = [*(size for _, size in entry.sizes), *(s for p in entry.parameters for s in p.shape)]
    return any("classes" in size for size in sizes)


def _required(entry: Entry) -> dict[str, Any]:
    return {option.name: 4 if option.whole else 0.5 for option in entry.options if option.required}


def _of_loss(entry: Entry) -> Story:
    """Derive a loss on the first kind of target that it can be used with."""
    needed = [operand.key for operand in entry.operands if not operand.optional]
    made = [key for key in needed if key != "target"]
    output = ["f"] if any(operand.key == "output" for operand in entry.operands) else []
    layers = [{name: {"dense": 4, "from": "x"}} for name in (*made, *output)]
    compared = {key: key for key in made} | ({"target": "t"} if "target" in needed else {})
    loss = {entry.name: {**compared, **_required(entry)}}
    in_steps = {"shape": ["n", 3], "classes": 4}
    specs = [_spec(layers, loss, target) for target in TARGETS]
    return _first_that_fits([*specs, _spec(layers, loss, in_steps, ("n", 5, 4))])


def _spec(
    layers: list[dict[str, Any]],
    loss: Mapping[str, Any],
    target: Any,
    shape: tuple[int | str, ...] = ("n", 4),
) -> dict[str, Any]:
    return {
        "model": "shown",
        "inputs": {"x": list(shape), "t": target},
        "layers": layers,
        "loss": loss,
        "optimizer": {"sgd": {"lr": 0.1}},
    }
