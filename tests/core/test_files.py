"""Reading files: every fault is one sentence with file and line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from nesycd.core.errors import DataError
from nesycd.core.files import did_you_mean, question_key, read_json, read_jsonl


def test_lines_come_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}\n')
    assert list(read_jsonl(path)) == [(f"{path}:1", {"a": 1}), (f"{path}:3", {"a": 2})]


def test_gzip_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": "\xc3\xa9"}\n'))
    assert [row for _, row in read_jsonl(path)] == [{"a": "é"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a": \n', "rows.jsonl:2: not valid JSON"),
        (b"[1]\n", "rows.jsonl:1: a JSON object is needed, but this is a list"),
        (b'{"a": 1}\n{"a": "\xff"}\n', "not valid UTF-8"),
        (b'{"a": 1}\n{"a": ["\\ud83d"]}\n', r"rows.jsonl:2: cannot be read: \\ud83d is half a character"),
        (b'{"a": ' + b"9" * 5000 + b"}\n", "rows.jsonl:1: cannot be read: Exceeds the limit"),
        (b"[" * 100_000, "rows.jsonl:1: cannot be read: maximum recursion depth"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_jsonl(path))


@pytest.mark.parametrize("cut", [12, 30])
def test_damaged_gzip_is_named(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({"a": list(range(500))}).encode())[:cut])
    with pytest.raises(DataError, match="ends too early"):
        list(read_jsonl(path))
    whole = gzip.compress(json.dumps({"a": list(range(500))}).encode())
    path.write_bytes(whole[:30] + b"\xff" * 30 + whole[60:])
    with pytest.raises(DataError, match=r"rows\.jsonl\.gz: the gzip file is damaged"):
        list(read_jsonl(path))
    path.write_bytes(b"no gzip at all")
    with pytest.raises(DataError, match="cannot be read"):
        list(read_jsonl(path))


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        list(read_jsonl(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_jsonl(tmp_path))
    with pytest.raises(DataError, match="cannot be read"):
        read_json(tmp_path / "none.json")


def test_bad_json_file_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{\n"a": oops}')
    with pytest.raises(DataError, match=r"x\.json:2: not valid JSON"):
        read_json(path)
    path.write_text('["\\ud83d"]')
    with pytest.raises(DataError, match=r"x\.json: cannot be read: \\ud83d is half a character"):
        read_json(path)
    path.write_text('["\\ud83d\\ude00"]')
    assert read_json(path) == ["\U0001f600"]


def test_the_nearest_key_is_proposed() -> None:
    assert did_you_mean("qestion", ["question", "answer"]) == " (did you mean 'question'?)"
    assert did_you_mean("zzz", ["question", "answer"]) == " (known: answer, question)"


def test_equal_questions_have_equal_keys_whatever_their_blanks() -> None:
    assert question_key("t", "a  b\n", ["x "]) == question_key("t", "a b", ["x"])
    assert question_key("t", "a b", ["x", "y"]) != question_key("t", "a b", ["y", "x"])
    assert question_key("t", "a b") != question_key("u", "a b")


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n', encoding="utf-8-sig")
    assert [row for _, row in read_jsonl(path)] == [{"a": 1}]
