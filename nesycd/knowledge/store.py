"""The KnowledgeBase: entries with evidence, review and history in one database. Knows no file format and no ranking.

Every change is one transaction: it happens wholly or not at all, and many processes may write at once.

Example:
    >>> from nesycd.knowledge import KnowledgeBase
    >>> from nesycd.records import Evidence, Lesson
    >>> with KnowledgeBase.open(":memory:") as kb:
    ...     counts = kb.add([(Lesson(text="Count the items one by one."), Evidence(example="q1", source="expert"))])
    ...     kb.approve_all(), kb.stats()["by_status"]
    (1, {'approved': 1})
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError
from sqlalchemy import Engine, select
from sqlalchemy.engine import Connection

from nesycd.errors import KnowledgeError
from nesycd.knowledge import rows, schema
from nesycd.knowledge.merge import AUTO, entry_order
from nesycd.knowledge.rows import AddCounts
from nesycd.knowledge.text import normal
from nesycd.records import Entry, Evidence, Item, Rule, Status, content_hash

Gate = Callable[[Sequence[Rule], Sequence[Rule], Callable[[], Collection[str]]], None]
"""Told the approved rules before and after a change, and how to find the relations of the approved facts; refuses the
change by a `KnowledgeError` (`rule_tests.RuleGate`)."""


@dataclass(frozen=True)
class Revision:
    """One line of an entry's history: who did what and when (UTC), and what the entry was after it."""

    at: str
    actor: str
    action: str
    status: Status
    item: Item
    note: str


