"""The spec as it is written: one form for each part, keys and shorthands as in the file."""

import builtins
import keyword
import math
import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from symback.catalog import find, names
from symback.catalog.entry import Entry, Kind, Operand
from symback.errors import listed, near_miss
from symback.naming import MODULE_NAMES
from symback.spec.choice import (
    LISTING,
    MOST_NUMBERS,
    choice,
    choice_schema,
    entry_schema,
    every_name,
    formula,
    settings,
    shape,
    start,
    start_schema,
)
from symback.spec.form import Form, Wrong, must_be, refusal, refuse, shown, unknown
from symback.spec.types import Choice, Start

LONGEST_NAME, MOST_LAYERS = 40, 1_000
MODULE = frozenset(["init", "forward", "loss", "backward", "value_and_grad", "update", "train"])
MODULE |= frozenset(["predict", "save", "load", "main", "check"])  # its public names
MODULE |= frozenset(["np", "numpy", "math", "builtins", "symback"])
ARGUMENTS = frozenset(["params", "cache", "grads", "state", "seed", "history", "path", "rng"])


# ---------------------------------------------------------------- words and numbers


def _identifier(text: str) -> str:
    if not text.isascii():
        odd = next(character for character in text if not character.isascii())
        told = f"`{text}` has the character U+{ord(odd):04X}"
        raise refuse(told, "a name has plain letters a-z A-Z, digits and _", key=True)
    if not text.isidentifier():
        raise refuse(
            f"{text!a} is no name",
            "a name has letters, digits and _, and starts with a letter",
            key=True,
        )
    if text.startswith("_"):
        raise refuse(f"`{text}` starts with an underscore", "start with a letter", key=True)
    if len(text) > LONGEST_NAME:
        raise refuse(f"a name of {len(text)} letters; {LONGEST_NAME} are allowed", key=True)
    return text


def _name(text: str) -> str:
    _layer_name(text)
    if hasattr(builtins, text):
        told = f"`{text}` is one of Python's own functions"
        raise refuse(told, f"choose another: {text}1", key=True)
    return text


def _layer_name(text: str) -> str:
    """Refuse what can't be read in a formula; no variable of the module is called by a layer."""
    _identifier(text)
    taken = {
        "a word of Python": keyword.iskeyword(text),
        "a name the generated module uses itself": text in MODULE | ARGUMENTS,
    }
    for owner, is_taken in taken.items():
        if is_taken:
            raise refuse(f"`{text}` is {owner}", f"choose another: {text}1", key=True)
    return text


def _input(text: str) -> str:
    if _name(text) in MODULE_NAMES:  # it becomes an argument of the module's functions
        told = f"`{text}` is a name the generated module uses itself"
        raise refuse(told, f"choose another: {text}1", key=True)
    return text


def _model(text: str) -> str:
    _identifier(text)
    if keyword.iskeyword(text) or text in sys.stdlib_module_names or text in ("numpy", "symback"):
        told = f"a file {text}.py would hide Python's own `{text}`"
        raise refuse(told, f"choose another: my_{text}")
    return text


def _text(text: str) -> str:
    row, wrong = formula(text)
    if wrong:
        raise refuse(*wrong)
    return row


def _expression(text: str) -> str:
    if re.search(r"(?<![=<>!])=(?!=)", text):
        raise refuse("a function is an expression of its arguments, without `=`")
    return text


