"""What a family of questions is: problems as symbols, the facts they need, their working, and how they are asked.

A question is made in three independent steps: a `Problem` is drawn (symbols only), its derivation is computed from the
facts that stand for it in a world, and its wording comes from templates that see neither facts nor derivation.
"""

from __future__ import annotations

import random
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from nesycd.core.errors import DataError
from nesycd.core.records import Derivation, Fact, Rule
from nesycd.tasks.longtail.tables import Entity, Table

Lookup = Callable[[str, str], Fact]
"""(subject, relation) to the fact; raises `DataError` where none is known."""


@dataclass(frozen=True)
class Problem:
    """A question as symbols. `extra` holds what is neither entity nor number (a class, a relation, words)."""

    family: str
    form: str
    entities: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """The derived sentences after the facts have been stated, and what they come to."""

    steps: tuple[str, ...]
    answer: str
    opening: tuple[str, ...] = ()
    """What is said before the facts."""


@dataclass(frozen=True)
class Form:
    """One kind of question in a family: its rule, its templates of training and those of valid and test only.

    A template with a slot ending in `_s` names its entities in the plural, which counts as naming by inflection.
    """

    name: str
    rule: Rule
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    weight: int = 1
    """How many times as often as weight 1 it is drawn."""


@dataclass
class Naming:
    """Chooses how a question names entities: by canonical name, or by alias or inflection."""

    rng: random.Random
    by_alias: bool

    def one(self, entity: Entity) -> str:
        """A singular name."""
        if self.by_alias and entity.aliases:
            return self.rng.choice(entity.aliases)[0]
        return entity.name

    def many(self, entity: Entity) -> str:
        """A plural name, of the entity or of an alias."""
        plurals = [plural for _, plural in entity.aliases if plural]
        if self.by_alias and plurals and self.rng.random() < 0.5:
            return self.rng.choice(plurals)
        return entity.plural or self.one(entity)


class Family(ABC):
    """A family of questions over one table (or none)."""

    name: ClassVar[str]
    kind: ClassVar[str] = "special"
    forms: ClassVar[tuple[Form, ...]]

    @abstractmethod
    def facts(self) -> list[Fact]:
        """Every true fact of this family's world."""

    @abstractmethod
    def draw(self, rng: random.Random, form: str, reserved: bool) -> Problem | None:
        """A random problem over seen or reserved entities; None where this draw gave none that is fit to be asked."""

    @abstractmethod
    def needs(self, problem: Problem, look: Lookup) -> list[Fact]:
        """The facts the answer rests on, in the order in which the working states them."""

    @abstractmethod
    def state(self, fact: Fact) -> str:
        """The sentence of a working that states a needed fact."""

    def statements(self, problem: Problem, facts: Sequence[Fact]) -> list[str]:
        """The sentences that state the needed facts, one each."""
        return [self.state(fact) for fact in facts]

    @abstractmethod
    def work(self, problem: Problem, facts: Sequence[Fact]) -> Work:
        """Answer from the needed facts alone."""

    @abstractmethod
    def slots(self, problem: Problem, naming: Naming) -> dict[str, str]:
        """What fills a question template's slots, singular forms (`a`, `an_a`, `b`, ...) and plural ones (`a_s`)."""

    def other_object(self, fact: Fact, rng: random.Random) -> str:
        """A false object of the same sort, for a counterfactual edit; here another number near the true one."""
        number = leading_number(fact)
        nearby = [other for other in range(max(2, number - 2), number + 3) if other not in (1, number)]
        return fact.object.replace(str(number), str(rng.choice(nearby)), 1)

    def entity_named(self, name: str) -> Entity | None:
        """The entity behind a canonical name; None where this family has none such."""
        return None

    def form(self, name: str) -> Form:
        """The form of that name."""
        return next(form for form in self.forms if form.name == name)

    def ask(self, problem: Problem, template: str, naming: Naming) -> str:
        """Word the question."""
        text = template.format(**self.slots(problem, naming))
        return text[0].upper() + text[1:]

    def derive(self, problem: Problem, look: Lookup) -> Derivation:
        """The whole derivation: needed facts stated one a sentence, then the working.

        Raises:
            DataError: a needed fact is unknown, or the facts give no answer.
        """
        facts = self.needs(problem, look)
        work = self.work(problem, facts)
        stated = tuple(self.statements(problem, facts))
        uses = tuple((index,) for index in range(len(facts))) + ((),) * len(work.steps)
        return Derivation(
            facts=tuple(facts),
            rules=(self.form(problem.form).rule,),
            steps=work.opening + stated + work.steps,
            uses=((),) * len(work.opening) + uses,
            answer=work.answer,
        )


@dataclass(frozen=True)
class Members:
    """The entities of a table, seen and reserved, by name."""

    table: Table
    by_name: dict[str, Entity] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {entity.name: entity for entity in self.table.entities})

    def pool(self, reserved: bool) -> list[Entity]:
        """Entities of one side, in table order."""
        return [entity for entity in self.table.entities if entity.reserved == reserved]


def article(name: str) -> str:
    """The name with its indefinite article, by its first letter."""
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def sentence(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[0].upper() + text[1:]


def leading_number(fact: Fact) -> int:
    """The number a fact's object begins with.

    Raises:
        DataError: it begins with none (an edited fact).
    """
    match = re.match(r"\d+", fact.object)
    if match is None:
        raise DataError(f"the {fact.relation} of {fact.subject} is {fact.object!r}, but a number is needed")
    return int(match.group())


def equation(left: int, sign: str, right: int) -> tuple[str, int]:
    """The sentence `4 x 6 = 24.` and its result; signs are x and +."""
    result = {"x": left * right, "+": left + right}[sign]
    return f"{left} {sign} {right} = {result}.", result


def easy_product(times: int, value: int) -> bool:
    """Whether `times` x `value` is in a small multiplication table: the student's arithmetic is not what is measured."""
    return 2 <= times <= 9 and (2 <= value <= 9 or (value <= 12 and times <= 5 and value > 1))


def chain(start: int, *parts: tuple[str, int]) -> Work:
    """Apply (sign, number) one after the other to `start`, one equation a step; the answer is the last result."""
    steps = []
    for sign, number in parts:
        step, start = equation(start, sign, number)
        steps.append(step)
    return Work(tuple(steps), str(start))
