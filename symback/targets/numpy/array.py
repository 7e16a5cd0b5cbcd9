"""A printed value of NumPy: its text, the letters of its axes, what its numbers are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import reduce

from symback.printing import Code, Level, ordered, tuple_text
from symback.program import Dim, Tensor, merged


class Kind(Enum):
    """What the numbers of a printed value are, by NumPy's rules of promotion."""

    PLAIN = "a Python number, which takes the type of what it meets"
    BOOL = "truth values"
    INT = "integers, which would turn float32 into float64"
    FLOAT = "floats of the program's type"


@dataclass(frozen=True, slots=True)
class Array(Code):
    """A printed value, with the letters of its axes in order."""

    axes: tuple[str, ...]
    kind: Kind
    whole: str = ""  # the name of the array that this is, in another shape


@dataclass(frozen=True, slots=True)
class Scope:
    """What a statement's printing needs to know around it."""

    tensors: Mapping[str, Tensor]
    ranges: Mapping[str, Dim]
    float_type: str

    def cast(self, array: Array) -> Array:
        """Return the array as floats of the program's type."""
        if array.kind in {Kind.FLOAT, Kind.PLAIN}:
            return array
        text = postfix(array, f".astype(np.{self.float_type})")
        return Array(text, Level.ATOM, array.axes, Kind.FLOAT)

    def settled(self, array: Array) -> Array:
        """Return the array, cast where mixing it with floats would change their type."""
        single = self.float_type != "float64"
        return self.cast(array) if array.kind is Kind.INT and single else array


def result(code: Code, kind: Kind, *args: Array) -> Array:
    """Return a printed value with the axes of what it was made from."""
    return Array(code.text, code.level, merged(*(arg.axes for arg in args)), kind)


def postfix(array: Array, suffix: str) -> str:
    """Return the text with a method, an attribute or an index after it."""
    return array.at(Level.ATOM) + suffix


def transposed(array: Array, order: Sequence[str]) -> Array:
    """Return the array with its axes in this order."""
    axes = ordered(array.axes, order)
    if axes == array.axes:
        return array
    places = [array.axes.index(axis) for axis in axes]
    swap = [*range(len(axes) - 2), len(axes) - 1, len(axes) - 2]
    if len(axes) == 2:
        suffix = ".T"
    elif places == swap:
        suffix = ".swapaxes(-1, -2)"
    else:
        suffix = f".transpose({', '.join(map(str, places))})"
    return Array(postfix(array, suffix), Level.ATOM, axes, array.kind)


def spread(array: Array, axes: tuple[str, ...]) -> Array:
    """Return the array so that it broadcasts over the axes: on the left that needs nothing."""
    own = array.axes
    if not own or axes[-len(own) :] == own:
        return array
    parts = [":" if axis in own else "None" for axis in axes[axes.index(own[0]) :]]
    return replace(array, text=postfix(array, index(parts)), level=Level.ATOM)


def index(parts: list[str]) -> str:
    """Return an index; whole axes at its end go without saying."""
    while parts and parts[-1] == ":":
        parts = parts[:-1]
    return f"[{', '.join(parts)}]" if parts else ""


def shape(axes: Iterable[str], scope: Scope) -> str:
    """Return the shape along the letters as a tuple's text."""
    return tuple_text(str(scope.ranges[axis]) for axis in axes)


def reshaped(array: Array, dims: tuple[Dim, ...], scope: Scope) -> str:
    """Return an array in another shape; what is a reshape itself is reshaped once, if at all."""
    known = scope.tensors.get(array.whole)
    if known is not None and known.shape == dims:
        return array.whole
    made = f".reshape({shape_arguments(dims)})"
    return array.whole + made if array.whole else postfix(array, made)


def grouped(group: tuple[str, ...], scope: Scope) -> Dim:
    """Return the size of letters joined into one axis: -1 where it is known at run time only."""
    dims = [scope.ranges[axis] for axis in group]
    if any(isinstance(dim, str) for dim in dims):
        return " * ".join(str(dim) for dim in dims)
    return reduce(lambda product, dim: product * int(dim), dims, 1)


def shape_arguments(dims: Sequence[Dim]) -> str:
    """Return the arguments of a reshape: a single run-time size is -1, worked out by NumPy."""
    run_time = [dim for dim in dims if isinstance(dim, str)]
    return ", ".join("-1" if run_time == [dim] else str(dim) for dim in dims)
