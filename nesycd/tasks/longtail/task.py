"""`longtail` as a benchmark: its splits, its world of facts, and derivations from whatever facts one gives it."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from pydantic import BaseModel, ConfigDict, Field, field_validator

from nesycd import grading
from nesycd.core.errors import ConfigError, DataError
from nesycd.core.records import Derivation, Example, Fact, content_hash
from nesycd.tasks.longtail.composed import Composed
from nesycd.tasks.longtail.families import Family, Form, Naming, Problem, article
from nesycd.tasks.longtail.feasts import Feasts
from nesycd.tasks.longtail.general import Boolean, Navigate, Stories, Sums
from nesycd.tasks.longtail.kin import Kin
from nesycd.tasks.longtail.kinds import Kinds
from nesycd.tasks.longtail.measures import Coinage, Units
from nesycd.tasks.longtail.places import Elements, Intervals, Letters
from nesycd.tasks.longtail.planning import Key, Plan, Planner, group_of
from nesycd.tasks.longtail.tables import real_tables, renamed_tables

VERSION = 5
"""Grows when the same settings give other questions."""

_REWORDINGS = 20
"""Times that a question is worded anew where it reads as one that was made before."""

SPLITS = ("train", "valid", "test", "ood_composed", "ood_unseen")


class LongTailSettings(BaseModel):
    """The embedded benchmark; sizes count questions, per family where not said otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    seed: int = 0
    """Draws the questions; not given: the recipe's `seed`."""
    families: tuple[str, ...] = ()
    """Families of questions to use, such as `["units", "letters", "sums"]`; not given: all."""
    renamed: bool = False
    """Invented names instead of the real ones; all else stays."""
    train_special: int = Field(default=30, ge=1)
    """Training questions of a family that needs facts."""
    train_general: int = Field(default=80, ge=1)
    """Training questions of a family that needs reasoning alone."""
    valid: int = Field(default=8, ge=0)
    """Questions in `valid`, of either sort."""
    test_special: int = Field(default=25, ge=1)
    """Test questions of a family that needs facts."""
    test_general: int = Field(default=26, ge=1)
    """Test questions of a family that needs reasoning alone."""
    ood_composed: int = Field(default=32, ge=0)
    """Questions in all that need facts of two families."""
    ood_unseen: int = Field(default=32, ge=0)
    """Questions in all whose facts no training question needs."""
    frequencies: tuple[float, ...] = (0.25, 0.35, 0.40)
    """Shares of the trained facts that occur in one, two, three, ... training questions; they add up to 1."""

    @field_validator("frequencies")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or min(value) < 0 or abs(sum(value) - 1) > 1e-6:
            raise ValueError("shares must not be negative and must add up to 1")
        return value


@dataclass(frozen=True)
class World:
    """All true facts, by (subject, relation)."""

    by_key: dict[Key, Fact]

    @property
    def facts(self) -> tuple[Fact, ...]:
        """In table order."""
        return tuple(self.by_key.values())

    def facts_about(self, entity: str) -> list[Fact]:
        """Every fact whose subject is `entity`."""
        return [fact for fact in self.by_key.values() if fact.subject == entity]

    def fact(self, subject: str, relation: str) -> Fact:
        """The one fact for a subject and relation.

        Raises:
            DataError: there is none.
        """
        if (subject, relation) not in self.by_key:
            raise DataError(f"longtail knows no {relation} of {subject!r}")
        return self.by_key[subject, relation]

    def with_facts(self, facts: Iterable[Fact]) -> World:
        """The same world where `facts` stand for those of their subject and relation: a counterfactual edit."""
        return World(self.by_key | {(fact.subject, fact.relation): fact for fact in facts})


