"""The whole story: emit(lower(derive(build(load(path)))), target)."""

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from symback import derivation, emit, graph, lower, passes, spec
from symback.derivation import Derivation
from symback.emit import Module
from symback.emit.target import printer
from symback.errors import Mistake, UserError
from symback.program import Program
from symback.spec import Spec

Source = Spec | str | Path | Mapping[str, Any]


def load(source: Source) -> Spec:
    """Return the spec of a YAML file's path, or of the same keys given as a mapping.

    Raises UserError with every mistake in it.
    """
    if isinstance(source, Spec):
        return source
    if isinstance(source, Mapping):
        return spec.from_mapping(source)
    return spec.load(source)


def derive(
    source: Source | Derivation, wrt: Sequence[str] = (), functions: Sequence[str] = ()
) -> Derivation:
    """Derive ∂L/∂w for every parameter (and ∂L/∂x for the inputs in `wrt`), each step kept.

    `functions` are derived beside: hvp, jacobian, hessian, per_example. A derivation stays as it
    is. Raises UserError where formulas and shapes don't fit.
    """
    if isinstance(source, Derivation):
        return source
    made = derivation.derive(graph.build(load(source)), wrt)
    return derivation.with_functions(made, functions) if functions else made


def program(
    source: Source | Derivation,
    dtype: str = "float64",
    *,
    readable: bool = True,
    wrt: Sequence[str] = (),
    functions: Sequence[str] = (),
) -> Program:
    """Return the statements of the model's module; after the passes unless `readable`."""
    made = lowered(source, dtype, wrt, functions)
    return made if readable else passes.fast(made)


def lowered(
    source: Source | Derivation,
    dtype: str = "float64",
    wrt: Sequence[str] = (),
    functions: Sequence[str] = (),
) -> Program:
    """Return the statements of the model's module, as they are before any pass."""
    return lower.lower(derive(source, wrt, functions), dtype)


def generate(
    source: Source | Derivation,
    target: str = "numpy",
    dtype: str = "float64",
    *,
    readable: bool = False,
    wrt: Sequence[str] = (),
    functions: Sequence[str] = (),
) -> Module:
    """Return the model's module as text. `target`: a file of symback/targets, such as numpy.

    `dtype`: float64 or float32. `readable` leaves out buffers and in-place updates. `wrt`: inputs
    that the gradient is taken by too; `functions`: hvp, jacobian, hessian, per_example. Raises
    UserError for a mistake in the spec.
    """
    about = printer(target).ABOUT
    plain = readable or about.fast is None
    made = program(source, dtype, readable=plain, wrt=wrt, functions=functions)
    return emit.emit(passes.looped(made) if about.native else made, target)


def standalone(source: Source, target: str = "c", dtype: str = "float64") -> tuple[Module, ...]:
    """Return the model as the files of a library that needs no Python: NAME.h and NAME.c.

    Raises UserError for a mistake in the spec; a target that has no such library gives none.
    """
    return emit.standalone(passes.looped(program(source, dtype)), target)


def compile(
    source: Source,
    target: str = "numpy",
    dtype: str = "float64",
    *,
    readable: bool = False,
    wrt: Sequence[str] = (),
    functions: Sequence[str] = (),
) -> ModuleType:
    """Return the model's module, imported: `compile("digits.yaml").train(params, x, t)`."""
    model = load(source)
    module = generate(model, target, dtype, readable=readable, wrt=wrt, functions=functions)
    return imported(module, Path(model.folder))


class _FromText(InspectLoader):
    """Loads a module from the text that was emitted; tracebacks show its lines."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def get_source(self, fullname: str) -> str:
        """Return the module's text."""
        del fullname  # there is only one
        return self.module.text


def imported(module: Module, folder: Path = Path()) -> ModuleType:
    """Import an emitted module from its text, as if it stood in that folder.

    It is imported beside whatever else has its name. Raises UserError where what it needs isn't
    there.
    """
    name = f"{__package__}.made.{module.name}"
    made = module_from_spec(ModuleSpec(name, _FromText(module), origin=f"{module.name}.py"))
    made.__file__ = str(folder / f"{module.name}.py")  # it looks for its data there
    sys.modules[name] = made  # where dataclasses look for the names in annotations
    try:
        _FromText(module).exec_module(made)
    except ImportError as error:  # what the module needs isn't there
        raise UserError(Mistake(str(error))) from None
    return made
