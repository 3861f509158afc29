"""KnowledgeRetriever: the context for a question, from entity links of the graph first and then from BM25.

The order in which items enter the context (a later tier never displaces an earlier one):

1. for each entity that the question names, its fact that fits the question's other words best;
2. its other facts that fit; where several entities bear the name, this is what tells them apart;
3. facts reached over the object of a linked fact ("grandfather of X": X's father, and his father); where the question
   spells the way out ("X's father's mother"), the facts along it take the place of all others about X and come first;
4. at most two rules or lessons that BM25 finds relevant (see `min_score`);
5. facts that have more of the question's words than any linked one;
6. facts about a named entity that share no word with the question, where none of its facts does.

`linked` defines when a fact fits, and how links are followed; `covering` what has the question's words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from nesycd.core.collection import no_collection
from nesycd.core.records import Entry, Fact, Hit, Item, Status, content_hash
from nesycd.knowledge.entities import Entities
from nesycd.knowledge.merge import entry_order
from nesycd.knowledge.store import knowledge_version
from nesycd.retrieval.covering import CoveringFacts
from nesycd.retrieval.lexical import LexicalIndex
from nesycd.retrieval.linked import UNFITTING, Found, LinkedFacts, Reason

ALGORITHM = 5
"""Part of the fingerprint: raised when the same settings would retrieve otherwise."""
_MAX_ADVICE = 2
_MAX_UNFITTING = 2


class KnowledgeRetriever:
    """Finds knowledge in a fixed set of entries; see the module for how.

    Example:
        >>> from nesycd.core.records import Entry, Fact, Status
        >>> fathom = Fact(text="A fathom is 6 feet.", subject="fathom", relation="length", object="6 feet")
        >>> found = KnowledgeRetriever([Entry(item=fathom, status=Status.APPROVED)], lambda ts: [len(t) for t in ts])
        >>> [(hit.item.text, hit.why) for hit in found.retrieve("How many feet are 3 fathoms?")]
        [('A fathom is 6 feet.', 'names fathom (as fathoms)')]
    """

    fingerprint: str

    def __init__(
        self,
        entries: Sequence[Entry],
        count_tokens: Callable[[Sequence[str]], list[int]],
        budget_tokens: int = 96,
        max_items: int = 6,
        hops: int = 1,
        min_score: float = 0.2,
        entities: Entities | None = None,
    ) -> None:
        """Index the approved ones of `entries`.

        Args:
            entries: of a KB; any order, and only approved ones count.
            count_tokens: the student's tokeniser: length of each text.
            budget_tokens: most student tokens of all item texts together, without what the prompt adds around them.
            max_items: most items in a context.
            hops: how many objects to follow from a named entity.
            min_score: least share (in [0, 1], rarity-weighted) of a rule's or lesson's words that the question must
                mention; the floor under hits that only BM25 found, since irrelevant knowledge harms a small student.
            entities: which entities were merged in the KB.
        """
        approved = (entry for entry in entries if entry.status is Status.APPROVED)
        with no_collection():
            self._items: list[Item] = [entry.item for entry in sorted(approved, key=entry_order)]
            self._numbers = {item.id: number for number, item in enumerate(self._items)}
            self._links = LinkedFacts(hops, entities)
            for number, item in enumerate(self._items):
                self._links.add(number, item)
            self._covering = CoveringFacts({n: item for n, item in enumerate(self._items) if isinstance(item, Fact)})
        self._advice = np.array([n for n, item in enumerate(self._items) if not isinstance(item, Fact)], dtype=np.int64)
        self._lexical = LexicalIndex([self._items[n].text for n in self._advice])
        self._tokens = list(count_tokens([item.text for item in self._items])) if self._items else []
        self._budget, self._max_items, self._min_score = budget_tokens, max_items, min_score
        settings: list[Any] = [ALGORITHM, budget_tokens, max_items, hops, min_score, self._tokens]
        if entities is not None and entities.merged:
            settings.append(entities.fingerprint)
        self.fingerprint = content_hash([knowledge_version(self._numbers), settings])

    def retrieve(self, question: str, *, hide: frozenset[str] = frozenset(), task: str = "") -> list[Hit]:
        """Items for the prompt, best first, within the budget.

        Items in `hide` are left out before anything is ranked or linked. `task` is not used yet: no filter by task.
        """
        hidden = frozenset(self._numbers[i] for i in hide if i in self._numbers)
        advice = self._relevant_advice(question, hidden)
        linked = self._links.find(question, [found.index for found in advice], hidden)
        fitting = {found.index for found in linked if found.tier > UNFITTING}
        pool = [*advice, *linked, *self._covering.find(question, fitting, hidden, self._max_items)]
        best: dict[int, Found] = {}
        for found in pool:
            if found.index not in best or found.score > best[found.index].score:
                best[found.index] = found
        return self._fill(sorted(best.values(), key=lambda f: (-f.score, f.index)))

    def _relevant_advice(self, question: str, hidden: frozenset[int]) -> list[Found]:
        """Rules and lessons above the floor, at most two."""
        raw, cover = self._lexical.scores(question)
        passing = np.flatnonzero(cover >= self._min_score)
        ranked = passing[np.argsort(-raw[passing], kind="stable")]
        seen = ((int(self._advice[row]), float(cover[row])) for row in ranked)
        best = islice(((n, fit) for n, fit in seen if n not in hidden), _MAX_ADVICE)
        return [Found(n, 2, fit, Reason("lexical", f"bm25 #{rank}")) for rank, (n, fit) in enumerate(best, start=1)]

    def _fill(self, ranked: Sequence[Found]) -> list[Hit]:
        hits: list[Hit] = []
        left = self._budget
        unfitting = 0
        for found in ranked:
            unfitting += found.tier == UNFITTING
            if len(hits) == self._max_items or unfitting > _MAX_UNFITTING:
                break
            if self._tokens[found.index] <= left:
                left -= self._tokens[found.index]
                by, told = found.why
                score = round(found.score, 4)
                hits.append(Hit(item=self._items[found.index], score=score, by=(by,), why=told))
        return hits


__all__ = ["ALGORITHM", "KnowledgeRetriever"]
