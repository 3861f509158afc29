"""The review queue: what lint finds waits with its reason until somebody decides, and nothing changes on the way."""

from __future__ import annotations

import pytest

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Evidence, Lesson, Status
from nesycd.knowledge import KnowledgeBase, reviewing
from nesycd.knowledge.lint import lint
from nesycd.knowledge.queue import enqueue, reasons_of, told_of_waiting, waiting

LESS = Lesson(text="Always convert units before adding.")
MORE = Lesson(text="Always convert units before adding, and check the result twice against another way.")
ODD = Lesson(text="The student added in the wrong order.")
EVIDENCE = Evidence(example="q", source="t")


def reasons(kb: KnowledgeBase) -> dict[str, list[str]]:
    return reasons_of(lint(kb.entries()))


def queued(kb: KnowledgeBase) -> dict[str, list[str]]:
    return {one.entry.item_id: [told.partition(":")[0] for told in one.reasons] for one in waiting(kb) if one.reasons}


def test_what_is_queued_stays_what_it_is_until_somebody_decides(base: KnowledgeBase) -> None:
    base.add([(one, EVIDENCE) for one in (LESS, MORE, ODD)])
    base.approve_all("Ann", but={ODD.id})
    before, version = base.entries(), base.version
    assert {one.entry.item_id for one in waiting(base)} == {ODD.id} and queued(base) == {}
    assert enqueue(base, reasons(base), "Bob", "after the import") == 2
    assert queued(base) == {LESS.id: [f"subsumed with {MORE.id}"], ODD.id: ["ill-formed"]}
    assert base.entries() == before and base.version == version and base.problems() == []
    [revision] = base.revisions(1)
    assert (revision.actor, revision.action, revision.why) == ("Bob", "queue", "after the import")
    assert base.history(LESS.id)[-1].note.startswith(f"subsumed with {MORE.id}: ")
    # The same reason does not queue twice, neither before nor after a decision.
    assert enqueue(base, reasons(base), "Bob") == 0 and base.revision == revision.number
    assert base.approve(LESS.id, "Ann").status is Status.APPROVED
    assert base.entries() == before and LESS.id not in queued(base), "Ann, who approved it before, lets it stay"
    assert enqueue(base, reasons(base), "Bob") == 0
    base.reject(ODD.id, "Ann")
    assert waiting(base) == []


def test_an_edit_takes_an_item_out_and_makes_room_for_new_reasons(base: KnowledgeBase) -> None:
    base.add([(one, EVIDENCE) for one in (LESS, MORE)], status=Status.APPROVED, reviewer="Ann")
    enqueue(base, reasons(base), "Bob")
    base.add([(LESS, Evidence(example="r", source="t"))])
    assert list(queued(base)) == [LESS.id], "more evidence is no decision"
    edited = base.edit(LESS.id, {"text": "Always convert units, before adding."}, "Ann")
    assert queued(base) == {}
    assert enqueue(base, reasons(base), "Bob") == 1 and list(queued(base)) == [edited.item_id]
    base.revert(base.revision, "Ann")
    assert base.get(edited.item_id).item == edited.item, "to take back a queueing changes nothing"


def test_what_is_not_proven_comes_first_and_what_is_proven_last(base: KnowledgeBase) -> None:
    plain = Lesson(text="Read the question twice.")
    base.add([(one, EVIDENCE) for one in (MORE, ODD, plain, LESS)])
    told = {LESS.id: ["not proven: nothing states it"], MORE.id: ["proven: stated"], ODD.id: ["ill-formed: it is"]}
    enqueue(base, told, "gate")
    assert [one.entry.item_id for one in waiting(base)] == [LESS.id, ODD.id, plain.id, MORE.id]
    enqueue(base, {MORE.id: ["ill-formed: too"]}, "lint")
    assert [one.entry.item_id for one in waiting(base)][1:] == [ODD.id, MORE.id, plain.id]
    assert told_of_waiting(base)[MORE.id] == ("proven: stated", "ill-formed: too")
    base.approve(LESS.id, "Ann")
    assert LESS.id not in told_of_waiting(base)
    reviewing.defer(base, {ODD.id: reviewing.state_of(base.get(ODD.id))}, "Ann", "")
    assert [one.entry.item_id for one in waiting(base)] == [MORE.id, plain.id, ODD.id], "left to others"


def test_what_is_in_use_waits_too_where_it_is_asked_for(base: KnowledgeBase) -> None:
    base.add([(LESS, EVIDENCE)], status=Status.APPROVED, reviewer="auto")
    base.add([(MORE, EVIDENCE)], status=Status.APPROVED, reviewer="Ann")
    base.add([(ODD, EVIDENCE), (ODD, Evidence(example="r", source="t"))])
    assert [one.entry.item_id for one in waiting(base)] == [ODD.id]
    assert [one.entry.item_id for one in waiting(base, unseen=True)] == [LESS.id, ODD.id], "one list, in one order"


def test_queueing_needs_a_name_and_known_items(base: KnowledgeBase) -> None:
    with pytest.raises(KnowledgeError, match="needs the name"):
        enqueue(base, {}, " ")
    with pytest.raises(KnowledgeError, match="no item has the id"):
        enqueue(base, {"0123456789abcdef": ["ill-formed: x"]}, "Ann")
    assert enqueue(base, {}, "Ann") == 0 and base.revision == 0
