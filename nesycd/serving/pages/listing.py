"""Lists of items, the queue among them: what of each entry filters and orders need, kept in memory and up to date.

The first reading takes two seconds at 50,000 items, three where 5,000 questions are looked at too; after that only what changed
is read again, and whole entries are loaded for a page only. Words are looked for here too, which takes a tenth of the time of
doing so in the database. The order of the queue is that of `knowledge/priority.py`.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import nlargest
from operator import attrgetter, itemgetter
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from nesycd.core.collection import no_collection
from nesycd.core.text import normal
from nesycd.knowledge import KnowledgeBase, rows
from nesycd.knowledge.citations import origin
from nesycd.knowledge.priority import Background, Priority, priorities, what
from nesycd.knowledge.queue import NOBODY, Read, by_uid, diagnosed, names_of, read_entries
from nesycd.knowledge.schema import history
from nesycd.serving.pages.evidence import Effect

_ORDERED = 80
"""Characters of a text by which listings are ordered."""
_MANY = 2000
"""Changed entries from which on all is ordered anew."""
KINDS = ("fact", "lesson", "rule")


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept of an entry.

    Attributes:
        uid, item_id, kind, status, reviewer: see `Entry` and `schema.entries`.
        relation: normalised; "" where it is no fact.
        names: the entities that a fact names, normalised: subject, object, aliases.
        sources: who proposed it, or the documents that state it.
        pieces: of evidence for it.
        reasons: why it was queued.
        priority: where it stands in the queue.
        place: sort key of listings.
    """

    uid: str
    item_id: str
    kind: str
    status: str
    reviewer: str
    relation: str
    names: tuple[str, ...]
    sources: frozenset[str]
    pieces: int
    reasons: tuple[str, ...]
    priority: Priority
    place: tuple[str, ...]
    words: str
    """The texts that are searched in, normalised."""

    @property
    def subject(self) -> str:
        """Of a fact, normalised; "" of other items."""
        return self.names[0] if self.names else ""

    @property
    def waits(self) -> bool:
        """Whether somebody should look: it is proposed, queued for a reason, or in use without that a person looked at it."""
        return (
            bool(self.reasons) or self.status == "proposed" or (self.status == "approved" and self.reviewer in NOBODY)
        )


@dataclass(frozen=True)
class Filter:
    """Which items are listed; empty parts do not count."""

    kind: str = ""
    status: str = ""
    source: str = ""
    relation: str = ""
    reason: str = ""
    search: str = ""
    order: str = ""
    """`name`, or "" for the priority."""

    def query(self, **more: str | int) -> str:
        """As a query string, without empty parts."""
        given: dict[str, str | int] = {**{key: value for key, value in vars(self).items() if value}, **more}
        return urlencode({key: value for key, value in given.items() if value != ""})

    def __bool__(self) -> bool:
        return any(value for key, value in vars(self).items() if key != "order")


