"""Elements, musical intervals and letters: things that have a number.

Facts: `group(E, G)`, `period(E, P)` of an element; `semitones(I, S)`; `place(L, P)` of a letter in its script.
Rules (V, W: the numbers of A and B; N, M: numbers in the question):
    elements.groups, elements.periods, intervals.stack, letters.sum (over group, period, semitones, place):
                       result(A, B, M, R) :- given(M), group(A, V), group(B, W), S is V + W, R is S + M.
    intervals.climb:   result(A, N, M, R) :- given(N), given(M), semitones(A, V), P is N * V, R is P + M.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

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
    easy_product,
    leading_number,
    sentence,
)
from nesycd.tasks.longtail.tables import Entity, Table

LIMIT = 30
"""Largest number in a working."""


class Numbered(Family):
    """Questions that add or multiply the numbers of one or two entities."""

    relations: ClassVar[dict[str, int]]
    """Relation to its column in the table's values."""
    fact_texts: ClassVar[dict[str, str]]
    """Relation to fact text: slots for name, name with article, value, the table's last value and `unit`."""
    shapes: ClassVar[dict[str, tuple[tuple[str, ...], str]]]
    """Form to the relations of its entities and the signs of its working: "++" adds B and m to A;
    "x+" multiplies n by A and adds m."""

    def __init__(self, table: Table) -> None:
        self._members = Members(table)

    def entity_named(self, name: str) -> Entity | None:
        """The entity of that name."""
        return self._members.by_name.get(name)

    def facts(self) -> list[Fact]:
        """One for each entity and relation."""
        found = []
        for entity in self._members.table.entities:
            for relation, column in self.relations.items():
                value = str(entity.values[column])
                text = self.fact_texts[relation].format(
                    name=entity.name,
                    an_name=article(entity.name),
                    value=value,
                    last=entity.values[-1],
                    unit=_semitones(value),
                )
                found.append(
                    Fact(
                        text=sentence(text),
                        subject=entity.name,
                        relation=relation,
                        object=value,
                        aliases=entity.other_names,
                    )
                )
        return found

    @abstractmethod
    def amount(self, entity: Entity, naming: Naming) -> str:
        """How a question composed of two families names the entity's number."""

    def mates(self, entity: Entity, pool: Sequence[Entity]) -> list[Entity]:
        """The entities that may stand beside `entity` in one question."""
        return [other for other in pool if other is not entity]

    def draw(self, rng: random.Random, form: str, reserved: bool) -> Problem | None:
        """See `Family.draw`; no number of the working is beyond `LIMIT`."""
        relations, signs = self.shapes[form]
        pool = self._members.pool(reserved)
        entities = [rng.choice(pool)]
        if len(relations) == 2:
            entities.append(rng.choice(self.mates(entities[0], pool)))
        values = [int(entity.values[self.relations[rel]]) for entity, rel in zip(entities, relations, strict=True)]
        times, more = rng.randint(2, 9), rng.randint(2, 9)
        if signs == "++":
            numbers: tuple[int, ...] = (more,)
            results = [sum(values), sum(values) + more]
        else:
            numbers = (times, more)
            results = [times * values[0], times * values[0] + more]
        too_hard = signs[0] == "x" and not easy_product(times, values[0])
        if too_hard or max(results) > LIMIT:
            return None
        return Problem(self.name, form, tuple(entity.name for entity in entities), numbers)

    def needs(self, problem: Problem, look: Lookup) -> list[Fact]:
        """One fact for each entity."""
        relations, _ = self.shapes[problem.form]
        return [look(name, relation) for name, relation in zip(problem.entities, relations, strict=True)]

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """Two equations."""
        _, signs = self.shapes[problem.form]
        values = [leading_number(fact) for fact in facts]
        if signs == "++":
            return chain(values[0], ("+", values[1]), ("+", problem.numbers[0]))
        return chain(problem.numbers[0], ("x", values[0]), ("+", problem.numbers[1]))

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """`a`, `an_a`, `a_s`, the same for `b`, the `script` of letters, and numbers (`m` alone, or `n` and `m`)."""
        entities = [self._members.by_name[name] for name in problem.entities]
        names = "m" if self.shapes[problem.form][1] == "++" else "nm"
        filled = dict(zip(names, map(str, problem.numbers), strict=False))
        for slot, entity in zip("ab", entities, strict=False):
            one = naming.one(entity)
            filled |= {slot: one, f"an_{slot}": article(one), f"{slot}_s": naming.many(entity)}
        return filled | {"script": str(entities[0].values[-1])}


