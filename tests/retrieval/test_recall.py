"""Recall counts all needed facts, also those the KB has not; and the retriever finds what longtail's questions need."""

from __future__ import annotations

import pytest

from nesycd.core.records import Derivation, Entry, Example, Fact, Hit, Rule, Status
from nesycd.retrieval import KnowledgeRetriever, Recall, count_recall, recall
from nesycd.tasks.longtail import LongTail, LongTailSettings


def fact(number: int) -> Fact:
    return Fact(text=f"Fact {number}.", subject=f"Thing {number}", relation="is", object="so")


def example(uid: str, *needed: Fact) -> Example:
    return Example(uid=uid, task="t", question="q", answer="a", truth=Derivation(facts=needed))


def hit(item: Fact | Rule) -> Hit:
    return Hit(item=item, score=1.0, why="test")


def test_share_of_all_needed_facts() -> None:
    other_words = Fact(text="Said otherwise.", subject="THING  1", relation="Is", object=" so")
    examples = [example("1", fact(1), fact(2)), example("2", fact(3), fact(3)), example("3")]
    hits = [[hit(other_words), hit(fact(9))], [hit(Rule(text="Fact 3."))], [hit(fact(4))]]
    assert recall(examples, hits) == pytest.approx(1 / 3)
    assert count_recall(examples, [[h.item for h in some] for some in hits]) == Recall(3, 1, 2, 0)
    assert recall([example("3")], [[]]) == 1.0
    with pytest.raises(ValueError, match="shorter"):
        recall(examples, hits[:2])


@pytest.mark.parametrize("renamed", [False, True])
def test_recall_on_longtail_with_few_distractors(renamed: bool) -> None:
    task = LongTail(LongTailSettings(renamed=renamed))
    needed = {item.id: item for e in task.load("train") if e.truth for item in (*e.truth.facts, *e.truth.rules)}
    entries = [Entry(item=item, status=Status.APPROVED) for item in needed.values()]
    retriever = KnowledgeRetriever(entries, lambda texts: [round(1.5 * len(text.split())) for text in texts])
    found = {}
    for split in ("train", "valid"):
        examples = task.load(split)
        hits = [retriever.retrieve(e.question, task=e.task) for e in examples]
        found[split] = recall(examples, hits)
        triples = [{f.triple for f in e.truth.facts} if e.truth else set() for e in examples]
        facts = [[h.item for h in some if isinstance(h.item, Fact)] for some in hits]
        extra = sum(f.triple not in needs for needs, some in zip(triples, facts, strict=True) for f in some)
        assert found[split] >= 0.95
        assert extra / len(examples) < 0.5
    assert abs(found["train"] - found["valid"]) < 0.03
