"""The retriever that a recipe's section `retrieval` chooses, and what tells its results from another's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nesycd.core.config import Asks, RetrievalSection
from nesycd.core.protocols import Retriever
from nesycd.core.records import Entry, Example
from nesycd.knowledge.entities import Entities
from nesycd.retrieval.dense import CachedEmbedder, embedder_of
from nesycd.retrieval.fused import FUSED_ALGORITHM, FusedRetriever, Fusion, Tasks
from nesycd.retrieval.retriever import ALGORITHM, KnowledgeRetriever

_BLOCK = ("budget_tokens", "max_items", "hops")
"""What both kinds go by."""
_FLOORS = ("min_cover", "min_similarity")


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
    block = {name: getattr(section, name) for name in _BLOCK}
    if section.kind == "linked":
        return KnowledgeRetriever(entries, count_tokens, **block, entities=entities)
    embedder = embedder_of(section.model) if "dense" in section.sources else None
    kept = CachedEmbedder(embedder, cache) if embedder is not None and cache is not None else None
    floors = {name: getattr(section, name) for name in _FLOORS}
    weights: dict[str, float] = {source: weight for source, weight in section.weights.items()}
    fusion = Fusion(sources=section.sources, weights=weights, **block, **floors)
    rest: dict[str, Any] = {"entities": entities, "embedder": kept or embedder, "cache": cache}
    if tasks_of is not None and section.by_task:
        rest["tasks_of"] = tasks_of
    retriever = FusedRetriever(entries, count_tokens, fusion, **rest)
    if kept is not None:
        kept.save()
    return retriever


def identity(section: RetrievalSection, entities: Entities) -> list[Any]:
    """What decides, beside items and tokeniser, what is found: part of stages' fingerprints.

    Settings that a kind does not read do not count, so that runs made before there was a choice are still recognised.
    """
    block = {name: getattr(section, name) for name in _BLOCK}
    asks = [] if section.asks == ("question",) else [list(section.asks)]
    if section.kind == "linked":
        return [block, ALGORITHM, *([entities.fingerprint] if entities.merged else []), *asks]
    unread = {"asks"} if "dense" in section.sources else {"asks", "model", "min_similarity"}
    told = section.model_dump(exclude=unread)
    return [told, FUSED_ALGORITHM, entities.fingerprint, *asks]


def query_of(example: Example, asks: Sequence[Asks] = ("question",)) -> str:
    """What is searched with for an example: its question, and what else a recipe wants (`retrieval.asks`).

    >>> query_of(Example(uid="1", task="bbh/word_sorting", question="List: b a", answer="a b"), ("task", "question"))
    'word sorting\\nList: b a'
    """
    task = example.task.rpartition("/")[2].replace("_", " ")
    texts = {"task": task, "question": example.question, "options": "\n".join(example.options)}
    return "\n".join(text for key, text in texts.items() if key in asks and text)
