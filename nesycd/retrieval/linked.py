"""Facts about the entities that a question names: those that fit its other words, and those a few hops further.

A fact *fits* by the share of the words of its relation, object and text, weighted by rarity, that the question has too: a fact
that says much besides fits less. The name that led to it counts for nothing, nor do numbers, which meet by chance ("3 feet" of
what is asked, "3 feet" of a rope). The question's words are widened by those of the relevant rules, so "grandfather" also
asks for "father" where a rule relates them.

Items come and go one at a time, and what is found does not depend on the order in which they came.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from nesycd.core.records import Fact, FoundBy, Item
from nesycd.core.text import normal
from nesycd.knowledge.entities import Entities
from nesycd.knowledge.merge import item_order
from nesycd.retrieval.linker import Candidate, Linker, Mention
from nesycd.retrieval.paths import Chain, relation_chain
from nesycd.retrieval.words import content_stems, tokens

Order = tuple[str, ...]
"""What items are sorted by where nothing else tells them apart (`merge.entry_order`)."""

_KEEP = 0.5
"""Facts about one mention that fit less than this share of the best one's fit, and whose relation nobody asked for, are
distractors and stay out."""
_ASKED_FOR = 0.5
"""Share of a relation's words that the question must have to ask for it: "place" does not ask for "place on the board"."""
_PASSED_ON = 0.5
"""Share of a fact's fit that those reached over its object get: they follow in the order of their sources."""
_SUFFIX = 4
"""Relations of at least so many letters are also found at the end of longer words."""
_MOST_INTO = 50
"""Facts of one relation that are looked at where an entity is their object: a country has thousands of towns."""
_NOTHING: frozenset[str] = frozenset()
UNFITTING = 0
"""Tier of facts about a named entity none of which fits."""


class Reason(NamedTuple):
    """Why an item was found: the kind of reason, and how it is told."""

    by: FoundBy
    told: str


@dataclass(frozen=True)
class Found:
    """An item that was found: its number, its tier (see `retriever`), how well it fits, and the reason."""

    index: int
    tier: int
    fit: float
    why: Reason
    backwards: bool = False
    """Whether the question names the fact's object rather than its subject."""

    @property
    def score(self) -> float:
        """Tier first, then fit."""
        return self.tier + self.fit / (1.0 + self.fit)


def _item_words(item: Item) -> list[str]:
    """Stems of all that a question can ask for an item by, its names aside."""
    return content_stems(f"{item.text} {item.relation} {item.object}" if isinstance(item, Fact) else item.text)


