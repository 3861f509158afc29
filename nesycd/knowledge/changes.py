"""What changed in a KB: entry by entry between two of its states, and since somebody looked at it last.

The latter is read off the history, which only grows: the work is that of the change, not of the KB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from nesycd.core.records import Entry
from nesycd.knowledge import rows
from nesycd.knowledge.journal import parts
from nesycd.knowledge.merge import entry_order
from nesycd.knowledge.schema import history, names


@dataclass(frozen=True)
class Difference:
    """One entry in two states of a KB; None where it is not there."""

    before: Entry | None
    after: Entry | None

    @property
    def sign(self) -> str:
        """`+` new, `-` gone, `~` changed."""
        return "+" if self.before is None else "-" if self.after is None else "~"

    @property
    def entry(self) -> Entry:
        """The entry after, or before where it is gone."""
        found = self.after or self.before
        assert found is not None
        return found

    def _cells(self) -> dict[str, Any]:
        """Its row where several are listed."""
        told = {"": self.sign, "id": self.entry.item_id[:8], "kind": self.entry.item.kind, "text": self.entry.item.text}
        changed = (f"{key}: {before} → {after}" for key, (before, after) in self.changes.items() if key != "evidence")
        return told | {"status": self.entry.status, "changes": "; ".join(changed)}

    @property
    def changes(self) -> dict[str, tuple[Any, Any]]:
        """Of a changed entry, each field that differs, before and after; evidence as what came and what went."""
        if self.before is None or self.after is None:
            return {}
        old, new = _fields(self.before), _fields(self.after)
        found = {key: (old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)}
        lost = [e for e in self.before.evidence if e not in self.after.evidence]
        gained = [e for e in self.after.evidence if e not in self.before.evidence]
        return found | ({"evidence": (lost, gained)} if lost or gained else {})


def differences(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> list[Difference]:
    """What differs between two states (entries by uid), in the order of listings.

    An entry that was removed and added again has another uid; it is one difference, or none, all the same.
    """
    old = {uid: entry for uid, entry in before.items() if after.get(uid) != entry}
    new = {uid: entry for uid, entry in after.items() if before.get(uid) != entry}
    back = {entry.item_id: uid for uid, entry in new.items() if uid not in old}
    found = []
    for uid, entry in old.items():
        match = uid if uid in new else back.get(entry.item_id, "")
        found.append(Difference(entry, new.pop(match, None)))
    found += [Difference(None, entry) for entry in new.values()]
    return sorted((one for one in found if one.before != one.after), key=lambda one: entry_order(one.entry))


def _fields(entry: Entry) -> dict[str, Any]:
    return {**entry.item.model_dump(mode="json"), "status": str(entry.status), "reviewer": entry.reviewer}


@dataclass(frozen=True)
class Changes:
    """Entries as they are now, the ids under which they stood before, and up to where the history was read."""

    seq: int
    entries: tuple[Entry, ...] = ()
    former: frozenset[str] = frozenset()


def changes_since(connection: Connection, seq: int = 0) -> Changes:
    """What changed after line `seq` of the history; all there is where that is 0."""
    newest = last_line(connection)
    if newest <= seq:
        return Changes(newest)
    if seq == 0:
        return Changes(newest, tuple(rows.load(connection).values()))
    uids = touched_since(connection, seq)
    found = rows.load(connection, uids)
    former: set[str] = set()
    for part in parts(uids):
        former.update(connection.execute(select(names.c.item_id).where(names.c.entry.in_(part))).scalars())
    return Changes(newest, tuple(found.values()), frozenset(former - {entry.item_id for entry in found.values()}))


def last_line(connection: Connection) -> int:
    """The number of the history's last line; 0 where it is empty."""
    return int(connection.execute(select(func.max(history.c.seq))).scalar() or 0)


def touched_since(connection: Connection, seq: int) -> list[str]:
    """The entries (uid) with a line after line `seq` of the history, those included that are gone."""
    return list(connection.execute(select(history.c.entry).where(history.c.seq > seq).distinct()).scalars())
