"""Documents to proposals: what each document states, each item with the place that it cites, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nesycd.core.errors import ConfigError, KnowledgeError
from nesycd.core.files import did_you_mean, read_text
from nesycd.core.judgements import Refusal
from nesycd.core.records import Evidence, Example, Fact, Item
from nesycd.core.text import normal, printable, shortened
from nesycd.documents import sheets, statements
from nesycd.documents.files import File, files_of
from nesycd.documents.markup import read_markup
from nesycd.documents.passages import Table
from nesycd.documents.table_facts import facts_of
from nesycd.knowledge import filters
from nesycd.knowledge.citations import cite

Keys = Mapping[str, str | Sequence[str]]
"""The heads of the columns that name a table's rows, by document, or by document and sheet or heading: `prices.xlsx#Rates`."""


@dataclass
class Reading:
    """What was read of a document.

    Attributes:
        document: its name.
        proposals: its items, each with its place as evidence.
        passages: how many sentences, terms, lists and rows it has.
        left: what gave nothing, by the reason.
        notes: what the user should know, a sentence each.
    """

    document: str
    proposals: list[tuple[Item, Evidence]] = field(default_factory=list)
    passages: int = 0
    left: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """What came of it, in a line."""
        kinds = Counter(item.kind for item, _ in self.proposals)
        told = ", ".join(f"{count:,} {kind}{'s' if count != 1 else ''}" for kind, count in sorted(kinds.items()))
        left = statements.counted(self.left)
        return f"{told or 'no items'} from {self.passages:,} sentences and rows{f'; left out: {left}' if left else ''}"

    def examples(self, most: int) -> list[str]:
        """Some of its items, of each kind and from all of it, with their places."""
        by_kind: dict[str, list[tuple[Item, Evidence]]] = {}
        for item, evidence in self.proposals:
            by_kind.setdefault(item.kind, []).append((item, evidence))
        share = -(-most // max(1, len(by_kind)))
        chosen = [
            some[number * len(some) // share] for some in by_kind.values() for number in range(min(share, len(some)))
        ]
        return [
            f"{evidence.source}: {item.kind}: {printable(shortened(item.text))}" for item, evidence in chosen[:most]
        ]


def refusals(readings: Sequence[Reading], questions: Mapping[str, Sequence[Example]]) -> list[Refusal]:
    """The items that the filters of a run refuse.

    Args:
        readings: of documents.
        questions: the run's, by their split; items may say what those of `train` are about.
    """
    proposals = [proposal for reading in readings for proposal in reading.proposals]
    outside = [one for split, some in questions.items() if split != "train" for one in some]
    return filters.refusals(proposals, questions.get("train", ()), outside, {})


def read_documents(paths: Sequence[Path], keys: Keys | None = None) -> list[Reading]:
    """The items that documents state.

    Args:
        paths: of files, and of folders of files.
        keys: which columns name the rows of tables; of others it is found.

    Raises:
        KnowledgeError: a document cannot be read: with its line, row or column.
        ConfigError: `keys` names a table that there is none of.
    """
    wanted = dict(keys or {})
    files = files_of(paths)
    used: set[str] = set()
    readings = [_read(file, wanted, used) for file in files]
    if unknown := next((name for name in wanted if name not in used), ""):
        tables = sorted({name for reading in readings for name in _tables_of(reading)} | {file.name for file in files})
        raise ConfigError(
            f"knowledge.document_keys: no document has the table {printable(unknown)!r}{did_you_mean(unknown, tables)}"
        )
    return readings


def _tables_of(reading: Reading) -> set[str]:
    return {evidence.source.rpartition(", ")[0] for _, evidence in reading.proposals}


def _read(file: File, keys: Keys, used: set[str]) -> Reading:
    reading = Reading(file.name)
    if file.suffix in (".csv", ".tsv"):
        tables = sheets.read_csv(file.path)
    elif file.suffix == ".xlsx":
        tables = sheets.read_sheets(file.path)
    else:
        marked = read_markup(read_text(file.path, KnowledgeError), file.suffix != ".txt")
        reading.left.update(marked.left)
        for passage, items, why in statements.items_of(marked.passages, marked.title):
            reading.passages += 1
            reading.left[why] += not items
            part = " > ".join(one for one in passage.headings if one != marked.title)
            source = cite(file.name, part, "line", passage.line, passage.sentence)
            reading.proposals += [(item, Evidence(example="", source=source)) for item in items]
        tables = [replace(one, part=one.part.removeprefix(marked.title).removeprefix(" > ")) for one in marked.tables]
    given = [(table, _facts(reading, file, table, keys, used)) for table in tables]
    several = Counter(about for _, facts in given for about in {_about(fact) for fact, _ in facts})
    for table, facts in given:
        for fact, number in facts:
            # Where several tables give a row of one name the same value, each says which it is.
            shown = _of_part(fact, table.part) if several[_about(fact)] > 1 and table.part else fact
            evidence = Evidence(example="", source=cite(file.name, table.part, table.unit, number))
            reading.proposals.append((shown, evidence))
    reading.left = Counter({why: count for why, count in reading.left.items() if count})
    if not reading.proposals:
        reading.notes.append(f"{file.path}: nothing in it is stated in a form that is understood")
    return reading


def _facts(reading: Reading, file: File, table: Table, keys: Keys, used: set[str]) -> list[tuple[Fact, int]]:
    """The facts of a table, each with the number of its row."""
    names = (f"{file.name}#{table.part}", file.name)
    chosen = next((name for name in names if name in keys), "")
    used |= {name for name in names if name in keys}
    key = keys.get(chosen, ())
    wanted = (key,) if isinstance(key, str) else key
    given = facts_of(table, wanted, f"{file.path}{f'#{table.part}' if table.part else ''}")
    reading.passages += len(table.rows)
    reading.left.update(given.left)
    reading.notes += given.notes
    return given.facts


def _about(fact: Fact) -> tuple[str, str]:
    return normal(fact.subject), normal(fact.relation)


def _of_part(fact: Fact, part: str) -> Fact:
    """A fact of one of several sheets, or of a table below one of several headings."""
    return fact.model_copy(update={"text": f"{part}: {fact.text}", "relation": f"{fact.relation} ({part})"})
