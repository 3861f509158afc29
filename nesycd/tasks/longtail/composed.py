"""Two families in one question (`ood_composed` only): no training question joins them.

Rules (amount: a number that a fact of one family gives; `days after` a feast):
    add:   both(A, N, B, R)     :- given(N), measure(A, V), P is N * V, amount(B, W), R is P + W.
    date:  later(A, N, F, D, T) :- given(N), measure(A, V), P is N * V, date(F, E, T), D is P + E.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from nesycd.core.errors import DataError
from nesycd.core.records import Fact, Rule
from nesycd.tasks.longtail.families import (
    Family,
    Form,
    Lookup,
    Naming,
    Problem,
    Work,
    easy_product,
    equation,
    leading_number,
)
from nesycd.tasks.longtail.feasts import LAST_DAY
from nesycd.tasks.longtail.measures import LIMIT, Measures
from nesycd.tasks.longtail.places import Numbered
from nesycd.tasks.longtail.tables import Entity

_MEASURE = "measure(A, V) :- makes(A, V, _). measure(A, V) :- worth(A, V, _)."
_AMOUNTS = {"intervals": "semitones", "letters": "place", "elements": "group"}


class Composed(Family):
    """Questions over a measure of one family and a number or date of another."""

    name = "composed"
    forms = (
        Form(
            "add",
            Rule(
                text="If amounts of two kinds are added, work out each alone, then add.",
                clause=f"both(A, N, B, R) :- given(N), measure(A, V), P is N * V, amount(B, W), R is P + W. {_MEASURE} "
                + " ".join(f"amount(B, W) :- {relation}(B, W)." for relation in _AMOUNTS.values()),
            ),
            seen=(),
            unseen=(
                "Add {measure} and {amount}. What is the result?",
                "What is the number of {measure} plus {amount}?",
                "Which number comes out when {measure} are counted and {amount} is added?",
            ),
        ),
        Form(
            "date",
            Rule(
                text="If as many days as an amount are counted from a feast, work out the amount, then add it.",
                clause=f"later(A, N, F, D, T) :- given(N), measure(A, V), P is N * V, date(F, E, T), D is P + E. {_MEASURE}",
            ),
            seen=(),
            unseen=(
                "Take as many days as {measure} and count them on from {feast}. Which date is it?",
                "As many days as {measure} go by after {feast}. What is the date then?",
                "A fair waits as many days as {measure}, counted from {feast}. On which date does it open?",
            ),
        ),
    )

    def __init__(self, families: Mapping[str, Family]) -> None:
        self._families = families
        self._by_relation = {fact.relation: family for family in families.values() for fact in family.facts()}
        self._pools: dict[str, list[Entity]] = {}
        for name, family in families.items():
            subjects = dict.fromkeys(fact.subject for fact in family.facts())
            entities = [entity for entity in map(family.entity_named, subjects) if entity is not None]
            self._pools[name] = [entity for entity in entities if not entity.reserved]

    def facts(self) -> list[Fact]:
        """None of its own."""
        return []

    def draw(self, rng: random.Random, form: str, reserved: bool) -> Problem | None:
        """See `Family.draw`; never over reserved entities."""
        measure_family = rng.choice(("units", "coinage"))
        other_family = rng.choice(tuple(_AMOUNTS)) if form == "add" else "calendar"
        measure, other = rng.choice(self._pools[measure_family]), rng.choice(self._pools[other_family])
        times = rng.randint(2, 6)
        product, number = times * int(measure.values[0]), int(other.values[0])
        if not easy_product(times, int(measure.values[0])):
            return None
        if reserved or product + number > (LIMIT if form == "add" else LAST_DAY):
            return None
        return Problem(self.name, form, (measure.name, other.name), (times,), (measure_family, other_family))

    def needs(self, problem: Problem, look: Lookup) -> list[Fact]:
        """The measure, then the amount or date."""
        measure = self._families[problem.extra[0]]
        assert isinstance(measure, Measures)
        relation = _AMOUNTS.get(problem.extra[1], "date")
        return [look(problem.entities[0], measure.relation), look(problem.entities[1], relation)]

    def state(self, fact: Fact) -> str:
        """As the fact's own family states it."""
        if fact.relation not in self._by_relation:
            raise DataError(f"no family of longtail states {fact.text!r}")
        return self._by_relation[fact.relation].state(fact)

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """The measure's product, then the sum."""
        first, product = equation(problem.numbers[0], "x", leading_number(facts[0]))
        if problem.form == "add":
            second, total = equation(product, "+", leading_number(facts[1]))
            return Work((first, second), str(total))
        second, day = equation(product, "+", leading_number(facts[1]))
        return Work((first, second), f"{day} {facts[1].object.partition(' ')[2]}")

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """`measure` with `amount` or `feast`."""
        families = [self._families[name] for name in problem.extra]
        entities = [family.entity_named(name) for family, name in zip(families, problem.entities, strict=True)]
        measure, other = families
        assert isinstance(measure, Measures) and entities[0] is not None and entities[1] is not None
        filled = {"measure": measure.amount(entities[0], problem.numbers[0], naming)}
        if isinstance(other, Numbered):
            return filled | {"amount": other.amount(entities[1], naming)}
        phrase = filled["measure"].removeprefix("the ")
        things, _, where = phrase.partition(" in ")
        return {"measure": f"there are {things} in {where}", "feast": naming.one(entities[1])}
