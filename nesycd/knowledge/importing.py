"""Bringing a file's entries into a KB, a few thousand at once: memory is that of these and of ids, however large the file is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replaced

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Fact, Status
from nesycd.knowledge import rows, versions
from nesycd.knowledge.changes import Difference, differences
from nesycd.knowledge.formats.mapping import FileEntry, valid_item
from nesycd.knowledge.formats.table import human_fact
from nesycd.knowledge.journal import parts
from nesycd.knowledge.merge import AUTO, item_key, was_decided
from nesycd.knowledge.rows import AddCounts
from nesycd.knowledge.schema import entries, history

MOST_DIFFERENCES = 10_000
"""Changed entries that are told of an import, and new ones; the others are only counted."""
ID = re.compile(r"[0-9a-f]{16}")
"""A whole id: numbers of somebody's own must not be taken for the beginning of one."""
_SHOWN = 5


class Given:
    """The entries of a file, to be gone through several times: they are kept where they are few, and read again where not.

    Attributes:
        wanted: ids by which they may name entries of the KB.
        as_they_were: ids that stand beside the very content they are made of.
    """

    def __init__(self, read: Callable[[], Iterable[FileEntry]], *, lossless: bool, keeps: bool) -> None:
        """Look at all of them.

        Args:
            read: goes through the file.
            lossless: whether its format holds all of an entry.
            keeps: whether they are all kept, however many there are.

        Raises:
            KnowledgeError: some of them cannot be used.
        """
        self._read = read
        self.wanted: set[str] = set()
        self.as_they_were: set[str] = set()
        kept: list[FileEntry] | None = []
        for number, one in enumerate(read()):
            if kept is not None:
                kept.append(one)
            if number >= rows.PORTION and not keeps:
                kept = None
            is_own = one.id == one.entry.item_id
            if is_own:
                self.as_they_were.add(one.id)
            # Under the id of its very content an entry merges; only the short formats lack what would make it equal.
            if ID.fullmatch(one.id) and not (lossless and is_own):
                self.wanted.add(one.id)
        self._kept = kept

    def __iter__(self) -> Iterator[FileEntry]:
        return iter(self._read() if self._kept is None else self._kept)

    def is_copy(self, one: FileEntry) -> bool:
        """Whether the file has the entry itself too, beside this one of another content under its id."""
        return one.id in self.as_they_were and one.id != one.entry.item_id


@dataclass(frozen=True)
class Brought:
    """What an import did.

    Attributes:
        counts: of all entries of the file.
        changed: what differs, of the first so many (`MOST_DIFFERENCES`) changed and new ones.
        waiting: how many new entries wait for approval.
        notes: what whoever imports should know of it, a sentence each.
    """

    counts: AddCounts
    changed: list[Difference]
    waiting: int
    notes: list[str]


def bring_in(connection: Connection, given: Given, editor: str, lossless: bool) -> Brought:
    """Edit what a file gives under known ids, add the rest, and set what status it states.

    Raises:
        KnowledgeError: an entry stands under the id of another one, or an edit would make two entries one.
    """
    begun = versions.newest(connection)
    known = rows.uids_by_id(connection, sorted(given.wanted))
    if known:
        _edit_all(connection, given, known, editor, lossless)
    stated: set[str] = set()
    strange: list[str] = []
    for part in rows.portions(given):
        pairs, unknown = _merge(connection, part, given, known, editor, lossless)
        _decide(connection, pairs, begun, editor)
        stated.update(uid for uid, _ in pairs)
        strange += unknown[: _SHOWN + 1 - len(strange)]
    some = ", ".join(item_id[:8] for item_id in strange[:_SHOWN]) + (" ..." if len(strange) > _SHOWN else "")
    notes = [f"no item here has or had these ids, so their rows are new: {some}"] if some else []
    return _summed_up(connection, stated, begun, notes)


def _edit_all(connection: Connection, given: Given, known: Mapping[str, str], editor: str, lossless: bool) -> None:
    edited: dict[str, tuple[str, str]] = {}
    for part in rows.portions(given):
        uids = [known.get(one.id, "") for one in part]
        before = rows.load(connection, sorted({uid for uid in uids if uid}))
        for uid, one in zip(uids, part, strict=True):
            if not uid or given.is_copy(one):
                continue
            item_id, where = edited.setdefault(uid, (one.entry.item_id, one.where))
            if item_id != one.entry.item_id:
                told = f"{one.where}: has the id of another item ({where.rpartition(': ')[2]})"
                raise KnowledgeError(f"{told}; take it out of what is new; nothing was imported")
            _edit(connection, uid, one, before[uid], editor, lossless)


