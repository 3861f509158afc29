"""Runs a recipe: builds its parts in a run folder, runs the method's steps and the evaluation, writes results and report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nesycd.api.build import Parts, asks_api, build_parts, commit_of, payments, server_of
from nesycd.api.checks import check_sources
from nesycd.api.plan import plan
from nesycd.api.preflight import check_ready
from nesycd.api.progress import StageProgress
from nesycd.api.results import results_of
from nesycd.core.answers import Answer
from nesycd.core.config import Recipe
from nesycd.core.errors import ModelError, RunError
from nesycd.core.paths import with_paths
from nesycd.core.protocols import Student
from nesycd.core.records import Diagnosis, Induction, Rationale
from nesycd.core.storage import write_json_atomic
from nesycd.measure import edits, effect
from nesycd.methods import table
from nesycd.methods.choose_router import HELD_OUT
from nesycd.methods.context import Context
from nesycd.methods.distil import distil
from nesycd.methods.evaluate import Scored, evaluate, splits_of
from nesycd.reports import load_results, write_report
from nesycd.rules import Engine
from nesycd.runs.consent import Consent
from nesycd.runs.manifest import read_manifest
from nesycd.runs.predictions import VERDICTS
from nesycd.runs.run import Run, read_records
from nesycd.runs.stage import read_states
from nesycd.students.hub import name_revision, resolve_commit
from nesycd.students.origin import origin_of
from nesycd.students.served import ServedStudent

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def opened(
    recipe: Recipe,
    folder: Path,
    console: Console | None = None,
    consent: Consent | None = None,
    further: Sequence[Any] = (),
) -> Iterator[Context]:
    """The context of a recipe's run; the run folder is locked meanwhile.

    Args:
        recipe: what to run.
        folder: of the run; created where it is missing.
        console: where notes and progress are shown; None: nowhere.
        consent: see `Run.open`.
        further: what follows on the run's own work: see `working.FURTHER`. Workers to whom work is dealt out are told.

    Raises:
        NesycdError: a part cannot be built, or the folder cannot be used.
    """
    manifest = read_manifest(folder)
    parts = build_parts(recipe, commit_of(recipe, manifest), server_of(manifest))
    table.of_recipe(recipe)  # report a wrong name before the folder is touched
    progress = StageProgress(console, payments(recipe) if asks_api(recipe) else None)
    for warning in parts.warnings:
        progress.notify(f"note: {warning}")

    def ask(told: str) -> None:
        with progress.paused():
            assert consent is not None
            paid = f", and answers of {recipe.teacher.api.model} that the ledger does not hold paid for"
            consent(told + (paid if asks_api(recipe) else ""))

    config = parts.recipe.model_dump(mode="json", exclude={"engine"})
    seeds = {"seed": recipe.seed}
    with (
        progress,
        Run.open(
            folder,
            config,
            seeds=seeds,
            notify=progress.notify,
            watch=progress.watch,
            consent=None if consent is None else ask,
            dealer=None if recipe.engine.name == "local" else _dealer(parts, further),
        ) as run,
        Engine() as engine,
        _closed(parts.student),
    ):
        hashes = parts.hashes
        if then := server_of(manifest):
            hashes = {"served_by": "", **hashes}
            if (now := hashes["served_by"]) != then:
                progress.notify(
                    f"student.server: {now or 'this process'} writes answers now, and {then} did before: they are asked for anew"
                )
        run.describe(**hashes)
        if commit := str(getattr(parts.student, "commit", "")):
            run.describe(**{name_revision(recipe.student.model, recipe.student.revision): commit})
            if moved := _moved_from(commit, recipe):
                progress.notify(moved)
        yield context_of(
            parts,
            run,
            engine,
            training=progress.training,
            writing=progress.writing,
            ready=partial(check_ready, parts, progress.notify, folder),
            expect=progress.expect,
        )


def context_of(parts: Parts, run: Run, engine: Engine, **told: Any) -> Context:
    """The context of a run that is made of a recipe's parts.

    Args:
        parts: of the recipe.
        run: its folder.
        engine: see `Context`.
        told: the further attributes of `Context`: who is told what, and what is looked at beforehand.
    """
    return Context(
        run=run,
        recipe=parts.recipe,
        task=parts.task,
        teacher=parts.teacher,
        student=parts.student,
        prompts=parts.prompts,
        baseline_prompts=parts.baseline_prompts,
        engine=engine,
        corpus=parts.corpus,
        **told,
    )


def _dealer(parts: Parts, further: Sequence[Any]) -> dict[str, Any]:
    """See `shards.Task.dealer`: recipe and student as this process found them, with paths that hold anywhere."""
    recipe = with_paths(parts.recipe, lambda _, path: path.absolute())
    if (model := Path(recipe.student.model)).is_dir():
        recipe = recipe.model_copy(
            update={"student": recipe.student.model_copy(update={"model": str(model.absolute())})}
        )
    told = {name: str(getattr(parts.student, name, "")) for name in ("commit", "served_by")}
    return {"recipe": recipe.model_dump(mode="json"), **told, "further": list(further)}


@contextmanager
def _closed(student: Student) -> Iterator[None]:
    """Let go of the student's server at the end, if it has one."""
    try:
        yield
    finally:
        if isinstance(student, ServedStudent):
            student.close()


