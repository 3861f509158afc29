"""Units and coinage: how many of one thing make another.

Facts: `units.makes(U, V, B)`: one U makes V of B; `coinage.worth(C, V, B)`: one C is worth V of B.
Rules:
    less:  left(U, N, M, R)     :- makes(U, V, B), P is N * V, R is P - M.
    sum:   total(U, W, N, R)    :- makes(U, V, B), makes(W, X, B), P is N * X, R is P + V.
    nest:  inside(U, N, C, R)   :- makes(U, V, W), makes(W, X, C), P is N * V, R is P * X.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import ClassVar

from nesycd.errors import DataError
from nesycd.records import Fact, Rule
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
    equation,
    leading_number,
    sentence,
)
from nesycd.tasks.longtail.tables import Entity, Table

LIMIT = 60
"""Largest number in a working: the student's arithmetic is not what is measured."""


class Measures(Family):
    """Questions on how many of a smaller thing are in some of a larger one."""

    relation: ClassVar[str]
    fact_text: ClassVar[str]

    def __init__(self, table: Table) -> None:
        self._members = Members(table)
        # "firkins" in "a kilderkin is 2 firkins" leads on to the firkin.
        self._by_plural = {entity.plural: entity for entity in table.entities}

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
        times = rng.randint(2, 9)
        if form == "less":
            less = rng.randint(2, 9)
            fits = count * times <= LIMIT and less < count * times
            return Problem(self.name, form, (first.name,), (times, less)) if fits else None
        if form == "sum":
            others = [entity for entity in pool if entity is not first and entity.values[1] == base]
            if not others:
                return None
            second = rng.choice(others)
            fits = _values(second)[0] * times + count <= LIMIT
            return Problem(self.name, form, (first.name, second.name), (times,)) if fits else None
        inner = self._by_plural.get(base)
        if inner is None or count * times > 12 or count * times * _values(inner)[0] > LIMIT:
            return None
        return Problem(self.name, form, (first.name,), (times,), (base, _values(inner)[1]))

    def needs(self, problem: Problem, look: Lookup) -> list[Fact]:
        """One fact for `less`; two of one base for `sum`; a fact and the one its base leads to for `nest`."""
        facts = [look(name, self.relation) for name in problem.entities]
        if problem.form == "nest":
            base = _base(facts[0])
            if base not in self._by_plural:
                raise DataError(f"{facts[0].text} What {base} are is not known")
            facts.append(look(self._by_plural[base].name, self.relation))
        return facts

    def state(self, fact: Fact) -> str:
        """`One fathom makes 6 feet.`"""
        return f"One {fact.subject} makes {fact.object}."

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """Multiply, then subtract, add or multiply again."""
        count = leading_number(facts[0])
        if problem.form == "less":
            times, less = problem.numbers
            return chain(times, ("x", count), ("-", less))
        times = problem.numbers[0]
        other = leading_number(facts[1])
        if problem.form == "sum":
            return chain(times, ("x", other), ("+", count))
        return chain(times, ("x", count), ("x", other))

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """`a`, `an_a`, `a_s`, the same for `b`, numbers `n`, `m`, and the smaller things `base`."""
        entities = [self._members.by_name[name] for name in problem.entities]
        filled = dict(zip("nm", map(str, problem.numbers), strict=False))
        for slot, entity in zip("ab", entities, strict=False):
            one = naming.one(entity)
            filled |= {slot: one, f"an_{slot}": article(one), f"{slot}_s": naming.many(entity)}
        filled["base"] = problem.extra[1] if problem.form == "nest" else _values(entities[0])[1]
        return filled

    def amount(self, entity: Entity, times: int, naming: Naming) -> str:
        """`the feet in 2 fathoms`, for questions composed of two families."""
        return f"the {_values(entity)[1]} in {times} {naming.many(entity)}"

    def worth(self, times: int, fact: Fact) -> tuple[str, int]:
        """The equation of such an amount, and what it comes to."""
        return equation(times, "x", leading_number(fact))


def _values(entity: Entity) -> tuple[int, str]:
    return int(entity.values[0]), str(entity.values[1])


def _base(fact: Fact) -> str:
    return fact.object.partition(" ")[2]


