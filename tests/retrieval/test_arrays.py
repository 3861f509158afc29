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


def test_arrays_are_mapped_rather_than_copied_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "index"
    save_arrays(path, "k", {**ARRAYS, "table": np.eye(3, dtype=np.float32)})
    mapped, copied = load_arrays(path, "k", mapped=True), load_arrays(path, "k")
    assert mapped is not None and copied is not None and mapped.keys() == copied.keys()
    for name, array in copied.items():
        assert np.array_equal(mapped[name], array) and mapped[name].dtype == array.dtype
    assert isinstance(mapped["table"].base, np.memmap) and not isinstance(copied["table"].base, np.memmap)
    assert unpack(mapped["words"]) == ["añb", "c"] and unpack(mapped["none"]) == []
    with pytest.raises(ValueError, match="read-only"):
        mapped["table"][0] = 1
    assert load_arrays(path, "other", mapped=True) is None


@pytest.mark.parametrize("mapped", [False, True])
def test_a_torn_or_damaged_file_counts_as_missing(tmp_path: Path, mapped: bool) -> None:
    path = tmp_path / "index"
    save_arrays(path, "k", ARRAYS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        assert load_arrays(path, "k", mapped=mapped) is None
    for place in range(0, len(whole), 41):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert load_arrays(path, "k", mapped=mapped) is None
    path.write_bytes(whole + b"x")
    assert load_arrays(path, "k", mapped=mapped) is None
    path.write_bytes(whole)
    assert load_arrays(path, "k", mapped=mapped) is not None


def test_a_full_disk_is_told_and_leaves_the_old_file(
    tmp_path: Path, file_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "index"
    save_arrays(path, "k", ARRAYS)
    with file_limit(1000), pytest.raises(RunError, match="disk is full"):
        save_arrays(path, "k", {"numbers": np.arange(1000)})
    assert load_arrays(path, "k") is not None
    assert [one.name for one in tmp_path.iterdir()] == ["index"]
