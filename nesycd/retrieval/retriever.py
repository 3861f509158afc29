"""KnowledgeRetriever: the knowledge block for a question, from the graph's links first and from BM25 where they end.

The order in which items enter the block (a later tier never displaces an earlier one):

0. where the question names an entity and then a chain of relations ("X's father's mother"), the facts along that path, and
   nothing else about that entity;
1. for each entity that the question names, its fact that fits the question's other words best;
2. its other facts that fit; where several entities bear the name, this is what tells them apart;
3. facts reached over the object of a linked fact ("grandfather of X": X's father, and his father);
4. at most two rules or lessons that BM25 finds relevant (see `min_score`);
5. facts about a named entity that share no word with the question, where none of its facts does.

A fact *fits* by the rarity-weighted words that its relation, object and text share with the question. The question's words
are widened by those of the relevant rules, so "grandfather" also asks for "father" where a rule says how they hang together.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nesycd.knowledge.merge import entry_order
from nesycd.knowledge.store import knowledge_version
from nesycd.knowledge.text import normal
from nesycd.records import Entry, Fact, Hit, Item, Status, content_hash
from nesycd.retrieval.lexical import LexicalIndex
from nesycd.retrieval.linker import Candidate, Linker, Mention
from nesycd.retrieval.words import content_stems

_ALGORITHM = 2
"""Part of the fingerprint: grows when the same settings would retrieve otherwise."""
_MAX_ADVICE = 2
_MAX_UNFITTING = 2
_KEEP = 0.5
"""Facts about one mention that fit less than this share of the best one's fit are distractors and stay out."""


@dataclass(frozen=True)
class _Found:
    index: int
    tier: int
    fit: float
    why: str

    @property
    def score(self) -> float:
        return self.tier + self.fit / (1.0 + self.fit)


