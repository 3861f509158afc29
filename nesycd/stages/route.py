"""The choice of the closed-book student: the one with the higher accuracy on validation questions."""

from __future__ import annotations

from collections.abc import Sequence

from nesycd.core.answers import Attempt


def accuracy(attempts: Sequence[Attempt]) -> float:
    """Share of right attempts, in [0, 1]; 0 for none."""
    return sum(attempt.correct for attempt in attempts) / len(attempts) if attempts else 0.0


def better_closed_book(general: Sequence[Attempt], augmented: Sequence[Attempt]) -> str:
    """`general` (S_P) or `augmented` (S_E), whichever has the higher closed-book accuracy on valid; S_P on a tie."""
    return "augmented" if accuracy(augmented) > accuracy(general) else "general"
