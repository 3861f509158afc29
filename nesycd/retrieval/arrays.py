"""Arrays cached in a file that is read back whole or not at all.

A file holds a hash of its content and the key under which it was made (say, a KB version). One that is torn, damaged, of
another key or not there counts as missing. Nothing in it is ever run (no pickle).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nesycd.core.storage import disk_errors

_MAGIC = b"nesycd-arrays/1\n"
_DIGEST = hashlib.sha256().digest_size
_HEAD = len(_MAGIC) + _DIGEST
_LOCAL = 30
"""Bytes of the header of an archive's member, before its name."""
_KEY = "key"


def save_arrays(path: Path, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put arrays into a file, whole or not at all; processes that write one file at once leave one's content.

    Raises:
        RunError: the disk is full, or the place cannot be written.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb+") as file:
                file.write(_MAGIC + bytes(_DIGEST))
                np.savez(file, allow_pickle=False, **{_KEY: _bytes(key), **arrays})
                file.seek(_HEAD)
                digest = hashlib.file_digest(file, "sha256").digest()  # of what follows
                file.seek(len(_MAGIC))
                file.write(digest)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


def load_arrays(path: Path, key: str, *, mapped: bool = False) -> dict[str, NDArray[Any]] | None:
    """The arrays that were saved under `key`, or None where the file does not hold just that.

    Args:
        path: the file.
        key: see `save_arrays`.
        mapped: map them into memory, to read only, rather than copy them; the file must then stay as it is.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            digest = hashlib.file_digest(file, "sha256").digest()
            if head != _MAGIC + digest:
                return None
            file.seek(_HEAD)
            with np.load(file, allow_pickle=False) as stored:
                if bytes(stored[_KEY]) != key.encode():
                    return None
                names = [name for name in stored.files if name != _KEY]
                if not mapped:
                    return {name: stored[name] for name in names}
                places = {name: stored.zip.getinfo(f"{name}.npy").header_offset for name in names}
            return {name: _mapped(file, path, place) for name, place in places.items()}
    except OSError:
        return None


def _mapped(file: BinaryIO, path: Path, place: int) -> NDArray[Any]:
    """The array of a member of an uncompressed archive whose header begins at a place of the file."""
    file.seek(place)
    local = file.read(
        _LOCAL
    )  # the last two numbers of which are the lengths of the name and of what else precedes the content
    file.seek(int.from_bytes(local[-4:-2], "little") + int.from_bytes(local[-2:], "little"), os.SEEK_CUR)
    read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    shape, _, kind = read_header[np.lib.format.read_magic(file)[0]](file)
    if 0 in shape:
        return np.zeros(shape, dtype=kind)
    # As a plain array: slices of a `memmap` are slow to make.
    return np.memmap(path, dtype=kind, mode="r", offset=file.tell(), shape=shape).view(np.ndarray)


def pack(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Texts without line feeds as an array."""
    return _bytes("\n".join(texts))


def unpack(packed: NDArray[np.uint8]) -> list[str]:
    """What `pack` made an array of (none of the texts being empty)."""
    return bytes(packed).decode().split("\n") if len(packed) else []


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)
