"""Folding an optimiser's numbers, so that fewer operations pass over the parameters.

A state that decays, s ← a·s + b·h with a number b that never changes, is kept as s/b: then
s ← a·s + h. Numbers that are the same for all elements move out of sums, roots and quotients and
meet in one a step. What is left of Adam is

    m ← beta1·m + g,   v ← beta2·v + g²,   w ← w − eta·m/(√v + delta).

Results change in the last bits: the numbers are multiplied in another order.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from symback.passes.names import all_names
from symback.printing import formula, walk
from symback.program import Apply, Expr, Number, Program, Read, Statement, Update, mapped

ONE = Number(1)
NAMES = ("delta", "kappa", "theta", "nu", "xi", "zeta", "psi", "chi")  # eta is the step's own


@dataclass(frozen=True, slots=True)
class Scaled:
    """above/below · value: numbers that are the same for all elements, and an array.

    The value of a number itself is ONE.
    """

    value: Expr
    above: tuple[Expr, ...] = ()
    below: tuple[Expr, ...] = ()

    @property
    def factor(self) -> Expr:
        return quotient(self.above, self.below)

    @property
    def whole(self) -> Expr:
        """Return the product as one expression."""
        if self.value == ONE or not (self.above or self.below):
            return self.factor if self.value == ONE else self.value
        if not self.above:
            return Apply("divide", (self.value, product(self.below)))
        return Apply("multiply", (self.factor, self.value))


def folded(program: Program) -> Program:
    """Return the program with its optimiser's numbers folded."""
    update = program.update
    for state in update.states:
        if state.start == 0:
            update = rescaled(update, state.name)
    return replace(program, update=gathered(update, all_names(program)))


# ---------------------------------------------------------------- states


def rescaled(update: Update, name: str) -> Update:
    """Return the update with s = b·s' kept as s', where s ← a·s + b·h with a fixed b."""
    writes = [s for s in update.elements if s.target.name == name]
    if len(writes) != 1:
        return update
    [statement] = writes
    state = Read(name, statement.target.axes)
    found = decay(statement.value, state, constants(update))
    if found is None:
        return update
    kept, gain, rest = found
    scaled = Apply("multiply", (gain, state))
    value = Apply("add", (Apply("multiply", (kept, state)), rest))
    said = f"{written(name, value)}; {name} counts in units of {spelt(gain)}"
    elements = tuple(
        replace(s, value=value, because=said)
        if s is statement
        else reworded(s, swapped(s.value, state, scaled))
        for s in update.elements
    )
    return replace(update, elements=elements)


def decay(value: Expr, state: Read, known: Mapping[str, float]) -> tuple[Expr, Expr, Expr] | None:
    """Return a, b and h of a value a·s + b·h whose b is a number known beforehand, not 1 or 0."""
    if not isinstance(value, Apply) or value.function != "add" or len(value.args) != 2:
        return None
    for old, new in (value.args, value.args[::-1]):
        kept, added = scaled(old, known), scaled(new, known)
        gain = evaluated(added.factor, known)
        if kept.value == state and state not in walk(new) and gain not in {None, 0.0, 1.0}:
            return kept.factor, added.factor, added.value
    return None


def swapped(expr: Expr, old: Read, new: Expr) -> Expr:
    """Return an expression with one array in place of another."""
    if expr == old:
        return new
    return mapped(expr, lambda part: swapped(part, old, new))


def reworded(statement: Statement, value: Expr) -> Statement:
    """Return the statement with another value, which its formula then shows."""
    if value == statement.value:
        return statement
    return replace(statement, value=value, because=written(statement.target.name, value))


def written(name: str, value: Expr) -> str:
    return f"{name} ← {spelt(value)}"


def spelt(expr: Expr) -> str:
    """Return an expression's formula, without the letter that stands for all elements."""
    return formula(expr).replace("[p]", "")


# ---------------------------------------------------------------- numbers


def gathered(update: Update, taken: frozenset[str]) -> Update:
    """Return the update with numbers moved out of the arrays' operations, one a statement."""
    known = constants(update)
    names = Names(update, taken)
    last = [s for s in update.elements if s.target.name == "w"][-1:]
    elements = tuple(
        reworded(s, terms(s.value, known, names, ("eta",) if s in last else ()))
        for s in update.elements
    )
    return replace(update, scalars=(*update.scalars, *names.scalars), elements=elements)


