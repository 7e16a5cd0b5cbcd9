"""The Spec: what a person asked for, read and checked. Formulas are still text."""

from dataclasses import dataclass, field
from typing import TypeAlias

from symback.errors import Mistake
from symback.program import Data, Training
from symback.source import Document

Setting: TypeAlias = float | bool | str | tuple[int, ...]
Numbers: TypeAlias = "float | tuple[Numbers, ...]"  # given one by one, nested like the array


@dataclass(frozen=True, slots=True)
class Choice:
    """A catalogue entry (or a function of the spec) with the options given; the rest: defaults."""

    name: str
    options: tuple[tuple[str, Setting], ...] = ()


Start: TypeAlias = "Choice | str | Numbers"  # of a parameter: an initialiser, a formula, numbers


@dataclass(frozen=True, slots=True)
class Input:
    """An array from outside: its first axis is the batch, of a size with a name."""

    name: str
    shape: tuple[int | str, ...]
    classes: int | None = None  # holds the labels 0 … classes-1
    ignored: int | None = None  # and this one, of examples that the loss leaves out


@dataclass(frozen=True, slots=True)
class OwnFunction:
    """`name(args) = formula`, which may read constants of its own."""

    name: str
    args: tuple[str, ...]
    formula: str
    constants: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class OwnParameter:
    """A learned array of a layer that has a formula of its own."""

    name: str
    shape: tuple[int, ...]
    init: Start


@dataclass(frozen=True, slots=True)
class OwnState(OwnParameter):
    """An array that such a layer keeps and doesn't learn, and the formula of what it becomes."""

    next: str


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of the catalogue (`kind`), of its own `formulas`, or an activation alone."""

    name: str
    kind: Choice | None = None
    formulas: tuple[str, ...] = ()
    parameters: tuple[OwnParameter, ...] = ()
    states: tuple[OwnState, ...] = ()
    constants: tuple[tuple[str, float], ...] = ()
    sizes: tuple[tuple[str, int], ...] = ()  # how many values an index takes that no axis tells
    activation: Choice | None = None
    sources: tuple[str, ...] = ()  # none: the layer before
    init: tuple[tuple[str, Start], ...] = ()  # by PyTorch's parameter name; "": all weights
    frozen: bool = False  # its parameters keep their start


@dataclass(frozen=True, slots=True)
class Term:
    """A term of the loss: `scale` times an entry of the catalogue or a formula of one's own.

    Beside it stand the penalties l1·Σ|w| + l2·Σw² over `penalise` (none: over all), or alone.
    """

    choice: Choice | None = None
    operands: tuple[tuple[str, str], ...] = ()  # its keys (target, …) → an input or a layer
    weights: tuple[float, ...] = ()  # of the classes
    reduction: str = "mean"
    formula: str | None = None
    constants: tuple[tuple[str, float], ...] = ()
    scale: float = 1.0
    l1: float = 0.0
    l2: float = 0.0
    penalise: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """An optimiser or a learning-rate schedule, of the catalogue or by its own formulas."""

    choice: Choice | None = None
    formulas: tuple[str, ...] = ()
    states: tuple[tuple[str, float], ...] = ()
    constants: tuple[tuple[str, float], ...] = ()
    per: str = "epoch"  # or "step": when a schedule runs
    until: int | None = None  # the epoch (or step) from which the schedule after it runs
    chained: tuple["Rule", ...] = ()  # instead: schedules whose factors multiply


@dataclass(frozen=True, slots=True)
class Spec:
    """A model as its spec describes it."""

    model: str
    inputs: tuple[Input, ...]
    functions: tuple[OwnFunction, ...]
    layers: tuple[Layer, ...]
    loss: tuple[Term, ...]  # added up
    optimizer: Rule
    schedule: tuple[Rule, ...]  # one after the other; none: the rate stays
    metrics: tuple[Choice, ...]
    training: Training
    data: Data | None
    source: str  # the spec's file name, "" without one
    folder: str  # where its data file is looked for
    digest: str  # SHA-256 of the content: the same for the same content however it is laid out
    document: Document = field(compare=False, repr=False)

    def locate(self, mistake: Mistake) -> Mistake:
        """Return the mistake with file, line, column and row, from its path and offset."""
        return self.document.locate(mistake)
