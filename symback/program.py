"""The Program: what a module computes, as statements over arrays whose axes carry letters.

A statement such as

    z1[n,o] = Σ_i x[n,i]·W1[o,i] + b1[o]

is one `Statement`: its target `Read("z1", ("n", "o"))`, its value a tree of the nodes below. The
letters say how operands line up, so a NumPy printer derives transposes and `[:, None]` from them,
and a printer of loops derives its loops. Letters belong to one statement; the arrays' shapes are
in `Program.tensors`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

Dim = int | str  # a number, or the name of a size known only at run time: "n", the batch


class Role(StrEnum):
    """What a tensor is to the network."""

    INPUT = "input"  # read by the layers: x
    TARGET = "target"  # read by the loss, the metrics and the penalties alone: t, sample weights
    PARAMETER = "parameter"  # learned: W1
    STATE = "state"  # kept beside the parameters and renewed after a pass in training: means met
    CONSTANT = "constant"  # numbers of the spec: class weights
    RANDOM = "random"  # drawn anew at each training step: a dropout mask
    VALUE = "value"  # computed by the forward pass: z1
    LOSS = "loss"  # the number (or, unreduced, the array) to be made small
    ADJOINT = "adjoint"  # ∂L/∂something: dz1
    MASK = "mask"  # scratch that holds truth values


@dataclass(frozen=True, slots=True)
class Draw:
    """How random numbers are made: `constant`(value), `uniform`(low, high), `normal`(mean, std),
    `values`(nested tuples of the given start), `keep`(p): 1/p with probability p, else 0,
    `identity`: a matrix of 1 on the diagonal and 0 elsewhere, `positions`: 0, 1, …,
    `truncated`(mean, std, low, high): normal within bounds, `orthogonal`(gain), `sparse`(the part
    of zeros, std), `dirac`(groups): a convolution that passes its channels on.
    """

    kind: str
    arguments: tuple[float, ...] = ()
    values: tuple[Any, ...] = ()  # nested tuples of floats, kind "values" alone
    because: str = ""  # the rule in words and symbols, for the comment: "±1/√64"
    rest: float = 1.0  # RANDOM: the value outside of training


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array of the module: `name` in the code, `key` for people ("f1.weight", "x")."""

    name: str
    key: str
    role: Role
    shape: tuple[Dim, ...]
    classes: int | None = None  # integer labels 0 … classes-1, where the array holds labels
    ignored: int | None = None  # a label beside them, of examples that the loss leaves out
    draw: Draw | None = None  # PARAMETER, STATE: its start; RANDOM: its values in training;
    # CONSTANT: its values


