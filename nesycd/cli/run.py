"""`nesycd run`: a whole recipe, from questions to the report."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from nesycd.cli.build import asks_api, chat_of, commit_of, parts_of
from nesycd.cli.main import STEPS
from nesycd.cli.progress import StageProgress
from nesycd.core.config import Recipe, load_recipe
from nesycd.core.errors import ConfigError, ModelError, RunError
from nesycd.students.hub import name_revision, resolve_commit

if TYPE_CHECKING:
    from nesycd.methods.context import Parts
    from nesycd.methods.evaluate import Scored
    from nesycd.methods.nesycd import Trained

app = typer.Typer()

RecipeFile = Annotated[Path, typer.Argument(help="A TOML file, such as recipes/quickstart.toml.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: --set training.epochs=2 (as often as needed).")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most N questions of each split: a smoke run.")]
Name = Annotated[str, typer.Option("--name", help="Name of the run's folder, if not the recipe's.")]
Root = Annotated[Path, typer.Option("--root", help="The folder with the runs.")]
Until = Annotated[str, typer.Option("--until", help=f"Stop after a step: {', '.join(STEPS)}.")]


@app.command()
def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    limit: Limit = None,
    name: Name = "",
    root: Root = Path("runs"),
    until: Until = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what the teacher would be asked, and what it would cost.")
    ] = False,
) -> None:
    """Run a recipe, or go on with its run.

    What is finished is never done again: change a setting and only what depends on it is redone; interrupt it
    (Ctrl-C) and the same command goes on where it was. Each step is a command of its own too, with a help that tells
    what it does: nesycd rationalise, distil, collect, diagnose, augment, evaluate.

    Examples:

        nesycd run recipes/quickstart.toml

        nesycd run recipes/quickstart.toml --limit 20 --name smoke

        nesycd run recipes/quickstart.toml --set seed=1 --name seed-1

        nesycd run my-recipe.toml --dry-run
    """
    if until and until not in STEPS:
        raise ConfigError(f"--until {until}: not a step; use one of {', '.join(STEPS)}")
    if dry_run:
        plan(load_recipe(recipe, overrides or [], limit), Console())
        return
    begin(recipe, overrides, limit, name, root, until)


def plan(settings: Recipe, console: Console) -> None:
    """Print what a recipe's teacher would be asked, and what that would cost; nothing is sent or written."""
    from nesycd.cli.dry_run import print_plan

    recipe, task, teacher, _, _ = parts_of(settings)
    print_plan(recipe, task, teacher, chat_of(recipe) if asks_api(recipe) else None, console)


def begin(recipe: Path, overrides: list[str] | None, limit: int | None, name: str, root: Path, until: str = "") -> None:
    """What `nesycd run` and the commands of the single steps do with their options: run, then say what comes next."""
    settings = load_recipe(recipe, overrides or [], limit)
    folder = root / (name or settings.name)
    execute(settings, folder, Console(), until)
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


def execute(settings: Recipe, folder: Path, console: Console, until: str = "") -> None:
    """Run a recipe in a folder and print its results, or what its last step made if it is to stop after one."""
    from nesycd.cli.made import print_made
    from nesycd.methods.nesycd import distil
    from nesycd.reports import load_results, print_results

    with opened(settings, folder, console) as parts:
        if until and distil(parts, until=until) is None:
            print_made(until, parts.run, console)
            return
        complete(parts)
    print_results(load_results(folder / "results.json"), console)
    console.print(f"Report: {folder / 'report.html'}   knowledge: nesycd kb list --kb {folder / 'kb.sqlite'}")


@contextmanager
def opened(settings: Recipe, folder: Path, console: Console) -> Iterator[Parts]:
    """A recipe's parts in its run folder, which is this process's for as long; progress is shown on the console."""
    from nesycd.methods.context import Parts
    from nesycd.rules import Engine
    from nesycd.runs.manifest import read_manifest
    from nesycd.runs.run import Run

    commit = commit_of(settings, read_manifest(folder))
    recipe, task, teacher, student, prompts = parts_of(settings, commit)
    for warning in getattr(task, "warnings", list)():
        console.print(f"note: {warning}", markup=False, highlight=False)
    progress = StageProgress(console)
    config = recipe.model_dump(mode="json")
    with (
        progress,
        Run.open(folder, config, seeds={"seed": recipe.seed}, notify=progress.notify, watch=progress.watch) as run,
        Engine() as engine,
    ):
        run.describe(student=student.fingerprint, teacher=teacher.fingerprint, prompts=prompts.fingerprint)
        if commit := str(getattr(student, "commit", "")):
            run.describe(**{name_revision(recipe.student.model, recipe.student.revision): commit})
            if moved := _moved_from(commit, recipe):
                progress.notify(moved)
        if data := str(getattr(task, "fingerprint", "")):
            run.describe(data=data)
        yield Parts(run, recipe, task, teacher, student, prompts, engine, progress.training)


def _moved_from(commit: str, recipe: Recipe) -> str:
    """A sentence where the student's revision stands for another commit by now than the run began with; "" where it does not."""
    model, revision = recipe.student.model, recipe.student.revision
    try:
        newest = resolve_commit(model, revision)
    except ModelError:
        return ""  # without a network nobody can tell
    if newest == commit:
        return ""
    return (
        f"student: {name_revision(model, revision)} is {newest[:12]} by now; this run goes on with {commit[:12]}, which it "
        "began with (for the newer one give another --name, or student.revision)"
    )


def finish(parts: Parts) -> None:
    """Mark the run as finished; what was measured beside it stays."""
    from nesycd.runs.stage import read_states

    parts.run.finish(keep=filter(is_beside, read_states(parts.run.folder)))


def is_beside(stage: str) -> bool:
    """Whether a stage is a measurement's beside the run, which the run alone neither makes nor removes."""
    from nesycd.measure import edits, effect
    from nesycd.methods import rivals

    return stage in edits.STAGES or stage.startswith(effect.PREFIX) or rivals.is_stage(stage)


def complete(parts: Parts) -> tuple[Trained, Scored]:
    """All steps of the method and the evaluation; finished ones are read back. Writes results and report."""
    from nesycd.cli.score import results_of
    from nesycd.methods.evaluate import evaluate
    from nesycd.methods.nesycd import distil
    from nesycd.reports import write_report

    trained = distil(parts)
    assert trained is not None  # it is None only where `until` is given
    scored = evaluate(parts, trained)
    finish(parts)
    results = results_of(parts, trained, scored)
    if not parts.run.report_path.exists() or _stored_results(parts.run.results_path) != results:
        parts.run.write_results(results)
        write_report(parts.run.folder)
    return trained, scored


def _stored_results(path: Path) -> dict[str, Any] | None:
    """What `results.json` says; None where it is not there or damaged, and is to be written anew."""
    from nesycd.reports import load_results

    try:
        return load_results(path).to_json()
    except RunError:
        return None
