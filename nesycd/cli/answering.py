"""A finished run put together for asking: what `nesycd kb test` (and whoever serves a run) works with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nesycd.errors import RunError

if TYPE_CHECKING:
    from nesycd.methods.answering import Answerer


def open_answerer(folder: Path) -> tuple[Answerer, str]:
    """The run's answerer with its knowledge base as it is now, and the hash of its students (`Pins.students`).

    Raises:
        RunError: the run is not finished, or its adapters are gone.
    """
    from nesycd.cli.build import data_root, student_of, task_of
    from nesycd.config import Recipe, locate_data
    from nesycd.knowledge import Engine, KnowledgeBase, read_entities
    from nesycd.manifest import read_manifest
    from nesycd.methods.answering import Answerer
    from nesycd.methods.knowledge import Knowledge
    from nesycd.prompts import Prompts
    from nesycd.records import Status, content_hash
    from nesycd.reports import load_results
    from nesycd.routing import router_of
    from nesycd.run_stage import read_states

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
        entries, entities = kb.entries(status=Status.APPROVED), read_entities(kb)
    engine = Engine() if recipe.knowledge.derive else None  # its process ends with the answerer
    signal: Any = settings["signal"]
    answerer = Answerer(
        student=student,
        prompts=prompts,
        task=task_of(recipe),
        knowledge=Knowledge(recipe.retrieval, student, tuple(entries), entities, engine=engine),
        adapters=adapters,
        closed_book=str(settings["closed_book"]),
        router=router_of(str(settings["mode"]), float(settings["threshold"]), signal),
        max_new_tokens=recipe.student.max_new_tokens,
    )
    states = read_states(folder)
    trained = [states[name]["fingerprint"] for name in adapters if name in states]
    return answerer, content_hash(
        [trained, student.fingerprint, prompts.fingerprint, settings, answerer.max_new_tokens]
    )
