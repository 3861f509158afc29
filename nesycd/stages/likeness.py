"""How alike questions are, by the words they share (TF-IDF): which are of one kind, where nobody says so."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nesycd.retrieval.words import content_stems

KIND = 0.2
"""Mean cosine from which on questions are of one kind: on BBH and longtail 94 and 98 % of a cluster are then of one task."""
_WORDS = 2000
"""Words that are compared, the most frequent ones: what is particular to single questions does not tell their kind."""
ALGORITHM = 1
"""Part of the fingerprint of what depends on it."""

Vectors = NDArray[np.float32]


class Likeness:
    """Texts by key as vectors of unit length, weighted by the rarity of their words; words that one text alone has are left out.

    >>> alike = Likeness({"a": "How many logs are 2 hins?", "b": "How many logs are 3 kors?", "c": "Who was Ada's father?"})
    >>> alike.between(["a"], ["b", "c"]).round(2).tolist()
    [[1.0, 0.0]]
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        words = [set(content_stems(text)) for text in texts.values()]
        known = Counter(word for text in words for word in text)
        shared = sorted((word for word, count in known.items() if count > 1), key=lambda word: (-known[word], word))
        places = {word: place for place, word in enumerate(shared[:_WORDS])}
        made = np.zeros((len(texts), len(places)), dtype=np.float32)
        for row, text in enumerate(words):
            for word in text & places.keys():
                made[row, places[word]] = 1 + math.log((1 + len(texts)) / (1 + known[word]))
        lengths = np.linalg.norm(made, axis=1, keepdims=True)
        self._vectors: Vectors = np.divide(made, lengths, out=made, where=lengths > 0)
        self._rows = {key: row for row, key in enumerate(texts)}

    def between(self, some: Sequence[str], others: Sequence[str]) -> Vectors:
        """The cosines of two lists of texts, given by their keys, shape (some, others)."""
        return self._of(some) @ self._of(others).T

    def nearness(self, some: Sequence[str], others: Sequence[str]) -> dict[str, float]:
        """The mean cosine of each of the others to some; both lists have at least one text."""
        return dict(zip(others, map(float, self._of(others) @ self._of(some).mean(axis=0)), strict=True))

    def _of(self, keys: Sequence[str]) -> Vectors:
        return self._vectors[[self._rows[key] for key in keys]]
