"""A run whose recipe fuses several sources, and one whose knowledge base says that two entities are one."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from nesycd.cli.run import execute
from nesycd.core.config import load_recipe
from nesycd.core.records import Fact, Retrieval
from nesycd.knowledge import KnowledgeBase, merge_entities
from nesycd.reports import load_results
from nesycd.runs.run import read_records

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
TABLE = (
    "student.model=table",
    "evaluation.bootstrap=50",
    "task.limit=12",
    "evaluation.methods=['std_cot', 'nesycd']",
    "evaluation.splits=['test']",
)


def run(folder: Path, *overrides: str) -> str:
    out = io.StringIO()
    execute(load_recipe(LONGTAIL, [*TABLE, *overrides]), folder, Console(file=out, width=120))
    return out.getvalue()


@pytest.mark.slow
def test_a_run_with_fused_retrieval_and_then_with_entities_merged(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    fused = ("retrieval.kind=fused", "retrieval.by_task=true", "retrieval.min_coverage=0.1")
    run(folder, *fused)
    found = [r for split in ("train", "test") for r in read_records(folder, f"retrieve-{split}", Retrieval)]
    reasons = [hit.why for retrieval in found for hit in retrieval.hits]
    assert any("bm25 #" in why for why in reasons) and any("names" in why for why in reasons)
    assert "test" in load_results(folder / "results.json").retrieval
    fingerprint = json.loads((folder / "stages" / "retrieve-test.json").read_text())["fingerprint"]
    assert "redone" not in run(folder, *fused)
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        names = sorted({entry.item.subject for entry in kb.entries() if isinstance(entry.item, Fact)})
        merge_entities(kb, names[0], names[1], "Ann", "a test")
    assert "retrieve-test: redone, because knowledge changed" in run(folder, *fused)
    assert json.loads((folder / "stages" / "retrieve-test.json").read_text())["fingerprint"] != fingerprint


@pytest.mark.slow
def test_a_run_that_finds_nothing_for_most_questions_says_so(tmp_path: Path) -> None:
    said = " ".join(run(tmp_path / "r", "retrieval.budget_tokens=1").split())
    assert "test: for 12 of 12 questions nothing is found in the knowledge base of" in said and "--why" in said
