"""Graph → Derivation: ∂L/∂everything by the chain rule, from the loss down, each step kept.

Each equation is differentiated once, in its own letters, however many layers share it. For an
equation z = f(W, x, b) and ∂L/∂z known,

    ∂L/∂W[o,i] = Σ_{n,o'} ∂L/∂z[n,o'] · ∂z[n,o']/∂W[o,i]

where the inner derivative is SymPy's, its deltas are contracted (`index`), and values that the
forward pass has already computed are put back in.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import permutations

from sympy import Expr, Indexed, S, Symbol, preorder_traversal
from sympy.core.parameters import distribute

from symback import functions as fn
from symback import index as ix
from symback import stable
from symback.formula import tensor
from symback.graph import Equation, Graph, Node, name_of, reads
from symback.naming import Namer, adjoint, word_for
from symback.program import Dim, Role, Tensor

# Functions whose value is worth a name where it is needed more than once.
COSTLY = tuple(
    function
    for word, function in fn.ELEMENTWISE.items()
    if word not in {"where", "abs", "sign", "floor", "relu", "maximum", "minimum"}
    and function not in fn.COMPARISONS
)
KEPT_INLINE = (fn.SumOver, fn.ArgMax)


@dataclass(frozen=True, slots=True)
class Step:
    """A rung of the ladder: the expression, how it is called, and what happened in words."""

    kind: str  # chain, raw, contracted, assumed, reused
    rhs: Expr
    words: str


@dataclass(frozen=True, slots=True)
class Slope:
    """∂L/∂(one operand) as one equation of the layer contributes to it."""

    operand: str
    equation: Equation
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Local:
    """An equation differentiated: what is computed forward, what backward, and each slope."""

    forward: tuple[Equation, ...]
    backward: tuple[Equation, ...]
    slopes: tuple[Slope, ...]
    facts: tuple[str, ...]  # the letters whose Σ = 1 was used


@dataclass(frozen=True, slots=True)
class Term:
    """An equation in its letters, the tensors they stand for, the ranges, and how it was found."""

    layer: str
    equation: Equation
    names: tuple[tuple[str, str], ...]
    sizes: tuple[tuple[str, Dim], ...]
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One tensor computed: the sum of its terms (one for each layer that reads it, backward)."""

    target: str
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Derivation:
    """Every equation of a network, forward and backward, in the order of computation."""

    graph: Graph
    tensors: tuple[Tensor, ...]
    forward: tuple[Line, ...]
    loss: tuple[Line, ...]
    backward: tuple[Line, ...]
    metrics: tuple[tuple[str, tuple[Line, ...]], ...]
    gradients: tuple[tuple[str, str], ...]  # (key, name of its adjoint)
    assumed: tuple[str, ...]  # tensors whose Σ = 1 a gradient relies on


def derive(graph: Graph, wrt: Sequence[str] = ()) -> Derivation:
    """Derive ∂L/∂w for every parameter, and for the inputs named in `wrt`."""
    with distribute(False):
        return _Backward(graph, frozenset(wrt)).derivation()


# ---------------------------------------------------------------- one equation


@lru_cache(maxsize=4096)
def differentiate(
    equation: Equation, by: tuple[str, ...], unit_sums: frozenset[str], seed: Expr | None
) -> Local:
    """Differentiate one equation by the operands named.

    `unit_sums` names operands that sum to one over their last axis. `seed` is ∂L/∂target where it
    is a number (1 at the loss itself); elsewhere it is the tensor d<target>.
    """
    used: set[str] = set()
    slopes = [_slope(equation, operand, unit_sums, seed, used) for operand in by]
    named = _Naming(equation, slopes)
    return Local(named.forward(), named.backward(), named.slopes(), tuple(sorted(used)))


