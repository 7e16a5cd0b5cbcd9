"""Where a formula as it was written goes wrong in floating point, and what replaces it.

Each part of a formula that `stable` rewrites is a function f(u) of one number: of its argument, or
of the length along a fixed direction where it has several. f and f′ are computed as written, in
float64 and float32, for u = ±10⁻¹² … ±10⁴, and compared with mpmath, with ever more digits until
they suffice. Where a value is infinite, NaN, or has lost more than half its digits (an error above
2^(−p/2), p = 53 or 24), the form fails; the border is then found by bisection.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import mpmath
import numpy as np
from sympy import Add, Expr, Indexed, Integer, Mul, Pow, Rational, Symbol, pi
from sympy.core.parameters import distribute

from symback import functions as fn
from symback import index as ix
from symback import notation, stable
from symback.graph import Graph, Rewrite, name_of

SIZES = 3  # how many values an index takes here
MAGNITUDES = tuple(float(np.float32(10 ** (k / 3))) for k in range(-36, 13))
DIGITS = (40, 160, 400)  # 400 tell 10⁻³⁰⁸ from what cancels beside 1
LOST = "half the digits lost"
ARGUMENT = Symbol("u", real=True)


@dataclass(frozen=True, slots=True)
class Failure:
    """A range of arguments, low … high, for which a form fails, and how."""

    how: str  # "infinite", "NaN", "half the digits lost"
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.how} for {_range(self.low, self.high)}"


@dataclass(frozen=True, slots=True)
class Form:
    """A formula and its failures: of the value and of the derivative, in either type."""

    text: str
    failures: Mapping[tuple[str, str], tuple[Failure, ...]]  # ("value", "float64") → …


@dataclass(frozen=True, slots=True)
class Site:
    """A part of a formula that is computed in another form than it was written in."""

    layer: str
    argument: str  # what u stands for, in words
    notes: tuple[str, ...]
    written: Form
    computed: Form


def sites(graph: Graph) -> tuple[Site, ...]:
    """Return every part of a network's formulas that is rewritten."""
    found: dict[tuple[str, Expr], Site] = {}
    with distribute(False):
        for rewrite in graph.rewritten:
            for part in parts(rewrite.written):
                key = (rewrite.layer, part)
                if key not in found:
                    found[key] = _site(rewrite, part)
    return tuple(found.values())


def parts(expr: Expr) -> Iterator[Expr]:
    """Yield the smallest parts of an expression that are rewritten as a whole."""
    inner = [arg for arg in expr.args if isinstance(arg, Expr)]
    notes = set(stable.rewritten(expr).notes) if expr.args else set()
    below = {note for arg in inner if arg.args for note in stable.rewritten(arg).notes}
    if notes - below:
        yield expr
    elif notes:
        for arg in inner:
            yield from parts(arg)


def _site(rewrite: Rewrite, part: Expr) -> Site:
    names = dict(rewrite.names)
    inner, better = argument(part), stable.rewritten(part)
    written, computed = _of_one(part, inner), _of_one(better.expr, inner)
    exact = (written, written.diff(ARGUMENT))
    shown = {} if inner is None else {inner: ARGUMENT}
    return Site(
        rewrite.layer,
        _said(part, inner, names),
        better.notes,
        _form(notation.text(part.xreplace(shown), names), written, exact),
        _form(notation.text(better.expr.xreplace(shown), names), computed, exact),
    )


def _of_one(expr: Expr, inner: Expr | None) -> Expr:
    """Return an expression as a function of u: its argument, or a length along a direction."""
    if inner is not None:
        return expr.xreplace({inner: ARGUMENT})
    return expr.xreplace({read: ARGUMENT * read for read in _reads(expr)})


def _reads(expr: Expr) -> tuple[Expr, ...]:
    return (*ix.accesses(expr), *ix.scalars(expr))


