"""The effect of each knowledge item on the answers: randomised masking, paired within a question (ASSAY, arXiv 2606.15390).

For one question the same reference answer is scored under contexts with random subsets of the retrieved items. Least squares
over these contexts gives each item's contrast: the change in the score (nats) by its presence, with the other items present at
random. Items are then judged over all their questions. Effects of rarely used items are shrunk towards the mean of all
items, so that a single question cannot retire an item.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from nesycd.core.answers import Attempt
from nesycd.core.records import Example, content_hash

CLIP = 5.0
"""Contrasts are clipped at this many nats: beyond, the answer is practically certain or impossible."""
_PRIOR_SD = 0.05
"""Nats: lower bound on the standard deviation between items, so that no item is judged by the others alone."""


def references(informed: Attempt, alone: Attempt) -> list[str]:
    """The student's own right answers to a question, with and without knowledge: the references for scoring masked contexts.

    The student's own wording rather than a teacher's, which is unlikely under any context. Where both answers are right both
    count, since each is most likely under the context that it was generated with. Empty where neither is right.
    """
    texts = [attempt.response for attempt in (informed, alone) if attempt.correct]
    return list(dict.fromkeys(texts))


def masks(items: Sequence[str], count: int, seed: int, uid: str) -> list[tuple[str, ...]]:
    """At most `count` different subsets of a context, the whole and the empty one first; all subsets where there are no more."""
    size = len(items)
    if 2**size <= count:
        chosen = [*range(2**size)]
    else:
        rng = random.Random(f"masks-{seed}-{uid}")
        chosen = [0, 2**size - 1]
        while len(chosen) < count:
            number = rng.getrandbits(size)
            if number not in chosen:
                chosen.append(number)
    chosen.sort(key=lambda number: (number != 2**size - 1, number != 0, number))
    return [tuple(item for place, item in enumerate(items) if number >> place & 1) for number in chosen]


def contrasts(scored: Sequence[tuple[Sequence[str], float]], items: Sequence[str]) -> dict[str, float]:
    """Each item's contrast over one question's (context, log-likelihood) pairs, in nats and clipped.

    Args:
        scored: contexts as the ids of their items, with the log-likelihood of one reference.
        items: all items of the whole context.
    """
    design = np.array([[1.0, *(float(item in shown) for item in items)] for shown, _ in scored])
    outcome = np.array([value for _, value in scored])
    solution = np.linalg.lstsq(design, outcome, rcond=None)[0]
    return {item: float(np.clip(solution[1 + place], -CLIP, CLIP)) for place, item in enumerate(items)}


@dataclass(frozen=True)
class Effect:
    """The effect of an item over the `n` questions that retrieve it.

    Attributes:
        mean: mean contrast, in nats.
        shrunk: posterior mean under a normal prior fitted to all items (empirical Bayes).
        sd: posterior standard deviation.
        harm: posterior probability that the effect is below zero.
    """

    n: int
    mean: float
    shrunk: float
    sd: float
    harm: float


def judge(observed: Mapping[str, Sequence[float]]) -> dict[str, Effect]:
    """The effect of every item, shrunk.

    Contrasts of one item are assumed to have the same variance (pooled over items seen at least twice) around the item's own
    effect, and effects to be normally distributed around their mean; both are estimated by moments (DerSimonian and Laird, 1986).
    """
    values = {item: list(seen) for item, seen in observed.items() if seen}
    if not values:
        return {}
    within = _within(values.values())
    prior, spread = _between(values.values(), within)
    effects = {}
    for item, seen in values.items():
        mean = sum(seen) / len(seen)
        weight = spread / (spread + within / len(seen))
        shrunk = prior + weight * (mean - prior)
        sd = math.sqrt(max(spread * (1 - weight), 1e-12))
        effects[item] = Effect(len(seen), mean, shrunk, sd, NormalDist(shrunk, sd).cdf(0.0))
    return effects


def _within(groups: Iterable[Sequence[float]]) -> float:
    """Pooled variance within items; where no item was seen twice, the variance of all contrasts."""
    groups = list(groups)
    squares = sum((x - sum(seen) / len(seen)) ** 2 for seen in groups for x in seen)
    degrees = sum(len(seen) - 1 for seen in groups)
    if not degrees:
        everything = [x for seen in groups for x in seen]
        centre = sum(everything) / len(everything)
        squares, degrees = sum((x - centre) ** 2 for x in everything), max(1, len(everything) - 1)
    return max(squares / degrees, _PRIOR_SD**2)


def _between(groups: Iterable[Sequence[float]], within: float) -> tuple[float, float]:
    """Mean and variance of the items' effects."""
    means = [(sum(seen) / len(seen), len(seen) / within) for seen in groups]
    total = sum(weight for _, weight in means)
    centre = sum(mean * weight for mean, weight in means) / total
    excess = sum(weight * (mean - centre) ** 2 for mean, weight in means) - (len(means) - 1)
    scale = total - sum(weight**2 for _, weight in means) / total
    return centre, max(excess / scale if scale > 0 else 0.0, _PRIOR_SD**2)


def harmful(effects: Mapping[str, Effect], rate: float, floor: float = 0.0) -> list[str]:
    """The items to propose for retirement, worst first.

    Args:
        effects: see `judge`.
        rate: expected share of wrongly named items (Bayesian false discovery rate).
        floor: only items whose shrunk effect is below minus this many nats, the noise of an unchanged rerun.
    """
    named: list[str] = []
    risk = 0.0
    for item, effect in sorted(effects.items(), key=lambda pair: (-pair[1].harm, pair[1].shrunk, pair[0])):
        risk += 1 - effect.harm
        if risk / (len(named) + 1) > rate or effect.shrunk >= -floor:
            break
        named.append(item)
    return named


def halves(examples: Iterable[Example], seed: int) -> dict[str, int]:
    """`Example.uid` to 0 (selection) or 1 (confirmation), by hash; a group stays in one half."""
    return {
        example.uid: int(content_hash(["half", seed, example.task, example.group or example.uid]), 16) % 2
        for example in examples
    }


def pooled(made: Iterable[tuple[str, Mapping[str, float]]]) -> dict[str, list[float]]:
    """Contrasts by item: one value per item and question, the mean over the question's references."""
    by_question: dict[tuple[str, str], list[float]] = {}
    for uid, contrast in made:
        for item, value in contrast.items():
            by_question.setdefault((item, uid), []).append(value)
    observed: dict[str, list[float]] = {}
    for (item, _), values in sorted(by_question.items()):
        observed.setdefault(item, []).append(sum(values) / len(values))
    return observed
