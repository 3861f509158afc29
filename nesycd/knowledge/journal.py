"""Writing entries and, with them, their lines in the history: the only place where a KB's tables are changed.

Rows are gathered and written by a few statements. The caller holds the transaction.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Evidence, Fact, Item
from nesycd.core.text import normal
from nesycd.knowledge.citations import origin
from nesycd.knowledge.database import change_of
from nesycd.knowledge.merge import item_key
from nesycd.knowledge.schema import entries, evidence, history, names, revisions

MAX_ITEM = 1_000_000
"""Bytes of an item's JSON. No prompt holds more, and a listing or export of many such items would never end."""
_CHUNK = 400
"""Keys in one query: old SQLite versions take at most 999 parameters."""
_MOST_ACTORS = 5
QUEUE = "queue"
"""The action of a line that says why somebody should look at an entry (`queue`)."""


class Journal:
    """Changes to entries that are made together by `write`."""

    def __init__(self) -> None:
        self._gone: list[str] = []
        self._fresh: list[dict[str, str]] = []
        self._changed: list[dict[str, str]] = []
        self._moved: list[str] = []
        self._lost: list[dict[str, str]] = []
        self._gained: list[dict[str, str]] = []
        self._ids: set[tuple[str, str]] = set()
        self._lines: list[dict[str, str]] = []

    def new(self, entry: Entry, uid: str = "", action: str = "add", note: str = "", actor: str = "") -> str:
        """An entry that was not there; gives its `uid`."""
        uid = uid or uuid.uuid4().hex
        self._fresh.append({"uid": uid, **_row(entry)})
        self._gained += _proof(uid, entry.evidence)
        self._note(uid, action, actor or _actor(entry.reviewer, entry.evidence), entry, note, gained=entry.evidence)
        return uid

    def changed(
        self, uid: str, before: Entry, after: Entry, action: str, note: str | None = None, actor: str = ""
    ) -> None:
        """An entry that has become another; nothing happens where it has not."""
        if before == after:
            return
        was, known = {e.id for e in after.evidence}, {e.id for e in before.evidence}
        gained = [e for e in after.evidence if e.id not in known]
        lost = [e for e in before.evidence if e.id not in was]
        if after.item != before.item:
            self._moved.append(uid)
        if (after.item, after.status, after.reviewer) != (before.item, before.status, before.reviewer):
            self._changed.append({"uid": uid, **_row(after)})
        self._gained += _proof(uid, gained)
        self._lost += _proof(uid, lost)
        actor = actor or _actor("" if after.reviewer == before.reviewer else after.reviewer, gained)
        note = f"{len(gained)} more evidence" if note is None else note
        self._note(uid, action, actor, after, note, gained, lost)

    def said(self, uid: str, entry: Entry, action: str, note: str, actor: str) -> None:
        """A line about an entry that stays what it is."""
        self._note(uid, action, actor, entry, note)

    def removed(self, uid: str, before: Entry, action: str, actor: str, note: str = "") -> None:
        """An entry that is no more; its history stays."""
        self._gone.append(uid)
        self._note(uid, action, actor, before, note, lost=before.evidence, is_gone=True)

    def named(self, uid: str, item_ids: Iterable[str]) -> None:
        """Ids under which an entry is known besides its own."""
        self._ids.update((item_id, uid) for item_id in item_ids)

    def write(self, connection: Connection) -> None:
        """Write all that was gathered, as part of the revision under way.

        Raises:
            KnowledgeError: an item is too large.
        """
        self._refuse_giants()
        if self._lines:
            number = _revision(connection, self._lines)
        for part in parts(self._gone):
            connection.execute(delete(evidence).where(evidence.c.entry.in_(part)))
            connection.execute(delete(entries).where(entries.c.uid.in_(part)))
        if self._lost:
            same = [evidence.c[name] == bindparam(f"old_{name}") for name in self._lost[0]]
            lost = [{f"old_{name}": value for name, value in row.items()} for row in self._lost]
            connection.execute(delete(evidence).where(*same), lost)
        # Two entries may have changed places: neither may run into the other's old key on the way.
        _update(connection, [{"uid": uid, "key": uid, "item_id": uid} for uid in self._moved if len(self._moved) > 1])
        _update(connection, self._changed)
        known: set[tuple[str, str]] = set()
        for part in parts(sorted({item_id for item_id, _ in self._ids})):
            known.update(
                (row.item_id, row.entry) for row in connection.execute(select(names).where(names.c.item_id.in_(part)))
            )
        ids = [{"item_id": item_id, "entry": uid} for item_id, uid in sorted(self._ids - known)]
        lines = [{"revision": number, **line} for line in self._lines]
        for table, rows in ((entries, self._fresh), (evidence, self._gained), (names, ids), (history, lines)):
            if rows:
                connection.execute(insert(table), rows)

    def _note(
        self,
        uid: str,
        action: str,
        actor: str,
        after: Entry,
        note: str,
        gained: Iterable[Evidence] = (),
        lost: Iterable[Evidence] = (),
        is_gone: bool = False,
    ) -> None:
        self._ids.add((after.item_id, uid))
        line = {"entry": uid, "at": _now(), "actor": actor, "action": action, "note": note}
        line |= {
            "status": "" if is_gone else str(after.status),
            "reviewer": after.reviewer,
            "item": as_json(after.item),
        }
        self._lines.append({**line, "gained": _pieces(gained), "lost": _pieces(lost)})

    def _refuse_giants(self) -> None:
        for row in (*self._fresh, *self._changed):
            if (size := len(row["item"].encode())) > MAX_ITEM:
                raise KnowledgeError(f"item {row['item_id']}: has {size:,} bytes, and at most {MAX_ITEM:,} are kept")


