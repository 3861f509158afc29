"""`nesycd run --dry-run`: what a recipe's teacher would be asked, and what that would cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.table import Table

from nesycd.core.config import Recipe
from nesycd.core.protocols import ErrorCase, Task, Teacher
from nesycd.core.records import Attempt, Example
from nesycd.llm.batch_chat import BatchChat
from nesycd.llm.chat import Request
from nesycd.llm.paid_chat import Estimate, PaidChat


@runtime_checkable
class Planner(Protocol):
    """A teacher that can say beforehand what it would ask."""

    def plan_rationales(self, examples: Sequence[Example]) -> list[Request]:
        """All requests for rationales, at most."""
        ...

    def plan_diagnoses(self, cases: Sequence[ErrorCase]) -> list[Request]:
        """The requests for diagnoses."""
        ...


def print_plan(recipe: Recipe, task: Task, teacher: Teacher, chat: PaidChat | None, console: Console) -> None:
    """Print calls, tokens and USD; nothing is sent."""
    if chat is None or not isinstance(teacher, Planner):
        console.print(f"The teacher {teacher.name!r} sends no calls: nothing to pay for.", markup=False)
        return
    train = task.load("train")
    # Which answers will be wrong is not known yet: at most all.
    cases = [_wrong(example, recipe.student.max_new_tokens) for example in train]
    planned = {"rationales": teacher.plan_rationales(train), "diagnoses": teacher.plan_diagnoses(cases)}
    table = Table(box=None, pad_edge=False)
    for heading in ("at most", "calls", "in the ledger", "prompt tokens", "answer tokens", "USD"):
        table.add_column(heading, justify="left" if heading == "at most" else "right")
    for name, requests in planned.items():
        found = chat.estimate(requests)
        table.add_row(
            name, str(found.requests), str(found.cached), f"~{found.prompt_tokens}", _tokens(found), _usd(found)
        )
    console.print(f"{chat.name}: {len(train)} training questions; no call was sent", markup=False, highlight=False)
    console.print(table)
    for line in _notes(chat):
        console.print(line, markup=False, highlight=False)


def _wrong(example: Example, tokens: int) -> ErrorCase:
    """An error as long as the student's answers may be."""
    attempt = Attempt(example=example.uid, solver="dry-run", response="word " * tokens)
    return ErrorCase(example, example.rationale or None, attempt)


def _tokens(found: Estimate) -> str:
    about = "" if found.completion_tokens is None else f"~{found.completion_tokens}, "
    return f"{about}<= {found.max_completion_tokens}"


def _usd(found: Estimate) -> str:
    if found.max_usd is None:
        return "price unknown"
    about = "" if found.usd is None else f"~{found.usd:.4f}, "
    return f"{about}<= {found.max_usd:.4f}"


def _notes(chat: PaidChat) -> list[str]:
    budget = chat.limits.budget
    caps = [] if budget.max_usd is None else [f"max_usd {budget.max_usd / 10**12:g}"]
    caps += [] if budget.max_calls is None else [f"max_calls {budget.max_calls}"]
    batches = ["In batches (teacher.api.batch), at the price of these."] if isinstance(chat, BatchChat) else []
    return [
        *batches,
        "~ is an estimate (prompts: four bytes a token; answers: as long as this model's were so far); <= holds for sure,",
        "retries of calls that may have been served left aside. Diagnoses are counted as if every answer were wrong, "
        "without second tries for replies that cannot be read.",
        f"Caps on budget {budget.name!r}: {', '.join(caps) or 'none (teacher.api.max_usd, max_calls)'}",
    ]
