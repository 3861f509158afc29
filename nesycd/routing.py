"""Deciding whether the student needs knowledge: where some was found, from its own margin on a closed-book draft.

Knows nothing of the knowledge base: a router sees how sure the draft was, and whether anything was found. Here too are its
calibration and the comparison of routers; see `docs/routing.md`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nesycd.core.errors import DataError
from nesycd.core.protocols import Draft, Router
from nesycd.core.records import Attempt

ALGORITHM = 3
"""Part of the routed arm's fingerprint: grows when the same router would route otherwise."""

Signal = Literal["least", "mean"]
"""Which of a draft's margins is looked at. A guessed fact is one to three unsure tokens among forty sure ones, which the
mean hides (docs/log.md, 2026-11-24)."""


def margin_of(draft: Draft, signal: Signal) -> float:
    """The draft's `least_margin` or its mean `margin`, in [0, 1]."""
    return draft.least_margin if signal == "least" else draft.margin


@dataclass(frozen=True)
class MarginRouter:
    """Knowledge where some was found and the draft's margin (p1 - p2, in [0, 1]) is below the threshold."""

    threshold: float
    signal: Signal = "least"

    def unsure(self, draft: Draft) -> bool:
        """Whether the margin is below the threshold."""
        return margin_of(draft, self.signal) < self.threshold

    def route(self, draft: Draft, found: bool) -> bool:
        """True where the student should be given knowledge."""
        return found and self.unsure(draft)


@dataclass(frozen=True)
class AlwaysRouter:
    """Knowledge for every question, where there is some or not: S_E answers them all."""

    def route(self, draft: Draft, found: bool) -> bool:
        """True."""
        return True


@dataclass(frozen=True)
class NeverRouter:
    """Knowledge for no question."""

    def route(self, draft: Draft, found: bool) -> bool:
        """False."""
        return False


def router_of(mode: str, threshold: float, signal: Signal = "least") -> Router:
    """The router of a recipe's `mode`: `margin`, `always` or `never`."""
    routers: dict[str, Router] = {"always": AlwaysRouter(), "never": NeverRouter()}
    return routers.get(mode) or MarginRouter(threshold, signal)


# --- calibration -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CurvePoint:
    """What one threshold would do to the drafts: shares in [0, 1]."""

    threshold: float
    score: float
    """See `Calibration`."""
    routed: float
    """Of the drafts with something found, those given knowledge."""


@dataclass(frozen=True)
class Calibration:
    """A threshold with what it was chosen from.

    Attributes:
        threshold: drafts below it are routed; in [0, 2], and above 1 where all are.
        score: in [0, 1]: the accuracy of the routed answers, or, where no answers with knowledge were at hand, the mean of
            the shares of right drafts above and of wrong drafts below the threshold.
        n: held-out drafts; `n_correct`: the right ones among them.
        curve: all thresholds that were weighed, in rising order; empty where there was nothing to separate.
    """

    threshold: float
    score: float
    n: int
    n_correct: int
    curve: tuple[CurvePoint, ...] = ()


def calibrate(drafts: Sequence[Attempt], signal: Signal = "least") -> Calibration:
    """The threshold that best separates right from wrong drafts on held-out questions.

    It maximises balanced accuracy (Youden's J), so that the share of hard questions among the held-out ones does not
    move it. Where all drafts are wrong every question is routed, where all are right none.
    """
    right = sum(draft.correct for draft in drafts)
    wrong = len(drafts) - right
    if not right or not wrong:
        # Margins lie in [0, 1]: nothing is below 0, everything is below 2.
        return Calibration(2.0 if wrong or not drafts else 0.0, 0.5, len(drafts), right)
    # What moving one draft below the threshold brings.
    gains = [-0.5 / right if draft.correct else 0.5 / wrong for draft in drafts]
    return _best(drafts, gains, 0.5, signal)


