"""Sums are computed while the student writes them (calculator: Cobbe et al. 2021, arXiv 2110.14168).

A small student picks the right numbers more often than it adds them rightly. After `7 x 11 =` the result is written for it,
wherever the sum before can be read beyond doubt; all else it writes itself.
"""

from __future__ import annotations

from typing import Any

from nesycd.grading.working import next_result

CALCULATOR = "calculator/1"
"""Part of fingerprints: its number grows when the same answer would go on otherwise."""
_BLANKS = " \u0120\u2581"
"""As tokens have them: plain, of byte-level BPE, of SentencePiece."""


class Calculator:
    """Called with an answer's tokens so far; says which come next, where that is computed."""

    def __init__(self, tokenizer: Any) -> None:
        """`tokenizer`: the student's, of Hugging Face."""
        self._tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab().items()
        self._ends = frozenset(number for token, number in vocabulary if token.rstrip(_BLANKS).endswith(("=", "$")))

    def __call__(self, ids: list[int]) -> list[int]:
        """The tokens of a result; [] where the last token ends no sum, or its result is not sure."""
        if ids[-1] not in self._ends:
            return []
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        result = next_result(text)
        if not result:
            return []
        before, after = self._ids(text), self._ids(text + result)
        # A tokenizer may join what stands on either side: then nothing can be put after the tokens that are there.
        return after[len(before) :] if after[: len(before)] == before else []

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)
