"""`nesycd edits`: how well a run's student follows edits of its knowledge base."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from nesycd.cli.run import Limit, Name, Overrides, RecipeFile, Root, Yes, consent
from nesycd.cli.tables import Column, print_table
from nesycd.core.config import load_recipe
from nesycd.runs.folders import named_folder

if TYPE_CHECKING:
    from nesycd.measure.edits import Outcome

app = typer.Typer()

SAMPLES = 3
"""Answers shown of each kind."""


@app.command()
def edits(
    recipe: RecipeFile,
    count: Annotated[int, typer.Option("--count", min=1, help="How many facts to edit, one at a time.")] = 50,
    overrides: Overrides = None,
    limit: Limit = None,
    name: Name = "",
    root: Root = Path("runs"),
    yes: Yes = False,
) -> None:
    """Measure how well answers follow edits of the knowledge base.

    Replaces facts by false ones in a copy of the run's knowledge base, one at a time, asks the test questions again and
    compares with the answers that follow from the edited facts. A run that is not finished is completed first. Give
    --set, --limit and --name as for the run. The results are written into the run's folder, as edits.json.

    Example:

        nesycd edits recipes/quickstart.toml --count 50
    """
    from nesycd.api.measuring import EDITS_FILE, measure_edits

    settings, console = load_recipe(recipe, overrides or [], limit), Console()
    folder = named_folder(root, name or settings.name)
    content, measured = measure_edits(settings, folder, console, count, consent(yes))
    print_rates(content, console)
    print_samples(measured.outcomes, console)
    console.print(f"All answers: {folder / EDITS_FILE}", markup=False, highlight=False)


def print_rates(content: dict[str, Any], console: Console) -> None:
    """Print the shares with their intervals, in percent."""
    title = f"{content['edits']} edits, {content['questions']} {content['split']} questions each; % (95 % interval)"
    columns = [Column("answers", wraps=True), Column("do", right=True), Column("of", right=True)]
    columns += [Column("%", right=True), Column("interval", right=True, rank=1)]
    rows: list[list[str | Text]] = []
    affected, others = content["affected"], content["others"]
    for label, rate in (
        ("affected, right before the edit: follow it", affected["right_before"]),
        ("  of these with all facts in the prompt", affected["right_before_delivered"]),
        ("affected, all: follow it", affected["all"]),
        ("others, touched: stay", others["touched"]),
        ("others, all: stay", others["all"]),
    ):
        if rate["share"] is None:
            rows.append([label, "0", "0", "–", ""])
            continue
        interval = f"({100 * rate['low']:.1f}–{100 * rate['high']:.1f})"
        share = f"{100 * rate['share']:.1f}"
        rows.append([label, f"{rate['count']:,}", f"{rate['n']:,}", share, Text(interval, style="dim")])
    print_table(console, columns, rows, title=title, rules=True)


def print_samples(outcomes: Iterable[Outcome], console: Console) -> None:
    """Print a few answers of each kind, of different tasks: that follow, that do not, and others that did not stay."""
    told = list(outcomes)
    columns = [Column(""), Column("question", wraps=True), Column("edit", wraps=True, rank=2)]
    columns += [Column("before", wraps=True, rank=1), Column("after", wraps=True), Column("expected", wraps=True)]
    rows: list[list[str | Text]] = []
    for label, style, sort in (
        ("follows", "green", [o for o in told if o.case.affected and o.before.correct and o.as_wanted]),
        ("fails", "red", [o for o in told if o.case.affected and o.before.correct and not o.as_wanted]),
        ("moves", "red", [o for o in told if not o.case.affected and not o.as_wanted]),
    ):
        by_task = {outcome.case.example.task: outcome for outcome in sort}
        for outcome in list(by_task.values())[:SAMPLES]:
            case = outcome.case
            cells = [case.example.question, f"{case.edit.fact.object} → {case.edit.changed.text}"]
            expected = case.expected if case.affected else outcome.before.answer
            cells += [outcome.before.answer or "none", outcome.after.answer or "none", expected or "none"]
            rows.append([Text(label, style=style), *cells])
    print_table(console, columns, rows, title="Samples", rules=True)
