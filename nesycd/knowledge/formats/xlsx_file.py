"""Knowledge as an Excel workbook (extra `xlsx`): `SHORT_KEYS` as columns of one sheet, every cell formatted as text.

Cells are read as the texts they hold. What a spreadsheet shows otherwise than it stores (dates, percentages, formulas) is refused
by its cell: "1/2" may have become a date.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry
from nesycd.core.text import printable
from nesycd.knowledge.formats.mapping import SHORT_KEYS, Row
from nesycd.knowledge.formats.table import cells_of, header_of, header_problem, row_of

_SHEET = "knowledge"
_MOST_CHARACTERS, _MOST_ROWS = 32_767, 1_048_576
"""Of a cell and of a sheet, in Excel."""
_MOST_BYTES = 1_000_000_000
"""Of a workbook, unpacked."""
_WIDTHS = {"text": 60, "clause": 40, "tests": 40, "id": 18}
_ENCRYPTED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_UNWRITABLE = re.compile("_(?=x[0-9A-Fa-f]{4}_)|[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_WRITTEN = re.compile("_x([0-9A-Fa-f]{4})_")
"""How the format spells characters that XML does not have, and carriage returns, which XML readers change."""
_AS_SHOWN = re.compile(r"General|@|#?(,##)?0(\.0+)?")
"""Formats under which a number is shown as it is stored, but for rounding."""


def write(entries: Iterable[Entry]) -> bytes:
    """A workbook of one sheet: a header and a row for each entry.

    Raises:
        KnowledgeError: more rows, or a longer text, than Excel holds.
    """
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    rows = [[*map(_spelled, cells_of(entry))] for entry in _fitting(entries)]
    book = Workbook(write_only=True)
    sheet = book.create_sheet(_SHEET)
    for number, key in enumerate(SHORT_KEYS, 1):
        column = sheet.column_dimensions[get_column_letter(number)]
        # Rows that people add are text too.
        column.width, column.number_format = _WIDTHS.get(key, 16), "@"
    sheet.freeze_panes = "A2"

    def cell(text: str, bold: bool = False) -> Any:
        made = WriteOnlyCell(sheet, text)
        made.data_type, made.number_format = "s", "@"  # never a formula
        if bold:
            made.font = Font(bold=True)
        return made

    sheet.append([cell(key, bold=True) for key in SHORT_KEYS])
    for cells in rows:
        sheet.append([cell(text) if text else None for text in cells])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _fitting(entries: Iterable[Entry]) -> Iterator[Entry]:
    for number, entry in enumerate(entries, 2):
        longest = max(len(_spelled(text)) for text in cells_of(entry))
        if number > _MOST_ROWS or longest > _MOST_CHARACTERS:
            why = (
                "more items"
                if number > _MOST_ROWS
                else f"a text of {longest:,} characters (item {entry.item_id[:8]}), more"
            )
            raise KnowledgeError(f"the base has {why} than Excel holds; export it as YAML (.yaml)")
        yield entry


def read(data: bytes, place: str) -> Iterator[Row]:
    """The rows of all visible sheets that are not empty, each with a header as `table` knows it.

    Raises:
        KnowledgeError: no such workbook, or a sheet without such a header.
    """
    import openpyxl

    if data.startswith(_ENCRYPTED):
        raise KnowledgeError(f"{place}: is an old .xls or has a password; save it as .xlsx without one")
    tables: list[list[Row]] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about charts and the like
            _check_size(data)
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True)
            sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            for sheet in sheets:
                sheet.reset_dimensions()  # some programs write wrong ones
                where = f"sheet {printable(sheet.title)!r}, " if len(sheets) > 1 else ""
                tables += _table(enumerate(sheet.iter_rows(), 1), f"{place}: {where}", where)
    except KnowledgeError:
        raise
    except Exception as error:  # the library raises whatever it stumbles over
        told = printable(" ".join(str(error).split()))[:200]
        raise KnowledgeError(f"{place}: is no .xlsx workbook that can be read: {told}") from None
    if not tables:
        raise KnowledgeError(f"{place}: row 1: {header_problem(())}")
    yield from chain.from_iterable(tables)


def _check_size(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(part.file_size for part in archive.infolist())
    if size > _MOST_BYTES:
        raise ValueError(f"it has {size:,} bytes unpacked, and at most {_MOST_BYTES:,} are read")


def _table(numbered: Iterable[tuple[int, Sequence[Any]]], place: str, where: str) -> list[list[Row]]:
    """The rows below a sheet's header, in a list of their own; nothing of an empty sheet."""
    names: tuple[str, ...] | None = None
    rows: list[Row] = []
    for number, cells in numbered:
        filled = [cell for cell in cells if cell.value is not None and str(cell.value).strip()]
        if not filled or (len(filled) == 1 and str(filled[0].value).lstrip().startswith("#")):
            continue  # empty, or a comment
        if names is None:
            names = header_of([_text(cell)[0] for cell in cells])
            if problem := header_problem(names):
                raise KnowledgeError(f"{place}row {number}: {problem}")
            continue
        texts = [_text(cell) for cell in cells] + [("", "")] * (len(names) - len(cells))
        faults = [f"{name}: {fault}" for name, (_, fault) in zip(names, texts, strict=False) if name and fault]
        if faults:
            rows.append(Row(f"{where}row {number}", problem=faults[0]))
        elif (row := row_of(f"{where}row {number}", names, [text for text, _ in texts])) is not None:
            rows.append(row)
    return [] if names is None else [rows]


def _text(cell: Any) -> tuple[str, str]:
    """The text of a cell, and why it has none."""
    value = cell.value
    if value is None:
        return "", ""
    if cell.data_type == "s":
        return _WRITTEN.sub(lambda found: chr(int(found[1], 16)), str(value)), ""
    if cell.data_type == "b":
        return str(value).upper(), ""
    if cell.data_type == "n" and _AS_SHOWN.fullmatch(cell.number_format):
        return str(value) if isinstance(value, int) else f"{value:.15g}", ""
    kind = {"f": "a formula", "d": "a date", "e": "an error"}.get(cell.data_type, "a number that is shown otherwise")
    return "", f"holds {kind} ({printable(str(value))[:40]}); format the cell as text and type what it should say"


def _spelled(text: str) -> str:
    return _UNWRITABLE.sub(lambda found: f"_x{ord(found[0]):04X}_", text)
