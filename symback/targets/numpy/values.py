"""Expressions as values: what stands right of `=`, its axes in the order wanted."""

from collections.abc import Sequence
from dataclasses import replace

from symback import printing
from symback.printing import Level, ordered, tuple_text
from symback.program import (
    Affine,
    Apply,
    Concatenate,
    Contract,
    Dim,
    Expr,
    Lookup,
    Matrix,
    Number,
    Position,
    Read,
    Reduce,
    Role,
    Scatter,
    Size,
    Slice,
    Split,
    Stack,
    Statement,
    merged,
)
from symback.targets.numpy.array import (
    Array,
    Kind,
    Scope,
    grouped,
    index,
    postfix,
    result,
    shape,
    shape_arguments,
    spread,
    transposed,
)
from symback.targets.numpy.elementwise import function
from symback.targets.numpy.places import (
    apart,
    are_windows,
    is_one_gather,
    margins,
    padding,
    shifted,
    stepped,
    window_ranges,
)
from symback.targets.numpy.products import (
    einsum_letters,
    matrix_product,
    tensor_product,
    turned_product,
)


def assigned(statement: Statement, scope: Scope) -> str:
    """Return the value as the target's array: its order of axes, its shape, its type."""
    target = statement.target
    value = shown(statement.value, target.axes, scope)
    tensor = scope.tensors.get(target.name)
    labels = value.kind is Kind.INT if tensor is None else tensor.classes is not None
    places = isinstance(statement.value, Reduce) and statement.value.function.startswith("arg")
    if target.axes and not labels and not (places and scope.float_type == "float64"):
        value = scope.cast(value)
    if value.axes != target.axes:
        value = filled(value, target, scope)
    if isinstance(target, Split):
        dims = tuple(grouped(group, scope) for group in target.groups)
        return postfix(value, f".reshape({shape_arguments(dims)})")
    return value.text


def filled(value: Array, target: Read | Split, scope: Scope) -> Array:
    """Return a value that lacks letters of the target in the target's whole shape."""
    missing = [axis for axis in target.axes if axis not in scope.ranges]
    kind = scope.float_type
    if missing:  # an optimiser's state, of the shape of its parameter
        text = f"np.full_like({target.name}, {value.text})"
    elif value.text in {"0", "1"}:
        dtype = "" if kind == "float64" else f", np.{kind}"
        made = "np.zeros" if value.text == "0" else "np.ones"
        text = f"{made}({shape(target.axes, scope)}{dtype})"
    elif not value.axes:
        text = f"np.full({shape(target.axes, scope)}, {value.text}, np.{kind})"
    else:
        whole = spread(value, target.axes).text
        text = f"np.broadcast_to({whole}, {shape(target.axes, scope)})"
    return Array(text, Level.ATOM, target.axes, Kind.FLOAT)


def shown(expr: Expr, order: Sequence[str], scope: Scope) -> Array:
    """Return the expression printed, its axes in this order."""
    match expr:
        case Number(value):
            return result(printing.literal(value), Kind.PLAIN)
        case Size(dim):
            return Array(dim, Level.ATOM, (), Kind.PLAIN)
        case Position(axis, size):
            return Array(f"np.arange({size})", Level.ATOM, (axis,), Kind.INT)
        case Read():
            return transposed(array_read(expr, scope), order)
        case Split():
            return transposed(split_read(expr, scope), order)
        case Slice(name, axes, ranges):
            dims = scope.tensors[name].shape if name in scope.tensors else [None] * len(axes)
            parts = [part_text(part, dim) for part, dim in zip(ranges, dims, strict=True)]
            whole = array_read(Read(name, axes), scope)
            return transposed(replace(whole, text=name + index(parts)), order)
        case Lookup():
            return transposed(looked_up(expr, scope), order)
        case Scatter():
            return transposed(scattered(expr, scope), order)
        case Concatenate():
            return joined(expr, order, scope)
        case Stack():
            return stacked(expr, order, scope)
        case Apply():
            return applied(expr, order, scope)
        case Reduce():
            return transposed(reduced(expr, scope), order)
        case Matrix(function, operand):
            text = f"{printing.MATRICES[function]}({array_read(operand, scope).text})"
            return transposed(Array(text, Level.ATOM, expr.axes, Kind.FLOAT), order)
        case Contract():
            return contracted(expr, order, scope)


