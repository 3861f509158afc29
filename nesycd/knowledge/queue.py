"""What waits for a person: proposed items, and items that were queued with a reason (`nesycd kb lint --queue`).

To be queued changes nothing of an item: it is a line in its history. The next decision on the item or edit of it takes it out,
a decision to leave it as it is too; the same reason does not queue it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Status
from nesycd.knowledge import rows
from nesycd.knowledge.journal import QUEUE, Journal
from nesycd.knowledge.lint import Finding
from nesycd.knowledge.merge import entry_order
from nesycd.knowledge.schema import entries, history
from nesycd.knowledge.store import KnowledgeBase

UNPROVEN = "not proven"
"""Begins the reason of an item that did not pass the gate (`methods/gating.py`), and PROVEN that of one that did."""
PROVEN = "proven"


@dataclass(frozen=True)
class Waiting:
    """An entry that waits for a decision; without reasons it is proposed and nothing more is known."""

    entry: Entry
    reasons: tuple[str, ...] = ()


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


def waiting(kb: KnowledgeBase) -> list[Waiting]:
    """Proposed and queued entries, in the order of listings: first what is not proven, then what has other reasons, last what is
    proven."""
    with kb.reading() as connection:
        queued = rows.queued(connection)
        found = dict(rows.each(connection, entries.c.status == str(Status.PROPOSED)))
        found |= rows.load(connection, [uid for uid in queued if uid not in found])
    listed = [Waiting(entry, tuple(queued.get(uid, ()))) for uid, entry in found.items()]
    return sorted(listed, key=lambda one: (rank(one.reasons), entry_order(one.entry)))


def told_of_waiting(kb: KnowledgeBase) -> dict[str, tuple[str, ...]]:
    """The reasons of the queued items, by item id."""
    with kb.reading() as connection:
        queued = rows.queued(connection)
        found = rows.load(connection, list(queued))
    return {entry.item_id: tuple(queued[uid]) for uid, entry in found.items()}


def rank(reasons: Iterable[str]) -> int:
    """Where an item stands in the queue, by its reasons: 0 what is not proven, 1 other reasons, 2 none, 3 what is proven."""
    told = {_what(reason) for reason in reasons}
    return 0 if UNPROVEN in told else 3 if told == {PROVEN} else 1 if told else 2


def _what(told: str) -> str:
    return told.partition(": ")[0]


def _told_before(connection: Connection) -> set[tuple[str, str, str]]:
    """Entry, content and what was said of it, each time that something was queued."""
    query = select(history.c.entry, history.c.item, history.c.note).where(history.c.action == QUEUE)
    return {(row.entry, rows.ITEM.validate_json(row.item).id, _what(row.note)) for row in connection.execute(query)}
