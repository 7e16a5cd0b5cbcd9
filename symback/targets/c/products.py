"""Calls of products of matrices and of functions of a matrix."""

from collections.abc import Mapping, Sequence
from math import prod

from symback import printing
from symback.program import (
    Dim,
)
from symback.targets._loops import (
    Call,
    Lined,
    Product,
    Strided,
)
from symback.targets.c.scope import Scope
from symback.targets.c.values import element, seen, start


def product(node: Product, scope: Scope, share: tuple[str, str] | None = None) -> str:
    """Return the call that computes a product of matrices; `share`: of some of its rows alone."""
    dims = dict(node.sizes)
    target, left, right = node.target, node.left, node.right
    counts = [times([dims[a] for a in group]) for group in (node.rows, node.columns, node.over)]
    first: dict[str, str] = {}
    if share:
        first, counts[0] = {node.rows[-1]: share[0]}, f"{share[1]} - {share[0]}"
    into = [pointer(target, node, scope, first), stride(target, node.rows, scope)]
    more = ["1" if node.more else "0"]
    steps = [
        pointer(left, node, scope, first),
        stride(left, node.rows, scope),
        stride(left, node.over, scope),
    ]
    if node.lined:
        return f"in_strips({', '.join([*counts, *steps, strips_of(right, scope), *into, *more])});"
    steps += [pointer(right, node, scope), stride(right, node.over, scope)]
    one = counts[2] == "1"  # a term only: no sums
    along = not (node.blas or one) and right.axes[-1] in node.over  # both run along their rows
    if along:
        steps = [pointer(left, node, scope, first), stride(left, node.rows, scope)]
        steps += [pointer(right, node, scope), stride(right, node.columns, scope)]
    if node.blas:
        steps.append(stride(right, node.columns, scope))
    word = "gemm" if node.blas else "dots" if along else "product"
    return f"{word}({', '.join([*counts, *steps, *into, *more])});"


def lined(node: Lined, scope: Scope) -> str:
    """Return the call that copies a matrix in strips of columns."""
    dims = dict(node.sizes)
    inner, columns = (times([dims[a] for a in group]) for group in (node.over, node.columns))
    matrix = [
        start(node.right, {*node.over, *node.columns}, scope),
        *(stride(node.right, group, scope) for group in (node.over, node.columns)),
    ]
    return f"strips({', '.join([inner, columns, *matrix, strips_of(node.target, scope)])});"


def strips_of(access: Strided, scope: Scope) -> str:
    """Return where a matrix in strips begins."""
    return f"&{scope.name(access.name)}[0][0]"


def of_matrix(node: Call, scope: Scope) -> str:
    """Return the call of a function of a matrix; what isn't a matrix itself is returned by it."""
    own = set(node.operand.axes[-2:])
    given = f"{node.size}, {start(node.operand, own, scope)}"
    work = scope.name(node.work.name)
    work = f"&{work}[0][0]" if isinstance(node.size, int) else work
    called = printing.MATRICES[node.function]
    if node.function in {"inv", "cholesky"}:
        return f"{called}({given}, {start(node.target, own, scope)}, {work});"
    return f"{element(node.target, scope)} = {called}({given}, {work});"


def times(dims: Sequence[Dim]) -> str:
    """Return the product of sizes."""
    known = prod(dim for dim in dims if isinstance(dim, int))
    others = [str(dim) for dim in dims if isinstance(dim, str)]
    return " * ".join([*others, *([str(known)] if known != 1 or not others else [])])


def pointer(
    access: Strided, node: Product, scope: Scope, first: Mapping[str, str] | None = None
) -> str:
    """Return where a matrix begins: at the letters bound around it, and at 0 of its own.

    `first`: where letters of its own begin that don't at 0.
    """
    return start(access, {*node.rows, *node.over, *node.columns}, scope, first or {})


def stride(access: Strided, letters: tuple[str, ...], scope: Scope) -> str:
    """Return how far apart two neighbours along the letters, the last of them, stand."""
    shape = seen(access, scope)
    return times(shape[access.axes.index(letters[-1]) + 1 :]) if letters else "0"
