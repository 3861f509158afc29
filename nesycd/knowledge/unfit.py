"""What cannot be knowledge whatever it says: remarks on the student or the answer, and bare arithmetic.

Small teachers write such things by the dozen (docs/log.md, 2026-11-24). The check is narrow on purpose: it refuses only what
no question could be helped by, and leaves what is merely false or vague to review and measurement.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nesycd.core.records import Evidence, Item, Refusal

ALGORITHM = 1
"""Part of the fingerprint of what was refused: grows when other items would be."""

_REMARK = re.compile(
    r"\bthe student(?:'s)?\b|\breference book\b"
    r"|\b(?:correct|right|final|given|wrong) (?:answer|result|response|working)\b"
    r"|\bquestion is of this kind\b|\b(?:the|this|your) response\b",
    re.IGNORECASE,
)
_SUM_WORDS = frozenset(
    """the of and is are equal equals to plus minus times by divided multiplied added subtracted from sum difference product
    quotient total result gives makes""".split()  # noqa: SIM905 - a list of words is read more easily as a text
)
_WORD = re.compile(r"[^\W\d_]+")
_DIGIT = re.compile(r"\d")


def unfit(item: Item) -> str:
    """Why an item cannot be knowledge; "" where it may be.

    Example:
        >>> from nesycd.core.records import Lesson
        >>> unfit(Lesson(text="The sum of 11 and 4 is 15."))
        'bare arithmetic'
        >>> unfit(Lesson(text="A gross is 144 pieces."))
        ''
    """
    if found := _REMARK.search(item.text):
        return f"speaks of {' '.join(found.group().lower().split())!r}"
    words = {word.lower() for word in _WORD.findall(item.text)}
    # A lone letter is a sign between numbers: 4 x 6.
    said = {word for word in words if len(word) > 1}
    if len(_DIGIT.findall(item.text)) > 1 and said <= _SUM_WORDS:
        return "bare arithmetic"
    return ""


def refusals(proposed: Sequence[tuple[Item, Evidence]]) -> list[Refusal]:
    """The proposals that cannot be knowledge, in order."""
    judged = ((item, evidence, unfit(item)) for item, evidence in proposed)
    return [Refusal(item=item, evidence=evidence, reason=f"unfit: {why}") for item, evidence, why in judged if why]
