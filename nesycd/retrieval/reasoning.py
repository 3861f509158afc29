"""Facts derived by rules from the facts that a question is linked to; they follow the direct facts in the context.

The question's words choose entities and decide which derived facts are asked for. They never enter a derivation: no number
of a question is part of what is derived, and an answer that needs one is the student's to find.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from nesycd.core.protocols import Retriever
from nesycd.core.records import Entry, Fact, Hit, Status, content_hash
from nesycd.core.text import normal
from nesycd.knowledge import Deriver, Entities
from nesycd.knowledge.deriving import Derived
from nesycd.retrieval.linker import Linker, Mention
from nesycd.retrieval.paths import Chain, relation_chain
from nesycd.retrieval.words import Token, content_stems, stem, tokens
from nesycd.rules import Engine, EngineError

ALGORITHM = 3
"""Part of fingerprints: raised when other facts would be derived or chosen from the same knowledge."""
MAX_FACTS = 400
"""Facts that a question may be linked to; those nearest to the entities it names are taken."""
MAX_DERIVED = 3
"""Most derived facts in a context."""


@dataclass(frozen=True)
class Fitting:
    """A derived fact about an entity that the question names.

    Attributes:
        steps: how many of the relation words that the question spells out it covers (0: it is not asked for).
        asked: whether it covers all of them, so that its object is what the rules answer.
    """

    derived: Derived
    steps: int
    asked: bool


class Reasoner:
    """Derives from the facts around the entities that a question names."""

    def __init__(
        self, entries: Sequence[Entry], engine: Engine, entities: Entities | None = None, reach: int = 3
    ) -> None:
        """Index the approved ones of `entries`.

        Args:
            entries: of the knowledge base.
            engine: runs the clauses.
            entities: which entities were merged.
            reach: how many objects to follow from a named entity.
        """
        self._facts = [e.item for e in entries if e.status is Status.APPROVED and isinstance(e.item, Fact)]
        entities = entities or Entities()
        self._node = entities.node
        self._linker = Linker(self._facts, self._node)
        self._about: dict[str, list[Fact]] = {}
        self._into: dict[str, list[Fact]] = {}
        """By object, facts that say something about it by their relation's declaration."""
        for fact in self._facts:
            self._about.setdefault(self._node(fact.subject), []).append(fact)
            if normal(fact.relation) in entities.backwards:
                self._into.setdefault(self._node(fact.object), []).append(fact)
        self._deriver = Deriver(entries, engine, entities)
        self._reach = reach
        self.declared = entities.fingerprint if entities.backwards else ""
        """Hash of what is declared of relations, where that takes part in derivations."""
        self.faults = self._deriver.faults
        """Approved rules that cannot run, and why, by item id."""

    def derive(self, question: str, *, task: str = "", hide: frozenset[str] = frozenset()) -> list[Fitting]:
        """What follows about the entities that the question names; what it asks for first, longest first.

        Raises:
            EngineError: the engine was stopped.
        """
        hidden = frozenset(n for n, fact in enumerate(self._facts) if fact.id in hide) if hide else frozenset[int]()
        mentions = self._linker.link(question, hidden)
        facts = self._linked(mentions, hide, hidden)
        derived = self._deriver.derive(facts, task, hide) if facts else []
        words = tokens(question)
        relations = {stem for one in (*facts, *(d.fact for d in derived)) for stem in content_stems(one.relation)}
        found = []
        for one in derived:
            fits = [
                _fitting(one, relation_chain(words, m.start, m.end, relations), words, relations)
                for m in mentions
                if any(candidate.entity == self._node(one.fact.subject) for candidate in m.candidates)
            ]
            if fits:
                found.append(max(fits, key=lambda fit: (fit.asked, fit.steps)))
        order = {id(one): place for place, one in enumerate(derived)}
        return sorted(found, key=lambda fit: (not fit.asked, -fit.steps, order[id(fit.derived)]))

    def answer(self, question: str, *, task: str = "") -> Derived | None:
        """The derived fact that is what the question asks for, as far as its words say; None where there is none.

        Raises:
            EngineError: the engine was stopped.
        """
        return next((one.derived for one in self.derive(question, task=task) if one.asked), None)

    def _linked(self, mentions: Sequence[Mention], hide: Collection[str], hidden: frozenset[int]) -> list[Fact]:
        """Facts about what is named, about their objects, and so on: nearest first, each once."""
        front = list(dict.fromkeys(c.entity for m in mentions for c in m.candidates))
        seen = set(front)
        found: list[Fact] = []
        for _ in range(self._reach + 1):
            facts = [fact for entity in front for fact in self._about.get(entity, ()) if fact.id not in hide]
            into = [fact for entity in front for fact in self._into.get(entity, ()) if fact.id not in hide]
            found += [*facts, *(fact for fact in into if fact not in facts)]
            if len(found) >= MAX_FACTS:
                break
            reached = [entity for fact in facts for entity in self._objects(fact, hidden)]
            reached += [self._node(fact.subject) for fact in into]
            front = [entity for entity in dict.fromkeys(reached) if entity not in seen]
            seen |= set(front)
        return found[:MAX_FACTS]

    def _objects(self, fact: Fact, hidden: frozenset[int]) -> Iterator[str]:
        for mention in self._linker.link(fact.object, hidden):
            for candidate in mention.candidates:
                yield candidate.entity


