"""Deciding whether the student needs knowledge, from its own margin on a closed-book draft of the question.

Knows nothing of the knowledge base: a router sees one number and says whether retrieval is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nesycd.records import Attempt


@dataclass(frozen=True)
class MarginRouter:
    """Retrieval where the mean margin (p1 - p2, in [0, 1]) of the draft is below the threshold."""

    threshold: float

    def route(self, margin: float) -> bool:
        """True where the student should be given knowledge."""
        return margin < self.threshold


@dataclass(frozen=True)
class AlwaysRouter:
    """Retrieval for every question."""

    def route(self, margin: float) -> bool:
        """True."""
        return True


@dataclass(frozen=True)
class NeverRouter:
    """Retrieval for no question."""

    def route(self, margin: float) -> bool:
        """False."""
        return False


@dataclass(frozen=True)
class Calibration:
    """A threshold with what it was chosen from.

    Attributes:
        threshold: in [0, 1]; drafts below it are routed.
        balanced_accuracy: mean of the shares of right drafts above and of wrong drafts below it, in [0, 1].
        n: attempts it was chosen from; `n_correct`: the right ones among them.
    """

    threshold: float
    balanced_accuracy: float
    n: int
    n_correct: int


def calibrate(attempts: Sequence[Attempt]) -> Calibration:
    """The threshold that best separates right from wrong closed-book answers on held-out questions.

    It maximises balanced accuracy (Youden's J), so that the share of hard questions among the held-out ones does not
    move it; among equals the lowest gap's middle is taken, which routes fewer questions. Where all drafts are wrong every
    question is routed, where all are right none.
    """
    margins = sorted({attempt.margin for attempt in attempts})
    right = sum(attempt.correct for attempt in attempts)
    wrong = len(attempts) - right
    if not right or not wrong:
        # Margins lie in [0, 1]: nothing is below 0, everything is below 2.
        return Calibration(2.0 if wrong or not attempts else 0.0, 0.5, len(attempts), right)
    best = (-1.0, 0.0)
    for low, high in zip([0.0, *margins], [*margins, 1.0], strict=True):
        threshold = (low + high) / 2
        kept = sum(attempt.correct and attempt.margin >= threshold for attempt in attempts)
        caught = sum(not attempt.correct and attempt.margin < threshold for attempt in attempts)
        best = max(best, ((kept / right + caught / wrong) / 2, -threshold))
    return Calibration(-best[1], best[0], len(attempts), right)
