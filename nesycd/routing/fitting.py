"""How the classifier router is made from held-out questions: fitted with scikit-learn (extra `router`), kept as numbers.

Everything that is chosen (the strength of regularisation, Platt's scaling, the threshold) is chosen on questions whose template
the regression was not fitted to.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nesycd.core.errors import DataError
from nesycd.core.records import Attempt, Hit
from nesycd.routing import best_of, cuts, features
from nesycd.routing.classifier import ClassifierRouter, Logistic, Matrix, Pair, constant

ALGORITHM = 1
"""Grows when the same cases would give another router."""
FOLDS = 5
STRENGTHS = (0.01, 0.1, 1.0)
"""Inverse regularisation, from which the least log-loss out of fold chooses."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """A held-out question with both answers to it.

    Attributes:
        draft: the answer without knowledge; `informed`: S_E's with what was found.
        group: what must not be torn apart in cross-validation: the question's template.
    """

    draft: Attempt
    informed: Attempt
    question: str
    hits: tuple[Hit, ...]
    group: str

    @property
    def gain(self) -> int:
        """What routing the question adds to the right answers: -1, 0 or 1."""
        return int(self.informed.correct) - int(self.draft.correct)


def group_folds(groups: Sequence[str], folds: int = FOLDS) -> list[tuple[Mask, Mask]]:
    """(train, held out) masks; a group lies in one fold. The largest groups are dealt out first, each to the smallest fold.

    Raises:
        DataError: fewer than two groups.
    """
    sizes = Counter(groups)
    if len(sizes) < 2:
        raise DataError("all held-out questions are of one template: no router can be tried on others")
    count = min(folds, len(sizes))
    filled, fold_of = [0] * count, {}
    for group, size in sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0])):
        fold_of[group] = smallest = filled.index(min(filled))
        filled[smallest] += size
    place = np.array([fold_of[group] for group in groups])
    return [(place != fold, place == fold) for fold in range(count)]


def fit_router(cases: Sequence[Case]) -> tuple[ClassifierRouter, float]:
    """The router, and the accuracy of the answers that it routes on the cases (the regressions out of fold, the threshold not).

    Raises:
        DataError: see `fit_pair`.
    """
    asked = [case for case in cases if case.hits]
    pair, gains = fit_pair(asked, features.DRAFT + features.HITS + features.QUESTION)
    start = sum(case.draft.correct for case in cases) / len(cases)
    best = best_of(cuts([-gain for gain in gains], [case.gain / len(cases) for case in asked], start, (-1.0, 1.0)))
    return ClassifierRouter(pair, -best.threshold), best.score


def fit_pair(cases: Sequence[Case], names: Sequence[str]) -> tuple[Pair, list[float]]:
    """Both regressions over the named features and words of the questions.

    Returns:
        The pair, and for each case P(informed right) - P(draft right) by regressions that were not fitted to its template.

    Raises:
        DataError: no cases, or all of one template.
    """
    if not cases:
        raise DataError("nothing was found for any held-out question: there is nothing that a router could learn")
    every = (*names, *features.word_names([case.question for case in cases]))
    found = Pair(every, constant(0.5, len(every)), constant(0.5, len(every)))
    rows = found.rows([(case.draft, case.question, case.hits) for case in cases])
    # What was never measured (entropies, in runs from before they were) is no feature.
    kept = np.flatnonzero(~np.isnan(rows).all(axis=0)).tolist()
    names, rows = tuple(every[place] for place in kept), rows[:, kept]
    folds = group_folds([case.group for case in cases])
    draft, alone = _fit(rows, np.array([case.draft.correct for case in cases]), folds)
    informed, given = _fit(rows, np.array([case.informed.correct for case in cases]), folds)
    return Pair(names, draft, informed), [float(gain) for gain in given - alone]


def _fit(rows: Matrix, right: Mask, folds: Sequence[tuple[Mask, Mask]]) -> tuple[Logistic, Matrix]:
    """A regression with Platt's scaling, and its calibrated probabilities out of fold."""
    tried = {strength: _out_of_fold(rows, right, folds, strength) for strength in STRENGTHS}
    strength = min(STRENGTHS, key=lambda one: _log_loss(tried[one], right))
    logits = tried[strength]
    fitted = _regression(rows, right, strength)
    scaling = _regression(logits[:, None], right, 1.0)
    slope = scaling.weights[0] / scaling.scales[0]
    offset = scaling.intercept - slope * scaling.means[0]
    if slope <= 0:
        # Out of fold it tells right from wrong no better than chance.
        share = (right.sum() + 0.5) / (len(right) + 1)
        fitted = constant(float(share), rows.shape[1])
        return fitted, np.full(len(right), share)
    return replace(fitted, slope=slope, offset=offset), 1 / (1 + np.exp(-(slope * logits + offset)))


def _out_of_fold(rows: Matrix, right: Mask, folds: Sequence[tuple[Mask, Mask]], strength: float) -> Matrix:
    logits = np.zeros(len(rows))
    for train, held in folds:
        logits[held] = _regression(rows[train], right[train], strength).logits(rows[held])
    return logits


def _log_loss(logits: Matrix, right: Mask) -> float:
    return float(np.logaddexp(0.0, np.where(right, -logits, logits)).mean())


def _regression(rows: Matrix, right: Mask, strength: float) -> Logistic:
    from sklearn.linear_model import LogisticRegression

    if right.all() or not right.any():
        return constant(float((right.sum() + 0.5) / (len(right) + 1)), rows.shape[1])
    with warnings.catch_warnings():
        # A feature that these rows lack altogether is left at its mean.
        warnings.simplefilter("ignore", RuntimeWarning)
        means = np.nan_to_num(np.nanmean(rows, axis=0))
        scales = np.nan_to_num(np.nanstd(rows, axis=0))
    scales[scales < 1e-9] = 1.0
    scaled = np.nan_to_num((rows - means) / scales)
    made: Any = LogisticRegression(C=strength, max_iter=1000).fit(scaled, right)
    weights = tuple(float(weight) for weight in made.coef_[0])
    return Logistic(tuple(means.tolist()), tuple(scales.tolist()), weights, float(made.intercept_[0]))


def batched(cases: Sequence[Case], masks: Sequence[tuple[Mask, Mask]]) -> Iterator[tuple[list[Case], list[int]]]:
    """For each fold the cases to fit, and the places of those held out."""
    for train, held in masks:
        yield [cases[place] for place in np.flatnonzero(train).tolist()], np.flatnonzero(held).tolist()