class LongTail:
    """The benchmark. Questions are made when first asked for (about a second) and are the same for equal settings.

    >>> task = LongTail(LongTailSettings())
    >>> example = task.load("test")[0]
    >>> task.derive(example).answer == example.answer
    True
    """

    def __init__(self, settings: LongTailSettings | None = None) -> None:
        self.settings = settings or LongTailSettings()
        self.name = "longtail-renamed" if self.settings.renamed else "longtail"
        tables = repr(sorted(real_tables().items()))
        self.fingerprint = content_hash(["longtail", VERSION, tables, self.settings.model_dump(mode="json")])
        """Hash of all that decides the questions."""

    def __repr__(self) -> str:
        """Its name and its splits; making the questions to count them takes a second."""
        return f"<task {self.name}: {', '.join(self.splits())}>"

    # --- the world ---------------------------------------------------------------------------------------------------

    @cached_property
    def families(self) -> dict[str, Family]:
        """All families by name, special ones first."""
        tables = renamed_tables(self.settings.seed) if self.settings.renamed else real_tables()
        special: list[Family] = [
            Units(tables["units"]),
            Coinage(tables["coinage"]),
            Elements(tables["elements"]),
            Intervals(tables["intervals"]),
            Letters(tables["letters"]),
            Feasts(tables["feasts"]),
            Kinds(tables["kinds"]),
            Kin(tables["people"]),
        ]
        general: list[Family] = [Navigate(), Boolean(), Stories(), Sums()]
        by_name = {family.name: family for family in special}
        return by_name | {family.name: family for family in general} | {"composed": Composed(by_name)}

    @cached_property
    def _world(self) -> World:
        facts = (fact for family in self.families.values() for fact in family.facts())
        return World({(fact.subject, fact.relation): fact for fact in facts})

    def world(self) -> World:
        """All true facts with their subjects' aliases."""
        return self._world

    def facts_about(self, entity: str) -> list[Fact]:
        """Every true fact whose subject is `entity` (a canonical name)."""
        return self._world.facts_about(entity)

    def passages(self) -> list[str]:
        """A corpus: all true facts about each entity as one text, then as many texts about entities that do not exist.

        The latter are the twin world's (`renamed`), which differ in their names alone: distractors that read alike.
        """
        twin = LongTail(self.settings.model_copy(update={"renamed": not self.settings.renamed}))
        texts: dict[tuple[int, str], list[str]] = {}
        for number, world in enumerate((self.world(), twin.world())):
            for fact in world.facts:
                texts.setdefault((number, fact.subject), []).append(fact.text)
        return [" ".join(told) for told in texts.values()]

    def missing_facts(self, split: str = "ood_unseen") -> list[Fact]:
        """The facts that a split's questions need and no training question does, in order of need."""
        trained = self._trained
        facts = (fact for example in self.load(split) for fact in _facts(example))
        return list({fact.id: fact for fact in facts if not trained[fact.subject, fact.relation]}.values())

    # --- questions ---------------------------------------------------------------------------------------------------

    def splits(self) -> tuple[str, ...]:
        """train, valid, test, ood_composed, ood_unseen."""
        return SPLITS

    def load(self, split: str) -> list[Example]:
        """All examples of a split, family by family.

        Raises:
            DataError: no such split.
            ConfigError: the sizes ask for more questions than the facts give.
        """
        if split not in SPLITS:
            raise DataError(f"{self.name}: no split {split!r}; there are {', '.join(SPLITS)}")
        return list(self._examples[split])

    def kind(self, task: str) -> str:
        """`special` or `general` by family; "" for a name that is no family's."""
        return self.families[task].kind if task in self.families else ""

    def train_frequency(self, example: Example) -> int:
        """In how many training questions the least trained of the example's needed facts occurs.

        0 where one never does, and for general questions, which need no facts.
        """
        return min((self._trained[fact.subject, fact.relation] for fact in _facts(example)), default=0)

    def problem(self, example: Example) -> Problem:
        """The question as symbols.

        Raises:
            DataError: not an example of this benchmark.
        """
        if example.uid not in self._problems:
            raise DataError(f"{example.uid}: not a question of {self.name} with these settings")
        return self._problems[example.uid]

    def derive(self, example: Example, edited: Iterable[Fact] = ()) -> Derivation:
        """Derive the answer anew from the facts of the world, with `edited` ones in place of their originals.

        Raises:
            DataError: not an example of this benchmark, or the edited facts give no answer.
        """
        problem = self.problem(example)
        world = self._world.with_facts(edited)
        return self.families[problem.family].derive(problem, world.fact)

    def counterfactual(self, fact: Fact, seed: int = 0) -> Fact:
        """The same fact with a false object of the same sort, in text and triple.

        Raises:
            DataError: the fact is not one of this world.
        """
        if self._world.by_key.get((fact.subject, fact.relation)) != fact:
            raise DataError(f"{fact.text!r} is not a fact of {self.name}")
        family = self._families_by_relation[fact.relation]
        other = family.other_object(fact, random.Random(f"{seed}/{fact.text}"))
        old, new = fact.object, other
        if article(old) in fact.text:
            old, new = article(old), article(other)
        head, _, tail = fact.text.rpartition(old)
        return fact.model_copy(update={"object": other, "text": head + new + tail})

    @cached_property
    def _families_by_relation(self) -> dict[str, Family]:
        return {fact.relation: family for family in self.families.values() for fact in family.facts()}

    def extract(self, response: str, example: Example) -> str:
        """The answer after the last "answer is"; "" where there is none."""
        return grading.extract(response, example)

    def grade(self, answer: str, example: Example) -> bool:
        """See `grade_answer`."""
        return grade_answer(answer, example)

    # --- making them -------------------------------------------------------------------------------------------------

    @cached_property
    def _plans(self) -> dict[str, Plan]:
        return _plans(self.settings)

    @cached_property
    def _trained(self) -> Counter[Key]:
        return sum((plan.trained for plan in self._plans.values()), Counter())

    @cached_property
    def _made(self) -> tuple[dict[str, list[Example]], dict[str, Problem]]:
        examples: dict[str, list[Example]] = {split: [] for split in SPLITS}
        problems: dict[str, Problem] = {}
        questions: set[str] = set()
        for name, plan in self._plans.items():
            for split in SPLITS:
                rng = random.Random(f"longtail/{self.settings.seed}/{name}/{split}/wording")
                for index, problem in enumerate(plan.problems.get(split, ())):
                    uid = f"{self.name}/{split}/{name}/{index:03d}"
                    example = self._word(uid, split, problem, rng, index)
                    for _ in range(_REWORDINGS):
                        # Templates that leave something out, such as who has the pens, may make two problems one.
                        if example.question not in questions:
                            break
                        example = self._word(uid, split, problem, rng, index)
                    if example.question in questions:
                        raise DataError(f"{example.uid}: made twice: {example.question!r}")  # our own fault
                    questions.add(example.question)
                    examples[split].append(example)
                    problems[example.uid] = problem
        return examples, problems

    @property
    def _examples(self) -> dict[str, list[Example]]:
        return self._made[0]

    @property
    def _problems(self) -> dict[str, Problem]:
        return self._made[1]

    def _word(self, uid: str, split: str, problem: Problem, rng: random.Random, index: int) -> Example:
        family = self.families[problem.family]
        derivation = family.derive(problem, self._world.fact)
        form = family.form(problem.form)
        by_alias = rng.random() < 0.5
        number = _template(form, split, by_alias, rng)
        template = (form.seen + form.unseen)[number]
        question = family.ask(problem, template, Naming(rng, by_alias))
        return Example(
            uid=uid,
            task=family.name,
            question=question,
            answer=derivation.answer,
            rationale=" ".join(derivation.steps),
            split=split,
            group=group_of(problem, derivation.facts),
            template=f"{family.name}/{form.name}/{number}",
            truth=derivation,
        )


