"""How graphs, derivations, equations and modules show themselves in a notebook."""

from collections.abc import Iterable, Iterator
from functools import singledispatch

from markupsafe import Markup, escape
from sympy.core.parameters import distribute

from symback.derivation import Derivation
from symback.emit import Module
from symback.graph import Equation, Graph, Node
from symback.inspect.latex import RELATIONS, Writer, escaped
from symback.inspect.messages import text
from symback.inspect.page.code import marked
from symback.inspect.setting import maths
from symback.inspect.story import Formula, Story, story

Row = tuple[str, str, str, str]  # layer, left side, the sign between in LaTeX, right side
CELL = Markup('<td style="text-align: left">{}</td>')
COLOURS = "c:#6a737d k:#8250df s:#116329 n:#953800 f:#0550ae"


@singledispatch
def html(value: object) -> Markup:
    """Return what a notebook shows."""
    return Markup("<code>{}</code>").format(repr(value))


@singledispatch
def latex(value: object) -> str:
    """Return what a notebook shows where it is turned into LaTeX."""
    return rf"\texttt{{{escaped(repr(value))}}}"


@html.register
def _(value: Equation) -> Markup:
    return _within_text(" = ".join(_sides(value)))


@latex.register
def _(value: Equation) -> str:
    return f"${' = '.join(_sides(value))}$"


@html.register
def _(value: Graph) -> Markup:
    return _table(value.model, ((text("section.forward"), _of_graph(value)),))


@latex.register
def _(value: Graph) -> str:
    return _aligned(_of_graph(value))


@html.register
def _(value: Derivation) -> Markup:
    return _table(value.graph.model, _of_derivation(value))


@latex.register
def _(value: Derivation) -> str:
    return _aligned(row for _, rows in _of_derivation(value) for row in rows)


@html.register
def _(value: Module) -> Markup:
    rules = "".join(f".symback-code .{mark} {{color: {colour}}} " for mark, colour in _colours())
    about = f"{value.name}.py, {value.target}, {len(value.text.splitlines())} lines"
    return Markup(
        "<style>{}</style><details><summary>{}</summary>"
        '<pre class="symback-code" style="text-align: left">{}</pre></details>'
    ).format(Markup(rules), about, marked(value.text, value.target))


@latex.register
def _(value: Module) -> str:
    return rf"\texttt{{{escaped(f'{value.name}.py')}}}"


def _within_text(source: str) -> Markup:
    """Return LaTeX as MathML that stands at the left of its cell, its fractions large."""
    return Markup(str(maths(source)).replace('display="block"', 'displaystyle="true"', 1))


def _colours() -> Iterator[tuple[str, str]]:
    for pair in COLOURS.split():
        mark, _, colour = pair.partition(":")
        yield mark, colour


def _sides(value: Equation) -> tuple[str, str]:
    writer = Writer({}, {}, {})
    with distribute(False):
        return writer.write(value.target), writer.write(value.rhs)


def _of_graph(graph: Graph) -> tuple[Row, ...]:
    with distribute(False):
        return tuple(_of_node(node) for node in (*graph.layers, *graph.loss))


def _of_node(node: Node) -> Row:
    sizes = {f"|{letter}|": str(dim).upper() for letter, dim in node.sizes}
    writer = Writer(dict(node.names), sizes, {})
    equation = node.equation
    return node.layer, writer.write(equation.target), "=", writer.write(equation.rhs)


def _of_derivation(derivation: Derivation) -> Iterator[tuple[str, tuple[Row, ...]]]:
    """Yield each part's heading and rows."""
    told = story(derivation)
    parts = {
        "section.forward": (*told.forward, *told.loss),
        "section.backward": told.backward,
        "section.renewal": told.renewal,
    }
    for name, formulas in parts.items():
        if formulas:
            yield text(name), tuple(_row(each, told) for each in formulas)


def _row(formula: Formula, told: Story) -> Row:
    with distribute(False):
        left, right = formula.sides(Writer, told.adjoints)
    return formula.layer, left, RELATIONS[formula.sign], right


def _table(title: str, parts: Iterable[tuple[str, Iterable[Row]]]) -> Markup:
    rows = Markup("").join(
        part for heading, equations in parts for part in _rows(heading, equations)
    )
    caption = Markup("<caption>{}</caption>").format(title)
    return Markup("<table>{}{}</table>").format(caption, rows)


def _rows(heading: str, equations: Iterable[Row]) -> Iterator[Markup]:
    yield Markup('<tr><th colspan="2" style="text-align: left">{}</th></tr>').format(heading)
    before = ""
    for layer, left, sign, right in equations:
        name = escape(layer) if layer != before else Markup("")
        before = layer
        yield Markup("<tr>{}{}</tr>").format(
            CELL.format(name), CELL.format(_within_text(f"{left} {sign} {right}"))
        )


def _aligned(rows: Iterable[Row]) -> str:
    shown = " \\\\\n".join(f"{left} &{sign} {right}" for _, left, sign, right in rows)
    return f"$\\begin{{aligned}}\n{shown}\n\\end{{aligned}}$"
