"""Stages that are asked for within another stage's work stay as long as that stage does, though nobody asks for them again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.answers import Attempt
from nesycd.core.errors import RunError
from nesycd.runs.run import Run
from nesycd.runs.stage import read_states

ONE = Attempt(example="q0", solver="toy", response="yes", seconds=1.0)


def inner(run: Run) -> list[Attempt]:
    """A stage that asks for another one."""
    run.value("innermost", {"seed": 1}, lambda: 3)
    return [ONE]


def computed(run: Run, seed: int) -> None:
    run.computed("outer", Attempt, {"seed": seed}, lambda: run.computed("inner", Attempt, {"s": 1}, lambda: inner(run)))


def value(run: Run, seed: int) -> None:
    run.value("outer", {"seed": seed}, lambda: len(run.computed("inner", Attempt, {"seed": seed}, lambda: inner(run))))


def artifact(run: Run, seed: int) -> None:
    def make(folder: Path) -> dict[str, Any]:
        (folder / "f").write_text(str(run.computed("inner", Attempt, {"seed": seed}, lambda: inner(run))))
        return {}

    run.artifact("outer", {"seed": seed}, make)


def records(run: Run, seed: int) -> None:
    def produce(keys: list[str]) -> list[Attempt]:
        return run.computed("inner", Attempt, {"seed": seed}, lambda: inner(run))

    run.records("outer", Attempt, {"seed": seed}, ["q0"], produce)


def batches(run: Run, seed: int) -> None:
    def produce(keys: list[str]) -> list[Attempt]:
        return run.computed("inner", Attempt, {"seed": seed}, lambda: inner(run))

    run.batches("outer", Attempt, {"seed": seed}, lambda: [["q0"]], produce)


Ask = Callable[[Run, int], None]


@pytest.mark.parametrize("ask", [computed, value, artifact, records, batches])
def test_what_was_made_within_a_stage_is_kept_with_it(tmp_path: Path, ask: Ask) -> None:
    told: list[str] = []

    def run(seed: int = 1, of: Ask | None = ask) -> dict[str, float]:
        with Run.open(tmp_path / "r", {}, notify=told.append) as opened:
            if of is not None:
                of(opened, seed)
            opened.finish()
            return opened.seconds()

    first = run()
    assert first.keys() == read_states(tmp_path / "r").keys() == {"outer", "inner", "innermost"}
    before = {path: path.read_bytes() for path in (tmp_path / "r" / "stages").iterdir()}
    assert run() == first and told == []
    assert {path: path.read_bytes() for path in (tmp_path / "r" / "stages").iterdir()} == before
    # Redone with other inputs it asks for them anew, and they go with it.
    run(seed=2)
    assert read_states(tmp_path / "r").keys() == {"outer", "inner", "innermost"}
    run(of=None)
    assert read_states(tmp_path / "r") == {}


def test_a_stage_that_is_gone_on_with_after_a_stop_keeps_what_was_made_within_it(tmp_path: Path) -> None:
    def stopped(run: Run) -> list[Attempt]:
        inner(run)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Run.open(tmp_path / "r", {}) as run:
        run.computed("outer", Attempt, {}, lambda: stopped(run))
    for _ in range(2):
        with Run.open(tmp_path / "r", {}) as run:
            run.computed("outer", Attempt, {}, lambda: inner(run))
            run.finish()
            assert read_states(tmp_path / "r").keys() == {"outer", "innermost"}


def test_a_state_of_an_older_version_is_read_and_a_damaged_one_named(tmp_path: Path) -> None:
    with Run.open(tmp_path / "r", {}) as run:
        run.value("alone", {}, lambda: 1)
    path = tmp_path / "r" / "stages" / "alone.json"
    state = json.loads(path.read_text())
    assert state.pop("within") == []
    path.write_text(json.dumps(state))
    with Run.open(tmp_path / "r", {}) as run:
        assert run.value("alone", {}, lambda: 2) == 1
        run.finish()
    path.write_text(json.dumps({**state, "within": [3]}))
    with pytest.raises(RunError, match=r"alone\.json: not a readable stage file"):
        read_states(tmp_path / "r")
