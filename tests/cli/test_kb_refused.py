"""`nesycd kb refused`: what was kept out of a run's base, and why."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.core.records import Evidence, Lesson, Refusal
from nesycd.core.storage import RecordLog, write_json_atomic
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
        )
        for number in (12, 13)
    ]
    RecordLog(folder / "stages" / "refused.jsonl", Refusal).rewrite(refusals)
    said = CliRunner().invoke(app, ["kb", "refused", "question 12", "--run", str(folder)])
    assert said.exit_code == 0
    assert "ill_formed lesson: The answer to question 12 is 42." in said.output
    assert "speaks of [the] answer  (q12)" in said.output and "question 13" not in said.output
    assert "1 of 2 refused items" in said.output
    assert "2 of 2 refused items" in CliRunner().invoke(app, ["kb", "refused", "--root", str(tmp_path)]).output
