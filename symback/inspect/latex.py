r"""A story as a LaTeX document that compiles as it is: \frac{\partial L}{\partial W_{1,oi}} …

Terms and factors stand in `notation`'s order, so that a formula reads the same everywhere.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from sympy import Add, Expr, Indexed, Integer, Mul, Pow, Rational, Symbol, pi

from symback import functions as fn
from symback.inspect.story import Formula, Part, Story
from symback.inspect.words import TITLES
from symback.notation import Binds, in_order, is_short, over

PREAMBLE = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{amsmath,amssymb}
\usepackage[margin=2.5cm]{geometry}
\allowdisplaybreaks
"""
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
COMPARED = {">": ">", "≥": r"\ge", "<": "<", "≤": r"\le", "=": "=", "≠": r"\ne"}
SPOKEN = re.compile(r"(Σ_[a-z](?![a-z])|δ\([a-z],[a-z]\))")
TEN_POWER = re.compile(r"(.*)e([-+]?\d+)")


def document(story: Story, *, steps: bool) -> str:
    """Return a whole document; `steps` shows how each gradient was found."""
    program = story.program
    lines = [PREAMBLE, r"\begin{document}", rf"\section*{{{escaped(program.model)}}}"]
    for title, formulas in (("Forward", story.forward), ("Loss", story.loss)):
        lines += [rf"\subsection*{{{title}}}", *_aligned(formulas, story.adjoints)]
    lines.append(r"\subsection*{Backward}")
    if steps:
        for formula in story.backward:
            lines += _ladder(formula, story.adjoints)
    else:
        lines += _aligned(story.backward, story.adjoints)
    if program.assumptions:
        lines += [r"\subsection*{Taken for granted, and checked before training}"]
        lines += _listed([assumption.because for assumption in program.assumptions])
    if program.notes:
        lines += [r"\subsection*{Stability and kinks}", *_listed(program.notes)]
    return "\n".join([*lines, r"\end{document}", ""])


def _aligned(formulas: Sequence[Formula], adjoints: Mapping[str, str]) -> list[str]:
    """Return equations below each other, numbered."""
    rows = [_row(formula, adjoints) for formula in formulas]
    return [r"\begin{align}", " \\\\\n".join(rows), r"\end{align}"] if rows else []


def _row(formula: Formula, adjoints: Mapping[str, str]) -> str:
    writers = [Writer(part, adjoints) for part in formula.parts]
    terms = [writer.text(part.rhs) for writer, part in zip(writers, formula.parts, strict=True)]
    return f"{writers[0].text(formula.parts[0].target)} &= {' + '.join(terms)}"


def _ladder(formula: Formula, adjoints: Mapping[str, str]) -> Iterator[str]:
    by = "" if formula.of is None else f", the gradient by {formula.of.key}"
    name = named(formula.name, adjoints)
    yield rf"\paragraph{{${name}$, layer {escaped(formula.layer)}{escaped(by)}}}"
    for part in formula.steps:
        if not part.ladder:
            continue
        if len(formula.steps) > 1:
            yield f"What reaches it through {escaped(part.layer)}:"
        writer = Writer(part, adjoints)
        rows = []
        for place, rung in enumerate(part.ladder):
            left = writer.text(part.target) if not place else ""
            words = escaped(TITLES[rung.kind])
            rows.append(rf"{left} &= {writer.text(rung.rhs)} && \text{{{words}}}")
        yield from (r"\begin{align}", " \\\\\n".join(rows), r"\end{align}")
        yield from _listed([rung.words for rung in part.ladder if rung.words])
    if not formula.is_told:
        yield from _aligned([formula], adjoints)
    yield rf"\noindent In NumPy: \texttt{{{escaped(formula.code)}}}"


def _listed(words: Sequence[str]) -> list[str]:
    if not words:
        return []
    return [r"\begin{itemize}", *(rf"\item {_sentence(each)}" for each in words), r"\end{itemize}"]


def _sentence(words: str) -> str:
    """Return words with the sums and deltas they speak of as formulas."""
    parts = SPOKEN.split(words)
    shown = [escaped(part) for part in parts]
    shown[1::2] = [SPOKEN.sub(_spoken, part) for part in parts[1::2]]
    return "".join(shown)


