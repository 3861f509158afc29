"""Look-ups: a name as the question has it and a relation, to the object that the knowledge base states.

What a small student cannot do is left to the base: names are linked whatever alias, inflection, spelling or merge they come by; a
relation in other words is settled by what the base states of the entity; a name of several entities is settled by the
question's other words. Where nothing decides, and where facts give several values of what has one, the result says so and is no
guess.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import NamedTuple, Self

from nesycd.calls import notation
from nesycd.calls.spelling import Spellings, is_slip
from nesycd.core.records import Entry, Fact, Status, content_hash
from nesycd.core.text import normal
from nesycd.knowledge.entities import Entities
from nesycd.knowledge.merge import entry_order
from nesycd.retrieval.linker import Linker, Mention
from nesycd.retrieval.paths import Chain, relation_chain
from nesycd.retrieval.words import STOPWORDS, content_stems, forms, singulars, spans, tokens

_EACH, _OFFERED = 3, 10
_FITS = 0.6
"""Share of the best relation's fit from which on another one is offered too."""
_LOOKED_AT = 200
"""Facts of a relation whose words are counted: towns have thousands."""
"""Most relations that are offered of one name, and most offers in all."""
_BESIDE = 3
"""Words before and after a name among which a question's relation of it is sought."""
_ALIKE = 0.8
"""Share of its letters that a name must have in common with a span of the question to be taken for it."""
_NUMERAL = re.compile(r"\d|^[ivxlcdm]+$")
"""Words in which every letter counts: numbers, and numerals of kings."""


_POSSESSIVE = re.compile(r"(?P<name>.+)['’]s? (?P<relation>[^'’]+)")
"""A name that is a relation of another one."""


@dataclass(frozen=True)
class LookedUp:
    """The result of a look-up: as it is supplied, the ids of the facts that state it, and how it was found.

    `disputed`: the values that facts of the base give where only one can be right; the result is then no value.
    """

    found: str
    items: tuple[str, ...] = ()
    how: str = ""
    disputed: tuple[str, ...] = ()

    def says(self, value: str) -> bool:
        """Whether a value is the one that was found, or one of those in dispute."""
        return normal(value) in map(normal, self.disputed or (self.found,))


class _Named(NamedTuple):
    """The entities that a name was taken for, and how, for the trace."""

    entities: tuple[str, ...]
    how: str


class Asked(NamedTuple):
    """A relation of an entity: normalised, as facts write it, stems of what these say (names and values aside), and the facts."""

    relation: str
    shown: str
    words: frozenset[str]
    facts: Sequence[Fact]


class Names:
    """The names of facts' subjects: which entities bear them, where they stand in texts, and names much like one.

    Attributes:
        given: all that this depends on.
        linker: see `Linker`; the i-th fact has the number i.
        entities: those that bear a name (normalised), in the order of the facts.
    """

    def __init__(self, facts: Sequence[Fact], entities: Entities, given: object) -> None:
        """Index them; see `of`."""
        self.given = given
        self.linker = Linker(facts, entities.node)
        self.linker.settle()
        self.entities: dict[str, dict[str, None]] = {}
        for fact in facts:
            node = entities.node(fact.subject)
            for name in (fact.subject, *fact.aliases):
                self.entities.setdefault(normal(name), {})[node] = None

    @classmethod
    def of(cls, facts: Sequence[Fact], entities: Entities, known: Self | None) -> Self:
        """The names of facts; those that are `known` where they are the same."""
        given = [(fact.subject, fact.aliases) for fact in facts], entities.merged
        return known if known is not None and known.given == given else cls(facts, entities, given)

    @cached_property
    def spelled(self) -> list[tuple[str, tuple[str, ...]]]:
        """All names with their words, as compared."""
        return [(name, tuple(token.word for token in tokens(name))) for name in self.entities]

    @cached_property
    def spellings(self) -> Spellings:
        """The first words of all names."""
        return Spellings([path[0] if path else "" for _, path in self.spelled])


