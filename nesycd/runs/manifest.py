"""A run's recipe (`config.json`) and how it was run (`manifest.json`); and which fields are times.

The manifest contains seeds, hashes, library versions, machine, start and end. Stages, their seconds and their metadata are in
`stages/*.json` (`read_states`); the run's name is that of the folder. Nothing here names the host, the user or an environment
variable, since run folders are shared.
"""

from __future__ import annotations

import json
import os
import platform
import time
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nesycd.core.config import Recipe
from nesycd.core.errors import RunError

SCHEMA = "run/2"

LIBRARIES = (
    "nesycd",
    "pydantic",
    "numpy",
    "SQLAlchemy",
    "bm25s",
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "safetensors",
    "gguf",
)
"""Distributions whose versions may affect results."""

TIME_FIELDS = frozenset({"created", "started", "finished", "seconds", "total_seconds", "tokens_per_second"})
"""Keys whose values may differ between two runs that are otherwise equal."""


def without_times(value: Any) -> Any:
    """A JSON value without its time fields, at any depth; equal for equal runs."""
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in TIME_FIELDS}
    if isinstance(value, list):
        return [without_times(inner) for inner in value]
    return value


def versions(names: tuple[str, ...] = LIBRARIES) -> dict[str, str]:
    """The installed version of each library; those that are not installed are left out. Nothing is imported."""
    return {name: found for name in names if (found := _version(name)) is not None}


@cache
def _version(name: str) -> str | None:
    # Cached: each call parses the library's whole metadata, and every stage records the versions.
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, memory (GiB), Python and operating system."""
    return {
        "cpu": _cpu_model(),
        "cores": _cores(),
        "memory_gib": _memory_gib(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, OSError, ValueError):
        return None


def fresh_manifest() -> dict[str, Any]:
    """The manifest of a new run."""
    return {
        "schema": SCHEMA,
        "seeds": {},
        "hashes": {},
        "versions": versions(),
        "machine": machine(),
        "created": round(time.time(), 3),
        "finished": None,
    }


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """A run's manifest, or None where the folder has none.

    Raises:
        RunError: it is damaged, or has an unknown schema.
    """
    path = folder / "manifest.json"
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        content = None
    if isinstance(content, dict) and isinstance(schema := content.get("schema"), str) and schema != SCHEMA:
        raise RunError(f"{path}: schema is {schema!r}, but this version of nesycd knows {SCHEMA!r}")
    if not _is_manifest(content):
        raise RunError(f"{path}: not a readable manifest; remove the run with `nesycd clean`, or its folder")
    return dict(content)


def _is_manifest(value: Any) -> bool:
    """Whether a JSON value is a manifest, its fields with their types."""
    tables = ("seeds", "hashes", "versions", "machine")
    return (
        isinstance(value, dict)
        and value.keys() == {*tables, "schema", "created", "finished"}
        and all(isinstance(value[table], dict) for table in tables)
        and all(isinstance(one, str) for one in value["hashes"].values())
        and isinstance(value["created"], int | float)
        and isinstance(value["finished"], int | float | None)
    )


def read_config(folder: Path) -> dict[str, Any]:
    """The config of the last call of a run, as JSON values.

    Raises:
        RunError: it is missing or damaged.
    """
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise RunError(f"{path}: not a readable config; run the recipe again to have it written")
    return content


def read_recipe(folder: Path) -> Recipe:
    """The recipe of the last call of a run; settings added since have their defaults.

    Raises:
        RunError: the config is missing or damaged, or this version cannot read it.
    """
    try:
        return Recipe.model_validate_json(json.dumps(read_config(folder)))
    except ValidationError:
        raise RunError(
            f"{folder}: this version of nesycd cannot read the run's recipe; use the one that made it"
        ) from None
