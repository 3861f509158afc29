"""The store: merging, review, history, ids, transactions, many writers, full disks and damaged files."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest
from sqlalchemy import text as sql

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Evidence, Fact, Item, Lesson, Rule, Status
from nesycd.knowledge import KnowledgeBase, export_text, knowledge_version

NewPlace = Callable[[], str]
FATHOM = Fact(text="A fathom is 6 feet.", subject="fathom", relation="length", object="6 feet", aliases=("fadom",))


def because(example: str, source: str = "expert") -> Evidence:
    return Evidence(example=example, source=source)


def test_equal_items_merge_and_gather_evidence_and_aliases(new_place: NewPlace) -> None:
    other = Fact(
        text="One FATHOM is six feet long.", subject=" Fathom", relation="Length", object="6  FEET", aliases=("fm",)
    )
    with KnowledgeBase.open(new_place()) as kb:
        assert kb.add([(FATHOM, because("q1"))]).added == 1
        assert kb.add([(other, because("q2"))]).merged == 1
        assert kb.add([(FATHOM, because("q1"))]).unchanged == 1
        (entry,) = kb.entries()
    assert entry.item == FATHOM.model_copy(update={"aliases": ("fadom", "fm")})
    assert [e.example for e in entry.evidence] == ["q1", "q2"]


def test_what_counts_as_equal(new_place: NewPlace) -> None:
    items: list[Item] = [
        Lesson(text="Count first."),
        Lesson(text="  count   FIRST. "),
        Lesson(text="Count last."),
        Rule(text="Count first."),
        Rule(text="Count first.", clause="p(X) :- q(X)."),
        Rule(text="count first.", clause="p(X)  :-  q(X)."),
        Rule(text="Count first.", clause="p(x) :- q(x)."),
        FATHOM,
        FATHOM.model_copy(update={"object": "7 feet"}),
    ]
    with KnowledgeBase.open(new_place()) as kb:
        assert kb.add([(item, because("q")) for item in items]).added == 7
        assert kb.stats() == {
            "items": 7,
            "by_kind": {"fact": 2, "lesson": 2, "rule": 3},
            "by_status": {"proposed": 7},
            "sources": {"expert": 7},
        }


def test_the_order_of_adding_does_not_matter(new_place: NewPlace) -> None:
    wordings = ["A fathom is 6 feet.", "a FATHOM is 6 feet.", "A fathom comes to 6 feet."]
    variants = [
        Entry(
            item=FATHOM.model_copy(update={"text": wording, "aliases": (f"alias {number}", "Fathom")}),
            status=status,
            reviewer=reviewer,
            evidence=(because(f"q{number}"),),
        )
        for number, (wording, status, reviewer) in enumerate(
            zip(wordings, [Status.PROPOSED, Status.APPROVED, Status.REJECTED], ["", "auto", "Ann"], strict=True)
        )
    ]
    exports = set()
    for order in permutations(variants):
        with KnowledgeBase.open(new_place()) as kb:
            for entry in order:
                kb.add_entries([entry])
            exports.add(export_text(kb))
        with KnowledgeBase.open(new_place()) as kb:
            kb.add_entries(order)
            exports.add(export_text(kb))
    (only,) = exports
    assert "rejected" in only and wordings[2] in only and "q0" in only and "q2" in only


def test_a_decision_stands_when_the_item_is_proposed_again(new_place: NewPlace) -> None:
    with KnowledgeBase.open(new_place()) as kb:
        kb.propose(FATHOM, because("q1"))
        kb.reject(FATHOM.id, "Ann")
        again = kb.propose(FATHOM, because("q2"))
        assert (again.status, again.reviewer, len(again.evidence)) == (Status.REJECTED, "Ann", 2)
        assert kb.approve_all() == 0


def test_automatic_approval_is_recorded_as_such(new_place: NewPlace) -> None:
    with KnowledgeBase.open(new_place()) as kb:
        kb.add([(FATHOM, because("q1")), (Lesson(text="Count."), because("q2"))])
        assert kb.approve_all() == 2
        assert {entry.reviewer for entry in kb.entries(status=Status.APPROVED)} == {"auto"}
        assert [(r.action, r.actor) for r in kb.history(FATHOM.id)] == [("add", "expert"), ("approve", "auto")]
        assert kb.retire(FATHOM.id, "Ann").status is Status.RETIRED
        assert [entry.item.kind for entry in kb.entries(status=Status.APPROVED)] == ["lesson"]


def test_an_edit_keeps_evidence_and_the_old_content(new_place: NewPlace) -> None:
    with KnowledgeBase.open(new_place()) as kb:
        kb.add([(FATHOM, because("q1"))], status=Status.APPROVED, reviewer="auto")
        before = kb.version
        edited = kb.edit(FATHOM.id, {"text": "A fathom is 7 feet.", "object": "7 feet"}, "Ann")
        assert kb.version != before == knowledge_version([FATHOM.id])
        assert edited.evidence == (because("q1"),) and edited.status is Status.APPROVED
        assert edited.item_id != FATHOM.id
        assert kb.get(FATHOM.id) == kb.get(edited.item_id) == edited, "the former id still finds it"
        history = kb.history(edited.item_id)
        assert [revision.item.text for revision in history] == ["A fathom is 6 feet.", "A fathom is 7 feet."]
        kb.edit(edited.item_id, {"text": FATHOM.text, "object": FATHOM.object}, "Ann")
        assert kb.version == before
        kb.edit(FATHOM.id, {"text": "Ann says: 6 feet."}, "Ann")
        kb.propose(FATHOM.model_copy(update={"text": "6 ft."}), because("q2"))
        assert kb.get(FATHOM.id).item.text == "Ann says: 6 feet.", "merging does not undo a person's wording"


def test_history_cannot_be_rewritten(new_place: NewPlace) -> None:
    with KnowledgeBase.open(new_place()) as kb:
        kb.propose(FATHOM, because("q1"))
        for statement in ("UPDATE history SET actor = 'x'", "DELETE FROM history"):
            with pytest.raises(KnowledgeError, match="append-only"), kb.writing() as connection:
                connection.execute(sql(statement))
        assert len(kb.history(FATHOM.id)) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "colour"),
        ({"text": ""}, "text"),
        ({"object": 5}, "object"),
        ({"kind": "rule"}, "kind"),
        ({"object": "8 feet"}, "equal to item"),
    ],
)
def test_a_bad_edit_changes_nothing(new_place: NewPlace, changes: dict[str, object], message: str) -> None:
    with KnowledgeBase.open(new_place()) as kb:
        kb.add([(FATHOM, because("q")), (FATHOM.model_copy(update={"object": "8 feet"}), because("q"))])
        before = export_text(kb)
        with pytest.raises(KnowledgeError, match=message):
            kb.edit(FATHOM.id, changes, "Ann")
        with pytest.raises(KnowledgeError, match="reviewer"):
            kb.edit(FATHOM.id, {"text": "New."}, " ")
        assert export_text(kb) == before


def test_ids_by_prefix(new_place: NewPlace) -> None:
    lessons = [Lesson(text=f"Lesson {number}.") for number in range(3000)]
    with KnowledgeBase.open(new_place()) as kb:
        kb.add((lesson, because("q")) for lesson in lessons)
        prefixes = [lesson.id[:4] for lesson in lessons]
        alone = next(lesson for lesson in lessons if prefixes.count(lesson.id[:4]) == 1)
        shared = next(prefix for prefix in prefixes if prefixes.count(prefix) > 1)
        assert kb.get(alone.id[:4].upper()).item == alone
        with pytest.raises(KnowledgeError, match="ambiguous"):
            kb.get(shared)
        with pytest.raises(KnowledgeError, match="no item"):
            kb.approve("ffff%", "Ann")
        with pytest.raises(KnowledgeError, match="too short"):
            kb.get(alone.id[:3])


def test_searching_takes_words_literally(new_place: NewPlace) -> None:
    with KnowledgeBase.open(new_place()) as kb:
        kb.add([(FATHOM, because("q")), (Lesson(text="Give 100 % and  more_or_less all."), because("q"))])
        found = {
            word: len(kb.entries(search=word)) for word in ("FADOM feet", "fadom inch", "%", "e_o", "e%o", "'; --")
        }
        assert found == {"FADOM feet": 1, "fadom inch": 0, "%": 1, "e_o": 1, "e%o": 0, "'; --": 0}
        assert [entry.item.kind for entry in kb.entries(kind="lesson")] == ["lesson"]


def test_a_change_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as kb:
        kb.propose(FATHOM, because("q1"))
        before = export_text(kb)
        with kb.writing() as connection:  # as on a full disk: SQLite then gives the same error
            pages = connection.execute(sql("PRAGMA page_count")).scalar_one()
            connection.execute(sql(f"PRAGMA max_page_count = {pages + 2}"))
        long = [(Lesson(text=f"{number} " + "long " * 500), because("q")) for number in range(50)]
        with pytest.raises(KnowledgeError, match=r"kb\.sqlite.*full.*nothing of this change"):
            kb.add(long)
        assert export_text(kb) == before
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as kb:
        assert export_text(kb) == before
        assert kb.add(long).added == 50


WRITER = """
import sys
from nesycd.knowledge import KnowledgeBase
from nesycd.core.records import Evidence, Lesson
path, name = sys.argv[1:]
with KnowledgeBase.open(path) as kb:
    for number in range(25):
        own, shared = Lesson(text=f"{name} {number}"), Lesson(text=f"shared {number}")
        kb.add([(own, Evidence(example=name, source="w")), (shared, Evidence(example=name, source="w"))])
        kb.edit(own.id, {"text": f"{name} {number} edited"}, name)