def _said(part: Expr, inner: Expr | None, names: Mapping[str, str]) -> str:
    if inner is not None:
        return f"u is {notation.text(inner, names)}"
    read = dict.fromkeys(names.get(name_of(each), name_of(each)) for each in _reads(part))
    return f"{', '.join(read)} is u times a fixed direction"


def argument(part: Expr) -> Expr | None:
    """Return the smallest expression that all of a part is a function of, None where none is."""
    notes = stable.rewritten(part).notes
    found = [each for each in _values(part) if each.has(Indexed) or _free(each)]
    for each in sorted(set(found), key=lambda each: (_size(each), str(each))):
        rest = part.xreplace({each: ARGUMENT})
        alone = not rest.has(Indexed) and not _free(rest) - {ARGUMENT} and not ix.letters(rest)
        if alone and stable.rewritten(rest).notes == notes:
            return each
    return None


def _values(expr: Expr) -> Iterator[Expr]:
    """Yield the parts of an expression that are values."""
    yield expr
    if isinstance(expr, Indexed | fn.Size):
        return
    for arg in expr.args[:1] if isinstance(expr, fn.Reduction) else expr.args:
        if isinstance(arg, Expr):
            yield from _values(arg)


def _free(expr: Expr) -> set[Symbol]:
    return {each for each in expr.free_symbols if isinstance(each, Symbol) and not each.is_integer}


def _size(expr: Expr) -> int:
    return 1 + sum(_size(arg) for arg in expr.args)


# ---------------------------------------------------------------- failures


def _form(text: str, expr: Expr, exact: tuple[Expr, Expr]) -> Form:
    pairs = (("value", expr, exact[0]), ("derivative", expr.diff(ARGUMENT), exact[1]))
    return Form(
        text,
        {
            (what, kind): tuple(_failures(form, kind, partial(_how, form, true, kind)))
            for what, form, true in pairs
            for kind in ("float64", "float32")
        },
    )


def _failures(form: Expr, kind: str, how: Callable[[float], str]) -> Iterator[Failure]:
    """Yield the ranges of arguments where a form fails, from the most negative up.

    `how` says of an argument in which way the form fails there.
    """
    signed = [-size for size in reversed(MAGNITUDES)] + list(MAGNITUDES)
    hows = _joined([how(u) for u in signed])
    place = 0
    for kept, group in itertools.groupby(hows):
        first, last = place, place + len(list(group)) - 1
        place = last + 1
        if not kept:
            continue
        exact = kept != LOST  # NaN and infinity show without a true value
        seen = partial(_shown, form, kind) if exact else how
        low, high = -math.inf, math.inf
        if first > 0:
            low = _border(seen, kept, signed[first], signed[first - 1], 40 if exact else 8)
        if last < len(signed) - 1:
            high = _border(seen, kept, signed[last], signed[last + 1], 40 if exact else 8)
        yield Failure(kept, low, high)


def _joined(hows: list[str]) -> list[str]:
    """Let a point or two between lost digits, right by luck, count as lost."""
    made = list(hows)
    for place in range(1, len(hows) - 1):
        near = hows[place + 1 : place + 3]
        if not hows[place] and made[place - 1] == LOST and LOST in near:
            made[place] = LOST
    return made


def _border(
    how: Callable[[float], str], kept: str, bad: float, good: float, halvings: int
) -> float:
    """Return where a failure begins, between an argument that has it and one that hasn't."""
    for _ in range(halvings if bad * good > 0 else 0):
        middle = math.copysign(math.sqrt(bad * good), bad)
        bad, good = (middle, good) if how(middle) == kept else (bad, middle)
    return bad


def _shown(form: Expr, kind: str, at: float) -> str:
    """Return whether a form's result is NaN or infinite."""
    number: Any = np.float32 if kind == "float32" else np.float64
    got = float(_computed(form, number(at), number))
    return "NaN" if math.isnan(got) else "infinite" if math.isinf(got) else ""


