"""The paths in a recipe: resolved below `NESYCD_DATA` where they do not exist, and removed where only content counts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nesycd.core.config import Recipe

PATH_SETTINGS = frozenset({"path", "train", "valid", "test", "prompts"})
"""Settings of benchmarks that are paths if they are strings."""


def locate_data(recipe: Recipe, root: Path | None) -> Recipe:
    """The recipe with data paths that exist only below `root` (`NESYCD_DATA`) changed to those."""
    if root is None:
        return recipe
    settings = locate_settings(recipe.task.settings, root)
    teacher = recipe.teacher
    diagnoses = None if teacher.diagnoses is None else _located(teacher.diagnoses, root)
    teacher = teacher.model_copy(
        update={"paths": tuple(_located(path, root) for path in teacher.paths), "diagnoses": diagnoses}
    )
    if teacher.api.prices is not None:
        api = teacher.api.model_copy(update={"prices": _located(teacher.api.prices, root)})
        teacher = teacher.model_copy(update={"api": api})
    task = recipe.task.model_copy(update={"settings": settings})
    prompts = None if recipe.prompts is None else _located(recipe.prompts, root)
    compare = recipe.compare
    if compare.corpus is not None:
        compare = compare.model_copy(update={"corpus": _located(compare.corpus, root)})
    files = tuple(_located(path, root) for path in recipe.knowledge.files)
    knowledge = recipe.knowledge.model_copy(update={"files": files})
    found = {"task": task, "teacher": teacher, "prompts": prompts, "knowledge": knowledge, "compare": compare}
    return recipe.model_copy(update=found)


def locate_settings(settings: Mapping[str, Any], root: Path | None) -> dict[str, Any]:
    """A benchmark's settings with their paths (`PATH_SETTINGS`) resolved as by `locate_data`; those of a mixture's parts too."""
    if root is None:
        return dict(settings)
    return {key: _located_setting(key, value, root) for key, value in settings.items()}


def _located_setting(key: str, value: Any, root: Path) -> Any:
    if key in PATH_SETTINGS and isinstance(value, str):
        return str(_located(Path(value), root))
    if key == "parts" and isinstance(value, list) and all(isinstance(part, dict) for part in value):
        return [{**part, "settings": locate_settings(part.get("settings", {}), root)} for part in value]
    return value


def without_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A benchmark's settings without those that are paths; a mixture's parts likewise."""
    kept = {key: value for key, value in settings.items() if not (key in PATH_SETTINGS and isinstance(value, str))}
    if isinstance(parts := kept.get("parts"), list):
        kept["parts"] = [
            {**part, "settings": without_paths(part["settings"])} if "settings" in part else part for part in parts
        ]
    return kept


def settings_alone(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON values without paths: equal for runs with the same files in other folders."""
    places: dict[str, Any] = {
        "prompts": True,
        "task": {"settings"},
        "teacher": {"paths": True, "diagnoses": True, "api": {"prices", "ledger"}},
        "knowledge": {"files"},
        "compare": {"corpus"},
    }
    alone = recipe.model_dump(mode="json", exclude=places)
    alone["task"]["settings"] = without_paths(recipe.task.settings)
    return alone


def _located(path: Path, root: Path) -> Path:
    return root / path if not path.exists() and (root / path).exists() else path
