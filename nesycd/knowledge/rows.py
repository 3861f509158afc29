"""Reading and changing entries on an open connection; each change leaves its line in the history.

The caller holds the transaction, so several of these make one all-or-nothing change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Evidence, Item, Rule, Status
from nesycd.core.text import printable
from nesycd.knowledge.journal import QUEUE, Journal, parts
from nesycd.knowledge.merge import item_key, tidy, unite, unite_evidence
from nesycd.knowledge.schema import entries, evidence, history, names

T = TypeVar("T")
ITEM: TypeAdapter[Item] = TypeAdapter(Item)
MIN_PREFIX = 4
_WHOLE = 16
"""Characters of an item's id."""
_HEX = re.compile(r"[0-9a-f]+")
PORTION = 4000
"""Entries that are read or written at once."""


@dataclass(frozen=True)
class AddCounts:
    """What adding did: entries made new, entries that changed by merging, entries that were all there already."""

    added: int = 0
    merged: int = 0
    unchanged: int = 0


def find(connection: Connection, item_id: str, *, gone: bool = False) -> str:
    """The `uid` of the entry that an id, a former id or a unique prefix names; with `gone`, of one that is no more too.

    Raises:
        KnowledgeError: it names none or several, or is too short.
    """
    wanted = item_id.strip().lower()
    shown = printable(item_id)
    if len(wanted) < MIN_PREFIX:
        raise KnowledgeError(f"item id {shown!r} is too short: give at least {MIN_PREFIX} characters")
    living = exists().where(entries.c.uid == names.c.entry)
    places = [select(entries.c.item_id, entries.c.uid), select(names.c.item_id, names.c.entry).where(living)]
    for query in [*places, select(names.c.item_id, names.c.entry)][: 3 if gone else 2]:
        column = query.selected_columns[0]
        # Between, since the index serves that, and not a pattern. Whole ids begin no others.
        is_part = _HEX.fullmatch(wanted) and len(wanted) < _WHOLE
        for same in (column == wanted, *([column.between(wanted, f"{wanted}g")] if is_part else [])):
            rows = connection.execute(query.where(same).limit(50)).all()
            if len({row[1] for row in rows}) == 1:
                return str(rows[0][1])
            if rows:
                some = ", ".join(sorted(str(row[0]) for row in rows)[:5])
                raise KnowledgeError(f"item id {shown!r} is ambiguous: it fits {some}; give more of it")
    raise KnowledgeError(f"no item has the id {shown!r}; `nesycd kb list` shows the ids")


def load(connection: Connection, uids: Sequence[str] | None = None) -> dict[str, Entry]:
    """Entries by uid, all of them where `uids` is None."""
    if uids is None:
        return dict(each(connection))
    shared = _Shared()
    found: dict[str, Entry] = {}
    for part in parts(uids):
        proof = connection.execute(select(evidence).where(evidence.c.entry.in_(part))).all()
        found |= shared.entries(connection.execute(select(entries).where(entries.c.uid.in_(part))).all(), proof)
    return found


def each(connection: Connection, *where: ColumnElement[bool]) -> Iterator[tuple[str, Entry]]:
    """Entries with their uids, one after the other, in the order of the uids; in memory are only a few thousand.

    Args:
        connection: to the KB.
        where: conditions on the table's rows that must hold.
    """
    last, shared = "", _Shared()
    query = select(entries).where(*where).order_by(entries.c.uid).limit(PORTION)
    while found := connection.execute(query.where(entries.c.uid > last)).all():
        first, last = found[0].uid, found[-1].uid
        proof = connection.execute(select(evidence).where(evidence.c.entry.between(first, last))).all()
        yield from shared.entries(found, proof).items()


