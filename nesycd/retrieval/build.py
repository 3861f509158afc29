"""The retriever of a recipe's section `retrieval`, and the identity of its settings for fingerprints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nesycd.core.protocols import Retriever
from nesycd.core.records import Entry, Example
from nesycd.core.sections import QueryField, RetrievalSection
from nesycd.knowledge.entities import Entities
from nesycd.retrieval.dense import CachedEmbedder, embedder_of
from nesycd.retrieval.fused import FUSED_ALGORITHM, FusedRetriever, Fusion, Tasks
from nesycd.retrieval.retriever import ALGORITHM, KnowledgeRetriever

_LIMITS = ("budget_tokens", "max_items", "hops")
"""Settings of both kinds of retriever."""
_FLOORS = ("min_coverage", "min_similarity")


def retriever_of(
    section: RetrievalSection,
    entries: Sequence[Entry],
    count_tokens: Callable[[Sequence[str]], list[int]],
    *,
    entities: Entities | None = None,
    tasks_of: Tasks | None = None,
    cache: Path | None = None,
) -> Retriever:
    """Build it over `entries`; see `KnowledgeRetriever` and `FusedRetriever` for the arguments.

    Raises:
        ModelError: the dense model cannot be loaded.
    """
    limits = {name: getattr(section, name) for name in _LIMITS}
    if section.kind == "linked":
        return KnowledgeRetriever(entries, count_tokens, **limits, entities=entities)
    embedder = embedder_of(section.model) if "dense" in section.sources else None
    kept = CachedEmbedder(embedder, cache) if embedder is not None and cache is not None else None
    floors = {name: getattr(section, name) for name in _FLOORS}
    weights: dict[str, float] = {source: weight for source, weight in section.weights.items()}
    fusion = Fusion(sources=section.sources, weights=weights, **limits, **floors)
    rest: dict[str, Any] = {"entities": entities, "embedder": kept or embedder, "cache": cache}
    if tasks_of is not None and section.by_task:
        rest["tasks_of"] = tasks_of
    retriever = FusedRetriever(entries, count_tokens, fusion, **rest)
    if kept is not None:
        kept.save()
    return retriever


def identity(section: RetrievalSection, entities: Entities) -> list[Any]:
    """What the results depend on besides items and tokeniser: part of stages' fingerprints.

    Settings that a kind of retriever does not use are left out.
    """
    limits = {name: getattr(section, name) for name in _LIMITS}
    fields = [] if section.query_fields == ("question",) else [list(section.query_fields)]
    if section.kind == "linked":
        return [limits, ALGORITHM, *([entities.fingerprint] if entities.merged else []), *fields]
    unread = {"query_fields"} if "dense" in section.sources else {"query_fields", "model", "min_similarity"}
    told = section.model_dump(exclude=unread)
    return [told, FUSED_ALGORITHM, entities.fingerprint, *fields]


def query_of(example: Example, fields: Sequence[QueryField] = ("question",)) -> str:
    """The search query for an example: its question, and further fields (`retrieval.query_fields`).

    >>> query_of(Example(uid="1", task="bbh/word_sorting", question="List: b a", answer="a b"), ("task", "question"))
    'word sorting\\nList: b a'
    """
    task = example.task.rpartition("/")[2].replace("_", " ")
    texts = {"task": task, "question": example.question, "options": "\n".join(example.options)}
    return "\n".join(text for key, text in texts.items() if key in fields and text)
