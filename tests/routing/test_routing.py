"""Routers and their calibration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.core.answers import Attempt
from nesycd.core.protocols import Generation, Router
from nesycd.routing import (
    AlwaysRouter,
    Case,
    MarginRouter,
    NeverRouter,
    calibrate,
    calibrate_routing,
    router_of,
    routes,
)
from nesycd.routing import right as right_of


def attempts(*pairs: tuple[float, bool]) -> list[Attempt]:
    return [
        Attempt(example=str(n), solver="s", response="", least_margin=m, correct=ok) for n, (m, ok) in enumerate(pairs)
    ]


def test_routers() -> None:
    drafts = attempts((0.49, True), (0.5, True), (1.0, True))
    for router, kind, expected in [
        (router_of("margin", 0.5), MarginRouter, [True, False, False]),
        (router_of("always", 0.5), AlwaysRouter, [True] * 3),
        (router_of("never", 0.5), NeverRouter, [False] * 3),
    ]:
        assert isinstance(router, Router) and isinstance(router, kind)
        assert [router.route(draft, found=True) for draft in drafts] == expected
    # Where nothing was found there is nothing to give.
    assert not MarginRouter(2.0).route(drafts[0], found=False)


def test_the_threshold_lies_in_the_middle_of_the_gap() -> None:
    found = calibrate(attempts((0.2, False), (0.4, False), (0.8, True), (0.9, True)))
    assert found.threshold == pytest.approx(0.6)
    assert (found.score, found.n, found.n_correct) == (1.0, 4, 2)
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
    assert {router.route(draft, found=True) for draft in attempts((0.0, True), (0.5, True), (1.0, True))} == {routes}


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

        assert balanced(found.threshold) == pytest.approx(found.score)
        assert found.score >= max(balanced(step / 100) for step in range(101)) - 1e-9
        assert all(balanced(p.threshold) == pytest.approx(p.score) for p in found.curve)


outcomes = st.tuples(st.booleans(), st.booleans())


@given(scored, st.lists(outcomes, min_size=12, max_size=12))
def test_no_other_threshold_is_surely_better_and_no_higher_one_as_good(
    pairs: list[tuple[float, bool]], informed_as: list[tuple[bool, bool]]
) -> None:
    drafts = attempts(*pairs)
    informed = [
        draft.model_copy(update={"correct": right, "knowledge": ("k",) if found else ()})
        for draft, (right, found) in zip(drafts, informed_as, strict=False)
    ]
    found = calibrate_routing(drafts, informed)
    if drafts:

        def right(threshold: float) -> float:
            cases = [Case(draft, answer, "") for draft, answer in zip(drafts, informed, strict=True)]
            made = right_of(cases, routes(MarginRouter(threshold), cases))
            return sum(made) / len(made)

        assert right(found.threshold) == pytest.approx(found.score)
        best = max((point.score for point in found.curve), default=found.score)
        assert best == pytest.approx(max(right(step / 100) for step in range(201)))
        # One standard error of a paired difference of at most twelve questions.
        assert found.score >= best - (1 / len(drafts)) * len(drafts) ** 0.5 - 1e-9
        assert all(point.score < best for point in found.curve if point.threshold > found.threshold)
        assert all(right(point.threshold) == pytest.approx(point.score) for point in found.curve)


def test_of_thresholds_within_a_standard_error_the_most_generous_is_taken() -> None:
    drafts = attempts((0.2, False), (0.4, True), (0.8, True), (0.9, False))
    informed = [
        draft.model_copy(update={"correct": right, "knowledge": ("k",)})
        for draft, right in zip(drafts, [1, 1, 1, 0], strict=True)
    ]
    found = calibrate_routing(drafts, informed)
    assert found.score == 0.75 and found.threshold > 1, "knowledge harms nowhere"
    assert [point.routed for point in found.curve] == [0.0, 0.25, 0.5, 0.75, 1.0]
    many = attempts(*[(0.1, False)] * 20, *[(0.9, True)] * 20)
    harmed = [one.model_copy(update={"correct": not one.correct, "knowledge": ("k",)}) for one in many]
    assert calibrate_routing(many, harmed).threshold == pytest.approx(0.5), "there it would surely harm"
    slightly = [one.model_copy(update={"correct": True, "knowledge": ("k",)}) for one in many]
    slightly[-1] = slightly[-1].model_copy(update={"correct": False})
    assert calibrate_routing(many, slightly).threshold > 0.9, "one answer of forty may be chance"


def test_the_signal_decides_which_margin_is_looked_at() -> None:
    guess = Attempt(example="e", solver="s", response="", margin=0.95, least_margin=0.2)
    assert MarginRouter(0.5).unsure(guess) and not MarginRouter(0.5, "mean").unsure(guess)
    assert Generation.signals([1.0, 0.1, 1.0, 0.2, 0.3]) == (pytest.approx(0.52), pytest.approx(0.2))
    assert Generation.signals([0.5]) == (0.5, 0.5) and Generation.signals([]) == (0.0, 0.0)


def test_where_nothing_was_found_for_any_question_every_draft_stands() -> None:
    drafts = attempts((0.2, False), (0.8, True))
    found = calibrate_routing(drafts, [draft.model_copy(update={"correct": True}) for draft in drafts])
    assert (found.threshold, found.score, found.n, found.n_correct) == (0.0, 0.5, 2, 1)
