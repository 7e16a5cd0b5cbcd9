"""Lines of code that are too long, broken inside their brackets."""

import re
import textwrap
from itertools import pairwise

WIDTH = 100


def fitted(text: str) -> str:
    """Return code with every line that is too long broken inside its brackets.

    What stands in a raw text of several lines, the C of a module, is left as it is.
    """
    rows: list[str] = []
    raw = False
    for line in text.split("\n"):
        raw = line.endswith('= r"""') or (raw and line != '"""')
        rows += [line] if raw else broken(line)
    return "\n".join(rows)


def broken(line: str) -> list[str]:
    """Return one line, or several where it is too long and has brackets to break."""
    if len(line) <= WIDTH or line.lstrip().startswith("#"):
        return [line]
    opening, closing = outermost(line)
    if opening < 0:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    parts = split(line[opening + 1 : closing])
    comprehension = len(parts) > 1 and parts[-1].startswith("for ")
    grouping = len(parts) == 1 and re.search(r"((^|[^\w\])])\(|[\w\])]\[)$", line[: opening + 1])
    comma = "" if comprehension or grouping else ","
    inner = [row for part in parts for row in broken(f"{indent}    {part}{comma}")]
    if all(re.fullmatch(r"[-+.\de]+", part) for part in parts):
        first = indent + "    "
        inner = textwrap.wrap(
            ", ".join(parts) + ",", WIDTH, initial_indent=first, subsequent_indent=first
        )
    return [*headed(line[: opening + 1]), *inner, indent + line[closing:]]


def headed(line: str) -> list[str]:
    """Return what stands before a bracket's content; many names of a loop get brackets too."""
    found = re.fullmatch(r"(\s*)for ([\w, ]+) in (\w+\()", line)
    if len(line) <= WIDTH or not found:
        return [line]
    indent, names, call = found.groups()
    inner = textwrap.wrap(
        f"{names},", WIDTH, initial_indent=f"{indent}    ", subsequent_indent=f"{indent}    "
    )
    return [f"{indent}for (", *inner, f"{indent}) in {call}"]


def masked(line: str) -> str:
    """Return a line with its strings made of underscores: their brackets are no brackets."""
    return re.sub(r"\"(\\.|[^\"\\])*\"|'(\\.|[^'\\])*'", lambda found: "_" * len(found[0]), line)


def outermost(line: str) -> tuple[int, int]:
    """Return where the widest bracket of a line opens and closes, or (-1, -1)."""
    stack: list[int] = []
    widest = (-1, -1)
    for at, char in enumerate(masked(line)):
        if char in "([{":
            stack.append(at)
        elif char in ")]}" and stack:
            start = stack.pop()
            if not stack and at - start > widest[1] - widest[0]:
                widest = (start, at)
        elif char == "#" and not stack:
            break
    return widest


def split(inside: str) -> list[str]:
    """Return a bracket's parts: at its commas, or before each `for` of a comprehension."""
    plain, depth = masked(inside), 0
    ends: dict[str, list[int]] = {",": [], " for ": []}
    for at, char in enumerate(plain):
        depth += (char in "([{") - (char in ")]}")
        for mark, found in ends.items():
            if depth == 0 and plain.startswith(mark, at):
                found.append(at)
    cuts = [-1, *(ends[" for "] or ends[","]), len(inside)]
    parts = [inside[a + 1 : b].strip() for a, b in pairwise(cuts)]
    return [part for part in parts if part]
