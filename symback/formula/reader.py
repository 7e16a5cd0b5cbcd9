"""Syntax tree → SymPy: each node by hand, and what isn't listed here is refused with its place."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sympy import Add, Expr, Indexed, Integer, Rational, Symbol, pi
from sympy import nan as undefined
from sympy import oo as infinite
from sympy import zoo as unbounded

from symback import functions as fn
from symback import index as ix
from symback.errors import Mistake, UserError, near_miss
from symback.formula.hints import INSTEAD, PLACE, SYNONYMS, WHAT_THERE_IS
from symback.formula.tree import DEEPEST, MOST_NODES, dotted, is_dots, subscripts, syntax
from symback.formula.types import Access, Definition, Scope, index, tensor
from symback.formula.value import numeric
from symback.functions import Index

LARGEST_INTEGER, LARGEST_EXPONENT = 10**9, 64
LARGEST_TREE = 4 * MOST_NODES
TINIEST = Rational(1, 10**300)

ARITHMETIC: Mapping[type[ast.operator], Callable[[Expr, Expr], Expr]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
COMPARISONS: Mapping[type[ast.cmpop], type[fn.Elementwise]] = {
    ast.Gt: fn.gt,
    ast.GtE: fn.ge,
    ast.Lt: fn.lt,
    ast.LtE: fn.le,
    ast.Eq: fn.eq,
    ast.NotEq: fn.ne,
}
# Functions that are neither elementwise nor reductions.
OTHERS = ("mean", "size", "cumsum", "delta", "d", "trace", "solve")


@dataclass(slots=True)
class Reader:
    """One reading of one text: what it may name, and what it has read so far."""

    scope: Scope
    lead: int  # characters before the formula begins
    letters: frozenset[str]
    reads: list[Access] = field(default_factory=list)
    values: Mapping[str, Expr] = field(default_factory=dict)  # a function's arguments
    budget: list[int] = field(default_factory=lambda: [4 * MOST_NODES])
    sizes: dict[Expr, int] = field(default_factory=dict)  # of the values made, written out
    within: tuple[ast.AST | None, int] = (None, 0)  # the call whose function is being opened
    bound: dict[str, Index] = field(default_factory=dict)  # what the reductions around bind
    count: list[int] = field(default_factory=lambda: [0])  # of the reductions read so far

    def error(self, node: ast.AST, message: str, hint: str = "") -> UserError:
        at = self.within[0] or node
        offset = getattr(at, "col_offset", 0) + self.lead
        length = (getattr(at, "end_col_offset", None) or offset + 1) - getattr(at, "col_offset", 0)
        return UserError(Mistake(message, self.scope.path, offset, length, hint))

    # ---------------------------------------------------------------- expressions

    def expression(self, node: ast.expr) -> Expr:
        """Return the value of a node, checked: a number in it must be finite."""
        self.budget[0] -= 1
        if self.budget[0] < 0:
            raise self.error(node, "this formula grows too large once its functions are opened")
        try:
            made = self._expression(node)
            if self.tree_size(made) > LARGEST_TREE:
                raise self.error(node, "this formula grows too large once its functions are opened")
            value = numeric(made, self.scope.constants)
        except (ArithmeticError, ValueError, TypeError, RecursionError):
            raise self.error(node, "this has no finite value") from None
        if made.has(undefined, infinite, unbounded):
            raise self.error(node, "this has no finite value")
        vanishing = isinstance(made, Rational) and made != 0 and abs(made) < TINIEST
        if vanishing or (value is not None and not math.isfinite(value)):
            raise self.error(node, "this number is too large or too small for a computer's floats")
        return made

    def tree_size(self, value: Expr) -> int:
        """Return the number of nodes of a value, shared parts counted wherever they stand."""
        if value not in self.sizes:
            self.sizes[value] = 1 + sum(self.tree_size(arg) for arg in value.args)
        return self.sizes[value]

    def _expression(self, node: ast.expr) -> Expr:
        match node:
            case ast.Constant():
                return self.constant(node)
            case ast.Name():
                return self.name(node)
            case ast.Subscript():
                access = self.access(node)
                self.reads.append(access)
                return access.value
            case ast.BinOp(op=ast.Pow()):
                return self.power(node)
            case ast.BinOp() if type(node.op) in ARITHMETIC:
                return ARITHMETIC[type(node.op)](
                    self.expression(node.left), self.expression(node.right)
                )
            case ast.UnaryOp(op=ast.USub()):
                return -self.expression(node.operand)
            case ast.UnaryOp(op=ast.UAdd()):
                return self.expression(node.operand)
            case ast.UnaryOp(op=ast.Not()):
                return 1 - self.truth(node.operand)
            case ast.BoolOp():
                return self.logic(node)
            case ast.Compare():
                return self.comparison(node)
            case ast.Call():
                return self.call(node)
        kind = type(node.op) if isinstance(node, ast.BinOp) else type(node)
        raise self.error(node, "formulas don't have this", INSTEAD.get(kind, WHAT_THERE_IS))

    def constant(self, node: ast.Constant) -> Expr:
        value = node.value
        if isinstance(value, bool):
            return Integer(int(value))
        if isinstance(value, int):
            if abs(value) > LARGEST_INTEGER:
                raise self.error(node, "integers go up to 1e9", "write a larger one as 1e12")
            return Integer(value)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise self.error(node, "this number is too large for a computer's floats")
            return fn.number(value)
        raise self.error(node, "a formula holds numbers and names, nothing else")

    def name(self, node: ast.Name) -> Expr:
        word = node.id
        if word in self.values:
            return self.values[word]
        if word in self.scope.numbers:
            return self.scope.numbers[word]
        if word in self.scope.constants:
            return tensor(word)
        if word in {"true", "false"}:
            return Integer(int(word == "true"))
        if word == "pi":
            return pi
        rank = self.scope.ranks.get(word, -1)
        if self.scope.letters and rank == len(self.scope.letters):
            at = tuple(map(index, self.scope.letters))
            self.reads.append(Access(word, at, node.col_offset + self.lead, len(word)))
            return tensor(word, *at)
        if rank == 0:
            self.reads.append(Access(word, (), node.col_offset + self.lead, len(word)))
            return tensor(word)
        if word in self.letters:
            return self.letter(word)
        if word in self.scope.ranks:
            raise self.error(node, f"`{word}` has axes", f"write it with indices: {word}[n, i]")
        if self.is_function(word):
            raise self.error(node, f"`{word}` is a function", f"write {word}(…)")
        known = [*self.values, *self.scope.numbers, *self.scope.constants, *self.scope.ranks]
        raise self.error(node, f"nothing is called `{word}` here", self.suggest(word, known))

    def suggest(self, word: str, known: list[str]) -> str:
        listed = ", ".join(f"`{name}`" for name in known)
        return near_miss(word, known) or (f"known here: {listed}" if known else "")

    def power(self, node: ast.BinOp) -> Expr:
        base, exponent = self.expression(node.left), self.expression(node.right)
        value = numeric(exponent)
        if value is None:
            return fn.power(base, exponent)
        if abs(value) > LARGEST_EXPONENT:
            raise self.error(node.right, f"exponents go up to {LARGEST_EXPONENT}")
        if isinstance(exponent, Integer):
            return base**exponent
        if exponent == Rational(1, 2):
            return fn.sqrt(base)
        return fn.power(base, exponent)

    def logic(self, node: ast.BoolOp) -> Expr:
        values = [self.truth(value) for value in node.values]
        made = values[0]
        for value in values[1:]:
            made = made * value if isinstance(node.op, ast.And) else fn.maximum(made, value)
        return self.folded(made)

    def truth(self, node: ast.expr) -> Expr:
        """Return a condition as 1 or 0: what isn't a comparison holds where it isn't 0."""
        made = self.expression(node)
        logical = isinstance(node, ast.Compare | ast.BoolOp) or (
            isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        )
        return made if logical else self.folded(fn.ne(made, 0))

    def comparison(self, node: ast.Compare) -> Expr:
        if len(node.ops) > 1:
            raise self.error(node, "one comparison at a time", "write `a < b and b < c`")
        made = COMPARISONS.get(type(node.ops[0]))
        if made is None:
            raise self.error(node, "compare with <, <=, >, >=, == or !=")
        left, right = self.expression(node.left), self.expression(node.comparators[0])
        return self.folded(made(left, right))

    def folded(self, made: Expr) -> Expr:
        """Return a condition on numbers alone as 1 or 0, any other as it is."""
        value = numeric(made, self.scope.constants)
        return made if value is None else Integer(int(value))

    # ---------------------------------------------------------------- calls

    def is_function(self, word: str) -> bool:
        return (
            word in fn.ELEMENTWISE
            or word in fn.REDUCTIONS
            or word in self.scope.functions
            or word in OTHERS
        )

    def call(self, node: ast.Call) -> Expr:
        if not isinstance(node.func, ast.Name) or node.keywords:
            word = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            hint = f"write {word}(…)" if self.is_function(word) else ""
            raise self.error(node, "functions are called by name, with plain arguments", hint)
        word = node.func.id
        if word in self.scope.functions:
            return self.opened(node, self.scope.functions[word])
        if word == "where" and len(node.args) == 3:
            return self.where(node)
        if word in fn.REDUCTIONS or word == "mean":
            return self.reduction(node, word)
        if word == "size":
            return self.size(node)
        if word == "cumsum":
            return self.cumsum(node)
        if word == "delta":
            self.check_count(node, word, 2)
            return ix.delta(*(self.whole_place(argument) for argument in node.args))
        if word == "d":
            return self.derivative(node)
        if word == "trace":
            return self.trace(node)
        if word == "solve":
            return self.solve(node)
        if word in fn.ELEMENTWISE:
            made = fn.ELEMENTWISE[word]
            self.check_count(node, word, len(made.slopes))
            return made(*(self.expression(argument) for argument in node.args))
        known = [*fn.ELEMENTWISE, *fn.REDUCTIONS, *self.scope.functions, *OTHERS]
        hint = f"write {SYNONYMS[word]}" if word in SYNONYMS else near_miss(word, known)
        hint = hint or "see `symback catalog` for every function"
        raise self.error(node.func, f"there is no function `{word}`", hint)

    def check_count(self, node: ast.Call, word: str, wanted: int) -> None:
        if len(node.args) != wanted:
            raise self.error(
                node, f"`{word}` takes {wanted} argument{'s' * (wanted > 1)}, not {len(node.args)}"
            )

    def where(self, node: ast.Call) -> Expr:
        condition = self.expression(node.args[0])
        value = numeric(condition, self.scope.constants)
        if value is not None:  # an option decides: the other branch isn't even read
            return self.expression(node.args[1] if value else node.args[2])
        return fn.where(condition, self.expression(node.args[1]), self.expression(node.args[2]))

    def reduction(self, node: ast.Call, word: str) -> Expr:
        if len(node.args) < 2:
            example = f"{word}(x[n, i], i)"
            hint = f"write `{example}`"
            if word in {"max", "min"}:
                hint += f"; of two numbers: {word}imum(a, b)"
            raise self.error(node, f"`{word}` needs the index it runs over", hint)
        names = tuple(name for arg in node.args[1:] for name in self.index_names(arg))
        made = fn.REDUCTIONS.get(word, fn.SumOver)
        if issubclass(made, fn.Along):  # its indices are free outside: those of the place
            bound = tuple(self.letter(name) for name in names)
            body = self.expression(node.args[0])
        else:
            bound = tuple(self.fresh(name) for name in names)
            around = self.bound
            self.bound = {**around, **{letter.name: letter for letter in bound}}
            body = self.expression(node.args[0])
            self.bound = around
        missing = [letter for letter in bound if letter not in body.free_symbols]
        if missing and word != "sum":
            raise self.error(
                node, f"`{word}` runs over {missing[0]}, which doesn't occur in what it reduces"
            )
        if word == "mean":
            return fn.mean(body, *bound) if bound else body
        if issubclass(made, fn.OfMatrix) and len(set(bound)) != 2:
            hint = f"write {word}(A[i, j], i, j)"
            raise self.error(node, f"`{word}` needs two indices, the rows' and the columns'", hint)
        if word in {"argmax", "argmin"} and len(bound) != 1:
            raise self.error(node, f"`{word}` runs over one index")
        return made(body, *bound) if bound else body

    def cumsum(self, node: ast.Call) -> Expr:
        """Return Σ_{s ≤ t} of the values up to t, which stays free."""
        self.check_count(node, "cumsum", 2)
        body = self.expression(node.args[0])
        (name,) = self.index_names(node.args[1])
        here = self.letter(name)
        before = ix.primed(here)
        if here not in ix.indices(body):
            raise self.error(
                node, f"`cumsum` runs over {name}, which doesn't occur in what it adds"
            )
        return fn.SumOver(fn.le(before, here) * ix.substitute(body, {here: before}), before)

    def trace(self, node: ast.Call) -> Expr:
        """Return Σ_i A[i, i]."""
        self.check_count(node, "trace", 3)
        names = [name for arg in node.args[1:] for name in self.index_names(arg)]
        row, column = (self.fresh(name) for name in names)
        around, self.bound = self.bound, {**self.bound, row.name: row, column.name: column}
        body = self.expression(node.args[0])
        self.bound = around
        if body.has(fn.OfMatrix):  # an inverse has two letters: it can't be read at [i, i]
            return fn.SumOver(body * fn.eq(row, column), row, column)
        return fn.SumOver(ix.substitute(body, {column: row}), row)

    def solve(self, node: ast.Call) -> Expr:
        """Return x[j] of Σ_j A[i, j]·x[j] = b[i]: Σ_i A⁻¹[j, i]·b[i].

        It is as accurate as elimination with b: Druinsky & Toledo 2012, arXiv:1201.6035.
        """
        self.check_count(node, "solve", 4)
        (row,), (column,) = (self.index_names(arg) for arg in node.args[2:])
        bound, free = self.fresh(row), self.letter(column)
        around, self.bound = self.bound, {**self.bound, row: bound}
        matrix, right = self.expression(node.args[0]), self.expression(node.args[1])
        self.bound = around
        if (
            bound == free
            or not {bound, free} <= ix.indices(matrix)
            or bound not in ix.indices(right)
        ):
            hint = "write solve(A[i, j], b[i], i, j): what it finds has the index j"
            raise self.error(node, "`solve` needs a matrix's two indices", hint)
        turned = matrix.xreplace({bound: free, free: bound})
        return fn.SumOver(fn.InverseOf(turned, free, bound) * right, bound)

    def derivative(self, node: ast.Call) -> Expr:
        """Return ∂(an expression)/∂(an element of a tensor)."""
        self.check_count(node, "d", 2)
        body, at = self.expression(node.args[0]), self.expression(node.args[1])
        if not isinstance(at, Indexed):
            hint = "write d(u[n], x[n, 0])"
            raise self.error(node.args[1], "a derivative is taken by an element of a tensor", hint)
        return fn.Partial(body, at)

    def index_names(self, node: ast.expr) -> tuple[str, ...]:
        if is_dots(node):
            return self.dots(node)
        if isinstance(node, ast.Name) and node.id not in self.values:
            return (node.id,)
        raise self.error(node, "expected the name of an index", "as i in sum(x[n, i], i)")

    def letter(self, name: str) -> Index:
        """Return the index that a letter means here: the innermost that a reduction binds."""
        return self.bound.get(name) or index(name)

    def fresh(self, name: str) -> Index:
        """Return an index that a reduction binds, whatever else has its letter."""
        self.count[0] += 1
        return Index(name, f"{name}#{self.count[0]}")

    def size(self, node: ast.Call) -> Expr:
        self.check_count(node, "size", 1)
        made = Integer(1)
        for name in self.index_names(node.args[0]):
            made = made * fn.size(self.letter(name))
        return made

    def opened(self, node: ast.Call, definition: Definition) -> Expr:
        """Return a defined function at its arguments."""
        word = node.func.id if isinstance(node.func, ast.Name) else ""
        self.check_count(node, word, len(definition.args))
        if self.within[1] >= DEEPEST // 4:
            raise self.error(node, f"`{word}` is defined by itself")
        arguments = [self.expression(argument) for argument in node.args]
        inner = replace(
            self,
            scope=replace(self.scope, ranks={}, numbers=dict(definition.numbers)),
            letters=frozenset(),
            values=dict(zip(definition.args, arguments, strict=True)),
            within=(self.within[0] or node, self.within[1] + 1),
        )
        statement = syntax(definition.text, self.scope.path)
        return inner.expression(statement.value)

    # ---------------------------------------------------------------- accesses

    def target(self, node: ast.expr) -> Access:
        if isinstance(node, ast.Name):
            return Access(node.id, (), node.col_offset + self.lead, len(node.id))
        if not isinstance(node, ast.Subscript):
            raise self.error(node, "left of `=` stands a tensor", "as z[n, o]")
        access = self.access(node, reading=False)
        seen = [letter for part in access.subscripts for letter in sorted_symbols(part)]
        if len(set(seen)) != len(seen):
            raise self.error(node, "an index stands twice on the left")
        return access

    def spread(self, target: Access, rhs: Expr) -> Access:
        """Return a target that stands without brackets at the letters of what it is made from."""
        letters = tuple(map(index, self.scope.letters))
        whole = letters and self.scope.ranks.get(target.name) == len(letters)
        if target.subscripts or not (whole or ix.indices(rhs) & set(letters)):
            return target
        return replace(target, subscripts=letters)

    def access(self, node: ast.Subscript, *, reading: bool = True) -> Access:
        word = dotted(node.value)
        if not word:
            raise self.error(node, "only a tensor has indices")
        places = tuple(part for leaf in subscripts(node.slice) for part in self.subscript(leaf))
        if reading and word not in self.scope.ranks:
            hint = self.suggest(word, list(self.scope.ranks))
            raise self.error(node.value, f"there is no tensor `{word}` here", hint)
        rank = self.scope.ranks.get(word)
        if reading and rank is not None and rank != len(places):
            axes = f"{rank} ax{'e' if rank != 1 else 'i'}s"
            raise self.error(node, f"`{word}` has {axes}, {len(places)} indices stand here")
        length = (node.end_col_offset or node.col_offset + 1) - node.col_offset
        return Access(word, places, node.col_offset + self.lead, length)

    def subscript(self, node: ast.expr) -> tuple[Expr, ...]:
        match node:
            case ast.Constant(value=value) if value is ...:
                return tuple(self.letter(name) for name in self.dots(node))
            case ast.Call(func=ast.Name(id="flat"), args=arguments):
                names = [name for argument in arguments for name in self.index_names(argument)]
                letters = [self.letter(name) for name in names]
                return (fn.Flat(*letters),) if len(letters) > 1 else tuple(letters)
            case ast.Subscript():  # labels: E[tok[n, t], d]
                access = self.access(node)
                self.reads.append(replace(access, labels=True))
                return (access.value,)
        made = self.whole_place(node)
        if isinstance(made, Integer) and made < 0:
            raise self.error(node, *PLACE)
        return (made,)

    def whole_place(self, node: ast.expr) -> Expr:
        """Return an index with its letters apart: offset + Σ coefficient·letter."""
        found = ix.affine(self.place(node))
        if found is None:
            raise self.error(node, *PLACE)
        offset, terms = found
        return Add(offset, *(c * letter for letter, c in terms.items()))

    def place(self, node: ast.expr) -> Expr:
        """Return an index: a letter, a whole number, or sums and multiples of them."""
        match node:
            case ast.Constant(value=int(value)) if (
                not isinstance(value, bool) and abs(value) <= LARGEST_INTEGER
            ):
                return Integer(value)
            case ast.Name(id=word) if word in self.scope.numbers:
                return self.scope.numbers[word]
            case ast.Name(id=word) if word not in self.values:
                return self.letter(word)
            case ast.UnaryOp(op=ast.USub()):
                return Integer(-1) * self.place(node.operand)
            case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult()):
                left, right = self.place(node.left), self.place(node.right)
                return ARITHMETIC[type(node.op)](left, right)
            case ast.Call(func=ast.Name(id="size")):
                return self.size(node)
        raise self.error(node, *PLACE)

    def dots(self, node: ast.expr) -> tuple[str, ...]:
        if self.scope.ellipsis is None:
            raise self.error(node, "`...` can't be used here", "name the indices")
        return self.scope.ellipsis

    def check_free(self, node: ast.expr, rhs: Expr, target: Access) -> None:
        """Refuse an index that the right side has and the left side hasn't."""
        given = {letter for part in target.subscripts for letter in sorted_symbols(part)}
        loose = [letter for letter in sorted_symbols(rhs) if isinstance(letter, Index)]
        for letter in loose:
            if letter not in given:
                name = letter.name
                raise self.error(
                    node,
                    f"the index {name} is on the right only",
                    f"sum over it, sum(…, {name}), or give it to `{target.name}` on the left",
                )


def sorted_symbols(expr: Expr) -> list[Symbol]:
    """Return the plain symbols an expression depends on, by name."""
    found = {s for s in expr.free_symbols if isinstance(s, Symbol)}
    return sorted(found, key=lambda symbol: symbol.name)
