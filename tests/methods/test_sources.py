"""Where a run's knowledge comes from besides its teacher: mined rationales, another teacher for the errors, files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from nesycd.api import build
from nesycd.core.answers import Attempt
from nesycd.core.config import Recipe, load_recipe
from nesycd.core.errors import DataError, KnowledgeError
from nesycd.core.judgements import Refusal
from nesycd.core.protocols import ErrorCase
from nesycd.core.records import Evidence, Lesson, Status
from nesycd.knowledge import KnowledgeBase
from nesycd.llm.scripted_chat import ScriptedChat
from nesycd.methods.build_kb import _imported
from nesycd.methods.context import Context
from nesycd.methods.distil import distil
from nesycd.prompts import BaselinePrompts, Prompts
from nesycd.rules import Engine
from nesycd.runs.run import Run, read_records
from nesycd.runs.stage import read_states
from nesycd.teachers.mining import MiningTeacher
from nesycd.teachers.mixed import MixedTeacher

FILE = """
- kind: lesson
  text: Compare the first letters of the words.
  evidence:
  - source: Ann
- kind: fact
  text: A fathom is 6 feet.
  subject: fathom
  relation: length
  object: 6 feet
- {kind: lesson, text: The student did not read this response., evidence: [{source: Ann}]}
- {kind: lesson, text: Old advice., status: retired}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Questions with workings of their own, which are replayed."""
    rows = [
        {"id": f"q{n}", "question": f"Sort the following words well: List: b{n} a{n}", "answer": f"a{n} b{n}",
         "rationale": f"We should compare each word with its next one.\nSo a{n} goes before b{n}."}
        for n in range(14)
    ]  # fmt: skip
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "k.yaml").write_text(FILE)
    path = tmp_path / "recipe.toml"
    path.write_text(
        f"""name = "r"
