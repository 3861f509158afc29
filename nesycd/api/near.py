"""Near misses: items that a question might have needed and did not get, with what kept each of them out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from nesycd.core.records import Entry, Example, Item, Status
from nesycd.methods.knowledge import Knowledge
from nesycd.retrieval import FusedRetriever, Fusion
from nesycd.retrieval.covering import words_of

MOST = 5
"""Near misses that are told."""
_BUDGET, _ITEMS = 100_000, 50
"""Limits without effect: what enters a context with these was kept out by the recipe's."""


@dataclass(frozen=True)
class NearMiss:
    """An item that was not retrieved.

    Attributes:
        item: of the knowledge base.
        why: what kept it out.
    """

    item: Item
    why: str


def near_misses(knowledge: Knowledge, entries: Sequence[Entry], example: Example, most: int = MOST) -> list[NearMiss]:
    """The nearest items that are not in a question's context: those without room, not approved, or with few of its words.

    Args:
        knowledge: what is retrieved from.
        entries: of the whole base, those included that are not approved.
        example: the question.
        most: how many to give at most.
    """
    seen = {hit.item.id for hit in knowledge.retriever.retrieve(knowledge.query(example), task=example.task)}
    made: list[NearMiss] = []
    for item, why in _candidates(knowledge, entries, example):
        if item.id not in seen and len(made) < most:
            seen.add(item.id)
            made.append(NearMiss(item, why))
    return made


def _candidates(knowledge: Knowledge, entries: Sequence[Entry], example: Example) -> Iterator[tuple[Item, str]]:
    query, limits = knowledge.query(example), knowledge.settings
    wide = limits.model_copy(update={"budget_tokens": _BUDGET, "max_items": _ITEMS})

    def found(among: Sequence[Entry]) -> list[Item]:
        there = replace(knowledge, settings=wide, entries=tuple(among), cache=None)
        return [hit.item for hit in there.retriever.retrieve(query, task=example.task)]

    room = f"no room (retrieval.max_items = {limits.max_items}, retrieval.budget_tokens = {limits.budget_tokens})"
    yield from ((item, room) for item in found(knowledge.entries))
    status = {entry.item_id: entry.status for entry in entries}
    waiting = [entry for entry in entries if entry.status not in (Status.APPROVED, Status.REJECTED)]
    for item in found([entry.model_copy(update={"status": Status.APPROVED}) for entry in waiting]):
        yield item, f"{status[item.id].value}, not approved: nesycd kb approve {item.id[:8]}"
    fusion = Fusion(sources=("lexical",), min_coverage=0.0, budget_tokens=_BUDGET, max_items=_ITEMS)
    words = FusedRetriever(knowledge.entries, knowledge.student.count_tokens, fusion)
    asked = set(words_of(query))
    for hit in words.retrieve(query):
        if shared := sorted(asked & set(words_of(hit.item.text))):
            yield (
                hit.item,
                f"shares only {', '.join(shared)} with the question, which names no subject that leads to it",
            )
