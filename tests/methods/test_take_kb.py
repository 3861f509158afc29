"""A reviewed base in place of one built from errors: what is fair under a run's splits is used, and only that."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import nesycd
from nesycd import Evidence, Fact, KnowledgeBase, Status
from nesycd.api import comparing
from nesycd.cli.main import app
from nesycd.core.errors import NesycdError
from nesycd.core.judgements import Refusal
from nesycd.core.records import Example
from nesycd.runs.run import read_records
from nesycd.runs.stage import read_states

TREES = ("alder", "birch", "cedar", "ebony", "hazel", "larch", "maple", "olive", "rowan", "sorel", "tulip", "yucca")
ELSEWHERE = "A question of another benchmark"


def recipe(place: Path) -> dict[str, Any]:
    rows = [
        {
            "id": tree,
            "question": f"How many pence are 2 {tree} coins?",
            "answer": str(2 * value),
            "rationale": f"An {tree} coin is {value} pence. 2 x {value} = {2 * value}.",
        }
        for value, tree in enumerate(TREES, 3)
    ]
    (place / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        "name": "r",
        "task": {"name": "jsonl", "settings": {"path": str(place / "q.jsonl")}},
        "teacher": {"name": "scripted", "diagnose": "mine"},
        "student": "table",
        "evaluation": {"methods": ["std_cot", "nesycd"], "splits": ["test"], "bootstrap": 50},
    }


def fact(tree: str, value: int) -> Fact:
    return Fact(
        text=f"An {tree} coin is {value} pence.", subject=f"{tree} coin", relation="is", object=f"{value} pence"
    )


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base with a fact from each question, one of nobody's and one from elsewhere, and one that waits for review."""
    path = tmp_path / "reviewed.sqlite"
    with KnowledgeBase.open(path) as kb:
        pairs = [(fact(tree, value), Evidence(example=tree, source="t")) for value, tree in enumerate(TREES, 3)]
        pairs += [(fact("zinc", 40), Evidence(example="", source="me"))]
        pairs += [(fact("iron", 50), Evidence(example=ELSEWHERE, source="t"))]
        kb.add(pairs, status=Status.APPROVED, reviewer="ann")
        kb.add([(fact("lead", 60), Evidence(example="", source="me"))])
    return path


def split_of(folder: Path, name: str) -> set[str]:
    return {one.uid for one in read_records(folder, f"examples-{name}", Example)}


def approved(folder: Path) -> set[str]:
    with KnowledgeBase.open(folder / "kb.sqlite", create=False) as kb:
        return {entry.item.subject.removesuffix(" coin") for entry in kb.entries(status=Status.APPROVED)}  # type: ignore[union-attr]


def test_each_seed_hides_what_came_from_its_own_held_out_questions(tmp_path: Path, base: Path) -> None:
    methods = ["std_cot", "nesycd", "no_facts"]
    with pytest.raises(NesycdError, match="no approved items, so no_facts"):
        nesycd.compare(recipe(tmp_path), methods, [0], kb=base, name="all", root=tmp_path, progress=False)
    made = nesycd.compare(recipe(tmp_path), methods[:2], [0, 1], kb=base, name="c", root=tmp_path, progress=False)
    tests = []
    for seed in (0, 1):
        folder = comparing.folder_of(tmp_path / "c", seed)
        fair = split_of(folder, "train")
        assert approved(folder) == {*fair, "zinc", "iron"}
        outside = split_of(folder, "test") | split_of(folder, "valid")
        refused = read_records(folder, "refused", Refusal)
        assert {one.evidence.example for one in refused} == outside == {*TREES} - fair
        assert all(one.evidence.example in one.reason for one in refused), "the question is named"
        assert made.hidden[str(seed)] == len(outside) and made.methods["nesycd"].base[str(seed)] == {
            "fact": len(fair) + 2
        }
        assert "diagnoses" not in read_states(folder), "no error is diagnosed, so nothing is paid for that"
        tests.append(outside)
    assert tests[0] != tests[1], "else the test shows nothing"
    assert re.match(r"reviewed\.sqlite, version \w+", made.reviewed)
    assert f"a reviewed base ({made.reviewed}), not built from errors; hidden" in str(made).replace("\n", " ")
    assert made.leaks == {"0": 0, "1": 0}


def test_an_edit_of_the_base_is_followed_and_nothing_else_is_redone(tmp_path: Path, base: Path) -> None:
    given = {**recipe(tmp_path), "knowledge": {"base": str(base)}}
    run = nesycd.run(given, root=tmp_path, progress=False)
    run.close()
    before = read_states(run.folder)
    assert read_states(nesycd.run(given, root=tmp_path, progress=False).folder) == before
    with KnowledgeBase.open(base) as kb:
        kb.approve(fact("lead", 60).id, "ann")
    nesycd.run(given, root=tmp_path, progress=False).close()
    after = read_states(run.folder)
    assert "lead" in approved(run.folder) and not (run.folder / "kb.1.sqlite").exists()
    assert all(after[one] == before[one] for one in ("rationales", "general", "examples-train"))
    # What people did in the run's copy alone stays beside it when the base changes again.
    with KnowledgeBase.open(run.folder / "kb.sqlite") as kb:
        kb.add([(fact("mine", 70), Evidence(example="", source="me"))], status=Status.APPROVED, reviewer="ben")
    with KnowledgeBase.open(base) as kb:
        kb.retire(fact("lead", 60).id, "ann")
    nesycd.run(given, root=tmp_path, progress=False).close()
    assert not {"lead", "mine"} & approved(run.folder) and (run.folder / "kb.1.sqlite").exists()


@pytest.mark.parametrize("made", [False, True])
def test_a_base_that_cannot_be_used_is_told_before_anything_is_run(made: bool, tmp_path: Path) -> None:
    if made:
        KnowledgeBase.open(tmp_path / "b.sqlite").close()
    recipe(tmp_path)
    (tmp_path / "r.toml").write_text(
        f'name = "r"\nstudent.model = "table"\n[task]\nname = "jsonl"\nsettings.path = "{tmp_path / "q.jsonl"}"\n'
        '[teacher]\nname = "scripted"\ndiagnose = "mine"\n'
    )
    words = ["compare", str(tmp_path / "r.toml"), "--kb", str(tmp_path / "b.sqlite"), "--root", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2, result.output
    assert ("no approved items" if made else "there is no knowledge base") in result.output.replace("\n", " ")
    assert not (tmp_path / "compare-r").exists()


def test_files_and_a_base_are_not_given_together(tmp_path: Path) -> None:
    with pytest.raises(NesycdError, match="import the files into the base"):
        nesycd.run({**recipe(tmp_path), "knowledge": {"base": "kb.sqlite", "files": ["a.csv"]}}, root=tmp_path)
