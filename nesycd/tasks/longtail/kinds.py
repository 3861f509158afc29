"""Categories: counting those of a list that are of one class.

Facts: `class(X, C)`: X is of class C.
Rule (`listed(P, X, N)`: the P-th thing of the list is X, N of them; `wanted(C)`: the class asked for):
    counted(C, P, R) :- counted(C, Q, S), P is Q + 1, listed(P, X, N), class(X, C), R is S + N.
    counted(C, P, S) :- counted(C, Q, S), P is Q + 1, listed(P, X, N), not class(X, C).
    counted(C, 0, 0) :- wanted(C).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from nesycd.core.records import Fact, Rule
from nesycd.tasks.longtail.families import (
    Family,
    Form,
    Lookup,
    Members,
    Naming,
    Problem,
    Work,
    article,
    chain,
    sentence,
)
from nesycd.tasks.longtail.tables import Entity, Table

_BELONGING = {"one": 1, "two": 2, "three": 3}
"""How many of the three things are of the class asked for, by form."""

_CLAUSE = (
    "counted(C, P, R) :- counted(C, Q, S), P is Q + 1, listed(P, X, N), class(X, C), R is S + N. "
    "counted(C, P, S) :- counted(C, Q, S), P is Q + 1, listed(P, X, N), not class(X, C). "
    "counted(C, 0, 0) :- wanted(C)."
)


class Kinds(Family):
    """Classes of instruments, rocks and animals."""

    name = "categories"
    forms = tuple(
        Form(
            number,
            Rule(
                text="If things of one class are counted, find the class of each, then add the numbers that belong.",
                clause=_CLAUSE,
            ),
            seen=(
                "A hall shows {listed_s}. How many {target} are there?",
                "Kim wrote down {listed_s}. How many {target} is that?",
                "A list says: {listed}. How many {target} are there?",
                "In the chest lie {listed_s}. Count the {target}.",
                "Counted today: {listed}. How many of these are {target}?",
                "What is the number of {target} among {listed_s}?",
            ),
            unseen=(
                "There are {listed_s} in a book. How many {target} is that?",
                "The record reads {listed}. What is the number of {target}?",
            ),
        )
        for number in _BELONGING
    )
    """One form for each number of things that belong, in any place: a student that counts the same number always, or
    the same place, would be right without reading a class, and could not follow an edit."""

    def __init__(self, table: Table) -> None:
        self._members = Members(table)

    def entity_named(self, name: str) -> Entity | None:
        """The thing of that name."""
        return self._members.by_name.get(name)

    def facts(self) -> list[Fact]:
        """One a thing."""
        return [
            Fact(
                text=sentence(f"{article(entity.name)} is {article(str(entity.values[0]))}."),
                subject=entity.name,
                relation="class",
                object=str(entity.values[0]),
                aliases=entity.other_names,
            )
            for entity in self._members.table.entities
        ]

    def other_object(self, fact: Fact, rng: random.Random) -> str:
        """Another class of the same domain."""
        domain = self._members.by_name[fact.subject].values[1]
        classes = [str(e.values[0]) for e in self._members.table.entities if e.values[1] == domain]
        return rng.choice([other for other in dict.fromkeys(classes) if other != fact.object])

    def draw(self, rng: random.Random, form: str, reserved: bool) -> Problem | None:
        """See `Family.draw`: three things of one domain, as many of the class asked for as the form says."""
        pool = self._members.pool(reserved)
        domain = rng.choice(pool).values[1]
        mates = [entity for entity in pool if entity.values[1] == domain]
        target = rng.choice(mates).values[0]
        members = [entity for entity in mates if entity.values[0] == target]
        others = [entity for entity in mates if entity.values[0] != target]
        belonging = _BELONGING[form]
        if len(members) < belonging or len(others) < 3 - belonging:
            return None
        chosen = rng.sample(members, belonging) + rng.sample(others, 3 - belonging)
        rng.shuffle(chosen)
        numbers = tuple(rng.sample(range(2, 12), len(chosen)))
        return Problem(self.name, form, tuple(entity.name for entity in chosen), numbers, (str(target),))

    def needs(self, problem: Problem, look: Lookup) -> list[Fact]:
        """The class of each thing."""
        return [look(name, "class") for name in problem.entities]

    def state(self, fact: Fact) -> str:
        """`Sackbut: wind instrument.`"""
        return sentence(f"{fact.subject}: {fact.object}.")

    def statements(self, problem: Problem, facts: Sequence[Fact]) -> list[str]:
        """Each class with its verdict: `Sackbut: wind instrument, 4.` or `Rebec: string instrument, no.`"""
        verdicts = [
            str(number) if fact.object == problem.extra[0] else "no"
            for number, fact in zip(problem.numbers, facts, strict=True)
        ]
        return [f"{self.state(fact)[:-1]}, {verdict}." for fact, verdict in zip(facts, verdicts, strict=True)]

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """Say what is wanted, and after the classes which numbers count; add them."""
        opening = (f"Wanted: {problem.extra[0]}.",)
        numbers = [n for n, fact in zip(problem.numbers, facts, strict=True) if fact.object == problem.extra[0]]
        if not numbers:
            return Work(("None counts.", "So there are 0."), "0", opening)
        first = f"Count {' and '.join(map(str, numbers))}."
        added = chain(numbers[0], *(("+", number) for number in numbers[1:]))
        return Work((first, *added.steps), added.answer, opening)

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """The list as `4 rebecs, 2 tabors and 3 nakers` or as `rebec 4, tabor 2, naker 3`; `target` in the plural."""
        entities = [self._members.by_name[name] for name in problem.entities]
        counts = list(zip(problem.numbers, entities, strict=True))
        many = [f"{number} {naming.many(entity)}" for number, entity in counts]
        return {
            "listed_s": f"{', '.join(many[:-1])} and {many[-1]}",
            "listed": ", ".join(f"{naming.one(entity)} {number}" for number, entity in counts),
            "target": problem.extra[0] if problem.extra[0] == "fish" else f"{problem.extra[0]}s",
        }
