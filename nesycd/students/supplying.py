"""Inserting what tools supply while a local student generates (after Cobbe et al. 2021, arXiv 2110.14168).

A small student chooses the right numbers more often than it computes rightly, and knows what to ask more often than the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from nesycd.core.answers import Call
from nesycd.core.protocols import Prompt, Tools
from nesycd.students.plain_text import PlainText

_BLANKS = " \u0120\u2581"
"""Blanks in tokens: plain, of byte-level BPE, of SentencePiece."""
_LONGEST = 64
"""Tokens of a call at most, as far as it is held to what can be called."""


class Supplying:
    """Asks the tools of prompts in tokens; `row` gives what is called for one answer."""

    def __init__(self, tokenizer: Any) -> None:
        """`tokenizer`: the student's, of Hugging Face."""
        self.tokenizer = tokenizer
        self._ends: dict[tuple[str, ...], frozenset[int]] = {}
        self.ids = PlainText(tokenizer).ids

    @cached_property
    def brackets(self) -> tuple[frozenset[int], frozenset[int]]:
        """The tokens that have an opening bracket, and those that have a closing one or end a line."""
        vocabulary = self.tokenizer.get_vocab().items()
        ends = frozenset(number for token, number in vocabulary if "]" in token or "\u010a" in token or "\n" in token)
        return frozenset(number for token, number in vocabulary if "[" in token), ends

    def row(self, prompt: Prompt) -> Supplier | None:
        """What is called with the tokens of the answer to a prompt; None where it has no tools."""
        return None if prompt.tools is None else Supplier(self, prompt.tools, prompt.question)

    def ends(self, tools: Tools) -> frozenset[int]:
        """The tokens that may end a call."""
        if tools.ends not in self._ends:
            vocabulary = self.tokenizer.get_vocab().items()
            found = frozenset(number for token, number in vocabulary if token.rstrip(_BLANKS).endswith(tools.ends))
            self._ends[tools.ends] = found
        return self._ends[tools.ends]


def _ends_word(more: str) -> bool:
    """Whether a continuation does not go on with the word before it."""
    return not more[:1].isalnum()


RANKED = 64
"""How many of the likeliest tokens are looked through for one that may follow within a call."""


class Supplier:
    """Called with an answer's tokens so far; returns the tokens to insert, and keeps the trace of calls."""

    def __init__(self, supplying: Supplying, tools: Tools, question: str) -> None:
        self._supplying, self._tools, self._question = supplying, tools, question
        self._ends = supplying.ends(tools)
        self.trace: list[Call] = []

    def pick(self, ids: list[int], first: int, ranked: Callable[[], list[int]], supplied: bool) -> int:
        """The token that comes next: the likeliest one that is allowed here.

        Within a call it must lead to one that can be called; after a result no word or number of it may go on.

        Args:
            ids: the answer's tokens so far.
            first: the likeliest token.
            ranked: gives the `RANKED` likeliest ones in order.
            supplied: whether the last token was supplied.
        """
        decode = self._supplying.tokenizer.decode
        text = decode(ids, skip_special_tokens=True)
        allowed = self._tools.allowed(text, self._question, self.trace)
        if supplied and text[-1:].isalnum():
            allowed = _ends_word
        if allowed is None:
            return first

        def fits(token: int) -> bool:
            after = decode([*ids, token], skip_special_tokens=True)
            more = after.removeprefix(text)
            # An end token has no text, and part of a character can't be judged yet.
            return after.startswith(text) and (not more or "\ufffd" in more or allowed(more))

        if fits(first):
            return first
        return next((token for token in ranked() if fits(token)), first)

    def is_calling(self, ids: list[int]) -> bool:
        """Whether a call may have been begun and not closed: cheap, and asked at every token."""
        begins, ends = self._supplying.brackets
        for token in reversed(ids[-_LONGEST:]):
            if token in ends:
                return False
            if token in begins:
                return True
        return False

    def __call__(self, ids: list[int]) -> list[int]:
        """The tokens that are supplied; [] where the last token ends no call, or the result is not sure."""
        if ids[-1] not in self._ends:
            return []
        given = self._supplying
        text = given.tokenizer.decode(ids, skip_special_tokens=True)
        made = self._tools.supply(text, self._question, self.trace)
        if made is None:
            return []
        before, after = given.ids(text), given.ids(text + made.text)
        if after[: len(before)] != before:
            # Where the tokenizer would merge tokens across the boundary, nothing can be inserted.
            return []
        self.trace.append(made.call)
        return after[len(before) :]
