"""Narrow arrays turned: n examples by a few columns lie with the examples side by side.

    z[n,k], of 10 columns, becomes an array z[k,n]

NumPy works along the last axis, one row after another. With n numbers in a row instead of a few, a
maximum over k, a bias b[k] or a sum q[n] meets whole rows, and products of small matrices are the
ones that a BLAS is fast at: none sums along the rows of both sides. Arrays that are worked on
element by element are turned together; inputs and targets beside them are copied, turned, once a
step. The output is given a name as it was, z[n,k], a view.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from symback.passes.names import all_names, names
from symback.printing import arrays, walk
from symback.program import (
    Affine,
    Apply,
    Contract,
    Dim,
    Expr,
    Leaf,
    Lookup,
    Number,
    Position,
    Program,
    Read,
    Reduce,
    Role,
    Size,
    Statement,
    Tensor,
    View,
    mapped,
)

NARROW = range(2, 129)  # how many columns the arrays have that are turned
MANY = 16  # examples of a batch, from which on it pays
MADE = {Role.VALUE, Role.ADJOINT}
GIVEN = {Role.INPUT, Role.TARGET}


def columned(program: Program) -> Program:
    """Return the program with its narrow arrays turned: their columns come first."""
    if (program.training.batch_size or MANY) < MANY:
        return program
    work = Turning.of(program)
    return work.turned() if work.narrow else program


@dataclass(slots=True)
class Turning:
    """A program while its narrow arrays are turned."""

    program: Program
    tensors: dict[str, Tensor]
    narrow: frozenset[str] = frozenset()  # what is turned
    copies: dict[str, str] = field(default_factory=dict)  # inputs and targets → their turned copies

    @classmethod
    def of(cls, program: Program) -> "Turning":
        """Return the work that lies ahead: which arrays are turned."""
        work = cls(program, arrays(program))
        work.narrow = work.found()
        return work

    @property
    def statements(self) -> tuple[Statement, ...]:
        program = self.program
        return (*program.forward, *program.loss, *program.backward)

    # ------------------------------------------------------------ which arrays

    def found(self) -> frozenset[str]:
        """Return the arrays that are turned, with all that they meet element by element."""
        left = {tensor.name for tensor in self.program.tensors if self.is_narrow(tensor, MADE)}
        left -= {name for _, name in self.program.gradients}
        left -= {name for s in self.program.renewal for name in names(s.value)}
        looped = [s for s in self.statements if s.loop is not None]
        left -= {name for s in looped for name in (s.target.name, *names(s.value))}
        groups = [group for statement in self.statements for group in self.together(statement)]
        while True:
            kept = {
                name
                for group in groups
                if not all(self.can_lie(node, left) for node in group)
                for node in group
                if isinstance(node, Leaf)
                for name in (node.name,)
            }
            if left.isdisjoint(kept):
                return frozenset(left)
            left -= kept

    def is_narrow(self, tensor: Tensor, roles: Iterable[Role]) -> bool:
        """Tell whether an array of these roles is one of examples by a few columns."""
        if tensor.role not in roles or tensor.classes is not None or len(tensor.shape) != 2:
            return False
        rows, columns = tensor.shape
        return isinstance(rows, str) and columns in NARROW

    def together(self, statement: Statement) -> Iterator[tuple[Expr, ...]]:
        """Yield the parts of a statement that lie alike, or stay as they are.

        What is summed, and the factors of a product of matrices, lie for themselves.
        """
        waiting: list[tuple[Expr, ...]] = []

        def outer(expr: Expr) -> Iterator[Expr]:
            match expr:
                case Contract(left, right) if is_of_matrices(expr):
                    waiting.extend([(left, right)] if len(expr.axes) < 1 else [(left,), (right,)])
                case Reduce(_, body) if len(expr.axes) < 2:
                    waiting.append((body,))
                case Apply(_, args):
                    for arg in args:
                        yield from outer(arg)
                case _:
                    yield from walk(expr)

        yield (statement.target, *outer(statement.value))
        while waiting:
            yield tuple(node for expr in waiting.pop() for node in outer(expr))

    def can_lie(self, node: Expr, narrow: set[str]) -> bool:
        """Tell whether a part of a statement may be read beside turned arrays."""
        match node:
            case Read(name, axes):
                tensor = self.tensors.get(name)
                if tensor is None or len(axes) < 2:
                    return True
                fits = name in narrow or self.is_narrow(tensor, GIVEN)
                return fits and len({*axes}) == 2
            case Number() | Size() | Position() | Apply():
                return True
        return False

    # ------------------------------------------------------------ the program

    def turned(self) -> Program:
        program = self.program
        forward, loss, backward = (
            tuple(self.block(block)) for block in (program.forward, program.loss, program.backward)
        )
        tensors = tuple(
            replace(t, shape=t.shape[::-1]) if t.name in self.narrow else t for t in program.tensors
        )
        copied = tuple(
            replace(self.tensors[name], name=copy, shape=self.tensors[name].shape[::-1])
            for name, copy in self.copies.items()
        )
        made = replace(
            program,
            tensors=(*tensors, *(replace(t, role=Role.VALUE) for t in copied)),
            forward=forward,
            loss=loss,
            backward=backward,
        )
        return self.with_output(made) if program.output in self.narrow else made

    def block(self, statements: Sequence[Statement]) -> Iterator[Statement]:
        """Yield the copies that a block needs, then its statements."""
        wanted = [self.beside(statement) for statement in statements]
        for name in sorted(frozenset().union(*wanted) - self.copies.keys()):
            self.copies[name] = copy = fresh(f"{name}_T", self.program)
            yield Statement(Read(copy, ("k", "n")), Read(name, ("n", "k")), "")
        for statement, given in zip(statements, wanted, strict=True):
            target = statement.target
            if isinstance(target, Read):
                target = self.read(target, given)
            yield replace(statement, target=target, value=self.laid(statement.value, given))

    def beside(self, statement: Statement) -> frozenset[str]:
        """Return the inputs and targets of which a statement reads turned copies.

        They meet turned arrays element by element, or are multiplied to become one.
        """
        found = [
            node
            for group in self.together(statement)
            if any(isinstance(node, Read) and node.name in self.narrow for node in group)
            for node in group
        ]
        if statement.target.name in self.narrow:
            products = [node for node in walk(statement.value) if isinstance(node, Contract)]
            sides = [(side, node.over) for node in products for side in (node.left, node.right)]
            found += [side for side, over in sides if side.axes[1:] == over]
        return frozenset(
            node.name
            for node in found
            if isinstance(node, Read) and node.name in self.tensors
            if self.is_narrow(self.tensors[node.name], GIVEN)
        )

    def read(self, read: Read, given: frozenset[str]) -> Read:
        """Return the reading of an array as it lies."""
        if read.name in self.narrow:
            return Read(read.name, read.axes[::-1])
        if read.name in self.copies and read.name in given:
            return Read(self.copies[read.name], read.axes[::-1])
        return read

    def laid(self, expr: Expr, given: frozenset[str]) -> Expr:
        """Return an expression whose arrays are read as they lie."""
        if isinstance(expr, Read):
            return self.read(expr, given)
        return mapped(expr, lambda part: self.laid(part, given))

    def with_output(self, program: Program) -> Program:
        """Return the program with the output's own name for a view of it, examples first."""
        name = program.output
        lying = fresh(f"{name}_T", program)
        tensor = self.tensors[name]
        rows, columns = tensor.shape
        sizes: tuple[tuple[str, Dim], ...] = (("k", columns), ("n", rows))
        part = Lookup(lying, (Affine(0, (("k", 1),)), Affine(0, (("n", 1),))), sizes)
        named = Statement(Read(name, ("n", "k")), part, "")
        forward, loss, backward = (
            tuple(renamed(s, name, lying) for s in block)
            for block in (program.forward, program.loss, program.backward)
        )
        whole = replace(tensor, name=lying, shape=(columns, rows))
        return replace(
            program,
            tensors=(*(tensor if t.name == name else t for t in program.tensors), whole),
            forward=(*forward, named),
            loss=loss,
            backward=backward,
            views=(*program.views, View(tensor, part)),
        )


def is_of_matrices(expr: Contract) -> bool:
    """Tell whether a product is one of matrices or vectors: what both sides have is summed."""
    sides = [{*side.axes} for side in (expr.left, expr.right)]
    return max(map(len, sides)) <= 2 and sides[0] & sides[1] == {*expr.over}


def renamed(statement: Statement, old: str, new: str) -> Statement:
    """Return a statement with another name for an array."""

    def again(expr: Expr) -> Expr:
        if isinstance(expr, Read) and expr.name == old:
            return replace(expr, name=new)
        return mapped(expr, again)

    target = statement.target
    if target.name == old:
        target = replace(target, name=new)
    return replace(statement, target=target, value=again(statement.value))


def fresh(wanted: str, program: Program) -> str:
    """Return a name that isn't taken."""
    taken = all_names(program)
    while wanted in taken:
        wanted += "_"
    return wanted
