"""Derivation → Program: every equation becomes a statement over arrays.

A sum of products over shared indices becomes a `Contract` of two operands, which a target prints
as a matrix product where it is one; factors along the same axes are multiplied first.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, groupby
from math import prod
from operator import attrgetter
from types import MappingProxyType

from sympy import Add, Expr, Indexed, Integer, Mul, Pow, Rational, Symbol, pi
from sympy.core.parameters import distribute

from symback import functions as fn
from symback import graph, notation, program, regrouping
from symback import index as ix
from symback.derivation import Beside, Derivation, Line, Term
from symback.extremes import with_extremes
from symback.formula import numeric
from symback.functions import Index
from symback.graph import Equation, Recipe, name_of, subscripts
from symback.naming import FREE_LETTERS
from symback.program import (
    Affine,
    Apply,
    Assumption,
    Concatenate,
    Contract,
    Dim,
    Function,
    Lookup,
    Metric,
    Number,
    Position,
    Program,
    Read,
    Reduce,
    Role,
    Scatter,
    Schedule,
    Size,
    Slice,
    Split,
    Statement,
    Tensor,
    Update,
    merged,
)

Shapes = Mapping[str, tuple[Dim, ...]]
Renaming = Mapping[Expr, Expr]

REDUCED = {
    fn.SumOver: "sum",
    fn.MaxOver: "max",
    fn.MinOver: "min",
    fn.ProdOver: "prod",
    fn.ArgMax: "argmax",
    fn.ArgMin: "argmin",
}


def lower(derivation: Derivation, float_type: str = "float64") -> Program:
    """Turn every line of a derivation into a statement."""
    with distribute(False):
        return _lowered(derivation, float_type)


def _lowered(derivation: Derivation, float_type: str) -> Program:
    graph = derivation.graph
    states = {tensor.name for tensor in derivation.tensors if tensor.role is Role.STATE}
    alone = {name for _, lines in derivation.metrics for line in lines for name in (line.target,)}
    forward = statements(derivation, with_extremes(derivation.forward))
    loss = statements(derivation, derivation.loss)
    backward = statements(derivation, derivation.backward)
    passes = (*forward, *loss, *backward)
    return Program(
        model=graph.model,
        source=graph.source,
        digest=graph.digest,
        tensors=tuple(t for t in derivation.tensors if t.name not in alone),
        forward=forward,
        output=graph.output,
        loss=loss,
        objective=graph.objective,
        weight=graph.divisor,
        backward=backward,
        renewal=tuple(
            replace(each, because=assigned(each.because)) if each.target.name in states else each
            for each in statements(derivation, derivation.renewal)
        ),
        gradients=derivation.gradients,
        functions=tuple(_function(derivation, each, passes) for each in derivation.beside),
        frozen=graph.frozen,
        detached=graph.detached,
        update=_update(graph.optimizer, float_type),
        schedule=None if graph.schedule is None else _schedule(graph.schedule, float_type),
        metrics=tuple(
            Metric(name, statements(derivation, lines)) for name, lines in derivation.metrics
        ),
        assumptions=_assumptions(derivation),
        training=graph.training,
        data=graph.data,
        layers=tuple((node.target, node.layer) for node in (*graph.layers, *graph.loss)),
        notes=notes(derivation),
        float_type=float_type,
    )


def _function(derivation: Derivation, beside: Beside, passes: Sequence[Statement]) -> Function:
    """Turn a function beside the passes into statements."""
    tensors = (*derivation.tensors, *beside.tensors)
    own = statements(replace(derivation, tensors=tensors), beside.lines, dict(beside.shown))
    return Function(beside.name, (*passes, *own), tensors, beside.results, beside.given)


def statements(
    derivation: Derivation, lines: Sequence[Line], said: Mapping[str, str] = MappingProxyType({})
) -> tuple[Statement, ...]:
    """Turn lines over a derivation's tensors into statements; `said`: how tensors are written."""
    shown = {**shown_names(derivation), **said}
    shapes = {tensor.name: tensor.shape for tensor in derivation.tensors}
    filled = (tuple(group) for _, group in groupby(lines, attrgetter("target")))
    return tuple(
        _statement(group[0], shown, shapes) if len(group) == 1 else _joined(group, shown, shapes)
        for group in filled
    )


def assigned(said: str) -> str:
    """Return an equation as what it is where its target had a value before: w ← w − lr·g."""
    return said.replace(" = ", " ← ", 1)


