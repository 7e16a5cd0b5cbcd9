"""The plain-Python printer: arrays are nested lists of floats, one statement one comprehension.

The loops of a comprehension are the letters of the target; an array whose axes come in another
order is turned round first (`W1_T`), and what doesn't change in an inner loop is computed before
the statement, so that every loop runs by itself over rows, without index arithmetic.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import groupby, pairwise
from math import prod

from symback import printing, steps
from symback.printing import COMPARISONS, Code, Level, Line, natural, ordered
from symback.program import (
    Affine,
    Apply,
    Concatenate,
    Contract,
    Dim,
    Expr,
    Lookup,
    Loop,
    Matrix,
    Number,
    Position,
    Program,
    Read,
    Reduce,
    Scatter,
    Size,
    Slice,
    Split,
    Stack,
    Statement,
    Tensor,
    mapped,
)
from symback.targets._about import About

ABOUT = About("the standard library alone", ("float64",), lists=True)

MATH = {
    *("exp", "log", "log1p", "expm1", "sqrt", "floor", "sinh", "cosh", "tanh"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "erf", "erfc"),
}
PLAIN = {"maximum": "max", "minimum": "min", "abs": "abs"}
CHEAP = {
    *("add", "subtract", "multiply", "divide", "negative", "power", "where", "relu"),
    *COMPARISONS,
}
CHOOSING = {"where", "maximum", "minimum", "relu"}  # their result is one of their arguments

Leaf = Read | Slice | Split | Lookup | Position


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the loops have entered an array: what it is called there, which letters are left."""

    text: str
    rest: tuple[str, ...]


Cursors = Mapping[Leaf, Cursor]


@dataclass(slots=True)
class Block:
    """Lines being printed, and the names of what was computed before the statements need it."""

    program: Program
    ranges: Mapping[str, Dim] = field(default_factory=dict)
    names: dict[tuple[Expr, tuple[str, ...]], str] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)  # code, formula
    parts: dict[str, tuple[Dim, ...]] = field(default_factory=dict)  # shapes of what isn't a tensor


# ---------------------------------------------------------------- statements


def lines(statements: Sequence[Statement], program: Program, width: int = 96) -> tuple[str, ...]:
    """Return the statements' code, each line with its formula."""
    block = Block(program)
    rows: list[str] = []
    for loop, group in groupby(statements, lambda statement: statement.loop):
        if loop is None:
            rows += printing.beside(printed(coded(tuple(group), block), width), width)
        else:
            rows += looped(tuple(group), loop, block, width)
    return tuple(rows)


def printed(codes: Iterable[tuple[str, str]], width: int) -> list[Line]:
    """Return code folded to the width, each with its formula."""
    return [Line(printing.folded(code, width), because) for code, because in codes]


def coded(statements: Sequence[Statement], block: Block) -> tuple[tuple[str, str], ...]:
    """Return each line's code and formula."""
    block.lines = []
    for statement in statements:
        block.ranges = printing.ranges(statement, block.program)
        code = one(statement.target, statement.value, block)
        block.lines.append((code, statement.because))
    return tuple(block.lines)


def one(target: Read | Split, value: Expr, block: Block) -> str:
    """Return the assignment of one statement; what it needs before is in the block's lines."""
    groups = target.groups if isinstance(target, Split) else tuple((a,) for a in target.axes)
    labels = {tensor.name for tensor in block.program.tensors if tensor.classes is not None}
    if target.name not in labels and not fractional(value, block.program):
        value = Number(float(value.value)) if isinstance(value, Number) else floated(value)
    return assignment(target.name, groups, value, block)


# ---------------------------------------------------------------- recurrences


