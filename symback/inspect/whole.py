"""A gradient as one formula: every derivative on its way put in its place.

Each bound index gets a letter of its own, so that no two sums of one formula share one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sympy import Add, Expr, Indexed, Integer, Symbol

from symback import functions as fn
from symback import index as ix
from symback.formula import tensor
from symback.functions import Index
from symback.graph import name_of, subscripts
from symback.inspect.story import Formula, Part, Story

LETTERS = "ijklmopqrsuvabcdefgh"
PRIME = "'"
LARGEST = 180  # parts of a formula that a person would still read


@dataclass(frozen=True, slots=True)
class Form:
    """A formula, and its letters with how many values each takes."""

    rhs: Expr
    ranges: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """A gradient in one formula; `opened` down to inputs and parameters, None where too large."""

    formula: Formula
    target: Expr
    form: Form
    opened: Form | None


def wholes(story: Story) -> tuple[Whole, ...]:
    """Return the gradients that are small enough to be read as one formula."""
    gradients = {name for _, name in story.gradients}
    backward = {formula.name: formula for formula in story.backward}
    everything = backward | {f.name: f for f in (*story.forward, *story.loss)}
    made = []
    for formula in story.backward:
        if formula.name in gradients and _opens(formula, backward):
            target, form = _Opening(backward).gradient(formula)
            _, opened = _Opening(everything).gradient(formula)
            if form is not None:
                made.append(Whole(formula, target, form, opened if opened != form else None))
    return tuple(made)


def _opens(formula: Formula, known: Mapping[str, Formula]) -> bool:
    """Say whether there is something to put in."""
    return any(name in known for part in formula.parts for name in part.names.values())


class _TooLarge(Exception):
    """The formula has more parts than a person reads."""


class _Opening:
    """Puts definitions in the place of names, with letters of its own for every sum."""

    def __init__(self, known: Mapping[str, Formula]) -> None:
        self.known = known
        self.sizes: dict[Index, str] = {}  # letter → how many values it takes
        self.nodes = 0

    def gradient(self, formula: Formula) -> tuple[Expr, Form | None]:
        """Return the gradient's element, and all of its formula; None where it gets too large."""
        free = [self.letter(part, formula.parts[0]) for part in subscripts(formula.parts[0].target)]
        try:
            rhs = self.definition(formula, free)
            plain = self.plain(rhs)
        except _TooLarge:
            return formula.parts[0].target, None
        ranges = tuple((new.name, self.sizes[old]) for old, new in plain.items())
        element = tensor(formula.name, *free).xreplace(plain)
        return element, Form(rhs.xreplace(plain), ranges)

    def letter(self, old: Index, part: Part) -> Index:
        """Return a letter that stands nowhere else, with the range of an old one."""
        new = Index(f"{old.name}#{len(self.sizes)}")
        self.sizes[new] = part.sizes.get(f"|{old.range}|", "")
        return new

    def plain(self, rhs: Expr) -> dict[Index, Index]:
        """Return a single letter for each, in order; examples are n, those within a sum n'."""
        letters, examples = iter(LETTERS), (f"n{PRIME * k}" for k in range(9))
        used = ix.letters(rhs)
        plain: dict[Index, Index] = {}
        for old, size in self.sizes.items():
            if old in used:
                name = next(examples if size == "N" else letters, None)
                if name is None:
                    raise _TooLarge
                plain[old] = Index(name)
        return plain

    def definition(self, formula: Formula, at: Sequence[Expr]) -> Expr:
        """Return the value of a tensor's element, its own names replaced in turn."""
        return Add(*(self.term(part, at) for part in formula.parts))

    def term(self, part: Part, at: Sequence[Expr]) -> Expr:
        free = dict(zip(subscripts(part.target), at, strict=True))
        return self.put(self.fresh(part.rhs, part), part, free)

    def fresh(self, expr: Expr, part: Part) -> Expr:
        """Return the expression with a new letter for every bound index, sizes as what they are."""
        if isinstance(expr, fn.Size):
            shown = part.sizes.get(f"|{expr.range}|", expr.range)
            return Integer(shown) if shown.isdigit() else Symbol(shown)
        if isinstance(expr, fn.Reduction) and not isinstance(expr, fn.Along):
            swap = {letter: self.letter(letter, part) for letter in expr.bound}
            body = ix.substitute(self.fresh(expr.body, part), swap)
            return expr.func(body, *swap.values())
        if isinstance(expr, Indexed) or not expr.args:
            return expr
        return expr.func(*(self.fresh(arg, part) for arg in expr.args))

    def put(self, expr: Expr, part: Part, free: Mapping[Expr, Expr]) -> Expr:
        """Return the expression at these indices, in the tensors' own names."""
        self.nodes += 1
        if self.nodes > LARGEST:
            raise _TooLarge
        if isinstance(expr, Indexed) or (isinstance(expr, Symbol) and not isinstance(expr, Index)):
            name = part.names.get(name_of(expr), name_of(expr))
            at = [ix.substitute(index, free) for index in subscripts(expr)]
            if name in self.known:
                return self.definition(self.known[name], at)
            return tensor(name, *at)
        if not expr.args:
            return free.get(expr, expr)
        return expr.func(*(self.put(arg, part, free) for arg in expr.args))
