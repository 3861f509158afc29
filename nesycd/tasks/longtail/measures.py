"""Units and coinage: how many of one thing make another.

Facts: `units.makes(U, V, B)`: one U makes V of B; `coinage.worth(C, V, B)`: one C is worth V of B.
Rules:
    mixed:  mixed(U, N, M, R)     :- given(N), given(M), makes(U, V, B), P is N * V, R is P + M.
    sum:    total(U, N, W, M, R)  :- given(N), given(M), makes(U, V, B), makes(W, X, B),
                                     P is N * V, Q is M * X, R is P + Q.
"""

from __future__ import annotations

import random
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
    equation,
    leading_number,
    sentence,
)
from nesycd.tasks.longtail.tables import Entity, Table

LIMIT = 30
"""Largest number in a working: the student's arithmetic is not what is measured."""


class Measures(Family):
    """Questions on how many of a smaller thing are in some of a larger one."""

    relation: ClassVar[str]
    fact_text: ClassVar[str]

    def __init__(self, table: Table) -> None:
        self._members = Members(table)

    def entity_named(self, name: str) -> Entity | None:
        """The unit or coin of that name."""
        return self._members.by_name.get(name)

    def facts(self) -> list[Fact]:
        """One a unit or coin."""
        return [self._fact(entity) for entity in self._members.table.entities]

    def _fact(self, entity: Entity) -> Fact:
        worth = f"{entity.values[0]} {entity.values[1]}"
        text = sentence(self.fact_text.format(article(entity.name), worth))
        return Fact(
            text=text, subject=entity.name, relation=self.relation, object=worth, aliases=entity.other_names
        )  # fmt: skip

    def draw(self, rng: random.Random, form: str, reserved: bool) -> Problem | None:
        """See `Family.draw`; numbers stay small."""
        pool = self._members.pool(reserved)
        first = rng.choice(pool)
        count, base = _values(first)
        times, more = rng.sample(range(2, 10), 2)
        if not easy_product(times, count):
            return None
        if form == "mixed":
            fits = count * times + more <= LIMIT
            return Problem(self.name, form, (first.name,), (times, more)) if fits else None
        others = [entity for entity in pool if entity is not first and entity.values[1] == base]
        if not others:
            return None
        second = rng.choice(others)
        other = _values(second)[0]
        fits = easy_product(more, other) and count * times + other * more <= LIMIT
        return Problem(self.name, form, (first.name, second.name), (times, more)) if fits else None

    def needs(self, problem: Problem, look: Lookup) -> list[Fact]:
        """One fact for `mixed`, two of one base for `sum`."""
        return [look(name, self.relation) for name in problem.entities]

    def state(self, fact: Fact) -> str:
        """`One fathom makes 6 feet.`"""
        return f"One {fact.subject} makes {fact.object}."

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """Multiply, then add; for two measures multiply each, then add."""
        times, more = problem.numbers
        if problem.form == "mixed":
            return chain(times, ("x", leading_number(facts[0])), ("+", more))
        first, left = equation(times, "x", leading_number(facts[0]))
        second, right = equation(more, "x", leading_number(facts[1]))
        last, total = equation(left, "+", right)
        return Work((first, second, last), str(total))

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """`a`, `an_a`, `a_s`, the same for `b`, numbers `n`, `m`, and the smaller things `base`."""
        entities = [self._members.by_name[name] for name in problem.entities]
        filled = dict(zip("nm", map(str, problem.numbers), strict=False))
        for slot, entity in zip("ab", entities, strict=False):
            one = naming.one(entity)
            filled |= {slot: one, f"an_{slot}": article(one), f"{slot}_s": naming.many(entity)}
        filled["base"] = _values(entities[0])[1]
        return filled

    def amount(self, entity: Entity, times: int, naming: Naming) -> str:
        """`the feet in 2 fathoms`, for questions composed of two families."""
        return f"the {_values(entity)[1]} in {times} {naming.many(entity)}"

    def worth(self, times: int, fact: Fact) -> tuple[str, int]:
        """The equation of such an amount, and what it comes to."""
        return equation(times, "x", leading_number(fact))


def _values(entity: Entity) -> tuple[int, str]:
    return int(entity.values[0]), str(entity.values[1])


