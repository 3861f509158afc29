"""The paths in a recipe: resolved below `NESYCD_DATA` where they do not exist, changed, and removed where only content counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nesycd.core.config import Recipe

PATH_SETTINGS = frozenset({"path", "train", "valid", "test", "prompts"})
"""Settings of benchmarks that are paths if they are strings."""


Change = Callable[[str, Path], Path]
"""Called with a setting's dotted key and the path that it holds; returns the path to be put there."""


def locate_data(recipe: Recipe, root: Path | None) -> Recipe:
    """The recipe with data paths that exist only below `root` (`NESYCD_DATA`) changed to those."""
    return recipe if root is None else with_paths(recipe, lambda _, path: _located(path, root))


def with_paths(recipe: Recipe, change: Change) -> Recipe:
    """The recipe with each path of its data files and folders changed (not those of models and of the ledger)."""
    teacher = recipe.teacher
    told = {
        "paths": _each("teacher.paths", teacher.paths, change),
        "diagnoses": _maybe("teacher.diagnoses", teacher.diagnoses, change),
        "api": teacher.api.model_copy(update={"prices": _maybe("teacher.api.prices", teacher.api.prices, change)}),
    }
    settings = _with_settings("task.settings", recipe.task.settings, change)
    known = {
        "files": _each("knowledge.files", recipe.knowledge.files, change),
        "documents": _each("knowledge.documents", recipe.knowledge.documents, change),
        "base": _maybe("knowledge.base", recipe.knowledge.base, change),
    }
    corpus = _maybe("compare.corpus", recipe.compare.corpus, change)
    return recipe.model_copy(
        update={
            "prompts": _maybe("prompts", recipe.prompts, change),
            "task": recipe.task.model_copy(update={"settings": settings}),
            "teacher": teacher.model_copy(update=told),
            "knowledge": recipe.knowledge.model_copy(update=known),
            "compare": recipe.compare.model_copy(update={"corpus": corpus}),
        }
    )


def locate_settings(settings: Mapping[str, Any], root: Path | None) -> dict[str, Any]:
    """A benchmark's settings with their paths (`PATH_SETTINGS`) resolved as by `locate_data`; those of a mixture's parts too."""
    if root is None:
        return dict(settings)
    return _with_settings("task.settings", settings, lambda _, path: _located(path, root))


def _with_settings(where: str, settings: Mapping[str, Any], change: Change) -> dict[str, Any]:
    return {key: _with_setting(f"{where}.{key}", key, value, change) for key, value in settings.items()}


def _with_setting(where: str, key: str, value: Any, change: Change) -> Any:
    if key in PATH_SETTINGS and isinstance(value, str):
        return str(change(where, Path(value)))
    if key == "parts" and isinstance(value, list) and all(isinstance(part, dict) for part in value):
        return [
            {**part, "settings": _with_settings(f"{where}[{number}].settings", part.get("settings", {}), change)}
            for number, part in enumerate(value)
        ]
    return value


def _maybe(where: str, path: Path | None, change: Change) -> Path | None:
    return None if path is None else change(where, path)


def _each(where: str, paths: tuple[Path, ...], change: Change) -> tuple[Path, ...]:
    return tuple(change(where, path) for path in paths)


def without_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A benchmark's settings without those that are paths; a mixture's parts likewise."""
    kept = {key: value for key, value in settings.items() if not (key in PATH_SETTINGS and isinstance(value, str))}
    if isinstance(parts := kept.get("parts"), list):
        kept["parts"] = [
            {**part, "settings": without_paths(part["settings"])} if "settings" in part else part for part in parts
        ]
    return kept


def settings_alone(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON values without paths and engine: equal for runs with the same files in other folders, done anywhere."""
    places: dict[str, Any] = {
        "prompts": True,
        "task": {"settings"},
        "teacher": {"paths": True, "diagnoses": True, "api": {"prices", "ledger"}},
        "knowledge": {"files", "documents", "base"},
        "compare": {"corpus"},
        "engine": True,  # where the work is done changes no result
    }
    alone = recipe.model_dump(mode="json", exclude=places)
    alone["task"]["settings"] = without_paths(recipe.task.settings)
    return alone


def _located(path: Path, root: Path) -> Path:
    return root / path if not path.exists() and (root / path).exists() else path