class KnowledgeRetriever:
    """Finds knowledge in a fixed set of entries; see the module for how.

    Example:
        >>> from nesycd.records import Entry, Fact, Status
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
    ) -> None:
        """Index the approved ones of `entries`.

        Args:
            entries: of a KB; any order, and only approved ones count.
            count_tokens: the student's tokeniser: length of each text.
            budget_tokens: most student tokens of all item texts together, without what the prompt adds around them.
            max_items: most items in a block.
            hops: how many objects to follow from a named entity.
            min_score: least share (in [0, 1], rarity-weighted) of a rule's or lesson's words that the question must
                mention; the floor under hits that only BM25 found, since irrelevant knowledge harms a small student.
        """
        self._items: list[Item] = [
            entry.item for entry in sorted(entries, key=entry_order) if entry.status is Status.APPROVED
        ]
        self._numbers = {item.id: number for number, item in enumerate(self._items)}
        self._facts = [n for n, item in enumerate(self._items) if isinstance(item, Fact)]
        facts = [item for item in self._items if isinstance(item, Fact)]
        self._linker = Linker(facts)
        self._about: dict[str, list[int]] = {}
        for n, fact in zip(self._facts, facts, strict=True):
            self._about.setdefault(normal(fact.subject), []).append(n)
        self._advice = [n for n, item in enumerate(self._items) if not isinstance(item, Fact)]
        self._lexical = LexicalIndex([self._items[n].text for n in self._advice])
        self._words, self._rarity = _fitting_words(self._items)
        self._relations = frozenset(normal(fact.relation) for fact in facts)
        self._relation_stems = sorted({s for f in facts for s in content_stems(f.relation) if len(s) >= 4})
        self._tokens = list(count_tokens([item.text for item in self._items])) if self._items else []
        self._budget, self._max_items, self._hops, self._min_score = budget_tokens, max_items, hops, min_score
        self._onward: dict[int, list[str]] = {}
        settings = [_ALGORITHM, budget_tokens, max_items, hops, min_score, self._tokens]
        self.fingerprint = content_hash([knowledge_version(self._numbers), settings])

    def retrieve(self, question: str, *, hide: frozenset[str] = frozenset(), task: str = "") -> list[Hit]:
        """Items for the prompt, best first, within the budget.

        Items in `hide` are left out before anything is ranked or linked. `task` is not used yet: no filter by task.
        """
        hidden = frozenset(self._numbers[i] for i in hide if i in self._numbers)
        advice = self._relevant_advice(question, hidden)
        asked = self._asked(question, [found.index for found in advice])
        mentions = self._linker.link(question, self._fact_numbers(hidden))
        paths = [self._path(mention, question, hidden) for mention in mentions]
        plain = [mention for mention, path in zip(mentions, paths, strict=True) if not path]
        linked = [found for mention in plain for found in self._linked(mention, asked, hidden)]
        pool = [*(found for path in paths for found in path), *linked, *self._reached(linked, asked, hidden), *advice]
        best: dict[int, _Found] = {}
        for found in pool:
            if found.index not in best or found.score > best[found.index].score:
                best[found.index] = found
        return self._fill(sorted(best.values(), key=lambda f: (-f.score, f.index)))

    def _relevant_advice(self, question: str, hidden: frozenset[int]) -> list[_Found]:
        """Rules and lessons above the floor, at most two."""
        raw, cover = self._lexical.scores(question)
        passing = [
            (-float(raw[row]), n, float(cover[row]))
            for row, n in enumerate(self._advice)
            if cover[row] >= self._min_score and n not in hidden
        ]
        ranked = enumerate(sorted(passing)[:_MAX_ADVICE], start=1)
        return [_Found(n, 2, fit, f"bm25 #{rank}") for rank, (_, n, fit) in ranked]

    def _asked(self, question: str, advice: Iterable[int]) -> dict[str, float]:
        """Stems the question asks for, with weights: its own, the parts of compounds, the words of relevant rules."""
        asked = dict.fromkeys(content_stems(question), 1.0)
        for word in list(asked):
            for part in self._relation_stems:
                if word.endswith(part) and word != part:
                    asked.setdefault(part, 0.5)  # grandfather, great-aunt
        for number in advice:
            for word in self._words[number]:
                asked.setdefault(word, 0.5)
        return asked

    def _fit(self, number: int, asked: dict[str, float], known: frozenset[str]) -> float:
        """How well an item's words, those of the name that led to it aside, match what is asked."""
        shared = (word for word in self._words[number] if word in asked and word not in known)
        return sum(sorted(self._rarity[word] * asked[word] for word in shared))

    def _path(self, mention: Mention, question: str, hidden: frozenset[int]) -> list[_Found]:
        """Facts along the relations that the question names one after the other, from what a mention names.

        The last relation may belong to the person before ("his father and mother"), so both facts are taken. Nothing is
        returned for fewer than two relations, or where the path breaks off before the last.
        """
        if self._hops < 1:
            return []
        chain = [word for word in re.findall(r"[a-z]+", question.lower()) if word in self._relations]
        for candidate in mention.candidates if len(chain) > 1 else ():
            front, before = [candidate.entity], list[str]()
            path: dict[int, _Found] = {}
            for place, relation in enumerate(chain[: self._hops + 1]):
                facts = self._related(front, relation, hidden)
                back = self._related(before, relation, hidden) if place == len(chain) - 1 else []
                if not facts and not back:
                    break
                for n in [*facts, *back]:
                    path.setdefault(n, _Found(n, 6, 1.0 / (1 + place), f"path {' > '.join(chain[: place + 1])}"))
                before, front = front, [entity for n in facts for entity in self._objects(n)]
            else:
                return list(path.values())
        return []

    def _related(self, entities: Iterable[str], relation: str, hidden: frozenset[int]) -> list[int]:
        """Numbers of the facts about some entities that are of one relation."""
        about = (n for entity in entities for n in self._about[entity] if n not in hidden)
        return [n for n in about if isinstance(fact := self._items[n], Fact) and normal(fact.relation) == relation]

    def _linked(self, mention: Mention, asked: dict[str, float], hidden: frozenset[int]) -> list[_Found]:
        """Facts about what a mention names: those that fit, or a few of the rest where none does."""
        found: list[tuple[float, int, str]] = []
        for candidate in mention.candidates:
            known = frozenset(content_stems(f"{mention.words} {candidate.name}"))
            why = self._naming(mention, candidate)
            for n in self._about[candidate.entity]:
                if n not in hidden:
                    found.append((self._fit(n, asked, known | self._name_stems(n)), n, why))
        return _graded(found, first=5, more=4)

    def _reached(self, linked: Sequence[_Found], asked: dict[str, float], hidden: frozenset[int]) -> list[_Found]:
        """Facts about the objects of linked facts that fit, and about theirs, `hops` times."""
        seen = {found.index for found in linked}
        front = [found for found in linked if found.tier > 1] or list(linked)
        reached: list[_Found] = []
        for _ in range(self._hops):
            new: list[_Found] = []
            for source in front:
                fact = self._items[source.index]
                assert isinstance(fact, Fact)
                why = f"hop from {fact.subject} via {fact.relation}"
                about = [n for entity in self._objects(source.index) for n in self._about[entity]]
                facts = [(self._fit(n, asked, self._name_stems(n)), n, why) for n in about if n not in hidden | seen]
                new += [found for found in _graded(facts, first=3, more=3) if found.tier > 1]
            reached += new
            seen |= {found.index for found in new}
            front = new
        return reached

    def _fill(self, ranked: Sequence[_Found]) -> list[Hit]:
        hits: list[Hit] = []
        left = self._budget
        unfitting = 0
        for found in ranked:
            unfitting += found.tier == 1
            if len(hits) == self._max_items or unfitting > _MAX_UNFITTING:
                break
            if self._tokens[found.index] <= left:
                left -= self._tokens[found.index]
                hits.append(Hit(item=self._items[found.index], score=round(found.score, 4), why=found.why))
        return hits

    def _objects(self, number: int) -> list[str]:
        """Entities that the object of a fact names."""
        if number not in self._onward:
            fact = self._items[number]
            assert isinstance(fact, Fact)
            mentions = self._linker.link(fact.object)
            names = {candidate.entity for mention in mentions for candidate in mention.candidates}
            self._onward[number] = sorted(names - {normal(fact.subject)})
        return self._onward[number]

    def _name_stems(self, number: int) -> frozenset[str]:
        fact = self._items[number]
        return _name_stems(fact) if isinstance(fact, Fact) else frozenset()

    def _fact_numbers(self, hidden: frozenset[int]) -> frozenset[int]:
        """Item numbers as the linker counts them: over facts only."""
        return frozenset(i for i, n in enumerate(self._facts) if n in hidden) if hidden else hidden

    def _naming(self, mention: Mention, candidate: Candidate) -> str:
        fact = self._items[self._facts[candidate.sources[0]]]
        assert isinstance(fact, Fact)
        if normal(candidate.name) != normal(fact.subject):
            return f"names {fact.subject} (alias {candidate.name})"
        if normal(mention.words) != normal(fact.subject):
            return f"names {fact.subject} (as {mention.words})"
        return f"names {fact.subject}"


