"""Step 3b, optional: the student that erred is asked again with the knowledge that its error gave rise to.

An item that was shown in no repaired error has not earned its place yet: it stays proposed, for people to judge. The student
was not trained to use knowledge at this point, so true items stay behind too: the check is strict, not complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nesycd.core.records import Attempt, Evidence, Item
from nesycd.stages.collect import errors


def to_ask(proposed: Iterable[tuple[Item, Evidence]], attempts: Sequence[Attempt]) -> dict[str, list[Item]]:
    """`Example.uid` of each error that has proposed items, with these items in their order.

    A right answer that was diagnosed because it was unsure holds nothing to repair, so it is not asked again.
    """
    wrong = {attempt.example for attempt in errors(attempts)}
    asked: dict[str, list[Item]] = {}
    for item, evidence in proposed:
        if evidence.example in wrong:
            asked.setdefault(evidence.example, []).append(item)
    return asked


def repaired(answers: Iterable[Attempt]) -> frozenset[str]:
    """`Example.uid` of the errors that are now answered rightly."""
    return frozenset(answer.example for answer in answers if answer.correct)
