"""Carries people's work over to a base that replaces another: decisions, edits, own items, merges, declarations.

A run rebuilds its base when its diagnoses or documents change. The proposals are then the new ones; people's work must not be
lost, and what cannot be carried over is reported. What people rely on and its document states no more is queued for review.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Evidence, Item, Status
from nesycd.core.text import normal, printable, shortened
from nesycd.knowledge import rows, versions
from nesycd.knowledge.citations import document_of
from nesycd.knowledge.entities import Relation, act, known_entity, stand
from nesycd.knowledge.journal import QUEUE, Journal
from nesycd.knowledge.merge import AUTO, item_key, unite_evidence, was_decided
from nesycd.knowledge.schema import graph_acts
from nesycd.knowledge.source_changes import instead, relied_on, stated_then
from nesycd.knowledge.store import KnowledgeBase
from nesycd.knowledge.versions import HistoryLine

ACTION = "carry over"


@dataclass(frozen=True)
class CarriedOver:
    """What was carried over, and what could not be: a sentence each, which names the item."""

    carried: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Work:
    """What people did in a base."""

    entries: list[tuple[Entry, list[HistoryLine]]]
    acts: list[tuple[str, str, dict[str, object], str]]
    """Merges that stand and the last declaration of each relation: actor, action, body, note."""
    tags: Mapping[str, int]
    keys: Collection[str] = ()
    """Of all entries, as they are and were (`item_key`)."""
    stated: Mapping[str, Item] = field(default_factory=dict)
    """What documents stated when the entries came from them, by the entries' ids."""
    queued: Mapping[str, list[str]] = field(default_factory=dict)
    """Why entries wait for a decision, by their keys."""


def is_worked_on(kb: KnowledgeBase, documents: Collection[str] = ()) -> bool:
    """Whether people have done anything in a base that a run made; `documents` are those that the run reads."""
    work = _work(kb, documents)
    return bool(work.entries or work.acts or work.tags)


def carry_over(
    old: KnowledgeBase, new: KnowledgeBase, documents: Collection[str] = (), stated: Collection[str] = ()
) -> CarriedOver:
    """Carry people's work in `old` over to `new`, as one change.

    Args:
        old: the base before.
        new: the base that takes its place.
        documents: names of those that `new` was read from.
        stated: keys (`item_key`) of all that they state, whether it is in `new` or was refused.
    """
    work = _work(old, documents)
    name = Path(old.place).name
    carried: list[str] = []
    left = [
        f"version {tag}: revision {number} is a state of {name} and can be seen only there"
        for tag, number in work.tags.items()
    ]
    with new.writing(action=ACTION, why=f"from {name}") as connection:
        _carry_entries(connection, work, name, (documents, stated), carried, left)
        _queue_again(connection, work)
        _carry_acts(connection, work.acts, name, carried, left)
    return CarriedOver(tuple(carried), tuple(left))


def _work(kb: KnowledgeBase, documents: Collection[str]) -> _Work:
    with kb.reading() as connection:
        all_entries = rows.load(connection)
        uids = [uid for uid, entry in all_entries.items() if was_decided(entry) or _is_own(entry, documents)]
        touched = [(all_entries[uid], versions.lines_of(connection, uid)) for uid in uids]
        cited = {document_of(one.source) for uid in uids for one in all_entries[uid].evidence} - {""}
        stated = stated_then(connection, uids, cited) if cited else {}
        queued = rows.queued(connection)
        standing = {merge.number for merge in stand(connection).merges if not merge.reverted}
        acts: dict[object, tuple[str, str, dict[str, object], str]] = {}
        for row in connection.execute(select(graph_acts).order_by(graph_acts.c.seq)):
            body = json.loads(row.body)
            if row.action == "declare":
                acts[normal(body["name"])] = (row.actor, row.action, body, row.note)
            elif row.seq in standing:
                acts[row.seq] = (row.actor, row.action, body, row.note)
        tags = versions.named(connection)
    return _Work(
        sorted(touched, key=lambda pair: pair[0].item_id),
        list(acts.values()),
        tags,
        {item_key(one.item) for one in all_entries.values()}
        | {item_key(line.item) for _, lines in touched for line in lines},
        {all_entries[uid].item_id: item for uid, item in stated.items()},
        {item_key(all_entries[uid].item): reasons for uid, reasons in queued.items() if uid in all_entries},
    )


def _is_own(entry: Entry, documents: Collection[str]) -> bool:
    """Whether people wrote or imported an item: it comes from no question, and no run approved it with its own files.

    What a run proposed from its own documents, and nobody decided on, is not theirs.
    """
    if entry.reviewer == AUTO or any(one.example for one in entry.evidence):
        return False
    read = bool(entry.evidence) and all(document_of(one.source) in documents for one in entry.evidence)
    return was_decided(entry) or not read