@dataclass(frozen=True)
class Snapshot:
    """All rows at one state of the base."""

    seq: int
    rows: dict[str, Row]
    queue: Sequence[Row]
    """Those that wait, in order."""
    by_name: Sequence[Row]
    by_id: dict[str, Row]
    named: dict[str, set[str]]
    """Uids of the facts that name an entity."""
    counts: Mapping[str, Counter[str]]
    """How many items there are by `kind`, `status`, `source`, `relation` and, of those that wait, `reason`."""

    @cached_property
    def hubs(self) -> list[tuple[str, int]]:
        """The entities that most facts name, with how many do."""
        return nlargest(60, ((name, len(uids)) for name, uids in list(self.named.items()) if uids), key=itemgetter(1))

    def facts_of(self, names: Iterable[str]) -> list[Row]:
        """The facts that name any of some entities (normalised), by uid."""
        uids = sorted({uid for name in names for uid in self.named.get(name, ())})
        return [row for uid in uids if (row := self.rows.get(uid)) is not None]

    def of_kind(self, kind: str) -> Sequence[Row]:
        """The rows of a kind, by name."""
        low, high = (bisect_left(self.by_name, (one,), key=attrgetter("place")) for one in (kind, f"{kind}\0"))
        return self.by_name[low:high]

    def values(self, part: str, most: int = 200) -> list[tuple[str, int]]:
        """The most frequent values of a part of `counts`, with how many items there are of each."""
        return [(value, count) for value, count in Counter(dict(self.counts[part])).most_common(most) if count > 0]

    def chosen(self, wanted: Filter, among: Sequence[Row], found: set[str] | None) -> list[Row]:
        """The rows that a filter lets through; `found`: uids that a search found."""
        tests: list[Callable[[Row], bool]] = []
        if wanted.kind:
            tests.append(lambda row: row.kind == wanted.kind)
        if wanted.status:
            tests.append(lambda row: row.status == wanted.status)
        if wanted.source:
            tests.append(lambda row: wanted.source in row.sources)
        if wanted.relation:
            relation = normal(wanted.relation)
            tests.append(lambda row: row.relation == relation)
        if wanted.reason:
            tests.append(lambda row: any(what(reason) == wanted.reason for reason in row.reasons))
        if found is not None:
            tests.append(lambda row: row.uid in found)
        return [row for row in among if all(test(row) for test in tests)] if tests else list(among)


class Listing:
    """The rows of a base, kept up to date; safe to use from several threads."""

    def __init__(
        self, kb: KnowledgeBase, background: Background | None = None, effects: Mapping[str, Effect] | None = None
    ) -> None:
        """Arguments: the base, what its run tells, and measured effects by item id."""
        self._kb, self._known, self._effects = kb, background or Background(), dict(effects or {})
        self._asked: set[str] = set()
        self._names: dict[str, set[str]] = {}
        self._named: dict[str, Collection[str]] = {}
        self._lock = threading.Lock()
        self._now: Snapshot | None = None

    def now(self) -> Snapshot:
        """The rows as the base is now."""
        with self._lock, self._kb.reading() as connection:
            newest = int(connection.execute(select(func.max(history.c.seq))).scalar() or 0)
            if self._now is not None and self._now.seq == newest:
                return self._now
            if self._now is None:
                self._known = by_uid(connection, self._known)
                uids = rows.uids_by_id(connection, list(self._effects))
                self._effects = {uids[item]: effect for item, effect in self._effects.items() if item in uids}
                self._now = self._all(connection, newest)
                return self._now
            query = select(history.c.entry).where(history.c.seq > self._now.seq).distinct()
            changed = set(connection.execute(query).scalars())
            read = list(read_entries(connection, self._known, sorted(changed)))
            if any(one.standing.examples - self._asked for one in read):
                self._now = self._all(connection, newest)
                return self._now
            # What is known of a subject, and so the place of all facts about it, changes with each of them.
            subjects = {one.standing.subject for one in read}
            subjects |= {self._now.rows[uid].subject for uid in changed if uid in self._now.rows}
            beside = {row.uid for row in self._now.facts_of(subjects - {""}) if row.subject in subjects} - changed
            read += read_entries(connection, self._known, sorted(beside))
            changed |= beside
            found = self._rows(read)
            if len(changed) > _MANY:
                known = {uid: row for uid, row in self._now.rows.items() if uid not in changed}
                self._now = _snapshot(newest, {**known, **found})
            else:
                self._now = _updated(self._now, newest, sorted(changed), found)
            return self._now

    def search(self, text: str) -> set[str] | None:
        """Uids of the entries with all words of a text, or whose id begins with it; None where there are no words."""
        words = normal(text).split()[:20]
        if not words:
            return None
        first, *others = words
        among = [row for row in self.now().by_name if first in row.words or row.item_id.startswith(first)]
        for word in others:
            among = [row for row in among if word in row.words]
        return {row.uid for row in among}

    def effect(self, uid: str) -> Effect | None:
        """The measured effect of an entry."""
        return self._effects.get(uid)

    def _all(self, connection: Connection, newest: int) -> Snapshot:
        self._asked, self._names = diagnosed(connection), {}
        with no_collection():
            return _snapshot(newest, self._rows(list(read_entries(connection, self._known))))

    def _rows(self, read: Sequence[Read]) -> dict[str, Row]:
        if self._known.naming is not None:  # of subjects with other names than before, since it takes all questions
            fresh = {subject: own for subject, own in names_of(read).items() if self._names.get(subject) != own}
            self._names.update(fresh)
            self._named.update(self._known.naming(fresh, self._asked) if fresh else {})
        order = priorities([one.standing for one in read], self._named if self._known.naming else None)
        return {one.row.uid: _row(one, order[one.row.item_id]) for one in read}


