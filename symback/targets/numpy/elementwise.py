"""Elementwise functions of printed arrays, so that NumPy answers in the program's float type."""

from collections.abc import Callable
from functools import reduce

from symback import printing
from symback.printing import COMPARISONS, Code
from symback.targets.numpy.array import Array, Kind, Scope, result

# Where NumPy's name, or Python's for plain numbers, isn't the formula language's.
RENAMED = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
PLAIN = {"maximum": "max", "minimum": "min", "abs": "abs"}
MATH = {
    *("exp", "log", "log1p", "expm1", "sqrt", "floor", "sinh", "cosh", "tanh"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "erf", "erfc"),
}
UFUNCS = MATH - {"erf", "erfc"} | {"sign", "abs", "maximum", "minimum", "logaddexp"}
SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
OPERATORS = {  # what writes in place by these names of NumPy's
    **{name: name for name in (*SIGNS, "negative", "power")},
    "gt": "greater",
    "ge": "greater_equal",
    "lt": "less",
    "le": "less_equal",
    "eq": "equal",
    "ne": "not_equal",
}


def function(name: str, args: tuple[Array, ...], scope: Scope) -> Array:
    """Return the function of arguments that broadcast; the caller orders the result's axes."""
    match name:
        case "add":
            if len(args) == 2 and args[0].text.startswith("-") and args[1].text[0] != "-":
                args = (args[1], args[0])  # b - a rather than -a + b
            return reduce(lambda a, b: arithmetic(printing.add, a, b, scope), args)
        case "subtract":
            return arithmetic(lambda a, b: printing.add(a, b, "-"), args[0], args[1], scope)
        case "multiply":
            # A comparison is 0 or 1 and multiplies last: `dz * (x > 0)`.
            args = tuple(sorted(args, key=lambda arg: arg.kind is Kind.BOOL))
            return reduce(lambda a, b: arithmetic(printing.multiply, a, b, scope), args)
        case "divide":
            return arithmetic(printing.divide, args[0], args[1], scope)
        case "negative":
            counts = args[0].axes or args[0].kind is Kind.BOOL  # NumPy negates no truth value
            value = scope.cast(args[0]) if counts else args[0]
            return result(printing.negate(value), value.kind, value)
        case "power":
            return powered(args[0], args[1], scope)
        case "where":
            return chosen(args[0], args[1], args[2], scope)
        case "relu":
            return named("maximum", (args[0], result(printing.literal(0), Kind.PLAIN)), scope)
    plain = all(arg.kind is Kind.PLAIN for arg in args)
    if name in COMPARISONS:
        kind = Kind.PLAIN if plain else Kind.BOOL
        return result(printing.compare(name, args[0], args[1]), kind, *args)
    if name in {"and", "or", "not"}:
        if plain:
            return result(printing.logic(name, args), Kind.PLAIN)
        return result(printing.call(f"np.logical_{name}", args), Kind.BOOL, *args)
    return named(name, args, scope)


def arithmetic(
    operator: Callable[[Code, Code], Code], left: Array, right: Array, scope: Scope
) -> Array:
    """Return an operator of two values, so that NumPy answers in the program's float type."""
    kinds = {left.kind, right.kind}
    if kinds == {Kind.PLAIN}:
        return result(operator(left, right), Kind.PLAIN)
    if kinds == {Kind.BOOL} and operator is printing.multiply:
        return result(operator(left, right), Kind.BOOL, left, right)
    if Kind.FLOAT not in kinds:
        if not left.axes and not right.axes:
            return result(operator(left, right), Kind.INT)
        if left.kind is Kind.PLAIN:
            right = scope.cast(right)
        else:
            left = scope.cast(left)
    left, right = scope.settled(left), scope.settled(right)
    return result(operator(left, right), Kind.FLOAT, left, right)


def powered(base: Array, exponent: Array, scope: Scope) -> Array:
    """Return base ** exponent; a cube of a name is a product, 12 times faster than x**3."""
    plain = base.kind is Kind.PLAIN and exponent.kind is Kind.PLAIN
    kind = Kind.PLAIN if plain else Kind.FLOAT
    base = base if plain else scope.cast(base)
    if exponent.text in {"0.5", "-0.5"}:
        root = named("sqrt", (base,), scope)
        one = result(printing.literal(1), Kind.PLAIN)
        return root if exponent.text == "0.5" else result(printing.divide(one, root), kind, base)
    unrolled = not plain and exponent.text != "2"
    return result(printing.power(base, exponent, unrolled=unrolled), kind, base, exponent)


def chosen(condition: Array, yes: Array, no: Array, scope: Scope) -> Array:
    """Return where(condition, yes, no): np.where of arrays, a conditional of numbers."""
    if not (condition.axes or yes.axes or no.axes):
        kinds = {yes.kind, no.kind}
        kind = kinds.pop() if len(kinds) == 1 else Kind.FLOAT
        return result(printing.choose(condition, yes, no), kind)
    if condition.kind is not Kind.BOOL:
        zero = result(printing.literal(0), Kind.PLAIN)
        condition = result(printing.compare("ne", condition, zero), Kind.BOOL, condition)
    if Kind.FLOAT in {yes.kind, no.kind}:
        yes, no, kind = scope.settled(yes), scope.settled(no), Kind.FLOAT
    else:  # two numbers would make float64 or integers: the result is cast where that matters
        kind = Kind.BOOL if yes.kind is no.kind is Kind.BOOL else Kind.INT
    args = (condition, yes, no)
    return result(printing.call("np.where", args), kind, *args)


def named(name: str, args: tuple[Array, ...], scope: Scope) -> Array:
    """Return a function called by its name: NumPy's, Python's for plain numbers, or a helper's."""
    if all(arg.kind is Kind.PLAIN for arg in args):
        if name not in MATH and name not in PLAIN:
            called = f"np.{name}" if name in UFUNCS else name
            args = (result(printing.call(called, args), Kind.PLAIN),)
            name = "float"
        called = f"math.{name}" if name in MATH else PLAIN.get(name, name)
        return result(printing.call(called, args), Kind.PLAIN)
    args = tuple(arg if arg.kind is Kind.PLAIN else scope.cast(arg) for arg in args)
    called = f"np.{RENAMED.get(name, name)}" if name in UFUNCS else name
    return result(printing.call(called, args), Kind.FLOAT, *args)