class Units(Measures):
    """Historic and odd units of length, volume, weight and time."""

    name = "units"
    relation = "makes"
    fact_text = "{} is {}."
    forms = (
        Form(
            "mixed",
            Rule(
                text="If units and smaller ones are put together, multiply by what one makes, then add.",
                clause="mixed(U, N, M, R) :- given(N), given(M), makes(U, V, B), P is N * V, R is P + M.",
            ),
            seen=(
                "How many {base} are {n} {a_s} and {m} {base} more?",
                "Add up {n} {a_s} and {m} {base}. How many {base} is that?",
                "Put {n} times the {a} and {m} {base} together. How many {base} is that?",
                "Take {n} {a_s} and {m} {base}. What is that in {base}?",
                "{n} times the {a} and {m} {base}: how many {base} in all?",
                "A chart gives {n} {a_s} and {m} {base}. Write it in {base}.",
            ),
            unseen=(
                "What do {n} {a_s} plus {m} {base} come to in {base}?",
                "What do {n} times the {a} and {m} {base} make in {base}?",
            ),
        ),
        Form(
            "sum",
            Rule(
                text="If different units are put together, turn each into the same smaller unit, then add.",
                clause="total(U, N, W, M, R) :- given(N), given(M), makes(U, V, B), makes(W, X, B), "
                "P is N * V, Q is M * X, R is P + Q.",
            ),
            seen=(
                "How many {base} are {n} {a_s} and {m} {b_s}?",
                "Add up {n} {a_s} and {m} {b_s}. How many {base} is that?",
                "Put {n} times the {a} and {m} times the {b} together. How many {base} is that?",
                "Take {n} {a_s} and {m} {b_s}. What is that in {base}?",
                "{n} times the {a} and {m} times the {b}: how many {base} in all?",
                "A chart gives {n} {a_s} and {m} {b_s}. Write it in {base}.",
            ),
            unseen=(
                "What do {n} {a_s} plus {m} {b_s} come to in {base}?",
                "What do {n} times the {a} and {m} times the {b} make in {base}?",
            ),
        ),
    )


class Coinage(Measures):
    """Old coins and what they were worth in smaller ones."""

    name = "coinage"
    relation = "worth"
    fact_text = "{} was worth {}."
    forms = (
        Form(
            "mixed",
            Rule(
                text="If coins and smaller ones lie together, multiply by what one is worth, then add.",
                clause="purse(C, N, M, R) :- given(N), given(M), worth(C, V, B), P is N * V, R is P + M.",
            ),
            seen=(
                "A purse holds {n} {a_s} and {m} {base}. How many {base} is it worth?",
                "Ben pays {n} {a_s} and {m} {base}. How many {base} does he pay?",
                "Ben pays {n} times the coin {a} and {m} {base}. How many {base} does he pay?",
                "A debt of {n} {a_s} and {m} {base} is how much in {base}?",
                "In a jar are {n} {a_s} and {m} {base}. Find the worth in {base}.",
                "Count {n} times the coin {a} and {m} {base}. What is the sum in {base}?",
            ),
            unseen=(
                "Ann owns {n} {a_s} and {m} {base}. What has she in {base}?",
                "Ann got {n} times the coin {a} and {m} {base}. What has she in {base}?",
            ),
        ),
        Form(
            "sum",
            Rule(
                text="If different coins lie together, turn each into the same smaller coin, then add.",
                clause="purses(C, N, D, M, R) :- given(N), given(M), worth(C, V, B), worth(D, X, B), "
                "P is N * V, Q is M * X, R is P + Q.",
            ),
            seen=(
                "A purse holds {n} {a_s} and {m} {b_s}. How many {base} is it worth?",
                "Ben pays {n} {a_s} and {m} {b_s}. How many {base} does he pay?",
                "Ben pays {n} times the coin {a} and {m} times the coin {b}. How many {base} does he pay?",
                "A debt of {n} {a_s} and {m} {b_s} is how much in {base}?",
                "In a jar are {n} {a_s} and {m} {b_s}. Find the worth in {base}.",
                "Count {n} times the coin {a} and {m} times the coin {b}. What is the sum in {base}?",
            ),
            unseen=(
                "Ann owns {n} {a_s} and {m} {b_s}. What has she in {base}?",
                "Ann got {n} times the coin {a} and {m} times the coin {b}. What has she in {base}?",
            ),
        ),
    )
