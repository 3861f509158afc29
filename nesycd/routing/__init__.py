"""Deciding whether the student needs knowledge, from its own margin on a closed-book draft of the question.

Knows nothing of the knowledge base: a router sees one number and says whether retrieval is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nesycd.errors import DataError
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
class CurvePoint:
    """What one threshold would do to the attempts: shares in [0, 1]."""

    threshold: float
    balanced_accuracy: float
    routed: float
    """Of all drafts, those given knowledge."""


@dataclass(frozen=True)
class Calibration:
    """A threshold with what it was chosen from.

    Attributes:
        threshold: drafts below it are routed; in [0, 1], or 2 where all are to be routed.
        balanced_accuracy: mean of the shares of right drafts above and of wrong drafts below it, in [0, 1].
        n: attempts it was chosen from; `n_correct`: the right ones among them.
        curve: all thresholds that were weighed, in rising order; empty where there was nothing to separate.
    """

    threshold: float
    balanced_accuracy: float
    n: int
    n_correct: int
    curve: tuple[CurvePoint, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**asdict(self), "curve": [asdict(point) for point in self.curve]}

    @classmethod
    def from_json(cls, row: Mapping[str, Any], where: str = "calibration") -> Calibration:
        """Read what `to_json` wrote.

        Raises:
            DataError: a missing or unknown key, or a value that is no number; the message starts with `where`.
        """
        try:
            body = dict(row)
            points = tuple(CurvePoint(**{key: float(value) for key, value in one.items()}) for one in body.pop("curve"))
            numbers = {key: int(value) if key in {"n", "n_correct"} else float(value) for key, value in body.items()}
            return cls(**numbers, curve=points)  # type: ignore[arg-type]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{where}: not a router calibration: {error}") from None


def calibrate(attempts: Sequence[Attempt]) -> Calibration:
    """The threshold that best separates right from wrong closed-book answers on held-out questions.

    It maximises balanced accuracy (Youden's J), so that the share of hard questions among the held-out ones does not
    move it. A threshold is always the middle of a gap between two margins; of equally good gaps the lowest is taken,
    which routes fewer questions. Where all drafts are wrong every question is routed, where all are right none.
    """
    ordered = sorted(attempts, key=lambda attempt: attempt.margin)
    right = sum(attempt.correct for attempt in ordered)
    wrong = len(ordered) - right
    if not right or not wrong:
        # Margins lie in [0, 1]: nothing is below 0, everything is below 2.
        return Calibration(2.0 if wrong or not ordered else 0.0, 0.5, len(ordered), right)
    curve: list[CurvePoint] = []
    low, lost, caught = 0.0, 0, 0
    for attempt in [*ordered, None]:
        high = attempt.margin if attempt is not None else 1.0
        if high > low or not curve:
            balanced = ((right - lost) / right + caught / wrong) / 2
            curve.append(CurvePoint((low + high) / 2, balanced, (lost + caught) / len(ordered)))
        if attempt is not None:
            lost += attempt.correct
            caught += not attempt.correct
            low = high
    best = max(curve, key=lambda point: (point.balanced_accuracy, -point.threshold))
    return Calibration(best.threshold, best.balanced_accuracy, len(ordered), right, tuple(curve))
