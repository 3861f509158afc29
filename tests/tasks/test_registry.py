"""Benchmarks by name, and cutting them for smoke runs."""

from __future__ import annotations

import json
from collections import Counter
from inspect import getattr_static
from pathlib import Path

import pytest

from nesycd.core.errors import ConfigError
from nesycd.core.protocols import KnowsTruth, Task
from nesycd.tasks.registry import build_task, limited, task_names


@pytest.fixture
def own(tmp_path: Path) -> Task:
    path = tmp_path / "own.jsonl"
    tasks = ["big"] * 60 + ["small"] * 20
    rows = [{"question": f"{n}?", "answer": str(n), "task": task} for n, task in enumerate(tasks)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return build_task("jsonl", {"path": path, "ratios": [0.8, 0.1, 0.1]})


def test_names_are_known() -> None:
    assert {"longtail", "jsonl", "gsm8k", "bbh"} <= set(task_names())


def test_wrong_names_keys_and_values_are_config_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no benchmark 'jsnl'.*did you mean 'jsonl'"):
        build_task("jsnl")
    with pytest.raises(ConfigError, match=r"task jsonl: unknown key 'ratio'.*did you mean 'ratios'"):
        build_task("jsonl", {"path": tmp_path, "ratio": 1})
    with pytest.raises(ConfigError, match="task gsm8k: valid: "):
        build_task("gsm8k", {"path": tmp_path, "valid": "much"})
    with pytest.raises(ConfigError, match="task jsonl: give either path"):
        build_task("jsonl")


def test_a_limit_keeps_the_proportions_of_tasks_and_the_order(own: Task) -> None:
    cut = limited(own, 16)
    assert isinstance(cut, Task)
    assert cut.splits() == own.splits()
    examples = cut.load("train")
    assert len(examples) == 16
    shares = Counter(example.task for example in own.load("train"))
    wanted = 16 * shares["jsonl/big"] / len(own.load("train"))
    assert abs(Counter(example.task for example in examples)["jsonl/big"] - wanted) <= 1
    order = [example.uid for example in own.load("train")]
    assert [order.index(example.uid) for example in examples] == sorted(order.index(e.uid) for e in examples)
    assert examples == limited(own, 16).load("train")
    assert examples != limited(own, 16, seed=1).load("train")


def test_a_limit_above_the_size_changes_nothing(own: Task) -> None:
    assert limited(own, 1000).load("train") == own.load("train")


def test_what_else_a_task_has_can_still_be_asked(own: Task) -> None:
    cut = limited(own, 2)
    assert cut.warnings() == []  # type: ignore[attr-defined]
    assert not hasattr(cut, "facts_about")


def test_a_limited_benchmark_knows_the_truth_if_the_whole_one_does(own: Task) -> None:
    whole = build_task("longtail")
    cut = limited(whole, 16)
    assert isinstance(cut, KnowsTruth) and not isinstance(limited(own, 16), KnowsTruth)
    # What `isinstance` looks for from Python 3.12 on.
    assert all(getattr_static(cut, name) for name in ("train_frequency", "missing_facts", "derive", "counterfactual"))
    assert isinstance(whole, KnowsTruth)
    example = next(example for example in cut.load("test") if example.truth and example.truth.facts)
    assert example.truth is not None
    false = cut.counterfactual(example.truth.facts[0], 3)
    assert false == whole.counterfactual(example.truth.facts[0], 3)
    assert cut.derive(example) == example.truth
    assert cut.missing_facts("ood_unseen") == whole.missing_facts("ood_unseen")
    assert cut.train_frequency(example) == whole.train_frequency(example)


def test_a_limit_of_nothing_is_refused(own: Task) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        limited(own, 0)


def test_sizes_cut_single_splits_and_a_limit_still_holds(own: Task) -> None:
    cut = limited(own, None, sizes={"train": 12})
    assert len(cut.load("train")) == 12
    assert cut.load("test") == own.load("test")
    assert len(limited(own, 3, sizes={"train": 12}).load("train")) == 3


def test_a_size_of_an_unknown_split_is_refused(own: Task) -> None:
    with pytest.raises(ConfigError, match=r"task.sizes.dev: .* no such split \(known: train"):
        limited(own, None, sizes={"dev": 5})
