"""Files that are there whole or not at all, whoever writes them; full disks told in one sentence."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from types import FrameType

import pytest

from nesycd.core.errors import ModelError, RunError
from nesycd.core.files import read_json
from nesycd.core.records import Rule
from nesycd.core.storage import RecordLog, disk_errors, whole_file, write_atomic, write_json_atomic

RUST = "Error while serializing: I/O error: No space left on device (os error 28)"
"""How safetensors tells a full disk: an exception of its own, with the system's number in its text."""


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("old")
    with whole_file(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Exception(RUST)])
def test_what_fails_half_way_leaves_the_old_content_alone(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "state"
    path.write_text("old")
    with (
        pytest.raises(RunError, match=r"state: the disk is full \(No space left on device\); free"),
        whole_file(path) as part,
    ):
        part.write_text("ne")
        raise error
    assert path.read_text() == "old" and [*tmp_path.iterdir()] == [path]


def test_a_file_that_the_system_refuses_is_not_left_behind(tmp_path: Path, file_limit) -> None:
    write_atomic(tmp_path / "a", "old")
    with file_limit(1000), pytest.raises(RunError, match="a: the disk is full"):
        write_atomic(tmp_path / "a", "x" * 2000)
    assert (tmp_path / "a").read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("error", "only_full", "said"),
    [
        (Exception(RUST), True, "here: the disk is full"),
        (PermissionError(13, "Permission denied", "here/x"), False, "here/x: cannot be written: Permission denied"),
        (Exception("Permission denied (os error 13)"), False, "here: cannot be written: Permission denied"),
    ],
)
def test_errors_of_the_disk_are_one_sentence(error: Exception, only_full: bool, said: str) -> None:
    with pytest.raises(RunError, match=said), disk_errors(Path("here"), only_full):
        raise error


@pytest.mark.parametrize(
    ("error", "only_full"),
    [
        (PermissionError(13, "Permission denied"), True),
        (Exception("No such file (os error 2)"), True),
        (ValueError("ours"), False),
        (ModelError("cannot load x: disk trouble (os error 28)"), False),
    ],
)
def test_other_errors_pass(error: Exception, only_full: bool) -> None:
    with pytest.raises(type(error)) as caught, disk_errors(Path("here"), only_full):
        raise error
    assert caught.value is error


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json_atomic(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json_atomic(path, {"a": object()})
    assert read_json(path) == {"a": 1}


def test_a_missing_folder_is_told_with_the_files_own_name(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"x\.html: cannot be written: No such file"):
        write_atomic(tmp_path / "none" / "x.html", "<p>")


def test_json_is_written_for_people_or_on_one_line(tmp_path: Path) -> None:
    write_json_atomic(tmp_path / "x.json", {"a": "é"})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n  "a": "é"\n}\n'
    write_json_atomic(tmp_path / "x.json", {"a": [1, 2]}, indent=None)
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{"a": [1, 2]}\n'


def test_a_read_only_file_system_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(RunError, match=r"x\.json: cannot be written: Read-only file system"):
        write_atomic(tmp_path / "x.json", "{}")


def test_an_interruption_while_a_record_is_read_or_written_stays_one(tmp_path: Path) -> None:
    rule = Rule(text="A cubit is a length.")
    path = tmp_path / "rules.jsonl"
    path.write_text(json.dumps(rule.to_json()) + "\n")
    file = RecordLog(path, Rule)

    def interrupt(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == "_without_empty":
            sys.setprofile(None)
            raise KeyboardInterrupt

    for act in (file.read, lambda: file.append(rule)):
        sys.setprofile(interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                act()
        finally:
            sys.setprofile(None)
    assert file.read() == [rule]
