"""A network's numbers: every tensor at a point, and what follows when one line is another.

Each statement becomes a function of what it reads, emitted by the NumPy target and imported like
any module; a point is a mapping from names to arrays, and sizes that are known only then.

A line of a recurrence is run for all its steps at once, on arrays that are there: where they are
what the recurrence gives, so is its result. Where a line of it changes, its lines are run in turn
as often as it has steps, as after k rounds the first k steps are right, whatever there was before.
"""

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sympy.core.parameters import distribute

from symback import lower, pipeline
from symback.derivation import Derivation, Line
from symback.emit import Module
from symback.emit.reading import reads
from symback.emit.templates import sources
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
    whole = [((replace(statement, loop=None),), program) for statement, program in written]
    return tuple(
        Call(statement, made.reads, made.run)
        for (statement, _), made in zip(written, _functions(whole), strict=True)
    )


@dataclass(frozen=True, slots=True)
class Loop:
    """A recurrence as a function of what it reads of others; it returns its `targets` in order."""

    targets: tuple[str, ...]
    reads: tuple[str, ...]
    run: Callable[..., Any]


def _functions(groups: Sequence[tuple[Sequence[Statement], Program]]) -> list[Loop]:
    """Make a function of each group of statements."""
    found: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    bodies: list[str] = []
    helpers: dict[str, None] = {}
    for place, (group, program) in enumerate(groups):
        targets = tuple(statement.target.name for statement in group)
        looped = group[0].loop is not None
        names = tuple(n for n in reads(group) if not (looped and n in targets))
        names += tuple(n for n in numpy.sizes(group, program) if n not in names)
        helpers |= dict.fromkeys(numpy.helpers(group, program))
        found.append((targets, names))
        code = numpy.lines(group, program) if looped else [numpy.code(group[0], program)]
        rows = "\n".join(f"    {row}" for line in code for row in line.split("\n"))
        answer = ", ".join(targets)
        bodies.append(f"def line_{place}({', '.join(names)}):\n{rows}\n    return {answer}")
    head = "import math\nfrom typing import Any\n\nimport numpy as np\n\nArray = Any\n"
    made = pipeline.imported(
        Module("lines", "numpy", "\n\n".join([head, *sources("numpy", helpers), *bodies]))
    )
    return [
        Loop(targets, names, getattr(made, f"line_{place}"))
        for place, (targets, names) in enumerate(found)
    ]


def _together(calls: Sequence[Call]) -> Iterator[tuple[int, ...]]:
    """Yield the places of calls one by one, those of a recurrence together."""
    for _, group in groupby(enumerate(calls), lambda pair: pair[1].statement.loop or pair[0]):
        yield tuple(place for place, _ in group)


@dataclass(frozen=True, slots=True)
class Network:
    """A derived network whose every line can be run: forward, loss and backward, in order."""

    derivation: Derivation
    program: Program
    module: ModuleType
    lines: tuple[tuple[Line, ...], ...]  # for each call: those that its target is put together of
    calls: tuple[Call, ...]
    loops: Mapping[int, Loop]  # by the place of a recurrence's first call

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
            for group in _together(self.calls):
                if loop := self.loops.get(group[0]):
                    made = loop.run(*(values[name] for name in loop.reads))
                    several = made if len(loop.targets) > 1 else (made,)
                    values |= zip(loop.targets, several, strict=True)
                else:
                    call = self.calls[group[0]]
                    values[call.target] = call.at(values)
        return values

    def changed(
        self, calls: Sequence[Call], values: Values, place: int, at: Callable[[Values], Any]
    ) -> dict[str, Any]:
        """Return what differs at a point where the line at `place` is computed by `at` instead."""
        new: dict[str, Any] = {}
        now = ChainMap(new, dict(values))
        for group in _together(calls):
            if group[-1] < place:
                continue
            loop = calls[group[0]].statement.loop
            for _ in range(1 if loop is None else loop.size):
                for k in group:
                    if k == place:
                        new[calls[k].target] = at(now)
                    elif not new.keys().isdisjoint(calls[k].reads):
                        new[calls[k].target] = calls[k].at(now)
        return new


def network(source: pipeline.Source, wrt: Sequence[str] = ()) -> Network:
    """Derive a spec's network and make its lines run; `wrt`: inputs with gradients too.

    Raises UserError with every mistake in the spec.
    """
    from symback import emit

    derivation = pipeline.derive(source, wrt)
    with distribute(False):
        program = lower.lower(derivation)
        statements = (*program.forward, *program.loss, *program.backward)
        made = calls([(statement, program) for statement in statements])
        stepwise = [group for group in _together(made) if statements[group[0]].loop is not None]
        groups = [([statements[k] for k in group], program) for group in stepwise]
        loops = {group[0]: f for group, f in zip(stepwise, _functions(groups), strict=True)}
    written = chain(derivation.forward, derivation.loss, derivation.backward)
    module = pipeline.imported(emit.emit(program, "numpy"))
    return Network(derivation, program, module, tuple(_grouped(written)), made, loops)


def _grouped(lines: Iterable[Line]) -> list[tuple[Line, ...]]:
    """Put lines that fill parts of one tensor together, as lowering does."""
    groups: list[tuple[Line, ...]] = []
    for line in lines:
        if groups and groups[-1][0].target == line.target:
            groups[-1] = (*groups[-1], line)
        else:
            groups.append((line,))
    return groups
