"""A training session at the command line: everything from the module to the plot, in one go."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import BadZipFile

import click

from symback import making, pipeline, plot, progress, training
from symback.errors import Mistake, UserError
from symback.making import Plan
from symback.plot.figures import read
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
    answers = training.answers(plan.spec, module, trained.params, given) if to.plot else None
    written = _save(trained, to, answers, plan.module.name)
    _tell(trained, written, voice)
    return trained.stopped


def _shown(voice: Voice, epochs: int) -> AbstractContextManager[progress.Show]:
    if voice is Voice.QUIET:
        return progress.silent()
    if voice is Voice.JSON:
        return progress.json_lines()
    return progress.live(epochs) if progress.in_terminal() else progress.plain(epochs)


def _save(
    trained: Trained, to: Places, answers: plot.Answers | None, title: str
) -> tuple[Path, ...]:
    """Write weights, history and plot; return all that the session wrote."""
    trained.save(to.weights, to.history)
    if to.plot is None or not trained.history.rows:
        return tuple(path for path in to.all if path != to.plot)
    plot.draw(to.plot, trained.history, answers, title)
    return to.all


def _tell(trained: Trained, written: Sequence[Path], voice: Voice) -> None:
    """Say why the training stopped, how good it is and what was saved."""
    if voice is Voice.JSON:
        ended = {
            "event": "end",
            "stopped": trained.stopped,
            "epochs": len(trained.history.rows),
            "test": progress.finite(trained.test),
            "files": [str(path) for path in written],
        }
        click.echo(json.dumps(ended))
    elif voice is Voice.TEXT:
        click.echo(f"{trained.stopped} after {len(trained.history.rows)} epochs")
        if trained.test:
            figures = "  ".join(f"{name} {value:.4g}" for name, value in trained.test.items())
            click.echo(f"test  {figures}")
        click.echo(f"saved {', '.join(map(str, written))}")
        if not plot.available():
            click.echo(f"no plot without matplotlib: {plot.INSTALL}")


def redraw(history: Path, spec: Path | None, weights: Path | None, output: Path | None) -> Path:
    """Draw a saved history; with its spec also what the saved weights answer. Return the file.

    Raises UserError where one of the files isn't what it should be.
    """
    name = history.name.removesuffix(".csv").removesuffix(".history")
    picture = output or history.with_name(f"{name}.loss.png")
    plot.require(picture)
    figures = read(history)
    answers = None
    if spec is not None:
        loaded = pipeline.load(spec)
        module = pipeline.compile(loaded)
        params = _loaded(module, weights or history.with_name(f"{name}.weights.npz"))
        given = training.examples(loaded, module, "numpy")
        answers = training.answers(loaded, module, params, given)
    plot.draw(picture, figures, answers, name)
    return picture


def _loaded(module: ModuleType, weights: Path) -> Any:
    """Return saved parameters. Raises UserError where they aren't the network's."""
    try:
        return module.load(weights)
    except FileNotFoundError:
        hint = "name the file with --weights"
        raise UserError(Mistake("there is no such file", hint=hint, source=str(weights))) from None
    except (OSError, ValueError, BadZipFile) as error:
        raise UserError(Mistake(f"these are no weights of the network: {error}")) from None
