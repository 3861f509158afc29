"""The KnowledgeBase: entries with evidence, review and history in one database. Independent of file formats and ranking.

Every change is one transaction: it happens wholly or not at all, and many processes may write at once.

Example:
    >>> from nesycd.knowledge import KnowledgeBase
    >>> from nesycd.core.records import Evidence, Lesson
    >>> with KnowledgeBase.open(":memory:") as kb:
    ...     counts = kb.add([(Lesson(text="Count the items one by one."), Evidence(example="q1", source="expert"))])
    ...     kb.approve_all(), kb.stats()["by_status"]
    (1, {'approved': 1})
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError
from sqlalchemy import Engine, func, select
from sqlalchemy.engine import Connection

from nesycd.core.collection import no_collection
from nesycd.core.errors import KnowledgeError
from nesycd.core.markup import tag
from nesycd.core.notebook import Listing, grid, shown
from nesycd.core.records import Entry, Evidence, Item, Rule, Status, content_hash
from nesycd.core.text import normal
from nesycd.knowledge import database, rows, schema, versions
from nesycd.knowledge import urls as places
from nesycd.knowledge.changes import Difference, differences, last_line, touched_since
from nesycd.knowledge.citations import origin
from nesycd.knowledge.database import Change, Notify
from nesycd.knowledge.formats.mapping import first_problem
from nesycd.knowledge.journal import parts
from nesycd.knowledge.merge import AUTO, entry_order
from nesycd.knowledge.rows import AddCounts
from nesycd.knowledge.versions import HistoryLine, Revision

Gate = Callable[[Sequence[Rule], Sequence[Rule], Callable[[], Collection[str]]], None]
"""Told the approved rules before and after a change, and how to find the relations of the approved facts; refuses the
change by a `KnowledgeError` (`rule_tests.RuleGate`)."""


class DryRun(Exception):
    """Raised in `KnowledgeBase.writing`, it ends a change that the gate is asked about and that nothing shall stay of."""


class KnowledgeBase:
    """A store of knowledge entries. Make one with `open`; use it as a context manager."""

    def __init__(self, engine: Engine, place: str, gate: Gate | None = None) -> None:
        """Wrap an engine that `database.connect` made; `place` names the KB in messages, without a password."""
        self._engine = engine
        self._gate = gate
        self.place = place

    @classmethod
    def open(
        cls,
        place: str | Path,
        *,
        create: bool = True,
        is_backed_up: bool = False,
        notify: Notify | None = None,
        gate: Gate | None = None,
    ) -> Self:
        """Open the KB at a file path, `":memory:"` or a database URL; with `create`, make it where there is none.

        A file of an older schema is brought up to date, after a backup of which `notify` is told; a server's database
        only where the caller says that it `is_backed_up`. A change of the approved rules that `gate` refuses does not
        happen.

        Raises:
            KnowledgeError: the file is not a KB, is of a newer schema or of one too old, or cannot be opened.
        """
        where = "sqlite://" if str(place) == ":memory:" else place
        engine = database.connect(where, create=create, is_backed_up=is_backed_up, notify=notify)
        return cls(engine, places.shown(place), gate)

    def close(self) -> None:
        """Release the database."""
        self._engine.dispose()

    def __repr__(self) -> str:
        """Where it is, and how many entries it has; the latter not where it cannot be read."""
        try:
            found = self.stats()
        except KnowledgeError:
            return f"<knowledge base {self.place}>"
        told = ", ".join(f"{count} {status}" for status, count in found["by_status"].items())
        return f"<knowledge base {self.place}: {found['items']} entries{f' ({told})' if told else ''}>"

    def _repr_html_(self) -> str:
        """For notebooks: how many entries of each kind have which status."""
        table = schema.entries
        query = select(table.c.kind, table.c.status, func.count().label("n")).group_by(table.c.kind, table.c.status)
        try:
            with self.reading() as connection:
                counts = {(row.kind, row.status): int(row.n) for row in connection.execute(query)}
                told = f"revision {versions.newest(connection)}"
        except KnowledgeError:
            return shown(tag("p", repr(self)))
        kinds = sorted({kind for kind, _ in counts})
        found = [str(one) for one in Status if any(status == one for _, status in counts)]
        body = [[kind, *(str(counts.get((kind, status), 0)) for status in found)] for kind in kinds]
        return shown(tag("p", f"Knowledge base {self.place}, {told}"), grid(["items", *found], body))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def writing(self, actor: str = "", action: str = "", why: str = "") -> Iterator[Connection]:
        """A transaction for several of `rows`' operations that belong together: all of them happen, or none.

        They are one revision. `actor` and `action` follow from the operations where not given.
        """
        with self._changing(Change(actor, action, why)) as connection:
            before = rows.approved_rules(connection) if self._gate is not None else []
            try:
                yield connection
            except DryRun:
                self._ask_gate(connection, before)
                raise
            self._ask_gate(connection, before)

    def _changing(self, change: Change) -> AbstractContextManager[Connection]:
        return database.writing(self._engine, self.place, change)

    @contextmanager
    def trial(self) -> Iterator[Trial]:
        """A base to try changes on, of which nothing stays: all that can be done with this one can be done with it.

        Whatever would be refused is refused. Others who want to write wait until it ends, so only change and read in it.
        """
        try:
            with database.writing(self._engine, self.place) as connection:
                yield Trial(self, connection)
                raise DryRun
        except DryRun:
            pass

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view for `rows`' read operations."""
        with database.reading(self._engine, self.place) as connection:
            yield connection

    # --- adding ------------------------------------------------------------------------------------------------------

    def add(
        self,
        items: Iterable[tuple[Item, Evidence]],
        *,
        status: Status = Status.PROPOSED,
        reviewer: str = "",
        why: str = "",
    ) -> AddCounts:
        """Add items with the evidence for each; equal ones merge (see `merge.unite`), in whatever order they come."""
        entries = (Entry(item=item, status=status, reviewer=reviewer, evidence=(evidence,)) for item, evidence in items)
        return self.add_entries(entries, why=why)

    def add_entries(self, entries: Iterable[Entry], *, why: str = "") -> AddCounts:
        """Add whole entries, merging each with its equal."""
        with self.writing(why=why) as connection:
            return rows.merge_in(connection, entries)

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
        where = [table.c.words.contains(word, autoescape=True) for word in normal(search).split()]
        if status is not None:
            where.append(table.c.status == str(status))
        if kind is not None:
            where.append(table.c.kind == kind)
        with self.reading() as connection, no_collection():
            return Listing(sorted((entry for _, entry in rows.each(connection, *where)), key=entry_order))

    def history(self, item_id: str) -> list[HistoryLine]:
        """All that happened to an entry, oldest first; one that was removed by a revert is found by its id too."""
        with self.reading() as connection:
            return Listing(versions.lines_of(connection, rows.find(connection, item_id, gone=True)))

    def stats(self) -> dict[str, Any]:
        """`items`, `by_kind`, `by_status` and `sources` (number of entries with evidence from each source)."""
        table, proof = schema.entries, schema.evidence
        with self.reading() as connection:
            kinds, statuses, sources = (
                {str(row[0]): int(row[1]) for row in connection.execute(select(column, number).group_by(column))}
                for column, number in (
                    (table.c.kind, func.count()),
                    (table.c.status, func.count()),
                    (proof.c.source, func.count(proof.c.entry.distinct())),
                )
            )
            origins = Counter(map(origin, sources))
            # An entry may have evidence from several places of one source.
            several = [source for source in sources if origins[origin(source)] > 1]
            pairs: set[tuple[str, str]] = set()
            for part in parts(several):
                query = select(proof.c.source, proof.c.entry).where(proof.c.source.in_(part)).distinct()
                pairs.update((origin(row.source), row.entry) for row in connection.execute(query))
        single = {origin(source): n for source, n in sources.items() if origins[origin(source)] == 1}
        return {
            "items": sum(kinds.values()),
            "by_kind": dict(sorted(kinds.items())),
            "by_status": dict(sorted(statuses.items())),
            "sources": dict(sorted({**single, **Counter(source for source, _ in pairs)}.items())),
        }

    def ids(self, item_id: str) -> frozenset[str]:
        """All ids that an entry, given by any of them, has or had: its id follows its content.

        Raises:
            KnowledgeError: see `get`.
        """
        with self.reading() as connection:
            uid = rows.find(connection, item_id, gone=True)
            return frozenset(
                connection.execute(select(schema.names.c.item_id).where(schema.names.c.entry == uid)).scalars()
            )

    @property
    def version(self) -> str:
        """Hash of the approved items' contents: the key of all that is built from them (indexes, caches)."""
        table = schema.entries
        with self.reading() as connection:
            ids = connection.execute(select(table.c.item_id).where(table.c.status == str(Status.APPROVED))).scalars()
            return knowledge_version(ids)

    # --- review ------------------------------------------------------------------------------------------------------

    def approve(self, item_id: str, reviewer: str, why: str = "") -> Entry:
        """Let an entry be retrieved."""
        return self.decide([item_id], Status.APPROVED, reviewer, why)[0]

    def reject(self, item_id: str, reviewer: str, why: str = "") -> Entry:
        """Refuse an entry: it stays on record, and the same item proposed again stays rejected."""
        return self.decide([item_id], Status.REJECTED, reviewer, why)[0]

    def retire(self, item_id: str, reviewer: str, why: str = "") -> Entry:
        """Take an entry that was good out of use."""
        return self.decide([item_id], Status.RETIRED, reviewer, why)[0]

    def decide(self, item_ids: Iterable[str], status: Status, reviewer: str, why: str = "") -> list[Entry]:
        """Approve, reject or retire several entries as one revision: all or none.

        Raises:
            KnowledgeError: an id that is unknown, too short or fits several entries, no reviewer, or a rule that is refused.
        """
        with self._by(reviewer, "", why) as connection:
            uids = list(dict.fromkeys(rows.find(connection, item_id) for item_id in item_ids))
            rows.set_status(connection, uids, status, reviewer)
            after = rows.load(connection, uids)
        return [after[uid] for uid in uids]

    def approve_all(self, reviewer: str = AUTO, why: str = "", *, but: Collection[str] = ()) -> int:
        """Approve whatever is proposed (`review = "auto"`), recorded under `reviewer`; gives the number.

        `but`: ids of items that stay as they are.
        """
        table = schema.entries
        with self.writing(reviewer, why=why) as connection:
            waiting = select(table.c.uid).where(table.c.status == str(Status.PROPOSED), table.c.item_id.not_in(but))
            return rows.set_status(connection, list(connection.execute(waiting).scalars()), Status.APPROVED, reviewer)

    def edit(self, item_id: str, changes: Mapping[str, Any], reviewer: str, why: str = "") -> Entry:
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

        with self._by(reviewer, "", why) as connection:
            uid = rows.find(connection, item_id)
            rows.rewrite(connection, uid, with_changes, reviewer)
            return rows.load(connection, [uid])[uid]

    # --- versions ----------------------------------------------------------------------------------------------------

    def revisions(self, limit: int | None = None) -> list[Revision]:
        """All changes, or the last `limit`, newest first."""
        with self.reading() as connection:
            return Listing(versions.listed(connection, limit))

    @property
    def revision(self) -> int:
        """The number of the last revision; 0 in a new KB."""
        with self.reading() as connection:
            return versions.newest(connection)

    def tag(self, name: str, actor: str, why: str = "") -> int:
        """Name the state as it is now, for good; gives its revision.

        Raises:
            KnowledgeError: the name is taken, or cannot be one.
        """
        with self.writing() as connection:
            return versions.tag(connection, name, actor, why)

    def state(self, version: str = versions.NOW) -> list[Entry]:
        """The entries as they were after a revision, given by number or name.

        Raises:
            KnowledgeError: there is no such version.
        """
        with self.reading() as connection:
            found = versions.state_at(connection, versions.number_of(connection, version))
        return sorted(found.values(), key=entry_order)

    def diff(self, before: str, after: str = versions.NOW) -> list[Difference]:
        """What differs between two revisions, given by number or name.

        Raises:
            KnowledgeError: there is no such version.
        """
        with self.reading() as connection:
            numbers = [versions.number_of(connection, version) for version in (before, after)]
            uids = versions.touched(connection, min(numbers), max(numbers))
            old, new = (versions.state_at(connection, number, uids) for number in numbers)
        return Listing(differences(old, new))

    def revert(self, revision: int, reviewer: str, why: str = "") -> int:
        """Take back one revision by a new one; gives the number of entries changed.

        Raises:
            KnowledgeError: no such revision, no reviewer, or a later revision changed the same again.
        """
        with self._by(reviewer, "revert", why or f"without revision {revision}") as connection:
            return versions.undo(connection, revision, reviewer)

    def revert_to(self, version: str, reviewer: str, why: str = "") -> int:
        """Make the KB what it was at a version, by a new revision; gives the number of entries changed.

        Raises:
            KnowledgeError: no such version, or no reviewer.
        """
        with self._by(reviewer, "revert", why or f"back to {version}") as connection:
            return versions.go_back(connection, versions.number_of(connection, version), reviewer)

    def problems(self) -> list[str]:
        """Damage to the file, gaps among the revisions, entries that are not what their history says; mostly none."""
        with self.reading() as connection:
            return versions.problems(connection)

    # -----------------------------------------------------------------------------------------------------------------

    @contextmanager
    def _by(self, reviewer: str, action: str, why: str) -> Iterator[Connection]:
        if not reviewer.strip():
            raise KnowledgeError("a review needs the reviewer's name")
        with self.writing(reviewer, action, why) as connection:
            yield connection

    def _ask_gate(self, connection: Connection, before: Sequence[Rule]) -> None:
        if self._gate is None:
            return
        after = rows.approved_rules(connection)
        if after != before:
            self._gate(before, after, lambda: rows.approved_relations(connection))


class Trial(KnowledgeBase):
    """A base whose changes are taken back at the end (`KnowledgeBase.trial`); only for the thread that made it."""

    def __init__(self, base: KnowledgeBase, connection: Connection) -> None:
        """`connection`: within the transaction that is taken back."""
        super().__init__(base._engine, base.place, base._gate)
        self._connection = connection
        self._begun, self._line = versions.newest(connection), last_line(connection)

    def close(self) -> None:
        """Nothing: it ends with its transaction."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """See `KnowledgeBase.reading`."""
        yield self._connection

    @contextmanager
    def _changing(self, change: Change) -> Iterator[Connection]:
        self._connection.execution_options(nesycd_change=change)
        with self._connection.begin_nested():
            yield self._connection

    def differences(self) -> list[Difference]:
        """What the changes made so far come to, in the order of listings."""
        uids = touched_since(self._connection, self._line)
        before = versions.state_at(self._connection, self._begun, uids)
        return differences(before, rows.load(self._connection, uids))


def knowledge_version(item_ids: Iterable[str]) -> str:
    """Hash of a set of items, given by id; `KnowledgeBase.version` is that of the approved ones."""
    return content_hash(sorted(item_ids))
