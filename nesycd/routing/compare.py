"""Routers side by side on the same held-out questions, each judged on questions that nothing in it was chosen on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite

import numpy as np
from numpy.typing import NDArray

from nesycd.routing import CurvePoint, best_of, cuts, features, generous_of
from nesycd.routing.classifier import Matrix, Pair
from nesycd.routing.fitting import Case, batched, fit_pair, group_folds

FIXED = {"never": (False, -inf), "always": (False, inf), "found": (True, inf)}
"""Whether the router looks for knowledge first, and the cut below which a question is routed (all have the value 0)."""
MOST_ENTROPY = 20.0
"""Nats, more than any vocabulary has: of a draft without tokens."""


def _nats(entropy: float | None) -> float:
    return -MOST_ENTROPY if entropy is None else -entropy


SIGNALS: dict[str, Callable[[Case], float]] = {
    "margin": lambda case: case.draft.least_margin,
    "mean margin": lambda case: case.draft.margin,
    "entropy": lambda case: _nats(case.draft.largest_entropy),
    "mean entropy": lambda case: _nats(case.draft.entropy),
}
LEARNED = {"question": features.QUESTION, "classifier": features.DRAFT + features.HITS + features.QUESTION}
"""The features of each; words of the question besides. `question` looks at nothing else, not even whether anything is found."""
ROUTERS = (*FIXED, *SIGNALS, *LEARNED)


@dataclass(frozen=True)
class Fitted:
    """A router as chosen on some cases: the question's value says how well the draft may stand, and below `cut` it is routed.

    Attributes:
        looks: only questions for which something was found are routed.
        value: of new cases. Margins; entropies and gains in probability with a minus before them.
        values: of the cases that the cut was chosen on; those of regressions out of fold.
        curve: what every cut would do to these.
        pair: the regressions, where it has some.
    """

    name: str
    looks: bool
    cut: float
    value: Callable[[Sequence[Case]], Sequence[float]]
    values: tuple[float, ...]
    curve: tuple[CurvePoint, ...]
    pair: Pair | None = None

    def routes(self, cases: Sequence[Case]) -> list[bool]:
        """Which of the cases are given knowledge."""
        values = self.value(cases)
        return [
            (bool(case.hits) or not self.looks) and value < self.cut for case, value in zip(cases, values, strict=True)
        ]

    def threshold(self, cut: float) -> float | None:
        """A cut in the router's own terms: nats, or what routing must gain in probability; None for a router without one."""
        if not isfinite(cut):
            return None
        return cut if self.name in ("margin", "mean margin") else -cut


@dataclass(frozen=True)
class Judged:
    """A router's decisions on cases: `fitted` on all of them, `routed` out of sample (cross-validated by template).

    `chances` are of its regressions, out of sample: for each question for which something was found P(draft right),
    P(informed right), and both before Platt's scaling.
    """

    fitted: Fitted
    routed: tuple[bool, ...]
    chances: dict[int, tuple[float, float, float, float]]


def measurable(cases: Sequence[Case]) -> list[str]:
    """The routers for which the cases have what it takes: older runs have no entropies."""
    measured = any(case.draft.entropy is not None for case in cases)
    return [name for name in ROUTERS if measured or "entropy" not in name]


def fit(name: str, cases: Sequence[Case]) -> Fitted:
    """Choose what there is to choose.

    Raises:
        DataError: see `fitting.fit_pair`.
    """
    if name in FIXED:
        looks, cut = FIXED[name]
        return Fitted(name, looks, cut, lambda some: [0.0] * len(some), (), ())
    if name in SIGNALS:
        signal = SIGNALS[name]
        # Above the surest draft's value, so that one cut routes all.
        span = (0.0, 2.0) if "margin" in name else (-MOST_ENTROPY - 1, 1.0)
        asked = [case for case in cases if case.hits]
        values = [signal(case) for case in asked]
        return _cut(name, True, lambda some: [signal(case) for case in some], cases, asked, values, span)
    looks = name == "classifier"
    asked = [case for case in cases if case.hits or not looks]
    pair, gains = fit_pair(asked, LEARNED[name])
    return _cut(
        name,
        looks,
        lambda some: (-pair.gains(rows_of(pair, some))).tolist(),
        cases,
        asked,
        [-g for g in gains],
        (-1, 1),
        pair,
    )


