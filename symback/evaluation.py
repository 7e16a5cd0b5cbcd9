"""A network's numbers: every tensor at a point, and what follows when one line is another.

Each statement becomes a function of what it reads, emitted by the NumPy target and imported like
any module; a point is a mapping from names to arrays, and sizes that are known only then.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sympy.core.parameters import distribute

from symback import lower, pipeline
from symback.derivation import Derivation, Line
from symback.emit import Module
from symback.emit.reading import reads
from symback.emit.templates import sources
from symback.errors import Mistake, UserError
from symback.program import Program, Role, Statement
from symback.targets import numpy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Values = Mapping[str, Any]  # name → array, or the number of a run-time size


@dataclass(frozen=True, slots=True)
class Call:
    """A statement as a function: `run` takes the values of `reads`, in order."""

    statement: Statement
    reads: tuple[str, ...]
    run: Callable[..., Any]

    @property
    def target(self) -> str:
        """The name of the tensor that it computes."""
        return self.statement.target.name

    def at(self, values: Values) -> Any:
        """Return what it computes at a point."""
        return self.run(*(values[name] for name in self.reads))


def calls(written: Sequence[tuple[Statement, Program]]) -> tuple[Call, ...]:
    """Make functions of statements, each with the program that holds its tensors' shapes."""
    found: list[tuple[str, ...]] = []
    bodies: list[str] = []
    helpers: dict[str, None] = {}
    for place, (statement, program) in enumerate(written):
        one = (statement,)
        names = tuple(reads(one)) + numpy.sizes(one, program)
        helpers |= dict.fromkeys(numpy.helpers(one, program))
        found.append(names)
        bodies.append(
            f"def line_{place}({', '.join(names)}):\n"
            f"    {numpy.code(statement, program)}\n"
            f"    return {statement.target.name}"
        )
    head = "import math\nfrom typing import Any\n\nimport numpy as np\n\nArray = Any\n"
    made = pipeline.imported(
        Module("lines", "numpy", "\n\n".join([head, *sources("numpy", helpers), *bodies]))
    )
    return tuple(
        Call(statement, names, getattr(made, f"line_{place}"))
        for place, ((statement, _), names) in enumerate(zip(written, found, strict=True))
    )


@dataclass(frozen=True, slots=True)
class Network:
    """A derived network whose every line can be run: forward, loss and backward, in order."""

    derivation: Derivation
    program: Program
    module: ModuleType
    lines: tuple[tuple[Line, ...], ...]  # for each call: those that its target is put together of
    calls: tuple[Call, ...]

    def start(self, params: Mapping[str, Any], examples: Sequence[Any]) -> dict[str, Any]:
        """Return a point before the forward pass: `params` by key, `examples` as `train` has them.

        Random values are what they are in evaluation.
        """
        import numpy as np

        values: dict[str, Any] = {}
        arrays = self.program.with_role(Role.INPUT, Role.TARGET)
        for tensor, array in zip(arrays, examples, strict=True):
            dtype = np.float64 if tensor.classes is None else np.intp
            values[tensor.name] = np.array(array, dtype)
            sizes = zip(tensor.shape, values[tensor.name].shape, strict=True)
            values |= {dim: size for dim, size in sizes if isinstance(dim, str)}
        for tensor in self.program.with_role(Role.PARAMETER, Role.STATE):
            values[tensor.name] = np.array(params[tensor.key], np.float64)
        for tensor in self.program.with_role(Role.CONSTANT):
            assert tensor.draw is not None  # a constant has its values
            values[tensor.name] = np.array(tensor.draw.values, np.float64)
        for tensor in self.program.with_role(Role.RANDOM):
            shape = [values[dim] if isinstance(dim, str) else dim for dim in tensor.shape]
            values[tensor.name] = np.full(shape, 1.0 if tensor.draw is None else tensor.draw.rest)
        return values

    def run(self, values: dict[str, Any]) -> dict[str, Any]:
        """Compute every tensor, from a point before the forward pass; return the point."""
        import numpy as np

        with np.errstate(all="ignore"):  # what isn't finite shows in the values
            for call in self.calls:
                values[call.target] = call.at(values)
        return values

    def changed(
        self, calls: Sequence[Call], values: Values, place: int, value: Any
    ) -> dict[str, Any]:
        """Return what differs at a point where the line at `place` gives `value` instead."""
        new: dict[str, Any] = {calls[place].target: value}
        for call in calls[place + 1 :]:
            if not new.keys().isdisjoint(call.reads):
                new[call.target] = call.run(
                    *(new[name] if name in new else values[name] for name in call.reads)
                )
        return new


def network(source: pipeline.Source, wrt: Sequence[str] = ()) -> Network:
    """Derive a spec's network and make its lines run; `wrt`: inputs with gradients too.

    Raises UserError with every mistake in the spec, and for a recurrence: its lines are one loop.
    """
    from symback import emit

    derivation = pipeline.derive(source, wrt)
    with distribute(False):
        program = lower.lower(derivation)
        statements = (*program.forward, *program.loss, *program.backward)
        stepwise = next((s.target.name for s in statements if s.loop is not None), "")
        if stepwise:
            told = f"{stepwise} is a recurrence, whose lines can't be run one by one yet"
            raise UserError(Mistake(told, hint="`symback check` holds its gradients as a whole"))
        made = calls([(statement, program) for statement in statements])
    written = chain(derivation.forward, derivation.loss, derivation.backward)
    module = pipeline.imported(emit.emit(program, "numpy"))
    return Network(derivation, program, module, tuple(_grouped(written)), made)


def _grouped(lines: Iterable[Line]) -> list[tuple[Line, ...]]:
    """Put lines that fill parts of one tensor together, as lowering does."""
    groups: list[tuple[Line, ...]] = []
    for line in lines:
        if groups and groups[-1][0].target == line.target:
            groups[-1] = (*groups[-1], line)
        else:
            groups.append((line,))
    return groups
