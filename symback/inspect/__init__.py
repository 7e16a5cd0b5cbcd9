"""A derivation for reading: forward, then each ∂L/∂something and how it was found.

`story` decides what is shown; `text`, `document` (LaTeX), `json` and `page` (HTML) how it looks;
`messages` holds the words.
"""

from sympy.core.parameters import distribute

from symback.inspect import document, json, text
from symback.inspect.messages import Language
from symback.inspect.story import Story, story

__all__ = ["FORMATS", "Language", "Story", "show", "story"]

FORMATS = ("text", "pretty", "latex", "json", "html")


def show(
    told: Story,
    form: str = "text",
    *,
    steps: bool = False,
    width: int = 100,
    language: Language = Language.ENGLISH,
) -> str:
    """Return a story as text, the same with formulas drawn (pretty), LaTeX, JSON or HTML.

    `steps` shows how each line was found; a page always does. `language` is the page's.
    """
    with distribute(False):
        if form == "html":
            from symback.inspect.page import page

            return page(told, language)
        if form == "latex":
            return document.document(told, steps=steps)
        if form == "json":
            return json.document(told, steps=steps)
        if form == "pretty":
            return text.pretty(told, steps=steps, width=width)
        return text.page(told, steps=steps, width=width)