def looped(
    statements: Sequence[Statement], loop: Loop, block: Block, width: int
) -> tuple[str, ...]:
    """Return a loop that computes its statements step by step.

    What doesn't change from step to step is computed before.
    """
    count = printing.counter(loop.letter, block.program)
    block.lines = []
    outside = dict(block.names)
    made = {count}
    for statement in statements:
        block.ranges = printing.ranges(statement, block.program)
        axis = statement.target.axes.index(loop.letter)
        value = at_step(statement.value, loop, made, block)
        name = f"{statement.target.name}_{loop.letter}"
        target = Read(name, tuple(a for a in statement.target.axes if a != loop.letter))
        whole = shape_of(statement.target.name, block)
        block.parts[name] = (*whole[:axis], *whole[axis + 1 :])
        block.lines.append((one(target, value, block), statement.because))
        put = f"put_step({statement.target.name}, {axis}, {count}, {name})"
        block.lines.append((put, ""))
        made |= {name, statement.target.name}
    before, within = [], []
    for code, because in block.lines:
        assigned = code.partition(" = ")[0]
        if printing.read([code]) & made:
            made.add(assigned)
            within.append((code, because))
        else:
            before.append((code, because))
    dims = {statement.target.name: statement.target for statement in statements}
    for name in dims:
        shape = printing.tuple_text(map(str, block.program.tensor(name).shape))
        before.append((f"{name} = zeros({shape})", ""))
    block.names = outside  # what was computed at a step is another value at the next
    steps = f"range({loop.size})" if loop.step > 0 else f"reversed(range({loop.size}))"
    body = printing.beside(printed(within, width - 4), width - 4)
    return (
        *printing.beside(printed(before, width), width),
        f"for {count} in {steps}:",
        *(f"    {row}" for row in body),
    )


def at_step(expr: Expr, loop: Loop, made: set[str], block: Block) -> Expr:
    """Return an expression at a step of a recurrence; arrays' parts are taken in lines before."""
    letter = loop.letter
    count = printing.counter(letter, block.program)

    def part(name: str, axis: int, offset: int, axes: tuple[str, ...]) -> Read:
        word = "" if not offset else "before" if offset < 0 else "after"
        far = str(abs(offset)) if abs(offset) > 1 else ""
        found = f"{name}_{word}{far}" if word else f"{name}_{letter}"
        if found not in made:
            shape = shape_of(name, block)
            block.parts[found] = (*shape[:axis], *shape[axis + 1 :])
            place = printing.index(Affine(offset, ((letter, 1),)), lambda _: count)
            block.lines.append((f"{found} = at_step({name}, {axis}, {place})", ""))
            made.add(found)
        return Read(found, axes)

    def leaf(expr: Leaf) -> Expr:
        kept = tuple(axis for axis in expr.axes if axis != letter)
        match expr:
            case Position():
                return Read(count, ())
            case Read(name, axes):
                return part(name, axes.index(letter), 0, kept)
            case Slice(name, axes, ranges):
                axis = axes.index(letter)
                start = (ranges[axis] or (0, 0))[0]
                return Slice(
                    part(name, axis, start, kept).name, kept, ranges[:axis] + ranges[axis + 1 :]
                )
            case Split(name, _, _):
                whole = fresh(f"{name}_{''.join(expr.axes)}", block)
                groups = tuple((axis,) for axis in expr.axes)
                block.lines.append((assignment(whole, groups, expr, block), ""))
                block.parts[whole] = tuple(block.ranges[axis] for axis in expr.axes)
                return part(whole, expr.axes.index(letter), 0, kept)
            case Lookup():
                return lookup(expr)

    def lookup(expr: Lookup) -> Expr:
        axis = steps.step_axis(expr, loop)
        place, rest = expr.places[axis], steps.others(expr, loop)
        kept = tuple(a for p in rest.places for a in p.axes)
        if isinstance(place, Read):
            labels = leaf(place)
            assert isinstance(labels, Read)
            return replace(expr, places=(*expr.places[:axis], labels, *expr.places[axis + 1 :]))
        if expr.name in printing.computed(loop, block.program):
            offset, rest = steps.earlier(expr, loop)
        elif place.terms == ((letter, 1),) and rest.is_plain:
            offset = place.offset
        else:
            return at_step(turned(expr, expr.axes, block), loop, made, block)
        taken = part(expr.name, axis, offset, kept)
        if rest.is_plain:
            return taken
        return replace(rest, name=taken.name)

    return steps.at_step(expr, loop, leaf)


