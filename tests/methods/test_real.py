"""The whole method with the embedded student, in miniature (slow tier)."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from nesycd.cli.ask import answer
from nesycd.cli.run import execute
from nesycd.config import load_recipe
from nesycd.reports import load_results

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.toml"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_quickstart_in_miniature(tmp_path: Path) -> None:
    settings = ["task.limit=22", "training.epochs=2", "collection.epochs=1", "student.max_new_tokens=48"]
    splits = ["evaluation.splits=['test']", "evaluation.bootstrap=100"]
    recipe = load_recipe(QUICKSTART, [*settings, *splits])
    execute(recipe, tmp_path / "r", Console(file=io.StringIO()))
    results = load_results(tmp_path / "r" / "results.json").to_json()
    arms = {name: splits["test"] for name, splits in results["arms"].items()}
    assert len(arms) == 7 and all(score["n"] == 22 for score in arms.values())
    # Twenty questions teach hardly any knowledge; that each arm was given what it should be is what is held here.
    assert arms["nesycd_oracle"]["knowledge_tokens"] > 0 and arms["nesycd_oracle"]["routed"] == 1.0
    assert arms["nesycd_no_kb"]["knowledge_tokens"] == 0 and arms["std_cot"]["completion_tokens"] > 22 * 5
    state = (tmp_path / "r" / "stages" / "augmented.json").read_text()
    execute(recipe, tmp_path / "r", Console(file=io.StringIO()))
    assert (tmp_path / "r" / "stages" / "augmented.json").read_text() == state
    reply = answer(tmp_path / "r", "How many feet are 3 fathoms and 2 feet?", always=True)
    assert reply["response"] and reply["routed"]
