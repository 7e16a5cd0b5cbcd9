"""Spec → Graph: tensors with shapes, and the network's formulas in order, one node each."""

import ast
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from sympy import Expr, Indexed, Integer, Symbol
from sympy.core.parameters import distribute

from symback import catalog, formula, stable
from symback import functions as fn
from symback import index as ix
from symback.catalog.entry import Entry, Kind, Option
from symback.errors import Mistake, UserError, near_miss
from symback.formula import Access, Definition, Formula, Scope, parse
from symback.naming import Namer, axis_letters, word_for
from symback.program import Constant, Data, Dim, Draw, Role, State, Tensor, Training
from symback.spec import Choice, Layer, Loss, Rule, Spec, Start

Path = tuple[str | int, ...]
CONSTANT_ROLES = (Role.INPUT, Role.TARGET, Role.CONSTANT, Role.RANDOM)


@dataclass(frozen=True, slots=True)
class Equation:
    """target = rhs, in the letters it was written in."""

    target: Expr
    rhs: Expr

    @property
    def name(self) -> str:
        """The letter that the equation defines."""
        return name_of(self.target)


@dataclass(frozen=True, slots=True)
class Node:
    """One equation at work: which tensor each of its letters stands for, and the indices' ranges.

    Equal layers share one equation; only `names` tells them apart.
    """

    layer: str
    equation: Equation
    names: tuple[tuple[str, str], ...]
    sizes: tuple[tuple[str, Dim], ...]

    @property
    def target(self) -> str:
        """The name of the tensor that the node computes."""
        return dict(self.names)[self.equation.name]


@dataclass(frozen=True, slots=True)
class Recipe:
    """An optimiser or a schedule: equations over scalars, with their constants and states."""

    name: str
    constants: tuple[Constant, ...]
    states: tuple[State, ...]
    equations: tuple[Equation, ...]
    per: str = "epoch"


@dataclass(frozen=True, slots=True)
class Graph:
    """The network: tensors, and nodes in an order in which they can be computed."""

    model: str
    source: str
    digest: str
    tensors: tuple[Tensor, ...]
    layers: tuple[Node, ...]
    output: str
    loss: tuple[Node, ...]
    objective: str
    divisor: str  # the scalar that the loss's mean divides by: "n", a tensor's name or ""
    metrics: tuple[tuple[str, tuple[Node, ...]], ...]
    facts: tuple[tuple[str, str], ...]  # (tensor, kind of program.Assumption)
    optimizer: Recipe
    schedule: Recipe | None
    training: Training
    data: Data | None
    rewrites: tuple[str, ...]  # what was made stable, and why

    def tensor(self, name: str) -> Tensor:
        """Return the tensor of that name."""
        return next(tensor for tensor in self.tensors if tensor.name == name)


def name_of(access: Expr) -> str:
    """Return the tensor's letter in an access, x of x[n, i]."""
    return str(access.base.label.name if isinstance(access, Indexed) else access.name)


def build(spec: Spec) -> Graph:
    """Read every formula of a spec and fit the shapes together.

    Raises UserError, each mistake with its place in the spec.
    """
    try:
        with distribute(False):
            return _Builder(spec).graph()
    except UserError as error:
        raise UserError(*(spec.locate(mistake) for mistake in error.mistakes)) from None


def seams(equation: Equation, constants: frozenset[str]) -> tuple[Equation, ...]:
    """Give every sum that stands inside something curved an equation of its own.

    h = sin(Σ_i W·x + b) becomes z = Σ_i W·x + b and h = sin(z), so that ∂L/∂z is computed once
    for W, x and b. A reduction in a straight place (a term of a sum, or times constants) stays.
    """
    return _seams(equation, constants)


@lru_cache(maxsize=4096)
def _seams(equation: Equation, constants: frozenset[str]) -> tuple[Equation, ...]:
    taken = {name_of(a) for a in _read(equation.rhs)} | {equation.name}
    at = equation.target
    splitter = _Splitter(constants, taken, at.indices if isinstance(at, Indexed) else ())
    rhs = splitter.straight(equation.rhs)
    return (*splitter.made, Equation(equation.target, rhs))


def _read(expr: Expr) -> list[Expr]:
    """Return the accesses and scalars that an expression reads."""
    return [*ix.accesses(expr), *ix.scalars(expr)]


