"""A spec, in YAML or from Python → `Spec`; every mistake in it at once, each with its place."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from symback.catalog import find
from symback.catalog.entry import Kind
from symback.errors import Mistake, UserError
from symback.program import Columns, Data, Training
from symback.source import Document, plain, read, scan
from symback.spec import across, written
from symback.spec.form import Wrong
from symback.spec.types import (
    Choice,
    Input,
    Layer,
    Numbers,
    OwnFunction,
    OwnParameter,
    OwnState,
    Rule,
    Setting,
    Spec,
    Start,
    Term,
)

__all__ = [
    "Choice",
    "Input",
    "Layer",
    "Numbers",
    "OwnFunction",
    "OwnParameter",
    "OwnState",
    "Rule",
    "Setting",
    "Spec",
    "Start",
    "Term",
    "from_mapping",
    "load",
    "parse",
    "schema",
]


def load(path: str | Path) -> Spec:
    """Read a spec from a YAML file. Raises UserError with every mistake in it."""
    path = Path(path)
    return _spec(read(path), path.name, path.parent)


def parse(text: str, source: str = "spec") -> Spec:
    """Read a spec from YAML text; `source` names it in messages. Raises UserError."""
    return _spec(scan(text, source), source, Path())


def from_mapping(mapping: Mapping[str, Any], folder: str | Path = ".") -> Spec:
    """Take a spec from Python: the file's keys as dicts and lists. Raises UserError.

    A data file is looked for in `folder`.
    """
    return _spec(plain(mapping, "spec"), "", Path(folder))


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a spec, for editors."""
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return draft | written.SpecForm.model_json_schema(by_alias=True)


def _spec(document: Document, source: str, folder: Path) -> Spec:
    value = document.value
    functions = tuple(across.mapping(value, "functions"))
    form, wrongs = written.read(value, functions)
    wrongs += across.check(value)
    wrongs += _outside(value, folder)
    if wrongs or document.mistakes or form is None:
        raise UserError(*_placed(document, wrongs))
    spec = Spec(
        model=form.model,
        inputs=tuple(  # whatever the spec calls the batch, from here on it is n
            Input(
                name, ("n", *each.shape[1:]), each.classes, _ignored(name, each.classes, form.loss)
            )
            for name, each in form.inputs.items()
        ),
        functions=tuple(
            OwnFunction(name, tuple(each.args), each.formula, tuple(each.constants.items()))
            for name, each in form.functions.items()
        ),
        layers=tuple(_layer(name, each) for item in form.layers for name, each in item.items()),
        loss=tuple(map(_term, form.loss)),
        optimizer=_rule(form.optimizer),
        schedule=tuple(map(_schedule, form.schedule)),
        metrics=tuple(form.metrics),
        training=_training(form),
        data=_data(form.data) if form.data else None,
        source=source,
        folder=str(folder),
        digest="",
        document=document,
    )
    return replace(spec, digest=_digest(spec))


def _placed(document: Document, wrongs: list[Wrong]) -> list[Mistake]:
    """Return the mistakes in the file's order, one for each place."""
    mistakes = list(document.mistakes)
    for wrong in wrongs:
        mistake = Mistake(wrong.message, wrong.path, hint=wrong.hint)
        mistakes.append(document.locate(mistake, key=wrong.key))
    first = {(each.source, each.line, each.column, each.message): each for each in mistakes}
    return sorted(first.values(), key=lambda each: (each.line or 0, each.column or 0))


def _outside(value: Any, folder: Path) -> list[Wrong]:
    """Refuse a data file that isn't in the spec's folder."""
    from symback.data import misplaced

    data = across.mapping(value, "data")
    named = [(key, data[key]) for key in ("csv", "npz") if isinstance(data.get(key), str)]
    found = [(key, misplaced(path, folder)) for key, path in named]
    return [Wrong(("data", key), *why) for key, why in found if why]


def _layer(name: str, form: written.LayerForm) -> Layer:
    return Layer(
        name,
        kind=form.chosen,
        formulas=tuple(form.formula),
        parameters=tuple(
            OwnParameter(letter, tuple(each.shape), each.init)
            for letter, each in form.parameters.items()
        ),
        states=tuple(
            OwnState(letter, tuple(each.shape), each.init, each.next)
            for letter, each in form.state.items()
        ),
        constants=tuple(form.constants.items()),
        sizes=tuple(form.sizes.items()),
        activation=form.activation,
        sources=tuple(form.sources),
        init=tuple(form.init.items()),
        frozen=form.frozen,
    )


def _ignored(name: str, classes: int | None, loss: list[written.LossForm]) -> int | None:
    """Return the label of an input, beside those of its classes, that the loss leaves out."""
    for term in loss if classes is not None else ():
        ignored = dict(term.chosen.options).get("ignore_index") if term.chosen else None
        if term.operands.get("target") == name and isinstance(ignored, int | float):
            return int(ignored)
    return None


def _term(form: written.LossForm) -> Term:
    return Term(
        choice=form.chosen,
        operands=tuple(form.operands.items()),
        weights=tuple(form.weighing.weight),
        reduction=form.weighing.reduction,
        formula=form.formula,
        constants=tuple(form.constants.items()),
        scale=form.scale,
        l1=form.l1,
        l2=form.l2,
        penalise=tuple(form.penalise),
    )


def _rule(form: written.OptimizerForm | written.FactorForm) -> Rule:
    return Rule(
        choice=form.chosen,
        formulas=tuple(form.formula),
        states=tuple(form.state.items()),
        constants=tuple(form.constants.items()),
        per=form.per if isinstance(form, written.FactorForm) else "step",
    )


def _training(form: written.SpecForm) -> Training:
    """Return the loop's settings; an optimiser that searches along lines takes all examples."""
    chosen = form.optimizer.chosen
    entry = find(Kind.OPTIMIZER, chosen.name) if chosen else None
    training = Training(**form.train.model_dump())
    return replace(training, batch_size=None) if entry and entry.search else training


def _schedule(form: written.ScheduleForm) -> Rule:
    chained = tuple(map(_rule, form.chained))
    return replace(_rule(form), per=form.clock, until=form.until, chained=chained)


def _data(form: written.DataForm) -> Data:
    columns = tuple(
        Columns(tensor, tuple(names), tensor in form.standardise)
        for tensor, names in form.columns.items()
    )
    path, kind = (form.csv, "csv") if form.csv is not None else (form.npz, "npz")
    return Data(path or "", kind, columns, form.test, form.seed)


def _digest(spec: Spec) -> str:
    """Return SHA-256 of the content as JSON: layout, comments and file name don't count."""
    content = asdict(replace(spec, document=Document(None, "")))
    for aside in ("source", "folder", "digest", "document"):
        del content[aside]
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
