"""Estimates the calls, tokens, cost and time of a recipe's teacher; nothing is sent or written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from nesycd.api.build import asks_api, chat_of
from nesycd.core.answers import Attempt
from nesycd.core.config import Recipe
from nesycd.core.protocols import ErrorCase, ErrorCluster, Task, Teacher
from nesycd.core.records import Example
from nesycd.llm.batch_chat import BatchChat
from nesycd.llm.chat import Request
from nesycd.llm.ledger import PICO, Ledger
from nesycd.llm.paid_chat import Estimate, PaidChat
from nesycd.stages import induce

WRONG = 0.5
"""Share of the training questions that the likely figures take to be diagnosed, where not all are."""
ANSWER_TOKENS = 300
"""Length of an answer of a model that the ledger has no answer of."""


@runtime_checkable
class Planner(Protocol):
    """A teacher that can list its requests in advance."""

    def plan_rationales(self, examples: Sequence[Example]) -> list[Request]:
        """The requests for rationales, an upper bound."""
        ...

    def plan_diagnoses(self, cases: Sequence[ErrorCase]) -> list[Request]:
        """The requests for diagnoses."""
        ...

    def plan_inductions(self, clusters: Sequence[ErrorCluster]) -> list[Request]:
        """The requests about clusters of errors."""
        ...


@dataclass(frozen=True)
class Likely:
    """What calls will probably come to, in one stage; those in the ledger left aside."""

    calls: int
    usd: float | None
    """None where the price is unknown."""
    seconds: float | None
    """None where the ledger has no answer of this model to go by, or answers come in batches."""


@dataclass(frozen=True)
class Estimated:
    """The teacher's calls, at most and probably.

    Attributes:
        teacher: its name.
        questions: how many training questions there are.
        chat: the model that would be called; None: the teacher makes no calls.
        asked: `rationales`, `diagnoses` and, where clusters of errors are asked about, `inductions`, each with its greatest
            calls, tokens and cost.
        likely: the same stages; for the assumptions see `WRONG` and `ANSWER_TOKENS`.
    """

    teacher: str
    questions: int
    chat: PaidChat | None
    asked: dict[str, Estimate]
    likely: dict[str, Likely]

    @property
    def paid(self) -> bool:
        """Whether any call would be sent."""
        return any(one.requests > one.cached for one in self.asked.values())


def estimate(recipe: Recipe, task: Task, teacher: Teacher) -> Estimated:
    """Estimate the calls of a recipe's teacher.

    Raises:
        NesycdError: the recipe's model or its price table cannot be used.
    """
    train = task.load("train")
    if not asks_api(recipe) or not isinstance(teacher, Planner):
        return Estimated(teacher.name, len(train), None, {}, {})
    chat = chat_of(recipe)
    # Which answers will be wrong is not known yet; the upper bound is all.
    diagnosed = train if recipe.knowledge.base is None else []
    cases = [_wrong(example, recipe.student.max_new_tokens) for example in diagnosed]
    planned = {"rationales": teacher.plan_rationales(train), "diagnoses": teacher.plan_diagnoses(cases)}
    if recipe.knowledge.induction:
        # The smallest clusters need the most calls; each error is shown in one of them.
        starts = range(0, len(cases), induce.LEAST)
        clusters = [ErrorCluster(tuple(cases[start : start + induce.LEAST])) for start in starts]
        planned["inductions"] = teacher.plan_inductions(clusters)
    asked = {name: chat.estimate(requests) for name, requests in planned.items()}
    ask = recipe.teacher.ask
    rounds = ask.samples if ask.all_samples else 1
    share = {
        "rationales": rounds * len(train) / max(1, len(planned["rationales"])),
        "diagnoses": 1.0 if recipe.knowledge.source == "all" else WRONG,
        "inductions": WRONG,
    }
    each = None if isinstance(chat, BatchChat) else _seconds_each(chat)
    likely = {name: _likely(chat, one, min(1.0, share[name]), each) for name, one in asked.items()}
    return Estimated(teacher.name, len(train), chat, asked, likely)


def _wrong(example: Example, tokens: int) -> ErrorCase:
    """A wrong answer of the greatest length that the student may write."""
    attempt = Attempt(example=example.uid, solver="estimate", response="word " * tokens)
    return ErrorCase(example, example.rationale or None, attempt)


def _likely(chat: PaidChat, most: Estimate, share: float, each: float | None) -> Likely:
    """Figures for a share of the requests that would be sent."""
    sent = most.requests - most.cached
    calls = round(sent * share)
    if most.completion_tokens is not None:
        written = most.completion_tokens * share
    else:
        written = min(most.max_completion_tokens, ANSWER_TOKENS * sent) * share
    usd = None
    if chat.price is not None:
        usd = chat.price.cost(round(most.prompt_tokens * share), round(written)) / PICO
    return Likely(calls, usd, None if each is None else calls * each / chat.limits.concurrency)


def _seconds_each(chat: PaidChat) -> float | None:
    """How long this model took for an answer so far, on average; None where the ledger has none."""
    if not chat.ledger.exists():
        return None
    with Ledger.open(chat.ledger, create=False) as ledger:
        found = [row for row in ledger.totals("model") if row["model"] == chat.name and row["timed"]]
    return found[0]["seconds"] / found[0]["timed"] if found else None
