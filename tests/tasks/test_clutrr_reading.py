"""CLUTRR without a student: its parser of regular expressions, and its rationales as programs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nesycd.calls.programs import Sandbox
from nesycd.core.records import Example, Rationale
from nesycd.tasks.clutrr import Clutrr, ClutrrSettings
from nesycd.tasks.clutrr_parser import read_story
from nesycd.tasks.clutrr_programs import program_of

real = pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")


@pytest.mark.parametrize(
    ("story", "told"),
    [
        ("[Ann]'s son [Bob] is here.", ["Ann | son | Bob"]),
        ("[Ann]'s favourite aunt, [Bea], came.", ["Ann | aunt | Bea"]),
        ("[Bob] is [Ann]'s brother.", ["Ann | brother | Bob"]),
        ("[Bob] is the proud father of the lovely [Ann].", ["Ann | father | Bob"]),
        ("[Ann] has a grandson who is called [Bob].", ["Ann | grandson | Bob"]),
        ("[Ann] and her sister [Bea] went out.", ["Ann | sister | Bea"]),
        ("[Ann] called [Bea], her mom, yesterday.", ["Ann | mother | Bea"]),
        ("[Cid] took his daughter [Ann] and his wife [Bea] out.", ["Cid | daughter | Ann", "Cid | wife | Bea"]),
        ("[Cid] took his daughters [Ann] and [Bea] out.", ["Cid | daughter | Ann", "Cid | daughter | Bea"]),
        ("[Ann] loves her uncle very much. His name is [Cid].", ["Ann | uncle | Cid"]),
        ("[Ann] slept. Her father-in-law [Cid] cooked.", ["Ann | father-in-law | Cid"]),
        (
            "[Ann]'s father [Cid] is married to [Bea].",
            ["Ann | father | Cid", "Cid | wife | Bea", "Bea | husband | Cid"],
        ),
        ("[Ann] plays with her brother's son [Bob].", []),
        ("[Ann] likes [Bob].", []),
        ("", []),
    ],
)
def test_what_the_parser_reads(story: str, told: list[str]) -> None:
    assert [" | ".join(kin) for kin in read_story(story)[0]] == told


def test_no_story_takes_long() -> None:
    for story in ("[Ann] " * 400, "her " * 2000 + "son", "[A]" + " is the" * 500, "[A] and her " * 200 + "[B]"):
        started = time.process_time()
        read_story(story)
        assert time.process_time() - started < 3, story[:20]


def task() -> Clutrr:
    return Clutrr.__new__(Clutrr)


def test_the_parser_states_each_relation_from_either_person_where_it_knows_how() -> None:
    example = Example(
        uid="x",
        task="clutrr/2",
        question="[Ann] took her son [Bob] out. [Bob]'s wife is [Eve].\nWhat is Eve to Ann?",
        answer="?",
    )
    stated, goal = task().parse(example) or ((), "")
    assert goal == "Ann | ? | Eve"
    assert stated == ("Ann | son | Bob", "Bob | wife | Eve", "Bob | mother | Ann", "Eve | husband | Bob")
    assert task().parse(example.model_copy(update={"question": "Who is Ann?"})) is None


def test_a_rationale_becomes_a_program_by_what_it_says() -> None:
    told = "The son of Ann is Bob. The wife of Bob is Eve. The sister of Eve is Flo."
    told += " So the daughter-in-law of Ann is Eve: the wife of the son."
    made = task().program(
        Example(uid="x", task="t", question="?", answer="?"), Rationale(example="x", teacher="t", text=told)
    )
    assert Sandbox().run(made).answer == "daughter-in-law"
    # A step that rests on nothing that was said, and other words, become none.
    assert program_of("The son of Ann is Bob. So the niece of Ann is Eve: the wife of the son.") == ""
    assert program_of("Ann's son is Bob. So Eve is the daughter-in-law.") == ""
    assert program_of('The son of Ann is "Bob". So the son of Ann is "): the wife of the son.') == ""


@real
def test_the_parser_and_the_programs_on_the_published_training_pool() -> None:
    published = Clutrr(ClutrrSettings(path=Path(os.environ["NESYCD_DATA"]) / "clutrr"))
    train, sandbox = published.load("train")[:100], Sandbox()
    read = pairs = 0
    for example in train:
        assert example.truth is not None and example.rationale is not None
        stated, goal = published.parse(example) or ((), "")
        assert goal == example.truth.goal
        gold = [one.text for one in example.truth.stated]
        pairs += len(gold) // 2
        read += sum(bool(set(gold[at : at + 2]) & set(stated)) for at in range(0, len(gold), 2))
        program = program_of(example.rationale)
        assert sandbox.run(program).answer == example.answer, program
    assert 0.8 < read / pairs < 0.95