class LinkedFacts:
    """Items by number; facts among them are found by name. Numbers are the caller's, and never used twice."""

    def __init__(self, hops: int = 1, entities: Entities | None = None, incoming: bool = False) -> None:
        """Start empty.

        Args:
            hops: how many objects to follow from a named entity.
            entities: which entities were merged, and how relations are declared.
            incoming: find facts whose object the question names, too, where it asks for their relation.
        """
        self._hops = hops
        self._entities = entities or Entities()
        self._incoming = incoming
        self._linker = Linker(entity_of=self._entities.node)
        self._items: dict[int, Item] = {}
        self._about: dict[str, list[int]] = {}
        self._into: dict[str, dict[str, list[int]]] = {}
        self._words: dict[int, tuple[str, ...]] = {}
        """Each word once, by number; tuples of shared words, since sets would take ten times the memory."""
        self._known: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._relations: dict[str, frozenset[str]] = {}
        """Stems by relation."""
        self._stems: Counter[str] = Counter()
        self._relation_stems: list[str] | None = None
        self._onward: dict[int, list[str]] = {}

    def add(self, number: int, item: Item) -> None:
        """Take in an item."""
        self._items[number] = item
        self._words[number] = tuple(self._known.setdefault(word, word) for word in dict.fromkeys(_item_words(item)))
        self._counts.update(self._words[number])
        if not isinstance(item, Fact):
            return
        self._count_stems(item, 1)
        self._linker.add(number, item)
        self._put_in(self._about.setdefault(self._entities.node(item.subject), []), number)
        if self._incoming:
            into = self._into.setdefault(self._entities.node(item.object), {})
            self._put_in(into.setdefault(normal(item.relation), []), number)
        self._onward.clear()

    def remove(self, number: int) -> None:
        """Forget an item."""
        item = self._items[number]
        self._counts.subtract(self._words.pop(number))
        if isinstance(item, Fact):
            self._count_stems(item, -1)
            self._linker.remove(number, item)
            self._take_out(self._about[self._entities.node(item.subject)], number)
            if self._incoming:
                self._take_out(self._into[self._entities.node(item.object)][normal(item.relation)], number)
            self._onward.clear()
        del self._items[number]

    def settle(self) -> None:
        """Make what was added as fast to find as what was there first."""
        self._linker.settle()

    def find(self, question: str, advice: Iterable[int] = (), hidden: frozenset[int] = frozenset()) -> list[Found]:
        """Facts for a question, in no order; a fact may come several times, for several reasons.

        Args:
            question: in English.
            advice: numbers of the rules and lessons that are relevant; their words are asked for too.
            hidden: numbers of items that are as if they were not there (only how rare words are still counts theirs).
        """
        asked = self._asked(question, advice)
        words = tokens(question)
        pool: list[Found] = []
        for mention in self._linker.link(question, hidden):
            chain = relation_chain(words, mention.start, mention.end, self._asked_relations())
            spelled = self._followed(mention, chain, hidden) if self._hops and len(chain) > 1 else []
            if spelled:
                pool += spelled
                continue
            linked = self._linked(mention, asked, hidden)
            pool += [*linked, *self._reached(linked, asked, hidden)]
        return pool

    def _related(self, fact: Fact) -> frozenset[str]:
        """Stems of a fact's relation."""
        if fact.relation not in self._relations:
            self._relations[fact.relation] = frozenset(content_stems(fact.relation))
        return self._relations[fact.relation]

    def _order(self, number: int) -> Order:
        return item_order(self._items[number])

    def _put_in(self, numbers: list[int], number: int) -> None:
        # They mostly come in order.
        if not numbers or self._order(numbers[-1]) <= self._order(number):
            numbers.append(number)
        else:
            insort(numbers, number, key=self._order)

    def _count_stems(self, fact: Fact, by: int) -> None:
        for word in self._related(fact):
            if len(word) >= _SUFFIX:
                self._stems[word] += by
                if self._stems[word] in (0, 1):
                    self._relation_stems = None

    def _asked_relations(self) -> list[str]:
        if self._relation_stems is None:
            self._relation_stems = sorted(word for word, count in self._stems.items() if count > 0)
        return self._relation_stems

    def _take_out(self, numbers: list[int], number: int) -> None:
        place = bisect_left(numbers, self._order(number), key=self._order)
        numbers.remove(number) if numbers[place] != number else numbers.pop(place)

    def _asked(self, question: str, advice: Iterable[int]) -> dict[str, float]:
        """Stems the question asks for, with weights: its own, the parts of compounds, the words of relevant rules."""
        asked = dict.fromkeys(content_stems(question), 1.0)
        for word in list(asked):
            for part in self._asked_relations():
                if word.endswith(part) and word != part:
                    asked.setdefault(part, 0.5)  # grandfather, great-aunt
        for number in advice:
            for word in self._words[number]:
                asked.setdefault(word, 0.5)
        return asked

    def _fit(self, number: int, asked: dict[str, float], known: frozenset[str]) -> float:
        """How well an item's words, those of the name that led to it aside, match what is asked, in [0, 1]."""
        words = [word for word in self._words[number] if word not in known and not word[0].isdigit()]
        shared = [word for word in words if word in asked]
        if not shared:
            return 0.0
        items = len(self._items)
        rarity = {word: math.log(1 + items / self._counts[word]) for word in words}
        # Sorted, since the last digit of a sum depends on its order.
        return sum(sorted(rarity[word] * asked[word] for word in shared)) / sum(sorted(rarity.values()))

    def _linked(self, mention: Mention, asked: dict[str, float], hidden: frozenset[int]) -> list[Found]:
        """Facts about what a mention names: those that fit, or a few of the rest where none does."""
        found: list[tuple[float, int, Reason]] = []
        for candidate in mention.candidates:
            known = frozenset(content_stems(f"{mention.words} {candidate.name}"))
            why = self._naming(mention, candidate)
            for n in self._about.get(candidate.entity, ()):
                if n not in hidden:
                    found.append((self._fit(n, asked, known | self._name_stems(n)), n, why))
        backwards = [one for candidate in mention.candidates for one in self._backwards(candidate, asked, hidden)]
        return [*self._graded(found, asked, first=5, more=4), *backwards]

    def _backwards(self, candidate: Candidate, asked: dict[str, float], hidden: frozenset[int]) -> list[Found]:
        """Facts whose object a mention names and whose relation, or its declared inverse, the question asks for."""
        found: list[Found] = []
        for relation, numbers in self._into.get(candidate.entity, {}).items():
            names = content_stems(f"{relation} {self._entities.inverse(relation)}")
            weight = max((asked[word] for word in names if word in asked), default=0.0)
            if weight:
                shown = [n for n in numbers[:_MOST_INTO] if n not in hidden]
                found += [
                    Found(n, 4, weight, Reason("object", f"{relation} is {candidate.name}"), backwards=True)
                    for n in shown
                ]
        return found

    def _followed(self, mention: Mention, chain: Chain, hidden: frozenset[int]) -> list[Found]:
        """Facts along a chain of relations that the question spells out, however long it is."""
        names = {candidate.entity: self._naming(mention, candidate) for candidate in mention.candidates}
        front = [(entity, why) for entity, why in sorted(names.items())]
        found: list[Found] = []
        for number, step in enumerate(chain):
            facts = [
                (n, why)
                for entity, why in front
                for n in self._about.get(entity, ())
                if n not in hidden and self._has_relation(n, step)
            ]
            found += [Found(n, 5, float(len(chain) - number), why) for n, why in facts]
            front = list(dict.fromkeys((entity, self._hop(n)) for n, _ in facts for entity in self._objects(n, hidden)))
        return found

    def _has_relation(self, number: int, step: frozenset[str]) -> bool:
        fact = self._items[number]
        return isinstance(fact, Fact) and bool(self._related(fact) & step)

    def _hop(self, number: int) -> Reason:
        fact = self._items[number]
        assert isinstance(fact, Fact)
        return Reason("hop", f"hop from {fact.subject} via {fact.relation}")

    def _reached(self, linked: Sequence[Found], asked: dict[str, float], hidden: frozenset[int]) -> list[Found]:
        """Facts about the objects of linked facts that fit, and about theirs, `hops` times."""
        seen = {found.index for found in linked}
        front = [found for found in linked if found.tier > UNFITTING] or list(linked)
        reached: list[Found] = []
        for _ in range(self._hops):
            new: list[Found] = []
            for source in front:
                why = self._hop(source.index)
                about = [n for entity in self._ends(source, hidden) for n in self._about.get(entity, ())]
                facts = [(self._fit(n, asked, self._name_stems(n)), n, why) for n in about if n not in hidden | seen]
                graded = self._graded(facts, asked, first=3, more=3)
                new += [replace(f, fit=f.fit + _PASSED_ON * source.fit) for f in graded if f.tier > UNFITTING]
            reached += new
            seen |= {found.index for found in new}
            front = new
        return reached

    def _graded(
        self, facts: Sequence[tuple[float, int, Reason]], asked: dict[str, float], first: int, more: int
    ) -> list[Found]:
        """Facts of one mention by fit: the best gets tier `first`, others that fit `more`; `UNFITTING` where none fits."""
        ranked = sorted(facts, key=lambda one: (-one[0], self._order(one[1])))
        top = ranked[0][0] if ranked else 0.0
        if top <= 0:
            return [Found(n, UNFITTING, 0.0, why) for _, n, why in ranked]
        return [
            Found(n, first if fit == top else more, fit, why)
            for fit, n, why in ranked
            if fit >= _KEEP * top or (fit > 0 and self._asks_for(n, asked))
        ]

    def _asks_for(self, number: int, asked: dict[str, float]) -> bool:
        fact = self._items[number]
        stems = self._related(fact) if isinstance(fact, Fact) else _NOTHING
        return bool(stems) and sum(stem in asked for stem in stems) >= _ASKED_FOR * len(stems)

    def _ends(self, source: Found, hidden: frozenset[int]) -> list[str]:
        """The entities that a found fact leads on to."""
        fact = self._items[source.index]
        if source.backwards and isinstance(fact, Fact):
            return [self._entities.node(fact.subject)]
        return self._objects(source.index, hidden)

    def _objects(self, number: int, hidden: frozenset[int]) -> list[str]:
        """Entities that the object of a fact names."""
        if hidden:
            return self._linked_object(number, hidden)
        if number not in self._onward:
            self._onward[number] = self._linked_object(number, hidden)
        return self._onward[number]

    def _linked_object(self, number: int, hidden: frozenset[int]) -> list[str]:
        fact = self._items[number]
        assert isinstance(fact, Fact)
        mentions = self._linker.link(fact.object, hidden)
        names = {candidate.entity for mention in mentions for candidate in mention.candidates}
        return sorted(names - {self._entities.node(fact.subject)})

    def _name_stems(self, number: int) -> frozenset[str]:
        fact = self._items[number]
        return _name_stems(fact) if isinstance(fact, Fact) else frozenset()

    def _naming(self, mention: Mention, candidate: Candidate) -> Reason:
        fact = self._items[candidate.sources[0]]
        assert isinstance(fact, Fact)
        if normal(candidate.name) != normal(fact.subject):
            return Reason("name", f"names {fact.subject} (alias {candidate.name})")
        if normal(mention.words) != normal(fact.subject):
            return Reason("name", f"names {fact.subject} (as {mention.words})")
        return Reason("name", f"names {fact.subject}")


def _name_stems(fact: Fact) -> frozenset[str]:
    return frozenset(content_stems(" ".join((fact.subject, *fact.aliases))))
