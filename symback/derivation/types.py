"""What a Derivation is made of: lines, their terms, and the ladder of steps behind each slope."""

from collections.abc import Sequence
from dataclasses import dataclass

from sympy import Expr

from symback.graph import Equation, Graph, Loop
from symback.program import Dim, Tensor
from symback.shown import Shown


@dataclass(frozen=True, slots=True)
class Step:
    """A rung of the ladder: the expression, how it is called, and what happened in words."""

    kind: str  # chain, raw, contracted, assumed, reused
    rhs: Expr
    words: str


@dataclass(frozen=True, slots=True)
class Slope:
    """∂L/∂(one operand) as one equation of the layer contributes to it."""

    operand: str
    equation: Equation
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Local:
    """An equation differentiated: what is computed forward, what backward, and each slope."""

    forward: tuple[Equation, ...]
    backward: tuple[Equation, ...]
    slopes: tuple[Slope, ...]
    facts: tuple[str, ...]  # the letters whose Σ = 1 was used
    roots: tuple[Equation, ...] = ()  # what is spelled out among them, a softmax say, as it was


@dataclass(frozen=True, slots=True)
class Term:
    """An equation in its letters, the tensors they stand for, the ranges, and how it was found."""

    layer: str
    equation: Equation
    names: tuple[tuple[str, str], ...]
    sizes: tuple[tuple[str, Dim], ...]
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One tensor computed: the sum of its terms (one for each layer that reads it, backward).

    In a recurrence it is computed step by step along `loop`'s letter, which stands at `axis`.
    """

    target: str
    terms: tuple[Term, ...]
    loop: Loop | None = None
    axis: int = 0


def together(lines: Sequence[Line]) -> list[Line]:
    """Return lines so that those that fill one tensor part by part follow each other.

    What is computed between them doesn't read the tensor: it isn't all there yet.
    """
    filled: dict[str, list[Line]] = {}
    for line in lines:
        filled[line.target] = [*filled.pop(line.target, []), line]
    return [line for parts in filled.values() for line in parts]


@dataclass(frozen=True, slots=True)
class Beside:
    """A function beside the passes: lines that go on from theirs, and what it returns by key.

    `given` are the arrays that it is given beside parameters, inputs and targets, by key.
    """

    name: str  # hvp, jacobian, hessian, per_example
    lines: tuple[Line, ...]
    tensors: tuple[Tensor, ...]
    results: tuple[tuple[tuple[str, ...], str], ...]  # ((key, …), tensor)
    shown: tuple[tuple[str, str], ...]  # how its tensors are written in a formula
    given: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Derivation(Shown):
    """Every equation of a network, forward and backward, in the order of computation."""

    graph: Graph
    tensors: tuple[Tensor, ...]
    forward: tuple[Line, ...]
    loss: tuple[Line, ...]
    backward: tuple[Line, ...]
    renewal: tuple[Line, ...]
    metrics: tuple[tuple[str, tuple[Line, ...]], ...]
    gradients: tuple[tuple[str, str], ...]  # (key, name of its adjoint)
    assumed: tuple[str, ...]  # tensors whose Σ = 1 a gradient relies on
    roots: tuple[
        tuple[str, Term], ...
    ] = ()  # (tensor, a softmax and its like before it is spelled)
    beside: tuple[Beside, ...] = ()
