"""Lint for a knowledge base: facts that contradict each other, duplicates, subsumed lessons.

Nothing is changed: findings name items, people decide. A contradiction is a second object where a relation is declared
functional; where it looks so, since most of its subjects have one object, that is reported as a suspicion. Any other second
object is a finding too, unless the relation is declared many-valued. Conflicts that need rules are found by
`knowledge.conflicts`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nesycd.core.records import Entry, Fact, Status
from nesycd.core.text import normal
from nesycd.knowledge.conflicts import Conflict
from nesycd.knowledge.entities import Entities
from nesycd.knowledge.filters import Text, ill_formed
from nesycd.knowledge.graph import KnowledgeGraph
from nesycd.knowledge.merge import entry_order

FindingKind = Literal[
    "contradiction", "suspected contradiction", "several values", "near-duplicate", "subsumed", "ill-formed"
]
_SUBJECTS = 8
"""A relation of fewer subjects does not look functional, whatever it holds."""
_LOOKS = 0.6
"""Share of a relation's subjects with one object from which on it looks functional."""
_ALIKE = 0.85
"""Share of the content words of two lessons or rules from which on they are near-duplicates."""
_NEAR, _SHARED = 0.75, 0.5
"""Cosine of two lessons' or rules' vectors from which on they may be near-duplicates, and the largest share of words in common:
with more, what differs is what was meant to differ (`father` for `mother`). Measured in `docs/log.md`."""
_COMPARED = 200
"""Texts with a word, of the rarest that a text has, that are compared with one another."""
_NUMBER = re.compile(r"\d+")
_ROWS = 512

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to vectors of unit length, one a row."""


@dataclass(frozen=True)
class Finding:
    """Entries that do not go together, and why."""

    kind: FindingKind
    entries: tuple[Entry, ...]
    why: str


def lint(
    entries: Iterable[Entry],
    entities: Entities | None = None,
    embed: Embed | None = None,
    conflicting: Iterable[Conflict] = (),
) -> list[Finding]:
    """All findings about approved and proposed entries, contradictions first.

    Args:
        entries: of a KB.
        entities: which entities were merged, and what is declared of relations.
        embed: where it is given, near-duplicates are looked for among vectors too.
        conflicting: what `conflicts` found of the same entries.

    Example:
        >>> from nesycd.core.records import Lesson
        >>> said = ["Always convert units first.", "Convert the units first, always."]
        >>> [found.kind for found in lint([Entry(item=Lesson(text=text)) for text in said])]
        ['near-duplicate']
    """
    living = sorted((e for e in entries if e.status in {Status.APPROVED, Status.PROPOSED}), key=entry_order)
    entities = entities or Entities()
    found = [
        *_contradictions(living, entities),
        *(Finding("contradiction", one.entries, one.why) for one in conflicting),
    ]
    found += [*_same_triples(living, entities), *_alike(living)]
    told = {frozenset(entry.item_id for entry in finding.entries) for finding in found}
    near = _near(living, embed) if embed is not None else ()
    found += [one for one in near if frozenset(entry.item_id for entry in one.entries) not in told]
    found += _ill_formed(living)
    return sorted(found, key=lambda finding: get_args(FindingKind).index(finding.kind))


def _contradictions(entries: Sequence[Entry], entities: Entities) -> Iterator[Finding]:
    by_id = {entry.item_id: entry for entry in entries}
    # The graph looks at approved facts only; what is proposed must be held against them before it joins them.
    approved = Status.APPROVED
    as_one = [one if one.status is approved else one.model_copy(update={"status": approved}) for one in entries]
    named: set[frozenset[str]] = set()
    graph = KnowledgeGraph(as_one, entities)
    for misfit in graph.misfits():
        ids = [fact.id for fact in misfit.facts]
        named.add(frozenset(ids))
        yield Finding("contradiction", tuple(by_id[fact_id] for fact_id in ids), misfit.why)
    for found in _several(entries, entities, graph):
        if frozenset(entry.item_id for entry in found.entries) not in named:
            yield found


def _several(entries: Sequence[Entry], entities: Entities, graph: KnowledgeGraph) -> Iterator[Finding]:
    """Subjects with several objects of a relation of which nothing is declared."""
    objects: dict[str, dict[str, dict[str, list[Entry]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for entry in entries:
        if isinstance(entry.item, Fact):
            subject, relation = entities.node(entry.item.subject), normal(entry.item.relation)
            objects[relation][subject][graph.value(entry.item)].append(entry)
    for relation, subjects in objects.items():
        if entities.is_functional(relation) or entities.is_many_valued(relation):
            continue
        single = sum(len(values) == 1 for values in subjects.values())
        looks_functional = len(subjects) >= _SUBJECTS and single >= _LOOKS * len(subjects)
        for subject, values in subjects.items():
            if len(values) > 1:
                conflicting = tuple(entry for group in values.values() for entry in group)
                why = f"{subject} has {len(values)} objects of {relation!r}"
                if looks_functional:
                    told = f"{why}, of which {single} of {len(subjects)} subjects have one"
                    yield Finding("suspected contradiction", conflicting, told)
                else:
                    yield Finding("several values", conflicting, f"{why}, which is not declared many_valued")


def _alike(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Lessons and rules that share nearly all words, or of which one says all that the other says."""
    texts = [(entry, Text.of(entry.item.text)) for entry in entries if not isinstance(entry.item, Fact)]
    shared: dict[str, list[int]] = defaultdict(list)
    for place, (_, text) in enumerate(texts):
        for stem in text.stems:
            shared[stem].append(place)
    for first, second in _pairs([text.stems for _, text in texts], shared):
        (one, a), (other, b) = texts[first], texts[second]
        if _NUMBER.findall(one.item.text) != _NUMBER.findall(other.item.text) or not a.stems or not b.stems:
            continue
        common = len(a.stems & b.stems)
        if common >= _ALIKE * len(a.stems | b.stems):
            yield Finding("near-duplicate", (one, other), "nearly the same words")
        elif common == min(len(a.stems), len(b.stems)) and common > 2:
            less, more = (one, other) if len(a.stems) < len(b.stems) else (other, one)
            yield Finding("subsumed", (less, more), "the second has all words of the first")


