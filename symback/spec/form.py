"""The ground of the spec's forms: pydantic models that say what is wrong in a person's words.

A form gathers every mistake in it as a `Wrong`, with the path as it stands in the file, so one
reading of a spec shows them all.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from annotated_types import Ge, Gt, Le, Lt
from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from symback.errors import near_miss
from symback.source import Keys

EXPECTED = {  # pydantic's type of error → what should stand there
    "bool_type": "true or false",
    "dict_type": "a mapping, `key: value`",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list, [in, brackets]",
    "model_type": "a mapping, `key: value`",
    "string_type": "text",
    "too_long": "shorter",
    "too_short": "a list of one or more",
}
TRUTHS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


@dataclass(frozen=True, slots=True)
class Wrong:
    """A mistake and its path; `key`: it is the key that's wrong, not its value."""

    path: Keys
    message: str
    hint: str = ""
    key: bool = False

    def below(self, *path: str | int) -> "Wrong":
        """Return the same mistake seen from further up."""
        return Wrong((*path, *self.path), self.message, self.hint, self.key)


def refusal(wrongs: Iterable[Wrong]) -> ValidationError:
    """Return the error that carries these mistakes through pydantic."""
    details: list[InitErrorDetails] = []
    for wrong in wrongs:
        told = {"message": wrong.message, "hint": wrong.hint, "key": wrong.key}
        kind = PydanticCustomError("wrong", "{message}", told)
        details.append(InitErrorDetails(type=kind, loc=wrong.path, input=None))
    return ValidationError.from_exception_data("spec", details)


def refuse(message: str, hint: str = "", *, key: bool = False) -> PydanticCustomError:
    """Return the error of a validator of one value."""
    return PydanticCustomError("wrong", "{message}", {"message": message, "hint": hint, "key": key})


def shown(value: object) -> str:
    """Return a value as a message names it."""
    match value:
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case str():
            return f"the text `{value if len(value) <= 40 else value[:40] + '…'}`"
        case [] | {} if not value:
            return "empty"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"{value}"


