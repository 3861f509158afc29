"""Retrieval: linking, ambiguity, hops, hiding, budget, and recall on the real benchmark."""

from __future__ import annotations

import time

import pytest

from nesycd.records import Entry, Evidence, Fact, Item, Lesson, Status
from nesycd.retrieval import KnowledgeRetriever
from nesycd.retrieval.recall import count_recall
from nesycd.tasks.longtail import LongTail, LongTailSettings


def fact(subject: str, relation: str, value: str, *aliases: str) -> Fact:
    return Fact(
        text=f"{subject} {relation} {value}.", subject=subject, relation=relation, object=value, aliases=aliases
    )


def words(texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def retriever(*items: Item, **options: int) -> KnowledgeRetriever:
    note = (Evidence(example="", source="test"),)
    entries = [Entry(item=item, status=Status.APPROVED, evidence=note) for item in items]
    return KnowledgeRetriever(entries, words, **options)


FATHOM = fact("fathom", "makes", "6 feet", "fadom")
MONEY = fact("pound", "worth", "20 shillings")
WEIGHT = fact("pound (weight)", "makes", "16 ounces", "pound")
FATHER = fact("Edward III", "father", "Edward II")
GRANDFATHER = fact("Edward II", "father", "Edward I")


@pytest.mark.parametrize("name", ["fathoms", "Fathom", "fadom", "fathom's"])
def test_names_aliases_and_inflections_are_linked(name: str) -> None:
    (hit,) = retriever(FATHOM, MONEY).retrieve(f"How many feet are 3 {name}?")
    assert hit.item == FATHOM and "fathom" in hit.why


def test_an_ambiguous_name_is_told_apart_by_the_other_words() -> None:
    found = retriever(MONEY, WEIGHT)
    assert found.retrieve("How many ounces make 2 pounds?")[0].item == WEIGHT
    assert found.retrieve("How many shillings are 2 pounds worth?")[0].item == MONEY


def test_a_hop_reaches_a_person_who_is_not_named() -> None:
    items = [
        hit.item for hit in retriever(FATHER, GRANDFATHER, FATHOM).retrieve("Who was Edward III's father's father?")
    ]
    assert items == [FATHER, GRANDFATHER]


def test_hidden_proposed_and_unrelated_items_stay_out() -> None:
    assert not retriever(FATHOM).retrieve("How many feet are 3 fathoms?", hide=frozenset({FATHOM.id}))
    proposed = KnowledgeRetriever([Entry(item=FATHOM)], words)
    assert not proposed.retrieve("How many feet are 3 fathoms?")
    assert not retriever(FATHOM, Lesson(text="Multiply the coins first.")).retrieve("Is it true that it rains?")


def test_the_budget_holds() -> None:
    many = [fact("fathom", f"relation{number}", "six long feet") for number in range(9)]
    assert sum(words([hit.item.text for hit in retriever(*many, budget_tokens=12).retrieve("a fathom")])) <= 12
    assert len(retriever(*many, max_items=2).retrieve("a fathom relation1 relation2")) <= 2


def test_recall_on_longtail_with_all_facts() -> None:
    task = LongTail(LongTailSettings())
    found = retriever(*task.world().facts, budget_tokens=200, hops=2)
    examples = [example for example in task.load("valid") if example.truth is not None and example.truth.facts]
    started = time.perf_counter()
    hits = [[hit.item for hit in found.retrieve(example.question)] for example in examples]
    assert (time.perf_counter() - started) / len(examples) < 0.05
    recall = count_recall(examples, hits)
    assert recall.share is not None and recall.share >= 0.95
