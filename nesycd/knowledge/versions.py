"""Revisions and named versions of a KB: earlier states, undoing a revision, going back, checking the history.

Works on an open connection, as `rows` does. A state is entries by uid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Evidence, Item, Status
from nesycd.core.text import printable
from nesycd.knowledge import rows
from nesycd.knowledge.journal import Journal, parts
from nesycd.knowledge.merge import item_key, unite_evidence
from nesycd.knowledge.schema import entries, history, revisions, versions

NOW = "now"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Revision:
    """One change of a KB: who, when (UTC), what, why, and how many entries it touched."""

    number: int
    at: str
    actor: str
    action: str
    why: str
    entries: int
    versions: tuple[str, ...] = ()
    """Names given to the state after it."""


@dataclass(frozen=True)
class HistoryLine:
    """What one revision did to one entry, and what the entry was after it; no `status`: it was gone."""

    revision: int
    at: str
    actor: str
    action: str
    status: Status | None
    item: Item
    note: str

    def _cells(self) -> dict[str, Any]:
        """Its row where several are listed."""
        told = {
            "revision": self.revision,
            "at": self.at[:19].replace("T", " "),
            "by": self.actor,
            "action": self.action,
        }
        return told | {"status": self.status or "gone", "text": self.item.text, "note": self.note}


def newest(connection: Connection) -> int:
    """The number of the last revision, 0 before the first."""
    return int(connection.execute(select(func.max(revisions.c.number))).scalar_one() or 0)


def listed(connection: Connection, limit: int | None = None) -> list[Revision]:
    """Revisions, newest first."""
    touched = select(history.c.revision, func.count(history.c.entry.distinct()).label("n")).group_by(history.c.revision)
    query = select(revisions).order_by(revisions.c.number.desc())
    found = connection.execute(query if limit is None else query.limit(limit)).all()
    if limit is not None and found:
        touched = touched.where(history.c.revision >= found[-1].number)
    counts = {row.revision: int(row.n) for row in connection.execute(touched)}
    tags: dict[int, list[str]] = {}
    for name, number in named(connection).items():
        tags.setdefault(number, []).append(name)
    return [
        Revision(r.number, r.at, r.actor, r.action, r.why, counts.get(r.number, 0), tuple(tags.get(r.number, ())))
        for r in found
    ]


def lines_of(connection: Connection, uid: str) -> list[HistoryLine]:
    """All that happened to an entry, oldest first."""
    found = connection.execute(select(history).where(history.c.entry == uid).order_by(history.c.seq)).all()
    return [
        HistoryLine(
            row.revision,
            row.at,
            row.actor,
            row.action,
            Status(row.status) if row.status else None,
            rows.ITEM.validate_json(row.item),
            row.note,
        )
        for row in found
    ]


def named(connection: Connection) -> dict[str, int]:
    """Named versions and their revisions, in the order of these."""
    query = select(versions.c.name, versions.c.revision).order_by(versions.c.revision, versions.c.name)
    return {row.name: row.revision for row in connection.execute(query)}


def tag(connection: Connection, name: str, actor: str, why: str) -> int:
    """Give the state as it is now a name, for good; gives its revision.

    Raises:
        KnowledgeError: the name is taken, or cannot be one.
    """
    if not _NAME.fullmatch(name) or name == NOW:
        raise KnowledgeError(f"{printable(name)!r} cannot name a version: letters, digits, . _ -, a letter first")
    taken = named(connection).get(name)
    if taken is not None:
        raise KnowledgeError(f"the name {name} is that of revision {taken} already, and names stay; choose another")
    number = newest(connection)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    row = {"name": name, "revision": number, "at": at, "actor": actor, "why": why}
    connection.execute(insert(versions), [row])
    return number


def number_of(connection: Connection, version: str) -> int:
    """The revision that a number, a version's name or `now` stands for (0: the empty KB before the first).

    Raises:
        KnowledgeError: there is none.
    """
    last, known = newest(connection), named(connection)
    if version == NOW:
        return last
    if version.isdecimal() and len(version) < 18:
        if int(version) <= last:
            return int(version)
        raise KnowledgeError(f"there is no revision {version}; the last one is {last}")
    if version not in known:
        names = ", ".join(known) or "none yet; nesycd kb tag gives one"
        raise KnowledgeError(f"there is no version {printable(version)!r} (names: {names})")
    return known[version]


def state_at(connection: Connection, number: int, uids: Sequence[str] | None = None) -> dict[str, Entry]:
    """The entries as they were after a revision: all, or those of `uids`."""
    found: dict[str, _State] = {}
    for part in (None,) if uids is None else parts(uids):
        query = select(history).where(history.c.revision <= number).order_by(history.c.seq)
        for row in connection.execute(query if part is None else query.where(history.c.entry.in_(part))):
            found.setdefault(row.entry, _State()).take(row)
    return {uid: state.entry() for uid, state in found.items() if state.line is not None}


def touched(connection: Connection, after: int, until: int) -> list[str]:
    """The entries (uid) that revisions after one, and until another, have changed."""
    between = (history.c.revision > after) & (history.c.revision <= until)
    return list(connection.execute(select(history.c.entry).where(between).distinct()).scalars())


def undo(connection: Connection, number: int, actor: str) -> int:
    """Take back what one revision did, and keep what was done since; gives the number of entries changed.

    Content, decision (status and reviewer) and each piece of evidence are taken back by themselves.

    Raises:
        KnowledgeError: no such revision, or a later one changed the same again; nothing is changed then.
    """
    if not 1 <= number <= newest(connection):
        raise KnowledgeError(f"there is no revision {number}; the last one is {newest(connection)}")
    uids = list(connection.execute(select(history.c.entry).where(history.c.revision == number).distinct()).scalars())
    before, after = state_at(connection, number - 1, uids), state_at(connection, number, uids)
    now = rows.load(connection, uids)
    wanted: dict[str, Entry | None] = {}
    for uid in uids:
        try:
            wanted[uid] = _without(before.get(uid), after.get(uid), now.get(uid))
        except _ChangedSince:
            shown = (now.get(uid) or after.get(uid) or before[uid]).item_id
            later = connection.execute(
                select(func.min(history.c.revision)).where(history.c.entry == uid, history.c.revision > number)
            ).scalar_one()
            raise KnowledgeError(
                f"revision {number} cannot be reverted: item {shown} was changed again by revision {later}; "
                f"revert that first, or go back by --to {number - 1}"
            ) from None
    return put(connection, now, wanted, actor, f"without revision {number}")


def go_back(connection: Connection, number: int, actor: str) -> int:
    """Make the KB what it was after a revision; gives the number of entries changed."""
    uids = touched(connection, number, newest(connection))
    now, then = rows.load(connection, uids), state_at(connection, number, uids)
    wanted = {uid: then.get(uid) for uid in {**now, **then}}
    return put(connection, now, wanted, actor, f"back to revision {number}")


def problems(connection: Connection) -> list[str]:
    """What is wrong with a KB: damage that SQLite finds, gaps in its revisions, a history that does not add up."""
    found = []
    if connection.dialect.name == "sqlite":
        damage = connection.execute(text("PRAGMA integrity_check")).scalars().all()
        found += [f"SQLite says: {one}" for one in damage if one != "ok"]
        found += [
            f"a row of {row[0]} lacks the row it refers to"
            for row in connection.execute(text("PRAGMA foreign_key_check"))
        ]
    last = newest(connection)
    count = connection.execute(select(func.count()).select_from(revisions)).scalar_one()
    with_lines = connection.execute(select(func.count(history.c.revision.distinct()))).scalar_one()
    if not last == count == with_lines:
        found.append(f"of {last} revisions {count} are there, {with_lines} of them with lines in the history")
    here = select(entries.c.uid).union(select(history.c.entry)).order_by("uid")
    for part in parts(list(connection.execute(here).scalars())):
        now, told = rows.load(connection, part), state_at(connection, last, part)
        for uid in part:
            if now.get(uid) != told.get(uid):
                shown = now.get(uid) or told[uid]
                found.append(f"item {shown.item_id} is not what its history says")
    return found


class _ChangedSince(Exception):
    """What a revision did has been overwritten."""


class _State:
    """One entry while its history is read."""

    def __init__(self) -> None:
        self.line: Any = None
        self.proof: dict[tuple[str, str, str], None] = {}

    def take(self, row: Any) -> None:
        self.line = row if row.status else None
        self.proof.update((tuple(piece), None) for piece in json.loads(row.gained))
        for piece in json.loads(row.lost):
            self.proof.pop(tuple(piece), None)

    def entry(self) -> Entry:
        return Entry(
            item=rows.ITEM.validate_json(self.line.item),
            status=Status(self.line.status),
            reviewer=self.line.reviewer,
            evidence=tuple(Evidence(source=s, example=e, attempt=a) for s, e, a in sorted(self.proof)),
        )


def _without(before: Entry | None, after: Entry | None, now: Entry | None) -> Entry | None:
    """`now` without what turned `before` into `after`."""
    if now == after:
        return before
    if before is None or after is None or now is None:
        raise _ChangedSince
    changes: dict[str, Any] = {}
    for fields in (("item",), ("status", "reviewer")):
        old, new, current = ([getattr(entry, name) for name in fields] for entry in (before, after, now))
        if old == new or (old[0] == new[0] and current != new):
            continue  # an edit signs the entry with its author, and who decided since stays
        if current != new:
            raise _ChangedSince
        changes |= dict(zip(fields, old, strict=True))
    came = [e for e in after.evidence if e not in before.evidence]
    went = [e for e in before.evidence if e not in after.evidence and e not in now.evidence]
    kept = [e for e in now.evidence if e not in came]
    return now.model_copy(update={**changes, "evidence": unite_evidence(kept, went)})


def put(
    connection: Connection,
    now: Mapping[str, Entry],
    wanted: Mapping[str, Entry | None],
    actor: str,
    note: str = "",
    action: str = "revert",
) -> int:
    """Write states of entries by uid, whatever they were (`now`); None: it goes. Gives the number of entries changed.

    Raises:
        KnowledgeError: an entry that is not in `wanted` has the content of one that is.
    """
    _refuse_equals(connection, wanted)
    journal = Journal()
    changed = 0
    for uid, entry in sorted(wanted.items()):
        old = now.get(uid)
        if entry == old:
            continue
        changed += 1
        if entry is None:
            assert old is not None
            journal.removed(uid, old, action, actor, note)
        elif old is None:
            journal.new(entry, uid, action, note, actor)
        else:
            journal.changed(uid, old, entry, action, note, actor)
    journal.write(connection)
    return changed


def _refuse_equals(connection: Connection, wanted: Mapping[str, Entry | None]) -> None:
    keys = {item_key(entry.item): entry for entry in wanted.values() if entry is not None}
    holders = rows.uids_by_key(connection, list(keys))
    for key, uid in holders.items():
        if uid not in wanted:
            raise KnowledgeError(
                f"item {keys[key].item_id} cannot come back: another entry with the same content was added since"
            )
