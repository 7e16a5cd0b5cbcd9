"""What a catalogue entry is: formulas, options, words. No entry has code of its own."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an entry can be used as."""

    LAYER = "layer"
    ACTIVATION = "activation"
    LOSS = "loss"
    OPTIMIZER = "optimizer"
    SCHEDULE = "schedule"
    INITIALIZER = "initializer"
    METRIC = "metric"


@dataclass(frozen=True, slots=True)
class Option:
    """A setting: a number, a truth value or one of `choices`.

    `default` None means: no value unless given (a formula asks with `name_given`, 1 or 0);
    `required` that one must be given. A choice is read in a formula as `name_choice`, 1 where it
    was chosen and 0 elsewhere. A `listed` option is read with an index and summed over it; a layer
    reads `name_0`, `name_1`, … and `name_count`. One
    with `axes` is a number for all of them or a list of one each: `name_0`, `name_1`, …; it, and
    one whose default is a number, may have choices beside.
    """

    name: str
    default: float | bool | str | tuple[float, ...] | None = None
    doc: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()
    whole: bool = False  # an integer
    least: float | None = None  # smallest value allowed
    most: float | None = None
    above: float | None = None  # every value allowed is larger than this
    below: float | None = None  # … and smaller than this
    listed: bool = False  # a list of integers (MultiStepLR's milestones)
    axes: int = 0  # how many axes it has a number for

    @property
    def numeric(self) -> bool:
        """Whether it takes numbers where it has choices too."""
        return self.axes > 0 or type(self.default) in (int, float)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A learned tensor of a layer: local letter W, PyTorch's name weight, shape, start.

    A shape names options and indices of the layer's formulas, or is worked out of them, as
    `size(c) * groups`.
    A parameter that no formula reads, once the options have chosen their branches, isn't made.
    """

    letter: str
    name: str
    shape: tuple[str, ...]
    init: str  # in the language of initialisers: "uniform(-1/sqrt(fan_in), 1/sqrt(fan_in))"


@dataclass(frozen=True, slots=True)
class Running:
    """A tensor that a layer keeps and doesn't learn: what it has met so far.

    `next`, a formula, says what it becomes after a pass in training, in the order of the entry's;
    it reads the values of the pass. Without one it stays as it starts. The layer has it where
    `where`, a formula over options, isn't zero. Otherwise as a Parameter.
    """

    letter: str
    name: str
    shape: tuple[str, ...]
    init: str
    next: str
    where: str = "1"


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor that a loss reads: its letter in the formulas, and its key in the spec.

    A spec names an input or a layer. One that is `optional` may be left out: `y` is the last
    layer's output then, any other letter isn't there.
    """

    letter: str
    key: str
    doc: str
    optional: bool = False
    holds: str = ""  # what is assumed of an input there: a kind of program.Assumption


@dataclass(frozen=True, slots=True)
class Random:
    """A tensor drawn anew in training: `keep(1 - p)`. It is 1 outside of training.

    It has the shape of the first source, or the axes named by these letters.
    """

    letter: str
    draw: str
    axes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """What the derivation of a loss may take for granted of a tensor.

    `kind` is one of program.Assumption's; the fact holds where `where`, a formula over options and
    switches (labels, weighted, sampled), isn't zero.
    """

    letter: str
    kind: str
    where: str = "1"


@dataclass(frozen=True, slots=True)
class Case:
    """Formulas that a layer has instead where `where`, over options and sources, isn't zero.

    Without formulas there is no such layer. An optimiser has them where `...` stands among its own;
    `where` may read how many `axes` a parameter has, and how many rows and columns the last two
    hold. Without formulas such a parameter is refused.
    """

    where: str
    formulas: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A catalogue entry. `formulas` are read in order; what each kind may name is in its file.

    Once the options have chosen their branches, a formula may say nothing: one reduced to its own
    target (`g = g`) or to another tensor (`S = T`), or an intermediate or state that no other
    formula reads. Such a one is left out.

    A layer's formulas may read `training`, 1 in training and 0 elsewhere, and ask for `sources`, of
    which it has so many, and for `axes_2`, how many axes the second has. Where it follows on
    itself, each `round`, from 0, reads the output of the one before in the place of its first
    source, and a parameter's name has the round's number for {}.

    What `numbers` and `sizes` hold are formulas over options, earlier numbers, and `size(h)` of an
    axis named in `axes`; the source has just these axes then.
    """

    kind: Kind
    name: str
    formulas: tuple[str, ...]
    doc: str
    source: str  # the paper or PyTorch's name: "torch.nn.Tanh"
    options: tuple[Option, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    cases: tuple[Case, ...] = ()  # layer, optimiser: the first that holds
    axes: tuple[str, ...] = ()  # layer: what its first source's axes are called in sizes
    shapes: tuple[tuple[str, tuple[str, ...]], ...] = ()  # layer: a further source's axes, where it
    # has so many: n, the examples, or formulas over options
    numbers: tuple[tuple[str, str], ...] = ()  # layer: more names for its formulas
    sizes: tuple[tuple[str, str], ...] = ()  # layer: how many values an index takes
    states: tuple[tuple[str, str], ...] = ()  # optimiser, schedule: name, start (a formula)
    kept: tuple[str, ...] = ()  # optimiser: states for people, which w doesn't depend on
    search: str = ""  # optimiser: without formulas, a template that evaluates the loss as it goes
    momentum: str = ""  # optimiser: the option that a schedule's state `momentum` takes over
    random: tuple[Random, ...] = ()  # layer
    running: tuple[Running, ...] = ()  # layer
    outputs: tuple[tuple[str, str], ...] = ()  # layer: beside its output, name and letter
    rounds: str = ""  # the option that says how often it follows on itself (layer), or how often
    # a case's formulas run (optimiser)
    carried: tuple[tuple[str, str], ...] = ()  # layer: letters of a round, and the next one's
    operands: tuple[Operand, ...] = ()  # loss: what it compares, the first one's axes leading
    assumes: tuple[Fact, ...] = ()  # loss: of what comes from outside
    divisor: str = ""  # loss: what the mean divides by, where it isn't the number of elements
    main: str = ""  # the option that stands alone: `dense: 128` is units
    aliases: tuple[str, ...] = ()
    kinks: str = ""  # where the derivative jumps and what is taken there

    @property
    def held(self) -> "tuple[Parameter | Running, ...]":
        """The tensors that a layer keeps from step to step: learned ones, then the others."""
        return (*self.parameters, *self.running)
