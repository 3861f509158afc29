"""Routers and their calibration."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.errors import DataError
from nesycd.protocols import Router
from nesycd.records import Attempt
from nesycd.routing import AlwaysRouter, Calibration, MarginRouter, NeverRouter, calibrate


def attempts(*pairs: tuple[float, bool]) -> list[Attempt]:
    return [Attempt(example=str(n), solver="s", response="", margin=m, correct=ok) for n, (m, ok) in enumerate(pairs)]


def test_routers() -> None:
    for router, expected in [
        (MarginRouter(0.5), [True, False, False]),
        (AlwaysRouter(), [True] * 3),
        (NeverRouter(), [False] * 3),
    ]:
        assert isinstance(router, Router)
        assert [router.route(margin) for margin in (0.49, 0.5, 1.0)] == expected


def test_the_threshold_lies_in_the_middle_of_the_gap() -> None:
    found = calibrate(attempts((0.2, False), (0.4, False), (0.8, True), (0.9, True)))
    assert found.threshold == pytest.approx(0.6)
    assert (found.balanced_accuracy, found.n, found.n_correct) == (1.0, 4, 2)
    assert [point.threshold for point in found.curve] == pytest.approx([0.1, 0.3, 0.6, 0.85, 0.95])
    assert [point.routed for point in found.curve] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_balance_keeps_the_threshold_where_right_answers_are_rare() -> None:
    many_wrong = [(0.3, False)] * 90 + [(0.7, False)] * 5
    found = calibrate(attempts(*many_wrong, (0.6, True), (0.8, True)))
    assert found.threshold == pytest.approx(0.45), "accuracy alone would route all"


@pytest.mark.parametrize(
    ("pairs", "routes"), [([(1.0, False), (0.0, False)], True), ([(0.0, True), (1.0, True)], False), ([], True)]
)
def test_nothing_to_separate(pairs: list[tuple[float, bool]], routes: bool) -> None:
    found = calibrate(attempts(*pairs))
    router = MarginRouter(found.threshold)
    assert {router.route(margin) for margin in (0.0, 0.5, 1.0)} == {routes}


scored = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.75, 1.0]), st.booleans()), max_size=12)


@given(scored)
def test_no_other_threshold_is_better(pairs: list[tuple[float, bool]]) -> None:
    found = calibrate(attempts(*pairs))
    right, wrong = [m for m, ok in pairs if ok], [m for m, ok in pairs if not ok]
    if right and wrong:

        def balanced(threshold: float) -> float:
            return (
                sum(m >= threshold for m in right) / len(right) + sum(m < threshold for m in wrong) / len(wrong)
            ) / 2

        assert balanced(found.threshold) == pytest.approx(found.balanced_accuracy)
        assert found.balanced_accuracy >= max(balanced(step / 100) for step in range(101)) - 1e-9
        assert all(balanced(p.threshold) == pytest.approx(p.balanced_accuracy) for p in found.curve)


@given(scored)
def test_json_round_trip(pairs: list[tuple[float, bool]]) -> None:
    found = calibrate(attempts(*pairs))
    assert Calibration.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize("row", [{}, {"threshold": 1, "curve": []}, {"curve": [{"x": 1}]}, {"curve": 5}])
def test_json_that_is_no_calibration(row: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"router\.json: not a router calibration"):
        Calibration.from_json(row, "router.json")
