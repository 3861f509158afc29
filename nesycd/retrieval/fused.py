"""FusedRetriever: reciprocal rank fusion of entity links, BM25 and a dense model, over items that may change.

Each source ranks the items by itself; an item's score is the sum of weight / (60 + rank) over the sources that found it
(Cormack, Clarke and Buettcher, SIGIR 2009). So an ambiguous name may link many facts: those that the question's words find too
come first. What a source finds with too little confidence does not count (`min_coverage`, `min_similarity`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nesycd.core.collection import no_collection
from nesycd.core.records import Entry, Fact, Hit, Item, Status, content_hash
from nesycd.knowledge.changes import changes_since
from nesycd.knowledge.entities import Entities
from nesycd.knowledge.merge import entry_order, item_order
from nesycd.knowledge.store import KnowledgeBase
from nesycd.retrieval.covering import covers, weights
from nesycd.retrieval.dense import Embedder, VectorIndex
from nesycd.retrieval.linked import UNFITTING, Found, LinkedFacts, Reason
from nesycd.retrieval.live import LiveIndex, Text
from nesycd.retrieval.words import content_stems

FUSED_ALGORITHM = 4
"""Part of the fingerprint: raised when the same settings would retrieve otherwise."""
_FLAT = 60
"""The constant of reciprocal rank fusion: how little the first ranks differ."""
_DEPTH = 50
"""How many items a source ranks."""
_MAX_ADVICE = 2
_MAX_UNFITTING = 2
_SETTLE = 0.2
"""Share of changed items from which on `refresh` builds the index anew."""
_WORTH_CACHING = 2000
"""Items from which on reading an index is faster than building it."""

_EVERY = ""
"""Stands for the items that belong to all tasks."""
_Mask = NDArray[np.bool_] | None
_Ranked = tuple[float, int]

Tasks = Callable[[Entry], frozenset[str]]
"""The tasks an entry belongs to; an empty set: to all."""


def _every_task(_entry: Entry) -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True)
class Fusion:
    """How a `FusedRetriever` finds; the fields are those of the recipe's section `retrieval`."""

    sources: tuple[str, ...] = ("linked", "lexical")
    """The sources in use: of `linked`, `lexical` and `dense`."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of sources; 1.0 where not given."""
    budget_tokens: int = 96
    max_items: int = 6
    hops: int = 1
    min_score: float = 0.2
    """Least share of a rule's or lesson's words (by rarity) that the question must mention, as in `KnowledgeRetriever`."""
    min_coverage: float = 0.5
    """The same of what the source `lexical` finds: facts made alike share words with many questions."""
    min_similarity: float = 0.7
    """Least cosine of what the source `dense` finds; suitable values depend on the model."""
    statuses: frozenset[Status] = frozenset({Status.APPROVED})
    """Entries of other statuses are not found."""


