"""A student's fingerprint without torch, so that a finished run is recognised before anything heavy is imported."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nesycd.core.records import content_hash
from nesycd.students import embedded
from nesycd.students.calculator import CALCULATOR
from nesycd.students.repetition import STOP_REPETITION

SAMPLE = 1 << 20
"""Bytes hashed at either end of a weights file."""


def student_fingerprint(model: str, template: str, system: str | None, commit: str = "") -> str:
    """Hash of the model and of how prompts are rendered for it.

    The embedded student is named by the hash of its wheel. A folder is hashed by its small files whole and by the size,
    the header and both ends of each weights file (whole weights of 8B would take half a minute). A Hugging Face id
    counts by the commit that its revision stands for (`hub.resolve_commit`).
    """
    if model == embedded.NAME:
        return content_hash([embedded.NAME, embedded.GGUF_SHA256, template, system])
    folder = Path(model)
    return content_hash([model, commit or _folder_digest(folder), template, system])


def decoding(calculator: bool, stop_repetition: bool) -> str:
    """What has a hand in a student's answers besides its weights (`Student.decoding`)."""
    return " ".join([CALCULATOR] * calculator + [STOP_REPETITION] * stop_repetition)


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix not in {".json", ".safetensors", ".jinja", ".model"}:
            continue
        size = path.stat().st_size
        digest.update(f"{path.name} {size} ".encode())
        with open(path, "rb") as stream:
            if size <= 64 * SAMPLE and path.suffix != ".safetensors":
                digest.update(stream.read())
            else:
                digest.update(stream.read(SAMPLE))
                stream.seek(max(0, size - SAMPLE))
                digest.update(stream.read())
    return digest.hexdigest()[:16]
