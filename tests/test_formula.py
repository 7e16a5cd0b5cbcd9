"""The language of formulas: what is read as what, what is refused and where."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Integer

from symback import formula
from symback import functions as fn
from symback.errors import UserError
from symback.formula import Definition, Scope

SCOPE = Scope(
    ranks={"x": 2, "W": 2, "b": 1, "s": 0, "f1.W": 2},
    numbers={"rate": fn.number(0.5), "flag": Integer(1), "two": Integer(2)},
    constants={"eps": 1e-8},
    functions={
        "mish": Definition(("x",), "x * tanh(softplus(x))"),
        "loop": Definition(("x",), "loop(x)"),
        "twice": Definition(("a",), "a + a"),
    },
)
DOTS = Scope(ranks={"x": 3}, ellipsis=("n", "i"))


def parsed(text: str, scope: Scope = SCOPE) -> str:
    return str(formula.parse(text, scope).rhs)


# ---------------------------------------------------------------- what is read as what


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("s + s", "2 * s"),
        ("s - -s", "s + s"),
        ("+s", "s"),
        ("s / 4", "0.25 * s"),
        ("s ** 0.5", "sqrt(s)"),
        ("s ** 2.0", "s * s"),
        ("2 ** 3 * s", "8 * s"),
        ("rate * s", "s / 2"),
        ("true + false", "1"),
        ("True", "1"),
        ("1_000 + 0x10", "1016"),
        ("1e3", "1000"),
        ("where(flag, s, nothing)", "s"),
        ("where(not flag, nothing, s)", "s"),
        ("where(rate > 1, nothing[n], s)", "s"),
        ("where(flag and rate, s, nothing)", "s"),
        ("where(not rate, nothing, s)", "s"),
        ("where(not 2, nothing, s)", "s"),
        ("where(-1 or 0, s, nothing)", "s"),
        ("mish(s)", "s * tanh(softplus(s))"),
        ("mish(mish(s))", "mish(s * tanh(softplus(s)))"),
        ("twice(s)", "2 * s"),
        ("mean(b[i], i)", "sum(b[i], i) / size(i)"),
        ("mean(x[n, i], n, i)", "sum(x[n, i], n, i) / size(n) / size(i)"),
        ("mean(x[n, i], n, i)", "sum(x[n, i], n, i) / (size(n) * size(i))"),
        ("f1.W[i, 0]", "f1 . W [ i , 0 ]"),
        ("x[n, i + 1 + i]", "x[n, 2*i + 1]"),
        ("x[n, -(i - 3)]", "x[n, 3 - i]"),
        ("x[n, two*i]", "x[n, i + i]"),
        ("  s +\n s", "s + s"),
        ("s # why", "s"),
        ("(((((((((((((((((((((((((((((s)))))))))))))))))))))))))))))", "s"),
    ],
)
def test_read_alike(one: str, other: str) -> None:
    assert parsed(one) == parsed(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x[..., k]", "x[n, i, k]"),
        ("sum(x[..., k], ...)", "sum(x[n, i, k], n, i)"),
        ("mean(x[..., k], ...)", "mean(x[n, i, k], n, i)"),
        ("size(...)", "size(n) * size(i)"),
        ("z[..., k] = x[..., k]", "z[n, i, k] = x[n, i, k]"),
    ],
)
def test_dots_stand_for_axes(one: str, other: str) -> None:
    a, b = formula.parse(one, DOTS), formula.parse(other, DOTS)
    assert (a.rhs, a.target and a.target.value) == (b.rhs, b.target and b.target.value)


def test_constants_keep_their_names_and_switch() -> None:
    assert parsed("eps * s") == "eps*s"
    assert parsed("where(eps > 1, nothing, s)") == "s"


def test_a_product_over_a_sum_stays_as_written() -> None:
    assert parsed("2 * (s - eps)") == "2*(-eps + s)"


def test_accesses_are_listed_with_their_places() -> None:
    text = "z[n, o] = sum(W[o, i] * x[n, i], i) + b[o]"
    read = formula.parse(text, SCOPE)
    assert [text[a.offset : a.offset + a.length] for a in read.reads] == [
        "W[o, i]",
        "x[n, i]",
        "b[o]",
    ]
    assert read.target is not None
    assert text[read.target.offset : read.target.offset + read.target.length] == "z[n, o]"


# ---------------------------------------------------------------- what is refused, and where


def refused(text: str, scope: Scope = SCOPE) -> tuple[str, str, str]:
    """Return the part of the text at fault, the message and the hint."""
    with pytest.raises(UserError) as caught:
        formula.parse(text, scope)
    (mistake,) = caught.value.mistakes
    assert mistake.offset is not None
    assert 0 <= mistake.offset <= len(text)
    return text[mistake.offset : mistake.offset + mistake.length], mistake.message, mistake.hint


@pytest.mark.parametrize(
    ("text", "part", "said"),
    [
        ("z[n] = x[n, i]", "x[n, i]", "the index i is on the right only"),
        ("z[n] = q = x[n, 0]", "z[n] = q = x[n, 0]", "one `=` is enough"),
        ("z[n, n] = x[n, n]", "z[n, n]", "an index stands twice on the left"),
        ("q.r.t = s", "q.r.t", "left of `=` stands a tensor"),
        ("s + c[o]", "c", "there is no tensor `c` here"),
        ("s + nothing", "nothing", "nothing is called `nothing` here"),
        ("x[n]", "x[n]", "`x` has 2 axes, 1 indices stand here"),
        ("b[n, i]", "b[n, i]", "`b` has 1 axis, 2 indices stand here"),
        ("s[0]", "s[0]", "`s` has 0 axes"),
        ("s + x", "x", "`x` has axes"),
        ("(s + s)[0]", "(s + s)[0]", "only a tensor has indices"),
        ("x[n, -1]", "-1", "an index is a name, a whole number"),
        ("x[n, 1.5]", "1.5", "an index is a name, a whole number"),
        ('x[n, "a"]', '"a"', "an index is a name, a whole number"),
        ("x[n, i * n]", "i * n", "an index is a name, a whole number"),
        ("x[n, i / 2]", "i / 2", "an index is a name, a whole number"),
        ("x[n, rate * i]", "rate * i", "an index is a name, a whole number"),
        ("x[n, c[i]]", "c", "there is no tensor `c` here"),
        ("x[n, True]", "True", "an index is a name, a whole number"),
        ("x[0:2, i]", "0:2", "an index is a name, a whole number"),
        ("x[..., i]", "...", "`...` can't be used here"),
        ("sum(x[n, ...], ...)", "...", "`...` can't be used here"),
        ("tanh", "tanh", "`tanh` is a function"),
        ("sum", "sum", "`sum` is a function"),
        ("mish", "mish", "`mish` is a function"),
        ("tanh(s, s)", "tanh(s, s)", "`tanh` takes 1 argument, not 2"),
        ("maximum(s)", "maximum(s)", "`maximum` takes 2 arguments, not 1"),
        ("mish(s, s)", "mish(s, s)", "`mish` takes 1 argument, not 2"),
        ("where(s, s)", "where(s, s)", "`where` takes 3 arguments, not 2"),
        ("size(i, n)", "size(i, n)", "`size` takes 1 argument, not 2"),
        ("tanh(x=s)", "tanh(x=s)", "functions are called by name"),
        ("s.tanh()", "s.tanh()", "functions are called by name"),
        ("loop(s) + 1", "loop(s)", "`loop` is defined by itself"),
        ("sum(x[n, i])", "sum(x[n, i])", "`sum` needs the index it runs over"),
        ("sum(b[i], 3)", "3", "expected the name of an index"),
        ("sum(b[i], i + 1)", "i + 1", "expected the name of an index"),
        ("max(s, i)", "max(s, i)", "`max` runs over i, which doesn't occur"),
        ("argmax(x[n, i], n, i)", "argmax(x[n, i], n, i)", "`argmax` runs over one index"),
        ("1 < s < 2", "1 < s < 2", "one comparison at a time"),
        ("s is 1", "s is 1", "compare with <, <=, >, >=, == or !="),
        ("s in s", "s in s", "compare with <, <=, >, >=, == or !="),
        ('"words"', '"words"', "a formula holds numbers and names"),
        ("None", "None", "a formula holds numbers and names"),
        ("2j", "2j", "a formula holds numbers and names"),
        ("s // 2", "s // 2", "formulas don't have this"),
        ("s % 2", "s % 2", "formulas don't have this"),
        ("s @ s", "s @ s", "formulas don't have this"),
        ("~s", "~s", "formulas don't have this"),
        ("[s]", "[s]", "formulas don't have this"),
        ("s if s else s", "s if s else s", "formulas don't have this"),
        ("1 + (lambda q: q)", "lambda q: q", "formulas don't have this"),
        ("(q := 3)", "q := 3", "formulas don't have this"),
        ('f"{s}"', 'f"{s}"', "formulas don't have this"),
        ("yield s", "yield s", "formulas don't have this"),
        ("sum(*x)", "sum(*x)", "`sum` needs the index"),
        ("tanh(*x)", "*x", "formulas don't have this"),
        ("import os", "i", "expected one formula"),
        ("s; s", "s", "expected one formula"),
        ("", "", "expected one formula"),
        ("s + $", "$", "this is no formula"),
        ("   s + $", "$", "this is no formula"),
        ("s + \N{GREEK SMALL LETTER LAMDA}", "\N{GREEK SMALL LETTER LAMDA}", "plain ASCII"),
        ("x[n,\ti]", "\t", "plain ASCII"),
        ("s\0", "\0", "plain ASCII"),
    ],
)
def test_refused_with_its_place(text: str, part: str, said: str) -> None:
    at, message, _ = refused(text)
    assert at == part
    assert said in message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("sun(b[i], i)", "did you mean `sum`?"),
        ("tanhh(s)", "did you mean `tanh`?"),
        ("mush(s)", "did you mean `mish`?"),
        ("f1.V[i, j]", "did you mean `f1.W`?"),
        ("raet * s", "did you mean `rate`?"),
        ("tanh", "write tanh(…)"),
        ("x", "write it with indices: x[n, i]"),
        ("max(s)", "maximum(a, b)"),
        ("9999999999", "write a larger one as 1e12"),
        ("s ^ 2", "write a power as x**2"),
        ("s if s else s", "where(c, a, b)"),
        ("s @ s", "sum(W[o, i] * x[n, i], i)"),
        ("ln(s)", "write log(x)"),
        ("clip(s, 0, 1)", "minimum(maximum(x, low), high)"),
        ("\N{N-ARY SUMMATION}(b[i], i)", "write sum(…, i)"),
        ("s\N{SUPERSCRIPT TWO}", "write **2"),
        ("z[n] = x[n, i]", "sum(…, i)"),
    ],
)
def test_a_hint_says_what_to_type(text: str, hint: str) -> None:
    assert hint in refused(text)[2]


@pytest.mark.parametrize(
    ("text", "part", "said"),
    [
        ("x" * 2001, "x", "a formula of 2001 characters; 2000 are allowed"),
        ("+".join(["s"] * 251), "s", "a formula of 502 parts; 500 are allowed"),
        ("tanh(" * 40 + "s" + ")" * 40, "t", "40 is allowed"),
        ("-" * 60 + "s", "-", "40 is allowed"),
        ("(" * 900 + "s" + ")" * 900, "(", ""),
        ("s * 1000000001", "1000000001", "integers go up to 1e9"),
        ("s ** 65", "65", "exponents go up to 64"),
        ("s ** -65", "-65", "exponents go up to 64"),
        ("s ** 64.5", "64.5", "exponents go up to 64"),
        ("2 ** 2 ** 2 ** 2 ** 2", "2 ** 2 ** 2 ** 2", "exponents go up to 64"),
        ("s * 1e400", "1e400", "too large for a computer's floats"),
        ("s + 1e-320", "1e-320", "too large or too small"),
        ("s + exp(exp(exp(9)))", "exp(exp(9))", "no finite value"),
        ("s + 1e200 * 1e200", "1e200 * 1e200", "no finite value"),
        ("1000000000 ** 60 * s", "1000000000 ** 60", "no finite value"),
        ("s + 1/0", "1/0", "no finite value"),
        ("s + 0/0", "0/0", "no finite value"),
        ("s / (s - s)", "s / (s - s)", "no finite value"),
        ("log(0) * s", "log(0)", "no finite value"),
        ("sqrt(-1)", "sqrt(-1)", "no finite value"),
        ("asin(2)", "asin(2)", "no finite value"),
        ("s * log(eps - eps)", "log(eps - eps)", "no finite value"),
    ],
)
def test_caps(text: str, part: str, said: str) -> None:
    at, message, _ = refused(text)
    assert at == part
    assert said in message


@pytest.mark.parametrize(
    "text",
    [
        "s" + " " * 1999,
        "+".join(["s"] * 250),
        "tanh(" * 37 + "s" + ")" * 37,
        "s * 1000000000",
        "s ** 64 + s ** -64",
        "1e308 * s",
        "1e-300 * s",
    ],
)
def test_within_the_caps(text: str) -> None:
    assert formula.parse(text, SCOPE).reads


def test_functions_within_functions_run_out() -> None:
    layers = {"f0": Definition(("x",), "x * x + x")}
    layers |= {f"f{k}": Definition(("x",), f"f{k - 1}(f{k - 1}(x))") for k in range(1, 9)}
    with pytest.raises(UserError, match=r"too large|too deep|by itself"):
        formula.parse("f8(s)", Scope({"s": 0}, functions=layers))


PIECES = (
    "s x[n,i] W[o,i] b[o] n i o size( sum( mean( max( min( prod( logsumexp( softmax( argmax( "
    "where( tanh( exp( log( sqrt( mish( twice( loop( f1.W[ ... , , , ) ) ) ) ( [ ] + - * / ** "
    "// % @ ~ < == "
    "and or not if else lambda := = 0 1 2 64 65 1e9 1e308 1e-308 0.5 9999999999 True None pi "
    "eps rate flat( __class__ . import ' \" \\ # { } : ; \n"
).split(" ")


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.sampled_from(PIECES), max_size=25).map("".join),
        st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join),
    )
)
def test_hostile_text_is_read_or_refused(text: str) -> None:
    for scope in (SCOPE, DOTS):
        try:
            read = formula.parse(text, scope)
        except UserError as error:
            (mistake,) = error.mistakes
            assert mistake.offset is not None
            assert 0 <= mistake.offset <= len(text)
        else:
            assert read.rhs is not None
