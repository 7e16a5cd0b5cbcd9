"""The functions beside the passes: hvp, jacobian, hessian, per_example."""

from dataclasses import dataclass

from symback.emit.blocks import Block, function_statements
from symback.emit.network import Given, given
from symback.emit.reading import reads
from symback.emit.text import quoted
from symback.program import Function, Role

SAYS = {
    "hvp": (
        "Return the Hessian of {loss} times a direction: how fast ∂{loss}/∂w changes along it.",
        "Pearlmutter 1994, Fast Exact Multiplication by the Hessian.",
    ),
    "jacobian": ("Return ∂{output}/∂x for every input x: of each example by its own values.",),
    "hessian": (
        "Return ∂²{loss}/∂w∂v for every two parameters w and v, as result[w][v].",
        "The axes of w come first, then those of v.",
    ),
    "per_example": (
        "Return ∂{loss}/∂w of each example alone, for every parameter w.",
        "The first axis is the examples'.",
    ),
}


@dataclass(frozen=True, slots=True)
class Extra:
    """What the templates see of such a function."""

    name: str
    arguments: tuple[str, ...]  # the inputs, and the targets where the loss is in it
    direction: str  # what it is given beside: a direction in the parameters, or nothing
    returns: str
    doc: tuple[str, ...]
    arriving: tuple[Given, ...]  # the arguments that are read
    lines: tuple[str, ...]
    results: tuple[str, ...]  # '"f1.weight": dW1_v,'


def functions(block: Block) -> tuple[Extra, ...]:
    """Return the strings of a program's functions."""
    return tuple(extra(block, function) for function in block.program.functions)


def extra(block: Block, function: Function) -> Extra:
    """Return the strings of one function."""
    program = block.program
    roles = (Role.INPUT,) if function.name == "jacobian" else (Role.INPUT, Role.TARGET)
    arguments = [tensor for role in roles for tensor in program.with_role(role)]
    wanted = {*reads(function_statements(function))}
    first = arguments[0]
    loss, output = program.objective, program.output
    nested = any(len(keys) > 1 for keys, _ in function.results)
    return Extra(
        function.name,
        tuple(tensor.name for tensor in arguments),
        "direction" if function.given else "",
        "dict[str, Params]" if nested else "Params",
        tuple(line.format(loss=loss, output=output) for line in SAYS[function.name]),
        tuple(
            given(tensor, '"n"' if tensor is first else f"len({first.name})")
            for tensor in arguments
            if tensor is first or tensor.name in wanted
        ),
        block.function(function),
        tuple(result_lines(block, function)),
    )


def result_lines(block: Block, function: Function) -> list[str]:
    """Return the entries of what a function returns."""
    plain = block.plain(function).program
    lines: list[str] = []
    opened = ""
    for keys, name in function.results:
        value = block.boxes.boxed(plain.tensor(name), name)
        if len(keys) == 1:
            lines.append(f"{quoted(keys[0])}: {value},")
            continue
        if keys[0] != opened:
            lines += ["},"] * bool(opened) + [f"{quoted(keys[0])}: {{"]
            opened = keys[0]
        lines.append(f"    {quoted(keys[1])}: {value},")
    return [*lines, "},"] if opened else lines
