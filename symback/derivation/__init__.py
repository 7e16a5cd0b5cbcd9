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
from symback.derivation.beside import FUNCTIONS, with_functions
from symback.derivation.types import Beside, Derivation, Line, Local, Slope, Step, Term
from symback.errors import Mistake, UserError
from symback.graph import Graph
from symback.program import Role

__all__ = [
    "FUNCTIONS",
    "Beside",
    "Derivation",
    "Line",
    "Local",
    "Slope",
    "Step",
    "Term",
    "derive",
    "with_functions",
]


def derive(graph: Graph, wrt: Sequence[str] = ()) -> Derivation:
    """Derive ∂L/∂w for every parameter, and for the inputs named in `wrt`.

    Raises UserError where no parameter changes the loss.
    """
    with distribute(False):
        made = Backward(graph, frozenset(wrt)).derivation()
    learned = {tensor.key for tensor in graph.tensors if tensor.role is Role.PARAMETER}
    if not learned & {key for key, _ in made.gradients}:
        hint = "the loss reads the last layer's output as y"
        raise UserError(Mistake("no parameter changes the loss: nothing can be learned", hint=hint))
    return made
