"""BM25 over short texts (bm25s, Lucene's variant), with a score that can be compared between questions.

A raw BM25 score grows with the question's length and the KB's size, so it cannot say "nothing here is relevant". The
*query coverage* can: the item's score for the question over its score for its own full text, in [0, 1]. It is the share of the
item's words, weighted by rarity, that the question mentions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nesycd.retrieval.words import content_stems

Scores = NDArray[np.float32]


class LexicalIndex:
    """Scores texts against questions; the order of the texts is the index into all results."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Tokenise (stop words out, light stems) and index `texts`."""
        self._size = len(texts)
        self._model: Any = None
        stems = [content_stems(text) for text in texts]
        if any(stems):
            import bm25s  # 0.1 s to import: not wanted by those who only look at `nesycd.retrieval`

            vocabulary = {word: n for n, word in enumerate(dict.fromkeys(word for text in stems for word in text))}
            numbers = [[vocabulary[word] for word in text] for text in stems]
            self._model = bm25s.BM25(method="lucene", csc_backend="numpy")
            # Numbered by us: bm25s would number words in the order of a set, which differs from process to process.
            self._model.index((numbers, vocabulary), show_progress=False)
            data, rows = self._model.scores["data"], self._model.scores["indices"]
            self._full = np.bincount(rows, weights=data, minlength=self._size).astype(np.float32)
            self._full[self._full <= 0] = np.inf

    def scores(self, question: str, extra: Sequence[str] = ()) -> tuple[Scores, Scores]:
        """BM25 scores and query coverages of all texts, each of shape (number of texts,). `extra`: further stems of the query."""
        if self._model is None:
            zero = np.zeros(self._size, dtype=np.float32)
            return zero, zero
        vocabulary = self._model.vocab_dict
        asked = [word for word in dict.fromkeys([*content_stems(question), *extra]) if word and word in vocabulary]
        if not asked:
            zero = np.zeros(self._size, dtype=np.float32)
            return zero, zero
        raw: Scores = self._model.get_scores(asked)
        return raw, (raw / self._full).astype(np.float32)
