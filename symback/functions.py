"""The vocabulary of formulas, as SymPy functions that never evaluate themselves.

Every elementwise function states its derivative; every reduction binds indices. SymPy's own `exp`,
`Max` or `Sum` rewrite what they are given (products of exponentials merge, a maximum of 32 terms
takes seconds): these stay as written, so the emitted code computes what the formula says.
"""

import math
from collections.abc import Callable, Mapping
from typing import ClassVar

from sympy import Expr, Function, Indexed, Integer, Rational, S, Symbol, pi


class Elementwise(Function):
    """A function applied to each element. `slopes[k]` is its derivative by argument k."""

    word: ClassVar[str]
    slopes: ClassVar[tuple[Callable[..., Expr], ...]]
    number: ClassVar[Callable[..., float]]
    kink: ClassVar[str]

    def fdiff(self, argindex: int = 1) -> Expr:
        """Return ∂f/∂(argument `argindex`, from 1)."""
        return self.slopes[argindex - 1](*self.args)


ELEMENTWISE: dict[str, type[Elementwise]] = {}


def elementwise(
    word: str, number: Callable[..., float], *slopes: Callable[..., Expr], kink: str = ""
) -> type[Elementwise]:
    """Define a function: its word, its value at numbers, its derivative by each argument.

    `kink` says where the derivative jumps and what is taken there.
    """
    members = {"word": word, "number": staticmethod(number), "slopes": slopes, "kink": kink}
    made = type(word, (Elementwise,), {**members, "nargs": len(slopes), "__module__": __name__})
    ELEMENTWISE[word] = made
    return made


def _zero(*_: Expr) -> Expr:
    return S.Zero


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _logaddexp(a: float, b: float) -> float:
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


exp: type[Elementwise] = elementwise("exp", math.exp, lambda x: exp(x))
log: type[Elementwise] = elementwise("log", math.log, lambda x: 1 / x)
log1p: type[Elementwise] = elementwise("log1p", math.log1p, lambda x: 1 / (1 + x))
expm1: type[Elementwise] = elementwise("expm1", math.expm1, lambda x: exp(x))
sqrt: type[Elementwise] = elementwise("sqrt", math.sqrt, lambda x: 1 / (2 * sqrt(x)))
power: type[Elementwise] = elementwise(
    "power", math.pow, lambda x, p: p * power(x, p - 1), lambda x, p: power(x, p) * log(x)
)
sin: type[Elementwise] = elementwise("sin", math.sin, lambda x: cos(x))
cos: type[Elementwise] = elementwise("cos", math.cos, lambda x: -sin(x))
tan: type[Elementwise] = elementwise("tan", math.tan, lambda x: 1 + tan(x) ** 2)
asin: type[Elementwise] = elementwise("asin", math.asin, lambda x: 1 / sqrt(1 - x**2))
acos: type[Elementwise] = elementwise("acos", math.acos, lambda x: -1 / sqrt(1 - x**2))
atan: type[Elementwise] = elementwise("atan", math.atan, lambda x: 1 / (1 + x**2))
sinh: type[Elementwise] = elementwise("sinh", math.sinh, lambda x: cosh(x))
cosh: type[Elementwise] = elementwise("cosh", math.cosh, lambda x: sinh(x))
tanh: type[Elementwise] = elementwise("tanh", math.tanh, lambda x: 1 - tanh(x) ** 2)
sigmoid: type[Elementwise] = elementwise(
    "sigmoid", _sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))
)
softplus: type[Elementwise] = elementwise("softplus", _softplus, lambda x: sigmoid(x))
log_sigmoid: type[Elementwise] = elementwise(
    "log_sigmoid", lambda x: -_softplus(-x), lambda x: sigmoid(-x)
)
logaddexp: type[Elementwise] = elementwise(
    "logaddexp", _logaddexp, lambda a, b: sigmoid(a - b), lambda a, b: sigmoid(b - a)
)
tanhshrink: type[Elementwise] = elementwise(
    "tanhshrink", lambda x: x - math.tanh(x), lambda x: tanh(x) ** 2
)
erf: type[Elementwise] = elementwise("erf", math.erf, lambda x: 2 / sqrt(pi) * exp(-(x**2)))
erfc: type[Elementwise] = elementwise("erfc", math.erfc, lambda x: -2 / sqrt(pi) * exp(-(x**2)))

