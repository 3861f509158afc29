"""What is read of a model's answer about a cluster of errors: procedures as lessons, rules, never facts, nothing copied."""

from __future__ import annotations

import json

import pytest

from nesycd.core.records import Lesson, Rule
from nesycd.prompts import TeacherPrompts
from nesycd.teachers.induction_reply import read_induction

STEPS = ["Sort the words by their first letter.", "Where letters are equal, compare the next ones."]
TEXT = f"When words are to be sorted: {STEPS[0]} {STEPS[1]}"
PROMPT = TeacherPrompts.load().texts["induction"]


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps({"when": "words are to be sorted", "steps": STEPS, "rules": []}),
        f"Sure!\n```json\n{json.dumps({'when': 'When words are to be sorted.', 'steps': STEPS})}\n```",
        json.dumps({"procedure": {"when": "if words are to be sorted", "steps": [{"step": one} for one in STEPS]}}),
        json.dumps(
            {
                "lessons": [
                    {"for": "words are to be sorted", "steps": [f"Step {n}: {s}" for n, s in enumerate(STEPS, 1)]}
                ]
            }
        ),
        json.dumps({"when": "words are to be sorted", "procedure": "1. " + STEPS[0] + " 2. " + STEPS[1]}),
        json.dumps({"when": "words are to be sorted", "steps": "\n".join(STEPS)}),
        str({"when": "words are to be sorted", "steps": STEPS}),
    ],
)
def test_a_procedure_becomes_a_lesson_however_it_is_written(answer: str) -> None:
    reading = read_induction(answer, PROMPT)
    assert (reading.problem, [item.text for item in reading.items]) == ("", [TEXT])
    assert isinstance(reading.items[0], Lesson)


def test_rules_are_taken_and_facts_are_not() -> None:
    fact = {"text": "A hin is 12 logs.", "subject": "hin", "relation": "makes", "object": "12 logs"}
    answer = {
        "when": "",
        "steps": [],
        "rules": [{"if": "a word ends first", "then": "it stands first"}],
        "facts": [fact],
    }
    reading = read_induction(json.dumps(answer), PROMPT)
    assert reading.items == [Rule(text="If a word ends first, then it stands first.")] and not reading.problem


def test_nothing_that_holds_for_all_is_an_answer() -> None:
    reading = read_induction('{"when": "", "steps": [], "rules": []}', PROMPT)
    assert not reading.items and not reading.problem


def test_what_stands_in_the_prompt_is_no_procedure() -> None:
    form = PROMPT[PROMPT.index('{{"when"') :].replace("{{", "{").replace("}}", "}")
    json.loads(form)
    answer = json.dumps({"when": "words are to be sorted", "steps": STEPS, "rules": []})
    for text, shown in ((form, PROMPT), (answer, f"As in this example: {answer}")):
        reading = read_induction(text, shown)
        assert not reading.items and reading.problem == "it has no two steps of its own"
    half = json.dumps({"when": "a question asks ...", "steps": STEPS})
    assert [item.text for item in read_induction(half, PROMPT).items] == [" ".join(STEPS)]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("I don't know.", "no JSON object"),
        ('{"when": "words are to be sorted", "steps": ["Sort them."]}', "no two steps"),
        (
            json.dumps({"when": "w", "steps": ["Compare all letters. " * 10, "Go on. " * 40]}),
            "characters, and at most 400",
        ),
    ],
)
def test_what_cannot_be_used_says_why(answer: str, problem: str) -> None:
    reading = read_induction(answer, PROMPT)
    assert not reading.items and problem in reading.problem
