"""The statistics of a comparison: crossed resampling and Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest

from nesycd.reports.comparison import _difference, _figure
from nesycd.reports.crossed import Answers, holm, interval, resample, sign_test, two_sided
from nesycd.reports.stats import Design, accuracy_interval, agresti_min, wilson


def crossed(seeds: int, templates: int, by_seed: float, rng: np.random.Generator) -> tuple[Answers, float]:
    """Answers whose accuracy differs from seed to seed and from template to template; a question in each cell."""
    shift = rng.normal(0, by_seed, seeds)
    ease = rng.normal(0, 0.1, templates)
    rows = [(seed, template) for seed in range(seeds) for template in range(templates) for _ in range(4)]
    right = np.array([float(rng.random() < 0.5 + shift[s] + ease[t]) for s, t in rows])
    answers = Answers(["t"] * len(rows), [str(t) for _, t in rows], [s for s, _ in rows], {"one": right})
    return answers, float(right.mean())


def test_intervals_over_seeds_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(120):
        answers, value = crossed(6, 20, 0.08, rng)
        low, high = interval(resample(answers, 300, trial)["one"], value)
        covered += low <= 0.5 <= high
    assert 0.90 <= covered / 120 <= 1.0


def test_questions_alone_give_too_narrow_an_interval_where_seeds_differ() -> None:
    answers, value = crossed(5, 30, 0.15, np.random.default_rng(2))
    low, high = interval(resample(answers, 500, 0)["one"], value)
    alone = accuracy_interval([bool(v) for v in answers.right["one"]], Design(answers.tasks, answers.templates))
    assert alone.low is not None and alone.high is not None
    assert high - low > 1.5 * (alone.high - alone.low)


def test_one_seed_is_the_bootstrap_over_questions() -> None:
    answers, value = crossed(1, 40, 0.0, np.random.default_rng(3))
    low, high = interval(resample(answers, 4000, 0)["one"], value)
    alone = accuracy_interval([bool(v) for v in answers.right["one"]], Design(answers.tasks, answers.templates))
    assert (low, high) == (pytest.approx(alone.low, abs=0.02), pytest.approx(alone.high, abs=0.02))


def test_methods_are_drawn_alike_so_that_their_difference_is_paired() -> None:
    answers, _ = crossed(4, 12, 0.1, np.random.default_rng(4))
    same = answers.right["one"]
    drawn = resample(Answers(answers.tasks, answers.templates, answers.seeds, {"a": same, "b": same}), 50, 0)
    assert np.array_equal(drawn["a"], drawn["b"])


def test_groups_draw_the_same_seeds_and_templates_of_their_own() -> None:
    """A seed's student answers all benchmarks, so their mean varies with seeds as each does, whatever they are called."""

    def width(names: list[str], right: list[list[bool]]) -> float:
        drawn = []
        for name, column in zip(names, right, strict=True):
            rows = [(seed, template) for seed in range(5) for template in range(40)]
            answers = Answers(
                ["t"] * 200, [str(t) for _, t in rows], [s for s, _ in rows], {"m": np.array(column, dtype=float)}
            )
            drawn.append(resample(answers, 2000, 0, name)["m"])
        low, high = interval(np.mean(drawn, axis=0), 0.5)
        return high - low

    rng = np.random.default_rng(5)
    by_seed = [[seed < 3 for seed in range(5) for _ in range(40)]] * 4
    by_template = [[*(rng.random(40) < 0.5)] * 5 for _ in range(4)]
    names, alike = ["a", "bb", "ccc", "dddd"], ["aaa", "bbb", "ccc", "ddd"]
    assert width(names, by_seed) == width(alike, by_seed) == width(names[:1], by_seed[:1]) > 0.5
    one = width(names[:1], by_template[:1])
    assert width(names, by_template) == pytest.approx(one / 2, rel=0.15)
    assert width(alike, by_template) == pytest.approx(one / 2, rel=0.15)


def test_p_values_and_their_correction() -> None:
    assert two_sided(np.linspace(0.01, 1, 999)) == pytest.approx(2 / 1000)
    assert two_sided(np.linspace(-1, 1, 1000)) == 1.0
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == {"a": 0.03, "b": 0.06, "c": 0.06}
    assert holm({}) == {} and holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_one_template_under_one_seed_is_no_certainty() -> None:
    ours, theirs = np.array([1.0, 1, 1, 0, 0, 1]), np.array([0.0, 1, 0, 0, 0, 1])
    answers = Answers(["t"] * 6, ["one"] * 6, [0] * 6, {"ours": ours, "theirs": theirs})
    drawn = resample(answers, 200, 0)
    gap = _difference(answers, "ours", "theirs", drawn)
    expected = agresti_min(2, 0, 6)
    assert (gap.low, gap.high, gap.p) == (expected.low, expected.high, 0.5)
    figure, alone = _figure(answers, "ours", drawn["ours"]), wilson(4, 6)
    assert (figure.low, figure.high) == (alone.low, alone.high)


def test_three_questions_prove_nothing_though_all_go_one_way() -> None:
    answers = Answers(["t"] * 3, ["1", "2", "3"], [0] * 3, {"ours": np.ones(3), "theirs": np.zeros(3)})
    assert _difference(answers, "ours", "theirs", resample(answers, 2000, 0)).p == 0.25
    assert [sign_test(8, 2), sign_test(0, 0)] == [pytest.approx(0.109375), 1.0]


def test_a_difference_without_variance_lies_about_itself_not_about_zero() -> None:
    ones, zeros = np.ones(8), np.zeros(8)
    answers = Answers(["t"] * 8, [str(n) for n in range(8)], [0] * 8, {"ours": ones, "theirs": zeros})
    drawn = resample(answers, 50, 0)
    ahead, behind = _difference(answers, "ours", "theirs", drawn), _difference(answers, "theirs", "ours", drawn)
    expected = agresti_min(8, 0, 8)
    assert (ahead.low, ahead.high) == (expected.low, expected.high) and ahead.low > 0.4
    assert (behind.low, behind.high) == (-ahead.high, -ahead.low)
