"""The router that weighs all signals: two calibrated logistic regressions, of the draft and of the informed answer being right.

Numbers and names only, kept as JSON: to use it takes neither scikit-learn nor pickle. How it is made: `nesycd.routing.fitting`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nesycd.core.errors import RunError
from nesycd.core.protocols import Draft
from nesycd.core.records import Hit
from nesycd.routing import features

SCHEMA = "router/1"
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Logistic:
    """One regression: features are standardised, a missing one counts as its mean.

    Attributes:
        means, scales, weights: of each feature.
        intercept: of the regression.
        slope, offset: Platt's scaling of its logits, learned on questions that it was not fitted to.
    """

    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    slope: float = 1.0
    offset: float = 0.0

    def logits(self, rows: Matrix) -> Matrix:
        """Before Platt's scaling; rows of shape (n, features), NaN where a feature is missing."""
        scaled = (rows - np.array(self.means)) / np.array(self.scales)
        made: Matrix = np.where(np.isnan(scaled), 0.0, scaled) @ np.array(self.weights) + self.intercept
        return made

    def chances(self, rows: Matrix) -> Matrix:
        """Probabilities, shape (n,)."""
        made: Matrix = 1 / (1 + np.exp(-(self.slope * self.logits(rows) + self.offset)))
        return made


@dataclass(frozen=True)
class Pair:
    """Both regressions over the same features, named in order."""

    names: tuple[str, ...]
    draft: Logistic
    informed: Logistic

    def rows(self, asked: Sequence[tuple[Draft, str, Sequence[Hit]]]) -> Matrix:
        """Features of drafts, questions and hits, shape (n, features); NaN where one is missing."""
        found = [features.values(self.names, draft, question, hits) for draft, question, hits in asked]
        return np.array(found, dtype=float).reshape(len(found), len(self.names))

    def gains(self, rows: Matrix) -> Matrix:
        """By how much likelier the informed answer is right than the draft, in [-1, 1], shape (n,)."""
        made: Matrix = self.informed.chances(rows) - self.draft.chances(rows)
        return made


@dataclass(frozen=True)
class ClassifierRouter:
    """Knowledge where some was found and P(informed answer right) - P(draft right) is above the threshold."""

    pair: Pair
    threshold: float

    def chances(self, draft: Draft, question: str, hits: Sequence[Hit]) -> tuple[float, float]:
        """How likely the draft is right, and how likely the answer with what was found is."""
        row = self.pair.rows([(draft, question, hits)])
        return float(self.pair.draft.chances(row)[0]), float(self.pair.informed.chances(row)[0])

    def route(self, draft: Draft, question: str, hits: Sequence[Hit]) -> bool:
        """True where the student should be given knowledge."""
        if not hits:
            return False
        alone, informed = self.chances(draft, question, hits)
        return informed - alone > self.threshold

    def to_json(self) -> dict[str, Any]:
        """All coefficients as JSON values."""
        body = asdict(self.pair)
        return {"schema": SCHEMA, "features": features.ALGORITHM, **body, "threshold": self.threshold}

    @classmethod
    def from_json(cls, body: dict[str, Any], where: str = "router") -> Self:
        """Read what `to_json` wrote.

        Raises:
            RunError: another schema, or features that this version counts otherwise.
        """
        if (body.get("schema"), body.get("features")) != (SCHEMA, features.ALGORITHM):
            raise RunError(
                f"{where}: a router of another version of nesycd; run the recipe again to have it fitted anew"
            )
        sides: list[dict[str, Any]] = [
            {key: tuple(value) if isinstance(value, list) else value for key, value in body[side].items()}
            for side in ("draft", "informed")
        ]
        draft, informed = (Logistic(**side) for side in sides)
        return cls(Pair(tuple(body["names"]), draft, informed), float(body["threshold"]))


def constant(share: float, width: int) -> Logistic:
    """A regression that says the same of every question: where there was nothing to learn from."""
    return Logistic((0.0,) * width, (1.0,) * width, (0.0,) * width, log(share / (1 - share)))
