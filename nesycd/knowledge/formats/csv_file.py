"""Knowledge as CSV (separated by commas) and TSV (by tabs); read with any separator of the two, `;` or `|`, with comments.

A cell that a spreadsheet would take for a formula, and an id that it would take for a number, start with an apostrophe, which
reading takes off again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry
from nesycd.knowledge.formats.mapping import SHORT_KEYS, Row
from nesycd.knowledge.formats.table import cells_of, header_of, header_problem, row_of
from nesycd.knowledge.journal import MAX_ITEM

_SEPARATORS = ",;\t|"
_FORMULA = "=+-@\t\r\n＝＋－＠'"
_NUMBER = re.compile(r"\d+(?:e\d+)?")
_BLANK = f' \r\n"{_SEPARATORS}'
_SEPARATOR_LINE = re.compile(rf'"?sep=([{_SEPARATORS}])"?\s*', re.IGNORECASE)
"""By which Excel is told the separator; some programs write it before the header."""


def write(entries: Iterable[Entry], separator: str = ",") -> str:
    """A header and a line for each entry."""
    return "".join(pieces(entries, separator))


def pieces(entries: Iterable[Entry], separator: str = ",") -> Iterator[str]:
    """The same, line by line."""
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n", delimiter=separator)

    def line(cells: Iterable[str]) -> str:
        file.seek(0)
        file.truncate()
        writer.writerow(cells)
        return file.getvalue()

    yield line(SHORT_KEYS)
    for entry in entries:
        cells = zip(SHORT_KEYS, cells_of(entry), strict=True)
        yield line(_guarded(cell, key == "id") for key, cell in cells)


def tab_pieces(entries: Iterable[Entry]) -> Iterator[str]:
    """The same, separated by tabs."""
    return pieces(entries, "\t")


def read(text: str | Iterable[str], place: str) -> Iterator[Row]:
    """The rows of a file: its text, or its lines with their ends.

    The header has `SHORT_KEYS`, in any order, or subject, relation, object and more; the separator is the one by which it is one.
    Blanks after a separator and lines of comments (`#`) do not count.

    Raises:
        KnowledgeError: a header that names other columns, or none of those needed.
    """
    csv.field_size_limit(MAX_ITEM * 2)
    lines = _Lines(text)
    names, separator = _header(lines, place)
    reader = csv.reader(lines, strict=True, skipinitialspace=True, delimiter=separator)
    while True:
        lines.begin(len(names), separator)
        try:
            cells = next(reader, None)
        except csv.Error as error:
            # Where a line ends is no longer known.
            yield Row(f"line {lines.first}", problem=f"is not CSV: {error}")
            return
        if cells is None:
            return
        where = f"line {lines.first}"
        if lines.is_doubtful:
            told = "begins with #: take it out where it is a comment, or write its first cell in quotation marks"
            yield Row(where, problem=told)
        elif (row := row_of(where, names, [*map(_unguarded, cells)])) is not None:
            yield row


class _Lines:
    """The lines of a CSV text for its reader, which asks for those of one record after the other; comments are left out."""

    def __init__(self, text: str | Iterable[str]) -> None:
        self._file = iter(io.StringIO(text, newline="") if isinstance(text, str) else text)
        self._number = 0
        self._width, self._separator = 0, ","
        self._begins = True
        self.first = 1
        """Number of the record's first line."""
        self.is_doubtful = False
        """Whether the record begins like a comment, but has a cell for every column."""

    def begin(self, width: int, separator: str) -> None:
        """The next line is the first of a record of so many cells."""
        self._begins, self.is_doubtful = True, False
        self._width, self._separator = width, separator

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        for line in self._file:
            self._number += 1
            if not self._begins:
                return line
            self.first = self._number
            is_comment = line.lstrip().startswith("#")
            self.is_doubtful = is_comment and self._looks_like_a_row(line)
            if not is_comment or self.is_doubtful:
                self._begins = False
                return line
        self.first = self._number + self._begins
        raise StopIteration

    def _looks_like_a_row(self, line: str) -> bool:
        cells = _cells(line, self._separator)
        return len(cells) == self._width and sum(bool(cell.strip()) for cell in cells) > 1


def _header(lines: _Lines, place: str) -> tuple[tuple[str, ...], str]:
    """The names of the columns, and the separator by which they are apart."""
    separators = _SEPARATORS
    line = _first(lines)
    if said := _SEPARATOR_LINE.fullmatch(line):
        separators, line = said[1], _first(lines)
    ways = [(header_of(_cells(line, separator)), separator) for separator in separators]
    # Where none is right, what is told is about the one that fits best.
    names, separator = max(ways, key=lambda way: (not header_problem(way[0]), len({*way[0]} & {*SHORT_KEYS})))
    if problem := header_problem(names):
        raise KnowledgeError(f"{place}: line {lines.first}: {problem}")
    return names, separator


def _first(lines: _Lines) -> str:
    """The next line that is neither empty nor a comment."""
    line: str | None = ""
    while line is not None and not line.strip(_BLANK):
        lines.begin(0, ",")
        line = next(lines, None)
    return line or ""


def _cells(line: str, separator: str) -> Sequence[str]:
    try:
        return next(csv.reader([line], skipinitialspace=True, delimiter=separator), [])
    except csv.Error:  # of many megabytes
        return []


def _guarded(cell: str, is_id: bool) -> str:
    return f"'{cell}" if cell and (cell[0] in _FORMULA or (is_id and _NUMBER.fullmatch(cell))) else cell


def _unguarded(cell: str) -> str:
    if len(cell) > 1 and cell[0] == "'" and (cell[1] in _FORMULA or _NUMBER.fullmatch(cell, 1)):
        return cell[1:]
    return cell