@dataclass(slots=True)
class _Splitter:
    constants: frozenset[str]
    taken: set[str]
    first: tuple[Expr, ...]  # the indices of the equation's target
    made: list[Equation] = field(default_factory=list)

    def straight(self, expr: Expr) -> Expr:
        """Split an expression that stands where its slope is constant."""
        if not expr.has(fn.Reduction):
            return expr
        if expr.is_Add:
            return expr.func(*(self.straight(arg) for arg in expr.args))
        if expr.is_Mul:
            varying = [arg for arg in expr.args if not self.is_constant(arg)]
            if len(varying) <= 1:
                return ix.product(
                    self.straight(arg) if arg in varying else self.curved(arg, top=False)
                    for arg in expr.args
                )
            return ix.product(self.curved(arg, top=True) for arg in expr.args)
        if isinstance(expr, fn.SumOver):
            return expr.func(self.straight(expr.body), *expr.bound)
        if isinstance(expr, fn.Reduction):
            return expr.func(self.curved(expr.body, top=True), *expr.bound)
        return expr.func(*(self.curved(arg, top=True) for arg in expr.args))

    def curved(self, expr: Expr, *, top: bool) -> Expr:
        """Name what holds a reduction here: all of it where it's the whole argument (`top`)."""
        if not expr.has(fn.Reduction):
            return expr
        if self.is_constant(expr) and not top:
            return expr
        number, rest = expr.as_coeff_Mul()
        inner = self.straight(rest)
        letters = ix.in_reading_order(rest, self.first)
        word = self.word(rest)
        self.taken.add(word)
        target = formula.tensor(word, *letters)
        self.made.append(Equation(target, inner))
        return number * target

    def word(self, expr: Expr) -> str:
        if isinstance(expr, fn.Reduction):
            return word_for(expr.word, self.taken)
        if expr.is_Mul and all(isinstance(a, fn.SumOver) or a.has(fn.Size) for a in expr.args):
            return word_for("mu", self.taken)
        return word_for("z", self.taken)

    def is_constant(self, expr: Expr) -> bool:
        return all(name_of(access) in self.constants for access in _read(expr))


@lru_cache(maxsize=4096)
def _parsed(
    text: str,
    ranks: tuple[tuple[str, int | None], ...],
    numbers: tuple[tuple[str, Expr], ...],
    functions: tuple[tuple[str, Definition], ...],
    ellipsis: tuple[str, ...] | None,
) -> Formula:
    return parse(text, Scope(dict(ranks), dict(numbers), {}, dict(functions), ellipsis))


def _at_path(error: UserError, path: Path) -> UserError:
    """Return the error with the place of the text that was read."""
    return UserError(*(replace(mistake, path=path) for mistake in error.mistakes))


def option_numbers(entry: Entry, given: Mapping[str, Any]) -> dict[str, Expr]:
    """Return what an entry's formulas may name of its options, as numbers."""
    numbers: dict[str, Expr] = {}
    for option in entry.options:
        value = given.get(option.name, option.default)
        numbers[f"{option.name}_given"] = Integer(int(value is not None))
        if option.choices:
            for choice in option.choices:
                numbers[f"{option.name}_{choice}"] = Integer(int(value == choice))
        elif option.listed or value is None:
            continue
        elif isinstance(value, bool):
            numbers[option.name] = Integer(int(value))
        elif isinstance(value, int | float):
            numbers[option.name] = fn.number(value)
    return numbers


def start_of(
    init: Start,
    shape: tuple[int, ...],
    sizes: Mapping[str, int],
    path: Path,
) -> Draw:
    """Return how a parameter starts. `init`: a catalogue entry, a formula or the numbers."""
    if isinstance(init, tuple):
        return Draw("values", values=init)
    if isinstance(init, int | float):
        return Draw("constant", (float(init),))
    text: Choice | str = init
    numbers: dict[str, Expr] = {}
    if isinstance(init, Choice) or catalog.find(Kind.INITIALIZER, str(init)):
        choice = init if isinstance(init, Choice) else Choice(name=init, options=())
        entry = catalog.find(Kind.INITIALIZER, choice.name)
        if entry is None:
            hint = near_miss(choice.name, catalog.names(Kind.INITIALIZER))
            raise UserError(Mistake(f"there is no initialiser `{choice.name}`", path, hint=hint))
        text, numbers = entry.formulas[-1], option_numbers(entry, dict(choice.options))
    receptive = math.prod(shape[2:])
    fan_in = math.prod(shape[1:]) if len(shape) > 1 else shape[0] if shape else 1
    fan_out = shape[0] * receptive if shape else 1
    numbers = numbers | {"fan_in": Integer(fan_in), "fan_out": Integer(fan_out)}
    return draw(str(text), numbers, sizes, path)


def draw(text: str, numbers: Mapping[str, Expr], sizes: Mapping[str, int], path: Path) -> Draw:
    """Read `uniform(-1/sqrt(fan_in), 1/sqrt(fan_in))` and the like into numbers."""
    counts = {"uniform": 2, "normal": 2, "constant": 1, "keep": 1}
    node = formula.syntax(text, path).value
    if isinstance(node, ast.Name) and node.id in {"zeros", "ones"}:
        return Draw("constant", (float(node.id == "ones"),), because=node.id)
    known = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    if not (known and node.func.id in counts and len(node.args) == counts[node.func.id]):
        raise UserError(
            Mistake(
                f"`{text}` draws nothing",
                path,
                hint="write uniform(low, high), normal(mean, std), constant(value), "
                "zeros, ones or an initialiser's name",
            )
        )
    values = []
    for argument in node.args:
        part = ast.get_source_segment(text.strip(), argument) or ""
        try:
            value = _parsed(part, (), tuple(numbers.items()), (), None).rhs
        except UserError as error:
            raise _at_path(error, path) from None
        ranges = {s: Integer(sizes[s.letter]) for s in value.atoms(fn.Size)}
        found = formula.numeric(value.xreplace(ranges))
        if found is None or not math.isfinite(found):
            raise UserError(Mistake(f"`{part}` is no number", path))
        values.append(found)
    return Draw(node.func.id, tuple(values), because=text)


