"""Optimisers and schedules of a spec → recipes: assignments over scalars."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sympy import Expr, Indexed, Integer

from symback import catalog, formula, stable
from symback import functions as fn
from symback.catalog.entry import Entry, Kind
from symback.errors import Mistake, UserError
from symback.formula import Scope
from symback.graph.network import formula_paths, target_of
from symback.graph.plan import MOMENTUM, chained, in_turn, renamed
from symback.graph.start import Functions, Path, option_numbers
from symback.graph.types import Equation, Form, Recipe, name_of, reads
from symback.graph.whole import Text, forms, require_free
from symback.program import Constant, State, Tensor
from symback.spec import Rule, Spec

GIVEN = {  # what the assignments may read, and what they must set
    Kind.OPTIMIZER: (("w", "g", "lr", "step", "epsilon"), "w"),
    Kind.SCHEDULE: (("base", "lr", "epoch", "step", "metric"), "lr"),
}
DEFAULT_RATE = 0.001


def rules(
    spec: Spec, functions: Functions, learned: Sequence[Tensor]
) -> tuple[Recipe, Recipe | None]:
    """Read the optimiser of the parameters, and the schedules as one; None where there are none.

    Raises UserError where a schedule moves a momentum that the optimiser hasn't.
    """
    schedule = plan(spec.schedule, functions)
    moved = [state for state in (schedule.states if schedule else ()) if state.name == MOMENTUM]
    if schedule is None or not moved:
        return optimiser(spec.optimizer, functions, learned), schedule
    own = _momentum_of(spec.optimizer)
    if not own:
        name = spec.optimizer.choice.name if spec.optimizer.choice else "this"
        message = f"the schedule moves the momentum, and the optimiser `{name}` has none"
        hint = "write `cycle_momentum: false`, or take sgd or adam"
        raise UserError(Mistake(message, ("schedule",), hint=hint))
    made = optimiser(spec.optimizer, functions, learned, {own: moved[-1].start})
    return made, renamed(schedule, {MOMENTUM: own})


def _momentum_of(rule: Rule) -> str:
    """Return the name of an optimiser's momentum, "" where it has none."""
    if rule.choice is None:
        return MOMENTUM if MOMENTUM in dict(rule.constants) else ""
    entry = catalog.find(Kind.OPTIMIZER, rule.choice.name)
    return entry.momentum if entry else ""


def plan(rules: Sequence[Rule], functions: Functions) -> Recipe | None:
    """Read the schedules that run one after the other; None where there are none."""
    parts = [_scheduled(rule, ("schedule", k), functions) for k, rule in enumerate(rules)]
    if len(parts) <= 1:
        return parts[0] if parts else None
    ends = [rule.until for rule in rules if rule.until is not None]
    return in_turn(parts, ends)


def _scheduled(rule: Rule, path: Path, functions: Functions) -> Recipe:
    """Read a schedule, or those that are chained."""
    if not rule.chained:
        return recipe(Kind.SCHEDULE, rule, path, functions)
    path = (*path, "chained")
    parts = [
        recipe(Kind.SCHEDULE, each, (*path, k), functions) for k, each in enumerate(rule.chained)
    ]
    return chained(parts, path)


def optimiser(
    rule: Rule,
    functions: Functions,
    learned: Sequence[Tensor],
    moved: Mapping[str, float] = MappingProxyType({}),
) -> Recipe:
    """Read an optimiser of parameters.

    `moved`: its constants that the schedule moves, and where it starts them.
    """
    at = ("optimizer",)
    entry = catalog.find(Kind.OPTIMIZER, rule.choice.name) if rule.choice else None
    if entry is not None and entry.search:
        return _search(entry, dict(rule.choice.options) if rule.choice else {}, rule.per)
    text = _text(Kind.OPTIMIZER, rule, at)
    if not text.whole:
        return recipe(Kind.OPTIMIZER, rule, at, functions, moved)
    given, _ = GIVEN[Kind.OPTIMIZER]
    constants = {n: moved.get(n, value) for n, value in text.constants.items() if n not in given}
    steps, found = forms(text, learned, constants, functions, at)
    nodes = [node.equation for form in found for part in form.parts for node in part.nodes]
    if not all(any(each.name == "w" for each in _of(form)) for form in found):
        raise UserError(Mistake("nothing sets w", at, hint="end with `w = …`"))
    kept = _alive(steps, {name_of(read) for each in nodes for read in reads(each.rhs)})
    used = {name_of(read) for each in (*kept, *nodes) for read in reads(each.rhs)}
    named = [
        Constant(name, value)
        for name, value in constants.items()
        if name in used and name not in moved
    ]
    rate = Constant("lr", text.constants.get("lr", DEFAULT_RATE), "the learning rate")
    return Recipe(text.name, (rate, *named), (), tuple(kept), rule.per, found)


