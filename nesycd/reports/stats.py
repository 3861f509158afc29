"""95 % intervals for accuracies, for differences between methods and for the share of a gap that is closed.

Answers to questions of one template are correlated, so the unit of resampling is the template (the cluster), not the
question. The tasks of a benchmark are fixed, not a sample, so templates are drawn within their task (the stratum).

With m templates in a task, m - 1 are drawn with replacement and weighted m / (m - 1): the rescaling bootstrap of Rao and
Wu (1988, JASA 83, 231-241). Drawing all m would understate the variance by the factor (m - 1) / m, which is a half where
a task has two test templates. Tasks with a single template are pooled into one stratum whose clusters are the tasks
(collapsed strata), which errs on the wide side. An accuracy is the ratio of the drawn right answers to the drawn questions.
Intervals are percentiles.

Where a bootstrap can say nothing (a single cluster, or all answers alike) a formula for independent questions steps in,
and `Interval.method` says so: Wilson (1927) for an accuracy, Agresti and Min (2005) for a paired difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Method = Literal["bootstrap", "wilson", "agresti-min", "none"]
Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""
_CELLS = 1_000_000
"""Drawn indices held in memory at a time."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval, all fractions (0.5 = 50 % or 50 points); None where there is none."""

    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    method: Method = "none"


@dataclass(frozen=True)
class Design:
    """The clusters of the questions: the task and the template of each, in the order of the answers.

    A template is a cluster within its task; "" makes a question its own cluster.
    """

    tasks: Sequence[str]
    templates: Sequence[str]
    resamples: int = 2000
    seed: int = 0

    def strata(self) -> list[list[NDArray[np.intp]]]:
        """The rows of each cluster, the clusters grouped by stratum."""
        clusters: dict[tuple[str, str, int], list[int]] = {}
        for row, (task, template) in enumerate(zip(self.tasks, self.templates, strict=True)):
            clusters.setdefault((task, template, -1 if template else row), []).append(row)
        by_task: dict[str, list[NDArray[np.intp]]] = {}
        for key in sorted(clusters):
            by_task.setdefault(key[0], []).append(np.array(clusters[key], dtype=np.intp))
        several = [group for group in by_task.values() if len(group) > 1]
        single = [group[0] for group in by_task.values() if len(group) == 1]
        if len(single) == 1 and several:
            smallest = min(range(len(several)), key=lambda index: len(several[index]))
            several[smallest] = several[smallest] + single
        elif single:
            several.append(single)
        return several


def accuracy_interval(correct: Sequence[bool], design: Design) -> Interval:
    """The share of right answers with its 95 % interval.

    Args:
        correct: for each question whether the answer is right, shape (n,).
        design: task and template of each question.
    """
    right = np.asarray(correct, dtype=float)
    n = len(right)
    if n == 0:
        return Interval(0)
    value = float(right.mean())
    drawn = None if right.min() == right.max() else _resample(right[:, None], design)
    if drawn is None:
        return wilson(int(right.sum()), n)
    return _percentiles(n, value, drawn[:, 1] / drawn[:, 0])


def paired_difference(left: Sequence[bool], right: Sequence[bool], design: Design) -> Interval:
    """Accuracy of `left` minus that of `right` on the same questions, with its 95 % interval (fractions).

    Both methods are read from the same drawn templates, so what makes a question hard for both cancels out.

    Raises:
        ValueError: the two do not have the same length.
    """
    pair = _columns(left, right)
    n = len(pair)
    if n == 0:
        return Interval(0)
    difference = pair[:, 0] - pair[:, 1]
    drawn = None if difference.min() == difference.max() else _resample(pair, design)
    if drawn is None:
        return agresti_min(int((difference > 0).sum()), int((difference < 0).sum()), n)
    return _percentiles(n, float(difference.mean()), (drawn[:, 1] - drawn[:, 2]) / drawn[:, 0])


def gap_closed(method: Sequence[bool], baseline: Sequence[bool], ceiling: Sequence[bool], design: Design) -> Interval:
    """How much of the way from `baseline` to `ceiling` the method goes: (method - baseline) / (ceiling - baseline).

    No value where the ceiling is not above the baseline; no interval where that happens in some resample.

    Raises:
        ValueError: the three do not have the same length.
    """
    methods = _columns(method, baseline, ceiling)
    n = len(methods)
    if n == 0:
        return Interval(0)
    means = methods.mean(axis=0)
    gap = float(means[2] - means[1])
    if gap <= 0:
        return Interval(n)
    value = float((means[0] - means[1]) / gap)
    drawn = _resample(methods, design)
    if drawn is None or bool((drawn[:, 3] <= drawn[:, 2]).any()):
        return Interval(n, value)
    return _percentiles(n, value, (drawn[:, 1] - drawn[:, 2]) / (drawn[:, 3] - drawn[:, 2]))


