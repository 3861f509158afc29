"""`nesycd kb test` on a run of the table student: what an edit changes, what it cannot touch, and the exit code."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from nesycd.cli.kb_test import _write_suite
from nesycd.cli.main import app
from nesycd.cli.run import execute
from nesycd.core.config import load_recipe
from nesycd.core.records import Fact
from nesycd.knowledge import KnowledgeBase
from nesycd.tasks.jsonl import Jsonl, JsonlSettings, read_questions

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
SETTINGS = (
    "student.model=table",
    "evaluation.bootstrap=50",
    "evaluation.splits=['test']",
    "evaluation.methods=['nesycd']",
    "task.settings.test_special=2",
    "task.settings.test_general=2",
    "router.mode=always",
    "augmented.calls=1",
    "augmented.context=0.25",
    "augmented.calls_and_context=0.25",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "r"
    execute(load_recipe(LONGTAIL, SETTINGS), folder, Console(file=io.StringIO(), width=120))
    return folder


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "runs" / "r")
    return tmp_path


def kb_test(place: Path, *words: str) -> Result:
    call = ["kb", "test", str(place / "suite.jsonl"), "--run", "r", "--root", str(place / "runs"), *words]
    return CliRunner().invoke(app, call)


def rows(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / "suite.jsonl").read_text().splitlines()]


def lie(place: Path) -> Fact:
    """Change a fact of the run's knowledge base that right answers of the suite rest on."""
    pins = json.loads((place / "suite.pins.json").read_text())["pins"]
    right = {row["question"]: row for row in rows(place) if pins[row["id"]]["answer"] == row["answer"]}
    with KnowledgeBase.open(place / "runs" / "r" / "kb.sqlite") as kb:
        for entry in kb.entries(kind="fact"):
            fact = entry.item
            assert isinstance(fact, Fact)
            asked = [row for question, row in right.items() if f" {fact.subject}" in question.lower()]
            if asked and fact.object.split()[0].isdigit() and fact.object.split()[0] in fact.text:
                number = fact.object.split()[0]
                changed = {
                    "text": fact.text.replace(number, str(int(number) + 5)),
                    "object": fact.object.replace(number, str(int(number) + 5)),
                }
                kb.edit(entry.item_id, changed, "ann")
                return fact
    raise AssertionError("no fact to change")


def test_a_suite_is_written_pinned_and_not_asked_again(place: Path) -> None:
    first = kb_test(place, "--from", "valid")
    assert first.exit_code == 0, first.output
    count = len(rows(place))
    said = " ".join(first.output.split())
    assert (
        f"0 of {count} answers change" in said and f"{count} asked, {count} of them new" in said and "pinned:" in said
    )
    again = kb_test(place)
    assert again.exit_code == 0
    assert f"0 of {count} answers change: 0 intended, 0 drift, 0 regressions. 0 asked again" in " ".join(
        again.output.split()
    )
    assert "exists already" in kb_test(place, "--from", "valid").output


def test_an_edit_is_a_regression_until_the_suite_expects_it(place: Path) -> None:
    kb_test(place, "--from", "valid")
    count = len(rows(place))
    fact = lie(place)
    broken = kb_test(place, "--json", str(place / "changes.json"))
    report = json.loads((place / "changes.json").read_text())
    assert broken.exit_code == 1 and "regression" in broken.output
    regressions = [change for change in report["changes"] if change["verdict"] == "regression"]
    # Only what looks the changed fact up is asked again, and what it found is told.
    new = str(int(fact.object.split()[0]) + 5)
    for change in regressions:
        assert [line for line in change["knowledge"] if line.startswith("[") and f" | {fact.relation}] {new}" in line]
        assert f"- {change['knowledge'][-1]}" in broken.output
    assert regressions and 0 < report["asked"] < count / 2
    assert all(change["before"] == change["expected"] != change["after"] for change in regressions)
    meant = {change["id"]: change["after"] for change in report["changes"]}
    lines = [json.dumps({**row, "answer": meant.get(row["id"], row["answer"])}) + "\n" for row in rows(place)]
    (place / "suite.jsonl").write_text("".join(lines))
    fixed = kb_test(place, "--pin")
    assert fixed.exit_code == 0, fixed.output
    assert f"{len(meant)} of {count} answers change: {len(meant)} intended" in " ".join(fixed.output.split())
    assert f"0 of {count} answers change" in " ".join(kb_test(place).output.split())


def test_users_mistakes_are_one_sentence(place: Path) -> None:
    assert "no such file" in kb_test(place).output
    assert "the splits train, valid, test" in kb_test(place, "--from", "tset").output
    (place / "suite.jsonl").write_text('{"question": "What?", "answer": "1"}\n')
    (place / "suite.pins.json").write_text("{}")
    assert "no pins of" in kb_test(place).output
    (place / "suite.jsonl").write_text('{"question": "What?"}\n')
    assert "suite.jsonl:1: key 'answer' is missing" in "".join(kb_test(place).output.split("\n"))


def test_a_run_trained_anew_is_asked_everything(place: Path) -> None:
    kb_test(place, "--from", "valid")
    pins = place / "suite.pins.json"
    pins.write_text(json.dumps({**json.loads(pins.read_text()), "students": "others"}))
    said = " ".join(kb_test(place).output.split())
    assert "the pins are of other students" in said and f"{len(rows(place))} asked" in said


def test_a_suite_keeps_all_accepted_answers(tmp_path: Path) -> None:
    own = tmp_path / "own.jsonl"
    own.write_text("".join(json.dumps({"question": f"Q{n}?", "answer": [str(n), f"n {n}"]}) + "\n" for n in range(9)))
    _write_suite(tmp_path / "suite.jsonl", Jsonl(JsonlSettings(path=own)), "test")
    examples = read_questions(tmp_path / "suite.jsonl", "jsonl")
    assert examples and all(example.accepted == (f"n {example.answer}",) for example in examples)
