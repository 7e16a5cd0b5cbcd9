"""Derivation → Story: what is shown of it, in order; how it looks is another file's business."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sympy import Expr
from sympy.core.parameters import distribute

from symback import functions as fn
from symback import index as ix
from symback import lower, notation
from symback.derivation import Derivation, Line, Term
from symback.errors import Mistake, UserError, near_miss
from symback.extremes import with_extremes
from symback.graph import name_of
from symback.inspect import latex
from symback.inspect.messages import Said
from symback.inspect.words import Letters, told
from symback.inspect.writing import Writer
from symback.program import Program, Role, Statement, Tensor
from symback.targets import numpy

T = TypeVar("T")
Kind = Callable[[Mapping[str, str], Mapping[str, str], Mapping[str, str]], Writer[T]]


@dataclass(frozen=True, slots=True)
class Rung:
    """A step of a derivation: what kind it is, the expression then, what happened in words."""

    kind: str  # chain, raw, contracted, assumed, reused
    rhs: Expr
    words: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One term of an equation, with the letters it is written in and the steps that led to it."""

    layer: str
    target: Expr
    rhs: Expr
    names: Mapping[str, str]  # letter → tensor
    sizes: Mapping[str, str]  # "|n|" → "N"
    ladder: tuple[Rung, ...]

    def writer(self, kind: Kind[T], adjoints: Mapping[str, str]) -> Writer[T]:
        """Return a writer of that kind for the part's letters."""
        return kind(self.names, self.sizes, adjoints)


@dataclass(frozen=True, slots=True)
class Formula:
    """A tensor and the terms whose sum it is; `of` is what an adjoint is the derivative by.

    A state becomes (←) what its formula says, which may read what it was.
    """

    name: str
    of: Tensor | None
    parts: tuple[Part, ...]  # all in the letters of the first
    steps: tuple[Part, ...]  # the same, each in the letters it was derived in
    text: str  # the equation as the emitted comment has it
    code: str  # the line of the NumPy module
    statement: Statement
    sign: str = "="
    is_regrouped: bool = False  # the equation is the sum of its terms in other letters or by parts

    @property
    def layer(self) -> str:
        """The layer it belongs to, that of its first term."""
        return self.parts[0].layer

    @property
    def is_told(self) -> bool:
        """Whether the last step of its only term is the whole equation."""
        return len(self.steps) == 1 and bool(self.steps[0].ladder)

    def sides(self, kind: Kind[T], adjoints: Mapping[str, str]) -> tuple[T, T]:
        """Return what is computed, and the sum of its terms, as a writer shows them."""
        terms = [(part.writer(kind, adjoints), part.rhs) for part in self.parts]
        first, _ = terms[0]
        return first.write(self.parts[0].target), first.added(terms)


@dataclass(frozen=True, slots=True)
class Story:
    """A network's equations, forward and backward."""

    program: Program
    forward: tuple[Formula, ...]
    loss: tuple[Formula, ...]
    backward: tuple[Formula, ...]
    renewal: tuple[Formula, ...]  # what states become after each pass in training
    gradients: tuple[tuple[str, str], ...]  # (key, name of the adjoint), those asked for

    @property
    def adjoints(self) -> Mapping[str, str]:
        """Every adjoint's name, with the tensor that it is the derivative by."""
        return adjoint_names(self.program)


def adjoint_names(program: Program) -> dict[str, str]:
    """Return every adjoint's name, with the tensor that it is the derivative by."""
    return {t.name: t.name.removeprefix("d") for t in program.with_role(Role.ADJOINT)}


def story(derivation: Derivation, wrt: str = "") -> Story:
    """Lay out a derivation; with `wrt` only the chain from the loss down to that tensor.

    `wrt` is a parameter's key or any tensor's name. Raises UserError where there is no gradient
    by that name.
    """
    with distribute(False):
        program = lower.lower(derivation)
        backward = _chain(derivation, _wanted(derivation, wrt)) if wrt else derivation.backward
        shown = {line.target for line in backward}
        return Story(
            program,
            tuple(_formulas(with_extremes(derivation.forward), program.forward, program)),
            tuple(_formulas(derivation.loss, program.loss, program)),
            tuple(_formulas(backward, program.backward, program)),
            tuple(_formulas(derivation.renewal, program.renewal, program)),
            tuple(pair for pair in derivation.gradients if pair[1] in shown),
        )


