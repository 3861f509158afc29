"""`nesycd tasks`: lists the benchmarks and shows their questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from nesycd.api.build import data_root
from nesycd.cli.tables import Column, print_table
from nesycd.core.config import load_recipe
from nesycd.core.errors import DataError
from nesycd.core.overrides import apply_override
from nesycd.core.paths import locate_settings
from nesycd.core.protocols import Task
from nesycd.core.records import Example, Fact, Rule
from nesycd.prompts import Prompts
from nesycd.tasks.registry import build_task, card, summary, task_names

app = typer.Typer(invoke_without_command=True)


@app.callback()
def tasks(context: typer.Context) -> None:
    """List the benchmarks, and show their questions."""
    if context.invoked_subcommand is not None:
        return
    rows = [(Text(name, style="bold"), summary(name)) for name in task_names()]
    print_table(Console(), [Column(""), Column("", wraps=True)], rows)
    typer.echo(
        "\nSee questions: nesycd tasks show NAME --set path=FOLDER, or --set hub=OWNER/DATASET (no --set for longtail)"
    )


Style = Literal["closed_book", "zero_shot", "few_shot"]


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A benchmark, or a recipe's TOML file.")],
    split: Annotated[str, typer.Option("--split", help="Which split.")] = "test",
    count: Annotated[int, typer.Option("-n", min=1, help="How many questions.")] = 3,
    only: Annotated[str, typer.Option("--task", help="Only questions of this task.")] = "",
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting of the benchmark, KEY=VALUE.")] = None,
    style: Annotated[Style, typer.Option("--as", help="The prompt to show.")] = "closed_book",
) -> None:
    """Show questions of a benchmark as the student reads them, with their answers and rationales.

    Examples:

        nesycd tasks show longtail -n 2

        nesycd tasks show bbh --set path=BIG-Bench-Hard/bbh --task bbh/navigate --as few_shot

        nesycd tasks show gsm8k --set hub=openai/gsm8k --split train
    """
    task, prompts = _build(name, settings or [])
    examples = [example for example in task.load(split) if not only or example.task == only]
    console = Console()
    if not examples:
        named = ", ".join(sorted({example.task for example in task.load(split)}))
        raise typer.BadParameter(f"split {split} has no task {only!r} (it has: {named})")
    _print_card(console, task)
    for example in examples[:count]:
        _print(console, task, example, _prompt(prompts, task, example, style))
    console.print(f"[dim]{min(count, len(examples))} of {len(examples)} in split {split}[/dim]")


def _build(name: str, settings: list[str]) -> tuple[Task, Prompts]:
    root = data_root()
    if name.endswith(".toml"):
        recipe = load_recipe(Path(name), [f"task.settings.{setting}" for setting in settings])
        return build_task(recipe.task.name, locate_settings(recipe.task.settings, root)), Prompts.load(recipe.prompts)
    given: dict[str, Any] = {}
    for setting in settings:
        apply_override(given, setting)
    return build_task(name, locate_settings(given, root)), Prompts.load()


def _prompt(prompts: Prompts, task: Task, example: Example, style: Style) -> str:
    if style == "few_shot":
        make = getattr(task, "few_shot", None)
        if make is None:
            raise DataError(f"{task.name}: this benchmark has no few-shot prompts")
        return str(make(example))
    return prompts.zero_shot(example) if style == "zero_shot" else prompts.closed_book(example)


def _print_card(console: Console, task: Task) -> None:
    """The benchmark's source, sizes and cautions."""
    said = card(task.name) if task.name in task_names() else None
    if said is not None:
        sizes = ", ".join(f"{part} {count:,}" for part, count in said.sizes.items())
        lines = [("source", said.source), ("licence", said.licence), ("published sizes", sizes or "by task")]
        lines += [("splits", said.splits), ("graded", said.grading)]
        for label, text in lines:
            console.print(f"[dim]{label}:[/dim] {escape(text)}", highlight=False)
    sizes = ", ".join(f"{split} {len(task.load(split)):,}" for split in task.splits())
    for read in getattr(task, "understood", ()):
        console.print(f"[dim]read:[/dim] {escape(read)}", highlight=False)
    console.print(f"[dim]here:[/dim] {escape(sizes)}", highlight=False)
    for warning in getattr(task, "warnings", list)():
        console.print(f"note: {warning}", markup=False, highlight=False)
    console.print()


def _print(console: Console, task: Task, example: Example, prompt: str) -> None:
    kind = task.kind(example.task)
    title = f"{example.task} ({kind})" if kind else example.task
    console.rule(f"[bold]{escape(example.uid)}[/bold]  {escape(title)}", align="left")
    console.print(escape(prompt), highlight=False)
    truth = example.truth
    rationale = example.rationale or (" ".join(truth.steps) if truth else "")
    if rationale:
        console.print(f"[dim]rationale:[/dim] {escape(rationale)}")
    items: list[Fact | Rule] = [*truth.facts, *truth.rules] if truth else []
    for item in items:
        console.print(f"[dim]{item.kind}:[/dim] {escape(item.text)}")
    if example.metadata:
        console.print(
            f"[dim]metadata:[/dim] {escape(json.dumps(example.metadata, ensure_ascii=False))}", highlight=False
        )
    others = f" [dim]or[/dim] {escape(', '.join(example.accepted))}" if example.accepted else ""
    console.print(f"[dim]answer:[/dim] [bold]{escape(example.answer)}[/bold]{others}\n")
