"""Step 3, symbolic knowledge distillation: the teacher turns each error into items, with the error as evidence.

Unlike in the released code, the teacher sees the gold answer and an accepted rationale, and a failed call becomes a record,
never an item (METHOD, fault 5).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from nesycd.core.answers import Attempt
from nesycd.core.judgements import Refusal
from nesycd.core.protocols import ErrorCase
from nesycd.core.records import Diagnosis, Evidence, Example, Item, Rationale
from nesycd.stages.collect import errors

Source = str
"""Which attempts are diagnosed: `errors`; `unsure`: errors and right answers with a low margin; `all` (right or wrong); `random`
(as many as errors, drawn at random)."""


def cases(
    examples: Sequence[Example],
    rationales: Mapping[str, Rationale],
    attempts: Sequence[Attempt],
    source: Source = "errors",
    seed: int = 0,
    unsure: Callable[[Attempt], bool] = lambda attempt: False,
) -> list[ErrorCase]:
    """The cases for the teacher to diagnose, in the order of the attempts.

    For right responses, and for the sources `all` and `random`, the teacher is shown an empty response, so that it proposes all
    knowledge that the question needs.
    """
    wrong = errors(attempts)
    chosen = list(attempts) if source in {"all", "random"} else wrong
    if source == "random":
        picked = set(random.Random(f"random-{seed}").sample(range(len(chosen)), min(len(wrong), len(chosen))))
        chosen = [attempt for place, attempt in enumerate(chosen) if place in picked]
    elif source == "unsure":
        faulty = {attempt.example for attempt in wrong}
        chosen = [a for a in attempts if a.example in faulty or (a.correct and unsure(a))]
    by_uid = {example.uid: example for example in examples}
    texts = {uid: rationale.text for uid, rationale in rationales.items()}
    blind = source in {"all", "random"}
    empty = {"response": "", "answer": "", "correct": False}
    chosen = [attempt.model_copy(update=empty) if blind or attempt.correct else attempt for attempt in chosen]
    return [ErrorCase(by_uid[attempt.example], texts.get(attempt.example), attempt) for attempt in chosen]


def proposals(diagnoses: Iterable[Diagnosis]) -> list[tuple[Item, Evidence]]:
    """Each proposed item with the error it was proposed from, as evidence."""
    return [
        (item, Evidence(example=diagnosis.example, attempt=diagnosis.attempt, source=diagnosis.teacher))
        for diagnosis in diagnoses
        if not diagnosis.failure
        for item in diagnosis.items
    ]


def without(proposed: Iterable[tuple[Item, Evidence]], refused: Iterable[Refusal]) -> list[tuple[Item, Evidence]]:
    """The proposals that were not refused."""
    out = {(refusal.item.id, refusal.evidence.id) for refusal in refused}
    return [(item, evidence) for item, evidence in proposed if (item.id, evidence.id) not in out]


def limited(proposed: list[tuple[Item, Evidence]], max_items: int | None, seed: int) -> list[tuple[Item, Evidence]]:
    """At most `max_items` different items, drawn at random, each with all its evidence; for comparisons at equal size."""
    ids = sorted({item.id for item, _ in proposed})
    if max_items is None or len(ids) <= max_items:
        return proposed
    chosen = set(random.Random(f"limit-{seed}").sample(ids, max_items))
    return [(item, evidence) for item, evidence in proposed if item.id in chosen]
