"""Data files: CSV with a header, or NPZ → arrays for the inputs of a spec.

The rules, which the generated modules follow too (count = round(test · rows)):

    order = default_rng(seed).permutation(rows)
    test rows: order[:count], training rows: order[count:], both put back into the file's order
    standardised: (x − mean) / std over the training rows; std 1 where a column has one value only

A column name that the header has is that column; else `p0:p63` is all from p0 to p63 as they stand
in the header. Several columns fill the axes after the first row by row: 64 columns are [n, 64] or
[n, 8, 8]; one column is [n] or [n, 1], as the spec says.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from symback.errors import Mistake, UserError, near_file, near_miss
from symback.program import Columns, Data, Dim

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64] | NDArray[np.int64]

MOST_MISTAKES = 10  # of one file shown
WIDEST_ROW = 120
LONGEST_PATH = 1_000


class Shaped(Protocol):
    """What is asked of an array: a spec's Input or a program's Tensor."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[Dim, ...]: ...
    @property
    def classes(self) -> int | None: ...
    @property
    def ignored(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Scale:
    """How an input was standardised, for each of its columns."""

    name: str
    mean: "NDArray[np.float64]"
    std: "NDArray[np.float64]"


@dataclass(frozen=True, slots=True)
class Table:
    """The arrays of a data file by input: float64, labels int64; the first axis are the rows."""

    train: "Mapping[str, Array]"
    test: "Mapping[str, Array]"
    scales: tuple[Scale, ...] = ()


def read(data: Data, tensors: Sequence[Shaped], folder: str | Path) -> Table:
    """Read the file in `folder`, split its rows and standardise.

    Raises UserError with the first mistakes in the file, each with its row and column.
    """
    path = Path(folder) / data.path
    outside = misplaced(data.path, Path(folder))
    if outside:
        raise UserError(Mistake(outside[0], hint=outside[1], source=data.path))
    wanted = [(tensor, _columns(data, tensor.name)) for tensor in tensors]
    try:
        arrays = _csv(path, wanted) if data.format == "csv" else _npz(path, wanted)
    except FileNotFoundError:
        hint = near_file(path, (f".{data.format}",))
        told = Mistake("there is no such file", hint=hint, source=str(path))
        raise UserError(told) from None
    except OSError as error:
        told = Mistake(f"can't be read: {error.strerror or error}", source=str(path))
        raise UserError(told) from None
    return _split(data, arrays, str(path))


def misplaced(path: str, folder: Path) -> tuple[str, str] | None:
    """Return message and hint where a path isn't that of a file within the folder."""
    hint = "put the file beside the spec and give its name"
    windows = PureWindowsPath(path)
    if not path.strip() or not path.isprintable() or len(path) > LONGEST_PATH:
        return "this is no file name", hint
    if windows.drive or windows.root or PurePosixPath(path).is_absolute():
        return "a data file is in the spec's folder; this path is absolute", hint
    if ".." in windows.parts or "\\" in path:
        return "a data file is in the spec's folder; this path leads out of it", hint
    try:
        inside = (folder / path).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:  # a circle of links, a name too long
        return f"this is no file name: {error}", hint
    return None if inside else ("a data file is in the spec's folder; this links out of it", hint)


def check_shape(tensor: Shaped, found: tuple[int, ...], source: str = "") -> None:
    """Raise UserError unless an array's shape is the spec's; the first axis has any size."""
    if len(found) == len(tensor.shape) and found[1:] == tensor.shape[1:]:
        return
    asked = ", ".join(str(size) for size in tensor.shape)
    have = ", ".join([str(tensor.shape[0]), *(str(size) for size in found[1:])]) if found else ""
    hint = f"write {tensor.name}: [{have}] in the spec, or reshape the array" if found else ""
    told = f"`{tensor.name}` has the shape {list(found)}; the spec says [{asked}]"
    raise UserError(Mistake(told, hint=hint, source=source))


def _columns(data: Data, name: str) -> Columns:
    return next(columns for columns in data.columns if columns.tensor == name)


# ---------------------------------------------------------------- CSV


def _csv(path: Path, wanted: Sequence[tuple[Shaped, Columns]]) -> "dict[str, Array]":
    import numpy as np

    header, rows = _rows(path)
    places = {tensor.name: _places(header, columns, path) for tensor, columns in wanted}
    for tensor, _ in wanted:
        sizes = [size for size in tensor.shape[1:] if isinstance(size, int)]
        count = len(places[tensor.name])
        if count != math.prod(sizes):
            raise UserError(_count(tensor, count, math.prod(sizes), path))
    mistakes = list(_wrong_cells(path, header, rows, wanted, places))
    if mistakes:
        raise UserError(*_first(mistakes, path))
    arrays: dict[str, Array] = {}
    for tensor, _ in wanted:
        shape = (len(rows), *(int(size) for size in tensor.shape[1:]))
        numbers = [[float(cells[place]) for place in places[tensor.name]] for _, cells in rows]
        array = np.array(numbers, dtype=np.float64).reshape(shape)
        arrays[tensor.name] = array if tensor.classes is None else array.astype(np.int64)
    return arrays


def _rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and each row that isn't empty, with its line."""
    source = str(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            lines = [(reader.line_num, cells) for cells in reader if cells]
        except csv.Error as error:
            told = Mistake(f"this is no CSV: {error}", source=source, line=reader.line_num)
            raise UserError(told) from None
        except UnicodeDecodeError:
            told = Mistake("this file isn't UTF-8 text", hint="save it as UTF-8", source=source)
            raise UserError(told) from None
    if len(lines) < 2:
        empty = "the file is empty" if not lines else "the file has a header and no rows"
        raise UserError(Mistake(empty, hint="a row of column names, then the data", source=source))
    (_, header), *rows = lines
    header = [name.strip() for name in header]
    other = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), "")
    if other:
        message = (
            f"cells are divided by commas; here stands {'a tab' if other == chr(9) else other}"
        )
        raise UserError(Mistake(message, hint="save the file with commas", source=source, line=1))
    quotes = "a cell that holds a comma needs quotes"
    ragged = [
        Mistake(
            f"a row of {len(cells)} cells below a header of {len(header)}", hint=quotes, line=line
        )
        for line, cells in rows
        if len(cells) != len(header)
    ]
    if ragged:
        raise UserError(*_first(ragged, path))
    return header, rows


