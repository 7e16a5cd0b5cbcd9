"""A person's own function: found in their file, called with what its arguments name, and read.

    backward(params, x, t)            params by PyTorch's names or ours; then the examples
    backward(x, t, W1, b1, W2, b2)    every argument by its name: parameters, values, adjoints
    backward(params, cache, t)        the cache holds every value of the forward pass

It returns the gradients by name, or in the order of the parameters, alone or behind the loss.
Whatever it raises is told in words, with its line.
"""

import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from symback import checking
from symback.errors import Mistake, UserError, near_miss
from symback.evaluation import Values
from symback.program import Program, Role, Tensor
from symback.verify.names import CACHE, PARAMETERS, Names

USUAL = ("backward", "gradients", "grads", "grad", "backprop", "value_and_grad", "loss_and_grad")
LOSSES = ("loss", "L", "value", "cost")


class Held(dict[str, Any]):
    """Arrays by name that answer to each of their names, as items and as attributes."""

    def __init__(self, arrays: Mapping[str, Any], names: Names) -> None:
        super().__init__(arrays)
        self._names = names

    def __missing__(self, word: str) -> Any:
        tensor = self._names.tensor(word)
        for name in (tensor.key, tensor.name) if tensor is not None else ():
            if name in self:
                return self[name]
        raise KeyError(f"{word} (there are {', '.join(self)})")

    def __getattr__(self, word: str) -> Any:
        try:
            return self[word]
        except KeyError as error:
            raise AttributeError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call of the function gave: gradients by tensor name, and the loss, if it did."""

    grads: Mapping[str, np.ndarray[Any, Any]]
    loss: float | None
    single: bool  # whether any of it is float32


@dataclass(frozen=True, slots=True)
class Theirs:
    """A person's function, ready to be called at points of our network."""

    path: Path
    name: str
    function: Callable[..., Any]
    program: Program
    names: Names
    arrays: str  # what it is given: numpy, list or torch

    @property
    def title(self) -> str:
        """FILE.py:FUNCTION."""
        return f"{self.path}:{self.name}"

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """The network's parameters, in order."""
        return self.program.with_role(Role.PARAMETER)

    def at(self, values: Values) -> Answer:
        """Call the function at a point. Raises UserError, in words, where that fails."""
        arguments = self.arguments(values)
        with _told(self.path, self.name), _beside(self.path), np.errstate(all="ignore"):
            returned = self.function(*arguments.args, **arguments.kwargs)
        return self.answer(returned)

    # ---------------------------------------------------------------- arguments

    def arguments(self, values: Values) -> inspect.BoundArguments:
        """Return what each of the function's parameters is given."""
        signature = self.signature()
        given: dict[str, Any] = {}
        unknown: list[inspect.Parameter] = []
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                given[parameter.name] = tuple(self.copied(values, t) for t in self.parameters)
            elif parameter.kind is parameter.VAR_KEYWORD:
                named = {self._parameter(word) for word in signature.parameters}
                given[parameter.name] = {
                    t.name: self.copied(values, t) for t in self.parameters if t.name not in named
                }
            elif not self._by_name(parameter, values, given, signature):
                unknown.append(parameter)
        required = [p for p in unknown if p.default is p.empty]
        if required:
            given = self._by_place(signature, required, values)
        bound = signature.bind_partial()
        bound.arguments.update({p: given[p] for p in signature.parameters if p in given})
        return bound

    def signature(self) -> inspect.Signature:
        try:
            return inspect.signature(self.function)
        except (TypeError, ValueError):
            raise UserError(
                Mistake(f"`{self.name}` has no signature to be read", source=str(self.path))
            ) from None

    def _parameter(self, word: str) -> str:
        tensor = self.names.tensor(word)
        return tensor.name if tensor is not None and tensor.role is Role.PARAMETER else ""

    def _by_name(
        self,
        parameter: inspect.Parameter,
        values: Values,
        given: dict[str, Any],
        signature: inspect.Signature,
    ) -> bool:
        """Give an argument what its name says; tell whether it says anything."""
        word = parameter.name
        tensor = self.names.tensor(word)
        taken = {self._own(other) for other in signature.parameters if other != word}
        if word in PARAMETERS and not (tensor is not None and tensor.name == word):
            given[word] = self.params(values)
        elif word in CACHE:
            given[word] = self.cache(values)
        elif tensor is not None and tensor.name in values:
            target = self.program.with_role(Role.TARGET)
            if word == "y" and any(t.name in taken for t in target):  # f(params, x, y, t)
                tensor = self.program.tensor(self.program.output)
            given[word] = self.copied(values, tensor)
        elif word in values:  # the number of examples
            given[word] = values[word]
        elif word == "N":
            given[word] = values[str(self.program.tensor(self.program.output).shape[0])]
        else:
            return False
        return True

    def _means(self, word: str) -> str:
        """Return the tensor that an argument's name stands for, "" for all parameters."""
        tensor = self.names.tensor(word)
        return "" if tensor is None or word in PARAMETERS else tensor.name

    def _own(self, word: str) -> str:
        """Return the tensor of exactly that name."""
        return word if any(tensor.name == word for tensor in self.program.tensors) else ""

    def _by_place(
        self, signature: inspect.Signature, unknown: list[inspect.Parameter], values: Values
    ) -> dict[str, Any]:
        """Give (params, x, t) in this order to a function whose names say something else."""
        places = [
            p.name
            for p in signature.parameters.values()
            if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD} and p.default is p.empty
        ]
        examples = self.program.with_role(Role.INPUT, Role.TARGET)
        required = [p.name for p in signature.parameters.values() if p.default is p.empty]
        wanted = ("", *(tensor.name for tensor in examples))
        loose = {parameter.name for parameter in unknown}
        fits = all(
            word in loose or self._means(word) == name
            for word, name in zip(places, wanted, strict=False)
        )
        if len(places) == len(required) == len(wanted) and fits:
            rest = (self.copied(values, tensor) for tensor in examples)
            return dict(zip(places, (self.params(values), *rest), strict=True))
        raise UserError(*(self._unknown(parameter.name) for parameter in unknown))

    def _unknown(self, word: str) -> Mistake:
        known = [*self.names.words(), *PARAMETERS, *CACHE]
        order = ", ".join(
            ["params", *(t.name for t in self.program.with_role(Role.INPUT, Role.TARGET))]
        )
        shown = [t.name for t in (*self.program.tensors,) if t.role is not Role.ADJOINT]
        hint = near_miss(word, known) or f"known by name: params, {', '.join(shown)}"
        message = f"what is the argument `{word}` of `{self.name}`?"
        hint = f"{hint}; or let it take ({order})"
        return Mistake(message, hint=hint, source=str(self.path), line=_line(self.function))

    def params(self, values: Values) -> Held:
        """Return the parameters by PyTorch's names; W1 and f1_weight are known too."""
        held = {tensor.key: self.copied(values, tensor) for tensor in self.parameters}
        return Held(held, self.names)

    def cache(self, values: Values) -> Held:
        """Return the inputs and all values of the forward pass."""
        roles = (Role.INPUT, Role.VALUE, Role.RANDOM)
        kept = [tensor for tensor in self.program.with_role(*roles) if tensor.name in values]
        return Held({tensor.name: self.copied(values, tensor) for tensor in kept}, self.names)

    def copied(self, values: Values, tensor: Tensor) -> Any:
        """Return an array of their own, in the kind they asked for."""
        array = np.array(values[tensor.name])
        if self.arrays == "list":
            return array.tolist()
        if self.arrays == "torch":
            return _torch().tensor(array)
        return array

    # ---------------------------------------------------------------- what it returns

    def answer(self, returned: Any) -> Answer:
        """Read what the function returned. Raises UserError where gradients can't be found."""
        loss, grads = self._split(returned)
        named = self._named(grads)
        missing = [t.name for t in self.parameters if t.name not in named]
        if missing:
            found = ", ".join(f"d{name}" for name in named) or "nothing"
            told = f"`{self.name}` returns no gradient by {', '.join(missing)}"
            raise UserError(self._mistake(told, f"it returns {found}"))
        arrays = {name: self._array(name, value) for name, value in named.items()}
        kinds = [array.dtype for array in arrays.values()]
        number = None if loss is None else float(self._array("loss", loss))
        return Answer(
            {name: array.astype(np.float64) for name, array in arrays.items()},
            number,
            any(kind in {np.dtype(np.float32), np.dtype(np.float16)} for kind in kinds),
        )

    def _split(self, returned: Any) -> tuple[Any, Any]:
        """Return the loss, if there is one, and the gradients as a mapping or a sequence."""
        if returned is None:
            hint = "return the gradients: {'W1': dW1, …}, or (loss, gradients)"
            raise UserError(self._mistake(f"`{self.name}` returns nothing", hint))
        if hasattr(returned, "_asdict"):
            returned = returned._asdict()
        elif is_dataclass(returned) and not isinstance(returned, type):
            returned = vars(returned)
        if isinstance(returned, Mapping):
            loss = next((returned[word] for word in LOSSES if word in returned), None)
            return loss, {word: v for word, v in returned.items() if word not in LOSSES}
        if not isinstance(returned, tuple | list):
            return None, (returned,)
        count = len(self._order())
        if len(returned) == 2 and _is_number(returned[0]) and not _is_number(returned[1]):
            loss, grads = returned
            if isinstance(grads, Mapping | tuple) or hasattr(grads, "_asdict"):
                return loss, self._split(grads)[1]
            if isinstance(grads, list) and count > 1:
                return loss, grads
        if len(returned) == count + 1 and _is_number(returned[0]):
            return returned[0], returned[1:]
        return None, returned

    def _order(self) -> tuple[Tensor, ...]:
        """Return the parameters in the order of the arguments, where these name them all."""
        named = [self._parameter(word) for word in self.signature().parameters]
        found = [name for name in named if name]
        if set(found) == {tensor.name for tensor in self.parameters}:
            return tuple(self.program.tensor(name) for name in dict.fromkeys(found))
        return self.parameters

    def _named(self, grads: Any) -> dict[str, Any]:
        if isinstance(grads, Mapping):
            found: dict[str, Any] = {}
            for word, value in grads.items():
                tensor = self.names.gradient(str(word))
                if tensor is None:
                    hint = near_miss(str(word), self.names.words())
                    known = ", ".join(t.name for t in self.parameters)
                    message = f"`{self.name}` returns a gradient by `{word}`, which isn't there"
                    raise UserError(self._mistake(message, hint or f"there are {known}"))
                found[tensor.name] = value
            return found
        order = self._order()
        if len(grads) != len(order):
            shown = ", ".join(f"d{tensor.name}" for tensor in order)
            told = f"`{self.name}` returns {len(grads)} arrays, not {len(order)}"
            raise UserError(self._mistake(told, f"in order: {shown}; or a dict by these names"))
        return {tensor.name: value for tensor, value in zip(order, grads, strict=True)}

    def _array(self, name: str, value: Any) -> np.ndarray[Any, Any]:
        if hasattr(value, "detach"):  # a tensor of torch
            value = value.detach().cpu().numpy()
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.asarray(None)
        if array.dtype.kind not in "biuf":
            what = "None" if value is None else f"a {type(value).__name__}"
            told = f"`{self.name}` returns {what} for {name}, not an array of numbers"
            raise UserError(self._mistake(told))
        return array

    def _mistake(self, message: str, hint: str = "") -> Mistake:
        return Mistake(message, hint=hint, source=str(self.path), line=_line(self.function))


