"""What to do next: counted from the run's records, with the command for it; nothing where there is nothing to do."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from nesycd.core.answers import Attempt, Call
from nesycd.core.records import Derivation, Entry, Evidence, Example, Fact, Hit, Lesson, Retrieval, Status
from nesycd.knowledge import KnowledgeBase
from nesycd.reports import print_advice, write_report
from nesycd.reports.advice import SEEDS, advice
from nesycd.reports.folder import RunFiles, read_run

FACT = Fact(text="A fathom is 6 feet.", subject="fathom", relation="makes", object="6 feet")
HIT = Hit(item=FACT, score=1.0, why="names fathom")
FOUND = Call(name="look_up", asked="[fathoms | makes]", found="6 feet", items=(FACT.id,))
VAIN = Call(name="look_up", asked="[ells | makes]", found="(not found)", kind="note")
BASE = "--kb 'runs/my run/kb.sqlite'"
ADD = "Add what is missing (or a file of it by nesycd kb import), and run again"
APPROVED = Entry(item=FACT, status=Status.APPROVED, evidence=(Evidence(example="", source="m"),))


def made(
    asked: dict[str, tuple[str, bool, bool, tuple[Call, ...]]],
    run_folder: Path,
    entries: tuple[Entry, ...] = (APPROVED,),
) -> RunFiles:
    """`asked`: of each question the task, whether the answer is right, whether something was retrieved, and its calls."""
    examples = {uid: Example(uid=uid, task=task, question=uid, answer="1") for uid, (task, *_) in asked.items()}
    attempts = {
        uid: Attempt(example=uid, solver="nesycd", response="", correct=right, calls=calls)
        for uid, (_, right, _, calls) in asked.items()
    }
    retrievals = {uid: Retrieval(example=uid, hits=(HIT,) if found else ()) for uid, (_, _, found, _) in asked.items()}
    return dataclasses.replace(
        read_run(run_folder),
        examples={"test": examples},
        attempts={("nesycd", "test"): attempts},
        retrievals={"test": retrievals},
        entries=entries,
        documents={"config.json": '{"retrieval": {"kind": "fused"}}'},
        folder=Path("runs/my run"),
    )


def test_wrong_answers_without_knowledge_are_told_by_task_with_the_command(run_folder: Path) -> None:
    run = made(
        {
            "1": ("units", False, True, (FOUND, VAIN)),
            "2": ("units", False, True, (VAIN,)),
            "3": ("units", False, True, (FOUND,)),
            "4": ("units", True, True, (VAIN,)),
            "5": ("feasts", False, False, ()),
            "6": ("feasts", False, False, (FOUND,)),
            "7": ("feasts", True, True, ()),
        },
        run_folder,
    )
    first, second, last = advice(run)
    assert first.text == (
        "units: 2 of 4 test questions are answered wrongly (nesycd) and lack knowledge: 2 looked up in vain ([ells | makes])"
    )
    assert second.text == (
        "feasts: 1 of 3 test questions are answered wrongly (nesycd) and lack knowledge: nothing was found for 1"
    )
    assert last.command.startswith("nesycd kb add TEXT --kind fact") and last.command.endswith(BASE)


def test_a_question_that_needs_no_fact_lacks_none(run_folder: Path) -> None:
    run = made(
        {"1": ("navigate", False, False, ()), "2": ("navigate", True, True, ()), "3": ("t", True, True, ())}, run_folder
    )
    none = Derivation(facts=(), steps=(), uses=())
    plain = {uid: one.model_copy(update={"truth": none}) for uid, one in run.examples["test"].items()}
    assert [one.text.partition(":")[0] for one in advice(run)] == ["navigate", ADD]
    assert advice(dataclasses.replace(run, examples={"test": plain})) == []


@pytest.mark.parametrize(
    ("approved", "why"),
    [(True, "none of the 1 approved items fits"), (False, "no item of the knowledge base is approved")],
)
def test_a_retriever_that_finds_nothing_for_many_questions_is_told(run_folder: Path, approved: bool, why: str) -> None:
    asked = {str(n): ("a" if n < 3 else "b", True, n > 3, ()) for n in range(6)}
    [told] = advice(made(asked, run_folder, (APPROVED,) if approved else ()))
    assert told.text.startswith("test: for 4 of 6 questions nothing is retrieved (a 3, b 1)") and why in told.text
    assert ("retriever 'fused'" in told.text) == approved
    assert told.command == ("nesycd ask QUESTION --why --run 'runs/my run'" if approved else "")
    # Of fewer than half of the questions that is nothing to be told.
    assert advice(made({**asked, **{str(n): ("b", True, True, ()) for n in range(6, 10)}}, run_folder)) == []


def test_items_that_wait_are_counted_and_the_end_of_both_reports_says_so(run_folder: Path) -> None:
    with KnowledgeBase.open(run_folder / "kb.sqlite") as base:
        base.add([(Lesson(text="Count twice."), Evidence(example="train-1", source="m"))], status=Status.PROPOSED)
    stream = io.StringIO()
    print_advice(run_folder, Console(file=stream, width=60, color_system=None))
    shown = " ".join(stream.getvalue().split())
    assert shown.startswith(
        "What to do next - 1 item of the knowledge base waits for review: decide in the browser, and run again"
    )
    assert f"nesycd review '{run_folder}'" in stream.getvalue()
    assert f"nesycd kb review-file review.html --kb '{run_folder}/kb.sqlite'" in stream.getvalue()
    # Eight special questions are answered wrongly, each with a look-up that found nothing.
    wrong = "units: 8 of 20 test questions are answered wrongly (nesycd) and lack knowledge: 8 looked up in vain"
    assert f"{wrong} ([fathoms | feet])" in shown
    page = write_report(run_folder).read_text()
    assert (
        page.index('id="meaning"') < page.index('<section id="next">') < page.index('<section id="details">')
        and wrong in page
    )
    assert "nesycd review &#x27;a &lt;b&gt;run&#x27;</code>" in page
    assert page.count("#next") == 1


@pytest.mark.parametrize(
    ("low", "high", "told", "command"),
    [
        (
            -0.3,
            -0.1,
            "nesycd is worse than std_cot on test: measure which items do harm",
            "nesycd kb effect RECIPE --name 'a <b>run'",
        ),
        (
            -0.1,
            0.2,
            "nesycd and std_cot cannot be told apart by 40 test questions: more questions, or more seeds,",
            SEEDS,
        ),
        (0.1, 0.3, "", ""),
    ],
)
def test_a_method_that_does_not_help_is_told_with_what_to_do(
    run_folder: Path, low: float, high: float, told: str, command: str
) -> None:
    results = json.loads((run_folder / "results.json").read_text())
    results["differences"]["test"]["nesycd - std_cot"]["all"] |= {"value": (low + high) / 2, "low": low, "high": high}
    (run_folder / "results.json").write_text(json.dumps(results))
    found = [one for one in advice(read_run(run_folder)) if not one.text.startswith(("units: ", "Add ", "2 items"))]
    assert [(one.text[: len(told)], one.command) for one in found] == ([(told, command)] if told else [])


def test_nothing_is_said_where_there_is_nothing_to_do(run_folder: Path) -> None:
    for path in (run_folder / "stages").glob("eval-test-nesycd*"):
        path.unlink()
    results = json.loads((run_folder / "results.json").read_text())
    results["methods"] = {"std_cot": results["methods"]["std_cot"]}
    (run_folder / "results.json").write_text(json.dumps(results))
    [unseen] = advice(read_run(run_folder))
    assert unseen.text.startswith("2 items of the knowledge base are in use, approved automatically, and no")
    assert unseen.command == f"nesycd review '{run_folder}'"
    with KnowledgeBase.open(run_folder / "kb.sqlite") as base:
        base.decide([entry.item_id for entry in base.entries(status=Status.APPROVED)], Status.APPROVED, "Ann")
    stream = io.StringIO()
    print_advice(run_folder, Console(file=stream))
    assert stream.getvalue() == ""
    assert "#next" not in write_report(run_folder).read_text()


def test_a_damaged_run_is_told_in_a_line(run_folder: Path) -> None:
    (run_folder / "stages/retrieve-test.jsonl").write_text("{")
    (run_folder / "stages/retrieve-test.jsonl").write_text("{}\n{}\n")
    stream = io.StringIO()
    print_advice(run_folder, Console(file=stream, width=1000))
    assert stream.getvalue().startswith("note: what to do next cannot be told: ") and stream.getvalue().count("\n") == 1
