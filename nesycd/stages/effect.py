"""What each knowledge item does for the answers: randomised masking, paired within a question (ASSAY, arXiv 2606.15390).

For one question the same reference answer is scored under blocks with random parts of the retrieved items. Least squares
over these blocks gives each item's contrast: the change in the score (nats) that its presence brings, the other items being
there or not by chance. Items are then judged over all their questions. Rarely used ones are shrunk towards what items
do on the whole, so that one odd question retires nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from nesycd.core.records import Attempt, Example, content_hash

CLIP = 5.0
"""Contrasts count as at most so many nats: beyond, the answer is as good as certain or impossible."""
_PRIOR_SD = 0.05
"""Nats: least spread that items are taken to have, so that no item is judged by the others alone."""


def references(informed: Attempt, alone: Attempt) -> list[str]:
    """The student's own right answers to a question, with and without knowledge: what the masked blocks are scored on.

    Its own words rather than a teacher's, since another's wording is unlikely whatever the block holds. Where both are right
    both count: each is by nature likeliest under the block that it was written with. Without any there is nothing to score.
    """
    texts = [attempt.response for attempt in (informed, alone) if attempt.correct]
    return list(dict.fromkeys(texts))


def masks(items: Sequence[str], count: int, seed: int, uid: str) -> list[tuple[str, ...]]:
    """At most `count` different parts of a block, the whole and the empty one first; all of them where there are so few."""
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
    """Each item's contrast over one question's (block, log-likelihood) pairs, in nats and clipped.

    Args:
        scored: blocks as the ids of their items, with the log-likelihood of one reference.
        items: all items of the whole block.
    """
    design = np.array([[1.0, *(float(item in block) for item in items)] for block, _ in scored])
    outcome = np.array([value for _, value in scored])
    solution = np.linalg.lstsq(design, outcome, rcond=None)[0]
    return {item: float(np.clip(solution[1 + place], -CLIP, CLIP)) for place, item in enumerate(items)}


@dataclass(frozen=True)
class Effect:
    """What an item does, over the `n` questions that retrieve it.

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
    """Every item's effect, shrunk.

    Contrasts of one item are taken to scatter by the same variance (pooled over items seen at least twice) about the item's
    own effect, and effects to scatter normally about their mean; both are estimated by moments (DerSimonian and Laird, 1986).
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
    """Pooled variance within items; where no item was seen twice, that of all contrasts."""
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
        rate: expected share of wrong ones among those named (Bayesian false discovery rate).
        floor: only items whose shrunk effect lies below minus this many nats: what an unchanged rerun yields is no effect.
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
    """Contrasts by item: for each question one value an item, the mean over its references."""
    by_question: dict[tuple[str, str], list[float]] = {}
    for uid, contrast in made:
        for item, value in contrast.items():
            by_question.setdefault((item, uid), []).append(value)
    observed: dict[str, list[float]] = {}
    for (item, _), values in sorted(by_question.items()):
        observed.setdefault(item, []).append(sum(values) / len(values))
    return observed
