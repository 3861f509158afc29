"""The calendar: fixed feasts and dates counted from them, always within one month.

Facts: `date(F, D)`: feast F falls on date D, for instance 2 February.
Rules:
    later:    after(F, N, M, D2)   :- date(F, D), D1 is D + N, D2 is D1 + M.
    between:  days(F, N, G, R)     :- date(F, D), date(G, E), D1 is D + N, R is E - D1.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

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
    chain,
    equation,
    leading_number,
    sentence,
)
from nesycd.tasks.longtail.tables import Entity, Table

LAST_DAY = 28
"""Every month has it, so counting never leaves the month."""


class Feasts(Family):
    """Dates of fixed feasts."""

    name = "calendar"
    forms = (
        Form(
            "later",
            Rule(
                text="If days are counted from a feast, find its date, then add the days one after the other.",
                clause="after(F, N, M, D2) :- date(F, D), D1 is D + N, D2 is D1 + M.",
            ),
            seen=(
                "A fair opens {n} days after {a} and closes {m} days later. On which date does it close?",
                "Count {n} days on from {a}, then {m} more. Which date is it?",
                "A ship sails {n} days after {a} and lands {m} days later. On which date does it land?",
            ),
            unseen=(
                "Snow fell {n} days after {a}; {m} days later it had melted. What was the date then?",
                "What is the date {m} days after the day that comes {n} days after {a}?",
            ),
        ),
        Form(
            "between",
            Rule(
                text="If days between feasts are asked, find both dates, move the first one on, then subtract.",
                clause="days(F, N, G, R) :- date(F, D), date(G, E), D1 is D + N, R is E - D1.",
            ),
            seen=(
                "A guest comes {n} days after {a} and stays until {b}. How many days does the guest stay?",
                "How many days lie between the day {n} days after {a} and {b}?",
                "It is {n} days after {a}. How many days is it until {b}?",
            ),
            unseen=(
                "Work starts {n} days after {a} and ends on {b}. How many days does it last?",
                "With {n} days gone since {a}, how many days are left to {b}?",
            ),
        ),
    )

    def __init__(self, table: Table) -> None:
        self._members = Members(table)

    def entity_named(self, name: str) -> Entity | None:
        """The feast of that name."""
        return self._members.by_name.get(name)

    def facts(self) -> list[Fact]:
        """One a feast."""
        return [
            Fact(
                text=sentence(f"{entity.name} is {date(entity)}."),
                subject=entity.name,
                relation="date",
                object=date(entity),
                aliases=entity.other_names,
            )
            for entity in self._members.table.entities
        ]

    def draw(self, rng: random.Random, form: str, reserved: bool) -> Problem | None:
        """See `Family.draw`."""
        pool = self._members.pool(reserved)
        first = rng.choice(pool)
        day = int(first.values[0])
        if form == "later":
            numbers = (rng.randint(2, 9), rng.randint(2, 9))
            fits = day + sum(numbers) <= LAST_DAY
            return Problem(self.name, form, (first.name,), numbers) if fits else None
        later = [other for other in pool if other.values[1] == first.values[1] and int(other.values[0]) > day + 3]
        if not later:
            return None
        second = rng.choice(later)
        shift = rng.randint(2, min(9, int(second.values[0]) - day - 1))
        return Problem(self.name, form, (first.name, second.name), (shift,))

    def needs(self, problem: Problem, look: Lookup) -> list[Fact]:
        """The date of each feast."""
        return [look(name, "date") for name in problem.entities]

    def state(self, fact: Fact) -> str:
        """`Candlemas falls on 2 February.`"""
        return f"{fact.subject} falls on {fact.object}."

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """Two equations; a date keeps its month."""
        day, month = leading_number(facts[0]), facts[0].object.partition(" ")[2]
        if problem.form == "later":
            work = chain(day, *(("+", number) for number in problem.numbers))
            return Work(work.steps, f"{work.answer} {month}")
        if facts[1].object.partition(" ")[2] != month:
            raise DataError(f"{facts[0].text} {facts[1].text} These are not in one month")
        step, moved = equation(day, "+", problem.numbers[0])
        last, days = equation(leading_number(facts[1]), "-", moved)
        return Work((step, last), str(days))

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """`a`, `b` and numbers `n`, `m`."""
        names = [naming.one(self._members.by_name[name]) for name in problem.entities]
        return dict(zip("nm", map(str, problem.numbers), strict=False)) | dict(zip("ab", names, strict=False))


def date(entity: Entity) -> str:
    """`2 February`."""
    return f"{entity.values[0]} {entity.values[1]}"
