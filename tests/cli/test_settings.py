"""The reference of all recipe keys: complete, as in docs/settings.md, and quick to print."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.cli.settings import Group, chosen
from nesycd.core.config import known_keys
from nesycd.tasks.registry import settings_class, task_names

ROOT = Path(__file__).parents[2]
ALL = chosen("")


def said(*words: str, ok: bool = True) -> str:
    result = CliRunner().invoke(app, ["settings", *words])
    assert (result.exit_code == 0) == ok, result.output + str(result.exception)
    return result.output


def test_every_key_of_a_recipe_is_there_once() -> None:
    own = {f"task.settings.{key}" for name in task_names() for key in settings_class(name).model_fields}
    names = [key.name for group in ALL if group.name not in task_names() for key in group.keys]
    assert sorted(names) == sorted(known_keys()) and not own & set(names)
    assert {group.name for group in ALL} >= {"", "augmented.weights", *task_names()}


@pytest.mark.parametrize("group", ALL, ids=lambda group: group.title)
def test_every_key_is_explained(group: Group) -> None:
    assert group.about or not group.name
    for key in group.keys:
        assert key.about.endswith((".", ")")) and len(key.about) > 10, f"{key.name} needs a docstring"
        assert "Annotated" not in key.type and "typing" not in key.type


def test_the_document_is_what_the_command_prints() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert text == said("--markdown"), "make it anew by: nesycd settings --markdown > docs/settings.md"


def test_types_and_defaults_are_written_as_a_recipe_would() -> None:
    found = {key.name: (key.type, key.default) for group in ALL if group.name not in task_names() for key in group.keys}
    assert found["task.name"] == ("text", "required")
    assert found["training.learning_rate"] == ("number, above 0, below 1", "`0.001`")
    assert found["collection.mode"] == ('`"out_of_fold"` or `"in_sample"`', '`"out_of_fold"`')
    assert found["collection.epochs"] == ("number, above 0, at most 10000", "not given")
    assert found["teacher.paths"] == ("list of paths", "`[]`")
    assert found["task.sizes"] == ("table of whole numbers, at least 1", "`{}`")
    assert found["compare.seeds"] == ("list of whole numbers, at least 0, at most 4294967295", "`[]`")
    assert found["student.stop_repetition"] == ("`true` or `false`", "`false`")
    assert found["calls.sums"] == ("`true` or `false`", "`true`")
    assert found["calls.rationales"] == ('`"auto"` or `"text"`', '`"auto"`')


def test_a_section_a_key_or_a_benchmark_can_be_asked_for() -> None:
    teacher = said("teacher")
    assert "teacher.paths" in teacher and "teacher.ask.samples" in teacher and "training.epochs" not in teacher
    one = said("training.epochs")
    assert "training.epochs  number, above 0, at most 10000; default 3.0" in one and "training.rank" not in one
    assert "task.settings.sets" in said("arc") and "task.settings.parts[].use" in said("mixture")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("trainig", "no section, key or benchmark 'trainig' (did you mean 'training'?)"),
        ("knowledge.reviw", "(did you mean 'knowledge.review'?)"),
        ("xyzzy", "(sections and benchmarks: task, teacher, teacher.ask, "),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(word: str, told: str) -> None:
    assert told in said(word, ok=False)


def test_it_imports_nothing_heavy() -> None:
    program = (
        "import sys; from nesycd.cli.settings import chosen; chosen('');"
        "print(sorted({'torch', 'numpy', 'networkx', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
