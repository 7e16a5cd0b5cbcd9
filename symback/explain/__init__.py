"""`symback explain`: the norm of each factor of the chain rule at a point, from the loss down.

    gain of a step = ‖∂L/∂(below)‖ / ‖∂L/∂(above)‖

so a gradient that vanishes or explodes shows the step where it starts. Norms are Euclidean, over
all elements of the examples at hand.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sympy import Indexed, S

from symback import data, evaluation, making, pipeline
from symback import functions as fn
from symback import index as ix
from symback.derivation import Line
from symback.errors import Mistake, UserError
from symback.evaluation import Call, Network, Values
from symback.graph import name_of, subscripts
from symback.program import Columns, Data, Role
from symback.spec import Spec

__all__ = ["Activation", "Explanation", "Layer", "Parameter", "Step", "Through", "explain"]

DRAWN = 64  # examples drawn where there are no data
MOST = 10_000  # examples of a data file that are used
CLOSE = 0.01  # an output this near to a limit of its activation is saturated
FAR = (1e3, 1e6)  # where an activation has reached its limits, if it has any


@dataclass(frozen=True, slots=True)
class Activation:
    """What an elementwise function does to the gradient.

    `limits` are its values far out, where it has such; `saturated` is the fraction of outputs
    within 0.01 of them, `off` of those without any slope; `dead` units have none for any example.
    """

    formula: str
    word: str
    slope: float  # the largest |f′|
    limits: tuple[float, ...]
    saturated: float
    off: float
    dead: int
    units: int


@dataclass(frozen=True, slots=True)
class Step:
    """An adjoint: its norm, and what the step of the chain rule that leads to it multiplied by."""

    layer: str
    name: str  # of the tensor that it is the derivative by
    norm: float
    gain: float | None  # None where the chain begins
    formula: str
    activation: Activation | None
    through: "Through | None" = None


@dataclass(frozen=True, slots=True)
class Through:
    """An adjoint's norm at each step of a recurrence, in the order of its steps."""

    letter: str
    norms: tuple[float, ...]
    backward: bool  # the gradient runs from the last step to the first

    @property
    def way(self) -> tuple[float, ...]:
        """The norms in the order in which the gradient passes the steps."""
        return self.norms[::-1] if self.backward else self.norms

    @property
    def gain(self) -> float:
        """What the norm is multiplied by at each step, on average, from end to end; nan without."""
        first, last = self.way[0], self.way[-1]
        steps = len(self.norms) - 1
        return float((last / first) ** (1 / steps)) if first and steps else np.nan


@dataclass(frozen=True, slots=True)
class Parameter:
    """‖∂L/∂W‖ beside ‖W‖; `spectral` is the largest singular value, of matrices."""

    key: str
    gradient: float
    norm: float
    spectral: float | None

    @property
    def ratio(self) -> float:
        """‖∂L/∂W‖/‖W‖."""
        return self.gradient / self.norm if self.norm else np.inf if self.gradient else 0.0


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer's gain: the gradient that leaves it downward over the one that enters from above."""

    name: str
    enters: float
    leaves: float

    @property
    def gain(self) -> float:
        """‖∂L/∂(its inputs)‖/‖∂L/∂(its outputs)‖."""
        return self.leaves / self.enters if self.enters else np.nan


@dataclass(frozen=True, slots=True)
class Explanation:
    """The chain at a point, from the loss down."""

    model: str
    examples: str
    loss: float
    steps: tuple[Step, ...]
    parameters: tuple[Parameter, ...]
    layers: tuple[Layer, ...]


def explain(
    source: Path, table: Path | None = None, weights: Path | None = None, seed: int = 0
) -> Explanation:
    """Compute every factor of the chain at a point.

    The point: examples of `table` (the spec's data by default, drawn ones without), parameters of
    `weights`, an .npz, or those that training starts from. Raises UserError with the mistakes in
    the spec and the files.
    """
    spec = pipeline.load(source)
    network = evaluation.network(spec, making.input_names(spec))
    examples, told = _examples(spec, network, table, seed)
    values = network.run(network.start(_parameters(network, weights, seed), examples))
    where = "the weights at the start" if weights is None else f"weights of {weights}"
    with np.errstate(all="ignore"):  # what isn't finite shows in the norms
        return Explanation(
            model=spec.source or spec.model,
            examples=f"{told}, {where}",
            loss=float(np.mean(values[network.program.objective])),
            steps=tuple(_steps(network, values)),
            parameters=tuple(_weights(network, values)),
            layers=tuple(_layers(network, values)),
        )


