"""Benchmarks by their name on the hub: a stand-in for `datasets` serves rows in the hub's shape."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from nesycd import grading
from nesycd.core.errors import DataError
from nesycd.tasks import hub
from nesycd.tasks.registry import build_task

SHA = "0123456789abcdef0123456789abcdef01234567"

ROWS: dict[tuple[str, str | None, str], list[dict[str, Any]]] = {
    ("openai/gsm8k", "main", "train"): [{"question": f"{n}?", "answer": f"x\n#### {n}"} for n in range(20)],
    ("openai/gsm8k", "main", "test"): [{"question": f"test {n}?", "answer": f"x\n#### {n}"} for n in range(3)],
    ("qintongli/GSM-Plus", None, "testmini"): [
        {"question": "1?", "answer": "1", "perturbation_type": "digit expansion", "seed_question": "s", "solution": "x"}
    ],
    ("lukaemon/bbh", "snarks", "test"): [
        {"input": f"Which {n}?\nOptions:\n(A) red\n(B) blue", "target": "(B)"} for n in range(10)
    ],
    ("hails/agieval-lsat-ar", None, "test"): [
        {"query": "Q: A river runs. Which way? Answer Choices: (A)north (B)south\nA: Among A through B, the answer is",
         "choices": ["(A)north", "(B)south"], "gold": [1]}
    ],
    ("hails/agieval-math", None, "test"): [{"query": "Q: Half of one?\nA: The answer is", "answer": "\\frac{1}{2}"}],
    ("tasksource/bigbench", "colours", "train"): [
        {"inputs": "Q: Which colour?\n  choice: red\n  choice: blue\nA: ", "targets": ["red"], "idx": 0,
         "multiple_choice_targets": ["red", "blue"], "multiple_choice_scores": [1, 0]}
    ],
    ("tasksource/bigbench", "colours", "validation"): [
        {"inputs": "Capital?", "targets": ["Rome", "Roma"], "multiple_choice_targets": [], "multiple_choice_scores": []}
    ],
    ("meta-math/MetaMathQA", None, "train"): [
        {"query": f"{n}?", "response": f"So.\nThe answer is: {n}", "type": "x", "original_question": str(n)} for n in range(10)
    ],
}  # fmt: skip
for part, split in (("dev", "dev"), ("val", "validation"), ("test", "test")):
    ROWS["cais/mmlu", "all", split] = [
        {"question": f"{part} {n}?", "subject": "law", "choices": ["a", "b", "c", "d"], "answer": 2} for n in range(5)
    ]
for name in ("ARC-Easy", "ARC-Challenge"):
    for split in ("train", "validation", "test"):
        ROWS["allenai/ai2_arc", name, split] = [
            {"id": f"{name}-{split}", "question": f"{split}?", "choices": {"text": ["ice", "fire"], "label": ["1", "2"]},
             "answerKey": "2"}
        ]  # fmt: skip


class Rows(list[dict[str, Any]]):
    info = types.SimpleNamespace(download_checksums={f"hf://datasets/x/y@{SHA}/data/a.parquet": None})


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The revisions that were asked for."""
    revisions: list[str | None] = []

    def load_dataset(path: str, name: str | None, *, split: str, revision: str | None) -> Rows:
        revisions.append(revision)
        if (path, name, split) not in ROWS:
            raise ValueError(f"Unknown part {name} or split {split}\nmany lines more")
        return Rows(ROWS[path, name, split])

    module = types.ModuleType("datasets")
    monkeypatch.setattr(module, "load_dataset", load_dataset, raising=False)
    monkeypatch.setitem(sys.modules, "datasets", module)
    monkeypatch.setattr(hub, "_newest", lambda name, revision: SHA)
    return revisions


@pytest.mark.parametrize(
    ("name", "settings", "sizes"),
    [
        ("gsm8k", {"hub": "openai/gsm8k"}, {"train": 18, "valid": 2, "test": 3}),
        ("gsm_plus", {"hub": "qintongli/GSM-Plus"}, {"test": 1}),
        ("bbh", {"hub": "lukaemon/bbh", "tasks": ["snarks"]}, {"train": 7, "valid": 1, "test": 2}),
        ("agieval", {"hub": "hails/agieval", "tasks": ["lsat-ar", "math"]}, {"test": 2}),
        ("bigbench", {"hub": "tasksource/bigbench", "tasks": ["colours"]}, {"test": 2}),
        ("arc", {"hub": "allenai/ai2_arc"}, {"train": 2, "valid": 2, "test": 2}),
        ("mmlu", {"hub": "cais/mmlu"}, {"train": 9, "valid": 1, "test": 5}),
        ("metamath", {"hub": "meta-math/MetaMathQA"}, {"train": 9, "valid": 1}),
    ],
)
def test_rows_of_the_hub_become_examples(name: str, settings: dict[str, Any], sizes: dict[str, int]) -> None:
    task = build_task(name, settings)
    assert {split: len(task.load(split)) for split in task.splits()} == sizes
    for split in task.splits():
        for example in task.load(split):
            assert task.grade(task.extract(grading.closing(example.answer), example), example)
    # The revision that was given is on record.
    assert SHA in task.fingerprint


