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
CURVE = 40  # characters of the small loss curve
NAMES = {"lr": "learning rate"}


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
    """Draw a bar with the time left, the last epoch's figures below, and a curve of the loss.

    Colours are left out where NO_COLOR is set.
    """
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    losses: list[float] = []
    console = Console(highlight=False)
    bar = BarColumn(bar_width=28)
    left = TextColumn("left"), TimeLeft(compact=True)
    progress = Progress(TextColumn("epoch"), MofNCompleteColumn(), bar, *left)
    task = progress.add_task("", total=epochs)
    with Live(progress, console=console, refresh_per_second=8) as screen:

        def show(row: Any) -> None:
            losses.append(row.loss)
            progress.update(task, completed=row.epoch)
            screen.update(Group(progress, table(row), f"loss   {curve(losses)}  {row.loss:.4g}"))

        yield show


def table(row: Any) -> Any:
    """Return an epoch's figures below their names; those of the validation in a row of their own.

    What it returns is rich's table.
    """
    from rich.table import Table

    figures = {name: value for name, value in row._asdict().items() if name != "epoch"}
    held = {name: value for name, value in figures.items() if name.startswith("val_")}
    names = [name for name in figures if name not in held]
    made = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("", *names) if held else names:
        made.add_column(NAMES.get(name, name.replace("_", " ")), min_width=8)
    shown = [f"{figures[name]:.4g}" for name in names]
    if not held:
        made.add_row(*shown)
        return made
    made.add_row("training", *shown)
    beside = (held.get(f"val_{name}") for name in names)
    made.add_row("validation", *("" if value is None else f"{value:.4g}" for value in beside))
    return made


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