def shape_of(name: str, block: Block) -> tuple[Dim, ...]:
    """Return the shape of a tensor, of its part at a step, or of an array computed before."""
    return block.parts[name] if name in block.parts else block.program.tensor(name).shape


def floated(value: Expr) -> Expr:
    """Return the value as a float where it is a truth value or an integer."""
    return Apply("float", (value,))


def fractional(expr: Expr, program: Program) -> bool:
    """Tell whether the printed expression is a float: a truth value or a count isn't."""
    match expr:
        case Read(name=name) | Slice(name=name) | Split(name=name) | Lookup(name=name):
            return all(t.classes is None for t in program.tensors if t.name == name)
        case Apply(function, args):
            if function in COMPARISONS or function in {"and", "or", "not", "floor"}:
                return False
            if function in CHOOSING:
                parts = args[1:] if function == "where" else args
                return all(isinstance(a, Number) or fractional(a, program) for a in parts)
            if function in CHEAP or function == "abs":
                return function == "divide" or any(fractional(arg, program) for arg in args)
            return True
        case Reduce(function, body):
            return not function.startswith("arg") and fractional(body, program)
        case Contract(left, right):
            return fractional(left, program) or fractional(right, program)
        case Scatter() | Matrix():
            return True
        case Concatenate(parts) | Stack(parts):
            return all(fractional(part, program) for part in parts)
        case Number(value):
            return value != int(value)
    return False


def assignment(name: str, groups: tuple[tuple[str, ...], ...], value: Expr, block: Block) -> str:
    """Return name = value, computed along groups of letters, each group one axis."""
    order = tuple(axis for group in groups for axis in group)
    if isinstance(value, Lookup) and len(groups) == len(order) == len(value.axes):
        return f"{name} = {gathered(value, order, block)}"
    if isinstance(value, Scatter):
        if order != value.axes:
            return assignment(name, groups, computed_before(value, value.axes, block), block)
        if value.groups:
            return assignment(name, value.groups, value.body, block)
        return f"{name} = {scattered(value, block)}"
    if isinstance(value, Matrix):
        if order != value.axes:
            return assignment(name, groups, computed_before(value, value.axes, block), block)
        return f"{name} = {of_matrices(value)}"
    if isinstance(value, Concatenate):
        parts = []
        for part, letter in zip(value.parts, value.letters, strict=True):
            own = tuple(letter if axis == value.letter else axis for axis in order)
            parts.append(prepared(part, own, own, block))
        value = replace(value, parts=tuple(parts))
    elif isinstance(value, Stack):
        own = tuple(axis for axis in order if axis != value.letter)
        value = mapped(value, lambda part: prepared(part, own, own, block))
    else:
        value = prepared(value, order, order, block)
    outside = {leaf: Cursor(outer_name(leaf), leaf.axes) for leaf in leaves(value)}
    return f"{name} = {nested(value, groups, outside, block).text}"


def of_matrices(value: Matrix) -> str:
    """Return the function of a matrix, or of each of many, one within another."""
    called, name = printing.MATRICES[value.function], value.operand.name
    others = value.operand.axes[:-2]
    rows = [name, *(f"{name}_{axis}" for axis in others)]
    text = f"{called}({rows[-1]})"
    for outer, inner in reversed(list(pairwise(rows))):
        text = f"[{text} for {inner} in {outer}]"
    return text


def outer_name(leaf: Leaf) -> str:
    """Return what an array is called outside of all loops."""
    return f"range({leaf.size})" if isinstance(leaf, Position) else leaf.name


def leaves(expr: Expr) -> tuple[Leaf, ...]:
    """Return the arrays an expression reads, once each."""
    found = dict.fromkeys(node for node in printing.walk(expr) if isinstance(node, Leaf))
    return tuple(found)


