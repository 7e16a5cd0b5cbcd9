"""Statements as operations that write into arrays made once, none of them made anew."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from symback.passes.names import all_names, names
from symback.places import at
from symback.printing import COMPARISONS, arrays, natural, ordered, ranges_among, walk
from symback.program import (
    Affine,
    Apply,
    Concatenate,
    Contract,
    Dim,
    Draw,
    Expr,
    Form,
    Leaf,
    Lookup,
    Number,
    Position,
    Program,
    Read,
    Reduce,
    Role,
    Scatter,
    Size,
    Slice,
    Split,
    Stack,
    Statement,
    Tensor,
    View,
    mapped,
    merged,
)

LONG = 512  # numbers side by side, from which on NumPy repeats a smaller array as fast as a copy
FEW = 4  # values of an index that are written one by one
SHORT = 32  # columns: below, NumPy's own loop over a row costs more than turning the array
COMMUTATIVE = {"add", "multiply", "maximum", "minimum"}


def buffers(program: Program) -> Program:
    """Return the program with each array statement as operations that write into arrays made once.

    The order of operations is kept, so the numbers are too, to the last bit; only sums over one of
    two axes become products with ones, and sums of products one product, which is faster. Numbers,
    views and what has no form that writes in place stay as they are.
    """
    taken = all_names(program)
    network = Workspace(program, taken)
    optimizer = Workspace(replace(program, tensors=()), taken)
    forward, loss, backward = (
        network.rewritten(block) for block in (program.forward, program.loss, program.backward)
    )
    elements = optimizer.rewritten(program.update.elements)
    forms: list[Form] = []
    for form in program.update.forms:
        forms.append(in_place(form, program, taken))
        taken |= {buffer.name for buffer in forms[-1].buffers}
    return replace(
        program,
        forward=forward,
        loss=loss,
        backward=backward,
        update=replace(
            program.update,
            elements=elements,
            forms=tuple(forms),
            buffers=tuple(optimizer.made.values()),
        ),
        buffers=(*program.buffers, *network.made.values()),
        views=(*program.views, *network.views),
    )


def in_place(form: Form, program: Program, taken: frozenset[str]) -> Form:
    """Return an optimiser's form as operations that write into arrays made once."""
    there = {"w", "g", *(state.name for state in form.states)}
    inside = replace(
        program,
        tensors=form.tensors,
        forward=(),
        loss=(),
        backward=(),
        gradients=(),
        assumptions=(),
        buffers=tuple(tensor for tensor in form.tensors if tensor.name in there),
        views=(),
    )
    work = Workspace(inside, taken)
    parts = tuple(replace(p, statements=work.rewritten(p.statements)) for p in form.parts)
    return replace(form, parts=parts, buffers=tuple(work.made.values()))


