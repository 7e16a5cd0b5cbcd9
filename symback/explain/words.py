"""An explanation as a table, as plain text and as JSON; and what it comes to, in words."""

import json
import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from symback.explain import Activation, Explanation, Layer, Step, Through

WIDEST = 60  # of a formula in a table

HALF = 0.5
MUCH = 10.0  # a gain beyond this, either way, is worth a word
LONG = 1000.0  # and beyond this over the whole chain
CHAIN = ("layer", "adjoint", "norm", "gain", "of the step")
TIME = ("layer", "adjoint", "norm at each step", "gain of a step")
SHOWN = 6  # norms of a recurrence's steps in a row
WEIGHTS = ("parameter", "‖∂L/∂w‖", "‖w‖", "ratio", "largest σ")


def findings(told: Explanation) -> list[str]:
    """Return what stands out: where a gradient shrinks, grows or ends, and why."""
    broken = next((step for step in told.steps if not math.isfinite(step.norm)), None)
    if broken is not None:
        return [f"∂L/∂{broken.name} isn't finite: {broken.formula}"]
    flat = [step for step in told.steps if _is_flat(step)]
    found = [_flat(step) for step in flat]
    found += _layers(told, {step.layer for step in flat})
    found += _time(told)
    return [*found, *_dead(told)] or [_overall(told)]


def _is_flat(step: Step) -> bool:
    """Say whether an activation stops most of the gradient, or most of its outputs are at ends."""
    held = step.activation
    if held is None or step.gain is None:
        return False
    return step.gain <= 1 / MUCH or (len(held.limits) == 2 and held.saturated >= HALF)


def _flat(step: Step) -> str:
    held = step.activation
    assert held is not None  # of a flat step
    assert step.gain is not None
    name = f"its {held.word} outputs" if held.word else f"the outputs of {held.formula}"
    shrinks = "no gradient gets through" if step.gain == 0 else "the gradient shrinks"
    size = "" if step.gain == 0 else f" {_times(1 / step.gain)} at"
    why = f"its largest slope is {held.slope:.2g}"
    if len(held.limits) == 2 and held.saturated >= 0.2:
        ends = " or ".join(f"{limit:g}" for limit in sorted(held.limits))
        why = f"{held.saturated:.0%} of {name} are within 0.01 of {ends}"
    elif held.off >= 0.2:
        why = f"{held.off:.0%} of {name} are where the slope is 0"
    return f"{shrinks}{size} {step.layer}: {why}"


def _layers(told: Explanation, named: Collection[str]) -> Iterator[str]:
    """Say which other layers change the gradient's size tenfold; or all of them, a little each."""
    known = [layer for layer in told.layers if math.isfinite(layer.gain) and layer.gain > 0]
    for layer in known:
        if layer.name not in named and not 1 / MUCH < layer.gain < MUCH:
            what, size = ("grows", layer.gain) if layer.gain > 1 else ("shrinks", 1 / layer.gain)
            yield f"the gradient {what} {_times(size)} at {layer.name}: {_reason(told, layer)}"
    total = math.prod(layer.gain for layer in known)
    steady = all(1 / MUCH < layer.gain < MUCH for layer in known)
    if known and steady and not 1 / LONG < total < LONG:
        each = total ** (1 / len(known))
        what, size = ("grows", total) if total > 1 else ("shrinks", 1 / total)
        most = max(known, key=lambda layer: abs(math.log(layer.gain)))
        yield (
            f"the gradient {what} {_times(size)} over {len(known)} layers, ×{each:.2g} at each; "
            f"most at {most.name}, ×{most.gain:.2g}: {_reason(told, most)}"
        )


def _time(told: Explanation) -> Iterator[str]:
    """Say in which recurrence the gradient's size changes tenfold on its way through the steps."""
    met: set[str] = set()
    for step in told.steps:
        through = step.through
        if through is None or step.layer in met or not math.isfinite(through.gain):
            continue
        met.add(step.layer)
        first, last = through.way[0], through.way[-1]
        ends = (len(through.norms) - 1, 0) if through.backward else (0, len(through.norms) - 1)
        where = f"from {through.letter} = {ends[0]} to {through.letter} = {ends[1]}"
        if last == 0:
            yield f"no gradient by {step.name} gets {where} of {step.layer}"
        elif not 1 / MUCH < last / first < MUCH:
            what, size = ("grows", last / first) if last > first else ("shrinks", first / last)
            yield (
                f"the gradient by {step.name} {what} {_times(size)} {where} of {step.layer}, "
                f"×{through.gain:.2g} at each step"
            )


def _reason(told: Explanation, layer: Layer) -> str:
    """Say what in a layer changes the gradient's size most: its activation, or its weights."""
    steps = [step for step in told.steps if step.layer == layer.name and step.activation]
    step = min(steps, key=lambda step: step.gain or 0.0, default=None)
    held = None if step is None else step.activation
    if step is not None and held is not None and (step.gain or 1) ** 2 <= layer.gain < 1:
        word = held.word or held.formula
        return f"{word} multiplies by {step.gain:.2g}, its slope is at most {held.slope:.2g}"
    weights = [item for item in told.parameters if item.key.startswith(f"{layer.name}.")]
    large = max((w for w in weights if w.spectral is not None), key=lambda w: w.norm, default=None)
    if large is not None:
        return f"the largest singular value of {large.key} is {large.spectral:.3g}"
    return f"from {layer.enters:.3g} above it to {layer.leaves:.3g} below"


def _dead(told: Explanation) -> Iterator[str]:
    for step in told.steps:
        held = step.activation
        if held is not None and held.dead:
            what = f"{held.dead} of {held.units} units of {step.layer}"
            yield f"{what} are dead: {held.formula} has no slope for any example"