def _fitting(derived: Derived, chain: Chain, words: Sequence[Token], relations: Collection[str]) -> Fitting:
    """How a derived fact's relation covers the relation words around the name, or else the question's words."""
    relation = tokens(derived.fact.relation)
    if chain:
        said = relation_chain(relation, 0, 0, relations)
        covered = len(said) if said and chain[: len(said)] == said else 0
        return Fitting(derived, covered, covered == len(chain))
    said_words = content_stems(derived.fact.relation)
    fits = bool(said_words) and {stem(word.word) for word in words}.issuperset(said_words)
    return Fitting(derived, len(said_words) if fits else 0, fits)


class DerivingRetriever:
    """A retriever that adds, after the direct facts, the derived facts that the question asks for.

    The budget applies to the whole context: derived facts take what direct facts leave, and precede all other items.
    """

    def __init__(
        self,
        inner: Retriever,
        reasoner: Reasoner,
        count_tokens: Callable[[Sequence[str]], list[int]],
        budget_tokens: int = 96,
        max_items: int = 6,
    ) -> None:
        """`budget_tokens` and `max_items` as `inner` keeps to them."""
        self._inner, self._reasoner, self._count_tokens = inner, reasoner, count_tokens
        self._budget, self._max_items = budget_tokens, max_items
        told = ["deriving", ALGORITHM, inner.fingerprint]
        self.fingerprint = content_hash([*told, *([reasoner.declared] if reasoner.declared else [])])
        self.stopped: list[str] = []
        """For each question whose derivation was stopped at a limit, the reason; its context has no derived facts."""

    def retrieve(self, question: str, *, hide: frozenset[str] = frozenset(), task: str = "") -> list[Hit]:
        """See `Retriever.retrieve`. A derived hit's `why` names the rule and the facts it rests on."""
        hits = self._inner.retrieve(question, hide=hide, task=task)
        try:
            fitting = [one for one in self._reasoner.derive(question, task=task, hide=hide) if one.steps]
        except EngineError as error:
            self.stopped.append(str(error))
            return hits
        direct = [hit for hit in hits if isinstance(hit.item, Fact)]
        rest = [hit for hit in hits if not isinstance(hit.item, Fact)]
        derived = [_hit(one) for one in fitting[:MAX_DERIVED]]
        return self._within_budget(direct, [*derived, *rest]) if derived else hits

    def _within_budget(self, kept: Sequence[Hit], more: Sequence[Hit]) -> list[Hit]:
        counts = self._count_tokens([hit.item.text for hit in (*kept, *more)])
        left = self._budget - sum(counts[: len(kept)])
        block = list(kept)
        for hit, count in zip(more, counts[len(kept) :], strict=True):
            if len(block) < self._max_items and count <= left:
                left -= count
                block.append(hit)
        return block


def _hit(one: Fitting) -> Hit:
    derived = one.derived
    facts = ", ".join(fact.id[:8] for fact in derived.rests_on)
    rule = f"rule {derived.rule.id[:8]}" if not derived.is_declared else f"the declaration that {derived.rule.text},"
    why = f"derived by {rule} from {facts or 'no fact'}"
    return Hit(item=derived.fact, score=float(one.steps), by=("derived",), why=why)
