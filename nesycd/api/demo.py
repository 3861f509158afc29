"""The demo: a small finished run that comes with the package, unpacked where all commands find it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from nesycd.api.packing import CHECKPOINTS
from nesycd.api.unpacking import unpack
from nesycd.core.archives import read_contents
from nesycd.core.errors import RunError
from nesycd.core.files import file_hash
from nesycd.methods.table import MAIN
from nesycd.reports import write_report
from nesycd.reports.folder import RunFiles
from nesycd.runs.artifacts import hash_files

NAME = "demo"
"""Of the run's folder, and of the recipe that trained it."""


def shipped() -> Path:
    """The archive of the run; its name holds the beginning of its SHA-256.

    Raises:
        RunError: it is missing, or is not the file that its name tells.
    """
    folder = Path(str(resources.files("nesycd"))) / NAME
    found = sorted(folder.glob(f"{NAME}-*.tar.gz"))
    if len(found) != 1:
        raise RunError(f"{folder}: holds {len(found)} archives of the demo, not one; install nesycd again")
    [archive] = found
    if digest_name(archive) != archive.name:
        raise RunError(f"{archive}: damaged; install nesycd again")
    return archive


def digest_name(archive: Path) -> str:
    """The name that an archive of the demo must have."""
    return f"{NAME}-{file_hash(archive)[:16]}.tar.gz"


def demo_folder(root: Path) -> Path:
    """The folder of the demo's run, which is unpacked unless it is there; a base that was edited there stays so.

    Raises:
        RunError: the folder is another run's, or the archive is damaged.
    """
    archive, folder = shipped(), root / NAME
    if not folder.exists():
        folder = unpack(archive, root).folder
        write_report(folder)  # as this version shows it; the archive's is as old as the archive
        return folder
    made = {
        f"{CHECKPOINTS}/{name}": (one["size"], one["sha256"]) for name, one in hash_files(folder / CHECKPOINTS).items()
    }
    packed = read_contents(archive).files.items()
    if any(made.get(name) != content for name, content in packed if name.startswith(f"{CHECKPOINTS}/")):
        raise RunError(
            f"{folder}: not the demo that comes with this version of nesycd; remove it (nesycd clean {NAME}), or give "
            "another folder by --root"
        )
    return folder


def other_questions(run: RunFiles, shown: str, count: int = 3) -> list[str]:
    """Short questions of other kinds than `shown` that the student answered rightly by its base."""
    shortest: dict[str, str] = {}
    for split, examples in run.examples.items():
        attempts = run.attempts.get((MAIN, split), {})
        for uid, example in examples.items():
            attempt = attempts.get(uid)
            if attempt is None or not attempt.correct or not attempt.calls or example.options:
                continue
            if len(example.question) < len(shortest.get(example.task, example.question + " ")):
                shortest[example.task] = example.question
    return sorted((text for text in shortest.values() if text != shown), key=len)[:count]
