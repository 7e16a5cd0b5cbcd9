"""What loops are made of, and what a node reads, writes and names."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from symback.printing import COMPARISONS, walk
from symback.program import Affine, Dim, Expr, Lookup, Read, Slice, Split, Tensor

CHEAP = {
    *("add", "subtract", "multiply", "negative", "where", "relu", "abs", "sign"),
    *("maximum", "minimum", "and", "or", "not", *COMPARISONS),
}
Access = Read | Split | Slice | Lookup
Strided = Read | Split
Leaf = (Read, Split, Slice, Lookup)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Put:
    """target = value, at one place; a target without axes that is no array is a local number."""

    target: Access
    value: Expr
    because: str = ""


@dataclass(frozen=True, slots=True)
class Gain:
    """target = function(target, value): += for a sum, the larger of both for a maximum."""

    function: str
    target: Access
    value: Expr
    because: str = ""


@dataclass(frozen=True, slots=True)
class Best:
    """The place and the value of the largest (argmax) or smallest number met so far."""

    function: str
    place: str
    best: str
    letter: str
    value: Expr
    because: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """A local number, or an array, before anything is gained: 0 for a sum."""

    function: str
    target: Strided
    size: tuple[Dim, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """target = Σ_over left·right, a product of matrices; loops around it bind other letters.

    `more`: it is added to what the target holds. `blas`: large enough for a library. `lined`: the
    right side is a copy in strips, as it is read.
    """

    target: "Strided"
    left: "Strided"
    right: "Strided"
    rows: tuple[str, ...]
    over: tuple[str, ...]
    columns: tuple[str, ...]
    sizes: tuple[tuple[str, Dim], ...]
    more: bool
    blas: bool
    because: str = ""
    lined: bool = False


@dataclass(frozen=True, slots=True)
class Lined:
    """target = right, a matrix of products: its columns in strips, each as it is read."""

    target: Read
    right: "Strided"
    over: tuple[str, ...]
    columns: tuple[str, ...]
    sizes: tuple[tuple[str, Dim], ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """The body for each value of a letter; `serial`: one after another, up (1) or down (-1)."""

    letter: str
    size: Dim
    body: "tuple[Node, ...]"
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Own:
    """An array that each round of a loop has to itself."""

    tensor: Tensor


@dataclass(frozen=True, slots=True)
class Parts:
    """The rounds of a loop over the batch in PARTS parts, which several threads may share.

    What is gained over the whole batch is gained in `sums`, for each part by itself, and added up
    in the order of the parts: the same whatever threads there are.
    """

    loop: Loop
    sums: tuple[tuple[str, Tensor], ...]  # what is gained, and the array that holds it by parts


@dataclass(frozen=True, slots=True)
class Shares:
    """A recurrence that doesn't mix the examples of a batch: each thread takes its share of them.

    It takes them through all steps, so that no step waits for another thread.
    """

    loop: Loop
    size: str


@dataclass(frozen=True, slots=True)
class Call:
    """target = function(operand), of a square matrix; loops around it bind the other letters.

    `work` is an array of the matrix's size that is written over.
    """

    function: str
    target: Read
    operand: Read
    size: Dim
    work: Read
    because: str = ""


Node = Put | Gain | Best | Start | Product | Lined | Call | Loop | Own | Parts | Shares


@dataclass(frozen=True, slots=True)
class Nests:
    """What a block of statements does, and the arrays it needs that are no one's result.

    `own`: those that each round of a loop has to itself.
    """

    nodes: tuple[Node, ...]
    scratch: tuple[Tensor, ...]
    own: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What joining loops must know: the examples of a batch, the arrays' shapes, their memory.

    `owners`: an array that is another seen with other axes, and that one.
    """

    rows: int
    shapes: Mapping[str, tuple[Dim, ...]]
    owners: Mapping[str, str]


FIRST = "0"  # the letter of an axis of one place


def once(node: Node) -> tuple[Node, ...]:
    """Return a nest without its loops of one round: what is in them is at place 0."""
    match node:
        case Parts(loop=loop) | Shares(loop=loop):
            return (replace(node, loop=replace(loop, body=inner_once(loop))),)
        case Loop(letter=letter, size=1, serial=0):
            return tuple(renamed(part, {letter: FIRST}) for part in inner_once(node))
        case Loop():
            return (replace(node, body=inner_once(node)),)
    return (node,)


def inner_once(loop: Loop) -> "tuple[Node, ...]":
    return tuple(made for part in loop.body for made in once(part))


def inside(node: Node) -> Iterator[Node]:
    """Yield a node and everything in its loops."""
    yield node
    if isinstance(node, Parts | Shares):
        yield from inside(node.loop)
    if isinstance(node, Loop):
        for part in node.body:
            yield from inside(part)


def values_of(node: Node) -> Iterator[Expr]:
    """Yield every expression that a node itself reads, and everything in it."""
    match node:
        case Put(value=value) | Gain(value=value) | Best(value=value):
            yield from walk(value)
        case Product(left=left, right=right):
            yield left
            yield right
        case Lined(right=right):
            yield right
        case Call(operand=operand):
            yield operand