abs_: type[Elementwise] = elementwise("abs", abs, lambda x: sign(x), kink="abs at 0: slope 0")
sign: type[Elementwise] = elementwise("sign", lambda x: float((x > 0) - (x < 0)), _zero)
floor: type[Elementwise] = elementwise("floor", math.floor, _zero)
detach: type[Elementwise] = elementwise(
    "detach", lambda x: x, _zero, kink="detach: nothing flows back, by definition"
)
relu: type[Elementwise] = elementwise(
    "relu", lambda x: max(x, 0.0), lambda x: gt(x, 0), kink="relu at 0: slope 0"
)
maximum: type[Elementwise] = elementwise(
    "maximum",
    max,
    lambda a, b: gt(a, b) + eq(a, b) / 2,
    lambda a, b: lt(a, b) + eq(a, b) / 2,
    kink="maximum at a tie: half the slope to each",
)
minimum: type[Elementwise] = elementwise(
    "minimum",
    min,
    lambda a, b: lt(a, b) + eq(a, b) / 2,
    lambda a, b: gt(a, b) + eq(a, b) / 2,
    kink="minimum at a tie: half the slope to each",
)

# Comparisons are numbers, 1 or 0 (Iverson's bracket), with derivative 0.
gt: type[Elementwise] = elementwise("gt", lambda a, b: float(a > b), _zero, _zero)
ge: type[Elementwise] = elementwise("ge", lambda a, b: float(a >= b), _zero, _zero)
lt: type[Elementwise] = elementwise("lt", lambda a, b: float(a < b), _zero, _zero)
le: type[Elementwise] = elementwise("le", lambda a, b: float(a <= b), _zero, _zero)
eq: type[Elementwise] = elementwise("eq", lambda a, b: float(a == b), _zero, _zero)
ne: type[Elementwise] = elementwise("ne", lambda a, b: float(a != b), _zero, _zero)

where: type[Elementwise] = elementwise(
    "where",
    lambda c, a, b: a if c else b,
    _zero,
    lambda c, a, b: where(c, 1, 0),
    lambda c, a, b: where(c, 0, 1),
)

COMPARISONS: Mapping[type[Elementwise], str] = {
    gt: ">",
    ge: "≥",
    lt: "<",
    le: "≤",
    eq: "=",
    ne: "≠",
}


class Index(Symbol):
    """An index: a letter, and the range it runs over.

    The range is named after a tensor's axis, "W:1", or after the letter itself while no axis is
    known. Two indices of one range take as many values, whatever their letters; a letter means one
    range within a formula, but `sum(v[k], k) + sum(W[k, i], k, i)` has two indices called k.
    """

    __slots__ = ("range",)
    range: str

    def __new__(cls, name: str, range: str = "") -> "Index":
        made: Index = Symbol.__xnew__(cls, name, integer=True)
        made.range = range or name
        return made

    def _hashable_content(self) -> tuple[object, ...]:
        return (*super()._hashable_content(), self.range)

    def __getnewargs_ex__(self) -> tuple[tuple[str, str], dict[str, bool]]:
        return (self.name, self.range), {}

    def called(self, name: str) -> "Index":
        """Return an index of the same range with another letter."""
        return self if name == self.name else Index(name, self.range)


class Delta(Function):
    """Kronecker's δ(i, j): 1 where both indices are the same, else 0.

    SymPy's own asks whether i − j is zero, which for i = 2·k − l + 1 may never be answered.
    """

    nargs = 2

    @classmethod
    def eval(cls, i: Expr, j: Expr) -> Expr | None:
        """Return 1 for equal indices, 0 for different numbers; else put them in order."""
        if i == j:
            return S.One
        if i.is_Integer and j.is_Integer:
            return S.Zero
        first, second = sorted((i, j), key=str)
        return None if first == i else cls(first, second)

    def fdiff(self, argindex: int = 1) -> Expr:
        """Return 0: nothing is differentiated by an index."""
        return S.Zero


class Access(Indexed):
    """A tensor at its indices, x[n, i]. Its derivative by another access is a product of deltas."""

    def _eval_derivative(self, by: Expr) -> Expr:
        if not isinstance(by, Indexed) or by.base != self.base:
            return S.Zero
        made: Expr = S.One
        for here, there in zip(self.indices, by.indices, strict=True):
            made = made * Delta(here, there)
        return made


