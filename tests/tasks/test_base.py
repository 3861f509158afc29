"""Splitting by group and listing conflicts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.core.records import Example
from nesycd.tasks.base import StoredTask, find_conflicts, hold_out, split_by_group, unlettered


def examples(groups: list[int]) -> list[Example]:
    return [
        Example(uid=f"q{n}", task="t", question=f"{group}?", answer="1", group=str(group))
        for n, group in enumerate(groups)
    ]


@given(st.lists(st.integers(0, 8), max_size=40), st.integers(0, 40), st.integers(0, 3))
def test_hold_out_never_splits_a_group_or_loses_an_example(groups: list[int], count: int, seed: int) -> None:
    given_examples = examples(groups)
    kept, held = hold_out(given_examples, count, seed)
    assert sorted(e.uid for e in kept + held) == sorted(e.uid for e in given_examples)
    assert not {e.group for e in kept} & {e.group for e in held}
    assert len(held) <= count


def test_hold_out_is_exact_where_there_are_singles() -> None:
    _, held = hold_out(examples([1, 1, 1, 2, 3, 4, 5, 6]), 4, seed=0)
    assert len(held) == 4


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(0, 3))
def test_a_split_by_ratios_keeps_groups_together(groups: list[int], seed: int) -> None:
    parts = split_by_group(examples(groups), {"train": 0.7, "valid": 0.1, "test": 0.2}, seed)
    assert sum(map(len, parts.values())) == len(groups)
    named = [{e.group for e in members} for members in parts.values()]
    assert not (named[0] & named[1] or named[0] & named[2] or named[1] & named[2])
    if len(set(groups)) >= 3:
        assert all(named)


def test_examples_without_group_stand_alone() -> None:
    alone = [example.model_copy(update={"group": ""}) for example in examples([1] * 10)]
    kept, held = hold_out(alone, 3, seed=0)
    assert (len(kept), len(held)) == (7, 3)


def test_equal_answers_in_other_words_are_no_conflict() -> None:
    one, two, three = examples([1, 1, 1])
    assert find_conflicts([one, two.model_copy(update={"answer": "1.0"})]) == []
    [conflict] = find_conflicts([one, two, three.model_copy(update={"answer": "2"})])
    assert conflict.uids == ("q0", "q1", "q2")


def test_questions_that_stand_in_two_splits_are_told() -> None:
    train, test = (
        [
            Example(uid=f"{split}-{n}", task="t", question=f"{n}?", answer="1", split=split, group=f"{n}")
            for n in numbers
        ]
        for split, numbers in (("train", (1, 2, 3)), ("test", (3, 4)))
    )
    told = StoredTask("t", {"train": train, "test": test}, ["a caution"]).warnings()
    assert told == ["a caution", "1 question(s) stand in both train and test: results on test flatter"]
    assert StoredTask("t", {"train": train[:2], "test": test}).warnings() == []


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        (["(A) red", " (B)blue "], ("red", "blue")),
        (["(A) red", "blue"], ("(A) red", "blue")),
        (["(B) red", "(A) blue"], ("(B) red", "(A) blue")),
        (["(A)", "(B)"], ("(A)", "(B)")),
        ([], ()),
    ],
)
def test_letters_are_taken_off_options_that_all_bear_theirs(options: list[str], texts: tuple[str, ...]) -> None:
    assert unlettered(options) == texts
