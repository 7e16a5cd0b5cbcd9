"""Each index's range: which letters run over the same values."""

from dataclasses import replace

from sympy import Expr, Symbol

from symback import functions as fn
from symback import index as ix
from symback.formula.types import Access, Formula
from symback.functions import Index


def ranged(read: Formula) -> Formula:
    """Name each index's range after the first axis it stands at, and keep letters apart.

    Indices at one axis of one tensor run over the same range. A sum within a sum over the same
    letter, and a letter that means two ranges, get another letter.
    """
    own = (
        [read.target] if read.target and any(a.name == read.target.name for a in read.reads) else []
    )
    accesses = [*read.reads, *own]
    same: dict[str, str] = {}  # range → another of the same axis, up to the first

    def root(name: str) -> str:
        while same.get(name, name) != name:
            name = same[name]
        return name

    axes: dict[str, str] = {}  # axis → the range of the first index that stands there
    for access in accesses:
        for place, part in enumerate(access.subscripts):
            if isinstance(part, Index):
                first = root(axes.setdefault(f"{access.name}:{place}", part.range))
                same[root(part.range)] = first
    named: dict[str, str] = {}
    for axis, name in axes.items():
        named.setdefault(root(name), axis)
    meant: dict[str, set[str]] = {}  # letter → the ranges it means, for a size outside its sum
    for letter in ix.letters(read.rhs):
        if root(letter.range) in named:
            meant.setdefault(letter.name, set()).add(named[root(letter.range)])

    def range_of(name: str, letter: str) -> str:
        (only,) = meant[letter] if len(meant.get(letter, ())) == 1 else (letter,)
        return named.get(root(name), only)

    def named_in(expr: Expr) -> Expr:
        swap: dict[Expr, Expr] = {
            letter: Index(letter.name, range_of(letter.range, letter.name))
            for letter in ix.letters(expr)
        }
        for size in expr.atoms(fn.Size):
            swap[size] = fn.Size(Symbol(range_of(size.range, size.range.partition("#")[0])))
        return expr.xreplace(swap)

    def placed(access: Access) -> Access:
        return replace(access, subscripts=tuple(named_in(part) for part in access.subscripts))

    target = placed(read.target) if read.target else None
    free = {letter for part in (target.subscripts if target else ()) for letter in ix.indices(part)}
    rhs = ix.tidy(named_in(read.rhs), free)
    return replace(read, target=target, rhs=rhs, reads=tuple(placed(read) for read in read.reads))