def _places(header: list[str], columns: Columns, path: Path) -> list[int]:
    """Return the positions of an input's columns in the header."""
    found: list[int] = []
    mistakes: list[Mistake] = []
    for name in columns.names:
        ends = [name] if name in header else name.split(":")
        if len(ends) > 2:
            mistakes.append(Mistake(f"`{name}` is no range", hint="write first:last"))
            continue
        for end in ends:
            if header.count(end) != 1:
                told = f"`{columns.tensor}` reads the column `{end}`, which the file hasn't"
                hint = near_miss(end, header) or f"it has: {_some(header)}"
                if all(map(_is_number, header)):
                    hint = f"the first row must hold the columns' names; it is {_some(header)}"
                if end in header:
                    told, hint = f"two columns are called `{end}`", "give each its own name"
                mistakes.append(Mistake(told, hint=hint, line=1))
        if all(header.count(end) == 1 for end in ends):
            first, last = header.index(ends[0]), header.index(ends[-1])
            if first > last:
                told = f"in the range `{name}` the column `{ends[1]}` comes first"
                mistakes.append(Mistake(told, hint=f"write {ends[1]}:{ends[0]}", line=1))
            found.extend(range(first, last + 1))
    if mistakes:
        raise UserError(*_first(mistakes, path))
    return found


