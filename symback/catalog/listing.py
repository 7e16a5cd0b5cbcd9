"""The catalogue at a glance: every name, and what it does in a sentence."""

import textwrap
from itertools import groupby

from symback.catalog import entries
from symback.catalog.entry import Entry, Kind

COLUMN = 24  # where the sentences begin
TITLES = {
    Kind.LAYER: "Layers",
    Kind.ACTIVATION: "Activations",
    Kind.LOSS: "Losses",
    Kind.OPTIMIZER: "Optimisers",
    Kind.SCHEDULE: "Learning-rate schedules",
    Kind.INITIALIZER: "Initialisers",
    Kind.METRIC: "Metrics",
}


def overview(width: int) -> str:
    """Return every entry's name and first sentence, kind by kind."""
    lines = ["`symback catalog NAME` shows an entry's formulas, derivatives and options."]
    for kind, title in TITLES.items():
        lines += ["", title]
        for told, alike in groupby((e for e in entries() if e.kind is kind), sentence):
            names = f"  {', '.join(entry.name for entry in alike)}"
            fits = len(names) + 2 <= COLUMN
            lines += [] if fits else [names]
            lines += textwrap.wrap(
                told,
                max(width, 2 * COLUMN),
                initial_indent=(names if fits else "").ljust(COLUMN),
                subsequent_indent=" " * COLUMN,
                break_long_words=False,
                break_on_hyphens=False,
            )
    return "\n".join(lines) + "\n"


def sentence(entry: Entry) -> str:
    """Return the first sentence of an entry's documentation."""
    return entry.doc.split(". ")[0].removesuffix(".") + "."
