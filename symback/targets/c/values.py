"""Numbers: one element of an expression, inside of all its loops."""

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from math import isfinite

from symback import printing
from symback.printing import COMPARISONS, Code, Level
from symback.program import (
    Affine,
    Apply,
    Dim,
    Expr,
    Lookup,
    Number,
    Position,
    Read,
    Size,
    Slice,
    Split,
)
from symback.targets._loops import Access, Strided
from symback.targets.c.scope import MATH, Scope, Value


def value(expr: Expr, scope: Scope) -> Value:
    """Return one number of an expression, inside of all its loops."""
    match expr:
        case Number(number):
            return literal(number, scope)
        case Size(dim):
            return Value(scope.name(dim), Level.ATOM, whole=True)
        case Position(axis):
            return Value(scope.counter(axis), Level.ATOM, whole=True)
        case Read() | Split() | Slice():
            tensor = scope.arrays.get(expr.name)
            whole = tensor is not None and tensor.classes is not None
            return Value(element(expr, scope), Level.ATOM, whole=whole)
        case Lookup():
            return looked_up(expr, scope)
        case Apply(name, args):
            return function(name, tuple(value(arg, scope) for arg in args), scope)
    raise ValueError(f"no number: {expr}")


def literal(number: float, scope: Scope) -> Value:
    """Return a number's text: whole ones as they are, others of the type `real`."""
    if not isfinite(number):
        text = {"nan": "NAN", "inf": "INFINITY", "-inf": "-INFINITY"}[str(float(number))]
        return Value(text, Level.SIGN)
    if number == int(number) and abs(number) < 1 << 31:
        return Value(str(int(number)), Level.SIGN if number < 0 else Level.ATOM, whole=True)
    text = repr(float(number))
    return Value(text if scope.exact else f"({scope.real}){text}", Level.SIGN)


def real(code: Value, scope: Scope) -> Value:
    """Return a whole number as a real one."""
    if not code.whole:
        return code
    return Value(f"({scope.real}){code.at(Level.SIGN)}", Level.SIGN)


def made(code: Code, *args: Value) -> Value:
    """Return an operator's result: whole if all that it was made from is."""
    return Value(code.text, code.level, whole=all(arg.whole for arg in args))


def function(name: str, args: tuple[Value, ...], scope: Scope) -> Value:
    """Return an elementwise function of numbers."""
    match name:
        case "add" if len(args) == 2 and args[0].text.startswith("-") and args[1].text[0] != "-":
            return made(printing.add(args[1], args[0]), *args)  # b - a rather than -a + b
        case "add":
            return made(summed(args), *args)
        case "subtract":
            return made(printing.add(args[0], args[1], "-"), *args)
        case "multiply":
            return made(multiplied(args), *args)
        case "divide":
            top = real(args[0], scope) if args[0].whole and args[1].whole else args[0]
            return Value(*fields(printing.divide(top, args[1])))
        case "negative":
            return made(printing.negate(args[0]), *args)
        case "power":
            return powered(args[0], args[1], scope)
        case "where":
            return chosen(*args)
        case "relu":
            test = f"{args[0].at(Level.BIT_OR)} <= 0 ? 0 : {args[0].text}"  # NaN stays NaN
            return Value(test, Level.CHOICE)
        case "abs":
            return called("fabs", args, scope)
        case "and" | "or":
            sign = {"and": " && ", "or": " || "}[name]
            return Value(sign.join(f"({arg.text})" for arg in args), Level.OR, whole=True)
        case "not":
            return Value(f"!({args[0].text})", Level.SIGN, whole=True)
        case "maximum" | "minimum":
            return Value(
                *fields(printing.call({"maximum": "larger", "minimum": "smaller"}[name], args))
            )
    if name in COMPARISONS:
        return Value(*fields(printing.compare(name, args[0], args[1])), whole=True)
    return called(name, args, scope)


def summed(args: Sequence[Code]) -> Code:
    return reduce(printing.add, args)


def multiplied(args: Sequence[Code]) -> Code:
    return reduce(printing.multiply, args)


def fields(code: Code) -> tuple[str, Level]:
    return code.text, code.level


def called(name: str, args: Sequence[Value], scope: Scope) -> Value:
    """Return a call: of the C library's function for the type, or of a helper."""
    shown = scope.called(name) if name in MATH else name
    return Value(*fields(printing.call(shown, args)))


def chosen(condition: Value, yes: Value, no: Value) -> Value:
    """Return condition ? yes : no."""
    if yes.text == no.text:
        return yes
    test = condition.at(Level.COMPARE)
    text = f"{test} ? {yes.at(Level.OR)} : {no.at(Level.OR)}"
    return Value(text, Level.CHOICE, whole=yes.whole and no.whole)