def shown_names(derivation: Derivation) -> dict[str, str]:
    """Return how each tensor is written in a formula: dz1 is ∂L/∂z1."""
    return {
        tensor.name: f"∂L/∂{tensor.name[1:]}" if tensor.role is Role.ADJOINT else tensor.name
        for tensor in derivation.tensors
    }


def shown(term: Term, names: Mapping[str, str]) -> dict[str, str]:
    """Return how a term's letters are written: the tensors they stand for, and sizes."""
    letters = {letter: names.get(name, name) for letter, name in term.names}
    sizes = {f"|{name}|": str(dim).upper() for name, dim in term.sizes}
    return letters | sizes


def aligned(line: Line) -> tuple[Term, ...]:
    """Return a line's terms in the letters of the first; a letter means one size in all of them."""
    letters = subscripts(line.terms[0].equation.target)
    if line.loop is not None:
        letters = _along(letters, line.loop, line.axis)
    known: dict[str, Hashable] = {}
    own = [_in_letters(term, _called(term, letters), known) for term in line.terms]
    return regrouping.in_order(own)


def _along(letters: tuple[Expr, ...], loop: graph.Loop, axis: int) -> tuple[Expr, ...]:
    """Return the letters with the recurrence's at its axis; another of that name gets a new one."""
    named = {part.name for part in letters if isinstance(part, Index)}
    spare = next(name for name in FREE_LETTERS if name not in named | {loop.letter})
    return tuple(
        part.called(loop.letter)
        if place == axis
        else (part.called(spare) if part.name == loop.letter else part)
        for place, part in enumerate(letters)
        if isinstance(part, Index)
    )


def _called(term: Term, letters: Sequence[Expr]) -> Renaming:
    """Return what makes the term's target have these indices, where both are plain."""
    own = subscripts(term.equation.target)
    return {
        old: old.called(new.name)
        for old, new in zip(own, letters, strict=True)
        if isinstance(old, Index) and isinstance(new, Index)
    }


def _in_letters(term: Term, called: Renaming, known: dict[str, Hashable]) -> Term:
    """Return the term with its target's indices renamed, other indices out of the way."""
    sizes = dict(term.sizes)
    target = ix.substitute(term.equation.target, called)
    rhs = ix.substitute(term.equation.rhs, called)
    rhs = ix.tidy(rhs, ix.indices(target), lambda letter: sizes[letter.range], known)
    return replace(term, equation=Equation(target, rhs))


def _statement(line: Line, names: Mapping[str, str], shapes: Shapes) -> Statement:
    terms = aligned(line)
    at = terms[0].equation.target
    letters = subscripts(at)
    loop = None
    if line.loop is not None:
        letter = letters[line.axis]
        size = dict(terms[0].sizes)[letter.range]
        loop = program.Loop(line.loop.group, line.loop.letter, int(size), line.loop.step)
    places = regrouping.placed(terms)
    if places is not None and (loop is None or places.axis != line.axis):
        return _stacked(terms, places, names, shapes, loop)
    if loop:  # at one step nothing is added up at places: Σ_k δ(i, 2·k)·f(k) = Σ_k [i = 2·k]·f(k)
        terms = tuple(_compared(term) for term in terms)
    if loop is None:
        beside = regrouping.side_by_side(terms, shapes)
        if beside is not None:
            return _side_by_side(terms, *beside, names, shapes)
        if taken_apart := regrouping.regrouped(terms, shapes):
            terms = taken_apart
            at = terms[0].equation.target
            letters = _flat(at)
    target = Lowering(terms[0], (), shapes).target(at)
    value, because = _value(terms, letters, shapes), _said(at, terms, names)
    return Statement(target, value, because, loop=loop)


def _value(terms: Sequence[Term], letters: tuple[Expr, ...], shapes: Shapes) -> program.Expr:
    """Return the sum of the terms of a line; the target's letters are `letters`."""
    values = [Lowering(term, letters, shapes).value(term.equation.rhs) for term in terms]
    return values[0] if len(values) == 1 else Apply("add", tuple(values))


def _said(at: Expr, terms: Sequence[Term], names: Mapping[str, str]) -> str:
    """Return the formula of a line, whose target is `at`."""
    said = [notation.text(term.equation.rhs, shown(term, names)) for term in terms]
    return f"{notation.text(at, shown(terms[0], names))} = {notation.added(said)}"


