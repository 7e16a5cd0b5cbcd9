"""The catalogue as data: every entry complete, every formula readable under every option."""

import ast
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from symback import catalog, formula
from symback.catalog.entry import Entry, Kind
from symback.emit.templates import source
from symback.functions import ELEMENTWISE, REDUCTIONS
from symback.program import Assumption

ENTRIES = catalog.entries()
PLAIN = {"size", "flat", "delta"}  # they have indices alone
CALLED = {*ELEMENTWISE, *REDUCTIONS, *PLAIN, "mean", "cumsum"}
DRAWS = {"uniform", "normal", "constant", "keep", "truncated", "orthogonal", "sparse"}
DRAWS |= {"identity", "dirac"}
GIVEN = {
    Kind.LAYER: {
        *("classes", "training", "sources", "round", "x"),
        *(f"{word}{k}" for word in ("x", "axes_") for k in range(1, 6)),
    },
    Kind.ACTIVATION: {"x"},
    Kind.LOSS: {"w", "labels", "weighted", "sampled", "reduction_mean"},
    Kind.OPTIMIZER: {"w", "g", "lr", "step", "epsilon", "axes", "rows", "columns"},
    Kind.SCHEDULE: {"base", "lr", "epoch", "step", "metric"},
    Kind.INITIALIZER: {"fan_in", "fan_out"},
    Kind.METRIC: {"y", "t", "labels", "ignored", "ignored_given"},
}


def named(entry: Entry) -> str:
    return f"{entry.kind}-{entry.name}"


every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=named)


def option_names(entry: Entry) -> Iterator[str]:
    """Yield what the formulas of an entry may call its options."""
    for option in entry.options:
        if option.choices:
            yield from (f"{option.name}_{choice}" for choice in option.choices)
        if option.axes:
            yield from (f"{option.name}_{axis}" for axis in range(option.axes))
        elif not option.choices or option.numeric:
            yield option.name
        if option.listed and entry.kind is Kind.LAYER:
            yield from (f"{option.name}_{word}" for word in ("count", *range(9)))
        if option.default is None and not option.required:
            yield f"{option.name}_given"


def texts(entry: Entry) -> Iterator[str]:
    """Yield everything of an entry that is written in the formula language."""
    yield from entry.formulas
    for case in entry.cases:
        yield from (case.where, *case.formulas)
    yield from (text for _, text in (*entry.numbers, *entry.sizes))
    yield from (start for _, start in entry.states)
    yield from (each.draw for each in entry.random)
    yield from (tensor.init for tensor in entry.held)
    for each in entry.running:
        yield from (text for text in (each.where, each.next) if text)
    yield from (fact.where for fact in entry.assumes)
    if entry.divisor:
        yield entry.divisor


def targets(entry: Entry) -> Iterator[str]:
    """Yield the letters that an entry's formulas define."""
    within = (text for case in entry.cases for text in case.formulas)
    for text in (*entry.formulas, *within):
        node = formula.syntax(text)
        if isinstance(node, ast.Assign):
            goal = node.targets[0]
            name = goal.value if isinstance(goal, ast.Subscript) else goal
            assert isinstance(name, ast.Name), text
            yield name.id


def words(text: str) -> tuple[set[str], set[str], set[str]]:
    """Return the functions called, the indices, and the other names of a formula."""
    calls, indices = set(), set()
    root = formula.syntax(text)
    for node in ast.walk(root):
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            calls.add(node.func.id)
            binds = node.func.id in {*REDUCTIONS, *PLAIN, "mean", "cumsum"}
            places = node.args[node.func.id not in PLAIN :] if binds else []
            leaves = (leaf for place in places for leaf in ast.walk(place))
            indices |= {leaf.id for leaf in leaves if isinstance(leaf, ast.Name)}
        elif isinstance(node, ast.Subscript):
            within = ast.walk(node.slice)
            indices |= {leaf.id for leaf in within if isinstance(leaf, ast.Name)}
    others = {node.id for node in ast.walk(root) if isinstance(node, ast.Name)}
    return calls, indices - calls, others - calls - indices


@every_entry
def test_entry_is_described(entry: Entry) -> None:
    assert entry.doc.endswith((".", ")"))
    assert entry.doc.startswith(("x", "exp", "log")) or not entry.doc[0].islower()
    assert entry.source
    docs = [(each.name, each.doc) for each in entry.options]
    for name, doc in [*docs, *((each.key, each.doc) for each in entry.operands)]:
        assert doc, name
        assert not doc.endswith("."), name


@every_entry
def test_names_are_identifiers(entry: Entry) -> None:
    letters = [tensor.letter for tensor in entry.held]
    letters += [name for name, _ in entry.states] + [each.letter for each in entry.random]
    for name in (entry.name, *entry.aliases, *(o.name for o in entry.options), *letters):
        assert name.isidentifier()
        assert name.isascii()
        assert not name.startswith("_")
    for option in entry.options:
        assert all(f"{option.name}_{choice}".isidentifier() for choice in option.choices)


@pytest.mark.parametrize("kind", Kind)
def test_names_are_unique_within_a_kind(kind: Kind) -> None:
    found = Counter(
        name for entry in ENTRIES if entry.kind is kind for name in (entry.name, *entry.aliases)
    )
    assert found
    assert set(found.values()) == {1}


