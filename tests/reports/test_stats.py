"""Intervals: against formulas, against a simulation of clustered answers, and at their edges."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nesycd.reports.stats import (
    Design,
    Interval,
    accuracy_interval,
    choice_interval,
    gap_closed,
    paired_difference,
    wilson,
)


def alone(n: int, **settings: int) -> Design:
    """Every question its own cluster, one task."""
    return Design(["t"] * n, [""] * n, **settings)


def test_independent_questions_get_the_normal_interval() -> None:
    correct = [True] * 280 + [False] * 120
    found = accuracy_interval(correct, alone(400))
    half = 1.96 * math.sqrt(0.7 * 0.3 / 400)
    assert found.method == "bootstrap" and found.value == 0.7
    assert found.low == pytest.approx(0.7 - half, abs=0.01)
    assert found.high == pytest.approx(0.7 + half, abs=0.01)


def test_templates_that_stand_or_fall_together_widen_the_interval() -> None:
    correct = [index // 10 % 2 == 0 for index in range(200)]
    clustered = accuracy_interval(correct, Design(["t"] * 200, [f"c{index // 10}" for index in range(200)]))
    independent = accuracy_interval(correct, alone(200))
    # Ten alike questions carry the news of one: the interval is sqrt(10) times as wide.
    assert width(clustered) == pytest.approx(width(independent) * math.sqrt(10), rel=0.12)


def test_differences_between_tasks_do_not_count_as_noise() -> None:
    tasks = ["easy"] * 100 + ["hard"] * 100
    correct = [index % 20 > 0 for index in range(100)] + [index % 20 == 0 for index in range(100)]
    found = accuracy_interval(correct, Design(tasks, [""] * 200))
    assert width(found) == pytest.approx(2 * 1.96 * math.sqrt(0.05 * 0.95 / 200), rel=0.15)


def test_two_templates_a_task_cover_what_they_promise() -> None:
    generator = np.random.default_rng(1)
    tasks = [f"task{index // 20}" for index in range(160)]
    templates = [f"{index // 10 % 2}" for index in range(160)]
    covered = naive = 0
    for trial in range(200):
        levels = np.clip(0.6 + 0.2 * generator.standard_normal(16), 0, 1)
        correct = (generator.random(160) < np.repeat(levels, 10)).tolist()
        found = accuracy_interval(correct, Design(tasks, templates, resamples=400, seed=trial))
        simple = wilson(sum(correct), 160)
        covered += inside(found, 0.6)
        naive += inside(simple, 0.6)
    assert covered >= 0.88 * 200
    assert naive < covered


def test_tasks_with_one_template_are_pooled() -> None:
    tasks = [f"task{index // 10}" for index in range(100)]
    correct = [index // 10 % 2 == 0 for index in range(100)]
    found = accuracy_interval(correct, Design(tasks, ["only"] * 100))
    assert found.method == "bootstrap"
    assert found.low is not None and found.low < 0.3


def test_a_single_such_task_joins_another() -> None:
    design = Design(["a"] * 4 + ["b"] * 2, ["1", "1", "2", "2", "1", "1"])
    (stratum,) = design.strata()
    assert sorted(rows.tolist() for rows in stratum) == [[0, 1], [2, 3], [4, 5]]


def test_one_cluster_and_like_answers_fall_back_to_wilson() -> None:
    one = accuracy_interval([True, False, True, True], Design(["t"] * 4, ["c"] * 4))
    alike = accuracy_interval([True] * 10, alone(10))
    assert one == wilson(3, 4) and one.method == "wilson"
    # Ten out of ten: Wilson's lower end is n / (n + z^2).
    assert alike.low == pytest.approx(10 / (10 + 1.96**2), abs=1e-4)
    assert alike.high == 1.0


def test_nothing_asked_nothing_said() -> None:
    empty = Design([], [])
    assert accuracy_interval([], empty) == Interval(0)
    assert paired_difference([], [], empty) == Interval(0)
    assert gap_closed([], [], [], empty) == Interval(0)


def test_a_paired_difference_is_narrower_than_an_unpaired_one() -> None:
    left = [index % 3 > 0 for index in range(300)]
    right = [value and index % 10 > 0 for index, value in enumerate(left)]
    found = paired_difference(left, right, alone(300))
    assert found.value == pytest.approx((sum(left) - sum(right)) / 300)
    assert found.low is not None and found.low > 0
    assert width(found) < width(accuracy_interval(left, alone(300)))


def test_equal_arms_still_have_an_interval() -> None:
    found = paired_difference([True] * 20, [True] * 20, alone(20))
    assert (found.value, found.method) == (0.0, "agresti-min")
    assert found.low is not None and -0.2 < found.low < 0
    assert found.high == pytest.approx(-found.low)


def test_unpaired_arms_are_refused() -> None:
    with pytest.raises(ValueError, match="same questions"):
        paired_difference([True], [True, False], alone(1))


def test_gap_closed() -> None:
    baseline = [index % 10 < 2 for index in range(200)]
    method = [index % 10 < 8 for index in range(200)]
    ceiling = [True] * 200
    found = gap_closed(method, baseline, ceiling, alone(200))
    assert found.value == pytest.approx(0.75)
    assert found.low is not None and 0.6 < found.low < 0.75
    # A ceiling that is none: no share of it can be named.
    assert gap_closed(method, baseline, baseline, alone(200)) == Interval(200)


def test_a_seed_gives_the_same_again() -> None:
    correct = [index % 3 == 0 for index in range(50)]
    assert accuracy_interval(correct, alone(50, seed=3)) == accuracy_interval(correct, alone(50, seed=3))
    assert accuracy_interval(correct, alone(50, seed=3)) != accuracy_interval(correct, alone(50, seed=4))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.sampled_from("abc"), st.sampled_from(["", "1", "2"])), min_size=1
    )
)
def test_intervals_hold_their_value(rows: list[tuple[bool, bool, str, str]]) -> None:
    design = Design([row[2] for row in rows], [row[3] for row in rows], resamples=50)
    one = accuracy_interval([row[0] for row in rows], design)
    assert one.low is not None and one.value is not None and one.high is not None
    assert 0 <= one.low <= one.value <= one.high <= 1
    two = paired_difference([row[0] for row in rows], [row[1] for row in rows], design)
    assert two.low is not None and two.value is not None and two.high is not None
    assert -1 <= two.low <= two.value <= two.high <= 1


def test_it_is_fast() -> None:
    correct = [index % 3 == 0 for index in range(500)]
    took = []
    for _ in range(3):
        start = time.perf_counter()
        accuracy_interval(correct, alone(500))
        took.append(time.perf_counter() - start)
    assert min(took) < 0.2


def width(interval: Interval) -> float:
    assert interval.low is not None and interval.high is not None
    return interval.high - interval.low


def inside(interval: Interval, truth: float) -> bool:
    assert interval.low is not None and interval.high is not None
    return interval.low <= truth <= interval.high


def test_a_choice_has_the_interval_of_what_would_be_chosen_from_other_questions() -> None:
    rng = np.random.default_rng(0)
    # Of three thresholds the second is right most often by far, the others by luck only.
    outcomes = rng.random((300, 3)) < [0.3, 0.8, 0.3]
    assert choice_interval([0.1, 0.5, 0.9], outcomes, alone(300)) == Interval(300, 0.5, 0.5, 0.5, "bootstrap")
    close = rng.random((30, 3)) < [0.5, 0.5, 0.5]
    found = choice_interval([0.1, 0.5, 0.9], close, alone(30))
    assert (found.low, found.high) == (0.1, 0.9)
    # Of equals the last; one template gives no interval.
    same = np.ones((4, 2), dtype=bool)
    assert choice_interval([0.2, 0.7], same, Design(["t"] * 4, ["c"] * 4)) == Interval(4, 0.7)


def test_a_choice_is_the_last_that_is_not_surely_worse() -> None:
    worse_by_one = np.array([[True, True, True]] * 20 + [[False, True, False]])
    surely_worse = np.array([[True, True, True]] * 20 + [[False, True, False]] * 9)
    for outcomes, expected in ((worse_by_one, 0.9), (surely_worse, 0.5)):
        found = choice_interval([0.1, 0.5, 0.9], outcomes, alone(len(outcomes)))
        assert found.value == expected
        assert found.low is not None and found.high is not None and found.low <= expected <= found.high
