"""The order of the queue, and lists of items: what of each entry filters and orders need, kept in memory and up to date.

The first reading takes two seconds at 50,000 items; after that only what changed is read again, and whole entries are loaded for
a page only. Words are looked for here too, which takes a tenth of the time of doing so in the database.

What is not proven (`methods/gating.py`) comes first. Besides, an item's priority is its expected gain times the doubt about it:

- gain = log2(2 + questions), over the training questions whose error gave rise to the item or whose accepted rationale states it;
- doubt = 1 - (1 - a)(1 - b)(1 - c), with a = 1 / (1 + pieces of evidence) (one teacher's word against agreement), b the weight
  of the gravest reason in the queue (`WEIGHTS`), and c the measured probability that the item does harm.
"""

from __future__ import annotations

import json
import math
import threading
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import nlargest
from operator import attrgetter, itemgetter
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from nesycd.core.text import normal
from nesycd.knowledge import KnowledgeBase, rows
from nesycd.knowledge.citations import origin
from nesycd.knowledge.journal import QUEUE, parts
from nesycd.knowledge.queue import PROVEN, UNPROVEN, rank
from nesycd.knowledge.reviewing import UNSURE
from nesycd.knowledge.schema import entries, evidence, history
from nesycd.serving.pages.evidence import Effect

WRONG = "wrong answer"
"""Begins the reason of an item whose use gave an answer that a person called wrong."""
WEIGHTS = {
    UNPROVEN: 0.9,
    "contradiction": 0.9,
    WRONG: 0.9,
    "ill-formed": 0.8,
    "suspected contradiction": 0.7,
    "several values": 0.6,
    "near-duplicate": 0.5,
    "subsumed": 0.4,
    PROVEN: 0.1,
}
"""How doubtful a reason in the queue makes an item; others count as `_OTHER`."""
_OTHER = 0.5
AUTO = frozenset({"", "auto"})
"""Reviewers that are no person."""
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
        questions, pieces: training questions that it concerns, and pieces of evidence.
        reasons: why it was queued.
        unsure: line of the history in which a reviewer last left it to others; 0: never.
        gain, doubt: see above.
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
    questions: int
    pieces: int
    reasons: tuple[str, ...]
    unsure: int
    gain: float
    doubt: float
    place: tuple[str, ...]
    words: str
    """The texts that are searched in, normalised."""

    @property
    def score(self) -> float:
        """The priority in the queue."""
        return self.gain * self.doubt

    @property
    def waits(self) -> bool:
        """Whether somebody should look: it is proposed, queued for a reason, or in use without that a person looked at it."""
        return bool(self.reasons) or self.status == "proposed" or (self.status == "approved" and self.reviewer in AUTO)

    @property
    def queue_key(self) -> tuple[int, bool, float, tuple[str, ...]]:
        """Sort key of the queue: what is not proven comes first, and what a reviewer was not sure of last, in the order in which
        it was left."""
        return (self.unsure, rank(self.reasons) > 0, -self.score, self.place)


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
        self,
        kb: KnowledgeBase,
        needs: Mapping[str, set[str]] | None = None,
        effects: Mapping[str, Effect] | None = None,
    ) -> None:
        """Arguments: the base; training questions that need an item, and measured effects, by item id."""
        self._kb, self._given = kb, (needs or {}, effects or {})
        self._needs: dict[str, set[str]] = {}
        self._effects: dict[str, Effect] = {}
        self._lock = threading.Lock()
        self._now: Snapshot | None = None

    def now(self) -> Snapshot:
        """The rows as the base is now."""
        with self._lock, self._kb.reading() as connection:
            newest = int(connection.execute(select(func.max(history.c.seq))).scalar() or 0)
            if self._now is not None and self._now.seq == newest:
                return self._now
            changed: list[str] | None = None
            if self._now is None:
                self._needs = self._by_uid(connection, self._given[0])
                self._effects = self._by_uid(connection, self._given[1])
            else:
                query = select(history.c.entry).where(history.c.seq > self._now.seq).distinct()
                changed = list(connection.execute(query).scalars())
            found = self._read(connection, changed)
            if self._now is None or changed is None:
                self._now = _snapshot(newest, found)
            elif len(changed) > _MANY:
                known = {uid: row for uid, row in self._now.rows.items() if uid not in set(changed)}
                self._now = _snapshot(newest, {**known, **found})
            else:
                self._now = _updated(self._now, newest, changed, found)
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

    @staticmethod
    def _by_uid(connection: Connection, given: Mapping[str, Any]) -> dict[str, Any]:
        uids = rows.uids_by_id(connection, list(given))
        return {uids[item_id]: value for item_id, value in given.items() if item_id in uids}

    def effect(self, uid: str) -> Effect | None:
        """The measured effect of an entry."""
        return self._effects.get(uid)

    def _read(self, connection: Connection, uids: Sequence[str] | None) -> dict[str, Row]:
        queued = rows.queued(connection, uids)
        unsure = _unsure(connection, queued)
        proof: dict[str, list[tuple[str, str]]] = defaultdict(list)
        found: dict[str, Row] = {}
        for part in (None,) if uids is None else parts(uids):
            pieces = select(evidence.c.entry, evidence.c.source, evidence.c.example)
            whole = select(
                *(entries.c[name] for name in ("uid", "item_id", "kind", "status", "reviewer", "words", "item"))
            )
            if part is not None:
                pieces, whole = pieces.where(evidence.c.entry.in_(part)), whole.where(entries.c.uid.in_(part))
            for uid, source, example in connection.execute(pieces):
                proof[uid].append((source, example))
            for one in connection.execute(whole):
                found[one.uid] = self._row(
                    one, proof.get(one.uid, ()), tuple(queued.get(one.uid, ())), unsure.get(one.uid, 0)
                )
        return found

    def _row(self, one: Any, proof: Sequence[tuple[str, str]], reasons: tuple[str, ...], unsure: int) -> Row:
        item = json.loads(one.item)
        relation, about = "", ""
        names: tuple[str, ...] = ()
        if one.kind == "fact":
            relation = normal(item["relation"])
            subject = normal(item["subject"])
            names = tuple(dict.fromkeys((subject, normal(item["object"]), *map(normal, item["aliases"]))))
            about = f"{subject} {relation}"
        questions = {example for _, example in proof if example} | self._needs.get(one.uid, set())
        effect = self._effects.get(one.uid)
        weights = [WEIGHTS.get(what(reason), _OTHER) for reason in reasons if not reason.startswith(UNSURE)]
        doubts = (1 / (1 + len(proof)), max(weights, default=0.0), effect.harm if effect else 0.0)
        return Row(
            uid=one.uid,
            item_id=one.item_id,
            kind=one.kind,
            status=one.status,
            reviewer=one.reviewer,
            relation=relation,
            names=names,
            sources=frozenset(origin(source) for source, _ in proof),
            questions=len(questions),
            pieces=len(proof),
            reasons=reasons,
            unsure=unsure,
            gain=math.log2(2 + len(questions)),
            doubt=1 - math.prod(1 - doubt for doubt in doubts),
            place=(one.kind, about, one.words[:_ORDERED], one.uid),
            words=one.words,
        )


