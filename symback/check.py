"""Gradients held against differences of the loss: what must agree before a module is written.

An emitted module carries its own check, on nothing but its own loss (`python model.py --check`).
Here it is run, and what it finds is put in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from symback import check_beside
from symback.emit import Module
from symback.errors import Mistake, UserError
from symback.pipeline import imported

MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A gradient that isn't the slope of the loss.

    `place` is the element; None for a random direction through the whole parameter.
    """

    parameter: str
    place: tuple[int, ...] | None
    derived: float
    measured: float

    def __str__(self) -> str:
        where = "along a direction" if self.place is None else f"at {list(self.place)}"
        return f"∂L/∂{self.parameter} {where}: derived {self.derived!r}, measured {self.measured!r}"


@dataclass(frozen=True, slots=True)
class Report:
    """What the check of a module found, over the seeds tried."""

    model: str
    parameters: tuple[str, ...]  # and the inputs that there are gradients by
    seeds: tuple[int, ...]
    mismatches: tuple[Mismatch, ...]
    inert: tuple[str, ...] = ()  # parameters that the loss doesn't depend on
    detached: tuple[str, ...] = ()  # parameters whose gradient isn't the loss's slope
    functions: tuple[str, ...] = ()  # hvp and the like, where the module has them

    @property
    def right(self) -> bool:
        """Whether every gradient tried is the slope of the loss."""
        return not self.mismatches

    def __str__(self) -> str:
        if self.right:
            apart = f"; not {_listed(self.detached)}, behind a detach" if self.detached else ""
            beside = f", and {_listed(self.functions)}" if self.functions else ""
            right = f"the gradients by {_listed(self.parameters)} are right{beside}{apart}"
            idle = f"; the loss doesn't depend on {_listed(self.inert)}: nothing trains them"
            return right + idle if self.inert else right
        shown = [f"  {wrong}" for wrong in self.mismatches[:MOST_SHOWN]]
        more = len(self.mismatches) - len(shown)
        told = [f"{self.model}: {len(self.mismatches)} gradients are wrong", *shown]
        return "\n".join([*told, f"  and {more} more"] if more > 0 else told)

    def require(self, consequence: str) -> None:
        """Raise UserError, saying what follows, unless all is right."""
        if not self.right:
            raise UserError(Mistake(str(self), hint=consequence))


def _listed(names: Sequence[str]) -> str:
    """Return names side by side; of many the first, the last and how many they are."""
    if len(names) <= MOST_SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[:3])} … {names[-1]} ({len(names)} in all)"


def check(module: ModuleType, seeds: Sequence[int] = (0,)) -> Report:
    """Run an emitted module's check, in float64, from as many starts as there are seeds.

    Raises UserError where the module isn't one of symback's, or fails.
    """
    own: Any = getattr(module, "check", None)
    start: Any = getattr(module, "init", None)
    if not (callable(own) and callable(start)):
        hint = "a module that `symback generate` wrote has `init` and `check`"
        raise UserError(Mistake(f"{module.__name__} has no gradients to check", hint=hint))
    try:
        with np.errstate(all="ignore"):  # what isn't finite agrees with nothing
            found = tuple(_mismatch(wrong) for seed in seeds for wrong in own(seed))
            functions = check_beside.present(module)
            for name in functions:
                found += tuple(
                    Mismatch(name, None, derived, measured)
                    for seed in seeds
                    for derived, measured in check_beside.wrong(module, name, seed)
                )
            params, examples = start(0), module.sample(2)
            data = examples if isinstance(examples, tuple) else (examples,)
            _, grads = module.value_and_grad(params, *data)
    except Exception as error:  # a module that was changed by hand may fail in any way
        told = f"the gradients of {module.__name__} can't be computed"
        raise UserError(Mistake(f"{told}: {type(error).__name__}: {error}")) from error
    states = getattr(module, "STATES", ())
    inert = tuple(name for name in params if name not in grads and name not in states)
    detached = tuple(getattr(module, "DETACHED", ()))
    compared = tuple(name for name in grads if name not in detached)
    return Report(module.__name__, compared, tuple(seeds), found, inert, detached, functions)


def _mismatch(wrong: Any) -> Mismatch:
    place = None if wrong.place is None else tuple(int(i) for i in wrong.place)
    return Mismatch(str(wrong.parameter), place, float(wrong.derived), float(wrong.measured))


def check_text(module: Module, seeds: Sequence[int] = (0,)) -> Report:
    """Import an emitted module's text, and check it."""
    return check(imported(module), seeds)
