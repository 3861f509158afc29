"""Decisions made away from the base: all of a file or none, nothing of others overwritten, every fault named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Evidence, Fact, Item, Lesson, Rule, Status
from nesycd.knowledge import KnowledgeBase
from nesycd.knowledge.decisions import Applied, apply_decisions, identity_of, read_decisions
from nesycd.knowledge.queue import enqueue, waiting
from nesycd.knowledge.reviewing import state_of
from nesycd.rules import Engine, RuleGate

FATHOM = Fact(text="A fathom is 7 feet.", subject="fathom", relation="makes", object="7 feet", aliases=("fathoms",))
ELL = Fact(text="An ell is 45 inches.", subject="ell", relation="makes", object="45 inches")
LESSON = Lesson(text="Count twice.")
RULE = Rule(text="A father's father is a grandfather.", clause="grandfather(X, Z) :- father(X, Y), father(Y, Z).")
ITEMS: list[Item] = [FATHOM, ELL, LESSON, RULE]
HOSTILE = "<script>alert('x')</script> \"'& \u202e \x1b[31m </textarea> ' OR 1=1; --"


@pytest.fixture
def kb(base: KnowledgeBase) -> KnowledgeBase:
    base.add([(item, Evidence(example="q", source="t")) for item in ITEMS])
    return base


def file_of(kb: KnowledgeBase, path: Path, *said: dict[str, Any], **rest: Any) -> Path:
    """A file as the page gives it back; each of `said` has `item`, `decision` and what else there is."""
    decisions = [
        {
            "id": one["item"].id,
            "state": state_of(kb.get(one["item"].id)),
            "decision": one.get("decision", ""),
            "changes": one.get("changes", {}),
            "comment": one.get("comment", ""),
        }
        for one in said
    ]
    content = {"schema": "decisions/1", "base": identity_of(kb), "revision": kb.revision, "title": "units", "by": "Ann"}
    path.write_text(json.dumps({**content, "at": "2026-11-30", "decisions": decisions, **rest}))
    return path


def applied(kb: KnowledgeBase, path: Path, **how: Any) -> Applied:
    return apply_decisions(kb, read_decisions(path), "Ann", f"decisions of {path.name}", **how)


APPROVE = {"item": ELL, "decision": "approve", "comment": "As in the statute."}
EDIT = {"item": FATHOM, "decision": "approve", "changes": {"text": "A fathom is 6 feet.", "object": "6 feet"}}
REJECT = {"item": LESSON, "decision": "reject", "comment": HOSTILE}
UNSURE = {"item": RULE, "decision": "not sure", "comment": "Step-fathers?"}


def test_every_decision_is_applied_in_one_revision(kb: KnowledgeBase, tmp_path: Path) -> None:
    path = file_of(kb, tmp_path / "d.json", APPROVE, EDIT, REJECT, UNSURE)
    before = kb.revision
    done = applied(kb, path)
    assert done.counts == {"approved": 2, "edited": 1, "rejected": 1, "not sure": 1, "commented": 0}
    assert (done.same, done.skipped, done.notes, len(done.differences)) == (0, (), (), 3)
    assert kb.revision == before + 1
    [revision] = kb.revisions(1)
    assert (revision.actor, revision.action, revision.why) == ("Ann", "review", "decisions of d.json")
    ell, fathom, lesson = (kb.get(one.id) for one in (ELL, FATHOM, LESSON))
    assert (ell.status, ell.reviewer, ell.item) == (Status.APPROVED, "Ann", ELL)
    assert kb.history(ELL.id)[-1].note == "As in the statute."
    assert fathom.item == FATHOM.model_copy(update={"text": "A fathom is 6 feet.", "object": "6 feet"})
    assert (fathom.status, fathom.evidence) == (Status.APPROVED, (Evidence(example="q", source="t"),))
    assert [line.action for line in kb.history(FATHOM.id)] == ["add", "edit", "approve"]
    assert lesson.status is Status.REJECTED and kb.history(LESSON.id)[-1].note == HOSTILE
    assert [(one.entry.item_id, one.reasons) for one in waiting(kb)] == [(RULE.id, ("not sure (Ann): Step-fathers?",))]
    kb.revert(kb.revision, "Bob")
    assert {entry.status for entry in kb.entries()} == {Status.PROPOSED} and kb.get(FATHOM.id).item == FATHOM
    assert kb.problems() == []


def test_a_file_that_an_editor_saved_with_a_mark_is_read(kb: KnowledgeBase, tmp_path: Path) -> None:
    path = file_of(kb, tmp_path / "made.json", APPROVE)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert applied(kb, path).counts["approved"] == 1


def test_a_file_that_comes_twice_changes_nothing_the_second_time(kb: KnowledgeBase, tmp_path: Path) -> None:
    remark = {"item": RULE, "comment": "Step-fathers?"}
    path = file_of(kb, tmp_path / "d.json", APPROVE, EDIT, REJECT, remark)
    applied(kb, path)
    state, revision = kb.entries(), kb.revision
    again = apply_decisions(kb, read_decisions(path), "Ann")
    assert again.same == 4 and not any(again.counts.values()) and again.differences == []
    assert (kb.entries(), kb.revision) == (state, revision)


def test_what_somebody_changed_meanwhile_is_named_and_not_overwritten(kb: KnowledgeBase, tmp_path: Path) -> None:
    path = file_of(kb, tmp_path / "d.json", APPROVE, EDIT, REJECT)
    kb.edit(FATHOM.id, {"text": "A fathom is 6 ft.", "object": "6 ft"}, "Bob")
    kb.approve(LESSON.id, "Bob")
    state, revision = kb.entries(), kb.revision
    changed = f"items {FATHOM.id[:8]}, {LESSON.id[:8]} changed since the review file was written; nothing was changed"
    with pytest.raises(KnowledgeError, match=changed):
        applied(kb, path)
    assert (kb.entries(), kb.revision) == (state, revision)
    done = applied(kb, path, skip_changed=True)
    assert done.skipped == (FATHOM.id, LESSON.id) and done.counts["approved"] == 1 and done.counts["rejected"] == 0
    assert kb.get(FATHOM.id).item.text == "A fathom is 6 ft." and kb.get(LESSON.id).status is Status.APPROVED
    # To come to the same decision is no conflict; more evidence is no change either.
    path = file_of(kb, tmp_path / "e.json", {"item": RULE, "decision": "reject"})
    kb.add([(RULE, Evidence(example="r", source="t"))])
    kb.reject(RULE.id, "Bob")
    assert applied(kb, path).same == 1 and kb.get(RULE.id).reviewer == "Bob"


def test_a_queued_item_leaves_the_queue_also_where_it_stays_as_it_is(kb: KnowledgeBase, tmp_path: Path) -> None:
    kb.approve(ELL.id, "Ann")
    enqueue(kb, {ELL.id: ["contradiction: two values"]}, "Bob")
    path = file_of(kb, tmp_path / "d.json", {"item": ELL, "decision": "approve"})
    assert applied(kb, path).counts["approved"] == 1
    assert ELL.id not in {one.entry.item_id for one in waiting(kb)}
    assert applied(kb, path).same == 1


def test_what_was_approved_automatically_is_a_persons_decision_after_it(kb: KnowledgeBase, tmp_path: Path) -> None:
    kb.approve(ELL.id, "auto")
    path = file_of(kb, tmp_path / "d.json", {"item": ELL, "decision": "approve"})
    assert applied(kb, path).counts["approved"] == 1 and kb.get(ELL.id).reviewer not in ("", "auto")
    assert applied(kb, path).same == 1


def test_a_dry_run_changes_nothing_and_tells_all(kb: KnowledgeBase, tmp_path: Path) -> None:
    path = file_of(kb, tmp_path / "d.json", APPROVE, {**EDIT, "changes": {"object": "6 feet"}})
    state, revision = kb.entries(), kb.revision
    done = applied(kb, path, dry_run=True)
    assert done.counts["approved"] == 2 and len(done.differences) == 2
    assert done.notes == (
        f"the text of {done.differences[1].entry.item_id[:8]} does not say '6 feet'; the student reads only the text",
    )
    assert (kb.entries(), kb.revision) == (state, revision)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"text": " "}, f"item {FATHOM.id}: text is empty; nothing was changed"),
        ({"kind": "lesson"}, "kind of a fact cannot be changed here"),
        ({"clause": "p(X)."}, "clause of a fact cannot be changed here"),
        ({"aliases": "one"}, f"item {FATHOM.id}: aliases: Input should be a valid tuple"),
        ({"subject": ["a"]}, f"item {FATHOM.id}: subject: Input should be a valid string"),
        ({"subject": "ell", "object": "45 inches"}, f"would make item {FATHOM.id} equal to item {ELL.id}"),
    ],
)
def test_an_edit_that_cannot_be_keeps_the_whole_file_out(
    kb: KnowledgeBase, tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    state, revision = kb.entries(), kb.revision
    path = file_of(kb, tmp_path / "d.json", APPROVE, {"item": FATHOM, "decision": "approve", "changes": changes})
    with pytest.raises(KnowledgeError, match=problem):
        applied(kb, path)
    assert (kb.entries(), kb.revision) == (state, revision)


def test_a_rule_that_the_gate_refuses_keeps_the_whole_file_out(tmp_path: Path) -> None:
    with KnowledgeBase.open(tmp_path / "kb.sqlite", gate=RuleGate(Engine())) as kb:
        kb.add([(item, Evidence(example="q", source="t")) for item in ITEMS])
        broken = {"item": RULE, "decision": "approve", "changes": {"clause": "p(X) :- not q(X)."}}
        path = file_of(kb, tmp_path / "d.json", APPROVE, broken)
        for dry_run in (True, False):
            with pytest.raises(KnowledgeError, match="X"):
                applied(kb, path, dry_run=dry_run)
        assert {entry.status for entry in kb.entries()} == {Status.PROPOSED}
        # Without a clause the rule is text alone.
        path = file_of(kb, tmp_path / "d.json", {**broken, "changes": {"clause": ""}})
        assert applied(kb, path).counts["edited"] == 1
        assert [entry.item for entry in kb.entries(kind="rule")] == [RULE.model_copy(update={"clause": None})]


def test_unknown_items_another_base_and_no_name_are_refused(kb: KnowledgeBase, tmp_path: Path) -> None:
    path = file_of(kb, tmp_path / "d.json", APPROVE)
    with pytest.raises(KnowledgeError, match="need the name of who made them"):
        apply_decisions(kb, read_decisions(path), " ")
    with KnowledgeBase.open(":memory:") as other:
        other.add([(item, Evidence(example="q", source="t")) for item in ITEMS])
        assert identity_of(other) != identity_of(kb)
        with pytest.raises(KnowledgeError, match=r"made on another base \(units\), or this one was made anew"):
            applied(other, path)
    gone = json.loads(path.read_text())
    gone["decisions"][0]["id"] = "0" * 16
    path.write_text(json.dumps(gone))
    with pytest.raises(KnowledgeError, match="does not hold item 00000000"):
        applied(kb, path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("<!doctype html>", r"is no file of decisions \(not JSON\)"),
        ("[]", r"its schema is none, not decisions/1"),
        ('{"schema": "answer/1"}', r"its schema is answer/1, not decisions/1"),
        ('{"schema": "decisions/1"}', "base: Field required"),
        ({"decisions": []}, "holds no decisions"),
        ({"decisions": [{"id": "../x"}]}, r"decisions.0.id: String should match"),
        ({"more": 1}, "more: Extra inputs"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_file_that_is_none_is_told_with_its_place(
    kb: KnowledgeBase, tmp_path: Path, content: Any, problem: str
) -> None:
    path = tmp_path / "d.json"
    if isinstance(content, dict):
        file_of(kb, path, APPROVE, **content)
    else:
        path.write_text(content)
    with pytest.raises(KnowledgeError, match=rf"d\.json: .*{problem}"):
        read_decisions(path)
    with pytest.raises(KnowledgeError, match=r"gone\.json: cannot be read"):
        read_decisions(tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ([APPROVE, {**APPROVE, "decision": "reject"}], f"decides on item {ELL.id[:8]} more than once"),
        ([{**EDIT, "decision": "reject"}], "is changed, but not approved"),
        ([{"item": ELL}], "nothing is said of item"),
    ],
)
def test_decisions_that_contradict_themselves_are_refused(
    kb: KnowledgeBase, tmp_path: Path, said: list[dict[str, Any]], problem: str
) -> None:
    with pytest.raises(KnowledgeError, match=problem):
        read_decisions(file_of(kb, tmp_path / "d.json", *said))
