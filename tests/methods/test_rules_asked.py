"""Methods that read a question and ask rules, with the table student on stories of kinship."""

from __future__ import annotations

import asyncio
import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from nesycd.api.finished import OpenRun
from nesycd.calls import DERIVE
from nesycd.cli.run import execute
from nesycd.core.answers import Answer, Attempt
from nesycd.core.config import load_recipe
from nesycd.core.records import Example, Rule, TrainingText
from nesycd.knowledge import KnowledgeBase
from nesycd.reports import load_results
from nesycd.runs.predictions import read_attempts
from nesycd.runs.run import read_records
from tests.methods.stories import write_stories

RECIPE = Path(__file__).parents[2] / "recipes" / "clutrr.toml"
METHODS = ["std_cot", "nesycd_no_kb", "nesycd", "nesycd_oracle", "std_cot_calls", "raft_calls"]


def meeting(number: int, one: str, two: str) -> str:
    """Every eighth story tells it over two sentences."""
    return f"[{one}] has a father. His name is [{two}]." if number % 8 == 7 else f"[{one}] met his father [{two}]."


def run(folder: Path, data: Path, *overrides: str) -> Path:
    recipe = load_recipe(
        RECIPE,
        [
            f"task.settings.path={data}",
            "task.settings.per_length=10",
            "task.sizes={train = 24, valid = 4}",
            "student.model=table",
            "evaluation.bootstrap=50",
            f"evaluation.methods={METHODS}",
            *overrides,
        ],
    )
    execute(recipe, folder, Console(file=io.StringIO(), width=200))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clutrr")
    write_stories(folder, meeting)
    return folder


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("runs") / "r", data)


def attempts(folder: Path, method: str) -> dict[str, Attempt]:
    return {one.example: one for one in read_attempts(folder, f"eval-test-{method}")}


def test_the_student_is_trained_to_read_each_unit_and_to_ask(finished: Path) -> None:
    texts = read_records(finished, "texts-raft_calls", TrainingText)
    read = [text for text in texts if text.task == "reading"]
    examples = {one.uid: one for one in read_records(finished, "examples-train", Example)}
    assert {text.example for text in read} == set(examples) and len(read) > 2 * len(examples)
    for text in read:
        truth = examples[text.example].truth
        assert truth is not None
        known = {one.text for one in truth.stated}
        assert text.completion == "(nothing)" or set(text.completion.splitlines()) <= known
        assert "Before: " in text.prompt and "\nRead: " in text.prompt and "Question" not in text.prompt
    asked = [text for text in texts if text.task != "reading"]
    reached = 0
    for text in asked:
        example = examples[text.example]
        assert example.truth is not None
        assert all(one.text in text.prompt for one in example.truth.stated)
        call, found, rest = text.segments[:3]
        assert call.text == f"[derive: {example.truth.goal}]" and found.source == "supplied"
        if found.text == f" {example.answer}":
            assert rest.text == f". Therefore, the answer is {example.answer}."
            reached += 1
        else:
            assert found.text == " (nothing follows)" and rest.text.startswith(f" {example.rationale}")
    assert 0 < reached <= len(asked) == len(examples)


def test_goals_are_answered_by_the_base_of_each_method(finished: Path) -> None:
    scores = {name: splits["test"] for name, splits in load_results(finished / "results.json").methods.items()}
    assert scores["std_cot"].goals is None
    goals = {name: score.goals for name, score in scores.items() if score.goals is not None}
    assert goals["nesycd_no_kb"].reached == 0 and goals["nesycd_no_kb"].asked == goals["nesycd"].asked > 0
    with KnowledgeBase.open(finished / "kb.sqlite") as kb:
        rules = {entry.item_id for entry in kb.entries() if isinstance(entry.item, Rule)}
    assert rules
    reached = 0
    for one in attempts(finished, "nesycd").values():
        for call in one.calls:
            assert call.name == DERIVE and (call.kind == "note" or set(call.items) <= rules)
            reached += call.kind == "value"
            assert call.kind == "note" or "[stated " in call.how
    assert reached == goals["nesycd"].reached == scores["nesycd"].goals_by_task["clutrr/2"].reached > 0
    for name in ("nesycd", "nesycd_oracle", "std_cot_calls", "raft_calls"):
        told = goals[name].statements
        assert told is not None and told.needed > 0 and told.right <= told.made


def test_an_edited_rule_acts_at_the_next_question(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    shutil.copytree(finished, folder)
    right = next(
        (uid, one) for uid, one in attempts(folder, "nesycd").items() if any(c.kind == "value" for c in one.calls)
    )
    with OpenRun(folder) as opened:
        example = opened.examples("test")[right[0]]
        before = opened.ask(example.question, task=example.task, method="nesycd")
        [goal] = [call for call in before.trace if call.name == DERIVE]
        assert goal.kind == "value" and goal.given
        for item in goal.items:
            opened.kb.retire(item, reviewer="me")
        after = opened.ask(example.question, task=example.task, method="nesycd")
        [gone] = [call for call in after.trace if call.name == DERIVE]
        assert (gone.asked, gone.found, gone.given) == (goal.asked, "(nothing follows)", goal.given)
        assert "stated: " in str(before)
        tried = opened.what_if(lambda kb: kb.approve(goal.items[0], reviewer="me"), method="nesycd", split="test")
        assert tried.touched > 0


def test_a_finished_run_is_read_back_whole(finished: Path, data: Path, tmp_path: Path) -> None:
    def written() -> dict[str, int]:
        files = (finished / "stages").glob("*.json*")
        return {path.name: path.stat().st_mtime_ns for path in files if not path.name.startswith("annotate-")}

    before = written()
    run(finished, data)
    assert written() == before


def test_the_units_may_be_the_whole_question(data: Path, tmp_path: Path) -> None:
    folder = run(tmp_path / "r", data, "calls.read=question", "evaluation.methods=['nesycd']")
    read = read_records(folder, "eval-test-nesycd-read", Answer)
    assert read and all(len(one.predictions) == one.read == 1 for one in read)
    assert any(call.kind == "value" for one in attempts(folder, "nesycd").values() for call in one.calls)


def test_a_server_reads_and_asks_too(finished: Path) -> None:
    pytest.importorskip("fastapi")
    from nesycd.serving.engine import LocalEngine
    from nesycd.serving.metrics import Metrics
    from nesycd.serving.service import Answered, Service

    with OpenRun(finished) as opened:
        known = attempts(finished, "nesycd")
        example = opened.example("[Zoe] met her father [Yan]. [Yan] likes his sister [Xia].\nWhat is Xia to Zoe?")
        stored = opened.examples("test")[next(iter(known))]
        here = opened.ask(example.question, task="clutrr/2", method="nesycd")
        engine = LocalEngine(opened.student, 8)

        async def asked() -> list[Answered]:
            service = Service(opened, engine, Metrics())
            told: list[str] = []
            try:
                new = await service.answer(example.model_copy(update={"task": "clutrr/2"}), "nesycd", None, told.append)
                old = await service.answer(stored, "nesycd", None, told.append)
            finally:
                await service.close()
                await engine.close()
            # Readings are not told: what was told is the beginning of an answer.
            assert all(any(one.reply.text.startswith(text) for one in (new, old)) for text in told)
            return [new, old]

        new, old = asyncio.run(asked())
        assert (new.reply.text, new.reply.trace) == (here.text, here.trace) and here.trace[0].name == DERIVE
        assert old.reply.text == known[stored.uid].response