class Size(Function):
    """How many values an index takes: `size(n)` is the number of examples.

    Its argument is only the range's name, no index: renaming indices leaves sizes alone.
    """

    nargs = 1

    @property
    def free_symbols(self) -> set[Expr]:
        """Nothing: a size doesn't depend on where its index stands."""
        return set()

    @property
    def range(self) -> str:
        """The name of the range."""
        return str(self.args[0].name)

    def fdiff(self, argindex: int = 1) -> Expr:
        """Return 0: a size is a constant."""
        return S.Zero


def size(letter: Index) -> Expr:
    """Return how many values the index takes."""
    return Size(Symbol(letter.range))


class Flat(Function):
    """Several indices joined row-major into one: `Flat(i, j)` runs over all pairs."""


class Blank(Function):
    """0 along all indices of its argument: a part of an array where nothing is."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Expr:
        """Return 0."""
        return S.Zero


class Slope(Function):
    """∂a/∂b, not worked out: how a step of the chain rule is written down."""

    nargs = 2


class Partial(Expr):
    """∂body/∂at as it stands in a formula, d(u[n], x[n, 0]): graph.derivatives works it out."""

    is_commutative = True

    @property
    def body(self) -> Expr:
        """What is differentiated."""
        return self.args[0]

    @property
    def at(self) -> Expr:
        """The element that it is differentiated by."""
        return self.args[1]


class Reduction(Expr):
    """Some function of all values of `body` as the `bound` indices run through their ranges."""

    word: ClassVar[str]
    kink: ClassVar[str] = ""
    is_commutative = True

    def __new__(cls, body: Expr, *bound: Index) -> "Reduction":
        made: Reduction = Expr.__new__(cls, body, *bound)
        return made

    @property
    def body(self) -> Expr:
        """The expression reduced."""
        return self.args[0]

    @property
    def bound(self) -> tuple[Index, ...]:
        """The indices that run."""
        return tuple(self.args[1:])

    @property
    def free_symbols(self) -> set[Expr]:
        """Everything the value depends on: a bound index isn't among it."""
        return set(self.body.free_symbols) - set(self.bound)

    def _eval_derivative(self, by: Expr) -> Expr:
        slope = self.body.diff(by)
        return S.Zero if slope == 0 else self.differential(slope)

    def differential(self, slope: Expr) -> Expr:
        """Return the derivative, where `slope` is the body's (still under the bound indices)."""
        raise NotImplementedError


class SumOver(Reduction):
    """Σ body."""

    word = "sum"

    def differential(self, slope: Expr) -> Expr:
        return SumOver(slope, *self.bound)


class MaxOver(Reduction):
    """The largest value; its slope is shared evenly among ties (torch.amax)."""

    word = "max"
    kink = "max at a tie: the slope shared evenly"

    def differential(self, slope: Expr) -> Expr:
        chosen = eq(self.body, self)
        return SumOver(chosen * slope, *self.bound) / SumOver(chosen, *self.bound)


class MinOver(MaxOver):
    """The smallest value; its slope is shared evenly among ties (torch.amin)."""

    word = "min"
    kink = "min at a tie: the slope shared evenly"


class ProdOver(Reduction):
    """Π body. Its slope leaves one factor out at a time, so a factor of zero is no exception."""

    word = "prod"

    def differential(self, slope: Expr) -> Expr:
        chosen = tuple(index.called(f"{index.name}'") for index in self.bound)
        swap = dict(zip(self.bound, chosen, strict=True))
        apart = S.Zero
        for index, other in swap.items():
            apart = apart + ne(index, other)
        others = ProdOver(where(apart, self.body, 1), *self.bound)
        return SumOver(others * slope.xreplace(swap), *chosen)


class LogSumExp(Reduction):
    """log Σ exp(body)."""

    word = "logsumexp"

    def differential(self, slope: Expr) -> Expr:
        return SumOver(SoftMax(self.body, *self.bound) * slope, *self.bound)


class ArgMax(Reduction):
    """Where the largest value stands (the first of several). Not differentiated."""

    word = "argmax"

    def differential(self, slope: Expr) -> Expr:
        return S.Zero