def _cut(
    name: str,
    looks: bool,
    value: Callable[[Sequence[Case]], Sequence[float]],
    cases: Sequence[Case],
    asked: Sequence[Case],
    values: Sequence[float],
    span: tuple[float, float],
    pair: Pair | None = None,
) -> Fitted:
    start = sum(case.draft.correct for case in cases) / len(cases)
    gains = [case.gain / len(cases) for case in asked]
    curve = cuts(values, gains, start, span)
    # A single signal is cut as `calibrate_routing` does, two regressions as `fitting` does.
    chosen = generous_of(curve, values, gains) if pair is None else best_of(curve)
    return Fitted(name, looks, chosen.threshold, value, tuple(values), curve, pair)


def judge(name: str, cases: Sequence[Case]) -> Judged:
    """Fit on all cases, and try the same on each fifth of the templates after fitting on the rest."""
    fitted = fit(name, cases)
    if name in FIXED:
        return Judged(fitted, tuple(fitted.routes(cases)), {})
    routed = [False] * len(cases)
    chances: dict[int, tuple[float, float, float, float]] = {}
    for train, held in batched(cases, group_folds([case.group for case in cases])):
        part = fit(name, train)
        tried = [cases[place] for place in held]
        for place, decision in zip(held, part.routes(tried), strict=True):
            routed[place] = decision
        if part.pair is not None:
            found = [place for place in held if cases[place].hits]
            rows = rows_of(part.pair, [cases[place] for place in found])
            sides = (part.pair.draft, part.pair.informed)
            columns = [side.chances(rows) for side in sides] + [1 / (1 + np.exp(-s.logits(rows))) for s in sides]
            chances |= {
                p: (float(a), float(b), float(c), float(d)) for p, a, b, c, d in zip(found, *columns, strict=True)
            }
    return Judged(fitted, tuple(routed), chances)


def rows_of(pair: Pair, cases: Sequence[Case]) -> Matrix:
    """The cases' features, shape (n, features)."""
    return pair.rows([(case.draft, case.question, case.hits) for case in cases])


def right(cases: Sequence[Case], routed: Sequence[bool]) -> list[bool]:
    """Which answers are right where these questions are routed."""
    return [(case.informed if one else case.draft).correct for case, one in zip(cases, routed, strict=True)]


def tokens(cases: Sequence[Case], routed: Sequence[bool]) -> float:
    """Retrieved tokens a question."""
    return sum(case.informed.knowledge_tokens for case, one in zip(cases, routed, strict=True) if one) / len(cases)


def outcomes(cases: Sequence[Case], fitted: Fitted, most: int = 200) -> tuple[list[float], NDArray[np.bool_]]:
    """Cuts in rising order, and for each case and cut whether its answer is right then: shape (n, cuts).

    Of more than `most` cuts a part is taken, evenly; the last and the chosen one are among them.
    """
    every = [point.threshold for point in fitted.curve]
    step = -(-len(every) // most)
    kept = sorted({*every[::step], every[-1], fitted.cut})
    values = iter(fitted.values)
    found = np.zeros((len(cases), len(kept)), dtype=bool)
    for row, case in enumerate(cases):
        found[row] = case.draft.correct
        if case.hits or not fitted.looks:
            found[row, next(values) < np.array(kept)] = case.informed.correct
    return kept, found


def sweep(cases: Sequence[Case], fitted: Fitted, most: int = 40) -> list[tuple[float, float, float]]:
    """Retrieved tokens a question, accuracy and cut, for cuts in rising order; some `most` of them."""
    kept, found = outcomes(cases, fitted, most)
    asked = [case for case in cases if case.hits or not fitted.looks]
    costs = np.array([case.informed.knowledge_tokens for case in asked], dtype=float)
    values = np.array(fitted.values)
    return [
        (float(costs[values < cut].sum() / len(cases)), float(found[:, column].mean()), cut)
        for column, cut in enumerate(kept)
    ]


def calibration_error(chances: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    """Expected calibration error: |mean chance - share right| of each of so many equal bins over [0, 1], weighted by its size."""
    found = np.asarray(chances, dtype=float)
    came = np.asarray(right, dtype=float)
    place = np.minimum((found * bins).astype(int), bins - 1)
    gaps = (abs(found[place == b].sum() - came[place == b].sum()) for b in range(bins))
    return float(sum(gaps) / len(found)) if len(found) else 0.0
