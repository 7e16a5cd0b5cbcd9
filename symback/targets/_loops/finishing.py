"""What is done to loops once they are joined: arrays of a round, sums by parts."""

from dataclasses import dataclass, replace

from symback.program import Dim, Read, Role, Split, Tensor
from symback.targets._loops.joining import relettered
from symback.targets._loops.nodes import (
    Access,
    Gain,
    Known,
    Loop,
    Nests,
    Node,
    Own,
    Parts,
    Product,
    Shares,
    accesses_of,
    at_front,
    inside,
    names_in,
    place_of,
    reads_of,
    renamed,
    replaced,
    step_axis,
    without,
    writes_of,
)
from symback.targets._loops.threads import gained_over, size_of
from symback.targets._loops.writing import Workshop

PARTS = 16  # that a batch is taken in where sums over it are gained on several threads
NEAR = 1 << 18  # numbers that a round's own arrays may hold together: they stay in the cache


@dataclass(frozen=True, slots=True)
class Finishing:
    """What is done to loops once they are joined."""

    work: Workshop
    known: Known

    def finished(self, nodes: tuple[Node, ...]) -> Nests:
        """Return the loops with arrays that each round has to itself, and sums by parts."""
        own: list[Tensor] = []
        made: list[Node] = []
        mentions = [names_in(node) for node in nodes]
        for place, node in enumerate(nodes):
            if not isinstance(node, Loop):
                made.append(node)
                continue
            elsewhere = {n for k, names in enumerate(mentions) if k != place for n in names}
            if node.serial:
                loop, brief = self.of_one_step(node, mentions[place] - elsewhere)
                self.work.scratch |= {tensor.name: tensor for tensor in brief}
                examples = self.examples_of(loop)
                made.append(Shares(loop, examples) if examples else loop)
                continue
            loop, found = self.with_own(node, mentions[place] - elsewhere)
            own += found
            done = self.in_parts(loop)
            made.append(done)
            if isinstance(done, Parts):
                made += [self.added_up(name, parts) for name, parts in done.sums]
        names = {tensor.name for tensor in own}
        scratch = tuple(t for t in self.work.scratch.values() if t.name not in names)
        return Nests(tuple(made), scratch, tuple(own))

    def passing(self) -> dict[str, Tensor]:
        """Return the arrays that are no one's result: scratch, and adjoints that aren't asked for.

        Another that is seen as one of them needs its memory.
        """
        asked = {name for _, name in self.work.program.gradients}
        asked |= {*self.known.owners, *self.known.owners.values()}
        adjoints = self.work.program.with_role(Role.ADJOINT)
        return self.work.scratch | {t.name: t for t in adjoints if t.name not in asked}

    def of_one_step(self, loop: Loop, names: frozenset[str]) -> tuple[Loop, tuple[Tensor, ...]]:
        """Return a recurrence with arrays of one step for what no other step reads.

        Each step writes where the one before wrote, which is still at hand.
        """
        found: dict[str, tuple[Tensor, int]] = {}
        for name, tensor in self.passing().items():
            accesses = accesses_of(name, loop)
            axes = {step_axis(access, loop.letter) for access in accesses}
            if name in names and len(axes) == 1 and (axis := axes.pop()) is not None:
                shape = (*tensor.shape[:axis], *tensor.shape[axis + 1 :])
                found[name] = replace(tensor, shape=shape), axis

        def at_hand(access: Access) -> Access:
            return without(access, found[access.name][1]) if access.name in found else access

        body = replaced(loop.body, at_hand)
        return replace(loop, body=body), tuple(tensor for tensor, _ in found.values())

    def examples_of(self, loop: Loop) -> str:
        """Return the batch's size where a recurrence takes each example by itself, "" elsewhere."""
        letter, owners = "n'", self.known.owners
        sizes: set[Dim] = set()
        parts: list[Node] = []
        for part in loop.body:
            match part:
                case Loop(_, str(), _, 0):
                    sizes.add(part.size)
                    parts += relettered(part, letter).body
                case Product(rows=(own,)) if place_of(part.left, own):
                    sizes.add(dict(part.sizes)[own])
                    parts.append(renamed(part, {own: letter}))
                case _:
                    return ""
        nodes = [node for part in parts for node in inside(part)]
        arrays = self.known.shapes.keys() | self.work.scratch.keys()
        written = {owners.get(a.name, a.name) for n in nodes for a in writes_of(n)} & arrays
        places = {
            (owner, place_of(access, letter))
            for node in nodes
            for access in (*reads_of(node), *writes_of(node))
            if (owner := owners.get(access.name, access.name)) in written
        }
        own_places = all(place for _, place in places) and len(places) == len(written)
        batch = sizes.pop() if len(sizes) == 1 else ""
        return batch if own_places and isinstance(batch, str) else ""

    def with_own(self, loop: Loop, names: frozenset[str]) -> tuple[Loop, tuple[Tensor, ...]]:
        """Return a loop whose passing arrays are each round's own where nothing else reads them."""
        room, found = NEAR, []
        for name, tensor in self.passing().items():
            rest = size_of(tensor.shape[1:])
            if name not in names or not 0 < rest <= room or loop.serial or len(tensor.shape) < 2:
                continue
            accesses = accesses_of(name, loop)
            if tensor.shape[0] == loop.size and all(at_front(a, loop.letter) for a in accesses):
                room -= rest
                found.append(replace(tensor, shape=tensor.shape[1:]))
        own = {tensor.name for tensor in found}
        body = replaced(loop.body, lambda each: without(each, 0) if each.name in own else each)
        return replace(loop, body=(*map(Own, found), *body)), tuple(found)

    def in_parts(self, loop: Loop) -> Loop | Parts:
        """Return a loop that several threads may share with what it gains held by parts."""
        names = gained_over(loop, self.known)
        if not names:
            return loop
        sums: dict[str, Tensor] = {}
        for name in sorted(names):
            parts = self.work.fresh(f"{name}_parts")
            sums[name] = Tensor(parts, parts, Role.VALUE, (PARTS, *self.known.shapes[name]))
            self.work.scratch[parts] = sums[name]

        def held(access: Access) -> Access:
            if access.name not in sums:
                return access
            name = sums[access.name].name
            if isinstance(access, Split):
                groups, sizes = (("part",), *access.groups), (("part", PARTS), *access.sizes)
                return Split(name, groups, sizes)
            return Read(name, ("part", *access.axes))

        return Parts(replace(loop, body=replaced(loop.body, held)), tuple(sums.items()))

    def added_up(self, name: str, parts: Tensor) -> Node:
        """Return the loops that add the parts of a sum up, in their order."""
        axes = tuple(f"p'{k}" for k in range(len(parts.shape) - 1))
        node: Node = Gain("sum", Read(name, axes), Read(parts.name, ("part", *axes)))
        for letter, dim in reversed(list(zip(("part", *axes), parts.shape, strict=True))):
            node = Loop(letter, dim, (node,))
        return node
