"""Loops, and what is done in them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import inf, prod

from symback import printing
from symback.printing import Level
from symback.program import (
    Affine,
    Apply,
    Dim,
    Expr,
    Lookup,
    Number,
    Position,
    Read,
)
from symback.targets._loops import (
    PARTS,
    THREADS,
    Access,
    Best,
    Call,
    Gain,
    Known,
    Leaf,
    Lined,
    Loop,
    Nests,
    Node,
    Own,
    Parts,
    Product,
    Put,
    Shares,
    Start,
    Strided,
    is_parallel,
    once,
    rounds,
    values_of,
    writes_of,
)
from symback.targets.c.products import lined, of_matrix, product, stride
from symback.targets.c.scope import Scope
from symback.targets.c.text import told
from symback.targets.c.values import bounds, element, literal, seen, start, value

GAINS = {"sum": "+=", "prod": "*="}
LONG = 64  # rounds of a loop that fill the processor's registers well enough
STARTS = {"sum": 0, "prod": 1, "max": -inf, "min": inf}


def block(made_of: Nests, scope: Scope, rows: int) -> tuple[str, ...]:
    """Return the lines of a block of loops."""
    found: list[str] = []
    for node in made_of.nodes:
        found += outermost(node, scope, rows)
    return tuple(found)


def outermost(node: Node, scope: Scope, rows: int, margin: str = "") -> Iterator[str]:
    """Yield the lines of a nest, on several threads where that is worth it and safe.

    A recurrence takes its steps in order; within each, threads share what isn't in order.
    """
    if isinstance(node, Shares) and not scope.alone:
        yield from in_shares(node, scope, rows, margin)
        return
    if isinstance(node, Loop) and node.serial and not scope.alone:
        yield heading(node, scope, margin)
        for part in node.body:
            yield from outermost(part, scope, rows, margin + "    ")
        yield f"{margin}}}"
        return
    shapes = {tensor.name: tensor.shape for tensor in scope.arrays.values()}
    loop = node.loop if isinstance(node, Parts) else node
    shared = isinstance(node, Parts) or (
        isinstance(node, Loop) and is_parallel(node, Known(rows, shapes, scope.owners))
    )
    if isinstance(loop, Loop) and shared and not scope.alone:
        each = rounds(loop, rows) // (loop.size if isinstance(loop.size, int) else rows)
        yield f"{margin}PARALLEL({scope.name(str(loop.size))} * {each} >= {THREADS})"
    yield from printed(node, scope, margin)


def heading(loop: Loop, scope: Scope, margin: str, share: tuple[str, str] | None = None) -> str:
    """Return a loop's first line; `share`: where those of its rounds begin and end that it has."""
    at = scope.counter(loop.letter)
    first, end = share or ("0", scope.name(str(loop.size)))
    upwards = f"idx {at} = {first}; {at} < {end}; {at}++"
    downwards = f"idx {at} = {end} - 1; {at} >= 0; {at}--"
    return f"{margin}for ({downwards if loop.serial < 0 else upwards}) {{"


def printed(node: Node, scope: Scope, margin: str) -> Iterator[str]:
    """Yield a node's lines."""
    match node:
        case Loop(body=(Loop(body=(Put(because=because),)),)) if call := turned(node, scope):
            yield from told(call, because, margin)
        case Loop() if not scope.run and len(run := as_one(node, scope)) > 1:
            inside_run = replace(scope, run=tuple(loop.letter for loop in run))
            size = prod(int(loop.size) for loop in run)
            if pragma := vectorised(run[-1], scope):
                yield margin + pragma
            yield heading(Loop(inside_run.runner, size, ()), scope, margin)
            for part in run[-1].body:
                yield from printed(part, inside_run, margin + "    ")
            yield f"{margin}}}"
        case Loop():
            if pragma := vectorised(node, scope):
                yield margin + pragma
            yield heading(node, scope, margin)
            for part in node.body:
                yield from printed(part, scope, margin + "    ")
            yield f"{margin}}}"
        case Parts():
            yield from in_parts(node, scope, margin)
        case Shares(loop):
            yield from printed(loop, scope, margin)
        case Own(tensor):
            name, dims = scope.name(tensor.name), "".join(f"[{dim}]" for dim in tensor.shape)
            yield f"{margin}{'static ' if scope.alone else ''}real {name}{dims};"
        case Start():
            yield from started(node, scope, margin)
        case Put(target, expr, because):
            yield from told(put(target, expr, scope), because, margin)
        case Gain(function_name, target, expr, because):
            yield from told(gain(function_name, target, expr, scope), because, margin)
        case Best(function_name, place, best, letter, expr, _):
            sign, found = ">" if function_name == "argmax" else "<", value(expr, scope)
            better, more = f"{found.at(Level.COMPARE)} {sign} {best}", found.at(Level.OR)
            yield f"{margin}{place} = {better} ? {scope.counter(letter)} : {place};"
            yield f"{margin}{best} = {better} ? {more} : {best};"
        case Product():
            yield from told(product(node, scope), node.because, margin)
        case Lined():
            said = f"{printing.formula(node.right)}, as the product reads it"
            yield from told(lined(node, scope), said, margin)
        case Call():
            yield from told(of_matrix(node, scope), node.because, margin)