# ---------------------------------------------------------------- before the loops


def prepared(expr: Expr, order: tuple[str, ...], loops: tuple[str, ...], block: Block) -> Expr:
    """Return the expression ready for its loops: its arrays turned to their order, and what is
    costly but the same in some loop replaced by an array that is computed before.

    `loops` are the letters of the loops around the place, `order` all letters in their order.
    """
    if isinstance(expr, Read | Split | Slice | Lookup):
        return turned(expr, order, block)
    if isinstance(expr, Concatenate | Stack | Scatter | Matrix) or (
        costly(expr) and not set(loops) <= set(expr.axes)
    ):
        return computed_before(expr, ordered(expr.axes, order), block)
    match expr:
        case Apply():
            return mapped(expr, lambda part: prepared(part, order, loops, block))
        case Reduce(function, body, over):
            over = ordered(over, natural(body))
            inside = (*order, *over)
            return Reduce(function, prepared(body, inside, inside, block), over)
        case Contract(left, right, over):
            over = ordered(over, natural(left))
            inside = (*order, *over)
            sides: list[Expr] = []
            for side in (left, right):
                if not isinstance(side, Leaf) and not set(loops) <= set(side.axes):
                    sides.append(computed_before(side, ordered(side.axes, inside), block))
                else:
                    sides.append(prepared(side, inside, inside, block))
            return Contract(sides[0], sides[1], over)
    return expr


def costly(expr: Expr) -> bool:
    """Tell whether an expression is worth computing once rather than in every round of a loop."""
    return any(
        isinstance(node, Reduce | Contract)
        or (isinstance(node, Apply) and node.function not in CHEAP)
        for node in printing.walk(expr)
    )


def computed_before(expr: Expr, axes: tuple[str, ...], block: Block) -> Read:
    """Return the name of an array that holds the expression; its line comes before."""
    if (expr, axes) not in block.names:
        read = [leaf.name for leaf in leaves(expr) if not isinstance(leaf, Position)]
        kind = expr.function if isinstance(expr, Apply | Reduce) else ""
        words = filter(None, (kind, *(dict.fromkeys(read) or ["value"])))
        name = fresh("_".join(words), block)
        code = assignment(name, tuple((axis,) for axis in axes), expr, block)
        place = f"[{','.join(axes)}]" if axes else ""
        block.lines.append((code, f"{name}{place} = {printing.formula(expr)}"))
        block.names[expr, axes] = name
        note(name, axes, block)
    return Read(block.names[expr, axes], axes)


def fresh(name: str, block: Block) -> str:
    """Return the name, made longer until nothing else has it."""
    taken = {*block.names.values(), *(tensor.name for tensor in block.program.tensors)}
    while name in taken:
        name += "_"
    return name


def turned(leaf: Read | Split | Slice | Lookup, order: tuple[str, ...], block: Block) -> Expr:
    """Return the array, or one with its axes turned round, so that loops in order run over it."""
    axes = ordered(leaf.axes, order)
    plain = not isinstance(leaf, Lookup)
    if plain and axes == leaf.axes and len(set(axes)) == len(axes):
        return leaf
    if (leaf, axes) not in block.names:
        swapped = isinstance(leaf, Read) and axes == leaf.axes[::-1] and len(axes) == 2
        word = "T" if swapped else fixed_places(leaf) or "".join(axes)
        name = fresh(f"{leaf.name}_{word}", block)
        if swapped:
            code = f"{name} = list(zip(*{leaf.name}, strict=True))"
        else:
            code = f"{name} = {gathered(leaf, axes, block)}"
        block.lines.append((code, f"{name}[{','.join(axes)}] = {printing.formula(leaf)}"))
        block.names[leaf, axes] = name
        note(name, axes, block)
    return Read(block.names[leaf, axes], axes)


