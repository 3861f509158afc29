"""Size and SHA-256 of a finished artifact's files: recorded when it is made, and checked before it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from nesycd.core.errors import RunError
from nesycd.runs.stage import Artifact, read_state


def hash_files(folder: Path) -> dict[str, dict[str, Any]]:
    """`size` (bytes) and `sha256` of each file below a folder, by its path from there."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        size, digest = _content(path)
        found[path.relative_to(folder).as_posix()] = {"size": size, "sha256": digest}
    return found


def find_lost(name: str, folder: Path, files: Mapping[str, Mapping[str, Any]]) -> Path | None:
    """The folder or the first of its files that is missing; None where all exist with the recorded content.

    A file is hashed once per process while its size and time do not change.

    Args:
        name: of the stage.
        folder: of the artifact.
        files: result of `hash_files` when it was made.

    Raises:
        RunError: a file has other content than the stage wrote.
    """
    if not folder.is_dir():
        return folder
    for path, made in ((folder / file, made) for file, made in files.items()):
        if not path.is_file():
            return path
        if _content(path) != (made["size"], made["sha256"]):
            raise RunError(
                f"{path}: not what stage {name} wrote (its size or SHA-256 differs); put the file back, or delete {folder} "
                "and run the recipe again to have it made anew"
            )
    return None


def open_artifact(run: Path, name: str) -> Artifact:
    """A finished artifact of a run folder, for readers that do not run anything.

    Raises:
        RunError: the stage is not finished, or a file of it is gone or has other content.
    """
    folder, state = run / "checkpoints" / name, read_state(run / "stages" / f"{name}.json")
    if state is None or not state["done"]:
        raise RunError(f"{folder}: stage {name} is not finished; run the recipe again")
    if (lost := find_lost(name, folder, state["files"])) is not None:
        raise RunError(f"{lost}: gone (nesycd clean --checkpoints?); run the recipe again to have it made anew")
    return Artifact(folder, state["metadata"], state["output"])


def _content(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256.

    Raises:
        RunError: the file cannot be read.
    """
    try:
        status = path.stat()
        return status.st_size, _sha256(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
