"""The catalogue: layers, activations, losses, optimisers, … each a few formulas, as data."""

from symback.catalog import (
    activations,
    attention,
    initializers,
    layers,
    losses,
    metrics,
    norms,
    optimizers,
    places,
    recurrent,
    schedules,
    windows,
)
from symback.catalog.entry import Entry, Kind

_TABLES = (
    layers,
    windows,
    places,
    norms,
    attention,
    recurrent,
    activations,
    losses,
    optimizers,
    schedules,
    initializers,
    metrics,
)
_ENTRIES = tuple(entry for table in _TABLES for entry in table.ENTRIES)
_BY_NAME = {
    (entry.kind, name): entry for entry in _ENTRIES for name in (entry.name, *entry.aliases)
}


def find(kind: Kind, name: str) -> Entry | None:
    """Return the entry of that kind and name (or alias), None where there is none."""
    return _BY_NAME.get((kind, name))


def names(kind: Kind) -> tuple[str, ...]:
    """Return the names of a kind, in the catalogue's order, without aliases."""
    return tuple(entry.name for entry in _ENTRIES if entry.kind is kind)


def entries() -> tuple[Entry, ...]:
    """Return every entry, kind by kind."""
    return _ENTRIES
