"""How long generating takes, and one training step: `python -m tests.benchmarks`.

Rounds are interleaved, medians are printed with their spread and the ratio to the first row of each
table. Nothing is asserted: machines are noisy.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sympy.core.cache import clear_cache

from symback import derivation, graph, index, pipeline, stable
from symback.derivation import backward, slopes
from symback.graph import seams, start

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
CACHED = (
    start.parsed,
    seams.seams,
    stable.rewritten,
    slopes.differentiate,
    backward.letters_of,
    index.accesses,
    index.scalars,
)


def forget() -> None:
    """Empty every cache, SymPy's too, so that a round starts like a new process."""
    for function in CACHED:
        function.cache_clear()
    clear_cache()


def interleaved(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return each run's seconds, one of each a round."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begun)
    return seconds


def show(title: str, seconds: Mapping[str, list[float]], unit: str = "ms") -> None:
    """Print medians, the middle half and the ratio to the first row."""
    scale = {"ms": 1e3, "µs": 1e6}[unit]
    first = statistics.median(next(iter(seconds.values())))
    print(f"\n{title}")
    for name, values in seconds.items():
        middle = statistics.median(values)
        low, _, high = statistics.quantiles(values, n=4)
        spread = f"({low * scale:.1f} … {high * scale:.1f})"
        print(f"  {name:<24} {middle * scale:>9.1f} {unit}  {spread:<20} {middle / first:.2f}")


def deep(layers: int, units: int = 64) -> dict[str, Any]:
    """Return a spec of so many equal dense layers."""
    hidden = [{f"f{k}": {"dense": units, "activation": "tanh"}} for k in range(1, layers + 1)]
    return {
        "inputs": {"x": ["n", units], "t": {"shape": ["n"], "classes": units}},
        "layers": hidden,
        "loss": {"cross_entropy": "t"},
        "optimizer": "adam",
    }


def generation(rounds: int) -> None:
    """Whole processes, SymPy's import and the check of the gradients included."""
    with TemporaryDirectory() as folder:

        def run(name: str) -> None:
            output = str(Path(folder) / f"{name}.py")
            command = [sys.executable, "-m", "symback", "generate", f"{EXAMPLES / name}.yaml"]
            subprocess.run([*command, "-o", output], check=True, capture_output=True)

        names = ("digits", "linear", "moons", "own_formula")
        runs = {name: lambda name=name: run(name) for name in names}
        show("symback generate, the whole process", interleaved(runs, rounds))


def depth(rounds: int) -> None:
    """Deriving equal layers: each formula is differentiated once."""
    graphs = {layers: graph.build(pipeline.load(deep(layers))) for layers in (5, 10, 20, 50)}

    def run(layers: int) -> None:
        forget()
        derivation.derive(graphs[layers])

    runs = {f"{layers} layers": lambda layers=layers: run(layers) for layers in graphs}
    show("derive equal dense layers", interleaved(runs, rounds))


def width(rounds: int) -> None:
    """Width doesn't matter: formulas have indices, not numbers."""
    specs = {units: pipeline.load(deep(3, units)) for units in (16, 128, 1024, 4096)}

    def run(units: int) -> None:
        forget()
        pipeline.generate(specs[units])

    runs = {f"{units} units": lambda units=units: run(units) for units in specs}
    show("generate three layers of this width", interleaved(runs, rounds))


def steps(rounds: int) -> None:
    """One step of training 64-64-10 on batches of 32: forward, backward, clip, Adam, figures."""
    batches, rng = 45, np.random.default_rng(0)
    x, t = rng.normal(size=(32 * batches, 64)), rng.integers(0, 10, 32 * batches)
    forms = {
        "numpy float64": ("numpy", "float64", False),
        "numpy float32": ("numpy", "float32", False),
        "numpy readable": ("numpy", "float64", True),
        "python": ("python", "float64", True),
    }
    runs: dict[str, Callable[[], object]] = {}
    for name, (target, dtype, readable) in forms.items():
        module: Any = pipeline.compile(EXAMPLES / "digits.yaml", target, dtype, readable=readable)
        params = module.init(0)
        data = (x.tolist(), t.tolist()) if target == "python" else (x.astype(dtype), t)

        def epoch(module: Any = module, params: Any = params, data: Any = data) -> None:
            module.train(params, *data, epochs=1)

        runs[name] = epoch
    seconds = interleaved(runs, rounds)
    each = {name: [value / batches for value in values] for name, values in seconds.items()}
    show("one training step, 64-64-10, 32 examples", each, "µs")


def main() -> None:
    """Run all; `--quick` with fewer rounds."""
    rounds = 3 if "--quick" in sys.argv[1:] else 9
    for part in (generation, depth, width, steps):
        part(rounds)


if __name__ == "__main__":
    main()
