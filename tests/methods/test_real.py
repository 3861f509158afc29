"""The whole method with the embedded student, in miniature: left alone, and killed (slow tier)."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nesycd.api.finished import OpenRun
from nesycd.cli.run import execute
from nesycd.core.config import load_recipe
from nesycd.reports import load_results
from nesycd.runs.stage import read_states

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_quickstart_in_miniature(tmp_path: Path) -> None:
    settings = ["task.limit=22", "training.epochs=2", "collection.epochs=1", "student.max_new_tokens=48"]
    splits = ["evaluation.splits=['test']", "evaluation.bootstrap=100"]
    recipe = load_recipe(LONGTAIL, [*settings, *splits])
    execute(recipe, tmp_path / "r", Console(file=io.StringIO()))
    results = load_results(tmp_path / "r" / "results.json").to_json()
    arms = {name: splits["test"] for name, splits in results["methods"].items()}
    assert len(arms) == 7 and all(score["n"] == 22 for score in arms.values())
    # Twenty questions teach hardly any knowledge; that each arm was given what it should be is what is held here.
    assert arms["std_cot_kb"]["knowledge_tokens"] > 0 and arms["std_cot_kb"]["routed"] == 1.0
    assert arms["nesycd_oracle"]["routed"] == 1.0 and arms["nesycd_no_kb"]["look_ups_found"] == 0
    assert arms["nesycd_no_kb"]["knowledge_tokens"] == 0 and arms["std_cot"]["completion_tokens"] > 22 * 5
    state = (tmp_path / "r" / "stages" / "augmented.json").read_text()
    execute(recipe, tmp_path / "r", Console(file=io.StringIO()))
    assert (tmp_path / "r" / "stages" / "augmented.json").read_text() == state
    with OpenRun(tmp_path / "r") as opened:
        reply = opened.ask("How many feet are 3 fathoms and 2 feet?", method="nesycd")
    assert reply.text and reply.routed


SCRIPT = """
import functools, os, signal, sys
from pathlib import Path
from rich.console import Console
from nesycd.api import running
from nesycd.cli import run
from nesycd.core.config import load_recipe
from nesycd.methods import context

recipe, folder, kill_at, *settings = sys.argv[1:]

class Killer(running.StageProgress):
    def watch(self, stage, done, total):
        if f"{stage} {done}" == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def training(self, stage, state):
        self.watch(stage, state["step"], state["steps"])

running.StageProgress = Killer
# A checkpoint after every step: a run as small as this would end before its first.
context.TrainSettings = functools.partial(context.TrainSettings, checkpoint_seconds=0.0)
run.execute(load_recipe(Path(recipe), settings), Path(folder), Console(quiet=True))
"""
TINY = (
    "task.limit=12",
    "training.epochs=1",
    "collection.epochs=1",
    "augmented.passes=1",
    "student.max_new_tokens=24",
    "training.batch_tokens=512",
    "training.rank=4",
    "evaluation.splits=['test']",
    "evaluation.methods=['std_cot', 'nesycd']",
    "evaluation.bootstrap=20",
)
MOMENTS = ("general 2", "collect-fold-0 3", "augmented 2")
"""Stage and step or answer at which the run is killed."""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="the system has no SIGKILL")
def test_killed_in_training_and_in_generation_it_ends_equal(
    tmp_path: Path, outcome: Callable[[Path], tuple[Any, str]]
) -> None:
    def start(name: str, kill_at: str) -> int:
        command = [sys.executable, "-c", SCRIPT, str(LONGTAIL), str(tmp_path / name), kill_at, *TINY]
        return subprocess.run(command, stderr=subprocess.DEVNULL).returncode

    assert start("whole", "") == 0
    for moment in MOMENTS:
        assert start("killed", moment) == -signal.SIGKILL
        states = read_states(tmp_path / "killed")
        assert [name for name, state in states.items() if not state["done"]] == [moment.partition(" ")[0]]
    for name in ("general", "augmented"):
        # Killed while they were trained: the first has been made since, the second is gone on with from here.
        left = tmp_path / "killed" / "checkpoints" / name / "checkpoint" / "state.safetensors"
        assert left.is_file() == (name == "augmented")
    assert start("killed", "") == 0
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")
    for name in ("general", "fold-0", "augmented"):
        weights = [
            (tmp_path / run / "checkpoints" / name / "adapter_model.safetensors").read_bytes()
            for run in ("killed", "whole")
        ]
        assert weights[0] == weights[1]


BBH = LONGTAIL.with_name("bbh-replay.toml")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")
def test_bbh_with_recorded_rationales_and_knowledge_from_a_file_in_miniature(tmp_path: Path) -> None:
    settings = ["task.limit=10", "training.epochs=0.5", "augmented.passes=1", "student.max_new_tokens=8"]
    settings += [f"knowledge.files=['{LONGTAIL.with_name('bbh-knowledge.yaml')}']", "evaluation.bootstrap=50"]
    arms = ["evaluation.methods=['std_cot', 'nesycd']"]
    execute(load_recipe(BBH, [*settings, *arms]), tmp_path / "r", Console(file=io.StringIO()))
    results = load_results(tmp_path / "r" / "results.json").to_json()
    assert all(results["methods"][arm]["test"]["n"] == 10 for arm in ("std_cot", "nesycd"))
    assert results["method"]["leaks"]["approved"] > 20 and results["method"]["leaks"]["approved_leaking"] == 0
    assert results["method"]["mix"]["augmented"] > 0
    assert results["methods"]["nesycd"]["test"]["knowledge_tokens"] > 0
