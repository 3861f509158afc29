"""`nesycd tasks` and `nesycd tasks show`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nesycd.cli.main import app
from nesycd.tasks.registry import task_names

QUESTIONS = "\n".join(
    f'{{"question": "How much is {number} + [1]?", "answer": "{number + 1}", "task": "sums"}}' for number in range(20)
)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text(QUESTIONS)
    return path


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["tasks", *words])


def test_every_benchmark_is_listed_with_what_it_is() -> None:
    shown = call().output
    assert set(task_names()) <= {line.partition(" ")[0] for line in shown.splitlines()}
    assert "A user's own questions" in shown


def test_questions_are_shown_as_they_are(questions: Path) -> None:
    shown = call("show", "jsonl", "--set", f"path={questions}", "--split", "train", "-n", "2")
    assert shown.exit_code == 0
    # Square brackets are text here, not markup of the terminal.
    assert shown.output.count("+ [1]?") == 2
    assert "2 of 14 in split train" in shown.output


def test_the_benchmark_of_a_recipe_is_shown(tmp_path: Path, questions: Path) -> None:
    (tmp_path / "recipe.toml").write_text(f'name = "x"\n[task]\nname = "jsonl"\nsettings = {{path = "{questions}"}}\n')
    assert "in split test" in call("show", str(tmp_path / "recipe.toml")).output


def test_longtail_shows_what_its_answers_rest_on() -> None:
    shown = call("show", "longtail", "-n", "1").output
    assert "working:" in shown
    assert "fact:" in shown


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["show", "longtai"], "error: no benchmark 'longtai' (did you mean 'longtail'?)"),
        (["show", "longtail", "--set", "tests=3"], "unknown key 'tests'"),
        (["show", "jsonl", "--set", "path=none.jsonl"], "none.jsonl: no such file"),
        (["show", "none.toml"], "error: none.toml: cannot be read"),
    ],
)
def test_mistakes_are_told(words: list[str], problem: str) -> None:
    shown = call(*words)
    assert shown.exit_code == 2
    assert problem in shown.stderr


def test_an_unknown_task_or_split_is_told(questions: Path) -> None:
    given = ("show", "jsonl", "--set", f"path={questions}")
    shown = call(*given, "--task", "products")
    assert (shown.exit_code, "no task 'products' (it has:" in shown.stderr) == (2, True)
    assert "no split 'tests'" in call(*given, "--split", "tests").stderr
