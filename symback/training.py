"""A generated module at work: data in, parameters, history and test figures out."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from symback import data, plot
from symback.emit.target import printer
from symback.errors import Mistake, UserError
from symback.files import put
from symback.spec import Spec

Report = Callable[[Any], None]  # what is done with the figures of an epoch, a named tuple
DRAWN = 64  # examples drawn where the spec names no data
PROBED = 64  # training rows that each layer's gradient is measured on, after every epoch


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
    history: plot.History
    stopped: str
    test: Mapping[str, float]

    def save(self, weights: Path, history: Path) -> None:
        """Write the parameters as NPZ and the figures of every epoch as CSV."""
        put(weights, lambda path: self.module.save(path, self.params))
        put(history, self.history.save)


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
    probed = [array[:PROBED] for array in given.train]
    measured: list[dict[str, float]] = []

    def each(row: Any) -> None:
        measured.append(layer_norms(module.value_and_grad(params, *probed)[1]))
        if report is not None:
            report(row)

    try:
        with np.errstate(all="ignore"):  # what isn't finite is told by the module, with its layer
            history = module.train(params, *given.train, seed=seed, report=each, **chosen)
            test = module.evaluate(params, *given.test) if given.test else {}
    except (ValueError, ArithmeticError) as error:
        hint = ""
        if isinstance(error, ArithmeticError):
            hint = "a smaller learning rate, clip_norm, or inputs that are standardised may help"
        raise UserError(Mistake(str(error), hint=hint)) from None
    return Trained(module, params, told(history, measured), str(history.stopped), test)


def layer_norms(grads: Mapping[str, Any]) -> dict[str, float]:
    """Return ‖∂L/∂w‖₂ of each layer, all its parameters together."""
    import numpy as np

    squares: dict[str, float] = {}
    for key, grad in grads.items():
        layer = key.partition(".")[0]
        squares[layer] = squares.get(layer, 0.0) + float((np.asarray(grad, float) ** 2).sum())
    return {layer: math.sqrt(square) for layer, square in squares.items()}


def told(history: Sequence[Any], measured: Sequence[Mapping[str, float]]) -> plot.History:
    """Return the figures of every epoch, with the gradient norms of the layers measured after it.

    An epoch that was interrupted before they were measured has none.
    """
    layers = tuple(measured[0]) if measured else ()
    names = history[0]._fields if history else ("epoch", "loss")
    beside = [tuple(each.values()) for each in measured]
    beside += [(math.nan,) * len(layers)] * (len(history) - len(beside))
    return plot.History(
        (*names, *(f"gradient_norm.{layer}" for layer in layers)),
        tuple((*row, *norms) for row, norms in zip(history, beside, strict=True)),
    )


def answers(spec: Spec, module: ModuleType, params: Any, given: Examples) -> plot.Answers | None:
    """Return what a network says of the test rows, or of the training rows where there are none.

    None where it has more than one input or target, or its answers are no classes.
    """
    from symback.plot import figures

    rows = given.test or given.train
    if len(rows) != 2:
        return None
    classes = next((item.classes for item in spec.inputs if item.name == names(module)[1]), None)

    def predict(x: Any) -> Any:
        import numpy as np

        return np.asarray(module.predict(params, x if takes_arrays(given) else x.tolist()))

    return figures.answers(predict, *rows, classes)


def takes_arrays(given: Examples) -> bool:
    """Say whether the module takes arrays; plain Python's takes lists."""
    return not isinstance(given.train[0], list)