def note(name: str, axes: tuple[str, ...], block: Block) -> None:
    """Note the shape of an array made on the way; of a metric's values no array tells it."""
    if all(axis in block.ranges for axis in axes):
        block.parts[name] = tuple(block.ranges[axis] for axis in axes)


def fixed_places(leaf: Read | Split | Slice | Lookup) -> str:
    """Return the places that an array is read at along axes without a letter: 0 of a[n,0,k]."""
    places = leaf.places if isinstance(leaf, Lookup) else ()
    return "".join(str(p.offset) for p in places if isinstance(p, Affine) and not p.terms)


def gathered(leaf: Read | Split | Slice | Lookup, axes: tuple[str, ...], block: Block) -> str:
    """Return a new array of another's elements along these axes, its rows whole where they are."""
    text = element(leaf, block)
    last = f"[{counter(axes[-1], block)}]" if axes else ""
    if axes and is_row(leaf, axes[-1], block) and text.endswith(last):  # not `… else 0.0`
        text = f"list({text.removesuffix(last)})"
        axes = axes[:-1]
    for axis in reversed(axes):
        text = f"[{text} for {counter(axis, block)} in range({block.ranges[axis]})]"
    return text


def is_row(leaf: Read | Split | Slice | Lookup, axis: str, block: Block) -> bool:
    """Tell whether an axis runs over all of an array's last one, and over nothing else of it."""
    match leaf:
        case Read(axes=axes):
            return axes.index(axis) == len(axes) - 1
        case Lookup(name, (*outer, Affine(0, ((letter, 1),))), sizes):
            shape = shape_of(name, block)
            whole = letter == axis and dict(sizes)[axis] == shape[-1]
            return whole and all(axis not in place.axes for place in outer)
    return False


def counter(axis: str, block: Block) -> str:
    """Return the variable that counts along an axis, apart from the sizes of the same letter."""
    return f"{axis}_" if axis in printing.run_time_sizes(block.program) else axis


def element(leaf: Read | Split | Slice | Lookup, block: Block) -> str:
    """Return one number of an array by its indices."""
    match leaf:
        case Lookup(name, looked_up, sizes):
            shape = shape_of(name, block)
            places = [place_text(place, block) for place in looked_up]
            found = name + "".join(f"[{place}]" for place in places)
            rules = [
                rule
                for place, at, dim in zip(looked_up, places, shape, strict=True)
                if (rule := within(place, at, dict(sizes), dim))
            ]
            labels = any(t.name == name and t.classes for t in block.program.tensors)
            zero = "0" if labels else "0.0"
            return f"({found} if {' and '.join(rules)} else {zero})" if rules else found
        case Split(name, groups, sizes):
            dims = dict(sizes)
            places = []
            for group in groups:
                place = counter(group[0], block)
                for axis in group[1:]:
                    place = f"({place}) * {dims[axis]} + {counter(axis, block)}"
                places.append(
                    place.replace(f"({counter(group[0], block)})", counter(group[0], block))
                )
        case Slice(name, axes, ranges):
            starts = [f" + {part[0]}" if part and part[0] else "" for part in ranges]
            places = [counter(a, block) + s for a, s in zip(axes, starts, strict=True)]
        case Read(name, axes):
            places = [counter(axis, block) for axis in axes]
    return name + "".join(f"[{place}]" for place in places)


def place_text(place: Affine | Read, block: Block) -> str:
    """Return an index into an axis."""
    if isinstance(place, Read):
        return element(place, block)
    return printing.index(place, lambda letter: counter(letter, block)).replace("*", " * ")


def within(place: Affine | Read, text: str, sizes: Mapping[str, Dim], dim: Dim) -> str:
    """Return the condition that an index stands within its axis, "" where it always does."""
    if isinstance(place, Read) or not isinstance(dim, int):
        return ""
    plain = place.offset == 0 and [c for _, c in place.terms] == [1]
    if plain and sizes[place.axes[0]] == dim:
        return ""
    lowest, highest = place.reach(sizes)
    inside = [lowest >= 0, highest < dim]
    if all(inside):
        return ""
    if inside[0]:
        return f"{text} < {dim}"
    return f"{text} >= 0" if inside[1] else f"0 <= {text} < {dim}"


