"""What emitting asks of a target: a file of symback/targets, and words of its templates."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from symback.program import Program, Statement, Tensor
from symback.targets._about import About


class Target(Protocol):
    """What symback.targets.<name> offers: what it says of itself, and lines of code."""

    ABOUT: About

    def lines(
        self, statements: Sequence[Statement], program: Program, width: int = 96
    ) -> tuple[str, ...]: ...
    def helpers(self, statements: Sequence[Statement], program: Program) -> tuple[str, ...]: ...
    def sizes(self, statements: Sequence[Statement], program: Program) -> tuple[str, ...]: ...
    def size(self, dim: str, tensor: Tensor) -> str: ...
    def initial(self, tensor: Tensor, program: Program) -> str: ...
    def made(self, tensor: Tensor, once: Sequence[Statement], dtype: str) -> str: ...
    def drawn_into(self, tensor: Tensor) -> tuple[str, ...]: ...


def printer(name: str) -> Target:
    """Return the target of that name, a file or folder of symback/targets."""
    return cast(Target, import_module(f"symback.targets.{name}"))


@dataclass(frozen=True, slots=True)
class Boxes:
    """How a target keeps a parameter that is a single number, so that it can be changed in place:
    what stands before and after the number, and after the box to read it.
    """

    open: str
    close: str
    read: str
    whole: str  # the index that stands for all of an array

    def written(self, tensor: Tensor) -> str:
        """Return what is written over a whole array, or into a number's box."""
        return self.boxed(tensor, tensor.name) if self.read else tensor.name

    def boxed(self, tensor: Tensor, value: str) -> str:
        """Return a parameter's value, in a box if it is a number."""
        return value if tensor.shape else f"{self.open}{value}{self.close}"
