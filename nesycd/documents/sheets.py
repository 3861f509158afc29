"""Tables in files: CSV as `core.row_files` reads it, and the sheets of Excel workbooks, each cell as the text that is shown.

Nothing is computed: a formula is no text that states something. Merged cells say what they say for each row that they cover.
"""

from __future__ import annotations

import datetime
import io
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nesycd.core.errors import DataError, KnowledgeError
from nesycd.core.row_files import RowFile
from nesycd.core.text import printable
from nesycd.documents.passages import Table
from nesycd.documents.table_facts import FORMULA

_MOST_BYTES, _MOST_CELLS = 300_000_000, 3_000_000
"""Of a workbook, unpacked, and of a sheet."""
_ENCRYPTED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_SYMBOL = re.compile(r"\[\$([^\]-]*)(?:-[^\]]*)?\]")
_HIDDEN = re.compile(r"\[[^\]]*\]|_.|\*.")
"""Of a number's format: colours, room for signs, and what fills a cell."""
_FORMAT = re.compile(
    r"(?P<before>[^#0?.,%]*)(?P<digits>[#0?]+(?:,[#0?]+)*)(?:\.(?P<places>[0#?]+))?(?P<after>%?[^#0?.,%]*)"
)


def read_csv(path: Path) -> list[Table]:
    """The table of a CSV or TSV file; none of one without rows.

    Raises:
        KnowledgeError: it cannot be read: with its line.
    """
    heads: tuple[str, ...] = ()
    rows: list[tuple[int, tuple[str, ...]]] = []
    try:
        for place, row in RowFile(path):
            heads = heads or tuple("" if re.fullmatch(r"column \d+", name) else name for name in row)
            number = int(place.rpartition(":")[2])
            cells = ["" if cell is None else " ".join(str(cell).split()) for cell in row.values()]
            rows.append((number, tuple(cells)))
    except DataError as error:
        raise KnowledgeError(str(error)) from None
    # Where the heads are, is not told: above the first row.
    return [Table("", "line", max(1, rows[0][0] - 1), heads, tuple(rows))] if rows else []


def read_sheets(path: Path) -> list[Table]:
    """The tables of a workbook: one for each visible sheet that has one.

    Raises:
        KnowledgeError: no such workbook, or a sheet that is too large.
    """
    import openpyxl

    try:
        data = path.read_bytes()
    except OSError as error:
        raise KnowledgeError(f"{path}: cannot be read: {error.strerror}") from None
    if data.startswith(_ENCRYPTED):
        raise KnowledgeError(f"{path}: is an old .xls or has a password; save it as .xlsx without one")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about charts and the like
            _check_size(data)
            book = openpyxl.load_workbook(io.BytesIO(data))
            sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            for sheet in sheets:
                if sheet.max_row * sheet.max_column > _MOST_CELLS:
                    raise KnowledgeError(
                        f"{path}: sheet {printable(sheet.title)!r}: {sheet.max_row:,} rows of {sheet.max_column:,} cells, and at "
                        f"most {_MOST_CELLS:,} cells are read; copy what matters to a sheet of its own"
                    )
            return [table for sheet in sheets for table in _tables(sheet)]
    except KnowledgeError:
        raise
    except Exception as error:  # the library raises whatever it stumbles over
        told = printable(" ".join(str(error).split()))[:200]
        raise KnowledgeError(f"{path}: is no .xlsx workbook that can be read: {told}") from None