def part_text(part: tuple[int, int] | None, dim: Dim | None = None) -> str:
    """Return the slice from one place up to another, without what goes without saying."""
    start, stop = part or (0, dim)
    return f"{start or ''}:{'' if stop == dim else stop}"


def array_read(expr: Read, scope: Scope) -> Array:
    """Return an array by its name; what isn't a tensor is a number or an optimiser's array."""
    tensor = scope.tensors.get(expr.name)
    if tensor is None:
        kind = Kind.FLOAT if expr.axes else Kind.PLAIN
    else:
        kind = Kind.FLOAT if tensor.classes is None else Kind.INT
        kind = Kind.BOOL if tensor.role is Role.MASK else kind
    if len(set(expr.axes)) == len(expr.axes):
        return Array(expr.name, Level.ATOM, expr.axes, kind)
    once = tuple(dict.fromkeys(expr.axes))  # a diagonal: x[i,i]
    text = f"np.einsum({einsum_letters((expr.axes,), once)}, {expr.name})"
    return Array(text, Level.ATOM, once, kind)


def split_read(expr: Split, scope: Scope) -> Array:
    """Return an array whose joined axes are taken apart."""
    whole = array_read(Read(expr.name, ()), scope)
    sizes = dict(expr.sizes)
    dims = [sizes[axis] for axis in expr.axes]
    text = f"{expr.name}.reshape({shape_arguments(dims)})"
    kind = Kind.FLOAT if whole.kind is Kind.PLAIN else whole.kind
    return Array(text, Level.ATOM, expr.axes, kind, expr.name)


def joined(expr: Concatenate, order: Sequence[str], scope: Scope) -> Array:
    """Return the parts one after another, each spread over all axes."""
    axes = ordered(expr.axes, order)
    at = axes.index(expr.letter)
    parts = []
    for part, letter in zip(expr.parts, expr.letters, strict=True):
        own = tuple(letter if axis == expr.letter else axis for axis in axes)
        value = shown(part, own, scope)
        if value.axes != own:
            value = filled(value, Read("", own), scope)
        parts.append(scope.settled(value))
    kind = parts[0].kind if len({part.kind for part in parts}) == 1 else Kind.FLOAT
    text = f"np.concatenate(({', '.join(part.text for part in parts)}), axis={at})"
    return Array(text, Level.ATOM, axes, kind)


def stacked(expr: Stack, order: Sequence[str], scope: Scope) -> Array:
    """Return the parts side by side, each spread over all other axes."""
    axes = ordered(expr.axes, order)
    rest = tuple(axis for axis in axes if axis != expr.letter)
    parts = [whole_array(part, rest, scope) for part in expr.parts]
    texts = ", ".join(part.text for part in parts)
    at = axes.index(expr.letter)
    text = f"np.stack(({texts}), axis={at})" if rest else f"np.array([{texts}])"
    return Array(text, Level.ATOM, axes, Kind.FLOAT)


