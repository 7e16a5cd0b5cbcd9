"""The optimiser and the schedule."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from symback import printing
from symback.printing import Level
from symback.program import (
    Apply,
    Expr,
    Form,
    Number,
    Program,
    Read,
    Role,
    Statement,
    Tensor,
    mapped,
)
from symback.targets._loops import (
    nests,
)
from symback.targets._whole import Held, Whole, apart, offsets, states_of
from symback.targets.c.arrays import places
from symback.targets.c.loops import block
from symback.targets.c.scope import RESERVED, WIDTH, Scope
from symback.targets.c.text import told, words_of
from symback.targets.c.values import value


@dataclass(frozen=True, slots=True)
class Rule:
    """The optimiser's lines."""

    fields: tuple[str, ...]  # of the struct state
    remembers: tuple[str, ...]  # the same, for Python
    step: tuple[str, ...]  # numbers of the step
    loads: tuple[str, ...]  # of one parameter
    elements: tuple[str, ...]
    stores: tuple[str, ...]
    after: tuple[str, ...]
    forms: tuple[str, ...]  # of whole parameters


def updated(program: Program, rules: Sequence[Whole]) -> Rule:
    """Return the optimiser's lines: its numbers in double, its elements in `real`."""
    update, schedule = program.update, program.schedule
    exact = Scope({}, frozenset(), exact=True)
    scope = Scope({}, frozenset())
    once = {statement.target.name for statement in update.scalars}
    each = [state.name for state in update.states if state.name not in once]
    single = [state.name for state in update.states if state.name in once]
    planned = [state.name for state in (schedule.states if schedule else ())]
    epochs_c = ("idx epoch;  // epochs done", "double metric;  // the last epoch's loss")
    epochs_python = ("epoch: int  # epochs done", "metric: float  # the last epoch's loss")
    training = program.training
    norm = "‖∂L/∂w‖₂ of the last step"
    if training.clip_norm is not None or training.clip_value is not None:
        norm += ", as it was before clipping"
    read = {n.name for s in update.rules for n in leaves(s.value)}
    kept_whole, work = states_of(program), work_of(rules)
    moved = [state.name for state in program.moved]
    known = [name for name in ("step", "lr", *single, *moved) if name in read]
    written = {statement.target.name for statement in update.elements}
    elements = tuple(
        line
        for statement, first in firsts(update.elements, {"w", "g", *each})
        for line in told(assigned(statement, first, scope, exact), statement.because, " " * 8)
    )
    return Rule(
        fields=(
            *(f"real *{scope.name(name)};  // for each parameter" for name in each),
            *(f"real *{scope.name(state.name)};  // by parameter" for state in kept_whole),
            *(f"real *{array.name};  // what a step works in" for array in work),
            "double lr;  // the learning rate",
            "idx step;  // steps taken",
            *(f"double {scope.name(name)};" for name in single),
            *(epochs_c if schedule else ()),
            *(f"double {scope.name(name)};" for name in planned),
            f"double norm;  // {norm}",
        ),
        remembers=(
            *(f"{name}: Array  # for each parameter" for name in each),
            *(f"{state.name}: Array  # by parameter" for state in kept_whole),
            *(f"{array.name}: Array  # what a step works in" for array in work),
            "lr: float  # the learning rate",
            "step: int  # steps taken",
            *(f"{name}: float" for name in single),
            *(epochs_python if schedule else ()),
            *(f"{name}: float" for name in planned),
            f"norm: float  # {norm}",
        ),
        step=(
            *(f"double {scope.name(name)} = state->{scope.name(name)};" for name in known),
            *(
                line
                for statement, first in firsts(update.scalars, set(known))
                for line in told(number(statement, first, exact), statement.because, "")
            ),
            *(f"real *restrict {name}_all = state->{scope.name(name)};" for name in each),
        ),
        loads=tuple(f"real {scope.name(name)} = {name}_all[p];" for name in each),
        elements=tuple(line.removeprefix(" " * 8) for line in elements),
        stores=tuple(f"{name}_all[p] = {scope.name(name)};" for name in each if name in written),
        after=tuple(f"state->{scope.name(name)} = {scope.name(name)};" for name in single),
        forms=tuple(line for rule in rules for line in rule.lines),
    )


def work_of(rules: Sequence[Whole]) -> tuple[Held, ...]:
    """Return the arrays that rules work in, one after the other: as large as the largest needs."""
    sizes: dict[str, int] = {}
    for tensor in (tensor for rule in rules for tensor in rule.work):
        name = work_name(tensor)
        sizes[name] = max(sizes.get(name, 1), int(tensor.shape[0]))
    return tuple(Held(name, size, None) for name, size in sizes.items())


