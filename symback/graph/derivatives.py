"""Derivatives inside formulas: d(u[n], x[n, 0]) becomes tensors that the network computes.

They are found forward, from x to u: each node z = f(a, b) on the way gets a node for its tangent
ż = Σ ∂z/∂a·ȧ + Σ ∂z/∂b·ḃ, where ẋ is 1 at the element asked for and 0 elsewhere. These are formulas
like all others, so that derivatives of derivatives, and ∂L/∂w through them, come by themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sympy import Expr, Integer, S

from symback import formula, matching
from symback import functions as fn
from symback import index as ix
from symback.errors import Mistake, UserError
from symback.formula import Formula
from symback.functions import Index
from symback.graph.network import Network, Reading
from symback.graph.start import Path
from symback.graph.types import (
    Direction,
    Equation,
    Node,
    Place,
    Tangent,
    name_of,
    reads,
    subscripts,
)
from symback.program import Dim
from symback.tangent import direction_letters, letter_of, tangent

WRITE = "write d(u[n], x[n, 0]): by one value, or by all, d(u[n], x[n, i])"
OWN = "each example's values must depend on its own alone: d(…) has the same n on both sides"


@dataclass(frozen=True, slots=True)
class Rate:
    """A node's tangent: the formula, in a reading of its own; `free`, the direction's letters."""

    node: Node
    rhs: Expr
    reading: Reading
    sizes: dict[str, Dim]
    free: tuple[Index, ...]

    @property
    def at(self) -> tuple[Expr, ...]:
        """The indices that the node's own target has."""
        return subscripts(self.node.equation.target)


def written_out(network: Network, read: Formula, reading: Reading) -> Formula:
    """Return the formula with tensors in the place of its derivatives, which are added.

    Raises UserError where a derivative can't be taken.
    """
    rhs = read.rhs
    while found := [part for part in rhs.atoms(fn.Partial) if not part.body.has(fn.Partial)]:
        for part in sorted(found, key=str):
            derived = _Derived(network, reading, _direction(network, part.at, reading))
            rhs = rhs.xreplace({part: derived.of(part)})
    return replace(read, rhs=rhs)


def _direction(network: Network, at: Expr, reading: Reading) -> Direction:
    """Read what a derivative is taken by."""
    tensor = network.tensors[reading.names[name_of(at)]]
    batched = bool(tensor.shape) and isinstance(tensor.shape[0], str)
    places: list[Place] = []
    for part in subscripts(at)[int(batched) :]:
        if not isinstance(part, Index | Integer):
            raise _refused(reading.path, f"`{tensor.key}` has a computed index here", WRITE)
        places.append(int(part) if isinstance(part, Integer) else None)
    if batched and not isinstance(at.indices[0], Index):
        raise _refused(reading.path, "of one example alone nothing can be derived", OWN)
    if tensor.classes is not None:
        raise _refused(reading.path, f"`{tensor.key}` holds labels: nothing is derived by them")
    return Direction(tensor.name, tuple(places), batched)


def _refused(path: Path, message: str, hint: str = "") -> UserError:
    return UserError(Mistake(message, path, hint=hint))


