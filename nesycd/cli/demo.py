"""`nesycd demo`: a trained student and its base, which come with the package: ask, edit, ask again."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nesycd.cli.ask import print_reply
from nesycd.cli.kb_common import By, user
from nesycd.cli.runs import Root
from nesycd.core.errors import NesycdError, RunError

app = typer.Typer()


@app.command()
def demo(
    root: Root = Path("runs"),
    ask: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Ask for questions of your own afterwards (on a terminal only).")
    ] = True,
    by: By = "",
) -> None:
    """Show in less than a minute what a base does; nothing is trained.

    A small run (an adapter of the embedded student, trained by recipes/demo.toml, and the knowledge base of that run) comes with
    the package and is unpacked into runs/demo, where all other commands work on it too. The student answers a question with
    its base and without it; then a fact is edited, the question asked again, and the fact put back.

    Example:

        nesycd demo
    """
    from nesycd.api.demo import demo_folder, other_questions
    from nesycd.api.finished import open_run
    from nesycd.methods.table import MAIN, UNPLUGGED
    from nesycd.reports.folder import read_run
    from nesycd.reports.trial import trial_of

    console = Console()

    def step(title: str, command: str) -> None:
        console.print(f"\n[bold]{title}[/bold]")
        console.print(f"  {command}", markup=False, highlight=False, soft_wrap=True, style="dim")

    who = user(by)
    folder = demo_folder(root)
    run = read_run(folder)
    if (trial := trial_of(run)) is None:
        raise RunError(f"{folder}: no fact of its base is left to show an edit of; begin anew: nesycd clean demo")
    ask_it, edit_it, *_ = trial.commands(run)
    without = shlex.join(["nesycd", "ask", trial.question, "--method", UNPLUGGED, "--run", run.called])
    with open_run(str(folder)) as opened:
        model, size = opened.recipe.student.model, len(run.entries)
        told = f"{folder}: the student {model} as recipes/demo.toml trains it, and its base of {size} items"
        console.print(told, markup=False, highlight=False)
        step("1. A question, answered with the base", ask_it)
        print_reply(opened.ask(trial.question, method=MAIN), console)
        step("2. The same student without the base", without)
        print_reply(opened.ask(trial.question, method=UNPLUGGED), console)
        step("3. The fact that was looked up is edited", edit_it)
        console.print(f"{trial.fact.text} -> {trial.text}", markup=False, highlight=False)
        edited = opened.kb.edit(trial.fact.id, {"object": trial.object, "text": trial.text}, who, "nesycd demo")
        try:
            step("4. The question again: the answer follows, nothing was trained", ask_it)
            print_reply(opened.ask(trial.question, method=MAIN), console)
        finally:
            old = {"object": trial.fact.object, "text": trial.fact.text}
            opened.kb.edit(edited.item_id, old, who, "nesycd demo: put back")
        console.print("\nThe fact is as it was again; both edits are in the base's history.")
        base = str(folder / "kb.sqlite")
        step("Look at it, and change it yourself", shlex.join(["nesycd", "kb", "list", "--kb", base]))
        for other in other_questions(run, trial.question):
            words = ["nesycd", "ask", other, "--method", MAIN, "--run", run.called]
            console.print(f"  {shlex.join(words)}", markup=False, highlight=False, soft_wrap=True, style="dim")
        step("Review its items in the browser, and read its report", shlex.join(["nesycd", "review", run.called]))
        console.print(f"  {folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True, style="dim")
        if ask and sys.stdin.isatty():
            while question := typer.prompt("\nYour question (Enter ends)", default="", show_default=False).strip():
                try:
                    print_reply(opened.ask(question, method=MAIN), console)
                except NesycdError as error:
                    typer.echo(f"error: {error}", err=True)
