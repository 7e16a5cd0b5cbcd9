"""The whole network: nodes walked backward, what each contributes gathered by tensor."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby

from sympy import Expr, Indexed, Integer, S

from symback import functions as fn
from symback import index as ix
from symback.derivation.slopes import differentiate
from symback.derivation.types import Derivation, Line, Local, Step, Term, together
from symback.formula import tensor
from symback.graph import Equation, Graph, Loop, Node, name_of, of_matrix, reads, subscripts
from symback.naming import Namer, adjoint
from symback.program import Dim, Role, Tensor


@lru_cache(maxsize=4096)
def letters_of(equation: Equation, steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Return the letters of all tensors in an equation and its steps."""
    found = [equation.name]
    for rhs in (equation.rhs, *(step.rhs for step in steps)):
        found += [name_of(part) for part in (*ix.accesses(rhs), *ix.scalars(rhs))]
    return tuple(dict.fromkeys(found))


def without_ones(
    equation: Equation, steps: tuple[Step, ...], sizes: Mapping[str, Dim]
) -> tuple[Equation, tuple[Step, ...]]:
    """Drop the factors that count an axis of length 1."""
    ones = {
        size: Integer(1)
        for rhs in (equation.rhs, *(step.rhs for step in steps))
        for size in rhs.atoms(fn.Size)
        if sizes.get(size.range) == 1
    }
    shorter = tuple(replace(step, rhs=step.rhs.xreplace(ones)) for step in steps)
    return Equation(equation.target, equation.rhs.xreplace(ones)), shorter


