"""What is mined from workings: facts, lessons and rules that hold beyond their question, and nothing of its story."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from nesycd.core.answers import Attempt
from nesycd.core.protocols import ErrorCase, Teacher
from nesycd.core.records import Example, Fact
from nesycd.stages import rationalise
from nesycd.tasks.bbh import Bbh, BbhSettings
from nesycd.teachers.mining import NAME, Asked, MiningTeacher, items_of, mine, sentences
from nesycd.teachers.replay import ReplayTeacher
from nesycd.teachers.scripted import ScriptedTeacher


def asked(question: str, task: str = "bbh/some_task", options: tuple[str, ...] = ()) -> Example:
    return Example(uid="q", task=task, question=question, answer="(A)" if options else "x", options=options)


def told(working: str, example: Example) -> list[str]:
    return [item.text for item in items_of(working, example)]


PLAUSIBLE = asked('Is the following sentence plausible? "Ann Lee hit the slant pass in the AFC divisional round."')
LIST = asked("I have a yam, two frogs, and a lettuce head. How many vegetables do I have?")


@pytest.mark.parametrize(
    ("working", "triples"),
    [
        ("Ann Lee is a Canadian ice hockey player.", [("Ann Lee", "is a", "Canadian ice hockey player")]),
        ("Slant pass is part of American football.", [("slant pass", "part of", "American football")]),
        ("Earning a red card in the Champions League Final is part of soccer.", [("red card", "part of", "soccer")]),
        ("Dunking the ball is part of basketball.", [("dunking the ball", "part of", "basketball")]),
        ("Taking a throw in in the Champions League Semifinal is part of soccer.", [("taking a throw in", "part of", "soccer")]),
        ("AFC divisional round is part of the NFL playoffs.", [("AFC divisional round", "part of", "NFL playoffs")]),
        ("It is part of soccer. This is a good thing. Bob is a player.", []),
        ('(1) "brand-new" falls into the age category.', [("brand-new", "category of adjective", "age")]),
        (
            "- Heat (action, crime; 1995)\nThe only similar one seems to be Alien 3 (horror; 1992), as it is scary.",
            [("Heat", "film", "action and crime film of 1995"), ("Alien 3", "film", "horror film of 1992")],
        ),
        (
            'The original name is "toto". This is the name of an American rock band.',
            [("toto", "is the name of", "an American rock band")],
        ),
    ],
)  # fmt: skip
def test_facts_are_linked_to_what_they_are_about(working: str, triples: list[tuple[str, str, str]]) -> None:
    facts = [item for item in items_of(working, PLAUSIBLE) if isinstance(item, Fact)]
    assert [fact.triple for fact in facts] == triples
    assert all(fact.text.endswith(".") and "\n" not in fact.text for fact in facts)


def test_a_list_says_what_its_entries_are() -> None:
    working = (
        "We first identify the vegetables on the list and count:\n- yam (1)\n- potatoes (3)\n- mice (2)\nSo 1 + 3 = 4."
    )
    assert [item.triple for item in items_of(working, LIST) if isinstance(item, Fact)] == [
        ("yam", "is a", "vegetable"), ("potato", "is a", "vegetable"), ("mouse", "is a", "vegetable")
    ]  # fmt: skip
    assert told(working.replace("vegetables", "objects"), LIST)[:1] == [
        "How many vegetables do I have: identify the objects on the list and count."
    ]


def test_what_is_but_the_end_of_a_plural_is_no_entry() -> None:
    assert told("We identify the letters on the list:\n- s (1)\n- yam (1)", asked("How many?"))[0] == "Yam is a letter."


@pytest.mark.parametrize(
    ("working", "texts"),
    [
        ("Remember that (i) what is in brackets is always first and that (ii) not is next.",
         ["Complete the rest of the sequence: what is in brackets is always first and not is next."]),
        ("We should process each input one by one and keep track of the stack.",
         ["Complete the rest of the sequence: process each input one by one and keep track of the stack."]),
        ("So, remember to always compute the inner part first.",
         ["Complete the rest of the sequence: compute the inner part first."]),
        ("Because both X and Y are possible, we conclude that it is ambiguous.",
         ["Complete the rest of the sequence: if both X and Y are possible, then it is ambiguous."]),
        ("When there is more than one, respect this order: \"[1. opinion] [2. size] noun\".",
         ["Complete the rest of the sequence: When there is more than one, respect this order: \"opinion, size, noun\"."]),
        # This question's own matter: its names, numbers, symbols and options, and what points at it.
        ("We need to pop out \"<\" first of all.", []),
        ("We should remember what Zoe always says.", []),
        ("We should always move 17 steps.", []),
        ("This is always a neutral statement to make.", []),
        ("Note that option (A) is always the right one.", []),
        ("We always get A = not B here.", []),
        ("It never rains in the valley of Zoe.", []),
        ("We know that the gardener never waters tulips.", []),
    ],
)  # fmt: skip
def test_lessons_and_rules_are_worded_for_all_questions_of_the_kind(working: str, texts: list[str]) -> None:
    question = "Complete the rest of the sequence, making sure that all of the parentheses are closed. "
    question += "Input: < [ and Zoe moves 17. The gardener waters tulips."
    assert told(working, asked(question)) == texts


@pytest.mark.parametrize(
    ("question", "task", "kind"),
    [
        ("If you follow me, do you return to the starting point? Take 7 steps.", "x", "Do you return to the starting point"),
        ('This SVG path element <path d="M 1,2"/> draws a', "x", "This SVG path element draws a"),
        ("((3 + 4)) =", "bbh/multistep_arithmetic_two", "Multistep arithmetic two"),
        ("Question: Zoe lies. Bob says Zoe lies. Does Bob lie?", "bbh/web_of_lies", "Web of lies"),
        ("not True and not not ( False ) is", "bbh/boolean_expressions", "Boolean expressions"),
    ],
)  # fmt: skip
def test_the_kind_of_a_question_is_what_its_like_share(question: str, task: str, kind: str) -> None:
    assert Asked.of(asked(question, task)).kind == kind


def test_sentences_end_at_lines_and_stops_and_lose_their_bullets() -> None:
    assert sentences("(1) One is. Two are.\n- three, i.e. 3.5 of it\n\n4. Four’s last!") == [
        "One is.", "Two are.", "three, i.e. 3.5 of it", "Four's last!"
    ]  # fmt: skip


def test_the_teacher_stands_before_another_and_tells_of_what_it_cannot_mine() -> None:
    said = ScriptedTeacher({"q": "Ann Lee is a soccer player. Therefore, the answer is no."})
    teacher = MiningTeacher(said)
    assert isinstance(teacher, Teacher) and teacher.name == said.name and teacher.fingerprint != said.fingerprint
    assert list(teacher.rationales([PLAUSIBLE])) == list(said.rationales([PLAUSIBLE]))
    wrong = Attempt(example="q", solver="s", response="yes", prediction="p1")
    cases = [ErrorCase(PLAUSIBLE, "Ann Lee is a soccer player.", wrong), ErrorCase(PLAUSIBLE, None, wrong)]
    found, none = teacher.diagnoses(cases)
    assert (found.teacher, found.attempt, [item.text for item in found.items]) == (
        NAME,
        "p1",
        ["Ann Lee is a soccer player."],
    )
    assert none.failure == "no accepted working to mine" and not none.items
    assert mine(cases[0]) == found


@pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")
def test_real_workings_give_items_of_the_tasks_whose_workings_state_general_things() -> None:
    data = Path(os.environ["NESYCD_DATA"])
    tasks = ("hyperbaton", "sports_understanding", "navigate", "web_of_lies", "temporal_sequences")
    task = Bbh(BbhSettings(path=data / "bbh/bbh", tasks=tasks))
    train = {example.uid: example for example in task.load("train")}
    teacher = ReplayTeacher([data / "teachers/bbh__code-davinci-002.jsonl.gz"])
    kept = rationalise.kept(list(rationalise.rationalise(list(train.values()), teacher, task)))
    counts: Counter[str] = Counter()
    for uid, rationale in kept.items():
        counts[train[uid].task] += len(items_of(rationale.text, train[uid]))
    assert counts["bbh/hyperbaton"] > 500 and counts["bbh/sports_understanding"] > 300 and counts["bbh/navigate"] > 150
    assert counts["bbh/web_of_lies"] == counts["bbh/temporal_sequences"] == 0