def _word(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise refuse(f"{text!a} is no name")
    return text


def _if_any(value: Any) -> Any:
    """Take a single thing for a list of one, and nothing for a list of none."""
    return [] if value is None else _alone(value)


def _alone(value: Any) -> Any:
    """Take a single thing for a list of one."""
    return value if isinstance(value, list) else [value]


def _shape(value: Any) -> tuple[int | str, ...]:
    if not isinstance(value, list) or not value:
        raise refuse(*must_be("shape", "a list such as [n, 64]", value))
    wrongs: list[Wrong] = []
    for axis, size in enumerate(value):
        if axis == 0 and isinstance(size, str):
            try:
                _name(size)
            except PydanticCustomError as error:
                wrongs.append(Wrong((axis,), str(error), "the first axis is the batch: n"))
        elif axis == 0:
            hint = f"write [n, {size}]" if len(value) == 1 else "write [n, …]"
            told = f"the first axis is the batch: it has a name, not {shown(size)}"
            wrongs.append(Wrong((axis,), told, hint))
        elif isinstance(size, bool) or not isinstance(size, int) or size < 1:
            told = f"an axis after the first is a whole number, 1 or more, not {shown(size)}"
            wrongs.append(Wrong((axis,), told, "only the first axis has a name, n"))
    sizes = [size for size in value[1:] if isinstance(size, int)]
    if not wrongs and math.prod(sizes) > MOST_NUMBERS:
        wrongs.append(Wrong((), f"{math.prod(sizes):.0e} numbers for each example is too many"))
    if wrongs:
        raise refusal(wrongs)
    return tuple(value)


def _activation(value: Any, info: ValidationInfo) -> Choice:
    found, wrongs = choice(Kind.ACTIVATION, value, (info.context or {}).get("functions", ()))
    if wrongs:
        raise refusal(wrongs)
    return found


def _scale(number: float) -> float:
    if not number:
        raise refuse("a scale of 0 takes the term away", "leave the term out")
    return number


def _start(value: Any) -> Start:
    found, wrongs = start(value)
    if wrongs:
        raise refusal(wrongs)
    return found


def _starts(value: Any) -> dict[str, Start]:
    """Read `init`: one start for the weights (key ""), or a mapping by parameter."""
    by_parameter = isinstance(value, dict) and not (
        len(value) == 1 and find(Kind.INITIALIZER, str(next(iter(value))))
    )
    if not by_parameter:
        return {"": _start(value)}
    found, wrongs = {}, []
    for key, part in value.items():
        found[key], wrong = start(part)
        wrongs += [each.below(key) for each in wrong]
    if wrongs:
        raise refusal(wrongs)
    return found


def _metrics(value: Any) -> list[Choice]:
    found: list[Choice] = []
    wrongs: list[Wrong] = []
    for place, part in enumerate(_alone(value)):
        read, wrong = choice(Kind.METRIC, part)
        wrongs += [each.below(place) for each in wrong]
        if read.name in [other.name for other in found]:
            told = f"`{read.name}` stands here twice; each metric has one column"
            wrongs.append(Wrong((place,), told, "leave one out"))
        found.append(read)
    if wrongs:
        raise refusal(wrongs)
    return found


def _one_key(value: Any) -> Any:
    if not isinstance(value, dict):
        raise refuse(f"a layer is `name: {{…}}`, not {shown(value)}", "- f1: {dense: 128}")
    if len(value) != 1:
        first, *rest = value or ("f1",)
        told = f"a layer has one name; here stand {', '.join(value) or 'none'}"
        raise refuse(told, f"indent {', '.join(rest)} further, below {first}" if rest else "")
    [(name, body)] = value.items()
    known = {*LayerForm.own_keys(), *names(Kind.LAYER)}
    described = isinstance(body, str) or (isinstance(body, dict) and known.intersection(body))
    if find(Kind.LAYER, str(name)) and not described:
        written = f"{{{name}: {body}}}" if isinstance(body, int | float) else f"{{{name}: …}}"
        hint = f"write `- f1: {name if body is None else written}`"
        raise refuse(f"`{name}` is what a layer does; it needs a name, too", hint)
    return value


TEXTS: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}]}
Name = Annotated[str, AfterValidator(_name)]
LayerName = Annotated[str, AfterValidator(_layer_name)]
Text = Annotated[str, AfterValidator(_text)]
Texts = Annotated[list[Text], BeforeValidator(_alone), Field(min_length=1), WithJsonSchema(TEXTS)]
Word = Annotated[str, AfterValidator(_word)]
Words = Annotated[list[Word], BeforeValidator(_alone), Field(min_length=1), WithJsonSchema(TEXTS)]
Count = Annotated[int, Field(ge=1)]
InputName = Annotated[str, AfterValidator(_input)]
Constants = dict[Name, float]


def _or_shape(schema: dict[str, Any]) -> None:
    form = dict(schema)
    schema.clear()
    schema["anyOf"] = [form["properties"]["shape"], form]


def _or_alone(schema: dict[str, Any]) -> None:
    """Let one term stand for a list of one."""
    several = {key: schema.pop(key) for key in ("items", "minItems", "type") if key in schema}
    schema["anyOf"] = [several["items"], several]