def put(target: Access, expr: Expr, scope: Scope) -> str:
    """Return an assignment; a local number is made by it."""
    place = element(target, scope)
    if isinstance(expr, Apply) and len(expr.args) == 2 and expr.args[0] == target:
        sign = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}.get(expr.function)
        if sign:
            return f"{place} {sign}= {value(expr.args[1], scope).text};"
    kind = "" if target.name in scope.arrays else f"const {scope.real} "
    return f"{kind}{place} = {value(expr, scope).text};"


def gain(function_name: str, target: Access, expr: Expr, scope: Scope) -> str:
    """Return how a sum, a product, a maximum or a minimum takes in one more value."""
    place, more = element(target, scope), value(expr, scope)
    if isinstance(target, Lookup) and (tests := bounds(target, scope)):
        return f"if ({tests}) {place} {GAINS[function_name]} {more.text};"
    if function_name in GAINS:
        return f"{place} {GAINS[function_name]} {more.text};"
    word = {"max": "larger", "min": "smaller"}[function_name]
    return f"{place} = {word}({place}, {more.text});"


def in_shares(node: Shares, scope: Scope, rows: int, margin: str) -> Iterator[str]:
    """Yield a recurrence of which each thread takes a share of the examples through all steps."""
    loop, size = node.loop, scope.name(node.size)
    part, first, last = (scope.counter(word) for word in ("part", "first", "last"))
    each = rounds(loop, rows) // rows
    yield f"{margin}PARALLEL({size} * {each} >= {THREADS})"
    yield f"{margin}for (idx {part} = 0; {part} < SHARES; {part}++) {{"
    inner = margin + "    "
    yield f"{inner}const idx {first} = {size} * {part} / SHARES;"
    yield f"{inner}const idx {last} = {size} * ({part} + 1) / SHARES;"
    yield heading(loop, scope, inner)
    for each_part in loop.body:
        margin_in = inner + "    "
        if isinstance(each_part, Product):
            yield from told(product(each_part, scope, (first, last)), each_part.because, margin_in)
        elif isinstance(each_part, Loop):
            yield heading(each_part, scope, margin_in, (first, last))
            for statement in each_part.body:
                yield from printed(statement, scope, margin_in + "    ")
            yield f"{margin_in}}}"
    yield f"{inner}}}"
    yield f"{margin}}}"


def in_parts(node: Parts, scope: Scope, margin: str) -> Iterator[str]:
    """Yield a loop over the parts of a batch, each with its own sums."""
    loop, part = node.loop, scope.counter("part")
    at, size = scope.counter(loop.letter), scope.name(str(loop.size))
    yield f"{margin}for (idx {part} = 0; {part} < {PARTS}; {part}++) {{"
    for _, tensor in node.sums:
        axes = tuple(f"p'{k}" for k in range(1, len(tensor.shape)))
        zero: Node = Put(Read(tensor.name, ("part", *axes)), Number(0))
        for letter, dim in reversed(list(zip(axes, tensor.shape[1:], strict=True))):
            zero = Loop(letter, dim, (zero,))
        for inner in once(zero):
            yield from printed(inner, scope, margin + "    ")
    ends = f"{size} * {part} / {PARTS}", f"{size} * ({part} + 1) / {PARTS}"
    yield f"{margin}    for (idx {at} = {ends[0]}; {at} < {ends[1]}; {at}++) {{"
    for inner in loop.body:
        yield from printed(inner, scope, margin + "        ")
    yield f"{margin}    }}"
    yield f"{margin}}}"


