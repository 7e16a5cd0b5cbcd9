"""A network's answers: decision boundary, confusion matrix, worst mistakes."""

import math
from functools import partial
from typing import Any

import numpy as np

from symback.plot.curves import Panel
from symback.plot.figures import Answers

GRID = 100  # points a side at which the boundary is worked out
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
MOST = 30  # classes of a confusion matrix that can be read
SHOWN, ACROSS = 10, 5  # mistakes, and how many of them side by side


def panels(answers: Answers) -> tuple[Panel, ...]:
    """Return the pictures that there are of these answers."""
    drawn: list[Panel] = []
    if answers.x.shape[1:] == (2,):
        drawn.append(partial(boundary, answers=answers))
    if len(answers.classes) <= MOST:
        drawn.append(partial(confusion, answers=answers))
    if picture_shape(answers.x.shape[1:]) and (answers.right != answers.said).any():
        drawn.append(partial(mistakes, answers=answers))
    return tuple(drawn)


def boundary(place: Any, answers: Answers) -> None:
    """Draw where one class ends and another begins, and the examples."""
    axes = place.subplots()
    low, high = answers.x.min(axis=0), answers.x.max(axis=0)
    room = 0.08 * np.maximum(high - low, 1e-9)
    across, up = (np.linspace(a - r, b + r, GRID) for a, b, r in zip(low, high, room, strict=True))
    points = np.stack(np.meshgrid(across, up), axis=-1)
    y = np.asarray(answers.predict(points.reshape(-1, 2)), float)
    two = y.shape[-1] == 1 or y.ndim == 1
    said = (y.reshape(-1) > 0).astype(int) if two else y.argmax(axis=1)
    count = len(answers.classes)
    ground = said.reshape(GRID, GRID)
    axes.contourf(across, up, ground, np.arange(count + 1) - 0.5, cmap="Greys", vmin=-1, vmax=9)
    for k in range(count - 1):
        axes.contour(across, up, ground > k, [0.5], colors="black", linewidths=0.8)
    for k, name in enumerate(answers.classes):
        of = answers.x[answers.right == k]
        face = str(0.95 * (k + 1 < count) * (1 - k / max(1, count - 1)))
        axes.scatter(
            of[:, 0], of[:, 1], s=18, facecolors=face, marker=MARKS[k % len(MARKS)],
            edgecolors="black", linewidths=0.7, label=f"{name:g}",
        )  # fmt: skip
    beside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}
    axes.legend(fontsize="small", title="right", title_fontsize="small", **beside)
    axes.set_title("decision boundary", fontsize="medium")


def confusion(place: Any, answers: Answers) -> None:
    """Draw how often each class was taken for each; what is right stands on the diagonal."""
    count = len(answers.classes)
    counts = np.zeros((count, count), int)
    np.add.at(counts, (answers.right, answers.said), 1)
    axes = place.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Greys", vmin=0, vmax=1.15)
    for i, j in np.argwhere(counts):
        ink = "white" if share[i, j] > 0.55 else "black"
        axes.text(j, i, counts[i, j], ha="center", va="center", color=ink, fontsize="small")
    names = [f"{name:g}" for name in answers.classes]
    axes.set_xticks(range(count), names)
    axes.set_yticks(range(count), names)
    axes.set_xlabel("said")
    axes.set_ylabel("right")
    right = (answers.right == answers.said).mean()
    axes.set_title(f"{len(answers.right)} examples, {right:.1%} right", fontsize="medium")


def mistakes(place: Any, answers: Answers) -> None:
    """Draw the inputs that the network was most wrong about, as images."""
    wrong = np.flatnonzero(answers.right != answers.said)
    y = answers.y.reshape(len(answers.y), -1)
    if y.shape[1] > 1:  # by how much the answer stood above what was right
        gap = y[wrong, answers.said[wrong]] - y[wrong, answers.right[wrong]]
    else:
        gap = abs(y[wrong, 0])
    worst = wrong[np.argsort(-gap, kind="stable")][:SHOWN]
    columns = min(len(worst), ACROSS)
    place.suptitle("worst mistakes: right, then said", fontsize="medium")
    shape = picture_shape(answers.x.shape[1:])
    grid = place.subplots(math.ceil(len(worst) / columns), columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for at, axes in zip(worst, grid.flat, strict=False):
        axes.imshow(answers.x[at].reshape(shape), cmap="Greys")
        right, said = (answers.classes[k[at]] for k in (answers.right, answers.said))
        axes.set_title(f"{right:g}, {said:g}", fontsize="small")


def picture_shape(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return the rows and columns of an input that is an image: 8 × 8 of 64 numbers in a row."""
    if len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) == 2 and min(shape) > 2:
        return shape[0], shape[1]
    side = math.isqrt(shape[0]) if len(shape) == 1 else 0
    return (side, side) if side > 4 and side * side == shape[0] else None