def _template(form: Form, split: str, by_alias: bool, rng: random.Random) -> int:
    """A template's number in the form: seen ones for training, the others for all else.

    Naming by inflection needs a template with plurals where the form has some, canonical names one without.
    """
    first = 0 if split == "train" else len(form.seen)
    texts = form.seen if split == "train" else form.unseen
    numbers = [first + index for index, text in enumerate(texts) if ("_s}" in text) == by_alias]
    return rng.choice(numbers or list(range(first, first + len(texts))))


def _facts(example: Example) -> tuple[Fact, ...]:
    return example.truth.facts if example.truth else ()


@lru_cache(maxsize=8)
def _plans(settings: LongTailSettings) -> dict[str, Plan]:
    """The problems of each family: most of what making the questions takes, so equal settings share them."""
    task = LongTail(settings)
    look, seed = task.world().fact, f"longtail/{settings.seed}"
    every = [family for family in task.families.values() if family.name != "composed"]
    known = [family.name for family in every]
    if unknown := sorted(set(settings.families) - set(known)):
        raise ConfigError(f"longtail: no family is called {unknown[0]!r}; families: {', '.join(known)}")
    families = [family for family in every if not settings.families or family.name in settings.families]
    special = [family for family in families if family.kind == "special"]
    plans = {}
    for index, family in enumerate(families):
        planner = Planner(family, look, seed, settings.frequencies)
        is_special = family in special
        unseen = len(range(index, settings.ood_unseen, len(special))) if is_special else 0
        plans[family.name] = planner.plan(
            settings.train_special if is_special else settings.train_general,
            {"valid": settings.valid, "test": settings.test_special if is_special else settings.test_general},
            unseen,
        )
    trained: Counter[Key] = sum((plan.trained for plan in plans.values()), Counter())
    planner = Planner(task.families["composed"], look, seed, settings.frequencies)
    plans["composed"] = Plan({"ood_composed": planner.composed(settings.ood_composed, trained)})
    return plans


def grade_answer(answer: str, example: Example, form: grading.Form = "plain") -> bool:
    """As `grading.grade`; besides, `February 5` is `5 February`."""
    return grading.grade(_day_first(answer), example, form)


def _day_first(answer: str) -> str:
    match = re.fullmatch(r"([A-Za-z]+) (\d{1,2})(?:st|nd|rd|th)?", answer.strip())
    return f"{match[2]} {match[1]}" if match else answer