@dataclass(slots=True)
class Workspace:
    """The arrays made so far, and the statements written for the one that is being rewritten."""

    program: Program
    taken: frozenset[str]  # names that scratch arrays must not have
    made: dict[str, Tensor] = field(default_factory=dict)
    free: dict[tuple[Role, tuple[Dim, ...]], list[str]] = field(default_factory=dict)
    written: list[Statement] = field(default_factory=list)
    views: list[View] = field(default_factory=list)  # parts of arrays that are written apart
    there: set[str] = field(default_factory=set)  # made elsewhere, or names of what is there
    dims: dict[str, Dim] = field(default_factory=dict)  # each letter's range in the statement
    tensors: Mapping[str, Tensor] = field(init=False)  # the program's by name
    labels: frozenset[str] = field(init=False)  # those that hold labels
    certain: frozenset[str] = field(init=False)  # labels that are known to be among their classes
    strided: frozenset[str] = field(init=False)  # views whose numbers don't lie side by side

    def __post_init__(self) -> None:
        self.tensors = arrays(self.program)
        self.there = {tensor.name for tensor in self.program.buffers}
        known = {a.tensor for a in self.program.assumptions if a.kind == "classes"}
        self.certain = frozenset(t.name for t in self.program.tensors if t.key in known)
        self.strided = frozenset(v.tensor.name for v in self.program.views if not v.is_dense)
        self.labels = frozenset(t.name for t in self.program.tensors if t.classes is not None)

    # ------------------------------------------------------------ statements

    def rewritten(self, block: Sequence[Statement]) -> tuple[Statement, ...]:
        """Return a block's statements in place; a group's first statement carries its formula."""
        done: list[Statement] = []
        for statement in block:
            self.written = []
            self.dims = ranges_among(statement, self.tensors)
            self.rewrite(statement)
            first, *rest = (replace(each, loop=statement.loop) for each in self.written)
            done.append(replace(first, because=statement.because))
            done += [replace(further, because="") for further in rest]
        return tuple(done)

    def rewrite(self, statement: Statement) -> None:
        target, value = statement.target, statement.value
        tensor = self.tensors.get(target.name)
        labels = tensor is not None and tensor.classes is not None
        found = not isinstance(value, Leaf) or (
            isinstance(value, Read) and value.axes != target.axes
        )
        gradient = target.name in {name for _, name in self.program.gradients}
        view = isinstance(value, Read | Slice | Split) and not gradient and tensor is not None
        alias = statement.loop is None and view and value.axes == target.axes
        named = alias or self.program.gives_name(statement)
        as_it_is = named or self.is_step(statement) or (labels and not found)
        if isinstance(target, Split) and isinstance(value, Read) and value.axes != target.axes:
            self.make(Read(target.name, ()), gradient=gradient)
            self.written.append(replace(statement, in_place=True))
        elif isinstance(target, Split) and isinstance(value, Contract):
            into = Read(target.name, target.axes)
            self.make(into, gradient=gradient)
            self.product(value, into)
            self.written = [
                replace(s, target=target) if s.target == into else s for s in self.written
            ]
        elif isinstance(target, Split) or as_it_is:
            self.written.append(statement)
            self.there.add(target.name)
        elif not target.axes:
            self.number(statement)
        else:
            self.make(target, gradient=gradient)
            for place, each in self.by_place(target, value):
                self.write(each, place, frozenset())

    def by_place(self, target: Read, value: Expr) -> Iterator[tuple[Read, Expr]]:
        """Yield an array and its value, or parts of it, where an index of few values is compared.

        dy[n,i]·[p = a[n,i]] for two p are two products, each written into a part of the array.
        """
        letters = {node.axis for node in walk(value) if isinstance(node, Position)}
        whole = (n for n in walk(value) if isinstance(n, Leaf | Scatter | Concatenate | Stack))
        letters &= {*target.axes} - {axis for node in whole for axis in node.axes}
        few = [a for a in letters if isinstance(dim := self.dims.get(a), int) and dim <= FEW]
        if len(few) != 1 or len(target.axes) < 2 or self.labels & names(value):
            yield target, value
            return
        [letter] = few
        for k in range(int(self.dims[letter])):
            yield self.part_at(target, letter, k), settled(at(value, letter, k, self.dims))

    def is_step(self, statement: Statement) -> bool:
        """Tell whether a recurrence's statement stays as it is: a name, or a whole of one step."""
        loop = statement.loop
        if loop is None:
            return False
        return loop.letter in statement.target.axes

    def make(self, target: Read, *, gradient: bool) -> None:
        """Note the target's own array, unless it is there already or a part of the gradient."""
        states = {state.name for state in self.program.update.states}
        tensor = next((t for t in self.program.tensors if t.name == target.name), None)
        if target.name in self.there:
            return
        if tensor is not None and not gradient:
            self.made[tensor.name] = tensor
        elif tensor is None and target.name not in states | {"w", "g"}:
            self.made[target.name] = Tensor(target.name, target.name, Role.VALUE, ("p",))

    def put(self, target: Read, value: Expr) -> None:
        """Write one operation."""
        self.written.append(Statement(target, value, "", in_place=True))

    # ------------------------------------------------------------ scratch arrays

    def scratch(self, axes: tuple[str, ...], role: Role = Role.VALUE) -> Read:
        """Return an array of these axes that nothing else uses now."""
        shape = tuple(self.dims.get(axis, axis) for axis in axes)
        spare = self.free.setdefault((role, shape), [])
        if not spare:
            name = self.fresh(shape)
            self.made[name] = Tensor(name, name, role, shape)
            spare.append(name)
        return Read(spare.pop(), axes)

    def fresh(self, shape: tuple[Dim, ...]) -> str:
        """Return a name for scratch: e, f, … of the first array of that shape: e_z1."""
        tensors = self.program.tensors
        like = next(
            (f"_{tensor.name}" for tensor in tensors if shape and tensor.shape == shape), ""
        )
        taken = self.taken | self.made.keys()
        letters = (letter * times for times in range(1, 9) for letter in "efghuv")
        return next(name for letter in letters if (name := f"{letter}{like}") not in taken)

    def release(self, *operands: Expr) -> None:
        """Give scratch arrays back."""
        for operand in operands:
            made = self.made.get(operand.name) if isinstance(operand, Read) else None
            if made is not None and made.name not in self.tensors:
                spare = self.free.get((made.role, made.shape))
                if spare is not None and made.name not in spare:
                    spare.append(made.name)

    # ------------------------------------------------------------ expressions

    def write(self, expr: Expr, into: Read, busy: frozenset[str]) -> None:
        """Write operations that leave the expression's value in the array `into`.

        The arrays named in `busy` are still read later, so they must keep their values.
        """
        expr = plainer(expr)
        match expr:
            case Apply("where", args):
                self.choose(args, into, busy)
            case Apply("power", (base, Number(2))) if set(base.axes) == set(into.axes):
                place = into if into.name not in names(base) | busy else self.scratch(into.axes)
                self.write(base, place, busy)
                self.put(into, Apply("multiply", (place, place)))
                if place != into:
                    self.release(place)
            case Apply(name, args) if name in COMPARISONS and self.alike(args, into):
                mask = self.truth(expr)
                self.move(mask, into)
            case Apply("erf" | "erfc" as name, (x,)):
                self.special(name, x, into)
            case Apply("multiply", (factor, condition)) if self.is_mask(factor, condition, into):
                mask = self.truth(condition)
                if not simple(factor):
                    self.write(factor, into, busy)
                    factor = into
                self.put(into, Apply("multiply", (factor, mask)))
                self.release(mask)
            case Apply(name, args):
                operands = self.operands(args, into, busy)
                if name in COMMUTATIVE and operands[1] == into:
                    operands = (operands[1], operands[0])
                operands = tuple(self.spread(operand, into) for operand in operands)
                self.put(into, Apply(name, operands))
                self.release(*(operand for operand in operands if operand != into))
            case Reduce() | Contract() | Concatenate() | Stack() if {*expr.axes} != {*into.axes}:
                made = self.operand(expr)
                self.move(made, into)
            case Reduce(name, body, over):
                operand = self.upright(self.operand(body), name, over)
                made = Reduce(name, operand, over)
                self.put(into, made if into.name in self.strided else self.summed(made))
                self.release(operand)
            case Lookup() if not is_view(expr):
                self.look_up(expr, into)
            case Scatter():
                self.scatter(expr, into)
            case Contract() if into.name in self.strided | names(expr):
                # A product wants numbers side by side, and its factors as they are.
                made = self.operand(expr)
                self.move(made, into)
            case Contract():
                self.product(expr, into)
            case Concatenate():
                self.join(expr, into)
            case Stack(parts, letter) if len(into.axes) == 1:  # a place of it is no array
                self.put(into, Stack(tuple(map(self.operand, parts)), letter))
            case Stack(parts, letter):
                for k, part in enumerate(parts):
                    self.write(part, self.part_at(into, letter, k), frozenset())
            case _:
                self.put(into, expr)

    def move(self, made: Expr, into: Read) -> None:
        """Copy what was written for itself to where it is wanted."""
        self.put(into, made)
        self.release(made)

    def join(self, expr: Concatenate, into: Read) -> None:
        """Write the parts of an array one after another, each where it stands."""
        start = 0
        axis = into.axes.index(expr.letter)
        for k, (part, letter) in enumerate(zip(expr.parts, expr.letters, strict=True)):
            axes = (*into.axes[:axis], letter, *into.axes[axis + 1 :])
            count = int(self.dims[letter])
            places = tuple(Affine(start if a == letter else 0, ((a, 1),)) for a in axes)
            self.write(part, self.part_of(into, k, places, axes), frozenset())
            start += count

    def part_at(self, array: Read, letter: str, place: int) -> Read:
        """Return a name for an array at one place of an axis."""
        axes = tuple(axis for axis in array.axes if axis != letter)
        places = tuple(
            Affine(place, ()) if axis == letter else Affine(0, ((axis, 1),)) for axis in array.axes
        )
        return self.part_of(array, place, places, axes)

    def part_of(
        self, array: Read, number: int, places: tuple[Affine, ...], axes: tuple[str, ...]
    ) -> Read:
        """Return a name for a part of an array, of which only some places are written."""
        name = f"{array.name}_{number}"
        while name in self.taken | self.made.keys():
            name += "_"
        self.taken |= {name}
        part = Lookup(array.name, places, tuple((axis, self.dims[axis]) for axis in axes))
        whole = self.tensors.get(array.name)
        classes = whole.classes if whole else None
        dims = tuple(self.dims[axis] for axis in axes)
        tensor = Tensor(name, name, Role.VALUE, dims, classes)
        self.views.append(View(tensor, part))
        self.strided |= {name}
        self.written.append(Statement(Read(name, axes), part, ""))
        return Read(name, axes)

    def special(self, name: str, x: Expr, into: Read) -> None:
        """Write a function that NumPy lacks: it works in arrays of its own."""
        axes = into.axes
        operand = x if isinstance(x, Read) and x.axes == axes and x != into else self.scratch(axes)
        if operand != x:
            self.write(x, operand, frozenset())
        work = [self.scratch(axes) for _ in range(3)]
        work += [self.scratch(axes, Role.MASK)] if name == "erf" else []
        place = self.scratch(axes) if into.name in self.strided else into
        self.put(place, Apply(name, (operand, *work)))
        if place != into:
            self.move(place, into)
        self.release(*work, *(() if operand == x else (operand,)))

    def product(self, expr: Contract, into: Read) -> None:
        """Write a product: as one of two matrices, whose sides are turned so where they must be."""
        left, right, over = self.operand(expr.left), self.operand(expr.right), expr.over
        if not is_turned(left.axes, right.axes, over, into.axes):
            self.put(into, Contract(left, right, over))
            self.release(left, right)
            return
        if into.axes[0] in right.axes:  # rows are of the side that comes first
            left, right = right, left
        over = ordered(over, left.axes)
        rows, columns = (
            tuple(a for a in into.axes if a in {*side.axes} - {*over}) for side in (left, right)
        )
        left, right = self.as_matrix(left, rows, over), self.as_matrix(right, columns, over)
        made = into if into.axes == rows + columns else self.scratch(rows + columns)
        self.put(made, Contract(left, right, over))
        if made != into:
            self.move(made, into)
        self.release(left, right)

    def as_matrix(self, side: Expr, own: tuple[str, ...], over: tuple[str, ...]) -> Expr:
        """Return a side of a product with the letters that are summed behind its own, or before."""
        if side.axes in {own + over, over + own}:
            return side
        turned = self.scratch(own + over)
        self.put(turned, side)
        self.release(side)
        return turned

    def look_up(self, expr: Lookup, into: Read) -> None:
        """Write what stands at labels: rows of a table, where they are known to be among them."""
        if into.axes != expr.axes:
            made = self.scratch(expr.axes)
            self.look_up(expr, made)
            self.move(made, into)
            return
        first = expr.places[0]
        if not isinstance(first, Read) or first.name not in self.certain or not is_rows(expr):
            self.put(into, expr)
            return
        rest = tuple(axis for place in expr.places[1:] for axis in place.axes)
        self.put(into, Apply("rows", (Read(expr.name, ("", *rest)), first)))

    def scatter(self, expr: Scatter, into: Read) -> None:
        """Write values at computed places; those that need an array for themselves get one."""
        if into.axes != expr.axes:
            made = self.scratch(expr.axes)
            self.scatter(expr, made)
            self.move(made, into)
            return
        body = expr.body
        if expr.groups and isinstance(body, Read):
            target = Split(into.name, expr.groups, expr.sizes)
            self.written.append(Statement(target, body, "", in_place=True))
            return
        inner = tuple(a for p in expr.places if isinstance(p, Affine) for a in p.axes[1:])
        ends = tuple(p.axes[0] for p in expr.places if isinstance(p, Affine) and len(p.axes) > 1)
        still = tuple(letter for letter in expr.windows if letter not in {*inner, *ends})
        if letters := merged(*expr.groups) or (expr.windows and (*still, *inner, *ends)):
            made = self.scratch(letters)
            self.write(body, made, frozenset())
            body = made
        elif not simple(body):
            body = self.operand(body)
        self.put(into, replace(expr, body=body))
        self.release(body)

    def is_mask(self, factor: Expr, condition: Expr, into: Read) -> bool:
        """Tell whether truth values multiply floats that lie apart: faster than as floats."""
        if not isinstance(condition, Apply) or condition.function not in COMPARISONS:
            return False
        if into.name not in self.strided:
            return False
        axes = {*into.axes}
        whole = {*factor.axes} == axes == {*condition.axes} and not self.labels & names(factor)
        return whole and self.alike(condition.args, into) and into.name not in names(condition)

    def alike(self, args: tuple[Expr, ...], into: Read) -> bool:
        """Tell whether all arguments are floats of the axes of `into`, or numbers."""
        return all(
            not arg.axes or (set(arg.axes) == set(into.axes) and not self.labels & names(arg))
            for arg in args
        )

    def spread(self, operand: Expr, into: Read) -> Expr:
        """Return an operand with all axes of `into`: arrays of one shape go together faster."""
        if not isinstance(operand, Read) or set(operand.axes) in (set(), set(into.axes)):
            return operand
        if self.is_labels(operand) or not set(into.axes) <= self.dims.keys():
            return operand
        if self.run(operand, into) >= LONG:
            return operand
        wide = self.scratch(into.axes)
        self.put(wide, operand)
        self.release(operand)
        return wide

    def run(self, operand: Read, into: Read) -> int:
        """Return how many numbers of `into` stand side by side with one, or as many, of these."""
        letters = list(into.axes)
        there = letters[-1] in operand.axes
        count = 1
        while letters and (letters[-1] in operand.axes) == there:
            dim = self.dims[letters.pop()]
            count *= dim if isinstance(dim, int) else 1
        return count

    def is_labels(self, operand: Read) -> bool:
        return any(t.name == operand.name and t.classes is not None for t in self.program.tensors)

    def upright(self, body: Expr, function: str, over: tuple[str, ...]) -> Expr:
        """Return an array of short rows turned, so that what runs along them runs down instead."""
        if function not in {"max", "min"} or not isinstance(body, Read) or self.is_labels(body):
            return body
        if len(body.axes) != 2 or over != body.axes[1:]:
            return body
        rows, columns = (self.dims.get(axis) for axis in body.axes)
        if not isinstance(rows, str) or not isinstance(columns, int) or columns > SHORT:
            return body
        turned = self.scratch((body.axes[1], body.axes[0]))
        self.put(turned, body)
        self.release(body)
        return turned

    def operands(
        self, args: tuple[Expr, ...], into: Read, busy: frozenset[str]
    ) -> tuple[Expr, ...]:
        """Return arguments ready to be operated on; at most one is computed in `into` itself.

        That one comes last, and only where nothing that is read afterwards needs `into`.
        """
        needed = {name for arg in args if simple(arg) for name in names(arg)} | busy
        fits = [
            place
            for place, arg in enumerate(args)
            if not simple(arg) and set(arg.axes) == set(into.axes) and into.name not in needed
        ]
        ready = {
            place: arg if simple(arg) else self.operand(arg)
            for place, arg in enumerate(args)
            if place not in fits[:1]
        }
        for place in fits[:1]:
            self.write(args[place], into, busy | needed)
            ready[place] = into
        return tuple(ready[place] for place in range(len(args)))

    def operand(self, expr: Expr) -> Expr:
        """Return an expression that is an array or a number already, or scratch that holds it."""
        if simple(expr):
            return expr
        if not expr.axes:
            return self.scalar(expr)
        made = self.scratch(natural(expr))
        self.write(expr, made, frozenset())
        return made

    def scalar(self, expr: Expr) -> Read:
        """Return the name of a number that is computed before it is needed."""
        number = Read(self.fresh(()), ())
        self.taken |= {number.name}
        self.number(Statement(number, expr, ""))
        return number

    def number(self, statement: Statement) -> None:
        """Write a statement for a single number; until then the scratch arrays of its sums stay."""
        value = self.extracted(statement.value)
        self.written.append(replace(statement, value=value))
        self.release(*(node for node in walk(value) if isinstance(node, Read)))

    def choose(self, args: tuple[Expr, ...], into: Read, busy: frozenset[str]) -> None:
        """Write where(c, a, b): b everywhere, then a where c holds."""
        condition, yes, no = args
        if condition.axes:
            condition = self.truth(condition)
        elif not (isinstance(condition, Apply) and condition.function in COMPARISONS):
            condition = Apply("ne", (self.operand(condition), Number(0)))
        if (yes, no) == (Number(1), Number(0)) and condition.axes == into.axes:
            self.put(into, condition)
            self.release(condition)
            return
        yes = self.operand(yes)
        needed = names(condition) | names(yes) | busy
        place = into if into.name not in needed else self.scratch(into.axes)
        self.write(no, place, busy | needed)
        self.put(place, Apply("where", (condition, yes, place)))
        if place != into:
            self.move(place, into)
        self.release(yes, condition)

    def truth(self, condition: Expr) -> Read:
        """Return an array of truth values that holds a condition."""
        if not (isinstance(condition, Apply) and condition.function in COMPARISONS):
            condition = Apply("ne", (condition, Number(0)))
        ready = tuple(self.operand(arg) for arg in condition.args)
        mask = self.scratch(natural(condition), Role.MASK)
        self.put(mask, Apply(condition.function, ready))
        self.release(*ready)
        return mask

    def summed(self, expr: Reduce) -> Expr:
        """Return a sum over one of two axes as a product with ones, the faster of the two."""
        body, over = expr.body, expr.over
        if expr.function != "sum" or not isinstance(body, Read) or len(body.axes) != 2:
            return expr
        if len(over) != 1 or over[0] not in self.dims:
            return expr
        ones = Read(self.ones(self.dims[over[0]]), over)
        return Contract(*((ones, body) if over == body.axes[:1] else (body, ones)), over)

    def ones(self, dim: Dim) -> str:
        """Return the name of a vector of ones."""
        draw = Draw("constant", (1.0,))
        known = (t.name for t in self.made.values() if t.draw == draw and t.shape == (dim,))
        wanted = f"ones{dim}" if isinstance(dim, int) else "ones"
        name = next(known, wanted if wanted not in self.made else f"ones_{dim}")
        self.made[name] = Tensor(name, name, Role.CONSTANT, (dim,), draw=draw)
        return name

    def extracted(self, expr: Expr) -> Expr:
        """Return a scalar expression whose sums read arrays that are there."""
        match expr:
            case Apply():
                return mapped(expr, self.extracted)
            case Reduce("sum", body, over) if set(body.axes) == set(over) and (
                pair := factors(body)
            ):
                return self.extracted(Contract(*pair, over))
            case Reduce(name, body, over):
                return Reduce(name, self.operand(body), over)
            case Contract(left, right, over):
                first = self.operand(left)
                return Contract(first, first if right == left else self.operand(right), over)
        return expr


