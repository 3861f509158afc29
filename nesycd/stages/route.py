"""Which student answers closed-book, and from which margin on it may: the router's calibration data."""

from __future__ import annotations

from collections.abc import Sequence

from nesycd.core.protocols import Router
from nesycd.core.records import Attempt, Example, Retrieval


def accuracy(attempts: Sequence[Attempt]) -> float:
    """Share of right attempts, in [0, 1]; 0 for none."""
    return sum(attempt.correct for attempt in attempts) / len(attempts) if attempts else 0.0


def better_closed_book(general: Sequence[Attempt], augmented: Sequence[Attempt]) -> str:
    """`general` (S_P) or `augmented` (S_E), whichever answers valid better without knowledge; S_P where they tie."""
    return "augmented" if accuracy(augmented) > accuracy(general) else "general"


def routed(
    examples: Sequence[Example],
    drafts: Sequence[Attempt],
    informed: Sequence[Attempt],
    found: Sequence[Retrieval],
    router: Router,
    solver: str,
) -> list[Attempt]:
    """The routed arm, selected from answers that exist: the answer with knowledge where the router asks for it, else the draft.

    All are of the same questions in the same order. Costs are both answers' where knowledge was given, since the draft
    came first.
    """
    chosen = []
    for example, draft, answer, retrieval in zip(examples, drafts, informed, found, strict=True):
        if not router.route(draft, example.question, retrieval.hits):
            chosen.append(draft.model_copy(update={"solver": solver, "routed": False}))
            continue
        signals = {name: getattr(draft, name) for name in ("margin", "least_margin", "entropy", "largest_entropy")}
        costs = {
            "prompt_tokens": draft.prompt_tokens + answer.prompt_tokens,
            "completion_tokens": draft.completion_tokens + answer.completion_tokens,
            "seconds": draft.seconds + answer.seconds,
        }
        chosen.append(answer.model_copy(update={"solver": solver, "routed": True, **signals, **costs}))
    return chosen
