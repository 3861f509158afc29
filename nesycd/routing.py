"""Routers: whether a question is answered closed-book or with the retrieved knowledge.

A router sees the student's margin on its closed-book answer, and whether anything was retrieved; this module does not depend on
the knowledge base. The calibration and the comparison of routers are here too; see `docs/routing.md`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nesycd.core.answers import Attempt
from nesycd.core.errors import DataError
from nesycd.core.protocols import Draft, Router

ALGORITHM = 3
"""Part of the routed method's fingerprint: raised when the same router would route otherwise."""

Signal = Literal["least", "mean"]
"""Which margin of a closed-book answer is used. A guessed fact shows in one to three unsure tokens of some forty, which the mean
over all tokens hides (docs/log.md, 2026-11-24)."""


def margin_of(draft: Draft, signal: Signal) -> float:
    """The closed-book answer's `least_margin` or its mean `margin`, in [0, 1]."""
    return draft.least_margin if signal == "least" else draft.margin


@dataclass(frozen=True)
class MarginRouter:
    """Knowledge where some was found and the closed-book answer's margin (p1 - p2, in [0, 1]) is below the threshold."""

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
    """Knowledge for every question, even where nothing was found: S_E answers them all."""

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
    """The effect of one threshold; shares in [0, 1]."""

    threshold: float
    score: float
    """See `Calibration`."""
    routed: float
    """Share of the questions with something found that are given knowledge."""


@dataclass(frozen=True)
class Calibration:
    """A threshold with the curve it was chosen from.

    Attributes:
        threshold: questions with a margin below it are routed; in [0, 2], above 1 where all are routed.
        score: in [0, 1]: the accuracy of the routed answers; without knowledge-augmented answers the mean of the shares of
            right closed-book answers above and of wrong ones below the threshold (balanced accuracy).
        n: held-out closed-book answers; `n_correct`: the right ones among them.
        curve: all candidate thresholds, in rising order; empty where there was nothing to separate.
    """

    threshold: float
    score: float
    n: int
    n_correct: int
    curve: tuple[CurvePoint, ...] = ()


def calibrate(drafts: Sequence[Attempt], signal: Signal = "least") -> Calibration:
    """The threshold that best separates right from wrong closed-book answers on held-out questions.

    It maximises balanced accuracy (Youden's J), so that it does not depend on the share of hard questions among the held-out
    ones. Where all answers are wrong every question is routed, where all are right none.
    """
    right = sum(draft.correct for draft in drafts)
    wrong = len(drafts) - right
    if not right or not wrong:
        # Margins lie in [0, 1]: nothing is below 0, everything is below 2.
        return Calibration(2.0 if wrong or not drafts else 0.0, 0.5, len(drafts), right)
    # Change of the score when this question is routed.
    gains = [-0.5 / right if draft.correct else 0.5 / wrong for draft in drafts]
    return _best(drafts, gains, 0.5, signal)


def calibrate_routing(
    closed_book: Sequence[Attempt], augmented: Sequence[Attempt], signal: Signal = "least"
) -> Calibration:
    """The highest threshold whose routed accuracy lies within one standard error of the best.

    Held-out questions are few, and the best threshold on them is often low by chance, so that questions that need knowledge do
    not get it. So of all thresholds within one standard error of the best (the rule of Breiman et al. 1984, on the paired
    difference) the highest is taken, which gives knowledge most often. Questions for which nothing was found keep their
    closed-book answers and do not affect the choice.

    Args:
        closed_book: answers without knowledge.
        augmented: answers to the same questions, in the same order, with what is retrieved for them.
        signal: which margin of the closed-book answers to look at.
    """
    asked = [(draft, answer) for draft, answer in zip(closed_book, augmented, strict=True) if answer.knowledge]
    right = sum(draft.correct for draft in closed_book)
    if not asked:
        return Calibration(0.0, right / len(closed_book) if closed_book else 0.0, len(closed_book), right)
    gains = [(answer.correct - draft.correct) / len(closed_book) for draft, answer in asked]
    margins = [margin_of(draft, signal) for draft, _ in asked]
    # Up to 2, so that one threshold is above all margins.
    curve = cuts(margins, gains, right / len(closed_book), (0.0, 2.0))
    chosen = generous_of(curve, margins, gains)
    return Calibration(chosen.threshold, chosen.score, len(closed_book), right, curve)


def _best(drafts: Sequence[Attempt], gains: Sequence[float], start: float, signal: Signal) -> Calibration:
    """The threshold of the highest score; the score is `start` where nothing is routed, plus the gain of each routed question.

    Of equally good thresholds the lowest is taken, which routes fewer questions.
    """
    curve = cuts([margin_of(draft, signal) for draft in drafts], gains, start, (0.0, 1.0))
    best = best_of(curve)
    right = sum(draft.correct for draft in drafts)
    return Calibration(best.threshold, best.score, len(drafts), right, tuple(curve))