def settled(expr: Expr) -> Expr:
    """Return an expression with comparisons of numbers decided, without what is 0 by that."""
    match expr:
        case Apply("eq", (Number(a), Number(b))):
            return Number(int(a == b))
        case Apply("add", args):
            parts = [part for part in map(settled, args) if part != Number(0)]
            return Apply("add", tuple(parts)) if len(parts) > 1 else (*parts, Number(0))[0]
        case Apply("multiply", args):
            parts = [part for part in map(settled, args) if part != Number(1)]
            if Number(0) in parts:
                return Number(0)
            return Apply("multiply", tuple(parts)) if len(parts) > 1 else (*parts, Number(1))[0]
        case Apply():
            return mapped(expr, settled)
    return expr


def is_turned(
    left: tuple[str, ...], right: tuple[str, ...], over: tuple[str, ...], into: tuple[str, ...]
) -> bool:
    """Tell whether a product is one of two matrices only with its sides or its result turned.

    It isn't where a side has nothing but what is summed, nor for products of each value of an axis
    that both have, which stand as they are.
    """
    if {*left} & {*right} != {*over} or {*over} in ({*left}, {*right}):
        return False
    return not (is_direct(left, right, over, into) or is_direct(right, left, over, into))


def is_direct(
    left: tuple[str, ...], right: tuple[str, ...], over: tuple[str, ...], into: tuple[str, ...]
) -> bool:
    """Tell whether a product's result lies as batch, rows of the left side, columns of the right.

    Each side then has the batch's letters first or none of them, its own and those that are summed
    side by side.
    """
    place = len(into)
    while place and into[place - 1] in right and into[place - 1] not in left:
        place -= 1
    columns, rest = into[place:], into[:place]
    while place and into[place - 1] in left and into[place - 1] not in right:
        place -= 1
    rows, batch = rest[place:], into[:place]
    if not rows or not columns:
        return False
    orders = set()
    for side, own in ((left, rows), (right, columns)):
        before = tuple(axis for axis in batch if axis in side)
        inner = tuple(axis for axis in side if axis in over)
        if before not in {(), batch} or side not in {before + own + inner, before + inner + own}:
            return False
        orders.add(inner)
    return len(orders) == 1