@dataclass(slots=True)
class Names:
    """Names for numbers that are worked out before the arrays are passed over."""

    update: Update
    taken: frozenset[str]
    scalars: list[Statement] = field(default_factory=list)

    def named(self, expr: Expr, *wanted: str) -> Expr:
        """Return a number's name, a new one unless it is one, or is the same at every step."""
        if isinstance(expr, Number | Read) or evaluated(expr, constants(self.update)) is not None:
            return expr
        known = next((s.target.name for s in self.scalars if s.value == expr), "")
        if known:
            return Read(known, ())
        used = {*self.taken, *(statement.target.name for statement in self.scalars)}
        name = next(name for name in (*wanted, *NAMES) if name not in used)
        self.scalars.append(Statement(Read(name, ()), expr, written(name, expr)))
        return Read(name, ())


def terms(value: Expr, known: Mapping[str, float], names: Names, wanted: tuple[str, ...]) -> Expr:
    """Return a statement's value, each of its terms a number times an array."""

    def term(expr: Expr) -> Expr:
        made = scaled(expr, known)
        if made.value == ONE:
            return names.named(made.factor)
        array = numbered(made.value, names)
        if not (made.above or made.below):
            return array
        return Scaled(array, (names.named(made.factor, *wanted),)).whole

    if isinstance(value, Apply) and value.function in {"add", "subtract"}:
        return Apply(value.function, tuple(term(arg) for arg in value.args))
    return term(value) if value.axes else value


def numbered(expr: Expr, names: Names) -> Expr:
    """Return an array's expression with every number it meets named."""
    if not expr.axes:
        return names.named(expr)
    if isinstance(expr, Apply) and expr.function != "where":
        return mapped(expr, lambda part: numbered(part, names))
    return expr


def scaled(expr: Expr, known: Mapping[str, float]) -> Scaled:
    """Return an expression as numbers times an array."""
    if not expr.axes:
        return Scaled(ONE) if expr == ONE else Scaled(ONE, (expr,))
    if not isinstance(expr, Apply):
        return Scaled(expr)
    parts = [scaled(arg, known) for arg in expr.args]
    match expr.function, parts:
        case "multiply", _:
            values = [part.value for part in parts if part.value != ONE]
            above = tuple(n for part in parts for n in part.above)
            below = tuple(n for part in parts for n in part.below)
            return Scaled(product(values), above, below)
        case "divide", [top, bottom]:
            value = top.value
            if bottom.value != ONE:
                value = Apply("divide", (top.value, bottom.value))
            return Scaled(value, top.above + bottom.below, top.below + bottom.above)
        case "sqrt", [part] if (evaluated(part.factor, known) or 0.0) > 0:
            root = () if part.factor == ONE else (Apply("sqrt", (part.factor,)),)
            return Scaled(Apply("sqrt", (part.value,)), root)
        case "add", [array, number] | [number, array] if number.value == ONE != array.value:
            if all(evaluated(n, known) for n in array.above):  # never zero
                shift = quotient(number.above + array.below, number.below + array.above)
                return Scaled(Apply("add", (array.value, shift)), array.above, array.below)
    return Scaled(Apply(expr.function, tuple(part.whole for part in parts)))


def product(factors: Sequence[Expr]) -> Expr:
    if len(factors) < 2:
        return factors[0] if factors else ONE
    return Apply("multiply", tuple(factors))


def quotient(above: Sequence[Expr], below: Sequence[Expr]) -> Expr:
    return Apply("divide", (product(above), product(below))) if below else product(above)


# ---------------------------------------------------------------- what is known beforehand


def constants(update: Update) -> Mapping[str, float]:
    """Return the numbers that are the same at every step; the learning rate isn't."""
    return {c.name: c.value for c in update.constants if c.name != "lr"}


def evaluated(expr: Expr, known: Mapping[str, float]) -> float | None:
    """Return a number's value, or None where it isn't known before training."""
    match expr:
        case Number(value):
            return float(value)
        case Read(name, ()):
            return known.get(name)
        case Apply(function, args) if function in MEANING:
            values = [evaluated(arg, known) for arg in args]
            numbers = [value for value in values if value is not None]
            return MEANING[function](numbers) if len(numbers) == len(values) else None
    return None


def _ratio(values: Sequence[float]) -> float | None:
    return values[0] / values[1] if values[1] else None


def _root(values: Sequence[float]) -> float | None:
    return math.sqrt(values[0]) if values[0] >= 0 else None


MEANING: Mapping[str, Callable[[Sequence[float]], float | None]] = {
    "add": sum,
    "subtract": lambda values: values[0] - values[1],
    "multiply": math.prod,
    "divide": _ratio,
    "sqrt": _root,
}