def _compared(term: Term) -> Term:
    """Return a term with its deltas as comparisons."""
    to = term.equation
    return replace(term, equation=Equation(to.target, ix.all_compared(to.rhs)))


def _flat(target: Expr) -> tuple[Expr, ...]:
    """Return the letters of an access in order, those of joined indices too."""
    parts = subscripts(target)
    return tuple(x for part in parts for x in (part.args if isinstance(part, fn.Flat) else (part,)))


def _side_by_side(
    terms: Sequence[Term],
    axis: int,
    parts: Sequence[regrouping.Part],
    names: Mapping[str, str],
    shapes: Shapes,
) -> Statement:
    """Return the statement whose terms each fill a part of an axis."""
    target = terms[0].equation.target
    axes = tuple(letter.name for letter in subscripts(target))
    used = {letter.name for part in parts for letter in ix.letters(part.term.equation.rhs)}
    free = (name for name in FREE_LETTERS if name not in {*used, *axes})
    values: list[program.Expr] = []
    letters: list[str] = []
    said = []
    for part in parts:
        order = (*target.indices[:axis], *part.letters, *target.indices[axis + 1 :])
        lowering = Lowering(part.term, order, shapes)
        joined = lowering.place(regrouping.place(replace(part, start=0)))
        letters.append(next(free))
        own = (*axes[:axis], letters[-1], *axes[axis + 1 :])
        sizes = {letter.name: lowering.dim(letter) for letter in order}
        dims = tuple(part.count if a == letters[-1] else sizes[a] for a in own)
        places = tuple(joined if a == letters[-1] else Affine(0, ((a, 1),)) for a in own)
        body = lowering.value(part.term.equation.rhs)
        values.append(Scatter(body, own, dims, places, tuple(sizes.items())))
        to = regrouping.at(part.term, axis, regrouping.place(part)).equation
        written = shown(part.term, names)
        said.append(f"{notation.text(to.target, written)} = {notation.text(to.rhs, written)}")
    counts = tuple(part.count for part in parts)
    value = Concatenate(tuple(values), tuple(letters), counts, axes[axis])
    return Statement(Lowering(terms[0], (), shapes).target(target), value, "\n".join(said))


def _stacked(
    terms: Sequence[Term],
    places: regrouping.Places,
    names: Mapping[str, str],
    shapes: Shapes,
    loop: program.Loop | None,
) -> Statement:
    """Return the statement whose terms stand each at one place of an axis."""
    target = terms[0].equation.target
    letters = subscripts(target)
    others = [_compared(term) if loop else term for term in places.others]
    inside = (*letters[: places.axis], *letters[places.axis + 1 :])
    parts = tuple(_value(at, inside, shapes) for at in places.at)
    made: program.Expr = program.Stack(parts, letters[places.axis].name)
    if others:
        made = Apply("add", (_value(others, letters, shapes), made))
    to = Lowering(terms[0], (), shapes).target(target)
    return Statement(to, made, _said_at(terms, places, names), loop=loop)


def _said_at(terms: Sequence[Term], places: regrouping.Places, names: Mapping[str, str]) -> str:
    """Return the formula of terms at places: one for each place where there are no others."""
    if places.others:
        return _said(terms[0].equation.target, terms, names)
    made = []
    for k, at in enumerate(places.at):
        here = regrouping.at(at[0], places.axis, Integer(k))
        made.append(_said(here.equation.target, at, names))
    return "\n".join(made)


def _joined(lines: Sequence[Line], names: Mapping[str, str], shapes: Shapes) -> Statement:
    """Return the statement of lines that fill an axis part by part, each behind those before."""
    first, *others = (subscripts(line.terms[0].equation.target) for line in lines)
    axis = next(k for at in others for k, part in enumerate(at) if not isinstance(part, Index))
    axes = [part.name for part in first]
    known: dict[str, Hashable] = {}
    values: list[program.Expr] = []
    letters: list[str] = []
    counts: list[int] = []
    said: list[str] = []
    for (whole,) in (line.terms for line in lines):
        sizes = dict(whole.sizes)
        (own,) = ix.letters(subscripts(whole.equation.target)[axis])
        letter = next(  # one that means no other size
            own.called(name)
            for name in (own.name, *FREE_LETTERS)
            if name not in {*axes[:axis], *axes[axis + 1 :]}
            and known.get(name, sizes[own.range]) == sizes[own.range]
        )
        term = _in_letters(whole, {**_called(whole, first), own: letter}, known)
        at = tuple(letter if k == axis else part for k, part in enumerate(first))
        values.append(_value([term], at, shapes))
        letters.append(letter.name)
        counts.append(int(sizes[own.range]))
        said.append(_said(term.equation.target, [term], names))
    axes[axis] = next(name for name in FREE_LETTERS if name not in {*known, *axes})
    value = Concatenate(tuple(values), tuple(letters), tuple(counts), axes[axis])
    return Statement(Read(lines[0].target, tuple(axes)), value, "\n".join(said))


