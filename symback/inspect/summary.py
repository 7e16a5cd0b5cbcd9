"""`symback summary`: a network's layers with their shapes, parameters, operations and bytes."""

from collections.abc import Iterable
from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table

from symback.inspect import work
from symback.inspect.story import Story
from symback.program import Dim, Role


def summary(story: Story, width: int, *, styled: bool) -> str:
    """Return the table of a network's layers and what a training step costs, as text."""
    program = story.program
    rows = work.layers(story)
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False)
    table.add_column("layer", "total")
    table.add_column("output")
    for title, counts in (
        ("parameters", [row.parameters for row in rows]),
        ("operations\nforward", [row.forward for row in rows]),
        ("operations\nbackward", [row.backward for row in rows]),
        ("bytes\ncomputed", [row.bytes for row in rows]),
    ):
        table.add_column(title, f"{sum(counts):,}", justify="right")
    for row in rows:
        cells = (f"{count:,}" for count in (row.parameters, row.forward, row.backward, row.bytes))
        table.add_row(row.layer, _shape(row.output), *cells)
    held = sum(work.numbers(t, 1) for t in program.with_role(Role.PARAMETER))
    size, examples = held * work.item_bytes(program), work.batch(program)
    about = f"{held:,} parameters, {size:,} bytes; work of one step on {examples:,} examples"
    page = StringIO()
    console = Console(
        file=page, width=width, force_terminal=styled, no_color=None if styled else True
    )
    console.print(program.model, style="bold", highlight=False)
    console.print(table)
    console.print(about, highlight=False)
    return _trimmed(page.getvalue().splitlines())


def _trimmed(lines: Iterable[str]) -> str:
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _shape(shape: tuple[Dim, ...]) -> str:
    return " × ".join(str(dim).upper() for dim in shape) or "a number"
