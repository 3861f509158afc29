"""`nesycd runs` and `nesycd clean`: what is listed, what is removed, and what is left alone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nesycd.cli.main import app
from nesycd.cli.runs import size_text, time_text
from nesycd.core.errors import RunError
from nesycd.runs.folders import find_run, list_runs, newest_run, remove_run, summarise
from nesycd.runs.run import Run


def make_run(root: Path, name: str, finish: bool = True) -> Path:
    with Run.open(root / name, {"seed": 1}) as run:
        run.artifact("student", {}, lambda folder: {"bytes": (folder / "adapter").write_bytes(b"0" * 5000)})
        if finish:
            run.finish()
    return root / name


def call(*words: str | Path, answer: str = "") -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=answer)


def test_runs_are_listed_with_their_status(tmp_path: Path) -> None:
    make_run(tmp_path, "one")
    make_run(tmp_path, "two", finish=False)
    make_run(tmp_path, "three")
    (tmp_path / "three/manifest.json").write_text("{")
    (tmp_path / "not-a-run").mkdir()
    with Run.open(make_run(tmp_path, "four"), {"seed": 1}):
        found = {run.name: run for run in list_runs(tmp_path)}
        shown = call("runs", "--root", tmp_path).output
    assert {name: run.status for name, run in found.items()} == {
        "one": "finished",
        "two": "unfinished",
        "three": "damaged",
        "four": "running",
    }
    assert found["one"].stages_done == 1
    assert 5000 == found["one"].checkpoints_size < found["one"].size
    assert "5.0 kB" in shown
    assert all(name in shown for name in found)


def test_a_comparisons_runs_are_listed_by_the_names_that_find_them(tmp_path: Path) -> None:
    make_run(tmp_path, "one")
    (tmp_path / "compare-x").mkdir()
    (tmp_path / "compare-x/asked.json").write_text("{}")
    seed = make_run(tmp_path, "compare-x/seed-0")
    make_run(tmp_path, "no-comparison/seed-1")
    shown = call("runs", "--root", tmp_path).output
    assert "compare-x/seed-0 " in shown and "no-comparison" not in shown
    assert find_run(tmp_path, "compare-x/seed-0") == seed
    assert [run.name for run in list_runs(tmp_path)] == ["one"]


def test_no_runs_is_said(tmp_path: Path) -> None:
    assert "no runs in" in call("runs", "--root", tmp_path / "none").output


def test_clean_asks_first(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "one")
    assert "kept" in call("clean", "one", "--root", tmp_path, answer="n\n").output
    assert folder.is_dir()
    assert "removed" in call("clean", "one", "--root", tmp_path, answer="y\n").output
    assert not folder.exists()


def test_clean_removes_several_by_name_or_folder(tmp_path: Path) -> None:
    folders = [make_run(tmp_path, "one"), make_run(tmp_path, "two")]
    assert call("clean", "one", folders[1], "--root", tmp_path, "--yes").exit_code == 0
    assert not any(folder.exists() for folder in folders)


def test_checkpoints_alone_can_be_removed_and_are_made_again(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "one")
    shown = call("clean", "one", "--checkpoints", "--root", tmp_path, "--yes")
    assert "5.0 kB freed" in shown.output
    assert not (folder / "checkpoints").exists()
    make_run(tmp_path, "one")
    assert (folder / "checkpoints/student/adapter").is_file()


@pytest.mark.parametrize("name", ["thesis", "nothing"])
def test_what_is_no_run_is_left_alone_and_so_are_runs_named_with_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "thesis").mkdir()
    folder = make_run(tmp_path, "one")
    shown = call("clean", "one", name, "--root", tmp_path, "--yes")
    assert shown.exit_code == 2
    assert ("not a run folder" if name == "thesis" else "(known: one)") in shown.stderr
    assert folder.is_dir()
    assert (tmp_path / "thesis").is_dir()


def test_a_run_in_use_or_behind_a_link_is_left_alone(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "one")
    with Run.open(folder, {"seed": 1}), pytest.raises(RunError, match="in use"):
        remove_run(folder)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(RunError, match="a link"):
        remove_run(tmp_path / "link")
    with pytest.raises(RunError, match="not a run folder"):
        summarise(tmp_path)
    assert find_run(tmp_path, "one") == folder


def test_a_run_changes_with_each_stage(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "one", finish=False)
    os.utime(folder / "manifest.json", (1000.0, 1000.0))
    os.utime(folder / "stages/student.json", (2000.0, 2000.0))
    assert summarise(folder).updated == 2000.0


def test_the_newest_run_with_a_file_is_found(tmp_path: Path) -> None:
    for age, name in enumerate(("newest", "middle", "oldest")):
        folder = make_run(tmp_path, name, finish=name != "middle")
        for path in (folder / "manifest.json", folder / "stages/student.json"):
            os.utime(path, (time.time() - age, time.time() - age))
        if name != "newest":
            (folder / "kb.sqlite").touch()
    assert newest_run(tmp_path, "manifest.json").name == "newest"
    assert newest_run(tmp_path, "kb.sqlite").name == "middle"
    assert newest_run(tmp_path, "kb.sqlite", finished=True).name == "oldest"
    with pytest.raises(RunError, match=r"no finished run in .* has a results\.json"):
        newest_run(tmp_path, "results.json", finished=True)


def test_sizes_and_times_are_for_people() -> None:
    assert [size_text(size) for size in (0, 999, 1000, 34_000_000, 5_600_000_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "34.0 MB",
        "5600.0 GB",
    ]
    assert [time_text(seconds) for seconds in (0.2, 59.4, 362, 3900)] == ["0 s", "59 s", "6 min 02 s", "1 h 05 min"]
