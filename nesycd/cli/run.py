"""`nesycd run`: a whole recipe, from questions to the report."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nesycd.cli.main import STEPS
from nesycd.core.config import Recipe, load_recipe
from nesycd.core.errors import ConfigError

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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what the teacher would be asked, and what it would cost.")
    ] = False,
) -> None:
    """Run a recipe, or resume its run.

    Finished stages are never repeated: after a change of a setting only what depends on it is redone; after an interruption
    (Ctrl-C) the same command resumes. Each step is also a command of its own, explained by its
    help: nesycd rationalise, distil, collect, diagnose, augment, evaluate.

    Examples:

        nesycd run recipes/quickstart.toml

        nesycd run recipes/quickstart.toml --limit 20 --name smoke

        nesycd run recipes/quickstart.toml --set seed=1 --name seed-1

        nesycd run my-recipe.toml --dry-run
    """
    if until and until not in STEPS:
        raise ConfigError(f"--until {until}: not a step; use one of {', '.join(STEPS)}")
    if dry_run:
        from nesycd.cli.dry_run import print_plan

        print_plan(load_recipe(recipe, overrides or [], limit), Console())
        return
    begin(recipe, overrides, limit, name, root, until, retry_failed)


def begin(
    recipe: Path,
    overrides: list[str] | None,
    limit: int | None,
    name: str,
    root: Path,
    until: str = "",
    retry_failed: bool = False,
) -> None:
    """What `nesycd run` and the commands of the single steps do with their options: run, then say what comes next."""
    settings = load_recipe(recipe, overrides or [], limit)
    folder = root / (name or settings.name)
    execute(settings, folder, Console(), until, retry_failed)
    if not until:
        return
    if until == [*STEPS][-1]:
        following = ["nesycd", "ask", "QUESTION", "--run", str(folder)]
    else:
        following = ["nesycd", [*STEPS][[*STEPS].index(until) + 1], str(recipe)]
        following += [word for override in overrides or [] for word in ("--set", override)]
        given = {"--limit": limit, "--name": name, "--root": root if root != Path("runs") else None}
        following += [str(word) for option, value in given.items() if value for word in (option, value)]
    typer.echo(f"Next: {shlex.join(following)}")


def execute(settings: Recipe, folder: Path, console: Console, until: str = "", retry_failed: bool = False) -> None:
    """Run a recipe in a folder and print its results, or what its last step made if it is to stop after one."""
    from nesycd.api.running import complete, drop_failed, opened
    from nesycd.cli.made import print_made
    from nesycd.methods.distil import distil
    from nesycd.reports import load_results, print_results

    with opened(settings, folder, console) as context:
        if retry_failed:
            drop_failed(context)
        if until and distil(context, until=until) is None:
            print_made(until, context.run, console)
            return
        complete(context)
    print_results(load_results(folder / "results.json"), console)
    console.print(f"Report: {folder / 'report.html'}   knowledge: nesycd kb list --kb {folder / 'kb.sqlite'}")
