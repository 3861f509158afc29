"""What people did in a base holds in the one that takes its place, in one change, and what cannot be brought over is named."""

from __future__ import annotations

from pathlib import Path

from nesycd.core.records import Evidence, Fact, Lesson, Status
from nesycd.knowledge import KnowledgeBase, Relation, declare_relations, merge_entities, read_entities
from nesycd.knowledge.carry import ACTION, carry_over, is_worked_on

PROOF = Evidence(example="q1", source="expert")
GOOD, BAD, GONE, WAS = (Lesson(text=f"{name} lesson.") for name in ("Good", "Bad", "Gone", "Was"))
HIN = Fact(text="A hin is 12 logs.", subject="hin", relation="makes", object="12 logs")
LOG = Fact(text="A log is 4 cabs.", subject="log", relation="makes", object="4 cabs")


def made(place: Path, *items: Lesson | Fact) -> KnowledgeBase:
    kb = KnowledgeBase.open(place)
    kb.add([(item, PROOF) for item in items])
    kb.approve_all()
    return kb


def test_what_people_did_is_brought_over(tmp_path: Path) -> None:
    with (
        made(tmp_path / "kb.1.sqlite", GOOD, BAD, GONE, WAS, HIN, LOG) as old,
        made(tmp_path / "kb.sqlite", GOOD, BAD, WAS, HIN, LOG) as new,
    ):
        assert not is_worked_on(old)
        old.approve(GOOD.id, "Ann")
        old.reject(BAD.id, "Ann")
        old.approve(GONE.id, "Ann")
        edited = old.edit(WAS.id, {"text": "Is lesson."}, "Bob")
        own = Lesson(text="My own.")
        old.add([(own, Evidence(example="", source="Bob"))])
        merge_entities(old, "hin", "log", "Ann", "the same")
        declare_relations(old, [Relation(name="makes", functional=True)], "Ann")
        old.tag("v1", "Ann")
        assert is_worked_on(old)
        number = new.revision
        done = carry_over(old, new)
        assert new.revision == number + 1 and new.problems() == []
        assert new.revisions(1)[0].why == "from kb.1.sqlite" and new.revisions(1)[0].action == ACTION
        assert (new.get(GOOD.id).status, new.get(GOOD.id).reviewer) == (Status.APPROVED, "Ann")
        assert (new.get(BAD.id).status, new.get(BAD.id).reviewer) == (Status.REJECTED, "Ann")
        assert new.get(WAS.id).item == edited.item and new.get(WAS.id).evidence == (PROOF,)
        assert new.get(own.id).status is Status.PROPOSED
        line = new.history(BAD.id)[-1]
        assert (line.actor, line.action) == ("Ann", ACTION) and line.note.startswith("from kb.1.sqlite")
        assert read_entities(new).node("hin") == "log" and read_entities(new).relations["makes"].functional
        assert read_entities(new).merges[0].why == "the same (carried over from kb.1.sqlite)"
        assert len(done.carried) == 6 and len(done.left) == 2
        assert "v1" in done.left[0] and f"item {GONE.id[:8]} (Gone lesson.): approved by Ann" in done.left[1]
        again = carry_over(old, new)
        assert new.revision == number + 1 and again.left == done.left, "twice is once"
        # A rejection holds, whatever is proposed and approved later.
        new.add([(BAD, Evidence(example="q2", source="expert"))])
        new.approve_all()
        assert new.get(BAD.id).status is Status.REJECTED


def test_a_rejection_holds_over_a_base_in_which_the_item_was_not_proposed(tmp_path: Path) -> None:
    with made(tmp_path / "1.sqlite", BAD) as old, made(tmp_path / "2.sqlite", GOOD) as next_one:
        old.reject(BAD.id, "Ann")
        carry_over(old, next_one)
        with made(tmp_path / "3.sqlite", BAD, GOOD) as last:
            carry_over(next_one, last)
            assert last.get(BAD.id).status is Status.REJECTED


def test_a_merge_of_names_that_no_fact_has_is_named(tmp_path: Path) -> None:
    with made(tmp_path / "1.sqlite", HIN, LOG) as old, made(tmp_path / "2.sqlite", LOG) as new:
        merge_entities(old, "hin", "log", "Ann", "")
        [left] = carry_over(old, new).left
        assert left.startswith("merge of hin into log: the entity 'hin' is not known")


def test_an_item_that_was_written_again_after_its_edit_keeps_its_place(tmp_path: Path) -> None:
    with made(tmp_path / "1.sqlite", WAS) as old, made(tmp_path / "2.sqlite", WAS) as new:
        old.edit(WAS.id, {"text": "Is lesson."}, "Bob")
        old.add([(WAS, Evidence(example="q2", source="expert"))], status=Status.APPROVED, reviewer="Ann")
        [left] = carry_over(old, new).left
        assert "(Is lesson.): approved by Bob, but it is not proposed any more" in left
        [entry] = new.entries()
        assert (entry.item, entry.reviewer) == (WAS, "Ann") and new.problems() == []


def test_an_edit_and_what_it_was_proposed_side_by_side_are_told(tmp_path: Path) -> None:
    edited = Lesson(text="Is lesson.")
    with made(tmp_path / "1.sqlite", WAS) as old, made(tmp_path / "2.sqlite", WAS, edited) as new:
        old.edit(WAS.id, {"text": edited.text}, "Bob")
        [left] = carry_over(old, new).left
        assert "was edited, and what it was is proposed beside it as item " + WAS.id[:8] in left
        assert {entry.item for entry in new.entries()} == {WAS, edited} and new.problems() == []
