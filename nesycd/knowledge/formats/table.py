"""Knowledge as a table of texts, for CSV and spreadsheets: a header of `SHORT_KEYS`, a row for each entry.

A table of subject, relation and object is a graph that people made. Empty rows and columns are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry
from nesycd.core.text import printable
from nesycd.knowledge.formats.mapping import SHORT_KEYS, Row, from_short, short

TRIPLE = ("subject", "relation", "object")
HUMAN = "human"
"""The source recorded as evidence for a graph that people made."""
_PLAIN_KEYS = ("kind", "id", "status")
"""Columns whose values are words of ours: blanks around them and capitals do not count."""
_OPTIONAL: Mapping[str, Mapping[str, Any]] = {
    "fact": {"aliases": ()},
    "rule": {"clause": None, "says": "", "scope": (), "exceptions": (), "tests": ()},
}
"""What a blank cell says of an item: that it has none."""
_ESCAPED = re.compile(r"[|\\]")
_ROUNDED = re.compile(r"\d+(?:[.,]\d+)?e\+\d+")
"""An id of digits that a spreadsheet has made a number, and rounded."""


def human_fact(subject: str, relation: str, object_: str) -> dict[str, object]:
    """A triple of a graph that people made, as an entry: the text says no more than the triple."""
    text = f"{subject}: {relation} {object_}."
    evidence = [{"source": HUMAN}]
    triple = {"subject": subject, "relation": relation, "object": object_}
    return {"kind": "fact", "text": text, **triple, "evidence": evidence}


def cells_of(entry: Entry) -> list[str]:
    """An entry's cells under the header `SHORT_KEYS`; several aliases are separated by `|`."""
    body = short(entry)
    body["aliases"] = "|".join(_ESCAPED.sub(r"\\\g<0>", alias) for alias in body.get("aliases", ()))
    return [body.get(key, "") for key in SHORT_KEYS]


def header_of(cells: Sequence[str]) -> tuple[str, ...]:
    """The names of a header's columns as they are compared; "" of a column without one."""
    return tuple(cell.strip().casefold() for cell in cells)


def header_problem(names: Sequence[str]) -> str:
    """What is wrong with a header; "" where nothing is."""
    named = [name for name in names if name]
    unknown = [name for name in named if name not in SHORT_KEYS]
    twice = [name for name in named if named.count(name) > 1]
    if not unknown and not twice and ({"kind", "text"} <= set(named) or set(TRIPLE) <= set(named)):
        return ""
    wrong = f", not {printable((unknown or twice)[0])!r}" if unknown or twice else ""
    return f"the columns must be {', '.join(TRIPLE)}, or kind and text too, and may be {', '.join(SHORT_KEYS)}{wrong}"


def row_of(where: str, names: Sequence[str], cells: Sequence[str]) -> Row | None:
    """What a row says under a header's names; None of one whose cells are all blank."""
    if not any(map(str.strip, cells)):
        return None
    beyond = [number for number, cell in enumerate(cells) if cell.strip() and not "".join(names[number : number + 1])]
    if len(cells) < len(names) or (beyond and beyond[-1] >= len(names)):
        return Row(where, problem=f"has {len(cells)} cells under {len(names)} columns")
    if beyond:
        return Row(where, problem=f"column {beyond[0] + 1} has a value, but no name in the header")
    try:
        return Row(where, _entry({name: cell for name, cell in zip(names, cells, strict=False) if name}))
    except KnowledgeError as error:
        return Row(where, problem=str(error))


def _entry(cells: dict[str, str]) -> dict[str, object]:
    body: dict[str, object] = {key: cell for key, cell in cells.items() if cell != ""}
    for key in _PLAIN_KEYS:
        if key in body:
            body[key] = cells[key].strip().casefold()
    if _ROUNDED.fullmatch(str(body.get("id", ""))):
        raise KnowledgeError(f"id: {body['id']} is an id that a spreadsheet has rounded; export as .xlsx and edit that")
    if aliases := cells.get("aliases"):
        found = re.findall(r"((?:[^|\\]|\\.|\\$)*)(?:\||$)", aliases, re.DOTALL)[:-1]
        body["aliases"] = [re.sub(r"\\(.)", r"\1", alias, flags=re.DOTALL) for alias in found]
    stripped = [cells.get(key, "").strip() for key in TRIPLE]
    # People who add a row to an exported table fill in the triple only.
    if not body.get("kind") and ("kind" not in cells or all(stripped)):
        triple = human_fact(*stripped)
        body = {**triple, **body, "kind": "fact", **{key: triple[key] for key in TRIPLE}}
    blank = {key: none for key, none in _OPTIONAL.get(str(body.get("kind")), {}).items() if cells.get(key) == ""}
    return {**blank, **from_short(body)}
