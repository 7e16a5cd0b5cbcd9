"""Code with its keywords, comments, strings, numbers and defined names marked, and nothing else."""

from functools import cache
from itertools import groupby
from typing import Any

from markupsafe import Markup, escape
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Token, _TokenType

LANGUAGES = {"c": "c"}  # of a target's code; Python's elsewhere
MARKS: tuple[tuple[Any, str], ...] = (
    (Token.Comment, "c"),
    (Token.Literal.String.Doc, "c"),
    (Token.Literal.String, "s"),
    (Token.Literal.Number, "n"),
    (Token.Keyword, "k"),
    (Token.Operator.Word, "k"),
    (Token.Name.Function, "f"),
    (Token.Name.Class, "f"),
)


@cache
def lexer(target: str) -> Lexer:
    """Return what splits a target's code into tokens."""
    return get_lexer_by_name(LANGUAGES.get(target, "python"), stripnl=False, ensurenl=False)


def marked(text: str, target: str) -> Markup:
    """Return code as HTML, a span around each run of one kind."""
    tokens = lexer(target).get_tokens(text)
    runs = groupby(tokens, key=lambda token: _mark(token[0]))
    parts = (_span(mark, "".join(value for _, value in run)) for mark, run in runs)
    return Markup("").join(parts)


@cache
def _mark(kind: _TokenType) -> str:
    return next((mark for token, mark in MARKS if kind in token), "")


def _span(mark: str, text: str) -> Markup:
    return Markup('<span class="{}">{}</span>').format(mark, text) if mark else escape(text)