# ---------------------------------------------------------------- the point


def _examples(
    spec: Spec, network: Network, table: Path | None, seed: int
) -> tuple[Sequence[Any], str]:
    names = [tensor.name for tensor in network.program.with_role(Role.INPUT, Role.TARGET)]
    if table is None and spec.data is None:
        return network.module.sample(DRAWN, seed), f"{DRAWN} examples drawn at random"
    folder, where = Path(spec.folder), spec.data
    if table is not None:
        folder, form = table.parent, "npz" if table.suffix == ".npz" else "csv"
        own = tuple(Columns(item.name, (item.name,)) for item in spec.inputs)
        known = where or Data("", form, own)
        columns = known.columns if known.format == form else own
        where = replace(known, path=table.name, format=form, columns=columns, test=0.0)
    assert where is not None
    arrays = data.read(where, spec.inputs, folder).train
    shown = [arrays[name][:MOST] for name in names]
    return shown, f"{len(shown[0]):,} examples of {where.path}"


def _parameters(network: Network, weights: Path | None, seed: int) -> Mapping[str, Any]:
    if weights is None:
        found: Mapping[str, Any] = network.module.init(seed)
        return found
    import zipfile

    try:
        found = network.module.load(weights)
    except FileNotFoundError:
        raise UserError(Mistake("there is no such file", source=str(weights))) from None
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        hint = "the weights of this spec are those that `symback train` saves"
        told = str(error).removeprefix(f"{weights} ")
        raise UserError(Mistake(told, hint=hint, source=str(weights))) from None
    return found


# ---------------------------------------------------------------- the chain


def _norm(array: Any) -> float:
    return float(np.linalg.norm(np.asarray(array, np.float64)))


def _steps(network: Network, values: Values) -> Iterator[Step]:
    """Yield the adjoints of values and inputs, in the order in which they are computed."""
    tensors = {tensor.name: tensor for tensor in network.program.tensors}
    layers = dict(network.program.layers)
    parameters = {tensor.name for tensor in network.program.with_role(Role.PARAMETER)}
    calls = network.calls
    for place, (lines, call) in enumerate(zip(network.lines, calls, strict=True)):
        tensor = tensors.get(call.target)
        name = call.target.removeprefix("d")
        if tensor is None or tensor.role is not Role.ADJOINT or name in parameters:
            continue
        ahead = {later.target for later in calls[place:]}  # of a recurrence: at another step
        above = [
            n
            for n in call.reads
            if n in tensors and tensors[n].role is Role.ADJOINT and n not in ahead
        ]
        before = float(np.sqrt(sum(_norm(values[n]) ** 2 for n in above)))
        norm = _norm(values[call.target])
        yield Step(
            layer=layers.get(name, ""),
            name=name,
            norm=norm,
            gain=norm / before if before else None,
            formula=call.statement.said,
            activation=_activation(network, values, lines, call),
            through=_through(values, call),
        )


def _through(values: Values, call: Call) -> Through | None:
    """Return the norm at each step where a recurrence computes the adjoint."""
    loop, target = call.statement.loop, call.statement.target
    if loop is None:
        return None
    steps = np.moveaxis(values[call.target], target.axes.index(loop.letter), 0)
    return Through(loop.letter, tuple(map(_norm, steps)), backward=loop.step < 0)


def _activation(
    network: Network, values: Values, lines: Sequence[Line], call: Call
) -> Activation | None:
    """Return what is to be said of a step ∂L/∂z = ∂L/∂a·f′(z), element by element."""
    incoming = _elementwise(network, lines)
    if incoming is None:
        return None
    forward = next((c for c in network.calls if c.target == incoming[1:]), None)
    if forward is None:
        return None
    z = call.target[1:]
    slope = np.abs(call.at({**values, incoming: np.ones_like(values[incoming])}))
    limits = _limits(forward, values, z)
    near = np.zeros(slope.shape, bool)
    for limit in limits:
        near |= np.abs(values[forward.target] - limit) < CLOSE
    off = slope == 0
    loop, axes = call.statement.loop, call.statement.target.axes
    steps = 0 if loop is None else axes.index(loop.letter)
    rows = (
        off
        if not steps
        else np.moveaxis(off, steps, 1).reshape(-1, *np.delete(off.shape, [0, steps]))
    )
    units = rows.reshape(len(rows), -1)  # a unit of a recurrence is the same one at each step
    return Activation(
        formula=forward.statement.said,
        word=_word(network, forward.target),
        slope=float(slope.max(initial=0.0)),
        limits=limits,
        saturated=float(near.mean()),
        off=float(off.mean()),
        dead=int(units.all(axis=0).sum()),
        units=units.shape[1],
    )


