"""Derivatives inside formulas: d(u[n], x[n, 0]) becomes tensors that the network computes.

They are found forward, from x to u: each node z = f(a, b) on the way gets a node for its tangent
ż = Σ ∂z/∂a·ȧ + Σ ∂z/∂b·ḃ, where ẋ is 1 at the element asked for and 0 elsewhere. These are formulas
like all others, so that derivatives of derivatives, and ∂L/∂w through them, come by themselves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sympy import Expr, Integer, S

from symback import formula, matching
from symback import functions as fn
from symback import index as ix
from symback.errors import Mistake, UserError
from symback.formula import Formula
from symback.functions import Index
from symback.graph.network import Network, Reading, Step
from symback.graph.start import Path
from symback.graph.types import (
    Direction,
    Equation,
    Loop,
    Node,
    Place,
    Tangent,
    name_of,
    reads,
    subscripts,
)
from symback.program import Dim, Role, Tensor
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


def _letters(node: Node) -> set[str]:
    """Return the letters of a node's indices."""
    both = (node.equation.rhs, node.equation.target)
    return {letter.name for part in both for letter in ix.letters(part)}


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
            if name_of(access) in self.reading.awaited:
                message = f"`{name_of(access)}` is being computed here: it has no derivative yet"
                raise _refused(self.reading.path, message, "take d(…) in a formula behind these")
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
            nodes = [node for node in self.network.all_nodes if node.target == name]
            loops = {node.loop for node in nodes if node.loop}
            for loop in loops:
                self.recur([node for node in self.network.all_nodes if node.loop == loop], loop)
            known.setdefault((name, self.direction), None)
            used = {letter for node in nodes for letter in _letters(node)}
            rates = [] if loops else [self.rate(node, used) for node in nodes]
            if any(rate.rhs != 0 for rate in rates):
                known[name, self.direction] = self.added(name, rates)
        return known[name, self.direction]

    def recur(self, group: Sequence[Node], loop: Loop) -> None:
        """Add the tangents of a recurrence, which are one too: they read each other's steps."""
        network, moving = self.network, list(group)
        known = network.tangents
        shape = network.tensors[self.direction.tensor].shape
        free = tuple(shape[axis] for axis in self.direction.free)
        made: dict[str, Tensor] = {}
        for node in group:
            held, word = network.tensors[node.target], self.word(node.target)
            name = network.namer.of(word, None)
            made[node.target] = Tensor(name, f"{node.layer}.{word}", Role.VALUE, held.shape + free)
        while True:  # what turns out not to move counts as 0 for the others
            for node in group:
                tangent_ = Tangent(made[node.target].name, tuple(range(len(node.at))))
                known[node.target, self.direction] = tangent_ if node in moving else None
            rates = [self.rate(node, _letters(node)) for node in moving]
            if all(rate.rhs != 0 for rate in rates):
                break
            moving = [rate.node for rate in rates if rate.rhs != 0]
        for rate in rates:
            tensor = made[rate.node.target]
            network.add(tensor, tuple(str(part) for part in (*rate.at, *rate.free)))
            network.derived.add(tensor.name)
        network.step_by_step(
            replace(loop, group=f"{loop.group}, {self.direction.word}"),
            [self.step(rate, made) for rate in rates],
        )

    def step(self, rate: Rate, made: Mapping[str, Tensor]) -> Step:
        """Return the equation of a tangent in a recurrence, whose tensors are there."""
        names = rate.reading.names
        letter = letter_of(made[rate.node.target].name, names)
        there = {tensor.name for tensor in made.values()}
        rate.reading.awaited = frozenset(x for x, name in names.items() if name in there)
        target = formula.tensor(letter, *rate.at, *rate.free)
        return Step(Equation(target, rate.rhs), rate.sizes, rate.reading)

    def rate(self, node: Node, used: set[str]) -> Rate:
        """Return the tangent of a node's formula; the direction's letters are none of `used`."""
        target, rhs = node.equation.target, node.equation.rhs
        reading = Reading(node.layer, self.reading.path, None, {}, dict(node.names))
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
        """Refuse a node that mixes the examples."""
        own = subscripts(node.equation.target)[:1]
        if self.direction.batched and any(subscripts(access)[:1] != own for access in moving):
            raise _refused(self.reading.path, f"`{node.layer}` mixes the examples", OWN)

    def word(self, name: str) -> str:
        """Return what the tangent of a tensor is called: u1_x0, of that again u1_x0x0."""
        again = name in self.network.derived
        return f"{name}{'' if again else '_'}{self.direction.word}"

    def added(self, name: str, rates: list[Rate]) -> Tangent:
        """Add the nodes of a tensor's tangent: one, or one for each part that it is filled by."""
        first = rates[0]
        filled = len(rates) > 1
        free = ix.indices(first.rhs)
        kept = tuple(k for k, part in enumerate(first.at) if filled or ix.indices(part) & free)
        word = self.word(name)
        names = {letter for rate in rates for letter in rate.reading.names}
        while word in names:
            word += "_"
        made = ""
        for rate in rates:
            rate.reading.parts = frozenset({word} if filled else ())
            if made:
                rate.reading.names[word] = made
            target = formula.tensor(word, *(rate.at[axis] for axis in kept), *rate.free)
            rhs = rate.rhs if rate.rhs != 0 else fn.Blank(rate.node.equation.rhs)
            made = self.network.node(Equation(target, rhs), rate.sizes, rate.reading)
        self.network.derived.add(made)
        return Tangent(made, kept)
