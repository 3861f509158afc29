"""Archives (`.tar.gz`) of files with their hashes: written whole or not at all, and unpacked without trusting them.

The first member is the contents: size and SHA-256 of every file, and what the writer says of them. An archive may come from
anybody, so only regular files that the contents name are unpacked, at names below the folder, each no longer than it says,
and nothing is kept of an archive in which anything differs. The hashes show damage; they do not prove who wrote it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import IO, Any

from nesycd.core.errors import RunError
from nesycd.core.storage import disk_errors, sync_tree, whole_file
from nesycd.core.text import printable, shortened

CONTENTS = "nesycd-contents.json"
SCHEMA = "pack/1"
MOST_FILES = 200_000
"""Files in an archive."""
_MOST_CONTENTS = 64 << 20
_MOST_HEADERS = 1 << 20
"""Bytes of contents, and of the headers between two files; longer ones are no archive of ours."""
_PIECE = 1 << 20

Watch = Callable[[int], None]
"""Called with the number of bytes that were read or written since the last call."""


@dataclass(frozen=True)
class Contents:
    """What an archive says of itself.

    Attributes:
        about: JSON values of the writer's.
        files: (bytes, SHA-256) of each file, by its name.
    """

    about: Mapping[str, Any]
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for size, _ in self.files.values())


def is_inside(name: str) -> bool:
    """Whether a file of this name lies inside the folder that it is unpacked into, on every system."""
    parts = name.split("/")
    return (
        all(part not in ("", ".", "..") and len(part.encode("utf-8", "replace")) <= 255 for part in parts)
        and len(name) <= 2000
        and printable(name) == name
        and "\\" not in name
        and not PureWindowsPath(name).drive
    )


# --- writing -----------------------------------------------------------------------------------------------------------


def write_archive(
    target: Path,
    files: Mapping[str, Path],
    about: Mapping[str, Any],
    watch: Watch = lambda count: None,
    secrets: Mapping[str, bytes] | None = None,
) -> Contents:
    """Write files to a new archive.

    Args:
        target: the archive; it must not exist.
        files: by the names that they get.
        about: see `Contents`.
        watch: see `Watch`; each file is read twice.
        secrets: what no file may contain, by the name under which it is told.

    Raises:
        RunError: it exists, a name that cannot be unpacked everywhere, a file that contains a secret, cannot be read or
            changes meanwhile, or `target` cannot be written.
    """
    if target.exists():
        raise RunError(f"{target}: exists already; name another file, or remove it first")
    if len(files) > MOST_FILES:
        raise RunError(f"{target}: {len(files):,} files are more than an archive may hold ({MOST_FILES:,})")
    if odd := next((path for name, path in files.items() if not is_inside(name)), None):
        raise RunError(f"{printable(str(odd))}: a file of this name cannot be packed; rename it")
    told = {name: _read_whole(path, watch, secrets or {}) for name, path in sorted(files.items())}
    contents = Contents(about, told)
    listed = {name: {"size": size, "sha256": digest} for name, (size, digest) in told.items()}
    text = json.dumps({"schema": SCHEMA, "about": dict(about), "files": listed}, indent=1).encode()
    if len(text) > _MOST_CONTENTS:
        raise RunError(f"{target}: the names of the files are too long for an archive")
    with whole_file(target) as part, tarfile.open(part, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        head = tarfile.TarInfo(CONTENTS)
        head.size = len(text)
        tar.addfile(head, io.BytesIO(text))
        for name, (size, digest) in told.items():
            # Neither owner nor rights go along.
            member = tarfile.TarInfo(name)
            member.size, member.mtime = size, int(files[name].stat().st_mtime)
            with files[name].open("rb") as file:
                hashed = _Hashed(file, watch)
                tar.addfile(member, hashed)
            if hashed.digest != digest:  # longer ones are cut: files only grow at their ends
                raise RunError(f"{files[name]}: changed while it was packed; pack again when nothing writes to it")
    return contents


def _read_whole(path: Path, watch: Watch, secrets: Mapping[str, bytes]) -> tuple[int, str]:
    """Size and SHA-256 of a file without secrets.

    Raises:
        RunError: it contains one, or cannot be read.
    """
    digest, size, before = hashlib.sha256(), 0, b""
    overlap = max(map(len, secrets.values()), default=1) - 1
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
                watch(len(piece))
                seen = before + piece
                if found := next((name for name, secret in secrets.items() if secret in seen), None):
                    raise RunError(
                        f"{path}: contains the value of {found}; nothing was packed: take it out of the file"
                    )
                before = seen[len(seen) - overlap :] if overlap else b""
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None
    return size, digest.hexdigest()


class _Hashed:
    """A file that is hashed while tarfile reads it."""

    def __init__(self, file: IO[bytes], watch: Watch) -> None:
        self._file, self._watch, self._sha256 = file, watch, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        piece = self._file.read(size)
        self._sha256.update(piece)
        self._watch(len(piece))
        return piece

    @property
    def digest(self) -> str:
        """SHA-256 of what was read so far."""
        return self._sha256.hexdigest()


# --- reading -----------------------------------------------------------------------------------------------------------


class _Metered:
    """The unpacked bytes of a gzip file, no more than was allowed: a few bytes may unpack to gigabytes."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file, self._left = file, 0

    def allow(self, count: int) -> None:
        """Let so many bytes pass, and a block that tarfile reads ahead."""
        self._left = count + 4 * tarfile.RECORDSIZE

    def read(self, size: int) -> bytes:
        """The next bytes."""
        try:
            piece = self._file.read(size)
        except (OSError, EOFError, zlib.error):
            raise _Odd("it is damaged or ends too early, so copy it again") from None
        self._left -= len(piece)
        if self._left < 0:
            raise _Odd("more is in it than its contents say")
        return piece


