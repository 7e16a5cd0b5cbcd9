"""A derivation for reading: forward, then each ∂L/∂something and how it was found.

`story` decides what is shown; `text`, `latex` and `json` how it looks.
"""

from sympy.core.parameters import distribute

from symback.inspect import json, latex, text
from symback.inspect.story import Story, story

__all__ = ["FORMATS", "Story", "show", "story"]

FORMATS = ("text", "latex", "json")


def show(told: Story, form: str = "text", *, steps: bool = False, width: int = 100) -> str:
    """Return a story as text, a LaTeX document or JSON; `steps` shows how each line was found."""
    with distribute(False):
        if form == "latex":
            return latex.document(told, steps=steps)
        if form == "json":
            return json.document(told, steps=steps)
        return text.page(told, steps=steps, width=width)
