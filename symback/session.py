"""A training session at the command line: everything from the module to the plot, in one go."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import click

from symback import making, pipeline, plot, progress, training
from symback.making import Plan
from symback.training import Trained


class Voice(StrEnum):
    """How a session speaks."""

    QUIET = "quiet"
    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Places:
    """Where a session saves; no plot where nothing can draw one."""

    module: Path
    weights: Path
    history: Path
    plot: Path | None

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file, in order."""
        return tuple(path for path in (self.module, self.weights, self.history, self.plot) if path)


def places(folder: Path, name: str, drawn: str | None) -> Places:
    """Return where things go. Raises UserError where a plot is asked for and can't be made."""
    picture = Path(drawn) if drawn else folder / f"{name}.loss.png"
    if drawn:
        plot.require(picture)
    return Places(
        module=folder / f"{name}.py",
        weights=folder / f"{name}.weights.npz",
        history=folder / f"{name}.history.csv",
        plot=picture if plot.available() else None,
    )


def run(plan: Plan, to: Places, epochs: int | None, seed: int | None, voice: Voice) -> str:
    """Check, write the module, train, evaluate, save; return why the training stopped.

    Raises UserError for a mistake in the data, and where the numbers don't stay finite.
    """
    module = pipeline.imported(plan.module)
    given = training.examples(plan.spec, module, plan.target)
    report = making.write(plan, to.module)
    settings = plan.spec.training
    count = settings.epochs if epochs is None else epochs
    if voice is Voice.TEXT:
        click.echo(making.told(plan, to.module, report))
        click.echo(f"{given.counts}, {count} epochs")
    with _shown(voice, count) as show:
        start = settings.seed if seed is None else seed
        trained = training.run(module, given, start, count, show)
    written = _save(trained, to, plan.module.name)
    _tell(trained, written, voice)
    return trained.stopped


def _shown(voice: Voice, epochs: int) -> AbstractContextManager[progress.Show]:
    if voice is Voice.QUIET:
        return progress.silent()
    if voice is Voice.JSON:
        return progress.json_lines()
    return progress.live(epochs) if progress.in_terminal() else progress.plain(epochs)


def _save(trained: Trained, to: Places, title: str) -> tuple[Path, ...]:
    """Write weights, history and plot; return all that the session wrote."""
    trained.save(to.weights, to.history)
    if to.plot is None or not trained.history:
        return tuple(path for path in to.all if path != to.plot)
    plot.history(to.plot, trained.history, title)
    return to.all


def _tell(trained: Trained, written: Sequence[Path], voice: Voice) -> None:
    """Say why the training stopped, how good it is and what was saved."""
    if voice is Voice.JSON:
        ended = {
            "event": "end",
            "stopped": trained.stopped,
            "epochs": len(trained.history),
            "test": progress.finite(trained.test),
            "files": [str(path) for path in written],
        }
        click.echo(json.dumps(ended))
    elif voice is Voice.TEXT:
        click.echo(f"{trained.stopped} after {len(trained.history)} epochs")
        if trained.test:
            figures = "  ".join(f"{name} {value:.4g}" for name, value in trained.test.items())
            click.echo(f"test  {figures}")
        click.echo(f"saved {', '.join(map(str, written))}")
        if not plot.available():
            click.echo(f"no plot without matplotlib: {plot.INSTALL}")
