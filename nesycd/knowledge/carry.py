"""Carries people's work over to a base that replaces another: decisions, edits, own items, merges, declarations.

A run rebuilds its base when its diagnoses change. The proposals are then those of the new diagnoses; people's work must not be
lost, and what cannot be carried over is reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Status
from nesycd.core.text import normal, printable
from nesycd.knowledge import rows, versions
from nesycd.knowledge.entities import Relation, act, known_entity, stand
from nesycd.knowledge.journal import Journal
from nesycd.knowledge.merge import AUTO, item_key, unite_evidence, was_decided
from nesycd.knowledge.schema import graph_acts
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


def is_worked_on(kb: KnowledgeBase) -> bool:
    """Whether people have done anything in a base that a run made."""
    work = _work(kb)
    return bool(work.entries or work.acts or work.tags)


def carry_over(old: KnowledgeBase, new: KnowledgeBase) -> CarriedOver:
    """Carry people's work in `old` over to `new`, as one change."""
    work = _work(old)
    name = Path(old.place).name
    carried: list[str] = []
    left = [
        f"version {tag}: revision {number} is a state of {name} and can be seen only there"
        for tag, number in work.tags.items()
    ]
    with new.writing(action=ACTION, why=f"from {name}") as connection:
        _carry_entries(connection, work.entries, name, carried, left)
        _carry_acts(connection, work.acts, name, carried, left)
    return CarriedOver(tuple(carried), tuple(left))


def _work(kb: KnowledgeBase) -> _Work:
    with kb.reading() as connection:
        histories = ((entry, versions.lines_of(connection, uid)) for uid, entry in rows.load(connection).items())
        touched = [(entry, lines) for entry, lines in histories if was_decided(entry) or _is_own(entry)]
        standing = {merge.number for merge in stand(connection).merges if not merge.reverted}
        acts: dict[object, tuple[str, str, dict[str, object], str]] = {}
        for row in connection.execute(select(graph_acts).order_by(graph_acts.c.seq)):
            body = json.loads(row.body)
            if row.action == "declare":
                acts[normal(body["name"])] = (row.actor, row.action, body, row.note)
            elif row.seq in standing:
                acts[row.seq] = (row.actor, row.action, body, row.note)
        tags = versions.named(connection)
    return _Work(sorted(touched, key=lambda pair: pair[0].item_id), list(acts.values()), tags)


def _is_own(entry: Entry) -> bool:
    """Whether people wrote or imported an item: it comes from no question, and no run approved it with its own files."""
    return entry.reviewer != AUTO and not any(one.example for one in entry.evidence)


def _carry_entries(
    connection: Connection,
    work: Iterable[tuple[Entry, list[HistoryLine]]],
    name: str,
    carried: list[str],
    left: list[str],
) -> None:
    now = rows.load(connection)
    uids = {item_key(entry.item): uid for uid, entry in now.items()}
    taken: set[str] = set()
    # What is there as it stands comes first: an edit of another item must not take its place.
    for entry, lines in sorted(work, key=lambda pair: item_key(pair[0].item) not in uids):
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
            evidence = unite_evidence(before.evidence, [one for one in entry.evidence if not one.example])
            after = entry.model_copy(update={"evidence": evidence})
            journal.changed(uid, before, after, ACTION, f"from {name}, was {before.item_id}", entry.reviewer)
            journal.named(uid, {line.item.id for line in lines})
            del uids[item_key(before.item)]
            uids[key], now[uid] = uid, after
            taken.add(uid)
            left += [f"{shown}: was edited, and what it was is proposed beside it as item {now[other].item_id[:8]}"
                     for other in former if other != uid]  # fmt: skip
        elif _is_own(entry) or entry.status in {Status.REJECTED, Status.RETIRED}:
            uid = journal.new(entry, action=ACTION, note=f"from {name}", actor=entry.reviewer)
            uids[key], now[uid] = uid, entry
        else:
            left.append(f"{shown}: {how}, but it is not proposed any more")
            continue
        journal.write(connection)
        carried.append(f"{shown}: {how}")


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
