"""Damaged run folders: commands that read one tell what is wrong in one line, or do without it; a rerun mends or tells."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nesycd.cli.main import app

RECIPE = """
name = "r"
student.model = "table"
task = { name = "longtail", limit = 12 }
evaluation = { methods = ["std_cot", "nesycd", "nesycd_routed"], splits = ["test"], bootstrap = 50 }
"""
DEEP = "[" * 5_000 + "]" * 5_000
ANSWERS = "stages/eval-test-nesycd"

FILES = (
    "config.json",
    "manifest.json",
    "results.json",
    "predictions.jsonl",
    "kb.sqlite",
    "stages/examples-train.jsonl",
    "stages/rationales.jsonl",
    "stages/diagnoses.jsonl",
    "stages/general.json",
    "stages/augmented.json",
    "stages/knowledge.json",
    f"{ANSWERS}.json",
    f"{ANSWERS}.jsonl",
    f"{ANSWERS}.plan.json",
    f"{ANSWERS}.verdicts.jsonl",
    "checkpoints/augmented/adapter.json",
)


def _delete(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _content(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text, encoding="latin-1") and None


WHOLE: dict[str, Callable[[Path], None]] = {
    "deleted": _delete,
    "emptied": _content(""),
    "truncated": _truncate,
    "zeros": _content("\0" * 300),
    "a list": _content("[1, 2]\n"),
    "a table": _content('{"a": 1}\n'),
    "null": _content("null\n"),
    "deep": _content(f"{DEEP}\n"),
    "no UTF-8": _content('{"schema": "caf\xe9"}\n'),
    "a folder": _folder,
}
"""Ways in which a whole file may be damaged."""

ODD: list[tuple[str, tuple[str, ...], Any]] = [
    *(
        ("manifest.json", (key,), value)
        for key, value in {"hashes": [], "finished": "now", "seeds": 1, "created": {}}.items()
    ),
    ("manifest.json", ("hashes", "student"), 3),
    *(
        ("config.json", (key,), value)
        for key, value in {"seed": "one", "task": [], "name": "../up", "router": None}.items()
    ),
    *(
        ("results.json", (key,), value)
        for key, value in {"methods": [], "router": {}, "tasks": 1, "schema": "results/1"}.items()
    ),
    *((f"{ANSWERS}.json", (key,), value) for key, value in {"done": "yes", "created": None, "seconds": "long"}.items()),
    *(("stages/augmented.json", (key,), value) for key, value in {"files": [], "metadata": [], "output": 1}.items()),
    ("stages/augmented.json", ("metadata",), {}),
    ("stages/augmented.json", ("metadata", "knowledge"), "old"),
    ("stages/augmented.json", ("files",), {"adapter.json": 1}),
    ("stages/general.json", ("metadata", "completion_tokens"), "many"),
    ("stages/knowledge.json", ("metadata",), {}),
    ("stages/leaks.json", ("metadata", "value"), "none"),
    (f"{ANSWERS}.plan.json", (), [["a"], ["a"]]),
    (f"{ANSWERS}.plan.json", (), [[1]]),
    (f"{ANSWERS}.plan.json", (), {"a": 1}),
]
"""Single values of another type: file, keys, value."""


def _set(keys: tuple[str, ...], value: Any) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        if not keys:
            path.write_text(json.dumps(value))
            return
        content = json.loads(path.read_text())
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        path.write_text(json.dumps(content))

    return damage


OFTEN = ("truncated", "deep")
"""Whole damages that the readers meet in the fast tier; a rerun meets all in the slow one."""
CASES = [
    pytest.param(name, damage, id=f"{name} {how}", marks=() if how in OFTEN else pytest.mark.slow)
    for name in FILES
    for how, damage in WHOLE.items()
]
CASES += [pytest.param(name, _set(keys, to), id=f"{name} {'.'.join(keys)}={to!r}"[:80]) for name, keys, to in ODD]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root with a finished run `r` and its recipe."""
    root = tmp_path_factory.mktemp("runs")
    (root / "recipe.toml").write_text(RECIPE)
    done = call("run", root / "recipe.toml", "--root", root)
    assert done.exit_code == 0, done.output
    return root


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    shutil.copytree(finished, tmp_path / "runs")
    return tmp_path / "runs"


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def check(result: Result, root: Path) -> None:
    """No traceback; where the command fails, one line that names a file or folder of the run."""
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in (0, 2), result.output
    if result.exit_code:
        *_, last = result.stderr.rstrip("\n").split("\n")
        assert last.startswith("error: ") and str(root / "r") in last, result.stderr


def readers(root: Path) -> list[tuple[str | Path, ...]]:
    return [
        ("results", "r", "--root", root),
        ("runs", "--root", root),
        ("ask", "How many feet is a fathom?", "--run", "r", "--root", root),
        ("kb", "refused", "--run", "r", "--root", root),
        ("grade", "--run", "r", "--root", root, "--out", root / "graded.jsonl"),
    ]


@pytest.mark.parametrize(("name", "damage"), CASES)
def test_readers_tell_what_is_damaged(name: str, damage: Callable[[Path], None], root: Path) -> None:
    damage(root / "r" / name)
    for words in readers(root):
        check(call(*words), root)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "damage"), CASES)
def test_a_rerun_mends_what_is_damaged_or_tells(name: str, damage: Callable[[Path], None], root: Path) -> None:
    damage(root / "r" / name)
    again = call("run", root / "recipe.toml", "--root", root)
    check(again, root)
    if again.exit_code == 0:
        assert call("results", "r", "--root", root).exit_code == 0


@pytest.mark.parametrize("name", ["stages", "checkpoints", "lock"])
def test_a_file_in_place_of_a_folder_and_the_reverse(name: str, root: Path) -> None:
    place = root / "r" / name
    if place.is_dir():
        shutil.rmtree(place)
        place.write_text("")
    else:
        place.unlink()
        place.mkdir()
    for words in readers(root):
        check(call(*words), root)
    check(call("run", root / "recipe.toml", "--root", root), root)
