"""Work that is dealt out: made by workers, merged by the writer, and equal to what is done in one process."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from nesycd.api.comparing import run_comparison
from nesycd.api.measuring import measure_effect
from nesycd.api.running import complete, opened
from nesycd.api.working import Worker
from nesycd.cli.main import app
from nesycd.core.config import Recipe, load_recipe
from nesycd.core.errors import RunError, ShardsWait
from nesycd.core.storage import FolderLock
from nesycd.runs.manifest import without_times
from nesycd.runs.shards import Made, Shards, dealt_in
from nesycd.students.table import TableStudent

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
SMALL = (
    "student.model=table",
    "evaluation.bootstrap=50",
    "task.limit=16",
    "collection.folds=2",
    "augmented.context=0.5",
    "augmented.calls_and_context=0.25",
    'evaluation.splits=["test"]',
)


def recipe(*more: str) -> Recipe:
    return load_recipe(LONGTAIL, [*SMALL, *more])


def go(folder: Path, *more: str) -> None:
    with opened(recipe(*more), folder) as context:
        complete(context)


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run left behind, but for times, places and the order in which predictions came."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".jsonl":
            lines = [without_times(json.loads(line)) for line in path.read_text().splitlines()]
            found[name] = sorted(lines, key=lambda one: str(one["id"])) if name == "predictions.jsonl" else lines
        elif path.suffix == ".json":
            content = without_times(json.loads(path.read_text()))
            if isinstance(content, dict):
                content.pop("files", None)  # an adapter of the table student holds the seconds of its training
            found[name] = content
        elif path.is_dir() and name.partition("/")[0] == "shards":
            found[name] = "left over"
    return found


def make_all(folder: Path, parts: int = 2) -> int:
    """What so many `nesycd stage --shard I/N` make, the last part first."""
    made = 0
    units = [(shards, number) for shards, task in dealt_in(folder) for number in range(len(task.batches))]
    for part in reversed(range(parts)):
        with Worker() as worker:
            made += sum(worker.make(shards.run, shards.stage, number) for shards, number in units[part::parts])
    return made


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "r"
    go(folder)
    return folder


@pytest.fixture(scope="module")
def dealt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """A run whose work was dealt out, and the stages that it waited for, round by round."""
    folder, rounds = tmp_path_factory.mktemp("runs") / "r", []
    while True:
        try:
            go(folder, "engine=shards")
            return folder, rounds
        except ShardsWait as waits:
            rounds.append([one.stage for one in waits.waiting])
            assert make_all(folder) == sum(len(one.missing) for one in waits.waiting)


def test_a_run_whose_work_is_dealt_out_ends_as_one_left_alone(alone: Path, dealt: tuple[Path, list[list[str]]]) -> None:
    assert outcome(dealt[0]) == outcome(alone)
    assert not (dealt[0] / "shards").exists()


def test_independent_trainings_are_dealt_out_together_and_their_answers_as_soon_as_they_are_there(
    dealt: tuple[Path, list[list[str]]],
) -> None:
    assert dealt[1][0] == ["general", "fold-0", "fold-1"]
    assert dealt[1][1] == ["collect-fold-0", "collect-fold-1"]
    stages = [stage for waited in dealt[1] for stage in waited]
    assert {"diagnoses", "augmented", "valid-augmented", "eval-test-nesycd"} <= {*stages}


def test_a_finished_run_deals_nothing_out(alone: Path) -> None:
    before = outcome(alone)
    go(alone, "engine=shards")
    assert outcome(alone) == before


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Path]:
    """A run that waits for its first three trainings."""
    with pytest.raises(ShardsWait):
        go(tmp_path / "r", "engine=shards")
    yield tmp_path / "r"


def test_what_is_there_is_not_made_again(waiting: Path) -> None:
    assert make_all(waiting) == 3
    assert make_all(waiting) == 0


def test_a_run_left_alone_takes_what_was_made_and_makes_the_rest(
    waiting: Path, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Worker() as worker:
        worker.make(waiting, "fold-1", 0)
    trained: list[str] = []
    train = TableStudent.train
    monkeypatch.setattr(
        TableStudent,
        "train",
        lambda self, texts, settings, folder, **more: (
            trained.append(folder.name) or train(self, texts, settings, folder, **more)
        ),
    )
    go(waiting)
    assert trained == ["general", "fold-0", "augmented"]
    assert outcome(waiting) == outcome(alone)


def test_a_training_that_was_cut_short_goes_on_wherever_it_is_taken_up(
    waiting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []

    def stopped(state: dict[str, Any]) -> None:
        steps.append(state["step"])
        if len(steps) == 1:
            raise KeyboardInterrupt

    train = TableStudent.train

    def watched(self: TableStudent, *given: Any, **more: Any) -> Any:
        return train(self, *given, **{**more, "progress": stopped})

    monkeypatch.setattr(TableStudent, "train", watched)
    with Worker() as worker, pytest.raises(KeyboardInterrupt):
        worker.make(waiting, "general", 0)
    with Worker() as worker:
        worker.make(waiting, "general", 0)
    assert steps == [*dict.fromkeys(steps)] and steps[0] == 1


def test_a_training_has_one_worker(waiting: Path) -> None:
    lock = FolderLock(Shards(waiting, "general").lock)
    with Worker() as worker, pytest.raises(RunError, match="general: in use by process"):
        worker.make(waiting, "general", 0)
    lock.release()


def test_a_damaged_shard_is_made_again(waiting: Path) -> None:
    make_all(waiting)
    path = waiting / "shards" / "general" / "0.jsonl"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ShardsWait) as waits:
        go(waiting, "engine=shards")
    assert ("general", (0,)) in [(one.stage, one.missing) for one in waits.value.waiting]


def test_a_base_that_cannot_be_copied_is_told(tmp_path: Path) -> None:
    (tmp_path / "kb.sqlite").write_text("no base" * 999)
    with pytest.raises(RunError, match=r"kb\.sqlite: cannot be copied to .*shards/kb\.sqlite: file is not a database"):
        Shards(tmp_path, "s").deal("f", [["a"]], {})


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x1c", "\r", "\n"])
def test_a_shard_may_hold_any_sign(sign: str, tmp_path: Path) -> None:
    shards = Shards(tmp_path, "s")
    shards.deal("f", [["a"]], {})
    task = shards.task()
    assert task is not None
    made = Made(metadata={"text": f"one{sign}two"}, files={})
    shards.write(task, 0, [made], 1.0)
    found = shards.read(task, 0, Made)
    assert found is not None and found.records == [made]


def test_a_shard_of_other_settings_is_not_taken(waiting: Path) -> None:
    """The task of a stage goes with its inputs."""
    make_all(waiting)
    with pytest.raises(ShardsWait) as waits:
        go(waiting, "engine=shards", "training.rank=5")
    assert [one.stage for one in waits.value.waiting] == ["general", "fold-0", "fold-1"]


def test_a_worker_with_other_files_is_refused(waiting: Path) -> None:
    path = waiting / "shards" / "general" / "task.json"
    task = json.loads(path.read_text())
    task["recipe"]["training"]["rank"] = 5
    path.write_text(json.dumps(task))
    with Worker() as worker, pytest.raises(RunError, match="general was dealt out with another content of: settings"):
        worker.make(waiting, "general", 0)


@pytest.mark.parametrize(
    "change, told",
    [
        ({"recipe": {"training": {"newer": 1}}}, r"another version of nesycd .* \(unknown key training\.newer"),
        ({"recipe": 5}, "another version of nesycd"),
        ({"commit": None}, "another version of nesycd"),
        ({"further": ["newer", 1]}, "another version of nesycd"),
        ({"batches": [1]}, "not a readable task"),
    ],
)
def test_a_task_of_another_version_is_refused_in_a_sentence(waiting: Path, change: Any, told: str) -> None:
    path = waiting / "shards" / "general" / "task.json"
    task = json.loads(path.read_text())
    for key, value in change.items():
        task[key] = {**task[key], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(task))
    with Worker() as worker, pytest.raises(RunError, match=told):
        worker.make(waiting, "general", 0)


def test_work_of_a_stage_whose_turn_has_not_come_is_refused(waiting: Path) -> None:
    shutil.copytree(waiting / "shards" / "general", waiting / "shards" / "augmented")
    with Worker() as worker, pytest.raises(RunError, match="augmented cannot be worked on yet, since general is not"):
        worker.make(waiting, "augmented", 0)


def test_a_measurement_is_dealt_out(alone: Path, tmp_path: Path) -> None:
    shutil.copytree(alone, tmp_path / "one")
    shutil.copytree(alone, tmp_path / "other")
    expected, _ = measure_effect(recipe(), tmp_path / "one", masks=2)
    rounds = []
    while True:
        try:
            found, _ = measure_effect(recipe("engine=shards"), tmp_path / "other", masks=2)
            break
        except ShardsWait as waits:
            rounds += [one.stage for one in waits.waiting]
            make_all(tmp_path / "other")
    assert "effect-masked" in rounds
    assert found == expected


@pytest.mark.slow
def test_seeds_and_methods_of_a_comparison_are_dealt_out_together(tmp_path: Path) -> None:
    def compared(name: str, *more: str) -> str:
        def varied(changes: Any) -> Recipe:
            return recipe(*more, *changes)

        out = Console(file=io.StringIO(), width=100)
        methods = ("std_cot", "kard_kb", "raft_kb", "nesycd", "no_rules")
        run_comparison(varied(()), varied, tmp_path / name, out, methods, (0, 1))
        return (tmp_path / name / "comparison.json").read_text()

    rounds = []
    while True:
        try:
            made = compared("dealt", "engine=shards")
            break
        except ShardsWait as waits:
            rounds.append({(one.folder.name, one.stage) for one in waits.waiting})
            make_all(tmp_path / "dealt")
    assert rounds[0] == {(seed, stage) for seed in ("seed-0", "seed-1") for stage in ("general", "fold-0", "fold-1")}
    assert {("seed-0", "train-kard_kb"), ("seed-0", "train-raft_kb"), ("seed-1", "train-kard_kb")} <= {
        *next(one for one in rounds if ("seed-0", "train-kard_kb") in one)
    }
    one, other = json.loads(made), json.loads(compared("alone"))
    for costs in (*one["costs"].values(), *other["costs"].values()):
        del costs["train_seconds"], costs["seconds_each"]
    assert one | {"name": ""} == other | {"name": ""}


def test_the_command_makes_its_part_and_says_so(waiting: Path) -> None:
    def call(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["stage", "r", "--root", str(waiting.parent), *arguments])

    assert call("--shard", "1/3").output.startswith("r: shard 0 of fold-1 made in ")
    assert call("fold-1").output == "r: shard 0 of fold-1 there already\n"
    assert call("--shard", "3/4").output == f"{waiting}: part 3/4 has nothing to do, there are fewer shards (3)\n"
    assert "error: --shard 3/3: must be I/N with I from 0 to N-1" in call("--shard", "3/3").output
    assert (
        "nothing is dealt out of augmented (work is dealt out of: fold-0, fold-1, general)" in call("augmented").output
    )


def test_a_run_that_waits_ends_with_3_and_says_what_to_do(tmp_path: Path) -> None:
    given = [word for setting in (*SMALL, "engine=shards") for word in ("--set", setting)]
    done = CliRunner().invoke(app, ["run", str(LONGTAIL), *given, "--root", str(tmp_path), "--name", "r"])
    assert done.exit_code == 3
    assert f"make them by `nesycd stage {tmp_path / 'r'} --shard I/N`" in done.output
