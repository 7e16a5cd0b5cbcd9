"""YAML text → plain values, each with its place in the text.

The parser's events are read directly: nothing is constructed, so no tag can run anything. What
invites surprises is refused: aliases, tags, repeated keys, a second document, tabs, deep nesting.
Plain scalars are those of YAML 1.2 (JSON's words): `1e-3` is a number, 010 is ten, `off` is text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import yaml

from symback.errors import Mistake, UserError, near_file

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
Keys = tuple[str | int, ...]  # the way to a value: keys and list positions

COLLECTIONS, LONG = ("[", "{"), ("[", "{", "|", ">")  # styles; of several rows
LARGEST_FILE, DEEPEST, WIDEST_ROW, LONGEST_INTEGER = 64 * 1024, 30, 160, 18
WORDS: Mapping[str, Value] = {"true": True, "false": False, "null": None, "": None}
INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
UNBOUNDED = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
ESCAPED = {"x": 2, "u": 4, "U": 8}  # digits after \x, \u, \U in double quotes

ADVICE = (  # what PyYAML says, in words for the person who typed it, and what to type
    ("mapping values are not allowed", "a second `: ` in this row", "put quotes around the text"),
    ("cannot start any token", "no text starts like this", "put quotes around the text"),
    (
        "expected ',' or",
        "a bracket isn't closed, or a comma is missing",
        'inside { } or [ ] a formula needs quotes: {formula: "x[n, i] * 2"}',
    ),
    ("expected <block end>", "this row isn't indented like those around it", ""),
    ("could not find expected ':'", "a key without `:`", "write `key: value`"),
    ("while scanning a quoted scalar", "the quotes are never closed", ""),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key or a value stands: `start` … `stop` in the text, line and column from 1."""

    start: int
    stop: int
    line: int
    column: int
    style: str  # "" plain, ' or " quoted, | or > a block, [ a list, { a mapping


@dataclass(frozen=True, slots=True)
class Document:
    """The value of a text (or a Python mapping, which has no places) and where its parts stand."""

    value: Value
    source: str
    text: str = ""
    values: Mapping[Keys, Place] = field(default_factory=dict)
    keys: Mapping[Keys, Place] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()  # that leave the rest readable: a repeated key, a tag

    def locate(self, mistake: Mistake, *, key: bool = False) -> Mistake:
        """Return the mistake with source, line, column and row from its path and offset.

        The caret stands at the offset's character of the scalar; without an offset it underlines
        the scalar, or the key where `key` or where the value is a list or a mapping.
        """
        if mistake.source:
            return mistake
        if not self.values:
            return self._described(mistake, key=key)
        path = self.known(mistake.path) if mistake.offset is None else self._scalar(mistake.path)
        place = self.values[path]
        if path in self.keys and (key or place.style in COLLECTIONS) and mistake.offset is None:
            place = self.keys[path]
        if not path:
            return replace(mistake, source=self.source)
        if mistake.offset is not None and place.style not in COLLECTIONS:
            return self.at(mistake, self._character(path, place, mistake.offset), mistake.length)
        return self.at(mistake, place.start, 1 if place.style in LONG else place.stop - place.start)

    def at(self, mistake: Mistake, start: int, length: int = 1) -> Mistake:
        """Return the mistake placed at the text's character `start`."""
        line = self.text.count("\n", 0, start) + 1
        first = self.text.rfind("\n", 0, start) + 1
        row = self.text[first:].split("\n", 1)[0]
        column = start - first + 1
        length = max(1, min(length, len(row) - column + 1))
        widest = max(WIDEST_ROW, column + length - 1)
        if len(row) > widest:
            row = row[:widest] + "…"
        return replace(
            mistake, source=self.source, line=line, column=column, row=row, length=length
        )

    def known(self, path: Keys) -> Keys:
        """Return the path without the parts that aren't in the spec."""
        found, value = [], self.value
        for part in path:
            match value, part:
                case dict(), str() if part in value:
                    value = value[part]
                case list(), int() if part < len(value):
                    value = value[part]
                case _:
                    continue
            found.append(part)
        return tuple(found)

    def find(self, path: Keys) -> Value:
        """Return the value at a known path."""
        value = self.value
        for part in path:
            if isinstance(value, dict):
                value = value[str(part)]
            elif isinstance(value, list):
                value = value[int(part)]
        return value

    def _scalar(self, path: Keys) -> Keys:
        """Return the path of the text meant by an offset: of a list of one, its only part."""
        path = self.known(path)
        value = self.find(path)
        return (*path, 0) if isinstance(value, list) and len(value) == 1 else path

    def _described(self, mistake: Mistake, *, key: bool) -> Mistake:
        """Place a mistake in a spec that was never text: the path in words, the value as row."""
        way = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in mistake.path)
        source = f"{self.source}{way}"
        value = self.find(self._scalar(mistake.path))
        if key or not isinstance(value, str) or not value or len(value) > 2 * WIDEST_ROW:
            return replace(mistake, source=source)
        row = " ".join(value.split("\n"))
        if mistake.offset is None:
            return replace(mistake, source=source, row=row)
        return replace(mistake, source=source, column=min(mistake.offset, len(row)) + 1, row=row)

    def _character(self, path: Keys, place: Place, offset: int) -> int:
        """Return where the text of the scalar at `path` has its character number `offset`."""
        value = self.find(path)
        raw = self.text[place.start : place.stop]
        decoded = value if isinstance(value, str) else raw
        starts = list(islice(_starts(decoded, raw, place.style), max(0, offset) + 1))
        return place.start + starts[-1]


