"""Whether a fact's text still says its triple: the student reads the text, the graph and look-ups the triple."""

from __future__ import annotations

import re

from nesycd.core.records import Fact, Item
from nesycd.core.text import normal


def unsaid(fact: Fact) -> list[str]:
    """Which of `subject` (under any of its names) and `object` the text of a fact does not say, word by word."""
    found = []
    if not any(_says(fact.text, name) for name in (fact.subject, *fact.aliases)):
        found.append("subject")
    return found if _says(fact.text, fact.object) else [*found, "object"]


def left_behind(before: Item, after: Item) -> list[str]:
    """Of a fact of which only the text, or only the triple, was changed, what the text does not say.

    The object, whatever the text said before; the subject, where the text did say it.
    """
    if not isinstance(before, Fact) or not isinstance(after, Fact):
        return []
    if (after.text == before.text) == (after.triple == before.triple):
        return []
    return [part for part in unsaid(after) if part == "object" or part not in unsaid(before)]


def _says(text: str, part: str) -> bool:
    """Whether a text holds a part as words: "6 feet" is not in "16 feet", nor "6" in "6.5"; endings of words may follow."""
    return re.search(rf"(?<!\w){re.escape(normal(part))}(?!\d|[.,]\d)", normal(text)) is not None
