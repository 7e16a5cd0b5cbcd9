"""Recurrences step by step: arrays lie step after step in memory, and a step works on its parts.

    h[n,t,k] = tanh(Σ_l U[k,l]·h[n,t − 1,l] + p[n,t,k])

h becomes an array h[t,n,k], made with a step of zeros before the first, `h_all`; the loop's body
works on `h_t`, `h_before`, which are views of it and lie side by side in memory. What a step alone
needs is an array of one step.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from symback.passes.names import all_names
from symback.passes.stepping.layout import COMPUTED, Layout
from symback.passes.stepping.one_step import OneStep, Views
from symback.passes.stepping.outside import Outside
from symback.printing import formula, free, walk
from symback.program import (
    Concatenate,
    Expr,
    Lookup,
    Matrix,
    Program,
    Read,
    Role,
    Scatter,
    Split,
    Statement,
    Tensor,
    mapped,
)


def stepwise(program: Program) -> Program:
    """Return the program with its recurrences in views of arrays that lie step after step.

    A program with a recurrence that has another form (a number a step, several steps at once)
    stays as it is.
    """
    whole, program = program, taken_apart(program)
    statements = (*program.forward, *program.loss, *program.backward)
    looped = [statement for statement in statements if statement.loop is not None]
    if not looped or not all(fits(statement, program) for statement in looped):
        return whole
    if any(isinstance(node, Matrix) for s in statements for node in walk(s.value)):
        return whole
    return in_steps(program)


def taken_apart(program: Program) -> Program:
    """Return the program with arrays of axes for themselves where a step reads joined ones."""
    made: dict[Split, Tensor] = {}

    def block(statements: Sequence[Statement]) -> Iterator[Statement]:
        for loop, group_ in groupby(statements, lambda statement: statement.loop):
            group = tuple(group_)
            if loop is None:
                yield from group
                continue
            found = {
                node: Read(copy(node), node.axes)
                for statement in group
                for node in walk(statement.value)
                if isinstance(node, Split) and loop.letter in node.axes
            }
            for node, read in found.items():
                yield Statement(read, node, f"{formula(read)} = {formula(node)}")
            for statement in group:
                yield replace(statement, value=swapped(statement.value, found))

    def copy(node: Split) -> str:
        if node not in made:
            name, taken = f"{node.name}_steps", all_names(program) | {t.name for t in made.values()}
            while name in taken:
                name += "_"
            made[node] = Tensor(name, name, Role.VALUE, tuple(dim for _, dim in node.sizes))
        return made[node].name

    forward, loss, backward = (
        tuple(block(statements)) for statements in (program.forward, program.loss, program.backward)
    )
    tensors = (*program.tensors, *made.values())
    return replace(program, tensors=tensors, forward=forward, loss=loss, backward=backward)


def swapped(expr: Expr, found: Mapping[Split, Read]) -> Expr:
    """Return an expression with other arrays in place of some."""
    if isinstance(expr, Split) and expr in found:
        return found[expr]
    return mapped(expr, lambda part: swapped(part, found))


def fits(statement: Statement, program: Program) -> bool:
    """Tell whether a recurrence's statement works on arrays, at steps at fixed distances."""
    loop, target = statement.loop, statement.target
    assert loop is not None
    if isinstance(target, Split) or len(target.axes) < 2:
        return False
    arrays = {tensor.name: tensor for tensor in program.tensors}

    def known(node: Expr) -> bool:
        match node:
            case Split() | Scatter() | Concatenate() | Matrix():
                return loop.letter not in free(node)
            case Lookup(name, places, sizes) if loop.letter in node.axes:
                apart = [place for place in places if loop.letter in place.axes]
                if len(apart) != 1:
                    return False
                if isinstance(apart[0], Read):
                    return True
                shifted = apart[0].terms == ((loop.letter, 1),)
                return (
                    shifted
                    and arrays[name].role in COMPUTED
                    and dict(sizes)[loop.letter] == (loop.size)
                )
            case Read(name, axes) if loop.letter in axes:
                return arrays[name].shape[axes.index(loop.letter)] == loop.size
        return True

    return all(known(node) for node in walk(statement.value))


def in_steps(program: Program) -> Program:
    """Return the program over arrays as they lie, its recurrences over views of them."""
    layout = Layout.of(program)
    outside, views = Outside(layout), Views(layout)

    def block(statements: Iterable[Statement]) -> Iterator[Statement]:
        for loop, group in groupby(statements, lambda statement: statement.loop):
            if loop is None:
                for statement in group:
                    if layout.has_margins(statement.target.name):
                        yield layout.named(statement.target.name)
                    yield outside.statement(statement)
            else:
                yield from steps(tuple(group), OneStep(views, loop))

    forward, loss, backward, renewal = (
        tuple(block(each))
        for each in (program.forward, program.loss, program.backward, program.renewal)
    )
    return replace(
        program,
        tensors=(*map(layout.tensor, program.tensors), *outside.copies.values()),
        forward=(*map(outside.copied, outside.copies), *forward),
        loss=loss,
        backward=backward,
        renewal=renewal,
        buffers=(*program.buffers, *layout.made.values()),
        views=tuple(views.made),
    )


def steps(group: tuple[Statement, ...], step: OneStep) -> Iterator[Statement]:
    """Yield a recurrence's statements over the parts of arrays that a step works on."""
    layout = step.layout
    for name in (statement.target.name for statement in group):
        if layout.lying[name].whole == name and name not in layout.brief:
            layout.made[name] = layout.tensor(layout.tensors[name])
    made = [each for statement in group for each in step.statements(statement)]
    yield from step.given.values()
    yield from made
    for name in dict.fromkeys(statement.target.name for statement in group):
        kept = name in layout.elsewhere or layout.tensors[name].role is Role.VALUE
        if layout.lying[name].whole != name and kept:
            yield layout.named(name)