def _starts(decoded: str, raw: str, style: str) -> Iterator[int]:
    """Yield where each character of a scalar is written in `raw`, and where the last one ends."""
    position = 1 if style in ("'", '"') else 0
    if style in ("|", ">"):
        position = raw.find("\n") + 1
    for character in decoded:
        if not character.isspace() and not (style == '"' and raw.startswith("\\", position)):
            position = _after_blanks(raw, position)  # indentation, folded rows
        while style == '"' and raw.startswith("\\\n", position):  # a row continued below
            position = _after_blanks(raw, position + 2)
        if style == '"' and raw.startswith("\\", position):
            stop = position + 2 + ESCAPED.get(raw[position + 1 : position + 2], 0)
        elif style == "'" and raw.startswith("''", position):
            stop = position + 2
        elif character == " " and raw.startswith("\n", position):
            stop = _after_blanks(raw, position)
        else:
            stop = position + 1
        yield position
        position = min(stop, len(raw))
    yield position


def _after_blanks(raw: str, position: int) -> int:
    while raw.startswith((" ", "\n"), position):
        position += 1
    return position


def read(path: Path) -> Document:
    """Read a file. Raises UserError where it can't be read as UTF-8 YAML of at most 64 KB."""
    source = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        hint = near_file(path, (".yaml", ".yml"))
        raise UserError(Mistake("there is no such file", hint=hint, source=source)) from None
    except IsADirectoryError:
        raise UserError(Mistake("this is a folder, not a spec", source=source)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(Mistake(f"can't be read: {reason}", source=ascii(source)[1:-1])) from None
    if len(content) > LARGEST_FILE:
        raise UserError(Mistake("a spec has at most 64 KB; this file is larger", source=source))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        column = len(before) - before.rfind("\n")
        mistake = Mistake(
            f"a spec is UTF-8 text; byte 0x{content[error.start]:02x} isn't",
            hint="save the file as UTF-8",
            source=source,
            line=before.count("\n") + 1,
            column=column,
        )
        raise UserError(mistake) from None
    return scan(text, source)


def scan(text: str, source: str) -> Document:
    """Read YAML text. Raises UserError where it is no YAML, or more than a spec needs."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    document = Document(None, source, text)
    if len(text.encode("utf-8", "replace")) > LARGEST_FILE:
        raise UserError(Mistake("a spec has at most 64 KB; this text is longer", source=source))
    strange = [
        document.at(_strange(character), start)
        for start, character in enumerate(text)
        if character not in " \n" and not character.isprintable()
    ]
    if strange:
        raise UserError(*strange[:10])
    reader = _Reader(document, yaml.parse(text, Loader=yaml.SafeLoader))
    try:
        value = reader.whole()
    except yaml.YAMLError as error:
        raise UserError(_syntax(error, document)) from None
    except OverflowError:  # PyYAML's, for "\\UFFFFFFFF"
        told = Mistake("an escape that stands for no character", hint="\\U0010FFFF is the last")
        raise UserError(document.locate(told)) from None
    mistakes = tuple(reader.mistakes)
    return Document(value, source, text, reader.values, reader.keys, mistakes)


def plain(value: object, source: str) -> Document:
    """Take a spec from Python: dicts with text keys, lists (or tuples), text, numbers.

    Raises UserError where it holds anything else, or is nested too deeply.
    """
    document = Document(None, source)
    mistakes: list[Mistake] = []

    def copied(value: object, path: Keys) -> Value:
        if len(path) > DEEPEST:
            raise UserError(_too_deep(source))
        if isinstance(value, dict):
            return {str(key): copied(value[key], (*path, str(key))) for key in value}
        if isinstance(value, list | tuple):
            return [copied(part, (*path, number)) for number, part in enumerate(value)]
        if isinstance(value, int) and abs(value) >= 10**LONGEST_INTEGER:
            told = f"a whole number of more than {LONGEST_INTEGER} digits"
            mistakes.append(document.locate(Mistake(told, path)))
            return 0
        if isinstance(value, str) and (odd := _control(value)):
            mistakes.append(document.locate(replace(_strange(odd), path=path)))
        if value is None or isinstance(value, bool | int | float | str):
            return value
        wrong = f"a spec holds text, numbers, lists and dicts; this is a {type(value).__name__}"
        hint = "write it as lists: array.tolist()" if hasattr(value, "tolist") else ""
        mistakes.append(document.locate(Mistake(wrong, path, hint=hint)))
        return None

    result = copied(value, ())
    if mistakes:
        raise UserError(*mistakes)
    return Document(result, source)


@dataclass(slots=True)
class _Reader:
    """One pass over the parser's events."""

    document: Document
    events: Iterator[yaml.Event]
    values: dict[Keys, Place] = field(default_factory=dict)
    keys: dict[Keys, Place] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def whole(self) -> Value:
        """Return the value of the only document."""
        next(self.events)  # the stream starts
        if isinstance(next(self.events), yaml.StreamEndEvent):
            hint = "`symback new NAME` writes one to start from"
            raise UserError(Mistake("the spec is empty", hint=hint, source=self.document.source))
        value = self.value(next(self.events), ())
        next(self.events)  # the document ends
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            self.note(after, "a second document; a spec is one")
        return value

    def value(self, event: yaml.Event, path: Keys) -> Value:
        """Read what starts with `event`, and note its place."""
        if len(path) > DEEPEST:
            raise UserError(self.document.at(_too_deep(""), _place(event, "").start))
        if isinstance(event, yaml.AliasEvent):
            self.values[path] = _place(event, "")
            self.note(event, "an alias (`*`); write the value out")
            return None
        assert isinstance(event, yaml.NodeEvent)
        if event.anchor is not None:
            self.note(event, "an anchor (`&`); symback's specs have none")
        if getattr(event, "tag", None) is not None:
            self.note(event, "a tag (`!`); symback's specs have none")
        if isinstance(event, yaml.SequenceStartEvent):
            self.values[path] = _place(event, "[")
            return self.list_(path)
        if isinstance(event, yaml.MappingStartEvent):
            self.values[path] = _place(event, "{")
            return self.mapping(path)
        assert isinstance(event, yaml.ScalarEvent)
        self.values[path] = _place(event, event.style or "")
        odd = _control(event.value)
        if odd:
            self.note(event, _strange(odd).message)
        return event.value if event.style else self.scalar(event)

    def list_(self, path: Keys) -> list[Value]:
        items: list[Value] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.value(event, (*path, len(items))))
        return items

    def mapping(self, path: Keys) -> dict[str, Value]:
        items: dict[str, Value] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self.note(event, "a key is text; this is a list, a mapping or an alias")
                aside = (*path, "")  # read on, without keeping it
                self.value(event, aside)
                self.value(next(self.events), aside)
                continue
            key: str = event.value
            if key in items:
                first = self.keys[(*path, key)].line
                self.note(event, f"`{key}` is given twice; the first is in line {first}")
                self.value(next(self.events), (*path, key, "again"))
                continue
            self.keys[(*path, key)] = _place(event, event.style or "")
            items[key] = self.value(next(self.events), (*path, key))
        return items

    def scalar(self, event: yaml.ScalarEvent) -> Value:
        """Return what a scalar without quotes stands for in YAML 1.2."""
        text: str = event.value
        if text in WORDS:
            return WORDS[text]
        if INTEGER.fullmatch(text):
            if len(text) <= LONGEST_INTEGER:
                return int(text)
            self.note(event, f"a whole number of {len(text)} digits; {LONGEST_INTEGER} are allowed")
            return 0
        if NUMBER.fullmatch(text):
            return float(text)
        if UNBOUNDED.fullmatch(text):
            return float(text.replace(".", "").lower())
        return text

    def note(self, event: yaml.Event, message: str) -> None:
        """Keep a mistake that leaves the rest readable."""
        place = _place(event, "")
        length = place.stop - place.start
        self.mistakes.append(self.document.at(Mistake(message), place.start, length))


