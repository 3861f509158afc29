"""Cached arrays come back whole or count as missing, whatever happened to the file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from nesycd.core.errors import RunError
from nesycd.retrieval.arrays import load_arrays, pack, save_arrays, unpack

ARRAYS = {"numbers": np.arange(50), "words": pack(["añb", "c"]), "none": pack([])}


def test_what_was_saved_is_loaded_under_its_key_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "index"
    save_arrays(path, "version 1", ARRAYS)
    loaded = load_arrays(path, "version 1")
    assert loaded is not None and loaded.keys() == ARRAYS.keys()
    assert loaded["numbers"].tolist() == list(range(50))
    assert unpack(loaded["words"]) == ["añb", "c"] and unpack(loaded["none"]) == []
    assert load_arrays(path, "version 2") is None
    assert load_arrays(tmp_path / "none", "version 1") is None
    save_arrays(path, "version 2", {})
    assert load_arrays(path, "version 1") is None and load_arrays(path, "version 2") == {}
    assert [one.name for one in path.parent.iterdir()] == ["index"]


def test_a_torn_or_damaged_file_counts_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "index"
    save_arrays(path, "k", ARRAYS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        assert load_arrays(path, "k") is None
    for place in range(0, len(whole), 41):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert load_arrays(path, "k") is None
    path.write_bytes(whole + b"x")
    assert load_arrays(path, "k") is None
    path.write_bytes(whole)
    assert load_arrays(path, "k") is not None


def test_a_full_disk_is_told_and_leaves_the_old_file(
    tmp_path: Path, file_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "index"
    save_arrays(path, "k", ARRAYS)
    with file_limit(1000), pytest.raises(RunError, match="disk is full"):
        save_arrays(path, "k", {"numbers": np.arange(1000)})
    assert load_arrays(path, "k") is not None
    assert [one.name for one in tmp_path.iterdir()] == ["index"]
