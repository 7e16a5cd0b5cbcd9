"""The figures as Markdown, and as a plot."""

import os
import platform
import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from .rounds import Run

OURS = ("symback numpy", "symback numpy readable", "symback c", "symback python", "symback hessian")
MARKS = ("floor", "NumPy by hand")


def machine() -> str:
    """Return date, processor, cores, versions, and how busy the machine is."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{datetime.now(tz=UTC):%Y-%m-%d}, {names[0] if names else platform.machine()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}; "
        f"load average before the run {load}"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, its columns aligned."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f}" if seconds >= 1e-4 else f"{seconds * 1e6:.1f}"


def steps(found: Mapping[str, Sequence[Run]]) -> str:
    """Return the table of steps: a row for each network and peer."""
    rows = []
    for name, runs in found.items():
        done = {run.peer: run for run in runs if run.seconds}
        peers = [run for peer, run in done.items() if peer not in {*OURS, *MARKS}]
        best = min((run.median for run in peers), default=float("nan"))
        ground = done["floor"].median if "floor" in done else float("nan")
        for run in runs:
            if run.missing:
                rows.append((name, run.peer, "—", run.missing, "", "", "", "", ""))
                continue
            low, high = run.quartiles
            rows.append(
                (
                    name,
                    run.peer,
                    microseconds(run.median),
                    f"{microseconds(low)} … {microseconds(high)}",
                    microseconds(min(run.seconds)),
                    f"{best / run.median:.2f}",
                    f"{run.median / ground:.1f}",
                    f"{run.build:.1f}",
                    f"{run.peak / 2**20:,.0f}",
                )
            )
    header = ("net (batch)", "who", "µs, median", "middle half", "least", "best peer / it")
    return table((*header, "it / floor", "build s", "peak MB"), rows)


def seconds(figures: Mapping[str, Sequence[float]]) -> str:
    """Return a table of seconds: median and the middle half, in milliseconds."""
    rows = []
    for name, values in figures.items():
        low, _, high = statistics.quantiles(values, n=4)
        middle = statistics.median(values)
        rows.append((name, f"{middle * 1e3:.1f}", f"{low * 1e3:.1f} … {high * 1e3:.1f}"))
    return table(("", "ms, median", "middle half"), rows)


def plot(found: Mapping[str, Sequence[Run]], path: Path) -> None:
    """Draw the medians of all peers as bars, a group for each network, on a logarithmic axis."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = [name for name, runs in found.items() if any(run.seconds for run in runs)]
    peers = list(dict.fromkeys(run.peer for name in names for run in found[name] if run.seconds))
    figure, axes = plt.subplots(figsize=(13, 6), layout="constrained")
    for k, peer in enumerate(peers):
        medians = [
            next((r.median * 1e6 for r in found[name] if r.peer == peer and r.seconds), np.nan)
            for name in names
        ]
        place = np.arange(len(names)) + (k - len(peers) / 2) * 0.8 / len(peers)
        axes.bar(place, medians, 0.8 / len(peers), label=peer, align="edge")
    axes.set_xticks(range(len(names)), [textwrap.fill(name, 16) for name in names], size="small")
    axes.set(yscale="log", ylabel="µs a step, median", title=f"One training step, {machine()}")
    axes.title.set_fontsize("medium")
    axes.legend(fontsize="small", ncols=2)
    figure.savefig(path, dpi=150)
    plt.close(figure)