@every_entry
def test_options_are_consistent(entry: Entry) -> None:
    names = list(option_names(entry))
    assert len(set(names)) == len(names)
    taken = {*GIVEN[entry.kind], *targets(entry), *(o.letter for o in entry.operands)} - {"lr"}
    assert not taken & set(names)
    assert not entry.main or entry.main in {option.name for option in entry.options}
    for option in entry.options:
        assert not (option.required and option.default is not None), option.name
        chosen = not option.numeric and option.choices
        assert not chosen or option.default in (*option.choices, None)
        assert option.least is None or option.above is None
        assert option.most is None or option.below is None
        default = option.default
        if isinstance(default, int | float) and not isinstance(default, bool):
            assert option.least is None or default >= option.least, option.name
            assert option.above is None or default > option.above, option.name
            assert option.most is None or default <= option.most, option.name
            assert option.below is None or default < option.below, option.name
            assert not option.whole or isinstance(default, int), option.name


@every_entry
def test_formulas_stay_within_the_caps(entry: Entry) -> None:
    for text in texts(entry):
        assert formula.syntax(text)


@every_entry
def test_formulas_name_only_what_there_is(entry: Entry) -> None:
    functions = CALLED | {e.name for e in ENTRIES if e.kind is Kind.ACTIVATION} | DRAWS
    known = GIVEN[entry.kind] | set(option_names(entry)) | set(targets(entry)) | {"pi"}
    known |= {tensor.letter for tensor in entry.held}
    known |= {"fan_in", "fan_out"}
    for operand in entry.operands:
        known |= {operand.letter, f"{operand.letter}_short", f"{operand.letter}_narrow"}
        known.add(f"{operand.key}_given")
    known |= {name for name, _ in (*entry.states, *entry.numbers)}
    known |= {each.letter for each in entry.random} | {letter for _, letter in entry.carried}
    known |= {e.name for e in ENTRIES if e.kind is Kind.INITIALIZER}
    for text in texts(entry):
        calls, indices, others = words(text)
        assert calls <= functions, text
        assert all(len(letter) == 1 for letter in indices - known), text
        assert others <= known, text


@every_entry
def test_every_option_state_and_letter_is_read(entry: Entry) -> None:
    read = {word for text in texts(entry) for found in words(text)[1:] for word in found}
    shapes = {
        word for tensor in entry.held for text in tensor.shape for word in (text, *words(text)[2])
    }
    read |= {entry.rounds}
    if entry.search:
        search = source(f"common/searches/{entry.search}.py.j2")
        read |= {word.lower() for word in re.findall(r"\w+", search)}
    for option in entry.options:
        names = {option.name, *(f"{option.name}_{choice}" for choice in option.choices)}
        names |= {f"{option.name}_{axis}" for axis in range(option.axes or option.listed)}
        assert names & (read | shapes), option.name
    for name in (*(name for name, _ in entry.states), *(each.letter for each in entry.random)):
        assert name in read
    for parameter in entry.parameters:
        assert parameter.letter in read
    for operand in entry.operands:
        assert operand.letter in read


@every_entry
def test_formulas_define_what_the_kind_needs(entry: Entry) -> None:
    made = list(targets(entry))
    match entry.kind:
        case Kind.ACTIVATION | Kind.INITIALIZER:
            assert len(entry.formulas) == 1
        case Kind.LOSS:
            assert made[-1] == "l"
        case Kind.OPTIMIZER:
            assert entry.search or "w" in made
            assert entry.main == "lr"
        case Kind.SCHEDULE:
            assert "lr" in made
        case Kind.METRIC:
            assert made[-1] == entry.name
        case Kind.LAYER:
            assert len(made) == len(entry.formulas) + sum(len(c.formulas) for c in entry.cases)


def test_facts_are_assumptions_of_the_program() -> None:
    kinds = [fact.kind for entry in ENTRIES for fact in entry.assumes]
    assert kinds
    documented = Assumption.__doc__ or ""
    assert all(f'"{kind}"' in documented for kind in kinds)
    assert all(entry.kind is Kind.LOSS for entry in ENTRIES if entry.assumes or entry.divisor)


def test_find_knows_names_and_aliases() -> None:
    for entry in ENTRIES:
        for name in (entry.name, *entry.aliases):
            assert catalog.find(entry.kind, name) is entry
        assert entry.name in catalog.names(entry.kind)
    assert catalog.find(Kind.ACTIVATION, "swish") is catalog.find(Kind.ACTIVATION, "silu")
    assert catalog.find(Kind.ACTIVATION, "adam") is None


def test_the_lists_of_the_first_release_are_complete() -> None:
    wanted = {
        Kind.LAYER: "dense flatten dropout add concat",
        Kind.ACTIVATION: (
            "identity sigmoid tanh relu leaky_relu elu gelu silu softplus log_sigmoid "
            "softmax log_softmax"
        ),
        Kind.LOSS: "mse l1 huber bce_with_logits cross_entropy nll",
        Kind.OPTIMIZER: "sgd adam adamw rmsprop adagrad",
        Kind.SCHEDULE: "constant step multi_step exponential cosine linear reduce_on_plateau",
        Kind.INITIALIZER: (
            "zeros ones constant uniform normal xavier_uniform xavier_normal kaiming_uniform "
            "kaiming_normal torch_default"
        ),
        Kind.METRIC: "accuracy",
    }
    for kind, listed in wanted.items():
        assert set(listed.split()) <= set(catalog.names(kind))
