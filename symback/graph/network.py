"""The network while it is put together: tensors by name, and nodes as they come."""

import math
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sympy import Expr, Indexed, IndexedBase, Integer, Symbol

from symback import catalog, formula, stable
from symback import functions as fn
from symback import index as ix
from symback.catalog.entry import Kind
from symback.errors import Mistake, UserError
from symback.formula import Access, Definition, Formula
from symback.graph.seams import seams, steady
from symback.graph.start import Functions, Path, at_path, option_numbers, parsed
from symback.graph.types import (
    Direction,
    Equation,
    Loop,
    Node,
    Rewrite,
    Tangent,
    name_of,
    of_matrix,
    reads,
    subscripts,
)
from symback.naming import Namer, axis_letters, word_for
from symback.program import Dim, Draw, Role, Tensor
from symback.spec import OwnFunction, Spec

FIXED_ROLES = (Role.INPUT, Role.TARGET, Role.CONSTANT, Role.RANDOM, Role.STATE)
OF_ONE = "a softmax over one value is always 1, its logarithm 0"
PLACES = (fn.Index, fn.Flat)  # what stands left of `=` where a formula fills an axis
TRAINING = "training"  # what a formula reads that has one form in training and one elsewhere


@dataclass(slots=True)
class Reading:
    """The formulas of one layer (or of the loss) while they are being read together."""

    layer: str
    path: Path
    number: int | None  # the layer's place, from 1; none for the loss
    numbers: dict[str, Expr] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # letter → tensor
    ellipsis: tuple[str, ...] | None = None
    functions: Functions = ()  # beside the network's
    known: dict[str, tuple[str, Dim]] = field(default_factory=dict)  # letter → range and its size
    loose: frozenset[str] = frozenset()  # letters that are read before their shape is known
    parts: frozenset[str] = frozenset()  # letters that several formulas fill, part by part
    awaited: frozenset[str] = frozenset()  # letters of a recurrence, whose tensors are there
    stepped: frozenset[str] = frozenset()  # letters that are computed step by step
    inlined: dict[Expr, Formula] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """A formula of a recurrence: what is computed at each step, with its ranges and names."""

    equation: Equation
    sizes: Mapping[str, Dim]
    reading: Reading


