"""Whether it can be told beforehand which item helps with which question: a small reranker, trained on masking contrasts.

What is known of a pair (question, item) is the item's contrast there (`stages.effect`); it helped where that is above zero. The
model is logistic regression with a ridge. It is held against two others on pairs that it was not trained on: the share of
helping pairs, and logistic regression on the item's shrunk effect alone. Held out are whole groups of questions, and in a
second turn whole items. It is offered only where it is better than both in both turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nesycd.core.records import content_hash
from nesycd.retrieval.choosing import EFFECT, FEATURES, Choice, Matrix
from nesycd.stages import effect

FOLDS = 5
_RIDGE = 1.0
_SAMPLES = 500
"""Of the bootstrap over groups of questions."""
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
ITEM_MEAN = (EFFECT, EFFECT + 1)
FEWEST = 100
"""Pairs below which nothing is trained."""
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """An item in a question's block: its contrast there (nats), and `choosing.features` (the item's effect left open).

    Attributes:
        group: of questions that are held out together.
        answering: whether the contrast is one of the student that will answer with the knowledge (S_E), not of a fold's.
    """

    group: str
    item: str
    contrast: float
    row: tuple[float, ...]
    answering: bool = True


@dataclass(frozen=True)
class Score:
    """How well chances fit what happened: AUC with its 95 % interval (bootstrap over groups of questions), and log loss."""

    auc: float
    low: float
    high: float
    log_loss: float


@dataclass(frozen=True)
class Judgement:
    """The three models on held-out pairs, by what was held out and by name, and what is offered.

    Attributes:
        pairs, helps: how many there are, and the share of them that help.
        scores: `question` and `item` to `constant`, `item_mean` and `choice`.
        gained: nats in all by which it would have raised held-out scores of the answering student to drop what lies below a
            threshold that was chosen on the other folds.
        dropped: share of the held-out pairs below the threshold that is offered.
        model: None where it was not better.
    """

    pairs: int
    helps: float
    scores: Mapping[str, Mapping[str, Score]]
    gained: float = 0.0
    dropped: float = 0.0
    model: Choice | None = None


def judge(pairs: Sequence[Pair], seed: int) -> Judgement:
    """Train on parts of the pairs, score on the others, and offer what is better than both rivals.

    Args:
        pairs: of all questions; an item's effect is never computed from the pairs that it is tried on.
        seed: deals groups and items into folds.
    """
    helps = float(np.mean([pair.contrast > 0 for pair in pairs])) if pairs else 0.0
    if len(pairs) < FEWEST or not 0 < helps < 1:
        return Judgement(len(pairs), helps, {})
    outcome = np.array([float(pair.contrast > 0) for pair in pairs])
    held = {
        "question": [_fold(seed, pair.group) for pair in pairs],
        "item": [_fold(seed, pair.item) for pair in pairs],
    }
    chances = {by: _held_out(pairs, outcome, np.array(folds), seed) for by, folds in held.items()}
    samples = _samples([pair.group for pair in pairs], seed)
    scores = {by: {name: _score(outcome, one[name], samples) for name in one} for by, one in chances.items()}
    if not all(_is_better(outcome, one, scores[by]["choice"], samples) for by, one in chances.items()):
        return Judgement(len(pairs), helps, scores)
    # A fold's student was never taught to read a block: what does nothing for it may be what S_E needs.
    own = np.array([pair.answering for pair in pairs])
    own = own if own.any() else ~own
    contrasts = np.where(own, [pair.contrast for pair in pairs], 0.0)
    tried, folds = chances["question"]["choice"], np.array(held["question"])
    gained = 0.0
    for fold in range(FOLDS):
        here = folds == fold
        gained -= float(contrasts[here & (tried < _threshold(contrasts[~here], tried[~here]))].sum())
    if gained <= 0:
        return Judgement(len(pairs), helps, scores, gained)
    threshold = _threshold(contrasts, tried)
    model = _trained(pairs, outcome, threshold, seed)
    return Judgement(len(pairs), helps, scores, gained, float((tried < threshold).mean()), model)


def _threshold(contrasts: Vector, chances: Vector) -> float:
    """Below which chance dropping pairs loses least or gains most."""
    return min(THRESHOLDS, key=lambda value: (contrasts[chances < value].sum(), value))


def _is_better(
    outcome: Vector, chances: Mapping[str, Vector], score: Score, samples: Sequence[NDArray[np.int64]]
) -> bool:
    """Whether the choice ranks better than chance and its log loss is lower than that of both rivals, beyond doubt (95 %)."""
    losses = {name: _losses(outcome, one) for name, one in chances.items()}
    rivals = [losses["choice"] - losses[name] for name in ("constant", "item_mean")]
    return score.low > 0.5 and all(
        float(np.quantile([lost[rows].mean() for rows in samples], 0.975)) < 0 for lost in rivals
    )


def _held_out(pairs: Sequence[Pair], outcome: Vector, folds: NDArray[np.int64], seed: int) -> dict[str, Vector]:
    """For each pair the chances that models give it which were trained without its fold."""
    made = {name: np.zeros(len(pairs)) for name in ("constant", "item_mean", "choice")}
    for fold in range(FOLDS):
        test, train = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if not len(test) or not len(train):
            continue
        known = [pairs[n] for n in train.tolist()]
        rows, effects, prior = _with_effects(known, seed)
        tried = _rows([pairs[n] for n in test.tolist()], effects, prior)
        made["constant"][test] = outcome[train].mean()
        for name, columns in (("item_mean", ITEM_MEAN), ("choice", tuple(range(len(FEATURES))))):
            centre, scale, weights = _fit(rows[:, columns], outcome[train])
            made[name][test] = _sigmoid(weights[0] + (tried[:, columns] - centre) / scale @ weights[1:])
    return made


def _trained(pairs: Sequence[Pair], outcome: Vector, threshold: float, seed: int) -> Choice:
    rows, effects, prior = _with_effects(pairs, seed)
    centre, scale, weights = _fit(rows, outcome)

    def named(values: Vector) -> dict[str, float]:
        return {name: round(float(value), 6) for name, value in zip(FEATURES, values, strict=True)}

    known = {item: (round(value, 6), seen) for item, (value, seen) in sorted(effects.items())}
    bias = round(float(weights[0]), 6)
    return Choice(named(weights[1:]), named(centre), named(scale), bias, threshold, known, round(prior, 6))


def _with_effects(pairs: Sequence[Pair], seed: int) -> tuple[Matrix, dict[str, tuple[float, int]], float]:
    """Rows to train on, in which each item's effect comes from other groups, as it will where the model is used; and the
    effects and prior from all pairs."""
    folds = np.array([_fold(seed + 1, pair.group) for pair in pairs])
    rows = np.zeros((len(pairs), len(FEATURES)))
    for fold in range(FOLDS):
        here = np.flatnonzero(folds == fold)
        others = [pairs[n] for n in np.flatnonzero(folds != fold).tolist()]
        rows[here] = _rows([pairs[n] for n in here.tolist()], *_effects(others))
    return rows, *_effects(pairs)


def _rows(pairs: Sequence[Pair], effects: Mapping[str, tuple[float, int]], prior: float) -> Matrix:
    rows = np.array([pair.row for pair in pairs], dtype=np.float64).reshape(len(pairs), len(FEATURES))
    for number, pair in enumerate(pairs):
        value, seen = effects.get(pair.item, (prior, 0))
        rows[number, ITEM_MEAN] = value, np.log1p(seen)
    return rows


def _effects(pairs: Sequence[Pair]) -> tuple[dict[str, tuple[float, int]], float]:
    seen: dict[str, list[float]] = {}
    for pair in pairs:
        seen.setdefault(pair.item, []).append(pair.contrast)
    judged = effect.judge(seen)
    prior = float(np.mean([one.shrunk for one in judged.values()])) if judged else 0.0
    return {item: (one.shrunk, one.n) for item, one in judged.items()}, prior


def _fit(rows: Matrix, outcome: Vector) -> tuple[Vector, Vector, Vector]:
    """Centre, scale and weights (the constant first) of a ridge logistic regression, by Newton's method."""
    centre, scale = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    design = np.column_stack([np.ones(len(rows)), (rows - centre) / scale])
    ridge = np.diag([0.0, *[_RIDGE] * rows.shape[1]])
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        chance = _sigmoid(design @ weights)
        slope = design.T @ (outcome - chance) - ridge @ weights
        step = np.linalg.solve(design.T @ (design * (chance * (1 - chance) + 1e-6)[:, None]) + ridge, slope)
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    return centre, scale, weights


