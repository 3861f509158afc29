"""A corpus of passages, for methods that retrieve text rather than knowledge items: BM25 over pieces of at most 128 words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from nesycd.core.records import Passage, content_hash
from nesycd.retrieval.lexical import LexicalIndex

WORDS = 128
"""Longest passage, in words (Kang et al. 2023 read passages of 100)."""


class PassageIndex:
    """Finds passages for a text, best first.

    Example:
        >>> index = PassageIndex(passages_of(["A fathom is 6 feet.", "The florin was worth 2 shillings."]))
        >>> [one.text for one in index.find("How many feet are 3 fathoms?", 1)]
        ['A fathom is 6 feet.']
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = tuple(passages)
        self.fingerprint = content_hash(["passages/1", [one.id for one in self.passages]])
        self._index: LexicalIndex | None = None

    def find(self, text: str, count: int) -> list[Passage]:
        """At most `count` passages that share a content word with `text`; equal scores in the corpus's order."""
        if self._index is None:
            self._index = LexicalIndex([one.text for one in self.passages])
        scores, _ = self._index.scores(text)
        order = np.argsort(-scores, kind="stable")[:count]
        return [self.passages[row] for row in order if scores[row] > 0]


def passages_of(texts: Iterable[str]) -> list[Passage]:
    """Texts as passages: blanks made one, longer ones cut into pieces of `WORDS` words, duplicates left out."""
    pieces = []
    for text in texts:
        words = text.split()
        pieces += [" ".join(words[start : start + WORDS]) for start in range(0, len(words), WORDS)]
    return [Passage(text=piece) for piece in dict.fromkeys(pieces)]
