"""A generated module at work: data in, parameters, history and test figures out."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from symback import data
from symback.emit.target import printer
from symback.errors import Mistake, UserError
from symback.files import put
from symback.spec import Spec

Report = Callable[[Any], None]  # what is done with the figures of an epoch, a named tuple
DRAWN = 64  # examples drawn where the spec names no data


@dataclass(frozen=True, slots=True)
class Examples:
    """The arrays that a module's `train` takes, in its order; none kept for the test: empty."""

    train: tuple[Any, ...]
    test: tuple[Any, ...]
    drawn: bool = False

    @property
    def counts(self) -> str:
        """How many examples there are, in words."""
        train, test = len(self.train[0]), len(self.test[0]) if self.test else 0
        told = f"{train} examples drawn at random" if self.drawn else f"{train} examples"
        return f"{told}, {test} for the test" if test else told


@dataclass(frozen=True, slots=True)
class Trained:
    """What training led to. `test` holds the figures of the test rows, where there are any."""

    module: ModuleType
    params: Any
    history: Any  # the module's History: a list of named tuples
    stopped: str
    test: Mapping[str, float]

    def save(self, weights: Path, history: Path) -> None:
        """Write the parameters as NPZ and the figures of every epoch as CSV."""
        put(weights, lambda path: self.module.save(path, self.params))
        put(history, lambda path: self.history.to_csv(path))


def names(module: ModuleType) -> tuple[str, ...]:
    """Return the names of the arrays that a module's `train` takes after the parameters."""
    parameters = inspect.signature(module.train).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)[1:]


def examples(spec: Spec, module: ModuleType, target: str) -> Examples:
    """Read the spec's data file; without one, draw a sample.

    Raises UserError with the mistakes in the file.
    """
    if spec.data is None:
        drawn = module.sample(DRAWN)
        return Examples(drawn if isinstance(drawn, tuple) else (drawn,), (), drawn=True)
    lists = printer(target).ABOUT.lists
    table = data.read(spec.data, spec.inputs, spec.folder)

    def arrays(part: Mapping[str, Any]) -> tuple[Any, ...]:
        chosen = (part[name] for name in names(module))
        return tuple(array.tolist() if lists else array for array in chosen)

    test = arrays(table.test)
    return Examples(arrays(table.train), test if len(test[0]) else ())


def run(
    module: ModuleType,
    given: Examples,
    seed: int,
    epochs: int | None = None,
    report: Report | None = None,
) -> Trained:
    """Train from the start that `seed` draws, then evaluate on the test rows.

    Raises UserError where the data don't fit, or a loss or gradient isn't finite.
    """
    import numpy as np

    params = module.init(seed)
    chosen = {} if epochs is None else {"epochs": epochs}
    try:
        with np.errstate(all="ignore"):  # what isn't finite is told by the module, with its layer
            history = module.train(params, *given.train, seed=seed, report=report, **chosen)
            test = module.evaluate(params, *given.test) if given.test else {}
    except (ValueError, ArithmeticError) as error:
        hint = ""
        if isinstance(error, ArithmeticError):
            hint = "a smaller learning rate, clip_norm, or inputs that are standardised may help"
        raise UserError(Mistake(str(error), hint=hint)) from None
    return Trained(module, params, history, str(history.stopped), test)
