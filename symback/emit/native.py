"""A module of a target that compiles: what is compiled, and what is left to Python beside it."""

from dataclasses import dataclass, replace

from symback.emit.network import Network
from symback.emit.reading import weighing
from symback.emit.templates import source
from symback.program import Program, Update
from symback.targets._about import Native

RENEWAL = (  # what a pass in training brings up to date, done by the C
    "flat = packed(params)",
    "cache.lib.renew(flat.pointer, cache.struct)",
    "written_back(params, flat)",
)


@dataclass(frozen=True, slots=True)
class Compiled(Native):
    """What the templates see of the compiled code: its lines, and the source of its helpers."""

    helpers: tuple[str, ...]
    linkage: str  # what stands before a function that others may call


def compiled(native: Native, target: str, linkage: str = "") -> Compiled:
    """Return a target's compiled parts with the source of its helper functions."""
    parts = {name: getattr(native, name) for name in native.__dataclass_fields__}
    helpers = tuple(source(f"{target}/native/{name}.c") for name in native.functions)
    return Compiled(**parts, helpers=helpers, linkage=linkage)


def beside(program: Program) -> Program:
    """Return what Python computes itself: the metrics, a batch's weight, the schedule."""
    nothing = Update(program.update.name, (), (), (), ())
    return replace(
        program, forward=(), loss=weighing(program), backward=(), renewal=(), update=nothing
    )


def called(net: Network, native: Native) -> Network:
    """Return the network's strings as those of a module that calls its passes."""
    renewal = RENEWAL if native.renewal else ()
    met = f"float(cache.{net.loss_name}{'.sum()' if net.unreduced else ''})"
    return replace(net, shapes=native.shapes, score_fields=(), renewal=renewal, met=met)
