"""The loss, and the metrics where there are any, drawn epoch by epoch."""

from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from symback.errors import Mistake, UserError
from symback.files import write

FORMATS = (".png", ".svg", ".pdf")
INSTALL = "pip install 'symback[plot]'"
NOT_DRAWN = {"epoch", "loss", "val_loss", "gradient_norm", "lr"}


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


def history(path: Path, rows: Sequence[Any], title: str) -> None:
    """Draw the figures of every epoch and write them as PNG, SVG or PDF."""
    from matplotlib.figure import Figure

    names = [name for name in rows[0]._fields if name.removeprefix("val_") not in NOT_DRAWN]
    metrics = [name for name in names if not name.startswith("val_")]
    drawn = ["loss", *metrics]
    figure = Figure(figsize=(6, 2.6 * len(drawn)), layout="constrained")
    panels = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    epochs = [row.epoch for row in rows]
    for axes, name in zip(panels, drawn, strict=True):
        for column, style in ((name, "-"), (f"val_{name}", "--")):
            if column in rows[0]._fields:
                values = [getattr(row, column) for row in rows]
                word = "validation" if column != name else "training"
                axes.plot(epochs, values, f"k{style}", label=word, linewidth=1.2)
        if name == "loss" and all(row.loss > 0 for row in rows):
            axes.set_yscale("log")
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        if f"val_{name}" in rows[0]._fields:
            axes.legend()
    panels[0].set_title(title)
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    image = BytesIO()
    figure.savefig(image, format=path.suffix[1:].lower(), dpi=150)
    write(path, image.getvalue())
