"""What becomes of items when the document that they cite changes.

An item stands as long as its document states what it stated when the item came from it, whatever people made of the item since,
and wherever it stands now. What a document does not state any more is queued for review with the reason, where anybody relies on
it; a proposal that nobody has looked at goes, and its history stays.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from sqlalchemy import select
from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Evidence, Fact, Item, Status
from nesycd.core.text import normal, shortened
from nesycd.knowledge import rows
from nesycd.knowledge.citations import document_of
from nesycd.knowledge.journal import QUEUE, Journal, parts
from nesycd.knowledge.merge import entry_order, item_key, unite_evidence, was_decided
from nesycd.knowledge.schema import history
from nesycd.knowledge.store import DryRun, KnowledgeBase

ACTION = "read documents"
Proposal = tuple[Item, Evidence]
_MOST_COMPARED = 200_000
"""Pairs of texts; more are not compared, so that one large change does not take hours."""
_ALIKE = 0.6


@dataclass(frozen=True)
class Gone:
    """What a document stated, and states no more.

    Attributes:
        item: as the document stated it.
        source: where it stood.
        instead: what it states there now; None where nothing is like it.
    """

    item: Item
    source: str
    instead: Item | None = None

    @property
    def reason(self) -> str:
        """Why somebody should look at what came from it."""
        was = shortened(self.item.text)
        if self.instead is None:
            return f"the source changed: {self.source} does not say any more: {was}"
        return f"the source changed: {was} -> {shortened(self.instead.text)} (was {self.source})"

    def reason_of_new(self, item_id: str) -> str:
        """Why somebody should look at what is stated instead."""
        return f"the source changed: takes the place of item {item_id[:8]}: {shortened(self.item.text)}"


@dataclass(frozen=True)
class TakenUp:
    """What reading documents into a base did, or would do.

    Attributes:
        new: proposed for the first time.
        queued: with the reasons: items that people rely on, and that their document states no more.
        withdrawn: proposals that nobody had looked at, and that their document states no more.
        stand: how many items stand as they were.
        moved: how many of these are cited at another place now.
    """

    new: tuple[Entry, ...]
    queued: tuple[tuple[Entry, str], ...]
    withdrawn: tuple[Entry, ...]
    stand: int
    moved: int


def take_up(
    kb: KnowledgeBase,
    proposals: Sequence[Proposal],
    documents: Collection[str],
    actor: str,
    why: str = "",
    but: Collection[str] = (),
    dry_run: bool = False,
) -> TakenUp:
    """Propose what documents state, and queue or withdraw what they stated before: one revision, or none.

    Args:
        kb: the base.
        proposals: all that the documents state, with the places.
        documents: their names.
        actor: who reads them.
        why: for the log.
        but: ids of items that are stated, but are not to be proposed.
        dry_run: only find out what would be done.

    Raises:
        KnowledgeError: no actor, or an item that is too large.
    """
    if not actor.strip():
        raise KnowledgeError("reading documents needs the name of who does it")
    done = None
    try:
        with kb.writing(actor, ACTION, why) as connection:
            done = _take_up(connection, proposals, documents, actor, but)
            if dry_run:
                raise DryRun
    except DryRun:
        pass
    assert done is not None
    return done


def _take_up(
    connection: Connection,
    proposals: Sequence[Proposal],
    documents: Collection[str],
    actor: str,
    but: Collection[str],
) -> TakenUp:
    stated: dict[str, list[Proposal]] = defaultdict(list)
    for item, evidence in proposals:
        stated[item_key(item)].append((item, evidence))
    before = rows.load(connection)
    cited = {uid: entry for uid, entry in before.items() if _citing(entry.evidence, documents)}
    known = {item_key(entry.item): uid for uid, entry in before.items()}
    others = [uid for uid, entry in cited.items() if item_key(entry.item) not in stated]
    origins = stated_then(connection, others, documents)
    stands: dict[str, str] = {key: known[key] for key in stated if key in known}
    # Edited since: the document still states what the entry was.
    stands |= {key: uid for uid, item in origins.items() if (key := item_key(item)) in stated and key not in stands}
    gone = {uid: origins[uid] for uid in others if uid not in stands.values()}
    new = [proposal for key, some in stated.items() if key not in stands for proposal in some]
    fresh = [(item, evidence) for item, evidence in new if item.id not in but]
    moved = _cite_anew(connection, before, stands, stated, documents)
    rows.merge_in(connection, (Entry(item=item, evidence=(evidence,)) for item, evidence in fresh))
    uids = rows.uids_by_key(connection, sorted({item_key(item) for item, _ in fresh}))
    queued, withdrawn = _leave(connection, cited, gone, fresh, uids, documents, actor)
    added = rows.load(connection, sorted(uids.values()))
    return TakenUp(
        tuple(sorted(added.values(), key=entry_order)),
        tuple(queued),
        tuple(withdrawn),
        len(set(stands.values())),
        moved,
    )


def _cite_anew(
    connection: Connection,
    before: Mapping[str, Entry],
    stands: Mapping[str, str],
    stated: Mapping[str, Sequence[Proposal]],
    documents: Collection[str],
) -> int:
    """Let what stands cite where it stands now; gives how many cited another place."""
    journal = Journal()
    places: dict[str, list[Evidence]] = defaultdict(list)
    for key, uid in stands.items():
        places[uid] += [evidence for _, evidence in stated[key]]
    moved = 0
    for uid, now in places.items():
        entry = before[uid]
        kept = [one for one in entry.evidence if document_of(one.source) not in documents]
        after = entry.model_copy(update={"evidence": unite_evidence(kept, now)})
        moved += after != entry and len(kept) < len(entry.evidence)
        journal.changed(uid, entry, after, "merge", "cited at " + ", ".join(sorted({e.source for e in now})))
    journal.write(connection)
    return moved


def _leave(
    connection: Connection,
    cited: Mapping[str, Entry],
    gone: Mapping[str, Item],
    fresh: Sequence[Proposal],
    uids: Mapping[str, str],
    documents: Collection[str],
    actor: str,
) -> tuple[list[tuple[Entry, str]], list[Entry]]:
    """Queue or withdraw what is stated no more."""
    lost = {uid: (item, _citing(cited[uid].evidence, documents)[0].source) for uid, item in gone.items()}
    told = dict(zip(lost, instead(list(lost.values()), fresh), strict=True))
    wanted = {item_key(one.instead) for one in told.values() if one.instead is not None}
    new = rows.load(connection, sorted({uids[key] for key in wanted}))
    journal = Journal()
    queued: list[tuple[Entry, str]] = []
    withdrawn: list[Entry] = []
    for uid, one in told.items():
        entry = cited[uid]
        rest = tuple(piece for piece in entry.evidence if document_of(piece.source) not in documents)
        if entry.status in (Status.REJECTED, Status.RETIRED):
            continue  # it is out of use, and stays so if it is stated again
        if not relied_on(entry) and not rest:
            journal.removed(uid, entry, "withdraw", actor, one.reason)
            withdrawn.append(entry)
            continue
        journal.changed(uid, entry, entry.model_copy(update={"evidence": rest}), "merge", "cited no more")
        if not relied_on(entry):
            continue
        journal.said(uid, entry, QUEUE, one.reason, actor)
        queued.append((entry, one.reason))
        if one.instead is not None:
            other = uids[item_key(one.instead)]
            journal.said(other, new[other], QUEUE, one.reason_of_new(entry.item_id), actor)
    journal.write(connection)
    return queued, withdrawn


def relied_on(entry: Entry) -> bool:
    """Whether answers rest on an entry, or a person's proposal does: what is refused, or was never looked at, is not."""
    return entry.status is Status.APPROVED or (entry.status is Status.PROPOSED and was_decided(entry))


