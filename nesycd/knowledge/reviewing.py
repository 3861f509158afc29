"""What several reviewers do to a base at once: each act is one revision, and none on an entry that changed unseen.

A reviewer acts on an entry as it was shown (`state_of`). Where somebody changed it since, nothing happens and `Stale` tells
what it is now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Evidence, Item, Status, content_hash
from nesycd.knowledge import rows, versions
from nesycd.knowledge.database import change_of
from nesycd.knowledge.formats.mapping import first_problem
from nesycd.knowledge.journal import QUEUE, Journal
from nesycd.knowledge.merge import item_key, tidy, unite_evidence, unite_items
from nesycd.knowledge.priority import UNSURE
from nesycd.knowledge.schema import history
from nesycd.knowledge.store import KnowledgeBase


class Stale(KnowledgeError):
    """An entry is not what the reviewer saw.

    Attributes:
        entry: what it is now; None where it is gone.
        actor, at: who changed it last, and when (UTC).
    """

    def __init__(self, item_id: str, entry: Entry | None, actor: str, at: str) -> None:
        what = "was removed" if entry is None else "was changed"
        super().__init__(f"item {item_id[:8]} {what} by {actor} since you saw it; nothing was saved")
        self.item_id, self.entry, self.actor, self.at = item_id, entry, actor, at


@dataclass(frozen=True)
class Done:
    """What an act made: its revision (None where it changed nothing) and the entries it was about, as they now stand."""

    revision: int | None
    entries: tuple[Entry, ...]


def state_of(entry: Entry) -> str:
    """What a reviewer saw of an entry: its content, status and reviewer, as a hash. Evidence may come without notice."""
    return content_hash([entry.item_id, str(entry.status), entry.reviewer])


def decide(kb: KnowledgeBase, seen: Mapping[str, str], status: Status, reviewer: str, why: str = "") -> Done:
    """Approve, reject or retire entries, by item id and the state that was seen: all or none.

    Raises:
        Stale: one of them was changed.
        KnowledgeError: an unknown id, no reviewer, or a rule that is refused.
    """
    with _act(kb, reviewer, why) as connection:
        uids = [_seen(connection, item_id, state)[0] for item_id, state in seen.items()]
        rows.set_status(connection, uids, status, reviewer)
        return _done(connection, uids)


def defer(kb: KnowledgeBase, seen: Mapping[str, str], reviewer: str, why: str = "") -> Done:
    """Leave entries to others: they stay what they are, and go to the end of the queue with a line in the history.

    Raises:
        Stale: one of them was changed.
        KnowledgeError: an unknown id, or no reviewer.
    """
    with _act(kb, reviewer, why) as connection:
        found = [_seen(connection, item_id, state) for item_id, state in seen.items()]
        journal = Journal()
        for uid, entry in found:
            journal.said(uid, entry, QUEUE, f"{UNSURE} ({reviewer}): {why or 'left to others'}", reviewer)
        journal.write(connection)
        return _done(connection, [uid for uid, _ in found])


def edit(
    kb: KnowledgeBase,
    item_id: str,
    state: str,
    changes: Mapping[str, Any],
    reviewer: str,
    why: str = "",
    status: Status | None = None,
) -> Done:
    """Change fields of an item, and with `status` decide on it, in one revision.

    Raises:
        Stale: it was changed.
        KnowledgeError: a value that does not fit, no reviewer, an equal item elsewhere, or a rule that is refused.
    """
    with _act(kb, reviewer, why) as connection:
        uid, entry = _seen(connection, item_id, state)
        item = _with(entry.item, changes)
        rows.rewrite(connection, uid, lambda _: item, reviewer)
        if status is not None:
            rows.set_status(connection, [uid], status, reviewer)
        return _done(connection, [uid])


def merge(
    kb: KnowledgeBase,
    kept: tuple[str, str],
    other: tuple[str, str],
    changes: Mapping[str, Any],
    reviewer: str,
    why: str = "",
) -> Done:
    """Make two items one: `kept` takes the changes, the other's names or tests and its evidence; the other is retired.

    Args:
        kb: the base.
        kept, other: item id and the state that was seen.
        changes: fields of the kept item, such as a wording that says both.
        reviewer, why: for the history.

    Raises:
        Stale: one of them was changed.
        KnowledgeError: both are one entry or of different kinds, or see `edit`.
    """
    with _act(kb, reviewer, why) as connection:
        (uid, entry), (other_uid, absorbed) = (_seen(connection, *one) for one in (kept, other))
        if uid == other_uid:
            raise KnowledgeError("an item cannot be merged with itself; choose another one")
        if entry.item.kind != absorbed.item.kind:
            raise KnowledgeError(f"a {entry.item.kind} and a {absorbed.item.kind} cannot be merged; reject one of them")
        item = unite_items(_with(entry.item, changes), absorbed.item, keep_first=True)
        holder = rows.uids_by_key(connection, [item_key(item)]).get(item_key(item), uid)
        if holder == other_uid:
            raise KnowledgeError("the merged item would equal the one that is retired; keep that one instead")
        if holder != uid:
            raise KnowledgeError(f"the merged item would equal item {rows.load(connection, [holder])[holder].item_id}")
        after = entry.model_copy(
            update={
                "item": tidy(item),
                "reviewer": reviewer,
                "evidence": unite_evidence(entry.evidence, absorbed.evidence),
            }
        )
        journal = Journal()
        journal.changed(uid, entry, after, "edit", f"took in {absorbed.item_id}", reviewer)
        gone = absorbed.model_copy(update={"status": Status.RETIRED, "reviewer": reviewer})
        journal.changed(other_uid, absorbed, gone, "retire", f"merged into {after.item_id}", reviewer)
        journal.write(connection)
        return _done(connection, [uid, other_uid])


def split(
    kb: KnowledgeBase,
    item_id: str,
    state: str,
    parts: Sequence[Item],
    reviewer: str,
    why: str = "",
) -> Done:
    """Make one item several, each with its evidence and status; the whole is retired, unless it is one of the parts.

    Raises:
        Stale: it was changed.
        KnowledgeError: fewer than two parts, no reviewer, or a rule that is refused.
    """
    with _act(kb, reviewer, why) as connection:
        uid, entry = _seen(connection, item_id, state)
        if len({item_key(part) for part in parts}) < 2:
            raise KnowledgeError("a split needs two different parts at least")
        made = [entry.model_copy(update={"item": part, "reviewer": reviewer}) for part in parts]
        rows.merge_in(connection, made)
        found = rows.uids_by_key(connection, [item_key(part) for part in parts])
        if uid not in found.values():
            journal = Journal()
            gone = entry.model_copy(update={"status": Status.RETIRED, "reviewer": reviewer})
            told = ", ".join(part.id for part in parts)
            journal.changed(uid, entry, gone, "retire", f"split into {told}", reviewer)
            journal.write(connection)
        return _done(connection, [*found.values(), uid])


def add(kb: KnowledgeBase, item: Item, status: Status, reviewer: str, why: str = "") -> Done:
    """Add an item of the reviewer's own; one that was there already stays what it is.

    Raises:
        KnowledgeError: no reviewer, or a rule that is refused.
    """
    with _act(kb, reviewer, why) as connection:
        proof = (Evidence(example="", source=reviewer),)
        signed = reviewer if status is Status.APPROVED else ""
        rows.merge_in(connection, [Entry(item=item, status=status, reviewer=signed, evidence=proof)])
        return _done(connection, [*rows.uids_by_key(connection, [item_key(item)]).values()])


def undo(kb: KnowledgeBase, revision: int, reviewer: str) -> Done:
    """Take a revision back by a new one, and put what it took out of the queue back there.

    Raises:
        KnowledgeError: no such revision, no reviewer, or a later revision changed the same again.
    """
    with _act(kb, reviewer, f"without revision {revision}", "revert") as connection:
        touched = select(history.c.entry).where(history.c.revision == revision).distinct()
        uids = list(connection.execute(touched).scalars())
        versions.undo(connection, revision, reviewer)
        now = rows.load(connection, uids)
        waiting = rows.queued(connection, uids)
        journal = Journal()
        for uid, reasons in _queued_before(connection, revision, uids).items():
            for reason in reasons:
                if uid in now and reason not in waiting.get(uid, ()):
                    journal.said(uid, now[uid], QUEUE, reason, reviewer)
        journal.write(connection)
        return _done(connection, [uid for uid in uids if uid in now])


@contextmanager
def _act(kb: KnowledgeBase, reviewer: str, why: str, action: str = "") -> Iterator[Connection]:
    if not reviewer.strip():
        raise KnowledgeError("review needs the name of the reviewer")
    with kb.writing(reviewer, action, why) as connection:
        yield connection


def _seen(connection: Connection, item_id: str, state: str) -> tuple[str, Entry]:
    """The uid and entry of an item whose state is the one that was seen."""
    uid = rows.find(connection, item_id, gone=True)
    entry = rows.load(connection, [uid]).get(uid)
    if entry is None or state_of(entry) != state:
        last = connection.execute(
            select(history.c.actor, history.c.at).where(history.c.entry == uid).order_by(history.c.seq.desc()).limit(1)
        ).one()
        raise Stale(item_id, entry, last.actor, last.at)
    return uid, entry


def _with(item: Item, changes: Mapping[str, Any]) -> Item:
    try:
        return rows.ITEM.validate_python({**item.model_dump(), **changes, "kind": item.kind})
    except ValidationError as error:
        raise KnowledgeError(first_problem(error)) from None


def _done(connection: Connection, uids: Sequence[str]) -> Done:
    after = rows.load(connection, list(uids))
    return Done(change_of(connection).revision, tuple(after[uid] for uid in dict.fromkeys(uids)))


def _queued_before(connection: Connection, revision: int, uids: Sequence[str]) -> dict[str, list[str]]:
    """Why entries waited before a revision (see `rows.queued`)."""
    start = connection.execute(select(func.min(history.c.seq)).where(history.c.revision == revision)).scalar_one()
    return rows.queued(connection, uids, before=start)