def _spoken(match: re.Match[str]) -> str:
    sign = r"\sum" if match[0].startswith("Σ") else r"\delta"
    return f"${sign}_{{{re.sub('[^a-z]', '', match[0])}}}$"


def escaped(text: str) -> str:
    """Return text with nothing in it that LaTeX would act on; what it has no sign for as `?`."""
    table = ESCAPED | IN_TEXT
    return "".join(table.get(c, c if " " <= c <= "~" else "?") for c in text)


def named(name: str, adjoints: Mapping[str, str], subscript: str = "") -> str:
    r"""Return a tensor's name: W1 as W_{1}, dW1 as \frac{\partial L}{\partial W_{1}}."""
    if name in adjoints:
        by = named(adjoints[name], {}, subscript)
        return rf"\frac{{\partial L}}{{\partial {by}}}"
    bare = name.rstrip("_")
    word = bare.rstrip("0123456789")
    digits = bare[len(word) :]
    word = word.rstrip("_")
    below = ",".join(part for part in (digits, subscript) if part)
    return f"{_word(word)}_{{{below}}}" if below else _word(word)


def _word(word: str) -> str:
    if word in GREEK:
        return f"\\{word}"
    return word if len(word) == 1 else rf"\mathrm{{{escaped(word)}}}"


class Writer:
    """Writes the expressions of one part, in its letters."""

    def __init__(self, part: Part, adjoints: Mapping[str, str]) -> None:
        self.names = part.names
        self.sizes = part.sizes
        self.adjoints = adjoints

    def text(self, expr: Expr) -> str:
        """Return an expression."""
        return self._shown(expr)[0]

    def _within(self, expr: Expr, least: Binds) -> str:
        shown, binds = self._shown(expr)
        return shown if binds >= least else rf"\left({shown}\right)"

    def _shown(self, expr: Expr) -> tuple[str, Binds]:
        match expr:
            case Rational():
                return self._number(expr)
            case Indexed():
                return self._name(str(expr.base.label), self._subscript(expr.indices)), Binds.ATOM
            case fn.Index():
                return _index(expr.name), Binds.ATOM
            case Symbol():
                return self._name(expr.name), Binds.ATOM
            case fn.Size():
                size = self.sizes.get(f"|{expr.range}|", "")
                return (_word(size) if size.isalpha() else size) or f"|{expr.range}|", Binds.ATOM
            case Add():
                return self._sum(expr), Binds.SUM
            case Mul():
                return self._product(expr)
            case Pow():
                return self._power(expr)
            case fn.Flat():
                return f"({self._subscript(expr.args)})", Binds.ATOM
            case fn.Slope():
                above, below = (self.text(arg) for arg in expr.args)
                return rf"\frac{{\partial {above}}}{{\partial {below}}}", Binds.ATOM
            case fn.Reduction():
                return self._reduction(expr)
            case fn.Elementwise():
                return self._function(expr)
        if expr is pi:
            return r"\pi", Binds.ATOM
        # The only function left is Kronecker's delta.
        return rf"\delta_{{{self._subscript(expr.args)}}}", Binds.ATOM

    def _name(self, letter: str, subscript: str = "") -> str:
        return named(self.names.get(letter, letter), self.adjoints, subscript)

    def _subscript(self, parts: Sequence[Expr]) -> str:
        shown = [self.text(part) for part in parts]
        return ("" if all(len(part) == 1 for part in shown) else ",").join(shown)

    def _number(self, value: Rational) -> tuple[str, Binds]:
        sign = "-" if value < 0 else ""
        binds = Binds.SUM if sign else Binds.ATOM
        if isinstance(value, Integer):
            return f"{sign}{abs(value)}", binds
        decimal = repr(abs(float(value)))
        if not is_short(value):
            return rf"{sign}\frac{{{abs(value.p)}}}{{{value.q}}}", binds
        if power := TEN_POWER.fullmatch(decimal):
            digits = "" if power[1] in {"1", "1.0"} else rf"{power[1]} \cdot "
            decimal = rf"{digits}10^{{{int(power[2])}}}"
            binds = min(binds, Binds.PRODUCT)
        return f"{sign}{decimal}", binds

    def _sum(self, expr: Expr) -> str:
        added, taken = in_order(expr)
        shown = " + ".join(self._within(term, Binds.SUM) for term in added)
        for term in taken:
            part = self._within(term, Binds.PRODUCT)
            shown = f"{shown} - {part}" if shown else f"-{part}"
        return shown

    def _product(self, expr: Expr) -> tuple[str, Binds]:
        value, above, below = over(expr)
        sign = "-" if value < 0 else ""
        value = abs(value)
        if not is_short(value):
            below = [Integer(value.q), *below]
            value = Integer(value.p)
        if value != 1 or not above:
            above = [value, *above]
        shown = self._factors(above)
        if below:
            shown = rf"\frac{{{shown}}}{{{self._factors(below)}}}"
        return f"{sign}{shown}", Binds.SUM if sign else Binds.PRODUCT

    def _factors(self, parts: Sequence[Expr]) -> str:
        if len(parts) == 1:
            return self.text(parts[0])
        shown = [self._within(part, Binds.POWER) for part in parts[:-1]]
        last = self.text if isinstance(parts[-1], fn.SumOver) else self._factor
        return r" \, ".join([*shown, last(parts[-1])])

    def _factor(self, part: Expr) -> str:
        return self._within(part, Binds.POWER)

    def _power(self, expr: Expr) -> tuple[str, Binds]:
        base, exponent = expr.args
        if exponent.is_Integer and exponent < 0:
            return rf"\frac{{1}}{{{self.text(base ** (-exponent))}}}", Binds.PRODUCT
        return f"{{{self._within(base, Binds.ATOM)}}}^{{{self.text(exponent)}}}", Binds.POWER

    def _reduction(self, expr: fn.Reduction) -> tuple[str, Binds]:
        bound = self._subscript(expr.bound)
        if isinstance(expr, fn.SumOver | fn.ProdOver):
            sign = r"\sum" if isinstance(expr, fn.SumOver) else r"\prod"
            return rf"{sign}_{{{bound}}} {self._within(expr.body, Binds.PRODUCT)}", Binds.PRODUCT
        word = expr.word if expr.word in {"max", "min"} else ""
        sign = rf"\{word}" if word else rf"\operatorname{{{escaped(expr.word)}}}"
        return rf"{sign}_{{{bound}}} \left({self.text(expr.body)}\right)", Binds.ATOM

    def _function(self, expr: fn.Elementwise) -> tuple[str, Binds]:
        args = [self.text(arg) for arg in expr.args]
        if type(expr) in fn.COMPARISONS:
            sign = COMPARED[fn.COMPARISONS[type(expr)]]
            return rf"\left[{args[0]} {sign} {args[1]}\right]", Binds.ATOM
        match expr:
            case fn.where():
                condition = args[0].removeprefix(r"\left[").removesuffix(r"\right]")
                bare = type(expr.args[0]) in fn.COMPARISONS
                tested = condition if bare else rf"{args[0]} \ne 0"
                rows = rf"{args[1]} & {tested} \\ {args[2]} & \text{{elsewhere}}"
                return rf"\begin{{cases}} {rows} \end{{cases}}", Binds.SUM
            case fn.abs_():
                return rf"\left|{args[0]}\right|", Binds.ATOM
            case fn.sqrt():
                return rf"\sqrt{{{args[0]}}}", Binds.ATOM
            case fn.power():
                base = self._within(expr.args[0], Binds.ATOM)
                return f"{{{base}}}^{{{args[1]}}}", Binds.POWER
            case fn.exp() if len(args[0]) < 12:
                return f"e^{{{args[0]}}}", Binds.POWER
        word = RENAMED.get(expr.word, expr.word)
        latin = word in KNOWN or word in RENAMED.values()
        sign = f"\\{word}" if latin else rf"\operatorname{{{escaped(word)}}}"
        return rf"{sign}\left({', '.join(args)}\right)", Binds.ATOM


def _index(name: str) -> str:
    """Return an index: i, i' for its second copy, a longer word upright."""
    letter, primes = name.rstrip("'"), "'" * (len(name) - len(name.rstrip("'")))
    shown = letter if len(letter) == 1 else rf"\mathit{{{escaped(letter)}}}"
    return f"{shown}{primes}"


__all__ = ["Writer", "document", "escaped", "named"]
