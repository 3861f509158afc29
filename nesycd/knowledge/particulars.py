"""What holds only in one question: an item that retells the story it came from instead of saying something general.

"Clay's watermelon weighs 24 pounds" is no knowledge, though it repeats neither the premises nor the answer of its question. What
gives it away are numbers of that question's own course (those it states, and those its working comes to) amid words that few
other questions have. "A hin is 12 logs" has neither: 12 stands in no question about three hins, and no sum comes to it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from nesycd.core.records import Evidence, Example, Fact, Item, Refusal, Rule
from nesycd.knowledge.leak import Text

ALGORITHM = 1
"""Part of the fingerprint of what was refused: grows when other items would be."""
_RARE = 2
"""A word is a question's own where at most so many training questions have it."""
_RESULT = re.compile(r"=\s*[^\w=]{0,3}(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)")
_COMMON = frozenset(map(Fraction, (0, 1, 2, 10, 100)))
"""Numbers that tell nothing: as much part of the language as of a question."""


@dataclass(frozen=True)
class _Course:
    """A question's own numbers (`stated`, and the `results` of its working) and the words that few others have."""

    stated: frozenset[Fraction]
    results: frozenset[Fraction]
    rare: frozenset[str]


class Particulars:
    """Knows the training questions and their accepted workings.

    >>> asked = Example(uid="t1", task="t", question="Mia's melon weighs 8 pounds, Clay's melon 3 times that.", answer="24")
    >>> check = Particulars([asked], {"t1": "3 x 8 = 24."})
    >>> check.reason(Fact(text="Clay's melon weighs 24 pounds.", subject="melon", relation="weighs", object="24"), ["t1"])
    'holds only in question t1'
    >>> check.reason(Fact(text="A stone is 14 pounds.", subject="stone", relation="is", object="14 pounds"), ["t1"])
    ''
    """

    def __init__(self, train: Iterable[Example], workings: Mapping[str, str]) -> None:
        texts = {e.uid: Text.of("\n".join((e.question, *e.options))) for e in train}
        known = Counter(stem for text in texts.values() for stem in text.stems)
        self._courses = {
            uid: _course(text, workings.get(uid, ""), frozenset(s for s in text.stems if known[s] <= _RARE))
            for uid, text in texts.items()
        }

    def reason(self, item: Item, examples: Iterable[str]) -> str:
        """Why an item is particular to one of the questions it came from (`Example.uid`); "" where it is not."""
        text = Text.of(_said(item))
        numbers = frozenset(text.numbers) - _COMMON
        for uid in examples:
            course = self._courses.get(uid)
            if course is None or len(text.stems & course.rare) < 2:
                continue
            if numbers & course.results or len(numbers & course.stated) > 1:
                return f"holds only in question {uid}"
        return ""

    def refusals(self, proposed: Sequence[tuple[Item, Evidence]]) -> list[Refusal]:
        """The proposals that hold only in the question they came from, in order."""
        judged = ((item, evidence, self.reason(item, [evidence.example])) for item, evidence in proposed)
        return [Refusal(item=item, evidence=evidence, reason=f"unfit: {why}") for item, evidence, why in judged if why]


def _course(question: Text, working: str, rare: frozenset[str]) -> _Course:
    stated = frozenset(question.numbers) - _COMMON
    results = frozenset(Fraction(found.replace(",", "")) for found in _RESULT.findall(working)) - stated - _COMMON
    return _Course(stated, results, rare)


def _said(item: Item) -> str:
    parts = [item.text]
    if isinstance(item, Fact):
        parts += [item.subject, item.object]
    elif isinstance(item, Rule):
        parts += [item.clause or "", item.says, *item.exceptions]
    return "\n".join(parts)
