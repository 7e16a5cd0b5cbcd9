"""LaTeX of our own printers, set as MathML."""

from functools import cache

from markupsafe import Markup
from math_core import LatexError, LatexToMathML


@cache
def _converter() -> LatexToMathML:
    return LatexToMathML()


def maths(source: str, *, display: bool = True) -> Markup:
    """Return LaTeX as MathML; what can't be set is shown as it is written."""
    try:
        shown = _converter().convert_with_local_state(source, displaystyle=display)
    except LatexError:
        return Markup("<code>{}</code>").format(source)
    return Markup(shown)
