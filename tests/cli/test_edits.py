"""The command `nesycd edits` as a user calls it, and `edits.json`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.runs.predictions import read_attempts

ROOT = Path(__file__).parents[2]
SETTINGS = ["--set", "student.model=table", "--set", "evaluation.splits=['test']", "--set", "evaluation.bootstrap=50"]
WORDS = [str(ROOT / "recipes" / "longtail.toml"), *SETTINGS, "--limit", "60"]


def invoke(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.output


def stages(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((folder / "stages").glob("*.json"))}


@pytest.mark.slow
def test_a_run_is_completed_measured_and_left_as_it_was(tmp_path: Path) -> None:
    words = [*WORDS, "--name", "r", "--root", str(tmp_path)]
    said = invoke("edits", *words, "--count", "12")
    assert "12 edits, 60 test questions each" in said and "follow" in said and "moves" not in said.split("Samples")[0]
    folder = tmp_path / "r"
    text, results, before = (folder / "edits.json").read_text(), (folder / "results.json").read_text(), stages(folder)
    content = json.loads(text)
    assert content["schema"] == "edits/3" and content["edits"] == 12 <= content["candidates"]
    affected, others = content["affected"], content["others"]
    cases = content["cases"]
    assert affected["all"]["n"] == sum(case["affected"] for case in cases)
    assert affected["right_before"]["n"] == sum(case["affected"] and case["right_before"] for case in cases)
    assert affected["all"]["n"] == sum(rates["all"]["n"] for rates in affected["by_task"].values())
    assert affected["all"]["n"] + others["all"]["n"] + content["without_answer"] == 12 * 60
    assert others["touched"]["n"] == sum(not case["affected"] for case in cases)
    assert content["method"] == "nesycd" and "same_prompt" not in content
    own = {one.example: one.answer for one in read_attempts(folder, "eval-test-nesycd")}
    assert all(case["before"] == own[case["example"]] for case in cases), "answers before are the run's own"
    for rate in (affected["all"], others["all"]):
        assert rate["share"] == rate["count"] / rate["n"] and rate["low"] <= rate["share"] <= rate["high"]

    assert "eval-edits" not in json.loads(results)["seconds"]
    invoke("run", *words)
    invoke("edits", *words, "--count", "12")
    assert stages(folder) == before and (folder / "results.json").read_text() == results
    assert (folder / "edits.json").read_text() == text
    assert json.loads((folder / "manifest.json").read_text())["finished"] is not None
    assert "facts are needed by test questions" in invoke("edits", *words, "--count", "999")
