"""Curves over the epochs: loss, metrics, gradient norms, learning rate."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from symback.plot.figures import History

Panel = Callable[[Any], None]  # draws into a part of matplotlib's figure
LAYER = "gradient_norm."
STYLES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKS = ("o", "s", "^", "D", "v", "x")
FEW = 40  # epochs that may have a mark each


def panels(history: History) -> tuple[Panel, ...]:
    """Return a panel for the loss, each metric, the gradient's norm and the learning rate."""
    own = ("epoch", "loss", "gradient_norm", "lr")
    others = (name for name in history.names if not name.startswith(LAYER))
    metrics = [name for name in others if name.removeprefix("val_") not in own]
    metrics = [name for name in metrics if not name.startswith("val_")]
    drawn = [partial(figure, history=history, name=name) for name in ("loss", *metrics)]
    if "gradient_norm" in history.names:
        drawn.append(partial(norms, history=history))
    if "lr" in history.names:
        drawn.append(partial(figure, history=history, name="lr"))
    return tuple(drawn)


def figure(place: Any, history: History, name: str) -> None:
    """Draw one figure, for training and validation."""
    lines = [("training", history.column(name))]
    if f"val_{name}" in history.names:
        lines.append(("validation", history.column(f"val_{name}")))
    _draw(place, history, "learning rate" if name == "lr" else name.replace("_", " "), lines)


def norms(place: Any, history: History) -> None:
    """Draw the norm of the whole gradient, and of each layer's where they were measured."""
    layers = [name for name in history.names if name.startswith(LAYER)]
    lines = [(name.removeprefix(LAYER), history.column(name)) for name in layers]
    lines.insert(0, ("all, mean over the steps", history.column("gradient_norm")))
    _draw(place, history, "gradient norm", lines)


def _draw(
    place: Any, history: History, title: str, lines: Sequence[tuple[str, list[float]]]
) -> None:
    axes = place.subplots()
    epochs = history.column("epoch")
    for k, (word, values) in enumerate(lines):
        grey = 0.0 if k == 0 else 0.15 + 0.4 * (k - 1) / max(1, len(lines) - 2)
        marked = MARKS[k % len(MARKS)] if len(epochs) <= FEW else ""
        axes.plot(
            epochs,
            values,
            label=word,
            color=str(grey),
            linestyle=STYLES[k % len(STYLES)],
            marker=marked,
            markersize=2.5,
            linewidth=1.3,
        )
    values = [value for _, column in lines for value in column]
    if min(values) > 0 and max(values) > 10 * min(values):
        axes.set_yscale("log")
    elif min(values) == max(values) > 0:
        axes.set_ylim(0, 1.5 * values[0])
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3, linewidth=0.5)
    if len(lines) > 1:
        axes.legend(fontsize="small", frameon=False)