# ---------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Lowering:
    """Turns expressions in one term's letters into array expressions.

    `order` is the target's indices: the operands of a product stand in their order. `shapes` are
    the tensors': an index that runs over less than an axis reads a part of it.
    """

    term: Term
    order: tuple[Expr, ...]
    shapes: Shapes = field(default_factory=dict)

    def name(self, letter: str) -> str:
        return dict(self.term.names).get(letter, letter)

    def dim(self, expr: Expr) -> Dim:
        """Return how many values an index takes, or the range that a size counts."""
        return dict(self.term.sizes)[expr.range]

    def target(self, expr: Expr) -> Read | Split:
        """Return what a statement writes; a part of a tensor counts as all of it for now."""
        made = self.access(expr)
        return made if isinstance(made, Split) else Read(made.name, made.axes)

    def access(self, expr: Expr) -> program.Leaf:
        """Return a tensor access."""
        if not isinstance(expr, Indexed):
            return Read(self.name(str(expr)), ())
        name = self.name(name_of(expr))
        parts = expr.indices
        shape = self.shapes.get(name, ())
        if all(isinstance(part, Index) for part in parts) and all(
            self.dim(part) == dim for part, dim in zip(parts, shape, strict=False)
        ):
            return Read(name, tuple(part.name for part in parts))
        if groups := self.taken_apart(parts, shape):
            return Split(
                name,
                tuple(tuple(letter.name for letter in group) for group in groups),
                tuple((letter.name, self.dim(letter)) for group in groups for letter in group),
            )
        made = self.looked_up(expr)
        inside = [place for place in made.places if isinstance(place, Affine)]
        axes = [axis for place in inside for axis in place.axes]
        apart = len(inside) == len(made.places) and len(set(axes)) == len(axes)
        if apart and all(map(self.is_inside, inside, shape)):
            return self.slice(name, inside)
        return made

    def looked_up(self, expr: Indexed) -> Lookup:
        """Return a tensor read at computed places."""
        name = self.name(name_of(expr))
        parts = map(self.spread, expr.indices, self.shapes.get(name, ()))
        letters = sorted(ix.indices(expr), key=str)
        sizes = tuple((letter.name, self.dim(letter)) for letter in letters)
        return Lookup(name, tuple(map(self.place, parts)), sizes)

    def spread(self, part: Expr, dim: Dim) -> Expr:
        """Return joined indices, which stand beside a window, as a sum: (g,o) is 3·g + o."""
        if not isinstance(part, fn.Flat):
            return part
        sizes = [self.dim(x) if isinstance(x, Index) else None for x in part.args]
        known = prod(size for size in sizes if isinstance(size, int))
        made: Expr = Integer(0)
        for letter, size in zip(part.args, sizes, strict=True):
            whole = size if isinstance(size, int) else int(dim) // known
            made = made * whole + letter
        return made

    def taken_apart(
        self, parts: Sequence[Expr], shape: Sequence[Dim]
    ) -> tuple[tuple[Index, ...], ...]:
        """Return the letters of each axis where they run over all of it once, row-major.

        No groups where some axis isn't read so, or none is read by more than one letter.
        """
        groups: list[tuple[Index, ...]] = []
        for place, part in enumerate(parts):
            dim = shape[place] if shape else None
            if isinstance(part, fn.Flat) and all(isinstance(x, Index) for x in part.args):
                groups.append(tuple(part.args))
                continue
            found = ix.affine(part)
            if found is None or found[0] != 0 or not found[1]:
                return ()
            dims = {letter: self.dim(letter) for letter in found[1]}
            whole = {x: d for x, d in dims.items() if isinstance(d, int)}
            if isinstance(part, Index):
                groups.append((part,))
                if dim not in (None, dims[part]):
                    return ()
            elif len(whole) < len(dims) or prod(whole.values()) != dim:
                return ()
            else:
                groups.append(ix.row_major(found[1], whole.__getitem__))
        letters = [letter.name for group in groups for letter in group]
        apart = len(set(letters)) == len(letters) and all(groups)
        return tuple(groups) if apart and any(len(group) > 1 for group in groups) else ()

    def place(self, part: Expr) -> Affine | Read:
        """Return an index into an axis: affine in letters, or an array of labels."""
        found = ix.affine(part)
        if found is None:
            labels = self.access(part)
            assert isinstance(labels, Read), labels
            return labels
        offset, letters = found
        dims = {size: Integer(self.dim(size)) for size in offset.atoms(fn.Size)}
        extents: dict[Index, int] = {}
        for letter, coefficient in letters.items():
            dim = self.dim(letter)
            extents[letter] = abs(coefficient) * (dim if isinstance(dim, int) else 1)
        order = sorted(letters, key=lambda x: (letters[x] < 0, -extents[x], x.name))
        terms = tuple((letter.name, letters[letter]) for letter in order)
        return Affine(int(offset.xreplace(dims)), terms)

    def is_inside(self, place: Affine, dim: Dim) -> bool:
        """Say whether an index takes values that follow each other, all within the axis."""
        if not isinstance(dim, int):
            return place.offset == 0 and [c for _, c in place.terms] == [1]
        lowest, highest = place.reach({name: self.named(name) for name in place.axes})
        return [c for _, c in place.terms] in ([], [1]) and lowest >= 0 and highest < dim

    def named(self, letter: str) -> Dim:
        """Return how many values the index of that name takes."""
        rhs, target = self.term.equation.rhs, self.term.equation.target
        letters = (*ix.letters(rhs), *ix.letters(target))
        return next(self.dim(index) for index in letters if index.name == letter)

    def slice(self, name: str, places: Sequence[Affine]) -> Slice:
        """Return a part of an array; an axis read at one place has a letter that stands for it."""
        axes: list[str] = []
        ranges: list[tuple[int, int] | None] = []
        for axis, (place, dim) in enumerate(zip(places, self.shapes[name], strict=True)):
            size = self.named(place.axes[0]) if place.axes else 1
            axes.append(place.axes[0] if place.axes else f"_{axis}")
            whole = place.axes and size == dim
            ranges.append(None if whole else (place.offset, place.offset + int(size)))
        return Slice(name, tuple(axes), tuple(ranges))

    def value(self, expr: Expr) -> program.Expr:
        match expr:
            case Rational():
                return _number(expr)
            case Indexed():
                return self.read(expr)
            case Index():
                return Position(expr.name, self.dim(expr))
            case Symbol():
                return Read(self.name(expr.name), ())
            case fn.Size():
                dim = self.dim(expr)
                return Number(dim) if isinstance(dim, int) else Size(dim)
            case Add():
                return self.sum(expr)
            case Mul():
                return self.product(expr)
            case Pow():
                return self.power(expr)
            case fn.SumOver():
                return self.total(expr)
            case fn.OfMatrix():
                assert isinstance(expr.body, Indexed), expr  # graph.seams saw to it
                operand = self.access(expr.body)
                assert isinstance(operand, Read), operand
                return program.Matrix(expr.word, operand)
            case fn.Reduction() if not set(expr.bound) <= ix.indices(expr.body):
                return self.value(ix.of_constant(expr))
            case fn.Reduction():
                over = tuple(letter.name for letter in expr.bound)
                return Reduce(REDUCED[type(expr)], self.value(expr.body), over)
            case fn.detach():
                return self.value(expr.args[0])
            case fn.Blank():
                return Number(0)
            case fn.Elementwise():
                if expr.args and (known := numeric(expr)) is not None:
                    return Number(known)
                return Apply(expr.word, tuple(self.value(arg) for arg in expr.args))
        if expr is pi:
            return Number(float(pi))
        if ix.holds_delta(expr):  # by itself, under no sum
            return self.value(ix.all_compared(expr))
        raise TypeError(f"no statement for {type(expr).__name__}")

    def read(self, expr: Indexed) -> program.Expr:
        """Return an array as a value; one read at one place of an axis lacks that axis."""
        made = self.access(expr)
        at_one_place = isinstance(made, Slice) and not set(made.axes) <= {
            letter.name for letter in ix.indices(expr)
        }
        return self.looked_up(expr) if at_one_place else made

    def sum(self, expr: Expr) -> program.Expr:
        added, taken = notation.in_order(expr)
        terms = [self.value(term) for term in added]
        made: program.Expr | None = None
        if terms:
            made = terms[0] if len(terms) == 1 else Apply("add", tuple(terms))
        for term in taken:
            value = self.value(term)
            negated = Apply("negative", (value,))
            made = negated if made is None else Apply("subtract", (made, value))
        assert made is not None
        return made

    def product(self, expr: Expr) -> program.Expr:
        """Return number · above / below, scalars gathered so that arrays are passed over once."""
        number, above, below = notation.over(expr)
        scalars = [part for part in above if not ix.indices(part)]
        arrays = [part for part in above if ix.indices(part)]
        negative, number = number < 0, abs(number)
        top = [self.value(part) for part in scalars]
        bottom = [self.value(part) for part in below if not ix.indices(part)]
        under = [self.value(part) for part in below if ix.indices(part)]
        number, bottom = _reduced(number, bottom)
        if number != 1:
            top.insert(0, _number(number))
        made = _times([self.value(part) for part in _small_first(arrays)])
        scale = _times(top)
        if scale is not None and bottom:
            scale = Apply("divide", (scale, _whole(bottom)))
            bottom = []
        made = scale if made is None else made if scale is None else _times([scale, made])
        if under or bottom:
            made = Apply("divide", (made or Number(1), _whole([*bottom, *under])))
        assert made is not None
        return Apply("negative", (made,)) if negative else made

    def power(self, expr: Expr) -> program.Expr:
        base, exponent = expr.args
        if exponent.is_Integer and exponent < 0:
            below = base ** (-exponent)
            return Apply("divide", (Number(1), self.value(below)))
        return Apply("power", (self.value(base), self.value(exponent)))

    # ---------------------------------------------------------------- sums of products

    def total(self, expr: fn.SumOver) -> program.Expr:
        """Return Σ body as a contraction of two operands, or as a plain sum."""
        if ix.holds_delta(expr):
            adds_up = ix.places_of(expr)[0]  # at places, or its deltas are mere comparisons
            return self.scattered(expr) if adds_up else self.total(ix.all_compared(expr))
        constant = [letter for letter in expr.bound if letter not in expr.body.free_symbols]
        if constant:  # Σ_i 1 is how many i there are
            return self.value(ix.summed(ix.factors(expr.body), expr.bound))
        over = tuple(letter.name for letter in expr.bound)
        number, rest = expr.body.as_coeff_Mul()
        if not isinstance(rest, Mul) or any(p.is_Pow and p.exp < 0 for p in rest.args):
            made: program.Expr = Reduce("sum", self.value(rest), over)
        else:
            made = self.contracted(_grouped(ix.factors(rest)), over)
        if number == 1:
            return made
        if number == -1:
            return Apply("negative", (made,))
        return _times([_number(number), made]) or made

    def scattered(self, expr: fn.SumOver) -> program.Expr:
        """Return Σ δ(place, u)·body as values added up at places of an array along u.

        A delta that isn't of this form stands for the comparison [place = u].
        """
        places, parts, running = *ix.places_of(expr), set(expr.bound)
        outside = [part for part in parts if ix.indices(part) & places.keys()]
        inside = [part for part in parts if part not in outside]
        moving = {letter for place in places.values() for letter in ix.indices(place)}
        if any(ix.indices(part) & running for part in outside):  # it can't stand before the sum
            return self.total(ix.all_compared(expr))
        others = [letter for letter in expr.bound if letter not in moving]
        body = self.value(ix.summed(inside, others))
        kept = [letter for part in inside for letter in ix.in_reading_order(part)]
        free = {letter for letter in (*kept, *moving) if letter not in running} | places.keys()
        letters = [*self.order, *kept, *sorted(moving, key=str), *places]
        axes = tuple(dict.fromkeys(letter for letter in letters if letter in free))
        sizes = sorted({*moving, *(x for x in axes if x not in places)}, key=str)
        made = Scatter(
            body,
            tuple(letter.name for letter in axes),
            tuple(self.dim(letter) for letter in axes),
            tuple(self.place(places.get(letter, letter)) for letter in axes),
            tuple((letter.name, self.dim(letter)) for letter in sizes),
        )
        factors = [self.value(part) for part in outside]
        return _whole([*factors, made])

    def contracted(self, groups: list[Expr], over: tuple[str, ...]) -> program.Expr:
        """Contract groups of factors, two at a time, the pair with the smallest result first."""
        operands = [self.value(group) for group in groups]
        while len(operands) > 2:
            first, second = min(
                combinations(operands, 2), key=lambda pair: self.cost(pair, operands, over)
            )
            others = [o for o in operands if o is not first and o is not second]
            elsewhere = {axis for other in others for axis in other.axes}
            here = tuple(axis for axis in over if axis not in elsewhere)
            operands = [self.pair(first, second, here), *others]
            over = tuple(axis for axis in over if axis in elsewhere)
        if len(operands) == 1:
            return Reduce("sum", operands[0], over)
        return self.pair(operands[0], operands[1], over)

    def cost(
        self,
        pair: tuple[program.Expr, program.Expr],
        operands: Sequence[program.Expr],
        over: tuple[str, ...],
    ) -> tuple[int, int]:
        """Return the result's axes, then the work's axes, of contracting a pair first."""
        others = [o for o in operands if o is not pair[0] and o is not pair[1]]
        elsewhere = {axis for other in others for axis in other.axes}
        work = merged(pair[0].axes, pair[1].axes)
        kept = [axis for axis in work if axis not in over or axis in elsewhere]
        return len(kept), len(work)

    def pair(
        self, first: program.Expr, second: program.Expr, over: tuple[str, ...]
    ) -> program.Expr:
        """Return Σ_over first·second, summing beforehand what only one of them has."""
        first, second = (
            Reduce("sum", one, alone)
            if (alone := tuple(a for a in over if a in one.axes and a not in other.axes))
            else one
            for one, other in ((first, second), (second, first))
        )
        both = tuple(axis for axis in over if axis in first.axes and axis in second.axes)
        if self.standing(second) < self.standing(first):
            first, second = second, first
        if not both:
            return Apply("multiply", (first, second))
        if set(first.axes) == set(second.axes):
            return Reduce("sum", Apply("multiply", (first, second)), both)
        return Contract(first, second, both)

    def standing(self, operand: program.Expr) -> int:
        """Return where the operand's own indices begin in the target."""
        order = [str(letter) for letter in self.order]
        places = [order.index(axis) for axis in operand.axes if axis in order]
        return min(places, default=len(order))


