"""Arrays cached in a file that is read back whole or not at all.

A file holds a hash of its content and the key under which it was made (say, a KB version). One that is torn, damaged, of
another key or not there counts as missing. Nothing in it is ever run (no pickle).
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nesycd.core.storage import disk_errors

_MAGIC = b"nesycd-arrays/1\n"
_DIGEST = hashlib.sha256().digest_size
_KEY = "key"


def save_arrays(path: Path, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put arrays into a file, whole or not at all; processes that write one file at once leave one's content.

    Raises:
        RunError: the disk is full, or the place cannot be written.
    """
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{_KEY: _bytes(key), **arrays})
    content = buffer.getbuffer()
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + hashlib.sha256(content).digest())
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


def load_arrays(path: Path, key: str) -> dict[str, NDArray[Any]] | None:
    """The arrays that were saved under `key`, or None where the file does not hold just that."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    head = len(_MAGIC) + _DIGEST
    if content[: len(_MAGIC)] != _MAGIC or content[len(_MAGIC) : head] != hashlib.sha256(content[head:]).digest():
        return None
    with np.load(io.BytesIO(content[head:]), allow_pickle=False) as stored:
        if bytes(stored[_KEY]) != key.encode():
            return None
        return {name: stored[name] for name in stored.files if name != _KEY}


def pack(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Texts without line feeds as an array."""
    return _bytes("\n".join(texts))


def unpack(packed: NDArray[np.uint8]) -> list[str]:
    """What `pack` made an array of (none of the texts being empty)."""
    return bytes(packed).decode().split("\n") if len(packed) else []


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)
