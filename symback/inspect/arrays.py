r"""A statement in matrix notation: ∂L/∂W1 = (∂L/∂z1)ᵀ x, in LaTeX.

Vectors are columns, ⊙ and ⊘ work element by element, and 1 is a column of ones. What matrices
don't say plainly (more than two axes, branches, windows) has no such form.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from symback.inspect.latex import Writer, named
from symback.inspect.messages import Maths, Said, said
from symback.notation import Binds
from symback.program import Apply, Contract, Expr, Number, Read, Reduce, Size, Statement

Axes = tuple[str, ...]
Shown = tuple[str, Binds]
ONES = r"\mathbf{1}"
COMPARED = {"gt": ">", "ge": r"\ge", "lt": "<", "le": r"\le", "eq": "=", "ne": r"\ne"}


class NoForm(Exception):
    """Matrix notation has no plain form for this."""


def form(statement: Statement, adjoints: Mapping[str, str]) -> str:
    """Return a statement in matrix notation; "" where it has no plain form."""
    target = statement.target
    try:
        if not isinstance(target, Read) or len(target.axes) > 2:
            return ""
        shown = Matrices(adjoints).spread(statement.value, target.axes)[0]
    except NoForm:
        return ""
    return f"{named(target.name, adjoints)} = {shown}"


def told(shown: str) -> Iterator[Said]:
    """Yield the words that explain a form's signs."""
    yield said("step.array")
    if r"^{\top}" in shown:
        yield said("step.turned")
    if ONES in shown:
        yield said("step.ones", ones=Maths("1", ONES))
    if any(sign in shown for sign in (r"\odot", r"\oslash", r"\circ")):
        yield said("step.circles")


class Matrices:
    """Writes array expressions as matrices and vectors."""

    def __init__(self, adjoints: Mapping[str, str]) -> None:
        self.adjoints = adjoints
        self.plain = Writer({}, {}, {})

    def spread(self, value: Expr, want: Axes) -> Shown:
        """Return a value with all the letters wanted: along those it lacks it is the same."""
        if set(value.axes) == set(want) or not value.axes:
            return self.shown(value, want)
        lacking = [letter for letter in want if letter not in value.axes]
        if len(want) != 2 or len(lacking) != 1 or not set(value.axes) <= set(want):
            raise NoForm
        column = self.at(self.shown(value, value.axes), Binds.ATOM)
        if lacking[0] == want[0]:
            return f"{ONES} {column}^{{\\top}}", Binds.PRODUCT
        return f"{column} {ONES}^{{\\top}}", Binds.PRODUCT

    def shown(self, value: Expr, want: Axes) -> Shown:
        """Return a value whose letters are those wanted, in that order."""
        match value:
            case Number(value=number):
                return self.number(number)
            case Size(dim=dim):
                return dim.upper(), Binds.ATOM
            case Read(name=name, axes=axes) if len(set(axes)) == len(axes) <= 2:
                return self.turned((named(name, self.adjoints), Binds.ATOM), axes, want)
            case Contract():
                return self.product(value, want)
            case Reduce(function="sum"):
                return self.total(value, want)
            case Apply(function=function, args=args):
                return self.applied(function, args, want)
        raise NoForm

    def number(self, value: float) -> Shown:
        from sympy import Integer, Rational

        exact = Integer(value) if value == int(value) else Rational(repr(value))
        return self.plain.number(exact)

    def at(self, shown: Shown, least: Binds) -> str:
        """Return what is shown, in parentheses where it binds more loosely than that."""
        return shown[0] if shown[1] >= least else self.plain.enclosed(shown[0])

    def turned(self, shown: Shown, have: Axes, want: Axes) -> Shown:
        """Return a matrix with its axes in the order wanted."""
        if have == want:
            return shown
        if have != want[::-1]:
            raise NoForm
        base = self.at(shown, Binds.ATOM)
        base = self.plain.enclosed(base) if base.startswith(r"\frac") else base  # ∂L/∂z
        return f"{base}^{{\\top}}", Binds.POWER

    def product(self, value: Contract, want: Axes) -> Shown:
        """Return Σ_c A[a,c]·B[c,b] as A B, or what its axes make of it."""
        if len(value.over) != 1:
            raise NoForm
        over = value.over
        left, right = value.left, value.right
        if any(axis not in right.axes + over for axis in want[1:]):  # its columns come first
            left, right = right, left
        rows = tuple(axis for axis in left.axes if axis not in over)
        columns = tuple(axis for axis in right.axes if axis not in over)
        if len(rows) > 1 or len(columns) > 1 or set(rows) & set(columns):
            raise NoForm
        if rows and rows + columns == want:
            first = self.at(self.shown(left, rows + over), Binds.POWER)
            return f"{first} \\, {self.at(self.shown(right, over + columns), Binds.POWER)}", PRODUCT
        if not rows and columns == want:  # Σ_c b[c]·B[c,b] = Bᵀ b
            second = self.at(self.shown(right, columns + over), Binds.POWER)
            return f"{second} \\, {self.at(self.shown(left, over), Binds.POWER)}", PRODUCT
        raise NoForm

    def total(self, value: Reduce, want: Axes) -> Shown:
        """Return sums of rows, of columns, or of everything."""
        have = value.body.axes
        if len(have) > 2:
            raise NoForm
        if set(value.over) == set(have):
            inner = self.at(self.shown(value.body, have), Binds.POWER)
            ones = f"{ONES}^{{\\top}} {inner}"
            return (ones if len(have) == 1 else f"{ones} \\, {ONES}"), PRODUCT
        inner = self.at(self.shown(value.body, want + value.over), Binds.POWER)
        return f"{inner} \\, {ONES}", PRODUCT

    def applied(self, function: str, args: Sequence[Expr], want: Axes) -> Shown:
        if function in SIGNS:
            return SIGNS[function](self, args, want)
        shown = [self.spread(arg, want) for arg in args]
        if function in COMPARED:
            first, second = (self.at(side, Binds.SUM) for side in shown)
            return f"[{first} {COMPARED[function]} {second}]", Binds.ATOM
        if function == "where" or not args:
            raise NoForm
        if function == "sqrt":
            return self.plain.root(shown[0][0]), Binds.ATOM
        inside = ", ".join(side[0] for side in shown)
        return f"{self.plain.word(function)}{self.plain.enclosed(inside)}", Binds.ATOM


