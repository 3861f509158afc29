"""Benchmarks whose answers a program derives from the facts of a policy: they know their truth, under edited facts too."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from nesycd.core.errors import DataError
from nesycd.core.records import Derivation, Example, Fact, Statement
from nesycd.tasks.base import StoredTask

Look = Callable[[str, str], Fact]
"""The fact of a subject and a relation."""
Derive = Callable[[Look], Derivation]
"""Derives the answer of one question from facts."""

_SENTENCE_END = re.compile(r"\n+|(?<=[.!?])(?<!^\d\.)(?<!^\d\d\.) +(?=[^a-z])", re.MULTILINE)
"""Between sentences and lines; `1.` at the beginning of a line only numbers it."""


def statements(question: str, read: Iterable[tuple[str, str]]) -> tuple[Statement, ...]:
    """What a question says, in the order of its text, each with the sentence or line that says it.

    Args:
        question: the text.
        read: each statement with a pattern that ends in the place where it is said (`^` is the beginning of a line); what stands
            nowhere comes last, with nothing `said`.
    """
    placed: list[tuple[int, Statement]] = []
    for text, pattern in read:
        match = re.search(pattern, question, re.MULTILINE)
        at = match.end() if match else len(question) + 1
        placed.append((at, Statement(text=text, said=_sentence(question, at) if match else "")))
    return tuple(statement for _, statement in sorted(placed, key=lambda one: one[0]))


def _sentence(text: str, at: int) -> str:
    """The sentence or line in which a place is that is no beginning of one."""
    ends = [match.span() for match in _SENTENCE_END.finditer(text)]
    start = max((after for _, after in ends if after < at), default=0)
    return text[start : min((before for before, _ in ends if before >= at), default=len(text))].strip()


class Policy:
    """Facts by subject and relation.

    Args:
        facts: all that questions may need.
    """

    def __init__(self, facts: Iterable[Fact]) -> None:
        self._by_key = {(fact.subject, fact.relation): fact for fact in facts}

    @property
    def facts(self) -> list[Fact]:
        """All of them, in order."""
        return [*self._by_key.values()]

    def look(self, subject: str, relation: str) -> Fact:
        """The fact of a subject and a relation.

        Raises:
            DataError: there is none.
        """
        if (subject, relation) not in self._by_key:
            raise DataError(f"the policy does not say the {relation} of {subject}")
        return self._by_key[subject, relation]

    def with_facts(self, facts: Iterable[Fact]) -> Policy:
        """The policy with these in the place of those of their subject and relation."""
        return Policy([*self.facts, *facts])


class PolicyTask(StoredTask):
    """A benchmark over one policy: `protocols.KnowsTruth`.

    Args:
        name: the benchmark's name.
        examples: its questions by split, each with its `truth`.
        derive: how each is answered, by `Example.uid`.
        policy: the facts.
        notes: what the user should know about the data.
        fingerprint: of all that the questions depend on.
    """

    def __init__(
        self,
        name: str,
        examples: Mapping[str, Sequence[Example]],
        derive: Mapping[str, Derive],
        policy: Policy,
        notes: Sequence[str],
        *,
        fingerprint: str,
    ) -> None:
        super().__init__(name, examples, notes, fingerprint=fingerprint)
        self.policy = policy
        self._derive = derive
        self._trained = Counter(key for example in self.load("train") for key in _keys(example))

    def kind(self, task: str) -> str:
        """`special`: the answer follows from what one policy says."""
        return "special"

    def train_frequency(self, example: Example) -> int:
        """In how many training questions the least trained of the needed facts occurs (0 where none is needed)."""
        return min((self._trained[key] for key in _keys(example)), default=0)

    def missing_facts(self, split: str) -> list[Fact]:
        """The facts that a split's questions need and no training question does, in order of need."""
        needed = dict.fromkeys(key for example in self.load(split) for key in _keys(example))
        return [self.policy.look(*key) for key in needed if not self._trained[key]]

    def facts_about(self, entity: str) -> list[Fact]:
        """Every fact of the policy whose subject is `entity`."""
        return [fact for fact in self.policy.facts if fact.subject == entity]

    def derive(self, example: Example, edited: Iterable[Fact] = ()) -> Derivation:
        """Derive the answer anew from the policy, with `edited` facts in place of their originals.

        Raises:
            DataError: not a question of this benchmark, or the edited facts give no answer.
        """
        if example.uid not in self._derive:
            raise DataError(f"{example.uid}: not a question of {self.name} with these settings")
        return self._derive[example.uid](self.policy.with_facts(edited).look)

    def counterfactual(self, fact: Fact, seed: int = 0) -> Fact:
        """The same fact with another value, in text and triple.

        Raises:
            DataError: the policy does not say so.
        """
        if self.policy.look(fact.subject, fact.relation) != fact:
            raise DataError(f"{fact.text!r} is not a fact of {self.name}")
        other = self.other_object(fact, random.Random(f"{seed}/{fact.text}"))
        head, _, tail = fact.text.rpartition(fact.object)
        return fact.model_copy(update={"object": other, "text": head + other + tail})

    def other_object(self, fact: Fact, rng: random.Random) -> str:
        """Another number, as round as the true one, from half of it to twice as much; 0 becomes 50."""
        number = number_in(fact)
        step = next((unit for unit in (1000, 100, 10, 5) if number % unit == 0 and number >= 2 * unit), 1)
        few = range(max(step, number // 2 // step * step), 2 * number + step, step)
        found = rng.choice([value for value in few if value != number]) if number else 50
        return re.sub(r"[\d,]+", f"{found:,}" if "," in fact.object else str(found), fact.object, count=1)


def number_in(fact: Fact) -> int:
    """The whole number that a fact's object begins with or contains: 250 of `250 EUR`.

    Raises:
        DataError: there is none, so no answer follows from the fact.
    """
    found = re.search(r"\d[\d,]*", fact.object)
    if found is None:
        raise DataError(f"{fact.text!r}: {fact.object!r} has no number, so nothing follows")
    return int(found[0].replace(",", ""))


def _keys(example: Example) -> list[tuple[str, str]]:
    return [(fact.subject, fact.relation) for fact in example.truth.facts] if example.truth else []
