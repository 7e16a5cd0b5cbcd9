r"""Formulas in LaTeX: \frac{\partial L}{\partial W_{1,oi}} …, and text with nothing to act on."""

import re
from collections.abc import Mapping, Sequence

from sympy import Expr, Integer, Rational

from symback.inspect import writing
from symback.notation import Binds, is_short

ESCAPED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
IN_TEXT = {  # what the words of a step hold beyond ASCII
    "δ": r"$\delta$",
    "Σ": r"$\sum$",
    "∂": r"$\partial$",
    "→": r"$\rightarrow$",
    "−": r"$-$",
    "·": r"$\cdot$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "±": r"$\pm$",
    "…": r"\dots{}",
    "²": r"$^2$",
    "√": r"$\surd$",
    "’": "'",
}
GREEK = {"alpha", "beta", "gamma", "delta", "epsilon", "eta", "theta", "kappa", "lambda", "mu"} | {
    "nu", "xi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega"
}  # fmt: skip
KNOWN = {"exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh"}  # LaTeX has these
RENAMED = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
BIG = {"sum": r"\sum", "prod": r"\prod", "max": r"\max", "min": r"\min"}
TALL = (r"\frac", r"\sum", r"\prod", r"\begin")
SHORT = 12  # an exponent of more characters is written as the argument of exp
SIGNS = {ord("∂"): r"\partial ", ord("π"): r"\pi ", ord("·"): r" \, "} | {
    ord("≥"): r"\ge", ord("≤"): r"\le", ord("≠"): r"\ne", ord("−"): "-"
}  # fmt: skip
RELATIONS = {"=": "=", "←": r"\leftarrow"}
PARTS = re.compile(r"(.*?)_?(\d*)(?:(?<=\d)_(\w*[^_\W]))?_*")  # W1_2 is W, 1 and 2
TEN_POWER = re.compile(r"(.*)e([-+]?\d+)")


def escaped(text: str) -> str:
    """Return text with nothing in it that LaTeX would act on; what it has no sign for as `?`."""
    table = ESCAPED | IN_TEXT
    return "".join(table.get(c, c if " " <= c <= "~" else "?") for c in text)


def named(name: str, adjoints: Mapping[str, str], subscript: str = "") -> str:
    r"""Return a tensor's name: W1 as W_{1}, dW1 as \frac{\partial L}{\partial W_{1}}."""
    if name in adjoints:
        by = named(adjoints[name], {}, subscript)
        return rf"\frac{{\partial L}}{{\partial {by}}}"
    parts = PARTS.fullmatch(name)
    word, digits, tail = parts.groups("") if parts else (name, "", "")
    behind = tail if tail.isdigit() or not tail else _word(tail)
    below = ",".join(part for part in (digits, behind, subscript) if part)
    return f"{_word(word)}_{{{below}}}" if below else _word(word)


def _word(word: str) -> str:
    if word in GREEK:
        return f"\\{word}"
    return word if len(word) == 1 else rf"\mathrm{{{escaped(word)}}}"


class Writer(writing.Writer[str]):
    """Writes the expressions of one part, in its letters."""

    minus = " - "
    times = r" \, "

    def row(self, *parts: str) -> str:
        """Return parts beside each other, the signs among them in LaTeX."""
        return "".join(parts).translate(SIGNS)

    def tensor(self, name: str, indices: Sequence[str]) -> str:
        """Return an element of a tensor."""
        return named(name, self.adjoints, subscript(indices))

    def index(self, name: str) -> str:
        """Return an index: i, i' for its second copy, a longer word upright."""
        letter, primes = name.rstrip("'"), "'" * (len(name) - len(name.rstrip("'")))
        shown = letter if len(letter) == 1 else rf"\mathit{{{escaped(letter)}}}"
        return f"{shown}{primes}"

    def size(self, shown: str) -> str:
        """Return how many values an index takes."""
        return _word(shown) if shown.isalpha() else shown

    def number(self, value: Rational) -> tuple[str, Binds]:
        """Return a number: decimal where that is short, else a fraction or a power of ten."""
        sign = "-" if value < 0 else ""
        binds = Binds.SUM if sign else Binds.ATOM
        if isinstance(value, Integer) and abs(value) < 10**16:
            return f"{sign}{abs(value)}", binds
        decimal = repr(abs(float(value)))
        if not is_short(value):
            return rf"{sign}\frac{{{abs(value.p)}}}{{{value.q}}}", binds
        if power := TEN_POWER.fullmatch(decimal):
            digits = "" if power[1] in {"1", "1.0"} else rf"{power[1]} \cdot "
            decimal = rf"{digits}10^{{{int(power[2])}}}"
            binds = min(binds, Binds.PRODUCT)
        return f"{sign}{decimal}", binds

    def fraction(self, above: str, below: str) -> str:
        """Return a fraction."""
        return rf"\frac{{{above}}}{{{below}}}"

    def enclosed(self, inside: str, sides: str = "()") -> str:
        """Return the inside between two signs, as tall as it is."""
        if any(command in inside for command in TALL):
            return rf"\left{sides[0]}{inside}\right{sides[1]}"
        return f"{sides[0]}{inside}{sides[1]}"

    def raised(self, base: str, exponent: str) -> str:
        """Return a power."""
        return f"{{{base}}}^{{{exponent}}}"

    def root(self, inside: str) -> str:
        """Return a square root."""
        return rf"\sqrt{{{inside}}}"

    def big(self, word: str, bound: Sequence[str]) -> str:
        """Return the sign of a reduction."""
        sign = BIG.get(word) or rf"\operatorname{{{escaped(word)}}}"
        return rf"{sign}_{{{subscript(bound)}}} "

    def word(self, word: str) -> str:
        """Return a function's name."""
        word = RENAMED.get(word, word)
        latin = word in KNOWN or word in RENAMED.values()
        return f"\\{word}" if latin else rf"\operatorname{{{escaped(word)}}}"

    def called(self, word: str, args: Sequence[Expr]) -> tuple[str, Binds]:
        """Return a function of its arguments; a short exponential as a power of e."""
        if word == "exp" and len(exponent := self.write(args[0])) < SHORT:
            return f"e^{{{exponent}}}", Binds.POWER
        return super().called(word, args)

    def delta(self, indices: Sequence[str]) -> str:
        """Return Kronecker's delta."""
        return rf"\delta_{{{subscript(indices)}}}"

    def cases(self, yes: str, condition: str, no: str) -> str:
        """Return a branch."""
        rows = rf"{yes} & {condition} \\ {no} & \text{{elsewhere}}"
        return rf"\begin{{cases}} {rows} \end{{cases}}"


def subscript(parts: Sequence[str]) -> str:
    """Return indices below a name, a comma between them where one is longer than a letter."""
    return ("" if all(len(part) == 1 for part in parts) else ",").join(parts)