class Elements(Numbered):
    """Chemical elements: groups and periods."""

    name = "elements"
    relations: ClassVar = {"group": 0, "period": 1}
    fact_texts: ClassVar = {"group": "{name} is in group {value}.", "period": "{name} is in period {value}."}
    shapes: ClassVar = {"groups": (("group", "group"), "++"), "periods": (("period", "period"), "++")}
    forms = (
        Form(
            "groups",
            Rule(
                text="If groups of elements are added, find each group, add them, then add the rest.",
                clause="result(A, B, M, R) :- given(M), group(A, V), group(B, W), S is V + W, R is S + M.",
            ),
            seen=(
                "Add the group of the element {a}, the group of {b} and {m}. What is the result?",
                "What is the group of {a} plus the group of {b} plus {m}?",
                "Take the group of {a}, then the group of {b}, then {m} more. What comes out?",
                "Find the sum of the group of {a}, the group of {b} and {m}.",
                "The group of {a}, the group of {b} and {m}: how much are they in all?",
            ),
            unseen=(
                "Which number do the group of {a}, the group of {b} and {m} make together?",
                "Start with the group of the element {a}, add the group of {b}, then {m} more. Which number is it?",
            ),
            weight=2,
        ),
        Form(
            "periods",
            Rule(
                text="If periods of elements are added, find each period, add them, then add the rest.",
                clause="result(A, B, M, R) :- given(M), period(A, V), period(B, W), S is V + W, R is S + M.",
            ),
            seen=(
                "Add the period of the element {a}, the period of {b} and {m}. What is the result?",
                "What is the period of {a} plus the period of {b} plus {m}?",
                "Take the period of {a}, then the period of {b}, then {m} more. What comes out?",
                "Find the sum of the period of {a}, the period of {b} and {m}.",
                "The period of {a}, the period of {b} and {m}: how much are they in all?",
            ),
            unseen=(
                "Which number do the period of {a}, the period of {b} and {m} make together?",
                "Start with the period of the element {a}, add the period of {b}, then {m} more. Which number is it?",
            ),
        ),
    )

    def state(self, fact: Fact) -> str:
        """`The group of gallium is 13.`"""
        return f"The {fact.relation} of {fact.subject} is {fact.object}."

    def amount(self, entity: Entity, naming: Naming) -> str:
        """See `Numbered.amount`."""
        return f"the group of {naming.one(entity)}"


class Intervals(Numbered):
    """Musical intervals in semitones."""

    name = "intervals"
    relations: ClassVar = {"semitones": 0}
    fact_texts: ClassVar = {"semitones": "{an_name} has {value} {unit}."}
    shapes: ClassVar = {"stack": (("semitones", "semitones"), "++"), "climb": (("semitones",), "x+")}
    forms = (
        Form(
            "stack",
            Rule(
                text="If intervals are sung one after the other, find the semitones of each, then add them all.",
                clause="result(A, B, M, R) :- given(M), semitones(A, V), semitones(B, W), S is V + W, R is S + M.",
            ),
            seen=(
                "A tune rises {an_a}, then {an_b}, then {m} semitones. How many semitones up is it?",
                "How many semitones are {an_a}, {an_b} and {m} semitones together?",
                "Go up {an_a}, then {an_b}, then {m} semitones more. How many semitones up are you?",
                "Stack {an_a}, {an_b} and {m} semitones. What is the width in semitones?",
                "Above a low note lie {an_a}, then {an_b}, then {m} semitones. How high is the last note in semitones?",
            ),
            unseen=(
                "From its start a voice leaps {an_a}, then {an_b}, then {m} semitones. How far up in semitones?",
                "Put together {an_a}, {an_b} and {m} semitones more. How many semitones is that?",
            ),
            weight=2,
        ),
        Form(
            "climb",
            Rule(
                text="If an interval is climbed several times, multiply its semitones, then add the rest.",
                clause="result(A, N, M, R) :- given(N), given(M), semitones(A, V), P is N * V, R is P + M.",
            ),
            seen=(
                "How many semitones are {n} {a_s} and {m} semitones more?",
                "A tune climbs {n} {a_s} and {m} semitones. How many semitones is that?",
                "Go up {n} times {an_a}, then {m} semitones. How many semitones is that?",
                "Stack {n} {a_s} and {m} semitones. What is the width in semitones?",
                "{n} times {an_a} and {m} semitones on top: how many semitones in all?",
            ),
            unseen=(
                "A voice leaps {n} {a_s} and then {m} semitones. How many semitones is that?",
                "Climbing {n} times {an_a} and then {m} semitones makes how many semitones?",
            ),
        ),
    )

    def state(self, fact: Fact) -> str:
        """`One perfect fifth is 7 semitones.`"""
        return f"One {fact.subject} is {fact.object} {_semitones(fact.object)}."

    def amount(self, entity: Entity, naming: Naming) -> str:
        """See `Numbered.amount`."""
        return f"the semitones of {article(naming.one(entity))}"


def _semitones(value: str) -> str:
    return "semitone" if value == "1" else "semitones"


class Letters(Numbered):
    """Places of letters in the Hebrew alphabet and in the rows of runes and Ogham."""

    name = "letters"
    relations: ClassVar = {"place": 0}
    fact_texts: ClassVar = {"place": "{name} is number {value} in the {last}."}
    shapes: ClassVar = {"sum": (("place", "place"), "++")}
    forms = (
        Form(
            "sum",
            Rule(
                text="If places of letters are added, find each place, add them, then add the rest.",
                clause="result(A, B, M, R) :- given(M), place(A, V), place(B, W), S is V + W, R is S + M.",
            ),
            seen=(
                "In the {script}, add the place of {a}, the place of {b} and {m}. What is the result?",
                "In the {script}, what is the place of {a} plus the place of {b} plus {m}?",
                "In the {script}, take the place of {a}, then the place of {b}, then {m} more. What comes out?",
                "Find in the {script} the sum of the place of {a}, the place of {b} and {m}.",
                "Letters of the {script}: how much are the place of {a}, the place of {b} and {m} in all?",
            ),
            unseen=(
                "Number the {script}: what do the place of {a}, the place of {b} and {m} make together?",
                "Start in the {script} with the place of {a}, add the place of {b}, then {m} more. Which number is it?",
            ),
        ),
    )

    def mates(self, entity: Entity, pool: Sequence[Entity]) -> list[Entity]:
        """Letters of the same script."""
        return [other for other in pool if other is not entity and other.values[1] == entity.values[1]]

    def state(self, fact: Fact) -> str:
        """`The place of gimel is 3.`"""
        return f"The place of {fact.subject} is {fact.object}."

    def amount(self, entity: Entity, naming: Naming) -> str:
        """See `Numbered.amount`."""
        return f"the place of {naming.one(entity)} in the {entity.values[1]}"