def is_rows(expr: Lookup) -> bool:
    """Tell whether labels tell the first axis's places, and letters by themselves all others."""
    first, *rest = expr.places
    alone = all(isinstance(place, Affine) and place.letter for place in rest)
    return isinstance(first, Read) and alone and len({*expr.axes}) == len(first.axes) + len(rest)


def is_view(expr: Lookup) -> bool:
    """Tell whether an array at computed places is a part of it: no place is told by labels."""
    return all(isinstance(place, Affine) for place in expr.places)


def factors(body: Expr) -> tuple[Expr, Expr] | None:
    """Return the two factors along the same axes that a product or a square has."""
    match body:
        case Apply("multiply", (left, right)) if set(left.axes) == set(right.axes):
            return left, right
        case Apply("power", (base, Number(2))):
            return base, base
    return None


def simple(expr: Expr) -> bool:
    """Tell whether an expression can stand as an operand: an array, or a number to be computed."""
    if isinstance(expr, Lookup):
        return is_view(expr)
    if isinstance(expr, Leaf | Number | Size | Position):
        return True
    plain = not any(
        isinstance(node, Reduce | Contract | Concatenate | Stack | Lookup) for node in walk(expr)
    )
    return plain and not expr.axes


def is_power_of_two(size: int) -> bool:
    return size > 0 and size & (size - 1) == 0


