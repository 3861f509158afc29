"""Acts of several reviewers at once: each one revision, none on what changed unseen, all of them undone as they were done."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Evidence, Fact, Lesson, Status
from nesycd.knowledge import KnowledgeBase, reviewing
from nesycd.knowledge.queue import enqueue, waiting
from nesycd.knowledge.reviewing import Done, Stale, state_of

ELL = Fact(text="An ell is 45 inches.", subject="ell", relation="makes", object="45 inches", aliases=("ells",))
ELLS = Fact(text="An ell has 45 inches.", subject="ell", relation="length", object="45 inches", aliases=("elne",))
ADVICE = Lesson(text="Convert, then add.")


@pytest.fixture
def kb() -> Iterator[KnowledgeBase]:
    with KnowledgeBase.open(":memory:") as base:
        base.add([(item, Evidence(example=f"q-{item.id}", source="expert")) for item in (ELL, ELLS, ADVICE)])
        yield base


def seen(kb: KnowledgeBase, *items: Fact | Lesson) -> dict[str, str]:
    return {item.id: state_of(kb.get(item.id)) for item in items}


def everything(kb: KnowledgeBase) -> tuple[list[Entry], list[tuple[str, tuple[str, ...]]]]:
    return kb.entries(), [(one.entry.item_id, one.reasons) for one in waiting(kb)]


ACTS: dict[str, Callable[[KnowledgeBase], Done]] = {
    "approve": lambda kb: reviewing.decide(kb, seen(kb, ELL, ADVICE), Status.APPROVED, "ann"),
    "edit": lambda kb: reviewing.edit(
        kb, ELL.id, state_of(kb.get(ELL.id)), {"object": "44 inches"}, "ann", "", Status.APPROVED
    ),
    "merge": lambda kb: reviewing.merge(kb, *seen(kb, ELL, ELLS).items(), {"text": "An ell is 45 inches long."}, "ann"),
    "split": lambda kb: reviewing.split(
        kb, ADVICE.id, state_of(kb.get(ADVICE.id)), [Lesson(text="Convert."), Lesson(text="Add.")], "ann"
    ),
    "add": lambda kb: reviewing.add(kb, Lesson(text="Count."), Status.APPROVED, "ann"),
}


@pytest.mark.parametrize("name", ACTS)
def test_an_act_is_one_revision_and_undone_leaves_all_as_it_was(kb: KnowledgeBase, name: str) -> None:
    enqueue(kb, {ELL.id: ["several values: of length"], ADVICE.id: ["subsumed: by another"]}, "lint")
    before, revision = everything(kb), kb.revision
    done = ACTS[name](kb)
    assert (done.revision, kb.revision) == (revision + 1, revision + 1) and kb.revisions(1)[0].actor == "ann"
    assert everything(kb) != before
    reviewing.undo(kb, revision + 1, "bob")
    assert everything(kb) == before and kb.revisions(1)[0].actor == "bob" and not kb.problems()


@pytest.mark.parametrize("name", [name for name in ACTS if name != "add"])
def test_nobody_acts_on_what_changed_unseen(kb: KnowledgeBase, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {item.id: state_of(kb.get(item.id)) for item in (ELL, ELLS, ADVICE)}
    kb.edit(ELL.id, {"text": "The ell is 45 inches."}, "bob")
    kb.approve(ADVICE.id, "bob")
    before = everything(kb)
    monkeypatch.setattr(f"{__name__}.seen", lambda kb, *items: {item.id: old[item.id] for item in items})
    monkeypatch.setattr(f"{__name__}.state_of", lambda entry: old.get(entry.item_id, old[ELL.id]))
    with pytest.raises(Stale, match="was changed by bob since you saw it; nothing was saved") as raised:
        ACTS[name](kb)
    assert raised.value.entry is not None and everything(kb) == before


def test_what_was_removed_is_told_too(kb: KnowledgeBase) -> None:
    old = seen(kb, ELL)
    kb.revert(1, "bob")
    with pytest.raises(Stale, match="was removed by bob"):
        reviewing.decide(kb, old, Status.APPROVED, "ann")


def test_merge_unites_names_and_evidence(kb: KnowledgeBase) -> None:
    done = reviewing.merge(kb, *seen(kb, ELL, ELLS).items(), {"text": "An ell is 45 inches long."}, "ann")
    kept, gone = done.entries
    assert isinstance(kept.item, Fact) and kept.item.aliases == ("ells", "elne") and kept.item.relation == "makes"
    assert [piece.example for piece in kept.evidence] == sorted(f"q-{item.id}" for item in (ELL, ELLS))
    assert (gone.item, gone.status) == (ELLS, Status.RETIRED)


@pytest.mark.parametrize("changes", [{"relation": "length"}, {"text": ""}, {"colour": "red"}])
def test_a_merge_that_cannot_be_changes_nothing(kb: KnowledgeBase, changes: dict[str, str]) -> None:
    before = everything(kb)
    with pytest.raises(KnowledgeError):
        reviewing.merge(kb, *seen(kb, ELL, ELLS).items(), changes, "ann")
    with pytest.raises(KnowledgeError, match="cannot be merged"):
        reviewing.merge(kb, *seen(kb, ELL, ADVICE).items(), {}, "ann")
    with pytest.raises(KnowledgeError, match="with itself"):
        reviewing.merge(kb, *seen(kb, ELL).items(), *seen(kb, ELL).items(), {}, "ann")
    assert everything(kb) == before


def test_a_part_may_be_the_whole(kb: KnowledgeBase) -> None:
    reviewing.split(kb, ADVICE.id, seen(kb, ADVICE)[ADVICE.id], [ADVICE, Lesson(text="Count.")], "ann")
    assert kb.get(ADVICE.id).status is Status.PROPOSED and kb.get(Lesson(text="Count.").id).evidence
    with pytest.raises(KnowledgeError, match="two different parts"):
        reviewing.split(kb, ELL.id, seen(kb, ELL)[ELL.id], [ELL, ELL], "ann")


def test_to_leave_an_item_to_others_changes_nothing_of_it_and_is_told_each_time(kb: KnowledgeBase) -> None:
    for _ in range(2):
        reviewing.defer(kb, seen(kb, ELL), "ann", "ask bob")
    assert kb.get(ELL.id).status is Status.PROPOSED
    assert [line.note for line in kb.history(ELL.id)[1:]] == ["not sure (ann): ask bob"] * 2


def test_acts_need_a_name(kb: KnowledgeBase) -> None:
    with pytest.raises(KnowledgeError, match="name of the reviewer"):
        reviewing.decide(kb, seen(kb, ELL), Status.APPROVED, " ")
