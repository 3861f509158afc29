"""The gate for lessons, and for rules in words alone: does a student do better with one on questions that it does not come from?

An item is tried on the questions nearest to the errors that it comes from, out of the other folds, by the students that were
not trained on these. First their accepted rationales with the gold answers are scored with the item in the prompt, without it,
and with an item for other questions in its place, as any line in the prompt may change a score. Gains are tested in pairs, in
view of the number of items. Where they are sure, the questions are answered with the item: more answers must become right than
wrong.

No gold fact or derivation is read, and an item that fails is not lost: it stays proposed, with its figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nesycd.core.answers import Attempt
from nesycd.core.judgements import LessonJudgement
from nesycd.core.records import Evidence, Example, Item, Rule, content_hash
from nesycd.stages.effect import CLIP
from nesycd.stages.likeness import KIND, Likeness

QUESTIONS = 12
"""Questions on which an item is tried, at most."""
LEAST = 3
"""At least: of two, a test can say nothing."""
RATE = 0.1
"""False discovery rate among the items whose gain is taken to be sure."""
ALGORITHM = 1
"""Part of the fingerprint: raised when other items would pass."""


@dataclass(frozen=True)
class Trial:
    """An item, the questions (`Example.uid`) whose errors it comes from, and those that it is tried on, nearest first.

    Where it cannot be judged there are none of these, and `why` says why.
    """

    item: Item
    sources: tuple[str, ...]
    questions: tuple[str, ...]
    why: str = ""


def is_judged(item: Item) -> bool:
    """Whether an item is one for this gate: advice in words, which nothing can run or look up."""
    return item.kind == "lesson" or (isinstance(item, Rule) and not item.clause)


def trials(
    proposed: Iterable[tuple[Item, Evidence]],
    examples: Sequence[Example],
    attempts: Sequence[Attempt],
    scorable: Iterable[str],
    budget: int,
) -> tuple[list[Trial], Likeness]:
    """What each item of this gate is tried on, those from most errors first, and how alike the questions are.

    Args:
        proposed: all proposals; those without a training question as evidence are left out.
        examples: the training questions.
        attempts: at these, each by a student that was not trained on it.
        scorable: `Example.uid` of those that have an accepted rationale.
        budget: how many questions all trials may have together.
    """
    by_uid = {example.uid: example for example in examples}
    solver = {attempt.example: attempt.solver for attempt in attempts if attempt.example in by_uid}
    items: dict[str, Item] = {}
    sources: dict[str, dict[str, None]] = {}
    for item, evidence in proposed:
        if is_judged(item) and evidence.example in solver:
            items[item.id] = item
            sources.setdefault(item.id, {})[evidence.example] = None
    can = set(scorable)
    usable = [uid for uid in solver if uid in can]
    alike = Likeness({example.uid: example.question for example in examples})
    made = []
    for item_id in sorted(items, key=lambda one: (-len(sources[one]), one)):
        own, chosen, why = tuple(sources[item_id]), [], ""
        if budget < LEAST:
            why = "the number of questions that knowledge.gate_questions allows was used up"
        else:
            tasks = {by_uid[uid].task for uid in own}
            near = alike.nearness(own, [u for u in _unseen(own, usable, solver, by_uid) if by_uid[u].task in tasks])
            chosen = sorted(near, key=lambda uid: (-round(near[uid], 6), uid))[: min(QUESTIONS, budget)]
            if len(chosen) < LEAST:
                why = f"{len(chosen)} other questions of its kind with an accepted rationale, and {LEAST} are needed"
        if why:
            chosen = []
        budget -= len(chosen)
        made.append(Trial(items[item_id], own, tuple(chosen), why))
    return made, alike


def _unseen(
    own: Sequence[str], usable: Sequence[str], solver: Mapping[str, str], by_uid: Mapping[str, Example]
) -> list[str]:
    """The questions of folds that an item does not come from; where it comes from all, those of other groups than its own."""
    folds = {solver[uid] for uid in own}
    if others := [uid for uid in usable if solver[uid] not in folds]:
        return others
    groups = {by_uid[uid].group or uid for uid in own}
    return [uid for uid in usable if (by_uid[uid].group or uid) not in groups]


def controls(tried: Sequence[Trial], alike: Likeness) -> dict[str, Item]:
    """An item for other questions, by the `Example.uid` of each question of the trials; where there is none, it is left out.

    It is drawn from the quarter whose errors are least like the question; one whose errors are of its kind is no control.
    """
    asked = list(dict.fromkeys(uid for trial in tried for uid in trial.questions))
    strange: dict[str, list[tuple[float, str, Item]]] = {}
    for trial in tried:
        near = alike.nearness(trial.sources, asked)
        for uid in asked:
            if near[uid] < KIND and uid not in trial.questions:
                strange.setdefault(uid, []).append((round(near[uid], 6), trial.item.id, trial.item))
    chosen = {}
    for uid, found in strange.items():
        least = sorted(found, key=lambda one: one[:2])[: -(-len(found) // 4)]
        chosen[uid] = least[int(content_hash(uid), 16) % len(least)][2]
    return chosen


@dataclass(frozen=True)
class Gains:
    """An item's mean gains over its `n` questions, in nats: to no item, and to one for other questions; p as in the record."""

    n: int
    gain: float
    control: float | None
    p: float


