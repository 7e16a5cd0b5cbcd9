"""NumPy's printer: one statement of the Program to one line of NumPy.

The letters of the axes say how operands line up: an array is printed in the order of letters its
place wants, and what it lacks is broadcast, by itself on the left and as `[:, None]` elsewhere.
"""

from symback.targets._about import About, Layout
from symback.targets.numpy.draws import drawn_into, initial, made
from symback.targets.numpy.statements import code, helpers, lines, size, sizes

__all__ = ["ABOUT", "code", "drawn_into", "helpers", "initial", "lines", "made", "size", "sizes"]

ABOUT = About(
    "NumPy only",
    ("float64", "float32"),
    Layout(arrays="numpy/cache.py.j2", update="numpy/update.py.j2"),
    fast=Layout(
        arrays="numpy/fast_arrays.py.j2",
        passes="numpy/fast_passes.py.j2",
        start="numpy/fast_start.py.j2",
        update="numpy/fast_update.py.j2",
        steps=("numpy/fast_step.py.j2",),
        workspace="numpy/workspace.py.j2",
        packed="packed",
    ),
)
