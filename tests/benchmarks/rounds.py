"""Interleaved rounds of processes, one for each peer, on one network after another."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .hessians import Hessian
from .nets import Net

ENVIRONMENT = {"OMP_NUM_THREADS": str(os.cpu_count() or 1)}
REST = 0.15  # seconds until a BLAS's threads of the peer before have stopped looking for work


@dataclass(slots=True)
class Run:
    """A peer on a network: the process, the seconds of a step in each round, what else it said."""

    peer: str
    process: "subprocess.Popen[str]"
    losses: list[float] = field(default_factory=list)
    build: float = 0.0
    peak: int = 0
    seconds: list[float] = field(default_factory=list)
    missing: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return low, high

    def heard(self) -> dict[str, Any]:
        """Return what the process says next; note why it ended if it did."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            said: dict[str, Any] = json.loads(line)
            return said
        self.missing = f"ended with code {self.process.wait()}"
        return {}


def start(peer: str, net: Net | Hessian) -> Run:
    """Start a peer in a process of its own; it builds its step and warms up."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.worker", peer, net.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | ENVIRONMENT,
    )
    return Run(peer, process)


def measured(net: Net | Hessian, peers: Sequence[str], rounds: int, seconds: float) -> list[Run]:
    """Return every peer's figures on a network: in each round each takes steps for so long."""
    runs = [start(peer, net) for peer in peers]
    for run in runs:
        said = run.heard()
        run.losses, run.build = said.get("losses", []), said.get("build", 0.0)
        run.missing = said.get("missing", run.missing)
    for _ in range(rounds):
        for run in runs:
            if run.missing:
                continue
            assert run.process.stdin is not None
            time.sleep(REST)
            print(seconds, file=run.process.stdin, flush=True)
            said = run.heard()
            if said:
                run.seconds.append(said["seconds"])
                run.peak = said["peak"]
    for run in runs:
        if run.process.stdin is not None:
            run.process.stdin.close()
        run.process.wait()
    return runs
