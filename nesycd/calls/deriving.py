"""Goals that a student asks the rules of a base, on what it said that a question states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Protocol

from nesycd.calls import notation
from nesycd.calls.lookup import LookedUp
from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Derivation, Entry, Item, Status, content_hash
from nesycd.core.text import normal
from nesycd.knowledge import Entities, knowledge_version
from nesycd.knowledge.goals import Answer, Answers, Premises, derive
from nesycd.rules import Engine
from nesycd.rules.clauses import predicate_of
from nesycd.rules.statements import OPEN, atom_of, goal_of, parts_of, relation_of

ALGORITHM = 1
"""Raised when the same goal would come to another result."""


class Rules(Protocol):
    """What goals are answered from."""

    @property
    def fingerprint(self) -> str:
        """Hash of all that results depend on."""
        ...

    @property
    def relations(self) -> Sequence[str]:
        """The relations that its rules conclude, in words."""
        ...

    def derive(self, goal: str, stated: Sequence[str], question: str = "", task: str = "") -> LookedUp:
        """What a goal comes to: the one result (or several values, where a value is open), or a note."""
        ...


class BaseRules:
    """The approved rules and facts of a base. They are read at the first goal."""

    def __init__(self, entries: Iterable[Entry], engine: Engine, entities: Entities | None = None) -> None:
        self._entries = tuple(entry for entry in entries if entry.status is Status.APPROVED)
        self._engine, self._entities = engine, entities or Entities()

    @cached_property
    def fingerprint(self) -> str:
        """See `Rules`."""
        items = knowledge_version(entry.item_id for entry in self._entries)
        return content_hash(["rules", ALGORITHM, items, self._entities.fingerprint])

    @cached_property
    def premises(self) -> Premises:
        """What `nesycd.knowledge.derive` works with."""
        return Premises(self._entries, self._engine, self._entities)

    @cached_property
    def relations(self) -> Sequence[str]:
        """See `Rules`."""
        found = {_said_relation(rule.item.says) or rule.head.predicate.replace("_", " ")
                 for rule in self.premises.deriver.ready.rules}  # fmt: skip
        return sorted(found)

    def derive(self, goal: str, stated: Sequence[str], question: str = "", task: str = "") -> LookedUp:
        """See `Rules`. `question` is not read: what is stated counts.

        Raises:
            KnowledgeError: the goal cannot be read.
        """
        found = derive(goal_of(goal), [atom_of(one) for one in stated], self.premises, task=task)
        return result_of(goal, found, stated)


class GoldRules:
    """The rules and facts that each question needs, in the place of a base: a ceiling."""

    def __init__(self, questions: Iterable[tuple[str, Derivation | None]], engine: Engine) -> None:
        """`questions`: the text of each question with its derivation."""
        self._truth: Mapping[str, Derivation] = {question: truth for question, truth in questions if truth is not None}
        self._engine = engine
        self._bases: dict[str, BaseRules] = {}

    @cached_property
    def fingerprint(self) -> str:
        """See `Rules`."""
        told = [[q, [item.id for item in (*one.facts, *one.rules)]] for q, one in self._truth.items()]
        return content_hash(["gold rules", ALGORITHM, told])

    @cached_property
    def relations(self) -> Sequence[str]:
        """See `Rules`."""
        return sorted({one for question in self._truth for one in self._base(question).relations})

    def derive(self, goal: str, stated: Sequence[str], question: str = "", task: str = "") -> LookedUp:
        """See `Rules`."""
        return self._base(question).derive(goal, stated, question, task)

    def _base(self, question: str) -> BaseRules:
        if question not in self._bases:
            truth = self._truth.get(question, Derivation())
            items: list[Item] = [*truth.facts, *truth.rules]
            entries = [Entry(item=item, status=Status.APPROVED) for item in items]
            self._bases[question] = BaseRules(entries, self._engine)
        return self._bases[question]


def result_of(goal: str, answers: Answers, stated: Sequence[str] = ()) -> LookedUp:
    """What is supplied for a goal.

    An open relation is that of the strictly shortest proof (what is said in both directions has longer ones that go to and fro);
    open values are all that follow.

    Args:
        goal: as the student wrote it.
        answers: what it came to.
        stated: the statements, for relations as they write them.
    """
    if answers.stopped:
        return LookedUp(notation.failed(answers.stopped), how=answers.stopped)
    if not answers.found:
        return LookedUp(notation.NOTHING_FOLLOWS, how="nothing that was stated leads to it")
    words = {predicate_of(relation): relation for relation in map(relation_of, stated)}
    said = _relation(words) if parts_of(goal)[1] == OPEN else _values
    chosen = answers.found
    if said is not _values:
        chosen = tuple(one for one in chosen if one.size == chosen[0].size)
    found: dict[str, Answer] = {}
    for one in chosen:
        found.setdefault(normal(said(one)), one)
    if said is not _values and len(found) > 1:
        return LookedUp(notation.several([said(one) for one in found.values()]), how="several are as near")
    first, *_ = found.values()
    items = dict.fromkeys(item.id for one in found.values() for item in one.items)
    cut = ("some facts of the base were left out, as too many are near",) if answers.cut else ()
    told = "\n".join((*(line for one in found.values() for line in one.told), *cut))
    return LookedUp(notation.listed([said(one) for one in found.values()]), tuple(items), told or str(first.atom))


def _values(answer: Answer) -> str:
    return " | ".join(value for _, value in answer.values)


def _relation(words: Mapping[str, str]) -> Callable[[Answer], str]:
    def said(answer: Answer) -> str:
        parts = answer.text.split(" | ") if answer.size else []
        return parts[1] if len(parts) > 1 else words.get(answer.atom.predicate, answer.atom.predicate.replace("_", " "))

    return said


def _said_relation(says: str) -> str:
    parts = [part.strip() for part in says.split("|")]
    return parts[1] if len(parts) == 3 and "{" not in parts[1] else ""


def replayed(goal: str, stated: Sequence[str], rules: Rules, task: str = "") -> LookedUp:
    """A goal as a teacher wrote it; a note where it cannot be read."""
    try:
        return rules.derive(goal, stated, task=task)
    except KnowledgeError as error:
        return LookedUp(notation.failed(str(error)), how=type(error).__name__)