PRODUCT = Binds.PRODUCT


def _add(m: Matrices, args: Sequence[Expr], want: Axes) -> Shown:
    return " + ".join(m.at(m.spread(arg, want), Binds.SUM) for arg in args), Binds.SUM


def _subtract(m: Matrices, args: Sequence[Expr], want: Axes) -> Shown:
    first, second = (m.spread(arg, want) for arg in args)
    return f"{m.at(first, Binds.SUM)} - {m.at(second, PRODUCT)}", Binds.SUM


def _negative(m: Matrices, args: Sequence[Expr], want: Axes) -> Shown:
    return f"-{m.at(m.spread(args[0], want), PRODUCT)}", Binds.SUM


def _multiply(m: Matrices, args: Sequence[Expr], want: Axes) -> Shown:
    numbers = [m.at(m.shown(arg, ()), Binds.POWER) for arg in args if not arg.axes]
    arrays = [m.at(m.spread(arg, want), Binds.POWER) for arg in args if arg.axes]
    return r" \, ".join([*numbers, r" \odot ".join(arrays)] if arrays else numbers), PRODUCT


def _divide(m: Matrices, args: Sequence[Expr], want: Axes) -> Shown:
    above, below = args
    if not below.axes:
        return m.plain.fraction(m.spread(above, want)[0], m.shown(below, ())[0]), Binds.POWER
    under = m.at(m.spread(below, want), Binds.POWER)
    return rf"{m.at(m.spread(above, want), PRODUCT)} \oslash {under}", PRODUCT


def _power(m: Matrices, args: Sequence[Expr], want: Axes) -> Shown:
    base = m.at(m.spread(args[0], want), Binds.ATOM)
    circle = r"\circ " if args[0].axes else ""
    return f"{{{base}}}^{{{circle}{m.shown(args[1], ())[0]}}}", Binds.POWER


SIGNS: Mapping[str, Callable[[Matrices, Sequence[Expr], Axes], Shown]] = {
    "add": _add,
    "subtract": _subtract,
    "negative": _negative,
    "multiply": _multiply,
    "divide": _divide,
    "power": _power,
}
