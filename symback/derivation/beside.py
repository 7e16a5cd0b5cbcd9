"""Functions beside the passes: second derivatives, Jacobians, gradients of single examples.

All but the last follow what moves, forward through every line of a derivation. Of y = f(x) that is
the Jacobian; of the backward pass, whose lines are formulas as well, the Hessian:

    ∂²L/∂w∂v = (∂/∂v)(∂L/∂w),    H·v = d/dε ∂L/∂w(w + ε·v) at ε = 0
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter

from sympy import Expr, Indexed, Integer, S, Symbol
from sympy.core.parameters import distribute

from symback import functions as fn
from symback import index as ix
from symback import matching, stable
from symback.derivation.single import BATCH, mixed, per_example
from symback.derivation.types import Beside, Derivation, Line, Term, together
from symback.errors import Mistake, UserError
from symback.formula import tensor
from symback.functions import Index
from symback.graph import Equation, name_of, reads, subscripts
from symback.graph.types import Tangent
from symback.naming import FREE_LETTERS, Namer, adjoint
from symback.program import Dim, Role, Tensor
from symback.tangent import direction_letters, letter_of, tangent


def with_functions(derivation: Derivation, names: Iterable[str]) -> Derivation:
    """Return the derivation with the functions of these names (the keys of FUNCTIONS) beside it.

    Raises UserError where one can't be derived.
    """
    with distribute(False):
        made = tuple(FUNCTIONS[name](derivation) for name in dict.fromkeys(names))
    return replace(derivation, beside=made)


def hvp(derivation: Derivation) -> Beside:
    """Derive the Hessian of the loss times a direction in all parameters."""
    moving = _Moving(derivation, "v", "v")
    parameters = _parameters(derivation)
    for key, name in parameters:
        held = derivation.graph.tensor(name)
        given = moving.add(f"v{name}", f"v_{held.name}", held.shape)
        moving.moved[name] = Tangent(given, tuple(range(len(held.shape))))
        moving.given.append((key, given))
    gradients = dict(derivation.gradients)
    lines = (*derivation.forward, *derivation.loss, *derivation.backward)
    moving.follow(lines, [gradients[key] for key, _ in parameters])
    for key, _ in parameters:
        moving.give((key,), gradients[key])
    return moving.beside("hvp")


def jacobian(derivation: Derivation) -> Beside:
    """Derive the output by each input, for each example."""
    found = []
    for held in derivation.graph.tensors:
        if held.role is Role.INPUT and held.classes is None:
            moving = _Moving(derivation, held.name, held.name, held.name, batched=True)
            moving.follow(derivation.forward, [derivation.graph.output])
            moving.give((held.key,), derivation.graph.output)
            found.append(moving.beside("jacobian"))
    if not found:
        raise UserError(Mistake("the Jacobian is by the inputs, and all of them hold labels"))
    return _joined(found)


def hessian(derivation: Derivation) -> Beside:
    """Derive the second derivatives of the loss by all pairs of parameters."""
    parameters = _parameters(derivation)
    gradients = dict(derivation.gradients)
    found = []
    for place, (key, name) in enumerate(parameters):
        moving = _Moving(derivation, name, name, name)
        lines = (*derivation.forward, *derivation.loss, *derivation.backward)
        moving.follow(lines, [gradients[key] for key, _ in parameters[place:]])
        for other, second in parameters[place:]:
            block = moving.give((other, key), gradients[other])
            if other != key:
                moving.turned((key, other), block, name, second)
        found.append(moving.beside("hessian"))
    made = _joined(found)
    order = [key for key, _ in parameters]
    results = sorted(made.results, key=lambda pair: [order.index(key) for key in pair[0]])
    return replace(made, results=tuple(results))


def _parameters(derivation: Derivation) -> list[tuple[str, str]]:
    """Return (key, name) of each parameter that has a gradient."""
    by_key = {held.key: held for held in derivation.graph.tensors}
    keys = [key for key, _ in derivation.gradients if by_key[key].role is Role.PARAMETER]
    return [(key, by_key[key].name) for key in keys]


def _joined(found: list[Beside]) -> Beside:
    return replace(
        found[0],
        lines=tuple(line for each in found for line in each.lines),
        tensors=tuple(held for each in found for held in each.tensors),
        results=tuple(result for each in found for result in each.results),
        shown=tuple(pair for each in found for pair in each.shown),
    )


@dataclass(frozen=True, slots=True)
class _Rate:
    """The tangent of a term: the formula, its letters, its ranges, and the direction's letters."""

    term: Term
    rhs: Expr
    names: dict[str, str]
    sizes: dict[str, Dim]
    free: tuple[Index, ...]

    @property
    def at(self) -> tuple[Expr, ...]:
        """The indices of the term's own target."""
        return subscripts(self.term.equation.target)

    @property
    def tables(self) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, Dim], ...]]:
        """Letters and ranges as a Term has them."""
        return tuple(self.names.items()), tuple(self.sizes.items())

    @property
    def is_sparse(self) -> bool:
        """Whether it is 0 but where two indices are the same, as x[n,j]·[i = o] is.

        Such a one isn't worth an array: where it is read the sum collapses.
        """
        plain = all(isinstance(part, Index) for part in self.at)
        return plain and any(_is_delta(part) for part in ix.factors(self.rhs))

    def read(
        self,
        at: tuple[Expr, ...],
        names: dict[str, str],
        sizes: dict[str, Dim],
        free: tuple[Index, ...],
    ) -> Expr:
        """Return the formula in another one's letters, those and the ranges added to its own."""
        where = self.names[name_of(self.term.equation.target)]
        swap: dict[Expr, Expr] = {}
        for letter in ix.letters(self.rhs):
            if letter.range in self.sizes:
                own = Index(letter.name, f"{where}/{letter.range}")
                sizes[own.range] = self.sizes[letter.range]
                swap[letter] = own
        for size in self.rhs.atoms(fn.Size):
            own_size = fn.Size(Symbol(f"{where}/{size.range}"))
            sizes[own_size.range] = self.sizes[size.range]
            swap[size] = own_size
        for access in sorted(reads(self.rhs), key=_depth):  # k[n] before g[n, k[n]]
            name = letter_of(self.names[name_of(access)], names)
            swap[access] = tensor(name, *(part.xreplace(swap) for part in subscripts(access)))
        there = {
            **{old.xreplace(swap): new for old, new in zip(self.at, at, strict=True)},
            **{old.xreplace(swap): new for old, new in zip(self.free, free, strict=True)},
        }
        moved = {part: ix.delta(*part.args) for part in ix.factors(self.rhs) if _is_delta(part)}
        return ix.substitute(self.rhs.xreplace(moved).xreplace(swap), there)