@dataclass(slots=True)
class _Group:
    """The formulas of one layer (or of the loss) while they are being read together."""

    layer: str
    path: Path
    number: int | None  # the layer's place, from 1; none for the loss
    numbers: dict[str, Expr]
    names: dict[str, str]  # letter → tensor
    ellipsis: tuple[str, ...] | None
    sizes: dict[str, Dim] = field(default_factory=dict)
    loose: frozenset[str] = frozenset()  # letters that are read before their shape is known
    functions: tuple[tuple[str, Definition], ...] | None = None
    inlined: dict[Expr, Expr] = field(default_factory=dict)


class _Builder:
    """Fits a spec's formulas together: tensors by name, and nodes as they come."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.namer = Namer(item.name for item in spec.inputs)
        self.tensors: dict[str, Tensor] = {}
        self.letters: dict[str, tuple[str, ...]] = {}
        self.outputs: dict[str, str] = {}  # input's or layer's name → tensor
        self.nodes: list[Node] = []
        self.facts: list[tuple[str, str]] = []
        self.rewrites: dict[str, None] = {}
        self.fixed: set[str] = set()  # values that no parameter changes
        self.functions = self._functions()

    def graph(self) -> Graph:
        """Build the whole graph."""
        spec = self.spec
        for item in spec.inputs:
            letters = axis_letters(len(item.shape), (), str(item.shape[0]))
            self._add(Tensor(item.name, item.name, Role.TARGET, item.shape, item.classes), letters)
            self.outputs[item.name] = item.name
        before = spec.inputs[0].name
        for place, layer in enumerate(spec.layers):
            before = self._layer(layer, place, before)
        layers = tuple(self.nodes)
        for name in {name for node in layers for _, name in node.names}:
            if self.tensors[name].role is Role.TARGET:
                self.tensors[name] = replace(self.tensors[name], role=Role.INPUT)
        self.nodes = []
        objective, divisor = self._loss(spec.loss, before)
        loss = tuple(self.nodes)
        metrics = tuple((name, self._metric(name, before)) for name in spec.metrics)
        optimizer = self._recipe(Kind.OPTIMIZER, spec.optimizer, "optimizer")
        schedule = self._recipe(Kind.SCHEDULE, spec.schedule, "schedule") if spec.schedule else None
        used = {name for node in (*layers, *loss) for _, name in node.names}
        for tensor in self.tensors.values():
            if tensor.classes is not None:
                self.facts.append((tensor.name, "classes"))
        return Graph(
            model=spec.model,
            source=spec.source,
            digest=spec.digest,
            tensors=tuple(
                t for t in self.tensors.values() if t.role is not Role.PARAMETER or t.name in used
            ),
            layers=layers,
            output=before,
            loss=loss,
            objective=objective,
            divisor=divisor,
            metrics=metrics,
            facts=tuple(dict.fromkeys(self.facts)),
            optimizer=optimizer,
            schedule=schedule,
            training=spec.training,
            data=spec.data,
            rewrites=tuple(self.rewrites),
        )

    # ---------------------------------------------------------------- tensors and formulas

    def _functions(self) -> tuple[tuple[str, Definition], ...]:
        """Return the functions a formula may call: the catalogue's elementwise ones, the spec's."""
        found: dict[str, Definition] = {}
        for entry in catalog.entries():
            plain = len(entry.formulas) == 1 and "=" not in entry.formulas[0].replace("==", "")
            if entry.kind is Kind.ACTIVATION and plain:
                for name in (entry.name, *entry.aliases):
                    if name not in fn.ELEMENTWISE:
                        numbers = tuple(option_numbers(entry, {}).items())
                        found[name] = Definition(("x",), entry.formulas[0], numbers)
        for own in self.spec.functions:
            found[own.name] = Definition(own.args, own.formula)
        return tuple(found.items())

    def _add(self, tensor: Tensor, letters: tuple[str, ...]) -> str:
        self.tensors[tensor.name] = tensor
        self.letters[tensor.name] = letters
        return tensor.name

    def _read(self, text: str, group: _Group, path: Path) -> Formula:
        """Parse a formula and take the ranges of its indices from what it reads."""
        ranks: tuple[tuple[str, int | None], ...] = tuple(
            (letter, len(self.tensors[name].shape)) for letter, name in group.names.items()
        )
        ranks += tuple((letter, None) for letter in sorted(group.loose - set(group.names)))
        functions = self.functions if group.functions is None else group.functions
        try:
            read = _parsed(text, ranks, tuple(group.numbers.items()), functions, group.ellipsis)
        except UserError as error:
            raise _at_path(error, path) from None
        for access in read.reads:
            if access.name in group.names:
                self._fit(access, self.tensors[group.names[access.name]].shape, group, path)
        return read

    def _fit(self, access: Access, shape: Sequence[Dim], group: _Group, path: Path) -> None:
        """Let each index of an access run over its axis; refuse two ranges for one letter."""
        for part, dim in zip(access.subscripts, shape, strict=True):
            if isinstance(part, Integer):
                if isinstance(dim, int) and int(part) >= dim:
                    raise _at(access, path, f"`{access.name}` has {dim} values here: 0 … {dim - 1}")
                continue
            if not isinstance(part, Symbol):
                raise _at(access, path, "computed indices can't be read yet")
            known = group.sizes.setdefault(part.name, dim)
            if known != dim:
                raise _at(
                    access,
                    path,
                    f"the index {part.name} takes {known} values elsewhere, "
                    f"{dim} in `{access.name}` of shape ({', '.join(map(str, shape))})",
                    "use another letter, or mend the shape",
                )

    def _target_shape(self, read: Formula, group: _Group, path: Path) -> tuple[Dim, ...]:
        assert read.target is not None
        return tuple(self._range(part, read.target, group, path) for part in read.target.subscripts)

    def _range(self, part: Expr, access: Access, group: _Group, path: Path) -> Dim:
        if isinstance(part, Symbol):
            if part.name not in group.sizes:
                raise _at(
                    access,
                    path,
                    f"how many values does the index {part.name} take?",
                    f"it must stand in a tensor on the right, as x[n, {part.name}]",
                )
            return group.sizes[part.name]
        if isinstance(part, fn.Flat):
            dims = [self._range(arg, access, group, path) for arg in part.args]
            if all(isinstance(dim, int) for dim in dims):
                return math.prod(int(dim) for dim in dims)
        if part.is_Add:
            offset = sum(int(group.sizes[p.letter]) for p in part.args if isinstance(p, fn.Size))
            letter = next(p for p in part.args if isinstance(p, Symbol))
            return offset + int(self._range(letter, access, group, path))
        raise _at(access, path, "left of `=` stands a tensor with plain indices", "as z[n, o]")

    def _equation(self, read: Formula, group: _Group) -> str:
        """Add a formula that was read; one that only gives a tensor another letter adds nothing."""
        target = _target(read)
        if (
            isinstance(read.rhs, Indexed)
            and isinstance(target, Indexed)
            and read.rhs.indices == target.indices
        ):
            letter = name_of(target)
            group.names[letter] = group.names[name_of(read.rhs)]
            return group.names[letter]
        return self._node(Equation(target, read.rhs), group)

    def _node(self, equation: Equation, group: _Group) -> str:
        """Add the equation's node (behind its seams' nodes) and return its target's name."""
        stabler = stable.rewritten(equation.rhs)
        for note in stabler.notes:
            self.rewrites[f"{group.layer}: {note}"] = None
        equation = Equation(equation.target, stabler.expr)
        constants = frozenset(
            letter for letter, name in group.names.items() if self._is_fixed(name)
        )
        for part in seams(equation, constants):
            self._place(part, group)
        return group.names[equation.name]

    def _place(self, equation: Equation, group: _Group) -> None:
        local = equation.name
        subscripts = equation.target.indices if isinstance(equation.target, Indexed) else ()
        access = Access(local, tuple(subscripts), 0, 1)
        shape = tuple(self._range(part, access, group, group.path) for part in subscripts)
        letters = tuple(part.name if isinstance(part, Symbol) else "" for part in subscripts)
        if local not in group.names or self.tensors[group.names[local]].shape != shape:
            if local in group.names and self._is_joined(group.names[local]):
                known = self.tensors[group.names[local]]
                self.tensors[known.name] = replace(known, shape=shape)
            else:
                name = self.namer.of(local, group.number)
                key = f"{group.layer}.{local}"
                group.names[local] = self._add(Tensor(name, key, Role.VALUE, shape), letters)
        if not all(letters):
            fresh = axis_letters(len(shape), (), str(shape[0]) if shape else "n")
            self.letters[group.names[local]] = fresh
        names = tuple(
            (letter, group.names[letter])
            for letter in dict.fromkeys([local, *(name_of(a) for a in _read(equation.rhs))])
        )
        if all(self._is_fixed(name) for letter, name in names if letter != local):
            self.fixed.add(group.names[local])
        sizes = tuple(group.sizes.items())
        self.nodes.append(Node(group.layer, equation, names, sizes))

    def _is_fixed(self, name: str) -> bool:
        """Say whether a tensor depends on no parameter."""
        return self.tensors[name].role in CONSTANT_ROLES or name in self.fixed

    def _is_joined(self, name: str) -> bool:
        """Say whether the tensor is being put together from several formulas (concatenation)."""
        return any(node.target == name for node in self.nodes)

    # ---------------------------------------------------------------- layers

    def _layer(self, layer: Layer, place: int, before: str) -> str:
        path: Path = ("layers", place, layer.name)
        sources = [self.outputs[name] for name in layer.sources] or [before]
        if layer.kind is not None:
            entry = catalog.find(Kind.LAYER, layer.kind.name)
            assert entry is not None  # the spec's validation found it
            output = self._folded(layer, entry, place + 1, sources, path)
        else:
            output = self._own_layer(layer, place + 1, sources, before, path)
        if layer.activation is not None:
            output = self._activation(layer.activation, layer, place + 1, output, path)
        self.outputs[layer.name] = output
        return output

    def _folded(
        self, layer: Layer, entry: Entry, number: int, sources: list[str], path: Path
    ) -> str:
        """Apply a catalogue layer; one that takes two sources takes more by pairs."""
        pairs = any("x2" in text for text in entry.formulas)
        if not pairs:
            if len(sources) != 1:
                raise UserError(Mistake(f"`{entry.name}` reads one source", (*path, "from")))
            return self._entry_layer(layer, entry, number, {"x": sources[0]}, path)
        if len(sources) < 2:
            hint = "write `from: [f1, x]`"
            raise UserError(Mistake(f"`{entry.name}` reads two sources or more", path, hint=hint))
        output = sources[0]
        for other in sources[1:]:
            output = self._entry_layer(layer, entry, number, {"x1": output, "x2": other}, path)
        return output

    def _entry_layer(
        self, layer: Layer, entry: Entry, number: int, names: dict[str, str], path: Path
    ) -> str:
        assert layer.kind is not None
        numbers = option_numbers(entry, dict(layer.kind.options))
        group = _Group(layer.name, path, number, numbers, dict(names), None)
        first = next(iter(names))
        group.ellipsis = self._dots(entry.formulas, first, names[first])
        starts = dict(layer.init)
        random = dict(entry.random)
        for letter, text in random.items():
            shape = self.tensors[names[first]].shape
            keep = draw(text, numbers, {}, path)
            mask = Tensor(
                self.namer.of(letter, number),
                f"{layer.name}.{letter}",
                Role.RANDOM,
                shape,
                draw=keep,
            )
            group.names[letter] = self._add(mask, self.letters[names[first]])
        group.loose = frozenset(name for text in entry.formulas for name in formula.tensors(text))
        formulas = [self._read(text, group, path) for text in entry.formulas]
        used = {access.name for read_ in formulas for access in read_.reads}
        for parameter in entry.parameters:
            if parameter.letter in used:
                self._entry_parameter(layer, entry, parameter.letter, group, formulas, starts, path)
        unknown = set(starts) - {""} - {parameter.name for parameter in entry.parameters}
        if unknown:
            known = ", ".join(f"`{parameter.name}`" for parameter in entry.parameters)
            message = f"`{entry.name}` has no parameter `{min(unknown)}`"
            raise UserError(Mistake(message, (*path, "init"), hint=f"it has {known}"))
        for text in entry.formulas:
            again = self._read(text, group, path)
            output = self._equation(again, group)
        return output

    def _entry_parameter(
        self,
        layer: Layer,
        entry: Entry,
        letter: str,
        group: _Group,
        formulas: list[Formula],
        starts: Mapping[str, Any],
        path: Path,
    ) -> None:
        """Make a catalogue layer's parameter: its shape names options and indices."""
        parameter = next(p for p in entry.parameters if p.letter == letter)
        access = next(a for read in formulas for a in read.reads if a.name == letter)
        shape: list[int] = []
        for part, dim in zip(access.subscripts, parameter.shape, strict=True):
            size = group.numbers.get(dim, group.sizes.get(dim))
            assert size is not None, (entry.name, dim)
            if isinstance(size, str):
                message = f"`{entry.name}` needs a fixed size where the input has `{size}`"
                raise UserError(Mistake(message, path))
            shape.append(int(size))
            if isinstance(part, Symbol):
                group.sizes.setdefault(part.name, int(size))
        init = starts.get(parameter.name)
        if init is None:
            init = starts.get("") if len(shape) > 1 else None
        where: Path = (*path, "init")
        sizes = {name: dim for name, dim in group.sizes.items() if isinstance(dim, int)}
        start = start_of(init if init is not None else parameter.init, tuple(shape), sizes, where)
        self._parameter(letter, parameter.name, tuple(shape), start, group, where)

    def _parameter(
        self, letter: str, name: str, shape: tuple[int, ...], start: Draw, group: _Group, path: Path
    ) -> None:
        if start.kind == "values" and _shape(start.values) != shape:
            raise UserError(
                Mistake(
                    f"`{group.layer}.{name}` has shape {shape}, its start {_shape(start.values)}",
                    path,
                )
            )
        made = Tensor(
            self.namer.of(letter, group.number),
            f"{group.layer}.{name}",
            Role.PARAMETER,
            shape,
            draw=start,
        )
        self._add(made, axis_letters(len(shape), (), "i"))
        group.names[letter] = made.name
        self.outputs[made.key] = made.name

    def _own_layer(
        self, layer: Layer, number: int, sources: list[str], before: str, path: Path
    ) -> str:
        """Read a layer that the spec defines by formulas."""
        numbers: dict[str, Expr] = {name: fn.number(value) for name, value in layer.constants}
        group = _Group(layer.name, path, number, numbers, {}, None)
        group.names = self._own_names(layer, sources, before)
        for own in layer.parameters:
            where: Path = (*path, "parameters", own.name, "init")
            start = start_of(own.init, own.shape, {}, where)
            self._parameter(own.name, own.name, own.shape, start, group, where)
        first = next(iter(group.names))
        for text, where in zip(layer.formulas, _formula_paths(layer.formulas, path), strict=True):
            group.ellipsis = self._dots((text,), first, group.names[first])
            read = self._read(text, group, where)
            if read.target is None:
                raise UserError(
                    Mistake("a layer's formula names its result", where, hint=f"h[n, k] = {text}")
                )
            if read.target.name in group.names:
                raise _at(
                    read.target, where, f"`{read.target.name}` is taken", "use another letter"
                )
            group.path = where
            output = self._equation(read, group)
        return output

    def _own_names(self, layer: Layer, sources: list[str], before: str) -> dict[str, str]:
        """Return what an own formula may read: `x` (or x1, x2, …) by place, others by name."""
        if layer.sources:
            named = dict(zip(layer.sources, sources, strict=True))
            places = [f"x{k + 1}" for k in range(len(sources))] if len(sources) > 1 else ["x"]
            return {**dict(zip(places, sources, strict=True)), **named}
        named = {n: t for n, t in self.outputs.items() if t == before and "." not in n}
        if "x" in self.outputs and self.outputs["x"] != before:
            return named  # an input is called x: which of the two is meant must be said
        return {"x": before, **named}

    def _activation(
        self, choice: Choice, layer: Layer, number: int, source: str, path: Path
    ) -> str:
        where: Path = (*path, "activation")
        letters = self.letters[source]
        entry = catalog.find(Kind.ACTIVATION, choice.name)
        definitions = dict(self.functions)
        if entry is not None and choice.name not in {own.name for own in self.spec.functions}:
            numbers = option_numbers(entry, dict(choice.options))
            text = entry.formulas[-1]
        elif choice.name in definitions and len(definitions[choice.name].args) == 1:
            numbers, text = {}, f"{choice.name}(x)"
        else:
            known = [*catalog.names(Kind.ACTIVATION), *definitions]
            hint = near_miss(choice.name, known) or "see `symback catalog`"
            raise UserError(Mistake(f"there is no activation `{choice.name}`", where, hint=hint))
        group = _Group(layer.name, where, number, numbers, {"z": source}, letters)
        if "[" in text:
            group.names = {"x": source}
            group.ellipsis = self._dots((text,), "x", source)
        else:  # an expression in x, for each element
            whole = Definition(("x",), text, tuple(numbers.items()))
            group.functions = (*self.functions, ("activation_", whole))
            text = "a[...] = activation_(z[...])"
        return self._equation(self._read(text, group, where), group)

    def _dots(self, formulas: Iterable[str], letter: str, source: str) -> tuple[str, ...] | None:
        """Return the letters that `...` stands for: the source's leading ones."""
        for text in formulas:
            beside = formula.explicit(text, letter)
            if beside >= 0:
                letters = self.letters[source]
                used = set(formula.index_names(text))
                kept = letters[: len(letters) - beside]
                fresh = iter(axis_letters(len(letters), {*used, *letters}))
                return tuple(next(fresh) if name in used else name for name in kept)
        return None

    # ---------------------------------------------------------------- loss and metrics

    def _loss(self, loss: Loss, output: str) -> tuple[str, str]:
        """Add the loss's nodes; return the objective's name and what its mean divides by."""
        path: Path = ("loss",)
        group = _Group("loss", path, None, {}, {}, None)
        if loss.choice is None:
            value, divisor = self._own_loss(loss, output, group)
        else:
            value, divisor = self._entry_loss(loss, loss.choice, output, group)
        if not (loss.l1 or loss.l2):
            return self._objective(value, group), divisor
        letters = value.target.indices if isinstance(value.target, Indexed) else ()
        data = formula.tensor("E", *letters)
        self._node(Equation(data, value.rhs), group)
        group.names["R"] = self._penalty(loss)
        whole = Equation(value.target, data + Symbol("R"))
        return self._objective(whole, group), divisor

    def _objective(self, equation: Equation, group: _Group) -> str:
        name = self._node(equation, group)
        self.tensors[name] = replace(self.tensors[name], role=Role.LOSS, key="loss")
        return name

    def _own_loss(self, loss: Loss, output: str, group: _Group) -> tuple[Equation, str]:
        assert loss.formula is not None
        group.numbers = {name: fn.number(value) for name, value in loss.constants}
        group.names = {**self.outputs, "y": output}
        where = ("loss", "formula")
        group.ellipsis = self._dots((loss.formula,), "y", output)
        read = self._read(loss.formula, group, where)
        batch = next(iter(self.tensors.values())).shape[0]
        averaged = any(group.sizes.get(size.letter) == batch for size in read.rhs.atoms(fn.Size))
        if ix.indices(read.rhs):
            loose = sorted(letter.name for letter in ix.indices(read.rhs))
            message = f"the loss is one number; {', '.join(loose)} must be summed over"
            raise UserError(Mistake(message, where, hint="as mean((y[n, k] - t[n, k])**2, n, k)"))
        return Equation(Symbol("L"), read.rhs), str(batch) if averaged else ""

    def _entry_loss(
        self, loss: Loss, choice: Choice, output: str, group: _Group
    ) -> tuple[Equation, str]:
        entry = catalog.find(Kind.LOSS, choice.name)
        assert entry is not None  # the spec's validation found it
        target = self.tensors[loss.target]
        group.numbers = option_numbers(entry, dict(choice.options))
        group.names = {"y": output, "t": loss.target}
        switches = {
            "labels": target.classes is not None,
            "weighted": bool(loss.weights),
            "sampled": loss.sample_weight is not None,
        }
        group.numbers |= {name: Integer(int(value)) for name, value in switches.items()}
        if loss.sample_weight:
            group.names["s"] = loss.sample_weight
        if loss.weights:
            weights = Draw("values", values=loss.weights)
            shape = (len(loss.weights),)
            made = Tensor(self.namer.of("w"), "loss.weight", Role.CONSTANT, shape, draw=weights)
            group.names["w"] = self._add(made, ("k",))
        group.ellipsis = self._dots(entry.formulas, "y", output)
        group.loose = frozenset(name for text in entry.formulas for name in formula.tensors(text))
        for text in entry.formulas:  # every index's range, before any is needed
            self._checked(text, choice, group)
        for text in entry.formulas[:-1]:
            self._named(self._checked(text, choice, group), group)
        last = self._checked(entry.formulas[-1], choice, group)
        element = Equation(_target(last), self._inlined(last.rhs, group))
        divisor = self._divisor(entry, loss, group)
        for fact in entry.assumes:
            holds = formula.parse(fact.where, Scope({}, group.numbers)).rhs
            if formula.numeric(holds) and fact.letter in group.names:
                self.facts.append((group.names[fact.letter], fact.kind))
        return self._reduced(loss.reduction, element, divisor, group)

    def _checked(self, text: str, choice: Choice, group: _Group) -> Formula:
        """Read a loss's formula; where shapes don't fit, say it of the output and the target."""
        try:
            return self._read(text, group, group.path)
        except UserError:
            shapes = " and ".join(
                f"{what} ({', '.join(map(str, self.tensors[group.names[letter]].shape))})"
                for letter, what in (("y", "an output of shape"), ("t", "a target of shape"))
            )
            message = f"`{choice.name}` doesn't fit {shapes}"
            labels = self.tensors[group.names["t"]].classes is not None
            known = "labels" if labels else "numbers"
            hint = f"the target holds {known}; see `symback catalog {choice.name}`"
            raise UserError(Mistake(message, (*group.path, choice.name), hint=hint)) from None

    def _named(self, read: Formula, group: _Group) -> None:
        """Add an intermediate of the loss.

        A log-softmax and its like isn't cut off: with it, the slope becomes p − t by itself.
        """
        target, rhs = _target(read), self._inlined(read.rhs, group)
        if isinstance(rhs, fn.Along | fn.LogSumExp):
            group.inlined[target] = rhs
        else:
            self._equation(replace(read, rhs=rhs), group)

    def _inlined(self, rhs: Expr, group: _Group) -> Expr:
        for target, value in group.inlined.items():
            for access in rhs.atoms(Indexed):
                if access.base == target.base:
                    swap = dict(zip(target.indices, access.indices, strict=True))
                    rhs = rhs.xreplace({access: ix.substitute(value, swap)})
        return rhs

    def _divisor(self, entry: Entry, loss: Loss, group: _Group) -> Expr:
        """Return what a mean divides by: a count, or a sum of weights that gets its own node."""
        text = entry.divisor or "size(...)"
        rhs = self._read(text, group, group.path).rhs
        if not _read(rhs) or loss.reduction != "mean":
            return rhs
        self._node(Equation(Symbol("M"), rhs), group)
        return Symbol("M")

    def _reduced(
        self, reduction: str, element: Equation, divisor: Expr, group: _Group
    ) -> tuple[Equation, str]:
        letters = tuple(element.target.indices) if isinstance(element.target, Indexed) else ()
        if reduction == "none":
            return Equation(formula.tensor("L", *letters), element.rhs), ""
        total = ix.summed(list(ix.factors(element.rhs)), letters)
        if reduction == "sum":
            return Equation(Symbol("L"), total), ""
        name = group.names.get(str(divisor), str(self.tensors[group.names["y"]].shape[0]))
        return Equation(Symbol("L"), total / divisor), name

    def _penalty(self, loss: Loss) -> str:
        """Add λ₁·Σ|w| + λ₂·Σw² over the parameters penalised."""
        every = [t for t in self.tensors.values() if t.role is Role.PARAMETER]
        chosen = [t for t in every if not loss.penalise or t.key in loss.penalise]
        group = _Group("penalty", ("loss",), None, {}, {}, None)
        absolute: Expr = Integer(0)
        square: Expr = Integer(0)
        for tensor in chosen:
            group.names[tensor.key] = tensor.name
            letters = [formula.index(letter) for letter in self._own_letters(tensor, group)]
            access = formula.tensor(tensor.key, *letters)
            absolute = absolute + fn.SumOver(fn.abs_(access), *letters)
            square = square + fn.SumOver(access**2, *letters)
        total = fn.number(loss.l1) * absolute + fn.number(loss.l2) * square
        return self._node(Equation(Symbol("R"), total), group)

    def _own_letters(self, tensor: Tensor, group: _Group) -> tuple[str, ...]:
        """Return letters for a parameter's axes that no other parameter of the penalty has."""
        letters = axis_letters(len(tensor.shape), group.sizes, "i")
        group.sizes |= dict(zip(letters, tensor.shape, strict=True))
        return letters

    def _metric(self, name: str, output: str) -> tuple[Node, ...]:
        entry = catalog.find(Kind.METRIC, name)
        assert entry is not None  # the spec's validation found it
        path: Path = ("metrics",)
        loss = self.spec.loss
        targets = [t for t in self.tensors.values() if t.role is Role.TARGET]
        target = self.tensors[loss.target] if loss.target else targets[0] if targets else None
        if target is None:
            raise UserError(Mistake(f"the metric `{name}` needs a target", path))
        numbers = {"labels": Integer(int(target.classes is not None))}
        group = _Group(name, path, None, numbers, {"y": output, "t": target.name}, None)
        group.ellipsis = self._dots(entry.formulas, "y", output)
        before, self.nodes = self.nodes, []
        read = self._checked(entry.formulas[-1], Choice(name=name, options=()), group)
        self._place(Equation(_target(read), read.rhs), group)
        made, self.nodes = tuple(self.nodes), before
        return made

    # ---------------------------------------------------------------- optimiser and schedule

    def _recipe(self, kind: Kind, rule: Rule, key: str) -> Recipe:
        """Read an optimiser or a schedule: assignments over scalars."""
        goal = "w" if kind is Kind.OPTIMIZER else "lr"
        given = (
            ("w", "g", "lr", "step") if goal == "w" else ("base", "lr", "epoch", "step", "metric")
        )
        if rule.choice is None:
            name, formulas, states = "own", rule.formulas, dict(rule.states)
            constants = dict(rule.constants)
            numbers: dict[str, Expr] = {}
            lists: dict[str, tuple[float, ...]] = {}
            paths = _formula_paths(formulas, (key,))
            base = constants.get("lr")
        else:
            entry = catalog.find(kind, rule.choice.name)
            assert entry is not None  # the spec's validation found it
            name, formulas = entry.name, entry.formulas
            options = dict(rule.choice.options)
            numbers, constants, lists = _split_options(entry, options)
            paths = [(key, entry.name)] * len(formulas)
            states = {
                state: formula.numeric(
                    formula.parse(text, Scope({}, numbers, constants)).rhs, constants
                )
                or 0.0
                for state, text in entry.states
            }
            base = constants.get("lr")
        if goal == "w":
            constants.pop("lr", None)
        ranks: dict[str, int | None] = dict.fromkeys((*given, *states), 0)
        ranks |= dict.fromkeys(lists, 1)
        equations = []
        for text, path in zip(formulas, paths, strict=True):
            scope = Scope(ranks, numbers, constants, dict(self.functions), None, path)
            read = formula.parse(text, scope)
            if read.target is None or read.target.subscripts:
                hint = f"as {goal} = {text.split('=')[-1].strip()}"
                raise UserError(Mistake("this assigns nothing", path, hint=hint))
            ranks[read.target.name] = 0
            rhs = stable.rewritten(_unrolled(read.rhs, lists)).expr
            if rhs != read.target.value:
                equations.append(Equation(read.target.value, rhs))
        kept = _alive(equations, goal)
        if not any(equation.name == goal for equation in kept):
            message = f"nothing sets {goal}"
            raise UserError(Mistake(message, (key,), hint=f"end with `{goal} = …`"))
        read_names = {name_of(s) for e in kept for s in _read(e.rhs)}
        named = [Constant(n, v) for n, v in constants.items() if n in read_names]
        if goal == "w":
            named.insert(0, Constant("lr", 0.001 if base is None else base, "the learning rate"))
        kept_states = tuple(State(n, float(v)) for n, v in states.items() if n in read_names)
        return Recipe(name, tuple(named), kept_states, tuple(kept), rule.per)