class ArgMin(ArgMax):
    """Where the smallest value stands (the first of several). Not differentiated."""

    word = "argmin"


class Along(Reduction):
    """A value for each index of the axes run over: these indices stay free outside."""

    @property
    def free_symbols(self) -> set[Expr]:
        return set(self.body.free_symbols)


class Soft(Along):
    """A softmax or its logarithm: stable.spelled_out says how they are computed."""


class SoftMax(Soft):
    """exp(body) / Σ exp(body)."""

    word = "softmax"

    def differential(self, slope: Expr) -> Expr:
        return self * (slope - SumOver(self * slope, *self.bound))


class LogSoftMax(Soft):
    """body − log Σ exp(body)."""

    word = "log_softmax"

    def differential(self, slope: Expr) -> Expr:
        return slope - SumOver(SoftMax(self.body, *self.bound) * slope, *self.bound)


class OfMatrix(Reduction):
    """A function of the square matrix that `body` is along two indices, its rows' and columns'.

    The derivatives: Giles 2008, An extended collection of matrix derivative results.
    """

    @property
    def inverse(self) -> Expr:
        """A⁻¹[i, j]."""
        return InverseOf(self.body, *self.bound)

    def at(self, expr: Expr, row: Expr, column: Expr) -> Expr:
        """Return an expression in the indices of the matrix at another place."""
        return expr.xreplace(dict(zip(self.bound, (row, column), strict=True)))

    @property
    def others(self) -> tuple[Index, Index]:
        """Two more indices, as those of the rows and of the columns."""
        i, j = self.bound
        return i.called(f"{i.name}'"), j.called(f"{j.name}'")


class InverseOf(OfMatrix, Along):
    """The inverse matrix, element by element: dA⁻¹ = −A⁻¹·dA·A⁻¹."""

    word = "inv"

    def differential(self, slope: Expr) -> Expr:
        (i, j), (k, l) = self.bound, self.others
        left, right = self.at(self, i, k), self.at(self, l, j)
        return -SumOver(left * self.at(slope, k, l) * right, k, l)


class DeterminantOf(OfMatrix):
    """det A: d det A = det A·tr(A⁻¹·dA)."""

    word = "det"

    def differential(self, slope: Expr) -> Expr:
        i, j = self.bound
        return self * SumOver(self.at(self.inverse, j, i) * slope, i, j)


class LogDeterminantOf(OfMatrix):
    """log det A, NaN where det A < 0 (torch.logdet): d log det A = tr(A⁻¹·dA)."""

    word = "logdet"

    def differential(self, slope: Expr) -> Expr:
        i, j = self.bound
        return SumOver(self.at(self.inverse, j, i) * slope, i, j)


class CholeskyOf(OfMatrix, Along):
    """The lower triangular L with L·Lᵀ = (A + Aᵀ)/2.

    dL = L·Φ(L⁻¹·dA·L⁻ᵀ), where Φ keeps what is below the diagonal and half of what is on it.
    """

    word = "cholesky"

    def differential(self, slope: Expr) -> Expr:
        (i, j), (k, m) = self.bound, self.others
        q = m.called(f"{m.name}'")
        lower = InverseOf(self, i, j)
        both = (self.at(slope, m, q) + self.at(slope, q, m)) / 2
        inner = SumOver(self.at(lower, k, m) * both * self.at(lower, j, q), m, q)
        return SumOver(self.at(self, i, k) * (gt(k, j) + eq(k, j) / 2) * inner, k)


REDUCTIONS: Mapping[str, type[Reduction]] = {
    made.word: made
    for made in (
        InverseOf,
        DeterminantOf,
        LogDeterminantOf,
        CholeskyOf,
        SumOver,
        MaxOver,
        MinOver,
        ProdOver,
        LogSumExp,
        ArgMax,
        ArgMin,
        SoftMax,
        LogSoftMax,
    )
}


def mean(body: Expr, *bound: Index) -> Expr:
    """Return Σ body / how many."""
    count: Expr = Integer(1)
    for index in bound:
        count = count * size(index)
    return SumOver(body, *bound) / count


def number(value: float) -> Rational:
    """Return a float as the exact rational that its shortest decimal form stands for."""
    return Rational(repr(value)) if isinstance(value, float) else Integer(value)