def wholes(program: Program, *, blas: bool) -> tuple[Whole, ...]:
    """Return the lines of the rules for whole parameters, a loop over the parameters each."""
    return tuple(
        whole(form, f"form{place}", program, blas=blas)
        for place, form in enumerate(program.update.forms, 1)
    )


def whole(form: Form, name: str, program: Program, *, blas: bool) -> Whole:
    """Return the lines of a rule: where each parameter's numbers are, then what is done to them."""
    learned = {key for key, _ in program.gradients}
    tensors = [t for t in program.with_role(Role.PARAMETER) if t.key in {*form.keys} & learned]
    sizes = [str(dim) for dim in form.tensor("w").shape]
    states = [state.name for state in form.states]
    text, work = rounds_of(apart(form), program, tensors, blas=blas)
    at, begin = places(program), offsets(program)
    rows = [
        [*tensor.shape, at[tensor.key], *(begin[tensor.key, state] for state in states)]
        for tensor in tensors
    ]
    copied = slope(form, program, sizes)
    words, scope = words_of((*text, *copied)), Scope({}, frozenset())
    source = f"grads + {name}[each].w_at;"
    inner = (
        *(f"const idx {size} = {name}[each].{size};" for size in sizes if size in words),
        f"real *restrict w = params + {name}[each].w_at;",
        f"const real *restrict {'slope' if copied else 'g'} = {source}",
        *(
            f"real *restrict {scope.name(s)} = state->{scope.name(s)} + {name}[each].{s}_at;"
            for s in states
        ),
        *(f"real *restrict {scope.name(t.name)} = state->{work_name(t)};" for t in work),
        *copied,
        *text,
    )
    columns = ", ".join([*sizes, "w_at", *(f"{state}_at" for state in states)])
    keys = ", ".join(tensor.key for tensor in tensors)
    lines_ = (
        *(f"// {row}" for row in textwrap.wrap(f"{keys}: sizes, where numbers begin", WIDTH)),
        f"static const struct {{ idx {columns}; }} {name}[] = {{",
        *(f"    {{{', '.join(map(str, row))}}}," for row in rows),
        "};",
        f"for (idx each = 0; each < {len(rows)}; each++) {{",
        *(f"    {line}" for line in inner),
        "}",
    )
    return Whole(lines_, work)


def slope(form: Form, program: Program, sizes: Sequence[str]) -> tuple[str, ...]:
    """Return the lines that copy a parameter's gradient, clipped; none where it stays as it is."""
    if not is_copied(form, program):
        return ()
    clip = "clip * " if program.training.clip_norm is not None else ""
    limit = "g[p] = g[p] > CLIP_VALUE ? CLIP_VALUE : g[p] < -CLIP_VALUE ? -CLIP_VALUE : g[p];"
    return (
        f"for (idx p = 0; p < {' * '.join(sizes) or '1'}; p++) {{",
        f"    g[p] = {clip}slope[p];",
        *([f"    {limit}"] if program.training.clip_value is not None else []),
        "}",
    )


def rounds_of(
    form: Form, program: Program, tensors: Sequence[Tensor], *, blas: bool
) -> tuple[tuple[str, ...], tuple[Tensor, ...]]:
    """Return the loops of a rule's parts, and the arrays they work in, as large as is needed."""
    sizes = frozenset(str(dim) for dim in form.tensor("w").shape)
    largest = max((int(dim) for tensor in tensors for dim in tensor.shape), default=1)
    inner = replace(program, tensors=form.tensors, buffers=())
    kept = {"w", *(state.name for state in form.states)}
    arrays = {tensor.name: tensor for tensor in form.tensors}
    taken = {*arrays, *sizes, *RESERVED, *outside(program), "each", "round", "slope"}
    text: list[str] = []
    for part in form.parts:
        nest = nests(part.statements, inner, taken, rows=largest, blas=blas, owners={})
        arrays |= {tensor.name: tensor for tensor in (*nest.scratch, *nest.own)}
        scope = Scope(arrays, sizes, own=frozenset(t.name for t in nest.own), alone=not blas)
        rows = block(nest, scope, largest)
        taken |= {*arrays, *words_of(rows)}
        if part.times > 1:
            head = f"for (idx round = 0; round < {part.times}; round++) {{"
            rows = (head, *(f"    {row}" for row in rows), "}")
        text += rows
    words, scope = words_of(text), Scope({}, frozenset())
    copied = is_copied(form, program)
    work = []
    for tensor in arrays.values():
        if tensor.name in kept or (tensor.name == "g" and not copied):
            continue
        if scope.name(tensor.name) in words or tensor.name == "g":
            counts = [
                prod(int(form.sizes(w.shape).get(str(dim), dim)) for dim in tensor.shape)
                for w in tensors
            ]
            work.append(replace(tensor, shape=(max(counts, default=1),)))
    return tuple(text), tuple(work)