def _count(tensor: Shaped, count: int, needed: int, path: Path) -> Mistake:
    asked = ", ".join(str(size) for size in tensor.shape)
    told = f"`{tensor.name}` has the shape [{asked}] in the spec, which is {needed} columns"
    have = f"{tensor.shape[0]}, {count}"
    hint = f"name {needed} columns, or write {tensor.name}: [{have}]"
    return Mistake(f"{told}; `data` gives it {count}: [{have}]", hint=hint, source=str(path))


def _wrong_cells(
    path: Path,
    header: list[str],
    rows: list[tuple[int, list[str]]],
    wanted: Sequence[tuple[Shaped, Columns]],
    places: Mapping[str, list[int]],
) -> Iterator[Mistake]:
    """Yield every cell that isn't what its input holds."""
    used = [(place, tensor) for tensor, _ in wanted for place in places[tensor.name]]
    texts = {place: _texts(rows, place) for place, tensor in used if tensor.classes is not None}
    for line, cells in rows:
        for place, tensor in used:
            why = wrong(cells[place], tensor.classes, tensor.ignored)
            if not why:
                continue
            row, before = ",".join(cells), sum(len(cell) + 1 for cell in cells[:place])
            brief = len(row) <= WIDEST_ROW
            yield Mistake(
                f"column `{header[place]}`: {why}",
                hint=texts.get(place) or advice(cells[place], tensor.classes),
                source=str(path),
                line=line,
                column=before + 1 if brief else None,
                length=len(cells[place]),
                row=row if brief else "",
            )


def wrong(cell: str, classes: int | None, ignored: int | None = None) -> str:
    """Return what is wrong with a cell, "" where it is a finite number (or a label)."""
    number = _number(cell)
    if number is None:
        return f"the text `{cell[:40]}`, not a number" if cell.strip() else "an empty cell"
    if not math.isfinite(number):
        return f"{cell.strip()}; numbers must be finite"
    return "" if number == ignored else _wrong_label(number, classes)


def advice(cell: str, classes: int | None) -> str:
    """Return what to do about a wrong cell."""
    number = _number(cell)
    if cell.strip() and number is None:
        return "numbers are written like 1234.5 or 1e-3"
    if number is None or not math.isfinite(number):
        return "write a number, or leave the row out"
    return f"labels are 0 to {classes - 1}; `classes` says how many there are" if classes else ""


def _wrong_label(number: float, classes: int | None) -> str:
    if classes is None or (number.is_integer() and 0 <= number < classes):
        return ""
    if not number.is_integer():
        return f"{number:g}; a label is a whole number"
    return f"the label {number:g}, outside 0 … {classes - 1}"


def _texts(rows: list[tuple[int, list[str]]], place: int) -> str:
    """Return the hint for labels that are words: number them."""
    words = sorted({cells[place].strip() for _, cells in rows if not _is_number(cells[place])})
    if not words:
        return ""
    numbered = ", ".join(f"{number} for {word[:20]}" for number, word in enumerate(words[:5]))
    return f"labels are numbers: write {numbered}{', …' if len(words) > 5 else ''}"


def _is_number(cell: str) -> bool:
    return _number(cell) is not None


