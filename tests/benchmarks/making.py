"""What it costs to make a module: deriving, generating, importing; how large it is."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sympy.core.cache import clear_cache

from symback import derivation, graph, pipeline

from .nets import DENSE

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
Figures = dict[str, list[float]]

IMPORT = """
import sys, time
import numpy
sys.path.insert(0, sys.argv[1])
begun = time.perf_counter()
__import__(sys.argv[2])
print(time.perf_counter() - begun)
"""


def interleaved(runs: Mapping[str, Callable[[], float]], rounds: int) -> Figures:
    """Return the seconds that each run tells, one of each a round."""
    found: Figures = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return found


def timed(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def forget() -> None:
    """Empty every cache, SymPy's too, so that a round starts like a new process."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "symback"]:
        for value in list(vars(sys.modules[name]).values()):
            if hasattr(value, "cache_clear"):
                value.cache_clear()
    clear_cache()


def afresh(run: Callable[[], object]) -> float:
    """Return the seconds of a run that finds no cache filled."""
    forget()
    return timed(run)


def deep(layers: int, units: int = 64) -> dict[str, Any]:
    """Return a spec of so many equal dense layers."""
    hidden = [{f"f{k}": {"dense": units, "activation": "tanh"}} for k in range(1, layers + 1)]
    return {
        "inputs": {"x": ["n", units], "t": {"shape": ["n"], "classes": units}},
        "layers": hidden,
        "loss": {"cross_entropy": "t"},
        "optimizer": "adam",
    }


def generating(rounds: int) -> Figures:
    """Whole processes, SymPy's import and the check of the gradients included."""
    with TemporaryDirectory() as folder:

        def run(name: str) -> object:
            output = str(Path(folder) / f"{name}.py")
            command = [sys.executable, "-m", "symback", "generate", f"{EXAMPLES / name}.yaml"]
            return subprocess.run([*command, "-o", output], check=True, capture_output=True)

        names = ("digits", "moons", "own_formula")
        runs = {name: partial(timed, partial(run, name)) for name in names}
        return interleaved(runs, rounds)


def deriving(rounds: int) -> Figures:
    """Each formula is differentiated once, however many layers share it."""
    graphs = {layers: graph.build(pipeline.load(deep(layers))) for layers in (5, 10, 20, 50)}
    runs = {
        f"{layers} layers": partial(afresh, partial(derivation.derive, made))
        for layers, made in graphs.items()
    }
    return interleaved(runs, rounds)


def widening(rounds: int) -> Figures:
    """Width doesn't matter: formulas have indices, not numbers."""
    specs = {units: pipeline.load(deep(3, units)) for units in (16, 4096)}
    runs = {
        f"{units} units": partial(afresh, partial(pipeline.generate, made))
        for units, made in specs.items()
    }
    return interleaved(runs, rounds)


def importing(rounds: int) -> tuple[Figures, dict[str, int]]:
    """Return the seconds that importing takes once NumPy is there, and each module's bytes."""
    environment = {name: value for name, value in os.environ.items() if "BYTECODE" not in name}
    with TemporaryDirectory() as folder:
        sizes = {}
        for net in DENSE:
            module = pipeline.generate(net.spec(), "numpy", "float32")
            path = Path(folder) / f"{module.name}.py"
            path.write_text(module.text, encoding="utf-8")
            sizes[net.name] = len(module.text.encode())

        def run(name: str) -> float:
            command = [sys.executable, "-c", IMPORT, folder, name]
            done = subprocess.run(
                command, check=True, capture_output=True, text=True, env=environment
            )
            return float(done.stdout)

        names = {net.name: str(net.spec()["model"]) for net in DENSE}
        for name in names.values():
            run(name)  # leaves the bytecode
        runs = {net: partial(run, name) for net, name in names.items()}
        return interleaved(runs, rounds), sizes