def as_json(item: Item) -> str:
    """An item as it is stored."""
    return _sorted_json(item.model_dump(mode="json"))


_sorted_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


def parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Keys in portions that a query can take."""
    for start in range(0, len(keys), _CHUNK):
        yield keys[start : start + _CHUNK]


def _revision(connection: Connection, lines: Sequence[dict[str, str]]) -> int:
    """The number of the revision under way; what its maker left open follows from its first lines."""
    change = change_of(connection)
    if change.revision is None:
        newest = connection.execute(select(func.max(revisions.c.number))).scalar_one()
        change.revision = (newest or 0) + 1
        actors = sorted({line["actor"] for line in lines})
        more = f" and {len(actors) - _MOST_ACTORS} more" if len(actors) > _MOST_ACTORS else ""
        row = {
            "number": change.revision,
            "at": _now(),
            "actor": change.actor or ", ".join(actors[:_MOST_ACTORS]) + more,
            "action": change.action or ", ".join(name for name, _ in groupby(sorted(line["action"] for line in lines))),
            "why": change.why,
        }
        connection.execute(insert(revisions), [row])
    return change.revision


def _update(connection: Connection, rows: Sequence[dict[str, str]]) -> None:
    if rows:
        same = entries.c.uid == bindparam("new_uid")
        statement = update(entries).where(same).values({name: bindparam(f"new_{name}") for name in rows[0]})
        connection.execute(statement, [{f"new_{name}": value for name, value in row.items()} for row in rows])


def _row(entry: Entry) -> dict[str, str]:
    item = entry.item
    about = [item.subject, item.relation, item.object, *item.aliases] if isinstance(item, Fact) else []
    return {
        "key": item_key(item),
        "item_id": item.id,
        "kind": item.kind,
        "status": str(entry.status),
        "reviewer": entry.reviewer,
        # Only searched in, and PostgreSQL takes no NUL.
        "words": normal(" ".join([item.text, *about])).replace("\0", " "),
        "item": as_json(item),
    }


def _proof(uid: str, pieces: Iterable[Evidence]) -> list[dict[str, str]]:
    return [{"entry": uid, "source": e.source, "example": e.example, "attempt": e.attempt} for e in pieces]


def _pieces(pieces: Iterable[Evidence]) -> str:
    return json.dumps([[e.source, e.example, e.attempt] for e in pieces], ensure_ascii=False)


def _actor(reviewer: str, pieces: Iterable[Evidence]) -> str:
    return reviewer or ", ".join(sorted({origin(e.source) for e in pieces}))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