def calibrate_routing(drafts: Sequence[Attempt], informed: Sequence[Attempt], signal: Signal = "least") -> Calibration:
    """The highest threshold with which the routed answers are not surely right less often than with the best one.

    Held-out questions are few, and the best threshold on them is often a low one by chance, which keeps knowledge from questions
    that need it. So of all that lie within one standard error of the best (the rule of Breiman et al. 1984, for the paired
    difference) the one is taken that gives knowledge most. Questions for which nothing was found keep their drafts, and say
    nothing of the threshold.

    Args:
        drafts: answers without knowledge.
        informed: answers to the same questions, in the same order, with what is retrieved for them.
        signal: which margin of the drafts to look at.
    """
    asked = [(draft, answer) for draft, answer in zip(drafts, informed, strict=True) if answer.knowledge]
    right = sum(draft.correct for draft in drafts)
    if not asked:
        return Calibration(0.0, right / len(drafts) if drafts else 0.0, len(drafts), right)
    gains = [(answer.correct - draft.correct) / len(drafts) for draft, answer in asked]
    margins = [margin_of(draft, signal) for draft, _ in asked]
    # Up to 2, so that one threshold is above all margins.
    curve = cuts(margins, gains, right / len(drafts), (0.0, 2.0))
    chosen = generous_of(curve, margins, gains)
    return Calibration(chosen.threshold, chosen.score, len(drafts), right, curve)


def _best(drafts: Sequence[Attempt], gains: Sequence[float], start: float, signal: Signal) -> Calibration:
    """The threshold of the highest score, which starts at `start` and moves by a draft's gain once it is routed.

    Of equally good thresholds the lowest is taken, which routes fewer questions.
    """
    curve = cuts([margin_of(draft, signal) for draft in drafts], gains, start, (0.0, 1.0))
    best = best_of(curve)
    right = sum(draft.correct for draft in drafts)
    return Calibration(best.threshold, best.score, len(drafts), right, tuple(curve))


def cuts(
    values: Sequence[float], gains: Sequence[float], start: float, span: tuple[float, float]
) -> tuple[CurvePoint, ...]:
    """Every threshold that tells some values from others, in rising order: what is below it is routed.

    Args:
        values: how sure the draft may be left alone, one for each question.
        gains: what routing the question adds to the score.
        start: the score where nothing is routed.
        span: the least and the greatest value that there can be. A threshold is the middle of a gap between two values.
    """
    ordered = sorted(zip(values, gains, strict=True))
    curve: list[CurvePoint] = []
    (low, end), score = span, start
    for routed, (high, gain) in enumerate([*ordered, (end, 0.0)]):
        if high > low or not curve:
            curve.append(CurvePoint((low + high) / 2, round(score, 9), routed / max(1, len(ordered))))
        score += gain
        low = high
    return tuple(curve)


def best_of(curve: Sequence[CurvePoint]) -> CurvePoint:
    """The highest score; of equal ones the one with the lowest threshold."""
    return max(curve, key=lambda point: (point.score, -point.threshold))


def generous_of(curve: Sequence[CurvePoint], values: Sequence[float], gains: Sequence[float]) -> CurvePoint:
    """The highest threshold whose score lies within one standard error of the best one's, the difference being paired.

    Args:
        curve: see `cuts`.
        values, gains: what it was made from.
    """
    best = best_of(curve)

    def within(point: CurvePoint) -> bool:
        moved = [gain for value, gain in zip(values, gains, strict=True) if best.threshold <= value < point.threshold]
        # The standard error as it were if nothing was lost (McNemar's).
        return -sum(moved) <= math.sqrt(sum(gain * gain for gain in moved)) + 1e-12

    return max((point for point in curve if point.threshold >= best.threshold and within(point)), key=_threshold)


def _threshold(point: CurvePoint) -> float:
    return point.threshold


# --- comparison ------------------------------------------------------------------------------------------------------

FOLDS = 5
FIXED: dict[str, Router] = {"never": NeverRouter(), "always": AlwaysRouter(), "found": MarginRouter(2.0)}
"""Nothing is chosen of these; `found`: wherever something was found."""
SIGNALS: dict[str, Signal] = {"margin": "least", "mean margin": "mean"}
"""Which signal each calibrated router reads."""
ROUTERS = (*FIXED, *SIGNALS)


@dataclass(frozen=True)
class Case:
    """A held-out question with both answers to it.

    Attributes:
        draft: the answer without knowledge; `informed`: S_E's with what was found.
        group: what must not be torn apart in cross-validation: the question's template.
    """

    draft: Attempt
    informed: Attempt
    group: str

    @property
    def found(self) -> bool:
        """Whether anything was found."""
        return bool(self.informed.knowledge)


