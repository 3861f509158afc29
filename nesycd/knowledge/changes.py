"""What changed in a KB since it was looked at last, for whoever keeps something made of it (an index) up to date.

Read off the history, which only grows: the work is that of the change, not of the KB.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from nesycd.core.records import Entry
from nesycd.knowledge import rows
from nesycd.knowledge.schema import history, names
from nesycd.knowledge.store import KnowledgeBase


@dataclass(frozen=True)
class Changes:
    """Entries as they are now, the ids under which they stood before, and up to where the history was read."""

    seq: int
    entries: tuple[Entry, ...] = ()
    former: frozenset[str] = frozenset()


def changes_since(kb: KnowledgeBase, seq: int = 0) -> Changes:
    """What changed after line `seq` of the history; all there is where that is 0."""
    with kb.reading() as connection:
        newest = int(connection.execute(select(func.max(history.c.seq))).scalar() or 0)
        if newest <= seq:
            return Changes(newest)
        if seq == 0:
            return Changes(newest, tuple(rows.load(connection).values()))
        uids = list(connection.execute(select(history.c.entry).where(history.c.seq > seq).distinct()).scalars())
        found = rows.load(connection, uids)
        former: set[str] = set()
        for start in range(0, len(uids), 400):
            query = select(names.c.item_id).where(names.c.entry.in_(uids[start : start + 400]))
            former.update(connection.execute(query).scalars())
    return Changes(newest, tuple(found.values()), frozenset(former - {entry.item_id for entry in found.values()}))
