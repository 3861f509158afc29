"""A finished run put together for asking: what `nesycd ask` and `nesycd kb test` work with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nesycd.errors import RunError

if TYPE_CHECKING:
    from nesycd.config import Recipe
    from nesycd.knowledge import Entities
    from nesycd.methods.answering import Answerer
    from nesycd.prompts import Prompts
    from nesycd.protocols import Router, Student
    from nesycd.records import Entry


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
        RunError: the run is not finished, or its adapters are gone.
    """
    from nesycd.cli.build import data_root, student_of
    from nesycd.config import Recipe, locate_data
    from nesycd.knowledge import KnowledgeBase, read_entities
    from nesycd.manifest import read_manifest
    from nesycd.prompts import Prompts
    from nesycd.records import Status
    from nesycd.reports import load_results
    from nesycd.routing import router_of

    if not (folder / "results.json").is_file():
        raise RunError(f"{folder}: not a finished run (no results.json); finish it by: nesycd run RECIPE")
    manifest = read_manifest(folder)
    assert manifest is not None
    recipe = locate_data(Recipe.model_validate_json(json.dumps(manifest["config"])), data_root())
    settings = load_results(folder / "results.json").to_json()["router"]
    student, prompts = student_of(recipe), Prompts.load(recipe.prompts)
    adapters = {name: folder / "checkpoints" / name for name in ("general", "augmented")}
    if not adapters["general"].is_dir():
        raise RunError(
            f"{adapters['general']}: the adapter is gone (nesycd clean --checkpoints?); run the recipe again"
        )
    if not adapters["augmented"].is_dir():
        # A run that had no approved knowledge trained no S_E.
        adapters["augmented"] = adapters["general"]
    with KnowledgeBase.open(folder / "kb.sqlite", create=False) as kb:
        entries, entities = tuple(kb.entries(status=Status.APPROVED)), read_entities(kb)
    router = router_of(str(settings["mode"]), float(settings["threshold"]), settings["signal"])
    return FinishedRun(recipe, settings, student, prompts, adapters, entries, entities, router)


def open_answerer(folder: Path) -> tuple[Answerer, str]:
    """The run's answerer, and the hash of its students (`Pins.students`).

    Raises:
        RunError: see `open_finished`.
    """
    from nesycd.cli.build import task_of
    from nesycd.knowledge import Engine
    from nesycd.methods.answering import Answerer
    from nesycd.methods.knowledge import Knowledge, choice_of
    from nesycd.records import content_hash
    from nesycd.run_stage import read_states

    run = open_finished(folder)
    recipe, student = run.recipe, run.student
    engine = Engine() if recipe.knowledge.derive else None  # its process ends with the answerer
    answerer = Answerer(
        student=student,
        prompts=run.prompts,
        task=task_of(recipe),
        knowledge=Knowledge(
            recipe.retrieval,
            student,
            run.entries,
            run.entities,
            engine=engine,
            choice=choice_of(recipe.retrieval, folder),
        ),
        adapters=run.adapters,
        closed_book=str(run.settings["closed_book"]),
        router=run.router,
        max_new_tokens=recipe.student.max_new_tokens,
    )
    states = read_states(folder)
    trained = [states[name]["fingerprint"] for name in run.adapters if name in states]
    told = [trained, student.fingerprint, run.prompts.fingerprint, run.settings, answerer.max_new_tokens]
    return answerer, content_hash(told)
