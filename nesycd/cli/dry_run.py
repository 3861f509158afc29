"""`nesycd run --dry-run`: what a recipe's teacher would be asked, and what that would cost."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from nesycd.api.estimate import estimate
from nesycd.core.config import Recipe
from nesycd.llm.batch_chat import BatchChat
from nesycd.llm.paid_chat import Estimate, PaidChat


def print_plan(recipe: Recipe, console: Console) -> None:
    """Print calls, tokens and USD; nothing is sent."""
    found = estimate(recipe)
    if found.chat is None:
        console.print(f"The teacher {found.teacher!r} sends no calls: nothing to pay for.", markup=False)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("at most", "calls", "in the ledger", "prompt tokens", "answer tokens", "USD"):
        table.add_column(heading, justify="left" if heading == "at most" else "right")
    for name, one in found.asked.items():
        table.add_row(name, str(one.requests), str(one.cached), f"~{one.prompt_tokens}", _tokens(one), _usd(one))
    told = f"{found.chat.name}: {found.questions} training questions; no call was sent"
    console.print(told, markup=False, highlight=False)
    console.print(table)
    for line in _notes(found.chat):
        console.print(line, markup=False, highlight=False)


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