def cuts(
    values: Sequence[float], gains: Sequence[float], start: float, span: tuple[float, float]
) -> tuple[CurvePoint, ...]:
    """Every threshold that separates the values, in rising order: questions with values below it are routed.

    Args:
        values: the margin of each question.
        gains: what routing each question adds to the score.
        start: the score where nothing is routed.
        span: the lowest and the highest possible value. A threshold is the middle between two neighbouring values.
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
    """The point with the highest score; of equal ones the one with the lowest threshold."""
    return max(curve, key=lambda point: (point.score, -point.threshold))


def generous_of(curve: Sequence[CurvePoint], values: Sequence[float], gains: Sequence[float]) -> CurvePoint:
    """The point with the highest threshold whose score lies within one standard error of the best (paired difference).

    Args:
        curve: see `cuts`.
        values, gains: as given to `cuts`.
    """
    best = best_of(curve)

    def within(point: CurvePoint) -> bool:
        moved = [gain for value, gain in zip(values, gains, strict=True) if best.threshold <= value < point.threshold]
        # The standard error under the null hypothesis of no difference (McNemar).
        return -sum(moved) <= math.sqrt(sum(gain * gain for gain in moved)) + 1e-12

    return max((point for point in curve if point.threshold >= best.threshold and within(point)), key=_threshold)


def _threshold(point: CurvePoint) -> float:
    return point.threshold


# --- comparison ------------------------------------------------------------------------------------------------------

FOLDS = 5
FIXED: dict[str, Router] = {"never": NeverRouter(), "always": AlwaysRouter(), "found": MarginRouter(2.0)}
"""Routers without calibration; `found`: knowledge wherever something was found."""
SIGNALS: dict[str, Signal] = {"margin": "least", "mean margin": "mean"}
"""The signal of each calibrated router."""
ROUTERS = (*FIXED, *SIGNALS)


@dataclass(frozen=True)
class Case:
    """A held-out question with both answers to it.

    Attributes:
        closed_book: the answer without knowledge; `augmented`: S_E's with what was found.
        group: unit of cross-validation, never split over folds: the question's template.
    """

    closed_book: Attempt
    augmented: Attempt
    group: str

    @property
    def found(self) -> bool:
        """Whether anything was found."""
        return bool(self.augmented.knowledge)


@dataclass(frozen=True)
class Judged:
    """A router of `ROUTERS`, calibrated on all cases, with its out-of-sample decisions on them.

    Attributes:
        threshold: on its margin (`SIGNALS`); None for a fixed router.
        curve: the effect of every threshold; empty for a fixed router, and where nothing was found.
        routed: which cases get knowledge, each decided by the router calibrated on other templates.
    """

    name: str
    router: Router
    threshold: float | None
    curve: tuple[CurvePoint, ...]
    routed: tuple[bool, ...]


def routes(router: Router, cases: Sequence[Case]) -> list[bool]:
    """Which of the cases are given knowledge."""
    return [router.route(case.closed_book, case.found) for case in cases]


def judge(name: str, cases: Sequence[Case]) -> Judged:
    """Calibrate the router on all cases, and cross-validate it over fifths of the templates.

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
    routed = tuple(tried[fold].route(case.closed_book, case.found) for case, fold in zip(cases, folds, strict=True))
    return Judged(name, MarginRouter(chosen.threshold, signal), chosen.threshold, chosen.curve, routed)


def _calibrated(cases: Sequence[Case], signal: Signal) -> Calibration:
    return calibrate_routing([case.closed_book for case in cases], [case.augmented for case in cases], signal)


def folds_of(groups: Sequence[str], folds: int = FOLDS) -> list[int]:
    """The fold of each index; a group lies in one fold. The largest groups are assigned first, each to the smallest fold.

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
    """Whether each answer is right under these routing decisions."""
    return [(case.augmented if one else case.closed_book).correct for case, one in zip(cases, routed, strict=True)]


def tokens(cases: Sequence[Case], routed: Sequence[bool]) -> float:
    """Mean number of retrieved tokens per question."""
    return sum(case.augmented.knowledge_tokens for case, one in zip(cases, routed, strict=True) if one) / len(cases)


def outcomes(cases: Sequence[Case], judged: Judged, most: int = 200) -> tuple[list[float], NDArray[np.bool_]]:
    """Thresholds in rising order, and whether each case is answered rightly with each threshold: shape (n, thresholds).

    More than `most` thresholds are thinned out evenly; the last and the chosen one are kept.
    """
    kept = _thinned(judged, most)
    columns = [right(cases, routes(MarginRouter(one, SIGNALS[judged.name]), cases)) for one in kept]
    return kept, np.array(columns, dtype=bool).T


def sweep(cases: Sequence[Case], judged: Judged, most: int = 40) -> list[tuple[float, float, float]]:
    """Retrieved tokens per question, accuracy and threshold, for about `most` thresholds in rising order."""
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