def _depth(access: Expr) -> int:
    """Return how many accesses stand within one another: labels that are an index are inside."""
    return len(access.atoms(Indexed))


def _batch(target: Expr) -> str:
    """Return the range of the index of examples, the first, "" where there is none."""
    (first, *_) = (*subscripts(target), None)
    return first.range if isinstance(first, Index) else ""


def _is_delta(part: Expr) -> bool:
    """Say whether a factor is the comparison [i = j] of two indices."""
    return isinstance(part, fn.eq) and all(isinstance(arg, Index) for arg in part.args)


@dataclass(slots=True)
class _Moving:
    """What moves along a direction, line by line.

    The direction is one tensor `by`, each of its elements alone (of examples each its own), or what
    `moved` has at the start.
    """

    derivation: Derivation
    word: str  # in names: z1_W1
    shown_by: str  # in formulas: ∂z1/∂W1
    by: str = ""
    batched: bool = False
    moved: dict[str, Tangent] = field(default_factory=dict)
    sparse: dict[str, _Rate] = field(default_factory=dict)  # tangents that no array is made of
    lines: list[Line] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    results: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    given: list[tuple[str, str]] = field(default_factory=list)
    known: dict[str, Tensor] = field(init=False)  # the derivation's tensors by name
    roots: dict[str, Term] = field(init=False)

    def __post_init__(self) -> None:
        self.known = {held.name: held for held in self.derivation.tensors}
        self.roots = dict(self.derivation.roots)

    def tensor(self, name: str) -> Tensor:
        """Return a tensor, the derivation's or one made here."""
        return self.tensors.get(name) or self.known[name]

    @property
    def axes(self) -> tuple[int, ...]:
        """Return the direction's own axes."""
        rank = len(self.tensor(self.by).shape) if self.by else 0
        return tuple(range(int(self.batched), rank))

    def add(self, name: str, shown: str, shape: tuple[Dim, ...]) -> str:
        """Add a tensor; return its name."""
        made = Namer([*self.known, *self.tensors]).of(name)
        self.tensors[made] = Tensor(made, shown, Role.VALUE, shape)
        self.shown[made] = shown
        return made

    def beside(self, name: str) -> Beside:
        return Beside(
            name,
            tuple(self.lines),
            tuple(self.tensors.values()),
            tuple(self.results),
            tuple(self.shown.items()),
            tuple(self.given),
        )

    # ---------------------------------------------------------------- lines

    def follow(self, lines: Sequence[Line], goals: Collection[str]) -> None:
        """Add the tangent of each line that one of the goals' tangents needs."""
        kept = self.needed(lines, goals)
        used: dict[str, set[str]] = {}  # the letters of a tensor's lines
        for line in kept:
            for term in self.terms(line):
                both = (term.equation.rhs, term.equation.target)
                letters = {letter.name for part in both for letter in ix.letters(part)}
                used.setdefault(line.target, set()).update(letters)
        for loop, group in groupby(kept, attrgetter("loop")):
            if loop is not None:
                self.recur(tuple(group), used)
                continue
            for name, parts in groupby(group, attrgetter("target")):
                self.advance(tuple(parts), used[name], is_goal=name in goals)

    def needed(self, lines: Sequence[Line], goals: Collection[str]) -> list[Line]:
        """Return the lines that the goals depend on; those of a recurrence read each other."""
        needed = set(goals)
        kept: list[Line] = []
        for loop, run in groupby(reversed(lines), attrgetter("loop")):
            group = list(run)
            before = -1
            while len(needed) != before:
                before = len(needed)
                for line in group:
                    needed |= self.reads_of(line) if line.target in needed else set()
                if loop is None:
                    break
            kept += [line for line in group if line.target in needed]
        return kept[::-1]

    def advance(self, parts: Sequence[Line], used: set[str], *, is_goal: bool) -> None:
        """Add the tangent of a tensor: of its line, or of all that fill it, one of which moves."""
        found = [[self.rate(term, used) for term in self.terms(line)] for line in parts]
        if all(rate.rhs == 0 for rates in found for rate in rates):
            return
        if len(parts) == len(found[0]) == 1 and not is_goal and found[0][0].is_sparse:
            self.sparse[parts[0].target] = found[0][0]
            return
        start = len(self.lines)
        for line, rates in zip(parts, found, strict=True):
            self.write(line, rates, filled=len(parts) > 1)
        self.lines[start:] = together(self.lines[start:])

    def recur(self, group: tuple[Line, ...], used: Mapping[str, set[str]]) -> None:
        """Add the tangents of a recurrence's lines, which read each other: a recurrence too."""
        live = {self.by, *self.moved, *self.sparse}
        moving: set[str] = set()
        while True:
            found = {line.target for line in group if self.reads_of(line) & (live | moving)}
            if found == moving:
                break
            moving = found
        lines = [line for line in group if line.target in moving]
        start = len(self.lines)
        for line in lines:
            shape = self.tensor(line.target).shape
            self.moved[line.target] = Tangent(
                self.named(line.target, shape), tuple(range(len(shape)))
            )
        for line in lines:
            rates = [self.rate(term, used[line.target]) for term in self.terms(line)]
            self.write(line, rates, filled=True)
        self.lines[start:] = sorted(self.lines[start:], key=lambda line: line.loop is not None)

    def reads_of(self, line: Line) -> set[str]:
        """Return the tensors that a line reads."""
        found: set[str] = set()
        for term in self.terms(line):
            names = dict(term.names)
            found |= {names[name_of(read)] for read in reads(term.equation.rhs)}
        return found

    def terms(self, line: Line) -> tuple[Term, ...]:
        """Return a line's terms, a softmax and its like as it was before it was spelled out."""
        root = self.roots.get(line.target)
        return line.terms if root is None else (root,)

    def rate(self, term: Term, used: set[str]) -> _Rate:
        """Return a term's tangent; the direction's letters are none of those used."""
        names, sizes = dict(term.names), dict(term.sizes)
        free = direction_letters(self.by, self.axes, used)
        sizes |= {
            x.range: self.tensor(self.by).shape[a] for x, a in zip(free, self.axes, strict=True)
        }
        target, rhs = term.equation.target, term.equation.rhs
        moving = {read: self.speed(read, names, sizes, free) for read in reads(rhs)}
        if self.batched and sizes.get(_batch(target)) == BATCH:
            others = (read for read, speed in moving.items() if speed != 0)
            if any(subscripts(read)[:1] != subscripts(target)[:1] for read in others):
                raise mixed(term.layer)
        slope = matching.replaced(tangent(rhs, moving), target, rhs)
        return _Rate(term, slope, names, sizes, free)

    def speed(
        self, access: Expr, names: dict[str, str], sizes: dict[str, Dim], free: tuple[Index, ...]
    ) -> Expr:
        """Return the tangent of what an access reads, its names and ranges added to those known."""
        name, at = names[name_of(access)], subscripts(access)
        if self.by and name == self.by:
            pairs = zip(at[int(self.batched) :], free, strict=True)
            return ix.product(ix.delta(part, letter) for part, letter in pairs)
        if name in self.sparse:
            return self.sparse[name].read(at, names, sizes, free)
        found = self.moved.get(name)
        if found is None:
            return S.Zero
        letter = letter_of(found.name, names)
        return tensor(letter, *(at[axis] for axis in found.axes), *free)

    def write(self, line: Line, rates: Sequence[_Rate], *, filled: bool) -> None:
        """Add the line of a tensor's tangent, with what must be named before.

        One that is `filled`, part by part or step by step, keeps all axes.
        """
        name, held = line.target, self.tensor(line.target)
        kept = tuple(
            axis
            for axis in range(len(held.shape))
            if filled or any(ix.indices(rate.at[axis]) & ix.indices(rate.rhs) for rate in rates)
        )
        if not (filled and name in self.moved):
            shape = tuple(held.shape[axis] for axis in kept)
            self.moved[name] = Tangent(self.named(name, shape), kept)
        made = self.moved[name].name
        moving = [rate for rate in rates if rate.rhs != 0 or filled]
        loop = line.loop and replace(line.loop, group=f"{line.loop.group}, {self.word}")
        own = replace(line, loop=loop)
        terms = tuple(self.term(rate, made, kept, own) for rate in moving)
        self.lines.append(Line(made, terms, loop, line.axis))

    def named(self, name: str, shape: tuple[Dim, ...]) -> str:
        """Add the tensor of a tangent, with the direction's axes behind those given."""
        second = self.tensor(name).role is Role.ADJOINT
        shown = f"∂²L/∂{name[1:]}∂{self.shown_by}" if second else f"∂{name}/∂{self.shown_by}"
        whole = (*shape, *(self.tensor(self.by).shape[axis] for axis in self.axes))
        return self.add(f"{name}_{self.word}", shown, whole)

    def term(self, rate: _Rate, made: str, kept: tuple[int, ...], line: Line) -> Term:
        """Return a term of the tangent of a line; a softmax in it is spelled out before."""
        rhs = self.spelled(rate.rhs, rate, line)
        if rhs == 0:  # a part that doesn't move: zeros of its shape
            rhs = fn.Blank(rate.term.equation.rhs)
        target = tensor(letter_of(made, rate.names), *(rate.at[axis] for axis in kept), *rate.free)
        return Term(rate.term.layer, Equation(target, rhs), *rate.tables)

    def spelled(self, rhs: Expr, rate: _Rate, line: Line) -> Expr:
        """Give each softmax and its like in a tangent a line of its own, and put its name in."""
        step = rate.at[line.axis] if line.loop else None
        while found := rhs.atoms(fn.Soft, fn.LogSumExp):
            part = min(found, key=lambda part: (matching.size_of(part), str(part)))

            def fresh(word: str) -> str:
                while word in rate.names:
                    word += "_"
                rate.names[word] = self.add(f"{word}_{self.word}", word, ())
                return word

            root = tensor(fresh("p"), *ix.in_reading_order(part, rate.at))
            for target, value in stable.spelled_out(root, part, fresh):
                made = rate.names[name_of(target)]
                shape = tuple(rate.sizes[letter.range] for letter in subscripts(target))
                self.tensors[made] = replace(self.tensors[made], shape=shape)
                term = Term(rate.term.layer, Equation(target, value), *rate.tables)
                at = subscripts(target)
                stepwise = (line.loop, at.index(step)) if step in at else ()
                self.lines.append(Line(made, (term,), *stepwise))
            rhs = rhs.xreplace({part: root})
        return rhs

    # ---------------------------------------------------------------- results

    def give(self, keys: tuple[str, ...], name: str) -> str:
        """Note a result: the tangent of a tensor, or zeros of its shape; return its name."""
        found = self.moved.get(name)
        held = self.tensor(name)
        whole = tuple(range(len(held.shape)))
        if found is not None and found.axes == whole:
            self.results.append((keys, found.name))
            return found.name
        made = self.named(name, held.shape)
        own = tuple(Index(f"i{axis}", f"{name}:{axis}") for axis in whole)
        free = tuple(Index(f"j{axis}", f"∂{self.by}:{axis}") for axis in self.axes)
        rhs: Expr = Integer(0)
        if found is not None:
            rhs = tensor(found.name, *(own[axis] for axis in found.axes), *free)
        self.copied(made, (*own, *free), rhs)
        self.results.append((keys, made))
        return made

    def turned(self, keys: tuple[str, ...], block: str, first: str, second: str) -> None:
        """Note the block of ∂²L/∂a∂b as that of ∂²L/∂b∂a: with its axes the other way round."""
        shape = self.tensor(block).shape
        rank = len(shape) - len(self.axes)
        letters = tuple(Index(FREE_LETTERS[k], f"{block}:{k}") for k in range(len(shape)))
        turned = (*shape[rank:], *shape[:rank])
        made = self.add(f"{adjoint(first)}_{second}", f"∂²L/∂{first}∂{second}", turned)
        self.copied(made, (*letters[rank:], *letters[:rank]), tensor(block, *letters))
        self.results.append((keys, made))

    def copied(self, made: str, at: tuple[Index, ...], rhs: Expr) -> None:
        """Add a line that gives a tensor's values other places."""
        swap = {old: old.called(new) for old, new in zip(at, FREE_LETTERS, strict=False)}
        equation = Equation(tensor(made, *swap.values()), rhs.xreplace(swap))
        names = tuple((name_of(read), name_of(read)) for read in reads(rhs))
        pairs = zip(at, self.tensor(made).shape, strict=True)
        sizes = tuple((letter.range, dim) for letter, dim in pairs)
        self.lines.append(Line(made, (Term("", equation, ((made, made), *names), sizes),)))


FUNCTIONS: Mapping[str, Callable[[Derivation], Beside]] = {
    "hvp": hvp,
    "jacobian": jacobian,
    "hessian": hessian,
    "per_example": per_example,
}