def _grouped(parts: Sequence[Expr]) -> list[Expr]:
    """Multiply factors along the same axes, and a smaller one into one that has all its axes."""
    groups: dict[frozenset[Expr], Expr] = {}
    for part in sorted(parts, key=notation.factor_order):
        axes = frozenset(ix.indices(part))
        groups[axes] = groups[axes] * part if axes in groups else part
    while len(groups) > 2:
        inside = [(a, b) for a in groups for b in groups if a < b]
        if not inside:
            break
        small, large = min(inside, key=lambda pair: (len(pair[1]), str(groups[pair[1]])))
        groups[large] = groups[large] * groups.pop(small)
    return list(groups.values())


def _small_first(parts: Sequence[Expr]) -> list[Expr]:
    """Multiply factors along the same few axes before they meet one that has more."""
    axes = [frozenset(ix.indices(part)) for part in parts]
    whole = frozenset[Index]().union(*axes)
    made: dict[object, Expr] = {}
    for place, (part, own) in enumerate(zip(parts, axes, strict=True)):
        key: object = place if own == whole else own
        made[key] = made[key] * part if key in made else part
    return list(made.values())


def _reduced(number: Rational, below: list[program.Expr]) -> tuple[Rational, list[program.Expr]]:
    """Return a number and what it is divided by in lowest terms, 2/16 as 1/8; decimals stay."""
    if number.q != 1 and notation.is_short(number):
        return number, below
    divisors = [*([Number(int(number.q))] if number.q != 1 else []), *below]
    known = [int(part.value) for part in divisors if isinstance(part, Number)]
    ratio = Rational(number.p, prod(known))
    if len(known) < len(divisors) or ratio.p == number.p:
        return Rational(number.p), divisors
    return Rational(ratio.p), [Number(int(ratio.q))] if ratio.q != 1 else []


