"""symback: from a model spec to a trained network, every gradient derived by SymPy and checked.

    spec = symback.load("examples/digits.yaml")     # the spec, or every mistake in it
    derivation = symback.derive(spec)               # each ∂L/∂w with the steps that lead to it
    module = symback.generate(spec)                 # the text of a module of its own
    digits = symback.compile(spec)                  # the same, imported: digits.train(…)

Importing symback costs nothing: SymPy is loaded by the first call that needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symback.pipeline import compile, derive, generate, load

__version__ = "0.1.0"
__all__ = ["__version__", "compile", "derive", "generate", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'symback' has no attribute {name!r}")
    return getattr(import_module("symback.pipeline"), name)
