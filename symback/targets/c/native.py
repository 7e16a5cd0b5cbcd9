"""A program's C: all of its parts, with a BLAS and threads or alone."""

import os
import shlex
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from math import prod

from symback import printing
from symback.program import (
    Program,
    Role,
    Split,
    Tensor,
)
from symback.targets._about import Native
from symback.targets._alone import Alone, alone
from symback.targets._loops import (
    Nests,
    Strided,
    inside,
    nests,
    reads_of,
    writes_of,
)
from symback.targets._whole import Held, Whole, states_of
from symback.targets.c.arrays import (
    GIVEN,
    batch_rows,
    constant,
    field_of,
    fields_of,
    gathered,
    given,
    is_parameter,
    kept,
    mask,
    ordered_parameters,
    seen_again,
    shape_text,
    total,
    viewed,
)
from symback.targets.c.loops import block
from symback.targets.c.rule import constants, scheduled, updated, wholes, work_of
from symback.targets.c.scope import HELPERS, MATH, NEEDS, RESERVED, VECTORS, Scope
from symback.targets.c.text import words_of, wrapped

UPDATED = 1 << 16  # parameters from which on the optimiser's loop is worth several threads
ROWS = 256  # examples in a batch, where the spec takes all of them at once
VECTORS_OF = (("params",), ("params",), ("params", "grads"), ())


def runs() -> bool:
    """Tell whether there are cffi and a C compiler."""
    chosen = shlex.split(os.environ.get("CC", ""))[:1] or ["cc", "gcc", "clang"]
    return find_spec("cffi") is not None and any(map(shutil.which, chosen))


def native(program: Program) -> Native:
    """Return the parts of a program's C; large products are left to a BLAS."""
    made_of, held, scope = looped(program, blas=True)
    return parts(program, made_of, held, scope, wholes(program, blas=True))


def standalone(program: Program) -> tuple[Native, Alone]:
    """Return the parts of a plain C library: no BLAS, nothing that a compiler must know."""
    made_of, held, scope = looped(program, blas=False)
    scope = replace(scope, alone=True)
    rules = wholes(program, blas=False)
    made_parts = parts(program, made_of, held, scope, rules, "step", "epoch")
    more = (*states_of(program), *work_of(rules))
    states = [*program.update.states, *(program.schedule.states if program.schedule else ())]
    known = [t.name for t in (*program.tensors, *held)]
    known += [state.name for state in states] + [array.name for array in more]
    around = alone(program, held, {name: scope.name(name) for name in known}, more)
    return replace(made_parts, vectors=()), around


def looped(program: Program, *, blas: bool) -> tuple[tuple[Nests, ...], tuple[Tensor, ...], Scope]:
    """Return the loops of the passes, the arrays that they need, and what printing them needs."""
    sizes_known = printing.run_time_sizes(program)
    rows = program.training.batch_size or ROWS
    taken = {*(tensor.name for tensor in program.tensors), *sizes_known, *RESERVED}
    owners = reshaped(program)
    blocks: list[Nests] = []
    for statements in (program.forward, program.loss, program.backward, program.renewal):
        own = tuple(s for s in statements if s.target.name not in owners)
        blocks.append(nests(own, program, taken, rows=rows, blas=blas, owners=owners))
        taken |= {tensor.name for tensor in (*blocks[-1].scratch, *blocks[-1].own)}
    scratch = tuple(tensor for made_of in blocks for tensor in made_of.scratch)
    near = tuple(tensor for made_of in blocks for tensor in made_of.own)
    arrays = {t.name: t for t in (*program.tensors, *scratch, *near)}
    scope = Scope(arrays, sizes_known, owners, frozenset(t.name for t in near))
    return tuple(blocks), fields_of(program, scope, blocks), scope


def reshaped(program: Program) -> dict[str, str]:
    """Return the arrays that are others seen with axes joined or taken apart, and those."""
    kept = {t.name for t in program.with_role(Role.VALUE, Role.ADJOINT)}
    fixed = {program.output, program.objective, *(name for _, name in program.gradients)}
    owners: dict[str, str] = {}
    for statement in (*program.forward, *program.loss, *program.backward):
        target, value = statement.target, statement.value
        if not isinstance(value, Strided) or value.axes != target.axes:
            continue
        if not (isinstance(target, Split) or isinstance(value, Split)):
            continue
        if target.name in kept - fixed and value.name in kept - fixed and not statement.loop:
            owners[target.name] = owners.get(value.name, value.name)
    return owners


