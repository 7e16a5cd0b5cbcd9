"""Each mistake that a line of the derivation allows: the line as it would be then, and its name.

A line is a sum of terms, a term a formula; a variant has one factor left out or one too many, a
sign turned, a sum forgotten, a tensor in another's place. The derivation itself says what there is
to get wrong: its factors and terms, its bound indices, the forward values at hand, and the rung of
the ladder before forward values were put in.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sympy import Add, Expr, Indexed, Integer, Mul, Pow, Symbol

from symback import functions as fn
from symback import index as ix
from symback import lower, notation
from symback.derivation import Derivation, Line, Term
from symback.formula import tensor
from symback.functions import Index
from symback.graph import Equation, name_of, subscripts
from symback.program import Dim, Role, Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Finish = Callable[[NDArray[np.float64]], NDArray[np.float64]]

NEAREST = 60  # tensors that one may be mistaken for: in a deep network those of layers near by
Place = tuple[Expr, Callable[[Expr], Expr]]  # a part, and how another one is put in its place


# f′(z) of the usual activations, by the value a = f(z): what is put for one another.
SLOPES: Mapping[str, Callable[[Expr], Expr]] = {
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a**2,
    "relu": lambda a: fn.gt(a, 0),
}


def _as_it_is(array: "NDArray[np.float64]") -> "NDArray[np.float64]":
    return array


@dataclass(frozen=True, slots=True)
class Variant:
    """What a line would be with one mistake in it.

    `shape` is then its target's; `finish` is done to the array where indices can't say it.
    """

    line: Line
    words: str
    shape: tuple[Dim, ...]
    finish: "Finish" = _as_it_is
    done: str = ""  # what `finish` does, in words


@dataclass(frozen=True, slots=True)
class Change:
    """A mistake in one term: its formula then, and perhaps tensors it didn't read before.

    `ranges` says which of the target's indices run over other ranges then, of these `sizes`.
    """

    rhs: Expr
    words: str
    names: tuple[tuple[str, str], ...] = ()
    sizes: tuple[tuple[str, Dim], ...] = ()
    ranges: tuple[tuple[Index, Index], ...] = ()


class Variants:
    """Makes the variants of a derivation's lines."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation
        self.tensors = {item.name: item for item in derivation.tensors}
        self.position = {name: place for place, name in enumerate(self.tensors)}
        self.shown = lower.shown_names(derivation)
        written = (*derivation.forward, *derivation.loss, *derivation.backward)
        self.lines = {line.target: line for line in written}
        self.order = {line.target: place for place, line in enumerate(written)}

    def of(self, line: Line) -> Iterator[Variant]:
        """Yield the line's variants, the most usual mistakes first."""
        shape = self._tensor(line.target).shape
        yield from self._terms(line, shape)
        for place, term in enumerate(line.terms):
            for change in self._changes(line, term):
                yield Variant(
                    self._with(line, place, change), change.words, self._shape(line, term, change)
                )
        if len(line.terms) == 1:
            yield from self._sums(line, line.terms[0], shape)

    def _tensor(self, name: str) -> Tensor:
        return self.tensors.get(name) or Tensor(name, name, Role.VALUE, ())

    def _names(self, term: Term) -> Mapping[str, str]:
        return lower.shown(term, self.shown)

    def _with(self, line: Line, place: int, change: Change) -> Line:
        term = line.terms[place]
        made = replace(
            term,
            equation=Equation(term.equation.target.xreplace(dict(change.ranges)), change.rhs),
            names=(*term.names, *change.names),
            sizes=tuple((dict(term.sizes) | dict(change.sizes)).items()),
        )
        return replace(line, terms=(*line.terms[:place], made, *line.terms[place + 1 :]))

    def _shape(self, line: Line, term: Term, change: Change) -> tuple[Dim, ...]:
        shape, swap = self._tensor(line.target).shape, dict(change.ranges)
        letters = subscripts(term.equation.target)
        if not swap or len(letters) != len(shape):
            return shape
        sizes = dict(change.sizes)
        return tuple(
            sizes[swap[letter].range] if letter in swap else dim
            for letter, dim in zip(letters, shape, strict=True)
        )

    def _changes(self, line: Line, term: Term) -> Iterator[Change]:
        yield from self._slope(term)
        yield Change(-term.equation.rhs, "the sign is wrong")
        yield from self._factors(term)
        yield from self._parts(term)
        yield from self._inner_sums(term)
        yield from self._swaps(line, term)
        yield from self._transposed(term)
        yield from self._shifted(term)
        yield from self._misplaced(term)
        yield from self._powers(term)
        yield from self._repeated(term)

    # ---------------------------------------------------------------- whole terms

    def _terms(self, line: Line, shape: tuple[Dim, ...]) -> Iterator[Variant]:
        """A sum of terms, one for each layer that reads the tensor, with one missing or turned."""
        if len(line.terms) < 2:
            return
        for place, term in enumerate(line.terms):
            others = (*line.terms[:place], *line.terms[place + 1 :])
            through = f"through {term.layer}" if term.layer else "through the loss"
            text = notation.text(term.equation.rhs, self._names(term))
            what = f"the term {text} is missing, what reaches {line.target[1:]} {through}"
            yield Variant(replace(line, terms=others), what, shape)
            turned = self._with(line, place, Change(-term.equation.rhs, ""))
            yield Variant(turned, f"the sign of the term {text} is wrong", shape)

    # ---------------------------------------------------------------- the chain rule's factors

    def _slope(self, term: Term) -> Iterator[Change]:
        """∂L/∂a·f′(z) with f′ left out, where a = f(z) element by element."""
        incoming = self._incoming(term)
        if incoming is None or incoming == term.equation.rhs:
            return
        if incoming.indices != subscripts(term.equation.target) or term.equation.rhs.has(
            fn.SumOver
        ):
            return
        value = self._forward_of(term, incoming)
        if value is None or value.terms[0].equation.rhs.has(fn.Reduction):
            return
        known = self._equation(value)
        yield Change(incoming, f"the activation's derivative is missing, that of {known}")
        a = tensor(f"{value.target}'", *incoming.indices)
        for word, slope in SLOPES.items():
            words = f"the derivative is that of {word}, but {known}"
            yield Change(incoming * slope(a), words, ((f"{value.target}'", value.target),))

    def _equation(self, line: Line) -> str:
        """Return a forward line as text."""
        term = line.terms[0]
        return notation.equation(term.equation.target, term.equation.rhs, self._names(term))

    def _incoming(self, term: Term) -> Indexed | None:
        """Return the only adjoint that a term reads."""
        names = dict(term.names)
        found = [
            access
            for access in ix.accesses(term.equation.rhs)
            if self._tensor(names.get(name_of(access), "")).role is Role.ADJOINT
        ]
        return found[0] if len(found) == 1 else None

    def _forward_of(self, term: Term, incoming: Indexed) -> Line | None:
        """Return the forward line of the tensor that an adjoint is the derivative by."""
        letter = name_of(incoming).removeprefix("d")
        names = dict(term.names)
        name = names.get(letter) or names.get(name_of(incoming), "").removeprefix("d")
        return self.lines.get(name)

    def _factors(self, term: Term) -> Iterator[Change]:
        """Yield the term with a factor left out, wherever a product stands in it."""
        names = self._names(term)
        for part, put in everywhere(term.equation.rhs):
            if not isinstance(part, Mul):
                continue
            yield from self._without_sizes(part, put, names)
            factors = ix.factors(part)
            for place, factor in enumerate(factors):
                rest = ix.product([*factors[:place], *factors[place + 1 :]])
                if factor.is_Rational:
                    if abs(factor) != 1:
                        sign = Integer(1 if factor > 0 else -1)
                        shown = notation.text(abs(factor), names)
                        yield Change(put(sign * rest), f"the factor {shown} is missing")
                else:
                    what = self._factor(term, factor)
                    yield Change(put(rest), f"{what} is missing")

    def _without_sizes(
        self, part: Expr, put: Callable[[Expr], Expr], names: Mapping[str, str]
    ) -> Iterator[Change]:
        """1/(N·K) left out at once."""
        factors = ix.factors(part)
        counted = [factor for factor in factors if has_sizes(factor)]
        if len(counted) > 1:
            rest = ix.product(factor for factor in factors if factor not in counted)
            shown = notation.text(ix.product(counted), names)
            yield Change(put(rest), f"the factor {shown} is missing, the mean's")

    def _factor(self, term: Term, factor: Expr) -> str:
        """Say what a factor is."""
        text = notation.text(factor, self._names(term))
        if has_sizes(factor):
            return f"the factor {text}, the mean's,"
        if isinstance(factor, Indexed):
            return f"the factor {text}"
        incoming = self._incoming(term)
        value = None if incoming is None else self._forward_of(term, incoming)
        if value is not None and factor.has(Indexed) and not factor.has(fn.SumOver):
            return f"the factor ({text}), of the derivative of {value.target},"
        return f"the factor ({text})" if isinstance(factor, Add) else f"the factor {text}"

    def _parts(self, term: Term) -> Iterator[Change]:
        """Yield the term with a summand left out or its sign turned, wherever a sum stands."""
        names = self._names(term)
        for part, put in everywhere(term.equation.rhs):
            if not isinstance(part, Add):
                continue
            for place, summand in enumerate(part.args):
                others = [*part.args[:place], *part.args[place + 1 :]]
                number, rest = summand.as_coeff_Mul()
                shown = notation.text(abs(number) * rest, names)
                whole = notation.text(part, names)
                yield Change(put(Add(*others)), f"{shown} is missing in ({whole})")
                yield Change(
                    put(Add(*others, -summand)), f"the sign of {shown} is wrong in ({whole})"
                )

    # ---------------------------------------------------------------- sums over indices

    def _sums(self, line: Line, term: Term, shape: tuple[Dim, ...]) -> Iterator[Variant]:
        """Yield what a forgotten sum leaves: an axis too many, or one example of it alone."""
        names = self._names(term)
        for total, put in everywhere(term.equation.rhs):
            if not isinstance(total, fn.SumOver):
                continue
            for letter in total.bound:
                rest = tuple(other for other in total.bound if other != letter)
                body = fn.SumOver(total.body, *rest) if rest else total.body
                rhs = put(body)
                if letter in ix.indices(rhs) and letter not in subscripts(term.equation.target):
                    yield from self._unsummed(line, term, letter, rhs, shape)
                mean = put(total / fn.size(letter))
                counted = notation.text(1 / fn.size(letter), names)
                words = f"a mean over {letter} stands in place of the sum: {counted} too much"
                yield Variant(self._with(line, 0, Change(mean, "")), words, shape)

    def _unsummed(
        self, line: Line, term: Term, letter: Index, rhs: Expr, shape: tuple[Dim, ...]
    ) -> Iterator[Variant]:
        """∂L/∂b[o] = Σ_n ∂L/∂z[n,o] without Σ_n: one row for each n, or the wrong axis summed."""
        dim = dict(term.sizes)[letter.range]
        target = tensor(line.target, letter, *subscripts(term.equation.target))
        names = (*term.names, (line.target, line.target))
        made = Line(line.target, (replace(term, equation=Equation(target, rhs), names=names),))
        wide = (dim, *shape)
        what = f"the sum over {letter} is missing"
        count = len(shape)
        held = ", ".join(map(str, wide))
        yield Variant(made, f"{what}: its shape is ({held}), `.sum(axis=0)` is wanted", wide)
        for axis in range(1, count + 1):
            yield Variant(
                made,
                f"{what}",
                wide,
                lambda array, axis=axis: _moved(array, 0, axis),  # type: ignore[misc]
                f"the axis of {letter} in place {axis}",
            )
        said = f"{what}: the {{}} {letter} alone counts (`=` where `+=` should stand?)"
        yield Variant(made, said.format("last"), wide, lambda array: array[-1], "[-1]")
        yield Variant(made, said.format("first"), wide, lambda array: array[0], "[0]")
        for axis, other in enumerate(subscripts(term.equation.target), start=1):
            yield Variant(
                made,
                f"summed over {other}; it must be summed over {letter}",
                wide,
                lambda array, axis=axis: array.sum(axis=axis),  # type: ignore[misc]
                f"summed over {other}",
            )

    def _inner_sums(self, term: Term) -> Iterator[Change]:
        """Σ_j p[n,j]·d[n,j] as if it were p[n,k]·d[n,k]."""
        sizes = dict(term.sizes)
        names = self._names(term)
        free = [part for part in subscripts(term.equation.target) if isinstance(part, Index)]
        for total, put in everywhere(term.equation.rhs):
            if not isinstance(total, fn.SumOver) or len(total.bound) != 1:
                continue
            (letter,) = total.bound
            shown = notation.text(total, names)
            for other in free:
                same = sizes[other.range] == sizes[letter.range]
                if same and other not in ix.indices(total.body):
                    made = put(ix.substitute(total.body, {letter: other}))
                    yield Change(made, f"the sum over {letter} is missing in {shown}")

    # ---------------------------------------------------------------- one thing for another

    def _swaps(self, line: Line, term: Term) -> Iterator[Change]:
        """Yield the term with another tensor where one is read, of the same rank and fitting."""
        names = dict(term.names)
        shown = self._names(term)
        for access in _distinct(term.equation.rhs):
            name = names.get(name_of(access), name_of(access))
            for other in self._others(line, name):
                fits = self._fitting(term, access, other)
                if fits is None:
                    continue
                swap, sizes = fits
                letter = f"{other.name}'"
                there = {
                    each: tensor(letter, *subscripts(each))
                    for each in (*ix.accesses(term.equation.rhs), *ix.scalars(term.equation.rhs))
                    if name_of(each) == name_of(access)
                }
                belongs = shown.get(name_of(access), name)
                words = f"{self.shown.get(other.name, other.name)} stands where {belongs} belongs"
                yield Change(
                    term.equation.rhs.xreplace(there).xreplace(swap),
                    words + self._between(name, other.name),
                    ((letter, other.name),),
                    sizes,
                    tuple(swap.items()),
                )

    def _between(self, name: str, other: str) -> str:
        """Say which step of the chain rule lies between two adjoints, ∂L/∂a and ∂L/∂z."""
        line = self.lines.get(name)
        incoming = None if line is None else self._incoming(line.terms[0])
        if line is None or incoming is None:
            return ""
        term = line.terms[0]
        value = self._forward_of(term, incoming)
        if dict(term.names)[name_of(incoming)] != other or value is None:
            return ""
        return f": the derivative of {self._equation(value)} is missing"

    def _others(self, line: Line, name: str) -> Iterator[Tensor]:
        """Yield the nearest tensors that are known by the time of the line."""
        known = self.order[line.target]
        at = self.position.get(name, 0)
        near = sorted(self.tensors, key=lambda other: abs(self.position[other] - at))
        for other in near[:NEAREST]:
            if other not in (name, line.target) and self.order.get(other, -1) < known:
                yield self.tensors[other]

    def _fitting(
        self, term: Term, access: Expr, other: Tensor
    ) -> tuple[dict[Index, Index], tuple[tuple[str, Dim], ...]] | None:
        """Return which indices run over other ranges with another tensor there, and their sizes.

        None where the tensor can't stand there.
        """
        letters = subscripts(access)
        own = self._tensor(dict(term.names).get(name_of(access), ""))
        if len(letters) != len(other.shape) or not all(isinstance(s, Index) for s in letters):
            return None
        if own.shape == other.shape:
            return {}, ()
        held = dict(term.sizes)
        rest = [a for a in ix.accesses(term.equation.rhs) if name_of(a) != name_of(access)]
        bound = {letter for each in rest for letter in ix.indices(each)}
        swap: dict[Index, Index] = {}
        sizes: list[tuple[str, Dim]] = []
        for axis, (letter, dim) in enumerate(zip(letters, other.shape, strict=True)):
            if held[letter.range] == dim:
                continue
            if letter in bound or letter not in subscripts(term.equation.target):
                return None
            swap[letter] = Index(letter.name, f"{other.name}':{axis}")
            sizes.append((swap[letter].range, dim))
        return swap, tuple(sizes)

    def _transposed(self, term: Term) -> Iterator[Change]:
        """Yield the term with W[i,o] where W[o,i] belongs, of square matrices."""
        names = self._names(term)
        for access in ix.accesses(term.equation.rhs):
            shape = self._tensor(dict(term.names).get(name_of(access), "")).shape
            if len(shape) == 2 and shape[0] == shape[1]:
                turned = tensor(name_of(access), *reversed(access.indices))
                rhs = term.equation.rhs.xreplace({access: turned})
                yield Change(rhs, f"{notation.text(access, names)} is read transposed")

    def _shifted(self, term: Term) -> Iterator[Change]:
        """Yield the term with a window that begins one place off: x[n,2·u + p] for 2·u + p − 1."""
        names = self._names(term)
        for access in ix.accesses(term.equation.rhs):
            for axis, part in enumerate(access.indices):
                if isinstance(part, Index) or part.is_Integer or ix.affine(part) is None:
                    continue
                for step in (-1, 1):
                    places = [*access.indices]
                    places[axis] = part + step
                    other = tensor(name_of(access), *places)
                    pair = [notation.text(each, names) for each in (other, access)]
                    words = f"{pair[0]} stands where {pair[1]} belongs: the padding is another"
                    yield Change(term.equation.rhs.xreplace({access: other}), words)

    def _misplaced(self, term: Term) -> Iterator[Change]:
        """f′(a) where f′(z) belongs, of a = f(z): the derivative taken at the wrong value."""
        incoming = self._incoming(term)
        value = None if incoming is None else self._forward_of(term, incoming)
        if value is None or len(term.steps) < 2 or incoming is None:
            return
        letter = name_of(term.equation.target).removeprefix("d")
        before = [step for step in term.steps if step.kind in {"contracted", "raw", "assumed"}]
        if not before or before[-1].rhs.has(fn.Soft, fn.LogSumExp):
            return
        rhs = before[-1].rhs
        own = f"{value.target}'"
        swap = {
            access: tensor(own, *access.indices)
            for access in ix.accesses(rhs)
            if name_of(access) == letter
        }
        at = self._names(term).get(letter, letter)
        if swap:
            words = f"the derivative is taken at {value.target}, it belongs at {at}"
            yield Change(rhs.xreplace(swap), words, ((own, value.target),))

    # ---------------------------------------------------------------- powers and functions

    def _powers(self, term: Term) -> Iterator[Change]:
        """Yield the term with a power or a function left out, or one that is turned round."""
        names = self._names(term)
        for part, put in everywhere(term.equation.rhs):
            shown = notation.text(part, names)
            if isinstance(part, Pow) and part.exp.is_Integer and not has_sizes(part):
                less = part.base ** (part.exp - (1 if part.exp > 0 else -1))
                yield Change(put(less), f"{notation.text(less, names)} stands for {shown}")
                yield Change(put(1 / part), f"{notation.text(1 / part, names)} stands for {shown}")
            elif isinstance(part, Pow) and has_sizes(part):
                yield Change(put(1 / part), f"{notation.text(1 / part, names)} stands for {shown}")
            elif isinstance(part, fn.gt | fn.ge | fn.lt | fn.le):
                turned = fn.lt(*part.args) if isinstance(part, fn.gt | fn.ge) else fn.gt(*part.args)
                yield Change(put(turned), f"{notation.text(turned, names)} stands for {shown}")
            elif isinstance(part, fn.where):
                yield Change(put(part.args[1]), f"the condition is missing in {shown}")
            elif isinstance(part, fn.Elementwise) and len(part.args) == 1:
                inner = notation.text(part.args[0], names)
                yield Change(put(part.args[0]), f"{inner} stands for {shown}")
                slope = part.fdiff(1)
                for other in (slope, -slope) if slope.has(Indexed) else ():
                    yield Change(put(other), f"{notation.text(other, names)} stands for {shown}")

    def _repeated(self, term: Term) -> Iterator[Change]:
        """Yield the term with a factor that counts twice, or that divides instead."""
        for part, put in everywhere(term.equation.rhs):
            if not isinstance(part, Mul):
                continue
            for factor in ix.factors(part):
                if factor == -1 or self._incoming(term) == factor:
                    continue
                what = self._factor(term, factor).rstrip(",")
                yield Change(put(part * factor), f"{what} counts twice")
                if factor.is_Rational or has_sizes(factor) or isinstance(factor, Symbol):
                    over = put(part / factor / factor)
                    yield Change(over, f"{what} divides where it should multiply")


