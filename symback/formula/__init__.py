"""Formulas: text → SymPy, through a whitelist. No part of the text is ever evaluated.

    z[n, o] = sum(W[o, i] * x[n, i], i) + b[o]

The syntax is Python's, read with `ast`; each node is turned by hand into an object of
`symback.functions` or of SymPy's arithmetic. What isn't listed here is refused, with its place.
"""

import ast

from sympy.core.parameters import distribute

from symback.formula.ranges import ranged
from symback.formula.reader import Reader
from symback.formula.tree import (
    explicit,
    fills_part,
    has_bare_target,
    index_names,
    letters,
    mentions,
    read_names,
    syntax,
    target_name,
    tensors,
)
from symback.formula.types import Access, Definition, Formula, Scope, index, tensor
from symback.formula.value import numeric

__all__ = [
    "Access",
    "Definition",
    "Formula",
    "Scope",
    "explicit",
    "fills_part",
    "has_bare_target",
    "index",
    "index_names",
    "mentions",
    "numeric",
    "parse",
    "read_names",
    "syntax",
    "target_name",
    "tensor",
    "tensors",
]


def parse(text: str, scope: Scope) -> Formula:
    """Read a formula. Raises UserError, with the place, for whatever the language hasn't."""
    with distribute(False):  # 2·(y − t) stays as written
        return _parse(text, scope)


def _parse(text: str, scope: Scope) -> Formula:
    statement = syntax(text, scope.path)
    reader = Reader(scope, len(text) - len(text.lstrip()), frozenset(letters(statement)))
    target = None
    if isinstance(statement, ast.Assign):
        if len(statement.targets) != 1:
            raise reader.error(statement, "one `=` is enough")
        target = reader.target(statement.targets[0])
    rhs = reader.expression(statement.value)
    if target is not None:
        target = reader.spread(target, rhs)
        reader.check_free(statement.value, rhs, target)
    return ranged(Formula(text, target, rhs, tuple(reader.reads)))
