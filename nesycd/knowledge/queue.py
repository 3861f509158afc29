"""What waits for a person: proposed items, and items that were queued with a reason (`nesycd kb lint --queue`).

To be queued changes nothing of an item: it is a line in its history. The next decision on the item or edit of it takes it out,
a decision to leave it as it is too; the same reason does not queue it again.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Fact, Status
from nesycd.core.text import normal
from nesycd.knowledge import rows
from nesycd.knowledge.journal import QUEUE, Journal, parts
from nesycd.knowledge.lint import Finding
from nesycd.knowledge.merge import AUTO
from nesycd.knowledge.priority import UNSURE, Background, Standing, priorities
from nesycd.knowledge.schema import entries, evidence, history
from nesycd.knowledge.store import KnowledgeBase

NOBODY = frozenset({"", AUTO})
"""Reviewers that are no person."""
_LIVING = (Status.APPROVED, Status.PROPOSED)
_COLUMNS = tuple(entries.c[name] for name in ("uid", "item_id", "kind", "status", "reviewer", "words", "item"))


@dataclass(frozen=True)
class Waiting:
    """An entry that waits for a decision; without reasons it is proposed and nothing more is known."""

    entry: Entry
    reasons: tuple[str, ...] = ()


class Read(NamedTuple):
    """An entry as the order needs it: its row in the table, its item as JSON, who proposed it, and what is known of it."""

    row: Any
    item: Mapping[str, Any]
    sources: Sequence[str]
    standing: Standing


def reasons_of(findings: Iterable[Finding]) -> dict[str, list[str]]:
    """Item ids with the reasons for which they should be looked at: of subsumed items the lesser ones, else all."""
    reasons: dict[str, list[str]] = {}
    for finding in findings:
        ids = [entry.item_id for entry in finding.entries]
        for item_id in ids[:1] if finding.kind == "subsumed" else ids:
            others = " ".join(other for other in ids if other != item_id)
            told = f"{finding.kind}{f' with {others}' if others else ''}: {finding.why}"
            reasons.setdefault(item_id, []).append(told)
    return reasons


def enqueue(kb: KnowledgeBase, reasons: Mapping[str, Sequence[str]], actor: str, why: str = "") -> int:
    """Queue items, as one revision; gives how many are queued that were not for these reasons before.

    Args:
        kb: the base.
        reasons: item ids with reasons, each `what it is: why`. What stands before the colon tells reasons apart.
        actor: who queues.
        why: for the log.

    Raises:
        KnowledgeError: no actor, or an unknown id.
    """
    if not actor.strip():
        raise KnowledgeError("queueing needs the name of who does it")
    journal = Journal()
    queued = 0
    with kb.writing(actor, QUEUE, why) as connection:
        uids = {rows.find(connection, item_id): told for item_id, told in reasons.items()}
        known = _told_before(connection)
        for uid, entry in sorted(rows.load(connection, list(uids)).items()):
            new = [told for told in uids[uid] if (uid, entry.item_id, _what(told)) not in known]
            queued += bool(new)
            for told in new:
                journal.said(uid, entry, QUEUE, told, actor)
        journal.write(connection)
    return queued


def waiting(kb: KnowledgeBase, background: Background | None = None, *, unseen: bool = False) -> list[Waiting]:
    """What waits for a decision, in the order of review (`knowledge.priority`).

    Args:
        kb: the base.
        background: what its run tells.
        unseen: also what is in use without that a person has looked at it.
    """
    with kb.reading() as connection:
        known = by_uid(connection, background or Background())
        queued = rows.queued(connection)
        where = entries.c.status == str(Status.PROPOSED)
        if unseen:
            where |= (entries.c.status == str(Status.APPROVED)) & entries.c.reviewer.in_(NOBODY)
        found = dict(rows.each(connection, where))
        found |= rows.load(connection, [uid for uid in queued if uid not in found])
        read = list(read_entries(connection, known, sorted({*found, *_about(connection, found)})))
        named = known.naming(names_of(read), diagnosed(connection)) if known.naming else None
        order = priorities([one.standing for one in read], named)
    listed = [Waiting(entry, tuple(queued.get(uid, ()))) for uid, entry in found.items()]
    return sorted(listed, key=lambda one: order[one.entry.item_id].key)


def _about(connection: Connection, found: Mapping[str, Entry]) -> set[str]:
    """The facts about the same subjects as some entries."""
    subjects = {normal(entry.item.subject) for entry in found.values() if isinstance(entry.item, Fact)}
    beside: set[str] = set()
    if subjects:
        query = select(entries.c.uid, entries.c.item).where(entries.c.kind == "fact")
        for uid, content in connection.execute(query):
            if normal(json.loads(content)["subject"]) in subjects:
                beside.add(uid)
    return beside


def names_of(read: Iterable[Read]) -> dict[str, set[str]]:
    """The names, as written, of each subject of some facts."""
    names: dict[str, set[str]] = defaultdict(set)
    for one in read:
        if one.standing.subject:
            names[one.standing.subject].update((one.item["subject"], *one.item["aliases"]))
    return names


def diagnosed(connection: Connection) -> set[str]:
    """The training questions from whose errors anything was proposed."""
    return {str(one) for one in connection.execute(select(evidence.c.example).distinct()).scalars() if one}


def by_uid(connection: Connection, background: Background) -> Background:
    """What a run tells, by uid, since an item's id changes with each edit."""
    uids = rows.uids_by_id(connection, list({**background.stated, **background.harm}))
    stated = {uids[item_id]: found for item_id, found in background.stated.items() if item_id in uids}
    harm = {uids[item_id]: found for item_id, found in background.harm.items() if item_id in uids}
    return replace(background, stated=stated, harm=harm)