def _split_options(
    entry: Entry, given: Mapping[str, Any]
) -> tuple[dict[str, Expr], dict[str, float], dict[str, tuple[float, ...]]]:
    """Sort an entry's options: switches (numbers), named constants, and lists."""
    numbers = option_numbers(entry, given)
    constants: dict[str, float] = {}
    lists: dict[str, tuple[float, ...]] = {}
    for option in entry.options:
        value = given.get(option.name, option.default)
        if option.listed and isinstance(value, list | tuple):
            lists[option.name] = tuple(value)
        elif option.name in numbers and not isinstance(value, bool) and not option.choices:
            constants[option.name] = formula.numeric(numbers.pop(option.name)) or 0.0
    return numbers, constants, lists


def _unrolled(expr: Expr, lists: Mapping[str, tuple[float, ...]]) -> Expr:
    """Write sums over a list option out: Σ_k [epoch ≥ milestones[k]] = [epoch ≥ 30] + …"""
    for total in expr.atoms(fn.SumOver):
        read = [a for a in total.atoms(Indexed) if name_of(a) in lists]
        if read:
            terms: Expr = Integer(0)
            for value in lists[name_of(read[0])]:
                terms = terms + total.body.xreplace({read[0]: fn.number(value)})
            expr = expr.xreplace({total: terms})
    return expr


def _alive(equations: list[Equation], goal: str) -> list[Equation]:
    """Drop the equations whose result the goal doesn't depend on."""
    needed = {goal}
    while True:
        more = {name_of(s) for e in equations if e.name in needed for s in _read(e.rhs)}
        if more <= needed:
            return [equation for equation in equations if equation.name in needed]
        needed |= more


def _target(read: Formula) -> Expr:
    assert read.target is not None
    return read.target.value


def _at(access: Access, path: Path, message: str, hint: str = "") -> UserError:
    return UserError(Mistake(message, path, access.offset, access.length, hint))


def _shape(values: Any) -> tuple[int, ...]:
    """Return the shape of nested tuples."""
    return (len(values), *_shape(values[0])) if isinstance(values, tuple) and values else ()


def _formula_paths(formulas: Sequence[str], path: Path) -> list[Path]:
    """Return where each formula stands: `formula` holds one text or a list."""
    if len(formulas) == 1:
        return [(*path, "formula")]
    return [(*path, "formula", place) for place in range(len(formulas))]
