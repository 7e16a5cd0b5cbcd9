"""The gradient of each example alone: every sum over the examples is left open.

    ∂L/∂W[o,i] = Σ_n ∂L/∂z[n,o]·x[n,i]     becomes     ∂L/∂W[n,o,i] = N·∂L/∂z[n,o]·x[n,i]

for a loss that is a mean over N examples. It holds where an example's values depend on it alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sympy import Add, Expr, Indexed, Mul

from symback import functions as fn
from symback import index as ix
from symback.derivation.types import Beside, Derivation, Line, Term
from symback.errors import Mistake, UserError
from symback.formula import tensor
from symback.functions import Index
from symback.graph import Equation, name_of, reads, subscripts
from symback.naming import FREE_LETTERS, Namer
from symback.program import Dim, Role, Tensor

BATCH = "n"


def per_example(derivation: Derivation) -> Beside:
    """Derive ∂L/∂w of each example alone.

    Raises UserError where examples depend on each other, or weigh differently in the mean.
    """
    if derivation.graph.divisor not in {BATCH, ""}:
        message = "the loss divides by a sum of weights: an example alone has no such gradient"
        raise UserError(Mistake(message, hint="take `reduction: sum`"))
    alone = _Alone(derivation)
    for line in derivation.backward:
        alone.follow(line)
    by_key = {held.key: held for held in derivation.graph.tensors}
    results = tuple(
        ((key,), alone.opened[name])
        for key, name in derivation.gradients
        if by_key[key].role is Role.PARAMETER
    )
    shown = tuple((made.name, made.key) for made in alone.tensors)
    return Beside("per_example", tuple(alone.lines), tuple(alone.tensors), results, shown)


@dataclass(slots=True)
class _Alone:
    """The adjoints without an axis of examples, each with one: by name."""

    derivation: Derivation
    opened: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    known: dict[str, Tensor] = field(init=False)  # the derivation's tensors by name

    def __post_init__(self) -> None:
        self.known = {held.name: held for held in self.derivation.tensors}

    def follow(self, line: Line) -> None:
        """Add a line of one example's adjoint, where the adjoint itself adds up over examples."""
        held = self.known[line.target]
        if held.shape.count(BATCH) > 1:
            raise mixed(line.terms[0].layer)
        if held.shape[:1] == (BATCH,):
            for term in line.terms:
                self.require_own(term)
            return
        made = Namer([*self.known, *(t.name for t in self.tensors)]).of(f"{line.target}_each")
        shown = f"∂L[n]/∂{line.target[1:]}"
        self.tensors.append(Tensor(made, shown, Role.VALUE, (BATCH, *held.shape)))
        terms = tuple(self.term(term, made) for term in line.terms)
        self.opened[line.target] = made
        self.lines.append(Line(made, terms))

    def require_own(self, term: Term) -> None:
        """Refuse an adjoint that reads those of other examples."""
        names, target = dict(term.names), term.equation.target
        for access in reads(term.equation.rhs):
            name = names[name_of(access)]
            held = self.known[name]
            other = held.shape[:1] == (BATCH,) and subscripts(access)[:1] != subscripts(target)[:1]
            if held.role is Role.ADJOINT and (other or name in self.opened):
                raise mixed(term.layer)

    def term(self, term: Term, made: str) -> Term:
        """Return a term with its sum over the examples left open."""
        names, sizes = dict(term.names), dict(term.sizes)
        target, rhs = term.equation.target, term.equation.rhs
        used = {letter.name for part in (target, rhs) for letter in ix.letters(part)}
        name = next(letter for letter in (BATCH, *FREE_LETTERS) if letter not in used - {BATCH})
        example = Index(name, f"each:{name}")
        sizes[example.range] = BATCH
        value = self.open(rhs, example, names, sizes)
        value = value.xreplace({delta: ix.compared(delta) for delta in _loose(value)})
        names[made] = made
        at = Equation(tensor(made, example, *subscripts(target)), value)
        return Term(term.layer, at, tuple(names.items()), tuple(sizes.items()))

    def open(
        self, expr: Expr, example: Index, names: dict[str, str], sizes: Mapping[str, Dim]
    ) -> Expr:
        """Leave the sum over the examples in an expression open; their letter is `example`."""
        if isinstance(expr, Add | Mul):
            return expr.func(*(self.open(arg, example, names, sizes) for arg in expr.args))
        if isinstance(expr, fn.SumOver):
            batch = [letter for letter in expr.bound if sizes.get(letter.range) == BATCH]
            if not batch:
                return expr.func(self.open(expr.body, example, names, sizes), *expr.bound)
            rest = [letter for letter in expr.bound if letter is not batch[0]]
            body = ix.substitute(expr.body, {batch[0]: example})
            one = fn.SumOver(body, *rest) if rest else body
            return fn.size(example) * one if self.derivation.graph.divisor else one
        opened = self.opened.get(names.get(name_of(expr), "")) if _is_read(expr) else None
        if opened is None:
            return expr
        names[opened] = opened
        return tensor(opened, example, *subscripts(expr))


def mixed(layer: str) -> UserError:
    """Return what is said of a layer whose examples depend on each other."""
    return UserError(Mistake(f"`{layer}` mixes the examples: none has a gradient of its own"))


def _is_read(expr: Expr) -> bool:
    return isinstance(expr, Indexed) or expr.is_Symbol


def _loose(expr: Expr) -> list[Expr]:
    """Return the deltas that stand in no sum."""
    return [part for part in ix.factors(expr) if part in ix.deltas(part)]