def _with_columns(schema: dict[str, Any]) -> None:
    del schema["properties"]["columns"]
    schema["additionalProperties"] = TEXTS


# ---------------------------------------------------------------- forms


class InputForm(Form):
    """An input: its shape, and how many classes its labels have."""

    model_config = ConfigDict(json_schema_extra=_or_shape)

    shape: Annotated[
        tuple[int | str, ...],
        PlainValidator(_shape),
        WithJsonSchema({"type": "array", "items": {"type": ["integer", "string"]}, "minItems": 1}),
    ] = Field(description="shape: [n, 64]")
    classes: int | None = Field(None, ge=2, le=10**6)

    @classmethod
    def advice(cls) -> str:
        return "write [n, 64], or {shape: [n], classes: 10} for labels"

    @classmethod
    def spelt_out(cls, value: Any) -> Any:
        return {"shape": value} if isinstance(value, list) else value


class FunctionForm(Form):
    """A function of one's own."""

    args: Annotated[list[Name], BeforeValidator(_alone), Field(min_length=1, max_length=8)]
    formula: Annotated[Text, AfterValidator(_expression)]
    constants: Constants = Field(default_factory=dict)


class ParameterForm(Form):
    """A learned array of a layer with a formula of its own."""

    shape: list[Count] = Field(description="shape: [32, 2]")
    init: Annotated[Any, PlainValidator(_start), WithJsonSchema(start_schema())] = Field(
        description='init: "uniform(-0.5, 0.5)"'
    )

    @model_validator(mode="after")
    def _fits(self) -> "ParameterForm":
        if math.prod(self.shape) > MOST_NUMBERS:
            raise refusal([Wrong(("shape",), f"{math.prod(self.shape):.0e} numbers is too many")])
        if isinstance(self.init, float | tuple) and shape(self.init) != tuple(self.shape):
            given = list(shape(self.init))
            told = f"the numbers have the shape {given}, the parameter {self.shape}"
            hint = f"constant({self.init:g})" if isinstance(self.init, float) else ""
            raise refusal([Wrong(("init",), told, hint)])
        return self


class StateForm(ParameterForm):
    """An array that a layer with a formula of its own keeps and doesn't learn."""

    next: Text = Field(description='next: "m[k] = 0.9*m[k] + 0.1*mean(x[n, k], n)"')


class KindForm(Form):
    """One entry of the catalogue, by its name as a key, or a formula of one's own."""

    kind: ClassVar[Kind]
    of_formula: ClassVar[tuple[str, ...]] = ()  # keys that only a formula has
    chosen: Choice | None = None

    @classmethod
    def own_keys(cls) -> dict[str, str]:
        return {key: name for key, name in super().own_keys().items() if key not in cls.found()}

    @classmethod
    def found(cls) -> tuple[str, ...]:
        """Return the fields that are found by reading, and aren't keys."""
        return ("chosen",)

    @classmethod
    def spelt_out(cls, value: Any) -> Any:
        return {value: None} if isinstance(value, str) else value

    @classmethod
    def advice(cls) -> str:
        return f"give a formula or one of: {listed(names(cls.kind))}"

    @classmethod
    def entry(cls, key: str, value: Any) -> Entry | None:
        """Return the entry a key stands for, None where it is one of the form's own keys."""
        return None if key in cls.own_keys() else find(cls.kind, key)

    @classmethod
    def read(cls, entry: Entry, value: Any) -> tuple[dict[str, Any], list[Wrong]]:
        """Return the fields that the entry's settings give."""
        found, wrongs = settings(entry, value)
        return {"chosen": found}, wrongs

    @classmethod
    def prepared(cls, value: dict[str, Any]) -> tuple[dict[str, Any], list[Wrong]]:
        kind, known = cls.kind.value, cls.own_keys()
        wrongs: list[Wrong] = []
        fields: dict[str, Any] = {}
        entries = {key: entry for key in value if (entry := cls.entry(key, value[key]))}
        for key, part in value.items():
            if key in entries:
                read, found = cls.read(entries[key], part)
                fields |= read
                wrongs += [wrong.below(key) for wrong in found]
            elif key in known:
                fields[key] = part
            else:
                every = (*every_name(cls.kind), *known)
                wrong = unknown(key, every, f"{kind} or key", LISTING)
                wrongs.append(cls.misplaced_option(key, entries) or wrong)
        several = [*entries, *(["formula"] if "formula" in value else [])]
        if len(several) > 1:
            told = f"one {kind} at a time; here are {' and '.join(several)}"
            wrongs.append(Wrong((several[1],), told, key=True))
        if not several and not wrongs and not cls.enough(value):
            wrongs.append(Wrong((), f"no {kind} is named here", cls.advice()))
        if "formula" not in value:
            alone = [key for key in cls.of_formula if key in value]
            wrongs += [Wrong((key,), f"`{key}` goes with a `formula`", key=True) for key in alone]
        return fields, wrongs

    @classmethod
    def misplaced_option(cls, key: str, entries: Mapping[str, Entry]) -> Wrong | None:
        """Return the mistake of an option beside its entry instead of within it."""
        for name, entry in entries.items():
            options = [option.name for option in entry.options] + list(cls.beside(entry))
            if key in options or near_miss(key, options):
                option = key if key in options else near_miss(key, options).split("`")[1]
                told = f"`{key}` stands beside `{name}`; it is an option within it"
                main = cls.main(entry)
                first = f"{main}: …, " if main and main != option else ""
                return Wrong((key,), told, f"{name}: {{{first}{option}: …}}", key=True)
        return None

    @classmethod
    def beside(cls, entry: Entry) -> tuple[str, ...]:
        """Return the keys that an entry has beside its options."""
        return ()

    @classmethod
    def main(cls, entry: Entry) -> str:
        """Return the key of what may stand alone after an entry's name."""
        return entry.main

    @classmethod
    def enough(cls, value: dict[str, Any]) -> bool:
        """Return whether the form says enough without an entry or a formula."""
        return False