def _search(entry: Entry, given: Mapping[str, Any], per: str) -> Recipe:
    """Return an optimiser that is a template: its numbers, and the switches that are on."""
    numbers = option_numbers(entry, given)
    settings = {option: given.get(option.name, option.default) for option in entry.options}
    constants = [
        Constant(option.name, value, option.doc)
        for option, value in settings.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    named = {constant.name for constant in constants}
    chosen = [name for name, value in numbers.items() if value == 1 and name not in named]
    return Recipe(
        entry.name, tuple(constants), (), (), per, search=entry.search, chosen=tuple(chosen)
    )


def _of(form: Form) -> list[Equation]:
    return [node.equation for part in form.parts for node in part.nodes]


def _text(kind: Kind, rule: Rule, at: Path) -> Text:
    return _own(rule, at) if rule.choice is None else _of_catalog(kind, rule, at)


def recipe(
    kind: Kind,
    rule: Rule,
    at: Path,
    functions: Functions,
    moved: Mapping[str, float] = MappingProxyType({}),
) -> Recipe:
    """Read an optimiser, number by number, or a schedule. `at` is where it stands in the spec.

    `moved`: the optimiser's constants that the schedule moves, and where it starts them.
    """
    text = _text(kind, rule, at)
    given, goal = GIVEN[kind]
    constants = {n: moved.get(n, value) for n, value in text.constants.items() if n not in given}
    ranks: dict[str, int | None] = dict.fromkeys((*given, *text.states), 0)
    ranks |= dict.fromkeys(text.lists, 1)
    equations = []
    for line, path in zip(text.formulas, text.paths, strict=True):
        scope = Scope(ranks, text.numbers, constants, dict(functions), None, path)
        read = formula.parse(line, scope)
        if read.target is None or read.target.subscripts:
            hint = f"write `{goal} = …`"
            raise UserError(Mistake("this assigns nothing", path, hint=hint))
        if kind is Kind.OPTIMIZER:
            require_free(read.target, path)
        if read.target.name in constants:
            message = f"`{read.target.name}` is a constant"
            raise UserError(Mistake(message, path, read.target.offset, read.target.length))
        ranks[read.target.name] = 0
        rhs = stable.rewritten(_unrolled(read.rhs, text.lists)).expr
        if rule.choice is not None and rule.per == "step":  # the catalogue counts its runs
            rhs = rhs.xreplace({formula.tensor("epoch"): formula.tensor("step")})
        if rhs != read.target.value:
            equations.append(Equation(target_of(read), rhs))
    kept = _alive(equations, {goal, *text.kept, *({MOMENTUM} & text.states.keys())})
    if not any(equation.name == goal for equation in kept):
        raise UserError(Mistake(f"nothing sets {goal}", at, hint=f"end with `{goal} = …`"))
    used = {name_of(read) for equation in kept for read in reads(equation.rhs)} | {*text.kept}
    used |= {equation.name for equation in kept}
    numbers = [(name, value) for name, value in constants.items() if name not in moved]
    named = [Constant(name, value) for name, value in numbers if name in used]
    if kind is Kind.OPTIMIZER:
        rate = text.constants.get("lr", DEFAULT_RATE)
        named.insert(0, Constant("lr", rate, "the learning rate"))
    states = tuple(State(name, value) for name, value in text.states.items() if name in used)
    return Recipe(text.name, tuple(named), states, tuple(kept), rule.per)


def _own(rule: Rule, at: Path) -> Text:
    """Return a rule that the spec gives by formulas."""
    paths = formula_paths(rule.formulas, at)
    return Text("own", rule.formulas, paths, dict(rule.states), dict(rule.constants))


def _of_catalog(kind: Kind, rule: Rule, at: Path) -> Text:
    """Return a rule of the catalogue with its options."""
    assert rule.choice is not None
    entry = catalog.find(kind, rule.choice.name)
    assert entry is not None  # the spec's validation found it
    given = dict(rule.choice.options)
    numbers, constants, lists = _sorted_options(entry, given)
    scope = Scope({}, numbers, constants)
    states = {
        name: formula.numeric(formula.parse(start, scope).rhs, constants) or 0.0
        for name, start in entry.states
    }
    paths = [(*at, entry.name)] * len(entry.formulas)
    rounds = given.get(entry.rounds, _default(entry, entry.rounds)) if entry.rounds else 1
    return Text(
        entry.name,
        entry.formulas,
        paths,
        states,
        constants,
        numbers,
        lists,
        entry.kept,
        entry.cases,
        int(rounds),
        entry.doc,
    )


def _default(entry: Entry, name: str) -> Any:
    return next(option.default for option in entry.options if option.name == name)


def _sorted_options(
    entry: Entry, given: Mapping[str, Any]
) -> tuple[dict[str, Expr], dict[str, float], dict[str, tuple[float, ...]]]:
    """Sort an entry's options: switches (numbers), named constants, and lists."""
    numbers = option_numbers(entry, given)
    constants: dict[str, float] = {}
    lists: dict[str, tuple[float, ...]] = {}
    for option in entry.options:
        value = given.get(option.name, option.default)
        if option.listed and isinstance(value, list | tuple):
            lists[option.name] = tuple(value)
        elif option.name in numbers and not isinstance(value, bool) and not option.choices:
            constants[option.name] = formula.numeric(numbers.pop(option.name)) or 0.0
    return numbers, constants, lists


def _unrolled(expr: Expr, lists: Mapping[str, Sequence[float]]) -> Expr:
    """Write sums over a list option out: Σ_k [epoch ≥ milestones[k]] = [epoch ≥ 30] + …"""
    for total in sorted(expr.atoms(fn.SumOver), key=str):
        listed = [a for a in total.atoms(Indexed) if name_of(a) in lists]
        if listed:
            terms: Expr = Integer(0)
            for value in lists[name_of(listed[0])]:
                terms = terms + total.body.xreplace({listed[0]: fn.number(value)})
            expr = expr.xreplace({total: terms})
    return expr


def _alive(equations: Sequence[Equation], goals: set[str]) -> list[Equation]:
    """Drop the equations whose results the goals don't depend on."""
    needed = goals
    while True:
        more = {name_of(r) for e in equations if e.name in needed for r in reads(e.rhs)}
        if more <= needed:
            return [equation for equation in equations if equation.name in needed]
        needed |= more