def choice_interval(options: Sequence[float], outcomes: NDArray[np.bool_], design: Design) -> Interval:
    """The last option that is not worse than the best by more than one standard error of their paired difference (McNemar's),
    with the 95 % interval of what is chosen from drawn questions.

    Args:
        options: such as thresholds, shape (k,).
        outcomes: whether the answer to each question is right under each option, shape (n, k); from option to option each
            answer changes once at most.
        design: task and template of each question.
    """
    right = np.asarray(outcomes, dtype=float)
    chosen = np.asarray(options, dtype=float)
    # How many answers differ between two options is the difference of two columns of this.
    changed = np.cumsum(np.abs(np.diff(right, axis=1, prepend=right[:, :1])), axis=1)

    def choose(sums: NDArray[np.float64], changes: NDArray[np.float64]) -> NDArray[np.float64]:
        best = sums.round(9).argmax(axis=1)
        rows = np.arange(len(sums))
        lost = sums[rows, best][:, None] - sums
        error = np.sqrt(np.maximum(0.0, changes - changes[rows, best][:, None]))
        within = (lost <= error + 1e-9) & (np.arange(len(chosen)) >= best[:, None])
        picked: NDArray[np.float64] = chosen[len(chosen) - 1 - within[:, ::-1].argmax(axis=1)]
        return picked

    value = float(choose(right.sum(axis=0)[None], changed.sum(axis=0)[None])[0])
    drawn = _resample(np.concatenate([right, changed], axis=1), design)
    if drawn is None:
        return Interval(len(right), value)
    count = len(chosen)
    return _percentiles(len(right), value, choose(drawn[:, 1 : count + 1], drawn[:, count + 1 :]))


def wilson(successes: int, n: int) -> Interval:
    """Wilson's score interval for `successes` out of `n` independent questions (n > 0)."""
    share, square = successes / n, Z * Z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = Z * sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return Interval(n, share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)), "wilson")


def agresti_min(won: int, lost: int, n: int) -> Interval:
    """Adjusted Wald interval for a difference of paired shares: half an observation is added to each of four cells."""
    value, size = (won - lost) / n, n + 2
    centre = (won - lost) / size
    half = Z * sqrt((won + lost + 1) - (won - lost) ** 2 / size) / size
    return Interval(n, value, max(-1.0, min(value, centre - half)), min(1.0, max(value, centre + half)), "agresti-min")


def _columns(*methods: Sequence[bool]) -> NDArray[np.float64]:
    if len({len(method) for method in methods}) != 1:
        raise ValueError(f"paired methods must answer the same questions, got {[len(method) for method in methods]}")
    return np.stack([np.asarray(method, dtype=float) for method in methods], axis=1)


def _resample(values: NDArray[np.float64], design: Design) -> NDArray[np.float64] | None:
    """Weighted sums over drawn clusters: (n, k) -> (resamples, 1 + k), the first column the number of questions.

    None where there is a single cluster.
    """
    strata = design.strata()
    if sum(len(clusters) for clusters in strata) < 2:
        return None
    table = np.concatenate([np.ones((len(values), 1)), values], axis=1)
    generator = np.random.default_rng(design.seed)
    totals = np.zeros((design.resamples, table.shape[1]))
    for clusters in strata:
        sums = np.stack([table[rows].sum(axis=0) for rows in clusters])
        count = len(clusters)
        step = max(1, _CELLS // count)
        for start in range(0, design.resamples, step):
            drawn = generator.integers(0, count, size=(min(step, design.resamples - start), count - 1))
            weight = count / (count - 1)
            for column in range(table.shape[1]):
                totals[start : start + step, column] += weight * sums[:, column][drawn].sum(axis=1)
    return totals


def _percentiles(n: int, value: float, drawn: NDArray[np.float64]) -> Interval:
    low, high = (float(edge) for edge in np.percentile(drawn, (2.5, 97.5)))
    return Interval(n, value, min(low, value), max(high, value), "bootstrap")
