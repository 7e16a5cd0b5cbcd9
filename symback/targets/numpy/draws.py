"""Arrays made, filled and drawn: buffers, constants, starting values, random masks."""

from collections.abc import Sequence

from symback.printing import number, tuple_text
from symback.program import Program, Role, Statement, Tensor
from symback.targets.numpy.array import Scope
from symback.targets.numpy.values import shown


def made(tensor: Tensor, once: Sequence[Statement], dtype: str) -> str:
    """Return the expression that makes one of a fast module's buffers."""
    numbers = {statement.target.name: statement.value for statement in once}
    dims = tuple_text(str(dim) for dim in tensor.shape)
    if tensor.name in numbers:
        text = shown(numbers[tensor.name], (), Scope({}, {}, "float64")).text
        return f"np.array({text}, {dtype})"
    dtype = dtype if tensor.classes is None else "np.intp"
    if tensor.draw is not None and tensor.draw.kind == "identity":
        return f"np.eye({tensor.shape[0]}, dtype={dtype})"
    if tensor.draw is not None and tensor.draw.kind == "positions":
        return f"np.arange({tensor.shape[0]}, dtype={dtype})"
    if tensor.draw is not None:
        value = number(tensor.draw.arguments[0])
        return f"aligned({dims}, {dtype}, {value})"
    return f"aligned({dims}, {'bool' if tensor.role is Role.MASK else dtype})"


def drawn_into(tensor: Tensor) -> tuple[str, ...]:
    """Return the lines that draw a fast module's random array anew; none where it has no such form.

    Its `…_drawn` holds the generator's numbers, float64 as they are without it.
    """
    draw, name = tensor.draw, tensor.name
    if draw is None or draw.kind != "keep":
        return ()
    keep = number(draw.arguments[0])
    return (
        f"rng.random(out=cache.{name}_drawn)",
        f"np.less(cache.{name}_drawn, {keep}, out={name})",
        f"{name} /= {keep}",
    )


def initial(tensor: Tensor, program: Program) -> str:
    """Return the expression that draws the tensor's values from the generator `rng`."""
    draw = tensor.draw
    if draw is None:
        raise ValueError(f"{tensor.name} has no values of its own")
    dims = tuple_text(str(dim) for dim in tensor.shape)
    kind = program.float_type
    single = kind != "float64"
    cast, dtype = (f".astype(np.{kind})", f", np.{kind}") if single else ("", "")
    match draw.kind:
        case "constant":
            value = number(draw.arguments[0])
            if value in {"0", "1"}:
                return f"np.{'zeros' if value == '0' else 'ones'}({dims}{dtype})"
            return f"np.full({dims}, {value}, np.{kind})"
        case "values":
            return f"np.array({values(draw.values)}, np.{kind})"
        case "keep":
            keep = number(draw.arguments[0])
            mask = f"(rng.random({dims}) < {keep}) / {keep}"
            return f"({mask}){cast}" if single else mask
        case "identity":
            return f"np.eye{dims[:-1]}, dtype=np.{kind})"
        case "uniform" | "normal":
            low, high = (number(argument) for argument in draw.arguments)
            return f"rng.{draw.kind}({low}, {high}, {dims}){cast}"
    arguments = ", ".join(("rng", dims, *map(number, draw.arguments)))
    return f"drawn_{draw.kind}({arguments}){cast}"


def values(nested: object) -> str:
    """Return nested tuples of numbers as the text of nested lists."""
    if isinstance(nested, tuple):
        return f"[{', '.join(values(item) for item in nested)}]"
    return number(float(str(nested)))
