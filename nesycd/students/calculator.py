"""A calculator during generation (Cobbe et al. 2021, arXiv 2110.14168).

A small student chooses the right numbers more often than it computes rightly. After `7 x 11 =` the result is inserted where the
expression can be parsed without ambiguity; everything else is generated.
"""

from __future__ import annotations

from typing import Any

from nesycd.grading.arithmetic import next_result

CALCULATOR = "calculator/1"
"""Part of fingerprints: its number is raised when results would be inserted otherwise."""
_BLANKS = " \u0120\u2581"
"""Blanks in tokens: plain, of byte-level BPE, of SentencePiece."""


class Calculator:
    """Called with an answer's tokens so far; returns the tokens to insert."""

    def __init__(self, tokenizer: Any) -> None:
        """`tokenizer`: the student's, of Hugging Face."""
        self._tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab().items()
        self._ends = frozenset(number for token, number in vocabulary if token.rstrip(_BLANKS).endswith(("=", "$")))

    def __call__(self, ids: list[int]) -> list[int]:
        """The tokens of a result; [] where the last token ends no expression, or its result is ambiguous."""
        if ids[-1] not in self._ends:
            return []
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        result = next_result(text)
        if not result:
            return []
        before, after = self._ids(text), self._ids(text + result)
        # Where the tokenizer would merge tokens across the boundary, nothing can be inserted.
        return after[len(before) :] if after[: len(before)] == before else []

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)
