"""Choice per question: what can be told beforehand is learned, what cannot is not offered."""

from __future__ import annotations

import random

import numpy as np
import pytest

from nesycd.core.records import Fact, Hit, Lesson
from nesycd.retrieval.choosing import FEATURES, features
from nesycd.stages import choice
from nesycd.stages.choice import Pair


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_SAMPLES", 60)


def pairs(weight: float, count: int = 600, of_item: float = 0.0) -> list[Pair]:
    """Contrasts that follow the feature `score` as far as `weight` says, and the item as far as `of_item` says."""
    rng = random.Random(0)
    habits = [rng.gauss(0, 1) for _ in range(60)]
    made = []
    for number in range(count):
        item, score = rng.randrange(60), rng.gauss(0, 1)
        row = [rng.gauss(0, 1) for _ in FEATURES]
        row[0] = score
        contrast = weight * score + of_item * habits[item] + rng.gauss(0, 1)
        made.append(Pair(f"t/{number // 2}", f"i{item}", contrast, tuple(row)))
    return made


def test_auc_counts_pairs_and_ties_by_half() -> None:
    outcome, chances = np.array([0.0, 1.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.1, 0.5, 0.7, 0.4])
    by_hand = [float(a > b) + 0.5 * (a == b) for a in chances[outcome > 0] for b in chances[outcome == 0]]
    assert choice.auc(outcome, chances) == pytest.approx(sum(by_hand) / len(by_hand))
    assert choice.auc(np.ones(3), np.arange(3.0)) == 0.5


def test_what_can_be_told_beforehand_is_learned_and_offered() -> None:
    judged = choice.judge(pairs(1.5), seed=0)
    assert judged.pairs == 600 and set(judged.scores) == {"question", "item"}
    for scores in judged.scores.values():
        assert scores["choice"].low > 0.7 and scores["choice"].log_loss < 0.6 < scores["item_mean"].log_loss
        assert scores["constant"].log_loss == pytest.approx(np.log(2), abs=0.02)
    assert judged.model is not None and judged.gained > 100 and 0.2 < judged.dropped < 0.7
    weights = judged.model.weights
    assert max(weights, key=lambda name: abs(weights[name])) == "score"
    assert choice.judge(pairs(1.5), seed=0) == judged


def test_what_cannot_be_told_is_not_offered() -> None:
    nothing = choice.judge(pairs(0.0), seed=0)
    assert nothing.model is None and nothing.scores["question"]["choice"].low < 0.5
    # The item alone says all: then no choice by question is needed.
    habit = choice.judge(pairs(0.0, of_item=2.0), seed=0)
    assert habit.scores["question"]["item_mean"].auc > 0.8 and habit.model is None
    few = choice.judge(pairs(1.5, count=99), seed=0)
    assert few.model is None and few.scores == {}


def test_features_are_those_named() -> None:
    fact = Fact(text="A fathom is 6 feet.", subject="fathom", relation="makes", object="6 feet")
    hits = [Hit(item=fact, score=5.5, why="names fathom"), Hit(item=Lesson(text="Count."), score=2.0, why="bm25 #1")]
    rows = features("How many feet are 3 fathoms?", hits, {fact.id: (0.25, 3)}, -1.0)
    first, second = (dict(zip(FEATURES, row, strict=True)) for row in rows)
    assert (first["score"], first["named"], first["rank"], first["block"], first["lesson"]) == (5.5, 1, 0, 2, 0)
    assert (second["below_best"], second["lexical"], second["rank"], second["lesson"]) == (-3.5, 1, 1, 1)
    assert first["said_of_question"] > second["said_of_question"] == second["asked_of_item"] == 0
    assert first["effect"] == 0.25 and first["seen"] == pytest.approx(np.log(4))
    assert second["effect"] == -1.0 and second["seen"] == 0
    assert features("x", [], {}, 0.0).shape == (0, len(FEATURES))