class FusedRetriever:
    """Finds knowledge in entries that may change; see the module for how.

    Example:
        >>> from nesycd.core.records import Entry, Fact, Status
        >>> fathom = Fact(text="A fathom is 6 feet.", subject="fathom", relation="length", object="6 feet")
        >>> found = FusedRetriever([Entry(item=fathom, status=Status.APPROVED)], lambda ts: [len(t) for t in ts])
        >>> [(hit.item.text, hit.why) for hit in found.retrieve("Which length in feet has a fathom?")]
        [('A fathom is 6 feet.', 'names fathom; bm25 #1')]
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        count_tokens: Callable[[Sequence[str]], list[int]],
        fusion: Fusion | None = None,
        *,
        entities: Entities | None = None,
        embedder: Embedder | None = None,
        tasks_of: Tasks = _every_task,
        cache: Path | None = None,
    ) -> None:
        """Index the entries.

        Args:
            entries: of a KB, in any order.
            count_tokens: the student's tokeniser: length of each text.
            fusion: sources, weights and limits.
            entities: which entities were merged, and what is declared of relations.
            embedder: for the source `dense`.
            tasks_of: where given, `retrieve` finds only what belongs to its `task`.
            cache: a folder to keep the index of many items in, under their version.
        """
        self._fusion, self._count_tokens, self._embedder = fusion or Fusion(), count_tokens, embedder
        if "dense" in self._fusion.sources and embedder is None:
            raise ValueError("the source `dense` needs an embedder")
        self._entities, self._tasks_of, self._cache = entities or Entities(), tasks_of, cache
        self._items: dict[int, Item] = {}
        self._numbers: dict[str, int] = {}
        self._next = 0
        self._tokens: dict[str, int] = {}
        self._tasks: dict[str, set[int]] = {}
        self._masks: dict[str, NDArray[np.bool_]] = {}
        self._seq = 0
        self._links = LinkedFacts(self._fusion.hops, self._entities, incoming=True)
        self._vectors = VectorIndex(embedder.dimensions) if embedder and "dense" in self._fusion.sources else None
        with no_collection():
            self._lexical = self._first(sorted(self._wanted(entries), key=entry_order))
        if len(self) >= _WORTH_CACHING:
            gc.collect()  # looks through all that is new once: now, rather than within a query

    @classmethod
    def following(
        cls,
        kb: KnowledgeBase,
        count_tokens: Callable[[Sequence[str]], list[int]],
        fusion: Fusion | None = None,
        **rest: Any,
    ) -> FusedRetriever:
        """A retriever over a KB that `refresh` keeps up to date."""
        with kb.reading() as connection:
            changes = changes_since(connection)
        made = cls(changes.entries, count_tokens, fusion, **rest)
        made._seq = changes.seq
        return made

    def __len__(self) -> int:
        return len(self._items)

    @property
    def fingerprint(self) -> str:
        """Hash of the items and of all that retrieval depends on."""
        fusion = self._fusion
        weights = {source: fusion.weights.get(source, 1.0) for source in fusion.sources}
        floors = [fusion.min_score, fusion.min_coverage, fusion.min_similarity]
        limits = [fusion.budget_tokens, fusion.max_items, fusion.hops, *floors]
        model = self._embedder.fingerprint if self._vectors is not None and self._embedder else ""
        tasks = {task: sorted(self._items[n].id for n in numbers) for task, numbers in self._tasks.items() if numbers}
        told = [FUSED_ALGORITHM, weights, limits, self._entities.fingerprint, model, tasks]
        return content_hash([sorted(self._numbers), told])

    def refresh(self, kb: KnowledgeBase) -> int:
        """Take in what changed in the KB since it was read; gives the number of entries looked at.

        Merges of entities are not followed: make a new retriever after one.
        """
        with kb.reading() as connection:
            changes = changes_since(connection, self._seq)
        self._seq = changes.seq
        self.update(changes.entries, changes.former)
        if self._lexical.changes > max(_WORTH_CACHING, _SETTLE * len(self)):
            self.settle()
        return len(changes.entries)

    def update(self, entries: Iterable[Entry], gone: Iterable[str] = ()) -> None:
        """Take in entries as they are now, each in the place of the one with its id, and forget the ids in `gone`."""
        given = list(entries)
        for item_id in (*gone, *(entry.item_id for entry in given)):
            self._forget(item_id)
        fresh = self._wanted(given)
        first = self._next
        for entry in fresh:
            number = self._take(entry)
            text = self._text(number)
            self._lexical.add(number, text)
            if not isinstance(entry.item, Fact):
                self._advice.add(number, text)
            self._links.add(number, entry.item)
        self._embed(range(first, self._next))

    def settle(self) -> None:
        """Build the index anew from what there is: worth its time after many changes. What is found stays the same,
        but for the mean length of texts that BM25 goes by (see `live`)."""
        with no_collection():
            self._lexical = LiveIndex({number: self._text(number) for number in self._items})
            self._advice = LiveIndex(self._advice_texts())
        self._links.settle()

    def retrieve(self, question: str, *, hide: frozenset[str] = frozenset(), task: str = "") -> list[Hit]:
        """Items for the prompt, best first, within the budget.

        Items in `hide` are left out before anything is ranked. With `tasks_of`, items of other tasks than `task` are, too.
        """
        ranked, reasons = self._fused(question, hide, task)
        hits: list[Hit] = []
        left = self._fusion.budget_tokens
        self._measure([number for _, number in ranked[: 2 * self._fusion.max_items]])
        for score, number in ranked:
            if len(hits) == self._fusion.max_items:
                break
            if (size := self._size(number)) <= left:
                left -= size
                hits.append(
                    Hit(
                        item=self._items[number],
                        score=round(score, 6),
                        by=tuple(one.by for one in reasons[number]),
                        why="; ".join(one.told for one in reasons[number]),
                    )
                )
        return hits

    def _first(self, entries: Sequence[Entry]) -> LiveIndex:
        """Take in the first entries: all at once, and from the cache where there is one."""
        numbers = [self._take(entry) for entry in entries]
        index = self._kept(numbers)
        self._advice = LiveIndex(self._advice_texts())
        for number in numbers:
            self._links.add(number, self._items[number])
        self._links.settle()
        self._embed(numbers)
        return index

    def _kept(self, numbers: Sequence[int]) -> LiveIndex:
        """The index of the first entries: from its file where there are many, which is written where it is not there."""
        if self._cache is None or len(numbers) < _WORTH_CACHING:
            return LiveIndex({number: self._text(number) for number in numbers})
        version = content_hash([FUSED_ALGORITHM, [self._items[number].id for number in numbers]])
        place = self._cache / f"bm25-{version}"
        stored = LiveIndex.load(place, version, numbers)
        if stored is None:
            built = LiveIndex({number: self._text(number) for number in numbers})
            built.save(place, version)
            # Its arrays are then those of the file, which take memory only as long as nothing else needs it.
            stored = LiveIndex.load(place, version, numbers) or built
        return stored

    def _text(self, number: int) -> Text:
        item = self._items[number]
        return int(item.id, 16), _lexical_words(item)

    def _advice_texts(self) -> dict[int, Text]:
        """Rules and lessons have an index of their own: among facts their words would be weighed otherwise."""
        return {number: self._text(number) for number, item in self._items.items() if not isinstance(item, Fact)}

    def _wanted(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those that may be found, the last one of each id."""
        return [*{e.item_id: e for e in entries if e.status in self._fusion.statuses}.values()]

    def _take(self, entry: Entry) -> int:
        """Give an entry its number."""
        number = self._next
        self._next += 1
        self._numbers[entry.item_id] = number
        self._items[number] = entry.item
        if self._tasks_of is not _every_task:
            for task in self._tasks_of(entry) or {_EVERY}:
                self._tasks.setdefault(task, set()).add(number)
            self._masks.clear()
        return number

    def _forget(self, item_id: str) -> None:
        number = self._numbers.pop(item_id, None)
        if number is None:
            return
        self._lexical.remove(number)
        self._links.remove(number)
        if not isinstance(self._items[number], Fact):
            self._advice.remove(number)
        if self._vectors is not None:
            self._vectors.remove([number])
        for numbers in self._tasks.values():
            numbers.discard(number)
        self._masks.clear()
        del self._items[number]

    def _embed(self, numbers: Iterable[int]) -> None:
        if self._vectors is not None and self._embedder is not None:
            keys = {number: int(self._items[number].id, 16) for number in numbers}
            vectors = self._embedder.embed([self._items[number].text for number in keys])
            self._vectors.add(keys, vectors)

    # --- ranking -----------------------------------------------------------------------------------------------------

    def _fused(self, question: str, hide: frozenset[str], task: str) -> tuple[list[_Ranked], dict[int, list[Reason]]]:
        """Items by fused score, best first, and why each was found."""
        hidden = frozenset(self._numbers[item_id] for item_id in hide if item_id in self._numbers)
        allowed = self._allowed(hidden, task)
        finders = {"linked": self._by_links, "lexical": self._by_words, "dense": self._by_meaning}
        scores: dict[int, float] = {}
        reasons: dict[int, list[Reason]] = {}
        for source in self._fusion.sources:
            weight = self._fusion.weights.get(source, 1.0)
            for rank, (number, why) in enumerate(finders[source](question, hidden, allowed), 1):
                scores[number] = scores.get(number, 0.0) + weight / (_FLAT + rank)
                reasons.setdefault(number, []).append(why)
        ranked = [(score, number) for number, score in scores.items()]
        return sorted(ranked, key=lambda one: (-one[0], _Order(self._items[one[1]]))), reasons

    def _by_links(self, question: str, hidden: frozenset[int], allowed: _Mask) -> list[tuple[int, Reason]]:
        """As the default retriever ranks: facts by links, and the rules and lessons that BM25 finds among their like."""
        stems = content_stems(question)
        scored = self._advice.top(stems, _DEPTH, allowed)
        near = [one for one in scored if one.cover >= self._fusion.min_score][:_MAX_ADVICE]
        advice = [
            Found(one.number, 2, one.cover, Reason("lexical", f"advice #{rank}")) for rank, one in enumerate(near, 1)
        ]
        pool = [*advice, *self._links.find(question, [one.number for one in near], hidden)]
        best: dict[int, Found] = {}
        for found in pool:
            known = best.get(found.index)
            if (known is None or found.score > known.score) and (allowed is None or allowed[found.index]):
                best[found.index] = found
        ranked = sorted(best.values(), key=lambda found: (-found.score, _Order(self._items[found.index])))
        fitting = [found for found in ranked if found.tier > UNFITTING]
        chosen = [*fitting, *[found for found in ranked if found.tier == UNFITTING][:_MAX_UNFITTING]]
        return [(found.index, found.why) for found in chosen[:_DEPTH]]

    def _by_words(self, question: str, hidden: frozenset[int], allowed: _Mask) -> list[tuple[int, Reason]]:
        scored = self._lexical.top(content_stems(question), _DEPTH, allowed)
        asked = weights(question, len(self), self._lexical.having)
        whole = sum(asked.values())

        def is_covering(number: int) -> bool:
            """Whether a fact has the question's words, whatever else it says (see `covering`)."""
            if not isinstance(self._items[number], Fact):
                return False
            words = self._lexical.words(number)
            shared = [weight for word, weight in asked.items() if word in words]
            return bool(covers(len(shared), sum(shared), whole))

        near = [one for one in scored if one.cover >= self._fusion.min_coverage or is_covering(one.number)]
        return [(one.number, Reason("lexical", f"bm25 #{rank}")) for rank, one in enumerate(near, 1)]

    def _by_meaning(self, question: str, hidden: frozenset[int], allowed: _Mask) -> list[tuple[int, Reason]]:
        assert self._vectors is not None and self._embedder is not None
        scored = self._vectors.top(self._embedder.embed([question])[0], _DEPTH, allowed)
        near = [number for number, cosine in scored if cosine >= self._fusion.min_similarity]
        return [(number, Reason("dense", f"dense #{rank}")) for rank, number in enumerate(near, 1)]

    def _allowed(self, hidden: frozenset[int], task: str) -> _Mask:
        """By number, which items may be found; None for all."""
        mask = self._mask(task) if task and self._tasks else None
        if not hidden:
            return mask
        mask = np.ones(self._next, dtype=bool) if mask is None else mask.copy()
        mask[list(hidden)] = False
        return mask

    def _mask(self, task: str) -> NDArray[np.bool_]:
        if task not in self._masks:
            mask = self._masks[task] = np.zeros(self._next, dtype=bool)
            for name in (task, _EVERY):
                mask[list(self._tasks.get(name, ()))] = True
        return self._masks[task]

    # --- sizes -------------------------------------------------------------------------------------------------------

    def _measure(self, numbers: Sequence[int]) -> None:
        """Count the tokens of several items at once."""
        texts = list(dict.fromkeys(self._items[number].text for number in numbers))
        lacking = [text for text in texts if text not in self._tokens]
        if lacking:
            self._tokens.update(zip(lacking, self._count_tokens(lacking), strict=True))

    def _size(self, number: int) -> int:
        self._measure([number])
        return self._tokens[self._items[number].text]


class _Order:
    """An item's place in listings, found out only where it decides."""

    def __init__(self, item: Item) -> None:
        self._item = item

    def __lt__(self, other: _Order) -> bool:
        return item_order(self._item) < item_order(other._item)


def _lexical_words(item: Item) -> list[str]:
    """Stems of a text, then those of the triple and its names that the text lacks."""
    words = content_stems(item.text)
    if isinstance(item, Fact):
        more = content_stems(" ".join((item.subject, item.relation, item.object, *item.aliases)))
        words += [word for word in dict.fromkeys(more) if word not in words]
    return words