class Network:
    """Fits formulas together."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.namer = Namer(item.name for item in spec.inputs)
        self.tensors: dict[str, Tensor] = {}
        self.letters: dict[str, tuple[str, ...]] = {}
        self.outputs: dict[str, str] = {}  # input's, layer's or parameter's key → tensor
        self.beside: set[str] = set()  # what layers offer beside their output
        self.nodes: list[Node] = []  # since they were last taken
        self.taken: list[Node] = []
        self.renewal: list[Node] = []  # what states become after a pass in training
        self.loop: Loop | None = None  # the recurrence whose formulas are being added
        self.facts: list[tuple[str, str]] = []
        self.open_labels: set[str] = set()  # targets that may hold labels outside their classes
        self.rewrites: dict[str, None] = {}
        self.rewritten: list[Rewrite] = []
        self.fixed: set[str] = set()  # values that no parameter changes
        self.matrices: dict[Hashable, str] = {}  # inverses and their like, by what tells them
        self.tangents: dict[
            tuple[str, Direction], Tangent | None
        ] = {}  # of derivatives in formulas
        self.derived: set[str] = set()  # their names
        self.functions = functions_of(spec.functions)
        if faults := list(faulty(spec.functions, self.functions)):
            raise UserError(*faults)

    def taken_nodes(self) -> tuple[Node, ...]:
        """Return the nodes added since this was last asked."""
        made, self.nodes = tuple(self.nodes), []
        self.taken += made
        return made

    @property
    def all_nodes(self) -> tuple[Node, ...]:
        """Every node there is."""
        return (*self.taken, *self.nodes)

    def add(self, tensor: Tensor, letters: tuple[str, ...]) -> str:
        """Add a tensor, with the letters its axes go by."""
        self.tensors[tensor.name] = tensor
        self.letters[tensor.name] = letters
        return tensor.name

    def training(self) -> str:
        """Return the tensor that is 1 in training and 0 elsewhere."""
        if TRAINING not in self.tensors:  # a name that no input has, and no tensor else gets
            draw = Draw("constant", (1.0,), rest=0.0)
            self.add(Tensor(TRAINING, TRAINING, Role.RANDOM, (), draw=draw), ())
        return TRAINING

    def renewed(self, read: Formula, reading: Reading) -> None:
        """Let a state become what a formula says, after a pass in training."""
        target = target_of(read)
        start = len(self.nodes)
        here = target
        shifted = any(name_of(a) == name_of(target) and a != target for a in ix.accesses(read.rhs))
        if shifted or read.rhs.has(fn.Reduction):  # read as a whole before it is written over
            word = word_for(f"{name_of(target)}n", reading.names)
            here = formula.tensor(word, *subscripts(target))
            self.node(Equation(here, read.rhs), dict(read.sizes), reading)
        reading.awaited = frozenset({name_of(target)})
        rhs = read.rhs if here is target else here
        self.node(Equation(target, rhs), dict(read.sizes), reading)
        reading.awaited = frozenset()
        self.renewal += self.nodes[start:]
        del self.nodes[start:]

    def shape(self, letter: str, reading: Reading) -> tuple[Dim, ...]:
        """Return the shape of the tensor that a letter stands for."""
        return self.tensors[reading.names[letter]].shape

    def dots(self, formulas: Iterable[str], letter: str, source: str) -> tuple[str, ...] | None:
        """Return the letters that `...` stands for: the source's leading ones."""
        texts = tuple(formulas)
        used = {name for text in texts for name in formula.index_names(text)}
        for text in texts:
            beside = formula.explicit(text, letter)
            if beside >= 0:
                letters = self.letters[source]
                kept = letters[: len(letters) - beside]
                fresh = iter(axis_letters(len(letters), {*used, *letters}))
                return tuple(next(fresh) if name in used else name for name in kept)
        return None

    # ---------------------------------------------------------------- formulas

    def read(self, text: str, reading: Reading, path: Path | None = None) -> Formula:
        """Parse a formula and take the ranges of its indices from what it reads."""
        ranks: tuple[tuple[str, int | None], ...] = tuple(
            (letter, len(self.tensors[name].shape)) for letter, name in reading.names.items()
        )
        ranks += tuple((letter, None) for letter in sorted(reading.loose - set(reading.names)))
        functions = (*self.functions, *reading.functions)
        try:
            read = parsed(text, ranks, tuple(reading.numbers.items()), functions, reading.ellipsis)
        except UserError as error:
            raise at_path(error, path or reading.path) from None
        where = path or reading.path
        sizes: dict[str, Dim] = {}
        for access in read.reads:
            if access.name in reading.names:
                self.fit(access, self.shape(access.name, reading), sizes, where)
        read = self.settled(read, sizes, reading)
        # a recurrence runs as far as what it reads of others, whatever it reads of itself
        for access in sorted(read.reads, key=lambda access: access.name in reading.awaited):
            if access.name in reading.names:
                self.fit_computed(access, sizes, reading, where)
        return replace(read, sizes=tuple(sizes.items()))

    def settled(self, read: Formula, sizes: dict[str, Dim], reading: Reading) -> Formula:
        """Give letters that stand at no axis the range they have in the layer's other formulas."""
        at = read.target.value if read.target else Integer(0)
        swap: dict[Expr, Expr] = {}
        for part in (read.rhs, at):
            for letter in ix.letters(part):
                if letter.range in sizes:
                    known = (letter.range, sizes[letter.range])
                    reading.known.setdefault(letter.name, known)
                elif letter.name in reading.known:
                    name, sizes[name] = reading.known[letter.name]
                    swap[letter] = fn.Index(letter.name, name)
            for size in part.atoms(fn.Size):
                if size.range not in sizes and size.range in reading.known:
                    name, sizes[name] = reading.known[size.range]
                    swap[size] = fn.Size(Symbol(name))
        if not swap:
            return read

        def placed(access: Access) -> Access:
            return replace(access, subscripts=tuple(p.xreplace(swap) for p in access.subscripts))

        target = placed(read.target) if read.target else None
        reads_ = tuple(placed(access) for access in read.reads)
        return replace(read, rhs=read.rhs.xreplace(swap), target=target, reads=reads_)

    @staticmethod
    def fit(access: Access, shape: Sequence[Dim], sizes: dict[str, Dim], path: Path) -> None:
        """Let each index of an access run over its axis; refuse two sizes for one range."""
        for part, dim in zip(access.subscripts, shape, strict=True):
            if isinstance(part, Integer) and isinstance(dim, int) and int(part) >= dim:
                raise wrong_access(
                    access, path, f"`{access.name}` has {dim} values here: 0 … {dim - 1}"
                )
            if not isinstance(part, fn.Index):
                continue
            known = sizes.setdefault(part.range, dim)
            if known != dim:
                raise wrong_access(
                    access,
                    path,
                    f"the index {part.name} takes {known} values elsewhere, "
                    f"{dim} in `{access.name}` of shape ({', '.join(map(str, shape))})",
                    "use another letter, or mend the shape",
                )

    def fit_computed(
        self, access: Access, sizes: dict[str, Dim], reading: Reading, path: Path
    ) -> None:
        """Check labels that stand as indices; let a window move as far as its axis allows."""
        tensor = self.tensors[reading.names[access.name]]
        if access.labels and tensor.classes is None:
            hint = f"give it classes: {{shape: [{', '.join(map(str, tensor.shape))}], classes: …}}"
            raise wrong_access(access, path, f"`{access.name}` holds numbers, not labels", hint)
        for part, dim in zip(access.subscripts, tensor.shape, strict=True):
            if isinstance(part, fn.Index | Integer | fn.Flat):
                continue
            if isinstance(part, Indexed):
                if name_of(part) in reading.loose - reading.names.keys():
                    message = f"`{name_of(part)}` is computed step by step here: it is no index"
                    hint = f"write sum(({name_of(part)}[…] == i) * …, i)"
                    raise wrong_access(access, path, message, hint)
                labels = self.tensors[reading.names[name_of(part)]]
                if labels.classes is not None and isinstance(dim, int) and dim < labels.classes:
                    message = f"`{labels.key}` has {labels.classes} classes, this axis {dim} values"
                    raise wrong_access(access, path, message)
            elif isinstance(dim, int):
                self.fit_window(part, dim, sizes)
            else:
                message = f"at the axis of {dim} values stands a plain index, as `{dim}`"
                raise wrong_access(access, path, message)

    def fit_window(self, part: Expr, dim: int, sizes: dict[str, Dim]) -> None:
        """Find the one range of an affine index that isn't known: it stays within its axis.

        Where it begins before the axis it may end as far behind it: padding is the same on both
        sides.
        """
        offset, letters = ix.affine(part) or (Integer(0), {})
        open_ = [letter for letter in letters if letter.range not in sizes]
        if len(open_) != 1 or letters[open_[0]] < 1:
            return
        start = int(offset.xreplace({s: Integer(sizes[s.range]) for s in offset.atoms(fn.Size)}))
        others = [c * (int(sizes[x.range]) - 1) for x, c in letters.items() if x not in open_]
        lowest = start + sum(reach for reach in others if reach < 0)
        highest = start + sum(reach for reach in others if reach > 0)
        room = dim - 1 + max(0, -lowest) - highest
        sizes[open_[0].range] = max(0, room // letters[open_[0]] + 1)

    def range_of(self, part: Expr, access: Access, sizes: Mapping[str, Dim], path: Path) -> Dim:
        """Return how long the axis is where an index stands left of `=`."""
        if isinstance(part, fn.Index):
            if part.range not in sizes:
                raise wrong_access(
                    access,
                    path,
                    f"how many values does the index {part.name} take?",
                    f"it must stand in a tensor on the right, as x[n, {part.name}]",
                )
            return sizes[part.range]
        if isinstance(part, fn.Flat):
            dims = [self.range_of(arg, access, sizes, path) for arg in part.args]
            if all(isinstance(dim, int) for dim in dims):
                return math.prod(int(dim) for dim in dims)
        offset, letters = ix.affine(part) or (Integer(0), {})
        parts = offset.as_ordered_terms()
        if list(letters.values()) == [1] and all(isinstance(p, fn.Size | Integer) for p in parts):
            unknown = [p.range for p in parts if isinstance(p, fn.Size) and p.range not in sizes]
            if unknown:
                message = f"how many values does the index {unknown[0]} take?"
                raise wrong_access(access, path, message, f"`{unknown[0]}` must stand in a tensor")
            begins = sum(  # size(i) + j: behind another
                int(p) if isinstance(p, Integer) else int(sizes[p.range]) for p in parts
            )
            return begins + int(self.range_of(next(iter(letters)), access, sizes, path))
        raise wrong_access(
            access, path, "left of `=` stands a tensor with plain indices", "as z[n, o]"
        )

    def equation(self, read: Formula, reading: Reading) -> str:
        """Add a formula that was read; one that only gives a tensor another letter adds nothing."""
        target = target_of(read)
        if (
            isinstance(read.rhs, Indexed)
            and isinstance(target, Indexed)
            and read.rhs.indices == target.indices
            and name_of(target) not in reading.parts
        ):
            letter = name_of(target)
            reading.names[letter] = reading.names[name_of(read.rhs)]
            return reading.names[letter]
        return self.node(Equation(target, read.rhs), dict(read.sizes), reading)

    def node(self, equation: Equation, sizes: Mapping[str, Dim], reading: Reading) -> str:
        """Add the equation's node (behind its seams' nodes) and return its target's name."""
        equation = self.one_letter_each(equation, reading)
        self.require_sizes(equation, sizes, reading.path)
        equation = self.labels_named(equation, sizes, reading)
        if any(sizes[x.range] == 1 for soft in equation.rhs.atoms(fn.Soft) for x in soft.bound):
            self.rewrites[f"{reading.layer}: {OF_ONE}"] = None
        self.require_square(equation, sizes, reading.path)
        stabler = stable.rewritten(equation.rhs)
        for note in stabler.notes:
            self.rewrites[f"{reading.layer}: {note}"] = None
        if stabler.notes:
            names = tuple(reading.names.items())
            self.rewritten.append(Rewrite(reading.layer, equation.rhs, names))
        equation = Equation(equation.target, stabler.expr)
        constants = frozenset(
            letter for letter, name in reading.names.items() if self.is_fixed(name)
        )
        known = frozenset(reading.names) - {name_of(read) for read in reads(equation.rhs)}
        for part in seams(equation, constants, known):
            within = part
            if self.loop is not None:
                within, before = steady(part, reading.awaited | reading.stepped, known)
                for ahead in before:
                    self.place(ahead, sizes, reading, None)
            self.place(within, sizes, reading, self.loop)
        return reading.names[equation.name]

    def labels_named(
        self, equation: Equation, sizes: Mapping[str, Dim], reading: Reading
    ) -> Equation:
        """Return the equation with a name for labels that are read at computed places.

        E[e[n, t − 1], k] becomes E[b[n, t], k] with b[n, t] = e[n, t − 1], 0 outside of e.
        """
        swap: dict[Expr, Expr] = {}
        for access in ix.accesses(equation.rhs):
            for part in access.indices:
                if not isinstance(part, Indexed) or part in swap:
                    continue
                if all(isinstance(at, fn.Index) for at in part.indices):
                    continue
                name = word_for(f"{name_of(part)}_at", {*reading.names, *map(str, swap.values())})
                at = ix.in_reading_order(part, subscripts(equation.target))
                swap[part] = formula.tensor(name, *at)
                self.place(Equation(swap[part], part), sizes, reading, None)
        return Equation(equation.target, equation.rhs.xreplace(swap)) if swap else equation

    def one_letter_each(self, equation: Equation, reading: Reading) -> Equation:
        """Return the equation with one letter for each tensor that it reads: of y and f1 one."""
        first: dict[str, str] = {}
        swap: dict[Expr, Expr] = {}
        for read in reads(equation.rhs):
            letter = name_of(read)
            one = first.setdefault(reading.names[letter], letter)
            if one != letter:
                made = IndexedBase if isinstance(read, Indexed) else Symbol
                swap[made(letter)] = made(one)
        return Equation(equation.target, equation.rhs.xreplace(swap)) if swap else equation

    def step_by_step(self, loop: Loop, steps: Iterable[Step]) -> None:
        """Add the nodes of a recurrence, side by side; what they read of no step comes before."""
        kept, self.nodes, self.loop = self.nodes, [], loop
        for step in steps:
            self.node(step.equation, step.sizes, step.reading)
        self.loop = None
        apart = [node for node in self.nodes if node.loop is None]
        self.nodes = [*kept, *apart, *(node for node in self.nodes if node.loop is not None)]

    def require_sizes(self, equation: Equation, sizes: Mapping[str, Dim], path: Path) -> None:
        """Refuse an index whose range no tensor tells."""
        ranges = {letter.range: letter.name for letter in ix.letters(equation.rhs)}
        ranges |= {size.range: size.range for size in equation.rhs.atoms(fn.Size)}
        for name in sorted(set(ranges) - set(sizes)):
            message = f"how many values does the index {ranges[name]} take?"
            hint = f"it must stand in a tensor, as x[n, {ranges[name]}]"
            raise UserError(Mistake(message, path, hint=hint))

    def require_square(self, equation: Equation, sizes: Mapping[str, Dim], path: Path) -> None:
        """Refuse an inverse, a determinant and the like of what isn't square."""
        for part in sorted(equation.rhs.atoms(fn.OfMatrix), key=str):
            rows, columns = (sizes[letter.range] for letter in part.bound)
            if rows != columns:
                message = f"`{part.word}` is of square matrices, this one is {rows} by {columns}"
                raise UserError(Mistake(message, path))

    def place(
        self,
        equation: Equation,
        sizes: Mapping[str, Dim],
        reading: Reading,
        loop: Loop | None = None,
    ) -> None:
        """Add the node of one equation, and the tensor that it defines.

        An inverse and its like that is there already isn't computed again.
        """
        local = equation.name
        matrix = None if loop else of_matrix(equation, reading.names)
        if matrix in self.matrices and local not in {*reading.parts, *reading.awaited}:
            reading.names[local] = self.matrices[matrix]
            return
        at = subscripts(equation.target)
        access = Access(local, at, 0, len(local))
        shape = tuple(self.range_of(part, access, sizes, reading.path) for part in at)
        self.require_behind(access, shape, sizes, reading)
        letters = tuple(part.name if isinstance(part, Symbol) else "" for part in at)
        if local in reading.parts and local in reading.names:
            known = self.tensors[reading.names[local]]
            self.tensors[known.name] = replace(known, shape=shape)
        elif local not in reading.awaited:
            name = self.namer.of(local, reading.number)
            made = Tensor(name, f"{reading.layer}.{local}", Role.VALUE, shape)
            if isinstance(equation.rhs, fn.ArgMax):  # a place, which may be an index
                count = sizes[equation.rhs.bound[0].range]
                made = replace(made, classes=count if isinstance(count, int) else None)
            elif isinstance(equation.rhs, Indexed):
                read = self.tensors[reading.names[name_of(equation.rhs)]]
                made = replace(made, classes=read.classes)
            reading.names[local] = self.add(made, letters)
        if not all(letters):
            fresh = axis_letters(len(shape), (), str(shape[0]) if shape else "n")
            self.letters[reading.names[local]] = fresh
        names = tuple(
            (letter, reading.names[letter])
            for letter in dict.fromkeys([local, *(name_of(a) for a in reads(equation.rhs))])
        )
        if all(self.is_fixed(name) for letter, name in names if letter != local):
            self.fixed.add(reading.names[local])
        loop = loop if loop and loop.letter in letters else None
        reading.stepped |= {local} if loop else set()
        if matrix is not None:
            self.matrices[matrix] = reading.names[local]
        self.nodes.append(Node(reading.layer, equation, names, tuple(sizes.items()), loop))

    def require_behind(
        self, access: Access, shape: Sequence[Dim], sizes: Mapping[str, Dim], reading: Reading
    ) -> None:
        """Refuse a part of a tensor, z[n, size(i) + j], that isn't right behind those before."""
        filled = access.name in reading.parts and access.name in reading.names
        before = self.shape(access.name, reading) if filled else ()
        computed = [k for k, at in enumerate(access.subscripts) if not isinstance(at, PLACES)]
        for axis, dim in enumerate(shape):
            known = before[axis] if filled else 0
            if axis not in computed:
                if filled and known != dim:
                    message = f"`{access.name}` has {known} values along this axis, {dim} here"
                    raise wrong_access(access, reading.path, message)
                continue
            (letter,) = ix.letters(access.subscripts[axis])
            begins = int(dim) - int(sizes[letter.range])
            if begins != known or len(computed) > 1:
                message = f"`{access.name}` has {known} values so far, this part begins at {begins}"
                hint = "parts go along one axis: z[n, i] = …, then z[n, size(i) + j] = …"
                raise wrong_access(access, reading.path, message, hint)

    def is_fixed(self, name: str) -> bool:
        """Say whether a tensor depends on no parameter."""
        return self.tensors[name].role in FIXED_ROLES or name in self.fixed


def functions_of(own: Iterable[OwnFunction]) -> Functions:
    """Return the functions a formula may call: the catalogue's elementwise ones, the spec's own."""
    found: dict[str, Definition] = {}
    for entry in catalog.entries():
        if entry.kind is Kind.ACTIVATION and "[" not in entry.formulas[0]:
            for name in (entry.name, *entry.aliases):
                if name not in fn.ELEMENTWISE:
                    numbers = tuple(option_numbers(entry, {}).items())
                    found[name] = Definition(("x",), entry.formulas[0], numbers)
    for item in own:
        found[item.name] = Definition(item.args, item.formula, _numbers(item))
    return tuple(found.items())


def _numbers(own: OwnFunction) -> tuple[tuple[str, Expr], ...]:
    """Return what a function's formula may name beside its arguments."""
    return tuple((name, fn.number(value)) for name, value in own.constants)


def faulty(own: Sequence[OwnFunction], functions: Functions) -> Iterator[Mistake]:
    """Yield the mistakes in the spec's own functions, each in its own text.

    A function that calls a faulty one is itself in order as far as anyone can tell.
    """
    wrong: dict[str, UserError] = {}
    for item in own:
        try:
            ranks = tuple((letter, 0) for letter in item.args)
            parsed(item.formula, ranks, _numbers(item), functions, None)
        except UserError as error:
            wrong[item.name] = at_path(error, ("functions", item.name, "formula"))
    for item in own:
        others = wrong.keys() - {item.name}
        if item.name in wrong and not others.intersection(re.findall(r"\w+", item.formula)):
            yield from wrong[item.name].mistakes


def target_of(read: Formula) -> Expr:
    """Return the target of a formula that has one."""
    assert read.target is not None
    return read.target.value


def wrong_access(access: Access, path: Path, message: str, hint: str = "") -> UserError:
    """Return an error that points at an access."""
    return UserError(Mistake(message, path, access.offset, access.length, hint))


def formula_paths(formulas: Sequence[str], path: Path) -> list[Path]:
    """Return where each formula stands: `formula` holds one text or a list."""
    if len(formulas) == 1:
        return [(*path, "formula")]
    return [(*path, "formula", place) for place in range(len(formulas))]
