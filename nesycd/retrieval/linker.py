"""Which entities of the graph a question names: by name, alias, plural, possessive, case and hyphen. No ranking here.

The names lie in a trie over words; a question is walked once, the longest name wins, and a name that several entities
bear gives all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nesycd.knowledge.text import normal
from nesycd.records import Fact
from nesycd.retrieval.words import STOPWORDS, Token, singulars, tokens

_SHORT = 2
"""Names of at most so many letters (symbols such as `Au`) must be written exactly so."""


@dataclass(frozen=True)
class Candidate:
    """An entity that a name may mean."""

    entity: str
    """Normalised name, the graph's node."""
    name: str
    """The name or alias that matched, as written in the KB."""
    sources: tuple[int, ...]
    """Numbers of the facts that give the entity this name."""
    exact: bool
    """False where only an inflected form matched."""


@dataclass(frozen=True)
class Mention:
    """A place in a text that names one or more entities: `words` as written, tokens `start` to `end` (exclusive)."""

    start: int
    end: int
    words: str
    candidates: tuple[Candidate, ...]


@dataclass
class _Name:
    entity: str
    name: str
    written: tuple[str, ...]
    case_counts: bool
    sources: list[int] = field(default_factory=list)


@dataclass
class _Node:
    next: dict[str, _Node] = field(default_factory=dict)
    names: list[_Name] = field(default_factory=list)


class Linker:
    """Links text to the subjects of `facts`. Number i of a `Candidate.sources` is the i-th fact given."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        """Index the names of all subjects; takes time linear in their words."""
        self._root = _Node()
        self._forms: dict[str, set[str]] = {}
        known: dict[tuple[str, str], _Name] = {}
        for number, fact in enumerate(facts):
            entity = normal(fact.subject)
            for name in (fact.subject, *fact.aliases):
                self._add(known, entity, name, number)

    def link(self, text: str, hidden: frozenset[int] = frozenset()) -> list[Mention]:
        """Mentions in `text`, left to right, none overlapping; names known from `hidden` facts only are not seen."""
        words = tokens(text)
        matches = [m for start in range(len(words)) for m in self._from(words, start, hidden)]
        matches.sort(key=lambda m: (m.start - m.end, not any(c.exact for c in m.candidates), m.start))
        taken: set[int] = set()
        chosen = []
        for match in matches:
            span = range(match.start, match.end)
            if taken.isdisjoint(span):
                taken.update(span)
                chosen.append(match)
        return sorted(chosen, key=lambda m: m.start)

    def _add(self, known: dict[tuple[str, str], _Name], entity: str, name: str, number: int) -> None:
        if (entity, name) in known:
            known[entity, name].sources.append(number)
            return
        words = tokens(name)
        if not words:
            return
        written = tuple(token.written for token in words)
        case_counts = all(len(t.word) <= _SHORT for t in words) or (len(words) == 1 and words[0].word in STOPWORDS)
        entry = known[entity, name] = _Name(entity, name, written, case_counts, [number])
        paths = [[token.word for token in words]]
        if any(token.joined for token in words):
            paths.append(_closed_up(words))
        for path in paths:
            node = self._root
            for word in path:
                for form in (word, *singulars(word)):
                    self._forms.setdefault(form, set()).add(word)
                node = node.next.setdefault(word, _Node())
            node.names.append(entry)

    def _from(self, words: Sequence[Token], start: int, hidden: frozenset[int]) -> list[Mention]:
        """All names that begin at token `start`, one mention for each length."""
        found: list[Mention] = []
        front: list[tuple[_Node, bool]] = [(self._root, True)]
        end = start
        while front and end < len(words):
            front = self._onward(front, words[end].word)
            end += 1
            if mention := self._mention(words, start, end, front, hidden):
                found.append(mention)
        closed, end = words[start].word, start + 1
        while end < len(words) and words[end].joined:  # `half-crown` in the text for `halfcrown` in the KB
            closed += words[end].word
            end += 1
            if mention := self._mention(words, start, end, self._onward([(self._root, True)], closed), hidden):
                found.append(mention)
        return found

    def _onward(self, front: Sequence[tuple[_Node, bool]], word: str) -> list[tuple[_Node, bool]]:
        """The nodes one word further, each with whether all words so far matched exactly."""
        return [
            (node.next[reading], exact and reading == word)
            for node, exact in front
            for reading in self._readings(word)
            if reading in node.next
        ]

    def _readings(self, word: str) -> Iterable[str]:
        """Words of the names that `word` may stand for: itself, its singulars, its plurals."""
        readings = set(self._forms.get(word, ()))
        for form in singulars(word):
            readings |= self._forms.get(form, set())
        return sorted(readings)

    def _mention(
        self,
        words: Sequence[Token],
        start: int,
        end: int,
        front: Sequence[tuple[_Node, bool]],
        hidden: frozenset[int],
    ) -> Mention | None:
        best: dict[str, Candidate] = {}
        for node, exact in front:
            for name in node.names:
                if name.case_counts and not _case_agrees(name, words[start:end]):
                    continue
                sources = tuple(n for n in name.sources if n not in hidden) if hidden else tuple(name.sources)
                if sources and (name.entity not in best or (exact and not best[name.entity].exact)):
                    best[name.entity] = Candidate(name.entity, name.name, sources, exact)
        if any(candidate.exact for candidate in best.values()):
            best = {entity: candidate for entity, candidate in best.items() if candidate.exact}
        if not best:
            return None
        shown = " ".join(token.written for token in words[start:end])
        return Mention(start, end, shown, tuple(best[entity] for entity in sorted(best)))


def _closed_up(words: Sequence[Token]) -> list[str]:
    """`half-crown` as one word, `halfcrown`."""
    path: list[str] = []
    for token in words:
        if token.joined:
            path[-1] += token.word
        else:
            path.append(token.word)
    return path


def _case_agrees(name: _Name, words: Sequence[Token]) -> bool:
    """Whether a short name or one that is a stop word is meant: `He` the element and not the pronoun."""
    if tuple(token.written for token in words) != name.written:
        return False
    first = words[0]
    if len(words) > 1 or first.word not in STOPWORDS:
        return True
    return first.written[0].isupper() and not first.opens_sentence and first.word not in {"a", "i"}
