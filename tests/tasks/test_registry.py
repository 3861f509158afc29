"""Benchmarks by name, and cutting them for smoke runs."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from inspect import getattr_static
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.core.errors import ConfigError
from nesycd.core.protocols import KnowsTruth, Task
from nesycd.tasks import registry
from nesycd.tasks.registry import build_task, limited, task_names
from nesycd.tasks.rows import RowGrader


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


# --- a benchmark from outside -----------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder with the data of the document's benchmark, which is registered from another package."""
    document = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    module, registering = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").write_text("")
    (tmp_path / "my_package" / "sums.py").write_text(module)
    for split, count in (("train", 20), ("test", 5)):
        rows = [{"ask": f"What is {n} and {n} for {split}?", "result": str(2 * n)} for n in range(count)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_TASKS", dict(registry._TASKS))
    exec(registering, {})
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
        del sys.modules[name]


def test_a_registered_benchmark_is_one_like_all_others(outside: Path) -> None:
    task = build_task("sums", {"path": outside})
    assert isinstance(task, Task)
    assert {split: len(task.load(split)) for split in task.splits()} == {"train": 18, "valid": 2, "test": 5}
    part = {"name": "sums", "use": {"test": "ood_sums"}, "settings": {"path": str(outside)}}
    assert len(build_task("mixture", {"parts": [part]}).load("ood_sums")) == 5
    assert RowGrader("sums").graded(0, {"question": "?", "answer": "4", "response": "The answer is 4."}, "row")[
        "correct"
    ]
    with pytest.raises(ConfigError, match=r"task sums: unknown key 'pth'.*did you mean 'path'"):
        build_task("sums", {"pth": outside})


def test_the_commands_know_a_registered_benchmark(outside: Path) -> None:
    def said(*words: str) -> str:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == 0, result.output + str(result.exception)
        return result.output

    assert "Sums, as their publisher lays them out" in said("tasks")
    assert "What is 3 and 3 for test?" in said("tasks", "show", "sums", "--set", f"path={outside}", "-n", "5")
    assert "`path` is the folder with `train.jsonl`" in said("settings", "sums")
    said_by = [{"id": f"sums-train-{n:05d}", "rationale": "Twice.", "answer": str(2 * n)} for n in range(20)]
    (outside / "said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said_by))
    recipe = outside / "sums.toml"
    recipe.write_text(
        f'name = "sums"\n[task]\nname = "sums"\nsettings.path = "{outside}"\n[student]\nmodel = "table"\n'
        f'[teacher]\nname = "replay"\npaths = ["{outside / "said.jsonl"}"]\n[evaluation]\nmethods = ["std_cot"]\n'
    )
    assert "std_cot" in said("run", str(recipe), "--root", str(outside / "runs"))


def test_a_name_is_registered_once_and_a_path_has_a_known_name(outside: Path) -> None:
    registry.register("sums", "my_package.sums", "SumsSettings", "Sums")
    with pytest.raises(ValueError, match=r"there is a benchmark 'gsm8k' already, Gsm8k of nesycd\.tasks\.gsm8k"):
        registry.register("gsm8k", "my_package.sums", "SumsSettings", "Sums")
    (outside / "my_package" / "other.py").write_text(
        "from pathlib import Path\nfrom pydantic import BaseModel\nclass S(BaseModel):\n    folder: Path | None = None\n"
    )
    registry.register("other", "my_package.other", "S", "T")
    with pytest.raises(TypeError, match=r"S\.folder is a path: call it one of path, prompts, test, train, valid"):
        build_task("other")
