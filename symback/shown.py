"""What shows itself in a notebook."""

from importlib import import_module


class Shown:
    """Shows itself in a notebook: as HTML with MathML, and as LaTeX.

    How is `inspect.notebook`'s business; it is loaded by name when something is shown, since no
    stage knows of what comes after it.
    """

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(import_module("symback.inspect.notebook").html(self))

    def _repr_latex_(self) -> str:
        return str(import_module("symback.inspect.notebook").latex(self))