def scattered(value: Scatter, block: Block) -> str:
    """Return values added up at computed places, one at a time."""
    letters = tuple(letter for letter, _ in value.sizes)
    order = ordered(natural(value.body), letters) if value.body.axes else ()
    order = (*(a for a in order if a in letters), *(a for a in letters if a not in order))
    body = prepared(value.body, order, order, block)
    counted = {a for p in value.places if isinstance(p, Affine) for a in p.axes}
    counters = [Position(axis, block.ranges[axis]) for axis in order if axis in counted]
    labels = {p: turned(p, order, block) for p in value.places if isinstance(p, Read)}
    read = [*leaves(body), *counters, *(one for p in labels.values() for one in leaves(p))]
    cursors: Cursors = {leaf: Cursor(outer_name(leaf), leaf.axes) for leaf in read}
    clauses = []
    for axis in order:
        clause, cursors = entered(axis, read, cursors, block)
        clauses.append(clause)
    at = [
        scalar(labels[place], cursors, block).text
        if isinstance(place, Read)
        else place_text(place, block)
        for place in value.places
    ]
    inner = scalar(body, cursors, block)
    places = f"({at[0]},)" if len(at) == 1 else f"({', '.join(at)})"
    shape = printing.tuple_text(map(str, value.shape))
    return f"added_at({shape}, (({places}, {inner.text}) {' '.join(clauses)}))"


# ---------------------------------------------------------------- loops


def nested(
    value: Expr, groups: tuple[tuple[str, ...], ...], cursors: Cursors, block: Block
) -> Code:
    """Return the value as nested comprehensions, one for each group of letters."""
    if not groups:
        return scalar(value, cursors, block)
    if isinstance(value, Concatenate) and groups[0] == (value.letter,):
        parts = [
            nested(part, ((letter,), *groups[1:]), cursors, block)
            for part, letter in zip(value.parts, value.letters, strict=True)
        ]
        return Code(" + ".join(part.text for part in parts), Level.SUM)
    if isinstance(value, Stack) and groups[0] == (value.letter,):
        parts = [nested(part, groups[1:], cursors, block) for part in value.parts]
        return Code(f"[{', '.join(part.text for part in parts)}]", Level.ATOM)
    clauses = []
    for axis in groups[0]:
        clause, cursors = entered(axis, leaves(value), cursors, block)
        clauses.append(clause)
    inner = nested(value, groups[1:], cursors, block)
    if len(groups) == len(clauses) == 1 and clauses[0].startswith("for _ in range("):
        return Code(f"[{inner.text}] * {block.ranges[groups[0][0]]}", Level.PRODUCT)
    if len(clauses) == 1 and clauses[0].startswith(f"for {inner.text} in "):
        return Code(f"list({clauses[0].partition(' in ')[2]})", Level.ATOM)
    return Code(f"[{inner.text} {' '.join(clauses)}]", Level.ATOM)


def entered(axis: str, read: Sequence[Leaf], cursors: Cursors, block: Block) -> tuple[str, Cursors]:
    """Return the clause that loops along an axis, and what the arrays are called inside."""
    inside = dict(cursors)
    loops = {}
    for leaf in read:
        cursor = cursors[leaf]
        if cursor.rest[:1] == (axis,):
            name = inner_name(leaf, cursor, block)
            loops[name] = rows(leaf, cursor)
            inside[leaf] = Cursor(name, cursor.rest[1:])
    if not loops:
        return f"for _ in range({block.ranges[axis]})", inside
    if len(loops) == 1:
        ((name, iterable),) = loops.items()
        return f"for {name} in {iterable}", inside
    return f"for {', '.join(loops)} in zip({', '.join(loops.values())}, strict=True)", inside