def _how(form: Expr, true: Expr, kind: str, at: float) -> str:
    """Return how a form fails at an argument, "" where it is right."""
    number: Any = np.float32 if kind == "float32" else np.float64
    limits = np.finfo(number)
    u = number(at)
    want = _exact(true, float(u))
    if want is None or abs(want) > float(limits.max):
        return ""
    broken = _shown(form, kind, at)
    if broken:
        return broken
    got = mpmath.mpf(float(_computed(form, u, number)))
    allowed = math.sqrt(float(limits.eps) / 2) * abs(want) + 2 * float(limits.tiny)
    return LOST if abs(got - want) > allowed else ""


# ---------------------------------------------------------------- numbers


@cache
def _exact(expr: Expr, at: float) -> Any:
    """Return the true value, None where there is none: more digits are taken until two agree.

    A zero may be what has cancelled: with the most digits, it is smaller than any float.
    """
    before = None
    for digits in DIGITS:
        with mpmath.workdps(digits):
            try:
                made = evaluated(expr, mpmath.mpf(at), _real, MPMATH)
            except (ZeroDivisionError, ValueError, OverflowError):
                made = None
        if made is not None and made != 0 and before is not None and _agree(made, before):
            return made
        before = made
    return before


def _real(value: Any) -> Any:
    """Return a finite real number; raise ValueError for any other."""
    if isinstance(value, mpmath.mpc) or not mpmath.isfinite(value):
        raise ValueError("no real number")
    return mpmath.mpf(value)


def _agree(first: Any, second: Any) -> bool:
    return bool(abs(first - second) <= abs(first) * mpmath.mpf(10) ** -25)


def _computed(expr: Expr, at: Any, number: Any) -> Any:
    with np.errstate(all="ignore"):
        try:
            return evaluated(expr, at, number, NUMPY)
        except (ZeroDivisionError, OverflowError):
            return math.nan


def _sigmoid(x: Any) -> Any:
    e = np.exp(-abs(x))
    return 1 / (1 + e) if x >= 0 else e / (1 + e)


def _softplus(x: Any) -> Any:
    return max(x, 0.0) + np.log1p(np.exp(-abs(x)))


Table = Mapping[str, Callable[..., Any]]

COMMON: Table = {
    "relu": lambda x: max(x, 0 * x),
    "maximum": max,
    "minimum": min,
    "abs": abs,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "where": lambda c, a, b: a if c else b,
    "detach": lambda x: x,
}
NUMPY: Table = {
    **COMMON,
    **{word: getattr(np, word) for word in "exp log log1p expm1 sqrt power sin cos tan".split()},
    **{word: getattr(np, word) for word in "sinh cosh tanh sign floor".split()},
    **{f"a{word}": getattr(np, f"arc{word}") for word in ("sin", "cos", "tan")},
    "erf": math.erf,
    "erfc": math.erfc,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "log_sigmoid": lambda x: -_softplus(-x),
    "logaddexp": np.logaddexp,
    "tanhshrink": lambda x: x - np.tanh(x),
}
MPMATH: Table = {
    **COMMON,
    **{word: getattr(mpmath, word) for word in "exp log log1p expm1 sqrt power".split()},
    **{word: getattr(mpmath, word) for word in "sin cos tan asin acos atan sinh cosh tanh".split()},
    **{word: getattr(mpmath, word) for word in "sign floor erf erfc".split()},
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "log_sigmoid": lambda x: -mpmath.log1p(mpmath.exp(-x)),
    "logaddexp": lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)),
    "tanhshrink": lambda x: x - mpmath.tanh(x),
}