def _score(outcome: Vector, chances: Vector, samples: Sequence[NDArray[np.int64]]) -> Score:
    made = [auc(outcome[rows], chances[rows]) for rows in samples]
    low, high = np.quantile(made, [0.025, 0.975])
    return Score(auc(outcome, chances), float(low), float(high), float(_losses(outcome, chances).mean()))


def auc(outcome: Vector, chances: Vector) -> float:
    """Share of (helping, other) pairs in which the helping one has the higher chance, ties by half; 0.5 where one is lacking."""
    _, place, count = np.unique(chances, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    positive = outcome > 0
    ones, others = int(positive.sum()), int((~positive).sum())
    if not ones or not others:
        return 0.5
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * others))


def _losses(outcome: Vector, chances: Vector) -> Vector:
    sure = np.clip(chances, 1e-6, 1 - 1e-6)
    losses: Vector = -(outcome * np.log(sure) + (1 - outcome) * np.log(1 - sure))
    return losses


def _samples(groups: Sequence[str], seed: int) -> list[NDArray[np.int64]]:
    """Rows of bootstrap samples of whole groups."""
    names, place = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(place == number) for number in range(len(names))]
    rng = np.random.default_rng(seed)
    return [np.concatenate([members[n] for n in rng.integers(0, len(names), len(names))]) for _ in range(_SAMPLES)]


def _fold(seed: int, name: str) -> int:
    return int(content_hash(["fold", seed, name]), 16) % FOLDS


def _sigmoid(values: Vector) -> Vector:
    made: Vector = 1 / (1 + np.exp(-np.clip(values, -50, 50)))
    return made
