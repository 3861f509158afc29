"""Estimates the calls, tokens and cost of a recipe's teacher; nothing is sent or written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from nesycd.api.build import asks_api, build_parts, chat_of
from nesycd.core.answers import Attempt
from nesycd.core.config import Recipe
from nesycd.core.protocols import ErrorCase
from nesycd.core.records import Example
from nesycd.llm.chat import Request
from nesycd.llm.paid_chat import Estimate, PaidChat


@runtime_checkable
class Planner(Protocol):
    """A teacher that can list its requests in advance."""

    def plan_rationales(self, examples: Sequence[Example]) -> list[Request]:
        """The requests for rationales, an upper bound."""
        ...

    def plan_diagnoses(self, cases: Sequence[ErrorCase]) -> list[Request]:
        """The requests for diagnoses."""
        ...


@dataclass(frozen=True)
class Estimated:
    """Upper bound of the teacher's calls.

    Attributes:
        teacher: its name.
        questions: how many training questions there are.
        chat: the model that would be called; None: the teacher makes no calls.
        asked: `rationales` and `diagnoses`, each with its calls, tokens and cost.
    """

    teacher: str
    questions: int
    chat: PaidChat | None
    asked: dict[str, Estimate]


def estimate(recipe: Recipe) -> Estimated:
    """Estimate the calls of a recipe's teacher.

    Raises:
        NesycdError: a part of the recipe that cannot be built.
    """
    parts = build_parts(recipe)
    train, teacher = parts.task.load("train"), parts.teacher
    if not asks_api(parts.recipe) or not isinstance(teacher, Planner):
        return Estimated(teacher.name, len(train), None, {})
    chat = chat_of(parts.recipe)
    # Which answers will be wrong is not known yet; the upper bound is all.
    cases = [_wrong(example, parts.recipe.student.max_new_tokens) for example in train]
    planned = {"rationales": teacher.plan_rationales(train), "diagnoses": teacher.plan_diagnoses(cases)}
    return Estimated(
        teacher.name, len(train), chat, {name: chat.estimate(requests) for name, requests in planned.items()}
    )


def _wrong(example: Example, tokens: int) -> ErrorCase:
    """A wrong answer of the greatest length that the student may write."""
    attempt = Attempt(example=example.uid, solver="dry-run", response="word " * tokens)
    return ErrorCase(example, example.rationale or None, attempt)
