"""The run folders below one root: listing them, and removing them or their checkpoints."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from nesycd.core.errors import ConfigError, RunError
from nesycd.core.storage import FolderLock, disk_errors
from nesycd.core.text import printable, shortened
from nesycd.runs.manifest import read_manifest
from nesycd.runs.stage import read_states

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")

COMPARISON = "asked.json"
"""The file by which a comparison's folder is recognised."""


@dataclass(frozen=True)
class RunSummary:
    """Summary of a run folder."""

    folder: Path
    status: str
    """`finished`, `unfinished`, `running` (a process holds it now) or `damaged` (a file of it cannot be read)."""
    stages_done: int = 0
    seconds: float = 0.0
    """Seconds of work, over all stages."""
    updated: float = 0.0
    """Seconds since 1970."""
    size: int = 0
    """Bytes."""
    checkpoints_size: int = 0
    """Bytes of the checkpoints."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name


def named_folder(root: Path, name: str, option: str = "--name") -> Path:
    """The folder of a run or comparison below `root`, by the name that it is to have.

    Args:
        root: the folder with the runs.
        name: letters, digits, `_`, `.` and `-`, a letter or digit first; COMPARISON/seed-N for a run of a comparison.
        option: what gave the name, for the message.

    Raises:
        ConfigError: a name that leads elsewhere (`..`, absolute), holds control characters or cannot be a folder's.
    """
    if not all(_NAME.fullmatch(part) for part in name.split("/")):
        raise ConfigError(
            f"{option} {shortened(printable(name))}: cannot name a run's folder; use at most 100 letters, digits, _ . and -, a "
            "letter or digit first (where the folder lies: --root)"
        )
    return root / name


def list_runs(root: Path, compared: bool = False) -> list[RunSummary]:
    """The runs directly below `root`, newest first; empty where there is no such folder.

    Args:
        root: the folder with the runs.
        compared: include the runs of comparisons, one folder further down.
    """
    if not root.is_dir():
        return []
    inner = [path for path in root.glob("*/*") if (path.parent / COMPARISON).is_file()] if compared else []
    folders = [folder for folder in sorted([*root.iterdir(), *inner]) if (folder / "manifest.json").is_file()]
    found = [summarise(folder) for folder in folders]
    return sorted(found, key=lambda run: -run.updated)


def summarise(folder: Path) -> RunSummary:
    """Summary of one run.

    Raises:
        RunError: the folder is no run folder.
    """
    if not (folder / "manifest.json").is_file():
        raise RunError(f"{folder}: not a run folder (it has no manifest.json)")
    sizes = {"size": _size(folder), "checkpoints_size": _size(folder / "checkpoints")}
    updated = max(path.stat().st_mtime for path in (folder / "manifest.json", *(folder / "stages").glob("*.json")))
    try:
        manifest = read_manifest(folder)
        states = read_states(folder)
        assert manifest is not None
        done = sum(state["done"] for state in states.values())
        seconds = sum(float(state["seconds"]) for state in states.values())
        status = "finished" if manifest["finished"] is not None else "unfinished"
    except (RunError, KeyError):
        return RunSummary(folder, "damaged", updated=updated, **sizes)
    if FolderLock.is_held(folder / "lock"):
        status = "running"
    return RunSummary(folder, status, done, seconds, updated, **sizes)


def find_run(root: Path, name: str) -> Path:
    """The folder of a run given by its name below `root`, or as a path.

    Raises:
        RunError: there is no such folder, or it is no run folder.
    """
    shown = shortened(printable(name))
    if not name.strip():
        raise RunError("a run's name is empty")
    try:
        places = (root / name, Path(name))
        if found := next((folder for folder in places if (folder / "manifest.json").is_file()), None):
            return found
        if other := next((folder for folder in places if folder.is_dir()), None):
            raise RunError(f"{other}: not a run folder (it has no manifest.json)")
    except (OSError, ValueError):  # too long, or half a character in it
        raise RunError(f"{shown}: cannot be the name of a run or of its folder") from None
    known = ", ".join(run.name for run in list_runs(root)) or "there is none"
    raise RunError(f"no run {shown!r} below {root} (known: {known})")


def newest_run(root: Path, file: str, finished: bool = False) -> Path:
    """The folder of the newest run that has a file, such as `kb.sqlite`.

    Args:
        root: the folder with the runs.
        file: its name in a run's folder.
        finished: only runs that are finished, and not being run again.

    Raises:
        RunError: there is none.
    """
    for run in list_runs(root):
        if (run.folder / file).is_file() and (run.status == "finished" or not finished):
            return run.folder
    wanted = "finished run" if finished else "run"
    raise RunError(f"no {wanted} in {root} has a {file}; make one by: nesycd run recipes/quickstart.toml")


def remove_run(folder: Path, checkpoints_only: bool = False) -> int:
    """Remove a run folder, or only its checkpoints; these are trained again when the run goes on.

    Returns:
        Bytes freed.

    Raises:
        RunError: no run folder, one in use, or one that cannot be removed.
    """
    summary = summarise(folder)
    if folder.is_symlink():
        raise RunError(f"{folder}: a link; remove the run where it lies")
    lock = FolderLock(folder / "lock")
    try:
        with disk_errors(folder):
            if not checkpoints_only:
                shutil.rmtree(folder)
                return summary.size
            # Renamed first, so that a partly deleted checkpoint is never used.
            away = folder / "checkpoints.removed"
            if away.exists():
                shutil.rmtree(away)
            if (folder / "checkpoints").exists():
                os.replace(folder / "checkpoints", away)
                shutil.rmtree(away)
            return summary.checkpoints_size
    finally:
        lock.release()


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
