"""Masks, contrasts, shrinkage: what an item does is found, and one odd question retires nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.core.answers import Attempt
from nesycd.core.records import Example
from nesycd.stages import effect


def attempt(response: str, correct: bool) -> Attempt:
    return Attempt(example="q", solver="s", response=response, correct=correct)


def test_the_students_own_right_answers_are_the_references() -> None:
    assert effect.references(attempt("with", True), attempt("without", True)) == ["with", "without"]
    assert effect.references(attempt("same", True), attempt("same", True)) == ["same"]
    assert effect.references(attempt("with", False), attempt("without", True)) == ["without"]
    assert effect.references(attempt("with", False), attempt("without", False)) == []


@given(st.integers(0, 7), st.integers(4, 12), st.integers(0, 5))
def test_masks_are_different_and_begin_with_all_and_nothing(size: int, count: int, seed: int) -> None:
    items = [f"i{n}" for n in range(size)]
    made = effect.masks(items, count, seed, "q")
    assert len(set(made)) == len(made) == min(count, 2**size)
    assert made[0] == tuple(items) and (size == 0 or made[1] == ())
    assert made == effect.masks(items, count, seed, "q")


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=6), st.floats(-50, 0))
def test_the_contrasts_of_additive_items_are_what_they_add(adds: list[float], base: float) -> None:
    items = [f"i{n}" for n in range(len(adds))]
    weight = dict(zip(items, adds, strict=True))
    # Random masks tell items apart as soon as there are a few more of them than items.
    blocks = effect.masks(items, 24, 0, "q")
    scored = [(block, base + sum(weight[item] for item in block)) for block in blocks]
    assert effect.contrasts(scored, items) == pytest.approx(weight, abs=1e-6)


def test_a_contrast_is_clipped() -> None:
    assert effect.contrasts([(("a",), -1.0), ((), -90.0)], ["a"]) == {"a": effect.CLIP}


def test_an_item_seen_once_is_drawn_towards_the_others() -> None:
    effects = effect.judge(
        {"often": [-1.0, -1.2, -0.8, -1.1], "once": [-1.0], "good": [1.0, 1.1, 0.9], "fine": [1.2, 0.8]}
    )
    assert effects["often"].shrunk < effects["once"].shrunk < 0 < effects["good"].shrunk
    assert effects["once"].sd > effects["often"].sd and effects["often"].n == 4
    assert effects["often"].harm > 0.99 and effects["good"].harm < 0.01
    assert effect.judge({}) == {} and effect.judge({"a": []}) == {}
    assert effect.judge({"a": [1.0]})["a"].shrunk == pytest.approx(1.0)


def test_the_named_are_the_harmful_ones_at_the_stated_rate() -> None:
    rng = random.Random(0)
    true = {f"bad{n}": -1.0 for n in range(20)} | {f"good{n}": 1.0 for n in range(180)}
    observed = {item: [rng.gauss(mean, 0.7) for _ in range(3)] for item, mean in true.items()}
    named = effect.harmful(effect.judge(observed), rate=0.1)
    wrong = [item for item in named if item.startswith("good")]
    assert len(named) >= 15 and len(wrong) <= 0.2 * len(named)
    assert effect.harmful(effect.judge(observed), rate=0.1, floor=10.0) == []


def test_where_nothing_has_an_effect_next_to_nothing_is_named() -> None:
    rng = random.Random(1)
    observed = {f"i{n}": [rng.gauss(0.0, 1.0) for _ in range(rng.randint(1, 4))] for n in range(200)}
    assert len(effect.harmful(effect.judge(observed), rate=0.1)) <= 2


def test_groups_stay_whole_in_the_halves() -> None:
    examples = [Example(uid=f"q{n}", task="t", question="?", answer="1", group=f"g{n // 3}") for n in range(60)]
    half = effect.halves(examples, seed=0)
    assert all(half[f"q{n}"] == half[f"q{n - n % 3}"] for n in range(60)) and 10 < sum(half.values()) < 50


def test_a_question_counts_once_for_an_item_whatever_its_references() -> None:
    made = [("q1", {"a": 1.0, "b": 0.0}), ("q1", {"a": 3.0, "b": 0.0}), ("q2", {"a": -1.0})]
    assert effect.pooled(made) == {"a": [2.0, -1.0], "b": [0.0]}