def _with_entries(kind: Kind) -> ConfigDict:
    """Return the settings that put the catalogue's names into a form's JSON Schema."""

    def extend(schema: dict[str, Any]) -> None:
        own = schema["properties"]
        own.pop("chosen")
        for name in every_name(kind):
            entry = find(kind, name)
            if entry is not None:
                own[name] = (
                    {"anyOf": [own[name], entry_schema(entry)]}
                    if name in own
                    else (entry_schema(entry))
                )
        form = dict(schema)
        schema.clear()
        schema["anyOf"] = [form, {"enum": list(every_name(kind))}]

    return ConfigDict(json_schema_extra=extend)


def _loss_schema(schema: dict[str, Any]) -> None:
    """Put the losses into the form's JSON Schema: what they compare, with the settings."""
    own = schema["properties"]
    del own["chosen"], own["operands"], own["weighing"]
    for name in every_name(Kind.LOSS):
        entry = find(Kind.LOSS, name)
        forms = [own[name]] if name in own else []
        if entry is not None:
            forms += [_alone_schema(entry)] if LossForm.main(entry) else []
            forms.append(_compared_schema(entry))
        own[name] = forms[0] if len(forms) == 1 else {"anyOf": forms}


def _alone_schema(entry: Entry) -> dict[str, Any]:
    """Return the JSON Schema of the one operand that a loss can't do without."""
    return {"type": "string", "description": needed(entry)[0].doc}


def _compared_schema(entry: Entry) -> dict[str, Any]:
    """Return the JSON Schema of a loss with its operands and settings."""
    settings = Weighing.model_json_schema()["properties"]
    beside = {each.key: {"type": "string", "description": each.doc} for each in entry.operands}
    beside |= {key: settings[key] for key in LossForm.weighing_keys(entry)}
    return entry_schema(entry, beside, [each.key for each in needed(entry)])


def needed(entry: Entry) -> list[Operand]:
    """Return the operands that a loss can't do without."""
    return [each for each in entry.operands if not each.optional]