def inner_name(leaf: Leaf, cursor: Cursor, block: Block) -> str:
    """Return the name of an array's part one axis further in: z1_n, then z1_nj."""
    if isinstance(leaf, Position):
        return counter(leaf.axis, block)
    done = leaf.axes[: len(leaf.axes) - len(cursor.rest) + 1]
    starts = leaf.ranges[: len(done)] if isinstance(leaf, Slice) else ()
    offset = "".join(f"_from_{part[0]}" for part in starts if part)
    return f"{leaf.name}_{''.join(done)}{offset}"


def rows(leaf: Leaf, cursor: Cursor) -> str:
    """Return what a loop along the next axis of an array runs over."""
    axis = cursor.rest[0]
    match leaf:
        case Slice(axes=axes, ranges=ranges):
            part = ranges[axes.index(axis)]
            return f"{cursor.text}[{part[0]}:{part[1]}]" if part else cursor.text
        case Split(groups=groups, sizes=sizes):
            group = next(group for group in groups if axis in group)
            below = group[group.index(axis) + 1 :]
            if below:
                size = prod(int(dict(sizes)[letter]) for letter in below)
                return f"chunks({cursor.text}, {size})"
    return cursor.text


# ---------------------------------------------------------------- one number


def scalar(expr: Expr, cursors: Cursors, block: Block) -> Code:
    """Return one number of the expression, inside of all its loops."""
    match expr:
        case Number(value):
            whole = isinstance(value, float) and value == int(value)
            return (
                replace(printing.literal(value), text=repr(value))
                if whole
                else (printing.literal(value))
            )
        case Size(dim):
            return Code(dim, Level.ATOM)
        case Apply(name):
            parts = printing.factors(expr)
            return function(name, tuple(scalar(part, cursors, block) for part in parts))
        case Reduce(name, body, over):
            return reduced(name, body, over, cursors, block)
        case Contract(left, right, over):
            return contracted(left, right, over, cursors, block)
        case Read() | Slice() | Split() | Lookup() | Position():
            return Code(cursors[expr].text, Level.ATOM)
    raise ValueError(f"a joined array inside of an expression: {expr}")


def function(name: str, args: tuple[Code, ...]) -> Code:
    """Return an elementwise function of numbers."""
    match name:
        case "add":
            return reduce(printing.add, args)
        case "subtract":
            return printing.add(args[0], args[1], "-")
        case "multiply":
            return reduce(printing.multiply, args)
        case "divide":
            return printing.divide(args[0], args[1])
        case "negative":
            return printing.negate(args[0])
        case "power" if args[1].text == "0.5":
            return printing.call("math.sqrt", args[:1])
        case "power" if args[1].text == "-0.5":
            root = printing.call("math.sqrt", args[:1])
            return printing.divide(printing.literal(1), root)
        case "power":
            return printing.power(args[0], args[1], unrolled=True)
        case "where":
            return printing.choose(args[0], decimal(args[1]), decimal(args[2]))
        case "maximum" | "minimum":
            return printing.call(PLAIN[name], map(decimal, args))
        case "relu":  # in this order max keeps NaN
            return printing.call("max", (decimal(args[0]), Code("0.0", Level.ATOM)))
        case "and" | "or" | "not":
            return printing.logic(name, args)
    if name in COMPARISONS:
        return printing.compare(name, args[0], args[1])
    called = f"math.{name}" if name in MATH else PLAIN.get(name, name)
    return printing.call(called, args)


def decimal(number: Code) -> Code:
    """Return a whole number as a float, where it may become the result."""
    is_whole = number.text.removeprefix("-").isdigit()
    return replace(number, text=f"{number.text}.0") if is_whole else number


