"""What a formula is once it is read, and what it may name."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sympy import Expr, IndexedBase, Symbol

from symback import functions as fn
from symback.functions import Index
from symback.program import Dim


@dataclass(frozen=True, slots=True)
class Access:
    """A tensor as written in a formula, `x[n, i]`, and where it stands in the text.

    `labels` says that it stands itself where an index stands.
    """

    name: str
    subscripts: tuple[Expr, ...]
    offset: int
    length: int
    labels: bool = False

    @property
    def value(self) -> Expr:
        """The access as SymPy sees it."""
        return tensor(self.name, *self.subscripts)


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula read: `target = rhs`, or only `rhs`; every access to a tensor in order.

    `sizes` says how many values each range has, once shapes are known.
    """

    text: str
    target: Access | None
    rhs: Expr
    reads: tuple[Access, ...]
    sizes: tuple[tuple[str, Dim], ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """A function by formula: `mish(x) = x * tanh(log(1 + exp(x)))`, options as numbers."""

    args: tuple[str, ...]
    text: str
    numbers: tuple[tuple[str, Expr], ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """What a formula may name. `...` stands for the letters `ellipsis`.

    A tensor of as many axes as there are `letters` may stand without brackets: it is read at them.
    """

    ranks: Mapping[str, int | None] = field(default_factory=dict)  # tensors; None: any number
    numbers: Mapping[str, Expr] = field(default_factory=dict)  # options, put in as they are
    constants: Mapping[str, float] = field(default_factory=dict)  # options that keep their names
    functions: Mapping[str, Definition] = field(default_factory=dict)
    ellipsis: tuple[str, ...] | None = None
    path: tuple[str | int, ...] = ()  # where the text stands in the spec
    letters: tuple[str, ...] = ()


def index(name: str) -> Index:
    """Return the index of that name; its range isn't known yet."""
    return Index(name)


def tensor(name: str, *subscripts: Expr) -> Expr:
    """Return a tensor at these indices; without any, a scalar."""
    return fn.Access(IndexedBase(name), *subscripts) if subscripts else Symbol(name)
