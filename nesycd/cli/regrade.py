"""A finished run's stored responses, graded again by its benchmark as it is now; the run itself stays as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nesycd import grading
from nesycd.cli.build import data_root, task_of
from nesycd.core.config import Recipe
from nesycd.core.errors import RunError
from nesycd.core.places import locate_data
from nesycd.core.records import Attempt, Example
from nesycd.reports.folder import read_run
from nesycd.runs.manifest import read_manifest


def regraded(folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each response of each arm and split, as `nesycd grade` writes them; `recorded` is what the run says.

    Raises:
        RunError: no results yet, a damaged file, or a recipe that this version cannot read.
        DataError: the benchmark's files are no longer there.
    """
    run = read_run(folder)
    manifest = read_manifest(folder) or {}
    try:
        recipe = Recipe.model_validate_json(json.dumps(manifest.get("config")))
    except ValueError:
        raise RunError(
            f"{folder}: this version of nesycd cannot read the run's recipe; grade it with its own"
        ) from None
    task = task_of(locate_data(recipe, data_root()))
    for (arm, split), attempts in run.attempts.items():
        for example in run.examples[split]:
            if example.uid in attempts:
                attempt = attempts[example.uid]
                extracted = task.extract(attempt.response, example)
                correct = bool(extracted) and task.grade(extracted, example)
                yield _row(arm, split, example, attempt, extracted, correct)


def _row(arm: str, split: str, example: Example, attempt: Attempt, extracted: str, correct: bool) -> dict[str, Any]:
    return {
        "id": example.uid,
        "arm": arm,
        "split": split,
        "task": example.task,
        "question": example.question,
        "options": list(example.options) or None,
        "answer": example.answer,
        "response": attempt.response,
        "recorded": attempt.correct,
        "extracted": extracted,
        "correct": correct,
        "how": grading.find_answer(attempt.response).source if extracted else "none",
    }
