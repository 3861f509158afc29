"""The help desk: a made-up policy of another company, and the real files where they are."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.errors import ConfigError, DataError
from nesycd.core.protocols import KnowsTruth
from nesycd.core.records import Derivation, Example
from nesycd.grading import closing
from nesycd.tasks.helpdesk import FAMILIES, KINDS, Helpdesk, HelpdeskSettings

real = pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")

POLICY = """Rules of Ogley and Sons.
The hotel limit per night is 50 EUR for G1, 60 EUR for G2, 70 EUR for G3, 80 EUR for G4 and 95 EUR for G5.
Per-diem a day is 30 EUR in Bern and 20 EUR in Riga. The first and the last day of a trip are paid at half.
An expense up to 100 EUR needs no approval. Above 100 EUR the team lead approves, above 500 EUR the department head, \
above 2000 EUR the CFO.
Annual leave is 20 days for G1 and G2, 22 days for G3, 25 days for G4 and 27 days for G5.
One day is added for each full four years of service.
At most 8 days of leave are carried over. First-class rail is allowed from G3 on. Alcohol is never reimbursed.
An expense without a receipt is paid up to 40 EUR. Sick leave needs a certificate from the fifth day on.
Home office: up to 4 days a week, in G2 up to 1 days a week."""
ROWS = [
    ("hotel", "Al is grade G4 and stays 3 nights at an inn?", "240"),
    ("perdiem", "Al travels to Riga for 4 days. How much?", "60"),
    ("approval", "Who signs an expense of 500 EUR?", "B"),
    ("approval", "Who signs an expense of 501 EUR?", "department head"),
    ("approval", "Who signs an expense of 100 EUR?", "A"),
    ("leave", "Al is grade G3 and has 9 full years. Days?", "24"),
    ("yesno", "Is a G3 employee allowed to travel first class?", "yes"),
    ("yesno", "May a G2 employee work from home 2 days?", "no"),
    ("yesno", "Is a glass of wine at noon paid?", "no"),
    ("yesno", "Is an expense of 40 EUR without a receipt paid?", "yes"),
    ("yesno", "Can 9 days of leave be carried over?", "no"),
    ("yesno", "Is a certificate needed for 5 days of sick leave?", "yes"),
]


def row(number: int, family: str, question: str, answer: str) -> dict[str, Any]:
    options = {"options": ["nobody", "team lead", "department head", "CFO"]} if family == "approval" else {}
    return {"id": f"{family}-{number}", "task": family, "question": question, "answer": answer, **options}


def write(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "policy.txt").write_text(POLICY)
    (folder / "questions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, [row(number, *one) for number, one in enumerate(ROWS)])
    return tmp_path


def task_of(folder: Path, train: int = 20, valid: int = 5, seed: int = 0) -> Helpdesk:
    return Helpdesk(HelpdeskSettings(path=folder, train=train, valid=valid, seed=seed))


def everything(task: Helpdesk) -> list[Example]:
    return [example for split in task.splits() for example in task.load(split)]


def test_published_questions_are_answered_from_the_policy(folder: Path) -> None:
    task = task_of(folder)
    [note] = task.warnings()
    assert "test has 12 questions, but 62 were published" in note
    found = task.load("test")
    assert [example.answer for example in found] == [
        "240", "60", "(B)", "(C)", "(A)", "24", "yes", "no", "no", "yes", "no", "yes"
    ]  # fmt: skip
    assert [derivation(example).answer for example in found] == [example.answer for example in found]
    hotel = found[0]
    assert hotel.rationale == "The hotel limit of grade G4 is 80 EUR a night. 3 x 80 = 240."
    assert [fact.triple for fact in derivation(hotel).facts] == [("G4", "hotel limit", "80 EUR")]
    assert (hotel.task, task.kind(hotel.task)) == ("helpdesk/hotel", "special")
    stated = [[one.text for one in derivation(example).stated] for example in found]
    assert stated[0] == ["Al | grade | G4", "Al | hotel nights | 3"]
    assert derivation(hotel).stated[0].said == ROWS[0][1] and derivation(hotel).goal == "Al | hotel reimbursement | ?"
    assert stated[9] == ["expense | amount | 40", "expense | receipt | none"], "in the order of the text"
    assert (stated[6], derivation(found[6]).goal) == (["employee | grade | G3"], "employee | first class | ?")


def derivation(example: Example) -> Derivation:
    assert example.truth is not None
    return example.truth


def test_made_questions_are_about_other_values_than_published_ones(folder: Path) -> None:
    task = task_of(folder, train=30)
    made = task.load("train") + task.load("valid")
    assert Counter(example.task for example in made) == {f"helpdesk/{family}": 35 for family in FAMILIES}
    asked = {values(example) for example in task.load("test")}
    assert len(asked) == 12 and not asked & {values(example) for example in made}
    assert len({example.question for example in made}) == len(made)
    assert not {example.question for example in made} & {example.question for example in task.load("test")}
    answers = Counter(example.answer for example in made if example.task == "helpdesk/yesno")
    assert set(answers) == {"yes", "no"} and min(answers.values()) > 10
    assert len({example.answer for example in made if example.task == "helpdesk/approval"}) == 4
    assert made != [e for split in ("train", "valid") for e in task_of(folder, train=30, seed=1).load(split)]
    assert task.missing_facts("test") == []


def values(example: Example) -> tuple[str, ...]:
    """What a question is about, whoever asks."""
    said = (one.text.split(" | ") for one in derivation(example).stated)
    kind = example.template.split("/")[1]
    return (kind, *sorted(parts[0] if parts[1] == "contains" else parts[-1] for parts in said))


def test_the_rules_derive_every_answer_from_facts_and_what_the_question_says(folder: Path, deriving: Any) -> None:
    task = task_of(folder, train=60, valid=1)
    assert len({example.template for example in task.load("train")}) >= 30
    assert deriving.misses(task, task.load("test") + task.load("train")[::2]) == []
    affected, wrong = deriving.misses_after_edits(task, task.policy.facts[::2])
    assert affected >= 3 and not wrong


def test_answers_follow_edited_facts(folder: Path) -> None:
    task = task_of(folder)
    assert isinstance(task, KnowsTruth)
    by_uid = {example.uid: example for example in task.load("test")}
    limit = task.policy.look("G4", "hotel limit")
    edited = limit.model_copy(update={"object": "100 EUR", "text": "The hotel limit of grade G4 is 100 EUR a night."})
    assert task.derive(by_uid["helpdesk-hotel-0"], [edited]).answer == "300"
    assert task.derive(by_uid["helpdesk-hotel-0"]).answer == "240"
    lead = task.policy.look("department head", "approves above")
    assert task.derive(by_uid["helpdesk-approval-2"], [lead.model_copy(update={"object": "400 EUR"})]).answer == "(C)"
    for fact in task.policy.facts:
        false = task.counterfactual(fact, seed=3)
        assert (false.subject, false.relation) == (fact.subject, fact.relation)
        assert false.object != fact.object and false.object in false.text and false == task.counterfactual(fact, seed=3)
    needed = {fact.id for example in task.load("test") for fact in derivation(example).facts}
    changes = [fact for fact in task.policy.facts if fact.id in needed]
    moved = [
        fact.text
        for fact in changes
        if any(
            task.derive(e, [task.counterfactual(fact, s)]).answer != e.answer
            for e in everything(task)
            for s in range(9)
        )
    ]
    assert moved == [fact.text for fact in changes]
    assert task.train_frequency(by_uid["helpdesk-hotel-0"]) > 0
    with pytest.raises(DataError, match="is not a fact of helpdesk"):
        task.counterfactual(edited)
    with pytest.raises(DataError, match="has no number"):
        task.derive(by_uid["helpdesk-hotel-0"], [limit.model_copy(update={"object": "a lot"})])
    with pytest.raises(DataError, match="not a question of helpdesk"):
        task.derive(Example(uid="x", task="helpdesk/hotel", question="?", answer="1"))


def test_a_published_answer_that_the_policy_does_not_give_is_noted_and_stands(folder: Path) -> None:
    write(folder, [row(0, "hotel", "Al is grade G1 and stays 2 nights", "999")])
    task = task_of(folder)
    assert task.load("test")[0].answer == "999"
    assert "helpdesk-hotel-0: the published answer is 999, the policy gives 100" in task.warnings()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"question": "What is the time?"},
            r"questions\.jsonl:1: not a question of the family 'hotel' that can be read",
        ),
        ({"task": "motel"}, "not a question of the family 'motel'"),
        ({"answer": ""}, r"questions\.jsonl:1: key 'answer' is missing or not a text"),
        ({"options": ["a", "b"]}, "options must be nobody, team lead"),
    ],
)
def test_a_question_that_cannot_be_read_is_named(folder: Path, change: dict[str, Any], message: str) -> None:
    write(folder, [row(0, *ROWS[0]) | change])
    with pytest.raises(DataError, match=message):
        task_of(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Alcohol is never", "Wine is never", "no sentence about alcohol"),
        ("Above 100 EUR", "Above 90 EUR", "no sentence about approval"),
        ("full four years", "full 4 years", "no sentence about years of service"),
    ],
)
def test_a_policy_that_lacks_a_sentence_is_named(folder: Path, old: str, new: str, message: str) -> None:
    (folder / "policy.txt").write_text(POLICY.replace(old, new))
    with pytest.raises(DataError, match=rf"policy\.txt: {message} in the form that is read"):
        task_of(folder)


def test_missing_files_and_too_many_questions_are_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="train and valid together are 505 questions a family, but perdiem has fewer"):
        task_of(folder, train=500)
    (folder / "questions.jsonl").write_text(json.dumps(row(0, *ROWS[0])) + "\n" + json.dumps(row(0, *ROWS[0])))
    with pytest.raises(DataError, match=r"questions\.jsonl:2: there is a question 'hotel-0' already"):
        task_of(folder)
    (folder / "policy.txt").unlink()
    with pytest.raises(DataError, match=r"policy\.txt: no such file"):
        task_of(folder)


def test_every_kind_is_of_a_family() -> None:
    assert {kind.family for kind in KINDS.values()} == set(FAMILIES)


@real
def test_the_program_gives_all_published_answers() -> None:
    task = task_of(Path(os.environ["NESYCD_DATA"]) / "helpdesk", train=100, valid=15)
    assert task.warnings() == []
    found = task.load("test")
    for split in task.splits():
        assert all(task.grade(task.extract(closing(e.answer), e), e) for e in task.load(split))
    assert len(found) == 62 and all(derivation(example).answer == example.answer for example in found)
    made = [example for split in ("train", "valid") for example in task.load(split)]
    assert Counter(example.task for example in made) == {f"helpdesk/{family}": 115 for family in FAMILIES}
    assert not {values(e) for e in found} & {values(e) for e in made}
    assert task.missing_facts("test") == []


@real
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_answers_follow_from_what_is_stated_and_from_twenty_changed_facts_too(deriving: Any) -> None:
    task = task_of(Path(os.environ["NESYCD_DATA"]) / "helpdesk", train=100, valid=15)
    assert deriving.misses(task, everything(task)) == []
    needed = [*dict.fromkeys(fact for e in task.load("test") for fact in derivation(e).facts)]
    affected, wrong = deriving.misses_after_edits(task, random.Random(0).sample(needed, 20))
    assert affected >= 30 and not wrong