class Units(Measures):
    """Historic and odd units of length, volume, weight and time."""

    name = "units"
    relation = "makes"
    fact_text = "{} is {}."
    forms = (
        Form(
            "less",
            Rule(
                text="If something is taken from several units, multiply the units by what one makes, then subtract.",
                clause="left(U, N, M, R) :- makes(U, V, B), P is N * V, R is P - M.",
            ),
            seen=(
                "There are {n} {a_s} and {m} {base} are used. How many {base} are left?",
                "How many {base} remain of {n} {a_s} when {m} {base} are gone?",
                "Take the {a} {n} times, then remove {m} {base}. How many {base} remain?",
            ),
            unseen=(
                "Somebody has {n} {a_s} but gives away {m} {base}. What is left in {base}?",
                "Lay out {an_a} {n} times and drop {m} {base}: what is left in {base}?",
            ),
        ),
        Form(
            "sum",
            Rule(
                text="If different units are put together, turn each into the same smaller unit, then add.",
                clause="total(U, W, N, R) :- makes(U, V, B), makes(W, X, B), P is N * X, R is P + V.",
            ),
            seen=(
                "How many {base} are one {a} and {n} {b_s} together?",
                "Add {an_a} to {n} {b_s}. How many {base} is that?",
                "Put {an_a} together with {n} times the {b}. How many {base} is that?",
            ),
            unseen=(
                "What do {an_a} and {n} {b_s} come to in {base}?",
                "What do {an_a} and the {b} taken {n} times come to in {base}?",
            ),
        ),
        Form(
            "nest",
            Rule(
                text="If a unit is made of a middle unit, multiply by each in turn.",
                clause="inside(U, N, C, R) :- makes(U, V, W), makes(W, X, C), P is N * V, R is P * X.",
            ),
            seen=(
                "How many {base} are there in {n} {a_s}?",
                "Count the {base} in {n} {a_s}.",
                "How many {base} are {n} times the {a}?",
            ),
            unseen=(
                "Give {n} {a_s} in {base}.",
                "Take {an_a} {n} times: what is it in {base}?",
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
            "less",
            Rule(
                text="If money is spent out of several coins, multiply the coins by what one is worth, then subtract.",
                clause="change(C, N, M, R) :- worth(C, V, B), P is N * V, R is P - M.",
            ),
            seen=(
                "A purse holds {n} {a_s}. After paying {m} {base}, how many {base} are in it?",
                "A debt of {m} {base} is paid with {n} {a_s}. How many {base} come back?",
                "Get the coin {a} {n} times and pay {m} {base}. How many {base} are left?",
            ),
            unseen=(
                "Ann owns {n} {a_s} and spends {m} {base}. What has she left in {base}?",
                "Ann got {an_a} {n} times and spent {m} {base}. What has she left in {base}?",
            ),
        ),
        Form(
            "sum",
            Rule(
                text="If different coins lie together, turn each into the same smaller coin, then add.",
                clause="purse(C, D, N, R) :- worth(C, V, B), worth(D, X, B), P is N * X, R is P + V.",
            ),
            seen=(
                "A purse holds {an_a} and {n} {b_s}. How many {base} is it worth?",
                "Ben pays {an_a} and {n} {b_s}. How many {base} does he pay?",
                "Ben pays {an_a} once and {an_b} {n} times. How many {base} does he pay?",
            ),
            unseen=(
                "In {base}, what is the price of {an_a} plus {n} {b_s}?",
                "In {base}, what is {an_a} plus {n} times the coin {b}?",
            ),
        ),
        Form(
            "nest",
            Rule(
                text="If a coin is worth some middle coins, multiply by each in turn.",
                clause="change_down(C, N, B, R) :- worth(C, V, D), worth(D, X, B), P is N * V, R is P * X.",
            ),
            seen=(
                "How many {base} would pay for {n} {a_s}?",
                "A trader changes {n} {a_s} into {base}. How many come out?",
                "A trader changes {an_a} into {base} {n} times. How many come out?",
            ),
            unseen=(
                "What are {n} {a_s} in {base}?",
                "What is {n} times the coin {a} in {base}?",
            ),
        ),
    )
