"""Text → Python's syntax tree, within the caps; and what stands in it without being read."""

import ast
import warnings
from collections.abc import Iterator
from functools import lru_cache

from symback import functions as fn
from symback.errors import Mistake, UserError
from symback.formula.hints import IN_ASCII

LONGEST, MOST_NODES, DEEPEST = 2_000, 500, 40
remembered = lru_cache(maxsize=4096)  # equal layers have equal texts
# Where the indices begin that a call names; those of a reduction are behind its first argument.
FIRST_INDEX = {"size": 0, "flat": 0, "delta": 0, "mean": 1, "cumsum": 1, "trace": 1, "solve": 2}


@remembered
def syntax(text: str, path: tuple[str | int, ...] = ()) -> ast.Assign | ast.Expr:
    """Return the syntax tree of a formula within the caps on length, nodes and depth.

    Raises UserError.
    """

    def refuse(message: str, hint: str = "", offset: int = 0) -> UserError:
        return UserError(Mistake(message, path, offset=offset, hint=hint))

    if len(text) > LONGEST:
        raise refuse(f"a formula of {len(text)} characters; {LONGEST} are allowed")
    for offset, character in enumerate(text):
        if not (" " <= character <= "~" or character == "\n"):
            shown = ascii(character)[1:-1]
            written = IN_ASCII.get(character, "")
            hint = f"write {written}" if written else ""
            raise refuse(f"a formula is plain ASCII; here stands {shown}", hint, offset)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on Python, about code that is never run
            body = ast.parse(text.replace("\n", " ").strip() or " ").body
    except SyntaxError as error:
        lead = len(text) - len(text.lstrip())
        raise refuse(
            f"this is no formula: {error.msg}",
            "write it as `z[n, o] = sum(W[o, i] * x[n, i], i) + b[o]`",
            offset=lead + max(0, (error.offset or 1) - 1),
        ) from None
    except (ValueError, MemoryError, RecursionError):
        raise refuse("this formula is nested too deeply to be read") from None
    if len(body) != 1 or not isinstance(body[0], ast.Assign | ast.Expr):
        raise refuse("expected one formula, `target = expression` or an expression")
    nodes, depth = _measure(body[0])
    if nodes > MOST_NODES:
        raise refuse(f"a formula of {nodes} parts; {MOST_NODES} are allowed", "split it in two")
    if depth > DEEPEST:
        raise refuse(f"nested {depth} deep; {DEEPEST} is allowed", "name a part of it")
    return body[0]


def _measure(root: ast.AST) -> tuple[int, int]:
    """Return the number of nodes and the depth, where a chain a + b + c + … counts once."""
    nodes, deepest, waiting = 0, 0, [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        nodes, deepest = nodes + 1, max(deepest, depth)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr_context | ast.operator | ast.unaryop | ast.cmpop):
                continue
            chain = (
                isinstance(node, ast.BinOp)
                and isinstance(child, ast.BinOp)
                and child is node.left
                and type(child.op) is type(node.op)
            )
            waiting.append((child, depth if chain else depth + 1))
    return nodes, deepest


@remembered
def tensors(text: str, path: tuple[str | int, ...] = ()) -> tuple[str, ...]:
    """Return the name before each pair of brackets: W, x and z of z[n] = sum(W[i]*x[n, i], i)."""
    nodes = ast.walk(syntax(text, path))
    return tuple(dotted(node.value) for node in nodes if isinstance(node, ast.Subscript))


@remembered
def read_names(text: str) -> tuple[str, ...]:
    """Return the names before brackets right of `=`."""
    nodes = ast.walk(syntax(text).value)
    return tuple(dotted(node.value) for node in nodes if isinstance(node, ast.Subscript))


def target_name(text: str) -> str:
    """Return the name left of `=`, "" for a mere expression."""
    statement = syntax(text)
    if not isinstance(statement, ast.Assign):
        return ""
    target = statement.targets[0]
    return dotted(target.value if isinstance(target, ast.Subscript) else target)


def fills_part(text: str) -> bool:
    """Say whether an index left of `=` is worked out: z[n, size(i) + j] goes on behind z[n, i]."""
    statement = syntax(text)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    places = subscripts(target.slice) if isinstance(target, ast.Subscript) else []
    return any(isinstance(place, ast.BinOp) for place in places)


def has_bare_target(text: str) -> bool:
    """Say whether the name left of `=` stands without brackets."""
    statement = syntax(text)
    return isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)


@remembered
def explicit(text: str, name: str) -> int:
    """Return how many subscripts beside `...` the tensor has in the formula, -1 without `...`."""
    for node in ast.walk(syntax(text)):
        if isinstance(node, ast.Subscript):
            found = subscripts(node.slice)
            if dotted(node.value) == name and any(is_dots(part) for part in found):
                return sum(not is_dots(part) for part in found)
    return -1


@remembered
def index_names(text: str) -> tuple[str, ...]:
    """Return the names that stand where an index stands."""
    return tuple(dict.fromkeys(letters(syntax(text))))


@remembered
def mentions(text: str, name: str) -> bool:
    """Say whether a name stands in the formula, other than before brackets."""
    return name in {n.id for n in ast.walk(syntax(text)) if isinstance(n, ast.Name)}


def dotted(node: ast.expr) -> str:
    """Return the name of a tensor, `x` or `layer.W`; "" for anything else."""
    match node:
        case ast.Name(id=word):
            return word
        case ast.Attribute(value=ast.Name(id=layer), attr=word):
            return f"{layer}.{word}"
    return ""


def is_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def subscripts(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def letters(root: ast.AST) -> Iterator[str]:
    """Yield the names that stand where an index stands."""
    for node in ast.walk(root):
        if isinstance(node, ast.Subscript):
            places = [node.slice]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            first = FIRST_INDEX.get(node.func.id, 1 if node.func.id in fn.REDUCTIONS else None)
            places = [] if first is None else node.args[first:]
        else:
            continue
        for place in places:
            within = list(ast.walk(place))
            named = {id(n.value) for n in within if isinstance(n, ast.Subscript)}  # tensors
            named |= {id(n.func) for n in within if isinstance(n, ast.Call)}
            yield from (n.id for n in within if isinstance(n, ast.Name) and id(n) not in named)
