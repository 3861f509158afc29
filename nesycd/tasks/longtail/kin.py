"""Genealogy: kin of real people by the rules of kinship; all facts but the first are reached over persons not named.

Facts: `father(X, Y)`, `mother(X, Y)` and `spouse(X, Y)`: Y is the father, mother, husband or wife of X.
Rules:
    parents(X, A, Z, W) :- related(A, X, Y), father(Y, Z), mother(Y, W).
    kin(X, A, B, C, W) :- related(A, X, Y), related(B, Y, Z), related(C, Z, W).
    related(father, X, Y) :- father(X, Y).      (and so for mother and spouse; part of both rules)
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from nesycd.core.records import Fact, Rule
from nesycd.tasks.longtail.families import Family, Form, Lookup, Members, Naming, Problem, Work
from nesycd.tasks.longtail.tables import Entity, Table, real_tables

_RELATIONS = ("father", "mother", "spouse")
_RELATED = " ".join(f"related({relation}, X, Y) :- {relation}(X, Y)." for relation in _RELATIONS)


def _paths(line: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The paths of a problem: the line itself, or to both parents of the one person named by a pair."""
    return (tuple(line),) if len(line) > 1 else ((line[0], "father"), (line[0], "mother"))


def _derived(line: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """The derived sentences of a line as (kin word, index of the fact whose object it is)."""
    if len(line) == 1:
        words = ("father-in-law", "mother-in-law") if line[0] == "spouse" else ("grandfather", "grandmother")
        return (words[0], 1), (words[1], 2)
    if line[0] == "spouse":
        return (f"{line[1]}-in-law", 1), (f"{line[1]}-in-law's {line[2]}", 2)
    return (f"grand{line[1]}", 1), (f"great-grand{line[2]}", 2)


class Kin(Family):
    """Royal genealogies."""

    name = "genealogy"
    forms = (
        Form(
            "pair",
            Rule(
                text="If the parents of kin are asked, go to that person first, then find the father and the mother.",
                clause=f"parents(X, A, Z, W) :- related(A, X, Y), father(Y, Z), mother(Y, W). {_RELATED}",
                says="{X} | {A}'s father and mother | {Z} and {W}",
            ),
            seen=(
                "Who were {a}'s {first}'s father and mother?",
                "Name the persons who were {a}'s {first}'s father and mother.",
                "Find {a}'s {first}'s father and mother. Who are they?",
                "Tell me {a}'s {first}'s father and mother.",
                "{a}'s {first}'s father and mother: who were these two?",
            ),
            unseen=(
                "Say who {a}'s {first}'s father and mother were.",
                "Which persons were {a}'s {first}'s father and mother?",
            ),
        ),
        Form(
            "line",
            Rule(
                text="If kin of kin are asked, go from person to person in the order that the question says.",
                clause=f"kin(X, A, B, C, W) :- related(A, X, Y), related(B, Y, Z), related(C, Z, W). {_RELATED}",
                says="{X} | {A}'s {B}'s {C} | {W}",
            ),
            seen=(
                "Who was {a}'s {first}'s {second}'s {third}?",
                "Name the person who was {a}'s {first}'s {second}'s {third}.",
                "Find {a}'s {first}'s {second}'s {third}. Who is it?",
                "Tell me {a}'s {first}'s {second}'s {third}.",
                "{a}'s {first}'s {second}'s {third}: who was that?",
            ),
            unseen=(
                "Say who {a}'s {first}'s {second}'s {third} was.",
                "Which person was {a}'s {first}'s {second}'s {third}?",
            ),
            weight=2,
        ),
    )

    def __init__(self, table: Table) -> None:
        self._members = Members(table)
        # The twin world must leave out the same lines, so the real names decide there too.
        rows = zip(table.entities, real_tables()["people"].entities, strict=True)
        self._namesakes = {entity.name for entity, real in rows if _alike(real.name, str(real.values[0]))}

    def entity_named(self, name: str) -> Entity | None:
        """The person of that name."""
        return self._members.by_name.get(name)

    def facts(self) -> list[Fact]:
        """Father, mother and spouse of each person, where the table has them."""
        return [
            Fact(
                text=f"The {relation} of {entity.name} was {value}.",
                subject=entity.name,
                relation=relation,
                object=str(value),
                aliases=entity.other_names,
            )
            for entity in self._members.table.entities
            for relation, value in zip(_RELATIONS, entity.values, strict=True)
            if value
        ]

    def other_object(self, fact: Fact, rng: random.Random) -> str:
        """Another person of the table in that relation to somebody."""
        others = [e.values[_RELATIONS.index(fact.relation)] for e in self._members.table.entities]
        return str(rng.choice([other for other in dict.fromkeys(others) if other not in ("", fact.object)]))

    def draw(self, rng: random.Random, form: str, reserved: bool) -> Problem | None:
        """See `Family.draw`: a person whose kin of that form are in the table."""
        person = rng.choice(self._members.pool(reserved))
        line: tuple[str, ...] = (rng.choice(_RELATIONS),)
        if form == "line":
            line += (rng.choice(_RELATIONS[:2]), rng.choice(_RELATIONS[:2]))
        if not all(self._end(person, path) for path in _paths(line)):
            return None
        return Problem(self.name, form, (person.name,), extra=line)

    def _end(self, person: Entity, path: Sequence[str]) -> str:
        """Who stands at the end of a path; "" where the table does not say, or a son has his father's name."""
        entity: Entity | None = person
        value = ""
        for relation in path:
            if relation == "father" and entity is not None and entity.name in self._namesakes:
                return ""
            value = str(entity.values[_RELATIONS.index(relation)]) if entity is not None else ""
            entity = self._members.by_name.get(value)
        return value

    def needs(self, problem: Problem, look: Lookup) -> list[Fact]:
        """Walk from the person named; the fact objects of a line are the next ones' subjects."""
        first = look(problem.entities[0], problem.extra[0])
        if problem.form == "pair":
            return [first, look(first.object, "father"), look(first.object, "mother")]
        second = look(first.object, problem.extra[1])
        return [first, second, look(second.object, problem.extra[2])]

    def state(self, fact: Fact) -> str:
        """`Edward III's father: Edward II.`"""
        return f"{fact.subject}'s {fact.relation}: {fact.object}."

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """`So grandfather: Edward I.` `So great-grandmother: Eleanor of Provence.`"""
        derived = _derived(problem.extra)
        steps = tuple(f"So {word}: {facts[index].object}." for word, index in derived)
        if problem.form == "pair":
            return Work(steps, f"{facts[1].object} and {facts[2].object}")
        return Work(steps, facts[-1].object)

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """The person named, `a`, and the relations of a line: `first`, `second`, `third`."""
        relations = dict(zip(("first", "second", "third"), problem.extra, strict=False))
        return {"a": naming.one(self._members.by_name[problem.entities[0]])} | relations


def _alike(first: str, second: str) -> bool:
    """Whether two names differ only in the numeral: Henry V, Henry IV."""
    stems = [re.sub(r" [IVX]+$", "", name) for name in (first, second)]
    return stems[0] == stems[1]