def what(reason: str) -> str:
    """What a reason in the queue is, without its details: `near-duplicate with 3fa9...: the same triple` is a near-duplicate."""
    head = reason.partition(": ")[0]
    return next(
        (name for name in (*WEIGHTS, UNSURE) if head == name or head.startswith((f"{name} ", f"{name}["))), head
    )


def _unsure(connection: Connection, queued: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """The last line of the history in which a reviewer left each queued entry to others."""
    left = sorted(uid for uid, reasons in queued.items() if any(reason.startswith(UNSURE) for reason in reasons))
    found: dict[str, int] = {}
    for part in parts(left):
        query = select(history.c.entry, func.max(history.c.seq)).where(
            history.c.entry.in_(part), history.c.action == QUEUE, history.c.note.startswith(UNSURE)
        )
        found.update((uid, int(seq)) for uid, seq in connection.execute(query.group_by(history.c.entry)))
    return found


def _snapshot(seq: int, known: dict[str, Row]) -> Snapshot:
    by_name = sorted(known.values(), key=attrgetter("place"))
    named: defaultdict[str, set[str]] = defaultdict(set)
    counts: dict[str, Counter[str]] = {part: Counter() for part in ("kind", "status", "source", "relation", "reason")}
    for row in by_name:
        _count(counts, row, 1)
        for name in row.names:
            named[name].add(row.uid)
    queue = sorted((row for row in by_name if row.waits), key=attrgetter("queue_key"))
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
                _take(queue, before, attrgetter("queue_key"))
            _count(old.counts, before, -1)
            for name in set(before.names) - set(after.names if after else ()):
                old.named[name] = old.named[name] - {uid}
        if after is None:
            old.rows.pop(uid, None)
        else:
            old.rows[uid] = old.by_id[after.item_id] = after
            insort(by_name, after, key=attrgetter("place"))
            if after.waits:
                insort(queue, after, key=attrgetter("queue_key"))
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
