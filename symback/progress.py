"""Training as it is watched: live in a terminal, plain lines elsewhere, JSON for programs."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

Show = Callable[[Any], None]
BARS = "▁▂▃▄▅▆▇█"
CURVE = 24  # characters of the small loss curve


@contextmanager
def silent() -> Iterator[Show]:
    """Show nothing."""
    yield lambda _: None


@contextmanager
def json_lines() -> Iterator[Show]:
    """Print each epoch as a line of JSON."""
    yield lambda row: click.echo(json.dumps({"event": "epoch", **finite(row._asdict())}))


@contextmanager
def plain(epochs: int) -> Iterator[Show]:
    """Print each epoch as a line of text."""
    width = len(str(epochs))

    def show(row: Any) -> None:
        click.echo(f"epoch {row.epoch:>{width}}/{epochs}  {figures(row)}")

    yield show


@contextmanager
def live(epochs: int) -> Iterator[Show]:
    """Draw a bar, the time left and a small curve of the loss; below, the last epoch's figures."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft
    from rich.text import Text

    losses: list[float] = []
    console = Console(highlight=False)
    bar = BarColumn(bar_width=18)
    last = TextColumn("{task.fields[curve]}")
    progress = Progress(TextColumn("epoch"), MofNCompleteColumn(), bar, TimeLeft(), last)
    task = progress.add_task("", total=epochs, curve="")
    with Live(progress, console=console, refresh_per_second=8) as screen:

        def show(row: Any) -> None:
            losses.append(row.loss)
            progress.update(task, completed=row.epoch, curve=curve(losses))
            screen.update(Group(progress, Text(figures(row))))

        yield show


def in_terminal() -> bool:
    """Say whether a person watches, at a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def figures(row: Any) -> str:
    """Return an epoch's figures but its number, on one line."""
    values = row._asdict().items()
    return "  ".join(f"{name} {value:.4g}" for name, value in values if name != "epoch")


def curve(losses: Sequence[float]) -> str:
    """Return the losses as a row of bars, the last at the right, on a logarithmic scale."""
    shown = [math.log(max(loss, 1e-300)) for loss in thinned(losses)]
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in shown)


def thinned(values: Sequence[float]) -> list[float]:
    """Return at most CURVE of the values, evenly spaced, the last among them."""
    if len(values) <= CURVE:
        return list(values)
    step = (len(values) - 1) / (CURVE - 1)
    return [values[round(k * step)] for k in range(CURVE)]


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return figures as JSON can hold them: null where there is no number."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
