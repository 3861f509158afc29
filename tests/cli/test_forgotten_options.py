"""A run that was made with other settings is not redone, shortened or paid again before somebody agrees; review stops a run."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import nesycd
from nesycd.cli.main import app
from nesycd.cli.run import consent
from nesycd.core.errors import RunError
from nesycd.runs.consent import Guard, changed_settings

RECIPE = """
name = "r"
student.model = "table"
task = { name = "longtail", limit = 12 }
evaluation = { methods = ["std_cot", "nesycd"], splits = ["test", "ood_composed"], bootstrap = 50 }
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a run `r` that was made with --limit 8."""
    root = tmp_path_factory.mktemp("runs")
    (root / "recipe.toml").write_text(RECIPE)
    done = call("run", root / "recipe.toml", "--limit", "8", "--root", root)
    assert done.exit_code == 0, done.output
    return root


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the lock, which holds the last process's number."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "task.limit was 8, is 12): examples-train and up to"),
        (["--limit", "4"], "task.limit was 8, is 4): examples-train and up to"),
        (["--limit", "8", "--set", "training.epochs=1"], "training.epochs was 3.0, is 1.0): general and up to"),
        (["--limit", "8", "--set", 'evaluation.splits=["test"]'], "more finished stages would be removed"),
        (["--limit", "8", "--set", "seed=1"], "seed was 0, is 1): examples-train"),
    ],
)
def test_without_a_terminal_it_is_refused_and_nothing_changes(words: list[str], told: str, finished: Path) -> None:
    before = contents(finished / "r")
    for command in ("run", "evaluate"):
        refused = call(command, finished / "recipe.toml", "--root", finished, *words)
        assert refused.exit_code == 2 and refused.stderr.count("error: ") == 1, refused.output
        assert told in refused.stderr and "give --yes if that is wanted" in refused.stderr
    assert contents(finished / "r") == before


def test_what_adds_to_a_run_or_redoes_nothing_is_not_asked(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "runs")
    root = tmp_path / "runs"
    more = [
        "--limit",
        "8",
        "--set",
        'evaluation.methods=["zero_shot", "std_cot", "nesycd"]',
        "--set",
        "student.device=cpu",
    ]
    assert call("run", root / "recipe.toml", "--root", root, *more).exit_code == 0
    assert "zero_shot" in (root / "r" / "results.json").read_text()


def test_yes_and_redo_agree(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "runs")
    root, recipe = tmp_path / "runs", tmp_path / "runs" / "recipe.toml"
    with pytest.raises(RunError, match=r"task\.limit was 8, is 5.*pass redo=True"):
        nesycd.run(recipe, root=root, limit=5, progress=False)
    with nesycd.run(recipe, root=root, limit=5, progress=False, redo=True) as run:
        assert {row["n"] for row in run.results if row["kind"] == "all"} == {5}
    assert call("run", recipe, "--root", root, "--limit", "6", "--yes").exit_code == 0
    with nesycd.open_run("r", root) as run:
        assert {row["n"] for row in run.results if row["kind"] == "all"} == {6}


def test_on_a_terminal_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Terminal:
        def isatty(self) -> bool:
            return True

    def confirm(text: str) -> bool:
        asked.append(text)
        return len(asked) == 1

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(typer, "confirm", confirm)
    consent(False)("all would be redone")
    assert asked == ["all would be redone. Go on?"]
    with pytest.raises(RunError, match="nothing was done"):
        consent(False)("all would be redone")
    consent(True)("all would be redone")
    assert len(asked) == 2


def test_steps_of_a_run_with_other_settings_are_asked_about_too(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    assert call("rationalise", tmp_path / "recipe.toml", "--limit", "5", "--root", tmp_path).exit_code == 0
    refused = call("distil", tmp_path / "recipe.toml", "--root", tmp_path)
    assert refused.exit_code == 2 and "task.limit was 5, is 12): examples-train" in refused.stderr


def test_only_the_first_loss_is_asked_about_and_settings_are_named() -> None:
    told: list[str] = []
    before: dict[str, Any] = {"name": "a", "seed": 0, "task": {"limit": 40, "old": 1}, "teacher": {"x": None}}
    now: dict[str, Any] = {"name": "b", "seed": 0, "task": {"limit": None, "new": 2}, "teacher": {"x": [1]}}
    assert changed_settings(before, now) == {
        "task.limit": "task.limit was 40, is not given",
        "teacher.x": "teacher.x was not given, is [1]",
    }
    guard = Guard(Path("r"), before, now, told.append)
    guard.redo("one", {"two": {"seconds": 90.0}})
    guard.remove(["three"])
    assert told == [
        "r: made with other settings (task.limit was 40, is not given; teacher.x was not given, is [1]): one and up to 1 "
        "finished stages after it (90 s of work) would be redone"
    ]
    assert not Guard(Path("r"), None, now, told.append).watches, "a new run"
    assert not Guard(Path("r"), before, now, None).watches, "nobody is asked"


def test_human_review_stops_the_run_with_the_commands_that_go_on(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(f'{RECIPE}knowledge.review = "human"\n')
    words = ["run", str(tmp_path / "recipe.toml"), "--root", str(tmp_path)]
    stopped = call(*words)
    assert stopped.exit_code == 1 and "items wait for review, and none is approved" in stopped.output, stopped.output
    assert (
        not (tmp_path / "r" / "results.json").exists() and not (tmp_path / "r" / "stages" / "augmented.json").exists()
    )
    [then] = [line for line in stopped.output.splitlines() if line.startswith("Then: nesycd ")]
    assert shlex.split(then)[2:] == words
    listing = stopped.output.partition("list them by `nesycd ")[2].partition("`")[0]
    assert "proposed" in call(*shlex.split(listing)).output
    with pytest.raises(RunError, match="items wait for review"):
        nesycd.run(tmp_path / "recipe.toml", root=tmp_path, progress=False)
    assert call("kb", "approve", "all", "--kb", tmp_path / "r" / "kb.sqlite", "--by", "ann").exit_code == 0
    assert call(*shlex.split(then)[2:]).exit_code == 0
    assert (tmp_path / "r" / "results.json").exists()
