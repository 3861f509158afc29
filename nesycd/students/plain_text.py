"""Token ids of texts that people or models wrote, in which no control token of the tokenizer is ever found.

A tokenizer of Hugging Face turns `<|im_end|>` into the token that ends a turn wherever it stands, so that a question or an
item of the knowledge base could forge a turn. Here it is spelled out, as any other text. Texts without control tokens keep
the ids that the tokenizer gives, and cost no more than a look at each of these. Marks that a template writes as ordinary text
(`[INST]` of Llama 2) have no token of their own, and cannot be told from a text that has them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cached_property
from typing import Any

Span = tuple[int, int]
"""Begin and end of a token in a text, in characters."""
_IN_WORDS = "-'’.,"
"""Punctuation of ordinary words and numbers."""


def is_control(content: str, special: bool) -> bool:
    """Whether an added token is a control token, by its text: a special one, or one with marks such as `<` or `|`.

    Many tokenizers have control tokens that are not marked as special (`<think>`, DeepSeek's `<｜User｜>`), and added tokens that
    are ordinary text: blanks, or words that someone added. A single character is ordinary text, though it be special (a
    `pad_token` of `!`).
    """
    content = content.strip()
    if len(content) < 2:
        return False
    return special or any(
        unicodedata.category(one)[0] == "P" or unicodedata.category(one) == "Sm"
        for one in content
        if one not in _IN_WORDS
    )


class PlainText:
    """Gives the token ids of texts, with control tokens spelled out.

    Args:
        tokenizer: the student's, of Hugging Face.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @cached_property
    def control(self) -> frozenset[int]:
        """The tokenizer's control tokens."""
        added = self.tokenizer.added_tokens_decoder.items()
        return frozenset(number for number, token in added if is_control(token.content, token.special))

    def ids(self, text: str) -> list[int]:
        """The token ids of a text, without marks of beginning and end."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return ids if self.control.isdisjoint(ids) else self.within(text, (0, len(text)))

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Numbers of tokens of several texts."""
        rows = self.tokenizer(list(texts), add_special_tokens=False).input_ids
        return [
            len(ids if self.control.isdisjoint(ids) else self.ids(text)) for text, ids in zip(texts, rows, strict=True)
        ]

    def within(self, text: str, place: Span, *, add_special_tokens: bool = False) -> list[int]:
        """The ids of a text in which control tokens are spelled out within `place` only, as around it is a template's."""
        if self.tokenizer.is_fast:
            return [number for number, _ in self.spans(text, place, add_special_tokens=add_special_tokens)]
        # No offsets tell where a token of these tokenizers, written in Python, stands.
        first, last = place
        before, after = (
            self.tokenizer(part, add_special_tokens=False).input_ids for part in (text[:first], text[last:])
        )
        ids = [*before, *self._spell(text[first:last]), *after]
        return self.tokenizer.build_inputs_with_special_tokens(ids) if add_special_tokens else ids

    def spans(self, text: str, place: Span, *, add_special_tokens: bool = False) -> list[tuple[int, Span]]:
        """As `within`, each id with its place in the text; those of a token that was spelled out share one.

        Needs a tokenizer that gives offsets (`is_fast`).
        """
        made = self.tokenizer(text, add_special_tokens=add_special_tokens, return_offsets_mapping=True)
        found: list[tuple[int, Span]] = []
        for number, (start, end) in zip(made.input_ids, made.offset_mapping, strict=True):
            ids = [number]
            if number in self.control and self._is_within(text[start:end], number, start, place):
                ids = self._spell(text[start:end])
            found += [(one, (start, end)) for one in ids]
        return found

    def _is_within(self, content: str, number: int, start: int, place: Span) -> bool:
        """Whether a control token stands in the text at `place`, if partly, and is not just an unknown word."""
        word = content.strip()
        start += len(content) - len(content.lstrip())  # tokens may take the blanks beside them
        if number == self.tokenizer.unk_token_id and word != self.tokenizer.unk_token:
            return False
        return bool(word) and start < place[1] and start + len(word) > place[0]

    def _spell(self, text: str) -> list[int]:
        """The ids of a text by the tokenizer's own vocabulary, without its added tokens."""
        # After a line break, since many tokenizers put a blank before what a text begins with.
        ids, before = self._unadded(f"\n{text}"), self._unadded("\n")
        ids = ids[len(before) :] if ids[: len(before)] == before else self._unadded(text)
        if len(text) < 2 or (self.control - {self.tokenizer.unk_token_id}).isdisjoint(ids):
            return ids
        # The vocabulary has the token as a word of its own.
        half = len(text) // 2
        return self._spell(text[:half]) + self._spell(text[half:])

    def _unadded(self, text: str) -> list[int]:
        if not self.tokenizer.is_fast:
            return list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids)
        steps = self.tokenizer.backend_tokenizer
        if steps.normalizer is not None:
            text = steps.normalizer.normalize_str(text)
        words = (
            [text] if steps.pre_tokenizer is None else [word for word, _ in steps.pre_tokenizer.pre_tokenize_str(text)]
        )
        return [token.id for word in words for token in steps.model.tokenize(word)]
