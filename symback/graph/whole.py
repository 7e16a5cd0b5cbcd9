"""An optimiser's rule for whole parameters: where its formulas read rows, columns or all elements.

    R[..., r] = R[..., r] + part * (mean(g[..., r, c]**2, c) - R[..., r])

`...` stands for the axes that have no letter of their own, and a name without brackets for each
element. Parameters of as many axes share the formulas, with the sizes of the axes as names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sympy import Expr, Integer

from symback import formula, stable
from symback import functions as fn
from symback.catalog.entry import Case
from symback.errors import Mistake, UserError
from symback.formula import Access, Formula, Scope
from symback.graph.network import Network, target_of, wrong_access
from symback.graph.start import Functions, Path
from symback.graph.types import Equation, Form, Node, Part, name_of, reads
from symback.naming import UPDATE_NAMES, axis_letters
from symback.program import Dim, Role, State, Tensor

MIDDLE = "..."  # among an entry's formulas: where those of the case stand


@dataclass(frozen=True, slots=True)
class Text:
    """A rule before it is read: formulas with their places, and what their names stand for."""

    name: str
    formulas: Sequence[str]
    paths: Sequence[Path]
    states: Mapping[str, float]
    constants: Mapping[str, float]
    numbers: Mapping[str, Expr] = field(default_factory=dict)  # switches
    lists: Mapping[str, Sequence[float]] = field(default_factory=dict)
    kept: tuple[str, ...] = ()  # states that nothing else needs
    cases: tuple[Case, ...] = ()
    rounds: int = 1  # how often the case's formulas run
    doc: str = ""

    @property
    def whole(self) -> bool:
        """Whether the rule reads more of a parameter than single elements."""
        return bool(self.cases) or any(
            any(name in {"w", "g", *self.states} for name in formula.tensors(line, path))
            for line, path in zip(self.formulas, self.paths, strict=True)
        )


def forms(
    text: Text,
    parameters: Sequence[Tensor],
    given: Mapping[str, float],
    functions: Functions,
    at: Path,
) -> tuple[list[Equation], tuple[Form, ...]]:
    """Read a rule for parameters: equations over numbers, once a step, and those of each form.

    `given`: its constants. Raises UserError where a parameter's axes don't suit the formulas.
    """
    groups: dict[tuple[int, int], list[Tensor]] = {}
    for parameter in parameters:
        rank = len(parameter.shape)
        groups.setdefault((rank, _case(text, parameter, given, at)), []).append(parameter)
    step: list[Equation] = []
    found: list[Form] = []
    for (_, case), members in groups.items():
        reading = _Reading(text, members[0], given, dict(functions), at, step, not found)
        found.append(reading.form(members, text.cases[case].formulas if text.cases else ()))
    return step, tuple(found)


def _case(text: Text, parameter: Tensor, given: Mapping[str, float], at: Path) -> int:
    """Return the number of the case that a parameter's axes decide on; 0 where there is none."""
    shape = tuple(map(int, parameter.shape))
    rows, columns = (1, 1, *shape)[-2:] if shape[1:] else (*shape, 1, 1)[:2]
    counted = {"axes": len(shape), "rows": rows, "columns": columns}
    numbers = {**text.numbers, **{name: Integer(value) for name, value in counted.items()}}
    for number, case in enumerate(text.cases):
        if formula.numeric(formula.parse(case.where, Scope({}, numbers, given)).rhs, given):
            if case.formulas:
                return number
            told = f"`{text.name}` can't train {parameter.key}, of shape {list(shape)}: {text.doc}"
            hint = (
                "leave a bias out with `bias: false`, keep a layer as it starts with "
                "`frozen: true`, or take adamw"
            )
            raise UserError(Mistake(told, at, hint=hint))
    return 0


