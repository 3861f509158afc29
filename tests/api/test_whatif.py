"""What a change would do, against what it does once it is saved; what an item is used for."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import nesycd
from nesycd.api.demo import demo_folder
from nesycd.api.finished import OpenRun, open_run
from nesycd.api.whatif import Edit
from nesycd.cli.main import app
from nesycd.core.errors import ConfigError, KnowledgeError
from nesycd.core.files import file_hash
from nesycd.core.records import Evidence, Fact, Lesson, Rule, RuleTest, Status
from nesycd.knowledge import merge_entities
from nesycd.methods.predict import Responded

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
SETTINGS: dict[str, Any] = {
    "student": "table",
    "evaluation": {"bootstrap": 10, "methods": ["nesycd"], "splits": ["test"]},
    "augmented": {"calls": 1.0, "context": 0.25, "calls_and_context": 0.25},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with nesycd.run(LONGTAIL, root=tmp_path_factory.mktemp("runs"), limit=60, progress=False, **SETTINGS) as made:
        return made.folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Iterator[OpenRun]:
    shutil.copytree(finished, tmp_path / "runs" / "r")
    with open_run(tmp_path / "runs" / "r") as opened:
        yield opened


def fact(run: OpenRun, words: str) -> Fact:
    [entry] = run.kb.entries(kind="fact", search=words)
    assert isinstance(entry.item, Fact)
    return entry.item


def other_value(run: OpenRun, words: str) -> Edit:
    """An edit of the fact with these words: its number, by 5 more."""
    old = fact(run, words)
    number = next(word for word in old.object.split() if word.isdigit())
    new = old.object.replace(number, str(int(number) + 5))
    changes = {"text": old.text.replace(old.object, new), "object": new}
    return lambda kb: kb.edit(old.id, changes, "ann")


def answered(run: OpenRun, method: str) -> dict[str, Responded]:
    return {one.example.uid: one for one in run.respond([*run.examples("valid").values()], method)}


def text(one: Responded) -> str:
    return one.response


def answers(run: OpenRun, one: Responded) -> str:
    return run.task.extract(one.response, one.example)


def content(run: OpenRun) -> dict[str, str]:
    run.kb.close()
    files = (
        path for path in run.folder.rglob("*") if path.is_file() and path.suffix not in (".sqlite-wal", ".sqlite-shm")
    )
    return {str(path.relative_to(run.folder)): file_hash(path) for path in files}


Making = Callable[[OpenRun], Sequence[Edit]]


def edited(run: OpenRun) -> Sequence[Edit]:
    return [other_value(run, "cadmium period")]


def rejected(run: OpenRun) -> Sequence[Edit]:
    gone = fact(run, "hand inches").id
    return [lambda kb: kb.reject(gone, "ann")]


def several(run: OpenRun) -> Sequence[Edit]:
    new = Fact(text="A hand is 9 inches.", subject="hand", relation="length", object="9 inches")
    note = Evidence(example="", source="ann")
    return [
        *rejected(run),
        lambda kb: kb.add([(new, note)], status=Status.APPROVED, reviewer="ann"),
        other_value(run, "swithin"),
    ]


def merged(run: OpenRun) -> Sequence[Edit]:
    return [lambda kb: merge_entities(kb, "hand", "fathom", "ann", "tried")]


def a_lesson(run: OpenRun) -> Sequence[Edit]:
    new = Lesson(text="Cadmium, germanium, rubidium: name the element's group, then its period.")
    return [lambda kb: kb.add([(new, Evidence(example="", source="ann"))], status=Status.APPROVED, reviewer="ann")]


# --- against what really happens --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [edited, rejected, several, merged, a_lesson])
@pytest.mark.parametrize("method", ["nesycd", "nesycd_routed"])
def test_what_is_told_before_is_what_happens_once_it_is_saved(run: OpenRun, make: Making, method: str) -> None:
    edits = make(run)
    before, files = answered(run, method), content(run)
    told = run.what_if(edits, method=method, limit=None)
    assert content(run) == files
    for edit in edits:
        edit(run.kb)
    with open_run(run.folder) as saved:
        after = answered(saved, method)
    other = {uid for uid in before if text(before[uid]) != text(after[uid])}
    touched = {uid for uid in before if before[uid].answer.predictions != after[uid].answer.predictions}
    assert touched and told.touched == len(touched) == told.run and told.left == 0
    assert {one.example for one in told.changed} == {
        uid for uid in other if answers(run, before[uid]) != answers(run, after[uid])
    }
    for one in told.changed:
        example = run.examples("valid")[one.example]
        assert (one.before.text, one.after.text) == (before[one.example].response, after[one.example].response)
        assert (one.question, one.gold) == (example.question, example.answer)
        assert one.after.correct == bool(one.after.answer and run.task.grade(one.after.answer, example))


def test_an_edited_value_touches_exactly_the_answers_whose_calls_found_it(run: OpenRun) -> None:
    used = {
        one.example
        for one in run.questions_using(fact(run, "cadmium period").id)
        if one.method == "informed" and one.calls
    }
    told = run.what_if(other_value(run, "cadmium period"))
    [one] = told.changed
    assert {one.example} == used and (told.split, told.looked_at, told.run) == ("valid", 60, 1)
    assert one.verdict == "lost" and told.lost == 1 and told.gained == 0 and not one.reads_other
    call = one.calls[0]
    assert call.before is not None and call.after is not None
    assert (call.before.found, call.after.found) == ("5", "10")
    [difference] = told.differences
    assert difference.changes["object"] == ("5", "10")


def test_a_second_time_the_student_is_not_asked(run: OpenRun) -> None:
    first, second = (run.what_if(other_value(run, "cadmium period")) for _ in range(2))
    assert (first.run, second.run) == (1, 0) and first.changed == second.changed


def test_what_nothing_retrieves_touches_nothing(run: OpenRun) -> None:
    run.kb.propose(Lesson(text="Look at cadmium twice."), Evidence(example="", source="expert"))
    [waiting] = run.kb.entries(status=Status.PROPOSED)
    told = run.what_if(lambda kb: kb.edit(waiting.item_id, {"text": "Look at cadmium three times."}, "ann"))
    assert (told.looked_at, told.touched, told.run) == (60, 0, 0) and len(told.differences) == 1


def test_what_would_be_refused_is_refused(run: OpenRun) -> None:
    one, other, revision = fact(run, "cadmium period"), fact(run, "rubidium group"), run.kb.revision
    with pytest.raises(KnowledgeError, match="equal to item"):
        run.what_if(lambda kb: kb.edit(one.id, other.model_dump(exclude={"kind"}), "ann"))
    rule = Rule(text="No.", clause="p(X) :- q(X).", tests=(RuleTest(given="q(a).", expect="p(b)."),))
    with pytest.raises(KnowledgeError, match="test"):
        run.what_if(lambda kb: kb.add([(rule, Evidence(example="", source="a"))], status=Status.APPROVED, reviewer="a"))
    assert run.kb.revision == revision


# --- limits -----------------------------------------------------------------------------------------------------------


def test_what_is_over_the_limit_is_counted_and_not_guessed(run: OpenRun) -> None:
    told = run.what_if(several(run), limit=1)
    whole = run.what_if(several(run), limit=None)
    assert told.run == 1 and told.left == whole.touched - 1 > 0 and told.touched == whole.touched
    assert set(told.changed) < set(whole.changed) and not told.cancelled


def test_questions_that_were_never_answered_are_asked_before_and_after(run: OpenRun) -> None:
    told = run.what_if(other_value(run, "cadmium period"), split="ood_composed", limit=None)
    assert told.looked_at == told.run == 32 and told.left == 0
    assert run.what_if(other_value(run, "cadmium period"), split="ood_composed", limit=3).run == 0


@pytest.mark.parametrize("after", [0, 7, 60])
def test_it_can_be_cancelled(run: OpenRun, after: int) -> None:
    asked = iter(range(10_000))
    seen: list[tuple[str, int, int]] = []
    told = run.what_if(
        several(run), cancelled=lambda: next(asked) >= after, progress=lambda *how_far: seen.append(how_far)
    )
    assert told.cancelled and told.looked_at == after == len([one for one in seen if one[0] == "planned"])
    assert seen[after:] == [("asked", 1, told.touched)] * (after == 60)
    assert told.run == (after == 60) and (told.left == told.touched - 1 > 0 or after < 60)


def test_a_run_without_valid_questions_takes_its_largest_held_out_split(run: OpenRun) -> None:
    (run.folder / "stages" / "examples-valid.jsonl").write_text("")
    told = run.what_if(other_value(run, "cadmium period"))
    assert told.split == "test" and "test is its largest held-out split" in told.note and told.looked_at == 60
    with pytest.raises(ConfigError, match="no held-out split 'tset', only ood_composed, ood_unseen, test, valid"):
        run.what_if(edited(run), split="tset")


# --- what an item is used for -----------------------------------------------------------------------------------------


def test_an_item_is_found_in_the_answers_that_looked_it_up_or_read_it_also_under_its_former_id(run: OpenRun) -> None:
    used = {entry.item_id: run.questions_using(entry.item_id) for entry in run.kb.entries()}
    looked = {(one.split, one.method, one.example, item) for item, uses in used.items() for one in uses if one.calls}
    read = {(one.split, one.method, one.example, item) for item, uses in used.items() for one in uses if one.read}
    rows = {split: run.answers("nesycd", split) for split in ("test",)}
    for split, answers in rows.items():
        wanted = {
            (split, "nesycd", row["example"], item)
            for row in answers
            for call in row["calls"]
            for item in call["items"]
        }
        assert {one for one in looked if one[:2] == (split, "nesycd")} == wanted
        wanted = {(split, "nesycd", row["example"], item) for row in answers for item in row["knowledge"]}
        assert {one for one in read if one[:2] == (split, "nesycd")} == wanted
    old = fact(run, "cadmium period").id
    index = run.__dict__["_uses"]
    now = run.kb.edit(old, {"text": "Cadmium stands in period 5."}, "ann").item_id
    assert run.questions_using(now) == used[old] and run.__dict__["_uses"] is index
    [use] = [one for one in used[old] if one.method == "informed"]
    assert (use.split, use.correct, use.read) == ("valid", True, False) and use.calls[0].found == "5"
    stored = run.folder / "predictions.jsonl"
    stored.write_bytes(stored.read_bytes() + b"\n")
    assert run.questions_using(now) == used[old] and run.__dict__["_uses"] is not index
    with pytest.raises(KnowledgeError, match="no item has the id"):
        run.questions_using("0000000000000000")


# --- the command ------------------------------------------------------------------------------------------------------


def command(run: OpenRun, *words: str) -> str:
    result = CliRunner().invoke(app, ["kb", "what-if", *words, "--root", str(run.folder.parent)])
    assert result.exit_code in (0, 2), result.output
    return result.output


def test_the_command_tells_what_would_change_and_changes_nothing(run: OpenRun) -> None:
    cadmium, files = fact(run, "cadmium period").id, content(run)
    told = " ".join(command(run, cadmium[:8], "--text", "Cadmium is in period 6.", "--object", "6").split())
    assert "question right before after calls that differ" in told and "| period] 5 → 6" in told
    assert (
        "nesycd on valid: 60 questions looked at, 1 touched, 1 with another answer (0 gained, 1 lost, 0 other)." in told
    )
    rejected = " ".join(
        command(run, cadmium[:8], fact(run, "rubidium").id, "--decide", "rejected", "--ask", "1").split()
    )
    assert (
        "The student was asked 1 of them; nothing was saved. Not known: 1 that were not asked (over the limit)."
        in rejected
    )
    assert content(run) == files


def test_the_command_refuses_what_it_cannot_try(run: OpenRun) -> None:
    cadmium = fact(run, "cadmium period").id
    assert "does not say" in command(run, cadmium, "--text", "It is in period 6.")
    assert "nothing to change was given" in command(run, cadmium)
    assert "decided on together" in command(run, cadmium, fact(run, "rubidium").id, "--text", "x")
    assert "--decide reject: use" in command(run, cadmium, "--decide", "reject")


# --- the real student -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_student_answers_as_it_was_told_that_it_would(tmp_path: Path) -> None:
    folder = demo_folder(tmp_path)
    with open_run(folder) as run:

        def used(item: str) -> dict[str, bool]:
            uses = run.questions_using(item)
            return {use.example: use.correct for use in uses if (use.split, use.method) == ("test", "nesycd")}

        items = [entry.item for entry in run.kb.entries(kind="fact", status=Status.APPROVED)]
        old = next(item for item in items if 1 <= len(used(item.id)) <= 3 and all(used(item.id).values()))
        assert isinstance(old, Fact)
        changes = {"text": old.text.replace(old.object, "Zork"), "object": "Zork"}
        told = run.what_if(lambda kb: kb.edit(old.id, changes, "ann"), split="test")
        assert told.touched == told.run == len(used(old.id)) and told.left == 0
        assert told.lost and {one.example for one in told.changed} <= used(old.id).keys()
        assert run.kb.get(old.id).item == old
    with open_run(folder) as run:
        run.kb.edit(old.id, changes, "ann")
        asked = [run.examples("test")[one.example] for one in told.changed]
        after = {one.example.uid: answers(run, one) for one in run.respond(asked, "nesycd")}
        assert after == {one.example: one.after.answer for one in told.changed}
