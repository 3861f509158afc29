"""Reading and changing entries on an open connection; each change leaves its line in the history.

The caller holds the transaction, so several of these make one all-or-nothing change.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import TypeAdapter
from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from nesycd.errors import KnowledgeError
from nesycd.knowledge.merge import item_key, tidy, unite, unite_evidence
from nesycd.knowledge.schema import entries, evidence, history, names
from nesycd.knowledge.text import normal, printable
from nesycd.records import Entry, Evidence, Fact, Item, Rule, Status

ITEM: TypeAdapter[Item] = TypeAdapter(Item)
MIN_PREFIX = 4
_CHUNK = 400
"""Keys in one query: old SQLite versions take at most 999 parameters."""


@dataclass(frozen=True)
class AddCounts:
    """What adding did: entries made new, entries that changed by merging, entries that were all there already."""

    added: int = 0
    merged: int = 0
    unchanged: int = 0


def find(connection: Connection, item_id: str) -> str:
    """The `uid` of the entry that an id, a former id or a unique prefix names.

    Raises:
        KnowledgeError: it names none or several, or is too short.
    """
    wanted = item_id.strip().lower()
    shown = printable(item_id)
    if len(wanted) < MIN_PREFIX:
        raise KnowledgeError(f"item id {shown!r} is too short: give at least {MIN_PREFIX} characters")
    for table, uid in ((entries, entries.c.uid), (names, names.c.entry)):
        for same in (table.c.item_id == wanted, table.c.item_id.startswith(wanted, autoescape=True)):
            rows = connection.execute(select(table.c.item_id, uid).where(same).limit(50)).all()
            if len({row[1] for row in rows}) == 1:
                return str(rows[0][1])
            if rows:
                some = ", ".join(sorted(str(row[0]) for row in rows)[:5])
                raise KnowledgeError(f"item id {shown!r} is ambiguous: it fits {some}; give more of it")
    raise KnowledgeError(f"no item has the id {shown!r}; `nesycd kb list` shows the ids")


def load(connection: Connection, uids: Sequence[str] | None = None) -> dict[str, Entry]:
    """Entries by uid, all of them where `uids` is None."""
    proof: dict[str, list[Evidence]] = {}
    for part in _parts(uids):
        query = select(evidence) if part is None else select(evidence).where(evidence.c.entry.in_(part))
        for row in connection.execute(query):
            piece = Evidence(example=row.example, attempt=row.attempt, source=row.source)
            proof.setdefault(row.entry, []).append(piece)
    found: dict[str, Entry] = {}
    for part in _parts(uids):
        query = select(entries) if part is None else select(entries).where(entries.c.uid.in_(part))
        for row in connection.execute(query):
            found[row.uid] = Entry(
                item=ITEM.validate_json(row.item),
                status=Status(row.status),
                reviewer=row.reviewer,
                evidence=unite_evidence(proof.get(row.uid, ())),
            )
    return found


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
    for part in _parts(keys):
        query = select(entries.c.key, entries.c.uid).where(entries.c.key.in_(part or ()))
        found.update((row.key, row.uid) for row in connection.execute(query))
    return found


def merge_in(connection: Connection, incoming: Iterable[Entry]) -> AddCounts:
    """Add entries, uniting each with its equal in the KB or among themselves."""
    united, ids = _united(incoming)
    uids = uids_by_key(connection, list(united))
    present = load(connection, list(uids.values()))
    writer = _Writer()
    merged = 0
    for key, entry in united.items():
        if key not in uids:
            uids[key] = writer.new(key, entry)
            continue
        before = present[uids[key]]
        after = unite(before, entry)
        if after != before:
            merged += 1
            writer.changed(connection, uids[key], before, after)
    writer.ids += [{"item_id": item_id, "entry": uids[key]} for key in united for item_id in ids[key]]
    writer.flush(connection)
    added = len(writer.fresh)
    return AddCounts(added, merged, len(united) - added - merged)


def rewrite(connection: Connection, uid: str, make: Callable[[Entry], Item], reviewer: str) -> None:
    """Put another content in the place of an entry's, keeping evidence and status.

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
    after = before.model_copy(update={"item": item, "reviewer": reviewer})
    writer = _Writer()
    row = _row(item_key(item), after)
    connection.execute(update(entries).where(entries.c.uid == uid).values(**row))
    writer.ids.append({"item_id": item.id, "entry": uid})
    writer.note(uid, "edit", reviewer, after, f"was {before.item_id}")
    writer.flush(connection)


