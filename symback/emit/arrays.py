"""The network's arrays as text: shapes, starts and draws."""

from collections.abc import Iterable
from dataclasses import replace

from symback.emit.folding import WIDTH
from symback.emit.reading import reads
from symback.emit.target import Target
from symback.emit.text import quoted
from symback.program import Draw, Program, Role, Tensor


def names(tensors: Iterable[Tensor]) -> tuple[str, ...]:
    return tuple(tensor.name for tensor in tensors)


def cached(program: Program) -> tuple[Tensor, ...]:
    """Return what a forward pass leaves: inputs, random values and every value, in order."""
    order = dict.fromkeys(statement.target.name for statement in program.forward)
    tensors = {tensor.name: tensor for tensor in program.tensors}
    values = tuple(tensors[name] for name in order if name in tensors)  # the rest is scratch
    return (*program.with_role(Role.INPUT, Role.RANDOM), *values)


def scores(program: Program) -> tuple[Tensor, ...]:
    """Return the loss's values that the adjoints read, in order."""
    read = reads(program.backward)
    tensors = {tensor.name: tensor for tensor in program.tensors}  # scratch isn't among them
    found = dict.fromkeys(statement.target.name for statement in program.loss)
    return tuple(tensors[name] for name in found if name in read and name in tensors)


def shape_text(tensor: Tensor) -> str:
    """Return (n, 64)."""
    dims = ", ".join(map(str, tensor.shape))
    return f"({dims},)" if len(tensor.shape) == 1 else f"({dims})"


def initial(tensor: Tensor, start: str) -> tuple[str, ...]:
    """Return a parameter's entry of `init`, with the rule of its start beside or above it."""
    entry = f"{quoted(tensor.key)}: {start},"
    rule = f"# {tensor.draw.because}" if tensor.draw and tensor.draw.because else ""
    beside = f"{entry}  {rule}" if rule else entry
    return (beside,) if len(beside) <= WIDTH - 8 else (rule, entry) if rule else (entry,)


def mask(tensor: Tensor, program: Program, target: Target) -> tuple[str, ...]:
    """Return the lines that draw a random tensor in training, else set it to what it is at rest."""
    still, drawn = resting(tensor, program, target), target.initial(tensor, program)
    line = f"{tensor.name} = {still} if rng is None else {drawn}"
    if len(line) <= WIDTH - 4:
        return (line,)
    first, second = f"    {tensor.name} = {still}", f"    {tensor.name} = {drawn}"
    return ("if rng is None:", first, "else:", second)


def mask_again(tensor: Tensor, target: Target) -> tuple[str, ...]:
    """Return the lines that draw a random tensor into its array, else fill it."""
    rest = 1.0 if tensor.draw is None else tensor.draw.rest
    return (
        f"{tensor.name} = cache.{tensor.name}",
        "if rng is None:",
        f"    {tensor.name}.fill({rest:g})",
        "else:",
        *(f"    {line}" for line in target.drawn_into(tensor)),
    )


def mask_made(tensor: Tensor) -> tuple[str, ...]:
    """Return the lines that make a random tensor's array, and the one its numbers are drawn in."""
    return (
        f"self.{tensor.name} = aligned({shape_text(tensor)}, dtype)",
        f"self.{tensor.name}_drawn = aligned({shape_text(tensor)}, np.float64)",
    )


def resting(tensor: Tensor, program: Program, target: Target) -> str:
    """Return a random tensor's values outside of training."""
    rest = 1.0 if tensor.draw is None else tensor.draw.rest
    return target.initial(replace(tensor, draw=Draw("constant", (rest,))), program)


def drawn(tensor: Tensor) -> bool:
    """Tell whether a parameter's start is random."""
    return tensor.draw is not None and tensor.draw.kind not in {"constant", "values"}