class KnowledgeBase:
    """A store of knowledge entries. Make one with `open`; use it as a context manager."""

    def __init__(self, engine: Engine, place: str, gate: Gate | None = None) -> None:
        """Wrap an engine that `schema.connect` made; `place` names the KB in messages."""
        self._engine = engine
        self._gate = gate
        self.place = place

    @classmethod
    def open(cls, place: str | Path, *, create: bool = True, gate: Gate | None = None) -> Self:
        """Open the KB at a file path, `":memory:"` or a database URL; with `create`, make it where there is none.

        A change of the approved rules that `gate` refuses does not happen.

        Raises:
            KnowledgeError: the file is not a KB, is of another schema, or cannot be opened.
        """
        where = "sqlite://" if str(place) == ":memory:" else place
        return cls(schema.connect(where, create=create), str(place), gate)

    def close(self) -> None:
        """Release the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction for several of `rows`' operations that belong together: all of them happen or none."""
        with schema.writing(self._engine, self.place) as connection:
            before = rows.approved_rules(connection) if self._gate is not None else []
            yield connection
            if self._gate is None:
                return
            after = rows.approved_rules(connection)
            if after != before:
                self._gate(before, after, lambda: rows.approved_relations(connection))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view for `rows`' read operations."""
        with schema.reading(self._engine, self.place) as connection:
            yield connection

    # --- adding ------------------------------------------------------------------------------------------------------

    def add(
        self, items: Iterable[tuple[Item, Evidence]], *, status: Status = Status.PROPOSED, reviewer: str = ""
    ) -> AddCounts:
        """Add items with the evidence for each; equal ones merge (see `merge.unite`), in whatever order they come."""
        return self.add_entries(
            Entry(item=item, status=status, reviewer=reviewer, evidence=(evidence,)) for item, evidence in items
        )

    def add_entries(self, entries: Iterable[Entry]) -> AddCounts:
        """Add whole entries, merging each with its equal."""
        given = list(entries)
        with self.writing() as connection:
            return rows.merge_in(connection, given)

    def propose(self, item: Item, evidence: Evidence) -> Entry:
        """Add one item for review; gives the entry as it now stands (it may have been there before)."""
        self.add([(item, evidence)])
        return self.get(item.id)

    # --- reading -----------------------------------------------------------------------------------------------------

    def get(self, item_id: str) -> Entry:
        """The entry with this id, an earlier id of it, or a unique prefix (at least 4 characters) of one.

        Raises:
            KnowledgeError: the id is unknown, too short or fits several entries.
        """
        with self.reading() as connection:
            uid = rows.find(connection, item_id)
            return rows.load(connection, [uid])[uid]

    def entries(self, *, status: Status | None = None, kind: str | None = None, search: str = "") -> list[Entry]:
        """Entries in a fixed order: those of the given status and kind that contain all words of `search`."""
        table = schema.entries
        query = select(table.c.uid)
        if status is not None:
            query = query.where(table.c.status == str(status))
        if kind is not None:
            query = query.where(table.c.kind == kind)
        for word in normal(search).split():
            query = query.where(table.c.words.contains(word, autoescape=True))
        everything = status is None and kind is None and not search
        with self.reading() as connection:
            uids = None if everything else list(connection.execute(query).scalars())
            return sorted(rows.load(connection, uids).values(), key=entry_order)

    def history(self, item_id: str) -> list[Revision]:
        """All revisions of an entry, oldest first."""
        table = schema.history
        with self.reading() as connection:
            uid = rows.find(connection, item_id)
            lines = connection.execute(select(table).where(table.c.entry == uid).order_by(table.c.seq)).all()
        return [
            Revision(r.at, r.actor, r.action, Status(r.status), rows.ITEM.validate_json(r.item), r.note) for r in lines
        ]

    def stats(self) -> dict[str, Any]:
        """`items`, `by_kind`, `by_status` and `sources` (number of entries with evidence from each source)."""
        table, proof = schema.entries, schema.evidence
        with self.reading() as connection:
            found = connection.execute(select(table.c.kind, table.c.status)).all()
            pairs = connection.execute(select(proof.c.source, proof.c.entry).distinct()).all()
        return {
            "items": len(found),
            "by_kind": dict(sorted(Counter(row.kind for row in found).items())),
            "by_status": dict(sorted(Counter(row.status for row in found).items())),
            "sources": dict(sorted(Counter(row.source for row in pairs).items())),
        }

    @property
    def version(self) -> str:
        """Hash of the approved items' contents: the key of all that is built from them (indexes, caches)."""
        table = schema.entries
        with self.reading() as connection:
            ids = connection.execute(select(table.c.item_id).where(table.c.status == str(Status.APPROVED))).scalars()
            return knowledge_version(ids)

    # --- review ------------------------------------------------------------------------------------------------------

    def approve(self, item_id: str, reviewer: str) -> Entry:
        """Let an entry be retrieved."""
        return self._decide(item_id, Status.APPROVED, reviewer)

    def approve_these(self, item_ids: Iterable[str], reviewer: str) -> list[Entry]:
        """Approve several entries as one change: all or none."""
        if not reviewer.strip():
            raise KnowledgeError("a review needs the reviewer's name")
        with self.writing() as connection:
            uids = [rows.find(connection, item_id) for item_id in item_ids]
            rows.set_status(connection, list(dict.fromkeys(uids)), Status.APPROVED, reviewer)
            after = rows.load(connection, uids)
        return [after[uid] for uid in uids]

    def reject(self, item_id: str, reviewer: str) -> Entry:
        """Refuse an entry: it stays on record, and the same item proposed again stays rejected."""
        return self._decide(item_id, Status.REJECTED, reviewer)

    def retire(self, item_id: str, reviewer: str) -> Entry:
        """Take an entry that was good out of use."""
        return self._decide(item_id, Status.RETIRED, reviewer)

    def approve_all(self, reviewer: str = AUTO, *, but: Collection[str] = ()) -> int:
        """Approve whatever is proposed (`review = "auto"`), recorded under `reviewer`; gives the number.

        `but`: ids of items that stay as they are.
        """
        table = schema.entries
        with self.writing() as connection:
            waiting = select(table.c.uid).where(table.c.status == str(Status.PROPOSED), table.c.item_id.not_in(but))
            return rows.set_status(connection, list(connection.execute(waiting).scalars()), Status.APPROVED, reviewer)

    def edit(self, item_id: str, changes: Mapping[str, Any], reviewer: str) -> Entry:
        """Change fields of an item; its evidence and status stay, and the old content remains in the history.

        Raises:
            KnowledgeError: an unknown field, a value that does not fit, no reviewer, or an equal item elsewhere.
        """

        def with_changes(entry: Entry) -> Item:
            if "kind" in changes:
                raise KnowledgeError("an item's kind cannot be changed; add a new item and reject this one")
            try:
                return rows.ITEM.validate_python({**entry.item.model_dump(), **changes})
            except ValidationError as error:
                raise KnowledgeError(f"item {entry.item_id}: {first_problem(error)}") from None

        return self._act(item_id, reviewer, lambda c, uid: rows.rewrite(c, uid, with_changes, reviewer))

    def _decide(self, item_id: str, status: Status, reviewer: str) -> Entry:
        return self._act(item_id, reviewer, lambda c, uid: rows.set_status(c, [uid], status, reviewer))

    def _act(self, item_id: str, reviewer: str, act: Callable[[Connection, str], object]) -> Entry:
        if not reviewer.strip():
            raise KnowledgeError("a review needs the reviewer's name")
        with self.writing() as connection:
            uid = rows.find(connection, item_id)
            act(connection, uid)
            return rows.load(connection, [uid])[uid]


def knowledge_version(item_ids: Iterable[str]) -> str:
    """Hash of a set of items, given by id; `KnowledgeBase.version` is that of the approved ones."""
    return content_hash(sorted(item_ids))


def first_problem(error: ValidationError) -> str:
    """`key: message` of the first thing pydantic found wrong with an item."""
    first = error.errors()[0]
    kinds = {"lesson", "fact", "rule"}
    key = ".".join(str(part) for part in first["loc"] if part not in kinds) or "kind"
    return f"{key}: {first['msg']}"