def _pairs(texts: Sequence[frozenset[str]], shared: Mapping[str, Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Pairs of places, in order, that share the rarest words of a text: all pairs would be too many in a large base.

    Args:
        texts: the words of each.
        shared: the places of the texts that have a word.
    """
    rarest = {stem for stems in texts for stem in sorted(stems, key=lambda stem: (len(shared[stem]), stem))[:2]}
    having = {stem: shared[stem][:_COMPARED] for stem in rarest}
    for first, stems in enumerate(texts):
        mine = [having[stem] for stem in stems if stem in having and first <= having[stem][-1]]
        yield from ((first, second) for second in sorted({one for places in mine for one in places if one > first}))


def _same_triples(entries: Sequence[Entry], entities: Entities) -> Iterator[Finding]:
    """Facts that were different when they came and are the same since entities were merged."""
    same: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if isinstance(entry.item, Fact):
            subject, relation, value = entry.item.triple
            same[entities.node(subject), normal(relation), entities.node(value)].append(entry)
    for group in same.values():
        if len(group) > 1:
            yield Finding("near-duplicate", tuple(group), "the same triple, since entities were merged")


def _near(entries: Sequence[Entry], embed: Embed) -> Iterator[Finding]:
    """Pairs of lessons, and of rules, with nearly the same vectors and the same numbers.

    Not of facts: vectors of short texts do not tell one name or unit from another. Not with most words in common: those are
    duplicates by their words (`_alike`), or say different things in the same way.
    """
    for kind in ("lesson", "rule"):
        mine = [entry for entry in entries if entry.item.kind == kind]
        if len(mine) < 2:
            continue
        texts = [entry.item.text for entry in mine]
        vectors, stems = embed(texts), [Text.of(text).stems for text in texts]
        for start in range(0, len(mine), _ROWS):
            cosines = vectors[start : start + _ROWS] @ vectors.T
            for row, column in zip(*np.nonzero(cosines >= _NEAR), strict=True):
                place = start + row
                if place >= column or _NUMBER.findall(texts[place]) != _NUMBER.findall(texts[column]):
                    continue
                if len(stems[place] & stems[column]) <= _SHARED * len(stems[place] | stems[column]):
                    why = f"perhaps the same meaning (cosine {cosines[row, column]:.2f})"
                    yield Finding("near-duplicate", (mine[place], mine[column]), why)


def _ill_formed(entries: Sequence[Entry]) -> Iterator[Finding]:
    for entry in entries:
        if why := ill_formed(entry.item):
            yield Finding("ill-formed", (entry,), why)