def outside(program: Program) -> frozenset[str]:
    """Return the names of the numbers of a step, which a rule for whole parameters may read."""
    update = program.update
    read = {leaf.name for s in update.rules for leaf in leaves(s.value)}
    return frozenset({*read, *(s.target.name for s in update.scalars), "clip", "state", "norm"})


def is_copied(form: Form, program: Program) -> bool:
    """Tell whether a rule works on a copy of the gradient: one that is clipped, or written over."""
    training = program.training
    written = any(statement.target.name == "g" for statement in form.statements)
    return written or training.clip_norm is not None or training.clip_value is not None


def work_name(tensor: Tensor) -> str:
    """Return the field of the state that holds an array to work in."""
    return f"work_{tensor.name}"


def firsts(statements: Sequence[Statement], known: set[str]) -> Iterator[tuple[Statement, bool]]:
    """Yield statements, and whether each is the first to give its name a value."""
    there = set(known)
    for statement in statements:
        yield statement, statement.target.name not in there
        there.add(statement.target.name)


def number(statement: Statement, first: bool, scope: Scope) -> str:
    """Return the assignment of a number, in double."""
    name = scope.name(statement.target.name)
    return f"{'double ' if first else ''}{name} = {value(statement.value, scope).text};"


def assigned(statement: Statement, first: bool, scope: Scope, exact: Scope) -> str:
    """Return the assignment of a number for each parameter; what none of them changes is cast."""
    name = scope.name(statement.target.name)
    shown = value(rounded(statement.value, exact), scope).text
    return f"{'real ' if first else ''}{name} = {shown};"


def rounded(expr: Expr, exact: Scope) -> Expr:
    """Return an expression whose parts without letters are computed in double, then rounded."""
    if isinstance(expr, Apply) and expr.axes:
        if expr.function == "divide" and not expr.args[1].axes:  # once a step, not for each
            below = Apply("divide", (Number(1), expr.args[1]))
            return Apply("multiply", (rounded(expr.args[0], exact), rounded(below, exact)))
        return mapped(expr, lambda part: rounded(part, exact))
    if expr.axes or isinstance(expr, Number):
        return expr
    code = value(expr, exact)
    return Read(f"(real){code.at(Level.ATOM)}", ())


def leaves(expr: Expr) -> Iterator[Read]:
    """Yield every name an expression reads."""
    return (node for node in printing.walk(expr) if isinstance(node, Read))


def scheduled(program: Program, *per: str) -> tuple[str, ...]:
    """Return the lines of a schedule that runs per step or epoch, as wanted."""
    schedule = program.schedule
    if schedule is None or schedule.per not in per:
        return ()
    scope = Scope({}, frozenset(), exact=True)
    states = [state.name for state in schedule.states]
    written = {statement.target.name for statement in schedule.statements}
    read = {leaf.name for s in schedule.statements for leaf in leaves(s.value)}
    names = ("lr", "epoch", "step", "metric", *states)
    known = [name for name in names if name in read or name in states or name == "lr"]
    return (
        *(f"double {scope.name(name)} = state->{scope.name(name)};" for name in known),
        *(
            line
            for statement, first in firsts(schedule.statements, set(known))
            for line in told(number(statement, first, scope), statement.because, "")
        ),
        *(
            f"state->{scope.name(name)} = {scope.name(name)};"
            for name in ("lr", *states)
            if name in written
        ),
    )


def constants(program: Program, text: Sequence[str]) -> tuple[str, ...]:
    """Return the optimiser's and the schedule's numbers that lines name."""
    schedule = program.schedule
    listed = [*program.update.constants, *(schedule.constants if schedule else ())]
    words = words_of(text)
    scope = Scope({}, frozenset(), exact=True)
    found = {
        constant.name.upper(): constant.value
        for constant in listed
        if scope.name(constant.name.upper()) in words
    }
    return tuple(
        f"static const double {scope.name(name)} = {value(Number(number), scope).text};"
        for name, number in found.items()
    )
