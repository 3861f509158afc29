"""Facts of tables: a row with a key gives one for each other cell, `The fee of Gold is 20 EUR.`

The key is the column that the user names, else the first whose texts are different in each row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from nesycd.core.errors import KnowledgeError
from nesycd.core.files import did_you_mean
from nesycd.core.records import Fact
from nesycd.core.text import normal, printable
from nesycd.documents.passages import LONGEST, Table
from nesycd.knowledge.formats.table import TRIPLE, human_fact
from nesycd.teachers.mining import uncapital

FORMULA = "formulas"
_NOTHING = frozenset(("", "-", "–", "—", "--", "n/a", "na", "none", "?", "tbd", "tba", "null", "nan", "..."))
_UNITS = (
    r"[A-Z]{3}|[€$£%]|km|cm|mm|m|kg|g|t|l|ml|h|s|min|hours?|minutes?|seconds?|days?|nights?|weeks?|months?|years?|kWh|kW|W|MB|GB"
    r"|[kc]?m²|[kc]?m³|°C|pieces|pages|points"
)
_UNIT = re.compile(
    rf"(?P<name>.+?)\s*(?:[(\[](?P<unit>(?:{_UNITS})(?:\s?(?:/|per) ?\w{{1,12}})?)[)\]]|\bin (?P<after>{_UNITS}))"
)
"""A head with the unit of its numbers: `Fee (EUR)`, `Rent (EUR/month)`, `Weight in kg`."""
_AMOUNT = re.compile(r"[-+]?\d[\d.,' ]*")
_CODE = re.compile(r"(?=.*\d)(?!.*[^\W\d_]{3})")
"""A key that says nothing without its head: `G3`, `12`."""
_LETTER = re.compile(r"[^\W\d_]")
_NUMBERS = frozenset(("", "#", "no", "nr", "number", "id", "index", "row", "pos", "position"))
_YES_NO = frozenset(("yes", "no", "true", "false", "x", "✓", "✔", "✗"))
_CLAUSE = re.compile(
    r"(?:what|when|where|how|who|why|which|is|are|has|have|can|may|must|does|do|reads?|makes?|needs?|requires?|allows?|counts?|used|made)\b",
    re.IGNORECASE,
)
"""The beginning of a head that is no noun."""
_LONGEST_KEY, _LONGEST_HEAD = 80, 80
_LONGEST_OBJECT = 120
"""Characters of an object that still reads well in a sentence."""


@dataclass
class Given:
    """What a table gives: facts with the numbers of their rows, what was left out, and what should be said."""

    facts: list[tuple[Fact, int]] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def facts_of(table: Table, wanted: Sequence[str], place: str) -> Given:
    """The facts of a table.

    Args:
        table: what was read.
        wanted: the heads of its key; empty: it is found.
        place: of the table, for messages.

    Raises:
        KnowledgeError: two columns have one name, or none has the one that is wanted.
    """
    given = Given(left=Counter(dict(table.left)))
    where = f"{place}: {table.unit} {table.first}"
    heads = [" ".join(head.split()) for head in table.heads]
    names = [normal(head) for head in heads]
    twice = next((head for head, name in zip(heads, names, strict=True) if name and names.count(name) > 1), "")
    if twice:
        told = f"{where}: two columns are called {printable(twice)!r}; give each a name of its own"
        if not table.is_within:
            raise KnowledgeError(told)
        given.left["rows of unclear tables"] += len(table.rows)
        given.notes.append(told)
        return given
    if set(TRIPLE) <= set(names) and not wanted:
        _triples(table, names, given)
        return given
    keys = [_wanted(heads, one, where) for one in wanted] if wanted else _found(table)
    if not keys:
        given.left["rows without a key"] += len(table.rows)
        given.notes.append(
            f"{where}: no column has another text in each row, so that it could name the rows; say which does by "
            f"knowledge.document_keys (columns: {', '.join(printable(head) for head in heads if head)})"
        )
        return given
    _rows(table, heads, keys, given)
    return given


def _wanted(heads: Sequence[str], name: str, where: str) -> int:
    names = [normal(head) for head in heads]
    if normal(name) not in names:
        raise KnowledgeError(
            f"{where}: no column is called {printable(name)!r}{did_you_mean(name, [head for head in heads if head])}"
        )
    return names.index(normal(name))


def _found(table: Table) -> list[int]:
    """The first column of different texts; numbers only where the first one has them."""
    for column, head in enumerate(table.heads):
        cells = [cells[column] for _, cells in table.rows]
        if (not head and column) or any(normal(cell) in _NOTHING or len(cell) > _LONGEST_KEY for cell in cells):
            continue
        textual = sum(bool(_LETTER.search(cell)) for cell in cells) >= 0.9 * len(cells)
        numbers = column == 0 and all(_AMOUNT.fullmatch(cell) for cell in cells) and not _counts_rows(head, cells)
        if len({normal(cell) for cell in cells}) == len(cells) and (textual or numbers):
            return [column]
    return []


def _counts_rows(head: str, cells: Sequence[str]) -> bool:
    """Whether a column only numbers its rows."""
    counts = [[str(number + first) for number in range(len(cells))] for first in (0, 1)]
    return normal(head).rstrip(".") in _NUMBERS and len(cells) > 1 and list(cells) in counts


def _rows(table: Table, heads: Sequence[str], keys: Sequence[int], given: Given) -> None:
    columns = []
    relations = _relations(heads)
    for column, head in enumerate(heads):
        cells = [cells[column] for _, cells in table.rows]
        if column in keys or _counts_rows(head, cells):
            continue
        if not head or len(head) > _LONGEST_HEAD:
            given.left["cells without a head"] += sum(bool(cell) for cell in cells)
            continue
        columns.append((column, *relations[column]))
    for number, row in table.rows:
        named = [row[key] for key in keys]
        if any(normal(name) in _NOTHING or len(name) > _LONGEST_KEY for name in named):
            given.left["rows without a key"] += 1
            continue
        subject, alias = _subject([heads[key] for key in keys], named)
        for column, relation, unit in columns:
            cell = row[column]
            if normal(cell) in _NOTHING:
                given.left["empty cells"] += 1
            elif cell.startswith("="):
                given.left[FORMULA] += 1
            elif len(cell) > LONGEST:
                given.left["too long"] += 1
            else:
                object_ = f"{cell} {unit}" if unit and _AMOUNT.fullmatch(cell) else cell
                given.facts.append((_fact(subject, relation, object_, alias), number))


def _relations(heads: Sequence[str]) -> list[tuple[str, str]]:
    """What each column says of its rows, and the unit of its numbers; two in several units keep them in their names."""
    read = [(found["name"], found["unit"] or found["after"]) if (found := _UNIT.fullmatch(head)) else (head, "")
            for head in heads]  # fmt: skip
    known = Counter(normal(name) for name, _ in read)
    return [
        (uncapital((name if known[normal(name)] == 1 else head).strip(" :")) or head, unit)
        for head, (name, unit) in zip(heads, read, strict=True)
    ]


def _subject(heads: Sequence[str], names: Sequence[str]) -> tuple[str, str]:
    """What a row is about, and another name for it."""
    if len(names) > 1 or not heads[0] or not _CODE.match(names[0]):
        return ", ".join(names), ""
    head = uncapital(heads[0])
    named = names[0] if normal(names[0]).startswith(normal(head)) else f"{head} {names[0]}"
    return named, names[0] if named != names[0] and _LETTER.search(names[0]) else ""


def _fact(subject: str, relation: str, object_: str, alias: str) -> Fact:
    if (
        _CLAUSE.match(relation)
        or normal(object_) in _YES_NO
        or len(object_) > _LONGEST_OBJECT
        or object_.endswith((".", "!", "?"))
    ):
        text = f"{subject}: {relation}: {object_}{'' if object_.endswith(('.', '!', '?')) else '.'}"
    else:
        text = f"The {relation} of {subject} {is_or_are(relation)} {object_}."
    return Fact(text=text, subject=subject, relation=relation, object=object_, aliases=(alias,) if alias else ())


def is_or_are(noun: str) -> str:
    """The verb after a noun: `opening hours` are."""
    last = noun.split()[-1] if noun.split() else noun
    return "are" if last.endswith("s") and not last.endswith(("ss", "us", "is", "as")) else "is"


def _triples(table: Table, names: Sequence[str], given: Given) -> None:
    """The rows of a table of subject, relation and object, with the text that it has."""
    for number, cells in table.rows:
        row = {name: cell for name, cell in zip(names, cells, strict=True) if name}
        if not all(row[key] for key in TRIPLE):
            given.left["rows without subject, relation or object"] += 1
        elif max(map(len, cells)) > LONGEST:
            given.left["too long"] += 1
        else:
            text = row.get("text") or str(human_fact(*(row[key] for key in TRIPLE))["text"])
            aliases = tuple(one.strip() for one in row.get("aliases", "").split("|") if one.strip())
            subject, relation, object_ = (row[key] for key in TRIPLE)
            fact = Fact(text=text, subject=subject, relation=relation, object=object_, aliases=aliases)
            given.facts.append((fact, number))