class LayerForm(KindForm):
    """A layer."""

    model_config = _with_entries(Kind.LAYER)
    kind = Kind.LAYER
    of_formula = ("parameters", "state", "constants", "sizes")
    formula: Texts = Field(default_factory=list)
    parameters: dict[Name, ParameterForm] = Field(default_factory=dict)
    state: dict[Name, StateForm] = Field(default_factory=dict)
    constants: Constants = Field(default_factory=dict)
    sizes: dict[Name, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    activation: Annotated[
        Choice | None,
        PlainValidator(_activation),
        WithJsonSchema(choice_schema(Kind.ACTIVATION)),
    ] = None
    sources: Words = Field([], alias="from")
    frozen: bool = False
    init: Annotated[
        dict[str, Any],
        PlainValidator(_starts),
        WithJsonSchema({"anyOf": [*start_schema()["anyOf"], {"type": "object"}]}),
    ] = Field(default_factory=dict)

    @classmethod
    def enough(cls, value: dict[str, Any]) -> bool:
        return "activation" in value

    @model_validator(mode="after")
    def _starts_fit(self) -> "LayerForm":
        if self.init and self.chosen is None:
            told = "`init` goes with a layer of the catalogue"
            raise refusal([Wrong(("init",), told, "give each of `parameters` its own init", True)])
        entry = find(Kind.LAYER, self.chosen.name) if self.chosen else None
        learned = [parameter.name for parameter in entry.parameters] if entry else []
        if self.init and entry and not learned:
            raise refusal([Wrong(("init",), f"`{entry.name}` learns nothing", key=True)])
        patterns = [re.escape(name).replace(r"\{\}", r"\d+") for name in learned]
        wrongs = [
            unknown(key, learned, "parameter").below("init")
            for key in self.init
            if key and not any(re.fullmatch(pattern, key) for pattern in patterns)
        ]
        if wrongs:
            raise refusal(wrongs)
        return self


class Weighing(Form):
    """What losses of the catalogue have beside their options and operands."""

    reduction: Literal["mean", "sum", "none", "batchmean"] = "mean"
    weight: list[Annotated[float, Field(ge=0)]] = Field(
        default_factory=list, description="of the classes"
    )


class LossForm(KindForm):
    """The loss, or a term of it."""

    model_config = ConfigDict(json_schema_extra=_loss_schema)
    kind = Kind.LOSS
    of_formula = ("constants",)
    formula: Text | None = None
    constants: Constants = Field(default_factory=dict)
    scale: Annotated[float, AfterValidator(_scale)] = 1.0
    l1: float = Field(0.0, ge=0)
    l2: float = Field(0.0, ge=0)
    penalise: Words = Field(default_factory=list)
    operands: dict[str, str] = Field(default_factory=dict)
    weighing: Weighing = Weighing()

    @classmethod
    def found(cls) -> tuple[str, ...]:
        return ("chosen", "operands", "weighing")

    @classmethod
    def weighing_keys(cls, entry: Entry) -> tuple[str, ...]:
        """Return the keys of a loss that are neither operands nor options."""
        weighs = any("w[" in text for text in entry.formulas)
        return ("reduction", "weight") if weighs else ("reduction",)

    @classmethod
    def beside(cls, entry: Entry) -> tuple[str, ...]:
        return (*(operand.key for operand in entry.operands), *cls.weighing_keys(entry))

    @classmethod
    def main(cls, entry: Entry) -> str:
        keys = [operand.key for operand in needed(entry)]
        return keys[0] if len(keys) == 1 else ""

    @classmethod
    def spelt_out(cls, value: Any) -> Any:
        entry = find(cls.kind, value) if isinstance(value, str) else None
        if entry is not None:
            keys = [operand.key for operand in needed(entry)]
            written = "t" if cls.main(entry) else f"{{{', '.join(f'{key}: …' for key in keys)}}}"
            told = f"`{value}` needs its {' and '.join(keys)}"
            raise refusal([Wrong((), told, f"write {{{value}: {written}}}")])
        return value

    @classmethod
    def entry(cls, key: str, value: Any) -> Entry | None:
        if key == "l1" and isinstance(value, str | dict):  # the loss of that name, not the penalty
            return find(cls.kind, key)
        return super().entry(key, value)

    @classmethod
    def read(cls, entry: Entry, value: Any) -> tuple[dict[str, Any], list[Wrong]]:
        if not isinstance(value, dict):
            if not cls.main(entry):
                keys = ", ".join(f"{operand.key}: …" for operand in needed(entry))
                told, _ = must_be(entry.name, "a mapping of what it compares", value)
                return {"chosen": Choice(entry.name)}, [Wrong((), told, f"{{{keys}}}")]
            value = {cls.main(entry): value}
        beside = cls.beside(entry)
        options = {key: part for key, part in value.items() if key not in beside}
        found, wrongs = settings(entry, options, beside=beside)
        operands, missing = _operands(entry, value, " ".join(wrong.hint for wrong in wrongs))
        fields: dict[str, Any] = {"chosen": found, "operands": operands}
        try:
            general = {key: value[key] for key in cls.weighing_keys(entry) if key in value}
            fields["weighing"] = Weighing.model_validate(general)
        except ValidationError as error:
            wrongs += Weighing.wrongs(error)
        return fields, [*wrongs, *missing]

    @classmethod
    def enough(cls, value: dict[str, Any]) -> bool:
        return bool({"l1", "l2"} & set(value))


def _operands(
    entry: Entry, value: Mapping[str, Any], meant: str
) -> tuple[dict[str, str], list[Wrong]]:
    """Read what a loss compares; `meant` are the keys that misspelt ones stood for."""
    found: dict[str, str] = {}
    wrongs = []
    for operand in entry.operands:
        named = value.get(operand.key)
        if isinstance(named, str):
            found[operand.key] = named
        elif operand.key in value:
            told, _ = must_be(operand.key, "the name of an input or a layer", named)
            wrongs.append(Wrong((operand.key,), told, operand.doc))
        elif not operand.optional and f"`{operand.key}`" not in meant:
            told = f"`{entry.name}` needs `{operand.key}`"
            wrongs.append(Wrong((operand.key,), told, operand.doc, True))
    return found, wrongs


class OptimizerForm(KindForm):
    """The optimiser."""

    model_config = _with_entries(Kind.OPTIMIZER)
    kind = Kind.OPTIMIZER
    of_formula = ("state", "constants")
    formula: Texts = Field(default_factory=list)
    state: Constants = Field(default_factory=dict)
    constants: Constants = Field(default_factory=dict)


class FactorForm(KindForm):
    """A learning-rate schedule by itself."""

    model_config = _with_entries(Kind.SCHEDULE)
    kind = Kind.SCHEDULE
    of_formula = ("state", "constants")
    formula: Texts = Field(default_factory=list)
    state: Constants = Field(default_factory=dict)
    constants: Constants = Field(default_factory=dict)
    per: Literal["epoch", "step"] = "epoch"


class ScheduleForm(FactorForm):
    """The learning-rate schedule, or a part of it that runs until another one does."""

    until: int | None = Field(None, ge=1, le=10**9)
    chained: list[FactorForm] = Field(default_factory=list, min_length=1)

    @classmethod
    def enough(cls, value: dict[str, Any]) -> bool:
        return "chained" in value

    @model_validator(mode="after")
    def _factors(self) -> "ScheduleForm":
        if self.chained and (self.chosen or self.formula):
            told = "`chained` lists whole schedules; another stands beside it"
            raise refusal([Wrong(("chained",), told, "put it into the list", True)])
        wrongs = _of_one_clock([part.per for part in self.chained], "chained")
        if wrongs:
            raise refusal(wrongs)
        return self

    @property
    def clock(self) -> str:
        """Return what the schedule counts: epochs or steps."""
        return self.chained[0].per if self.chained else self.per


def _of_one_clock(clocks: list[str], *path: str) -> list[Wrong]:
    """Return the mistakes of schedules that count epochs beside some that count steps."""
    first = clocks[0] if clocks else ""
    return [
        Wrong((*path, place, "per"), f"schedules together all run per {first}", f"per: {first}")
        for place, clock in enumerate(clocks)
        if clock != first
    ]


def _in_turn(parts: list[ScheduleForm]) -> list[ScheduleForm]:
    """Check that each schedule but the last says how long it runs."""
    wrongs = _of_one_clock([part.clock for part in parts])
    before = 0
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        if last and part.until is not None:
            told = "the last schedule runs to the end"
            wrongs.append(Wrong((place, "until"), told, "add what comes after it", True))
        elif not last and part.until is None:
            told = "another schedule follows; this one has an end"
            hint = "add `until: 5`, or put both into {chained: […]} to multiply their factors"
            wrongs.append(Wrong((place,), told, hint, True))
        elif part.until is not None and part.until <= before:
            told = f"until {part.until} is no later than the end of the one before, {before}"
            wrongs.append(Wrong((place, "until"), told))
        before = part.until or before
    if wrongs:
        raise refusal(wrongs)
    return parts


class TrainForm(Form):
    """The training loop."""

    epochs: int = Field(20, ge=1, le=10**9)
    batch_size: Annotated[
        int | None,
        BeforeValidator(lambda value: None if value == "all" else value),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"enum": ["all", None]}]}),
    ] = Field(32, ge=1, le=10**9)
    shuffle: bool = True
    seed: int = Field(0, ge=0, le=2**32 - 1)
    accumulate: int = Field(1, ge=1, le=10**6)
    clip_norm: float | None = Field(None, gt=0)
    clip_value: float | None = Field(None, gt=0)
    validation: float = Field(0.0, ge=0, lt=1)
    patience: int | None = Field(None, ge=1, le=10**9)
    tolerance: float | None = Field(None, ge=0)
    settle: int = Field(10, ge=1, le=10**9)