def _wanted(derivation: Derivation, wrt: str) -> str:
    """Return the adjoint of the tensor that is asked for."""
    lines = {line.target for line in derivation.backward}
    by_word: dict[str, str] = {}
    for tensor in derivation.tensors:
        if f"d{tensor.name}" in lines:
            by_word |= {tensor.name: f"d{tensor.name}", tensor.key: f"d{tensor.name}"}
    by_word |= dict(derivation.gradients)
    if wrt in by_word:
        return by_word[wrt]
    keys = ", ".join(key for key, _ in derivation.gradients)
    hint = near_miss(wrt, by_word) or f"there are gradients by {keys}"
    raise UserError(Mistake(f"the network has no gradient by `{wrt}`", hint=hint))


def _chain(derivation: Derivation, wanted: str) -> tuple[Line, ...]:
    """Return the lines that a gradient is computed by, from the loss down."""
    needed = {wanted}
    kept: list[Line] = []
    for line in reversed(derivation.backward):
        if line.target in needed:
            kept.insert(0, line)
            needed.update(name for term in line.terms for name in _read(term))
    return tuple(kept)


def _read(term: Term) -> Iterator[str]:
    names = dict(term.names)
    for part in (*ix.accesses(term.equation.rhs), *ix.scalars(term.equation.rhs)):
        yield names.get(name_of(part), name_of(part))


def _formulas(
    lines: Sequence[Line], statements: Sequence[Statement], program: Program
) -> Iterator[Formula]:
    by_name = {statement.target.name: statement for statement in statements}
    lines_of = Counter(line.target for line in lines)
    tensors = {tensor.name: tensor for tensor in program.tensors}
    adjoints = adjoint_names(program)
    for line in lines:
        statement = by_name[line.target]
        tensor = tensors.get(line.target)
        of = None
        if tensor is not None and tensor.role is Role.ADJOINT:
            of = tensors.get(line.target.removeprefix("d"))
        kept = tensor is not None and tensor.role is Role.STATE
        parts = tuple(_part(term, adjoints) for term in lower.aligned(line))
        added = _text(parts, adjoints)
        text = statement.because if lines_of[line.target] == 1 else added
        yield Formula(
            line.target,
            of,
            parts,
            tuple(_part(term, adjoints) for term in line.terms),
            text,
            numpy.code(statement, program),
            statement,
            "←" if kept else "=",
            not kept and text != added,
        )


def _text(parts: Sequence[Part], adjoints: Mapping[str, str]) -> str:
    """Return an equation as the emitted comment has it."""
    names = shown(parts[0], adjoints)
    terms = [notation.text(part.rhs, shown(part, adjoints)) for part in parts]
    return f"{notation.text(parts[0].target, names)} = {notation.added(terms)}"


def shown(part: Part, adjoints: Mapping[str, str]) -> dict[str, str]:
    """Return how the letters of a part are written in a line: dz1 is ∂L/∂z1."""
    return _in_a_line(part.names, part.sizes, adjoints)


def _in_a_line(
    names: Mapping[str, str], sizes: Mapping[str, str], adjoints: Mapping[str, str]
) -> dict[str, str]:
    written = {
        letter: f"∂L/∂{adjoints[name]}" if name in adjoints else name
        for letter, name in names.items()
    }
    return {**written, **sizes}


def _part(term: Term, adjoints: Mapping[str, str]) -> Part:
    names = dict(term.names)
    target = term.equation.target
    sizes = {f"|{letter}|": str(dim).upper() for letter, dim in term.sizes}
    letters = Letters(_in_a_line(names, sizes, adjoints), latex.Writer(names, sizes, adjoints))
    before: Expr | None = None
    ladder = []
    for step in term.steps:
        if isinstance(step.rhs, fn.Slope):  # ∂L/∂z = ∂L/∂z: the chain begins here
            continue
        ladder.append(Rung(step.kind, step.rhs, told(step, before, target, letters)))
        before = step.rhs
    return Part(term.layer, target, term.equation.rhs, names, sizes, tuple(ladder))
