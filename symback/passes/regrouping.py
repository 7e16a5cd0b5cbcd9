"""Regrouping: indices that only take an axis apart, or join two, are a reshape. No bit changes.

W[128·g + k,i] with k below 128 is the array W seen with one axis more. Σ_g a[g,j − 128·g], where
a's last axis has 128 places, has one g for each j: it is a seen with one axis less. Parts of that
kind that follow each other along an axis are a concatenation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from symback.passes.names import all_names
from symback.places import digits
from symback.printing import formula, ranges
from symback.program import (
    Affine,
    Apply,
    Concatenate,
    Contract,
    Dim,
    Expr,
    Lookup,
    Program,
    Read,
    Reduce,
    Role,
    Split,
    Statement,
    Tensor,
)


def regrouped(program: Program) -> Program:
    """Return the program with reshapes in place of computed indices that amount to them."""
    work = Regrouping(program, {*all_names(program)})
    forward, loss, backward = (
        work.block(statements) for statements in (program.forward, program.loss, program.backward)
    )
    return replace(
        program,
        tensors=(*program.tensors, *work.made.values()),
        forward=forward,
        loss=loss,
        backward=backward,
    )


@dataclass(frozen=True, slots=True)
class Part:
    """The places start … start + size − 1 along a letter, of an array with two axes joined."""

    letter: str
    start: int
    size: int
    joined: Split  # as a statement's target: the array with its axes joined
    source: Read

    @property
    def axes(self) -> tuple[str, ...]:
        """The letters of the array whose axes are joined."""
        return tuple(self.letter if len(group) > 1 else group[0] for group in self.joined.groups)


@dataclass(slots=True)
class Regrouping:
    """The arrays with joined axes that were made so far, and statements that are to make them."""

    program: Program
    taken: set[str]
    made: dict[str, Tensor] = field(default_factory=dict)
    known: dict[str, Split] = field(default_factory=dict)  # an array → itself with axes joined
    before: list[Statement] = field(default_factory=list)

    def block(self, statements: Sequence[Statement]) -> tuple[Statement, ...]:
        """Return a block's statements, each after those that join axes of what it reads."""
        done: list[Statement] = []
        self.known = {}
        for statement in statements:
            dims = dict(ranges(statement, self.program))
            value = self.value(statement.value, dims, joins=statement.loop is None)
            changed = statement if value == statement.value else replace(statement, value=value)
            done += [*self.before, changed]
            self.before = []
        return tuple(done)

    def value(self, expr: Expr, dims: dict[str, Dim], *, joins: bool) -> Expr:
        """Return an expression without indices that are reshapes; `joins`: statements may be."""
        match expr:
            case Lookup():
                return self.apart(expr)
            case Reduce("sum", Lookup() as body, over) if joins and (
                part := self.part(body, over, dims)
            ):
                if part.start or part.size != dims[part.letter]:
                    return expr
                rest = tuple(letter for letter in over if letter in part.axes)
                read = self.read(part)
                return Reduce("sum", read, rest) if rest else read
            case Apply("add", args) if joins and (whole := self.concatenated(args, dims)):
                return whole
            case Apply(name, args):
                return Apply(name, tuple(self.value(arg, dims, joins=joins) for arg in args))
            case Reduce(name, body, over):
                return Reduce(name, self.value(body, dims, joins=joins), over)
            case Contract(left, right, over):
                first, second = (self.value(side, dims, joins=joins) for side in (left, right))
                return Contract(first, second, over)
        return expr

    # ------------------------------------------------------------ an axis taken apart

    def apart(self, expr: Lookup) -> Expr:
        """Return an array whose indices are digits of its places as the array taken apart."""
        sizes = dict(expr.sizes)
        shape = self.shape(expr.name)
        letters = [letter for place in expr.places for letter in place.axes]
        groups = [digits(p, sizes, d) for p, d in zip(expr.places, shape, strict=True)]
        if not all(groups) or len({*letters}) != len(letters):
            return expr
        if all(len(group) == 1 for group in groups):
            return Read(expr.name, tuple(group[0] for group in groups))
        dims = tuple((letter, sizes[letter]) for group in groups for letter in group)
        return Split(expr.name, tuple(groups), dims)

    def shape(self, name: str) -> tuple[Dim, ...]:
        return self.program.tensor(name).shape

    # ------------------------------------------------------------ axes joined

    def part(self, body: Lookup, over: tuple[str, ...], dims: dict[str, Dim]) -> Part | None:
        """Return what Σ_g a[g,j − m·g] reads, where a's other axis has m places."""
        shape = self.shape(body.name)
        axes: list[str] = []
        found: tuple[str, str, int, int] | None = None
        for place, dim in zip(body.places, shape, strict=True):
            match place:
                case Affine(0, ((letter, 1),)) if dims.get(letter) == dim:
                    axes.append(letter)
                case Affine(offset, ((letter, 1), (digit, step))) if (
                    not found and digit in over and -step == dim and letter not in over
                ):
                    found = letter, digit, -offset, int(dim)
                    axes.append(f"{letter}'")
                case _:
                    return None
        if not found or len({*axes}) != len(axes) or found[0] in axes or found[1] not in axes:
            return None
        letter, digit, start, places = found
        inner = f"{letter}'"
        groups = tuple((digit, inner) if a == inner else (a,) for a in axes if a != digit)
        sizes = tuple((a, d) for a, d in zip(axes, shape, strict=True))
        size = int(dims[digit]) * places
        source = Read(body.name, tuple(axes))
        return Part(letter, start, size, Split(body.name, groups, sizes), source)

    def read(self, part: Part) -> Read:
        """Return the array with its axes joined; a statement makes it where there is none yet."""
        name = part.source.name
        if name not in self.known or shifted(self.known[name], name) != shifted(part.joined, name):
            joined = replace(part.joined, name=self.fresh(f"r_{name}"))
            sizes = dict(part.joined.sizes)
            self.made[joined.name] = Tensor(
                joined.name,
                joined.name,
                Role.VALUE,
                tuple(part.size if len(group) > 1 else sizes[group[0]] for group in joined.groups),
            )
            said = f"{formula(joined)} = {formula(part.source)}"
            self.before.append(Statement(joined, part.source, said))
            self.known[name] = joined
        return Read(self.known[name].name, part.axes)

    def fresh(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def concatenated(self, args: tuple[Expr, ...], dims: dict[str, Dim]) -> Concatenate | None:
        """Return a sum of parts that follow each other along a letter as their concatenation."""
        parts = [
            self.part(arg.body, arg.over, dims)
            for arg in args
            if isinstance(arg, Reduce) and arg.function == "sum" and isinstance(arg.body, Lookup)
        ]
        if len(parts) != len(args) or not all(parts):
            return None
        rows = sorted(cast(list[Part], parts), key=lambda part: part.start)
        letters = {part.letter for part in rows}
        ends = [0, *(part.start + part.size for part in rows)]
        [letter, *others] = letters
        alike = len({part.axes for part in rows}) == 1 and not others
        if not alike or [p.start for p in rows] != ends[:-1] or ends[-1] != dims[letter]:
            return None
        own = tuple(f"{letter}{k}" for k in range(len(rows)))
        reads = (self.read(part) for part in rows)
        made = (
            Read(read.name, tuple(name if a == letter else a for a in read.axes))
            for read, name in zip(reads, own, strict=True)
        )
        return Concatenate(tuple(made), own, letter)


def shifted(joined: Split, name: str) -> tuple[Split, ...]:
    """Return what tells two arrays with joined axes apart: not their letters."""
    letters = {letter: str(k) for k, letter in enumerate(joined.axes)}
    groups = tuple(tuple(letters[a] for a in group) for group in joined.groups)
    return (Split(name, groups, tuple((letters[a], d) for a, d in joined.sizes if a in letters)),)