def _elementwise(network: Network, lines: Sequence[Line]) -> str | None:
    """Return the adjoint that an elementwise step multiplies, None for any other step."""
    if len(lines) != 1 or len(lines[0].terms) != 1:
        return None
    term = lines[0].terms[0]
    names, rhs = dict(term.names), term.equation.rhs
    tensors = {tensor.name: tensor for tensor in network.program.tensors}
    reads = [
        access
        for access in ix.accesses(rhs)
        if names[name_of(access)] in tensors
        and tensors[names[name_of(access)]].role is Role.ADJOINT
    ]
    same = len(reads) == 1 and reads[0].indices == subscripts(term.equation.target)
    if not same or rhs.has(fn.Reduction) or not rhs.atoms(Indexed) - set(reads):
        return None
    if rhs.xreplace({reads[0]: S.Zero}) != 0:  # a softmax's (∂L/∂a − Σ …)·a is no such step
        return None
    return names[name_of(reads[0])]


def _limits(forward: Call, values: Values, z: str) -> tuple[float, ...]:
    """Return f(−∞) and f(∞) where they are numbers."""
    if forward.reads != (z,):
        return ()
    found: dict[float, None] = {}
    with np.errstate(all="ignore"):
        for sign in (-1.0, 1.0):
            ends = [
                float(np.ravel(forward.at({z: np.full(np.shape(values[z]), sign * far)}))[0])
                for far in FAR
            ]
            if np.isfinite(ends).all() and abs(ends[1] - ends[0]) < CLOSE / 10:
                found[round(ends[1], 6) + 0.0] = None
    return tuple(found)


def _word(network: Network, name: str) -> str:
    """Return the function's name where the whole formula is one, as tanh(z)."""
    line = next(group[0] for group in network.lines if group[0].target == name)
    rhs = line.terms[0].equation.rhs
    return rhs.word if isinstance(rhs, fn.Elementwise) and len(rhs.args) == 1 else ""


# ---------------------------------------------------------------- weights and layers


def _weights(network: Network, values: Values) -> Iterator[Parameter]:
    adjoints = dict(network.derivation.gradients)
    for tensor in reversed(network.program.with_role(Role.PARAMETER)):
        if tensor.key not in adjoints:
            continue
        w = np.asarray(values[tensor.name])
        spectral = float(np.linalg.norm(w, 2)) if w.ndim == 2 and np.isfinite(w).all() else None
        yield Parameter(tensor.key, _norm(values[adjoints[tensor.key]]), _norm(w), spectral)


def _layers(network: Network, values: Values) -> Iterator[Layer]:
    """Yield the layers from the loss down, with the gradients that enter and leave each."""
    layers = dict(network.program.layers)
    adjoint = {
        call.target.removeprefix("d"): _norm(values[call.target])
        for call in network.calls
        if call.target.startswith("d")
    }
    nodes = (*network.derivation.graph.layers, *network.derivation.graph.loss)
    crossing: dict[str, tuple[set[str], set[str]]] = {}  # layer → (its outputs, its inputs)
    for node in nodes:
        for _, name in node.names:
            home = layers.get(name, "" if name in adjoint else None)
            if name == node.target or home is None or home == node.layer or name not in adjoint:
                continue
            crossing.setdefault(node.layer, (set(), set()))[1].add(name)
            crossing.setdefault(home, (set(), set()))[0].add(name)
    parameters = {tensor.name for tensor in network.program.with_role(Role.PARAMETER)}
    for layer in reversed(dict.fromkeys(node.layer for node in network.derivation.graph.layers)):
        outputs, inputs = crossing.get(layer, (set(), set()))
        sizes = [
            float(np.sqrt(sum(adjoint[name] ** 2 for name in sorted(names - parameters))))
            for names in (outputs, inputs)
        ]
        if outputs - parameters and inputs - parameters:
            yield Layer(layer, sizes[0], sizes[1])
