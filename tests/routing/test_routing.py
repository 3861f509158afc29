"""The router's threshold."""

from __future__ import annotations

import pytest

from nesycd.records import Attempt
from nesycd.routing import AlwaysRouter, MarginRouter, NeverRouter, calibrate


def attempts(*pairs: tuple[float, bool]) -> list[Attempt]:
    return [
        Attempt(example=str(i), solver="s", response="", margin=margin, correct=right)
        for i, (margin, right) in enumerate(pairs)
    ]


def test_the_threshold_separates_right_from_wrong() -> None:
    found = calibrate(attempts((0.9, True), (0.8, True), (0.4, False), (0.3, False)))
    assert 0.4 < found.threshold < 0.8 and found.balanced_accuracy == 1.0
    router = MarginRouter(found.threshold)
    assert router.route(0.4) and not router.route(0.8)


def test_the_share_of_hard_questions_does_not_move_it() -> None:
    few = attempts((0.9, True), (0.6, False), (0.3, False))
    many = attempts((0.9, True), *[(0.6, False)] * 9, *[(0.3, False)] * 9)
    assert calibrate(few).threshold == pytest.approx(calibrate(many).threshold)


def test_where_all_are_alike() -> None:
    assert MarginRouter(calibrate(attempts((0.9, False), (1.0, False))).threshold).route(1.0)
    assert not MarginRouter(calibrate(attempts((0.0, True), (0.9, True))).threshold).route(0.0)
    assert MarginRouter(calibrate([]).threshold).route(1.0)
    assert AlwaysRouter().route(1.0) and not NeverRouter().route(0.0)