def _number(value: Rational) -> Number:
    return Number(int(value)) if isinstance(value, Integer) else Number(float(value.p / value.q))


def _times(parts: list[program.Expr]) -> program.Expr | None:
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else Apply("multiply", tuple(parts))


def _whole(parts: list[program.Expr]) -> program.Expr:
    made = _times(parts)
    assert made is not None
    return made


# ---------------------------------------------------------------- optimiser and schedule


def _recipe_statements(recipe: Recipe, arrays: set[str], float_type: str) -> tuple[Statement, ...]:
    """Lower assignments; those that depend on w or g run for each element, under the letter p."""
    made = []
    for equation in (_precise(each, float_type) for each in recipe.equations):
        axes = ("p",) if any(s.name in arrays for s in ix.scalars(equation.rhs)) else ()
        if axes or equation.name in arrays:
            arrays.add(equation.name)
            axes = ("p",)
        value = _spread(Lowering(Term("", equation, (), ()), ()).value(equation.rhs), arrays)
        said = notation.equation(equation.target, equation.rhs, {})
        made.append(Statement(Read(equation.name, axes), value, assigned(said)))
    return tuple(made)


def _spread(expr: program.Expr, arrays: set[str]) -> program.Expr:
    if isinstance(expr, Read) and expr.name in arrays:
        return Read(expr.name, ("p",))
    return program.mapped(expr, lambda part: _spread(part, arrays))


