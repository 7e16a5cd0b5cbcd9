"""Interleaved rounds, and the table that shows them."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

Clock = Callable[[], float]


def seconds_of(run: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    """Return the seconds that one call takes by the clock."""
    begun = clock()
    run()
    return clock() - begun


def interleaved(runs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds that each run reports, one of each a round."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            seconds[name].append(run())
    return seconds


def show(
    title: str,
    seconds: Mapping[str, Sequence[float]],
    unit: str = "ms",
    losses: Mapping[str, float] | None = None,
) -> None:
    """Print medians, the middle half, and the median of each round's ratio to the first row."""
    scale = {"s": 1.0, "ms": 1e3, "µs": 1e6}[unit]
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in (f"median, {unit}", "middle half", "ratio", *(["loss"] if losses else [])):
        table.add_column(heading, justify="right")
    first = next(iter(seconds.values()))
    for name, values in seconds.items():
        low, middle, high = (scale * value for value in statistics.quantiles(values, n=4))
        ratio = statistics.median(one / other for one, other in zip(values, first, strict=True))
        loss = [f"{losses[name]:.6g}"] if losses else []
        table.add_row(name, f"{middle:,.4g}", f"{low:,.4g} … {high:,.4g}", f"{ratio:.2f}", *loss)
    Console().print(table)
