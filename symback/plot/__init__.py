"""Pictures of a training: how it went, epoch by epoch, and what the network answers.

`curves` draws the figures of every epoch, `answers` a decision boundary, a confusion matrix and
the worst mistakes. All of it is told apart by its lines and signs, so that grey is enough.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from symback.errors import Mistake, UserError
from symback.files import write
from symback.plot.figures import Answers, History

__all__ = ["FORMATS", "INSTALL", "Answers", "History", "available", "draw", "require"]

FORMATS = (".png", ".svg", ".pdf")
INSTALL = "pip install 'symback[plot]'"
WIDE, HIGH = 5.2, 2.9  # inches of a panel


def available() -> bool:
    """Say whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def require(path: Path) -> None:
    """Raise UserError unless a plot can be made of that name."""
    if path.suffix.lower() not in FORMATS:
        hint = f"end the name in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise UserError(
            Mistake("no format for a plot has this ending", hint=hint, source=str(path))
        )
    if not available():
        raise UserError(
            Mistake("plots are drawn by matplotlib, which isn't installed", hint=INSTALL)
        )


def draw(path: Path, history: History, answers: Answers | None, title: str) -> None:
    """Draw a training and write it as PNG, SVG or PDF.

    `answers` adds what the network says of some examples, where there is a picture of that.
    """
    import matplotlib
    from matplotlib.figure import Figure

    from symback.plot import answers as pictures
    from symback.plot import curves

    panels: Sequence[Any] = curves.panels(history)
    if answers is not None:
        panels = (*panels, *pictures.panels(answers))
    with matplotlib.rc_context({"svg.hashsalt": "symback", "svg.fonttype": "path"}):
        rows = (len(panels) + 1) // 2
        figure = Figure(figsize=(2 * WIDE, rows * HIGH + 0.4), layout="constrained")
        figure.suptitle(title)
        places = figure.subfigures(rows, 2, squeeze=False).flat
        for panel, place in zip(panels, places, strict=False):
            panel(place)
        image = BytesIO()
        form = path.suffix[1:].lower()
        undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
        figure.savefig(image, format=form, dpi=110, metadata=undated[form])
    write(path, image.getvalue())
