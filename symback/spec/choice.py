"""Catalogue entries as a spec writes them: `tanh`, `{leaky_relu: 0.2}`, `{adam: {lr: 0.01}}`.

What an option may be is read from the catalogue, so a new entry needs no line here.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from symback.catalog import entries, find, names
from symback.catalog.entry import Entry, Kind, Option
from symback.errors import near_miss
from symback.spec.form import Wrong, must_be, span, unknown
from symback.spec.types import Choice, Numbers, Setting, Start

LISTING = "`symback catalog` lists all"
LONGEST = 2_000  # characters of a formula
MOST_NUMBERS = 10**8  # in one array
LARGEST_WHOLE = 10**9  # of an option: units, epochs of a schedule


def every_name(kind: Kind) -> tuple[str, ...]:
    """Return the names of a kind with their aliases."""
    aliases = (name for entry in entries() if entry.kind is kind for name in entry.aliases)
    return (*names(kind), *aliases)


def settings(entry: Entry, value: Any, beside: Sequence[str] = ()) -> tuple[Choice, list[Wrong]]:
    """Read the options of an entry: a mapping, the main option alone, or nothing.

    `beside` names the keys that may stand there too and are read elsewhere.
    """
    if value is None:
        value = {}
    if not isinstance(value, dict):
        if not entry.main:
            return Choice(entry.name), [_surplus(entry, value)]
        value = {entry.main: value}
    known = [option.name for option in entry.options]
    wrongs = []
    for key in value:
        if key not in (*known, *beside):
            listing = "" if known or beside else f"`{entry.name}` has no options"
            wrongs.append(unknown(key, (*known, *beside), f"option of `{entry.name}`:", listing))
    given: list[tuple[str, Setting]] = []
    for option in entry.options:
        if value.get(option.name) is not None:
            setting = _setting(option, value[option.name])
            if isinstance(setting, Wrong):
                wrongs.append(setting)
            else:
                given.append((option.name, setting))
        elif option.required:
            wrongs.append(
                Wrong((option.name,), f"`{entry.name}` needs `{option.name}`", option.doc)
            )
        elif option.name in value and option.default is not None:
            wrongs.append(Wrong((option.name,), *must_be(option.name, expected(option), None)))
    return Choice(entry.name, tuple(given)), wrongs


def _surplus(entry: Entry, value: Any) -> Wrong:
    if not entry.options:
        return Wrong((), f"`{entry.name}` has no options", f"write {entry.name} alone")
    message, _ = must_be(entry.name, "a mapping of its options", value)
    return Wrong((), message, f"{{{entry.options[0].name}: …}}")


def expected(option: Option) -> str:
    """Return in words what an option may be."""
    words = f"one of {', '.join(option.choices)}" if option.choices else ""
    if words and not option.numeric:
        return words
    if isinstance(option.default, bool):
        return "true or false"
    limits = span(option.least, option.most, option.above, option.below)
    if option.most is None and (option.whole or option.listed):
        limits = span(option.least, LARGEST_WHOLE, option.above, option.below)
    noun = "whole numbers" if option.listed else "a whole number" if option.whole else "a number"
    noun = f"a list of {noun}" if option.listed else noun
    noun = f"{noun}, {limits}" if limits else noun
    if option.axes > 1:
        noun += f", or a list of {option.axes}"
    return f"{noun}, or {words}" if words else noun


def _setting(option: Option, value: Any) -> Setting | Wrong:
    """Return an option's value in its own type, or what is wrong with it."""
    message, hint = must_be(option.name, expected(option), value)
    wrong = Wrong((option.name,), message, hint)
    if option.choices and isinstance(value, str):
        if value in option.choices:
            return value
        return Wrong((option.name,), message, near_miss(value, option.choices))
    if option.choices and not option.numeric:
        return wrong
    if isinstance(option.default, bool):
        return value if isinstance(value, bool) else wrong
    if option.listed:
        whole = isinstance(value, list) and all(_fits(option, number) for number in value)
        return tuple(value) if whole and value else wrong
    if option.axes and isinstance(value, list):
        fits = len(value) == option.axes and all(_fits(option, number) for number in value)
        return tuple(value) if fits else wrong
    if not _fits(option, value):
        return wrong
    return int(value) if option.whole else float(value)


