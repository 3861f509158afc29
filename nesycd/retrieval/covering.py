"""Facts that have the words of a question whose entities none of them bears: "Who approves an expense of 4900 EUR?".

People write facts whose subject no question names: "expense above 1000 EUR". They are found by *coverage*: the share of the
question's words, weighted by rarity, that a fact has too. Numbers count for nothing, since they meet by chance; a word that no
fact has counts as the rarest, so that a question about something else is not covered.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        places: dict[str, int] = {}
        words, numbers = array("i"), array("i")
        for number, fact in facts.items():
            names = " ".join((fact.subject, *fact.aliases))
            mine = {
                places.setdefault(word, len(places))
                for word in words_of(f"{fact.text} {fact.relation} {fact.object} {names}")
            }
            words.extend(mine)
            numbers.extend([number] * len(mine))
        order = (
            np.argsort(np.frombuffer(words, dtype=np.int32), kind="stable") if words else np.zeros(0, dtype=np.int64)
        )
        self._numbers = np.frombuffer(numbers, dtype=np.int32)[order] if words else np.zeros(0, dtype=np.int32)
        counts = np.bincount(np.frombuffer(words, dtype=np.int32), minlength=len(places)) if words else order
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._places, self._size, self._end = places, len(facts), max(facts, default=-1) + 1

    def find(
        self, question: str, linked: Iterable[int] = (), hidden: frozenset[int] = frozenset(), most: int = 6
    ) -> list[Found]:
        """The facts that cover a question, and more of it than any linked fact does; best first, at most `most`.

        Args:
            question: in English.
            linked: numbers of the facts that links led to.
            hidden: numbers of facts that are as if they were not there.
        """
        asked = weights(question, self._size, lambda word: len(self._having(word)))
        shared, covered = np.zeros(self._end, dtype=np.int16), np.zeros(self._end)
        whole = 0.0  # added up as the facts' are, so that one with all words covers exactly 1
        for word, weight in asked.items():
            whole += weight
            having = self._having(word)  # each number once: nothing is lost
            shared[having] += 1
            covered[having] += weight
        known = [number for number in set(linked) if number < self._end]
        floor = max((float(covered[number]) for number in known), default=0.0)
        passing = np.flatnonzero((covered > floor) & covers(shared, covered, whole))
        left_out = {*known, *hidden}
        ranked = passing[np.argsort(-covered[passing], kind="stable")]
        chosen = list(islice((number for number in ranked.tolist() if number not in left_out), most))
        return [Found(n, TIER, float(covered[n]) / whole, told(int(shared[n]), len(asked))) for n in chosen]

    def _having(self, word: str) -> NDArray[np.int32]:
        """Numbers of the facts that have a word."""
        place = self._places.get(word)
        return self._numbers[:0] if place is None else self._numbers[self._starts[place] : self._starts[place + 1]]


def weights(question: str, size: int, having: Callable[[str], int]) -> dict[str, float]:
    """The words of a question that count, each with its rarity; `having` says how many of `size` texts have one."""
    return {word: math.log(1 + size / max(1, having(word))) for word in words_of(question)}


def covers(shared: Any, weight: Any, whole: float) -> Any:
    """Whether a fact with so many of a question's words is found by them; `weight` is theirs, `whole` that of them all.

    Of several facts at once where these are arrays.
    """
    return (shared >= MIN_SHARED) & (weight >= MIN_COVERAGE * whole)


def told(shared: int, asked: int) -> Reason:
    """Why a fact was found."""
    return Reason("lexical", f"has {shared} of {asked} words")


def words_of(text: str) -> list[str]:
    """Stems of the words that count: no stop words, no numbers."""
    return [word for word in content_stems(text) if not word[0].isdigit()]
