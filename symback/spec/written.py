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
from symback.catalog.entry import Entry, Kind
from symback.errors import near_miss
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
    _identifier(text)
    taken = {
        "a word of Python": keyword.iskeyword(text),
        "one of Python's own functions": hasattr(builtins, text),
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


def _metric(text: str) -> str:
    entry = find(Kind.METRIC, text)
    if entry is None:
        wrong = unknown(text, every_name(Kind.METRIC), "metric")
        raise refuse(wrong.message, wrong.hint)
    return entry.name


def _one_key(value: Any) -> Any:
    if not isinstance(value, dict):
        raise refuse(f"a layer is `name: {{…}}`, not {shown(value)}", "- f1: {dense: 128}")
    if len(value) != 1:
        first, *rest = value or ("f1",)
        told = f"a layer has one name; here stand {', '.join(value) or 'none'}"
        raise refuse(told, f"indent {', '.join(rest)} further, below {first}" if rest else "")
    return value


TEXTS: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}]}
Name = Annotated[str, AfterValidator(_name)]
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
    beside: ClassVar[tuple[str, ...]] = ()  # settings that entries of the kind have in common
    main: ClassVar[str] = ""  # the setting that stands alone, where the kind has one for all
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
        return f"give a formula or one of: {', '.join(names(cls.kind))}"

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
            options = [option.name for option in entry.options] + list(cls.beside)
            if key in options or near_miss(key, options):
                option = key if key in options else near_miss(key, options).split("`")[1]
                told = f"`{key}` stands beside `{name}`; it is an option within it"
                main = cls.main or entry.main
                first = f"{main}: …, " if main else ""
                return Wrong((key,), told, f"{name}: {{{first}{option}: …}}", key=True)
        return None

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
    """Put the losses into the form's JSON Schema: a target, alone or with the settings."""
    own = schema["properties"]
    general = Weighing.model_json_schema()["properties"]
    del own["chosen"], own["weighing"]
    for name in every_name(Kind.LOSS):
        entry = find(Kind.LOSS, name)
        options = entry_schema(entry, {"target": general["target"]} | general) if entry else {}
        forms = [{"type": "string", "description": "the target"}, options]
        own[name] = {"anyOf": [*([own[name]] if name in own else []), *forms]}


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
    """What every loss of the catalogue has beside its options."""

    target: str = Field(description="the input that holds what is wanted: `target: t`")
    reduction: Literal["mean", "sum", "none"] = "mean"
    weight: list[Annotated[float, Field(ge=0)]] = Field(default_factory=list)
    sample_weight: str | None = None


class LossForm(KindForm):
    """The loss."""

    model_config = ConfigDict(json_schema_extra=_loss_schema)
    kind = Kind.LOSS
    beside = ("target", "reduction", "weight", "sample_weight")
    main = "target"
    of_formula = ("constants",)
    formula: Text | None = None
    constants: Constants = Field(default_factory=dict)
    l1: float = Field(0.0, ge=0)
    l2: float = Field(0.0, ge=0)
    penalise: Words = Field(default_factory=list)
    weighing: Weighing | None = None

    @classmethod
    def found(cls) -> tuple[str, ...]:
        return ("chosen", "weighing")

    @classmethod
    def spelt_out(cls, value: Any) -> Any:
        if isinstance(value, str) and find(cls.kind, value):
            raise refusal([Wrong((), f"`{value}` needs its target", f"write {{{value}: t}}")])
        return value

    @classmethod
    def entry(cls, key: str, value: Any) -> Entry | None:
        if key == "l1" and isinstance(value, str | dict):  # the loss of that name, not the penalty
            return find(cls.kind, key)
        return super().entry(key, value)

    @classmethod
    def read(cls, entry: Entry, value: Any) -> tuple[dict[str, Any], list[Wrong]]:
        if not isinstance(value, dict):
            value = {"target": value}
        general = {key: part for key, part in value.items() if key in cls.beside}
        found, wrongs = settings(
            entry,
            {key: part for key, part in value.items() if key not in general},
            beside=cls.beside,
        )
        try:
            return {"chosen": found, "weighing": Weighing.model_validate(general)}, wrongs
        except ValidationError as error:
            return {"chosen": found}, [*wrongs, *Weighing.wrongs(error)]


class OptimizerForm(KindForm):
    """The optimiser."""

    model_config = _with_entries(Kind.OPTIMIZER)
    kind = Kind.OPTIMIZER
    of_formula = ("state", "constants")
    formula: Texts = Field(default_factory=list)
    state: Constants = Field(default_factory=dict)
    constants: Constants = Field(default_factory=dict)


class ScheduleForm(KindForm):
    """The learning-rate schedule."""

    model_config = _with_entries(Kind.SCHEDULE)
    kind = Kind.SCHEDULE
    of_formula = ("state", "constants")
    formula: Texts = Field(default_factory=list)
    state: Constants = Field(default_factory=dict)
    constants: Constants = Field(default_factory=dict)
    per: Literal["epoch", "step"] = "epoch"


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
    layers: list[Annotated[dict[Name, LayerForm], BeforeValidator(_one_key)]] = Field(
        min_length=1,
        max_length=MOST_LAYERS,
        description="layers: a list such as `- f1: {dense: 10}`",
    )
    loss: LossForm = Field(description="loss: {mse: t}")
    optimizer: OptimizerForm = Field(description="optimizer: {adam: {lr: 0.001}}")
    schedule: ScheduleForm | None = None
    metrics: Annotated[
        list[Annotated[str, AfterValidator(_metric)]],
        BeforeValidator(_alone),
        WithJsonSchema({"type": "array", "items": {"enum": list(every_name(Kind.METRIC))}}),
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
