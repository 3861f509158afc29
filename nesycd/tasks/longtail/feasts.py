"""The calendar: fixed feasts and dates counted from them, always within one month.

Facts: `date(F, D)`: feast F falls on date D, for instance 2 February.
Rules:
    later:    after(F, N, M, D2, T) :- given(N), given(M), date(F, D, T), D1 is D + N, D2 is D1 + M.
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
    chain,
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
                clause="after(F, N, M, D2, T) :- given(N), given(M), date(F, D, T), D1 is D + N, D2 is D1 + M.",
            ),
            seen=(
                "From {a}, count {n} days on, then {m} days more. Which date is it?",
                "After {a}, a ship waits {n} days, then sails {m} days more. On which date does it land?",
                "Begin at {a}, go on {n} days, then {m} days more. What is the date?",
                "A trip leaves on {a}, takes {n} days one way and {m} days back. On which date does it end?",
                "On {a} the milk is set to ripen {n} days, then {m} days more. On which date is it ready?",
                "Counted from {a}, which date is {n} days and then {m} days later?",
            ),
            unseen=(
                "From {a}, snow lay {n} days, then rain fell {m} days more. What was the date then?",
                "Starting on {a}, a guest stays {n} days, then {m} days more. On which date does the guest leave?",
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
        feast = rng.choice(pool)
        numbers = (rng.randint(2, 9), rng.randint(2, 9))
        fits = int(feast.values[0]) + sum(numbers) <= LAST_DAY
        return Problem(self.name, form, (feast.name,), numbers) if fits else None

    def needs(self, problem: Problem, look: Lookup) -> list[Fact]:
        """The feast's date."""
        return [look(name, "date") for name in problem.entities]

    def state(self, fact: Fact) -> str:
        """`Candlemas falls on 2 February.`"""
        return f"{fact.subject} falls on {fact.object}."

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """Two equations; a date keeps its month."""
        day, month = leading_number(facts[0]), facts[0].object.partition(" ")[2]
        work = chain(day, *(("+", number) for number in problem.numbers))
        return Work(work.steps, f"{work.answer} {month}")

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """`a` and numbers `n`, `m`."""
        feast = self._members.by_name[problem.entities[0]]
        return dict(zip("nm", map(str, problem.numbers), strict=True)) | {"a": naming.one(feast)}


def date(entity: Entity) -> str:
    """`2 February`."""
    return f"{entity.values[0]} {entity.values[1]}"
