"""`nesycd tasks` and `nesycd tasks show`."""

from __future__ import annotations

import json
import re
import sys
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
    assert "rationale:" in shown
    assert "fact:" in shown


@pytest.fixture
def bbh(tmp_path: Path) -> Path:
    rows = [{"input": f"Which {n}?\nOptions:\n(A) red\n(B) blue", "target": "(B)"} for n in range(10)]
    for folder in ("bbh", "cot-prompts"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bbh" / "navigate.json").write_text(json.dumps({"examples": rows}))
    (tmp_path / "cot-prompts" / "navigate.txt").write_text(
        "CANARY\n-----\nFind the [way].\n\nQ: x\nA: So the answer is y.\n"
    )
    return tmp_path / "bbh"


def test_a_published_benchmark_says_where_it_comes_from(bbh: Path) -> None:
    shown = call("show", "bbh", "--set", f"path={bbh}", "-n", "1").output
    assert "source: suzgunmirac/BIG-Bench-Hard" in shown and "licence: MIT" in shown
    assert "here: train 7, valid 1, test 2" in shown
    assert "navigate has 10 questions, but 250 were published" in " ".join(shown.split())


def test_questions_are_shown_as_the_student_reads_them(bbh: Path, questions: Path) -> None:
    given = ("show", "bbh", "--set", f"path={bbh}", "-n", "1")
    assert re.search(r"Question: Which \d\?\n\(A\) red\n\(B\) blue\nanswer: \(B\)", call(*given).output)
    assert "Think step by step" in call(*given, "--as", "zero_shot").output
    few = call(*given, "--as", "few_shot").output
    assert "Find the [way]." in few and "A: Let's think step by step." in few and "CANARY" not in few
    shown = call("show", "jsonl", "--set", f"path={questions}", "--as", "few_shot")
    assert (shown.exit_code, "no few-shot prompts" in shown.stderr) == (2, True)


def test_mathematics_without_its_extra_is_told_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "math_verify", None)
    (tmp_path / "math.jsonl").write_text('{"question": "1/2?", "options": null, "answer": "0.5"}\n')
    shown = call("show", "agieval", "--set", f"path={tmp_path}", "--set", 'tasks=["math"]')
    assert shown.exit_code == 2
    assert "error: math_verify is not installed; get it by: pip install 'nesycd[math]'" in shown.stderr


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