def _overall(told: Explanation) -> str:
    gains = [layer.gain for layer in told.layers if math.isfinite(layer.gain)]
    if not gains:
        return "there is one layer: no chain to shrink or grow along"
    low, high = min(gains), max(gains)
    return f"no layer changes the gradient's size tenfold: gains from {low:.2g} to {high:.2g}"


def _times(size: float) -> str:
    return f"{size:,.0f}-fold" if size < 1e6 else f"{size:.1e}-fold"


# ---------------------------------------------------------------- rows


def _about(step: Step) -> str:
    """Say what a step does, and of an activation how much of it is flat."""
    _, _, rhs = step.formula.partition(" = ")
    rhs = rhs if len(rhs) <= WIDEST else f"{rhs[: WIDEST - 1]}…"
    held = step.activation
    if held is None:
        return rhs
    notes = []
    if len(held.limits) == 2:
        notes.append(f"{held.saturated:.0%} saturated")
    if held.off:
        notes.append(f"{held.off:.0%} off")
    if held.dead:
        notes.append(f"{held.dead} of {held.units} units dead")
    return f"{rhs}  ({', '.join(notes)})" if notes else rhs


def rows(told: Explanation) -> list[tuple[str, ...]]:
    """Return the chain's rows, from the loss down."""
    return [
        (
            step.layer,
            f"∂L/∂{step.name}",
            f"{step.norm:.3g}",
            "" if step.gain is None else f"×{step.gain:.3g}",
            _about(step),
        )
        for step in told.steps
    ]


def time_rows(told: Explanation) -> list[tuple[str, ...]]:
    """Return the recurrences' rows: how large the gradient is at each step."""
    return [
        (step.layer, f"∂L/∂{step.name}", _series(step.through), f"×{step.through.gain:.3g}")
        for step in told.steps
        if step.through is not None
    ]


def _series(through: Through) -> str:
    """Return norms in the order of the steps, some of them where there are many."""
    count = len(through.norms)
    places = sorted({round(k * (count - 1) / (SHOWN - 1)) for k in range(SHOWN)})
    parts = (f"{through.letter}={place}: {through.norms[place]:.2g}" for place in places)
    return "  ".join(parts)


def weight_rows(told: Explanation) -> list[tuple[str, ...]]:
    """Return the parameters' rows, from the loss down."""
    return [
        (
            item.key,
            f"{item.gradient:.3g}",
            f"{item.norm:.3g}",
            f"{item.ratio:.3g}",
            "" if item.spectral is None else f"{item.spectral:.3g}",
        )
        for item in told.parameters
    ]


def _head(told: Explanation) -> str:
    return f"{told.model}, at {told.examples}; L = {told.loss:.4g}"


def page(told: Explanation) -> str:
    """Return the explanation as plain text."""
    lines = [_head(told), ""]
    lines += _aligned(CHAIN, rows(told), {2, 3})
    if steps := time_rows(told):
        lines += ["", *_aligned(TIME, steps, {3})]
    lines += ["", *_aligned(WEIGHTS, weight_rows(told), {1, 2, 3, 4}), ""]
    return "\n".join([*lines, *findings(told)]) + "\n"


def _aligned(head: Sequence[str], body: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    widths = [max(len(row[k]) for row in (head, *body)) for k in range(len(head))]
    return [
        "  ".join(
            cell.rjust(width) if k in right else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *body)
    ]


def draw(told: Explanation) -> None:
    """Print the explanation as tables, in a terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(_head(told), markup=False)
    for head, body, right in (
        (CHAIN, rows(told), {2, 3}),
        *([(TIME, time_rows(told), {3})] if time_rows(told) else []),
        (WEIGHTS, weight_rows(told), {1, 2, 3, 4}),
    ):
        table = Table(show_edge=False, pad_edge=False)
        for place, title in enumerate(head):
            last = place == len(head) - 1
            table.add_column(
                title,
                justify="right" if place in right else "left",
                no_wrap=not last,
                overflow="fold",
            )
        for row in body:
            table.add_row(*(cell.replace("[", r"\[") for cell in row))
        console.print()
        console.print(table)
    console.print()
    for line in findings(told):
        console.print(line, style="bold", markup=False)


def document(told: Explanation) -> str:
    """Return the explanation as a JSON object; what isn't finite is null."""
    content = {
        "model": told.model,
        "point": told.examples,
        "loss": _finite(told.loss),
        "steps": [
            {
                "layer": step.layer,
                "by": step.name,
                "norm": _finite(step.norm),
                "gain": _finite(step.gain),
                "formula": step.formula,
                "activation": None if step.activation is None else _flatness(step.activation),
                "through": None if step.through is None else _steps(step.through),
            }
            for step in told.steps
        ],
        "parameters": [
            {
                "name": item.key,
                "gradient": _finite(item.gradient),
                "norm": _finite(item.norm),
                "ratio": _finite(item.ratio),
                "spectral": _finite(item.spectral),
            }
            for item in told.parameters
        ],
        "layers": [
            {
                "name": layer.name,
                "enters": _finite(layer.enters),
                "leaves": _finite(layer.leaves),
                "gain": _finite(layer.gain),
            }
            for layer in told.layers
        ],
        "findings": findings(told),
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _steps(through: Through) -> dict[str, Any]:
    return {
        "letter": through.letter,
        "norms": [_finite(norm) for norm in through.norms],
        "gain": _finite(through.gain),
    }


def _flatness(held: Activation) -> dict[str, Any]:
    return {
        "formula": held.formula,
        "largest_slope": _finite(held.slope),
        "limits": list(held.limits),
        "saturated": held.saturated,
        "off": held.off,
        "dead_units": held.dead,
        "units": held.units,
    }


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
