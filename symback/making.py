"""From a spec to a module on disk: checked before it is written, and told what was done."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from symback import files, lower, pipeline, stability
from symback.check import Report, check_text
from symback.derivation import FUNCTIONS, Derivation
from symback.emit import Module
from symback.program import Role
from symback.spec import Spec

INPUTS = "inputs"  # gradients by the inputs too
EXTRAS = (INPUTS, *FUNCTIONS)


@dataclass(frozen=True, slots=True)
class Plan:
    """A spec and its module. `checked` is the same program in float64: what is checked."""

    spec: Spec
    derivation: Derivation
    target: str
    wrt: tuple[str, ...]
    module: Module
    checked: Module


def plan(
    source: Path,
    target: str = "numpy",
    dtype: str = "float64",
    *,
    readable: bool = False,
    extras: Sequence[str] = (),
) -> Plan:
    """Derive and generate, with some of EXTRAS.

    Raises UserError with every mistake in the spec.
    """
    spec = pipeline.load(source)
    wrt = input_names(spec) if INPUTS in extras else ()
    functions = tuple(name for name in EXTRAS if name in extras and name != INPUTS)
    derived = pipeline.derive(spec, wrt, functions)
    module = pipeline.generate(derived, target, dtype, readable=readable)
    checked = module
    if dtype != "float64":
        checked = pipeline.generate(derived, target, "float64", readable=readable)
    return Plan(spec, derived, target, wrt, module, checked)


def input_names(spec: Spec) -> tuple[str, ...]:
    """Return the inputs that a gradient can be taken by: those the layers read, but labels."""
    held = pipeline.program(spec).with_role(Role.INPUT)
    return tuple(tensor.name for tensor in held if tensor.classes is None)


def check(plan: Plan) -> Report:
    """Hold the module's gradients against differences of its loss.

    Raises UserError, naming each parameter and element that disagrees.
    """
    report = check_text(plan.checked)
    report.require("nothing was written")
    return report


def write(plan: Plan, path: Path) -> Report:
    """Check the module, then write it; a file that symback didn't write is left alone."""
    files.require_ours(path)
    report = check(plan)
    files.write(path, plan.module.text)
    return report


def write_standalone(source: Path, target: str, dtype: str, folder: Path) -> tuple[Path, ...]:
    """Write the model as a library that needs no Python, once its gradients are checked.

    They are checked in NumPy, which has the same derivation; no compiler is needed for that.
    """
    spec = pipeline.load(source)
    made = pipeline.standalone(spec, target, dtype)
    paths = [folder / f"{module.name}.{module.target}" for module in made]
    for path in paths:
        files.require_ours(path)
    check(plan(source))
    for path, module in zip(paths, made, strict=True):
        files.write(path, module.text)
    return tuple(paths)


def told(plan: Plan, path: Path, report: Report) -> str:
    """Return what was written, what was rewritten for stability and why, kinks and the check."""
    size = len(plan.module.text.splitlines())
    lines = [f"{path}: {size} lines, target {plan.target}"]
    lines += [f"  {note}" for note in lower.notes(plan.derivation)]
    lines += [f"  {line}" for line in stability.breaks(plan.derivation.graph)]
    return "\n".join([*lines, f"  {report}"])
