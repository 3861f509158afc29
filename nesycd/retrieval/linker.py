"""Which entities of the graph a question names: by name, alias, plural, possessive, case and hyphen. No ranking here.

Aho-Corasick finds the places: each word of names and text is one letter, the same for all forms that a word may have
(`words.root`). What it finds is then compared word by word, so that `root` may be coarse. The longest name wins, and a name
that several entities bear gives all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nesycd.core.records import Fact
from nesycd.core.text import normal
from nesycd.retrieval.words import STOPWORDS, Token, forms, root, tokens

_SHORT = 2
"""Names of at most so many letters (symbols such as `Au`) must be written exactly so."""
_FIRST_LETTER = 0x100
_SURROGATES = 0x800
"""Code points that no text can hold, from 0xD800 on."""


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


@dataclass(slots=True)
class _Name:
    entity: str
    name: str
    written: tuple[str, ...]
    case_counts: bool
    sources: list[int] = field(default_factory=list)


_Named = list[tuple[tuple[str, ...], _Name]]
"""Names whose words have the same roots, each with its words as compared."""


class Linker:
    """Links text to the subjects of facts. The numbers of a `Candidate.sources` are those the facts were added with.

    New names go into a small automaton of their own, made anew at each change; `settle` makes one of both.
    """

    def __init__(self, facts: Sequence[Fact] = (), entity_of: Callable[[str], str] = normal) -> None:
        """Index the names of all subjects, the i-th fact with the number i; takes time linear in their words.

        Args:
            facts: whose subjects are linked.
            entity_of: the graph's node that a subject stands for (see `knowledge.entities`).
        """
        self._entity_of = entity_of
        self._letters: dict[str, str] = {}
        self._patterns: dict[str, _Named] = {}
        self._known: dict[tuple[str, str], _Name] = {}
        self._settled: Any = None
        self._fresh: Any = None
        self._new: dict[str, _Named] = {}
        for number, fact in enumerate(facts):
            self.add(number, fact)

    def add(self, number: int, fact: Fact) -> None:
        """Let the subject of a fact be found by the fact's names."""
        entity = self._entity_of(fact.subject)
        for name in dict.fromkeys((fact.subject, *fact.aliases)):
            if (entity, name) in self._known:
                self._known[entity, name].sources.append(number)
            elif words := tokens(name):
                self._add_name(entity, name, number, words)

    def remove(self, number: int, fact: Fact) -> None:
        """Undo `add`."""
        entity = self._entity_of(fact.subject)
        for name in dict.fromkeys((fact.subject, *fact.aliases)):
            if (entity, name) in self._known:
                self._known[entity, name].sources.remove(number)

    def settle(self) -> None:
        """Put all names into one automaton: worth its time after many changes."""
        self._settled, self._new, self._fresh = _automaton(self._patterns), {}, None

    def link(self, text: str, hidden: frozenset[int] = frozenset()) -> list[Mention]:
        """Mentions in `text`, left to right, none overlapping; names known from `hidden` facts only are not seen."""
        matches = self._mentions(text, hidden)
        matches.sort(key=lambda m: (m.start - m.end, not any(c.exact for c in m.candidates), m.start))
        taken: set[int] = set()
        chosen = []
        for match in matches:
            span = range(match.start, match.end)
            if taken.isdisjoint(span):
                taken.update(span)
                chosen.append(match)
        return sorted(chosen, key=lambda m: m.start)

    def named(self, text: str) -> set[str]:
        """All entities that have a name in `text`, also within a longer one: which these are does not depend on other names."""
        mentions = self._mentions(text, frozenset(), of_all=True)
        return {candidate.entity for mention in mentions for candidate in mention.candidates}

    def _mentions(self, text: str, hidden: frozenset[int], of_all: bool = False) -> list[Mention]:
        if self._settled is None:
            self.settle()
        words = tokens(text)
        return [found for match in self._matches(words) if (found := self._mention(words, *match, hidden, of_all))]

    def _add_name(self, entity: str, name: str, number: int, words: Sequence[Token]) -> None:
        written = tuple(token.written for token in words)
        case_counts = all(len(t.word) <= _SHORT for t in words) or (len(words) == 1 and words[0].word in STOPWORDS)
        entry = self._known[entity, name] = _Name(entity, name, written, case_counts, [number])
        paths = [tuple(token.word for token in words)]
        if any(token.joined for token in words):
            paths.append(tuple(_closed_up(words)))
        for path in paths:
            pattern = "".join(self._letter(word) for word in path)
            if pattern not in self._patterns:
                self._patterns[pattern] = self._new[pattern] = []
                self._fresh = None
            self._patterns[pattern].append((path, entry))

    def _letter(self, word: str) -> str:
        key = root(word)
        if key not in self._letters:
            # More roots than letters would only cost time: what shares a letter is told apart by comparison.
            code = _FIRST_LETTER + len(self._letters) % (0x10FFFF - _FIRST_LETTER - _SURROGATES)
            self._letters[key] = chr(code if code < 0xD800 else code + _SURROGATES)
        return self._letters[key]

    def _matches(self, words: Sequence[Token]) -> Iterator[tuple[int, int, tuple[str, ...], _Named]]:
        """Places (start, end) where names may stand, with the words there as compared and the names."""
        if not self._patterns:
            return
        if self._new and self._fresh is None:
            self._fresh = _automaton(self._new)
        coded = "".join(self._letters.get(root(token.word), "\0") for token in words)
        for automaton in (self._settled, self._fresh):
            if automaton:
                for last, (length, named) in automaton.iter(coded):
                    start, end = last + 1 - length, last + 1
                    yield start, end, tuple(token.word for token in words[start:end]), named
        for start, token in enumerate(words):  # `half-crown` in the text for `halfcrown` in the KB
            closed, end = token.word, start + 1
            while end < len(words) and words[end].joined:
                closed += words[end].word
                end += 1
                if named := self._patterns.get(self._letters.get(root(closed), "\0"), []):
                    yield start, end, (closed,), named

    def _mention(
        self,
        words: Sequence[Token],
        start: int,
        end: int,
        said: tuple[str, ...],
        named: _Named,
        hidden: frozenset[int],
        of_all: bool,
    ) -> Mention | None:
        best: dict[str, Candidate] = {}
        for path, name in sorted(named, key=lambda one: one[0]) if len(named) > 1 else named:
            exact = path == said
            if not exact and any(forms(a).isdisjoint(forms(b)) for a, b in zip(path, said, strict=True)):
                continue
            if name.case_counts and not _case_agrees(name, words[start:end]):
                continue
            sources = tuple(n for n in name.sources if n not in hidden) if hidden else tuple(name.sources)
            if sources and (name.entity not in best or (exact and not best[name.entity].exact)):
                best[name.entity] = Candidate(name.entity, name.name, sources, exact)
        if not of_all and any(candidate.exact for candidate in best.values()):
            best = {entity: candidate for entity, candidate in best.items() if candidate.exact}
        if not best:
            return None
        shown = " ".join(token.written for token in words[start:end])
        return Mention(start, end, shown, tuple(best[entity] for entity in sorted(best)))


def named_in(names: Mapping[str, Collection[str]], texts: Mapping[str, str]) -> dict[str, set[str]]:
    """Which texts name each of some subjects (`Linker.named`).

    Args:
        names: the names of each subject as written, by its normalised name.
        texts: by whatever they are called by.
    """
    found: dict[str, set[str]] = {subject: set() for subject in names}
    linker = Linker([Fact(text="-", subject=name, relation="-", object="-") for own in names.values() for name in own])
    owners: dict[str, set[str]] = {}
    for subject, own in names.items():
        for name in own:
            owners.setdefault(normal(name), set()).add(subject)
    for key, text in texts.items():
        for name in linker.named(text):
            for subject in owners[name]:
                found[subject].add(key)
    return found


def _automaton(patterns: Mapping[str, _Named]) -> Any:
    """Finds all patterns in a text at once; None where there are none."""
    import ahocorasick  # not wanted by those who only look at `nesycd.retrieval`

    automaton = ahocorasick.Automaton()
    for pattern, named in patterns.items():
        automaton.add_word(pattern, (len(pattern), named))
    automaton.make_automaton()
    return automaton if patterns else None


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
