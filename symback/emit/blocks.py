"""The bodies of a module's functions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from symback import printing
from symback.emit.arrays import cached, names, resting, scores
from symback.emit.folding import WIDTH
from symback.emit.reading import incoming, needed_by, reads, writes
from symback.emit.target import Boxes, Target, printer
from symback.emit.templates import sources
from symback.emit.text import quoted
from symback.program import Form, Function, Program, Role, Statement, Tensor


@dataclass(frozen=True, slots=True)
class Block:
    """The bodies of a program's functions: names unpacked, sizes, then the statements' lines."""

    program: Program
    target: Target
    boxes: Boxes

    @property
    def arrays(self) -> tuple[Tensor, ...]:
        """Return the arrays that a pass writes into (fast form), and those filled once."""
        program = self.program
        passes = (*program.forward, *program.loss, *program.backward)
        touched = {*reads(passes), *(statement.target.name for statement in passes)}
        return tuple(b for b in program.buffers if b.name in touched)

    @property
    def network(self) -> Program:
        """Return the program as the passes see it."""
        return replace(self.program, buffers=self.arrays)

    @property
    def rule(self) -> Program:
        """Return the program as optimiser and schedule see it: their names are their own."""
        return replace(self.program, tensors=(), buffers=self.program.update.buffers)

    def head(self) -> tuple[str, ...]:
        """Return what stands before the forward pass: parameters, constants, sizes."""
        statements = self.program.forward
        inputs = self.program.with_role(Role.INPUT)
        return (
            *self.parameters(statements),
            *self.unpacked("cache", self.cached(statements) if self.program.buffers else ()),
            *self.constants(statements),
            *self.sizes(statements, inputs[0]),
        )

    def objective(self) -> tuple[str, ...]:
        """Return the loss's lines, over the cache and the targets."""
        return self.over_cache(self.program.loss)

    def backward(self) -> tuple[str, ...]:
        """Return the adjoints' lines, over the cache, the targets and values of the loss."""
        return self.over_cache(self.program.backward, names(scores(self.program)))

    def renewal(self) -> tuple[str, ...]:
        """Return the lines that bring the states up to date, over the cache."""
        statements = self.program.renewal
        if not statements:
            return ()
        states = (t for t in self.program.with_role(Role.STATE) if writes(t.name, statements))
        return (
            *self.over_cache(statements),
            *(
                f"params[{quoted(t.key)}][{self.boxes.whole}] = {self.boxes.written(t)}"
                for t in states
            ),
        )

    def over_cache(
        self, statements: Sequence[Statement], scored: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Return statements' lines after what they read: parameters, values, constants, sizes."""
        fast = bool(self.program.buffers)
        return (
            *self.parameters(statements),
            *self.unpacked("cache", self.cached(statements, scored if fast else ())),
            *self.unpacked("scores", () if fast else scored),
            *self.constants(statements),
            *self.sizes(statements, self.program.with_role(Role.INPUT)[0], "cache."),
            *self.target.lines(statements, self.network),
        )

    def function(self, function: Function) -> tuple[str, ...]:
        """Return the body of a function beside the passes, after its inputs are checked."""
        block = self.plain(function)
        statements = function_statements(function)
        wanted = reads(statements)
        random = [t for t in function.tensors if t.role is Role.RANDOM and t.name in wanted]
        return (
            *block.parameters(statements),
            *self.grouped(
                "direction",
                [replace(block.program.tensor(n), key=k) for k, n in function.given if n in wanted],
            ),
            *block.constants(statements),
            *block.sizes(statements, self.program.with_role(Role.INPUT)[0]),
            *(f"{t.name} = {resting(t, block.program, self.target)}" for t in random),
            *self.target.lines(statements, block.program),
        )

    def plain(self, function: Function) -> "Block":
        """Return the block of a function's statements: they write into no buffer."""
        program = replace(
            self.program,
            tensors=function.tensors,
            forward=function_statements(function),
            loss=(),
            backward=(),
            buffers=(),
            once=(),
        )
        return replace(self, program=program)

    def weight(self, statements: Sequence[Statement]) -> tuple[str, ...]:
        """Return the lines that compute, from targets, what they count for in a mean."""
        first = self.program.with_role(Role.TARGET)[0]
        buffers = self.cached(statements)
        made = f"cache = Cache(len({first.name}), np.dtype(FLOAT))"
        return (
            *((made, *self.unpacked("cache", buffers)) if buffers else ()),
            *self.constants(statements),
            *self.sizes(statements, first),
            *self.target.lines(statements, self.network),
        )

    def step(self) -> tuple[str, ...]:
        """Return the optimiser's scalars of a step."""
        update = self.program.update
        wanted = reads(update.rules)
        once = [state.name for state in update.states if writes(state.name, update.scalars)]
        moved = [state.name for state in self.program.moved]
        known = [name for name in ("step", "lr", *once, *moved) if name in wanted]
        numbers = names(b for b in update.buffers if not b.shape)
        return (
            *self.unpacked("state", (*known, *numbers)),
            *self.target.lines(update.scalars, self.rule),
        )

    def form(self, form: Form) -> tuple[str, ...]:
        """Return the optimiser's lines for one of a form's parameters: w, with its gradient g."""
        rule = replace(self.program, tensors=form.tensors, buffers=form.buffers)
        w = form.tensor("w")
        used = self.target.sizes(form.statements, rule)
        dims = [str(dim) for dim in w.shape if dim in used]
        found = [f"{dim} = {self.target.size(dim, w)}" for dim in dims]
        for part in form.parts:
            inner = "    " if part.times > 1 else ""
            rows = self.target.lines(part.statements, rule, 88 - len(inner))
            found += [f"for _ in range({part.times}):"] if inner else []
            found += [f"{inner}{row}" for row in rows]
        return tuple(found)

    def schedule(self) -> tuple[str, ...]:
        """Return the schedule's lines, from state to state."""
        schedule = self.program.schedule
        if schedule is None:
            return ()
        states = [state.name for state in schedule.states]
        known = [
            n
            for n in ("lr", "epoch", "step", "metric", *states)
            if n in incoming(schedule.statements)
        ]
        written = [name for name in ("lr", *states) if writes(name, schedule.statements)]
        return (
            *self.unpacked("state", known),
            *self.target.lines(schedule.statements, self.rule),
            *(f"state.{name} = {name}" for name in written),
        )

    def metrics(self) -> tuple[str, ...]:
        """Return the metrics' lines; they read the output `y` and the targets."""
        statements = tuple(s for metric in self.program.metrics for s in metric.statements)
        if not statements:
            return ()
        output = self.program.tensor(self.program.output)
        return (
            *self.constants(statements),
            *self.sizes(statements, output),
            *self.target.lines(statements, self.network),
        )

    def parameters(self, statements: Sequence[Statement]) -> tuple[str, ...]:
        """Return the parameters that statements read, unpacked layer by layer."""
        wanted = reads(statements)
        held = self.program.with_role(Role.PARAMETER, Role.STATE)
        return self.grouped("params", [tensor for tensor in held if tensor.name in wanted])

    def grouped(self, source: str, held: Sequence[Tensor]) -> tuple[str, ...]:
        """Return W1, b1 = params["f1.weight"], params["f1.bias"]: a line for each layer.

        Where that doesn't fit there are more.
        """
        groups: list[list[Tensor]] = []
        for tensor in held:
            layer = tensor.key.rpartition(".")[0]
            same = groups and groups[-1][0].key.rpartition(".")[0] == layer
            if same and len(self.read_line(source, [*groups[-1], tensor])) <= WIDTH - 4:
                groups[-1].append(tensor)
            else:
                groups.append([tensor])
        return tuple(self.read_line(source, group) for group in groups)

    def read_line(self, source: str, group: Sequence[Tensor]) -> str:
        read = (f"{source}[{quoted(t.key)}]{'' if t.shape else self.boxes.read}" for t in group)
        return f"{', '.join(names(group))} = {', '.join(read)}"

    def cached(
        self, statements: Sequence[Statement], scored: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Return the names of the cache that statements read or, fast form, write into."""
        buffers = self.arrays
        touched = {*reads(statements)}
        touched |= {s.target.name for s in statements} & set(names(buffers))
        if statements is self.program.forward:
            touched -= {s.target.name for s in statements} - set(names(buffers))
            touched -= set(names(self.program.with_role(Role.INPUT, Role.RANDOM)))
        held = dict.fromkeys((*names(cached(self.program)), *names(buffers), *scored))
        return tuple(name for name in held if name in touched)

    @property
    def masked(self) -> tuple[Tensor, ...]:
        """The random arrays that a fast module makes once and draws anew."""
        random = self.program.with_role(Role.RANDOM) if self.program.buffers else ()
        return tuple(tensor for tensor in random if self.target.drawn_into(tensor))

    def unpacked(self, source: str, wanted: Sequence[str]) -> tuple[str, ...]:
        """Return lines that give attributes names of their own, as many a line as fit."""
        return printing.unpacked({name: f"{source}.{name}" for name in wanted}, WIDTH - 12)

    def constants(self, statements: Sequence[Statement]) -> tuple[str, ...]:
        """Return the spec's arrays of numbers that statements read."""
        wanted = reads(statements)
        return tuple(
            f"{tensor.name} = {self.target.initial(tensor, self.program)}"
            for tensor in self.program.with_role(Role.CONSTANT)
            if tensor.name in wanted
        )

    def sizes(
        self, statements: Sequence[Statement], tensor: Tensor, prefix: str = ""
    ) -> tuple[str, ...]:
        """Return the run-time sizes that statements name."""
        dims = dict.fromkeys(self.target.sizes(statements, self.network))
        if not prefix and statements is self.program.forward:
            again = {*names(self.masked)}
            for drawn_tensor in self.program.with_role(Role.RANDOM):
                if drawn_tensor.name in again:
                    continue
                dims |= dict.fromkeys(dim for dim in drawn_tensor.shape if isinstance(dim, str))
        holder = replace(tensor, name=f"{prefix}{tensor.name}")
        return tuple(f"{dim} = {self.target.size(dim, holder)}" for dim in dims)

    def functions(self, name: str) -> tuple[str, ...]:
        """Return the source of the helper functions that any line calls."""
        program = self.program
        statements = [*program.once, *program.forward, *program.loss, *program.backward]
        statements += program.renewal
        statements += [s for metric in program.metrics for s in metric.statements]
        rules = [*program.update.once, *program.update.scalars, *program.update.elements]
        rules += program.schedule.statements if program.schedule else ()
        helpers = {*self.target.helpers(statements, self.network)}
        helpers |= {*self.target.helpers(rules, self.rule)}
        for form in program.update.forms:
            inside = replace(program, tensors=form.tensors, buffers=form.buffers)
            helpers |= {*self.target.helpers(form.statements, inside)}
        for each in program.functions:
            plain = self.plain(each).program
            helpers |= {*printer(name).helpers(function_statements(each), plain)}
        return sources(name, helpers)


def function_statements(function: Function) -> tuple[Statement, ...]:
    """Return the statements that a function's results need."""
    return needed_by(function.statements, [name for _, name in function.results])
