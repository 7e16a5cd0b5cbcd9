"""The arrays of a pass: their places, their declarations, and the Python that makes them."""

from collections.abc import Container, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from symback import printing
from symback.program import (
    Dim,
    Program,
    Role,
    Tensor,
)
from symback.targets._alone import kind
from symback.targets._loops import (
    Nests,
    inside,
    reads_of,
    writes_of,
)
from symback.targets.c.products import times
from symback.targets.c.scope import Scope
from symback.targets.c.text import wrapped
from symback.targets.numpy import initial

GIVEN = (Role.INPUT, Role.TARGET)


def given(tensor: Tensor, scope: Scope, holder: str = "cache") -> str:
    """Return the line that lets the C read an input or a target."""
    dtype = f"{holder}.dtype" if tensor.classes is None else "np.intp"
    array = f"np.ascontiguousarray({tensor.name}, {dtype})"
    call = f'{holder}.give("{scope.name(tensor.name)}", {array})'
    return f"cache.{tensor.name} = {call}" if holder == "cache" else call


def made(tensor: Tensor, size: str, scope: Scope, holder: str) -> str:
    """Return the line that makes an array for `size` examples: idx is np.intp, real the dtype."""
    sized = tuple(size if isinstance(dim, str) else dim for dim in tensor.shape)
    shape = shape_text(replace(tensor, shape=sized))
    dtype = "" if tensor.classes is None else ", np.intp"
    return f'{holder}.{tensor.name} = {holder}.made("{scope.name(tensor.name)}", {shape}{dtype})'


def batch_rows(tensor: Tensor, scope: Scope) -> str:
    """Return the line that makes the array which a batch's rows are copied to."""
    return made(tensor, "count", scope, "cache")


def mask(tensor: Tensor, program: Program) -> tuple[str, ...]:
    """Return the lines that draw a random array; the generator writes where it can."""
    name, draw = f"self.{tensor.name}", tensor.draw
    if draw is None or draw.kind != "keep":
        sized = tuple("self.n" if isinstance(dim, str) else dim for dim in tensor.shape)
        return (f"{name}[...] = {initial(replace(tensor, shape=sized), program)}",)
    keep = printing.number(draw.arguments[0])
    return (
        f"rng.random(out=self.{tensor.name}_drawn)",
        f"np.less(self.{tensor.name}_drawn, {keep}, out={name})",
        f"{name} /= {keep}",
    )


def kept(tensor: Tensor, scope: Scope) -> tuple[str, ...]:
    """Return the lines that make an array of the cache, and what a mask is drawn in."""
    line = made(tensor, "n", scope, "self")
    if tensor.role is Role.RANDOM and tensor.draw and tensor.draw.kind == "keep":
        sized = replace(tensor, shape=tuple("n" if isinstance(d, str) else d for d in tensor.shape))
        return line, f"self.{tensor.name}_drawn = np.empty({shape_text(sized)})"
    return (line,)


def seen_again(tensor: Tensor, owner: str) -> str:
    """Return the line that names an array which is another seen with other axes."""
    shape = shape_text(replace(tensor, shape=("n", *tensor.shape[1:])))
    return f"self.{tensor.name} = self.{owner}.reshape({shape})"


def fields_of(program: Program, scope: Scope, blocks: Sequence[Nests]) -> tuple[Tensor, ...]:
    """Return the arrays that a pass reads and writes, but for parameters and their gradients."""
    gradients = {name for key, name in program.gradients if is_parameter(key, program)}
    named = {
        access.name
        for made_of in blocks
        for node in made_of.nodes
        for inner in inside(node)
        for access in (*reads_of(inner), *writes_of(inner))
    }
    names = named | {scope.owners[name] for name in named & scope.owners.keys()}
    return tuple(
        tensor
        for tensor in scope.arrays.values()
        if tensor.role not in {Role.PARAMETER, Role.STATE, Role.CONSTANT}
        and tensor.name not in gradients
        and tensor.name not in scope.own
        and tensor.name not in scope.owners
        and (tensor.name in names or tensor.role in {*GIVEN, Role.RANDOM})
    )


def is_parameter(key: str, program: Program) -> bool:
    return any(tensor.key == key for tensor in program.with_role(Role.PARAMETER))


def field_of(tensor: Tensor, scope: Scope) -> str:
    """Return an array's field of the struct cache."""
    return f"{declared(tensor, scope, const=tensor.role in GIVEN)};  // {shape_text(tensor)}"


def declared(tensor: Tensor, scope: Scope, *, const: bool = False, restrict: bool = False) -> str:
    """Return the declaration of a pointer to an array's rows: real (*z1)[16]."""
    name = f"*{'restrict ' if restrict else ''}{scope.name(tensor.name)}"
    return f"{'const ' if const else ''}{kind(tensor)} {rows_of(name, tensor.shape)}"


