"""A user's own files as a benchmark: splits, names, options and every way to get a line wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nesycd.core.errors import DataError
from nesycd.core.protocols import Task
from nesycd.core.records import Example
from nesycd.tasks.jsonl import Jsonl, JsonlSettings


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def sums(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"question": f"{n} + {n}?", "answer": 2 * n} for n in range(start, start + count)]


def everything(task: Task) -> list[Example]:
    return [example for split in task.splits() for example in task.load(split)]


def one(tmp_path: Path, **row: Any) -> Example:
    """The example made from one row, read along with others."""
    path = write(tmp_path / "own.jsonl", [*sums(9), {"id": "it", "question": "Which?", "answer": "red", **row}])
    return next(example for example in everything(Jsonl(JsonlSettings(path=path))) if example.uid == "it")


def test_one_file_is_split_seeded_by_ratios(tmp_path: Path) -> None:
    path = write(tmp_path / "own.jsonl", sums(100))
    task = Jsonl(JsonlSettings(path=path))
    assert isinstance(task, Task)
    assert {split: len(task.load(split)) for split in task.splits()} == {"train": 70, "valid": 10, "test": 20}
    assert {e.uid for e in task.load("test")} == {e.uid for e in Jsonl(JsonlSettings(path=path)).load("test")}
    assert {e.uid for e in task.load("test")} != {e.uid for e in Jsonl(JsonlSettings(path=path, seed=1)).load("test")}
    assert {example.split for example in task.load("valid")} == {"valid"}
    assert task.grade("2.0", task.load("train")[0].model_copy(update={"answer": "2"}))
    assert task.warnings() == []


def test_three_questions_give_one_to_each_split(tmp_path: Path) -> None:
    task = Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", sums(3))))
    assert [len(task.load(split)) for split in task.splits()] == [1, 1, 1]


def test_too_few_questions_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", sums(2))))


def test_equal_texts_get_ordinals_and_stay_on_one_side(tmp_path: Path) -> None:
    rows = [row for n in range(20) for row in sums(1, n) * 3]
    task = Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", rows)))
    by_group: dict[str, list[Example]] = {}
    for example in everything(task):
        by_group.setdefault(example.group, []).append(example)
    assert len(by_group) == 20
    for members in by_group.values():
        stem = members[0].uid
        assert [member.uid for member in members] == [stem, f"{stem}-2", f"{stem}-3"]
        assert len({member.split for member in members}) == 1


def test_conflicting_golds_are_listed_not_refused(tmp_path: Path) -> None:
    rows = [*sums(20), {"id": "odd", "question": "3  + 3?", "answer": "7"}, {"question": "4 + 4?", "answer": "8.0"}]
    task = Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", rows)))
    [conflict] = task.conflicts
    assert set(conflict.answers) == {"6", "7"}
    assert "odd = '7'" in task.warnings()[0]


def test_a_file_for_each_split(tmp_path: Path) -> None:
    files: dict[str, Any] = {name: write(tmp_path / f"{name}.jsonl", sums(10, start)) for name, start in
             (("train", 0), ("valid", 10), ("test", 20))}  # fmt: skip
    task = Jsonl(JsonlSettings(**files, name="own"))
    assert [len(task.load(split)) for split in ("train", "valid", "test")] == [10, 10, 10]
    assert task.load("test")[0].question == "20 + 20?"
    assert task.load("test")[0].uid.startswith("own-")


def test_valid_is_cut_from_train_where_not_given(tmp_path: Path) -> None:
    train, test = write(tmp_path / "train.jsonl", sums(50)), write(tmp_path / "test.jsonl", sums(5, 100))
    task = Jsonl(JsonlSettings(train=train, test=test))
    assert [len(task.load(split)) for split in ("train", "valid", "test")] == [45, 5, 5]
    assert not {e.group for e in task.load("train")} & {e.group for e in task.load("valid")}


def test_texts_in_two_given_files_are_told(tmp_path: Path) -> None:
    train, test = write(tmp_path / "train.jsonl", sums(5)), write(tmp_path / "test.jsonl", sums(3, 4))
    valid = write(tmp_path / "valid.jsonl", sums(2, 50))
    assert (
        "1 question(s) stand in both train and test"
        in Jsonl(JsonlSettings(train=train, valid=valid, test=test)).warnings()[0]
    )


def test_all_keys_are_taken(tmp_path: Path) -> None:
    example = one(tmp_path, options=["blue", "red"], rationale="It is red.", task="colours")
    assert (example.answer, example.options) == ("(B)", ("blue", "red"))
    assert (example.task, example.rationale) == ("jsonl/colours", "It is red.")


def test_letters_in_options_are_taken_off(tmp_path: Path) -> None:
    example = one(tmp_path, options=["(A) blue", "(B) red"], answer="B")
    assert (example.options, example.answer) == (("blue", "red"), "(B)")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"qestion": "?"}, r"own\.jsonl:10: unknown key 'qestion' \(did you mean 'question'\?\)"),
        ({"question": " "}, r"own\.jsonl:10: question must be a text that is not empty"),
        ({"answer": None}, r"own\.jsonl:10: answer must be a text"),
        ({"answer": ["red"]}, r"own\.jsonl:10: answer must be a text"),
        ({"options": "red"}, r"own\.jsonl:10: options must be a list of texts"),
        ({"options": ["red"]}, r"own\.jsonl:10: 1 options, but 2 to 26"),
        ({"options": ["blue", "green"]}, r"own\.jsonl:10: answer 'red' names none or more than one of the 2 options"),
        ({"options": ["red", "red"]}, r"own\.jsonl:10: answer 'red' names none or more than one"),
        ({"id": 1.5}, r"own\.jsonl:10: id must be a text or a whole number"),
        ({"rationale": 3}, r"own\.jsonl:10: rationale must be a text"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        one(tmp_path, **row)


def test_missing_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"own\.jsonl:1: key 'answer' is missing"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", [{"question": "?"}])))
    with pytest.raises(DataError, match=r"own\.jsonl:1: key 'question' is missing"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", [{"answer": "?"}])))


def test_an_id_used_twice_names_both_lines(tmp_path: Path) -> None:
    rows = [{"id": 7, **sums(1)[0]}, *sums(3, 5), {"id": "7", **sums(1, 2)[0]}]
    with pytest.raises(DataError, match=r"own\.jsonl:5: id '7' was already used at .*own\.jsonl:1;"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", rows)))


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"own\.jsonl: no questions"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", [])))


def test_an_unknown_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no split 'tests'.*did you mean 'test'"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", sums(10)))).load("tests")


@pytest.mark.parametrize(
    "settings",
    [{}, {"path": "a", "train": "b"}, {"train": "a"}, {"test": "a"}, {"path": "a", "ratios": (1, 0, 1)}],
)
def test_settings_must_name_one_way(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JsonlSettings(**settings)
