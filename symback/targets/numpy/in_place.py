"""Operations that write into arrays made once (fast form)."""

from symback import printing
from symback.printing import Level, ordered
from symback.program import (
    Affine,
    Apply,
    Concatenate,
    Contract,
    Expr,
    Lookup,
    Read,
    Reduce,
    Scatter,
    Split,
)
from symback.targets.numpy.array import (
    Array,
    Kind,
    Scope,
    grouped,
    index,
    postfix,
    reshaped,
    shape_arguments,
    spread,
    transposed,
)
from symback.targets.numpy.elementwise import OPERATORS, RENAMED, SIGNS, UFUNCS
from symback.targets.numpy.places import are_windows, is_one_gather, window_ranges
from symback.targets.numpy.products import einsum_letters, matrix_operands
from symback.targets.numpy.values import array_read, joined, operand, reduced, shown


def in_place(target: Read, value: Expr, scope: Scope) -> str:
    """Return one operation that writes into the target's array."""
    name, axes = target.name, target.axes
    if not axes:
        return f"{name}[...] = {shown(value, (), scope).text}"
    match value:
        case Apply("rows", (Read(table, letters), Read(labels))):
            axis = 0 if letters[0] not in axes else 1
            return f'{table}.take({labels}, axis={axis}, out={name}, mode="clip")'
        case Apply("erf" | "erfc" as function, (x, *work)) if work:
            arrays = [operand(arg, axes, axes, scope).text for arg in (x, *work)]
            return f"{function}_into({name}, {', '.join(arrays)})"
        case Apply("where", (condition, yes, rest)) if rest == target:
            test, new = (operand(part, axes, axes, scope).text for part in (condition, yes))
            return f"np.copyto({name}, {new}, where={test})"
        case Apply(function, args) if function in SIGNS or function in UFUNCS | set(OPERATORS):
            ready = [operand(arg, axes, axes, scope) for arg in args]
            if function in SIGNS and args[0] == target:
                return f"{name} {SIGNS[function]}= {ready[1].text}"
            called = OPERATORS.get(function, RENAMED.get(function, function))
            return f"np.{called}({', '.join(arg.text for arg in ready)}, out={name})"
        case Contract():
            return product_into(target, value, scope)
        case Reduce("argmax" | "argmin"):  # positions are integers, the array holds floats
            pass
        case Reduce("max" | "min", Read() as body, over) if value.axes == axes and len(over) == 1:
            called = "maximum" if value.function == "max" else "minimum"  # no detour by Python
            return f"np.{called}.reduce({body.name}, axis={body.axes.index(over[0])}, out={name})"
        case Reduce() if ordered(value.axes, printing.natural(value.body)) == axes:
            return f"{reduced(value, scope).text[:-1]}, out={name})"
        case Concatenate():
            return f"{joined(value, axes, scope).text[:-1]}, out={name})"
        case Lookup() if (tensor := scope.tensors.get(name)) and tensor.draw is not None:
            return within_margins(target, value, scope)
        case Scatter() if not value.groups and axes == value.axes:
            return scattered_into(target, value, scope)
        case Apply():
            return f"{name}[...] = {spread(shown(value, axes, scope), axes).text}"
    return f"{name}[...] = {operand(value, axes, axes, scope).text}"


def product_into(target: Read, value: Contract, scope: Scope) -> str:
    """Return a contraction that writes into the target's array: `dot` where two axes are all."""
    name, axes, over = target.name, target.axes, value.over
    sides = [shown(side, printing.natural(side), scope) for side in (value.left, value.right)]
    plain = all(side.kind is Kind.FLOAT for side in sides)  # dot wants the very type of its result
    for left, right in (sides, sides[::-1]):
        found = matrix_operands(left, right, over, axes)
        if found and plain and max(len(side.axes) for side in (*found, target)) <= 2:
            return f"{postfix(found[0], '.dot')}({found[1].text}, out={name})"
        dense = all(isinstance(side, Read | Split) for side in (value.left, value.right))
        one = joined_product(left, right, over, target, scope) if dense and plain else None
        if found:
            return one or f"np.matmul({found[0].text}, {found[1].text}, out={name})"
    for left, right in (sides, sides[::-1]):
        for made in (joined_product, batched_product):
            text = made(left, right, over, target, scope) if plain else None
            if text is not None:
                return text
    for left, right in (sides, sides[::-1]):
        found = matrix_operands(transposed(left, (*axes, *over)), right, over, axes)
        if found:
            return f"np.matmul({found[0].text}, {found[1].text}, out={name})"
    for left, right in (sides, sides[::-1]):
        text = turned_product(left, right, over, target)
        if text is not None:
            return text
    letters = einsum_letters([side.axes for side in sides], axes)
    return f"np.einsum({letters}, {sides[0].text}, {sides[1].text}, out={name})"


def turned_product(left: Array, right: Array, over: tuple[str, ...], target: Read) -> str | None:
    """Return a product for each value of the axes of both, its axes turned; None elsewhere."""
    batch = tuple(a for a in target.axes if a in left.axes and a in right.axes)
    rows = tuple(a for a in target.axes if a not in right.axes)
    columns = tuple(a for a in target.axes if a not in left.axes)
    if not batch or not len(rows) == len(columns) == len(over) == 1:
        return None
    first = transposed(left, batch + rows + over)
    second = transposed(right, batch + over + columns)
    place = Array(target.name, Level.ATOM, target.axes, Kind.FLOAT)
    into = transposed(place, batch + rows + columns)
    return f"np.matmul({first.text}, {second.text}, out={into.text})"


