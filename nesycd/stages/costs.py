"""Cost of the teacher's answers, and use of the knowledge: figures for reports, never an input to a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nesycd.core.answers import Attempt
from nesycd.core.records import Diagnosis, Induction, Rationale


def spent(
    rationales: Sequence[Rationale], diagnoses: Sequence[Diagnosis | Induction], useful: int | None
) -> dict[str, Any] | None:
    """Tokens and USD of all answers, and USD for each kept rationale and each useful item; None for a teacher without tokens.

    Args:
        rationales: all of them.
        diagnoses: what was asked about errors, single ones and clusters.
        useful: number of useful items (see `use_of`), None where that was not measured.
    """
    answers: list[Rationale | Diagnosis | Induction] = [*rationales, *diagnoses]
    prompt, completion = sum(a.prompt_tokens for a in answers), sum(a.completion_tokens for a in answers)
    if not prompt + completion:
        return None
    kept = sum(rationale.correct for rationale in rationales)
    writing, diagnosing = usd_of(rationales), usd_of(diagnoses)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "usd": None if writing is None or diagnosing is None else writing + diagnosing,
        "usd_per_kept_rationale": writing / kept if writing is not None and kept else None,
        "usd_per_useful_item": diagnosing / useful if diagnosing is not None and useful else None,
    }


def usd_of(answers: Sequence[Rationale | Diagnosis | Induction]) -> float | None:
    """The total cost in USD; None where any price is unknown."""
    costs = [answer.usd for answer in answers if answer.prompt_tokens + answer.completion_tokens]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def use_of(approved: int, informed: Sequence[Attempt], uninformed: Sequence[Attempt]) -> dict[str, int]:
    """Use of the items on questions outside training: numbers of `approved`, `shown` (in a prompt) and `useful` items.

    An item is useful if it was in the prompt of a question that the same student answers rightly with knowledge and wrongly
    without. This is only an indication, since all items of a prompt get the credit.

    Args:
        informed: S_E's knowledge-augmented answers.
        uninformed: S_E's closed-book answers to the same questions.
    """
    alone = {attempt.example: attempt.correct for attempt in uninformed}
    shown = {item for attempt in informed for item in attempt.knowledge}
    useful = {item for a in informed if a.correct and not alone[a.example] for item in a.knowledge}
    return {"approved": approved, "shown": len(shown), "useful": len(useful)}
