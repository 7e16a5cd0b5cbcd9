"""Which arrays lie step after step in memory, and how: their margins, their names with them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from symback.passes.names import all_names, names
from symback.printing import walk
from symback.program import (
    Affine,
    Apply,
    Contract,
    Draw,
    Expr,
    Leaf,
    Lookup,
    Loop,
    Program,
    Read,
    Role,
    Slice,
    Split,
    Statement,
    Tensor,
)
from symback.steps import step_axis

COMPUTED = {Role.VALUE, Role.ADJOINT}
T = TypeVar("T")


@dataclass(slots=True)
class Lying:
    """How an array lies: the axis that its steps have in the program, and margins of zeros.

    `whole` is the array with its margins, steps first; without margins it is the array itself.
    """

    axis: int
    before: int = 0
    after: int = 0
    whole: str = ""


@dataclass(slots=True)
class Layout:
    """How a program's arrays lie once its recurrences are put into steps."""

    program: Program
    tensors: dict[str, Tensor]
    taken: set[str]
    lying: dict[str, Lying] = field(default_factory=dict)
    brief: set[str] = field(default_factory=set)  # adjoints that only their own step reads
    elsewhere: set[str] = field(default_factory=set)  # what is read outside of recurrences
    made: dict[str, Tensor] = field(default_factory=dict)  # arrays with margins

    @classmethod
    def of(cls, program: Program) -> "Layout":
        """Return which arrays lie in steps, and with which margins."""
        work = cls(program, {t.name: t for t in program.tensors}, {*all_names(program)})
        work.find()
        work.spread()
        work.measure()
        return work

    @property
    def statements(self) -> tuple[Statement, ...]:
        program = self.program
        return (*program.forward, *program.loss, *program.backward, *program.renewal)

    # ------------------------------------------------------------ which arrays

    def find(self) -> None:
        """Note the arrays that a recurrence computes or reads, step by step."""
        apart = (statement for statement in self.statements if statement.loop is None)
        self.elsewhere = {name for statement in apart for name in names(statement.value)}
        self.elsewhere |= {name for _, name in self.program.gradients}
        for statement in self.statements:
            if (loop := statement.loop) is None:
                continue
            for node in (statement.target, *walk(statement.value)):
                match node:
                    case Read(name, axes) | Slice(name, axes) if loop.letter in axes:
                        self.lie(name, axes.index(loop.letter))
                    case Lookup(name) if loop.letter in node.axes:
                        place = node.places[step_axis(node, loop)]
                        if isinstance(place, Affine):
                            self.lie(name, step_axis(node, loop))
        for statement in self.statements:
            name, loop = statement.target.name, statement.loop
            if (
                loop is None
                or name in self.elsewhere
                or self.tensors[name].role is not Role.ADJOINT
            ):
                continue
            if all(self.is_own(name, other, loop) for other in self.statements):
                self.brief.add(name)

    def lie(self, name: str, axis: int) -> None:
        if self.tensors[name].role in COMPUTED:
            self.lying.setdefault(name, Lying(axis))

    def is_own(self, name: str, statement: Statement, loop: Loop) -> bool:
        """Tell whether a statement reads an array, if at all, at the step that it is computed."""
        if name not in names(statement.value):
            return True
        shifted = any(isinstance(n, Lookup) and n.name == name for n in walk(statement.value))
        return statement.loop == loop and not shifted

    def spread(self) -> None:
        """Let what is multiplied with such arrays, or is such a product, lie in the same way."""
        fixed = {self.program.output, *(name for _, name in self.program.gradients)}
        for _ in self.statements:
            before = len(self.lying)
            for statement in self.statements:
                letters = self.letters(statement)
                product = isinstance(statement.value, Contract | Lookup)
                parts: list[Expr] = [statement.target] if product or self.all_lie(statement) else []
                if product and statement.target.name in self.lying:
                    parts += walk(statement.value)
                for node in walk(statement.value):
                    if isinstance(node, Contract) and self.lies(node):
                        parts += walk(node)
                for part in parts if statement.loop is None else ():
                    if (
                        isinstance(part, Read)
                        and part.name not in fixed
                        and part.name in self.tensors
                    ):
                        for axis in (k for k, a in enumerate(part.axes) if a in letters):
                            self.lie(part.name, axis)
            if len(self.lying) == before:
                return

    def all_lie(self, statement: Statement) -> bool:
        """Tell whether all arrays lie in steps that an elementwise statement reads along them."""
        letters = self.letters(statement)
        read = [
            node.name
            for node in walk(statement.value)
            if isinstance(node, Leaf) and letters & {*node.axes}
        ]
        return isinstance(statement.value, Apply) and bool(read) and {*read} <= self.lying.keys()

    def lies(self, expr: Expr) -> bool:
        """Tell whether an expression reads an array that lies in steps."""
        return not self.lying.keys().isdisjoint(names(expr))

    def letters(self, statement: Statement) -> frozenset[str]:
        """Return the letters of the axes along which a statement's arrays lie in steps."""
        found = set[str]()
        for node in (statement.target, *walk(statement.value)):
            if isinstance(node, Leaf) and node.name in self.lying:
                axis = self.lying[node.name].axis
                match node:
                    case Read(axes=axes) | Slice(axes=axes):
                        found.add(axes[axis])
                    case Split(groups=groups):
                        found |= {*groups[axis]}
                    case Lookup(places=places):
                        found |= {*places[axis].axes}
        return frozenset(found)

    # ------------------------------------------------------------ how they lie

    def measure(self) -> None:
        """Note the margins, and what arrays are called with them."""
        for statement in self.statements:
            for node in walk(statement.value):
                if isinstance(node, Lookup) and (offset := self.shifted(node)) is not None:
                    lying = self.lying[node.name]
                    place = node.places[lying.axis]
                    last = offset + int(dict(node.sizes)[place.axes[0]])
                    lying.before = max(lying.before, -offset)
                    lying.after = max(
                        lying.after, last - int(self.tensors[node.name].shape[lying.axis])
                    )
        fixed = {self.program.output, *(name for _, name in self.program.gradients)}
        for name, lying in self.lying.items():
            lying.whole = name
            if name not in fixed and not (lying.before or lying.after):
                continue
            lying.whole = self.fresh(f"{name}_all")
            first, *rest = self.first(name, self.tensors[name].shape)
            shape = (int(first) + lying.before + lying.after, *rest)
            draw = Draw("constant", (0.0,))
            self.made[lying.whole] = replace(
                self.tensors[name], name=lying.whole, shape=shape, draw=draw
            )

    def shifted(self, node: Lookup) -> int | None:
        """Return how far a reading of an array is shifted along its steps; None for others."""
        if node.name not in self.lying:
            return None
        place = node.places[self.lying[node.name].axis]
        if isinstance(place, Read) or [c for _, c in place.terms] != [1]:
            return None
        [letter] = place.axes
        rest = [p for k, p in enumerate(node.places) if k != self.lying[node.name].axis]
        return None if any(letter in p.axes for p in rest) else place.offset

    def fresh(self, wanted: str) -> str:
        while wanted in self.taken:
            wanted += "_"
        self.taken.add(wanted)
        return wanted

    def first(self, name: str, parts: Sequence[T]) -> tuple[T, ...]:
        """Return what belongs to an array's axes with its steps' first."""
        axis = self.lying[name].axis
        return (parts[axis], *parts[:axis], *parts[axis + 1 :])

    def is_fixed(self, name: str) -> bool:
        """Tell whether an array itself must stay as it is: the output, a gradient."""
        return name == self.program.output or name in {n for _, n in self.program.gradients}

    def is_moved(self, name: str) -> bool:
        """Tell whether an array itself lies step after step."""
        return name in self.lying and not self.is_fixed(name)

    def has_margins(self, name: str) -> bool:
        """Tell whether an array is the inside of another."""
        return self.is_moved(name) and self.lying[name].whole != name

    def tensor(self, tensor: Tensor) -> Tensor:
        """Return an array as it is now: steps first, or of one step."""
        if not self.is_moved(tensor.name):
            return tensor
        shape = self.first(tensor.name, tensor.shape)
        return replace(tensor, shape=shape[1:] if tensor.name in self.brief else shape)

    def named(self, name: str) -> Statement:
        """Return the statement that names an array within its margins, or copies it from there."""
        tensor, lying = self.tensors[name], self.lying[name]
        letters = tuple(f"i{k}" for k in range(len(tensor.shape)))
        axes = self.first(name, letters)
        end = lying.before + int(tensor.shape[lying.axis])
        value = Slice(lying.whole, axes, ((lying.before, end), *[None] * (len(axes) - 1)))
        return Statement(Read(name, letters if self.is_fixed(name) else axes), value, "")

    def whole(
        self, name: str, axes: tuple[str, ...], offset: int, count: int | None = None
    ) -> Read | Slice:
        """Return an array's steps from one on, as they lie."""
        lying = self.lying[name]
        steps = int(self.tensors[name].shape[lying.axis])
        count = steps if count is None else count
        start = lying.before + offset
        if start == 0 and count == steps + lying.before + lying.after:
            return Read(lying.whole, axes)
        if offset == 0 and count == steps and not self.is_fixed(name):
            return Read(name, axes)
        return Slice(lying.whole, axes, ((start, start + count), *[None] * (len(axes) - 1)))
