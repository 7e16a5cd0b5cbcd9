"""A story as one page of HTML: it opens offline, needs no script and loads nothing.

`view` says what is on it, `drawing` lays out the graph, `code` marks up lines of code; how it
looks is templates/html.
"""

import base64
import hashlib

from markupsafe import Markup

from symback.emit.templates import data, environment, source
from symback.inspect.messages import Language
from symback.inspect.page.view import viewed
from symback.inspect.story import Story

FONT = "html/stix-two-math-subset.woff2"


def page(story: Story, language: Language = Language.ENGLISH) -> str:
    """Return the whole page. Every text is escaped; the mathematics is our own printers'."""
    script = source("html/page.js")
    template = environment().overlay(autoescape=True).get_template("html/page.html.j2")
    return template.render(
        m=viewed(
            story,
            language,
            style=Markup(source("html/page.css")),
            script=Markup(script),
            script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            font=base64.b64encode(data(FONT)).decode(),
        )
    )
