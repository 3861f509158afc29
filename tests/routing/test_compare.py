"""Routers side by side on held-out questions."""

from __future__ import annotations

import random

import pytest

from nesycd.core.answers import Attempt
from nesycd.core.errors import DataError
from nesycd.routing import SIGNALS, Case, calibrate_routing, folds_of, judge, outcomes, right, routes, sweep


def attempt(uid: str, right: bool, least: float = 0.5, **more: object) -> Attempt:
    signals = {"margin": (1 + least) / 2, "least_margin": least}
    return Attempt(example=uid, solver="s", response="r", correct=right, **signals, **more)  # type: ignore[arg-type]


def made(n: int = 80) -> list[Case]:
    """Drafts that are right where they are sure, and knowledge that helps every other time; every fifth finds nothing."""
    rng = random.Random(1)
    cases = []
    for number in range(n):
        least = rng.random()
        draft = attempt(str(number), rng.random() < least, least)
        shown = {"knowledge": ("k",), "knowledge_tokens": 10} if number % 5 else {}
        informed = attempt(str(number), rng.random() < (0.1 if number % 2 else 0.95), **shown)
        cases.append(Case(draft, informed, f"t{number % 8}"))
    return cases


def test_folds_keep_groups_together_and_are_of_like_size() -> None:
    groups = [f"g{n % 7}" for n in range(40)]
    folds = folds_of(groups)
    assert set(folds) == {0, 1, 2, 3, 4}
    assert all(len({f for f, g in zip(folds, groups, strict=True) if g == group}) == 1 for group in groups)
    assert max(folds.count(fold) for fold in range(5)) <= 11, "seven groups of five or six"
    with pytest.raises(DataError, match="one template"):
        folds_of(["a", "a"])


@pytest.mark.parametrize(("name", "signal"), [*SIGNALS.items()])
def test_a_margin_router_is_compared_as_it_is_calibrated(name: str, signal: str) -> None:
    cases = made()
    judged = judge(name, cases)
    told = calibrate_routing([c.closed_book for c in cases], [c.augmented for c in cases], signal)  # type: ignore[arg-type]
    assert judged.threshold == told.threshold and judged.curve == told.curve
    answers = right(cases, routes(judged.router, cases))
    assert sum(answers) / len(answers) == pytest.approx(told.score)


@pytest.mark.parametrize("name", ["never", "always", "found", "mean margin"])
def test_each_router_routes_what_it_is_for(name: str) -> None:
    cases = made()
    judged = judge(name, cases)
    found = [case.found for case in cases]
    expected = {"never": [False] * len(cases), "always": [True] * len(cases), "found": found}
    if name in expected:
        assert [*judged.routed] == expected[name] and judged.threshold is None
        return
    assert not any(one and not hit for one, hit in zip(judged.routed, found, strict=True))
    assert judged.threshold is not None and judged.threshold >= 0
    routed = [case for case, one in zip(cases, routes(judged.router, cases), strict=True) if one]
    assert routed == [case for case in cases if case.closed_book.margin < judged.threshold and case.found]


def test_each_question_is_judged_by_a_router_that_was_chosen_on_other_templates() -> None:
    """Knowledge harms the questions of one template alone, all of which a router chosen on all questions would leave alone."""
    cases = [
        Case(
            attempt(f"{group}{n}", group == 0, 0.9 if group == 0 else 0.1),
            attempt(f"{group}{n}", group != 0, knowledge=("k",)),
            f"t{group}",
        )
        for group in range(5)
        for n in range(8)
    ]
    judged = judge("margin", cases)
    assert not any(routes(judged.router, cases)[:8]) and all(judged.routed[:8])


@pytest.mark.parametrize("name", [*SIGNALS])
def test_drafts_that_could_not_be_surer_can_be_routed(name: str) -> None:
    draft = attempt("a", False, 1.0)
    cases = [Case(draft, attempt("a", True, knowledge=("k",)), f"g{n}") for n in range(6)]
    assert routes(judge(name, cases).router, cases) == [True] * 6


def test_outcomes_and_sweep_agree_with_routing_at_every_threshold() -> None:
    cases = made()
    judged = judge("margin", cases)
    cuts, answers = outcomes(cases, judged)
    assert cuts == sorted(cuts) and judged.threshold in cuts
    for column, cut in enumerate(cuts[:: len(cuts) // 5]):
        routed = [c.found and c.closed_book.least_margin < cut for c in cases]
        assert answers[:, cuts.index(cut)].tolist() == right(cases, routed), column
    points = sweep(cases, judged, 10)
    assert points[0][0] == 0 and points[-1][0] == pytest.approx(10 * sum(c.found for c in cases) / len(cases))
    assert [cut for *_, cut in points if cut == judged.threshold]
