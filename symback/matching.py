"""Expressions that are the same but for the letters of their indices."""

from itertools import permutations

from sympy import Expr, Indexed, Symbol, preorder_traversal

from symback import functions as fn
from symback import index as ix


def size_of(expr: Expr) -> int:
    """Return the number of nodes of an expression."""
    return sum(1 for _ in preorder_traversal(expr))


def replaced(expr: Expr, target: Expr, value: Expr) -> Expr:
    """Return the expression with `value`, in whatever letters, replaced by `target` in those."""
    letters = tuple(target.indices) if isinstance(target, Indexed) else ()
    if not all(isinstance(letter, Symbol) for letter in letters):
        return expr
    for part in sorted(expr.atoms(type(value)), key=lambda part: (-size_of(part), str(part))):
        given = _letters_of_match(value, letters, part)
        if given is not None:
            swap = dict(zip(letters, given, strict=True))
            expr = expr.xreplace({part: ix.substitute(target, swap)})
    return expr


def _letters_of_match(
    value: Expr, letters: tuple[Symbol, ...], part: Expr
) -> tuple[Symbol, ...] | None:
    """Return the letters under which `value` is the same as `part`, None where there are none."""
    free = sorted(ix.indices(part), key=lambda letter: letter.name)
    if len(free) != len(letters) or size_of(part) != size_of(value):
        return None
    wanted = canonical(part)
    if wanted == canonical(value):
        return letters
    for given in permutations(free):
        swap = dict(zip(letters, given, strict=True))
        if canonical(ix.substitute(value, swap)) == wanted:
            return given
    return None


def canonical(expr: Expr) -> Expr:
    """Return the expression with its bound indices numbered, so that equal sums look equal."""
    if isinstance(expr, fn.Reduction) and not isinstance(expr, fn.Along):
        body = canonical(expr.body)
        depth = 1 + max(
            (int(letter.name[1:]) for letter in ix.letters(body) if letter.name[0] == "#"),
            default=0,
        )
        swap = {letter: letter.called(f"#{depth + k}") for k, letter in enumerate(expr.bound)}
        return expr.func(body.xreplace(swap), *swap.values())
    return expr.func(*(canonical(arg) for arg in expr.args)) if expr.args else expr
