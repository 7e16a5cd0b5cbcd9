"""The order of a product's contractions: the one with the least floating-point work.

Σ_r,i U[o,r]·V[r,i]·x[n,i] is U·(V·x) or (U·V)·x: sizes decide, and opt_einsum's path finder knows.
Results change in the last bits where the order does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from symback.passes.cost import sizes
from symback.printing import children, ranges
from symback.program import Apply, Contract, Expr, Program, Reduce, Statement, mapped, merged


def ordered_products(program: Program) -> Program:
    """Return the program with its products of three and more factors in the cheapest order."""

    def block(statements: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple(statement_of(statement, program) for statement in statements)

    return replace(
        program,
        forward=block(program.forward),
        loss=block(program.loss),
        backward=block(program.backward),
    )


def statement_of(statement: Statement, program: Program) -> Statement:
    if statement.loop is not None:
        return statement
    run_time = sizes(program)
    dims = {
        letter: run_time.get(dim, 1) if isinstance(dim, str) else dim
        for letter, dim in ranges(statement, program).items()
    }
    value = rewritten(statement.value, dims)
    return statement if value == statement.value else replace(statement, value=value)


def rewritten(expr: Expr, dims: Mapping[str, int]) -> Expr:
    """Return an expression with every product inside it in its cheapest order."""
    found = factors(expr)
    if found is not None and len(found.operands) > 2 and set(found.letters) <= dims.keys():
        operands = tuple(rewritten(operand, dims) for operand in found.operands)
        made = contracted(replace(found, operands=operands), expr.axes, dims)
        if work(made, dims) < work(expr, dims):
            return made
    return mapped(expr, lambda part: rewritten(part, dims))


@dataclass(frozen=True, slots=True)
class Factors:
    """Σ_over of a product of operands."""

    operands: tuple[Expr, ...]
    over: tuple[str, ...]

    @property
    def letters(self) -> tuple[str, ...]:
        return merged(*(operand.axes for operand in self.operands))


def factors(expr: Expr) -> Factors | None:
    """Return the factors of a sum of products and the letters it sums over; None for others."""
    match expr:
        case Contract(left, right, over):
            return joined((left, right), over)
        case Reduce("sum", Apply("multiply", args), over):
            return joined(args, over)
        case Reduce("sum", Contract() | Reduce() as body, over):
            return joined((body,), over)
    return None


def joined(parts: Sequence[Expr], over: tuple[str, ...]) -> Factors | None:
    """Return the factors of a product, those of the sums of products inside it among them."""
    inner = [factors(part) or spread(part) for part in parts]
    bound = [letter for part in inner for letter in part.over]
    seen = [letter for part in inner for letter in {*part.letters}]
    if any(seen.count(letter) > 1 or letter in over for letter in bound):
        return None  # the same letter means two sums
    operands = tuple(operand for part in inner for operand in part.operands)
    return Factors(operands, (*over, *bound))


def spread(part: Expr) -> Factors:
    """Return the factors of a product that isn't summed."""
    match part:
        case Apply("multiply", args) if all(arg.axes for arg in args):
            return Factors(tuple(o for arg in args for o in spread(arg).operands), ())
    return Factors((part,), ())


def contracted(found: Factors, axes: tuple[str, ...], dims: Mapping[str, int]) -> Expr:
    """Return the product contracted two at a time, in the order of least work."""
    import opt_einsum

    letters = {letter: opt_einsum.get_symbol(k) for k, letter in enumerate(found.letters)}
    text = ",".join("".join(letters[a] for a in operand.axes) for operand in found.operands)
    shapes = [tuple(dims[a] for a in operand.axes) for operand in found.operands]
    path: Any
    path, _ = opt_einsum.contract_path(
        f"{text}->{''.join(letters[a] for a in axes)}", *shapes, shapes=True, optimize="optimal"
    )
    operands, over = list(found.operands), found.over
    for places in path:
        chosen = [operands[place] for place in sorted(places)]
        operands = [o for place, o in enumerate(operands) if place not in places]
        elsewhere = {axis for operand in operands for axis in operand.axes}
        here = tuple(axis for axis in over if axis not in elsewhere)
        over = tuple(axis for axis in over if axis in elsewhere)
        one, *others = chosen
        operands.append(pair(one, others[0], here) if others else summed(one, here))
    return operands[0]


def summed(expr: Expr, over: tuple[str, ...]) -> Expr:
    own = tuple(axis for axis in over if axis in expr.axes)
    return Reduce("sum", expr, own) if own else expr


def pair(first: Expr, second: Expr, over: tuple[str, ...]) -> Expr:
    """Return Σ_over first·second, summing beforehand what only one of them has."""
    first, second = (
        summed(one, tuple(axis for axis in over if axis not in other.axes))
        for one, other in ((first, second), (second, first))
    )
    both = tuple(axis for axis in over if axis in first.axes and axis in second.axes)
    if not both:
        return Apply("multiply", (first, second))
    if set(first.axes) == set(second.axes):
        return Reduce("sum", Apply("multiply", (first, second)), both)
    return Contract(first, second, both)


def work(expr: Expr, dims: Mapping[str, int]) -> int:
    """Return how many multiplications and additions an expression takes."""
    here = 0
    match expr:
        case Contract(left, right):
            here = 2 * prod(dims[axis] for axis in merged(left.axes, right.axes))
        case Reduce(body=body):
            here = prod(dims.get(axis, 1) for axis in body.axes)
        case Apply(args=args):
            here = max(1, len(args) - 1) * prod(dims.get(axis, 1) for axis in expr.axes)
    return here + sum(work(child, dims) for child in children(expr))