def set_status(connection: Connection, uids: Sequence[str], status: Status, reviewer: str) -> int:
    """Decide on entries; gives how many changed."""
    verb = {Status.APPROVED: "approve", Status.REJECTED: "reject", Status.RETIRED: "retire"}.get(status, "propose")
    writer = _Writer()
    for uid, entry in load(connection, uids).items():
        if (entry.status, entry.reviewer) != (status, reviewer):
            after = entry.model_copy(update={"status": status, "reviewer": reviewer})
            writer.note(uid, verb, reviewer, after, f"was {entry.status}")
    changed = [str(row["entry"]) for row in writer.lines]
    for part in _parts(changed):
        where = entries.c.uid.in_(part or ())
        connection.execute(update(entries).where(where).values(status=str(status), reviewer=reviewer))
    writer.flush(connection)
    return len(changed)


class _Writer:
    """Gathers rows so that many entries are written with a few statements."""

    def __init__(self) -> None:
        self.fresh: list[dict[str, str]] = []
        self.proof: list[dict[str, str]] = []
        self.ids: list[dict[str, str]] = []
        self.lines: list[dict[str, str]] = []

    def new(self, key: str, entry: Entry) -> str:
        uid = uuid.uuid4().hex
        self.fresh.append({"uid": uid, **_row(key, entry)})
        self.ids.append({"item_id": entry.item_id, "entry": uid})
        self._prove(uid, entry.evidence)
        self.note(uid, "add", _actor(entry.reviewer, entry.evidence), entry, "")
        return uid

    def changed(self, connection: Connection, uid: str, before: Entry, after: Entry) -> None:
        known = {e.id for e in before.evidence}
        extra = [e for e in after.evidence if e.id not in known]
        self._prove(uid, extra)
        if (after.item, after.status, after.reviewer) != (before.item, before.status, before.reviewer):
            values = _row(item_key(after.item), after)
            connection.execute(update(entries).where(entries.c.uid == uid).values(**values))
            self.ids.append({"item_id": after.item_id, "entry": uid})
        actor = _actor("" if after.reviewer == before.reviewer else after.reviewer, extra)
        self.note(uid, "merge", actor, after, f"{len(extra)} more evidence")

    def note(self, uid: str, action: str, actor: str, after: Entry, note: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"entry": uid, "at": now, "actor": actor, "action": action, "note": note}
        self.lines.append({**line, "status": str(after.status), "item": _json(after.item)})

    def flush(self, connection: Connection) -> None:
        ids = {(row["item_id"], row["entry"]): row for row in self.ids}
        for part in _parts(sorted({row["item_id"] for row in self.ids})):
            query = select(names.c.item_id, names.c.entry).where(names.c.item_id.in_(part or ()))
            for row in connection.execute(query):
                ids.pop((row.item_id, row.entry), None)
        gathered = {entries: self.fresh, evidence: self.proof, names: [*ids.values()], history: self.lines}
        for table, rows in gathered.items():
            if rows:
                connection.execute(insert(table), rows)

    def _prove(self, uid: str, pieces: Iterable[Evidence]) -> None:
        self.proof += [{"entry": uid, "source": e.source, "example": e.example, "attempt": e.attempt} for e in pieces]


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


def _row(key: str, entry: Entry) -> dict[str, str]:
    item = entry.item
    about = [item.subject, item.relation, item.object, *item.aliases] if isinstance(item, Fact) else []
    return {
        "key": key,
        "item_id": item.id,
        "kind": item.kind,
        "status": str(entry.status),
        "reviewer": entry.reviewer,
        "words": normal(" ".join([item.text, *about])),
        "item": _json(item),
    }


def _json(item: Item) -> str:
    return json.dumps(item.model_dump(mode="json"), ensure_ascii=False, sort_keys=True)


def _actor(reviewer: str, pieces: Iterable[Evidence]) -> str:
    return reviewer or ", ".join(sorted({e.source for e in pieces}))


def _parts(keys: Sequence[str] | None) -> Iterator[Sequence[str] | None]:
    if keys is None:
        yield None
    else:
        for start in range(0, len(keys), _CHUNK):
            yield keys[start : start + _CHUNK]
