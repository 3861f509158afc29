"""KnowledgeRetriever: the knowledge block for a question, from the graph's links first and from BM25 where they end.

The order in which items enter the block (a later tier never displaces an earlier one):

1. for each entity that the question names, its fact that fits the question's other words best;
2. its other facts that fit; where several entities bear the name, this is what tells them apart;
3. facts reached over the object of a linked fact ("grandfather of X": X's father, and his father); where the question
   spells the way out ("X's father's mother"), the facts along it take the place of all others about X and come first;
4. at most two rules or lessons that BM25 finds relevant (see `min_score`);
5. facts about a named entity that share no word with the question, where none of its facts does.

A fact *fits* by the rarity-weighted words that its relation, object and text share with the question. The question's words
are widened by those of the relevant rules, so "grandfather" also asks for "father" where a rule says how they hang together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from nesycd.knowledge.merge import entry_order
from nesycd.knowledge.store import knowledge_version
from nesycd.knowledge.text import normal
from nesycd.records import Entry, Fact, Hit, Item, Status, content_hash
from nesycd.retrieval.lexical import LexicalIndex
from nesycd.retrieval.linker import Candidate, Linker, Mention
from nesycd.retrieval.paths import Chain, relation_chain
from nesycd.retrieval.words import content_stems, tokens

ALGORITHM = 2
"""Part of the fingerprint: grows when the same settings would retrieve otherwise."""
_MAX_ADVICE = 2
_MAX_UNFITTING = 2
_KEEP = 0.5
"""Facts about one mention that fit less than this share of the best one's fit, and whose relation nobody asked for, are
distractors and stay out."""
_PASSED_ON = 0.5
"""Share of a fact's fit that those reached over its object get: they follow in the order of their sources."""
_SUFFIX = 4
"""Relations of at least so many letters are also found at the end of longer words."""
_NOTHING: frozenset[str] = frozenset()


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
        self._relations = [
            frozenset(content_stems(i.relation)) if isinstance(i, Fact) else _NOTHING for i in self._items
        ]
        self._relation_stems = sorted({stem for stems in self._relations for stem in stems if len(stem) >= _SUFFIX})
        self._tokens = list(count_tokens([item.text for item in self._items])) if self._items else []
        self._budget, self._max_items, self._hops, self._min_score = budget_tokens, max_items, hops, min_score
        self._onward: dict[int, list[str]] = {}
        settings = [ALGORITHM, budget_tokens, max_items, hops, min_score, self._tokens]
        self.fingerprint = content_hash([knowledge_version(self._numbers), settings])

    def retrieve(self, question: str, *, hide: frozenset[str] = frozenset(), task: str = "") -> list[Hit]:
        """Items for the prompt, best first, within the budget.

        Items in `hide` are left out before anything is ranked or linked. `task` is not used yet: no filter by task.
        """
        hidden = frozenset(self._numbers[i] for i in hide if i in self._numbers)
        advice = self._relevant_advice(question, hidden)
        asked = self._asked(question, [found.index for found in advice])
        words = tokens(question)
        pool = [*advice]
        for mention in self._linker.link(question, self._fact_numbers(hidden)):
            chain = relation_chain(words, mention.start, mention.end, self._relation_stems)
            spelled = self._followed(mention, chain, hidden) if self._hops and len(chain) > 1 else []
            if spelled:
                pool += spelled
                continue
            linked = self._linked(mention, asked, hidden)
            pool += [*linked, *self._reached(linked, asked, hidden)]
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

    def _linked(self, mention: Mention, asked: dict[str, float], hidden: frozenset[int]) -> list[_Found]:
        """Facts about what a mention names: those that fit, or a few of the rest where none does."""
        found: list[tuple[float, int, str]] = []
        for candidate in mention.candidates:
            known = frozenset(content_stems(f"{mention.words} {candidate.name}"))
            why = self._naming(mention, candidate)
            for n in self._about[candidate.entity]:
                if n not in hidden:
                    found.append((self._fit(n, asked, known | self._name_stems(n)), n, why))
        return self._graded(found, asked, first=5, more=4)

    def _followed(self, mention: Mention, chain: Chain, hidden: frozenset[int]) -> list[_Found]:
        """Facts along a chain of relations that the question spells out, however long it is."""
        names = {candidate.entity: self._naming(mention, candidate) for candidate in mention.candidates}
        front = [(entity, why) for entity, why in sorted(names.items())]
        found: list[_Found] = []
        for number, step in enumerate(chain):
            facts = [
                (n, why)
                for entity, why in front
                for n in self._about[entity]
                if n not in hidden and self._relations[n] & step
            ]
            found += [_Found(n, 5, float(len(chain) - number), why) for n, why in facts]
            front = list(dict.fromkeys((entity, self._hop(n)) for n, _ in facts for entity in self._objects(n)))
        return found

    def _hop(self, number: int) -> str:
        fact = self._items[number]
        assert isinstance(fact, Fact)
        return f"hop from {fact.subject} via {fact.relation}"

    def _reached(self, linked: Sequence[_Found], asked: dict[str, float], hidden: frozenset[int]) -> list[_Found]:
        """Facts about the objects of linked facts that fit, and about theirs, `hops` times."""
        seen = {found.index for found in linked}
        front = [found for found in linked if found.tier > 1] or list(linked)
        reached: list[_Found] = []
        for _ in range(self._hops):
            new: list[_Found] = []
            for source in front:
                why = self._hop(source.index)
                about = [n for entity in self._objects(source.index) for n in self._about[entity]]
                facts = [(self._fit(n, asked, self._name_stems(n)), n, why) for n in about if n not in hidden | seen]
                graded = self._graded(facts, asked, first=3, more=3)
                new += [replace(f, fit=f.fit + _PASSED_ON * source.fit) for f in graded if f.tier > 1]
            reached += new
            seen |= {found.index for found in new}
            front = new
        return reached

    def _graded(
        self, facts: Sequence[tuple[float, int, str]], asked: dict[str, float], first: int, more: int
    ) -> list[_Found]:
        """Facts of one mention by fit: the best gets tier `first`, others that fit `more`; tier 1 where none fits."""
        ranked = sorted(facts, key=lambda one: (-one[0], one[1]))
        top = ranked[0][0] if ranked else 0.0
        if top <= 0:
            return [_Found(n, 1, 0.0, why) for _, n, why in ranked]
        return [
            _Found(n, first if fit == top else more, fit, why)
            for fit, n, why in ranked
            if fit >= _KEEP * top or (fit > 0 and any(stem in asked for stem in self._relations[n]))
        ]

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


__all__ = ["ALGORITHM", "KnowledgeRetriever"]