def plainer(expr: Expr) -> Expr:
    """Return an expression whose outermost operation NumPy can write in place."""
    match expr:
        case Apply("add" | "multiply" as name, args) if len(args) > 2:
            return reduce(lambda a, b: Apply(name, (a, b)), args)
        case Apply("add", (Apply("negative", (a,)), b)):
            return plainer(Apply("subtract", (b, a)))
        case Apply("add", (a, Apply("negative", (b,)))):
            return plainer(Apply("subtract", (a, b)))
        case Apply("divide", (x, Number(int(size)))) if x.axes and is_power_of_two(size):
            return Apply("multiply", (x, Number(1 / size)))  # the same number, sooner
        case Apply("relu", (x,)):
            return Apply("maximum", (x, Number(0)))
        case Apply("softplus", (x,)):
            return Apply("add", (Apply("maximum", (x, Number(0))), tail(x)))
        case Apply("log_sigmoid", (x,)):
            return Apply("subtract", (Apply("minimum", (x, Number(0))), tail(x)))
        case Apply("sigmoid", (x,)):  # 1 / (1 + e) or e / (1 + e), e = exp(−|x|)
            below = Apply("add", (Number(1), shrunk(x)))
            return Apply("divide", (Apply("exp", (Apply("minimum", (x, Number(0))),)), below))
        case Apply("power", (base, Number(2))) if simple(base):
            return Apply("multiply", (base, base))
        case Apply("power", (base, Number(3))) if simple(base):
            return plainer(Apply("multiply", (base, base, base)))
        case Apply("power", (base, Number(0.5))):
            return Apply("sqrt", (base,))
        case Apply("power", (base, Number(-0.5))):
            return Apply("divide", (Number(1), Apply("sqrt", (base,))))
        case Apply("power", (base, Number(value))) if value in {-1, -2, -3}:
            return Apply("divide", (Number(1), Apply("power", (base, Number(-value)))))
        case Apply("power", (base, Number(1))):
            return plainer(base)
    return expr


def shrunk(x: Expr) -> Expr:
    """Return exp(−|x|), which never overflows."""
    return Apply("exp", (Apply("negative", (Apply("abs", (x,)),)),))


def tail(x: Expr) -> Expr:
    """Return log(1 + exp(−|x|))."""
    return Apply("log1p", (shrunk(x),))
