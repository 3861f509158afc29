"""The gate in a run: what is not proven stays proposed, first in the queue with its figures, and costs no true fact."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nesycd.api.running import complete, opened
from nesycd.cli.main import app
from nesycd.core.config import load_recipe
from nesycd.core.errors import ReviewWaits
from nesycd.core.judgements import Judgement
from nesycd.core.records import Entry, Fact, Status
from nesycd.knowledge import KnowledgeBase
from nesycd.knowledge.queue import waiting
from nesycd.methods.context import Context
from nesycd.methods.distil import distil
from nesycd.runs.run import read_records
from nesycd.runs.stage import read_states
from nesycd.tasks.longtail.task import LongTail, LongTailSettings
from nesycd.teachers.noisy import NoisyTeacher

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
SMALL = [
    "student.model=table",
    "evaluation.bootstrap=20",
    'evaluation.splits=["test"]',
    'evaluation.methods=["nesycd"]',
    'task.settings.families=["units", "letters", "sums"]',
    "task.settings.train_special=12",
    "task.settings.train_general=4",
    "task.settings.test_special=4",
    "task.settings.test_general=2",
    "task.settings.ood_composed=0",
    "task.settings.ood_unseen=0",
    "task.settings.valid=0",
]
WORLD = {(fact.subject, fact.relation): fact.object for fact in LongTail(LongTailSettings()).world().facts}


def noisy(context: Context) -> Context:
    """Every second fact that the teacher proposes is false; its rationales are true."""
    assert isinstance(context.task, LongTail)
    return replace(context, teacher=NoisyTeacher(context.teacher, context.task, share=0.5))


def run(folder: Path, *settings: str, until: str = "") -> None:
    with opened(load_recipe(LONGTAIL, [*SMALL, *settings]), folder) as context:
        if until:
            distil(noisy(context), until=until)
        else:
            complete(noisy(context))


def is_true(entry: Entry) -> bool:
    fact = entry.item
    assert isinstance(fact, Fact)
    return WORLD[fact.subject, fact.relation] == fact.object


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "r"
    run(folder)
    return folder


def test_what_is_false_stays_proposed_and_what_is_true_is_in_use(finished: Path) -> None:
    with KnowledgeBase.open(finished / "kb.sqlite") as kb:
        facts, queue = kb.entries(kind="fact"), waiting(kb)
    in_use = [entry for entry in facts if entry.status is Status.APPROVED]
    kept_out = [entry for entry in facts if entry.status is Status.PROPOSED]
    assert len(in_use) > 5 and len(kept_out) > 5
    assert all(map(is_true, in_use)) and not any(map(is_true, kept_out))
    assert {one.entry.item_id for one in queue} == {entry.item_id for entry in kept_out}
    assert all(len(one.reasons) == 1 and one.reasons[0].startswith("not proven: ") for one in queue)


def test_counts_and_figures_are_told(finished: Path) -> None:
    results: dict[str, Any] = json.loads((finished / "results.json").read_text())
    gate = results["method"]["gate"]
    judged = {one.item: one for one in read_records(finished, "gate-facts", Judgement)}
    passed = sum(one.verdict == "passed" for one in judged.values())
    assert gate["fact"] == {"judged": len(judged), "passed": passed} and 0 < passed < len(judged)
    assert gate["rule"]["judged"] == gate["rule"]["passed"] > 0
    assert read_states(finished)["gate-facts"]["seconds"] > 0
    assert f"{passed} of {len(judged)} facts" in (finished / "report.html").read_text()
    failed = next(item for item, one in judged.items() if one.verdict == "failed")
    shown = CliRunner().invoke(app, ["kb", "show", failed, "--kb", str(finished / "kb.sqlite")], env={"COLUMNS": "300"})
    assert f"not proven: {judged[failed].told}" in shown.output, shown.output
    proven = next(item for item, one in judged.items() if one.verdict == "passed")
    shown = CliRunner().invoke(app, ["kb", "show", proven, "--kb", str(finished / "kb.sqlite")], env={"COLUMNS": "300"})
    assert f"passed: {judged[proven].told}" in shown.output, shown.output
    listed = CliRunner().invoke(app, ["kb", "queue", "--kb", str(finished / "kb.sqlite")], env={"COLUMNS": "300"})
    assert "not proven: no right answer states it" in listed.output
    listed = CliRunner().invoke(app, ["kb", "list", "--kb", str(finished / "kb.sqlite")], env={"COLUMNS": "300"})
    assert "waits for review, since" in listed.output and "not proven: no right answer" in listed.output


def test_without_the_gate_all_is_approved(tmp_path: Path) -> None:
    run(tmp_path / "r", "knowledge.gate=[]", until="diagnose")
    with KnowledgeBase.open(tmp_path / "r" / "kb.sqlite") as kb:
        assert not kb.entries(status=Status.PROPOSED) and not all(map(is_true, kb.entries(kind="fact")))
    assert not [name for name in read_states(tmp_path / "r") if name.startswith("gate")]


def test_people_see_what_is_not_proven_first_and_what_is_last(tmp_path: Path) -> None:
    with pytest.raises(ReviewWaits):
        run(tmp_path / "r", 'knowledge.review="human"')
    with KnowledgeBase.open(tmp_path / "r" / "kb.sqlite") as kb:
        queue = [one for one in waiting(kb) if isinstance(one.entry.item, Fact)]
    told = [one.reasons[0].partition(":")[0] for one in queue]
    assert told == sorted(told) and set(told) == {"not proven", "proven"}
    assert [is_true(one.entry) for one in queue] == [one == "proven" for one in told]


def test_what_a_file_states_is_not_judged(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("subject,relation,object\nspan,makes,9 hands\n")
    run(tmp_path / "r", f'knowledge.files=["{tmp_path / "own.csv"}"]', until="diagnose")
    with KnowledgeBase.open(tmp_path / "r" / "kb.sqlite") as kb:
        [entry] = kb.entries(search="hands span")
    assert entry.status is Status.APPROVED