def _merge(
    connection: Connection,
    part: Sequence[FileEntry],
    given: Given,
    known: Mapping[str, str],
    editor: str,
    lossless: bool,
) -> tuple[list[tuple[str, FileEntry]], list[str]]:
    """Add what is not an edit; gives all with their uids, and the ids that nothing has."""
    new: list[FileEntry] = []
    stated: list[tuple[str, FileEntry]] = []
    for one in part:
        is_copy = given.is_copy(one)
        if is_copy and one.entry.reviewer:
            one = replaced(one, entry=one.entry.model_copy(update={"reviewer": editor}))
        uid = "" if is_copy else known.get(one.id, "")
        if uid and not lossless:
            stated.append((uid, one))
        else:
            new.append(one)
    rows.merge_in(connection, [one.entry for one in new])
    uids = rows.uids_by_key(connection, [item_key(one.entry.item) for one in new])
    stated += [(uids[item_key(one.entry.item)], one) for one in new]
    strange = [one.id for one in new if not lossless and ID.fullmatch(one.id) and one.id != one.entry.item_id]
    return stated, [item_id for item_id in strange if item_id not in known]


def _decide(connection: Connection, stated: Sequence[tuple[str, FileEntry]], begun: int, editor: str) -> None:
    """Set what status the file states. A change that nobody in the file answers for is the editor's.

    `begun`: the revision before the import.
    """
    stated = [(uid, one) for uid, one in stated if one.states_status]
    now = rows.load(connection, [uid for uid, _ in stated])
    nobodys = sorted({uid for uid, one in stated if _is_nobodys(one)}) if begun else []
    before = versions.state_at(connection, begun, nobodys)
    decisions: dict[str, tuple[Status, str]] = {}
    # Where a file has an entry twice, what it says last holds.
    for uid, one in stated:
        status, reviewer = one.entry.status, one.entry.reviewer
        if uid in before and _is_nobodys(one):
            is_changed = (now[uid].item, status) != (before[uid].item, before[uid].status)
            reviewer = editor if is_changed else reviewer
        decisions[uid] = (status, reviewer)
    for status, reviewer in sorted(set(decisions.values())):
        same = [uid for uid, decision in decisions.items() if decision == (status, reviewer)]
        rows.set_status(connection, same, status, reviewer, editor)


def _is_nobodys(one: FileEntry) -> bool:
    """Whether a file states a decision without who made it."""
    return one.entry.reviewer in ("", AUTO) and one.entry.status is not Status.PROPOSED


def _edit(connection: Connection, uid: str, one: FileEntry, old: Entry, editor: str, lossless: bool) -> None:
    """Make of an entry's content what the file says; fields that a format does not hold stay."""
    given, new = dict(one.given), one.entry.item
    keeps = not lossless and old.item.kind == new.kind
    is_same = isinstance(old.item, Fact) and isinstance(new, Fact) and old.item.triple == new.triple
    if is_same and isinstance(new, Fact) and given["text"] == human_fact(*new.triple)["text"]:
        del given["text"]  # made of the triple, for a row that has none: it says nothing against the entry's
    try:
        item = valid_item({**old.item.model_dump(), **given}) if keeps else new
        if item != old.item:
            rows.rewrite(connection, uid, lambda _: item, editor, old.reviewer if was_decided(old) else editor)
    except KnowledgeError as error:
        raise KnowledgeError(f"{one.where}: {error}; nothing was imported") from None


def _summed_up(connection: Connection, uids: Iterable[str], begun: int, notes: list[str]) -> Brought:
    """What has become of the entries of a file since a revision, read off the history."""
    added = merged = same = waiting = 0
    old: dict[str, Entry] = {}
    new: dict[str, Entry] = {}
    for part in parts(sorted(uids)):
        is_here = history.c.entry.in_(part)
        was = set(connection.execute(select(history.c.entry).where(is_here, history.c.revision <= begun)).scalars())
        query = select(history.c.entry).where(is_here, history.c.revision > begun)
        touched = sorted(was & set(connection.execute(query).scalars()))
        before, after = versions.state_at(connection, begun, touched), rows.load(connection, touched)
        changed = [uid for uid in touched if before[uid] != after[uid]]
        merged, same = merged + len(changed), same + len(was) - len(changed)
        for uid in changed[: max(0, MOST_DIFFERENCES - len(old))]:
            old[uid], new[uid] = before[uid], after[uid]
        fresh = [uid for uid in part if uid not in was]
        added += len(fresh)
        if fresh:
            waits = entries.c.uid.in_(fresh) & (entries.c.status == str(Status.PROPOSED))
            waiting += connection.execute(select(func.count()).select_from(entries).where(waits)).scalar_one()
            new |= rows.load(connection, fresh[: max(0, MOST_DIFFERENCES - len(new) + len(old))])
    return Brought(AddCounts(added, merged, same), differences(old, new), waiting, notes)