def must_be(key: object, expected: str, value: object) -> tuple[str, str]:
    """Return message and hint for a value of the wrong type or range."""
    hint = ""
    if isinstance(value, str):
        if "number" in expected and _is_number(value):
            hint = f"without quotes: {value.strip()}"
        if expected == "true or false":
            word = TRUTHS.get(value.lower(), value.lower())
            way = "without quotes:" if value == word else "write"
            hint = f"{way} {word}" if word in ("true", "false") else ""
    named = f"`{key}`" if isinstance(key, str) and key else "this"
    return f"{named} must be {expected}, not {shown(value)}", hint


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def span(
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> str:
    """Return a range in words: from 0 to 1; above 0; 0 or more and below 1."""
    if least is not None and most is not None:
        return f"from {_plain(least)} to {_plain(most)}"
    low = f"{_plain(least)} or more" if least is not None else ""
    low = f"above {_plain(above)}" if above is not None else low
    high = f"{_plain(most)} or less" if most is not None else ""
    high = f"below {_plain(below)}" if below is not None else high
    return " and ".join(part for part in (low, high) if part)


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def unknown(key: str, known: Sequence[str], what: str = "key", listing: str = "") -> Wrong:
    """Return the mistake of a key that doesn't exist, with the nearest that does."""
    every = listing or f"there are: {', '.join(known)}"
    near = near_miss(key, known)
    word, colon, rest = key.partition(":")
    if colon and word in known:
        near, every = f"write a space after the colon: `{word}: {rest}`", ""
    return Wrong((key,), f"unknown {what} `{key}`", f"{near} {every}".strip(), True)


def _explained(wrong: Wrong, meant: str) -> bool:
    return wrong.message.endswith(" is missing") and f"mean `{wrong.path[-1]}`?" in meant


class Form(BaseModel):
    """A part of the spec as written."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )

    @classmethod
    def own_keys(cls) -> dict[str, str]:
        """Return each key as written with the field's name."""
        return {field.alias or name: name for name, field in cls.model_fields.items()}

    @classmethod
    def spelt_out(cls, value: Any) -> Any:
        """Return the full form of a short one."""
        return value

    @classmethod
    def advice(cls) -> str:
        """Return what the form may hold."""
        return f"the keys are: {', '.join(cls.own_keys())}"

    @classmethod
    def prepared(cls, value: dict[str, Any]) -> tuple[dict[str, Any], list[Wrong]]:
        """Return what the fields are made of, and the mistakes found on the way there."""
        known = tuple(cls.own_keys())
        wrongs = [unknown(key, known) for key in value if key not in known]
        return {key: value[key] for key in value if key in known}, wrongs

    @model_validator(mode="wrap")
    @classmethod
    def _gathered(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(value, cls):
            return value
        value = cls.spelt_out(value)
        if not isinstance(value, dict):
            what = "nothing stands here" if value is None else f"this is {shown(value)}"
            raise refusal([Wrong((), f"{what}; expected a mapping, `key: value`", cls.advice())])
        prepared, wrongs = cls.prepared(value)
        try:
            form = handler(prepared)
        except ValidationError as error:
            meant = " ".join(wrong.hint for wrong in wrongs)  # `optimiser` isn't also a missing one
            found = [wrong for wrong in cls.wrongs(error) if not _explained(wrong, meant)]
            raise refusal([*wrongs, *found]) from None
        if wrongs:
            raise refusal(wrongs)
        return form

    @classmethod
    def wrongs(cls, error: ValidationError) -> list[Wrong]:
        """Return pydantic's errors as mistakes in a person's words."""
        return [cls._wrong(detail) for detail in error.errors(include_url=False)]

    @classmethod
    def _wrong(cls, detail: ErrorDetails) -> Wrong:
        path, kind = detail["loc"], detail["type"]
        told = detail.get("ctx", {})
        of_key = "[key]" in path
        path = tuple(part for part in path if part != "[key]")
        if kind == "wrong":
            return Wrong(path, told["message"], told["hint"], told["key"] or of_key)
        key = next((part for part in reversed(path) if isinstance(part, str)), "")
        if kind == "missing":
            return Wrong(path, f"`{key}` is missing", cls._meaning(path), True)
        expected = EXPECTED.get(kind, told.get("expected") or detail["msg"])
        limits = cls._limits(path)
        if limits and (kind in EXPECTED or "than" in kind):
            whole = "int" in kind or cls._is_whole(path)
            expected = f"a {'whole ' if whole else ''}number, {limits}"
        message, hint = must_be(key, expected, detail["input"])
        if kind == "literal_error" and isinstance(detail["input"], str):
            hint = near_miss(detail["input"], re.findall(r"\w+", told["expected"]))
        return Wrong(path, message, hint, of_key)

    @classmethod
    def _meaning(cls, path: Keys) -> str:
        name = cls.own_keys().get(str(path[0])) if len(path) == 1 else None
        return (cls.model_fields[name].description or "") if name else ""

    @classmethod
    def _limits(cls, path: Keys) -> str:
        name = cls.own_keys().get(str(path[0])) if len(path) == 1 else None
        bounds: dict[str, Any] = {}
        for limit in cls.model_fields[name].metadata if name else ():
            match limit:
                case Ge(ge=bound):
                    bounds["least"] = bound
                case Gt(gt=bound):
                    bounds["above"] = bound
                case Le(le=bound):
                    bounds["most"] = bound
                case Lt(lt=bound):
                    bounds["below"] = bound
        return span(**bounds)

    @classmethod
    def _is_whole(cls, path: Keys) -> bool:
        annotation = cls.model_fields[cls.own_keys()[str(path[0])]].annotation
        return annotation is int or annotation == int | None