def _update(recipe: Recipe, float_type: str) -> Update:
    states = {state.name for state in recipe.states}
    made = _recipe_statements(recipe, states | {"w", "g"}, float_type)
    return Update(
        recipe.name,
        recipe.constants,
        recipe.states,
        tuple(statement for statement in made if not statement.target.axes),
        tuple(statement for statement in made if statement.target.axes),
        forms=tuple(_form(form, float_type) for form in recipe.forms),
        search=recipe.search,
        chosen=recipe.chosen,
    )


def _form(form: graph.Form, float_type: str) -> program.Form:
    """Lower a rule for whole parameters."""
    shapes = {tensor.name: tensor.shape for tensor in form.tensors}

    def lowered(node: graph.Node) -> Statement:
        term = Term(node.layer, _precise(node.equation, float_type), node.names, node.sizes)
        made = _statement(Line(node.target, (term,)), {}, shapes)
        return replace(made, because=made.because.replace(" = ", " ← ", 1))

    parts = [program.Part(tuple(map(lowered, part.nodes)), part.times) for part in form.parts]
    return program.Form(form.keys, form.tensors, form.states, tuple(parts))


def _precise(equation: Equation, float_type: str) -> Equation:
    """Return an equation with `epsilon` as a number: how far apart the program's are at 1."""
    step = Rational(1, 2**52 if float_type == "float64" else 2**23)
    return replace(equation, rhs=equation.rhs.xreplace({Symbol("epsilon"): step}))