class _Shared:
    """Makes entries of rows. Those that were made together share their evidence where it is the same: of a file's items it is."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[str, str, str], Evidence] = {}

    def entries(self, found: Sequence[Any], proof: Sequence[Any]) -> dict[str, Entry]:
        """Entries by uid, of rows of `entries` and of their `evidence`."""
        pieces: dict[str, list[Evidence]] = {}
        for row in proof:
            key = (row.source, row.example, row.attempt)
            if key not in self._pieces:
                self._pieces[key] = Evidence(example=row.example, attempt=row.attempt, source=row.source)
            pieces.setdefault(row.entry, []).append(self._pieces[key])
        made = {}
        for row in found:
            united = unite_evidence(pieces.get(row.uid, ()))
            made[row.uid] = Entry(
                item=ITEM.validate_json(row.item), status=Status(row.status), reviewer=row.reviewer, evidence=united
            )
        return made


def approved_rules(connection: Connection) -> list[Rule]:
    """The approved rules, in a fixed order."""
    where = (entries.c.kind == "rule") & (entries.c.status == str(Status.APPROVED))
    found = connection.execute(select(entries.c.item).where(where).order_by(entries.c.item_id)).scalars()
    return [Rule.model_validate_json(item) for item in found]


def approved_relations(connection: Connection) -> set[str]:
    """The relations of the approved facts."""
    where = (entries.c.kind == "fact") & (entries.c.status == str(Status.APPROVED))
    return {json.loads(item)["relation"] for item in connection.execute(select(entries.c.item).where(where)).scalars()}


def uids_by_key(connection: Connection, keys: Sequence[str]) -> dict[str, str]:
    """Which entry (uid) holds each of the item keys; keys of no entry are left out."""
    found: dict[str, str] = {}
    for part in parts(keys):
        query = select(entries.c.key, entries.c.uid).where(entries.c.key.in_(part))
        found.update((row.key, row.uid) for row in connection.execute(query))
    return found


def uids_by_id(connection: Connection, item_ids: Sequence[str]) -> dict[str, str]:
    """Which entry (uid) has or had each id; ids of no entry, or of several, are left out."""
    found: dict[str, set[str]] = {}
    for part in parts(item_ids):
        query = select(names).join(entries, names.c.entry == entries.c.uid).where(names.c.item_id.in_(part))
        for row in connection.execute(query):
            found.setdefault(row.item_id, set()).add(row.entry)
        for row in connection.execute(select(entries.c.item_id, entries.c.uid).where(entries.c.item_id.in_(part))):
            found[row.item_id] = {row.uid}
    return {item_id: min(uids) for item_id, uids in found.items() if len(uids) == 1}


def merge_in(connection: Connection, incoming: Iterable[Entry]) -> AddCounts:
    """Add entries, uniting each with its equal in the KB or among themselves; in memory are a few thousand of them."""
    added = merged = unchanged = 0
    for part in portions(incoming):
        counts = _merge_part(connection, part)
        added, merged, unchanged = added + counts.added, merged + counts.merged, unchanged + counts.unchanged
    return AddCounts(added, merged, unchanged)


def portions(things: Iterable[T]) -> Iterator[list[T]]:
    """Things in lists of as many as are read or written at once."""
    rest = iter(things)
    while part := list(islice(rest, PORTION)):
        yield part


def _merge_part(connection: Connection, incoming: Iterable[Entry]) -> AddCounts:
    united, ids = _united(incoming)
    uids = uids_by_key(connection, list(united))
    present = load(connection, list(uids.values()))
    journal = Journal()
    added = merged = 0
    for key, entry in united.items():
        if key not in uids:
            added += 1
            uids[key] = journal.new(entry)
        else:
            before = present[uids[key]]
            after = unite(before, entry)
            merged += after != before
            journal.changed(uids[key], before, after, "merge")
        journal.named(uids[key], ids[key])
    journal.write(connection)
    return AddCounts(added, merged, len(united) - added - merged)


def rewrite(
    connection: Connection, uid: str, make: Callable[[Entry], Item], reviewer: str, decided_by: str | None = None
) -> None:
    """Put another content in the place of an entry's, keeping evidence and status.

    The change is `reviewer`'s; where another person's decision stands for it, that is `decided_by`.

    Raises:
        KnowledgeError: another entry already has the new content.
    """
    before = load(connection, [uid])[uid]
    item = tidy(make(before))
    holder = uids_by_key(connection, [item_key(item)]).get(item_key(item), uid)
    if holder != uid:
        other = load(connection, [holder])[holder]
        raise KnowledgeError(
            f"the change would make item {before.item_id} equal to item {other.item_id}; reject one of them instead"
        )
    after = before.model_copy(update={"item": item, "reviewer": reviewer if decided_by is None else decided_by})
    journal = Journal()
    journal.changed(uid, before, after, "edit", f"was {before.item_id}", reviewer)
    journal.write(connection)


def set_status(connection: Connection, uids: Sequence[str], status: Status, reviewer: str, actor: str = "") -> int:
    """Decide on entries; gives how many changed. What was queued is decided on even where it stays as it is.

    `actor`: who brings the decision in, where that is not the reviewer.
    """
    verb = {Status.APPROVED: "approve", Status.REJECTED: "reject", Status.RETIRED: "retire"}.get(status, "propose")
    changed = 0
    for part in portions(uids):
        journal, waiting = Journal(), queued(connection, part)
        for uid, entry in load(connection, part).items():
            if (entry.status, entry.reviewer) != (status, reviewer):
                after = entry.model_copy(update={"status": status, "reviewer": reviewer})
                journal.changed(uid, entry, after, verb, f"was {entry.status}", actor or reviewer)
                changed += 1
            elif uid in waiting:
                journal.said(uid, entry, verb, "stays as it is", actor or reviewer)
        journal.write(connection)
    return changed


def queued(
    connection: Connection, uids: Sequence[str] | None = None, before: int | None = None
) -> dict[str, list[str]]:
    """Which entries were queued since anybody last decided on them or edited them, and why; `before` a line of the history."""
    found: dict[str, list[str]] = {}
    ever: Sequence[str]
    if uids is None:
        query = select(history.c.entry).where(history.c.action == QUEUE).distinct()
        ever = sorted(connection.execute(query).scalars())
    else:
        ever = sorted(set(uids))
    for part in parts(ever):
        query = select(history.c.entry, history.c.action, history.c.note).where(history.c.entry.in_(part))
        if before is not None:
            query = query.where(history.c.seq < before)
        for row in connection.execute(query.order_by(history.c.seq)):
            if row.action == QUEUE:
                found.setdefault(row.entry, []).append(row.note)
            elif row.action != "merge":
                found.pop(row.entry, None)
    return found


def _united(incoming: Iterable[Entry]) -> tuple[dict[str, Entry], dict[str, set[str]]]:
    """Equal entries made one, by key; and the ids under which each came."""
    united: dict[str, Entry] = {}
    ids: dict[str, set[str]] = {}
    for given in incoming:
        key = item_key(given.item)
        ids.setdefault(key, set()).add(given.item_id)
        entry = given.model_copy(update={"item": tidy(given.item), "evidence": unite_evidence(given.evidence)})
        united[key] = unite(united[key], entry) if key in united else entry
    return united, ids