def evaluated(expr: Expr, u: Any, number: Any, table: Table) -> Any:
    """Return an expression's value at u, each operation rounded to `number`."""
    return _Evaluation(u, number, table).value(expr, {})


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """Computes number by number; tensors hold a fixed direction of length about 1."""

    u: Any
    number: Any
    table: Table

    def value(self, expr: Expr, at: Mapping[Symbol, int]) -> Any:
        return self.number(self.raw(expr, at))

    def raw(self, expr: Expr, at: Mapping[Symbol, int]) -> Any:
        match expr:
            case Integer():
                return int(expr)
            case Rational():
                return self.number(int(expr.p)) / self.number(int(expr.q))
            case Indexed():
                return self.direction(name_of(expr), [at.get(part, 0) for part in expr.indices])
            case Symbol() if expr.is_integer:
                return at.get(expr, 0)
            case Symbol():
                return self.u if expr == ARGUMENT else self.direction(expr.name, ())
            case fn.Size():
                return SIZES
            case Add():
                return self.folded(expr, at, lambda a, b: a + b)
            case Mul():
                return self.folded(expr, at, lambda a, b: a * b)
            case Pow():
                return self.power(self.value(expr.base, at), expr.exp, at)
            case fn.Reduction():
                return self.reduced(expr, at)
            case fn.Elementwise():
                return self.table[expr.word](*(self.value(arg, at) for arg in expr.args))
        if expr is pi:
            return mpmath.mpf(mpmath.pi) if self.table is MPMATH else math.pi
        raise TypeError(f"no number for {type(expr).__name__}")

    def direction(self, name: str, places: Sequence[int]) -> Any:
        """Return an element of the fixed direction, of magnitude 0.25 … 1 and either sign."""
        seed = sum(map(ord, name)) + 7 * sum((k + 1) * (p + 1) for k, p in enumerate(places))
        return self.number((-1) ** (seed // 2)) * self.number(1 + seed % 4) / self.number(4)

    def folded(self, expr: Expr, at: Mapping[Symbol, int], join: Callable[[Any, Any], Any]) -> Any:
        values = [self.value(arg, at) for arg in expr.args]
        total = values[0]
        for value in values[1:]:
            total = self.number(join(total, value))
        return total

    def power(self, base: Any, exponent: Expr, at: Mapping[Symbol, int]) -> Any:
        """Return aᵏ as the emitted code has it: 1/a² for k = −2."""
        if exponent.is_Integer and exponent < 0:
            return self.number(1) / self.number(base ** int(-exponent))
        if exponent.is_Integer:
            return base ** int(exponent)
        return self.table["power"](base, self.value(exponent, at))

    def reduced(self, expr: fn.Reduction, at: Mapping[Symbol, int]) -> Any:
        """Return a reduction over SIZES values of each index; softmax and its like shifted."""
        runs = [
            {**at, **dict(zip(expr.bound, places, strict=True))}
            for places in itertools.product(range(SIZES), repeat=len(expr.bound))
        ]
        values = [self.value(expr.body, each) for each in runs]
        match expr:
            case fn.SumOver():
                return self.sum(values)
            case fn.ProdOver():
                return self.sum(values, lambda a, b: a * b)
            case fn.MinOver():
                return min(values)
            case fn.MaxOver():
                return max(values)
        top = max(values)
        exp, log = self.table["exp"], self.table["log"]
        total = self.sum([self.number(exp(value - top)) for value in values])
        if isinstance(expr, fn.LogSumExp):
            return top + self.number(log(total))
        own = self.value(expr.body, at) - top
        return exp(own) / total if isinstance(expr, fn.SoftMax) else own - self.number(log(total))

    def sum(
        self, values: Sequence[Any], join: Callable[[Any, Any], Any] = lambda a, b: a + b
    ) -> Any:
        total = values[0]
        for value in values[1:]:
            total = self.number(join(total, value))
        return total


# ---------------------------------------------------------------- words


def page(found: Sequence[Site]) -> str:
    """Return where each formula as written fails, and how what replaces it fares."""
    if not found:
        return "no formula is rewritten: each is computed as it was written\n"
    lines: list[str] = []
    for site in found:
        lines += ["", f"{site.layer}: {site.written.text}, where {site.argument}"]
        lines += [f"    {line}" for line in _told(site.written)]
        lines += [f"  is computed as {site.computed.text}"]
        lines += [f"    {line}" for line in _told(site.computed)]
        lines += [f"  because of {note}" for note in site.notes]
    return "\n".join(lines[1:]) + "\n"


def _told(form: Form) -> Iterator[str]:
    """Yield a line for each of value and derivative, in either type, that fails somewhere."""
    whole = True
    for (what, kind), failures in form.failures.items():
        if failures:
            whole = False
            yield f"{what} in {kind}: {'; '.join(map(str, failures))}"
    if whole:
        yield f"value and derivative keep half their digits, for |u| up to {MAGNITUDES[-1]:g}"


def breaks(graph: Graph) -> Iterator[str]:
    """Yield a line for each formula that is rewritten: where it would fail as it was written.

    Found in float64 alone, beside the form that is computed: quick enough for every generation.
    """
    with distribute(False):
        for rewrite in graph.rewritten:
            names = dict(rewrite.names)
            for part in dict.fromkeys(parts(rewrite.written)):
                inner, better = argument(part), stable.rewritten(part).expr
                forms = (_of_one(part, inner), _of_one(better, inner))
                slopes = (forms[0].diff(ARGUMENT), forms[1].diff(ARGUMENT))
                said = [*_clauses("its value", *forms), *_clauses("its derivative", *slopes)]
                if said:
                    shown = part if inner is None else part.xreplace({inner: ARGUMENT})
                    text = notation.text(shown, names)
                    clause = _said(part, inner, names)
                    yield f"{rewrite.layer}: {text} as written: {', '.join(said)}, where {clause}"


def _clauses(what: str, written: Expr, computed: Expr) -> Iterator[str]:
    """Yield where a form fails beside another in float64, lost digits only where that is all."""
    found = [*_failures(written, "float64", partial(_beside, written, computed))]
    worse = [failure for failure in found if failure.how != LOST]
    if found:
        yield f"{what} {'; '.join(map(str, worse or found))}"


def _beside(written: Expr, computed: Expr, at: float) -> str:
    """Return how a form fails where another one, in float64 too, doesn't."""
    if _shown(computed, "float64", at):
        return ""
    broken = _shown(written, "float64", at)
    if broken:
        return broken
    got, want = (float(_computed(form, np.float64(at), np.float64)) for form in (written, computed))
    limits = np.finfo(np.float64)
    allowed = math.sqrt(float(limits.eps) / 2) * abs(want) + 2 * float(limits.tiny)
    return LOST if abs(got - want) > allowed else ""


def _range(low: float, high: float) -> str:
    if low == -math.inf:
        return "every u" if high == math.inf else f"u ≤ {_number(high)}"
    if high == math.inf:
        return f"u ≥ {_number(low)}"
    if low < 0 < high:
        size = max(-low, high)
        return (
            f"|u| ≤ {_number(size)}"
            if abs(low + high) < size / 4
            else (f"{_number(low)} ≤ u ≤ {_number(high)}")
        )
    if high < 0 and high > -MAGNITUDES[0] * 1.01:
        return f"{_number(low)} ≤ u < 0"
    if low > 0 and low < MAGNITUDES[0] * 1.01:
        return f"0 < u ≤ {_number(high)}"
    return f"{_number(low)} ≤ u ≤ {_number(high)}"


def _number(value: float) -> str:
    shown = f"{abs(value):.4g}"
    return f"−{shown}" if value < 0 else shown


def document(found: Sequence[Site]) -> list[dict[str, Any]]:
    """Return the sites as what JSON holds; an open end is null."""

    def shown(form: Form) -> dict[str, Any]:
        return {
            "formula": form.text,
            "failures": [
                {
                    "of": what,
                    "type": kind,
                    "how": each.how,
                    "from": each.low if math.isfinite(each.low) else None,
                    "to": each.high if math.isfinite(each.high) else None,
                }
                for (what, kind), failures in form.failures.items()
                for each in failures
            ],
        }

    return [
        {
            "layer": site.layer,
            "argument": site.argument,
            "because": list(site.notes),
            "written": shown(site.written),
            "computed": shown(site.computed),
        }
        for site in found
    ]