class DataForm(Form):
    """The data file, and which columns of it each input reads."""

    model_config = ConfigDict(json_schema_extra=_with_columns)
    csv: str | None = None
    npz: str | None = None
    test: float = Field(0.0, ge=0, lt=1)
    seed: int = Field(0, ge=0, le=2**32 - 1)
    standardise: Words = Field(default_factory=list)
    columns: dict[str, list[str]] = Field(default_factory=dict)

    @classmethod
    def own_keys(cls) -> dict[str, str]:
        return {key: name for key, name in super().own_keys().items() if name != "columns"}

    @classmethod
    def prepared(cls, value: dict[str, Any]) -> tuple[dict[str, Any], list[Wrong]]:
        known = cls.own_keys()
        fields = {key: part for key, part in value.items() if key in known}
        columns = {}
        wrongs: list[Wrong] = []
        for key, part in value.items():
            if key not in known:
                try:
                    columns[key] = COLUMNS.validate_python(part)
                except ValidationError:
                    listed = "a column, a range `p0:p63` or a list of columns"
                    wrongs.append(Wrong((key,), *must_be(key, listed, part)))
            if "npz" in value and key in columns and len(columns[key]) != 1:
                told = f"`{key}` is one array of an .npz, not {len(columns[key])}"
                wrongs.append(Wrong((key,), told))
        formats = [key for key in ("csv", "npz") if key in value]
        if len(formats) != 1:
            told = "give one file: `csv: …` or `npz: …`"
            wrongs.append(Wrong((formats[1],) if formats else (), told, key=True))
        return {**fields, "columns": columns}, wrongs