class LookUp:
    """The approved facts of a knowledge base, to be asked by name and relation. Not changed once it is built.

    Example:
        >>> from nesycd.core.records import Entry, Fact, Status
        >>> fact = Fact(text="A fathom is 6 feet.", subject="fathom", relation="makes", object="6 feet")
        >>> look = LookUp([Entry(item=fact, status=Status.APPROVED)])
        >>> look.find("fathoms", "makes", "How many feet are 4 fathoms?").found
        '6 feet'
        >>> look.find("fathoms", "colour", "What is the colour of fathoms?").found
        '(not found)'
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        entities: Entities | None = None,
        *,
        hold_names: bool = True,
        names: Names | None = None,
    ) -> None:
        """Index the facts; takes time linear in their words.

        Args:
            entries: of a KB; only approved facts count.
            entities: which entities were merged, and which relations have inverses.
            hold_names: whether a name must be a span of the question or of what the base wrote before, or be like one.
            names: those of another state of the base, which are shared where they are the same.
        """
        self._entities = entities or Entities()
        self.hold_names = hold_names
        approved = sorted((one for one in entries if one.status is Status.APPROVED), key=entry_order)
        self.facts: list[Fact] = [entry.item for entry in approved if isinstance(entry.item, Fact)]
        self.names = Names.of(self.facts, self._entities, names)
        self._linker, self._names = self.names.linker, self.names.entities
        self._about: dict[str, dict[str, list[Fact]]] = {}
        backwards = self._entities.backwards
        for fact in self.facts:
            node, relation = self._entities.node(fact.subject), normal(fact.relation)
            self._about.setdefault(node, {}).setdefault(relation, []).append(fact)
        self._into: dict[str, dict[str, list[Fact]]] = {}
        if backwards:
            for fact in self.facts:
                if back := backwards.get(normal(fact.relation), ""):
                    into = self._into.setdefault(self._entities.node(fact.object), {})
                    into.setdefault(normal(back), []).append(fact)
        self._usages: dict[str, tuple[int, frozenset[str]]] = {}

    @classmethod
    def of_facts(cls, facts: Iterable[Fact]) -> Self:
        """A base of these facts alone, as approved ones."""
        return cls(Entry(item=fact, status=Status.APPROVED) for fact in facts)

    @cached_property
    def relations(self) -> tuple[str, ...]:
        """The relations that facts of the base have, and the declared inverses of these."""
        found = {fact.relation for fact in self.facts}
        found |= {relation for into in self._into.values() for relation in into}
        return tuple(sorted(found))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the facts and of how they are found."""
        return content_hash([[fact.id for fact in self.facts], self._entities.fingerprint, self.hold_names])

    def find(self, name: str, relation: str, question: str = "", before: Sequence[str] = ()) -> LookedUp:
        """The object, or objects, of a name and a relation.

        Args:
            name: as the question has it, or as the base wrote it before.
            relation: in the base's words or in others.
            question: whose spans and other words decide what is unclear; "" where there is none.
            before: results of the earlier look-ups of the same answer. After one that found nothing the student goes on by
                itself, so that any name may follow.
        """
        known = [found for found in before if not notation.is_note(found)]
        held = self.hold_names and question != "" and len(known) == len(before)
        named = self._named(name, [question, *known], held)
        if not named.entities and (parts := _POSSESSIVE.fullmatch(name)):
            # `Ann's mother` and `father`: her mother's father.
            first = self.find(parts["name"], parts["relation"], question, before)
            if not notation.is_note(first.found):
                then = self.find(first.found, relation, question, [*before, first.found])
                how = f"{name!r} is {first.found!r}" + (f"; {then.how}" if then.how else "")
                return replace(then, items=(*first.items, *then.items) if then.items else (), how=how)
            if first.disputed:
                return LookedUp(notation.NOT_FOUND, how=f"{name!r}: {first.how}")
        if not named.entities:
            return LookedUp(notation.NOT_FOUND, how=named.how)
        told = {entity: self._stated(entity, relation, question, name) for entity in named.entities}
        told = {entity: (settled, facts) for entity, (settled, facts) in told.items() if facts}
        if not told:
            shown = ", ".join(self._shown(entity) for entity in named.entities)
            return LookedUp(notation.NOT_FOUND, how=f"nothing fits {relation!r} of {shown}")
        entity = self._decided(name, question, {one: facts for one, (_, facts) in told.items()})
        if entity is None:
            items = tuple(fact.id for _, facts in told.values() for fact in facts)
            return LookedUp(
                notation.several([self._shown(one) for one in told]), items, "the name has several meanings"
            )
        settled, facts = told[entity]
        result = self.result(entity, facts)
        return replace(result, how="; ".join(filter(None, (named.how, settled, result.how))))

    def result(self, entity: str, facts: Sequence[Fact]) -> LookedUp:
        """What facts with one relation say of an entity."""
        objects = {self._value(fact, entity): self._object(fact, entity) for fact in reversed(facts)}
        values, items = [*reversed(objects.values())], tuple(fact.id for fact in facts)
        why = self._dispute(facts, entity) if len(values) > 1 else ""
        if why:
            return LookedUp(notation.several(values), items, why, tuple(map(notation.one_line, values)))
        return LookedUp(notation.listed(values), items)

    def offers(self, question: str) -> list[tuple[str, str]]:
        """What can be looked up of the names in a question: names as the question has them, each with relations of the base.

        Of a name those relations are offered that the question speaks of (`_spoken_of`), at most `_EACH`; where it spells out a
        way (`Ann's mother's father`), those along it. The value that a fact gives the name has no part in it: an edit
        changes no offer, except where many facts of a relation change.
        """
        asked, words, at = frozenset(content_stems(question)), tokens(question), spans(question)
        made: dict[tuple[str, str], None] = {}
        for mention in self._linker.link(question):
            name = question[at[mention.start][0] : at[mention.end - 1][1]]
            chain = relation_chain(words, mention.start, mention.end, self._relation_stems)
            along = self._along(name, question, chain) if len(chain) > 1 else []
            made |= dict.fromkeys(along or self._spoken_of(name, mention, asked))
        return [*made][:_OFFERED]

    def _spoken_of(self, name: str, mention: Mention, asked: frozenset[str]) -> list[tuple[str, str]]:
        """The relations of a name that a question speaks of, best first; the most usual ones where it speaks of none.

        A relation fits by the share of its own words that the question has, and by the share of the question's words that
        facts with it have: this one, its value aside, and those that several facts with it have in common. Others than the
        best stay out where they fit less than half as well: a base has facts that nobody asks for ("the toll in Ely").
        """
        words = asked - frozenset(content_stems(name))
        fits: dict[str, tuple[float, int]] = {}
        for candidate in mention.candidates:
            for one in self.asked(candidate.entity):
                named = set(content_stems(one.relation))
                entities, common = self.usage(one.relation)
                spoken = one.words | named | common
                fit = 2 * len(words & named) / max(1, len(named)) + len(words & spoken) / max(1, len(words))
                fits[one.shown] = max(fits.get(one.shown, (0.0, 0)), (fit, entities))
        if not fits:
            return []
        best = max(fit for fit, _ in fits.values())
        usual = max(entities for _, entities in fits.values())
        fitting = [
            one for one, (fit, entities) in fits.items() if (fit >= _FITS * best if best else entities >= _FITS * usual)
        ]
        return [(name, one) for one in sorted(fitting, key=fits.__getitem__, reverse=True)[:_EACH]]

    def usage(self, relation: str) -> tuple[int, frozenset[str]]:
        """How many entities have a relation, and the stems that several facts with it have in common."""
        if relation not in self._usages:
            facts = self._by_relation.get(relation, ())
            counts: Counter[str] = Counter()
            for fact in facts[:_LOOKED_AT]:
                counts.update(self.words([fact]))
            common = frozenset(word for word, count in counts.items() if count > 1)
            self._usages[relation] = len({self._entities.node(fact.subject) for fact in facts}), common
        return self._usages[relation]

    @cached_property
    def _by_relation(self) -> dict[str, list[Fact]]:
        found: dict[str, list[Fact]] = {}
        for fact in self.facts:
            found.setdefault(normal(fact.relation), []).append(fact)
        for into in self._into.values():
            for relation, facts in into.items():
                found.setdefault(relation, []).extend(facts)
        return found

    def _along(self, name: str, question: str, chain: Chain) -> list[tuple[str, str]]:
        """The look-ups along a way that a question spells out, as far as the base knows it: `Ann`, then `Ann's mother`."""
        made: list[tuple[str, str]] = []
        for step in chain:
            relations = [one for one in self.relations if (stems := frozenset(content_stems(one))) and stems <= step]
            found = {one: self.find(name, one, question) for one in relations}
            known = [one for one, told in found.items() if told.disputed or not notation.is_note(told.found)]
            made += [(name, one) for one in known]
            name = said_way(question, name, known[0]) if len(known) == 1 and not found[known[0]].disputed else ""
            if not name:
                break
        return made

    @cached_property
    def _relation_stems(self) -> frozenset[str]:
        return frozenset(stem for relation in self.relations for stem in content_stems(relation))

    def about(self, entity: str) -> list[Fact]:
        """All facts about an entity (a node, as the linker gives it)."""
        return [fact for facts in self._about.get(entity, {}).values() for fact in facts]

    def asked(self, entity: str) -> Iterator[Asked]:
        """All that can be looked up of an entity (a node), in the order in which relations are weighed."""
        about, into = self._about.get(entity, {}), self._into.get(entity, {})
        for relation, facts in {**into, **about}.items():
            shown = next((fact.relation for fact in facts if normal(fact.relation) == relation), relation)
            objects = content_stems(" ".join(self._object(fact, entity) for fact in facts))
            yield Asked(relation, shown, self.words(facts) - set(objects), facts)

    def called(self, name: str) -> list[str]:
        """The entities (nodes) that facts call just so, case and white space aside."""
        return [*self._names.get(normal(name), ())]

    def node(self, name: str) -> str:
        """The entity that is called so, merges followed."""
        return self._entities.node(name)

    @property
    def linker(self) -> Linker:
        """Finds the names of subjects in texts; the i-th of `facts` has the number i."""
        return self._linker

    # --- names --------------------------------------------------------------------------------------------------------

    def _named(self, name: str, texts: Sequence[str], held: bool) -> _Named:
        """The entities that a name stands for; `held`: it must be in the texts, or be much like a name there."""
        said = any(_says(text, name) for text in texts)
        if (said or not held) and (found := self._linked(name)):
            return _Named(found, self._told(name, found))
        if not said and (near := self._nearest(name, texts)):
            span, found = near
            return _Named(found, f"{name!r} read as {span!r}")
        if held and not said:
            return _Named((), f"{name!r} is neither in the question nor was it found before")
        found = self._misspelled(name)
        return _Named(found, f"{name!r} read as {self._shown(found[0])!r}" if found else f"no name {name!r}")

    def _linked(self, name: str) -> tuple[str, ...]:
        """The entities that a whole name links to; words that mean nothing may stand beside it."""
        words = tokens(name)
        for mention in self._linker.link(name):
            others = [*words[: mention.start], *words[mention.end :]]
            if all(token.word in STOPWORDS for token in others):
                return tuple(one.entity for one in mention.candidates)
        # Short names and symbols are only linked where their case shows it; as the name of a call they stand alone.
        return tuple(self.called(name))

    def _nearest(self, name: str, texts: Sequence[str]) -> tuple[str, tuple[str, ...]] | None:
        """The mention in the question, or in earlier results, that a name is most like; None where none is, or two are."""
        scored: list[tuple[float, str, tuple[str, ...]]] = []
        for text in texts:
            for mention in self._linker.link(text):
                likeness = _likeness(normal(name), normal(mention.words))
                scored.append((likeness, mention.words, tuple(one.entity for one in mention.candidates)))
        best = max(scored, default=None, key=lambda one: one[0])
        if best is None or best[0] < _ALIKE:
            return None
        rivals = {entities for likeness, _, entities in scored if likeness == best[0]}
        return (best[1], best[2]) if len(rivals) == 1 else None

    def _misspelled(self, name: str) -> tuple[str, ...]:
        """The entities of the one name that differs from `name` by a slip of spelling in a word or two."""
        words = [token.word for token in tokens(name)]
        if not words:
            return ()
        near: set[str] = set()
        firsts = (words[0], *singulars(words[0]))
        for number in {number for first in firsts for number in self.names.spellings.near(first)}:
            name, path = self.names.spelled[number]
            if len(path) == len(words) and all(_same_word(a, b) for a, b in zip(words, path, strict=True)):
                near.update(self._names[name])
        return tuple(near) if len(near) == 1 else ()

    def _told(self, name: str, entities: Sequence[str]) -> str:
        shown = self._shown(entities[0])
        return "" if len(entities) > 1 or normal(name) == normal(shown) else f"{name!r} is {shown!r}"

    def _shown(self, entity: str) -> str:
        """An entity's name as its facts write it."""
        return next((facts[0].subject for facts in self._about.get(entity, {}).values()), entity)

    # --- relations ----------------------------------------------------------------------------------------------------

    def _stated(self, entity: str, relation: str, question: str, name: str) -> tuple[str, list[Fact]]:
        """The facts about an entity that a relation asks for, and how it was settled ("" where the base has it so)."""
        known = {**self._into.get(entity, {}), **self._about.get(entity, {})}
        asked = normal(relation)
        if asked in known:
            return "", known[asked]
        stems = frozenset(content_stems(relation))
        shares = {other: _share(stems, frozenset(content_stems(other))) for other in known}
        best = max(shares.values(), default=0.0)
        if best >= 0.5:
            fitting = [other for other, share in shares.items() if share == best]
        else:
            fitting = self._other_words(known, asked, stems, question, name)
        if len(fitting) != 1:
            return "", []
        return f"relation {relation!r} read as {fitting[0]!r}", known[fitting[0]]

    def _other_words(
        self, known: dict[str, list[Fact]], asked: str, stems: frozenset[str], question: str, name: str
    ) -> list[str]:
        """The relations of an entity that one in other words may mean.

        Not where the question itself asks for that relation, of that name or as one that the base knows, nor two that any one
        entity has both of (father and mother).
        """
        if stems and _asks(question, name, stems):
            return []
        if stems and stems <= frozenset(content_stems(question)) and asked in map(normal, self.relations):
            return []
        known = {other: facts for other, facts in known.items() if frozenset((asked, other)) not in self._distinct}
        words = frozenset(content_stems(question)) - frozenset(content_stems(name))
        fits = {other: len((words | stems) & self.words(facts)) for other, facts in known.items()}
        best = max(fits.values(), default=0)
        return [other for other, fit in fits.items() if fit == best] if best else []

    @cached_property
    def _distinct(self) -> frozenset[frozenset[str]]:
        """Pairs of relations that some entity has both of, so that neither can be the other in other words."""
        kinds = {frozenset(known) for known in self._about.values()}
        return frozenset(frozenset(pair) for known in kinds for pair in combinations(sorted(known), 2))

    def words(self, facts: Sequence[Fact]) -> frozenset[str]:
        """Stems of what facts say besides their subjects' names."""
        found: set[str] = set()
        for fact in facts:
            names = content_stems(" ".join((fact.subject, *fact.aliases)))
            found |= set(content_stems(f"{fact.text} {fact.relation} {fact.object}")) - set(names)
        return frozenset(word for word in found if not word[0].isdigit())

    # --- meanings -----------------------------------------------------------------------------------------------------

    def _decided(self, name: str, question: str, told: dict[str, list[Fact]]) -> str | None:
        """The entity that is meant; None where nothing tells.

        Who is called as another is but for further words (`Dutch fathom`) is meant only where the question has one of these.
        Then the question's other words decide, and then whose own name it is rather than an alias.
        """
        told = self._unqualified(question, told)
        if len(told) == 1:
            return next(iter(told))
        objects = {frozenset(normal(self._object(fact, one)) for fact in facts) for one, facts in told.items()}
        if len(objects) == 1:
            return next(iter(told))
        words = frozenset(content_stems(question)) - frozenset(content_stems(name))
        around = {one: self.words(self.about(one)) for one in told}
        shared = frozenset.intersection(*around.values())
        fits = {one: len(words & (known - shared)) for one, known in around.items()}
        best = max(fits.values())
        meant = [one for one, fit in fits.items() if fit == best]
        own = [one for one in meant if one == normal(name)]
        return (own or meant)[0] if len(own or meant) == 1 else None

    def _unqualified(self, question: str, told: dict[str, list[Fact]]) -> dict[str, list[Fact]]:
        """Those whose names are not another's with further words that the question lacks."""
        asked = frozenset(content_stems(question))
        named = {one: frozenset(content_stems(self._shown(one))) for one in told}

        def is_qualified(one: str) -> bool:
            return any(named[other] < named[one] and not (named[one] - named[other]) & asked for other in told)

        return {one: facts for one, facts in told.items() if not is_qualified(one)}

    # --- values -------------------------------------------------------------------------------------------------------

    def _dispute(self, facts: Sequence[Fact], entity: str) -> str:
        """Why several values of one relation cannot all be right; "" where they can.

        As `kb lint` has it. Read backwards they can, as many may have one father, unless the inverse is declared functional.
        """
        relation = facts[0].relation
        if self._entities.node(facts[0].subject) != entity:
            inverse = self._entities.backwards[normal(relation)]
            return f"{inverse!r} is declared functional" if self._entities.is_functional(inverse) else ""
        if self._entities.is_many_valued(relation):
            return ""
        return f"several values of {relation!r}, which is not declared many_valued"

    def _value(self, fact: Fact, entity: str) -> str:
        """What `_object` is compared as: the entity that it names, under whatever name, else its text."""
        name = self._object(fact, entity)
        node, named = self._entities.node(name), self._names.get(normal(name), {})
        return next(iter(named)) if node not in self._about and len(named) == 1 else node

    def _object(self, fact: Fact, entity: str) -> str:
        """What a fact says of an entity: its object, or its subject where the fact is read backwards."""
        return fact.object if self._entities.node(fact.subject) == entity else fact.subject


