"""The knowledge base of a run: gone, made anew, and made anew in a process that dies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nesycd.api.running import complete, opened
from nesycd.core.config import load_recipe
from nesycd.core.errors import RunError
from nesycd.core.records import Status
from nesycd.knowledge import KnowledgeBase
from nesycd.runs.stage import read_states

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
SMALL = ["student.model=table", "evaluation.bootstrap=50", "task.limit=24", 'evaluation.splits=["test"]']
SMALL += ['evaluation.methods=["std_cot", "nesycd"]']


def run(folder: Path, *overrides: str) -> None:
    with opened(load_recipe(LONGTAIL, [*SMALL, *overrides]), folder) as context:
        complete(context)


def trained(folder: Path) -> dict[str, float]:
    return {path.name: path.stat().st_mtime_ns for path in sorted((folder / "checkpoints").rglob("adapter.json"))}


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    run(tmp_path / "r")
    return tmp_path / "r"


def test_a_base_that_is_gone_stops_the_run_and_nothing_trained_is_deleted(finished: Path) -> None:
    before, states = trained(finished), read_states(finished)
    copy = (finished / "kb.sqlite").read_bytes()
    (finished / "kb.sqlite").unlink()
    with pytest.raises(RunError, match=r"kb\.sqlite: gone, .*put a copy back, or delete .*knowledge\.json"):
        run(finished)
    assert not (finished / "kb.sqlite").exists() and trained(finished) == before
    assert read_states(finished) == states
    (finished / "kb.sqlite").write_bytes(copy)
    run(finished)
    assert trained(finished) == before


def test_without_the_stage_it_is_made_anew_from_the_diagnoses(finished: Path) -> None:
    with KnowledgeBase.open(finished / "kb.sqlite") as kb:
        items = [entry.item_id for entry in kb.entries()]
    (finished / "kb.sqlite").unlink()
    (finished / "stages" / "knowledge.json").unlink()
    run(finished)
    with KnowledgeBase.open(finished / "kb.sqlite") as kb:
        assert [entry.item_id for entry in kb.entries()] == items


def test_what_people_did_is_in_the_base_that_is_made_anew(finished: Path) -> None:
    with KnowledgeBase.open(finished / "kb.sqlite") as kb:
        rejected = kb.entries(kind="fact")[0].item_id
        kb.reject(rejected, "ada")
    run(finished, "knowledge.max_items=9000")
    with KnowledgeBase.open(finished / "kb.sqlite") as kb:
        assert kb.get(rejected).status == Status.REJECTED and kb.get(rejected).reviewer == "ada"
    with KnowledgeBase.open(finished / "kb.1.sqlite") as kb:
        assert kb.get(rejected).status == Status.REJECTED


def test_a_process_that_dies_while_it_is_made_anew_loses_nothing(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KnowledgeBase.open(finished / "kb.sqlite") as kb:
        rejected = kb.entries(kind="fact")[0].item_id
        kb.reject(rejected, "ada")
    plain = os.replace

    def die(source: str | Path, target: str | Path) -> None:
        if Path(target).name == "kb.sqlite":
            raise KeyboardInterrupt
        plain(source, target)

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        run(finished, "knowledge.max_items=9000")
    monkeypatch.setattr(os, "replace", plain)
    with KnowledgeBase.open(finished / "kb.sqlite") as kb:
        assert kb.get(rejected).reviewer == "ada"
    run(finished, "knowledge.max_items=9000")
    with KnowledgeBase.open(finished / "kb.sqlite") as kb:
        assert kb.get(rejected).status == Status.REJECTED and kb.get(rejected).reviewer == "ada"