@dataclass(slots=True)
class _Reading:
    """A rule's formulas while they are read for parameters of one form."""

    text: Text
    parameter: Tensor
    given: Mapping[str, float]
    functions: Mapping[str, formula.Definition]
    at: Path
    step: list[Equation]  # over numbers, the same for all parameters
    first: bool  # of the forms: it adds to `step`
    dims: dict[str, tuple[Dim, ...]] = field(default_factory=dict)  # of every name; a number's: ()
    stepwise: set[str] = field(default_factory=set)  # names that are the same for all parameters

    def form(self, members: Sequence[Tensor], middle: Sequence[str]) -> Form:
        """Return the rule as equations over the parameters' axes."""
        text, sizes = self.text, self.sizes()
        self.stepwise = {"lr", "step", "epsilon", *self.given}
        self.dims = {"lr": (), "step": (), "epsilon": (), "w": sizes, "g": sizes}
        bare = {
            formula.target_name(line)
            for line in (*text.formulas, *middle)
            if line != MIDDLE and formula.has_bare_target(line)
        }
        self.dims |= {name: sizes for name in text.states if name in bare}
        before, after = list(zip(text.formulas, text.paths, strict=True)), []
        if MIDDLE in text.formulas:
            cut = list(text.formulas).index(MIDDLE)
            before, after = before[:cut], before[cut + 1 :]
        blocks = ((before, 1), ([(line, self.at) for line in middle], text.rounds), (after, 1))
        parts: list[Part] = []
        for lines, times in blocks:
            nodes = [node for line, path in lines for node in self.read(line, path)]
            if parts and times == parts[-1].times == 1:
                parts[-1] = Part((*parts[-1].nodes, *nodes))
            elif nodes and times:
                parts.append(Part(tuple(nodes), times))
        parts = _alive(parts, {"w", *text.kept})
        used = {name for part in parts for node in part.nodes for name in _named(node)}
        states = [State(name, start) for name, start in text.states.items() if name in used]
        kept = {"w", "g", *(state.name for state in states)}
        return Form(
            keys=tuple(member.key for member in members),
            tensors=tuple(
                Tensor(name, name, _role(name, text.states), shape)
                for name, shape in self.dims.items()
                if name in kept or (shape and name in used)
            ),
            states=tuple(states),
            parts=tuple(parts),
        )

    def sizes(self) -> tuple[str, ...]:
        """Return what the sizes of a parameter's axes are called."""
        rank = len(self.parameter.shape)
        names = [f"axis{k}" for k in range(rank - 2)] + ["rows", "columns"]
        taken = {*self.text.states, *self.given, *map(formula.target_name, self.lines())}
        plain = ["size"] if rank == 1 else names[len(names) - rank :]
        return tuple(name + "_" * (name in taken) for name in plain)

    def lines(self) -> list[str]:
        """Return every formula of the rule."""
        cases = [line for case in self.text.cases for line in case.formulas]
        return [line for line in (*self.text.formulas, *cases) if line != MIDDLE]

    def read(self, line: str, path: Path) -> list[Node]:
        """Read a formula; one over numbers alone goes to those of the step."""
        read, sizes = self.parsed(line, path)
        target = read.target
        assert target is not None
        equation = Equation(target_of(read), stable.rewritten(read.rhs).expr)
        shape = tuple(self.dim(part, sizes, path) for part in target.subscripts)
        self.dims[target.name] = shape
        if equation.rhs == equation.target:
            return []
        alike = {name_of(part) for part in reads(equation.rhs)} <= self.stepwise
        if not shape and alike and not equation.rhs.has(fn.Size):
            self.stepwise.add(target.name)
            if self.first or equation not in self.step:
                self.step.append(equation)
            return []
        self.stepwise.discard(target.name)
        return [self.node(equation, sizes)]

    def parsed(self, line: str, path: Path) -> tuple[Formula, dict[str, Dim]]:
        """Parse a formula and take the ranges of its indices from what it reads."""
        letters = axis_letters(len(self.parameter.shape), {*formula.index_names(line), "n"})
        ranks: dict[str, int | None] = dict.fromkeys(self.text.states, None)
        ranks |= {name: len(shape) for name, shape in self.dims.items()}
        scope = Scope(
            ranks,
            self.text.numbers,
            self.given,
            self.functions,
            self.dots(line, letters, path),
            path,
            letters,
        )
        try:
            read = formula.parse(line, scope)
        except UserError as error:
            raise self.placed(error) from None
        if read.target is None:
            raise UserError(Mistake("this assigns nothing", path, hint="write `w = …`"))
        require_free(read.target, path)
        if read.target.name in {*self.given, "lr", "step", "epsilon"}:
            raise wrong_access(read.target, path, f"`{read.target.name}` is a constant")
        sizes: dict[str, Dim] = {}
        for access in (*read.reads, read.target):
            if not all(isinstance(part, fn.Index) for part in access.subscripts):
                hint = "the indices of a rule for whole parameters are plain names, as w[r, c]"
                raise wrong_access(access, path, "here stands a computed index", hint)
            if len(access.subscripts) == len(self.dims.get(access.name, ())):
                Network.fit(access, self.dims.get(access.name, ()), sizes, path)
        if read.rhs.has(fn.OfMatrix):
            told = "a rule for whole parameters has no inverse, determinant or root of a matrix"
            raise UserError(Mistake(told, path, hint="write out what it comes to, as in muon"))
        for size in read.rhs.atoms(fn.Size):
            self.dim(size, sizes, path)
        return read, sizes

    def dots(self, line: str, letters: tuple[str, ...], path: Path) -> tuple[str, ...] | None:
        """Return the letters that `...` stands for in a formula: those of the first axes."""
        for name, shape in self.dims.items():
            beside = formula.explicit(line, name)
            if beside > len(shape):
                axes = f"{len(shape)} ax{'is' if len(shape) == 1 else 'es'}"
                message = f"`{name}` has {axes}, {beside} indices stand beside `...`"
                raise self.placed(UserError(Mistake(message, path)))
            if beside >= 0:
                return letters[: len(shape) - beside]
        return None

    def dim(self, part: Expr, sizes: Mapping[str, Dim], path: Path) -> Dim:
        """Return how many values an index takes."""
        known = sizes.get(part.range) if isinstance(part, fn.Index | fn.Size) else None
        if known is None:
            message = f"how many values does the index {part} take?"
            hint = "it must stand alone in a tensor on the right, as w[r, c]"
            raise self.placed(UserError(Mistake(message, path, hint=hint)))
        return known

    def placed(self, error: UserError) -> UserError:
        """Return an error that says which parameter the formulas were read for."""
        shape = list(self.parameter.shape)
        return UserError(
            *(
                Mistake(
                    f"{each.message} (for {self.parameter.key}, of shape {shape})",
                    each.path,
                    offset=each.offset,
                    length=each.length,
                    hint=each.hint,
                )
                for each in error.mistakes
            )
        )

    def node(self, equation: Equation, sizes: Mapping[str, Dim]) -> Node:
        names = {name_of(part) for part in (equation.target, *reads(equation.rhs))}
        pairs = tuple((name, name) for name in sorted(names))
        return Node(self.text.name, equation, pairs, tuple(sizes.items()))


def require_free(target: Access, path: Path) -> None:
    """Refuse a name of a rule that the emitted function has for something else."""
    if target.name in UPDATE_NAMES:
        told = f"`{target.name}` is a name the generated module uses itself"
        raise wrong_access(target, path, told, f"choose another: {target.name}1")


def _named(node: Node) -> set[str]:
    return {name_of(part) for part in (node.equation.target, *reads(node.equation.rhs))}


def _role(name: str, states: Mapping[str, float]) -> Role:
    """Return what a tensor of a rule is."""
    if name in states:
        return Role.STATE
    return {"w": Role.PARAMETER, "g": Role.ADJOINT}.get(name, Role.VALUE)


def _alive(parts: Sequence[Part], goals: set[str]) -> list[Part]:
    """Drop the equations whose results the goals don't depend on."""
    needed = goals
    nodes = [node for part in parts for node in part.nodes]
    while True:
        kept = [node for node in nodes if node.equation.name in needed]
        more = needed | {name for node in kept for name in _named(node)}
        if more == needed:
            break
        needed = more
    alive = [
        Part(tuple(n for n in part.nodes if n.equation.name in needed), part.times)
        for part in parts
    ]
    return [part for part in alive if part.nodes]
