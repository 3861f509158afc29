"""Deciding whether the student needs knowledge: where some was found, from its own margin on a closed-book draft.

Knows nothing of the knowledge base: a router sees the question, how sure the draft was, and what was found. The one that
weighs all of it (`classifier`) has modules of its own, as has the comparison of routers (`compare`); see `docs/routing.md`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nesycd.core.protocols import Draft, Router
from nesycd.core.records import Attempt, Hit

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

    def route(self, draft: Draft, question: str, hits: Sequence[Hit]) -> bool:
        """True where the student should be given knowledge."""
        return bool(hits) and self.unsure(draft)


@dataclass(frozen=True)
class AlwaysRouter:
    """Knowledge for every question, where there is some or not: S_E answers them all."""

    def route(self, draft: Draft, question: str, hits: Sequence[Hit]) -> bool:
        """True."""
        return True


@dataclass(frozen=True)
class NeverRouter:
    """Knowledge for no question."""

    def route(self, draft: Draft, question: str, hits: Sequence[Hit]) -> bool:
        """False."""
        return False


def router_of(mode: str, threshold: float, signal: Signal = "least") -> Router:
    """The router of a recipe's `mode`: `margin`, `always` or `never` (a classifier is read by `classifier.from_json`)."""
    routers: dict[str, Router] = {"always": AlwaysRouter(), "never": NeverRouter()}
    return routers.get(mode) or MarginRouter(threshold, signal)


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
