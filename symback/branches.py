"""The branches of a where, joined: what one of them isn't finite at never reaches the other."""

from sympy import Expr, Indexed, S

from symback import functions as fn
from symback import index as ix


def merged(expr: Expr, incoming: Expr = S.One) -> Expr:
    """Join the branches of a where: [c]·a + [not c]·b becomes where(c, a, b).

    A masked factor moves inside the branch: what isn't finite there is never multiplied by 0. The
    adjoint that comes in, `incoming`, stays in front.
    """
    if not expr.has(fn.where):
        return expr
    if expr.is_Mul and not isinstance(expr, fn.Reduction):
        parts = [merged(part, incoming) for part in expr.args]
        masks = [part for part in parts if _is_mask(part)]
        if masks:
            held = [part for part in parts if _is_masked(part, masks[0], incoming)]
            rest = [part for part in parts if part not in held and part is not masks[0]]
            condition, first, second = masks[0].args
            inside = merged(ix.product(held), incoming)
            branch = fn.where(condition, first * inside, second * inside)
            return ix.product(rest) * _plain(branch)
        return ix.product(parts)
    if expr.is_Add:
        terms = [merged(term, incoming) for term in expr.args]
        return _joined(terms)
    if isinstance(expr, fn.Reduction):
        return expr.func(merged(expr.body, incoming), *expr.bound)
    return expr


def _is_mask(part: Expr) -> bool:
    return isinstance(part, fn.where) and {part.args[1], part.args[2]} == {S.Zero, S.One}


def _is_masked(part: Expr, mask: Expr, incoming: Expr) -> bool:
    if part is mask or part.is_Number or isinstance(part, fn.SumOver) or not ix.indices(part):
        return False
    if ix.holds_delta(part):
        return False
    if isinstance(incoming, Indexed):  # ∂L/∂z stays in front
        return incoming.base not in {access.base for access in ix.accesses(part)}
    return incoming not in part.free_symbols


def _plain(branch: Expr) -> Expr:
    """Return where(a > b, 1, 0) as the comparison that it is."""
    condition, first, second = branch.args
    is_comparison = isinstance(condition, tuple(fn.COMPARISONS))
    return condition if is_comparison and (first, second) == (S.One, S.Zero) else branch


def _joined(terms: list[Expr]) -> Expr:
    """Add terms; masked ones on one condition become a single where."""
    by_condition: dict[Expr, list[Expr]] = {}
    rest: Expr = S.Zero
    for term in terms:
        condition = _condition(term)
        if condition is None:
            rest = rest + term
        else:
            by_condition.setdefault(condition, []).append(term)
    for condition, masked in by_condition.items():
        first: Expr = S.Zero
        second: Expr = S.Zero
        for term in masked:
            factor, branch = _branch(term)
            first, second = first + factor * branch.args[1], second + factor * branch.args[2]
        rest = rest + _plain(fn.where(condition, first, second))
    return rest


def _condition(term: Expr) -> Expr | None:
    number, part = term.as_coeff_Mul()
    if isinstance(part, fn.where):
        return part.args[0]
    return part if isinstance(part, tuple(fn.COMPARISONS)) and number != 0 else None


def _branch(term: Expr) -> tuple[Expr, Expr]:
    number, part = term.as_coeff_Mul()
    return number, part if isinstance(part, fn.where) else fn.where(part, 1, 0)
