"""`nesycd tasks`: which benchmarks there are, and what their questions look like."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nesycd.cli.build import data_root
from nesycd.config import apply_override, load_recipe, locate_settings
from nesycd.protocols import Task
from nesycd.records import Example, Fact, Rule
from nesycd.tasks.registry import build_task, task_names

app = typer.Typer(invoke_without_command=True)


@app.callback()
def tasks(context: typer.Context) -> None:
    """List the benchmarks, and show their questions."""
    if context.invoked_subcommand is not None:
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for name in task_names():
        table.add_row(f"[bold]{name}[/bold]", escape(_summary(name)))
    Console().print(table)
    typer.echo("\nSee questions: nesycd tasks show NAME --set path=FOLDER (no --set for longtail)")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A benchmark, or a recipe's TOML file.")],
    split: Annotated[str, typer.Option("--split", help="Which split.")] = "test",
    count: Annotated[int, typer.Option("-n", min=1, help="How many questions.")] = 3,
    only: Annotated[str, typer.Option("--task", help="Only questions of this task.")] = "",
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting of the benchmark, KEY=VALUE.")] = None,
) -> None:
    """Show questions of a benchmark with their answers and workings."""
    task = _build(name, settings or [])
    examples = [example for example in task.load(split) if not only or example.task == only]
    console = Console()
    if not examples:
        named = ", ".join(sorted({example.task for example in task.load(split)}))
        raise typer.BadParameter(f"split {split} has no task {only!r} (it has: {named})")
    for example in examples[:count]:
        _print(console, task, example)
    console.print(f"[dim]{min(count, len(examples))} of {len(examples)} in split {split}[/dim]")


def _summary(name: str) -> str:
    # Each benchmark has a module of its name, whose first line says what it is.
    return (import_module(f"nesycd.tasks.{name}").__doc__ or "").strip().partition("\n")[0]


def _build(name: str, settings: list[str]) -> Task:
    root = data_root()
    if name.endswith(".toml"):
        section = load_recipe(Path(name), [f"task.settings.{setting}" for setting in settings]).task
        return build_task(section.name, locate_settings(section.settings, root))
    given: dict[str, Any] = {}
    for setting in settings:
        apply_override(given, setting)
    return build_task(name, locate_settings(given, root))


def _print(console: Console, task: Task, example: Example) -> None:
    kind = task.kind(example.task)
    title = f"{example.task} ({kind})" if kind else example.task
    console.rule(f"[bold]{escape(example.uid)}[/bold]  {escape(title)}", align="left")
    console.print(escape(example.question))
    for letter, option in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", example.options, strict=False):
        console.print(escape(f"({letter}) {option}"))
    truth = example.truth
    working = example.rationale or (" ".join(truth.steps) if truth else "")
    if working:
        console.print(f"[dim]working:[/dim] {escape(working)}")
    items: list[Fact | Rule] = [*truth.facts, *truth.rules] if truth else []
    for item in items:
        console.print(f"[dim]{item.kind}:[/dim] {escape(item.text)}")
    console.print(f"[dim]answer:[/dim] [bold]{escape(example.answer)}[/bold]\n")