def _slope(
    equation: Equation, operand: str, unit_sums: frozenset[str], seed: Expr | None, used: set[str]
) -> Slope:
    """Return ∂L/∂operand, with the ladder that leads to it."""
    at = _first_access(equation.rhs, operand)
    letters = tuple(at.indices) if isinstance(at, Indexed) else ()
    target = tensor(adjoint(operand), *letters)
    out = ix.all_primed(equation.target)
    running = ix.letters(out) if isinstance(out, Indexed) else []
    incoming = seed if seed is not None else _adjoint_access(out)
    inner = ix.all_primed(equation.rhs).diff(at)

    def shown(expr: Expr) -> Expr:
        return ix.unprimed(expr, letters)

    def total(slope: Expr) -> Expr:
        whole = incoming * slope
        return fn.SumOver(whole, *running) if running else whole

    steps = [
        Step("chain", shown(total(fn.Slope(out, at))), "the chain rule"),
        Step("raw", shown(total(inner)), "SymPy's derivative, with its deltas"),
    ]
    contracted = shown(_merged(ix.contract(total(inner)), incoming))
    if contracted != steps[-1].rhs:
        words = "each δ(i, a) is zero unless i = a, so its sum collapses"
        steps.append(Step("contracted", contracted, words))
    assumed = _unit_sums(contracted, unit_sums, used)
    if assumed != contracted:
        words = "because " + ", ".join(f"Σ {name} = 1" for name in sorted(used))
        steps.append(Step("assumed", ix.factored(list(assumed.as_ordered_terms())), words))
    return Slope(operand, Equation(target, steps[-1].rhs), tuple(steps))


def _adjoint_access(out: Expr) -> Expr:
    subscripts = out.indices if isinstance(out, Indexed) else ()
    return tensor(adjoint(name_of(out)), *subscripts)


def _first_access(rhs: Expr, operand: str) -> Expr:
    """Return the operand with a letter of its own on each axis."""
    for access in ix.accesses(rhs):
        if name_of(access) == operand:
            seen: list[Symbol] = []
            for part in access.indices:
                fresh = isinstance(part, Symbol) and part not in seen
                seen.append(part if fresh else ix.spare(Symbol("i", integer=True), seen))
            return tensor(operand, *seen)
    return tensor(operand)


def _merged(expr: Expr, incoming: Expr) -> Expr:
    """Join the branches of a where: [c]·a + [not c]·b becomes where(c, a, b).

    A masked factor moves inside the branch: what isn't finite there is never multiplied by 0.
    """
    if not expr.has(fn.where):
        return expr
    if expr.is_Mul and not isinstance(expr, fn.Reduction):
        parts = [_merged(part, incoming) for part in expr.args]
        masks = [part for part in parts if _is_mask(part)]
        if len(masks) == 1:
            held = [part for part in parts if _is_masked(part, masks[0], incoming)]
            rest = [part for part in parts if part not in held and part is not masks[0]]
            condition, first, second = masks[0].args
            inside = ix.product(held)
            branch = fn.where(condition, first * inside, second * inside)
            return ix.product(rest) * _plain(branch)
        return ix.product(parts)
    if expr.is_Add:
        terms = [_merged(term, incoming) for term in expr.args]
        return _joined(terms)
    if isinstance(expr, fn.Reduction):
        return expr.func(_merged(expr.body, incoming), *expr.bound)
    return expr


def _is_mask(part: Expr) -> bool:
    return isinstance(part, fn.where) and {part.args[1], part.args[2]} == {S.Zero, S.One}


def reads_tensor(part: Expr, access: Expr) -> bool:
    """Say whether the part reads the tensor of that access, at any indices."""
    return name_of(access) in {name_of(read) for read in reads(part)}


def _is_masked(part: Expr, mask: Expr, incoming: Expr) -> bool:
    if part is mask or part.is_Number or isinstance(part, fn.SumOver) or not ix.indices(part):
        return False
    return bool(incoming.is_Number) or not reads_tensor(part, incoming)


def _plain(branch: Expr) -> Expr:
    """Return where(a > b, 1, 0) as the comparison that it is."""
    condition, first, second = branch.args
    is_comparison = isinstance(condition, tuple(fn.COMPARISONS))
    return condition if is_comparison and (first, second) == (S.One, S.Zero) else branch


