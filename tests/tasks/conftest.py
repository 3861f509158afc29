"""Shared by the benchmarks over a policy: what follows from their questions' statements, under changed facts too."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import islice

import pytest

from nesycd.calls import BaseRules, question_of
from nesycd.core.errors import DataError
from nesycd.core.records import Entry, Example, Fact, Item, Status
from nesycd.rules import Engine
from nesycd.rules.statements import By, by_unit, units
from nesycd.tasks.policies import PolicyTask


class Deriving:
    """A base of all facts and rules of a benchmark, asked for the goals of its questions as a student would ask."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def base(self, task: PolicyTask, edited: Iterable[Fact] = ()) -> BaseRules:
        """The facts of the policy with these in place of their originals, and the rules of all questions."""
        examples = [example for split in task.splits() for example in task.load(split)]
        rules = dict.fromkeys(rule for example in examples if example.truth for rule in example.truth.rules)
        items: list[Item] = [*task.policy.with_facts(edited).facts, *rules]
        base = BaseRules([Entry(item=item, status=Status.APPROVED) for item in items], self.engine)
        assert base.premises.faults == {}
        return base

    def answer(self, base: BaseRules, example: Example, by: By = "sentences") -> str:
        """What follows for a question whose units are read as its derivation says, each alone."""
        assert example.truth is not None and example.truth.goal.endswith("| ?")
        read = [text for part in by_unit(example.truth.stated, units(question_of(example), by)) for text in part]
        assert read == [one.text for one in example.truth.stated], example.question
        return base.derive(example.truth.goal, read, task=example.task).found

    def misses(self, task: PolicyTask, examples: Iterable[Example], by: By = "sentences") -> list[tuple[str, str, str]]:
        """The questions from which the published answer does not follow: uid, what follows, the answer."""
        base = self.base(task)
        made = ((one, self.answer(base, one, by)) for one in examples)
        return [(one.uid, found, one.answer) for one, found in made if not said(one, found, one.answer)]

    def misses_after_edits(
        self, task: PolicyTask, facts: Iterable[Fact], per_edit: int | None = None, by: By = "sentences"
    ) -> tuple[int, list[tuple[str, str, str, str]]]:
        """Each fact changed alone: how many answers of test questions it affects, and those from which another one follows.

        `per_edit`: at most so many of the affected questions, and as many of the others; not given: all affected ones, and
        a tenth of the others.
        """
        affected, wrong = 0, []
        for fact in facts:
            false = task.counterfactual(fact)
            base = self.base(task, [false])
            followed: list[tuple[Example, str]] = []
            stayed: list[tuple[Example, str]] = []
            for one in task.load("test"):
                try:
                    answer = task.derive(one, [false]).answer
                except DataError:
                    continue  # without an answer under this edit
                (stayed if answer == one.answer else followed).append((one, answer))
            affected += len(followed)
            random.Random(fact.id).shuffle(stayed)
            others = islice(stayed, len(stayed) // 10 if per_edit is None else per_edit)
            for one, answer in (*followed[:per_edit], *others):
                found = self.answer(base, one, by)
                if not said(one, found, answer):
                    wrong.append((false.text, one.uid, found, answer))
        return affected, wrong


def said(example: Example, found: str, answer: str) -> bool:
    """Whether what follows is an answer; of a choice the text of its option."""
    return found == (example.options["ABCD".index(answer[1])] if example.options else answer)


@pytest.fixture(scope="module")
def deriving() -> Iterator[Deriving]:
    with Engine() as engine:
        yield Deriving(engine)