def stated_then(connection: Connection, uids: Sequence[str], documents: Collection[str]) -> dict[str, Item]:
    """What documents stated when entries came from them, or were last cited anew: their items as they were then."""
    found: dict[str, Item] = {}
    for part in parts(list(uids)):
        query = select(history.c.entry, history.c.item, history.c.gained).where(history.c.entry.in_(part))
        for row in connection.execute(query.order_by(history.c.seq)):
            if any(document_of(source) in documents for source, *_ in json.loads(row.gained)):
                found[row.entry] = rows.ITEM.validate_json(row.item)
    return found


def instead(lost: Sequence[tuple[Item, str]], stated: Iterable[Proposal]) -> list[Gone]:
    """What was stated and is no more, each with what is stated in its place: another value, or a text that is much alike.

    Args:
        lost: items with the places where they stood.
        stated: what is stated for the first time.
    """
    new = [(item, document_of(evidence.source)) for item, evidence in stated]
    values = {(document, *_about(item)): item for item, document in reversed(new) if isinstance(item, Fact)}
    texts: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item, document in new:
        texts[document, item.kind].append(item)
    room = _MOST_COMPARED
    found = []
    for item, source in lost:
        document = document_of(source)
        other: Item | None = values.get((document, *_about(item))) if isinstance(item, Fact) else None
        near = texts[document, item.kind]
        if other is None and len(near) <= room:
            room -= len(near)
            other = max(near, key=lambda one: _likeness(item, one), default=None)
            other = other if other is not None and _likeness(item, other) >= _ALIKE else None
        found.append(Gone(item, source, other))
    return found


def _likeness(first: Item, second: Item) -> float:
    matcher = SequenceMatcher(None, first.text.split(), second.text.split(), autojunk=False)
    return matcher.ratio() if matcher.real_quick_ratio() >= _ALIKE else 0.0


def _about(fact: Fact) -> tuple[str, str]:
    return normal(fact.subject), normal(fact.relation)


def _citing(evidence: Iterable[Evidence], documents: Collection[str]) -> list[Evidence]:
    return [one for one in evidence if document_of(one.source) in documents]
