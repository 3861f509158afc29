"""`nesycd kb effect` on a run of the table student whose knowledge base holds a lie."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.api.measuring import measure_effect
from nesycd.cli.main import app
from nesycd.core.config import load_recipe
from nesycd.core.errors import DataError
from nesycd.core.judgements import Masked
from nesycd.core.records import Example, Retrieval, Status
from nesycd.knowledge import KnowledgeBase
from nesycd.runs.run import read_records

ROOT = Path(__file__).parents[2]
LONGTAIL = ROOT / "recipes" / "longtail.toml"
SETTINGS = (
    "student.model=table",
    "augmented.calls=0",
    "augmented.context=1",
    "evaluation.bootstrap=50",
    "evaluation.splits=['test']",
    "evaluation.methods=['nesycd']",
    "task.settings.test_special=2",
    "task.settings.test_general=2",
)


def effect(folder: Path) -> str:
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    call = ["kb", "effect", str(LONGTAIL), *sets, "--name", folder.name, "--root", str(folder.parent)]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.output


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("runs") / "r"
    return folder, effect(folder)


def test_items_are_measured_where_they_did_not_come_from_and_nothing_is_changed(measured: tuple[Path, str]) -> None:
    folder, said = measured
    content = json.loads((folder / "effect.json").read_text())
    asked = [e for split in ("train", "valid") for e in read_records(folder, f"examples-{split}", Example)]
    assert content["schema"] == "effect/1" and content["questions"] == len(asked)
    assert 0 < content["measured"] <= content["approved"] == len(content["items"])
    assert f"{content['measured']} of {content['approved']} approved items measured" in " ".join(said.split())
    masked = read_records(folder, "effect-masked", Masked)
    assert {one.example for one in masked} <= {example.uid for example in asked}
    stages = ("effect-retrieve-train", "effect-retrieve-valid")
    shown = {
        one.example: {i.id for i in one.items} for stage in stages for one in read_records(folder, stage, Retrieval)
    }
    assert all(set(one.items) <= shown[one.example] for one in masked)
    # An item that a training question alone gave rise to is not judged on it.
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        lone = {e.item_id: e.evidence[0].example for e in kb.entries() if len({p.example for p in e.evidence}) == 1}
    assert lone and not [one for one in masked for item in one.items if lone.get(item) == one.example]
    # What the table student copies into its answers helps it.
    known = [row["all"]["shrunk"] for row in content["items"] if "all" in row]
    assert sum(value > 0 for value in known) > 0.5 * len(known)
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        assert {entry.status for entry in kb.entries()} == {Status.APPROVED}


def test_a_second_time_nothing_is_done_and_the_run_keeps_what_was_measured(measured: tuple[Path, str]) -> None:
    folder, _ = measured
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "stages").iterdir()}
    effect(folder)
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "stages").iterdir()} == before


def test_without_knowledge_there_is_nothing_to_measure(tmp_path: Path) -> None:
    rows = [
        {"question": f"What is {n} plus {n}?", "answer": str(2 * n), "rationale": f"{n} + {n} = {2 * n}."}
        for n in range(30)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "test.jsonl").write_text(json.dumps({"question": "What is 99 plus 1?", "answer": "100"}) + "\n")
    recipe = tmp_path / "own.toml"
    recipe.write_text(
        f'name = "own"\n[task]\nname = "jsonl"\n[task.settings]\ntrain = "{tmp_path / "train.jsonl"}"\n'
        f'test = "{tmp_path / "test.jsonl"}"\n'
        '[teacher]\nname = "scripted"\n[student]\nmodel = "table"\n'
    )
    settings = load_recipe(recipe)
    with pytest.raises(DataError, match="nothing to score"):
        measure_effect(settings, tmp_path / "r")


def test_the_command_explains_itself() -> None:
    said = CliRunner().invoke(app, ["kb", "effect", "--help"]).output
    assert "nesycd kb effect recipes/quickstart.toml" in said and "--retire" in said


def test_what_is_looked_up_is_not_measured_as_if_it_were_read(tmp_path: Path) -> None:
    sets = [f for f in SETTINGS if not f.startswith("augmented.")]
    call = [
        "kb",
        "effect",
        str(LONGTAIL),
        *(word for one in sets for word in ("--set", one)),
        "--root",
        str(tmp_path),
    ]
    result = CliRunner().invoke(app, [*call, "--name", "r"])
    assert result.exit_code == 0, result.output
    assert "facts are looked up: only the effect of what is read is measured" in " ".join(result.output.split())
    with KnowledgeBase.open(tmp_path / "r" / "kb.sqlite") as kb:
        kinds = {entry.item_id: entry.item.kind for entry in kb.entries()}
    measured = [row["id"] for row in json.loads((tmp_path / "r" / "effect.json").read_text())["items"] if "all" in row]
    kept = [kinds[one] for one in measured]
    assert measured and kept.count("fact") < [*kinds.values()].count("fact") / 4, "most facts are looked up"