@dataclass(frozen=True)
class Judged:
    """A router of `ROUTERS` as chosen on all cases, and its decisions on them out of sample.

    Attributes:
        threshold: of the margin that it reads (`SIGNALS`); None for a fixed router.
        curve: what every threshold would do; empty for a fixed router, and where nothing was found.
        routed: which cases get knowledge, each decided by the router as chosen on other templates.
    """

    name: str
    router: Router
    threshold: float | None
    curve: tuple[CurvePoint, ...]
    routed: tuple[bool, ...]


def routes(router: Router, cases: Sequence[Case]) -> list[bool]:
    """Which of the cases are given knowledge."""
    return [router.route(case.draft, case.found) for case in cases]


def judge(name: str, cases: Sequence[Case]) -> Judged:
    """Choose the router on all cases, and try the same on each fifth of the templates after choosing on the rest.

    Raises:
        DataError: all cases are of one template.
    """
    if name in FIXED:
        return Judged(name, FIXED[name], None, (), tuple(routes(FIXED[name], cases)))
    signal = SIGNALS[name]
    chosen = _calibrated(cases, signal)
    folds = folds_of([case.group for case in cases])
    tried = {
        fold: MarginRouter(
            _calibrated([c for c, f in zip(cases, folds, strict=True) if f != fold], signal).threshold, signal
        )
        for fold in set(folds)
    }
    routed = tuple(tried[fold].route(case.draft, case.found) for case, fold in zip(cases, folds, strict=True))
    return Judged(name, MarginRouter(chosen.threshold, signal), chosen.threshold, chosen.curve, routed)


def _calibrated(cases: Sequence[Case], signal: Signal) -> Calibration:
    return calibrate_routing([case.draft for case in cases], [case.informed for case in cases], signal)


def folds_of(groups: Sequence[str], folds: int = FOLDS) -> list[int]:
    """The fold of each place; a group lies in one fold. The largest groups are dealt out first, each to the smallest fold.

    Raises:
        DataError: fewer than two groups.
    """
    sizes = Counter(groups)
    if len(sizes) < 2:
        raise DataError("all held-out questions are of one template: no router can be tried on others")
    filled, fold_of = [0] * min(folds, len(sizes)), {}
    for group, size in sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0])):
        fold_of[group] = smallest = filled.index(min(filled))
        filled[smallest] += size
    return [fold_of[group] for group in groups]


def right(cases: Sequence[Case], routed: Sequence[bool]) -> list[bool]:
    """Which answers are right where these questions are routed."""
    return [(case.informed if one else case.draft).correct for case, one in zip(cases, routed, strict=True)]


def tokens(cases: Sequence[Case], routed: Sequence[bool]) -> float:
    """Retrieved tokens a question."""
    return sum(case.informed.knowledge_tokens for case, one in zip(cases, routed, strict=True) if one) / len(cases)


def outcomes(cases: Sequence[Case], judged: Judged, most: int = 200) -> tuple[list[float], NDArray[np.bool_]]:
    """Thresholds in rising order, and for each case and threshold whether its answer is right then: shape (n, thresholds).

    Of more than `most` thresholds a part is taken, evenly; the last and the chosen one are among them.
    """
    kept = _thinned(judged, most)
    columns = [right(cases, routes(MarginRouter(one, SIGNALS[judged.name]), cases)) for one in kept]
    return kept, np.array(columns, dtype=bool).T


def sweep(cases: Sequence[Case], judged: Judged, most: int = 40) -> list[tuple[float, float, float]]:
    """Retrieved tokens a question, accuracy and threshold, for thresholds in rising order; some `most` of them."""
    points = []
    for threshold in _thinned(judged, most):
        routed = routes(MarginRouter(threshold, SIGNALS[judged.name]), cases)
        points.append((tokens(cases, routed), sum(right(cases, routed)) / len(cases), threshold))
    return points


def _thinned(judged: Judged, most: int) -> list[float]:
    assert judged.threshold is not None
    every = [point.threshold for point in judged.curve]
    step = -(-len(every) // most)
    return sorted({*every[::step], every[-1], judged.threshold})
