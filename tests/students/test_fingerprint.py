"""A student in a folder counts by its files, wherever they lie."""

from __future__ import annotations

from pathlib import Path

from nesycd.students.fingerprint import student_fingerprint


def test_a_moved_folder_is_the_same_student_and_an_edited_one_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")

    def told(where: Path) -> str:
        return student_fingerprint(str(where), "auto", None)

    before = told(folder)
    moved = folder.rename(tmp_path / "there")
    assert told(moved) == before
    (moved / "config.json").write_text('{"layers": 3}')
    assert told(moved) != before


def test_names_on_the_hub_count_by_their_commit() -> None:
    one, same, other = (student_fingerprint("o/one", "auto", None, commit) for commit in ("c" * 40, "c" * 40, "d" * 40))
    assert one == same != other
    assert one != student_fingerprint("o/two", "auto", None, "c" * 40)
