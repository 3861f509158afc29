"""LegalBench's diversity tasks: made-up rows in its publisher's shape, and the real files where they are."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.errors import DataError
from nesycd.core.protocols import KnowsTruth
from nesycd.core.records import Derivation, Example
from nesycd.grading import closing
from nesycd.tasks.legalbench import COLUMNS, LIMIT, TASKS, Legalbench, LegalbenchSettings, read_suit

real = pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")

ROWS = {
    "diversity_1": [
        ("Ada is from Ohio. Bo is from Texas. Ada sues Bo for trespass for $75,001.", "Yes"),
        ("Ada is from Ohio. Bo is from Texas. Ada sues Bo for trespass for $75,000.", "No"),
        ("Ada is from Ohio. Bo is from Ohio. Ada sues Bo for trespass for $95,000.", "No"),
    ],
    "diversity_2": [
        ("Ada is from Ohio. Bo is from Iowa. Cy is from Iowa. Ada sues Bo and Cy each for libel for $80,000.", "Yes"),
        ("Ada is from Ohio. Bo is from Iowa. Cy is from Ohio. Ada sues Bo and Cy each for libel for $80,000.", "No"),
        ("Ada is from Ohio. Bo is from Iowa. Cy is from Iowa. Ada sues Bo and Cy each for libel for $40,000.", "No"),
    ],
    "diversity_3": [
        ("Ada is from Ohio. Bo is from New York. Ada sues Bo for libel for $40,000 and tax fraud for $36,000.", "Yes"),
        ("Ada is from Ohio. Bo is from New York. Ada sues Bo for libel for $40,000 and tax fraud for $35,000.", "No"),
    ],
    "diversity_4": [
        ("Ada is from Ohio. Bo is from Ohio. Cy is from Utah. Ada and Bo both sue Cy for libel for $90,000.", "Yes"),
        ("Ada is from Ohio. Bo is from Utah. Cy is from Utah. Ada and Bo both sue Cy for libel for $90,000.", "No"),
    ],
}


def write(folder: Path, task: str, rows: list[tuple[str, str]], columns: tuple[str, ...] = COLUMNS) -> None:
    lines = ["\t".join(columns), *("\t".join((text, label, "-", "-")) for text, label in rows)]
    for part in ("train", "test"):
        (folder / f"{task}__{part}.tsv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for task, rows in ROWS.items():
        write(tmp_path, task, rows)
    return tmp_path


def task_of(folder: Path, train: int = 30, valid: int = 6, seed: int = 0) -> Legalbench:
    return Legalbench(LegalbenchSettings(path=folder, train=train, valid=valid, seed=seed))


def derivation(example: Example) -> Derivation:
    assert example.truth is not None
    return example.truth


def test_published_rows_are_answered_by_the_program(folder: Path) -> None:
    task = task_of(folder)
    found = task.load("test")
    assert [(e.answer, derivation(e).answer) for e in found] == [(a, a) for rows in ROWS.values() for _, a in rows]
    assert not any("published label" in note for note in task.warnings())
    summed = next(example for example in found if example.task == "legalbench/diversity_3")
    assert summed.question == f"{ROWS['diversity_3'][0][0]}\nIs there diversity jurisdiction?"
    assert derivation(summed).steps == (
        LIMIT.text,
        "Ada sues Bo.",
        "Ada and Bo are from Ohio and New York.",
        "So the parties are diverse.",
        "40000 + 36000 = 76000.",
        "76000 is above 75000.",
        "So there is diversity jurisdiction.",
    )
    assert task.grade(task.extract("Therefore, the answer is yes.", summed), summed)
    assert not task.grade("no", summed)


def test_made_questions_are_balanced_and_beside_the_published_training_rows(folder: Path) -> None:
    task = task_of(folder)
    made = [e for split in ("train", "valid") for e in task.load(split) if "-made-" in e.uid]
    assert Counter(e.task for e in made) == {f"legalbench/{name}": 36 for name in TASKS}
    assert Counter((e.task, e.answer) for e in made) == {
        (f"legalbench/{n}", a): 18 for n in TASKS for a in ("Yes", "No")
    }
    assert len({e.question for e in made}) == len(made) and not any("{" in e.question for e in made)
    assert Counter(e.task for e in task.load("train")) == {f"legalbench/{n}": 30 + len(ROWS[n]) for n in TASKS}
    assert [e.question for e in task_of(folder, seed=1).load("valid")] != [e.question for e in task.load("valid")]
    assert len({e.template for e in made}) > 50
    assert not any(re.search(r"\b(is from|sues?|both)\b", e.question) for e in made), "as the publisher writes"


def test_what_a_question_says_is_stated_in_its_order_each_with_its_sentence(folder: Path) -> None:
    summed = next(e for e in task_of(folder).load("test") if e.task == "legalbench/diversity_3")
    truth, last = derivation(summed), "Ada sues Bo for libel for $40,000 and tax fraud for $36,000."
    assert [(one.text, one.said) for one in truth.stated] == [
        ("Ada | from | Ohio", "Ada is from Ohio."),
        ("Bo | from | New York", "Bo is from New York."),
        ("Ada | sues | Bo", last),
        ("libel | amount | $40,000", last),
        ("tax fraud | amount | $36,000", last),
    ]
    assert truth.goal == "Ada | diversity jurisdiction | ?"


def test_the_rules_derive_every_answer_from_the_limit_and_what_the_question_says(folder: Path, deriving: Any) -> None:
    task = task_of(folder, train=12, valid=2)
    assert deriving.misses(task, [e for split in task.splits() for e in task.load(split)]) == []
    higher = LIMIT.model_copy(update={"object": "80,000 dollars", "text": "Above 80,000 dollars."})
    base = deriving.base(task, [higher])
    for example in task.load("test"):
        assert deriving.answer(base, example) == task.derive(example, [higher]).answer, example.question


def test_where_something_needed_was_not_read_there_is_no_jurisdiction_by_mistake(folder: Path, deriving: Any) -> None:
    task = task_of(folder, train=1, valid=1)
    example, base = task.load("test")[0], deriving.base(task)
    stated = [one.text for one in derivation(example).stated]
    for place, text in enumerate(stated):
        kept = [*stated[:place], *stated[place + 1 :]]
        assert base.derive(derivation(example).goal, kept).found == "(nothing follows)", text


def test_answers_follow_another_limit(folder: Path) -> None:
    task = task_of(folder)
    assert isinstance(task, KnowsTruth)
    higher = LIMIT.model_copy(update={"object": "80,000 dollars", "text": "Above 80,000 dollars."})
    changed = [e.uid for e in task.load("test") if task.derive(e, [higher]).answer != e.answer]
    assert changed == [
        "legalbench-diversity_1-test-000",
        "legalbench-diversity_2-test-000",
        "legalbench-diversity_3-test-000",
    ]
    false = task.counterfactual(LIMIT)
    assert (
        false.object != LIMIT.object
        and re.fullmatch(r"\d{2,3},\d{3} dollars", false.object)
        and false.object in false.text
    )
    assert task.missing_facts("test") == [] and task.train_frequency(task.load("test")[0]) == len(task.load("train"))


def test_a_label_that_the_rules_do_not_give_is_noted_and_stands(folder: Path) -> None:
    write(folder, "diversity_1", [(ROWS["diversity_1"][0][0], "No")])
    task = task_of(folder)
    assert "legalbench-diversity_1-test-000: the published label is No, the program gives Yes" in task.warnings()
    assert task.load("test")[0].answer == "No"


@pytest.mark.parametrize(
    ("text", "label", "message"),
    [
        (
            "Ada is from Ohio. Ada sues Bo for libel for $1.",
            "No",
            "not a text of LegalBench's diversity tasks: 'Ada is",
        ),
        ("Ada sues.", "No", "not a text of LegalBench's diversity tasks"),
        (ROWS["diversity_1"][0][0], "Maybe", "label must be Yes or No, but is 'Maybe'"),
        ("", "No", "key 'text' is missing or not a text"),
    ],
)
def test_a_broken_row_is_named(folder: Path, text: str, label: str, message: str) -> None:
    write(folder, "diversity_2", [ROWS["diversity_2"][0], (text, label)])
    with pytest.raises(DataError, match=rf"diversity_2__train\.tsv:3: {message}"):
        task_of(folder)


def test_wrong_files_are_named(folder: Path) -> None:
    write(folder, "diversity_4", [], ("text", "answer", "a", "b"))
    with pytest.raises(
        DataError, match=r"diversity_4__train\.tsv:1: column 'label' is missing; is this LegalBench's own file"
    ):
        task_of(folder)
    (folder / "diversity_1__test.tsv").unlink()
    with pytest.raises(DataError, match=r"diversity_1__test\.tsv: no such file"):
        task_of(folder)


def test_a_text_says_who_sues_whom_for_what() -> None:
    suit = read_suit(ROWS["diversity_4"][0][0])
    assert suit is not None
    assert (suit.plaintiffs, suit.defendants, suit.claims) == (("Ada", "Bo"), ("Cy",), (("libel", 90000),))
    assert suit.homes == (("Ada", "Ohio"), ("Bo", "Ohio"), ("Cy", "Utah"))


@pytest.fixture(scope="module")
def whole() -> Legalbench:
    return task_of(Path(os.environ["NESYCD_DATA"]) / "legalbench", train=100, valid=20)


@real
def test_the_program_gives_all_published_labels(whole: Legalbench) -> None:
    task = whole
    assert task.warnings() == []
    for split in task.splits():
        assert all(task.grade(task.extract(closing(e.answer), e), e) for e in task.load(split))
    published = [e for split in task.splits() for e in task.load(split) if "-made-" not in e.uid]
    assert len(published) == 24 + 1200 and all(derivation(e).answer == e.answer for e in published)
    made = [e for split in ("train", "valid") for e in task.load(split) if "-made-" in e.uid]
    assert len(persons(published)) == 20 and not persons(published) & persons(made)


def persons(examples: list[Example]) -> set[str]:
    return {one.text.partition(" | ")[0] for e in examples for one in derivation(e).stated if " | from | " in one.text}


@real
def test_published_labels_follow_from_what_is_stated(whole: Legalbench, deriving: Any) -> None:
    assert deriving.misses(whole, [*whole.load("train")[::25], *whole.load("test")[::40]]) == []


@real
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_labels_follow_from_what_is_stated_under_twenty_other_limits_too(whole: Legalbench, deriving: Any) -> None:
    assert deriving.misses(whole, [e for split in whole.splits() for e in whole.load(split)]) == []
    affected = 0
    for seed in range(20):
        false = whole.counterfactual(LIMIT, seed)
        base = deriving.base(whole, [false])
        answers = {e.uid: whole.derive(e, [false]).answer for e in whole.load("test")}
        moved = [e for e in whole.load("test") if answers[e.uid] != e.answer]
        affected += len(moved)
        for example in (*moved[:20], *whole.load("test")[seed::100]):
            assert deriving.answer(base, example) == answers[example.uid], (false.object, example.question)
    assert affected >= 100