def _is_number(value: Any) -> bool:
    if isinstance(value, Mapping | tuple | list) or value is None:
        return False
    return not getattr(value, "shape", ())


def _line(function: Callable[..., Any]) -> int | None:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return None if code is None else int(code.co_firstlineno)


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        hint = "install it, or leave `--arrays torch` out: NumPy's arrays are given then"
        raise UserError(Mistake("torch isn't installed", hint=hint)) from None
    return torch


# ---------------------------------------------------------------- the file


def find(place: str, program: Program, arrays: str = "numpy") -> Theirs:
    """Return the function of `FILE.py:FUNCTION`.

    Raises UserError where there is no such file or function, or where importing it fails.
    """
    path, name = _divided(place)
    with _told(path, ""), _beside(path):
        module = checking.module(path)
    function = _function(module, path, name)
    return Theirs(path, name or function.__name__, function, program, Names(program), arrays)


def _divided(place: str) -> tuple[Path, str]:
    file, colon, name = place.rpartition(":")
    if not colon or place.endswith(".py"):
        return Path(place), ""
    return Path(file), name


def _function(module: ModuleType, path: Path, name: str) -> Callable[..., Any]:
    own = {
        word: value
        for word, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    }
    shown = ", ".join(own) or "none"
    if not name:
        usual = [own[word] for word in USUAL if word in own]
        if usual or len(own) == 1:
            return (usual or list(own.values()))[0]
        hint = f"write {path}:FUNCTION; its functions: {shown}"
        told = "which of its functions computes the gradients?"
        raise UserError(Mistake(told, hint=hint, source=str(path)))
    found: Any = vars(module).get(name)
    if found is None:
        hint = near_miss(name, own) or f"its functions: {shown}"
        raise UserError(Mistake(f"there is no function `{name}`", hint=hint, source=str(path)))
    if not callable(found):
        told = f"`{name}` is a {type(found).__name__}, not a function"
        raise UserError(Mistake(told, hint=f"its functions: {shown}", source=str(path)))
    function: Callable[..., Any] = found
    return function


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Let the file import what stands beside it, as if it were run."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an overflow shows in what comes out
            yield
    finally:
        with suppress(ValueError):  # their file may have taken it away itself
            sys.path.remove(folder)


@contextmanager
def _told(path: Path, name: str) -> Iterator[None]:
    """Turn whatever their code raises into words, with the last of their lines in it."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        what = f"`{name}` fails" if name else "importing it fails"
        raise UserError(checking.failure(path, error, what)) from None
