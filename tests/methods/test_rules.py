"""Rules in a run: derived facts reach the contexts, `rules_alone` answers without a student, results say how often."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from rich.console import Console

from nesycd.api.finished import OpenRun
from nesycd.api.measuring import measure_effect
from nesycd.cli.run import execute
from nesycd.core.answers import text_of
from nesycd.core.config import load_recipe
from nesycd.core.judgements import Masked
from nesycd.core.records import Entry, Evidence, Example, Fact, Retrieval, Rule, RuleTest, Status
from nesycd.core.sections import RetrievalSection
from nesycd.knowledge import KnowledgeBase
from nesycd.methods.knowledge import Knowledge
from nesycd.reports import load_results
from nesycd.rules import Engine, failures
from nesycd.runs.predictions import read_attempts
from nesycd.runs.run import read_records
from nesycd.tasks.longtail import LongTail, LongTailSettings

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
SMALL = ("student.model=table", "evaluation.bootstrap=50", 'evaluation.methods=["std_cot", "nesycd_context", "rules_alone"]',
         'evaluation.splits=["test"]', "task.settings.train_special=6", "task.settings.train_general=4",
         "task.settings.valid=2", "task.settings.test_special=3", "task.settings.test_general=2")  # fmt: skip


def run(folder: Path, *overrides: str) -> str:
    out = io.StringIO()
    execute(load_recipe(LONGTAIL, [*SMALL, *overrides]), folder, Console(file=out, width=120))
    return out.getvalue()


def test_derived_facts_join_the_blocks_and_rules_answer_alone(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    run(folder)
    direct = load_results(folder / "results.json").retrieval["test"]
    assert direct.answer_in_context is not None and set(direct.answer_not_in_context) == {"nesycd_context"}
    world = LongTail(LongTailSettings())
    kin = world.families["genealogy"]
    broken = Rule(text="Never tested well.", clause="p(X) :- father(X, Y).", tests=(RuleTest(expect="p(a)."),))
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        by_hand = [*kin.facts(), *(form.rule for form in kin.forms), broken]
        kb.add([(item, Evidence(example="", source="Ann")) for item in by_hand], status=Status.APPROVED, reviewer="Ann")
    told = run(folder, "knowledge.derive=true")
    results = load_results(folder / "results.json")
    assert "rules_alone" in told
    alone = results.methods["rules_alone"]["test"].by_task
    assert alone["genealogy"].accuracy == 1.0 and alone["units"].accuracy == 0.0
    found = results.retrieval["test"]
    assert found.answer_in_context is not None and found.answer_in_context > direct.answer_in_context
    without = found.answer_not_in_context["nesycd_context"]
    assert without.n == round(results.methods["nesycd_context"]["test"].n * (1 - found.answer_in_context))
    retrievals = read_records(folder, "retrieve-test", Retrieval)
    derived = [hit for one in retrievals for hit in one.hits if hit.why.startswith("derived by rule")]
    assert derived and all(hit.item.kind == "fact" for hit in derived)
    attempts = read_attempts(folder, "eval-test-rules_alone")
    assert {one.answer for one in attempts if not one.correct} == {""}
    assert "derived by rule" in (folder / "report.html").read_text(encoding="utf-8")
    # Whoever asks the finished run gets what its arms got.
    examples = {one.uid: one for one in read_records(folder, "examples-test", Example)}
    uid = next(one.example for one in retrievals for hit in one.hits if hit.why.startswith("derived by rule"))
    with OpenRun(folder) as opened:
        asked = opened.ask(examples[uid].question, examples[uid].options, examples[uid].task)
        [again] = opened.respond([examples[uid]], "nesycd_context")
    assert any(hit.why.startswith("derived by rule") for hit in asked.hits)
    made = next(one for one in read_attempts(folder, "eval-test-nesycd_context") if one.example == uid)
    assert (text_of(again.segments), again.answer.knowledge) == (made.response, made.knowledge)


@pytest.mark.parametrize("kind", ["linked", "fused"])
def test_facts_are_derived_whatever_finds_the_direct_ones(kind: Literal["linked", "fused"]) -> None:
    student: Any = SimpleNamespace(fingerprint="s", count_tokens=lambda texts: [len(text.split()) for text in texts])
    line = Rule(text="A father's father.", clause="grandfather(X, Z) :- father(X, Y), father(Y, Z).")
    facts = [
        Fact(text=f"The father of {child} was {father}.", subject=child, relation="father", object=father)
        for child, father in (("Edward III", "Edward II"), ("Edward II", "Edward I"))
    ]
    entries = tuple(Entry(item=item, status=Status.APPROVED) for item in (line, *facts))
    with Engine() as engine:
        plain = Knowledge(RetrievalSection(kind=kind), student, entries)
        deriving = Knowledge(RetrievalSection(kind=kind), student, entries, engine=engine)
        assert plain.fingerprint != deriving.fingerprint
        found = [
            {hit.item.text for hit in one.retriever.retrieve("Who was Edward III's grandfather?")}
            for one in (plain, deriving)
        ]
    assert found[1] - found[0] == {"Edward III's grandfather: Edward I."}


@pytest.mark.slow
def test_effects_are_measured_of_items_and_not_of_what_follows_from_them(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    rule = Rule(text="A unit.", clause="count(X, B, N) :- makes(X, N, B).", says="{X} | {B} | {N}")
    # Of a student that reads facts too.
    reads = "augmented.context=0.5"
    run(folder, reads)
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        kb.add([(rule, Evidence(example="", source="Ann"))], status=Status.APPROVED, reviewer="Ann")
        known = {entry.item_id for entry in kb.entries()}
    measure_effect(load_recipe(LONGTAIL, [*SMALL, reads, "knowledge.derive=true"]), folder, Console(file=io.StringIO()))
    stages = ("effect-retrieve-train", "effect-retrieve-valid")
    retrievals = [one for stage in stages for one in read_records(folder, stage, Retrieval)]
    derived = {one.example: {item.id for item in one.items} - known for one in retrievals}
    masked = read_records(folder, "effect-masked", Masked)
    assert any(derived[one.example] for one in masked) and all(derived[one.example] <= {*one.items} for one in masked)
    content = json.loads((folder / "effect.json").read_text())
    assert content["measured"] == sum("all" in row for row in content["items"]), (
        "every measured item is one of the base"
    )


def test_a_rule_that_fails_its_tests_is_not_approved_by_itself(tmp_path: Path) -> None:
    good = Rule(text="Good.", clause="p(X) :- q(X).", tests=(RuleTest(given="q(a).", expect="p(a)."),))
    bad = Rule(text="Bad.", clause="r(X) :- q(X).", tests=(RuleTest(given="q(a).", expect="r(b)."),))
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as kb, Engine() as engine:
        kb.add([(rule, Evidence(example="e", source="teacher")) for rule in (good, bad)])
        kb.approve_all(but={one.rule.id for one in failures([good, bad], engine)})
        assert [kb.get(rule.id).status for rule in (good, bad)] == [Status.APPROVED, Status.PROPOSED]