def started(node: Start, scope: Scope, margin: str) -> Iterator[str]:
    """Yield the lines that set what will gain to its start."""
    name = scope.name(node.target.name)
    if node.function.startswith("arg"):
        yield f"{margin}idx {name} = 0;"
    elif node.target.name not in scope.arrays:
        kind = scope.real if margin else "double"  # a sum over all examples keeps its digits
        yield f"{margin}{kind} {name} = {literal(STARTS[node.function], scope).text};"
    else:
        zero = Put(node.target, Number(STARTS[node.function]))
        nest: Node = zero
        for letter, dim in reversed(list(zip(node.target.axes, node.size, strict=True))):
            nest = Loop(letter, dim, (nest,))
        for inner in once(nest):
            yield from printed(inner, scope, margin)


def vectorised(loop: Loop, scope: Scope) -> str:
    """Return the directive of an innermost loop whose rounds can run side by side."""
    if loop.serial:
        return ""
    sums: list[str] = []
    for node in loop.body:
        match node:
            case Put(target=target) if not target.axes and target.name not in scope.arrays:
                continue  # a local number of the round's own
            case Put(target=target) if loop.letter in target.axes:
                continue
            case Gain(function="sum", target=target) if runs_along(target, loop.letter):
                continue
            case Gain(function="sum", target=target) if target.name not in scope.arrays:
                sums.append(scope.name(target.name))
            case _:
                return ""
    return f"SIMD(reduction(+:{', '.join(sums)}))" if sums else "SIMD()"


def as_one(node: Loop, scope: Scope) -> tuple[Loop, ...]:
    """Return the loops of a nest that one counter can run over: its arrays lie there row by row.

    Rows that are long enough stay loops of their own.
    """
    loops = [node]
    while len(loops[-1].body) == 1 and isinstance(inner := loops[-1].body[0], Loop):
        loops.append(inner)
    sizes = {loop.letter: loop.size for loop in loops}
    last, letters = loops[-1], tuple(sizes)
    if any(loop.serial or isinstance(loop.size, str) for loop in loops) or int(last.size) >= LONG:
        return ()
    if not all(isinstance(part, Put | Gain) for part in last.body):
        return ()
    places = (each for part in last.body for each in (*values_of(part), *writes_of(part)))
    for each in places:
        moves = isinstance(each, (*Leaf, Position)) and set(each.axes) & set(letters)
        if moves and not (isinstance(each, Strided) and runs_through(each, sizes, scope)):
            return ()
    return tuple(loops)


def runs_through(access: Strided, sizes: Mapping[str, Dim], scope: Scope) -> bool:
    """Tell whether letters, with all of their values, are the last ones of an array."""
    tensor = scope.arrays.get(access.name)
    if tensor is None or not all(isinstance(dim, int) for dim in tensor.shape[1:]):
        return False
    known = dict(zip(access.axes, seen(access, scope), strict=True))
    rest = access.axes[: -len(sizes)]
    whole = all(known.get(letter) == size for letter, size in sizes.items())
    return whole and access.axes[-len(sizes) :] == tuple(sizes) and not set(rest) & set(sizes)


def turned(node: Loop, scope: Scope) -> str:
    """Return the call that copies a matrix with its axes turned, if that is all a nest does."""
    match node:
        case Loop(
            row,
            int() as rows,
            (Loop(column, int() as columns, (Put(Read() as into, Read() as of),)),),
        ) if into.axes[-2:] == (row, column) and of.axes[-2:] == (column, row):
            if {into.name, of.name} <= scope.arrays.keys() and min(rows, columns) > 1:
                starts = (
                    start(access, {row, column}, scope)
                    + f", {stride(access, access.axes[-2:-1], scope)}"
                    for access in (of, into)
                )
                return f"turn({rows}, {columns}, {', '.join(starts)});"
    return ""


def runs_along(target: Access, letter: str) -> bool:
    """Tell whether each round of a letter's loop writes a place of its own."""
    if not isinstance(target, Lookup):
        return letter in target.axes
    return any(isinstance(place, Affine) and letter in place.axes for place in target.places)