"""


def test_four_processes_writing_at_once_lose_nothing(new_place: NewPlace) -> None:
    path = new_place()
    command = [sys.executable, "-c", WRITER, path]
    writers = [subprocess.Popen([*command, f"writer{n}"], stderr=subprocess.PIPE, text=True) for n in range(4)]
    errors = [writer.communicate(timeout=100)[1] for writer in writers]
    assert errors == [""] * 4
    with KnowledgeBase.open(path, create=False) as kb:
        entries = kb.entries()
        assert len(entries) == 4 * 25 + 25
        assert len(kb.entries(search="edited")) == 100
        shared = kb.entries(search="shared")
        assert all(len(entry.evidence) == 4 for entry in shared)
        assert all(len(kb.history(entry.item_id)) == (4 if entry in shared else 2) for entry in entries)
        assert kb.revision == 4 * 50 and kb.problems() == []


def test_places_that_are_no_knowledge_base(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="no knowledge base at"):
        KnowledgeBase.open(tmp_path / "none.sqlite", create=False)
    assert not (tmp_path / "none.sqlite").exists()
    with pytest.raises(KnowledgeError, match="is a folder"):
        KnowledgeBase.open(tmp_path)
    with pytest.raises(KnowledgeError, match=r"folder .* does not exist"):
        KnowledgeBase.open(tmp_path / "a" / "kb.sqlite")
    (tmp_path / "text.sqlite").write_text("not a database, but long enough to be looked at as one " * 20)
    with pytest.raises(KnowledgeError, match=r"text\.sqlite.*not a database"):
        KnowledgeBase.open(tmp_path / "text.sqlite")
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    other.close()
    with pytest.raises(KnowledgeError, match="not a nesycd knowledge base"):
        KnowledgeBase.open(tmp_path / "other.sqlite")


def test_a_knowledge_base_of_another_schema_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "kb.sqlite"
    with KnowledgeBase.open(path) as kb, kb.writing() as connection:
        connection.execute(sql("UPDATE meta SET value = '99'"))
    with pytest.raises(KnowledgeError, match="schema 99"):
        KnowledgeBase.open(path)


# --- changes that are only tried ----------------------------------------------------------------------------------------


def test_of_a_trial_nothing_stays_and_all_can_be_done_in_it(new_place: NewPlace) -> None:
    place = new_place()
    lesson = Lesson(text="Count first.")
    with KnowledgeBase.open(place) as kb:
        kb.add([(FATHOM, because("q1")), (lesson, because("q2"))])
        before, revision = export_text(kb), kb.revision
        with kb.trial() as trial:
            edited = trial.edit(FATHOM.id, {"object": "7 feet", "text": "A fathom is 7 feet."}, "Ann")
            trial.approve(edited.item_id, "Ann")
            trial.reject(lesson.id, "Ann")
            trial.add([(Lesson(text="Count last."), because("q3"))])
            assert trial.revision == revision + 4 and [entry.item.text for entry in trial.entries(kind="fact")] == [
                "A fathom is 7 feet."
            ]
            assert [(one.sign, one.entry.item.text) for one in trial.differences()] == [
                ("~", "A fathom is 7 feet."),
                ("~", "Count first."),
                ("+", "Count last."),
            ]
            trial.revert_to(str(revision), "Ann")
            assert trial.differences() == []
            with KnowledgeBase.open(place) as other:
                assert other.get(FATHOM.id).item == FATHOM  # nobody else sees anything of it
        assert (export_text(kb), kb.revision, kb.problems()) == (before, revision, [])


def test_what_is_refused_in_a_trial_leaves_the_rest_of_it(new_place: NewPlace) -> None:
    with KnowledgeBase.open(new_place()) as kb:
        kb.add([(FATHOM, because("q1")), (Lesson(text="Count."), because("q2"))])
        with kb.trial() as trial:
            trial.approve(FATHOM.id, "Ann")
            with pytest.raises(KnowledgeError, match="needs the reviewer's name"):
                trial.reject(FATHOM.id, " ")
            with pytest.raises(KnowledgeError, match="no item has the id"):
                trial.decide([FATHOM.id, "0000000000000000"], Status.REJECTED, "Ann")
            assert trial.get(FATHOM.id).status is Status.APPROVED
        with pytest.raises(ZeroDivisionError), kb.trial() as trial:
            trial.approve(FATHOM.id, "Ann")
            raise ZeroDivisionError
        assert kb.get(FATHOM.id).status is Status.PROPOSED and kb.approve(FATHOM.id, "Bea").reviewer == "Bea"


def test_a_base_in_memory_can_be_tried_on_too() -> None:
    with KnowledgeBase.open(":memory:") as kb:
        kb.add([(FATHOM, because("q1"))])
        with kb.trial() as trial:
            trial.approve(FATHOM.id, "Ann")
            assert [one.changes["status"] for one in trial.differences()] == [("proposed", "approved")]
        assert kb.get(FATHOM.id).status is Status.PROPOSED


def test_an_entry_is_known_by_all_its_ids(new_place: NewPlace) -> None:
    with KnowledgeBase.open(new_place()) as kb:
        kb.add([(FATHOM, because("q1"))])
        now = kb.edit(FATHOM.id, {"object": "7 feet"}, "Ann").item_id
        assert kb.ids(FATHOM.id) == kb.ids(now[:6]) == {FATHOM.id, now}
