"""Which student answers closed-book, and from which margin on it may: the router's calibration data."""

from __future__ import annotations

from collections.abc import Sequence

from nesycd.core.protocols import Router
from nesycd.core.records import Attempt


def accuracy(attempts: Sequence[Attempt]) -> float:
    """Share of right attempts, in [0, 1]; 0 for none."""
    return sum(attempt.correct for attempt in attempts) / len(attempts) if attempts else 0.0


def better_closed_book(general: Sequence[Attempt], augmented: Sequence[Attempt]) -> str:
    """`general` (S_P) or `augmented` (S_E), whichever answers valid better without knowledge; S_P where they tie."""
    return "augmented" if accuracy(augmented) > accuracy(general) else "general"


def routed(drafts: Sequence[Attempt], informed: Sequence[Attempt], router: Router, solver: str) -> list[Attempt]:
    """The routed arm, selected from answers that exist: the answer with knowledge where the router asks for it, else the draft.

    Both are of the same questions in the same order. Costs are both answers' where knowledge was given, since the draft
    came first.
    """
    chosen = []
    for draft, answer in zip(drafts, informed, strict=True):
        if not router.route(draft, bool(answer.knowledge)):
            chosen.append(draft.model_copy(update={"solver": solver, "routed": False}))
            continue
        told_by_draft = {"margin": draft.margin, "least_margin": draft.least_margin}
        costs = {
            "prompt_tokens": draft.prompt_tokens + answer.prompt_tokens,
            "completion_tokens": draft.completion_tokens + answer.completion_tokens,
            "seconds": draft.seconds + answer.seconds,
        }
        chosen.append(answer.model_copy(update={"solver": solver, "routed": True, **told_by_draft, **costs}))
    return chosen
