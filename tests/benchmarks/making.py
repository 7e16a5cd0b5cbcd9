"""From a spec to a module: whole processes, and how depth and width of a network count."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sympy.core.cache import clear_cache

from symback import derivation, graph, pipeline
from tests.benchmarks.rounds import interleaved, seconds_of, show

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def forget() -> None:
    """Empty every cache of symback and SymPy's, so that a round starts like a new process."""
    ours = [module for name, module in sys.modules.items() if name.split(".")[0] == "symback"]
    for module in ours:
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()
    clear_cache()


def anew(run: Callable[[], object]) -> float:
    """Return the processor's seconds for a call that finds no cache filled.

    The work is one thread's; its own clock leaves out what else the machine does.
    """
    forget()
    return seconds_of(run, time.process_time)


def network(widths: tuple[int, ...]) -> dict[str, Any]:
    """Return a spec of dense layers, the last a choice among its units."""
    first, *hidden, last = widths
    layers: list[dict[str, Any]] = [
        {f"f{k}": {"dense": units, "activation": "tanh"}} for k, units in enumerate(hidden, 1)
    ]
    return {
        "inputs": {"x": ["n", first], "t": {"shape": ["n"], "classes": last}},
        "layers": [*layers, {f"f{len(widths) - 1}": {"dense": last}}],
        "loss": {"cross_entropy": "t"},
        "optimizer": {"adam": {"lr": 0.001}},
    }


def generation(rounds: int) -> None:
    """Whole processes, SymPy's import and the check of the gradients included."""
    with TemporaryDirectory() as folder:

        def process(path: Path) -> None:
            output = str(Path(folder) / f"{path.stem}.py")
            command = [sys.executable, "-m", "symback", "generate", str(path), "-o", output]
            subprocess.run(command, check=True, capture_output=True)

        paths = sorted(EXAMPLES.glob("*.yaml"), key=lambda path: path.stem != "digits")
        runs = {p.stem: lambda p=p: seconds_of(lambda: process(p)) for p in paths}
        show("symback generate, the whole process", interleaved(runs, rounds), "s")


def depth(rounds: int) -> None:
    """Equal layers: each formula is read and differentiated once."""
    specs = {layers: network((64,) * (layers + 1)) for layers in (5, 10, 20, 50)}
    graphs = {layers: graph.build(pipeline.load(spec)) for layers, spec in specs.items()}
    whole = {
        f"{layers} layers": lambda spec=spec: anew(lambda: pipeline.derive(spec))
        for layers, spec in specs.items()
    }
    show("symback.derive, from the spec to the derivation", interleaved(whole, rounds))
    stage = {
        f"{layers} layers": lambda built=built: anew(lambda: derivation.derive(built))
        for layers, built in graphs.items()
    }
    show("of this the chain rule, from the graph on", interleaved(stage, rounds))


def width(rounds: int) -> None:
    """Formulas have indices, not numbers."""
    runs = {
        f"64-{units}-10": lambda spec=network((64, units, 10)): anew(
            lambda: pipeline.generate(spec)
        )
        for units in (16, 128, 1024, 4096)
    }
    show("symback.generate, from the spec to the text", interleaved(runs, rounds))