def scattered_into(target: Read, value: Scatter, scope: Scope) -> str:
    """Return values added up at computed places of an array that is there."""
    name, places = target.name, value.places
    dims = (*value.sizes, *zip(value.axes, value.shape, strict=True))
    if is_one_gather(places, dims, value.shape):
        at, labels = next((k, p) for k, p in enumerate(places) if isinstance(p, Read))
        others = tuple(axis for axis in value.axes if axis != value.axes[at])
        into = transposed(array_read(target, scope), (value.axes[at], *others))
        order = (*labels.axes, *others)
        values = spread(shown(value.body, order, scope), order)
        return f"scatter_into({into.text}, {labels.name}, {values.text})"
    if all(isinstance(place, Affine) for place in places) and are_windows(places):
        letters = value.windows
        if {*value.body.axes} == {*letters}:
            ranges = window_ranges(places, value.sizes, value.shape)
            return f"overlap_into({name}, {shown(value.body, letters, scope).text}, {ranges})"
    return f"{name}[...] = {operand(value, target.axes, target.axes, scope).text}"


def within_margins(target: Read, value: Lookup, scope: Scope) -> str:
    """Return the assignment of an array to the inside of one that has margins of zeros."""
    into, source = [], []
    dims = zip(value.places, scope.tensors[value.name].shape, strict=True)
    sizes = dict(value.sizes)
    for place, dim in dims:
        assert isinstance(place, Affine)
        [(letter, _)] = place.terms
        size = sizes[letter]
        if place.offset == 0 and size == dim:
            into.append(":")
            source.append(":")
            continue
        first = max(0, -place.offset)
        last = min(int(size), int(dim) - place.offset)
        into.append(f"{first}:{last}")
        whole = first + place.offset == 0 and last + place.offset == dim
        source.append(":" if whole else f"{first + place.offset}:{last + place.offset}")
    return f"{target.name}{index(into)} = {value.name}{index(source)}"


def batched_product(
    left: Array, right: Array, over: tuple[str, ...], target: Read, scope: Scope
) -> str | None:
    """Return a product for each value of the first axes, the others joined; None elsewhere."""
    letters = list(target.axes)
    groups_: list[tuple[str, ...]] = []
    for one, other in ((right, left), (left, right)):  # columns, then rows
        end: list[str] = []
        while letters and letters[-1] in one.axes and letters[-1] not in other.axes:
            end.insert(0, letters.pop())
        groups_.append(tuple(end))
    (columns, rows), batch = groups_, tuple(letters)
    if not rows or not columns:
        return None
    matrices = []
    for side, own, swapped in ((left, rows, False), (right, columns, True)):
        before = tuple(a for a in batch if a in side.axes)
        if before not in {(), batch}:
            return None
        groups = (over, own) if swapped else (own, over)
        for pair in (groups, groups[::-1]):
            if side.axes == before + pair[0] + pair[1]:
                joined = tuple(grouped(group, scope) for group in (*((a,) for a in before), *pair))
                text = side.at(Level.ATOM)
                if max(map(len, pair)) > 1:
                    text = reshaped(side, joined, scope)
                matrices.append(text + (".swapaxes(-1, -2)" if pair != groups else ""))
                break
        else:
            return None
    dims = tuple(grouped(group, scope) for group in (*((a,) for a in batch), rows, columns))
    into = target.name
    if max(len(rows), len(columns)) > 1:
        into = f"{into}.reshape({shape_arguments(dims)})"
    return f"np.matmul({matrices[0]}, {matrices[1]}, out={into})"


def joined_product(
    left: Array, right: Array, over: tuple[str, ...], target: Read, scope: Scope
) -> str | None:
    """Return a product of matrices whose axes are several letters joined; None elsewhere."""
    rows, columns = (tuple(a for a in side.axes if a not in over) for side in (left, right))
    if target.axes != rows + columns or not rows or not columns:
        return None
    over = ordered(over, left.axes)
    first, second = (
        joined_matrix(left, rows, over, scope),
        joined_matrix(right, over, columns, scope),
    )
    if first is None or second is None:
        return None
    name = target.name.partition(".")[0]  # what is reshaped already is reshaped once
    whole = "" if name == target.name else name
    place = Array(target.name, Level.ATOM, target.axes, Kind.FLOAT, whole)
    into = joined_matrix(place, rows, columns, scope)
    return f"{first}.dot({second}, out={into})"


def joined_matrix(
    array: Array, rows: tuple[str, ...], columns: tuple[str, ...], scope: Scope
) -> str | None:
    """Return an array as a matrix of joined letters, where its axes stand in that order."""
    if array.axes == columns + rows != rows + columns:
        text = joined_matrix(array, columns, rows, scope)
        return None if text is None else f"{text}.T"
    if array.axes != rows + columns:
        return None
    if len(array.axes) == 2:
        return array.at(Level.ATOM)
    return reshaped(array, (grouped(rows, scope), grouped(columns, scope)), scope)
