"""What all printers of formulas share: which node is written how, in `notation`'s order.

A printer says how a fraction, a root or a sum looks; this file alone says which of them an
expression is. What is new to it is written as a function of its arguments.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from sympy import Add, Expr, Indexed, Integer, Mul, Pow, Rational, Symbol, pi

from symback import functions as fn
from symback.notation import Binds, in_order, is_short, over

T = TypeVar("T")


class Writer(ABC, Generic[T]):
    """Writes expressions in one set of letters: `names` letter → tensor, `sizes` |n| → N,
    `adjoints` dz1 → z1.
    """

    plus = " + "
    minus = " − "
    times = "·"

    def __init__(
        self, names: Mapping[str, str], sizes: Mapping[str, str], adjoints: Mapping[str, str]
    ) -> None:
        self.names = names
        self.sizes = sizes
        self.adjoints = adjoints

    # ------------------------------------------------------------ how things look

    @abstractmethod
    def row(self, *parts: "T | str") -> T:
        """Return parts beside each other."""

    @abstractmethod
    def tensor(self, name: str, indices: Sequence[T]) -> T:
        """Return an element of a tensor, ∂L/∂z[n,o] where it is an adjoint."""

    @abstractmethod
    def index(self, name: str) -> T:
        """Return an index."""

    @abstractmethod
    def size(self, shown: str) -> T:
        """Return how many values an index takes."""

    @abstractmethod
    def number(self, value: Rational) -> tuple[T, Binds]:
        """Return a number."""

    @abstractmethod
    def fraction(self, above: T, below: T) -> T:
        """Return above over below."""

    @abstractmethod
    def enclosed(self, inside: T, sides: str = "()") -> T:
        """Return the inside between parentheses, brackets or bars."""

    @abstractmethod
    def raised(self, base: T, exponent: T) -> T:
        """Return a power."""

    @abstractmethod
    def root(self, inside: T) -> T:
        """Return a square root."""

    @abstractmethod
    def big(self, word: str, bound: Sequence[T]) -> T:
        """Return the sign of a reduction (sum, prod, max …) over its letters."""

    @abstractmethod
    def word(self, word: str) -> T:
        """Return a function's name."""

    @abstractmethod
    def delta(self, indices: Sequence[T]) -> T:
        """Return Kronecker's delta."""

    @abstractmethod
    def cases(self, yes: T, condition: T, no: T) -> T:
        """Return a branch: `yes` where the condition holds, else `no`."""

    # ------------------------------------------------------------ what is written

    def write(self, expr: Expr) -> T:
        """Return an expression."""
        return self._shown(expr)[0]

    def within(self, expr: Expr, least: Binds) -> T:
        """Return an expression, in parentheses where it binds more loosely than that."""
        shown, binds = self._shown(expr)
        return shown if binds >= least else self.enclosed(shown)

    def _shown(self, expr: Expr) -> tuple[T, Binds]:
        match expr:
            case Rational():
                return self.number(expr)
            case Indexed():
                return self._tensor(str(expr.base.label), expr.indices), Binds.ATOM
            case fn.Index():
                return self.index(expr.name), Binds.ATOM
            case Symbol():
                return self._tensor(expr.name, ()), Binds.ATOM
            case fn.Size():
                bars = f"|{expr.range}|"
                return self.size(self.sizes.get(bars) or bars), Binds.ATOM
            case Add():
                return self.added([(self, expr)]), Binds.SUM
            case Mul():
                return self._product(expr)
            case Pow():
                return self._power(expr)
            case fn.Flat():
                return self.enclosed(self._listed(expr.args, ",")), Binds.ATOM
            case fn.Delta():
                return self.delta([self.write(arg) for arg in expr.args]), Binds.ATOM
            case fn.Slope():
                above, below = (self.write(arg) for arg in expr.args)
                return self.fraction(self.row("∂", above), self.row("∂", below)), Binds.ATOM
            case fn.Reduction():
                return self._reduction(expr)
            case fn.Elementwise():
                return self._function(expr)
        if expr is pi:
            return self.row("π"), Binds.ATOM
        return self.called(str(getattr(expr, "word", type(expr).__name__.lower())), expr.args)

    def _tensor(self, letter: str, indices: Sequence[Expr]) -> T:
        name = self.names.get(letter, letter)
        return self.tensor(name, [self.write(part) for part in indices])

    def _listed(self, parts: Sequence[Expr], between: str = ", ") -> T:
        shown: list[T | str] = []
        for part in parts:
            shown += [between, self.write(part)] if shown else [self.write(part)]
        return self.row(*shown)

    def added(self, terms: "Iterable[tuple[Writer[T], Expr]]") -> T:
        """Return sums, each in the letters of its own writer, added up: a + b − c."""
        shown: list[T | str] = []
        for writer, expr in terms:
            added, taken = in_order(expr)
            for term in added:
                shown += [self.plus] if shown else []
                shown.append(writer.within(term, Binds.SUM))
            for term in taken:
                shown.append(self.minus if shown else self.minus.strip())
                shown.append(writer.within(term, Binds.PRODUCT))
        return self.row(*shown)

    def _product(self, expr: Expr) -> tuple[T, Binds]:
        value, above, below = over(expr)
        negative, value = value < 0, abs(value)
        if not is_short(value):
            below = [Integer(value.q), *below]
            value = Integer(value.p)
        if value != 1 or not above:
            above = [value, *above]
        shown = self._factors(above)
        if below:
            shown = self.fraction(shown, self._factors(below))
        if negative:
            return self.row(self.minus.strip(), shown), Binds.SUM
        return shown, Binds.PRODUCT

    def _factors(self, parts: Sequence[Expr]) -> T:
        if len(parts) == 1:
            return self.write(parts[0])
        shown: list[T | str] = []
        for part in parts[:-1]:
            shown += [self.within(part, Binds.POWER), self.times]
        summed = isinstance(parts[-1], fn.SumOver)  # a sum at the end needs no parentheses
        return self.row(*shown, self.within(parts[-1], Binds.SUM if summed else Binds.POWER))

    def _power(self, expr: Expr) -> tuple[T, Binds]:
        base, exponent = expr.args
        if exponent.is_Integer and exponent < 0:
            return self.fraction(self.row("1"), self.write(base ** (-exponent))), Binds.PRODUCT
        return self.raised(self.within(base, Binds.ATOM), self.write(exponent)), Binds.POWER

    def _reduction(self, expr: fn.Reduction) -> tuple[T, Binds]:
        sign = self.big(expr.word, [self.write(letter) for letter in expr.bound])
        if isinstance(expr, fn.SumOver | fn.ProdOver):
            return self.row(sign, self.within(expr.body, Binds.PRODUCT)), Binds.PRODUCT
        return self.row(sign, self.enclosed(self.write(expr.body))), Binds.ATOM

    def _function(self, expr: fn.Elementwise) -> tuple[T, Binds]:
        if type(expr) in fn.COMPARISONS:
            return self.enclosed(self.compared(expr), "[]"), Binds.ATOM
        match expr:
            case fn.where():
                condition, yes, no = expr.args
                if type(condition) in fn.COMPARISONS:
                    if (yes, no) == (1, 0):  # the comparison itself
                        return self._function(condition)
                    tested = self.compared(condition)
                elif isinstance(condition, Symbol):  # a truth, such as training
                    tested = self.write(condition)
                else:
                    tested = self.row(self.write(condition), " ≠ 0")
                return self.cases(self.write(yes), tested, self.write(no)), Binds.SUM
            case fn.abs_():
                return self.enclosed(self.write(expr.args[0]), "||"), Binds.ATOM
            case fn.sqrt():
                return self.root(self.write(expr.args[0])), Binds.ATOM
            case fn.power():
                base = self.within(expr.args[0], Binds.ATOM)
                return self.raised(base, self.write(expr.args[1])), Binds.POWER
        return self.called(expr.word, expr.args)

    def called(self, word: str, args: Sequence[Expr]) -> tuple[T, Binds]:
        """Return a function of its arguments."""
        return self.row(self.word(word), self.enclosed(self._listed(args))), Binds.ATOM

    def compared(self, expr: Expr) -> T:
        """Return a comparison, bare."""
        first, second = (self.write(arg) for arg in expr.args)
        return self.row(first, f" {fn.COMPARISONS[type(expr)]} ", second)