def _moved_from(commit: str, recipe: Recipe) -> str:
    """A note where the student's revision now names another commit than the run started with; else ""."""
    model, revision = recipe.student.model, recipe.student.revision
    origin = origin_of(model, revision)
    try:
        newest = resolve_commit(origin.base, origin.revision)
    except ModelError:
        return ""  # cannot be checked without a network
    if newest == commit:
        return ""
    return (
        f"student: {name_revision(origin.base, origin.revision)} is {newest[:12]} by now; this run goes on with {commit[:12]}, "
        "which it began with (for the newer one give another --name, or student.revision)"
    )


def complete(context: Context) -> tuple[Context, Scored]:
    """Run all steps of the method and the evaluation; finished stages are read back. Writes results and report.

    Returns:
        The context after the steps, and what was scored.
    """
    methods = table.of_recipe(context.recipe)
    check_sources(methods, context.corpus)
    splits_of(context.task, context.recipe)  # report mistakes before hours of work
    if context.recipe.engine.name == "local":
        context.expect(plan(context))
    steps = distil(context)
    assert steps is not None  # it is None only where `until` is given
    context = context.after(steps)
    scored = evaluate(context, methods)
    run = context.run
    run.settle(beside(context))
    results = results_of(context, scored)
    if not run.report_path.exists() or _stored_results(run.results_path) != results:
        write_json_atomic(run.results_path, results)
        write_report(run.folder)
    finish(context)
    return context, scored


def drop_failed(context: Context) -> None:
    """Drop the teacher's failed records, and their calls from the ledger, so that they are asked for again."""
    run = context.run
    rationales = [one.example for one in read_records(run.folder, "rationales", Rationale) if one.failure]
    diagnoses = [one.example for one in read_records(run.folder, "diagnoses", Diagnosis) if one.failure]
    inductions = [one.cluster for one in read_records(run.folder, "inductions", Induction) if one.failure]
    # Only language models may answer differently the second time.
    if forget := getattr(context.teacher, "forget", None):
        forget(rationales, diagnoses, inductions)
    run.drop("rationales", Rationale, lambda record: bool(record.failure))
    run.drop("diagnoses", Diagnosis, lambda record: bool(record.failure))
    run.drop("inductions", Induction, lambda record: bool(record.failure))


def finish(context: Context) -> None:
    """Mark the run as finished; measurements and answers of further methods are kept while their predictions exist."""
    run, kept = context.run, beside(context)
    run.finish(keep=kept)
    known = run.predictions.by_id
    for stage in kept:
        if f"{stage}{VERDICTS}" in kept:
            answers = read_records(run.folder, stage, Answer)
            if not all(one in known for answer in answers for one in answer.predictions):
                run.notify(f"{stage}: removed, because the student that answered is gone")
                for name in (stage, f"{stage}{VERDICTS}"):
                    run.clear(name)


def beside(context: Context) -> list[str]:
    """The stages of the run that belong to measurements and further methods."""
    own = {method.name for method in table.of_recipe(context.recipe)}
    return [stage for stage in read_states(context.run.folder) if is_beside(stage, own)]


def is_beside(stage: str, own: set[str] | None = None) -> bool:
    """Whether a stage belongs to a measurement, or to a method that is not in the run's recipe.

    Args:
        stage: its name.
        own: the methods of the run's recipe; None: only NesyCD and its baseline, which every run has.
    """
    if stage in edits.STAGES or stage.startswith((effect.PREFIX, HELD_OUT)):
        return True
    method = table.method_of(stage)
    return method is not None and method.name not in ({table.MAIN, table.BASELINE} if own is None else own)


def _stored_results(path: Path) -> Mapping[str, Any] | None:
    """The content of `results.json`; None where it is missing or damaged, so that it is written again."""
    try:
        return load_results(path).to_json()
    except RunError:
        return None