def _fits(option: Option, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    whole = option.whole or option.listed
    return (
        (not whole or (isinstance(value, int) and abs(value) <= LARGEST_WHOLE))
        and (option.least is None or value >= option.least)
        and (option.most is None or value <= option.most)
        and (option.above is None or value > option.above)
        and (option.below is None or value < option.below)
    )


def choice(kind: Kind, value: Any, own: Sequence[str] = ()) -> tuple[Choice, list[Wrong]]:
    """Read `name`, `{name: main option}` or `{name: {options}}`; `own`: the spec's functions."""
    if isinstance(value, dict) and len(value) == 1:
        [(name, options)] = value.items()
        at: tuple[str, ...] = (name,)
    elif isinstance(value, str):
        name, options, at = value, None, ()
    else:
        message, _ = must_be(kind.value, "a name, or one name with its options", value)
        return Choice(""), [Wrong((), message, LISTING)]
    if name in own:
        surplus = [Wrong(at, f"`{name}` is a function of this spec: it has no options", key=True)]
        return Choice(name), surplus if options else []
    entry = find(kind, name)
    if entry is None:
        what = unknown(name, (*every_name(kind), *own), kind.value, LISTING)
        return Choice(name), [Wrong(at, what.message, what.hint, key=bool(at))]
    found, wrongs = settings(entry, options)
    return found, [wrong.below(*at) for wrong in wrongs]


def start(value: Any) -> tuple[Start, list[Wrong]]:
    """Read a parameter's start: an initialiser, a formula of initialisers, or numbers."""
    if isinstance(value, dict):
        return choice(Kind.INITIALIZER, value)
    if isinstance(value, list | float | int) and not isinstance(value, bool):
        wrongs: list[Wrong] = []
        numbers = _numbers(value, (), wrongs)
        if not wrongs and _shape(numbers) is None:
            wrongs.append(Wrong((), "these numbers form no array: rows of different lengths"))
        return numbers, wrongs
    if isinstance(value, str) and not value.isidentifier():
        text, wrong = formula(value)
        return text, [Wrong((), *wrong)] if wrong else []
    return choice(Kind.INITIALIZER, value)


def _numbers(value: Any, path: tuple[int, ...], wrongs: list[Wrong]) -> Numbers:
    if isinstance(value, list):
        return tuple(_numbers(part, (*path, k), wrongs) for k, part in enumerate(value))
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        wrongs.append(Wrong(path, *must_be("", "a finite number", value)))
        return 0.0
    return float(value)


def shape(numbers: Numbers) -> tuple[int, ...]:
    """Return the shape of numbers nested like an array."""
    return _shape(numbers) or ()


def _shape(numbers: Numbers) -> tuple[int, ...] | None:
    if isinstance(numbers, float):
        return ()
    inner = {_shape(part) for part in numbers}
    if len(inner) != 1 or None in inner:
        return None
    return (len(numbers), *(inner.pop() or ()))


def formula(text: str) -> tuple[str, tuple[str, str] | None]:
    """Return a formula on one row, and message and hint where it can't be one."""
    if not text.strip():
        return "", ("an empty formula", "")
    if len(text) > LONGEST:
        wrong = f"a formula of {len(text)} characters; {LONGEST} are allowed"
        return "", (wrong, "name a part of it in `functions`")
    row = text.rstrip().replace("\n", " ")
    odd = next((character for character in row if not character.isprintable()), None)
    if odd is not None:
        return "", (f"a formula has no control characters; this has U+{ord(odd):04X}", "")
    return row, None


# ---------------------------------------------------------------- for editors


def entry_schema(
    entry: Entry, beside: Mapping[str, Any] | None = None, wanted: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the JSON Schema of what stands after an entry's name.

    `beside` are settings that stand beside its options; those `wanted` must be given.
    """
    common = dict(beside or {})
    properties = common | {option.name: _option_schema(option) for option in entry.options}
    required = [*wanted, *(option.name for option in entry.options if option.required)]
    full: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "description": entry.doc,
    }
    if required:
        full["required"] = required
    forms = [full]
    if entry.main:
        forms.append(properties[entry.main])
    if not required:
        forms.append({"type": "null"})
    return forms[0] if len(forms) == 1 else {"anyOf": forms, "description": entry.doc}


def _option_schema(option: Option) -> dict[str, Any]:
    told = {"description": option.doc} if option.doc else {}
    default = {} if option.default is None else {"default": option.default}
    if option.choices and not option.numeric:
        return {"enum": list(option.choices), **told, **default}
    if isinstance(option.default, bool):
        return {"type": "boolean", **told, **default}
    limits = {
        "minimum": option.least,
        "maximum": option.most,
        "exclusiveMinimum": option.above,
        "exclusiveMaximum": option.below,
    }
    number: dict[str, Any] = {"type": "integer" if option.whole or option.listed else "number"}
    number |= {word: bound for word, bound in limits.items() if bound is not None}
    if option.listed:
        return {"type": "array", "items": number, "minItems": 1, **told}
    forms: list[dict[str, Any]] = [number]
    if option.axes > 1:
        each = {"minItems": option.axes, "maxItems": option.axes}
        forms.append({"type": "array", "items": number, **each})
    if option.choices:
        forms.append({"enum": list(option.choices)})
    return {**(number if len(forms) == 1 else {"anyOf": forms}), **told, **default}


def choice_schema(kind: Kind) -> dict[str, Any]:
    """Return the JSON Schema of a name of that kind, alone or with its options."""
    known = {name: entry_schema(entry) for name in every_name(kind) if (entry := find(kind, name))}
    mapping = {
        "type": "object",
        "properties": known,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [{"type": "string", "examples": list(names(kind))}, mapping]}


def start_schema() -> dict[str, Any]:
    """Return the JSON Schema of a parameter's start."""
    numbers = [{"type": "number"}, {"type": "array"}]
    return {"anyOf": [*choice_schema(Kind.INITIALIZER)["anyOf"], *numbers]}
