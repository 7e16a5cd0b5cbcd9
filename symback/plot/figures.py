"""What pictures are drawn of: the figures of every epoch, and a network's answers."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symback.errors import Mistake, UserError


@dataclass(frozen=True, slots=True)
class History:
    """The figures of every epoch, column by column, epoch first."""

    names: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]

    def column(self, name: str) -> list[float]:
        """Return one figure, epoch by epoch."""
        place = self.names.index(name)
        return [row[place] for row in self.rows]

    def save(self, path: Path) -> None:
        """Write the rows under a line of names."""
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([self.names, *self.rows])


def read(path: Path) -> History:
    """Read the history that a training has saved.

    Raises UserError, with the line, where the file isn't one.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names, *rows = csv.reader(file)
    except FileNotFoundError:
        raise UserError(Mistake("there is no such file", source=str(path))) from None
    except (OSError, UnicodeDecodeError, ValueError, csv.Error):
        raise _no_history(path, None) from None
    if names[:2] != ["epoch", "loss"] or not rows:
        raise _no_history(path, 1)
    return History(tuple(names), tuple(_row(path, k, row, names) for k, row in enumerate(rows, 2)))


def _row(path: Path, line: int, row: Sequence[str], names: Sequence[str]) -> tuple[float, ...]:
    try:
        values = tuple(float(cell) for cell in row)
    except ValueError:
        raise _no_history(path, line) from None
    if len(values) != len(names):
        raise _no_history(path, line)
    return (int(values[0]), *values[1:]) if math.isfinite(values[0]) else values


def _no_history(path: Path, line: int | None) -> UserError:
    hint = "`symback train` saves one as NAME.history.csv: epoch, loss and more, a row an epoch"
    return UserError(
        Mistake("this is no history of a training", hint=hint, source=str(path), line=line)
    )


@dataclass(frozen=True, slots=True)
class Answers:
    """What a network says of some examples. `x` are the inputs, `t` what is right, `y` the outputs.

    `classes` names the kinds of answers (0 … 9, or −1 and 1), and is empty where the answers are
    no classes. `right` and `said` are their places, an example each.
    """

    x: Any
    y: Any
    classes: tuple[float, ...]
    right: Any
    said: Any
    predict: Callable[[Any], Any]


def answers(predict: Callable[[Any], Any], x: Any, t: Any, classes: int | None) -> Answers | None:
    """Return what the network says of the inputs x; None where that makes no classes.

    `classes` is their number where t holds labels. Targets of two values are two classes, told
    apart by the sign of the output.
    """
    import numpy as np

    x, t = np.asarray(x, float), np.asarray(t)
    y = np.asarray(predict(x), float)
    if classes is not None and t.ndim == 1 and y.shape == (len(t), classes):
        names = tuple(float(k) for k in range(classes))
        return Answers(x, y, names, t.astype(int), y.argmax(axis=1), predict)
    kinds = np.unique(t)
    if len(kinds) == 2 and t.size == len(t) == y.size:
        right = (t.reshape(-1) == kinds[1]).astype(int)
        said = (y.reshape(-1) > 0).astype(int)
        return Answers(x, y, tuple(map(float, kinds)), right, said, predict)
    return None