def looked_up(expr: Lookup, scope: Scope) -> Array:
    """Return an array at computed indices: by labels, as windows, or element by element."""
    whole = array_read(Read(expr.name, ()), scope)
    kind = Kind.FLOAT if whole.kind is Kind.PLAIN else whole.kind
    places = expr.places
    labels = [place for place in places if isinstance(place, Read)]
    if is_one_gather(places, expr.sizes, scope.tensors[expr.name].shape):
        at = [place.name if isinstance(place, Read) else ":" for place in places]
        axes = merged(*(place.axes for place in places))
        return Array(f"{expr.name}{index(at)}", Level.ATOM, axes, kind)
    if (parts := stepped(expr, scope.tensors[expr.name].shape)) is not None:
        return Array(f"{expr.name}{index(parts)}", Level.ATOM, expr.axes, kind)
    if (found := apart(expr, scope.tensors[expr.name].shape)) is not None:
        parts, dims = found
        text = f"{expr.name}{index(parts)}.reshape({shape_arguments(dims)})"
        axes = tuple(axis for place in places for axis in place.axes)
        return Array(text, Level.ATOM, axes, kind)
    if (moved := shifted(expr, scope.tensors[expr.name].shape)) is not None:
        parts, around = moved
        text = f"np.pad({expr.name}{index(parts)}, {padding(around)})"
        return Array(text, Level.ATOM, expr.axes, kind)
    if not labels and are_windows(places):
        fixed = "".join(", 0" if not place.axes else ", :" for place in places)
        kept = f"[{fixed.rstrip(', :').removeprefix(', ')}]" if ", 0" in fixed else ""
        shape = scope.tensors[expr.name].shape
        text = f"windows({expr.name}, {window_ranges(places, expr.sizes, shape)}){kept}"
        return Array(text, Level.ATOM, expr.axes, kind)
    at = [element_place(place, expr.axes, scope) for place in places]
    return Array(f"taken({expr.name}, {', '.join(at)})", Level.ATOM, expr.axes, kind)


def scattered(expr: Scatter, scope: Scope) -> Array:
    """Return values added up at computed places of an array that is zero elsewhere."""
    places = expr.places
    dims = tuple_text(map(str, expr.shape))
    if groups := expr.groups:
        regrouped = whole_array(expr.body, merged(*groups), scope)
        text = postfix(regrouped, f".reshape({shape_arguments(expr.shape)})")
        return Array(text, Level.ATOM, expr.axes, Kind.FLOAT)
    if is_one_gather(places, (*expr.sizes, *zip(expr.axes, expr.shape, strict=True)), expr.shape):
        at, labels = next((k, p) for k, p in enumerate(places) if isinstance(p, Read))
        others = tuple(axis for axis in expr.axes if axis != expr.axes[at])
        values = whole(expr.body, (*labels.axes, *others), scope)
        text = f"scatter_add({values}, {labels.name}, {expr.shape[at]})"
        return Array(text, Level.ATOM, (expr.axes[at], *others), Kind.FLOAT)
    if (around := margins(expr)) is not None:
        letters = merged(*(place.axes for place in places))
        text = f"np.pad({whole(expr.body, letters, scope)}, {padding(around)})"
        return Array(text, Level.ATOM, expr.axes, Kind.FLOAT)
    affine = [place for place in places if isinstance(place, Affine)]
    if len(affine) == len(places) and are_windows(places):
        fixed = {f"_{k}": 1 for k, place in enumerate(affine) if not place.axes}
        outer = [place.axes[0] if place.axes else f"_{k}" for k, place in enumerate(affine)]
        inner = [axis for place in affine for axis in place.axes[1:]]
        inside = replace(scope, ranges={**scope.ranges, **fixed})
        values = whole(expr.body, (*outer, *inner), inside)
        ranges = window_ranges(places, expr.sizes, expr.shape)
        text = f"overlap_add({values}, {dims}, {ranges})"
        return Array(text, Level.ATOM, expr.axes, Kind.FLOAT)
    letters = tuple(letter for letter, _ in expr.sizes)
    at_ = [element_place(place, letters, scope) for place in places]
    text = f"added_at({whole(expr.body, letters, scope)}, {dims}, {', '.join(at_)})"
    return Array(text, Level.ATOM, expr.axes, Kind.FLOAT)


def whole(expr: Expr, axes: tuple[str, ...], scope: Scope) -> str:
    """Return a value's text, spread over all of the axes, in this order."""
    return whole_array(expr, axes, scope).text


def whole_array(expr: Expr, axes: tuple[str, ...], scope: Scope) -> Array:
    """Return a value spread over all of the axes, in this order."""
    value = scope.cast(shown(expr, axes, scope))
    return value if value.axes == axes else filled(value, Read("", axes), scope)


