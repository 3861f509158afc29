"""`nesycd results`: one run again, several together, and what cannot be taken together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nesycd.cli.main import app
from nesycd.core.answers import Attempt
from nesycd.core.config import Recipe
from nesycd.core.records import Example
from nesycd.core.storage import write_json_atomic
from nesycd.reports import Evaluation, build_results
from nesycd.runs.run import Run

EXAMPLES = [Example(uid=f"q{n}", task="units", question=f"{n}?", answer="12", split="test") for n in range(10)]


def make_run(root: Path, name: str, right: int = 5, finish: bool = True, **changes: Any) -> Path:
    """A run folder with results: so many of ten questions answered right."""
    attempts = [
        Attempt(example=example.uid, solver="nesycd", response="", correct=n < right)
        for n, example in enumerate(EXAMPLES)
    ]
    evaluation = Evaluation(
        examples=EXAMPLES,
        attempts={("nesycd", "test"): attempts},
        kinds={"units": "special"},
        frequency={},
        knowledge={"items": 0, "by_kind": {}, "by_status": {}},
        recall={},
        seconds={},
    )
    recipe = Recipe.model_validate({"name": name, "task": {"name": "longtail"}}).model_dump(mode="json")
    for key, value in changes.items():
        section, _, inner = key.rpartition("__")
        (recipe[section] if section else recipe)[inner] = value
    with Run.open(root / name, recipe) as run:
        write_json_atomic(run.results_path, build_results(evaluation))
        if finish:
            run.finish()
    return root / name


def call(root: Path, *words: str | Path) -> Result:
    return CliRunner().invoke(app, ["results", *map(str, words), "--root", str(root)])


def test_one_run_is_shown_again(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "one")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for name in ("one", folder):
        shown = call(tmp_path, name)
        assert shown.exit_code == 0
        assert "95 % interval" in shown.output and "50.0" in shown.output
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_seeds_are_put_together_without_a_note(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(tmp_path, f"seed-{seed}", right=5 + seed, seed=seed)
    shown = call(tmp_path, "seed-0", "seed-1", "seed-2", "--json", tmp_path / "seeds.json")
    assert shown.exit_code == 0
    assert "60.0 ±10.0" in shown.output and "50.0–70.0" in shown.output
    assert shown.stderr == ""
    written = json.loads((tmp_path / "seeds.json").read_text())
    assert written["schema"] == "spread/1" and written["runs"] == ["seed-0", "seed-1", "seed-2"]
    assert written["methods"]["nesycd"]["test"]["special"]["values"] == [0.5, 0.6, 0.7]


def test_one_run_can_be_written_too(tmp_path: Path) -> None:
    make_run(tmp_path, "one")
    assert call(tmp_path, "one", "--json", tmp_path / "one.json").exit_code == 0
    found = json.loads((tmp_path / "one.json").read_text())["methods"]["nesycd"]["test"]["all"]
    assert (found["mean"], found["sd"], found["values"]) == (0.5, None, [0.5])


def test_other_settings_of_the_method_are_noted(tmp_path: Path) -> None:
    make_run(tmp_path, "one")
    make_run(tmp_path, "two", seed=1, augmented__fill_to=0)
    shown = call(tmp_path, "one", "two")
    assert shown.exit_code == 0
    assert "note: two: other settings of the method: augmented.fill_to is 0, but 4 in one\n" in shown.stderr


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"task__name": "bbh"}, 'two: task.name is "bbh", but "longtail" in one'),
        ({"task__limit": 20}, "two: task.limit is 20, but not set in one"),
        ({"task__settings": {"test_special": 8}}, "two: task.settings.test_special is 8, but not set in one"),
        ({"student__model": "table"}, 'two: student.model is "table", but "smollm2-135m" in one'),
    ],
)
def test_runs_of_other_questions_or_students_have_no_mean(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    make_run(tmp_path, "one")
    make_run(tmp_path, "two", **changes)
    shown = call(tmp_path, "one", "two", "--json", tmp_path / "out.json")
    assert shown.exit_code == 2
    assert f"error: {told}; runs of different questions or students have no mean" in shown.stderr
    assert not (tmp_path / "out.json").exists()


def test_a_benchmarks_own_seed_is_a_seed(tmp_path: Path) -> None:
    make_run(tmp_path, "one", task__settings={"seed": 1})
    make_run(tmp_path, "two", task__settings={"seed": 2})
    assert call(tmp_path, "one", "two").exit_code == 0


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "one")
    assert "no run 'none' below" in call(tmp_path, "none").stderr
    assert "one: the same run twice" in call(tmp_path, folder, "one").stderr
    (folder / "results.json").unlink()
    shown = call(tmp_path, "one")
    assert shown.exit_code == 2 and "no results yet (no results.json); finish the run by" in shown.stderr
    assert "cannot be written" in call(tmp_path, make_run(tmp_path, "two"), "--json", tmp_path / "no" / "x.json").stderr


def test_a_run_that_was_begun_again_is_noted(tmp_path: Path) -> None:
    make_run(tmp_path, "one", finish=False)
    assert "note: one: the run has been begun again" in call(tmp_path, "one").stderr