def _place(event: yaml.Event, style: str) -> Place:
    start, stop = event.start_mark, event.end_mark
    assert start is not None
    assert stop is not None
    return Place(start.index, stop.index, start.line + 1, start.column + 1, style)


def _too_deep(source: str) -> Mistake:
    return Mistake(f"nested more than {DEEPEST} deep; a spec needs 8", source=source)


def _control(text: str) -> str:
    """Return the first character that can't be printed, of a text that may have several rows."""
    return next((each for each in text if each != "\n" and not each.isprintable()), "")


def _strange(character: str) -> Mistake:
    if character == "\t":
        return Mistake("a tab; YAML is indented by spaces", hint="use spaces")
    message = f"an invisible or control character, U+{ord(character):04X}"
    return Mistake(message, hint="delete it, or type a space")


def _syntax(error: yaml.YAMLError, document: Document) -> Mistake:
    """Put a parser's complaint in words for the person who typed the text."""
    context, problem = getattr(error, "context", ""), getattr(error, "problem", "")
    said = f"{context or ''}: {problem or ''}"
    mark = getattr(error, "problem_mark", None)
    opened = getattr(error, "context_mark", None)
    apart = mark is not None and opened is not None and mark.line != opened.line
    if (
        mark is None or "quoted scalar" in said or (apart and "expected ',' or" in said)
    ):  # where the quotes or the bracket open says more than the end
        mark = opened
    message, hint = f"this is no YAML: {said}", ""
    for fragment, meaning, advice in ADVICE:
        if fragment in said:
            message, hint = meaning, advice
            break
    mistake = Mistake(message, hint=hint)
    if mark is None:
        return replace(mistake, source=document.source)
    return document.at(mistake, min(mark.index, len(document.text)))