class Backward:
    """Walks the graph's nodes backward and gathers what each contributes to each adjoint."""

    def __init__(self, graph: Graph, wrt: frozenset[str]) -> None:
        self.graph = graph
        self.tensors = {item.name: item for item in graph.tensors}
        self.namer = Namer(self.tensors)
        self.wanted = frozenset(
            item.name
            for item in graph.tensors
            if (item.role is Role.PARAMETER and item.key not in graph.frozen) or item.key in wrt
        )
        self.unit_sums = frozenset(name for name, kind in graph.facts if kind == "one_sum")
        self.assumed: set[str] = set()
        self.nodes = (*graph.layers, *graph.loss)
        self.groups = {  # what each recurrence computes
            group[0].loop: frozenset(node.target for node in group)
            for group in _together(self.nodes)
            if group[0].loop
        }
        self.computed: set[str] = set()  # of these, what lines compute so far
        self.matrices = {  # inverses and their like that the forward pass computes
            of_matrix(node.equation, dict(node.names)): node.target
            for node in self.nodes
            if not node.loop and isinstance(node.equation.rhs, fn.OfMatrix)
        }
        self.varying = self._varying()
        self.locals: dict[int, tuple[Local, dict[str, str]]] = {}  # by id of the node
        self.terms: dict[str, list[Term]] = {}
        self.seeds: dict[str, Expr] = {graph.objective: S.One}
        self.names: dict[str, str] = {}  # tensor → its adjoint's name
        self.lines: list[Line] = []
        self.readers: Counter[str] = Counter()  # how many nodes read a tensor
        self.roots: dict[str, Term] = {}

    def derivation(self) -> Derivation:
        self.readers = Counter(name for node in self.nodes for name in self._operands(node))
        waiting = self.readers.copy()
        for group in _together(tuple(reversed(self.nodes))):
            if group[0].loop is None:
                self._visit(group[0])
            else:
                self._visit_recurrence(group, group[0].loop)
            for name in (name for node in group for name in self._operands(node)):
                waiting[name] -= 1
                if waiting[name] == 0 and name in self.wanted:
                    self._finish(name)
        forward, loss = self._forward(self.graph.layers), self._forward(self.graph.loss)
        keyed = [(self.tensors[name].key, name) for name in self.tensors if name in self.wanted]
        renewal = self._forward(self.graph.renewal)
        metrics = tuple((name, self._forward(nodes)) for name, nodes in self.graph.metrics)
        return Derivation(
            graph=self.graph,
            tensors=tuple(self.tensors.values()),  # those that the lines made among them
            forward=forward,
            loss=loss,
            backward=tuple(line for line in self.lines if self._is_new(line)),
            renewal=renewal,
            metrics=metrics,
            gradients=tuple((key, self.names[name]) for key, name in keyed if name in self.names),
            assumed=tuple(sorted(self.assumed)),
            roots=tuple(self.roots.items()),
        )

    def _varying(self) -> frozenset[str]:
        """Return the tensors that a change of what is wanted would change.

        Where the largest value stands isn't among them: it jumps. A recurrence's formulas read
        later ones too.
        """
        found = set(self.wanted)
        while True:
            before = len(found)
            for node in self.nodes:
                names = dict(node.names)
                others = _followed(node.equation) - {node.equation.name}
                moved = found.intersection(names[letter] for letter in others)
                if moved and not isinstance(node.equation.rhs, fn.ArgMax):
                    found.add(node.target)
            if len(found) == before:
                return frozenset(found)

    def _operands(self, node: Node) -> tuple[str, ...]:
        """Return the tensors that the node reads and that gradients flow to, parameters first."""
        read = _followed(node.equation)
        found = [name for letter, name in node.names if letter in read and name in self.varying]
        return tuple(sorted(found, key=lambda name: name not in self.wanted))

    def _visit(self, node: Node) -> None:
        if node.target not in self.varying:
            return
        seed = self.seeds.get(node.target)
        if seed is None:
            self._finish(node.target)
            if node.target not in self.names:
                return  # the loss doesn't depend on it
        local, names = self._differentiated(node, seed)
        for equation in local.backward:
            self.lines.append(Line(names[equation.name], (self._term(node, equation, names),)))
        self._contribute(node, local, names)

    def _visit_recurrence(self, group: tuple[Node, ...], loop: Loop) -> None:
        """Derive the formulas of a recurrence, last one first; they run the other way round.

        ∂L/∂h[t] needs what h[t+1] contributed, so all adjoints are computed in one loop, from the
        last step to the first.
        """
        if not any(self.terms.get(node.target) for node in group):
            return  # the loss doesn't depend on it
        back = replace(loop, step=-loop.step)
        group = self._reaching(group)
        adjoints = {node.target: adjoint(node.target) for node in group}
        self.names |= adjoints
        axes = {adjoints[node.target]: _axes(node.equation, loop)[0] for node in group}
        named: list[Line] = []  # values that several adjoints share
        for node in group:
            local, names = self._differentiated(node, None)
            named += [Line(names[e.name], (self._term(node, e, names),)) for e in local.backward]
            self._contribute(node, local, names)
        within: list[Line] = []
        for node in group:
            terms = self._ready(node, self.terms.pop(node.target), axes)
            self._add_adjoint(node.target)
            target = adjoints[node.target]
            within.append(Line(target, terms, back, axes[target]))
        waited = _read_by(within, named)
        after: list[Line] = []  # of all steps at once
        for line in named:
            axis = _step_axis(line.terms[0], axes)
            if axis is not None and line.target in waited:
                within.append(replace(line, loop=back, axis=axis))
                axes[line.target] = axis
            elif _met(line) & {*axes, *(other.target for other in after)}:
                after.append(line)
            else:
                self.lines.append(line)
        self.lines += [*_in_order(within), *after]

    def _ready(self, node: Node, terms: list[Term], inside: Mapping[str, int]) -> tuple[Term, ...]:
        """Return terms of a recurrence's adjoint, what is added up at places among them computed.

        Another layer's Σ_t δ(i, t − 1)·∂L/∂z[t] can't be added up step by step, but before.
        """
        made: list[Term] = []
        for term in terms:
            names = dict(term.names)
            read = {names.get(name_of(access)) for access in reads(term.equation.rhs)}
            if not ix.holds_delta(term.equation.rhs) or read & inside.keys():
                made.append(term)
                continue
            at = subscripts(term.equation.target)
            number = "".join(c for c in node.target if c.isdigit())
            name = self.namer.of("r", int(number) if number else None)
            shape = self.tensors[node.target].shape
            self.tensors[name] = Tensor(name, f"{node.layer}.r", Role.VALUE, shape)
            letters = (*term.names, (name, name))
            before = replace(
                term, equation=Equation(tensor(name, *at), term.equation.rhs), names=letters
            )
            self.lines.append(Line(name, (before,)))
            taken = Equation(term.equation.target, tensor(name, *at))
            made.append(replace(term, equation=taken, names=letters, steps=()))
        return tuple(made)

    def _reaching(self, group: tuple[Node, ...]) -> tuple[Node, ...]:
        """Return the nodes of a recurrence that the loss depends on, and that something varies."""
        live = {node.target for node in group if self.terms.get(node.target)}
        while True:
            read = {name for n in group if n.target in live for name in self._operands(n)}
            more = live | (read & {node.target for node in group})
            if more == live:
                return tuple(n for n in group if n.target in live and n.target in self.varying)
            live = more

    def _contribute(self, node: Node, local: Local, names: dict[str, str]) -> None:
        """Note what a node adds to the adjoint of each tensor that it reads."""
        for slope in local.slopes:
            operand = names[slope.operand]
            alone = self.readers[operand] == 1  # another reader's slope is added
            if slope.equation.rhs.is_Number and not self.tensors[operand].shape and alone:
                self.seeds[operand] = slope.equation.rhs
                continue
            term = self._term(node, slope.equation, names, slope.steps)
            self.terms.setdefault(operand, []).append(term)

    def _differentiated(self, node: Node, seed: Expr | None) -> tuple[Local, dict[str, str]]:
        """Return the node's equation differentiated, and the tensors of all its letters."""
        if id(node) not in self.locals:
            names = dict(node.names)
            letters = {name: letter for letter, name in node.names}
            by = tuple(letters[name] for name in self._operands(node))
            if node.target not in self.varying:
                by = ()
            sums = frozenset(letter for letter, name in node.names if name in self.unit_sums)
            stepwise = frozenset(x for x, name in node.names if name in self._beside(node))
            local = differentiate(node.equation, by, sums, seed, stepwise)
            self.assumed |= {names[letter] for letter in local.facts}
            for letter in list(names):
                names[adjoint(letter)] = self.names.get(names[letter], adjoint(names[letter]))
            for equation in (*local.forward, *local.backward):
                matrix = None if node.loop else of_matrix(equation, names)
                if matrix in self.matrices:
                    names[equation.name] = self.matrices[matrix]
                elif equation.name not in names:
                    names[equation.name] = self._new(node, equation, names)
                if matrix is not None:
                    self.matrices.setdefault(matrix, names[equation.name])
            for root in local.roots:
                self.roots[names[root.name]] = self._term(node, root, names)
            self.locals[id(node)] = local, names
        return self.locals[id(node)]

    def _beside(self, node: Node) -> frozenset[str]:
        """Return the tensors that the node's recurrence computes."""
        return self.groups.get(node.loop, frozenset()) if node.loop else frozenset()

    def _new(self, node: Node, equation: Equation, names: dict[str, str]) -> str:
        """Make the tensor of a value that got its name here."""
        number = "".join(c for c in node.target if c.isdigit()) if node.layer else ""
        name = self.namer.of(equation.name, int(number) if number else None)
        sizes = dict(self._sizes(node, equation, names))
        shape = tuple(sizes[letter.range] for letter in subscripts(equation.target))
        key = f"{node.layer}.{equation.name}"
        self.tensors[name] = Tensor(name, key, Role.VALUE, shape)
        return name

    def _term(
        self, node: Node, equation: Equation, names: dict[str, str], steps: tuple[Step, ...] = ()
    ) -> Term:
        letters = letters_of(equation, steps)
        kept = tuple((letter, names[letter]) for letter in letters if letter in names)
        sizes = self._sizes(node, equation, names)
        if 1 in dict(sizes).values():
            equation, steps = without_ones(equation, steps, dict(sizes))
        return Term(node.layer, equation, kept, sizes, steps)

    def _sizes(
        self, node: Node, equation: Equation, names: dict[str, str]
    ) -> tuple[tuple[str, Dim], ...]:
        """Return how many values each range has; a new one is named for a tensor's axis."""
        sizes = dict(node.sizes)
        for letter in (*ix.letters(equation.rhs), *ix.letters(equation.target)):
            if letter.range not in sizes:
                tensor, _, axis = letter.range.rpartition(":")
                sizes[letter.range] = self.tensors[names[tensor]].shape[int(axis)]
        return tuple(sizes.items())

    def _finish(self, name: str) -> None:
        """Write ∂L/∂name: the sum of what every reader contributed."""
        terms = self.terms.pop(name, [])
        if not terms or name in self.names:
            return
        if len(terms) == 1 and name not in self.wanted:
            same = self._same(terms[0], name)
            if same:  # ∂L/∂name is another adjoint, element for element
                self.names[name] = same
                return
        self._add_adjoint(name)
        self.lines.append(Line(adjoint(name), tuple(terms)))

    def _add_adjoint(self, name: str) -> None:
        self.names[name] = adjoint(name)
        shape = self.tensors[name].shape
        key = f"∂L/∂{self.tensors[name].key}"
        self.tensors[adjoint(name)] = Tensor(adjoint(name), key, Role.ADJOINT, shape)

    def _same(self, term: Term, name: str) -> str:
        """Return the adjoint that a term is, with the same indices and shape, "" for any other."""
        rhs, target = term.equation.rhs, term.equation.target
        if not isinstance(rhs, Indexed) or rhs.indices != subscripts(target):
            return ""
        other = dict(term.names)[name_of(rhs)]
        return other if self.tensors[other].shape == self.tensors[name].shape else ""

    def _forward(self, nodes: tuple[Node, ...]) -> tuple[Line, ...]:
        lines: list[Line] = []
        for group in _together(nodes):
            made: list[Line] = []
            for node in group:
                local, names = self._differentiated(node, None)
                for equation in local.forward:
                    term = self._term(node, equation, names)
                    line = Line(names[equation.name], (term,))
                    axes = _axes(equation, node.loop) if node.loop else []
                    line = replace(line, loop=node.loop, axis=axes[0]) if axes else line
                    made += [line] if self._is_new(line) else []
            lines += sorted(made, key=lambda line: line.loop is not None)
        return tuple(together(lines))

    def _is_new(self, line: Line) -> bool:
        """Say whether a line isn't that of a matrix's inverse, or its like, which is there."""
        known = line.target in self.computed
        self.computed |= {line.target} & set(self.matrices.values())
        return not known


