"""What emitting asks of a target: a file of symback/targets, and words of its templates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from symback.program import Program, Statement, Tensor


class Target(Protocol):
    """What symback.targets.<name> offers: statements and draws as lines of code."""

    def lines(
        self, statements: Sequence[Statement], program: Program, width: int = 96
    ) -> tuple[str, ...]: ...
    def helpers(self, statements: Sequence[Statement], program: Program) -> tuple[str, ...]: ...
    def sizes(self, statements: Sequence[Statement], program: Program) -> tuple[str, ...]: ...
    def size(self, dim: str, tensor: Tensor) -> str: ...
    def initial(self, tensor: Tensor, program: Program) -> str: ...
    def made(self, tensor: Tensor, once: Sequence[Statement], dtype: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Boxes:
    """How a target keeps a parameter that is a single number, so that it can be changed in place:
    what stands before and after the number, and after the box to read it.
    """

    open: str
    close: str
    read: str

    def boxed(self, tensor: Tensor, value: str) -> str:
        """Return a parameter's value, in a box if it is a number."""
        return value if tensor.shape else f"{self.open}{value}{self.close}"
