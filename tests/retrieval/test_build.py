"""Which retriever a recipe chooses, and that the default's fingerprint is what it was before there was a choice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from nesycd.core.records import Entry, Evidence, Example, Fact, Status
from nesycd.core.sections import RetrievalSection
from nesycd.knowledge import Entities, EntityMerge, Relation
from nesycd.retrieval import FusedRetriever, KnowledgeRetriever, identity, retriever_of
from nesycd.retrieval.build import query_of

FATHOM = Fact(text="A fathom is 6 feet.", subject="fathom", relation="length", object="6 feet")
ENTRIES = [Entry(item=FATHOM, status=Status.APPROVED, evidence=(Evidence(example="q1", source="expert"),))]
MERGED = Entities(merges=(EntityMerge(1, "", "Ann", "a", "b", ""),))
DECLARED = Entities(relations={"length": Relation(name="length")})


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_the_default_is_what_it_was() -> None:
    assert isinstance(retriever_of(RetrievalSection(), ENTRIES, words), KnowledgeRetriever)
    old = [{"budget_tokens": 96, "max_items": 6, "hops": 2}, 5]
    assert identity(RetrievalSection(), Entities()) == old
    assert identity(RetrievalSection(sources=("dense",), model="x", by_task=True), DECLARED) == old
    assert identity(RetrievalSection(), MERGED) != old


def test_what_the_fused_kind_reads_counts() -> None:
    base = {"kind": "fused", "hops": 1}
    told = [
        identity(RetrievalSection.model_validate({**base, **more}), entities)
        for more, entities in [
            ({}, Entities()),
            ({}, MERGED),
            ({}, DECLARED),
            ({"hops": 2}, Entities()),
            ({"weights": {"linked": 2.0}}, Entities()),
            ({"min_coverage": 0.4}, Entities()),
            ({"by_task": True}, Entities()),
            ({"query_fields": ("task", "question")}, Entities()),
            ({"sources": ("linked", "dense")}, Entities()),
            ({"sources": ("linked", "dense"), "model": "x"}, Entities()),
        ]
    ]
    assert len({str(one) for one in told}) == len(told)
    assert identity(RetrievalSection(kind="fused", hops=1, model="x"), Entities()) == told[0]


def test_what_is_searched_with_counts_only_where_it_is_not_the_question() -> None:
    assert identity(RetrievalSection(query_fields=("question",)), Entities()) == identity(
        RetrievalSection(), Entities()
    )
    assert identity(RetrievalSection(query_fields=("options",)), Entities()) != identity(RetrievalSection(), Entities())
    example = Example(uid="1", task="bbh/word_sorting", question="Which?", options=("red", "blue"), answer="(A)")
    assert query_of(example) == "Which?"
    assert query_of(example, ("options", "task", "question")) == "word sorting\nWhich?\nred\nblue"


def test_the_fused_kind_is_built_with_its_parts(tmp_path: Path) -> None:
    pytest.importorskip("wordllama")
    section = RetrievalSection(kind="fused", sources=("linked", "dense"), min_similarity=0.5, by_task=True)
    retriever = retriever_of(section, ENTRIES, words, tasks_of=lambda entry: frozenset({"units"}), cache=tmp_path)
    assert isinstance(retriever, FusedRetriever)
    [hit] = retriever.retrieve("How many feet are in a fathom?", task="units")
    assert hit.why == "names fathom; dense #1"
    assert retriever.retrieve("How many feet are in a fathom?", task="coins") == []
    assert [path.name[:11] for path in tmp_path.iterdir()] == ["embeddings-"]
