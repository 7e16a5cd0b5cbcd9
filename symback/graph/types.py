"""What a Graph is made of: equations, the nodes that use them, and the rules around them."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from sympy import Expr, Indexed

from symback import functions as fn
from symback import index as ix
from symback.program import Constant, Data, Dim, State, Tensor, Training
from symback.shown import Shown


@dataclass(frozen=True, slots=True)
class Equation(Shown):
    """target = rhs, in the letters it was written in."""

    target: Expr
    rhs: Expr

    @property
    def name(self) -> str:
        """The letter that the equation defines."""
        return name_of(self.target)


@dataclass(frozen=True, slots=True)
class Loop:
    """A recurrence: the letter its formulas are computed along, upwards (step 1) or downwards."""

    group: str
    letter: str
    step: int


@dataclass(frozen=True, slots=True)
class Node:
    """One equation at work: which tensor each of its letters stands for, and the indices' ranges.

    Equal layers share one equation; only `names` tells them apart. `loop` is the recurrence that
    the equation is a part of.
    """

    layer: str
    equation: Equation
    names: tuple[tuple[str, str], ...]
    sizes: tuple[tuple[str, Dim], ...]
    loop: Loop | None = None

    @property
    def target(self) -> str:
        """The name of the tensor that the node computes."""
        return dict(self.names)[self.equation.name]

    @property
    def at(self) -> tuple[Expr, ...]:
        """The indices of the tensor that the node computes."""
        return subscripts(self.equation.target)


@dataclass(frozen=True, slots=True)
class Part:
    """Equations that run so many times, one round after another."""

    nodes: tuple[Node, ...]
    times: int = 1


@dataclass(frozen=True, slots=True)
class Form:
    """An optimiser's rule for the parameters of these keys, as equations over their axes.

    `tensors` are w, its gradient g, the states, and what is computed; their shapes name sizes.
    """

    keys: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    states: tuple[State, ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """An optimiser or a schedule: equations over scalars, with their constants and states.

    An optimiser that has `forms` has its equations' rest there.
    """

    name: str
    constants: tuple[Constant, ...]
    states: tuple[State, ...]
    equations: tuple[Equation, ...]
    per: str = "epoch"
    forms: tuple[Form, ...] = ()
    search: str = ""  # a template of its own instead, with the switches that are on
    chosen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A formula as it was written, which is computed in another form to keep its digits."""

    layer: str
    written: Expr
    names: tuple[tuple[str, str], ...]


Place = int | None  # of an axis: one place, or every place, by a letter of its own


@dataclass(frozen=True, slots=True)
class Direction:
    """What moves: a tensor, at one place of each axis or at all; of examples each its own."""

    tensor: str
    places: tuple[Place, ...]  # without the axis of examples
    batched: bool

    @property
    def word(self) -> str:
        """What it is called in names: x0 for x[n,0], x for x[n,i]."""
        return self.tensor + "".join(str(place) for place in self.places if place is not None)

    @property
    def free(self) -> tuple[int, ...]:
        """The tensor's axes that have a letter."""
        first = int(self.batched)
        return tuple(first + k for k, place in enumerate(self.places) if place is None)


@dataclass(frozen=True, slots=True)
class Tangent:
    """The tensor of ∂z/∂x: it has some of z's axes, then those of x that have a letter."""

    name: str
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Graph(Shown):
    """The network: tensors, and nodes in an order in which they can be computed."""

    model: str
    source: str
    digest: str
    tensors: tuple[Tensor, ...]
    layers: tuple[Node, ...]
    output: str
    loss: tuple[Node, ...]
    objective: str
    divisor: str  # the scalar that the loss's mean divides by: "n", a tensor's name or ""
    renewal: tuple[Node, ...]  # what states become after a pass in training
    metrics: tuple[tuple[str, tuple[Node, ...]], ...]
    facts: tuple[tuple[str, str], ...]  # (tensor, kind of program.Assumption)
    optimizer: Recipe
    schedule: Recipe | None
    training: Training
    data: Data | None
    frozen: frozenset[str]  # the keys of parameters that aren't learned
    detached: frozenset[str]  # … that change a value whose slope isn't followed: detach(…)
    rewrites: tuple[str, ...]  # what was made stable, and why
    rewritten: tuple[Rewrite, ...] = ()  # the same, as it was written

    def tensor(self, name: str) -> Tensor:
        """Return the tensor of that name."""
        return next(tensor for tensor in self.tensors if tensor.name == name)


def name_of(access: Expr) -> str:
    """Return the tensor's letter in an access, x of x[n, i]."""
    return str(access.base.label.name if isinstance(access, Indexed) else access.name)


def of_matrix(equation: Equation, names: Mapping[str, str]) -> Hashable:
    """Return what tells an inverse and its like of a whole tensor, whatever its letters are.

    None for other equations. `names` are the tensors of the letters.
    """
    rhs = equation.rhs
    if not isinstance(rhs, fn.OfMatrix) or not isinstance(rhs.body, Indexed):
        return None
    at = subscripts(equation.target)
    places = {part: k for k, part in enumerate(dict.fromkeys((*at, *rhs.body.indices)))}
    read = tuple(places[part] for part in (*rhs.body.indices, *rhs.bound))
    return rhs.word, names[name_of(rhs.body)], len(at), read


def reads(expr: Expr) -> tuple[Expr, ...]:
    """Return the accesses and the scalars that an expression reads."""
    return (*ix.accesses(expr), *ix.scalars(expr))


def subscripts(target: Expr) -> tuple[Expr, ...]:
    """Return an access's indices; a scalar has none."""
    return tuple(target.indices) if isinstance(target, Indexed) else ()
