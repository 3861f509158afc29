"""Distracting contexts: what retrieval finds for a question when the facts it needs are hidden.

Where there are fewer items than in the question's real context, random facts from the base are added. No item contains the gold
answer. For evaluation only, since the ground truth decides what is hidden. Without ground truth the context of another
question (of another task, where there is one) is used.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from nesycd.core.protocols import Retriever
from nesycd.core.records import Entry, Example, Fact, Hit, Retrieval, Status
from nesycd.knowledge import normal_triple
from nesycd.retrieval import holds_answer

ALGORITHM = 2
"""Part of the fingerprint: raised when the same knowledge would give other distractors."""


@dataclass(frozen=True)
class Distractors:
    """The source of distracting items.

    Attributes:
        retriever: the one that retrieved the real contexts.
        entries: of the base; random facts are drawn from the approved ones.
        count_tokens: the student's tokeniser: length of each text.
        budget: most student tokens of a context.
        seed: of the random draws.
        query: gives the search query for an example.
    """

    retriever: Retriever
    entries: Sequence[Entry]
    count_tokens: Callable[[Sequence[str]], list[int]]
    budget: int
    seed: int
    query: Callable[[Example], str] = attrgetter("question")
    _pool: list[tuple[Fact, int]] = field(init=False)

    def __post_init__(self) -> None:
        facts = [e.item for e in self.entries if e.status is Status.APPROVED and isinstance(e.item, Fact)]
        sizes = self.count_tokens([fact.text for fact in facts]) if facts else []
        object.__setattr__(self, "_pool", list(zip(facts, sizes, strict=True)))

    def contexts(self, examples: Sequence[Example], real: Sequence[Retrieval]) -> Iterator[Retrieval]:
        """A distracting context for each example; `real`: the real retrieval for each, in the same order."""
        for place, (example, found) in enumerate(zip(examples, real, strict=True)):
            rng = random.Random(f"distract-{self.seed}-{example.uid}")
            if example.truth is not None:
                needed = frozenset(normal_triple(fact) for fact in example.truth.facts)
                hidden = frozenset(fact.id for fact, _ in self._pool if normal_triple(fact) in needed)
                hits = self._found(example, hidden)[: len(found.hits) or None]
            else:
                hidden = frozenset(item.id for item in found.items)
                hits = _of_another(examples, real, place, hidden, rng)
            yield Retrieval(example=example.uid, hits=tuple(self._filled(example, hits, len(found.hits), hidden, rng)))

    def _found(self, example: Example, hidden: frozenset[str]) -> list[Hit]:
        while True:
            hits = self.retriever.retrieve(self.query(example), hide=hidden, task=example.task)
            telling = frozenset(hit.item.id for hit in hits if holds_answer(example, [hit.item]))
            if telling <= hidden:  # derived facts are no items, and are found again although hidden
                return [hit for hit in hits if hit.item.id not in telling]
            hidden |= telling

    def _filled(
        self, example: Example, hits: Sequence[Hit], size: int, hidden: frozenset[str], rng: random.Random
    ) -> list[Hit]:
        chosen = list(hits)
        if len(chosen) >= size:
            return chosen
        taken = hidden | {hit.item.id for hit in chosen}
        left = self.budget - (sum(self.count_tokens([hit.item.text for hit in chosen])) if chosen else 0)
        for fact, tokens in rng.sample(self._pool, len(self._pool)):
            if len(chosen) == size:
                break
            if fact.id not in taken and tokens <= left and not holds_answer(example, [fact]):
                left -= tokens
                chosen.append(Hit(item=fact, score=0.0, by=("drawn",), why="drawn"))
        return chosen


def _of_another(
    examples: Sequence[Example], real: Sequence[Retrieval], place: int, own: frozenset[str], rng: random.Random
) -> list[Hit]:
    """What was retrieved for another question, without items in the question's own context or with its answer."""
    example = examples[place]
    others = [number for number, one in enumerate(real) if one.hits and number != place]
    unlike = [number for number in others if examples[number].task != example.task]
    if not others:
        return []
    chosen = real[rng.choice(unlike or others)]
    return [
        hit.model_copy(update={"why": f"found for {chosen.example}"})
        for hit in chosen.hits
        if hit.item.id not in own and not holds_answer(example, [hit.item])
    ]