def test_the_hubs_renderings_are_taken_apart() -> None:
    law, half = build_task("agieval", {"hub": "hails/agieval", "tasks": ["lsat-ar", "math"]}).load("test")
    assert (law.question, law.options, law.answer) == ("A river runs. Which way?", ("north", "south"), "(B)")
    assert (half.question, half.answer) == ("Half of one?", "\\frac{1}{2}")
    colour, capital = build_task("bigbench", {"hub": "tasksource/bigbench", "tasks": ["colours"]}).load("test")
    assert colour.question == "Which colour?" and sorted(colour.options) == ["blue", "red"]
    assert (capital.question, capital.answer) == ("Capital?", "Rome")


def test_a_commit_that_is_given_is_what_is_asked_for(asked: list[str | None]) -> None:
    other = "f" * 40
    task = build_task("gsm8k", {"hub": "openai/gsm8k", "revision": other})
    assert set(asked) == {other}
    assert task.fingerprint == f"openai/gsm8k@{other}"


def test_without_a_hub_to_ask_the_copy_tells_its_commit(
    monkeypatch: pytest.MonkeyPatch, asked: list[str | None]
) -> None:
    monkeypatch.setattr(hub, "_newest", lambda name, revision: "")
    task = build_task("gsm8k", {"hub": "openai/gsm8k", "revision": "main"})
    assert asked[0] == "main" and task.fingerprint == f"openai/gsm8k@{SHA}"


def test_a_copy_without_a_commit_counts_by_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_newest", lambda name, revision: "")
    monkeypatch.setattr(Rows, "info", None)
    before = build_task("gsm8k", {"hub": "openai/gsm8k"})
    assert before.fingerprint == build_task("gsm8k", {"hub": "openai/gsm8k"}).fingerprint
    edited = [{**row, "answer": "#### 7"} for row in ROWS["openai/gsm8k", "main", "test"]]
    monkeypatch.setitem(ROWS, ("openai/gsm8k", "main", "test"), edited)
    assert build_task("gsm8k", {"hub": "openai/gsm8k"}).fingerprint != before.fingerprint


def test_what_cannot_be_had_is_told_in_one_line() -> None:
    with pytest.raises(DataError, match=r"^o/x/main \[train\]: cannot be had from the hub: Unknown part main .*train$"):
        build_task("gsm8k", {"hub": "o/x"})
    with pytest.raises(DataError, match="name the tasks wanted"):
        build_task("bigbench", {"hub": "tasksource/bigbench"})


REAL = """
import sys
from nesycd.tasks import hub
from nesycd.tasks.registry import build_task

hub._newest = lambda name, revision: ""
task = build_task("gsm8k", {"hub": sys.argv[1]})
print({split: len(task.load(split)) for split in task.splits()})
"""


@pytest.mark.slow
def test_the_real_library_reads_a_local_dataset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a process of its own: here a stand-in bears the library's name, and a second import of it does not work."""
    monkeypatch.delitem(sys.modules, "datasets")
    if importlib.util.find_spec("datasets") is None:
        pytest.skip("the extra hub is not installed")
    from pyarrow import parquet, table

    (tmp_path / "gsm" / "main").mkdir(parents=True)
    lines = ["---", "configs:", "- config_name: main", "  data_files:"]
    for split, count in (("train", 20), ("test", 3)):
        columns = {
            "question": [f"{split} {n}?" for n in range(count)],
            "answer": [f"x\n#### {n}" for n in range(count)],
        }
        parquet.write_table(table(columns), tmp_path / "gsm" / "main" / f"{split}-00000.parquet")
        lines += [f"  - split: {split}", f"    path: main/{split}-*"]
    (tmp_path / "gsm" / "README.md").write_text("\n".join([*lines, "---", ""]))
    command = [sys.executable, "-c", REAL, str(tmp_path / "gsm")]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == str({"train": 18, "valid": 2, "test": 3})