def said_way(question: str, name: str, relation: str) -> str:
    """`Ann's mother` as a question writes it; "" where it does not.

    >>> said_way("Who was Ann’s mother's father?", "Ann", "mother")
    'Ann’s mother'
    """
    way = f"{name}'s {relation}".replace("’", "'").lower()
    at = question.replace("’", "'").lower().find(way)
    return question[at : at + len(way)] if at >= 0 else ""


def _says(text: str, name: str) -> bool:
    """Whether a text has the words of a name, in any inflection."""
    wanted = [token.word for token in tokens(name)]
    said = [token.word for token in tokens(text)]
    return bool(wanted) and any(
        all(not forms(a).isdisjoint(forms(b)) for a, b in zip(wanted, said[start : start + len(wanted)], strict=True))
        for start in range(len(said) - len(wanted) + 1)
    )


def _asks(question: str, name: str, relation: frozenset[str]) -> bool:
    """Whether a question has a relation right beside a name: "the capital of Peru", "Peru's capital"."""
    words = [token.word for token in tokens(name)]
    said = [token.word for token in tokens(question)]
    for start in range(len(said) - len(words) + 1):
        end = start + len(words)
        if all(not forms(a).isdisjoint(forms(b)) for a, b in zip(words, said[start:end], strict=True)):
            beside = " ".join([*said[max(0, start - _BESIDE) : start], *said[end : end + _BESIDE]])
            if relation <= frozenset(content_stems(beside)):
                return True
    return False


def _likeness(one: str, other: str) -> float:
    """Share of the letters that two names have in common, in order, in [0, 1]; numerals must agree."""
    from difflib import SequenceMatcher

    if _numerals(one) != _numerals(other):
        return 0.0
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _numerals(name: str) -> list[str]:
    return [word for word in name.split()[1:] if _NUMERAL.search(word)]


def _same_word(one: str, other: str) -> bool:
    """Whether two words are the same, but for inflection or slips of spelling."""
    if one == other or not forms(one).isdisjoint(forms(other)):
        return True
    if _NUMERAL.search(one) or _NUMERAL.search(other):
        return False
    return any(is_slip(a, b) for a in (one, *singulars(one)) for b in (other, *singulars(other)))


def _share(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of the words of two relations that both have."""
    return len(one & other) / len(one | other) if one and other else 0.0