def _schedule(recipe: Recipe, float_type: str) -> Schedule:
    made = _recipe_statements(recipe, set(), float_type)
    return Schedule(recipe.name, recipe.constants, recipe.states, made, recipe.per)


# ---------------------------------------------------------------- what is said of it


def _assumptions(derivation: Derivation) -> tuple[Assumption, ...]:
    """Return what is assumed of the targets: facts that a gradient used, and kinds of values."""
    made = []
    for name, kind in derivation.graph.facts:
        tensor = derivation.graph.tensor(name)
        if tensor.role not in (Role.TARGET, Role.INPUT):
            continue
        if kind == "one_sum" and tensor.classes is not None:
            continue
        made.append(Assumption(name, kind, _because(tensor, kind)))
    return tuple(made)


def _because(tensor: Tensor, kind: str) -> str:
    return {
        "classes": f"{tensor.name} holds the labels 0 … {(tensor.classes or 1) - 1}",
        "one_sum": f"Σ {tensor.name} = 1 over its last axis",
        "signs": f"{tensor.name} is −1 or +1",
        "unit": f"0 ≤ {tensor.name} ≤ 1",
        "positive": f"{tensor.name} > 0",
        "weights": f"{tensor.name} ≥ 0",
    }[kind]


def notes(derivation: Derivation) -> tuple[str, ...]:
    """Return what was rewritten for stability, and a line for each kind of kink."""
    nodes = (*derivation.graph.layers, *derivation.graph.loss)
    met = {type(f) for n in nodes for f in n.equation.rhs.atoms(fn.Elementwise, fn.Reduction)}
    kinks = {kind.kink for kind in met if kind.kink}
    return (*derivation.graph.rewrites, *sorted(kinks))
