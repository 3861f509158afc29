"""`nesycd kb refused` and `leaks`: what was kept out of a run's base, what in a base gives questions away, and which ones."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.core.judgements import Refusal
from nesycd.core.records import Evidence, Example, Fact, Lesson, Status
from nesycd.core.storage import RecordLog, write_json_atomic
from nesycd.knowledge import KnowledgeBase
from nesycd.runs.manifest import fresh_manifest


def test_items_are_listed_with_filter_reason_and_question(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    (folder / "stages").mkdir(parents=True)
    write_json_atomic(folder / "manifest.json", fresh_manifest())
    refusals = [
        Refusal(
            item=Lesson(text=f"The answer to question {number} is 42."),
            evidence=Evidence(example=f"q{number}", source="t"),
            filter="ill_formed",
            reason="speaks of [the] answer",
            question=f"What is\n[{number}]?",
        )
        for number in (12, 13)
    ]
    RecordLog(folder / "stages" / "refused.jsonl", Refusal).rewrite(refusals)
    said = CliRunner().invoke(app, ["kb", "refused", "question 12", "--run", str(folder)])
    assert said.exit_code == 0
    assert "ill_formed lesson: The answer to question 12 is 42." in said.output
    assert "speaks of [the] answer  (q12)" in said.output and "question 13" not in said.output
    assert "1 of 2 refused items" in said.output and "question What is [12]?" in said.output
    assert "2 of 2 refused items" in CliRunner().invoke(app, ["kb", "refused", "--root", str(tmp_path)]).output


def test_items_of_a_base_that_give_questions_away_are_listed_with_the_question(tmp_path: Path) -> None:
    folder, other = tmp_path / "r", tmp_path / "reviewed.sqlite"
    (folder / "stages").mkdir(parents=True)
    write_json_atomic(folder / "manifest.json", fresh_manifest())
    questions = {
        "train": "How many logs are 3 hins and 5 logs?",
        "valid": "How many logs are 2 hins and 3 logs?",
        "test": "How many [big] logs are 7 hins and 9 logs more?",
    }
    for split, question in questions.items():
        example = Example(uid=f"{split}-1", task="t", question=question, answer="41", split=split)
        RecordLog(folder / "stages" / f"examples-{split}.jsonl", Example).rewrite([example])
    mine = Evidence(example="", source="Ann")
    hin = Fact(text="A hin is 12 logs.", subject="hin", relation="makes", object="12 logs")
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        kb.add([(hin, mine)], status=Status.APPROVED, reviewer="Ann")
        kb.add([(Lesson(text="3 hins and 5 logs are 41 logs."), mine)])
        kb.add([(Lesson(text=f"Ask: {questions['valid']}"), mine)], status=Status.REJECTED, reviewer="Ann")
    with KnowledgeBase.open(other) as kb:
        kb.add([(Lesson(text=f"Ask: {questions['test']}"), mine)], status=Status.APPROVED, reviewer="Ann")

    said = CliRunner().invoke(app, ["kb", "leaks", "--root", str(tmp_path)])
    assert said.exit_code == 0, said.output
    assert "proposed lesson: 3 hins and 5 logs are 41 logs." in said.output
    assert "restates question train-1 with its answer" in said.output and questions["train"] in said.output
    assert "A hin is" not in said.output and "Ask:" not in said.output
    assert "0 approved and 1 proposed of 2 items" in " ".join(said.output.split())

    said = CliRunner().invoke(app, ["kb", "leaks", "--run", str(folder), "--kb", str(other)])
    told = " ".join(said.output.split())
    assert said.exit_code == 1 and f"question {questions['test']}" in told
    assert "carries the text of a question outside training, test-1 of test: 'big logs are 7 hins and 9" in told
    assert "1 approved and 0 proposed of 1 items" in told

    (folder / "stages" / "examples-train.jsonl").unlink()
    said = CliRunner().invoke(app, ["kb", "leaks", "--run", str(folder)])
    assert said.exit_code == 2 and "no training questions yet" in " ".join(said.output.split())