def parts(
    program: Program,
    blocks: Sequence[Nests],
    held: Sequence[Tensor],
    scope: Scope,
    rules: Sequence[Whole],
    *per: str,
) -> Native:
    """Return the lines of everything; `per`: when a schedule runs that is C too."""
    rows = program.training.batch_size or ROWS
    forward, objective, backward, renewal = (
        body(made_of, program, scope, rows, vectors)
        for made_of, vectors in zip(blocks, VECTORS_OF, strict=True)
    )
    rule = updated(program, rules)
    setting = scheduled(program, *(per or ("step",)))
    text = (*forward, *objective, *backward, *renewal, *rule.elements, *rule.forms)
    words, numbers = used(text), used((*rule.step, *setting))
    learned = {key for key, _ in program.gradients}
    parameters = ordered_parameters(program)
    count = sum(prod(map(int, t.shape)) for t in parameters if t.key in learned)
    output = program.tensor(program.output)
    return Native(
        cache=tuple(field_of(tensor, scope) for tensor in held),
        state=rule.fields,
        functions=tuple(name for name in HELPERS if name in words | numbers),
        vectors=tuple(sorted(words & VECTORS)),
        constants=constants(program, (*text, *rule.step, *setting)),
        weights=tuple(
            row
            for tensor in program.with_role(Role.CONSTANT)
            for row in wrapped(constant(tensor, scope))
        ),
        forward=forward,
        objective=objective,
        total=total(program, scope),
        backward=backward,
        renewal=renewal if program.renewal else (),
        schedule=setting,
        step=rule.step,
        loads=rule.loads,
        elements=rule.elements,
        stores=rule.stores,
        forms=rule.forms,
        after=rule.after,
        gather=gathered(program, scope),
        arrays=(
            *(line for tensor in held if tensor.role not in GIVEN for line in kept(tensor, scope)),
            *(seen_again(scope.arrays[name], owner) for name, owner in scope.owners.items()),
        ),
        inputs=tuple(given(t, scope) for t in program.with_role(Role.INPUT)),
        targets=tuple(given(t, scope) for t in program.with_role(Role.TARGET)),
        shapes=tuple(f'"{t.key}": {shape_text(t)},' for t in parameters),
        whole=tuple(given(t, scope, "whole") for t in program.with_role(*GIVEN)),
        rows=tuple(batch_rows(t, scope) for t in program.with_role(*GIVEN)),
        rest=tuple(
            f"self.{t.name}[...] = {printing.number(t.draw.rest)}"
            for t in program.with_role(Role.RANDOM)
            if t.draw
        ),
        masks=tuple(line for t in program.with_role(Role.RANDOM) for line in mask(t, program)),
        beyond=tuple(
            f'"{key}": cache.{name}'
            for key, name in program.gradients
            if not is_parameter(key, program)
        ),
        remembers=rule.remembers,
        starts=starts(program, work_of(rules)),
        output=scope.name(output.name),
        numbers=" * ".join("(size_t)cache->n" if dim == "n" else str(dim) for dim in output.shape)
        or "1",
        count=str(count),
        parallel="parallel" if count >= UPDATED else "",
        blas="blas" if "gemm" in words else "",
        threaded="threaded" if count >= UPDATED or words_of(text) & {"gemm", "PARALLEL"} else "",
    )


def starts(program: Program, work: Sequence[Held]) -> tuple[str, ...]:
    """Return the lines that set a state to its start. `work`: arrays that a step works in."""
    scope = Scope({}, frozenset())
    update, schedule = program.update, program.schedule
    once = {statement.target.name for statement in update.scalars}
    has_rate = any(constant.name == "lr" for constant in update.constants)
    found = ["self.lr = LR"] if has_rate else []
    found += ["self.metric = math.inf"] if schedule else []
    for state in update.states:
        name = scope.name(state.name)
        if state.name in once:
            found.append(f"self.{name} = {state.start!r}")
        else:
            filled = "np.zeros_like(w)" if state.start == 0 else f"np.full_like(w, {state.start!r})"
            found.append(f'self.array("{state.name}", "{name}", {filled})')
    for each in (*states_of(program), *work):
        made_array = f"np.empty({each.size}, w.dtype)"
        if each.start is not None:
            made_array = f"np.full({each.size}, {each.start!r}, w.dtype)"
        found.append(f'self.array("{each.name}", "{scope.name(each.name)}", {made_array})')
    for state in schedule.states if schedule else ():
        found.append(f"self.{scope.name(state.name)} = {state.start!r}")
    return tuple(found)


def used(text: Iterable[str]) -> frozenset[str]:
    """Return the functions that lines call, and those that these call."""
    waiting = [word for word in words_of(text) if word in {*HELPERS, *MATH}]
    found: set[str] = set()
    while waiting:
        word = waiting.pop()
        found.add(word)
        waiting += [need for need in NEEDS.get(word, ()) if need not in found]
    return frozenset(found)


def body(
    made_of: Nests, program: Program, scope: Scope, rows: int, vectors: Sequence[str]
) -> tuple[str, ...]:
    """Return the lines of a function: what it reads and writes is named, then its loops."""
    text = block(made_of, scope, rows)
    nodes = [inner for node in made_of.nodes for inner in inside(node)]
    names = dict.fromkeys(a.name for node in nodes for a in (*reads_of(node), *writes_of(node)))
    words = words_of(text)
    sized = [f"const idx {scope.name(d)} = cache->n;" for d in sorted(scope.sizes) if d in words]
    named = [scope.arrays[name] for name in names if name in scope.arrays.keys() - scope.own]
    written = {access.name for node in nodes for access in writes_of(node)}
    views = [
        viewed(tensor, program, scope, written) for tensor in named if tensor.role != Role.CONSTANT
    ]
    unused = [f"(void){name};" for name in vectors if name not in words_of(views)]
    return (*sized, *(row for line in views for row in wrapped(line)), *unused, *text)