def _joined(terms: list[Expr]) -> Expr:
    """Add terms; masked ones on one condition become a single where."""
    by_condition: dict[Expr, list[Expr]] = {}
    rest: Expr = S.Zero
    for term in terms:
        condition = _condition(term)
        if condition is None:
            rest = rest + term
        else:
            by_condition.setdefault(condition, []).append(term)
    for condition, masked in by_condition.items():
        first: Expr = S.Zero
        second: Expr = S.Zero
        for term in masked:
            factor, branch = _branch(term)
            first, second = first + factor * branch.args[1], second + factor * branch.args[2]
        rest = rest + _plain(fn.where(condition, first, second))
    return rest


def _condition(term: Expr) -> Expr | None:
    number, part = term.as_coeff_Mul()
    if isinstance(part, fn.where):
        return part.args[0]
    return part if isinstance(part, tuple(fn.COMPARISONS)) and number != 0 else None


def _branch(term: Expr) -> tuple[Expr, Expr]:
    number, part = term.as_coeff_Mul()
    return number, part if isinstance(part, fn.where) else fn.where(part, 1, 0)


def _unit_sums(expr: Expr, unit_sums: frozenset[str], used: set[str]) -> Expr:
    """Put 1 for Σ_k t[n, k] where the target is known to sum to one."""
    for total in sorted(expr.atoms(fn.SumOver), key=str):
        body = total.body
        if isinstance(body, Indexed) and name_of(body) in unit_sums:
            if total.bound == (body.indices[-1],) and total.bound[0] not in body.indices[:-1]:
                used.add(name_of(body))
                expr = expr.xreplace({total: S.One})
    return expr


# ---------------------------------------------------------------- naming shared values


