"""Mixtures of benchmarks, and the recipe of the paper's."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.config import load_recipe
from nesycd.core.errors import ConfigError, DataError
from nesycd.core.paths import locate_settings
from nesycd.core.protocols import Task
from nesycd.tasks.registry import build_task, limited, task_names

RECIPE = Path(__file__).parents[2] / "recipes" / "paper-mixture.toml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, count in (("train", 20), ("test", 6)):
        rows = [{"question": f"{split} {n}?", "answer": f"Easy.\n#### {n}"} for n in range(count)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "bbh").mkdir()
    rows = [{"input": f"Sort: b{n} a{n}", "target": f"a{n} b{n}"} for n in range(10)]
    (tmp_path / "bbh" / "word_sorting.json").write_text(json.dumps({"examples": rows}))
    return tmp_path


def parts(folder: Path) -> list[dict[str, Any]]:
    return [
        {"name": "gsm8k", "use": {"train": "train", "test": "ood_gsm8k"}, "count": {"train": 5}, "settings": {"path": folder}},
        {"name": "bbh", "use": {"train": "train", "test": "test"}, "settings": {"path": folder / "bbh"}},
    ]  # fmt: skip


def test_each_part_gives_what_the_recipe_says(folder: Path) -> None:
    task = build_task("mixture", {"parts": parts(folder)})
    assert isinstance(task, Task)
    assert {split: len(task.load(split)) for split in task.splits()} == {"train": 5 + 7, "ood_gsm8k": 6, "test": 2}
    assert {example.task for example in task.load("train")} == {"gsm8k", "bbh/word_sorting"}
    assert all(example.split == split for split in task.splits() for example in task.load(split))
    assert any("canary" in note for note in task.warnings())  # type: ignore[attr-defined]


def test_each_question_is_graded_by_its_own_benchmark(folder: Path) -> None:
    task = build_task("mixture", {"parts": parts(folder)})
    number, words = task.load("ood_gsm8k")[3], task.load("test")[0]
    assert task.grade(task.extract("So the answer is $3.00.", number), number)
    first, second = words.answer.split()
    assert task.grade(task.extract(f"So the answer is {first}, {second}.", words), words)
    assert not task.grade(task.extract(f"So the answer is {second}, {first}.", words), words)
    with pytest.raises(DataError, match="gsm8k: this benchmark has no few-shot prompts"):
        task.few_shot(number)  # type: ignore[attr-defined]


def test_its_seed_is_the_parts_and_a_limit_holds(folder: Path) -> None:
    one, other = (build_task("mixture", {"parts": parts(folder), "seed": seed}) for seed in (0, 1))
    assert [e.uid for e in one.load("test")] != [e.uid for e in other.load("test")]
    assert len(limited(one, 4).load("train")) == 4


def test_faults_are_named(folder: Path) -> None:
    given = parts(folder)
    with pytest.raises(DataError, match=r"mixture: part 1 \(bbh\) has no split 'dev' \(known: train, valid, test\)"):
        build_task("mixture", {"parts": [given[0], given[1] | {"use": {"dev": "valid"}}]})
    with pytest.raises(DataError, match="two questions are called gsm8k-train-00000"):
        build_task("mixture", {"parts": [given[0], given[0]]})
    with pytest.raises(ConfigError, match=r"no benchmark 'gsm9k'.*did you mean 'gsm8k'"):
        build_task("mixture", {"parts": [given[0] | {"name": "gsm9k"}]})
    with pytest.raises(ConfigError, match=r"task mixture: parts"):
        build_task("mixture", {"parts": []})


@pytest.mark.parametrize(
    ("count", "problem"),
    [
        ({"test": 3}, r"count: no split here is called 'test' \(gsm8k fills train, ood_gsm8k\)"),
        ({"train": 0}, r"parts\.0\.count\.train: .*greater than or equal to 1"),
    ],
)
def test_a_count_that_would_count_nothing_is_told(count: dict[str, int], problem: str, folder: Path) -> None:
    first, *_ = parts(folder)
    with pytest.raises(ConfigError, match=problem):
        build_task("mixture", {"parts": [{**first, "count": count}]})


def test_paths_of_parts_are_found_in_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "data" / "train").mkdir(parents=True)
    (tmp_path / "data" / "mmlu").mkdir()
    given = {"parts": [{"name": "mmlu", "use": {"train": "train"}, "settings": {"path": "mmlu"}}]}
    [part] = locate_settings(given, tmp_path / "data")["parts"]
    assert part["settings"]["path"] == str(tmp_path / "data" / "mmlu")
    # Names of splits are no paths.
    assert part["use"] == {"train": "train"}


def test_the_papers_recipe_names_what_there_is() -> None:
    settings = load_recipe(RECIPE).task.settings
    assert {part["name"] for part in settings["parts"]} <= set(task_names())
    uses = [here for part in settings["parts"] for here in part["use"].values()]
    assert {"train", "valid", "test"} <= set(uses)
    assert {use for use in uses if use.startswith("ood_")} == {
        "ood_bigbench", "ood_agieval", "ood_gsm_plus", "ood_arc_easy", "ood_arc_challenge"
    }  # fmt: skip
    assert tomllib.loads(RECIPE.read_text())["teacher"]["api"]["max_usd"]
