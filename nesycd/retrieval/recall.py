"""Recall of the facts that questions need, in their prompts. For reports only: no method may read the ground truth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nesycd.core.records import Example, Fact, Hit, Item
from nesycd.core.text import normal
from nesycd.knowledge.merge import normal_triple


@dataclass(frozen=True)
class Recall:
    """Needed facts, and how many of them are in the prompts; `complete` of `examples` got all that they need."""

    needed: int = 0
    arrived: int = 0
    examples: int = 0
    complete: int = 0

    @property
    def share(self) -> float:
        """Recall, in [0, 1]; 1.0 where nothing was needed."""
        return self.arrived / self.needed if self.needed else 1.0


def arrived(example: Example, items: Iterable[Item]) -> tuple[int, int]:
    """(arrived, needed) facts of one question, compared as normalised triples, each counted once."""
    needed = {normal_triple(fact) for fact in example.truth.facts} if example.truth else set()
    given = {normal_triple(item) for item in items if isinstance(item, Fact)}
    return len(needed & given), len(needed)


def count_recall(examples: Sequence[Example], delivered: Sequence[Iterable[Item]]) -> Recall:
    """Count over examples and, in the same order, the items in their prompts.

    Facts that the KB does not have count as needed like all others. Examples that need no facts do not count.
    """
    needed = got = counted = complete = 0
    for example, items in zip(examples, delivered, strict=True):
        here, all_of_it = arrived(example, items)
        if all_of_it:
            counted += 1
            complete += here == all_of_it
            needed += all_of_it
            got += here
    return Recall(needed, got, counted, complete)


def holds_answer(example: Example, items: Iterable[Item]) -> bool:
    """Whether an item's text contains the gold answer as a separate word, number or phrase, by chance or not."""
    answer = example.answer
    if example.options and (letter := re.fullmatch(r"\(?([A-Z])\)?", answer.strip())):
        answer = example.options[ord(letter[1]) - ord("A")]
    return any(mentions(item.text, answer) for item in items)


def mentions(text: str, phrase: str) -> bool:
    """Whether a text contains a phrase as a separate word, number or phrase; False for an empty one."""
    wanted = normal(phrase)
    found = re.search(rf"(?<!\w)(?<!\d[.,]){re.escape(wanted)}(?!\w)(?![.,]\d)", normal(text))
    return bool(wanted) and found is not None


def recall(examples: Sequence[Example], hits: Sequence[Sequence[Hit]]) -> float:
    """Share of all needed facts that arrive, for retrieved hits (see `count_recall`)."""
    return count_recall(examples, [[hit.item for hit in some] for some in hits]).share