def _row(one: Read, priority: Priority) -> Row:
    row, standing = one.row, one.standing
    names: tuple[str, ...] = ()
    if standing.subject:
        names = tuple(dict.fromkeys((standing.subject, standing.value, *map(normal, one.item["aliases"]))))
    about = f"{standing.subject} {standing.relation}" if standing.subject else ""
    return Row(
        uid=row.uid,
        item_id=row.item_id,
        kind=row.kind,
        status=row.status,
        reviewer=row.reviewer,
        relation=standing.relation,
        names=names,
        sources=frozenset(map(origin, one.sources)),
        pieces=standing.pieces,
        reasons=standing.reasons,
        priority=priority,
        place=(row.kind, about, row.words[:_ORDERED], row.uid),
        words=row.words,
    )


def _snapshot(seq: int, known: dict[str, Row]) -> Snapshot:
    by_name = sorted(known.values(), key=attrgetter("place"))
    named: defaultdict[str, set[str]] = defaultdict(set)
    counts: dict[str, Counter[str]] = {part: Counter() for part in ("kind", "status", "source", "relation", "reason")}
    for row in by_name:
        _count(counts, row, 1)
        for name in row.names:
            named[name].add(row.uid)
    queue = sorted((row for row in by_name if row.waits), key=attrgetter("priority.key"))
    return Snapshot(seq, known, queue, by_name, {row.item_id: row for row in by_name}, dict(named), counts)


def _updated(old: Snapshot, seq: int, changed: Iterable[str], found: Mapping[str, Row]) -> Snapshot:
    """The snapshot after few changes. Lists are copied, since somebody may be walking through them; the rest is shared.

    What stays is never missing from `rows`: others read it meanwhile.
    """
    queue, by_name = list(old.queue), list(old.by_name)
    for uid in changed:
        before, after = old.rows.get(uid), found.get(uid)
        if before is not None:
            _take(by_name, before, attrgetter("place"))
            if before.waits:
                _take(queue, before, attrgetter("priority.key"))
            _count(old.counts, before, -1)
            for name in set(before.names) - set(after.names if after else ()):
                old.named[name] = old.named[name] - {uid}
        if after is None:
            old.rows.pop(uid, None)
        else:
            old.rows[uid] = old.by_id[after.item_id] = after
            insort(by_name, after, key=attrgetter("place"))
            if after.waits:
                insort(queue, after, key=attrgetter("priority.key"))
            _count(old.counts, after, 1)
            for name in after.names:
                old.named[name] = old.named.get(name, set()) | {uid}
        if before is not None and (after is None or after.item_id != before.item_id):
            old.by_id.pop(before.item_id, None)
    return Snapshot(seq, old.rows, queue, by_name, old.by_id, old.named, old.counts)


def _take(listed: list[Row], row: Row, key: Callable[[Row], Any]) -> None:
    place = bisect_left(listed, key(row), key=key)
    assert listed[place].uid == row.uid
    del listed[place]


def _count(counts: Mapping[str, Counter[str]], row: Row, by: int) -> None:
    counts["kind"][row.kind] += by
    counts["status"][row.status] += by
    for source in row.sources:
        counts["source"][source] += by
    if row.relation:
        counts["relation"][row.relation] += by
    for reason in {what(one) for one in row.reasons} if row.waits else ():
        counts["reason"][reason] += by