@dataclass(frozen=True, slots=True)
class _Derived:
    """Derivatives along one direction: of an expression, and of each tensor on the way."""

    network: Network
    reading: Reading
    direction: Direction

    def of(self, part: fn.Partial) -> Expr:
        """Return the derivative of an expression, its tangents added to the reading's names."""
        within = subscripts(part.at)[int(self.direction.batched) :]
        free = tuple(letter for letter in within if isinstance(letter, Index))
        batch = part.at.indices[0] if self.direction.batched else None
        moving = {}
        for access in reads(part.body):
            speed = self.speed(access, self.reading, free)
            if speed != 0 and batch is not None and subscripts(access)[:1] != (batch,):
                raise _refused(self.reading.path, f"`{name_of(access)}` has no {batch} here", OWN)
            moving[access] = speed
        return tangent(part.body, moving)

    def speed(self, access: Expr, reading: Reading, free: tuple[Index, ...]) -> Expr:
        """Return the tangent of what an access reads, `free` the direction's letters."""
        name, at = reading.names[name_of(access)], subscripts(access)
        if name == self.direction.tensor:
            return ix.product(self.deltas(at[int(self.direction.batched) :], free))
        found = self.tangent_of(name)
        if found is None:
            return S.Zero
        letter = letter_of(found.name, reading.names)
        return formula.tensor(letter, *(at[axis] for axis in found.axes), *free)

    def deltas(self, at: tuple[Expr, ...], free: tuple[Index, ...]) -> Iterator[Expr]:
        """Yield δ(i, 0) for each axis: what moves is 1 there, and 0 elsewhere."""
        letters = iter(free)
        for part, place in zip(at, self.direction.places, strict=True):
            yield ix.delta(part, next(letters) if place is None else Integer(place))

    def tangent_of(self, name: str) -> Tangent | None:
        """Return the tangent of a tensor, made if it isn't there; None where it doesn't move."""
        known = self.network.tangents
        if (name, self.direction) not in known:
            known[name, self.direction] = None
            nodes = [node for node in self.network.all_nodes if node.target == name]
            rates = [self.rate(node) for node in nodes]
            if any(rate.rhs != 0 for rate in rates):
                known[name, self.direction] = self.added(name, rates)
        return known[name, self.direction]

    def rate(self, node: Node) -> Rate:
        """Return the tangent of a node's formula."""
        target, rhs = node.equation.target, node.equation.rhs
        reading = Reading(node.layer, self.reading.path, None, {}, dict(node.names))
        used = {letter.name for letter in (*ix.letters(rhs), *ix.letters(target))}
        direction, shape = self.direction, self.network.tensors[self.direction.tensor].shape
        free = direction_letters(direction.tensor, direction.free, used)
        dims = (shape[axis] for axis in direction.free)
        sizes = dict(node.sizes) | {x.range: dim for x, dim in zip(free, dims, strict=True)}
        moving = {read: self.speed(read, reading, free) for read in reads(rhs)}
        slope = tangent(rhs, moving)
        if slope != 0:
            self.require_own(node, {access for access, speed in moving.items() if speed != 0})
        return Rate(node, matching.replaced(slope, target, rhs), reading, sizes, free)

    def require_own(self, node: Node, moving: set[Expr]) -> None:
        """Refuse a recurrence, and a node that mixes the examples."""
        if node.loop is not None:
            message = (
                f"through the recurrence of `{node.layer}` nothing can be derived in a formula"
            )
            raise _refused(self.reading.path, message)
        own = subscripts(node.equation.target)[:1]
        if self.direction.batched and any(subscripts(access)[:1] != own for access in moving):
            raise _refused(self.reading.path, f"`{node.layer}` mixes the examples", OWN)

    def added(self, name: str, rates: list[Rate]) -> Tangent:
        """Add the nodes of a tensor's tangent: one, or one for each part that it is filled by."""
        first = rates[0]
        filled = len(rates) > 1
        if filled and any(rate.rhs == 0 for rate in rates):
            message = f"a part of `{first.node.layer}` doesn't depend on `{self.direction.tensor}`"
            raise _refused(self.reading.path, message)
        free = ix.indices(first.rhs)
        kept = tuple(k for k, part in enumerate(first.at) if filled or ix.indices(part) & free)
        again = name in self.network.derived
        word = f"{name}{'' if again else '_'}{self.direction.word}"
        names = {letter for rate in rates for letter in rate.reading.names}
        while word in names:
            word += "_"
        made = ""
        for rate in rates:
            rate.reading.parts = frozenset({word} if filled else ())
            if made:
                rate.reading.names[word] = made
            target = formula.tensor(word, *(rate.at[axis] for axis in kept), *rate.free)
            made = self.network.node(Equation(target, rate.rhs), rate.sizes, rate.reading)
        self.network.derived.add(made)
        return Tangent(made, kept)
