"""Revisions, named versions, differences and reverting; a history that always adds up to what is there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Evidence, Fact, Lesson, Status
from nesycd.knowledge import KnowledgeBase, Relation, declare_relations, export_text, schema

FATHOM = Fact(text="A fathom is 6 feet.", subject="fathom", relation="length", object="6 feet", aliases=("fadom",))
COUNT = Lesson(text="Count the apples.")


def because(example: str, source: str = "expert") -> Evidence:
    return Evidence(example=example, source=source)


def test_every_change_is_one_revision_with_who_when_what_and_why(base: KnowledgeBase) -> None:
    assert base.revision == 0 and base.revisions() == []
    base.add([(FATHOM, because("q1")), (COUNT, because("q2", "gpt"))])
    base.add([(FATHOM, because("q1"))])
    base.approve_all(why="looked at all")
    base.edit(FATHOM.id, {"object": "7 feet"}, "Ann", "the book says so")
    third, second, first = base.revisions()
    assert [r.number for r in (first, second, third)] == [1, 2, 3], "what changed nothing is no revision"
    assert (first.actor, first.action, first.entries) == ("expert, gpt", "add", 2)
    assert (second.actor, second.action, second.entries, second.why) == ("auto", "approve", 2, "looked at all")
    assert (third.actor, third.action, third.entries, third.why) == ("Ann", "edit", 1, "the book says so")
    assert first.at <= second.at <= third.at and third.at.endswith("+00:00")
    assert [line.revision for line in base.history(FATHOM.id)] == [1, 2, 3]
    assert base.revisions(limit=1) == [third]
    assert base.problems() == []


def test_states_and_differences(base: KnowledgeBase) -> None:
    base.add([(FATHOM, because("q1")), (COUNT, because("q2"))])
    base.tag("first", "Ann", "as proposed")
    base.approve(FATHOM.id, "Ann")
    base.edit(FATHOM.id, {"object": "7 feet"}, "Bob")
    base.add([(Lesson(text="New."), because("q3"))])
    assert base.state("0") == [] and base.state() == base.entries()
    assert [entry.status for entry in base.state("first")] == [Status.PROPOSED] * 2
    fact, new = base.diff("first")
    assert (fact.sign, new.sign, new.entry.item.text) == ("~", "+", "New.")
    assert fact.changes == {
        "object": ("6 feet", "7 feet"),
        "status": ("proposed", "approved"),
        "reviewer": ("", "Bob"),
    }
    assert [one.sign for one in base.diff("now", "1")] == ["~", "-"]
    assert base.diff("1", "first") == [] == base.diff("now", "now")
    base.propose(COUNT, because("q9"))
    (more,) = base.diff("4", "5")
    assert more.changes == {"evidence": ([], [because("q9")])}
    assert [revision.versions for revision in base.revisions()][-1] == ("first",)


@pytest.mark.parametrize("name", ["", "12", "now", "a b", "-x", "x" * 80, "\x1b[2J"])
def test_names_that_cannot_be(base: KnowledgeBase, name: str) -> None:
    with pytest.raises(KnowledgeError, match="cannot name a version"):
        base.tag(name, "Ann")


def test_names_stay_and_versions_must_exist(base: KnowledgeBase) -> None:
    base.add([(COUNT, because("q"))])
    assert base.tag("v1", "Ann") == 1
    with pytest.raises(KnowledgeError, match="names stay"):
        base.tag("v1", "Ann")
    for version, message in (("v2", r"no version 'v2' \(names: v1\)"), ("2", "no revision 2; the last one is 1")):
        with pytest.raises(KnowledgeError, match=message):
            base.diff(version)
        with pytest.raises(KnowledgeError, match=message):
            base.revert_to(version, "Ann")
    with pytest.raises(KnowledgeError, match="no revision 5"):
        base.revert(5, "Ann")
    with pytest.raises(KnowledgeError, match="reviewer"):
        base.revert(1, "")


def test_reverting_takes_back_one_change_and_keeps_what_came_after(base: KnowledgeBase) -> None:
    base.add([(FATHOM, because("q1"))])
    base.edit(FATHOM.id, {"object": "7 feet"}, "Ann")
    base.approve(FATHOM.id, "Bob")
    base.propose(COUNT, because("q2"))
    assert base.revert(3, "Cid", "too early") == 1
    entry = base.get(FATHOM.id)
    assert isinstance(entry.item, Fact) and (entry.item.object, entry.status) == ("7 feet", Status.PROPOSED)
    base.revert(2, "Cid")
    assert base.get(FATHOM.id).item == FATHOM and base.get(COUNT.id).status is Status.PROPOSED
    newest = base.revisions(1)[0]
    assert (newest.action, newest.actor, newest.why) == ("revert", "Cid", "without revision 2")
    base.revert(newest.number, "Cid")
    assert base.get(FATHOM.id).item != FATHOM, "a revert can be reverted"
    base.revert(4, "Cid")
    with pytest.raises(KnowledgeError, match="no item has the id"):
        base.get(COUNT.id)
    assert [line.action for line in base.history(COUNT.id)] == ["add", "revert"], "its history stays"
    assert base.propose(COUNT, because("q2")).status is Status.PROPOSED, "and it may come again"
    assert base.problems() == []


def test_what_was_changed_again_is_not_reverted(base: KnowledgeBase) -> None:
    base.add([(FATHOM, because("q1")), (COUNT, because("q1"))])
    base.edit(FATHOM.id, {"object": "7 feet"}, "Ann")
    base.edit(FATHOM.id, {"object": "8 feet"}, "Bob")
    before = export_text(base)
    for number in (1, 2):
        with pytest.raises(KnowledgeError, match=r"changed again by revision [23]; revert that first"):
            base.revert(number, "Cid")
    assert export_text(base) == before and base.revision == 3
    base.revert_to("0", "Cid")
    assert base.entries() == []
    base.propose(COUNT, because("q2"))
    with pytest.raises(KnowledgeError, match="added since"):
        base.revert(4, "Cid")


def test_an_edit_is_taken_back_under_a_later_decision(base: KnowledgeBase) -> None:
    base.add([(FATHOM, because("q1"))])
    base.edit(FATHOM.id, {"object": "7 feet"}, "Ann")
    base.approve(FATHOM.id, "Bob")
    base.revert(2, "Cid")
    entry = base.get(FATHOM.id)
    assert (entry.item, entry.status, entry.reviewer) == (FATHOM, Status.APPROVED, "Bob")


def test_contents_that_change_places(base: KnowledgeBase) -> None:
    one, two, aside = Lesson(text="One."), Lesson(text="Two."), Lesson(text="Aside.")
    base.add([(one, because("q1")), (two, because("q2"))])
    base.edit(one.id, {"text": aside.text}, "Ann")
    base.edit(two.id, {"text": one.text}, "Ann")
    base.edit(aside.id, {"text": two.text}, "Ann")
    assert {e.item.text: e.evidence[0].example for e in base.entries()} == {"One.": "q2", "Two.": "q1"}
    base.revert_to("1", "Ann")
    assert {e.item.text: e.evidence[0].example for e in base.entries()} == {"One.": "q1", "Two.": "q2"}
    assert base.problems() == []


lessons = st.sampled_from([Lesson(text=text) for text in ("a", "b", "A", "c")])
facts = st.builds(
    Fact,
    text=st.sampled_from(["x is 1.", "X is 1!"]),
    subject=st.sampled_from(["x", "X"]),
    relation=st.just("is"),
    object=st.sampled_from(["1", "2"]),
    aliases=st.lists(st.sampled_from(["y", "z"]), max_size=2).map(tuple),
)
entries = st.builds(
    Entry,
    item=lessons | facts,
    status=st.sampled_from(Status),
    reviewer=st.sampled_from(["", "auto", "Ann"]),
    evidence=st.lists(st.builds(Evidence, example=st.sampled_from("ab"), source=st.sampled_from("pq")), max_size=2).map(
        tuple
    ),
)
Step = Callable[[KnowledgeBase], object]


def _on_one(number: int, act: Callable[[KnowledgeBase, str], object]) -> Step:
    def step(kb: KnowledgeBase) -> None:
        found = kb.entries()
        if found:
            act(kb, found[number % len(found)].item_id)

    return step


numbers = st.integers(0, 9)
steps: st.SearchStrategy[Step] = st.one_of(
    st.lists(entries, min_size=1, max_size=4).map(lambda some: lambda kb: kb.add_entries(some)),
    st.builds(
        lambda n, text: _on_one(n, lambda kb, i: kb.edit(i, {"text": text}, "Ann")), numbers, st.text("abc", min_size=1)
    ),
    st.builds(lambda n, who: _on_one(n, lambda kb, i: kb.reject(i, who)), numbers, st.sampled_from(["Ann", "Bob"])),
    st.just(lambda kb: kb.approve_all()),
    st.builds(lambda n: lambda kb: kb.revert_to(str(n % (kb.revision + 1)), "Cid"), numbers),
)


def attempt(kb: KnowledgeBase, step: Step) -> None:
    """An edit may be refused, where another item has the content already: then nothing changes."""
    try:
        step(kb)
    except KnowledgeError as error:
        assert "equal to item" in str(error)


@settings(max_examples=25)
@given(st.lists(steps, max_size=6), steps)
def test_reverting_any_change_is_as_if_it_had_not_been(history: list[Step], change: Step) -> None:
    with KnowledgeBase.open(":memory:") as kb:
        for step in history:
            attempt(kb, step)
        before, number = kb.entries(), kb.revision
        attempt(kb, change)
        after = kb.entries()
        if kb.revision > number:
            kb.revert(kb.revision, "Cid")
            assert kb.entries() == before
            kb.revert(kb.revision, "Cid")
            assert kb.entries() == after
            kb.revert_to(str(number), "Cid")
        assert kb.entries() == before == kb.state(str(number))
        assert kb.diff(str(number)) == []
        assert kb.problems() == []


def test_revisions_and_versions_cannot_be_rewritten(base: KnowledgeBase) -> None:
    declare_relations(base, [Relation(name="makes")], "Ann")
    declare_relations(base, [Relation(name="makes", functional=True)], "Ann")
    from sqlalchemy import text

    base.add([(COUNT, because("q"))])
    base.tag("v1", "Ann")
    for table in schema.APPEND_ONLY:
        with pytest.raises(KnowledgeError, match=f"{table} is append-only"), base.writing() as connection:
            connection.execute(text(f"DELETE FROM {table}"))


def test_a_history_that_does_not_add_up_is_told(base: KnowledgeBase) -> None:
    from sqlalchemy import text

    base.add([(COUNT, because("q")), (FATHOM, because("q"))])
    with base.writing() as connection:
        connection.execute(text("UPDATE entries SET status = 'approved' WHERE kind = 'lesson'"))
        connection.execute(text("INSERT INTO revisions VALUES (3, 'then', 'x', 'x', '')"))
    first, second = base.problems()
    assert "of 3 revisions 2 are there, 1 of them with lines" in first
    assert second == f"item {COUNT.id} is not what its history says"
