"""Blocks that do not help: what is hidden, what fills them up, and that no item holds the answer."""

from __future__ import annotations

from collections.abc import Sequence

from nesycd.core.records import Derivation, Entry, Example, Fact, Hit, Retrieval, Status
from nesycd.retrieval import KnowledgeRetriever
from nesycd.stages.distract import Distractors


def fact(subject: str, relation: str, value: str) -> Fact:
    return Fact(text=f"The {relation} of {subject} is {value}.", subject=subject, relation=relation, object=value)


LENGTH, WEIGHT = fact("fathom", "length", "6 feet"), fact("fathom", "weight", "3 pounds")
OTHERS = tuple(fact(f"unit{n}", "length", f"{n} feet") for n in range(2, 12))
ENTRIES = [Entry(item=item, status=Status.APPROVED) for item in (LENGTH, WEIGHT, *OTHERS)]


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def question(uid: str, text: str, answer: str, *needed: Fact, task: str = "units", known: bool = True) -> Example:
    truth = Derivation(facts=needed, steps=("So.",), uses=((),)) if known else None
    return Example(uid=uid, task=task, question=text, answer=answer, truth=truth)


def contexts(examples: Sequence[Example], real: Sequence[Retrieval], seed: int = 0) -> list[list[Hit]]:
    retriever = KnowledgeRetriever(ENTRIES, words)
    made = Distractors(retriever, ENTRIES, words, 96, seed).contexts(examples, real)
    return [list(one.hits) for one in made]


def test_needed_facts_are_hidden_and_the_block_is_filled_up_without_the_answer() -> None:
    asked = question("q", "What is the length of 4 fathoms?", "4 feet", LENGTH)
    retriever = KnowledgeRetriever(ENTRIES, words)
    hits = (*retriever.retrieve(asked.question), Hit(item=OTHERS[9], score=1.0, why="x"))
    real = Retrieval(example="q", hits=(*hits, Hit(item=OTHERS[8], score=1.0, why="x")))
    assert LENGTH in real.items
    [one] = contexts([asked], [real])
    items = [hit.item for hit in one]
    assert len(items) == len({item.id for item in items}) == len(real.hits)
    # What the retriever finds when it may not find what is needed comes first; the rest is drawn.
    assert items[0] == WEIGHT and {hit.why for hit in one[1:]} == {"drawn"}
    assert LENGTH not in items and OTHERS[2] not in items, "unit4 is 4 feet long, which is the answer"
    assert [one] == contexts([asked], [real]) and [one] != contexts([asked], [real], seed=1)


def test_a_found_item_that_holds_the_answer_makes_room_for_others() -> None:
    asked = question("q", "What is the weight of unit4 and of fathom?", "3 pounds", OTHERS[2])
    real = Retrieval(example="q", hits=tuple(KnowledgeRetriever(ENTRIES, words).retrieve(asked.question)))
    assert WEIGHT in real.items
    [one] = contexts([asked], [real])
    assert LENGTH in [hit.item for hit in one] and WEIGHT not in [hit.item for hit in one]


def test_where_nothing_is_retrieved_nothing_is_drawn() -> None:
    assert contexts([question("q", "What is 2 plus 3?", "5")], [Retrieval(example="q")]) == [[]]


def test_without_truth_another_tasks_block_is_taken() -> None:
    examples = [
        question("a", "How long is a fathom?", "6 feet", task="units", known=False),
        question("b", "How long is unit5?", "5 feet", task="units", known=False),
        question("c", "How long is unit7?", "7 feet", task="coins", known=False),
        question("d", "Who is it?", "2 feet", task="other", known=False),
    ]
    found = {"a": (LENGTH, WEIGHT), "b": (OTHERS[3],), "c": (OTHERS[5],), "d": ()}
    real = [
        Retrieval(example=uid, hits=tuple(Hit(item=i, score=1.0, why="found") for i in items))
        for uid, items in found.items()
    ]
    first, second, third, fourth = contexts(examples, real)
    assert [hit.why for hit in first] == ["found for c", "drawn"] and first[0].item == OTHERS[5]
    assert [hit.item for hit in second] == [OTHERS[5]]
    assert {hit.item.id for hit in third} <= {LENGTH.id, WEIGHT.id, OTHERS[3].id}
    assert fourth and not any(hit.item.object == "2 feet" for hit in fourth)
    [alone] = contexts(examples[:1], real[:1])
    assert [hit.why for hit in alone] == ["drawn", "drawn"], "there is no other question"