@lru_cache(maxsize=4096)
def _followed(equation: Equation) -> frozenset[str]:
    """Return the letters that an equation reads outside of any detach(…)."""
    ends = {part: fn.detach(S.One) for part in equation.rhs.atoms(fn.detach)}
    return frozenset(name_of(access) for access in reads(equation.rhs.xreplace(ends)))


def _together(nodes: tuple[Node, ...]) -> Iterator[tuple[Node, ...]]:
    """Yield nodes one by one, those of a recurrence together."""
    for loop, group in groupby(enumerate(nodes), lambda pair: pair[1].loop or pair[0]):
        del loop
        yield tuple(node for _, node in group)


def _met(line: Line) -> set[str]:
    """Return the tensors that a line reads."""
    return {
        dict(term.names).get(name_of(read), "")
        for term in line.terms
        for read in reads(term.equation.rhs)
    }


def _read_by(lines: Sequence[Line], named: Sequence[Line]) -> set[str]:
    """Return what lines read, and what the named values among that read in turn."""
    found = {name for line in lines for name in _met(line)}
    for line in reversed(named):
        if line.target in found:
            found |= _met(line)
    return found


def _step_axis(term: Term, axes: Mapping[str, int]) -> int | None:
    """Return the axis of the term's target along which it follows a recurrence.

    `axes` are those of the arrays that the recurrence computes; None where none of them is read.
    """
    names = dict(term.names)
    for read in ix.accesses(term.equation.rhs):
        axis = axes.get(names.get(name_of(read), ""))
        if axis is None:
            continue
        _, moving = ix.affine(read.indices[axis]) or (S.Zero, {})
        for place, letter in enumerate(subscripts(term.equation.target)):
            if letter in moving:
                return place
    return None


def _in_order(lines: list[Line]) -> Iterator[Line]:
    """Yield the lines of a recurrence so that each has what it reads of its own step."""
    axes = {line.target: line.axis for line in lines}
    waiting = list(lines)
    while waiting:
        left = {line.target for line in waiting}
        first = next((x for x in waiting if not _reads_now(x, axes) & left), waiting[0])
        waiting.remove(first)
        yield first


def _reads_now(line: Line, axes: Mapping[str, int]) -> set[str]:
    """Return the arrays of a recurrence that a line reads at its own step."""
    found: set[str] = set()
    for term in line.terms:
        names = dict(term.names)
        step = subscripts(term.equation.target)[line.axis]
        for read in ix.accesses(term.equation.rhs):
            name = names.get(name_of(read), name_of(read))
            if name in axes and read.indices[axes[name]] == step:
                found.add(name)
    return found


def _axes(equation: Equation, loop: Loop) -> list[int]:
    """Return the axes of the equation's target at which the recurrence's letter stands."""
    at = enumerate(subscripts(equation.target))
    return [k for k, part in at if isinstance(part, fn.Index) and part.name == loop.letter]