def gains(scores: Sequence[tuple[float, float, float | None]]) -> Gains | None:
    """Gains from the scores of each question: with the item, without it, with the control (None: there is none).

    Both gains must be above zero, so the larger p counts. None where fewer than `LEAST` questions have finite scores.
    """
    alone = _differences((informed, bare) for informed, bare, _ in scores)
    beside = _differences((informed, other) for informed, _, other in scores if other is not None)
    if len(alone) < LEAST:
        return None
    tested = [alone, *([beside] if len(beside) >= LEAST else [])]
    control = sum(beside) / len(beside) if len(tested) > 1 else None
    return Gains(len(alone), sum(alone) / len(alone), control, max(map(greater, tested)))


def _differences(pairs: Iterable[tuple[float, float]]) -> list[float]:
    """Clipped as the effects of items are; scores of texts that did not fit are left out."""
    return [max(-CLIP, min(CLIP, a - b)) for a, b in pairs if math.isfinite(a) and math.isfinite(b)]


def greater(differences: Sequence[float]) -> float:
    """p of a one-sided paired t-test: that the mean of the differences is not above zero.

    Where all are equal there is no variance to test against, and p is that of the sign test.

    >>> round(greater([1.0, 2.0, 3.0, 2.0]), 4), greater([0.5, 0.5, 0.5])
    (0.0081, 0.125)
    """
    n = len(differences)
    mean = sum(differences) / n
    variance = sum((one - mean) ** 2 for one in differences) / (n - 1)
    if variance <= 1e-12:
        return 0.5**n if mean > 0 else 1.0
    return _upper_t(mean / math.sqrt(variance / n), n - 1)


def _upper_t(t: float, freedom: int) -> float:
    """P(T > t) of Student's distribution (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(abs(t) / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0 if freedom == 1 else term
    for step in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine**2 * (step - 1) / step
        total += term
    within = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return max(0.0, 1 - within) / 2 if t > 0 else (1 + within) / 2


def sure(found: Mapping[str, float], rate: float = RATE) -> set[str]:
    """The keys whose p passes at a false discovery rate (Benjamini and Hochberg, 1995).

    >>> sorted(sure({"a": 0.001, "b": 0.06, "c": 0.04, "d": 0.5}))
    ['a', 'b', 'c']
    """
    ordered = sorted(found, key=lambda key: (found[key], key))
    passing = [place for place, key in enumerate(ordered, 1) if found[key] <= rate * place / len(ordered)]
    return set(ordered[: max(passing, default=0)])


def judgement(
    trial: Trial, found: Gains | None, is_sure: bool, answers: Sequence[tuple[bool, bool]]
) -> LessonJudgement:
    """The verdict on an item.

    Args:
        trial: what it was tried on.
        found: its gains; None: nothing could be scored.
        is_sure: whether they passed.
        answers: of its questions, whether they are right with the item and without it.
    """
    if found is None:
        why = trial.why or "its questions with it do not fit into the student's context"
        return LessonJudgement(item=trial.item.id, verdict="unjudged", told=f"not judged: {why}")
    repaired = sum(informed and not alone for informed, alone in answers)
    broken = sum(alone and not informed for informed, alone in answers)
    told = [_told(found)]
    if is_sure:
        told.append(f"of {len(answers)} answers {repaired} become right and {broken} wrong")
    passed = is_sure and repaired > broken
    return LessonJudgement(
        item=trial.item.id,
        verdict="passed" if passed else "failed",
        told="; ".join(told),
        questions=found.n,
        gain=round(found.gain, 4),
        control=None if found.control is None else round(found.control, 4),
        p=round(found.p, 6),
        answered=len(answers),
        repaired=repaired,
        broken=broken,
    )


def _told(found: Gains) -> str:
    other = "" if found.control is None else f", {found.control:+.2f} against an item for other questions"
    p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.3f}"
    return f"on {found.n} other questions the right working gains {found.gain:+.2f} nats{other} ({p})"
