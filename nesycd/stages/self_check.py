"""Step 3b, optional: questions answered wrongly are asked again with the items proposed from the error.

Items that repaired no error stay proposed, for review by people. The student was not trained to use knowledge at this point, so
some true items stay proposed too: the check is strict, not complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nesycd.core.answers import Attempt
from nesycd.core.records import Evidence, Item
from nesycd.stages.collect import errors


def to_ask(proposed: Iterable[tuple[Item, Evidence]], attempts: Sequence[Attempt]) -> dict[str, list[Item]]:
    """`Example.uid` of each error that has proposed items, with these items in their order.

    Right answers that were diagnosed for their low margin are not asked again.
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