def _moved(array: "NDArray[np.float64]", source: int, to: int) -> "NDArray[np.float64]":
    import numpy as np

    return np.moveaxis(array, source, to)


def _distinct(expr: Expr) -> list[Expr]:
    """Return an access of each tensor that an expression reads."""
    found: dict[str, Expr] = {}
    for access in (*ix.accesses(expr), *ix.scalars(expr)):
        found.setdefault(name_of(access), access)
    return list(found.values())


def has_sizes(expr: Expr) -> bool:
    """Say whether an expression counts something and is nothing else: 1/N."""
    return bool(expr.atoms(fn.Size)) and not expr.has(Indexed)


def everywhere(expr: Expr) -> Iterator[Place]:
    """Yield every part of an expression, the whole first, with what puts another in its place."""
    yield expr, lambda new: new
    for place in _inside(expr):
        for part, put in everywhere(expr.args[place]):
            yield part, _placed(expr, place, put)


def _placed(expr: Expr, place: int, put: Callable[[Expr], Expr]) -> Callable[[Expr], Expr]:
    """Return what puts another part into one of an expression's arguments."""
    args = expr.args
    return lambda new: expr.func(*args[:place], put(new), *args[place + 1 :])


def _inside(expr: Expr) -> Sequence[int]:
    """Return the places of the arguments that are values: no indices, exponents or sizes."""
    if isinstance(expr, Indexed | fn.Size | Symbol) or not expr.args:
        return ()
    if isinstance(expr, fn.Reduction | Pow):
        return (0,)
    return range(len(expr.args))
