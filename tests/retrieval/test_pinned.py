"""What the default retriever finds on longtail, pinned: measured results and the stages of finished runs rest on it.

Where this fails on purpose, `ALGORITHM` grows with it, so that no run mixes old hits with new ones.
"""

from __future__ import annotations

from nesycd.core.records import Entry, Status, content_hash
from nesycd.core.sections import RetrievalSection
from nesycd.retrieval import ALGORITHM, KnowledgeRetriever
from nesycd.tasks.longtail import LongTail

HITS = "5f0711fc7f00cf6e"
"""Of version 5 of the questions; by text: an item's id may change without its being found otherwise."""


def test_the_hits_on_longtail_are_those_that_were_measured() -> None:
    task = LongTail()
    examples = [example for split in ("train", "test", "ood_composed", "ood_unseen") for example in task.load(split)]
    items = {i.id: i for e in examples if e.truth for i in (*e.truth.facts, *e.truth.rules)}
    entries = [Entry(item=item, status=Status.APPROVED) for item in items.values()]
    given = RetrievalSection()
    retriever = KnowledgeRetriever(
        entries,
        lambda texts: [round(1.5 * len(text.split())) for text in texts],
        given.budget_tokens,
        given.max_items,
        given.hops,
    )
    found = []
    for number, example in enumerate(examples[::2]):
        # Every third question as in training: the items it needs are hidden one after the other.
        needed = [*example.truth.facts, *example.truth.rules] if example.truth else []
        hide = frozenset([needed[number % len(needed)].id] if needed and number % 3 == 0 else ())
        hits = retriever.retrieve(example.question, hide=hide, task=example.task)
        found.append([(hit.item.text, hit.score, hit.why) for hit in hits])
    assert len(found) > 300 and sum(map(bool, found)) > 200
    assert (content_hash(found), ALGORITHM) == (HITS, 5)
