"""Statements as lines, each with its formula beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from symback import printing
from symback.printing import Line
from symback.program import Contract, Lookup, Loop, Program, Read, Split, Statement, Tensor
from symback.targets.numpy.array import Scope, shape_arguments
from symback.targets.numpy.in_place import in_place, product_into
from symback.targets.numpy.steps import Step, head, looped, part
from symback.targets.numpy.values import assigned, operand


def lines(statements: Sequence[Statement], program: Program, width: int = 96) -> tuple[str, ...]:
    """Return the statements' code, each line with its formula."""
    rows: list[str] = []
    for loop, group in groupby(statements, lambda statement: statement.loop):
        together = tuple(group)
        if loop is None:
            rows += straight(together, program, width)
        elif loop.letter in together[-1].target.axes:
            rows += looped(together, loop, program, width)
        else:
            rows += in_steps(together, loop, program, width)
    return tuple(rows)


def in_steps(
    statements: Sequence[Statement], loop: Loop, program: Program, width: int
) -> tuple[str, ...]:
    """Return a loop over steps: names for the parts of arrays, then what is done with them."""
    parts = {
        statement.target.name: part(statement.value, loop, program)
        for statement in statements
        if isinstance(statement.value, Lookup) and program.gives_name(statement)
    }
    rest = tuple(replace(s, loop=None) for s in statements if not program.gives_name(s))
    body = (*printing.unpacked(parts, width - 4), *straight(rest, program, width - 4))
    return (head(loop, program), *(f"    {row}" for row in body))


def straight(statements: Sequence[Statement], program: Program, width: int) -> tuple[str, ...]:
    """Return the code of statements that each compute a whole array."""
    block: list[Line] = []
    in_group = False
    tensors = printing.arrays(program)
    for statement in statements:
        rows = printing.folded(code_among(statement, tensors, program.float_type), width)
        if in_group and not statement.because:  # a further operation of the same formula
            block[-1] = replace(block[-1], code=block[-1].code + rows)
        else:
            block.append(Line(rows, statement.because))
        in_group = bool(program.buffers)
    return printing.beside(block, width)


def code(statement: Statement, program: Program) -> str:
    """Return one statement's code without its formula; parts of a stack have a line each."""
    if statement.loop is not None:
        codes = Step(statement.loop, program).codes(statement)
        return "\n".join(code for code, _ in codes)
    return code_among(statement, printing.arrays(program), program.float_type)


def code_among(statement: Statement, tensors: Mapping[str, Tensor], float_type: str) -> str:
    """Return the code of a statement outside of recurrences, over these arrays."""
    scope = Scope(tensors, printing.ranges_among(statement, tensors), float_type)
    if statement.in_place and isinstance(statement.target, Read):
        return in_place(statement.target, statement.value, scope)
    if statement.in_place and isinstance(statement.target, Split):
        axes = statement.target.axes
        dims = shape_arguments([scope.ranges[axis] for axis in axes])
        into = f"{statement.target.name}.reshape({dims})"
        if isinstance(statement.value, Contract):
            return product_into(Read(into, axes), statement.value, scope)
        return f"{into}[...] = {operand(statement.value, axes, axes, scope).text}"
    return f"{statement.target.name} = {assigned(statement, scope)}"


def helpers(statements: Sequence[Statement], program: Program) -> tuple[str, ...]:
    """Return the names of the helper functions the lines call."""
    return tuple(sorted(printing.called(bare(statements, program))))


def sizes(statements: Sequence[Statement], program: Program) -> tuple[str, ...]:
    """Return the run-time sizes the lines use, to be defined before them."""
    read = printing.read(bare(statements, program))
    return tuple(sorted(read & printing.run_time_sizes(program)))


def size(dim: str, tensor: Tensor) -> str:
    """Return the expression of a run-time size, read off an array."""
    at = tensor.shape.index(dim)
    return f"len({tensor.name})" if at == 0 else f"{tensor.name}.shape[{at}]"


def bare(statements: Sequence[Statement], program: Program) -> tuple[str, ...]:
    """Return the code without the formulas."""
    if any(statement.loop for statement in statements):
        return lines(statements, program)
    tensors = printing.arrays(program)
    return tuple(code_among(statement, tensors, program.float_type) for statement in statements)
