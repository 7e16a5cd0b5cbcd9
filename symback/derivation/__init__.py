"""Graph → Derivation: ∂L/∂everything by the chain rule, from the loss down, each step kept.

Each equation is differentiated once, in its own letters, however many layers share it. For an
equation z = f(W, x, b) and ∂L/∂z known,

    ∂L/∂W[o,i] = Σ_{n,o'} ∂L/∂z[n,o'] · ∂z[n,o']/∂W[o,i]

where the inner derivative is SymPy's, its deltas are contracted (`index`), and values that the
forward pass has already computed are put back in.
"""

from collections.abc import Sequence

from sympy.core.parameters import distribute

from symback.derivation.backward import Backward
from symback.derivation.types import Derivation, Line, Local, Slope, Step, Term
from symback.graph import Graph

__all__ = ["Derivation", "Line", "Local", "Slope", "Step", "Term", "derive"]


def derive(graph: Graph, wrt: Sequence[str] = ()) -> Derivation:
    """Derive ∂L/∂w for every parameter, and for the inputs named in `wrt`."""
    with distribute(False):
        return Backward(graph, frozenset(wrt)).derivation()