def rows_of(name: str, shape: tuple[Dim, ...]) -> str:
    """Return a pointer's declarator: a number's, or an array's of all axes but the first."""
    known = len(shape) > 1 and all(isinstance(dim, int) for dim in shape[1:])
    return f"({name})" + "".join(f"[{dim}]" for dim in shape[1:]) if known else name


def viewed(
    tensor: Tensor, program: Program, scope: Scope, written: Container[str] = frozenset()
) -> str:
    """Return the line that names an array of the cache, or of the vector of all parameters."""
    offsets = places(program)
    gradients = {name: key for key, name in program.gradients if is_parameter(key, program)}
    kept = tensor.role in {Role.PARAMETER, Role.STATE}
    const = tensor.role in GIVEN or (kept and tensor.name not in written)
    owner = scope.owners.get(tensor.name, tensor.name)
    alone = owner == tensor.name and owner not in scope.owners.values()
    left = declared(tensor, scope, const=const, restrict=alone)
    if owner != tensor.name:
        return f"{left} = ({kind(tensor)} {rows_of('*', tensor.shape)})cache->{scope.name(owner)};"
    if kept:
        vector, start = "params", offsets[tensor.key]
    elif tensor.name in gradients:
        vector, start = "grads", offsets[gradients[tensor.name]]
    else:
        return f"{left} = cache->{scope.name(tensor.name)};"
    place = f"{vector} + {start}" if start else vector
    pointer_type = rows_of("*", tensor.shape)
    if pointer_type == "*":
        return f"{left} = {place};"
    cast = f"({'const ' if const else ''}real {pointer_type})"
    return f"{left} = {cast}({place});" if start else f"{left} = {cast}{place};"


def ordered_parameters(program: Program) -> tuple[Tensor, ...]:
    """Return the parameters as the vector holds them, those without a gradient last."""
    learned = {key for key, _ in program.gradients}
    parameters = program.with_role(Role.PARAMETER, Role.STATE)
    return tuple(sorted(parameters, key=lambda tensor: tensor.key not in learned))


def places(program: Program) -> dict[str, int]:
    """Return where each parameter begins in the vector of all of them."""
    found: dict[str, int] = {}
    start = 0
    for tensor in ordered_parameters(program):
        found[tensor.key] = start
        start += prod(map(int, tensor.shape))
    return found


def shape_text(tensor: Tensor) -> str:
    """Return (n, 64)."""
    dims = ", ".join(map(str, tensor.shape))
    return f"({dims},)" if len(tensor.shape) == 1 else f"({dims})"


def constant(tensor: Tensor, scope: Scope) -> str:
    """Return the definition of an array of the spec's numbers."""
    draw = tensor.draw
    if draw is None:
        raise ValueError(f"{tensor.name} has no values of its own")
    dims = "".join(f"[{dim}]" for dim in tensor.shape) or "[1]"
    filled: Any = draw.values
    if draw.kind == "constant":
        filled = draw.arguments[0]
        for dim in reversed(tensor.shape):
            filled = (filled,) * int(dim)
    return f"static const real {scope.name(tensor.name)}{dims} = {braced(filled)};"


def braced(nested: object) -> str:
    """Return nested tuples of numbers in braces."""
    if isinstance(nested, tuple):
        return f"{{{', '.join(braced(item) for item in nested)}}}"
    return repr(float(str(nested)))


def total(program: Program, scope: Scope) -> tuple[str, ...]:
    """Return the lines that end by returning the loss, or the sum of one that isn't reduced."""
    tensor = program.tensor(program.objective)
    name = scope.name(tensor.name)
    if not tensor.shape:
        return (f"return cache->{name}[0];",)
    count = times([f"cache->{dim}" if isinstance(dim, str) else dim for dim in tensor.shape])
    return (
        f"const real *all = (const real *)cache->{name};",
        "double sum = 0;",
        f"for (idx i = 0; i < {count}; i++) {{",
        "    sum += all[i];",
        "}",
        "return sum;",
    )


def gathered(program: Program, scope: Scope) -> tuple[str, ...]:
    """Return the lines that copy row `from` of all inputs and targets to row i of a batch."""
    found: list[str] = []
    for tensor in program.with_role(Role.INPUT, Role.TARGET):
        name = scope.name(tensor.name)
        width = prod(map(int, tensor.shape[1:]))
        number = kind(tensor)
        into, source = f"({number} *)cache->{name}", f"(const {number} *)all->{name}"
        step = f"*{width}" if width != 1 else ""
        size = f"{width} * sizeof({number})" if width != 1 else f"sizeof({number})"
        found += wrapped(f"memcpy({into} + i{step}, {source} + rows[i]{step}, {size});")
    return tuple(found)
