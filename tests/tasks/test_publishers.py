"""GSM8K and BBH as their publishers lay them out: made-up files in their shape, and the real ones where they are."""

from __future__ import annotations

import json
import os
from collections import Counter
from math import ceil
from pathlib import Path

import pytest

from nesycd import grading
from nesycd.core.errors import DataError
from nesycd.core.records import Example
from nesycd.tasks.bbh import Bbh, BbhSettings
from nesycd.tasks.gsm8k import Gsm8k, Gsm8kSettings

real = pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")


def data() -> Path:
    return Path(os.environ["NESYCD_DATA"])


@pytest.fixture
def gsm8k(tmp_path: Path) -> Path:
    for name, count in (("train", 20), ("test", 5)):
        rows = [{"question": f" {name} {n}? ", "answer": f"It is 2*{n}=<<2*{n}={2 * n}>>{2 * n}.\n#### 1,{n:03d}"}
                for n in range(count)]  # fmt: skip
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def write_bbh(folder: Path, name: str, rows: list[tuple[str, str]]) -> None:
    examples = [{"input": text, "target": target} for text, target in rows]
    (folder / f"{name}.json").write_text(json.dumps({"canary": "x", "examples": examples}))


def by_uid(task: Gsm8k | Bbh) -> dict[str, Example]:
    return {example.uid: example for split in task.splits() for example in task.load(split)}


def test_gsm8k_lines_become_examples(gsm8k: Path) -> None:
    task = Gsm8k(Gsm8kSettings(path=gsm8k))
    assert [len(task.load(split)) for split in ("train", "valid", "test")] == [18, 2, 5]
    example = by_uid(task)["gsm8k-train-00007"]
    assert (example.question, example.answer, example.rationale) == ("train 7?", "1007", "It is 2*7=14.")
    assert by_uid(task)["gsm8k-test-00004"].split == "test"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "?", "answer": "4"}', r"train\.jsonl:21: the answer does not end in '#### number'"),
        ('{"question": "?"}', r"train\.jsonl:21: key 'answer' is missing"),
        ('{"question": " ", "answer": "#### 4"}', r"train\.jsonl:21: key 'question' is missing or not a text"),
    ],
)
def test_gsm8k_bad_lines_are_named(gsm8k: Path, line: str, message: str) -> None:
    with (gsm8k / "train.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=message):
        Gsm8k(Gsm8kSettings(path=gsm8k))


def test_gsm8k_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.jsonl: no such file"):
        Gsm8k(Gsm8kSettings(path=tmp_path))


def test_bbh_texts_become_examples(tmp_path: Path) -> None:
    lettered = [(f"Which {n}?\nOptions:\n(A) red\n(B) blue", "(B)") for n in range(10)]
    words = [(f"Is it {n}?\nOptions:\n- Yes\n- No", "No") for n in range(11)]
    broken = [("Which?\nOptions:\n(A) one\n(B) two", "one, two"), *((f"{n}", f"{n}") for n in range(9))]
    for name, rows in (("colours", lettered), ("yesno", words), ("odd", broken)):
        write_bbh(tmp_path, name, rows)
    task = Bbh(BbhSettings(path=tmp_path))
    examples = by_uid(task)
    assert Counter(e.task for e in task.load("test")) == {"bbh/colours": 2, "bbh/yesno": 3, "bbh/odd": 2}
    assert Counter(e.task for e in task.load("valid")) == {"bbh/colours": 1, "bbh/yesno": 1, "bbh/odd": 1}
    colour = examples["bbh-colours-003"]
    assert (colour.question, colour.options, colour.answer) == ("Which 3?", ("red", "blue"), "(B)")
    assert (examples["bbh-yesno-010"].options, examples["bbh-yesno-010"].answer) == ((), "No")
    assert "- Yes" in examples["bbh-yesno-010"].question
    assert (examples["bbh-odd-000"].options, examples["bbh-odd-000"].answer) == ((), "one, two")


def test_bbh_repeats_stay_on_one_side_and_conflicts_are_listed(tmp_path: Path) -> None:
    write_bbh(tmp_path, "twins", [(f"Q{n // 2}?", "yes") for n in range(19)] + [("Q9?", "no")])
    for seed in range(10):
        task = Bbh(BbhSettings(path=tmp_path, seed=seed))
        groups = [{example.group for example in task.load(split)} for split in task.splits()]
        assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
        assert len(task.load("test")) == 4
        assert [set(conflict.uids) for conflict in task.conflicts] == [{"bbh-twins-018", "bbh-twins-019"}]


def test_bbh_splits_are_seeded_for_each_task_on_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_bbh(tmp_path, name, [(f"{name}{n}", "yes") for n in range(30)])
    both, alone = Bbh(BbhSettings(path=tmp_path)), Bbh(BbhSettings(path=tmp_path, tasks=("b",)))
    assert [e.uid for e in both.load("test") if e.task == "bbh/b"] == [e.uid for e in alone.load("test")]
    other = Bbh(BbhSettings(path=tmp_path, tasks=("b",), seed=1))
    assert [e.uid for e in other.load("test")] != [e.uid for e in alone.load("test")]


def test_bbh_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no BBH task files"):
        Bbh(BbhSettings(path=tmp_path))
    write_bbh(tmp_path, "navigate", [("x", "y")])
    with pytest.raises(DataError, match=r"no BBH task 'navigte'.*did you mean 'navigate'"):
        Bbh(BbhSettings(path=tmp_path, tasks=("navigte",)))
    (tmp_path / "navigate.json").write_text('{"examples": [{"input": "x"}]}')
    with pytest.raises(DataError, match=r"navigate\.json: example 0: 'input' and 'target' must be texts"):
        Bbh(BbhSettings(path=tmp_path))
    (tmp_path / "navigate.json").write_text("[]")
    with pytest.raises(DataError, match="not a BBH task file"):
        Bbh(BbhSettings(path=tmp_path))


@real
def test_real_gsm8k() -> None:
    task = Gsm8k(Gsm8kSettings(path=data() / "gsm8k"))
    assert len(task.load("train")) + len(task.load("valid")) == 7473
    assert len(task.load("test")) == 1319
    assert task.conflicts == []
    for example in by_uid(task).values():
        assert grading.quantity(example.answer) is not None
        assert "<<" not in (example.rationale or "")
        assert task.grade(task.extract(grading.closing(example.answer), example), example)


@real
def test_real_bbh() -> None:
    task = Bbh(BbhSettings(path=data() / "bbh" / "bbh"))
    examples = by_uid(task)
    assert len(examples) == 6511
    assert len(task.load("test")) == 1304
    sizes = Counter(example.task for example in examples.values())
    assert Counter(e.task for e in task.load("test")) == {name: ceil(size / 5) for name, size in sizes.items()}
    assert {conflict.uids for conflict in task.conflicts} == {
        ("bbh-causal_judgement-032", "bbh-causal_judgement-119"),
        ("bbh-causal_judgement-036", "bbh-causal_judgement-104"),
    }
    repeats = [group for group, count in Counter(e.group for e in examples.values()).items() if count > 1]
    assert len(repeats) == 4
    assert any("bbh-snarks-088" in note for note in task.warnings())
    for example in examples.values():
        assert task.grade(task.extract(grading.closing(example.answer), example), example)
        if example.options:
            assert grading.option_letter(example.answer, example.options) == example.answer
