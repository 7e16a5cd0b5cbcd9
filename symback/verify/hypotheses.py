"""The variants of a network's lines as functions, each made when its line is first doubted."""

from dataclasses import dataclass, field, replace

from sympy.core.parameters import distribute

from symback import lower
from symback.evaluation import Call, Network, calls
from symback.program import Program, Statement, Tensor
from symback.targets import numpy
from symback.verify.variants import Variant, Variants


@dataclass(slots=True)
class Hypotheses:
    """What each line of a network would compute with one mistake in it."""

    network: Network
    variants: Variants = field(init=False)
    made: dict[int, tuple[tuple[Variant, Call], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.variants = Variants(self.network.derivation)

    def at(self, place: int) -> tuple[tuple[Variant, Call], ...]:
        """Return the variants of the line at a place, the most usual mistakes first."""
        if place not in self.made:
            with distribute(False):
                self.made[place] = self._of(place)
        return self.made[place]

    def _of(self, place: int) -> tuple[tuple[Variant, Call], ...]:
        lines = self.network.lines[place]
        if len(lines) > 1:  # parts put together: their lines are others'
            return ()
        found: list[Variant] = []
        written: list[tuple[Statement, Program]] = []
        seen = {self.network.calls[place].statement.because}
        for variant in self.variants.of(lines[0]):
            form = self._written(variant)
            key = "" if form is None else f"{form[0].because}|{variant.done}|{variant.shape}"
            if form is not None and key not in seen:
                seen.add(key)
                found.append(variant)
                written.append(form)
        return tuple(zip(found, calls(written), strict=True))

    def _written(self, variant: Variant) -> tuple[Statement, Program] | None:
        """Return a variant's statement with the program it is printed for; None without a form."""
        name = variant.line.target

        def shaped(tensor: Tensor) -> Tensor:
            return replace(tensor, shape=variant.shape) if tensor.name == name else tensor

        derivation = self.network.derivation
        derivation = replace(derivation, tensors=tuple(map(shaped, derivation.tensors)))
        tensors = tuple(map(shaped, self.network.program.tensors))
        program = replace(self.network.program, tensors=tensors)
        try:
            (statement,) = lower.statements(derivation, (variant.line,))
            numpy.code(replace(statement, loop=None), program)
        except (KeyError, TypeError, ValueError, StopIteration):
            return None  # indices that no array has: nothing that anyone can have written
        return statement, program