def _graded(facts: Sequence[tuple[float, int, str]], first: int, more: int) -> list[_Found]:
    """Facts of one mention by fit: the best gets tier `first`, near ones `more`; tier 1 where no fact fits at all."""
    ranked = sorted(facts, key=lambda one: (-one[0], one[1]))
    if not ranked:
        return []
    top = ranked[0][0]
    if top <= 0:
        return [_Found(n, 1, 0.0, why) for _, n, why in ranked]
    return [_Found(n, first if fit == top else more, fit, why) for fit, n, why in ranked if fit >= _KEEP * top]


def _name_stems(fact: Fact) -> frozenset[str]:
    return frozenset(content_stems(" ".join((fact.subject, *fact.aliases))))


def _fitting_words(items: Sequence[Item]) -> tuple[list[frozenset[str]], dict[str, float]]:
    """For each item the stems that a question can ask for by, and how rare each stem is (inverse frequency)."""
    words = [
        frozenset(content_stems(f"{item.text} {item.relation} {item.object}" if isinstance(item, Fact) else item.text))
        for item in items
    ]
    counts = Counter(word for some in words for word in some)
    rarity = {word: math.log(1 + len(items) / count) for word, count in counts.items()}
    return words, rarity


__all__ = ["KnowledgeRetriever"]