def _number(cell: str) -> float | None:
    """Return a cell's number; 1_000 is one of Python's, not of a table's."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


# ---------------------------------------------------------------- NPZ


def _npz(path: Path, wanted: Sequence[tuple[Shaped, Columns]]) -> "dict[str, Array]":
    import numpy as np

    loaded = _arrays(path, [columns.names[0] for _, columns in wanted])
    arrays: dict[str, Array] = {}
    mistakes: list[Mistake] = []
    for tensor, columns in wanted:
        if len(columns.names) != 1:
            told = f"`{tensor.name}` is one array of the file; {len(columns.names)} are named"
            raise UserError(Mistake(told, source=str(path)))
        raw = loaded[columns.names[0]]
        if raw.dtype.kind not in "biuf":
            mistakes.append(Mistake(f"`{columns.names[0]}` holds {raw.dtype}, not numbers"))
            continue
        check_shape(tensor, raw.shape, str(path))
        array = raw.astype(np.float64)
        mistakes += _wrong_values(columns.names[0], array, tensor)
        if not mistakes:
            arrays[tensor.name] = array if tensor.classes is None else array.astype(np.int64)
    lengths = {name: len(array) for name, array in arrays.items()}
    if not mistakes and len(set(lengths.values())) != 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        mistakes.append(Mistake(f"the arrays have different numbers of rows: {told}"))
    elif not mistakes and 0 in lengths.values():
        mistakes.append(Mistake("the arrays have no rows"))
    if mistakes:
        raise UserError(*_first(mistakes, path))
    return arrays


def _arrays(path: Path, names: Iterable[str]) -> "dict[str, NDArray[Any]]":
    """Return the arrays of these names; nothing is unpickled."""
    import zipfile
    import zlib

    import numpy as np

    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                told = Mistake("this is one array, not an .npz of named ones", source=str(path))
                raise UserError(told)
            missing = [name for name in names if name not in archive.files]
            if missing:
                known = archive.files
                hints = [near_miss(name, known) or f"it has: {_some(known)}" for name in missing]
                each = zip(missing, hints, strict=True)
                wrongs = [Mistake(f"there is no array `{name}`", hint=hint) for name, hint in each]
                raise UserError(*_first(wrongs, path))
            return {name: archive[name] for name in names}
    except (ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        why = "it holds Python objects" if "pickle" in str(error) else "it can't be read as .npz"
        hint = "write it with np.savez(path, x=x, t=t), numbers only"
        raise UserError(Mistake(why, hint=hint, source=str(path))) from None


def _wrong_values(name: str, array: "NDArray[np.float64]", tensor: Shaped) -> Iterator[Mistake]:
    import numpy as np

    right, classes = np.isfinite(array), tensor.classes
    if classes is not None:
        with np.errstate(invalid="ignore"):
            right &= (array == np.floor(array)) & (array >= 0) & (array < classes)
            right |= array == (math.nan if tensor.ignored is None else tensor.ignored)
    for at in np.argwhere(~right)[: MOST_MISTAKES + 1]:
        place, number = tuple(int(k) for k in at), float(array[tuple(at)])
        why = _wrong_label(number, classes) if math.isfinite(number) else f"{number} isn't finite"
        yield Mistake(f"{name}[{', '.join(map(str, place))}]: {why}")


# ---------------------------------------------------------------- rows and columns


def _split(data: Data, arrays: "Mapping[str, Array]", source: str) -> Table:
    """Divide the rows and standardise (the rules stand at the top of this file)."""
    import numpy as np

    rows = len(next(iter(arrays.values())))
    count = round(data.test * rows)
    if count >= rows:
        told = f"a test part of {data.test:g} takes all {rows} rows; none is left to train on"
        raise UserError(Mistake(told, hint="write a smaller `test`", source=source))
    order = np.random.default_rng(data.seed).permutation(rows)
    test, train = np.sort(order[:count]), np.sort(order[count:])
    parts = {name: (array[train], array[test]) for name, array in arrays.items()}
    scales: list[Scale] = []
    for columns in data.columns:
        if columns.standardise:
            fitted, held = parts[columns.tensor]
            single = fitted.max(axis=0) == fitted.min(axis=0)
            mean, std = fitted.mean(axis=0), np.where(single, 1.0, fitted.std(axis=0))
            scales.append(Scale(columns.tensor, mean, std))
            parts[columns.tensor] = ((fitted - mean) / std, (held - mean) / std)
    return Table(
        train={name: part for name, (part, _) in parts.items()},
        test={name: part for name, (_, part) in parts.items()},
        scales=tuple(scales),
    )


def _first(mistakes: list[Mistake], path: Path) -> list[Mistake]:
    """Return the first mistakes, and how many more there are."""
    shown = [replace(mistake, source=str(path)) for mistake in mistakes[:MOST_MISTAKES]]
    more = len(mistakes) - len(shown)
    return [*shown, Mistake(f"and {more} more like these", source=str(path))] if more else shown


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
