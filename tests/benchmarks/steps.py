"""One step of training, symback's modules and their peers in turn."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product

from tests.benchmarks.peers import PEERS, Task
from tests.benchmarks.rounds import interleaved, show

NETS = [((4, 16, 3), 150), ((64, 128, 10), 32), ((784, 128, 10), 64)]
ARRAYS = ("numpy", "calls", "readable", "torch", "fused", "jax")
MARGINS = Task((2, 16, 16, 1), 100, "float64")
SLICE = 0.1  # seconds that each peer trains a round


class Process:
    """A peer in a process of its own; between its turns it waits."""

    def __init__(self, running: "subprocess.Popen[str]") -> None:
        self.running = running

    def ask(self, task: Task, seconds: float = SLICE) -> tuple[float, float]:
        """Return the median seconds of a step, and the loss after the first few."""
        pipes = self.running.stdin, self.running.stdout
        assert pipes[0] is not None
        assert pipes[1] is not None
        print(task.name, seconds, file=pipes[0], flush=True)
        taken, loss = pipes[1].readline().split()
        return float(taken), float(loss)


@contextmanager
def process(peer: str) -> Iterator[Process]:
    """Run a peer until the context ends."""
    command = [sys.executable, "-m", f"{__package__}.peers", peer]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        yield Process(running)


def compared(
    task: Task, processes: dict[str, Process], names: Sequence[str], rounds: int, unit: str
) -> None:
    """Print one task's table."""
    chosen = {PEERS[name].title: processes[name] for name in names if name in processes}
    losses = {title: one.ask(task)[1] for title, one in chosen.items()}
    runs = {title: lambda one=one: one.ask(task)[0] for title, one in chosen.items()}
    net = f"{'-'.join(map(str, task.widths))}, {task.batch} examples, {task.dtype}"
    show(f"one training step, {net}", interleaved(runs, rounds), unit, losses)


def steps(rounds: int) -> None:
    """Forward, backward, update, the loss read back."""
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(process(name))
            for name, peer in PEERS.items()
            if peer.installed
        }
        for peer in PEERS.values():
            if not peer.installed:
                print(f"{peer.title}: {peer.library} is not installed")
        for (widths, batch), dtype in product(NETS, ("float32", "float64")):
            small = dtype == "float64" and widths[0] < 100
            names = [*ARRAYS, *(["python"] if small else [])]
            compared(Task(widths, batch, dtype), processes, names, rounds, "µs")
        compared(MARGINS, processes, ("python", "numpy", "scalar"), rounds, "ms")
