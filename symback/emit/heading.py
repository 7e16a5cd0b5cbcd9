"""What stands above the code: the docstring's lines and the imports."""

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from symback import __version__, wrapping
from symback.emit.folding import WIDTH
from symback.emit.text import safe
from symback.program import Program

# What a module imports is what its text names.
IMPORTS = {
    "argparse": "import argparse",
    "ast": "import ast",
    "csv": "import csv",
    "functools": "import functools",
    "hashlib": "import hashlib",
    "math": "import math",
    "os": "import os",
    "platform": "import platform",
    "shlex": "import shlex",
    "shutil": "import shutil",
    "struct": "import struct",
    "subprocess": "import subprocess",
    "sys": "import sys",
    "zipfile": "import zipfile",
    "np": "import numpy as np",
    "Callable": "from collections.abc import Callable",
    "Iterable": "from collections.abc import Iterable",
    "Iterator": "from collections.abc import Iterator",
    "Mapping": "from collections.abc import Mapping",
    "Sequence": "from collections.abc import Sequence",
    "contextmanager": "from contextlib import contextmanager",
    "suppress": "from contextlib import suppress",
    "dataclass": "from dataclasses import dataclass",
    "import_module": "from importlib import import_module",
    "find_spec": "from importlib.util import find_spec",
    "pairwise": "from itertools import pairwise",
    "islice": "from itertools import islice",
    "chain": "from itertools import chain",
    "product": "from itertools import product",
    "repeat": "from itertools import repeat",
    "fmean": "from statistics import fmean",
    "pstdev": "from statistics import pstdev",
    "walk_tb": "from traceback import walk_tb",
    "mul": "from operator import mul",
    "Path": "from pathlib import Path",
    "Random": "from random import Random",
    "TemporaryDirectory": "from tempfile import TemporaryDirectory",
    "Any": "from typing import Any",
    "NamedTuple": "from typing import NamedTuple",
    "TypeAlias": "from typing import TypeAlias",
}


def header(program: Program, needs: str) -> tuple[str, ...]:
    """Return the docstring's lines: origin, needs, formulas, letters, notes, assumptions."""
    origin = f" from `{program.source}`" if program.source else ""
    lines = [
        f"Made by symback {__version__}{origin}; edit the spec, not this file. It needs",
        f"{needs}. The spec's SHA-256 is {program.digest[:16]}.",
        "",
        *(row for said in formulas(program) for row in indented(said)),
    ]
    if program.renewal:
        told = (row for s in program.renewal for row in indented(s.because))
        lines += ["", "After each pass in training:", *told]
    if program.letters:
        lines += ["", *filled([f"{k}  {v}" for k, v in program.letters.items()], "    ")]
    if program.notes:
        lines += ["", *(row for note in program.notes for row in textwrap.wrap(note, WIDTH))]
    if program.assumptions:
        lines += ["", "Taken for granted, and checked before training:"]
        lines += [f"    {a.because}" for a in program.assumptions]
    return tuple(safe(line) for line in lines)


def formulas(program: Program) -> Iterator[str]:
    """Yield the formulas of the forward pass and the loss; what no other mentions is left out.

    Such a value is kept for the code's sake alone: its operations are shared.
    """
    told = [s.because for s in (*program.forward, *program.loss) if s.because]
    sides = [said.partition(" = ") for said in (*told, *(s.because for s in program.backward))]
    mentioned = {program.output, program.objective}
    mentioned.update(*(re.findall(r"\w+", right) for _, _, right in sides))
    yield from (said for said in told if said.partition("[")[0].partition(" ")[0] in mentioned)


def indented(text: str) -> list[str]:
    """Return formulas, one a line, indented; a long one goes on further in."""
    return wrapping.rows(text, WIDTH, "    ", "        ")


def filled(parts: Sequence[str], between: str) -> list[str]:
    """Return the parts on as few indented lines as hold them."""
    lines = [between + parts[0]]
    for part in parts[1:]:
        if len(lines[-1] + between + part) <= WIDTH:
            lines[-1] += between + part
        else:
            lines.append(between + part)
    return lines


def imports(body: str) -> tuple[str, ...]:
    """Return the import lines of the names a text reads, the standard library's first.

    Modules that take long to import, and that only annotations name, stand where a type checker
    alone looks: the functions that use them import them.
    """
    parts = [names(part) for part in body.split("\n\n\n")]  # two empty lines stand between them
    noted = {name for part in parts for name in part.noted}
    local = {name for part in parts for name in part.imported}
    above = {name for part in parts for name in part.run - part.imported} | noted - local
    checked = [line for name, line in IMPORTS.items() if name in noted - above]
    lines = [line for name, line in IMPORTS.items() if name in above]
    if checked:
        lines.append("from typing import TYPE_CHECKING")
    blocks = in_blocks(lines)
    if checked:
        shown = [line for block in in_blocks(checked) for line in ("", *block)][1:]
        blocks.append(["if TYPE_CHECKING:", *(f"    {line}" if line else "" for line in shown)])
    return tuple(line for block in blocks for line in ("", *block))[1:]


@dataclass(frozen=True, slots=True)
class Names:
    """The names in a part of a module: read when it runs, read by annotations alone, imported."""

    run: frozenset[str]
    noted: frozenset[str]
    imported: frozenset[str]


@lru_cache(maxsize=1024)  # most functions are the same in every module
def names(text: str) -> Names:
    """Return the names in a part of a module, an annotation's apart from the others."""
    run: set[str] = set()
    noted: set[str] = set()
    imported: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        aside = list(notes(node))
        noted.update(name for note in aside for name in read(note))
        if isinstance(node, ast.Name):
            run.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imported.update(alias.name for alias in node.names)
        waiting += [child for child in ast.iter_child_nodes(node) if child not in aside]
    return Names(frozenset(run), frozenset(noted), frozenset(imported))


def in_blocks(lines: Sequence[str]) -> list[list[str]]:
    """Return import lines sorted: the standard library's, then the others."""
    others = [line for line in lines if "numpy" in line]
    blocks = [[line for line in lines if line not in others], others]
    return [grouped(block) for block in blocks if block]


def notes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node's annotations, and what they or an alias of a type name in quotes."""
    match node:
        case ast.arg(annotation=ast.AST() as note) | ast.FunctionDef(returns=ast.AST() as note):
            found = [note]
        case ast.AnnAssign(annotation=note, value=ast.Constant(value=str()) as value):
            found = [note, value]
        case ast.AnnAssign(annotation=note):
            found = [note]
        case _:
            return
    for each in found:
        yield each
        for part in ast.walk(each):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield ast.parse(part.value)


def read(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def grouped(lines: Sequence[str]) -> list[str]:
    """Return import lines sorted, the names of one module together."""
    plain = sorted(line for line in lines if line.startswith("import"))
    modules: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("from"):
            _, module, _, name = line.split()
            modules.setdefault(module, []).append(name)
    plain += [
        f"from {m} import {', '.join(sorted(modules[m], key=lambda n: (not n.isupper(), n)))}"
        for m in sorted(modules)
    ]
    return plain