COLUMNS: TypeAdapter[list[str]] = TypeAdapter(Words, config=ConfigDict(strict=True))


class SpecForm(Form):
    """A model for symback: what it computes, how it is trained, on which data."""

    model_config = ConfigDict(title="symback spec")
    model: Annotated[str, AfterValidator(_model)] = "model"
    inputs: dict[InputName, InputForm] = Field(min_length=1, description="inputs: {x: [n, 64]}")
    functions: dict[Name, FunctionForm] = Field(default_factory=dict)
    layers: list[Annotated[dict[LayerName, LayerForm], BeforeValidator(_one_key)]] = Field(
        min_length=1,
        max_length=MOST_LAYERS,
        description="layers: a list such as `- f1: {dense: 10}`",
    )
    loss: Annotated[list[LossForm], BeforeValidator(_alone)] = Field(
        min_length=1, description="loss: {mse: t}", json_schema_extra=_or_alone
    )
    optimizer: OptimizerForm = Field(description="optimizer: {adam: {lr: 0.001}}")
    schedule: Annotated[list[ScheduleForm], BeforeValidator(_if_any), AfterValidator(_in_turn)] = (
        Field(default_factory=list, json_schema_extra=_or_alone)
    )
    metrics: Annotated[
        list[Choice],
        PlainValidator(_metrics),
        WithJsonSchema({"type": "array", "items": choice_schema(Kind.METRIC)}),
    ] = Field(default_factory=list)
    train: TrainForm = TrainForm()
    data: DataForm | None = None


def read(value: Any, functions: tuple[str, ...]) -> tuple[SpecForm | None, list[Wrong]]:
    """Return the spec as written, or everything that is wrong with its parts."""
    context: Mapping[str, object] = {"functions": functions}
    try:
        return SpecForm.model_validate(value, context=context), []
    except ValidationError as error:
        return None, SpecForm.wrongs(error)