def _carry_entries(
    connection: Connection,
    work: _Work,
    name: str,
    read: tuple[Collection[str], Collection[str]],
    carried: list[str],
    left: list[str],
) -> None:
    documents, stated = read
    now = rows.load(connection)
    fresh = [(e.item, one) for e in now.values() if item_key(e.item) not in work.keys
             for one in e.evidence if document_of(one.source) in documents]  # fmt: skip
    uids = {item_key(entry.item): uid for uid, entry in now.items()}
    taken: set[str] = set()
    unsaid: list[tuple[str, Entry, Evidence]] = []
    # What is there as it stands comes first: an edit of another item must not take its place.
    for entry, lines in sorted(work.entries, key=lambda pair: item_key(pair[0].item) not in uids):
        key = item_key(entry.item)
        former = [uids[one] for one in dict.fromkeys(item_key(line.item) for line in reversed(lines)) if one in uids]
        former = [uid for uid in former if uid not in taken]
        shown = f"item {entry.item_id[:8]} ({printable(entry.item.text)[:60]})"
        how = f"{entry.status}{f' by {entry.reviewer}' if entry.reviewer else ''}"
        if former and not was_decided(entry):
            continue  # nobody has said anything of what is there
        journal = Journal()
        if former:
            uid = uids.get(key, former[0])
            before = now[uid]
            evidence = unite_evidence(before.evidence, _brought(entry, documents))
            after = entry.model_copy(update={"evidence": evidence})
            journal.changed(uid, before, after, ACTION, f"from {name}, was {before.item_id}", entry.reviewer)
            journal.named(uid, {line.item.id for line in lines})
            del uids[item_key(before.item)]
            uids[key], now[uid] = uid, after
            taken.add(uid)
            left += [f"{shown}: was edited, and what it was is proposed beside it as item {now[other].item_id[:8]}"
                     for other in former if other != uid]  # fmt: skip
        elif _is_own(entry, documents) or entry.status in {Status.REJECTED, Status.RETIRED}:
            is_stated = any(item_key(line.item) in stated for line in lines)
            kept = [one for one in entry.evidence if is_stated or document_of(one.source) not in documents]
            after = entry.model_copy(update={"evidence": tuple(kept)})
            uid = journal.new(after, action=ACTION, note=f"from {name}", actor=entry.reviewer)
            uids[key], now[uid] = uid, after
        else:
            left.append(f"{shown}: {how}, but it is not proposed any more")
            continue
        journal.write(connection)
        carried.append(f"{shown}: {how}")
        cited = [one for one in entry.evidence if document_of(one.source)]
        if cited and not any(document_of(one.source) in documents for one in now[uid].evidence) and relied_on(entry):
            unsaid.append((uid, entry, cited[0]))
    _queue_unsaid(connection, unsaid, work.stated, documents, fresh, now, uids, left)


def _brought(entry: Entry, documents: Collection[str]) -> list[Evidence]:
    """The evidence of an entry that no question gave, and no document that is read anew."""
    return [one for one in entry.evidence if not one.example and document_of(one.source) not in documents]


def _queue_unsaid(
    connection: Connection,
    unsaid: Iterable[tuple[str, Entry, Evidence]],
    stated: Mapping[str, Item],
    documents: Collection[str],
    fresh: Iterable[tuple[Item, Evidence]],
    now: Mapping[str, Entry],
    uids: Mapping[str, str],
    left: list[str],
) -> None:
    """Queue what people rely on and no document states now, and what is stated instead."""
    found = list(unsaid)
    gone = instead([(stated.get(entry.item_id, entry.item), one.source) for _, entry, one in found], fresh)
    journal = Journal()
    for (uid, entry, piece), one in zip(found, gone, strict=True):
        is_read = document_of(piece.source) in documents
        reason = (
            one.reason if is_read else f"the source is not read any more: {piece.source}: {shortened(one.item.text)}"
        )
        journal.said(uid, now[uid], QUEUE, reason, AUTO)
        left.append(f"item {entry.item_id[:8]} stays {entry.status}, and waits for review: {printable(reason)}")
        if is_read and one.instead is not None:
            other = uids[item_key(one.instead)]
            journal.said(other, now[other], QUEUE, one.reason_of_new(entry.item_id), AUTO)
    journal.write(connection)


def _queue_again(connection: Connection, work: _Work) -> None:
    """What waited for a decision waits for it again."""
    uids = rows.uids_by_key(connection, sorted(work.queued))
    now, waiting = rows.load(connection, sorted(uids.values())), rows.queued(connection)
    journal = Journal()
    for key, uid in sorted(uids.items()):
        for reason in work.queued[key]:
            if reason not in waiting.get(uid, ()):
                journal.said(uid, now[uid], QUEUE, reason, AUTO)
    journal.write(connection)


def _carry_acts(
    connection: Connection,
    acts: Iterable[tuple[str, str, dict[str, object], str]],
    name: str,
    carried: list[str],
    left: list[str],
) -> None:
    for actor, action, body, note in acts:
        why = f"{note} (carried over from {name})".strip()
        known = stand(connection)
        if action == "declare":
            relation = Relation.model_validate(body)
            if known.relations.get(normal(relation.name)) != relation:
                act(connection, actor, action, body, why)
                carried.append(f"declaration of the relation {printable(relation.name)}")
            continue
        told = f"merge of {printable(str(body['entity']))} into {printable(str(body['into']))}"
        try:
            nodes = [known.node(known_entity(connection, str(body[key]))) for key in ("entity", "into")]
        except KnowledgeError as error:
            left.append(f"{told}: {error}")
            continue
        if nodes[0] != nodes[1]:
            act(connection, actor, action, {"entity": nodes[0], "into": nodes[1]}, why)
            carried.append(told)
