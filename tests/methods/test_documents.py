"""A run whose base comes from documents: made, reviewed, made anew when a document changes; checked and packed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import nesycd
from nesycd import NesycdError, Status
from nesycd.api.packing import gathered
from nesycd.api.preflight import preflight
from nesycd.core.config import Recipe
from nesycd.core.errors import ReviewWaits
from nesycd.core.judgements import Refusal
from nesycd.core.records import Example, Fact
from nesycd.knowledge import KnowledgeBase
from nesycd.knowledge.queue import waiting
from nesycd.runs.run import read_records

ISLANDS = {"Naxos": 430, "Paros": 195, "Milos": 151, "Sifnos": 74, "Tinos": 194, "Skyros": 209, "Leros": 54, "Patmos": 34,
           "Symi": 58, "Ithaca": 118, "Lefkada": 303, "Paxos": 30, "Thasos": 380, "Samos": 477}  # fmt: skip
HANDBOOK = """\
# Ferries

## Tickets

Tickets are never refunded after departure. The fee of a change is 9 EUR.
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A recipe in a folder of its own, with a table and a handbook."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {"id": island, "question": f"How many square kilometres has {island}?", "answer": str(area),
         "rationale": f"The area of {island} is {area} km2. Therefore, the answer is {area}."}
        for island, area in ISLANDS.items()
    ]  # fmt: skip
    Path("q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_areas(ISLANDS)
    Path("handbook.md").write_text(HANDBOOK)
    return {
        "name": "r",
        "task": {"name": "jsonl", "settings": {"path": "q.jsonl"}},
        "teacher": {"name": "scripted"},
        "student": {"model": "table"},
        "knowledge": {"documents": ["areas.csv", "handbook.md"]},
        "evaluation": {"bootstrap": 20, "methods": ["std_cot", "nesycd"]},
    }


def write_areas(areas: dict[str, int]) -> None:
    table = "".join(f"{island},{area}\n" for island, area in areas.items())
    Path("areas.csv").write_text(f"Island,Area (km²)\n{table}", encoding="utf-8")


def run(settings: dict[str, Any], **options: Any) -> nesycd.OpenRun:
    return nesycd.run(settings, progress=False, root="runs", **options)


def recipe_of(settings: dict[str, Any]) -> Recipe:
    return Recipe.model_validate_json(json.dumps(settings))


def cited(run: nesycd.OpenRun) -> dict[str, list[str]]:
    return {entry.item.text: [one.source for one in entry.evidence if not one.example] for entry in run.kb.entries()}


def test_what_documents_state_is_looked_up_and_follows_them(settings: dict[str, Any], tmp_path: Path) -> None:
    with run(settings) as made:
        texts = cited(made)
        assert texts["The area of Naxos is 430 km²."] == ["areas.csv, line 2"]
        assert texts["Tickets: The fee of a change is 9 EUR."] == ["handbook.md#Tickets, line 5, sentence 2"]
        assert texts["Tickets are never refunded after departure."] == ["handbook.md#Tickets, line 5"]
        assert {entry.status for entry in made.kb.entries()} == {Status.APPROVED}
        hashes = json.loads((made.folder / "manifest.json").read_text())["hashes"]
        [naxos] = made.kb.entries(search="Naxos")
        made.kb.approve(naxos.item_id, "Ann")
        made.kb.edit(made.kb.entries(search="Symi")[0].item_id, {"text": "Symi: its area is 58 km²."}, "Ann")
    # Nothing has changed: nothing is made anew. A line above moves the rest: who decided stays.
    Path("handbook.md").write_text(HANDBOOK.replace("## Tickets", "As of May.\n\n## Tickets"))
    write_areas({**ISLANDS, "Naxos": 431})
    with run(settings) as made:
        assert json.loads((made.folder / "manifest.json").read_text())["hashes"]["documents"] != hashes["documents"]
        texts = cited(made)
        assert texts["Tickets: The fee of a change is 9 EUR."] == ["handbook.md#Tickets, line 7, sentence 2"]
        assert "Symi: its area is 58 km²." in texts
        queue = [one for one in waiting(made.kb) if one.reasons]
        assert [(one.entry.item.text, one.entry.reviewer) for one in queue] == [
            ("The area of Naxos is 430 km².", "Ann"), ("The area of Naxos is 431 km².", "auto")
        ]  # fmt: skip
        assert "The area of Naxos is 430 km². -> The area of Naxos is 431 km²." in queue[0].reasons[0]
        assert (made.folder / "kb.1.sqlite").exists()


def test_people_approve_what_documents_state_and_leaks_are_kept_out(settings: dict[str, Any]) -> None:
    settings["knowledge"]["review"] = "human"
    asked = "".join(f"\nHow many square kilometres has {island} is always asked.\n" for island in ISLANDS)
    Path("handbook.md").write_text(HANDBOOK + asked)
    with pytest.raises(ReviewWaits, match="items wait for review"):
        run(settings)
    folder = Path("runs") / "r"
    refused = read_records(folder, "refused", Refusal)
    train = {one.uid for one in read_records(folder, "examples-train", Example)}
    outside = {island for island in ISLANDS if not any(uid.endswith(island) for uid in train)}
    assert {one.item.text.split()[6] for one in refused} == outside and len(outside) > 2
    assert {one.filter for one in refused} == {"leak"} and refused[0].evidence.source.startswith(
        "handbook.md#Tickets, line"
    )
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        assert {entry.status for entry in kb.entries()} == {Status.PROPOSED}
        kb.approve_all("Ann")
    with run(settings) as made:
        assert {entry.reviewer for entry in made.kb.entries()} == {"Ann"}
        fact = next(entry.item for entry in made.kb.entries(search="Samos") if isinstance(entry.item, Fact))
        assert fact.triple == ("Samos", "area", "477 km²")


def test_a_check_says_what_documents_give_and_what_is_wrong(settings: dict[str, Any]) -> None:
    report = preflight(recipe_of(settings))
    found = {finding.what: finding.state for finding in report.findings}
    assert found["documents"] == "2 read" and found["areas.csv"] == "14 facts from 14 sentences and rows"
    assert found["handbook.md"] == "1 fact, 1 rule from 2 sentences and rows"
    assert "areas.csv, line 2: fact: The area of Naxos is 430 km²." in report.notes
    assert report.problems == []
    Path("areas.csv").write_text("Island,Area,Area\nNaxos,1,2\n")
    assert preflight(recipe_of(settings)).problems == ["areas.csv:1: two columns are called 'Area'"]
    with pytest.raises(NesycdError, match=r"areas\.csv:1: two columns"):
        run(settings)
    with pytest.raises(NesycdError, match="base takes the place of files and documents"):
        run({**settings, "knowledge": {"documents": ["handbook.md"], "base": "kb.sqlite"}})


def test_documents_go_along_when_a_run_is_packed(settings: dict[str, Any]) -> None:
    Path("texts").mkdir()
    Path("handbook.md").rename("texts/handbook.md")
    settings["knowledge"]["documents"] = ["areas.csv", "texts"]
    run(settings).close()
    with gathered(Path("runs") / "r") as packed:
        inputs = {name: path.read_bytes() for name, path in packed.files.items() if name.startswith("inputs/")}
        config = json.loads(packed.files["config.json"].read_text())
    table, folder = config["knowledge"]["documents"]
    assert table in inputs and inputs[f"{folder}/handbook.md"] == HANDBOOK.encode()


@pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder with real data")
def test_the_help_desk_s_policy_fills_a_base(tmp_path: Path) -> None:
    data = Path(os.environ["NESYCD_DATA"]) / "helpdesk"
    rows = [json.loads(line) for line in (data / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [{**row, "rationale": f"By the policy. Therefore, the answer is {row['answer']}."} for row in rows]
    documents = [str(data / "policy.txt"), str(data / "per-diem_excel_comma.csv")]
    settings = {"knowledge": {"documents": documents}, "evaluation": {"bootstrap": 20, "methods": ["nesycd"]}}
    with nesycd.distil(rows, student="table", root=tmp_path, progress=False, **settings) as made:
        assert made.kb.stats()["sources"] == {"per-diem_excel_comma.csv": 4, "policy.txt": 27}
        assert read_records(made.folder, "refused", Refusal) == []
        for question, fact in (
            (
                "Ivo is grade G2 and stays 6 nights in a hotel. What is the hotel limit?",
                "The hotel limit per night is 110 EUR for G2.",
            ),
            (
                "Ivo travels to Warsaw for 4 days. How much per-diem does Ivo get?",
                "Per-diem a day is 40 EUR in Warsaw.",
            ),
        ):
            knowledge = made.knowledge()
            hits = knowledge.retriever.retrieve(knowledge.query(made.example(question)))
            assert fact in [hit.item.text for hit in hits]