def read_entries(connection: Connection, known: Background, uids: Sequence[str] | None = None) -> Iterator[Read]:
    """Entries with what the order needs of them; all of them where `uids` is None.

    Args:
        connection: to the base.
        known: see `by_uid`.
        uids: of entries.
    """
    queued = rows.queued(connection, uids)
    unsure = _unsure(connection, queued)
    for part in (None,) if uids is None else parts(uids):
        pieces = select(evidence.c.entry, evidence.c.source, evidence.c.example)
        whole = select(*_COLUMNS)
        if part is not None:
            pieces, whole = pieces.where(evidence.c.entry.in_(part)), whole.where(entries.c.uid.in_(part))
        proof: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for uid, source, example in connection.execute(pieces):
            proof[uid].append((source, example))
        for row in connection.execute(whole):
            item, given = json.loads(row.item), proof.get(row.uid, [])
            standing = Standing(
                item_id=row.item_id,
                subject=normal(item["subject"]) if row.kind == "fact" else "",
                relation=normal(item["relation"]) if row.kind == "fact" else "",
                value=normal(item["object"]) if row.kind == "fact" else "",
                examples=frozenset(example for _, example in given if example),
                pieces=len(given),
                stated=frozenset(known.stated.get(row.uid, ())),
                harm=known.harm.get(row.uid, 0.0),
                is_used=row.status == Status.APPROVED,
                is_living=row.status in _LIVING,
                reasons=tuple(queued.get(row.uid, ())),
                unsure=unsure.get(row.uid, 0),
            )
            yield Read(row, item, [source for source, _ in given], standing)


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


def told_of_waiting(kb: KnowledgeBase) -> dict[str, tuple[str, ...]]:
    """The reasons of the queued items, by item id."""
    with kb.reading() as connection:
        queued = rows.queued(connection)
        found = rows.load(connection, list(queued))
    return {entry.item_id: tuple(queued[uid]) for uid, entry in found.items()}


def _what(told: str) -> str:
    return told.partition(": ")[0]


def _told_before(connection: Connection) -> set[tuple[str, str, str]]:
    """Entry, content and what was said of it, each time that something was queued."""
    query = select(history.c.entry, history.c.item, history.c.note).where(history.c.action == QUEUE)
    return {(row.entry, rows.ITEM.validate_json(row.item).id, _what(row.note)) for row in connection.execute(query)}
