"""A student's fingerprint without importing torch, so that a finished run is recognised quickly."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nesycd.core.records import content_hash
from nesycd.students import embedded
from nesycd.students.origin import origin_of
from nesycd.students.repetition import STOP_REPETITION

SAMPLE = 1 << 20
"""Bytes hashed at either end of a weights file."""


def student_fingerprint(model: str, template: str, system: str | None, commit: str = "", quantise: str = "none") -> str:
    """Hash of the model and of how prompts are rendered for it.

    The embedded student is identified by the hash of its GGUF file. A folder is hashed by its small files and by the size and
    both ends of each weights file (whole weights of 8B would take half a minute), independent of its path. A Hugging Face
    id is identified by the commit of its revision (`hub.resolve_commit`). Adapters that are merged into a model count by their
    folders. Quantised weights are others.
    """
    if quantise != "none":
        return content_hash([student_fingerprint(model, template, system, commit), quantise])
    origin = origin_of(model)
    adapters = [_folder_digest(folder) for folder in origin.adapters]
    if origin.base == embedded.NAME:
        return content_hash([embedded.NAME, embedded.GGUF_SHA256, *adapters, template, system])
    base = ["hub", origin.base, commit] if commit else _folder_digest(Path(origin.base))
    return content_hash([base, *adapters, template, system])


def decoding(stop_repetition: bool) -> str:
    """Names and versions of decoding add-ons (`Student.decoding`)."""
    return STOP_REPETITION if stop_repetition else ""


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
