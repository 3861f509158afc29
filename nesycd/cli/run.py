"""`nesycd run`: a whole recipe, from questions to the report."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nesycd.cli.main import STEPS
from nesycd.core.config import Recipe, load_recipe
from nesycd.core.errors import ConfigError, ReviewWaits, RunError
from nesycd.runs.consent import Consent
from nesycd.runs.folders import named_folder

app = typer.Typer()

RecipeFile = Annotated[Path, typer.Argument(help="A TOML file, such as recipes/quickstart.toml.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: --set training.epochs=2 (as often as needed).")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most N questions of each split: a smoke run.")]
Name = Annotated[str, typer.Option("--name", help="Name of the run's folder, if not the recipe's.")]
Root = Annotated[Path, typer.Option("--root", help="The folder with the runs.")]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Ask the teacher again, and pay again, where its answer was unusable (refused, cut off).",
    ),
]
Yes = Annotated[
    bool,
    typer.Option("--yes", "-y", help="Do not ask before finished work is redone or removed because settings changed."),
]
Until = Annotated[str, typer.Option("--until", help=f"Stop after a step: {', '.join(STEPS)}.")]


@app.command()
def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    limit: Limit = None,
    name: Name = "",
    root: Root = Path("runs"),
    until: Until = "",
    retry_failed: RetryFailed = False,
    yes: Yes = False,
) -> None:
    """Run a recipe, or resume its run.

    Finished stages are never repeated: after a change of a setting only what depends on it is redone, and you are asked first,
    since an option may have been forgotten (--yes answers); after an interruption (Ctrl-C) the same command resumes. With
    knowledge.review = "human" the run stops where its items wait for review (exit code 1), and says how to go on. Each step is
    also a command of its own, explained by its help: nesycd rationalise, distil, collect, diagnose, augment, evaluate.

    Examples:

        nesycd run recipes/quickstart.toml

        nesycd run recipes/quickstart.toml --limit 20 --name smoke

        nesycd run recipes/quickstart.toml --set seed=1 --name seed-1

    What a recipe needs, and what it would cost, is told beforehand by: nesycd check RECIPE
    """
    if until and until not in STEPS:
        raise ConfigError(f"--until {until}: not a step; use one of {', '.join(STEPS)}")
    begin(recipe, overrides, limit, name, root, Going(until, retry_failed, yes))


@dataclass(frozen=True)
class Going:
    """How a run is to go: the step to stop after, whether the teacher's failures are asked again, whether nothing is asked."""

    until: str = ""
    retry_failed: bool = False
    yes: bool = False


def begin(recipe: Path, overrides: list[str] | None, limit: int | None, name: str, root: Path, how: Going) -> None:
    """What `nesycd run` and the commands of the single steps do with their options: run, then say what comes next."""
    settings = load_recipe(recipe, overrides or [], limit)
    folder = named_folder(root, name or settings.name)

    def command(verb: str) -> str:
        words = ["nesycd", verb, str(recipe)]
        words += [word for override in overrides or [] for word in ("--set", override)]
        given = {"--limit": limit, "--name": name, "--root": root if root != Path("runs") else None}
        return shlex.join(
            [*words, *(str(word) for option, value in given.items() if value for word in (option, value))]
        )

    try:
        execute(settings, folder, Console(), how.until, how.retry_failed, consent(how.yes))
    except ReviewWaits as waits:
        typer.echo(f"{waits}\nThen: {command(how.until or 'run')}")
        raise typer.Exit(1) from None
    if how.until:
        steps = [*STEPS]
        last = how.until == steps[-1]
        asking = shlex.join(["nesycd", "ask", "QUESTION", "--run", str(folder)])
        typer.echo(f"Next: {asking if last else command(steps[steps.index(how.until) + 1])}")


def consent(yes: bool) -> Consent:
    """Asks on the terminal; without one only `--yes` agrees."""

    def ask(told: str) -> None:
        if yes:
            return
        if not sys.stdin.isatty():
            raise RunError(f"{told}; give --yes if that is wanted, or --name NAME for a run of its own")
        if not typer.confirm(f"{told}. Go on?"):
            raise RunError(f"{told}; nothing was done (--name NAME makes a run of its own)")

    return ask


def execute(
    settings: Recipe,
    folder: Path,
    console: Console,
    until: str = "",
    retry_failed: bool = False,
    consent: Consent | None = None,
) -> None:
    """Run a recipe in a folder and print its results, or what its last step made if it is to stop after one."""
    from nesycd.api.dealing import done_by
    from nesycd.api.running import complete, drop_failed, opened
    from nesycd.cli.made import print_made
    from nesycd.methods.distil import distil
    from nesycd.reports import load_results, print_advice, print_results

    fresh = [retry_failed]

    def work(shown: Console | None) -> bool:
        with opened(settings, folder, shown, consent) as context:
            if any(fresh):
                fresh.clear()  # once, also where the run is opened again and again
                drop_failed(context)
            if until and distil(context, until=until) is None:
                print_made(until, context.run, console)
                return False
            complete(context)
        return True

    if not done_by(settings.engine, console, work):
        return
    print_results(load_results(folder / "results.json"), console)
    console.print(f"Report: {folder / 'report.html'}   knowledge: nesycd kb list --kb {folder / 'kb.sqlite'}")
    print_advice(folder, console)
