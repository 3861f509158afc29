"""Genealogy: kin of real people by the rules of kinship; all but the first fact is reached over a person not named.

Facts: `father(X, Y)`, `mother(X, Y)` and `spouse(X, Y)`: Y is the father, mother, husband or wife of X.
Rules:
    grandfather(X, Z) :- father(X, Y), father(Y, Z).      grandmother(X, Z) :- father(X, Y), mother(Y, Z).
    (the same over the mother; and over the spouse for the parents of husband or wife)
    grandfathers(X, U, Z) :- father(X, F), mother(X, M), father(F, U), father(M, Z).
    grandmothers(X, U, Z) :- father(X, F), mother(X, M), mother(F, U), mother(M, Z).
    kin(X, A, B, C, W) :- related(A, X, Y), related(B, Y, Z), related(C, Z, W).
    related(father, X, Y) :- father(X, Y).      (and so for mother and spouse)
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from nesycd.records import Fact, Rule
from nesycd.tasks.longtail.families import Family, Form, Lookup, Members, Naming, Problem, Work
from nesycd.tasks.longtail.tables import Entity, Table

_RELATIONS = ("father", "mother", "spouse")

# Form: the needed facts as (index of the fact whose object is the subject; -1 = the person asked about, relation),
# then the derived sentences as (kin word, index of the fact whose object it is).
_SHAPES: dict[str, tuple[tuple[tuple[int, str], ...], tuple[tuple[str, int], ...]]] = {
    "paternal": (((-1, "father"), (0, "father"), (0, "mother")), (("grandfather", 1), ("grandmother", 2))),
    "maternal": (((-1, "mother"), (0, "father"), (0, "mother")), (("grandfather", 1), ("grandmother", 2))),
    "in_laws": (((-1, "spouse"), (0, "father"), (0, "mother")), (("father-in-law", 1), ("mother-in-law", 2))),
    "grandfathers": (
        ((-1, "father"), (-1, "mother"), (0, "father"), (1, "father")),
        (("father's father", 2), ("mother's father", 3)),
    ),
    "grandmothers": (
        ((-1, "father"), (-1, "mother"), (0, "mother"), (1, "mother")),
        (("father's mother", 2), ("mother's mother", 3)),
    ),
}


def _shape(form: str, line: Sequence[str]) -> tuple[tuple[tuple[int, str], ...], tuple[tuple[str, int], ...]]:
    """The shape of a form; that of `line` goes from parent (or spouse) to parent as `line` says."""
    if form != "line":
        return _SHAPES[form]
    links = tuple((index - 1, relation) for index, relation in enumerate(line))
    if line[0] == "spouse":
        return links, ((f"{line[1]}-in-law", 1), (f"{line[1]}-in-law's {line[2]}", 2))
    return links, ((f"grand{line[1]}", 1), (f"great-grand{line[2]}", 2))


def _form(name: str, text: str, clause: str, asked: str) -> Form:
    """A form whose templates ask "who {asked}?", where OF stands for the person."""
    direct, apart = asked.replace("OF", "of {a}"), asked.replace("OF", "of this person")
    return Form(
        name,
        Rule(text=text, clause=clause),
        seen=(f"Who {direct}?", f"Say who {direct}.", f"In the family of {{a}}, who {apart}?"),
        unseen=(f"Does the pedigree show who {direct}?", f"Looking at the forebears of {{a}}, who {apart}?"),
    )


class Kin(Family):
    """Royal genealogies."""

    name = "genealogy"
    forms = (
        _form(
            "paternal",
            "If grandparents on the father's side are asked, find the father, then his father and his mother.",
            "grandparents(X, Z, W) :- father(X, Y), father(Y, Z), mother(Y, W).",
            "were the grandfather and grandmother OF on the father's side",
        ),
        _form(
            "maternal",
            "If grandparents on the mother's side are asked, find the mother, then her father and her mother.",
            "grandparents(X, Z, W) :- mother(X, Y), father(Y, Z), mother(Y, W).",
            "were the grandfather and grandmother OF on the mother's side",
        ),
        _form(
            "in_laws",
            "If parents-in-law are asked, find the husband or wife, then the father and mother of that one.",
            "parents_in_law(X, Z, W) :- spouse(X, Y), father(Y, Z), mother(Y, W).",
            "were the father-in-law and mother-in-law OF",
        ),
        _form(
            "grandfathers",
            "If both grandfathers are asked, find father and mother, then the father of each.",
            "grandfathers(X, U, Z) :- father(X, F), mother(X, M), father(F, U), father(M, Z).",
            "were the two grandfathers OF, the father's father first",
        ),
        _form(
            "grandmothers",
            "If both grandmothers are asked, find father and mother, then the mother of each.",
            "grandmothers(X, U, Z) :- father(X, F), mother(X, M), mother(F, U), mother(M, Z).",
            "were the two grandmothers OF, the father's mother first",
        ),
        Form(
            "line",
            Rule(
                text="If kin of kin are asked, go from person to person in the order that the question says.",
                clause="kin(X, A, B, C, W) :- related(A, X, Y), related(B, Y, Z), related(C, Z, W).",
            ),
            seen=(
                "Who was the {third} of the {second} of the {first} of {a}?",
                "Say who was the {third} of the {second} of the {first} of {a}.",
                "In the family of {a}, who was the {first}'s {second}'s {third}?",
            ),
            unseen=(
                "Does the pedigree show who was the {third} of the {second} of the {first} of {a}?",
                "Looking at the forebears of {a}, who was the {first}'s {second}'s {third}?",
            ),
            weight=2,
        ),
    )

    def __init__(self, table: Table) -> None:
        self._members = Members(table)

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
        line: tuple[str, ...] = ()
        if form == "line":
            line = (rng.choice(_RELATIONS), rng.choice(_RELATIONS[:2]), rng.choice(_RELATIONS[:2]))
        subjects = [person]
        for source, relation in _shape(form, line)[0]:
            value = subjects[source + 1].values[_RELATIONS.index(relation)] if subjects[source + 1] else ""
            if not value:
                return None
            subjects.append(self._members.by_name.get(str(value)))  # type: ignore[arg-type]
        return Problem(self.name, form, (person.name,), extra=line)

    def needs(self, problem: Problem, look: Lookup) -> list[Fact]:
        """Walk from the person named, each fact's object being a later one's subject."""
        facts: list[Fact] = []
        for source, relation in _shape(problem.form, problem.extra)[0]:
            subject = problem.entities[0] if source < 0 else facts[source].object
            facts.append(look(subject, relation))
        return facts

    def state(self, fact: Fact) -> str:
        """`Edward III's father: Edward II.`"""
        return f"{fact.subject}'s {fact.relation}: {fact.object}."

    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """`So grandfather: Edward I.`, one sentence for each kin word of the form."""
        derived = _shape(problem.form, problem.extra)[1]
        steps = tuple(f"So {word}: {facts[index].object}." for word, index in derived)
        asked = derived[1:] if problem.form == "line" else derived
        return Work(steps, " and ".join(facts[index].object for _, index in asked))

    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """The person named, `a`, and the relations of a line: `first`, `second`, `third`."""
        relations = dict(zip(("first", "second", "third"), problem.extra, strict=False))
        return {"a": naming.one(self._members.by_name[problem.entities[0]])} | relations
