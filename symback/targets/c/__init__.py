"""C's printer: a program's statements as loops in C99, each with its formula.

`_loops` turns statements into nests of loops; here they are written down. Numbers of arrays are of
the type `real`, float or double; whole numbers (sizes, positions, labels) are `idx`. `R(exp)` is
exp or expf. The Python beside the C (metrics, the schedule, what is drawn) is the NumPy target's.
"""

from symback.targets._about import About, Layout
from symback.targets.c.native import native, runs, standalone
from symback.targets.numpy import drawn_into, helpers, initial, lines, size, sizes

__all__ = ["ABOUT", "drawn_into", "helpers", "initial", "lines", "native", "size", "sizes"]

ABOUT = About(
    "NumPy, cffi and a C compiler",
    ("float64", "float32"),
    Layout(
        passes="c/passes.py.j2",
        steps=("c/steps.py.j2",),
        workspace="c/workspace.py.j2",
        packed="packed",
    ),
    like="numpy",
    native=native,
    standalone=standalone,
    runs=runs,
)
