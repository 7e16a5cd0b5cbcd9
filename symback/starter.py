"""`symback new`: a small spec with data of its own, which trains at once and is easily changed."""

import math
import re
from pathlib import Path

from symback import spec
from symback.errors import Mistake, UserError
from symback.files import require_new, write

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}", re.ASCII)
ROWS = 48
TEXT = """\
# A network that learns the curve t = sin 3x from {rows} points.
model: {name}
inputs:
  x: [n, 1]                            # n is the batch axis; one number comes in
  t: [n, 1]                            # what should come out
layers:
  - f1: {{dense: 16, activation: tanh}}
  - f2: {{dense: 1}}
loss: {{mse: t}}                         # symback catalog shows what else there is
optimizer: {{adam: {{lr: 0.02}}}}
metrics: [rmse]
train: {{epochs: 100, batch_size: 12, seed: 0}}
data: {{csv: {name}.csv, x: x, t: t, test: 0.25, seed: 0}}
"""


def texts(name: str) -> tuple[str, str]:
    """Return the spec and its data. Raises UserError where a model can't be called so."""
    if not NAME.fullmatch(name):
        hint = "write a letter, then letters, digits and _ (40 at most)"
        raise UserError(Mistake(f"a model can't be called {name!r}", hint=hint))
    text = TEXT.format(name=name, rows=ROWS)
    spec.parse(text, f"{name}.yaml")
    xs = [2 * k / (ROWS - 1) - 1 for k in range(ROWS)]
    rows = [f"{x:.4f},{math.sin(3 * x):.4f}" for x in xs]
    return text, "\n".join(["x,t", *rows, ""])


def create(name: str, folder: Path) -> tuple[Path, Path]:
    """Write NAME.yaml and NAME.csv. Raises UserError where either is there already."""
    text, data = texts(name)
    model, table = folder / f"{name}.yaml", folder / f"{name}.csv"
    require_new(model, table)
    write(table, data)
    write(model, text)
    return model, table