def element_place(place: Affine | Read, axes: tuple[str, ...], scope: Scope) -> str:
    """Return an index array that broadcasts over the axes."""
    if isinstance(place, Read):
        return spread(shown(place, axes, scope), axes).text
    terms = []
    for letter, coefficient in place.terms:
        steps = Array(f"np.arange({scope.ranges[letter]})", Level.ATOM, (letter,), Kind.INT)
        text = spread(steps, axes).text
        terms.append(text if coefficient == 1 else f"{coefficient} * {text}")
    if place.offset or not terms:
        terms.append(str(place.offset))
    return " + ".join(terms).replace("+ -", "- ")


def applied(expr: Apply, order: Sequence[str], scope: Scope) -> Array:
    """Return an elementwise function of its arguments, all spread over their joint axes."""
    axes = ordered(expr.axes, order)
    args = tuple(operand(arg, axes, order, scope) for arg in printing.factors(expr))
    return replace(function(expr.function, args, scope), axes=axes)


def operand(expr: Expr, axes: tuple[str, ...], order: Sequence[str], scope: Scope) -> Array:
    """Return an argument so that it broadcasts; a reduction in place keeps its axes."""
    if isinstance(expr, Reduce) and not expr.function.startswith("arg"):
        body = printing.natural(expr.body)
        kept = tuple(None if axis in expr.over else axis for axis in body)
        place = tuple(axis if axis in expr.axes else None for axis in axes)
        if expr.axes and kept == place and place[-len(expr.axes) :] != expr.axes:
            return reduced(expr, scope, keep=True)
    return spread(shown(expr, order, scope), axes)


def reduced(expr: Reduce, scope: Scope, *, keep: bool = False) -> Array:
    """Return a reduction of a value whose axes stand in their natural order."""
    body = shown(expr.body, printing.natural(expr.body), scope)
    axes = tuple(axis for axis in body.axes if axis not in expr.over)
    places = [str(body.axes.index(axis)) for axis in ordered(expr.over, body.axes)]
    at = places[0] if len(places) == 1 else tuple_text(places)
    arguments = [f"axis={at}"] if axes else []
    arguments += ["keepdims=True"] if keep else []
    text = postfix(body, f".{expr.function}({', '.join(arguments)})")
    counted = expr.function.startswith("arg") or (
        expr.function in {"sum", "prod"} and body.kind is Kind.BOOL
    )
    kind = Kind.INT if counted else body.kind
    return Array(text, Level.ATOM, axes, kind)


def contracted(expr: Contract, order: Sequence[str], scope: Scope) -> Array:
    """Return Σ_over left·right: `@` where it is a matrix product, else a sum of products."""
    left, right = (shown(side, printing.natural(side), scope) for side in (expr.left, expr.right))
    left, right = (scope.cast(a) if a.kind is Kind.INT else a for a in (left, right))
    if left.kind is right.kind is Kind.BOOL:
        left = scope.cast(left)
    want = ordered(expr.axes, order)
    if not want and left.axes == right.axes and len(left.axes) > 1:
        return Array(f"float(np.vdot({left.text}, {right.text}))", Level.ATOM, (), Kind.PLAIN)
    found = (
        matrix_product(left, right, expr.over, want)
        or matrix_product(right, left, expr.over, want)
        or inner_product(expr, want, scope)
        or tensor_product(left, right, expr.over, want)
        or tensor_product(right, left, expr.over, want)
        or turned_product(left, right, expr.over, want)
    )
    if found is None:
        letters = einsum_letters((left.axes, right.axes), want)
        text = f"np.einsum({letters}, {left.text}, {right.text})"
        found = Array(text, Level.ATOM, want, Kind.FLOAT)
    if Kind.BOOL in {left.kind, right.kind} and found.text.startswith("("):
        return replace(found, level=Level.SUM)  # a sign goes before it, not before a truth value
    return found


def inner_product(expr: Contract, want: tuple[str, ...], scope: Scope) -> Array | None:
    """Return (a * b).sum() where both sides have all the letters; None elsewhere."""
    if set(expr.left.axes) != set(expr.right.axes):
        return None
    product = Reduce("sum", Apply("multiply", (expr.left, expr.right)), expr.over)
    found = reduced(product, scope)
    return transposed(found, want)
