"""Formulas as a person writes them: z1[n,o] = Σ_i x[n,i]·W1[o,i] + b1[o]."""

from collections.abc import Mapping, Sequence
from enum import IntEnum

from sympy import Add, Expr, Indexed, Integer, Mul, Pow, Rational, S, Symbol, pi

from symback import functions as fn
from symback import index as ix

SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


class Binds(IntEnum):
    """How tightly a piece of text holds together, loosest first."""

    SUM = 0
    PRODUCT = 1
    POWER = 2
    ATOM = 3


def in_order(expr: Expr) -> tuple[tuple[Expr, ...], tuple[Expr, ...]]:
    """Return a sum's terms as a person orders them: those added, then those taken away.

    Sums over indices come first and numbers last, but for 1 − a².
    """
    added = [term for term in Add.make_args(expr) if not _is_negative(term)]
    taken = [-term for term in Add.make_args(expr) if _is_negative(term)]
    return tuple(sorted(added, key=_place)), tuple(sorted(taken, key=_place))


def _is_negative(term: Expr) -> bool:
    return bool(term.as_coeff_Mul()[0].is_negative)


def _place(term: Expr) -> tuple[bool, bool, int, bool, str]:
    numeral, summed = bool(term.is_Number), term.has(fn.SumOver)
    return (numeral, not summed, -len(ix.indices(term)), not term.args, str(term))


def factor_order(part: Expr) -> tuple[int, int, str]:
    """Return where a factor stands in a product: adjoints, tensors, functions, comparisons."""
    if isinstance(part, Indexed):
        return (0 if str(part.base.label).startswith("d") else 1, -len(part.indices), str(part))
    if isinstance(part, fn.Size):
        return (0, 0, str(part))
    if isinstance(part, Symbol):  # rates and decays stand before g and m
        return (1 if len(part.name) > 1 else 3, -len(part.name), part.name)
    if isinstance(part, tuple(fn.COMPARISONS)):
        return (4, 0, str(part))
    return (3 if isinstance(part, fn.SumOver) else 2, 0, str(part))


def over(expr: Expr) -> tuple[Rational, list[Expr], list[Expr]]:
    """Return a product as its number, the factors above the line and those below it."""
    number, rest = expr.as_coeff_Mul()
    above: list[Expr] = []
    below: list[Expr] = []
    for part in ix.factors(rest):
        if isinstance(part, Pow) and part.exp.is_Integer and part.exp < 0:
            below.append(part.base ** (-part.exp))
        elif part != 1:
            above.append(part)
    return number, sorted(above, key=factor_order), sorted(below, key=factor_order)


def equation(target: Expr, rhs: Expr, names: Mapping[str, str]) -> str:
    """Return `target = rhs`, each letter shown as `names` says."""
    return f"{text(target, names)} = {text(rhs, names)}"


def text(expr: Expr, names: Mapping[str, str]) -> str:
    """Return an expression in Unicode, each tensor's letter shown as `names` says."""
    return _text(expr, names)[0]


def added(terms: Sequence[str]) -> str:
    """Return terms in text, added up: a + b − c."""
    return " + ".join(terms).replace("+ −", "− ")


def _wrapped(expr: Expr, names: Mapping[str, str], least: Binds) -> str:
    shown, binds = _text(expr, names)
    return shown if binds >= least else f"({shown})"


def _text(expr: Expr, names: Mapping[str, str]) -> tuple[str, Binds]:
    match expr:
        case Rational():
            return number(expr)
        case Indexed():
            name = str(expr.base.label)
            inside = ",".join(text(part, names) for part in expr.indices)
            return f"{names.get(name, name)}[{inside}]", Binds.ATOM
        case fn.Index():
            return expr.name, Binds.ATOM
        case Symbol():
            return names.get(expr.name, expr.name), Binds.ATOM
        case fn.Size():
            return names.get(f"|{expr.range}|", f"|{expr.range}|"), Binds.ATOM
        case Add():
            return _sum(expr, names), Binds.SUM
        case Mul():
            return _product(expr, names)
        case Pow():
            return _power(expr, names)
        case fn.Blank():
            return "0", Binds.ATOM
        case fn.Flat():
            return f"({','.join(text(part, names) for part in expr.args)})", Binds.ATOM
        case fn.Slope():
            return f"∂{text(expr.args[0], names)}/∂{text(expr.args[1], names)}", Binds.ATOM
        case fn.Delta():
            return f"δ({','.join(text(part, names) for part in expr.args)})", Binds.ATOM
        case fn.Reduction():
            return _reduction(expr, names)
        case fn.Elementwise():
            return _function(expr, names), Binds.ATOM
    return ("π" if expr is pi else str(expr)), Binds.ATOM


def number(value: Rational) -> tuple[str, Binds]:
    """Return a number: decimal where that is short and exact, else a fraction."""
    sign = "−" if value < 0 else ""
    if isinstance(value, Integer):
        return f"{sign}{whole(abs(value))}", Binds.ATOM if value >= 0 else Binds.SUM
    decimal = repr(abs(float(value))).replace("e-0", "e-")
    if len(decimal) <= 8 or value.q > 10_000:
        return f"{sign}{decimal}", Binds.ATOM if value >= 0 else Binds.SUM
    return f"{sign}{abs(value.p)}/{value.q}", Binds.PRODUCT if value >= 0 else Binds.SUM


