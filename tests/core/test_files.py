"""Reading files: every fault is one sentence with file and line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from nesycd.core.errors import ConfigError, DataError
from nesycd.core.files import did_you_mean, question_key, read_json, read_jsonl, read_text, text_lines


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


MARKED = [("utf-8-sig", "a UTF-8 mark"), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16, no mark"), ("utf-32", "UTF-32")]


@pytest.mark.parametrize(("encoding", "what"), MARKED)
def test_what_the_first_bytes_show_is_read(tmp_path: Path, encoding: str, what: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes('{"a": "café"}\r\n\r\n{"a": "–"}\r\n'.encode(encoding))
    assert list(read_jsonl(path)) == [(f"{path}:1", {"a": "café"}), (f"{path}:3", {"a": "–"})], what
    path.write_bytes('{"a":\r\n"café"}'.encode(encoding))
    assert read_json(path) == {"a": "café"}
    assert read_text(path) == '{"a":\n"café"}'


def test_marks_in_the_middle_of_files_that_were_put_together_are_taken_off(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes('{"a": 1}\n'.encode("utf-8-sig") * 2)
    assert [row for _, row in read_jsonl(path)] == [{"a": 1}] * 2


def test_other_encodings_are_told_with_line_and_how_they_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "a caf\xe9 there"}\n')
    told = f"{path}:2: not valid UTF-8 text: byte 0xe9 (in Windows-1252 it is "
    for read in (lambda: list(read_jsonl(path)), lambda: read_text(path)):
        with pytest.raises(DataError) as caught:
            read()
        assert str(caught.value).startswith(told) and "café" in str(caught.value)
    assert [line for _, line in text_lines(path, "cp1252")] == ['{"a": 1}\n', '{"a": "a café there"}\n']
    path.write_bytes('{"a": 1}'.encode("utf-16")[:-1])
    with pytest.raises(DataError, match=r"x\.jsonl:1: not valid UTF-16 text"):
        list(read_jsonl(path))
    with pytest.raises(ConfigError, match="not valid UTF-16 text"):
        read_text(path, ConfigError)


def test_zero_bytes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes("– no mark".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"x\.jsonl:1: has a zero byte"):
        read_text(path)
    path.write_bytes(b'{"a": 1}\n\0\n')
    with pytest.raises(DataError, match=r"x\.jsonl:2: has a zero byte"):
        list(read_jsonl(path))
