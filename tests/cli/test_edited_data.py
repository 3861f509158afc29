"""What a run reads counts by its content: edited files redo what depends on them, moved or touched ones nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nesycd.api.comparing import settings_of
from nesycd.cli.main import app
from nesycd.core.config import load_recipe
from nesycd.core.paths import settings_alone
from nesycd.core.records import Example, Rationale
from nesycd.runs.predictions import read_attempts
from nesycd.runs.run import read_records
from nesycd.runs.stage import read_states

COUNT = 24


class Bench:
    """A recipe over files in a folder, and its run."""

    def __init__(self, folder: Path) -> None:
        self.home, self.data = folder, folder / "data"
        self.data.mkdir()
        self.sets: list[str] = []
        self.write_golds(0)
        # What the recording says is right of every other question before the golds are rewritten, and of the others after it.
        said = [(n, n + 1000 * (n % 2)) for n in range(COUNT)]
        self._write("said.jsonl", [{"id": f"q{n}", "rationale": f"It is {x}.", "answer": str(x)} for n, x in said])

    @property
    def run(self) -> Path:
        return self.home / "runs" / "edited"

    def write_golds(self, more: int) -> None:
        """Questions whose golds are their numbers and so much more."""
        rows = [{"id": f"q{n}", "question": f"How much is {n}?", "answer": str(n + more)} for n in range(COUNT)]
        self._write("own.jsonl", rows)

    def _write(self, name: str, rows: list[dict[str, Any]]) -> None:
        (self.data / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def said(self) -> str:
        """What `nesycd run` says."""
        text = f'name = "edited"\n[task]\nname = "jsonl"\nsettings.path = "{self.data / "own.jsonl"}"\n'
        text += f'[teacher]\nname = "replay"\npaths = ["{self.data / "said.jsonl"}"]\n'
        text += '[student]\nmodel = "table"\n[evaluation]\nmethods = ["zero_shot", "std_cot"]\n'
        (self.home / "r.toml").write_text(text)
        words = ["run", str(self.home / "r.toml"), "--root", str(self.home / "runs"), *self.sets]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output + str(result.exception)
        return result.output

    def states(self) -> dict[str, Any]:
        return read_states(self.run)

    def records(self, stage: str, kind: Any) -> list[Any]:
        return read_records(self.run, stage, kind)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.said()
    return made


def test_rewritten_golds_redo_examples_rationales_and_answers(bench: Bench) -> None:
    right = {one.example for one in bench.records("rationales", Rationale) if one.correct}
    bench.write_golds(1000)
    said = bench.said()
    assert "examples-train: redone, because data changed" in said
    assert "rationales: redone, because examples changed" in said
    assert "eval-test-std_cot: redone" in said
    golds = {one.uid: one.answer for one in bench.records("examples-test", Example)}
    assert golds and all(answer == str(int(uid[1:]) + 1000) for uid, answer in golds.items())
    again = {one.example: one.correct for one in bench.records("rationales", Rationale)}
    assert right and {uid for uid, correct in again.items() if not correct} == right
    for attempt in read_attempts(bench.run, "eval-test-std_cot"):
        assert attempt.correct == (attempt.answer == golds[attempt.example])


def test_moved_and_touched_files_redo_nothing(bench: Bench) -> None:
    before = bench.states()
    for path in bench.data.iterdir():
        os.utime(path, (1, 1))
    assert "redone" not in bench.said() and bench.states() == before
    moved = bench.home / "elsewhere"
    shutil.move(bench.data, moved)
    bench.data = moved
    (moved / "own.jsonl").rename(moved / "mine.jsonl")
    bench.sets = ["--set", f"task.settings.path={moved / 'mine.jsonl'}"]
    assert "redone" not in bench.said() and bench.states() == before


def test_an_edited_recording_redoes_the_rationales_but_not_the_questions(bench: Bench) -> None:
    before = bench.states()
    path = bench.data / "said.jsonl"
    path.write_text(path.read_text().replace("It is", "That makes"))
    said = bench.said()
    assert "rationales: redone, because teacher changed" in said and "examples-train: redone" not in said
    assert bench.states()["examples-train"] == before["examples-train"]
    assert all(one.text.startswith("That makes") for one in bench.records("rationales", Rationale))


def test_another_seed_draws_other_splits_in_the_same_folder_too(bench: Bench) -> None:
    first = {one.uid for one in bench.records("examples-test", Example)}
    bench.sets = ["--set", "seed=7", "--yes"]
    assert "examples-test: redone, because seed changed" in bench.said()
    again = {one.uid for one in bench.records("examples-test", Example)}
    bench.sets += ["--name", "fresh"]
    bench.said()
    fresh = read_records(bench.home / "runs" / "fresh", "examples-test", Example)
    assert again != first and again == {one.uid for one in fresh}


def test_what_a_comparison_holds_against_a_run_is_what_files_say(bench: Bench) -> None:
    recipe, corpus = bench.home / "r.toml", bench.home / "corpus.jsonl"
    corpus.write_text('{"text": "A fathom is 6 feet."}\n')

    def told(*overrides: str) -> str:
        return settings_of(load_recipe(recipe, overrides), bench.states(), "test")

    places = ["prompts=a", "knowledge.files=['k']", "teacher.diagnoses=d", "teacher.api.prices=p"]
    assert settings_alone(load_recipe(recipe, places)) == settings_alone(load_recipe(recipe))
    assert told(*places) == told() != told("training.rank=2")
    read = told(f"compare.corpus={corpus}")
    assert read != told()
    moved = corpus.rename(bench.home / "moved.jsonl")
    assert told(f"compare.corpus={moved}") == read
    moved.write_text('{"text": "A fathom is 7 feet."}\n')
    assert told(f"compare.corpus={moved}") != read
