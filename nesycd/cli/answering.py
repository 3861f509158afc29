"""A finished run put together for asking: what `nesycd ask` and `nesycd kb test` work with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nesycd.core.errors import ConfigError, RunError
from nesycd.core.files import did_you_mean

if TYPE_CHECKING:
    from nesycd.core.config import Recipe
    from nesycd.core.protocols import Router, Student
    from nesycd.core.records import Entry
    from nesycd.knowledge import Entities
    from nesycd.methods.answering import Answerer
    from nesycd.prompts import Prompts


@dataclass(frozen=True)
class FinishedRun:
    """What a finished run left behind, with its knowledge base as it is now.

    Attributes:
        settings: of the router, as `results.json` has them.
        adapters: `general` (S_P) and `augmented` (S_E).
    """

    recipe: Recipe
    settings: dict[str, Any]
    student: Student
    prompts: Prompts
    adapters: dict[str, Path]
    entries: tuple[Entry, ...]
    entities: Entities
    router: Router


def open_finished(folder: Path) -> FinishedRun:
    """Read a run back.

    Raises:
        RunError: the run is not finished, or files of its adapters are gone or have other content.
    """
    from nesycd.cli.build import commit_of, data_root, student_of
    from nesycd.core.config import Recipe, locate_data
    from nesycd.core.records import Status
    from nesycd.knowledge import KnowledgeBase, read_entities
    from nesycd.prompts import Prompts
    from nesycd.reports import load_results
    from nesycd.runs.artifacts import open_artifact
    from nesycd.runs.manifest import read_manifest
    from nesycd.runs.stage import read_states

    if not (folder / "results.json").is_file():
        raise RunError(f"{folder}: not a finished run (no results.json); finish it by: nesycd run RECIPE")
    manifest = read_manifest(folder)
    assert manifest is not None
    recipe = locate_data(Recipe.model_validate_json(json.dumps(manifest["config"])), data_root())
    settings = load_results(folder / "results.json").to_json()["router"]
    student, prompts = student_of(recipe, commit_of(recipe, manifest)), Prompts.load(recipe.prompts)
    # A run that had no approved knowledge trained no S_E.
    trained = {"general": "general", "augmented": "augmented" if "augmented" in read_states(folder) else "general"}
    adapters = {name: open_artifact(folder, stage).path for name, stage in trained.items()}
    with KnowledgeBase.open(folder / "kb.sqlite", create=False) as kb:
        entries, entities = tuple(kb.entries(status=Status.APPROVED)), read_entities(kb)
    router = _router(folder, settings)
    return FinishedRun(recipe, settings, student, prompts, adapters, entries, entities, router)


def _router(folder: Path, settings: dict[str, Any]) -> Router:
    from nesycd.methods.routing import STAGE
    from nesycd.routing import router_of
    from nesycd.routing.classifier import ClassifierRouter
    from nesycd.runs.stage import read_states

    if settings["mode"] != "classifier":
        return router_of(str(settings["mode"]), float(settings["threshold"]), settings["signal"])
    state = read_states(folder).get(STAGE)
    if state is None or not state["done"]:
        raise RunError(f"{folder}: the classifier's coefficients are gone; run the recipe again")
    return ClassifierRouter.from_json(state["metadata"]["value"]["router"], str(folder))


ARMS = ("nesycd_routed", "nesycd", "nesycd_no_kb", "std_cot")
"""The arms that a finished run can answer in: routed, S_E with whatever is found, S_E without knowledge, the baseline."""


def open_answerer(folder: Path, arm: str = ARMS[0]) -> tuple[Answerer, str]:
    """The run's answerer in one of `ARMS`, and the hash of its students (`Pins.students`) and of the arm.

    Raises:
        ConfigError: no such arm.
        RunError: see `open_finished`.
    """
    from nesycd.cli.build import task_of
    from nesycd.core.records import content_hash
    from nesycd.methods.answering import Answerer
    from nesycd.methods.knowledge import Knowledge, choice_of
    from nesycd.rules import Engine
    from nesycd.runs.stage import read_states

    if arm not in ARMS:
        raise ConfigError(f"arm: a finished run does not answer as {arm!r}{did_you_mean(arm, ARMS)}")
    run = open_finished(folder)
    recipe, student, task = run.recipe, run.student, task_of(run.recipe)
    engine = Engine() if recipe.knowledge.derive else None  # its process ends with the answerer
    tasks = {example.uid: example.task for example in task.load("train")} if recipe.retrieval.by_task else {}
    adapters, closed_book, router = _ways(folder, run, arm)
    answerer = Answerer(
        student=student,
        prompts=run.prompts,
        task=task,
        knowledge=Knowledge(
            recipe.retrieval,
            student,
            run.entries,
            run.entities,
            tasks,
            engine=engine,
            choice=choice_of(recipe.retrieval, folder),
        ),
        adapters=adapters,
        closed_book=closed_book,
        router=router,
        max_new_tokens=recipe.student.max_new_tokens,
    )
    states = read_states(folder)
    trained = [states[name]["fingerprint"] for name in run.adapters if name in states]
    told = [trained, student.fingerprint, run.prompts.fingerprint, run.settings, answerer.max_new_tokens]
    told += [student.decoding] if student.decoding else []
    return answerer, content_hash(told if arm == ARMS[0] else [told, arm])


def _ways(folder: Path, run: FinishedRun, arm: str) -> tuple[dict[str, Path], str, Router]:
    """The adapters, which of them writes the drafts, and the router that make an arm.

    Raises:
        RunError: files of the baseline's adapter are gone or have other content.
    """
    from nesycd.routing import router_of
    from nesycd.runs.artifacts import open_artifact

    if arm == "nesycd_routed":
        return run.adapters, str(run.settings["closed_book"]), run.router
    if arm != "std_cot":
        return run.adapters, "augmented", router_of("always" if arm == "nesycd" else "never", 0.0)
    adapters = dict(run.adapters)
    if run.recipe.augmented.init == "general" and adapters["augmented"] != adapters["general"]:
        # S_E was trained on from S_P: the baseline of equal budget is a student of its own.
        adapters["general"] = open_artifact(folder, "std-cot").path
    return adapters, "general", router_of("never", 0.0)
