"""Values that the forward and the backward pass both need get a name, and are computed once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sympy import Expr, Indexed, Symbol, preorder_traversal

from symback import functions as fn
from symback import index as ix
from symback import matching, stable
from symback.derivation.types import Local, Slope, Step
from symback.formula import tensor
from symback.graph import Equation, name_of, reads, subscripts
from symback.naming import adjoint, word_for

# Functions whose value is worth a name where it is needed more than once.
COSTLY = tuple(
    function
    for word, function in fn.ELEMENTWISE.items()
    if word not in {"where", "abs", "sign", "floor", "relu", "maximum", "minimum", "detach"}
    and function not in fn.COMPARISONS
)
KEPT_INLINE = (fn.SumOver, fn.ArgMax)


def shared(equation: Equation, slopes: Sequence[Slope], facts: tuple[str, ...]) -> Local:
    """Name what an equation and its slopes have in common, and put the names in."""
    sharing = _Sharing(equation, slopes)
    forward, backward = sharing.forward(), sharing.backward()
    return Local(forward, backward, sharing.slopes(), facts, tuple(sharing.roots))


@dataclass(slots=True)
class _Sharing:
    """Gives names to what the forward and the backward pass both need, and puts them in."""

    equation: Equation
    raw: Sequence[Slope]
    found: list[Equation] = field(default_factory=list)
    roots: list[Equation] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    exprs: list[Expr] = field(default_factory=list)  # forward rhs, then each slope's

    def __post_init__(self) -> None:
        self.exprs = [self.equation.rhs, *(slope.equation.rhs for slope in self.raw)]
        self.taken = {name_of(a) for e in self.exprs for a in e.atoms(Indexed)}
        self.taken |= {s.name for e in self.exprs for s in e.free_symbols if isinstance(s, Symbol)}
        self.taken |= {self.equation.name, adjoint(self.equation.name)}
        self.put(self.equation.target, self.equation.rhs, range(1, len(self.exprs)))
        self.name_reductions()
        self.name_choices()
        self.name_functions()
        self.name_sums()
        self.exprs = [stable.guarded(expr) for expr in self.exprs]

    def put(self, target: Expr, value: Expr, places: Iterable[int]) -> None:
        """Replace a value by the tensor that holds it, whatever letters it is written with."""
        if not value.args or isinstance(value, Indexed):
            return
        for place in places:
            self.exprs[place] = matching.replaced(self.exprs[place], target, value)

    def give(self, value: Expr, word: str) -> None:
        """Name a value, and use the name everywhere."""
        letters = ix.in_reading_order(value, subscripts(self.equation.target))
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
            innermost = min(waiting, key=lambda part: (matching.size_of(part), str(part)))
            self.give(innermost, type(innermost).word)

    def name_choices(self) -> None:
        """Name where the largest values stand, and how many there are: slopes divide by that."""
        made = [Equation(self.equation.target, self.exprs[0]), *self.found]
        tops = {equation.name for equation in made if isinstance(equation.rhs, fn.MaxOver)}
        while True:
            met = [
                part
                for expr in self.exprs[1:]
                for part in preorder_traversal(expr)
                if isinstance(part, fn.eq)
                and any(isinstance(a, Indexed) and name_of(a) in tops for a in part.args)
            ]
            if len(met) < 2:
                return
            self.give(met[0], "chosen")
            chosen = self.found[-1].name
            counts = (part for expr in self.exprs for part in expr.atoms(fn.SumOver))
            for part in sorted(counts, key=str):
                if isinstance(part.body, Indexed) and name_of(part.body) == chosen:
                    self.give(part, "ties")
                    break

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
            innermost = min(shared, key=lambda part: (matching.size_of(part), str(part)))
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
            for part in sorted(inner, key=lambda part: (matching.size_of(part), str(part))):
                if self.exprs[place].has(part):
                    self.give(part, "sum")

    # ---- results

    def spelled(self, equation: Equation, others: Sequence[Equation]) -> tuple[Equation, ...]:
        """Return the equation, a softmax spelled out; p = exp(q) where q = log p is at hand."""
        if isinstance(equation.rhs, fn.Soft | fn.LogSumExp):
            self.roots.append(equation)
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
                needed |= {name_of(read) for read in reads(equation.rhs)}
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
