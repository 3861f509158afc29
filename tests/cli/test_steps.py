"""The steps as single commands: each makes its part of the run, says what it made, and names the next."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.cli.main import STEPS, app
from nesycd.core.config import Recipe
from nesycd.runs.folders import summarise
from nesycd.runs.stage import read_states

RECIPE = str(Path(__file__).parents[2] / "recipes" / "longtail.toml")
TABLE = ["--set", "student.model=table", "--set", "evaluation.splits=['test']", "--limit", "40", "--name", "r"]


def call(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.stdout


@pytest.mark.slow
def test_step_by_step_is_the_whole_run(tmp_path: Path) -> None:
    words = ["rationalise", RECIPE, *TABLE, "--root", str(tmp_path)]
    said = {}
    for step in STEPS:
        assert words[:2] == [step, RECIPE]
        said[step] = call(*words)
        # Every step names a command that can be typed as it stands.
        words = shlex.split(said[step].rpartition("Next: nesycd ")[2])
        assert words[0] == ([*STEPS, "ask"])[[*STEPS].index(step) + 1]
    assert words == ["ask", "QUESTION", "--run", str(tmp_path / "r")]
    assert "40 questions asked; 40 rationales kept, 0 wrong, 0 failed" in said["rationalise"]
    assert re.search(r"trained for \d+ steps on \d+ completion tokens, loss 0\.\d{3} at the end", said["distil"])
    assert re.search(r"40 answers, [1-9][\d.]+ % of them wrong", said["collect"])
    assert re.search(r"\d+ answers diagnosed, 0 failed; \d+ items; \d+ fact.*; \d+ approved", said["diagnose"])
    assert re.search(r"knowledge found for \d+ of 40 questions; trained for \d+ steps", said["augment"])
    assert "nesycd_oracle" in said["evaluate"] and "report.html" in said["evaluate"]
    for step in [*STEPS][:-1]:
        files = [line.strip() for line in said[step].splitlines() if line.startswith("  ")]
        assert files and all(Path(file).exists() for file in files)
    assert f"{tmp_path / 'r' / 'kb.sqlite'}" in said["diagnose"]
    assert summarise(tmp_path / "r").status == "finished"
    # What single steps made is what a whole run makes: it finds nothing left to do.
    before = read_states(tmp_path / "r")
    call("run", RECIPE, *TABLE, "--root", str(tmp_path))
    assert read_states(tmp_path / "r") == before


def test_a_step_alone_runs_the_ones_before_it_and_none_after(tmp_path: Path) -> None:
    said = call("collect", RECIPE, *TABLE, "--root", str(tmp_path), "--set", "collection.mode=in_sample")
    assert "40 answers" in said and "collect.jsonl" in said
    assert {*read_states(tmp_path / "r")} == {
        "examples-train",
        "rationales",
        "general",
        "collect",
        "collect.verdicts",
    }
    again = call(
        "run", RECIPE, *TABLE, "--root", str(tmp_path), "--set", "collection.mode=in_sample", "--until", "collect"
    )
    assert again == said


@pytest.mark.parametrize("step", STEPS)
def test_its_help_teaches(step: str) -> None:
    said = " ".join(call(step, "--help").split())
    assert len(said) > 800 and f"nesycd {step} recipes/quickstart.toml" in said
    sections = re.search(r"Sections? of the recipe: ([a-z, ]+)\.", said)
    assert sections is not None and {*sections[1].split(", ")} <= {*Recipe.model_fields}