# ---------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Number:
    value: int | float

    @property
    def axes(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Size:
    """How many values a run-time size has: `Size("n")` is the number of examples, as a number."""

    dim: str

    @property
    def axes(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Position:
    """An index used as a value: 0, 1, … along `axis`, which has `size` values."""

    axis: str
    size: Dim

    @property
    def axes(self) -> tuple[str, ...]:
        return (self.axis,)


@dataclass(frozen=True, slots=True)
class Read:
    """An array read, or written, with one letter per axis; a scalar has none."""

    name: str
    axes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """An array with letters joined, row-major, into one axis: x[n,(i,j)], a flattened image.

    `groups` has one tuple of letters for each axis of the array; `sizes` each letter's range.
    As a statement's target the value, computed along all letters, is reshaped.
    """

    name: str
    groups: tuple[tuple[str, ...], ...]
    sizes: tuple[tuple[str, Dim], ...]

    @property
    def axes(self) -> tuple[str, ...]:
        return merged(*self.groups)


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of an array: along each letter the values start … stop-1, None for all of them."""

    name: str
    axes: tuple[str, ...]
    ranges: tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Affine:
    """The index offset + Σ coefficient·letter into an axis.

    Of two letters the first is the one that moves a window, the second runs inside of it.
    """

    offset: int
    terms: tuple[tuple[str, int], ...]

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(letter for letter, _ in self.terms)

    @property
    def letter(self) -> str:
        """The letter that the index is; "" where it is more or less than one."""
        return self.terms[0][0] if not self.offset and [c for _, c in self.terms] == [1] else ""

    def reach(self, sizes: Mapping[str, Dim]) -> tuple[int, int]:
        """Return the smallest and the largest value, given each letter's range."""
        ends = [c * (int(sizes[letter]) - 1) for letter, c in self.terms]
        lowest = self.offset + sum(end for end in ends if end < 0)
        return lowest, self.offset + sum(end for end in ends if end > 0)


@dataclass(frozen=True, slots=True)
class Lookup:
    """An array read at computed indices, one for each axis: zero outside of the array.

    A place is affine in letters, x[n,c,2·i + p − 1], or an array of labels, E[tok[n,t],d].
    `sizes` are the letters' ranges. The letters stand in the places' order, those that run inside
    of windows behind all others.
    """

    name: str
    places: "tuple[Affine | Read, ...]"
    sizes: tuple[tuple[str, Dim], ...]

    @property
    def axes(self) -> tuple[str, ...]:
        outer = [p.axes[:1] if isinstance(p, Affine) else p.axes for p in self.places]
        inner = [p.axes[1:] for p in self.places if isinstance(p, Affine)]
        return merged(*outer, *inner)

    @property
    def is_plain(self) -> bool:
        """Tell whether every place is a letter by itself."""
        return all(isinstance(place, Affine) and place.letter for place in self.places)


@dataclass(frozen=True, slots=True)
class Scatter:
    """Values added up at computed places of an array that is zero elsewhere: Lookup's adjoint.

    result[places] += body, for all values of the body's letters; what falls outside of the array
    is left out. `axes` are the result's letters, `shape` its sizes; `places` has an index into
    each of its axes, in the body's letters (each stands in some place), `sizes` their ranges.
    """

    body: "Expr"
    axes: tuple[str, ...]
    shape: tuple[Dim, ...]
    places: "tuple[Affine | Read, ...]"
    sizes: tuple[tuple[str, Dim], ...]

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The letters, row-major, that each axis joins, where every place is filled once.

        The body is then only reshaped. No groups where it isn't so.
        """
        sizes = dict(self.sizes)
        found: list[tuple[str, ...]] = []
        for place, dim in zip(self.places, self.shape, strict=True):
            if not isinstance(place, Affine) or place.offset:
                return ()
            order = sorted(place.terms, key=lambda term: (-term[1], term[0]))
            step = 1
            for letter, coefficient in reversed(order):
                size = sizes[letter]
                if coefficient != step or not (isinstance(size, int) or len(order) == 1):
                    return ()
                step = step * size if isinstance(size, int) else 0
            if (len(order) == 1 and sizes[order[0][0]] != dim) or (len(order) > 1 and step != dim):
                return ()
            found.append(tuple(letter for letter, _ in order))
        letters = [letter for group in found for letter in group]
        return tuple(found) if len(set(letters)) == len(letters) and all(found) else ()

    @property
    def windows(self) -> tuple[str, ...]:
        """The letters of values that windows move to their places, those inside of windows last.

        None where some place is told by labels or by a letter that stands at another too.
        """
        places = [place for place in self.places if isinstance(place, Affine)]
        letters = [axis for place in places for axis in place.axes]
        apart = len(places) == len(self.places) and len({*letters}) == len(letters)
        if not apart or not all(1 <= len(place.axes) <= 2 for place in places):
            return ()
        inner = (axis for place in places for axis in place.axes[1:])
        return (*(place.axes[0] for place in places), *inner)


@dataclass(frozen=True, slots=True)
class Concatenate:
    """The parts one after another along one axis; `letters[k]` is that axis's letter in part k.

    It takes `counts[k]` values there. A letter means the same in all parts; one that a part lacks,
    it doesn't vary along. The result's axis carries `letter`, which none of the parts has.
    """

    parts: "tuple[Expr, ...]"
    letters: tuple[str, ...]
    counts: tuple[int, ...]
    letter: str

    @property
    def axes(self) -> tuple[str, ...]:
        each = zip(self.parts, self.letters, strict=True)
        return merged(
            *(tuple(self.letter if a == own else a for a in part.axes) for part, own in each)
        )


@dataclass(frozen=True, slots=True)
class Stack:
    """The parts side by side along one more axis: where its `letter` is k stands the k-th part.

    A letter means the same in all parts; one that a part lacks, it doesn't vary along.
    """

    parts: "tuple[Expr, ...]"
    letter: str

    @property
    def axes(self) -> tuple[str, ...]:
        return merged(*(part.axes for part in self.parts), (self.letter,))


@dataclass(frozen=True, slots=True)
class Apply:
    """An elementwise function. Arithmetic: add, multiply (two or more operands), subtract, divide
    (two), negative (one), power (value, Number). Others by their name in the formula language,
    with comparisons (gt, ge, lt, le, eq, ne: 1 or 0) and where(condition, a, b) among them.
    """

    function: str
    args: "tuple[Expr, ...]"

    @property
    def axes(self) -> tuple[str, ...]:
        return merged(*(arg.axes for arg in self.args))


@dataclass(frozen=True, slots=True)
class Reduce:
    """sum, max, min, prod, argmax or argmin of `body` over the letters `over`."""

    function: str
    body: "Expr"
    over: tuple[str, ...]

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(axis for axis in self.body.axes if axis not in self.over)


@dataclass(frozen=True, slots=True)
class Matrix:
    """inv, det, logdet or cholesky of the square matrices in an array's last two axes.

    The value is always all of a statement's; det and logdet lack the last two letters.
    """

    function: str
    operand: Read

    @property
    def axes(self) -> tuple[str, ...]:
        whole = self.function in {"inv", "cholesky"}
        return self.operand.axes if whole else self.operand.axes[:-2]


@dataclass(frozen=True, slots=True)
class Contract:
    """Σ_over left·right, a product of two operands summed over letters that both have."""

    left: "Expr"
    right: "Expr"
    over: tuple[str, ...]

    @property
    def axes(self) -> tuple[str, ...]:
        both = merged(self.left.axes, self.right.axes)
        return tuple(axis for axis in both if axis not in self.over)


Leaf = Read | Split | Slice | Lookup
Computed = Scatter | Concatenate | Stack | Apply | Reduce | Matrix | Contract
Expr = Number | Size | Position | Leaf | Computed


def merged(*axes: tuple[str, ...]) -> tuple[str, ...]:
    """Return every letter once, in the order met."""
    return tuple(dict.fromkeys(letter for letters in axes for letter in letters))


def mapped(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """Return an expression with the values that it is computed of changed; a leaf stays."""
    match expr:
        case Apply(function, args):
            return Apply(function, tuple(map(change, args)))
        case Reduce(function, body, over):
            return Reduce(function, change(body), over)
        case Contract(left, right, over):
            return Contract(change(left), change(right), over)
        case Concatenate(parts=parts) | Stack(parts=parts):
            return replace(expr, parts=tuple(map(change, parts)))
        case Scatter(body=body):
            return replace(expr, body=change(body))
    return expr


@dataclass(frozen=True, slots=True)
class Loop:
    """A recurrence: statements that follow each other with one loop run together, step by step.

    `letter` takes its `size` values upwards (step 1) or downwards (step -1). Each statement
    computes its target where the letter stands, an axis of its own; steps outside of the range
    are zero (a Lookup reads them).
    """

    group: str
    letter: str
    size: int
    step: int


@dataclass(frozen=True, slots=True)
class Statement:
    """target ← value; `because` is the formula it stands for, and becomes the comment.

    A value may lack some of the target's letters (it is then the same along them). `in_place`
    says that the target's array is there already: one operation writes into it (passes.buffers).
    """

    target: Read | Split
    value: Expr
    because: str
    in_place: bool = False
    loop: Loop | None = None

    @property
    def said(self) -> str:
        """The formulas in one line."""
        return self.because.replace("\n", "; ")

    @property
    def parts(self) -> tuple[tuple[Expr, str], ...]:
        """The values that it stacks, each with its formula; none where it doesn't stack."""
        if not isinstance(self.value, Stack):
            return ()
        formulas = self.because.split("\n")
        if len(formulas) != len(self.value.parts):  # one for all of them
            formulas = [self.because, *[""] * (len(self.value.parts) - 1)]
        return tuple(zip(self.value.parts, formulas, strict=True))


@dataclass(frozen=True, slots=True)
class View:
    """A name for the part of an array at a step: a statement gives it before the step's others."""

    tensor: Tensor
    part: Lookup

    @property
    def is_dense(self) -> bool:
        """Tell whether its numbers lie side by side: no place but the first axes' is told."""
        letters = {letter for letter, _ in self.part.sizes[:-1]}
        told = [letters.isdisjoint(place.axes) for place in self.part.places]
        return told == sorted(told, reverse=True)

    def is_given(self, statement: Statement) -> bool:
        """Tell whether it is this statement that gives the name."""
        return statement.target.name == self.tensor.name and statement.value == self.part


# ---------------------------------------------------------------- around the network


@dataclass(frozen=True, slots=True)
class State:
    """A number kept from step to step, for each element of each parameter or once."""

    name: str
    start: float


@dataclass(frozen=True, slots=True)
class Constant:
    """A named number of the spec or the catalogue: lr, beta1, …; `doc` says what it is."""

    name: str
    value: float
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """Statements that run so many times, one round after another."""

    statements: tuple[Statement, ...]
    times: int = 1


@dataclass(frozen=True, slots=True)
class Form:
    """An optimiser's rule for the parameters of these keys, each as a whole array.

    `tensors` are w, its gradient g, the states, and what is computed; their shapes name the sizes
    of a parameter's axes. The parts assign w and the states anew. `buffers`: as Program.buffers, of
    each parameter's own sizes.
    """

    keys: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    states: tuple[State, ...]
    parts: tuple[Part, ...]
    buffers: tuple[Tensor, ...] = ()

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Every statement once, in order."""
        return tuple(statement for part in self.parts for statement in part.statements)

    def tensor(self, name: str) -> Tensor:
        """Return the tensor of that name."""
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def sizes(self, shape: Sequence[Dim]) -> dict[str, Dim]:
        """Return what each size is for a parameter of that shape."""
        return {str(name): dim for name, dim in zip(self.tensor("w").shape, shape, strict=True)}

    def shape(self, tensor: Tensor, shape: Sequence[Dim]) -> tuple[int, ...]:
        """Return the shape that one of its arrays has for a parameter of that shape."""
        sizes = self.sizes(shape)
        return tuple(int(sizes.get(str(dim), dim)) for dim in tensor.shape)


@dataclass(frozen=True, slots=True)
class Update:
    """An optimiser. `scalars` run once a step (axes ()), `elements` for each element of each
    parameter, under the one letter "p": w the parameter, g its gradient, lr the rate of the step,
    step its number from 1, and the states. The statements that write w or a state assign it anew.
    A rule for whole parameters has `forms` in place of elements, each with states of its own.
    """

    name: str
    constants: tuple[Constant, ...]
    states: tuple[State, ...]
    scalars: tuple[Statement, ...]
    elements: tuple[Statement, ...]
    buffers: tuple[Tensor, ...] = ()  # as Program.buffers; "p": all parameters' elements
    once: tuple[Statement, ...] = ()  # as Program.once
    forms: tuple[Form, ...] = ()
    search: str = ""  # a template of its own instead, with the switches that are on
    chosen: tuple[str, ...] = ()

    @property
    def rules(self) -> tuple[Statement, ...]:
        """Every statement of a step."""
        inside = (statement for form in self.forms for statement in form.statements)
        return (*self.scalars, *self.elements, *inside)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The learning rate: statements over scalars that end by setting lr.

    They read base (the optimiser's lr), lr (the rate of the last step), epoch and step (both from
    0), metric (the loss watched: validation where there is one, else training; inf before the
    first epoch ends) and the states. `per` says when they run: "epoch" or "step".
    """

    name: str
    constants: tuple[Constant, ...]
    states: tuple[State, ...]
    statements: tuple[Statement, ...]
    per: str = "epoch"


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure for people, from the output and the targets: statements that end by setting it."""

    name: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the module beside its passes: hvp, jacobian, hessian, per_example.

    Its statements begin with those of the passes, as they are without buffers. `results` are arrays
    by key, or by key and second key; `given` are arrays that it is given, by parameter.
    """

    name: str
    statements: tuple[Statement, ...]
    tensors: tuple[Tensor, ...]  # all that the statements name
    results: tuple[tuple[tuple[str, ...], str], ...]
    given: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Assumption:
    """What the derivation took for granted of a target, checked before training starts.

    kind: "classes" (integers 0 … classes-1), "one_sum" (sums to one over its last axis),
    "signs" (−1 or +1), "unit" (in 0 … 1), "positive" (above 0), "weights" (0 or above).
    """

    tensor: str
    kind: str
    because: str  # "Σ_k t[n,k] = 1"


@dataclass(frozen=True, slots=True)
class Training:
    """The loop's settings, defaults as the spec's `train:`."""

    epochs: int = 20
    batch_size: int | None = 32  # None: the whole data at once
    shuffle: bool = True
    seed: int = 0
    accumulate: int = 1  # batches whose gradients are joined before an update
    clip_norm: float | None = None
    clip_value: float | None = None
    validation: float = 0.0  # the fraction of the rows held out to watch
    patience: int | None = None  # early stopping: epochs without a better watched loss
    tolerance: float | None = None  # converged: the loss changes by less, `settle` epochs running
    settle: int = 10


@dataclass(frozen=True, slots=True)
class Columns:
    """Where an input's or a target's values stand in the data file."""

    tensor: str
    names: tuple[str, ...]  # CSV columns in order; for NPZ one array's name
    standardise: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """The data file of a spec: path as the spec gives it, relative to the spec's folder."""

    path: str
    format: str  # "csv" or "npz"
    columns: tuple[Columns, ...]
    test: float = 0.0  # the fraction of the rows kept for the test
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Program:
    """All that an emitted module does, in order. Names are final; letters are per statement."""

    model: str
    source: str  # the spec's file name, for the header; "" when it came from Python
    digest: str  # SHA-256 of the spec's canonical form, for the header
    tensors: tuple[Tensor, ...]
    forward: tuple[Statement, ...]  # inputs and parameters → output
    output: str
    loss: tuple[Statement, ...]  # output, targets, parameters → loss
    objective: str  # the loss's name: "L"
    backward: tuple[Statement, ...]
    renewal: tuple[Statement, ...] = field(default=(), kw_only=True)  # states ← states and values
    gradients: tuple[tuple[str, str], ...]  # (key, name of its adjoint): ("f1.weight", "dW1")
    frozen: frozenset[str] = field(default=frozenset(), kw_only=True)  # keys of what isn't learned
    detached: frozenset[str] = field(default=frozenset(), kw_only=True)  # keys of parameters that
    # change a value whose slope isn't followed: their gradient isn't the loss's slope
    update: Update
    schedule: Schedule | None
    metrics: tuple[Metric, ...]
    assumptions: tuple[Assumption, ...]
    training: Training
    data: Data | None = None
    layers: tuple[tuple[str, str], ...] = ()  # (tensor, the layer it belongs to), for messages
    notes: tuple[str, ...] = ()  # stability rewrites and kinks, a line each, for the header
    letters: Mapping[str, str] = field(default_factory=dict)  # index letter → its meaning
    functions: tuple[Function, ...] = ()
    float_type: str = "float64"  # or "float32"
    weight: str = "n"  # what the loss's mean divides by: the batch's size, a tensor, "" for a sum
    buffers: tuple[Tensor, ...] = ()  # arrays made once that in-place statements write into;
    # none in the readable form
    once: tuple[Statement, ...] = ()  # numbers worked out when the buffers are made
    storage: tuple[tuple[str, str], ...] = ()  # (buffer, the one whose memory it takes over)
    views: tuple[View, ...] = ()  # what a recurrence's step calls its parts of arrays

    def tensor(self, name: str) -> Tensor:
        """Return the tensor of that name in the code."""
        return next(tensor for tensor in self.tensors if tensor.name == name)

    @property
    def by_rows(self) -> bool:
        """Whether the output has one row for each example."""
        run_time = [isinstance(dim, str) for dim in self.tensor(self.output).shape]
        return run_time[:1] == [True] and not any(run_time[1:])

    @property
    def held(self) -> "tuple[tuple[str, State, tuple[int, ...]], ...]":
        """The states of whole parameters, those that have a gradient: key, state and shape."""
        learned = {key for key, _ in self.gradients}
        by_key = {tensor.key: tensor for tensor in self.with_role(Role.PARAMETER)}
        return tuple(
            (key, state, form.shape(form.tensor(state.name), by_key[key].shape))
            for form in self.update.forms
            for state in form.states
            for key in form.keys
            if key in learned
        )

    @property
    def moved(self) -> tuple[State, ...]:
        """The schedule's states that the optimiser reads: a momentum."""
        own = {*(s.target.name for s in self.update.rules), *(s.name for s in self.update.states)}
        own |= {state.name for form in self.update.forms for state in form.states}
        own |= {constant.name for constant in self.update.constants}
        states = self.schedule.states if self.schedule else ()
        return tuple(state for state in states if state.name not in own)

    def gives_name(self, statement: Statement) -> bool:
        """Tell whether a statement only gives a part of an array a name."""
        return any(view.is_given(statement) for view in self.views)

    def with_role(self, *roles: Role) -> tuple[Tensor, ...]:
        """Return the tensors of these roles, in order."""
        return tuple(tensor for tensor in self.tensors if tensor.role in roles)
