"""`nesycd check`: all that a recipe needs, what it would ask and cost, and how long it would take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nesycd.api.estimate import ANSWER_TOKENS, WRONG, Estimated
from nesycd.api.preflight import Report, preflight
from nesycd.api.question_counts import QuestionCounts
from nesycd.cli.doctor import as_table
from nesycd.cli.run import Limit, Overrides, RecipeFile, Root
from nesycd.cli.tables import Column, print_table
from nesycd.core.config import load_recipe
from nesycd.llm.batch_chat import BatchChat
from nesycd.llm.paid_chat import Estimate, PaidChat

MOST = 12
"""Tasks, and notes of a kind, that are shown."""

app = typer.Typer()


@app.command()
def check(
    recipe: RecipeFile,
    overrides: Overrides = None,
    limit: Limit = None,
    root: Root = Path("runs"),
    load: Annotated[bool, typer.Option("--load", help="Also load the student's weights, which takes torch.")] = False,
) -> None:
    """Look at all that a recipe needs, before anything is computed or paid.

    Reads the questions, recordings, prompts and knowledge files, looks for the student, and asks the teacher's server for its
    models, which costs nothing. Says what is missing, what the teacher would be asked and cost at most, and how long an earlier
    run lets expect. Ends with 1 where something must be put right first.

    Examples:

        nesycd check my-recipe.toml

        nesycd check recipes/own-server.toml --set teacher.api.model=qwen2.5-7b-instruct
    """
    report = preflight(load_recipe(recipe, overrides or [], limit), root, load)
    print_report(report, Console())
    if report.problems:
        raise typer.Exit(1)


def print_report(report: Report, console: Console) -> None:
    """Print what was found, and last what must be put right."""
    console.print(as_table(report.findings))
    if report.counts is not None:
        _print_counts(report.counts, console)
    if report.cost is not None:
        _print_cost(report.cost, console)
    _say(console, _time(report))
    for note in report.notes[:MOST]:
        _say(console, f"note: {note}")
    if len(report.notes) > MOST:
        _say(console, f"note: and {len(report.notes) - MOST} more")
    problems = report.problems
    console.print("\n[bold]To be put right first[/bold]" if problems else "\n[bold]Ready[/bold]: nothing is missing")
    for problem in problems:
        _say(console, f"  {problem}")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _print_counts(counts: QuestionCounts, console: Console) -> None:
    columns = [Column("task", wraps=True), Column("answers", wraps=True)]
    columns += [Column(split, right=True, rank=1 if split in ("train", "test") else 2) for split in counts.sizes]
    rows = [
        [task, form, *(str(found.get(split, 0)) for split in counts.sizes)]
        for (task, form), found in [*counts.by_task.items()][:MOST]
    ]
    console.print()
    print_table(console, columns, rows)
    if (more := len(counts.by_task) - MOST) > 0:
        _say(console, f"and {more} more")
    _say(
        console,
        f"{counts.repeated} repeated, {len(counts.contradicting)} contradicting; {counts.rationales} of train have a rationale "
        "of their own",
    )
    console.print()


def _print_cost(found: Estimated, console: Console) -> None:
    """Print calls, tokens and USD."""
    if found.chat is None:
        _say(console, f"The teacher {found.teacher!r} sends no calls: nothing to pay for.")
        return
    ranks = {"calls": 0, "in the ledger": 4, "prompt tokens": 3, "answer tokens": 2, "USD": 0, "likely": 1}
    columns = [Column("at most"), *(Column(heading, right=True, rank=rank) for heading, rank in ranks.items())]
    rows = []
    for name, one in found.asked.items():
        likely = f"~{found.likely[name].calls}"
        row = [
            str(one.requests),
            str(one.cached),
            f"~{one.prompt_tokens}",
            _tokens(one),
            _usd(one.max_usd, "<= "),
            likely,
        ]
        rows.append([name, *row])
    _say(console, f"{found.chat.name}: {found.questions} training questions; no call was sent")
    print_table(console, columns, rows)
    likely_usd = _sum([one.usd for one in found.likely.values()])
    most_usd = _sum([one.max_usd for one in found.asked.values()])
    _say(console, f"Cost: likely {_usd(likely_usd, '~')}, at most {_usd(most_usd, '')} USD")
    for line in _notes(found.chat):
        _say(console, line)


def _tokens(found: Estimate) -> str:
    about = "" if found.completion_tokens is None else f"~{found.completion_tokens}, "
    return f"{about}<= {found.max_completion_tokens}"


def _sum(parts: list[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _usd(usd: float | None, sign: str) -> str:
    return "price unknown" if usd is None else f"{sign}{usd:.4f}"


def _notes(chat: PaidChat) -> list[str]:
    budget = chat.limits.budget
    caps = [] if budget.max_usd is None else [f"max_usd {budget.max_usd / 10**12:g}"]
    caps += [] if budget.max_calls is None else [f"max_calls {budget.max_calls}"]
    batches = ["In batches (teacher.api.batch), at the price of these."] if isinstance(chat, BatchChat) else []
    return [
        *batches,
        "~ is an estimate (prompts: four bytes a token; answers: as long as this model's were so far, else "
        f"{ANSWER_TOKENS} tokens); <= holds for sure, retries of calls that may have been served left aside. Likely is one "
        f"correct sample for each question, and a diagnosis of {WRONG:.0%} of them (all where knowledge.source is all); at most "
        "counts diagnoses as if every answer were wrong, without second tries for replies that cannot be read.",
        f"Caps on budget {budget.name!r}: {', '.join(caps) or 'none (teacher.api.max_usd, max_calls)'}",
    ]


def _time(report: Report) -> str:
    if report.time is None:
        told = "Time: unknown; it is scaled from a finished run of this student on this machine, such as one with --limit 20"
    else:
        told = f"Time: about {_duration(report.time.seconds)} for the student, by the run {report.time.by}"
    if report.cost is None or not report.cost.paid:
        return told
    teacher = _sum([one.seconds for one in report.cost.likely.values()])
    if isinstance(report.cost.chat, BatchChat):
        return f"{told}; the teacher's batches take up to a day each"
    return f"{told}; {'unknown' if teacher is None else f'about {_duration(teacher)}'} for the teacher"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
