"""Seams: each sum inside something curved becomes an equation of its own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from sympy import Add, Expr, Indexed

from symback import formula, matching
from symback import functions as fn
from symback import index as ix
from symback.graph.types import Equation, name_of, reads, subscripts
from symback.naming import word_for


@lru_cache(maxsize=4096)
def seams(
    equation: Equation, constants: frozenset[str], known: frozenset[str] = frozenset()
) -> tuple[Equation, ...]:
    """Give every sum that stands inside something curved an equation of its own.

    h = sin(Σ_i W·x + b) becomes z = Σ_i W·x + b and h = sin(z), so that ∂L/∂z is computed once
    for W, x and b. A reduction in a straight place (a term of a sum, or times constants) stays.
    `constants` are the letters that no parameter changes, `known` those that mean something else.
    """
    taken = {name_of(read) for read in reads(equation.rhs)} | {equation.name, *known}
    splitter = _Splitter(constants, taken, equation)
    rhs = splitter.straight(equation.rhs)
    return (*splitter.made, Equation(equation.target, rhs))


def steady(
    equation: Equation, stepped: frozenset[str], known: frozenset[str]
) -> tuple[Equation, tuple[Equation, ...]]:
    """Take the sums out of a recurrence's equation that don't wait for earlier steps.

    z[t] = Σ U·h[t−1] + Σ W·x[t] + b becomes u[t] = Σ W·x[t] + b, one product for all steps, and
    z[t] = Σ U·h[t−1] + u[t]. `stepped` are the letters that are computed step by step.
    """
    terms = Add.make_args(equation.rhs)
    waiting = [t for t in terms if stepped & {name_of(read) for read in reads(t)}]
    ready = [term for term in terms if term not in waiting]
    if not waiting or not any(term.has(fn.SumOver) for term in ready):
        return equation, ()
    taken = {name_of(read) for read in reads(equation.rhs)} | {equation.name, *known, *stepped}
    letters = ix.in_reading_order(Add(*ready), subscripts(equation.target))
    word = word_for("u", taken, equation.name.removeprefix("z"))
    target = formula.tensor(word, *letters)
    return Equation(equation.target, Add(*waiting, target)), (Equation(target, Add(*ready)),)


@dataclass(slots=True)
class _Splitter:
    constants: frozenset[str]
    taken: set[str]
    whole: Equation
    made: list[Equation] = field(default_factory=list)

    def straight(self, expr: Expr) -> Expr:
        """Split an expression that stands where its slope is constant."""
        if not expr.has(fn.Reduction):
            return expr
        if expr.is_Add:
            return expr.func(*(self.straight(arg) for arg in expr.args))
        if expr.is_Mul:
            varying = [arg for arg in expr.args if not self.is_constant(arg)]
            if len(varying) <= 1:
                return ix.product(
                    self.straight(arg) if arg in varying else self.curved(arg, top=False)
                    for arg in expr.args
                )
            return ix.product(self.curved(arg, top=True) for arg in expr.args)
        if isinstance(expr, fn.SumOver):
            return expr.func(self.straight(expr.body), *expr.bound)
        if isinstance(expr, fn.OfMatrix):
            return expr.func(self.matrix(expr), *expr.bound)
        if isinstance(expr, fn.Reduction):
            return expr.func(self.curved(expr.body, top=True), *expr.bound)
        return expr.func(*(self.curved(arg, top=True) for arg in expr.args))

    def curved(self, expr: Expr, *, top: bool) -> Expr:
        """Name what holds a reduction here: all of it where it's the whole argument (`top`)."""
        if not expr.has(fn.Reduction):
            return expr
        if self.is_constant(expr) and not top:
            return self.framed(expr)
        number, rest = expr.as_coeff_Mul()
        inner = self.straight(rest)
        letters = ix.in_reading_order(rest, subscripts(self.whole.target))
        return number * self.named(inner, tuple(letters), lambda: self.word(rest))

    def framed(self, expr: Expr) -> Expr:
        """Return what stays as it is, the matrices of its inverses and their like named."""
        if not expr.has(fn.OfMatrix):
            return expr
        if isinstance(expr, fn.OfMatrix):
            return expr.func(self.matrix(expr), *expr.bound)
        return expr.func(*(self.framed(arg) for arg in expr.args))

    def matrix(self, expr: fn.OfMatrix) -> Expr:
        """Return the body of an inverse or its like as an array with the two indices last."""
        others = [letter for letter in ix.in_reading_order(expr.body) if letter not in expr.bound]
        if isinstance(expr.body, Indexed) and expr.body.indices == (*others, *expr.bound):
            return expr.body
        letters = (*others, *expr.bound)
        return self.named(self.straight(expr.body), letters, lambda: word_for("A", self.taken))

    def named(self, value: Expr, letters: tuple[Expr, ...], word: Callable[[], str]) -> Expr:
        """Return what a value is called at these letters, the same wherever it stands."""
        for known in self.made:
            same = matching.canonical(known.rhs) == matching.canonical(value)
            if same and subscripts(known.target) == letters:
                return known.target
        name = word()
        self.taken.add(name)
        target = formula.tensor(name, *letters)
        self.made.append(Equation(target, value))
        return target

    def word(self, expr: Expr) -> str:
        if isinstance(expr, fn.Reduction):
            return word_for(expr.word, self.taken)
        if expr.is_Mul and all(isinstance(a, fn.SumOver) or a.has(fn.Size) for a in expr.args):
            return word_for("mu", self.taken)
        return word_for("z", self.taken, self.whole.name)

    def is_constant(self, expr: Expr) -> bool:
        return all(name_of(access) in self.constants for access in reads(expr))
