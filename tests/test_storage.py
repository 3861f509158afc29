"""Writing a whole file: the old content or the new, and one sentence where it fails. Logs and locks: `test_run.py`."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nesycd.errors import RunError
from nesycd.files import read_json
from nesycd.storage import write_atomic, write_json_atomic


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json_atomic(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json_atomic(path, {"a": object()})
    assert read_json(path) == {"a": 1}


def test_a_full_disk_is_one_error_and_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    write_json_atomic(path, {"a": 1})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match=r"x\.json: the disk is full"):
        write_json_atomic(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_a_missing_folder_is_told_with_the_files_own_name(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"x\.html: cannot be written: No such file"):
        write_atomic(tmp_path / "none" / "x.html", "<p>")


def test_json_is_written_for_people_or_on_one_line(tmp_path: Path) -> None:
    write_json_atomic(tmp_path / "x.json", {"a": "é"})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n  "a": "é"\n}\n'
    write_json_atomic(tmp_path / "x.json", {"a": [1, 2]}, indent=None)
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{"a": [1, 2]}\n'
