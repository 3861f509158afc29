"""Intervals over seeds and questions at once, and Holm's correction: the statistics of a comparison.

Seeds and question templates are both drawn (crossed, as in Owen's pigeonhole bootstrap, 2007, Annals of Applied Statistics
1(2)): each resample draws seeds, and within each task templates, and weighs an answer by the product. As in `stats`, of m
units m - 1 are drawn and weighted m / (m - 1). With a single seed only questions are drawn, and the interval says nothing
about other seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from nesycd.reports.stats import Design

Draws = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """All answers of the questions of one group, by method: what one resample weighs.

    Attributes:
        tasks, templates, seeds: of each row; a row is a question asked under a seed.
        right: method -> whether each row was answered rightly, as 0.0 and 1.0, shape (rows,).
    """

    tasks: Sequence[str]
    templates: Sequence[str]
    seeds: Sequence[int]
    right: Mapping[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.tasks)

    def means(self) -> dict[str, float]:
        """Accuracy of each method over all rows."""
        return {name: float(right.mean()) for name, right in self.right.items()}


def resample(answers: Answers, resamples: int, seed: int, group: str = "") -> dict[str, Draws]:
    """Accuracy of each method in each resample, shape (resamples,); the same draws for all methods.

    Groups of other names draw the same seeds, since one student answers them all, and templates of their own: the mean of
    their draws is a draw of their mean.
    """
    strata = Design(answers.tasks, answers.templates).strata()
    numbers = sorted(set(answers.seeds))
    place = {number: column for column, number in enumerate(numbers)}
    columns = np.array([place[number] for number in answers.seeds], dtype=np.intp)
    by_seed = _weights(np.random.default_rng(seed), len(numbers), resamples)
    generator = np.random.default_rng([seed, *group.encode()])
    names = [*answers.right]
    table = np.stack([np.ones(len(answers)), *(answers.right[name] for name in names)], axis=1)
    totals = np.zeros((resamples, table.shape[1]))
    for clusters in strata:
        sums = np.zeros((len(clusters), len(numbers), table.shape[1]))
        for number, rows in enumerate(clusters):
            np.add.at(sums[number], columns[rows], table[rows])
        by_cluster = _weights(generator, len(clusters), resamples)
        for column in range(table.shape[1]):
            totals[:, column] += ((by_cluster @ sums[:, :, column]) * by_seed).sum(axis=1)
    counted = np.where(totals[:, 0] > 0, totals[:, 0], np.nan)
    return {name: totals[:, column] / counted for column, name in enumerate(names, 1)}


def _weights(generator: np.random.Generator, units: int, resamples: int) -> Draws:
    """How often each unit counts in each resample, shape (resamples, units)."""
    if units < 2:
        return np.ones((resamples, units))
    drawn: NDArray[np.int64] = generator.multinomial(units - 1, np.full(units, 1 / units), size=resamples)
    return drawn.astype(np.float64) * (units / (units - 1))


def interval(drawn: Draws, value: float) -> tuple[float, float]:
    """The 95 % percentile interval, widened to hold the estimate itself."""
    low, high = (float(edge) for edge in np.nanpercentile(drawn, (2.5, 97.5)))
    return min(low, value), max(high, value)


def two_sided(drawn: Draws) -> float:
    """A bootstrap p-value for a difference of zero; never below 2 / (resamples + 1)."""
    known = drawn[~np.isnan(drawn)]
    least = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (least + 1) / (len(known) + 1))


def sign_test(won: int, lost: int) -> float:
    """The exact two-sided p-value of paired answers of which one side `won` and `lost` so many (McNemar's test)."""
    n = won + lost
    return min(1.0, 2 * sum(comb(n, k) for k in range(min(won, lost) + 1)) / (1 << n))


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction of p-values (1979, Scandinavian Journal of Statistics 6): name -> corrected.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    corrected: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(values, key=lambda one: values[one])):
        highest = max(highest, min(1.0, (len(values) - rank) * values[name]))
        corrected[name] = highest
    return {name: corrected[name] for name in values}
