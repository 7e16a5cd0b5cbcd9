"""The languages a module can be written in: a file or folder each, with its own words: `ABOUT`."""

from pathlib import Path


def names() -> tuple[str, ...]:
    """Return the targets' names: those of the files and folders here, numpy, the default, first."""
    found = {path.stem for path in Path(__file__).parent.glob("[!_.]*")}
    return tuple(sorted(found, key=lambda name: (name != "numpy", name)))