def powered(base: Value, exponent: Value, scope: Scope) -> Value:
    """Return base to the power; small whole powers are products."""
    match exponent.text.removeprefix("(real)"):
        case "1":
            return base
        case "2" | "3" | "4" as times if re.fullmatch(r"\w+", base.text) and not base.whole:
            return Value(" * ".join([base.text] * int(times)), Level.PRODUCT)
        case "2" | "3" | "4" as times if not scope.exact:
            word = {"2": "square", "3": "cube", "4": "fourth"}[times]
            return called(word, (base,), scope)
        case "0.5":
            return called("sqrt", (base,), scope)
        case "-0.5":
            one, root = Value("1", Level.ATOM), called("sqrt", (base,), scope)
            return Value(*fields(printing.divide(one, root)))
        case "-1" | "-2" | "-3" | "-4" as text:
            below = powered(base, Value(text[1:], Level.ATOM, whole=True), scope)
            one = Value(f"({scope.real})1" if below.whole else "1", Level.SIGN)
            return Value(*fields(printing.divide(one, below)))
    return called("pow", (base, exponent), scope)


def looked_up(expr: Lookup, scope: Scope) -> Value:
    """Return an element at computed places, zero outside of the array."""
    tests = bounds(expr, scope)
    place = element(expr, scope)
    if not tests:
        return Value(place, Level.ATOM)
    return Value(f"{tests} ? {place} : 0", Level.CHOICE)


def bounds(expr: Lookup, scope: Scope) -> str:
    """Return the test that computed places are inside of the array; "" where they always are."""
    ranges = dict(expr.sizes)
    tests: list[str] = []
    for place, dim in zip(expr.places, scope.arrays[expr.name].shape, strict=True):
        if isinstance(place, Read):  # a label that is left out is no place
            label = scope.arrays.get(place.name)
            if label is not None and label.ignored is not None:
                text = element(place, scope)
                tests += [f"{text} >= 0", f"{text} < {dim}"]
            continue
        if not isinstance(dim, int):
            continue
        lowest, highest = place.reach(ranges)
        text = printing.index(place, scope.counter)
        if lowest < 0:
            tests.append(f"{text} >= 0")
        if highest >= dim:
            tests.append(f"{text} < {dim}")
    return " && ".join(tests)


def place_text(place: Affine | Read, scope: Scope) -> str:
    """Return a computed index."""
    if isinstance(place, Affine):
        return printing.index(place, scope.counter)
    text = element(place, scope)
    tensor = scope.arrays.get(place.name)
    return text if tensor is not None and tensor.classes is not None else f"(idx){text}"


def element(access: Access, scope: Scope) -> str:
    """Return one number of an array by its indices; what is no array is a local number."""
    name = scope.name(access.name)
    tensor = scope.arrays.get(access.name)
    if tensor is None:
        return name
    if isinstance(access, Strided) and set(scope.run) & set(access.axes):
        place, at = start(access, {*scope.run}, scope), scope.counter(scope.runner)
        return f"({place})[{at}]" if place.startswith("&") else f"{place}[{at}]"
    places: list[str]
    match access:
        case Split(groups=groups, sizes=dims):
            ranges = dict(dims)
            places = [flat([(scope.counter(a), ranges[a]) for a in group]) for group in groups]
        case Slice(axes=axes, ranges=parts):
            starts = [part[0] if part else 0 for part in parts]
            places = [
                scope.counter(axis) + (f" + {start}" if start else "")
                for axis, start in zip(axes, starts, strict=True)
            ]
        case Lookup(places=computed):
            places = [place_text(place, scope) for place in computed]
        case Read(axes=axes):
            places = [scope.counter(axis) for axis in axes]
    return name + indexed(places, tensor.shape)


def start(
    access: Strided, own: set[str], scope: Scope, first: Mapping[str, str] | None = None
) -> str:
    """Return where the part of an array begins that some letters run over."""
    first = first or {}
    tensor = scope.arrays[access.name]
    name = scope.name(access.name)
    groups = access.groups if isinstance(access, Split) else tuple((a,) for a in access.axes)
    dims = dict(zip(access.axes, seen(access, scope), strict=True))
    places = [
        first.get(group[-1], "0")
        if own.issuperset(group)
        else flat([("0" if axis in own else scope.counter(axis), dims[axis]) for axis in group])
        for group in groups
    ]
    if len(places) == 1 and places[0] == "0":
        return name
    return f"&{name}{indexed(places, tensor.shape)}"


def seen(access: Strided, scope: Scope) -> tuple[Dim, ...]:
    """Return the sizes of an array along each letter, with its joined axes taken apart."""
    if isinstance(access, Split):
        return tuple(dict(access.sizes)[axis] for axis in access.axes)
    return scope.arrays[access.name].shape


def indexed(places: Sequence[str], shape: tuple[Dim, ...]) -> str:
    """Return indices in brackets: one each where all but the first size are known, else a sum."""
    if not shape:
        return "[0]"
    if all(isinstance(dim, int) for dim in shape[1:]):
        return "".join(f"[{place}]" for place in places)
    return f"[{flat(list(zip(places, shape, strict=True)))}]"


def flat(places: Sequence[tuple[str, Dim]]) -> str:
    """Return where an element stands, row by row: i*3 + j."""
    first, *rest = places
    text = first[0]
    for place, dim in rest:
        before = f"({text})" if " " in text else text
        text = place if text == "0" else f"{before}*{dim} + {place}" if dim != 1 else text
    return text
