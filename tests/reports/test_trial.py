"""What a finished run offers to try: an edit of one fact that an answer rests on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from nesycd.core.answers import Attempt, Call
from nesycd.core.records import Entry, Evidence, Example, Fact, Status
from nesycd.reports.folder import RunFiles
from nesycd.reports.results import Results
from nesycd.reports.trial import Trial, trial_of

FATHOM = Fact(text="A fathom is 6 feet.", subject="fathom", relation="makes", object="6 feet")
LONG = Fact(text="A league is 3 miles long.", subject="league", relation="makes", object="3 miles")
COLOUR = Fact(text="Gules is red.", subject="gules", relation="colour", object="red")
HALF = Fact(text="An ell is 1.5 yards.", subject="ell", relation="makes", object="1.5 yards")
APART = Fact(text="A span has nine inches.", subject="span", relation="makes", object="9 inches")


def found(*facts: Fact, kind: str = "look_up") -> Call:
    return Call(name=kind, asked="[x | y]", found="z", items=tuple(fact.id for fact in facts))


def run_of(
    results: Results,
    *asked: tuple[str, bool, Sequence[Call]],
    options: tuple[str, ...] = (),
    status: Status = Status.APPROVED,
) -> RunFiles:
    """`asked`: of each question the text, whether the answer is right, and its calls."""
    examples = {text: Example(uid=text, task="t", question=text, answer="1", options=options) for text, _, _ in asked}
    attempts = {
        text: Attempt(example=text, solver="nesycd", response="", correct=right, calls=tuple(calls))
        for text, right, calls in asked
    }
    facts = (FATHOM, LONG, COLOUR, HALF, APART)
    entries = tuple(Entry(item=one, status=status, evidence=(Evidence(example="", source="m"),)) for one in facts)
    return RunFiles(
        "r", results, {"test": examples}, {("nesycd", "test"): attempts}, entries=entries, folder=Path("runs/my run")
    )


@pytest.fixture
def results(evaluation: object) -> Results:
    from nesycd.reports import build_results

    return build_results(evaluation)  # type: ignore[arg-type]


def test_the_shortest_question_that_rests_on_one_fact_is_tried(results: Results) -> None:
    run = run_of(
        results,
        ("How many feet are 2 fathoms?", True, [found(FATHOM), found(kind="sum")]),
        ("A much longer one about 2 leagues?", True, [found(LONG)]),
        ("Wrong?", False, [found(FATHOM)]),
        ("Two?", True, [found(FATHOM), found(LONG)]),
        ("Many?", True, [found(FATHOM, LONG)]),
        ("Vain?", True, [found()]),
        ("None?", True, []),
    )
    trial = trial_of(run)
    assert trial == Trial("How many feet are 2 fathoms?", FATHOM, "7 feet", "A fathom is 7 feet.")
    ask, edit, again, back = trial.commands(run)
    assert shlex.split(ask) == [
        *("nesycd", "ask", "How many feet are 2 fathoms?", "--method", "nesycd", "--run", "runs/my run")
    ]
    assert shlex.split(edit) == [
        *("nesycd", "kb", "edit", FATHOM.id, "--object", "7 feet", "--text", "A fathom is 7 feet."),
        *("--kb", "runs/my run/kb.sqlite"),
    ]
    assert again == ask
    edited = Fact(**FATHOM.model_dump(exclude={"text", "object"}), text="A fathom is 7 feet.", object="7 feet")
    assert shlex.split(back) == [
        *("nesycd", "kb", "edit", edited.id, "--object", FATHOM.object, "--text", FATHOM.text),
        *("--kb", "runs/my run/kb.sqlite"),
    ]


@pytest.mark.parametrize(
    "fact",
    [
        pytest.param(COLOUR, id="no number"),
        pytest.param(HALF, id="no whole number"),
        pytest.param(APART, id="not said"),
    ],
)
def test_nothing_is_tried_where_the_facts_number_cannot_be_changed(results: Results, fact: Fact) -> None:
    assert trial_of(run_of(results, ("How much?", True, [found(fact)]))) is None


def test_nothing_is_tried_with_options_or_what_is_not_approved(results: Results) -> None:
    asked = ("How many?", True, [found(FATHOM)])
    assert trial_of(run_of(results, asked)) is not None
    assert trial_of(run_of(results, asked, options=("a", "b"))) is None
    assert trial_of(run_of(results, asked, status=Status.REJECTED)) is None
    assert trial_of(run_of(results, ("Two\nlines?", True, [found(FATHOM)]))) is None