@dataclass(slots=True)
class _Naming:
    """Gives names to what the forward and the backward pass both need, and puts them in."""

    equation: Equation
    raw: Sequence[Slope]
    found: list[Equation] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    exprs: list[Expr] = field(default_factory=list)  # forward rhs, then each slope's

    def __post_init__(self) -> None:
        self.exprs = [self.equation.rhs, *(slope.equation.rhs for slope in self.raw)]
        self.taken = {name_of(a) for e in self.exprs for a in e.atoms(Indexed)}
        self.taken |= {s.name for e in self.exprs for s in e.free_symbols if isinstance(s, Symbol)}
        self.taken |= {self.equation.name, adjoint(self.equation.name)}
        self.put(self.equation.target, self.equation.rhs, range(1, len(self.exprs)))
        self.name_reductions()
        self.name_functions()
        self.name_sums()
        self.exprs = [stable.guarded(expr) for expr in self.exprs]

    def put(self, target: Expr, value: Expr, places: Iterable[int]) -> None:
        """Replace a value by the tensor that holds it, whatever letters it is written with."""
        if not value.args or isinstance(value, Indexed):
            return
        for place in places:
            self.exprs[place] = replaced(self.exprs[place], target, value)

    def give(self, value: Expr, word: str) -> None:
        """Name a value, and use the name everywhere."""
        at = self.equation.target
        letters = ix.in_reading_order(value, at.indices if isinstance(at, Indexed) else ())
        name = word_for(word, self.taken)
        self.taken.add(name)
        target = tensor(name, *letters)
        self.found.append(Equation(target, value))
        self.put(target, value, range(len(self.exprs)))

    def name_reductions(self) -> None:
        """Name each softmax, maximum and so on that isn't the whole equation."""
        while True:
            waiting = [
                part
                for expr in self.exprs
                for part in preorder_traversal(expr)
                if isinstance(part, fn.Reduction)
                and not isinstance(part, KEPT_INLINE)
                and part != self.exprs[0]
            ]
            if not waiting:
                return
            innermost = min(waiting, key=lambda part: (size_of(part), str(part)))
            self.give(innermost, type(innermost).word)

    def name_functions(self) -> None:
        """Name each costly function that stands in more than one place."""
        while True:
            counted: dict[Expr, int] = {}
            for expr in self.exprs:
                for part in preorder_traversal(expr):
                    if isinstance(part, COSTLY) and ix.indices(part):
                        counted[part] = counted.get(part, 0) + 1
            shared = [part for part, count in counted.items() if count > 1]
            if not shared:
                return
            innermost = min(shared, key=lambda part: (size_of(part), str(part)))
            self.give(innermost, type(innermost).word)

    def name_sums(self) -> None:
        """Name each sum inside a slope that doesn't vary along all of the slope's indices."""
        for place in range(1, len(self.exprs)):
            letters = ix.indices(self.exprs[place])
            inner = [
                part
                for part in preorder_traversal(self.exprs[place])
                if isinstance(part, fn.SumOver) and ix.indices(part) < letters
            ]
            for part in sorted(inner, key=lambda part: (size_of(part), str(part))):
                if self.exprs[place].has(part):
                    self.give(part, "sum")

    # ---- results

    def spelled(self, equation: Equation, others: Sequence[Equation]) -> tuple[Equation, ...]:
        """Return the equation, a softmax spelled out; p = exp(q) where q = log p is at hand."""
        if isinstance(equation.rhs, fn.SoftMax):
            logged = fn.LogSoftMax(*equation.rhs.args)
            for other in others:
                if other.rhs == logged:
                    return (Equation(equation.target, fn.exp(other.target)),)

        def fresh(letter: str) -> str:
            name = word_for(letter, self.taken)
            self.taken.add(name)
            return name

        pairs = stable.spelled_out(equation.target, equation.rhs, fresh)
        return tuple(Equation(target, rhs) for target, rhs in pairs)

    def split(self) -> tuple[list[Equation], list[Equation]]:
        """Return the named values that the forward pass needs, and those only backward needs."""
        needed = {name_of(a) for a in self.exprs[0].atoms(Indexed)}
        needed |= {s.name for s in self.exprs[0].free_symbols if isinstance(s, Symbol)}
        forward: list[Equation] = []
        for equation in reversed(self.found):
            if equation.name in needed:
                forward.insert(0, equation)
                needed |= {name_of(a) for a in equation.rhs.atoms(Indexed)}
        return forward, [equation for equation in self.found if equation not in forward]

    def forward(self) -> tuple[Equation, ...]:
        main = Equation(self.equation.target, self.exprs[0])
        made: list[Equation] = []
        for equation in (*self.split()[0], main):
            made += self.spelled(equation, self.found)
        return tuple(made)

    def backward(self) -> tuple[Equation, ...]:
        made: list[Equation] = []
        for equation in self.split()[1]:
            main = Equation(self.equation.target, self.exprs[0])
            made += self.spelled(equation, [*self.found, main])
        return tuple(made)

    def slopes(self) -> tuple[Slope, ...]:
        made = []
        for slope, rhs in zip(self.raw, self.exprs[1:], strict=True):
            steps = slope.steps
            if rhs != slope.equation.rhs:
                words = "values that the forward pass has computed are used again"
                steps = (*steps, Step("reused", rhs, words))
            made.append(Slope(slope.operand, Equation(slope.equation.target, rhs), steps))
        return tuple(made)


