"""Facts that have the words of a question whose entities none of them bears: "Who approves an expense of 4900 EUR?".

People write facts whose subject no question names: "expense above 1000 EUR". They are found by *coverage*: the share of the
question's words, weighted by rarity, that a fact has too. Numbers count for nothing, since they meet by chance; a word that no
fact has counts as the rarest, so that a question about something else is not covered.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

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
        asked = weights(question, self._size, lambda word: len(self._with.get(word, ())))
        shared: Counter[int] = Counter()
        covered: dict[int, float] = defaultdict(float)
        whole = 0.0  # added up as the facts' are, so that one with all words covers exactly 1
        for word, weight in asked.items():
            whole += weight
            for number in self._with.get(word, ()):
                shared[number] += 1
                covered[number] += weight
        known = set(linked)
        floor = max((covered.get(number, 0.0) for number in known), default=0.0)
        passing = sorted(
            (
                number
                for number, weight in covered.items()
                if weight > floor
                and covers(shared[number], weight, whole)
                and number not in known
                and number not in hidden
            ),
            key=lambda number: (-covered[number], number),
        )
        return [Found(n, TIER, covered[n] / whole, told(shared[n], len(asked))) for n in passing[:most]]


def weights(question: str, size: int, having: Callable[[str], int]) -> dict[str, float]:
    """The words of a question that count, each with its rarity; `having` says how many of `size` texts have one."""
    return {word: math.log(1 + size / max(1, having(word))) for word in words_of(question)}


def covers(shared: int, weight: float, whole: float) -> bool:
    """Whether a fact with so many of a question's words is found by them; `weight` is theirs, `whole` that of them all."""
    return shared >= MIN_SHARED and weight >= MIN_COVERAGE * whole


def told(shared: int, asked: int) -> Reason:
    """Why a fact was found."""
    return Reason("lexical", f"has {shared} of {asked} words")


def words_of(text: str) -> list[str]:
    """Stems of the words that count: no stop words, no numbers."""
    return [word for word in content_stems(text) if not word[0].isdigit()]
