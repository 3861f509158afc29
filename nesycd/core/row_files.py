"""Rows of users' files, whatever they are stored as: one reader for questions, answers, recordings and passages.

Read are JSONL, JSON lists and JSON objects one after the other, CSV and TSV (all of them gzipped too), Parquet, and folders that
Hugging Face `datasets` saved. The name's ending decides where it is a known one, else the content. Encoding and separator are
what the first bytes and the header show; where these leave a choice the file is refused, since a wrong guess would not be seen.
What is missing is None: an empty cell, null, NaN.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from nesycd.core.errors import DataError
from nesycd.core.files import (
    NotText,
    encoding_name,
    encoding_of,
    file_hash,
    json_object,
    open_bytes,
    read_json,
    refuse_half_characters,
    text_lines,
    unique_keys,
)
from nesycd.core.records import content_hash

Row = tuple[str, dict[str, Any]]
"""A row with its place (`file:line`), for messages."""

MOST_TOLD = 10
"""Bad rows that are told; of more only the number is."""
_JSON = {".jsonl", ".ndjson", ".json"}
_SEPARATORS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}
_COMMENT = ("#", "//")
_BLANK = re.compile(r"\s*")


class Faults:
    """What is wrong with rows, collected so that all of it is told at once."""

    def __init__(self) -> None:
        self.rows = 0
        self.bad = 0
        self._told: list[str] = []

    def add(self, fault: str) -> None:
        """A row that cannot be used."""
        self.rows += 1
        self.bad += 1
        if len(self._told) < MOST_TOLD:
            self._told.append(fault)

    @contextmanager
    def of_row(self) -> Iterator[None]:
        """Within it one row is used; a `DataError` is kept for later."""
        try:
            yield
        except DataError as error:
            self.add(str(error))
        else:
            self.rows += 1

    def tell(self) -> None:
        """Say what was wrong.

        Raises:
            DataError: something was.
        """
        if self.bad == 1:
            raise DataError(self._told[0])
        if self.bad:
            more = f"; and {self.bad - MOST_TOLD} more" if self.bad > MOST_TOLD else ""
            raise DataError(f"{self.bad} of {self.rows} rows cannot be used: {'; '.join(self._told)}{more}")


@dataclass(frozen=True)
class Dialect:
    """What a user says of a file; "" = as the file shows.

    Attributes:
        encoding: a Python name, such as `windows-1252`.
        separator: of CSV cells, one character.
    """

    encoding: str = ""
    separator: str = ""


class RowFile:
    """A user's file (or folder) of rows, read when it is iterated.

    Args:
        path: the file.
        faults: collects bad rows; None: the first one is raised.
        dialect: what the user says of it; None: where this file is named there is no such setting.
    """

    def __init__(self, path: Path, faults: Faults | None = None, dialect: Dialect | None = None) -> None:
        self.path = path
        self._faults = faults
        self._dialect = dialect or Dialect()
        self._settable = dialect is not None
        self._said: list[str] = []
        self._comments = 0

    def __str__(self) -> str:
        """How the file was read: format, encoding, separator; complete when it was iterated."""
        comments = [f"{self._comments} comment(s) passed over"] if self._comments else []
        return ", ".join([*self._said, *comments])

    def __iter__(self) -> Iterator[Row]:
        """The rows with their places; numbers are those of lines where there are any, else of rows, from 1.

        Raises:
            DataError: the file cannot be read at all, or, without `faults`, a row cannot.
        """
        self._said, self._comments = [], 0
        if self.path.is_dir():
            yield from self._arrow_rows(_saved_files(self.path), "folder of `datasets`")
            return
        suffix = self.path.with_suffix("").suffix if self.path.suffix == ".gz" else self.path.suffix
        head = _head(self.path)
        if suffix.lower() == ".parquet" or head.startswith(b"PAR1"):
            yield from self._arrow_rows([self.path], "Parquet")
            return
        if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
            raise DataError(f"{self.path}: a workbook or archive; save its table as CSV (UTF-8)")
        yield from self._text_rows(suffix.lower(), head)

    def _text_rows(self, suffix: str, head: bytes) -> Iterator[Row]:
        encoding = self._dialect.encoding or encoding_of(head)
        lines = self._decoded(encoding)
        skipped: list[str] = []
        for first in lines:
            if not _is_before_content(first[1]):
                break
            skipped.append(first[1].strip())
        else:
            self._said = ["empty"]
            return
        opening, rows = first[1].lstrip()[0], chain([first], lines)
        self._comments = sum(line.startswith(_COMMENT) for line in skipped)
        marked = " with a byte order mark" if encoding.endswith("-sig") else ""
        text = f"{encoding_name(encoding)}{marked}"
        if suffix in _JSON or (suffix not in (".csv", ".tsv", ".tab") and opening in "[{"):
            whole = opening == "[" or first[1].strip() == "{"
            self._said = [("JSON list" if opening == "[" else "JSON objects") if whole else "JSONL", text]
            yield from self._json_values(first[0], "".join(line for _, line in rows)) if whole else self._jsonl(rows)
        else:
            separator = self._dialect.separator or self._separator(skipped, first, suffix)
            self._said = ["CSV", text, f"separator {_SEPARATORS.get(separator, repr(separator))}"]
            yield from self._cells(rows, first[0], separator)

    def _bad(self, place: object, why: str) -> None:
        fault = f"{self.path}:{place}: {why}"
        if self._faults is None:
            raise DataError(fault)
        self._faults.add(fault)

    def _decoded(self, encoding: str) -> Iterator[tuple[int, str]]:
        try:
            yield from text_lines(self.path, encoding)
        except NotText as error:
            raise DataError(f"{error}{self._or_set('encoding')}") from None

    def _or_set(self, setting: str) -> str:
        return f", or say which by {setting}" if self._settable else ""

    # --- JSON -----------------------------------------------------------------------------------------------------------

    def _jsonl(self, lines: Iterable[tuple[int, str]]) -> Iterator[Row]:
        for number, line in lines:
            text = line.strip()
            if text.startswith(_COMMENT):
                self._comments += 1
            elif text:
                place = f"{self.path}:{number}"
                try:
                    row = json_object(text, place, parse_constant=_constant, object_pairs_hook=unique_keys)
                except DataError as error:
                    self._bad(number, str(error).removeprefix(f"{place}: "))
                else:
                    yield place, row

    def _json_values(self, line: int, text: str) -> Iterator[Row]:
        """The objects of a list, or one after the other; what follows a broken one cannot be read."""
        decoder = json.JSONDecoder(parse_constant=_constant, object_pairs_hook=unique_keys)
        is_list = text.lstrip().startswith("[")
        at = _blank(text, 0) + is_list
        counted = 0
        while (at := _blank(text, at)) < len(text):
            line, counted = line + text.count("\n", counted, at), at
            if is_list and text[at] == "]":
                if rest := text[at + 1 :].strip():
                    self._bad(line, f"text after the end of the list: {rest[:20]!r}")
                return
            try:
                value, end = decoder.raw_decode(text, at)
                refuse_half_characters(text[at:end], value)
            except json.JSONDecodeError as error:
                here = line + text.count("\n", counted, error.pos)
                self._bad(here, f"not valid JSON: {error.msg}; what follows was not read")
                return
            except (ValueError, RecursionError) as error:
                self._bad(line, f"cannot be read: {error}; what follows was not read")
                return
            if isinstance(value, dict):
                yield f"{self.path}:{line}", value
            else:
                self._bad(line, f"a JSON object is needed, but this is a {type(value).__name__}")
            at = _blank(text, end)
            if is_list and text[at : at + 1] not in (",", "]"):
                break
            at += is_list and text[at] == ","
        if is_list:
            self._bad(line + text.count("\n", counted, at), "not valid JSON: a comma or ] is missing in the list")

    # --- CSV ------------------------------------------------------------------------------------------------------------

    def _separator(self, skipped: list[str], header: tuple[int, str], suffix: str) -> str:
        for line in skipped:
            if said := re.fullmatch(r'"?sep=(.)"?', line):
                return said[1]
        if suffix in (".tsv", ".tab"):
            return "\t"
        bare = re.sub(r'"[^"]*"', "", header[1])
        found = [mark for mark in _SEPARATORS if mark in bare]
        if len(found) > 1:
            named = " or ".join(_SEPARATORS[mark] for mark in found)
            tell = self._or_set("separator") or "; put names that contain one in quotation marks"
            raise DataError(f"{self.path}:{header[0]}: the header may be separated by {named}: use one of them{tell}")
        return found[0] if found else ","

    def _cells(self, lines: Iterable[tuple[int, str]], first: int, separator: str) -> Iterator[Row]:
        reader = csv.reader((line for _, line in lines), delimiter=separator, skipinitialspace=True, strict=True)
        header: list[str] = []
        while True:
            number = first + reader.line_num
            try:
                cells = [cell.strip() for cell in next(reader)]
            except StopIteration:
                return
            except csv.Error as error:
                what = "a quotation mark is opened and not closed" if "unexpected end" in str(error) else str(error)
                self._bad(number, f"not a row of CSV: {what}")
                continue
            if not header:
                header = self._header(number, cells)
            elif not any(cells):
                continue
            elif len(cells) == 1 < len(header) and cells[0].startswith("#"):
                self._comments += 1
            elif any(cells[len(header) :]) or len(cells) < len(header):
                self._bad(
                    number,
                    f"{len(cells)} cells, but the header has {len(header)} (separator {_SEPARATORS.get(separator, separator)}; "
                    "a text that contains it stands in quotation marks)",
                )
            else:
                yield f"{self.path}:{number}", {n: c or None for n, c in zip(header, cells, strict=False)}

    def _header(self, number: int, cells: list[str]) -> list[str]:
        while cells and not cells[-1]:
            cells.pop()
        if twice := next((name for name in cells if name and cells.count(name) > 1), ""):
            raise DataError(f"{self.path}:{number}: two columns are called {twice!r}")
        # pandas writes its index without a name.
        return [name or f"column {place}" for place, name in enumerate(cells, 1)]

    # --- Arrow ----------------------------------------------------------------------------------------------------------

    def _arrow_rows(self, files: list[Path], kind: str) -> Iterator[Row]:
        self._said = [kind]
        try:
            import pyarrow
            from pyarrow import ipc, parquet
        except ModuleNotFoundError:
            raise DataError(f"{self.path}: {kind}: pyarrow is needed: pip install 'nesycd[hub]'") from None
        number = 0
        for path in files:
            try:
                with path.open("rb") as file:
                    stored = parquet.ParquetFile(file).iter_batches() if kind == "Parquet" else ipc.open_stream(file)
                    for batch in stored:
                        for row in batch.to_pylist():
                            number += 1
                            yield f"{self.path}: row {number}", {key: _plain(value) for key, value in row.items()}
            except (pyarrow.ArrowException, OSError) as error:
                told = next(iter(str(error).splitlines()), "")
                raise DataError(f"{path}: cannot be read as {kind}: {told}") from None


def rows_hash(path: Path) -> str:
    """A hash of what a `RowFile` reads: independent of path and time.

    Raises:
        DataError: it cannot be read.
    """
    return content_hash([file_hash(file) for file in _saved_files(path)]) if path.is_dir() else file_hash(path)


def _saved_files(folder: Path) -> list[Path]:
    """The Arrow files of a dataset that `datasets` saved.

    Raises:
        DataError: the folder is none, or holds several splits.
    """
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(path.parent.name for path in folder.glob("*/state.json"))
        raise DataError(
            f"{folder}: holds the splits {', '.join(splits)}: name the folder of each, such as {folder / splits[0]}"
        )
    if not (folder / "state.json").is_file():
        raise DataError(f"{folder}: a folder that `datasets` did not save (no state.json): name a file in it")
    state = read_json(folder / "state.json")
    try:
        return [folder / str(file["filename"]) for file in state["_data_files"]]
    except (KeyError, TypeError):
        raise DataError(f"{folder / 'state.json'}: does not name the folder's files; save the dataset again") from None


def _head(path: Path) -> bytes:
    try:
        with open_bytes(path) as file:
            return file.peek(4)[:4]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', '') or error}") from None


def _is_before_content(line: str) -> bool:
    """Whether a line has no content yet: it is blank, a comment, or what tells Excel the separator (`sep=;`)."""
    return not (text := line.strip()) or text.startswith((*_COMMENT, "sep=", '"sep='))


def _blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    assert found is not None
    return found.end()


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name)


def _plain(value: Any) -> Any:
    """A value as JSON has it: NaN is None, dates and the like are texts, bytes (images, sounds) are left out."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, bytes) or value != value:
        return None
    return value if isinstance(value, str | int | float | None) else str(value)