class _Odd(Exception):
    """What is wrong with an archive, as the end of a sentence."""


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except _Odd as error:
        raise RunError(f"{path}: not an archive that can be unpacked: {error}; nothing was unpacked") from None
    except (tarfile.TarError, RecursionError, ValueError):
        raise RunError(
            f"{path}: damaged, or not written by `nesycd pack`; copy it again, nothing was unpacked"
        ) from None


@contextmanager
def _reading(path: Path) -> Iterator[tuple[tarfile.TarFile, _Metered]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None
    with file, _damage(path), gzip.GzipFile(fileobj=file) as unpacked:
        metered = _Metered(unpacked)
        metered.allow(_MOST_HEADERS)
        with closing(tarfile.open(fileobj=metered, mode="r|")) as tar:  # type: ignore[call-overload]
            yield tar, metered


def read_contents(path: Path) -> Contents:
    """What an archive says of itself; its files are not read.

    Raises:
        RunError: it cannot be read, or is no archive of ours.
    """
    with _reading(path) as (tar, metered):
        return _contents(tar, metered)


def _contents(tar: tarfile.TarFile, metered: _Metered) -> Contents:
    member = tar.next()
    if member is None or member.name != CONTENTS or not _is_plain(member) or not 0 <= member.size <= _MOST_CONTENTS:
        raise _Odd(f"it does not begin with {CONTENTS}")
    metered.allow(member.size)
    file = tar.extractfile(member)
    assert file is not None
    told = json.loads(file.read())
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        known = shortened(repr(told.get("schema"))) if isinstance(told, dict) else "missing"
        raise _Odd(f"its schema is {known}, but this version of nesycd knows {SCHEMA!r}")
    about, files = told.get("about"), told.get("files")
    if not isinstance(about, dict) or not isinstance(files, dict) or len(files) > MOST_FILES:
        raise _Odd("its contents are not readable")
    for name, listed in files.items():
        if not is_inside(name):
            raise _Odd(f"{shortened(printable(name))!r} would lie outside the folder")
        if not _is_listed(listed):
            raise _Odd("its contents are not readable")
    return Contents(about, {name: (listed["size"], listed["sha256"]) for name, listed in files.items()})


def _is_listed(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and type(value.get("size")) is int
        and value["size"] >= 0
        and isinstance(value.get("sha256"), str)
        and re.fullmatch(r"[0-9a-f]{64}", value["sha256"]) is not None
    )


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Whether a member is a file with all its bytes: no link, device, folder or sparse file."""
    return member.type == tarfile.REGTYPE and not member.issparse()


@contextmanager
def unpacked(path: Path, target: Path, watch: Watch = lambda count: None) -> Iterator[tuple[Path, Contents]]:
    """A temporary folder beside `target` with an archive's files; at the end of the context it becomes `target`.

    Args:
        path: the archive.
        target: the new folder; nothing may be there.
        watch: see `Watch`.

    Raises:
        RunError: `target` exists or cannot be written, there is too little space, or the archive cannot be unpacked.
    """
    if target.exists() or target.is_symlink():
        raise RunError(f"{target}: exists already; give another --name, or remove it first (nesycd clean)")
    with disk_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        # In a folder of its own, so that no list of runs shows it before it is whole.
        beside = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        part = beside / target.name
        with disk_errors(target):
            part.mkdir()
        with _reading(path) as (tar, metered):
            contents = _contents(tar, metered)
            if (free := shutil.disk_usage(beside).free) < contents.size:
                raise RunError(f"{target}: needs {contents.size:,} bytes, but only {free:,} are free there")
            _unpack(tar, metered, contents, part, watch)
        with disk_errors(target):
            sync_tree(part)
        yield part, contents
        if target.exists():
            raise RunError(f"{target}: was made by another process meanwhile; nothing was unpacked")
        with disk_errors(target):
            part.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _unpack(tar: tarfile.TarFile, metered: _Metered, contents: Contents, folder: Path, watch: Watch) -> None:
    waiting = dict(contents.files)
    while True:
        metered.allow(_MOST_HEADERS)
        if (member := tar.next()) is None:
            break
        shown = shortened(printable(member.name))
        if not _is_plain(member):
            raise _Odd(f"{shown!r} is no plain file")
        if (listed := waiting.pop(member.name, None)) is None:
            raise _Odd(f"{shown!r} is not in its contents, or there twice")
        if member.size != listed[0]:
            raise _Odd(f"{shown!r} has another size than its contents say")
        metered.allow(member.size)
        file = tar.extractfile(member)
        assert file is not None
        place = folder / member.name
        with disk_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
        if _copy(file, place, watch) != listed[1]:
            raise _Odd(f"{shown!r} has another content than its contents say (SHA-256)")
        # Of an interrupted stage the time of its files tells how long it worked.
        made = min(max(0, member.mtime), time.time())
        os.utime(place, (made, made))
        tar.members = []  # type: ignore[attr-defined]  # tarfile remembers each one otherwise
    if waiting:
        raise _Odd(f"{shortened(min(waiting))!r} is missing")


def _copy(file: IO[bytes], place: Path, watch: Watch) -> str:
    digest = hashlib.sha256()
    with disk_errors(place), place.open("xb") as out:
        while piece := file.read(_PIECE):
            digest.update(piece)
            out.write(piece)
            watch(len(piece))
    return digest.hexdigest()
