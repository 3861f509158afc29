"""Knowledge as CSV for spreadsheets: `SHORT_KEYS` as columns; and triples of a graph that people made, from CSV.

A cell that a spreadsheet would take for a formula starts with an apostrophe, which reading takes off again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry
from nesycd.core.text import printable
from nesycd.knowledge.formats.mapping import SHORT_KEYS, Row, from_short, short
from nesycd.knowledge.journal import MAX_ITEM

TRIPLE = ("subject", "relation", "object")
HUMAN = "human"
"""The source recorded as evidence for a graph that people made."""
_FORMULA = "=+-@\t\r\n＝＋－＠'"


def write(entries: Iterable[Entry]) -> str:
    """A header and a line for each entry; several aliases are separated by `|`."""
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(SHORT_KEYS)
    for entry in entries:
        body = short(entry)
        body["aliases"] = "|".join(_ESCAPED.sub(r"\\\g<0>", alias) for alias in body.get("aliases", ()))
        writer.writerow([_guarded(body.get(key, "")) for key in SHORT_KEYS])
    return file.getvalue()


def read(text: str, place: str) -> Iterator[Row]:
    """The rows of a file with a header of `SHORT_KEYS`, in any order, or of subject, relation, object and more.

    Raises:
        KnowledgeError: a header that names other columns, or none of those needed.
    """
    csv.field_size_limit(MAX_ITEM * 2)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().casefold() for name in next(reader, [])]
    except csv.Error as error:
        raise KnowledgeError(f"{place}: line 1: {error}") from None
    unknown = [name for name in header if name not in SHORT_KEYS]
    twice = [name for name in header if header.count(name) > 1]
    if unknown or twice or not ({"kind", "text"} <= set(header) or set(TRIPLE) <= set(header)):
        named = f", not {printable((unknown or twice)[0])!r}" if unknown or twice else ""
        raise KnowledgeError(
            f"{place}: line 1: the columns must be {', '.join(TRIPLE)}, or kind and text too, and may be "
            f"{', '.join(SHORT_KEYS)}{named}"
        )
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            # Where a line ends is no longer known.
            yield Row(f"line {line}", problem=f"is not CSV: {error}")
            return
        if cells is None:
            return
        if not cells:
            continue
        if len(cells) != len(header):
            yield Row(f"line {line}", problem=f"has {len(cells)} cells under {len(header)} columns")
            continue
        yield Row(f"line {line}", _entry(dict(zip(header, map(_unguarded, cells), strict=True))))


def human_fact(subject: str, relation: str, object_: str) -> dict[str, object]:
    """A triple of a graph that people made, as an entry: the text says no more than the triple."""
    text = f"{subject}: {relation} {object_}."
    evidence = [{"source": HUMAN}]
    triple = {"subject": subject, "relation": relation, "object": object_}
    return {"kind": "fact", "text": text, **triple, "evidence": evidence}


_ESCAPED = re.compile(r"[|\\]")


def _entry(cells: dict[str, str]) -> dict[str, object]:
    body: dict[str, object] = {key: cell for key, cell in cells.items() if cell != ""}
    if aliases := cells.get("aliases"):
        found = re.findall(r"((?:[^|\\]|\\.|\\$)*)(?:\||$)", aliases, re.DOTALL)[:-1]
        body["aliases"] = [re.sub(r"\\(.)", r"\1", alias, flags=re.DOTALL) for alias in found]
    if "kind" in cells:
        return from_short(body)
    triple = human_fact(*(cells[key].strip() for key in TRIPLE))
    return {**triple, **body, **{key: triple[key] for key in TRIPLE}}


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell and cell[0] in _FORMULA else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if len(cell) > 1 and cell[0] == "'" and cell[1] in _FORMULA else cell