def letters_of(node: Node) -> Iterator[str]:
    """Yield the letters that a node names."""
    if isinstance(node, Loop):
        yield node.letter
    for access in (*reads_of(node), *writes_of(node)):
        yield from access.axes
    for value in values_of(node):
        yield from value.axes


def reads_of(node: Node) -> Iterator[Access]:
    """Yield what a node reads; what it gains on, it reads too."""
    yield from (value for value in values_of(node) if isinstance(value, Leaf))
    if isinstance(node, Gain):
        yield node.target
        if isinstance(node.target, Lookup):
            yield from (place for place in node.target.places if isinstance(place, Read))
    if isinstance(node, Best):
        yield Read(node.best, ())


def writes_of(node: Node) -> Iterator[Access]:
    """Yield what a node writes."""
    match node:
        case Put(target=target) | Gain(target=target) | Start(target=target):
            yield target
        case Product(target=target) | Lined(target=target):
            yield target
        case Call(target=target, work=work):
            yield target
            yield work
        case Best(place=place, best=best):
            yield Read(place, ())
            yield Read(best, ())


def accesses_of(name: str, node: Node) -> list[Access]:
    """Return where a node and everything in its loops reads or writes an array."""
    return [
        access
        for part in inside(node)
        for access in (*reads_of(part), *writes_of(part))
        if access.name == name
    ]


def names_in(node: Node) -> frozenset[str]:
    """Return the arrays that a node and everything in its loops reads or writes."""
    return frozenset(
        access.name for part in inside(node) for access in (*reads_of(part), *writes_of(part))
    )


def place_of(access: Access, letter: str) -> tuple[Any, ...] | None:
    """Return at which axis, and from where on, a letter runs over an array by itself."""
    match access:
        case Read(axes=axes) if axes.count(letter) == 1:
            return axes.index(letter), 0
        case Slice(axes=axes, ranges=ranges) if axes.count(letter) == 1:
            place = axes.index(letter)
            part = ranges[place]
            return place, part[0] if part else 0
        case Split(groups=groups) if groups.count((letter,)) == 1:
            return groups.index((letter,)), 0
        case Lookup(places=places) if sum(letter in p.axes for p in places) == 1:
            plain = Affine(0, ((letter, 1),))
            return (places.index(plain), 0) if plain in places else None
    return None


def step_axis(access: Access, letter: str) -> int | None:
    """Return which axis a letter runs over by itself, None where it isn't such an axis."""
    match access:
        case Read(axes=axes) if axes.count(letter) == 1:
            return axes.index(letter)
        case Split(groups=groups) if (letter,) in groups:
            return groups.index((letter,))
    return None


def at_front(access: Access, letter: str) -> bool:
    """Tell whether a letter runs over an array's first axis, and over no other."""
    match access:
        case Read(axes=(first, *rest)):
            return first == letter and letter not in rest
        case Lookup(places=(first, *others)):
            mentioned = any(letter in place.axes for place in others)
            return first == Affine(0, ((letter, 1),)) and not mentioned
    return False


def without(access: Access, axis: int) -> Access:
    """Return an array without one of its axes."""

    def rest(parts: tuple[T, ...]) -> tuple[T, ...]:
        return (*parts[:axis], *parts[axis + 1 :])

    match access:
        case Read(axes=axes):
            return replace(access, axes=rest(axes))
        case Split(groups=groups):
            return replace(access, groups=rest(groups))
        case Lookup(places=places):
            return replace(access, places=rest(places))
    raise ValueError(f"no axis of its own: {access}")


def replaced(node: Any, swap: Callable[[Access], Access]) -> Any:
    """Return a node, or several, with other arrays in place of those it reads and writes."""
    if isinstance(node, Leaf):
        return swap(node)
    if isinstance(node, tuple):
        return tuple(replaced(part, swap) for part in node)
    if not is_dataclass(node) or isinstance(node, type | Tensor):
        return node
    held = {slot.name: getattr(node, slot.name) for slot in fields(node)}
    return replace(cast(Any, node), **{k: replaced(value, swap) for k, value in held.items()})


def renamed(node: Any, swap: Mapping[str, str]) -> Any:
    """Return a node with letters renamed, wherever letters stand."""
    if isinstance(node, Loop):
        return Loop(
            swap.get(node.letter, node.letter),
            node.size,
            tuple(renamed(part, swap) for part in node.body),
            node.serial,
        )
    if not is_dataclass(node) or isinstance(node, type):
        return node
    changed: dict[str, Any] = {}
    for slot in fields(node):
        value = getattr(node, slot.name)
        if slot.name in {"axes", "over", "rows", "columns", "letters"}:
            changed[slot.name] = tuple(swap.get(letter, letter) for letter in value)
        elif slot.name in {"axis", "letter"}:
            changed[slot.name] = swap.get(value, value)
        elif slot.name == "groups":
            changed[slot.name] = tuple(tuple(swap.get(a, a) for a in group) for group in value)
        elif slot.name in {"sizes", "terms"}:
            changed[slot.name] = tuple((swap.get(letter, letter), dim) for letter, dim in value)
        elif isinstance(value, tuple):
            changed[slot.name] = tuple(renamed(part, swap) for part in value)
        else:
            changed[slot.name] = renamed(value, swap)
    return replace(cast(Any, node), **{k: v for k, v in changed.items() if hasattr(node, k)})