def reduced(name: str, body: Expr, over: tuple[str, ...], cursors: Cursors, block: Block) -> Code:
    """Return a reduction: of a row as it stands, or of a generator."""
    called = "math.prod" if name == "prod" else name
    if len(over) > 1:
        clause, inside = entered(over[0], leaves(body), cursors, block)
        inner = reduced(name, body, over[1:], inside, block)
        return Code(f"{called}({inner.text} {clause})", Level.ATOM)
    if isinstance(body, Leaf) and cursors[body].rest == over:
        return Code(f"{called}({rows(body, cursors[body])})", Level.ATOM)
    clause, inside = entered(over[0], leaves(body), cursors, block)
    inner = scalar(body, inside, block)
    text = f"{inner.text} {clause}"
    return Code(
        f"{called}([{text}])" if name.startswith("arg") else f"{called}({text})", Level.ATOM
    )


def contracted(
    left: Expr, right: Expr, over: tuple[str, ...], cursors: Cursors, block: Block
) -> Code:
    """Return Σ left·right; of two rows as sum(map(mul, …)), the fastest there is."""
    both = leaves(Contract(left, right, over))
    if len(over) > 1:
        clause, inside = entered(over[0], both, cursors, block)
        inner = contracted(left, right, over[1:], inside, block)
        return Code(f"sum({inner.text} {clause})", Level.ATOM)
    sides = [
        rows(side, cursors[side])
        for side in (left, right)
        if isinstance(side, Leaf) and cursors[side].rest == over
    ]
    if len(sides) == 2:
        return Code(f"sum(map(mul, {', '.join(sides)}))", Level.ATOM)
    clause, inside = entered(over[0], both, cursors, block)
    product = printing.multiply(scalar(left, inside, block), scalar(right, inside, block))
    return Code(f"sum({product.text} {clause})", Level.ATOM)


# ---------------------------------------------------------------- around the lines


def helpers(statements: Sequence[Statement], program: Program) -> tuple[str, ...]:
    """Return the names of the helper functions the lines call."""
    return tuple(sorted(printing.called(bare(statements, program)) - {"mul"}))


def sizes(statements: Sequence[Statement], program: Program) -> tuple[str, ...]:
    """Return the run-time sizes the lines use, to be defined before them."""
    read = printing.read(bare(statements, program))
    return tuple(sorted(read & printing.run_time_sizes(program)))


def size(dim: str, tensor: Tensor) -> str:
    """Return the expression of a run-time size, read off an array."""
    return f"len({tensor.name}{'[0]' * tensor.shape.index(dim)})"


def bare(statements: Sequence[Statement], program: Program) -> tuple[str, ...]:
    """Return the code without the formulas."""
    if any(statement.loop for statement in statements):
        return lines(statements, program)
    return tuple(code for code, _ in coded(statements, Block(program)))


def initial(tensor: Tensor, program: Program) -> str:
    """Return the expression that draws the tensor's values from `rng`, a random.Random."""
    draw = tensor.draw
    if draw is None:
        raise ValueError(f"{tensor.name} has no values of its own")
    dims = [str(dim) for dim in tensor.shape]
    arguments = ", ".join(printing.number(argument) for argument in draw.arguments)
    match draw.kind:
        case "values":
            return values(draw.values)
        case "constant":
            text = repr(float(draw.arguments[0]))
            if dims:
                text = f"[{text}] * {dims.pop()}"
        case "uniform":
            text = f"rng.uniform({arguments})"
        case "normal":
            text = f"rng.gauss({arguments})"
        case "keep":
            text = f"(rng.random() < {arguments}) / {arguments}"
        case "identity":
            return f"[[float(i == j) for j in range({dims[1]})] for i in range({dims[0]})]"
        case kind:
            return f"drawn_{kind}(rng, ({', '.join(dims)}{',' * (len(dims) == 1)}), {arguments})"
    for dim in reversed(dims):
        text = f"[{text} for _ in range({dim})]"
    return text


def values(nested_values: object) -> str:
    """Return nested tuples of numbers as the text of nested lists."""
    if isinstance(nested_values, tuple):
        return f"[{', '.join(values(item) for item in nested_values)}]"
    return repr(float(str(nested_values)))
