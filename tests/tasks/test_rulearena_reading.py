"""RuleArena's parser of regular expressions, on the made and the published questions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nesycd.tasks.rulearena import Rulearena, RulearenaSettings
from nesycd.tasks.rulearena_parser import read_ticket

real = pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")


def test_what_is_not_found_is_left_out() -> None:
    assert read_ticket("How much is it?") == ()
    assert read_ticket("The fare is $1,200.\nItem 2: a trunk, 40 lbs") == (
        "ticket | costs | 1200",
        "item 2 | weighs | 40",
    )
    assert read_ticket("On the way from Al Khor to Reno Ann sits in First Class.")[:2] == (
        "ticket | from | Al Khor",
        "ticket | to | Reno",
    )


@real
def test_it_states_what_the_questions_state() -> None:
    settings = RulearenaSettings(path=Path(os.environ["NESYCD_DATA"]) / "rulearena" / "airline", train=40, valid=1)
    task = Rulearena(settings)
    for example in (*task.load("train"), *task.load("test")):
        truth, (stated, goal) = example.truth, task.parse(example) or ((), "")
        assert truth is not None and goal == truth.goal
        assert sorted(stated) == sorted(one.text for one in truth.stated), example.question
