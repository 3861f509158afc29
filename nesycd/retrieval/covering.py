"""Facts that have the words of a question whose entities none of them bears: "Who approves an expense of 4900 EUR?".

People write facts whose subject no question names: "expense above 1000 EUR". They are found by *coverage*: the share of the
question's words, weighted by rarity, that a fact has too. Numbers count for nothing, since they meet by chance; a word that no
fact has counts as the rarest, so that a question about something else is not covered.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from nesycd.core.records import Fact
from nesycd.retrieval.linked import Found, Reason
from nesycd.retrieval.words import content_stems

TIER = 1
MIN_COVERAGE = 0.5
"""Of the question's words. On `longtail` two questions in 500 have a fact that no link leads to and that covers more than the
linked ones do; of questions about a company's policy, three in ten have one (docs/log.md)."""
MIN_SHARED = 2
"""Words that a fact must share with the question: one alone meets by chance."""


class CoveringFacts:
    """Facts by number, found by the words that they share with a question."""

    def __init__(self, facts: Mapping[int, Fact]) -> None:
        """Index them."""
        self._with: dict[str, list[int]] = defaultdict(list)
        self._size = len(facts)
        for number, fact in facts.items():
            names = " ".join((fact.subject, *fact.aliases))
            for word in set(words_of(f"{fact.text} {fact.relation} {fact.object} {names}")):
                self._with[word].append(number)

    def find(
        self, question: str, linked: Iterable[int] = (), hidden: frozenset[int] = frozenset(), most: int = 6
    ) -> list[Found]:
        """The facts that cover a question, and more of it than any linked fact does; best first, at most `most`.

        Args:
            question: in English.
            linked: numbers of the facts that links led to.
            hidden: numbers of facts that are as if they were not there.
        """
        asked = dict.fromkeys(words_of(question))
        shared: Counter[int] = Counter()
        covered: dict[int, float] = defaultdict(float)
        whole = 0.0
        for word in asked:
            numbers = self._with.get(word, ())
            weight = math.log(1 + self._size / max(1, len(numbers)))
            whole += weight
            for number in numbers:
                shared[number] += 1
                covered[number] += weight
        known = set(linked)
        floor = max((covered.get(number, 0.0) for number in known), default=0.0)
        passing = sorted(
            (
                number
                for number, weight in covered.items()
                if weight > floor
                and weight >= MIN_COVERAGE * whole
                and shared[number] >= MIN_SHARED
                and number not in known
                and number not in hidden
            ),
            key=lambda number: (-covered[number], number),
        )
        return [Found(n, TIER, covered[n] / whole, told(shared[n], len(asked))) for n in passing[:most]]


def told(shared: int, asked: int) -> Reason:
    """Why a fact was found."""
    return Reason("lexical", f"has {shared} of {asked} words")


def words_of(text: str) -> list[str]:
    """Stems of the words that count: no stop words, no numbers."""
    return [word for word in content_stems(text) if not word[0].isdigit()]