@lru_cache(maxsize=4096)
def letters_of(equation: Equation, steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Return the letters of all tensors in an equation and its steps."""
    found = [equation.name]
    for rhs in (equation.rhs, *(step.rhs for step in steps)):
        found += [name_of(part) for part in (*ix.accesses(rhs), *ix.scalars(rhs))]
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=4096)
def indexed_by(equation: Equation) -> tuple[tuple[str, str, int], ...]:
    """Return (index, tensor, axis) for each plain index of an equation."""
    return tuple(
        (part.name, name_of(access), axis)
        for access in (*ix.accesses(equation.rhs), *ix.accesses(equation.target))
        for axis, part in enumerate(access.indices)
        if isinstance(part, Symbol)
    )


def size_of(expr: Expr) -> int:
    """Return the number of nodes of an expression."""
    return sum(1 for _ in preorder_traversal(expr))


def replaced(expr: Expr, target: Expr, value: Expr) -> Expr:
    """Return the expression with `value`, in whatever letters, replaced by `target` in those."""
    letters = tuple(target.indices) if isinstance(target, Indexed) else ()
    if not all(isinstance(letter, Symbol) for letter in letters):
        return expr
    for part in sorted(expr.atoms(type(value)), key=lambda part: (-size_of(part), str(part))):
        given = _letters_of_match(value, letters, part)
        if given is not None:
            swap = dict(zip(letters, given, strict=True))
            expr = expr.xreplace({part: ix.substitute(target, swap)})
    return expr


def _letters_of_match(
    value: Expr, letters: tuple[Symbol, ...], part: Expr
) -> tuple[Symbol, ...] | None:
    """Return the letters under which `value` is the same as `part`, None where there are none."""
    free = sorted(ix.indices(part), key=lambda letter: letter.name)
    if len(free) != len(letters) or size_of(part) != size_of(value):
        return None
    wanted = canonical(part)
    if wanted == canonical(value):
        return letters
    for given in permutations(free):
        swap = dict(zip(letters, given, strict=True))
        if canonical(ix.substitute(value, swap)) == wanted:
            return given
    return None


def canonical(expr: Expr) -> Expr:
    """Return the expression with its bound indices numbered, so that equal sums look equal."""
    if isinstance(expr, fn.Reduction) and not isinstance(expr, fn.Along):
        body = canonical(expr.body)
        depth = 1 + max(
            (int(letter.name[1:]) for letter in ix.letters(body) if letter.name[0] == "#"),
            default=0,
        )
        swap = {
            letter: Symbol(f"#{depth + k}", integer=True) for k, letter in enumerate(expr.bound)
        }
        return expr.func(body.xreplace(swap), *swap.values())
    return expr.func(*(canonical(arg) for arg in expr.args)) if expr.args else expr


# ---------------------------------------------------------------- the network


class _Backward:
    """Walks the graph's nodes backward and gathers what each contributes to each adjoint."""

    def __init__(self, graph: Graph, wrt: frozenset[str]) -> None:
        self.graph = graph
        self.tensors = {item.name: item for item in graph.tensors}
        self.namer = Namer(self.tensors)
        self.wanted = frozenset(
            item.name for item in graph.tensors if item.role is Role.PARAMETER or item.key in wrt
        )
        self.unit_sums = frozenset(name for name, kind in graph.facts if kind == "one_sum")
        self.assumed: set[str] = set()
        self.nodes = (*graph.layers, *graph.loss)
        self.varying = self._varying()
        self.locals: dict[int, tuple[Local, dict[str, str]]] = {}  # by id of the node
        self.terms: dict[str, list[Term]] = {}
        self.seeds: dict[str, Expr] = {graph.objective: S.One}
        self.names: dict[str, str] = {}  # tensor → its adjoint's name
        self.lines: list[Line] = []

    def derivation(self) -> Derivation:
        waiting = Counter(name for node in self.nodes for name in self._operands(node))
        for node in reversed(self.nodes):
            self._visit(node)
            for name in self._operands(node):
                waiting[name] -= 1
                if waiting[name] == 0 and name in self.wanted:
                    self._finish(name)
        keyed = [(self.tensors[name].key, name) for name in self.tensors if name in self.wanted]
        return Derivation(
            graph=self.graph,
            tensors=tuple(self.tensors.values()),
            forward=self._forward(self.graph.layers),
            loss=self._forward(self.graph.loss),
            backward=tuple(self.lines),
            metrics=tuple((name, self._forward(nodes)) for name, nodes in self.graph.metrics),
            gradients=tuple((key, self.names[name]) for key, name in keyed if name in self.names),
            assumed=tuple(sorted(self.assumed)),
        )

    def _varying(self) -> frozenset[str]:
        """Return the tensors that a change of what is wanted would change."""
        found = set(self.wanted)
        for node in self.nodes:
            reads = [name for letter, name in node.names if letter != node.equation.name]
            if found.intersection(reads):
                found.add(node.target)
        return frozenset(found)

    def _operands(self, node: Node) -> tuple[str, ...]:
        """Return the tensors that the node reads and that gradients flow to, parameters first."""
        reads = [
            name
            for letter, name in node.names
            if letter != node.equation.name and name in self.varying
        ]
        return tuple(sorted(reads, key=lambda name: name not in self.wanted))

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
        for slope in local.slopes:
            operand = names[slope.operand]
            if slope.equation.rhs.is_Number and not self.tensors[operand].shape:
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
            local = differentiate(node.equation, by, sums, seed)
            self.assumed |= {names[letter] for letter in local.facts}
            for letter in list(names):
                names[adjoint(letter)] = self.names.get(names[letter], adjoint(names[letter]))
            for equation in (*local.forward, *local.backward):
                if equation.name not in names:
                    names[equation.name] = self._new(node, equation, names)
            self.locals[id(node)] = local, names
        return self.locals[id(node)]

    def _new(self, node: Node, equation: Equation, names: dict[str, str]) -> str:
        """Make the tensor of a value that got its name here."""
        number = "".join(c for c in node.target if c.isdigit()) if node.layer else ""
        name = self.namer.of(equation.name, int(number) if number else None)
        sizes = dict(self._sizes(node, equation, names))
        letters = equation.target.indices if isinstance(equation.target, Indexed) else ()
        shape = tuple(sizes[letter.name] for letter in letters)
        key = f"{node.layer}.{equation.name}"
        self.tensors[name] = Tensor(name, key, Role.VALUE, shape)
        return name

    def _term(
        self, node: Node, equation: Equation, names: dict[str, str], steps: tuple[Step, ...] = ()
    ) -> Term:
        letters = [equation.name, *(name_of(a) for a in ix.accesses(equation.rhs))]
        letters += [s.name for s in ix.scalars(equation.rhs)]
        for step in steps:
            letters += [name_of(a) for a in ix.accesses(step.rhs)]
            letters += [s.name for s in ix.scalars(step.rhs)]
        kept = tuple((letter, names[letter]) for letter in letters if letter in names)
        return Term(node.layer, equation, kept, self._sizes(node, equation, names), steps)

    def _sizes(
        self, node: Node, equation: Equation, names: dict[str, str]
    ) -> tuple[tuple[str, Dim], ...]:
        """Return the range of every letter, new ones by the tensors they index."""
        sizes = dict(node.sizes)
        for letter, tensor_letter, axis in indexed_by(equation):
            shape = self._shape(names.get(tensor_letter, ""))
            if letter not in sizes and axis < len(shape):
                sizes[letter] = shape[axis]
        return tuple(sizes.items())

    def _shape(self, name: str) -> tuple[Dim, ...]:
        if name in self.tensors:
            return self.tensors[name].shape
        return next((self.tensors[n].shape for n, d in self.names.items() if d == name), ())

    def _finish(self, name: str) -> None:
        """Write ∂L/∂name: the sum of what every reader contributed."""
        terms = self.terms.pop(name, [])
        if not terms or name in self.names:
            return
        equation = terms[0].equation
        alone = len(terms) == 1 and name not in self.wanted
        if alone and isinstance(equation.rhs, Indexed) and isinstance(equation.target, Indexed):
            if equation.rhs.indices == equation.target.indices:
                self.names[name] = dict(terms[0].names)[name_of(equation.rhs)]
                return  # ∂L/∂name is another adjoint, element for element
        self.names[name] = adjoint(name)
        shape = self.tensors[name].shape
        key = f"∂L/∂{self.tensors[name].key}"
        self.tensors[adjoint(name)] = Tensor(adjoint(name), key, Role.ADJOINT, shape)
        self.lines.append(Line(adjoint(name), tuple(terms)))

    def _forward(self, nodes: tuple[Node, ...]) -> tuple[Line, ...]:
        lines = []
        for node in nodes:
            local, names = self._differentiated(node, None)
            for equation in local.forward:
                lines.append(Line(names[equation.name], (self._term(node, equation, names),)))
        return tuple(lines)