def _check_size(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(part.file_size for part in archive.infolist())
    if size > _MOST_BYTES:
        raise ValueError(f"it has {size:,} bytes unpacked, and at most {_MOST_BYTES:,} are read")


def _tables(sheet: Any) -> Iterator[Table]:
    """The table of a sheet: it begins with the first row of two cells or more, and lone cells below it are no rows."""
    left: Counter[str] = Counter()
    covered = _covered(sheet)
    heads: tuple[str, ...] = ()
    first, spans = 0, set[int]()
    rows: list[tuple[int, tuple[str, ...]]] = []
    for number, cells in enumerate(sheet.iter_rows(), 1):
        own = [_shown(cell) for cell in cells]
        if sum(bool(text or why) for text, why in own) < 2 and not (
            heads and any((number, c) in covered for c in range(1, len(cells) + 1))
        ):
            continue  # a title, a remark or nothing
        texts = [covered.get((number, column), text) for column, (text, _) in enumerate(own, 1)]
        left.update(why for _, why in own if why)
        if not heads:
            heads, first = tuple(texts), number
            spans = {c for c in range(1, len(texts) + 1) for r in sheet.merged_cells.ranges
                     if r.min_row == number and r.min_col <= c <= r.max_col and r.max_col > r.min_col}  # fmt: skip
        elif spans and number == first + 1:
            # A head over several columns: theirs are below it.
            above = _spread(heads, spans)
            heads = tuple(
                f"{over} {text}".strip() if column in spans else over or text
                for column, (over, text) in enumerate(zip(above, texts, strict=True), 1)
            )
        elif any(texts):
            rows.append((number, tuple(texts)))
    if rows:
        while heads and not heads[-1] and not any(row[len(heads) - 1] for _, row in rows):
            heads, rows = heads[:-1], [(number, row[:-1]) for number, row in rows]
        yield Table(printable(sheet.title), "row", first, heads, tuple(rows), _counts(left))


def _covered(sheet: Any) -> dict[tuple[int, int], str]:
    """What merged cells say for the rows below their first, by row and column."""
    found: dict[tuple[int, int], str] = {}
    for area in sheet.merged_cells.ranges:
        text, _ = _shown(sheet.cell(area.min_row, area.min_col))
        for row in range(area.min_row + 1, min(area.max_row, sheet.max_row) + 1):
            found[row, area.min_col] = text
    return found


def _spread(heads: Sequence[str], spans: set[int]) -> list[str]:
    made: list[str] = []
    for column, head in enumerate(heads, 1):
        made.append(made[-1] if not head and column in spans and made else head)
    return made


def _shown(cell: Any) -> tuple[str, str]:
    """The text that is shown of a cell, and why it cannot be told."""
    value, form = cell.value, str(cell.number_format)
    if value is None:
        return "", ""
    if cell.data_type == "f" or (isinstance(value, str) and value.startswith("=")):
        return "", FORMULA
    if cell.data_type == "e":
        return "", "errors"
    if isinstance(value, bool):
        return ("yes" if value else "no"), ""
    if isinstance(value, datetime.datetime):
        return (value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ", "minutes")), ""
    if isinstance(value, datetime.date):
        return value.isoformat(), ""
    if isinstance(value, datetime.time):
        return value.isoformat("minutes"), ""
    if isinstance(value, int | float):
        text = _number(value, form)
        return text, "" if text else "numbers in a format that is not known"
    return " ".join(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), str(value)).split()), ""


def _number(value: float, form: str) -> str:
    """A number as a format shows it, with English points; "" where that is not known."""
    if form in ("General", "@"):
        return str(value) if isinstance(value, int) else f"{value:.15g}"
    plain = _HIDDEN.sub("", _SYMBOL.sub(r"\1", form.split(";")[0])).replace('"', "").replace("\\", "")
    found = _FORMAT.fullmatch(plain)
    if not found:
        return ""
    percent = found["after"].startswith("%")
    places = found["places"] or ""
    digits = f"{abs(value) * (100 if percent else 1):{',' if ',' in found['digits'] else ''}.{len(places)}f}"
    if "#" in places:
        whole, _, rest = digits.partition(".")
        kept = rest[: places.count("0")] + rest[places.count("0") :].rstrip("0")
        digits = f"{whole}.{kept}" if kept else whole
    sign = "-" if value < 0 else ""
    return " ".join(f"{sign}{found['before']}{digits}{found['after']}".split())


def _counts(left: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple((why, count) for why, count in sorted(left.items()) if count)
