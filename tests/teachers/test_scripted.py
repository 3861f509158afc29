"""The scripted teacher says what it was told to, and a gap in the script is a record."""

from __future__ import annotations

import doctest

from nesycd.core.answers import Attempt
from nesycd.core.protocols import ErrorCase, Teacher
from nesycd.core.records import Example, Lesson
from nesycd.teachers import scripted
from nesycd.teachers.scripted import ScriptedTeacher

ONE = Example(uid="q1", task="t", question="One and one?", answer="2")
TWO = Example(uid="q2", task="t", question="Two?", answer="2")
LESSON = Lesson(text="Count.")


def case(example: Example) -> ErrorCase:
    attempt = Attempt(example=example.uid, solver="s", response="3", prediction=f"p-{example.uid}")
    return ErrorCase(example, None, attempt)


def test_a_mapping_is_read_by_uid() -> None:
    teacher = ScriptedTeacher({"q1": "Count on. Therefore, the answer is 2."}, {"q2": [LESSON]})
    assert isinstance(teacher, Teacher)
    first, second = teacher.rationales([ONE, TWO])
    assert (first.text, first.answer, first.correct, first.prompt_tokens) == ("Count on.", "2", False, 0)
    assert (second.text, second.failure) == ("", "not in the script")
    first_diagnosis, second_diagnosis = teacher.diagnoses([case(ONE), case(TWO)])
    assert first_diagnosis.failure == "not in the script"
    assert (second_diagnosis.items, second_diagnosis.failure) == ((LESSON,), "")
    assert second_diagnosis.attempt == f"p-{TWO.uid}"


def test_functions_see_the_example_and_the_error() -> None:
    teacher = ScriptedTeacher(
        lambda example: f"{example.question} Therefore, the answer is {example.answer}." if example is ONE else None,
        lambda error: [Lesson(text=f"Not {error.attempt.response}.")],
    )
    first, second = teacher.rationales([ONE, TWO])
    assert (first.text, first.answer) == ("One and one?", "2")
    assert second.failure
    [diagnosis] = teacher.diagnoses([case(ONE)])
    assert diagnosis.items == (Lesson(text="Not 3."),)
    assert [d.items for d in ScriptedTeacher({}, lambda error: []).diagnoses([case(ONE)])] == [()]


def test_the_fingerprint_follows_the_script() -> None:
    base = ScriptedTeacher({"q1": "A."}, {"q1": [LESSON]})
    assert base.fingerprint == ScriptedTeacher({"q1": "A."}, {"q1": [LESSON]}).fingerprint
    others = [
        ScriptedTeacher({"q1": "B."}, {"q1": [LESSON]}),
        ScriptedTeacher({"q1": "A."}),
        ScriptedTeacher({"q1": "A."}, {"q1": [LESSON]}, version="2"),
        ScriptedTeacher(lambda example: None),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_the_docstrings_example_runs() -> None:
    result = doctest.testmod(scripted, extraglobs={"Example": Example})
    assert (result.failed, result.attempted) == (0, 3)