[task]
name = "jsonl"
[task.settings]
path = "{tmp_path}/q.jsonl"
[teacher]
name = "replay"
paths = ["{tmp_path}/q.jsonl"]
[student]
model = "table"
[knowledge]
source = "all"
"""
    )
    return path


@pytest.fixture
def distilled(recipe: Path, tmp_path: Path) -> Callable[..., Run]:
    """Runs the method up to the knowledge base with these settings, in one folder."""

    def run(*sets: str) -> Run:
        settings = load_recipe(recipe, sets)
        task = build.task_of(settings)
        with Run.open(tmp_path / "r", settings.model_dump(mode="json")) as opened, Engine() as engine:
            teacher, student = build.teacher_of(settings, task), build.student_of(settings)
            prompts, others = Prompts.load(), BaselinePrompts.load()
            distil(Context(opened, settings, task, teacher, student, prompts, others, engine), until="diagnose")
        return opened

    return run


def entries(run: Run) -> dict[str, tuple[Status, set[str]]]:
    with KnowledgeBase.open(run.kb_path) as kb:
        return {one.item.text: (one.status, {e.source for e in one.evidence}) for one in kb.entries()}


def test_files_join_the_base_through_the_gates(distilled: Callable[..., Run], tmp_path: Path) -> None:
    plain = distilled()
    before = {name: state["fingerprint"] for name, state in read_states(plain.folder).items()}
    assert entries(plain) == {}
    run = distilled(f"knowledge.files=['{tmp_path}/k.yaml']")
    assert entries(run) == {
        "Compare the first letters of the words.": (Status.APPROVED, {"Ann"}),
        "A fathom is 6 feet.": (Status.APPROVED, {"k.yaml"}),
    }
    [refusal] = read_records(run.folder, "refused", Refusal)
    assert refusal.filter == "ill_formed" and refusal.item.text == "The student did not read this response."
    # Of the finished stages only those that the file enters are done again, and without it they are what they were.
    after = {name: state["fingerprint"] for name, state in read_states(run.folder).items()}
    assert {name for name in before if after[name] != before[name]} <= {"refused", "knowledge", "leaks"}
    again = distilled()
    assert {name: state["fingerprint"] for name, state in read_states(again.folder).items()} == before


def test_what_people_did_holds_when_the_base_is_made_anew(
    distilled: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    opened = Run.open
    monkeypatch.setattr(Run, "open", lambda *given, **options: opened(*given, **options, notify=told.append))
    files = f"knowledge.files=['{tmp_path}/k.yaml']"
    with KnowledgeBase.open(distilled(files).kb_path) as kb:
        [lesson] = kb.entries(kind="lesson")
        kb.reject(lesson.item_id, "Ann")
        kb.add([(Lesson(text="My own."), Evidence(example="", source="Ann"))])
        kb.tag("v1", "Ann")
    (tmp_path / "k.yaml").write_text(FILE + "- {kind: lesson, text: One more.}\n")
    run = distilled(files)
    assert (run.folder / "kb.1.sqlite").exists()
    found = entries(run)
    assert found[lesson.item.text][0] is Status.REJECTED and found["My own."][0] is Status.PROPOSED
    assert found["One more."][0] is Status.APPROVED
    assert any(text.startswith("carried over from kb.1.sqlite: item ") and "rejected by Ann" in text for text in told)
    assert any(text.startswith("not carried over from kb.1.sqlite: version v1") for text in told)


def test_files_wait_for_review_and_pass_the_self_check_by(distilled: Callable[..., Run], tmp_path: Path) -> None:
    files = f"knowledge.files=['{tmp_path}/k.yaml']"
    assert {status for status, _ in entries(distilled(files, "knowledge.review=human")).values()} == {Status.PROPOSED}
    assert {status for status, _ in entries(distilled(files, "knowledge.self_check=true")).values()} == {
        Status.APPROVED
    }


def test_a_file_that_cannot_be_used_is_named(recipe: Path, tmp_path: Path) -> None:
    @dataclass
    class Asking:
        recipe: Recipe

    def read(*sets: str) -> object:
        return _imported(Asking(load_recipe(recipe, sets)))  # type: ignore[arg-type]

    (tmp_path / "k.yaml").write_text("- {kind: fact, text: A fathom is 6 feet.}\n")
    assert read() == []
    with pytest.raises(KnowledgeError, match=r"k\.yaml: 1 of 1 entries cannot be used, .*subject"):
        read(f"knowledge.files=['{tmp_path}/k.yaml']")
    with pytest.raises(KnowledgeError, match=r"none\.yaml: cannot be read"):
        read(f"knowledge.files=['{tmp_path}/none.yaml']")


def test_what_is_mined_has_the_questions_as_evidence(distilled: Callable[..., Run]) -> None:
    plain = distilled()
    texts = {name: state["fingerprint"] for name, state in read_states(plain.folder).items() if name == "general"}
    run = distilled("teacher.diagnose=mine")
    assert entries(run) == {
        "Sort the following words well: compare each word with its next one.": (Status.APPROVED, {"mined"})
    }
    with KnowledgeBase.open(run.kb_path) as kb:
        [entry] = kb.entries()
    assert len({e.example for e in entry.evidence}) > 5
    # Who diagnoses changes nothing of what the student learnt before.
    assert read_states(run.folder)["general"]["fingerprint"] == texts["general"]


def test_recorded_rationales_and_a_language_model_for_the_errors(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = json.dumps({"cause": "c", "facts": [], "rules": [], "lessons": ["Compare the letters one by one."]})
    chat = ScriptedChat(lambda request: reply)
    monkeypatch.setattr(build, "chat_of", lambda recipe: chat)
    settings = load_recipe(recipe, ["teacher.diagnose=api", "teacher.api.model=m"])
    assert build.asks_api(settings) and not build.asks_api(load_recipe(recipe))
    task = build.task_of(settings)
    teacher = build.teacher_of(settings, task)
    own = build.teacher_of(load_recipe(recipe), task)
    assert isinstance(teacher, MixedTeacher) and teacher.fingerprint != own.fingerprint
    train = task.load("train")
    assert list(teacher.rationales(train)) == list(own.rationales(train)) and not chat.asked
    case = ErrorCase(train[0], "So.", Attempt(example=train[0].uid, solver="s", response="?"))
    [diagnosis] = teacher.diagnoses([case])
    assert [item.text for item in diagnosis.items] == ["Compare the letters one by one."] and len(chat.asked) == 1
    assert teacher.plan_rationales(train) == [] and len(teacher.plan_diagnoses([case])) == 1
    mined = load_recipe(recipe, ["teacher.diagnose=mine"])
    assert isinstance(build.teacher_of(mined, task), MiningTeacher) and not build.asks_api(mined)


def test_a_corpus_may_be_a_table(tmp_path: Path) -> None:
    path = tmp_path / "corpus.csv"
    path.write_text("title,text\nFathom,A fathom is 6 feet.\n,A span is 9 inches.\n", encoding="utf-8-sig")
    assert [one.text for one in build.read_passages(path)] == ["Fathom. A fathom is 6 feet.", "A span is 9 inches."]
    path.write_text("title,text\nFathom,\nSpan,\n")
    with pytest.raises(DataError, match=r"2 of 2 rows.*corpus\.csv:2: a passage needs a text.*corpus\.csv:3: "):
        build.read_passages(path)