def whole(value: Integer) -> str:
    """Return a whole number, one of many digits as a power of ten: 1e30."""
    return str(value) if value < 10**16 else repr(float(value)).replace("e+", "e")


def _sum(expr: Expr, names: Mapping[str, str]) -> str:
    added, taken = in_order(expr)
    shown = " + ".join(_wrapped(term, names, Binds.SUM) for term in added)
    for term in taken:
        part = _wrapped(term, names, Binds.PRODUCT)
        shown = f"{shown} − {part}" if shown else f"−{part}"
    return shown


def _product(expr: Expr, names: Mapping[str, str]) -> tuple[str, Binds]:
    value, above, below = over(expr)
    sign = "−" if value < 0 else ""
    value = abs(value)
    if not is_short(value):
        above, below = (
            ([Integer(value.p)] if value.p != 1 else []) + above,
            [Integer(value.q), *below],
        )
    elif value != 1 or not above:
        above = [value, *above]
    shown = _factors(above, names) if above else "1"
    if below:
        under = _factors(below, names)
        shown = f"{shown}/{under}" if len(below) == 1 else f"{shown}/({under})"
    return f"{sign}{shown}", Binds.SUM if sign else Binds.PRODUCT


def is_short(value: Rational) -> bool:
    """Say whether a number is shown as a decimal: it is short, or no fraction a person writes.

    x/16 is divided by 16; nobody wrote 0.0625 for it.
    """
    if isinstance(value, Integer) or value.q > 10_000:
        return True
    halved = value.q >= 8 and value.q & (value.q - 1) == 0
    return not halved and len(repr(float(value))) <= 8


def _factors(parts: Sequence[Expr], names: Mapping[str, str]) -> str:
    shown = [_wrapped(part, names, Binds.POWER) for part in parts]
    if isinstance(parts[-1], fn.SumOver):  # a sum at the end needs no parentheses
        shown[-1] = text(parts[-1], names)
    return "·".join(shown)


def _power(expr: Expr, names: Mapping[str, str]) -> tuple[str, Binds]:
    base, exponent = expr.args
    if exponent.is_Integer and exponent < 0:
        return f"1/{_wrapped(base ** (-exponent), names, Binds.POWER)}", Binds.PRODUCT
    shown = _wrapped(base, names, Binds.ATOM)
    if exponent.is_Integer:
        return f"{shown}{str(exponent).translate(SUPERSCRIPTS)}", Binds.POWER
    return f"{shown}^{_wrapped(exponent, names, Binds.ATOM)}", Binds.POWER


def _reduction(expr: fn.Reduction, names: Mapping[str, str]) -> tuple[str, Binds]:
    bound = ",".join(letter.name for letter in expr.bound)
    letters = bound if len(expr.bound) == 1 else f"{{{bound}}}"
    if isinstance(expr, fn.SumOver | fn.ProdOver):
        sign = "Σ" if isinstance(expr, fn.SumOver) else "Π"
        return f"{sign}_{letters} {_wrapped(expr.body, names, Binds.PRODUCT)}", Binds.PRODUCT
    if isinstance(expr, fn.InverseOf) and isinstance(expr.body, Indexed):  # A⁻¹[i,j]
        shown = text(expr.body, names)
        return shown.replace("[", "⁻¹[", 1), Binds.ATOM
    if isinstance(expr, fn.MaxOver):
        return f"{expr.word}_{letters} {_wrapped(expr.body, names, Binds.POWER)}", Binds.PRODUCT
    return f"{expr.word}_{letters}({text(expr.body, names)})", Binds.ATOM


def _function(expr: fn.Elementwise, names: Mapping[str, str]) -> str:
    if type(expr) in fn.COMPARISONS:
        first, second = (text(arg, names) for arg in expr.args)
        return f"[{first} {fn.COMPARISONS[type(expr)]} {second}]"
    if isinstance(expr, fn.where):
        condition, first, second = expr.args
        tested = text(condition, names)
        if type(condition) in fn.COMPARISONS:
            if (first, second) == (S.One, S.Zero):  # the comparison itself
                return tested
            tested = tested[1:-1]
        other = "" if second == S.Zero else f"; {text(second, names)} elsewhere"
        return f"{{{text(first, names)} where {tested}{other}}}"
    if isinstance(expr, fn.abs_):
        return f"|{text(expr.args[0], names)}|"
    if isinstance(expr, fn.sqrt):
        return f"√{_wrapped(expr.args[0], names, Binds.ATOM)}"
    if isinstance(expr, fn.power):
        base, exponent = (_wrapped(arg, names, Binds.ATOM) for arg in expr.args)
        return f"{base}^{exponent}"
    inside = ", ".join(text(arg, names) for arg in expr.args)
    return f"{expr.word}({inside})"
