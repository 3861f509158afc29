"""The replay teacher: matching, what is served, what is a failure, and all published recordings where they are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.answers import Attempt
from nesycd.core.errors import DataError, TeacherError
from nesycd.core.protocols import ErrorCase, Teacher
from nesycd.core.records import Diagnosis, Example, Lesson, Rationale
from nesycd.tasks.bbh import Bbh, BbhSettings
from nesycd.tasks.gsm8k import Gsm8k, Gsm8kSettings
from nesycd.teachers.replay import ReplayTeacher

real = pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")

CIRCLE = Example(uid="q1", task="own/shapes", question="Which  shape?", answer="(A)", options=("circle", "kite"))
SQUARE = CIRCLE.model_copy(update={"uid": "q2", "options": ("square", "kite")})
SUM = Example(uid="gsm8k-train-00001", task="gsm8k", question="2 + 2?", answer="4")


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def serve(example: Example, path: Path, **settings: Any) -> Rationale:
    [rationale] = ReplayTeacher([path], **settings).rationales([example])
    return rationale


def recorded(**changes: Any) -> dict[str, Any]:
    row = {"id": "gsm8k-train-00001-x", "benchmark": "gsm8k", "task": "gsm8k", "question": "2 + 2?", "options": None,
           "answer": "4", "teacher": "big", "rationale": "2 + 2 = 4.", "teacher_answer": "4", "teacher_correct": True,
           "split": "train", "rationale_agrees": True}  # fmt: skip
    return {**row, **changes}


def bbh_row(index: int, **changes: Any) -> dict[str, Any]:
    row = recorded(id=f"bbh-snarks-{index:03d}-cdv2", benchmark="bbh", task="snarks", question="Which statement?")
    return {**row, "rationale": f"It is {index}. So the answer is (A).", "teacher_answer": "(A)", **changes}


def snark(index: int) -> Example:
    uid = f"bbh-snarks-{index:03d}"
    return Example(uid=uid, task="bbh/snarks", question="Which statement?", answer="(A)", options=(f"{index}", "b"))


def test_own_rows_match_by_id_or_by_text_and_options(tmp_path: Path) -> None:
    path = write(
        tmp_path / "own.jsonl",
        {"id": "q2", "rationale": "By id. Therefore, the answer is (A)."},
        {"question": "Which shape? ", "options": ["circle", " kite"], "rationale": "By text.", "answer": "A"},
        {"question": "2 + 2?", "rationale": "Sum. So the answer is 5.", "teacher": "pupil"},
    )
    teacher = ReplayTeacher([path])
    assert isinstance(teacher, Teacher)
    first, second, third = teacher.rationales([CIRCLE, SQUARE, SUM])
    assert (first.text, first.answer, first.teacher) == ("By text.", "A", "replay")
    assert (second.text, second.answer) == ("By id.", "(A)")
    assert (third.text, third.answer, third.teacher) == ("Sum.", "5", "pupil")
    assert not any((first.failure, second.failure, third.failure, first.correct))


def test_a_row_without_options_never_matches_a_choice(tmp_path: Path) -> None:
    path = write(tmp_path / "own.jsonl", {"question": "Which shape?", "rationale": "Any."})
    assert serve(CIRCLE, path).failure == "no recording"


def test_a_rows_task_must_fit_where_it_has_one(tmp_path: Path) -> None:
    row = {"question": "Which shape?", "options": ["circle", "kite"], "rationale": "R."}
    for task, failure in (("shapes", ""), ("own/shapes", ""), ("other", "no recording")):
        assert serve(CIRCLE, write(tmp_path / "own.jsonl", {**row, "task": task})).failure == failure


def test_in_recorded_rows_the_answer_is_the_teachers_own_not_the_gold(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", recorded(answer="5"))
    assert (serve(SUM, path).answer, serve(SUM, path).teacher) == ("4", "big")
    path = write(tmp_path / "r.jsonl", recorded(teacher_answer=None, teacher_correct=False))
    assert (serve(SUM, path).answer, serve(SUM, path).failure) == ("", "")


def test_a_closing_sentence_that_says_something_else_stays_in_the_working(tmp_path: Path) -> None:
    text = "Add. So the answer is the sum of both: 4."
    assert serve(SUM, write(tmp_path / "r.jsonl", recorded(rationale=text))).text == text
    text = "Add. So the answer is 4.0."
    assert serve(SUM, write(tmp_path / "r.jsonl", recorded(rationale=text))).text == "Add."


def test_agreement_can_be_required_and_the_next_recording_steps_in(tmp_path: Path) -> None:
    first = write(tmp_path / "1.jsonl", recorded(rationale_agrees=False, rationale="Contradicts."))
    second = write(tmp_path / "2.jsonl", recorded(rationale="Agrees."))
    third = write(tmp_path / "3.jsonl", recorded(teacher_correct=False))
    assert serve(SUM, first).text == "Contradicts."
    assert "agrees" in serve(SUM, first, require_agreement=True).failure
    assert "agrees" in serve(SUM, third, require_agreement=True).failure
    [rationale] = ReplayTeacher([first, third, second], require_agreement=True).rationales([SUM])
    assert rationale.text == "Agrees."
    own = write(tmp_path / "own.jsonl", {"question": "2 + 2?", "rationale": "Own."})
    assert serve(SUM, own, require_agreement=True).text == "Own."


def test_bbh_rows_match_by_the_publishers_index_and_ignore_agreement(tmp_path: Path) -> None:
    rows = [bbh_row(index, rationale_agrees=None, teacher_correct=index == 2) for index in range(3)]
    teacher = ReplayTeacher([write(tmp_path / "b.jsonl", *rows)], require_agreement=True)
    texts = [rationale.text for rationale in teacher.rationales([snark(2), snark(0)])]
    assert texts == ["It is 2.", "It is 0."]
    [missing] = teacher.rationales([snark(7)])
    assert missing.failure == "no recording"
    [other] = teacher.rationales([snark(1).model_copy(update={"question": "Another question altogether"})])
    assert "another question" in other.failure


def test_an_empty_working_is_a_failure(tmp_path: Path) -> None:
    assert "no working" in serve(SUM, write(tmp_path / "r.jsonl", recorded(rationale=""))).failure
    assert "no working" in serve(SUM, write(tmp_path / "r.jsonl", recorded(rationale="The answer is 4."))).failure


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "q", "rationle": "R."}, "r.jsonl:1: unknown key 'rationle'.*'rationale'"),
        ({"id": "q"}, "r.jsonl:1: key 'rationale' is missing"),
        ({"rationale": "R."}, "r.jsonl:1: 'id' or 'question' is needed"),
        ({"question": 3, "rationale": "R."}, "r.jsonl:1: question must be a text"),
        ({"question": "?", "options": "A", "rationale": "R."}, "r.jsonl:1: options must be a list"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ReplayTeacher([write(tmp_path / "r.jsonl", row)])


def test_recordings_may_be_a_table_and_all_bad_rows_are_told(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("question;rationale;answer\n2 + 2?;It is 4.;4\n3 + 3?;;6\n;It is 8.;8\n")
    with pytest.raises(DataError) as caught:
        ReplayTeacher([path])
    assert str(caught.value) == (
        f"2 of 3 rows cannot be used: {path}:3: key 'rationale' is missing or not a text; "
        f"{path}:4: 'id' or 'question' is needed to know which question this is for"
    )
    path.write_text("question;rationale;answer\n2 + 2?;It is 4.;4\n")
    assert serve(SUM, path).text == "It is 4."


def test_no_paths_and_missing_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="no recordings"):
        ReplayTeacher([])
    with pytest.raises(DataError, match="no such file"):
        ReplayTeacher([tmp_path / "none.jsonl"])


def test_the_fingerprint_follows_files_and_settings(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", recorded())
    before = ReplayTeacher([path]).fingerprint
    assert before == ReplayTeacher([path]).fingerprint != ReplayTeacher([path], require_agreement=True).fingerprint
    write(path, recorded(rationale="Other."))
    assert before != ReplayTeacher([path]).fingerprint


def test_diagnoses_come_from_their_own_file(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", recorded())
    attempt = Attempt(example=SUM.uid, solver="s", response="5", prediction="p1")
    case, other = ErrorCase(SUM, None, attempt), ErrorCase(CIRCLE, None, attempt)
    [none] = ReplayTeacher([path]).diagnoses([case])
    assert none.failure == "replay has no diagnoses"
    lesson = Lesson(text="Add with care.")
    written = Diagnosis(example=CIRCLE.uid, attempt="a", teacher="t", items=(lesson,), cause="Careless.")
    failed = Diagnosis(example="q9", attempt="a", teacher="t", failure="timeout")
    simple = {"question": "2 + 2?", "items": [{"kind": "fact", "text": "T", "subject": "s", "relation": "r",
              "object": "o"}], "cause": "Why."}  # fmt: skip
    file = write(tmp_path / "d.jsonl", simple, written.to_json(), failed.to_json())
    missing = ErrorCase(SQUARE, None, attempt)
    first, second, third = ReplayTeacher([path], diagnoses=file).diagnoses([case, other, missing])
    assert (first.items[0].kind, first.cause, first.attempt) == ("fact", "Why.", "p1")
    assert (second.items, second.cause, second.teacher) == ((lesson,), "Careless.", "replay")
    assert third.failure == "no recorded diagnosis"


@pytest.mark.parametrize("items", [None, [{"kind": "fact", "text": "T"}], [{"kind": "wish", "text": "T"}]])
def test_bad_diagnoses_are_named(tmp_path: Path, items: Any) -> None:
    path = write(tmp_path / "r.jsonl", recorded())
    with pytest.raises(DataError, match=r"d\.jsonl:1: items"):
        ReplayTeacher([path], diagnoses=write(tmp_path / "d.jsonl", {"id": "q", "items": items}))


@real
def test_real_bbh_recordings_serve_every_question() -> None:
    folder = Path(os.environ["NESYCD_DATA"])
    task = Bbh(BbhSettings(path=folder / "bbh" / "bbh"))
    examples = [example for split in task.splits() for example in task.load(split)]
    path = folder / "teachers" / "bbh__code-davinci-002.jsonl.gz"
    rationales = list(ReplayTeacher([path], require_agreement=True).rationales(examples))
    assert len(rationales) == 6511
    assert not any(rationale.failure for rationale in rationales)
    right = sum(task.grade(r.answer, e) for r, e in zip(rationales, examples, strict=True))
    assert right == 4816
    assert sum(not rationale.answer for rationale in rationales) == 236
    assert not any("So the answer is" in rationale.text for rationale in rationales)


@real
def test_real_gsm8k_recordings_serve_every_recorded_question() -> None:
    folder = Path(os.environ["NESYCD_DATA"])
    task = Gsm8k(Gsm8kSettings(path=folder / "gsm8k"))
    examples = task.load("train") + task.load("valid")
    paths = [folder / "teachers" / f"gsm8k-train__{name}_level2.jsonl.gz" for name in ("llama", "gemini")]
    # Gemini's 7,432 rows hold one right answer without any working.
    for files, strict, served, right in (
        (paths[:1], False, 7441, 7419),
        (paths[1:], False, 7431, 7071),
        (paths, True, 7345, 7345),
    ):
        rationales = list(ReplayTeacher(files, require_agreement=strict).rationales(examples))
        assert sum(not rationale.failure for rationale in rationales) == served
        assert sum(task.grade(r.answer, e) for r, e in zip(rationales, examples, strict=True)) == right
    assert not any(rationale.answer for rationale in rationales if rationale.failure)
