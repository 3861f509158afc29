"""Writing that survives kills and full disks: whole files, JSONL that grows line by line, and a lock on a folder.

Readers find the old content or the new, never a part of it; only the last line of a growing JSONL file can be incomplete, and is
removed when the file is read again.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from nesycd.core.errors import DataError, NesycdError, RunError
from nesycd.core.records import Record

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_BESIDE = ".tmp"
_PIECE = 1 << 14
"""Bytes that are read at once of a record at a place: most have less."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BUSY = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


@contextmanager
def disk_errors(path: Path, only_full: bool = False) -> Iterator[None]:
    """Turn a failed write to `path` into one sentence; with `only_full`, other errors than a full disk pass.

    Raises:
        RunError: the disk is full, or the path cannot be written.
    """
    try:
        yield
    except Exception as raised:
        error = _system_error(raised)
        if error is None or (only_full and error.errno not in _FULL):
            raise
        if error.errno in _FULL:
            raise RunError(
                f"{path}: the disk is full ({error.strerror}); free some space and run the same command again, "
                "what is finished is kept"
            ) from None
        if only_full:
            raise
        # Name the file itself, not the temporary file that is to replace it.
        place = str(error.filename or path).removesuffix(_BESIDE)
        raise RunError(f"{place}: cannot be written: {error.strerror or error}") from None


def _system_error(error: Exception) -> OSError | None:
    """The operating system's error behind an exception; Rust libraries (safetensors, tokenizers) give it only in the message."""
    if isinstance(error, OSError):
        return error
    told = None if isinstance(error, NesycdError) else re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(told[1]), os.strerror(int(told[1]))) if told else None


def write_atomic(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically, even through a power cut.

    Raises:
        RunError: see `disk_errors`; the old content is still there.
    """
    _replace_lines(path, [text.encode()])


def write_json_atomic(path: Path, content: Any, indent: int | None = 2) -> None:
    """Write JSON to `path`, indented unless `indent` is None; see `write_atomic`."""
    write_atomic(path, json.dumps(content, indent=indent, ensure_ascii=False) + "\n")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path to write to; at the end it replaces `path` atomically.

    Raises:
        RunError: see `disk_errors`; the old content is still there.
    """
    part = path.with_name(f"{path.name}{_BESIDE}")
    try:
        with disk_errors(path):
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
            sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):  # a read-only file system refuses even for missing files
            part.unlink()
        raise


def _replace_lines(path: Path, lines: Iterable[bytes]) -> None:
    with whole_file(path) as part, part.open("wb") as file:
        file.writelines(lines)


def follow_umask(path: Path) -> None:
    """Give a file the mode that the umask gives to new ones; safetensors writes files that only their owner can read."""
    new = path.with_name(f"{path.name}.mode")
    try:
        new.touch()
        path.chmod(stat.S_IMODE(new.stat().st_mode))
    finally:
        new.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, where the system supports it."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush all files below a folder to disk."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        elif path.is_dir():
            sync_folder(path)
    sync_folder(folder)


R = TypeVar("R", bound=Record)


class RecordLog(Generic[R]):
    """A JSONL file of one record type that grows line by line.

    Args:
        path: the file; it need not exist.
        record_type: the type of its lines.
    """

    def __init__(self, path: Path, record_type: type[R]) -> None:
        self.path = path
        self.record_type = record_type
        self._descriptor: int | None = None
        self._held: int | None = None
        self._letting_go: Callable[[], Any] = lambda: None

    def read(self, torn: Callable[[str], None] | None = None) -> list[R]:
        """The records in file order; none where there is no file.

        An incomplete last line is left out. With `torn` given it is removed from the file too, and `torn` is called with a
        message; without, the file is not changed (for readers beside a running writer).

        Raises:
            RunError: any other damage, with file and line.
        """
        return [record for _, record in self.each(torn)]

    def each(self, torn: Callable[[str], None] | None = None, *, hold: bool = False) -> Iterator[tuple[int, R]]:
        """The records one after the other, each with its place in the file (see `at`); otherwise as `read`.

        `hold`: `at` reads this very file, even if another process puts a new one in its place (on Windows it could not).
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunError(f"{self.path}: cannot be read: {error.strerror or error}") from None
        with file:
            if hold and sys.platform != "win32":
                self._let_go()
                self._held = os.dup(file.fileno())
                self._letting_go = weakref.finalize(self, os.close, self._held)
            place = number = 0
            line = file.readline()
            while line:
                after = file.readline()
                number += 1
                # A power cut can leave a last line of the right length with zeros in it.
                if not line.endswith(b"\n") or (not after.endswith(b"\n") and b"\0" in line):
                    break
                if line.strip():
                    yield place, self._parse(line, number)
                place, line = place + len(line), after
            else:
                return
        if torn is not None:
            with disk_errors(self.path):
                os.truncate(self.path, place)
            torn(f"{self.path}:{number}: torn last line cut off")

    def at(self, place: int) -> R:
        """The record at a place of the file.

        Raises:
            RunError: the file has changed, or cannot be read.
        """
        try:
            if self._held is not None and sys.platform != "win32":
                line = b""
                while b"\n" not in line and (more := os.pread(self._held, _PIECE, place + len(line))):
                    line += more
                line = line.partition(b"\n")[0]
            else:
                with self.path.open("rb") as file:
                    file.seek(place)
                    line = file.readline()
        except OSError as error:
            raise RunError(f"{self.path}: cannot be read: {error.strerror or error}") from None
        return self._parse(line, f"byte {place}")

    def _let_go(self) -> None:
        if self._held is not None:
            self._held = None
            self._letting_go()

    def _parse(self, line: bytes, number: int | str) -> R:
        where = f"{self.path}:{number}"
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise DataError(f"{where}: a JSON object is needed, but this is a {type(row).__name__}")
            return self.record_type.from_json(row, where)
        except DataError as error:
            problem = str(error)
        except (ValueError, RecursionError) as error:
            problem = f"{where}: not valid JSON ({error})"
        raise RunError(f"{problem}; mend the line, or delete the file to have its stage done again")

    def append(self, record: R) -> int:
        """Append one line; it survives a kill of the process (`sync` makes it survive a power cut). Gives its place."""
        line = _line(record)
        with disk_errors(self.path):
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            place = os.fstat(self._descriptor).st_size
            while line:
                line = line[os.write(self._descriptor, line) :]
        return place

    def sync(self) -> None:
        """Flush all lines to disk."""
        if self._descriptor is not None:
            with disk_errors(self.path):
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        self._let_go()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def rewrite(self, records: Iterable[R]) -> None:
        """Replace the whole content atomically."""
        self.close()
        _replace_lines(self.path, map(_line, records))


def _line(record: Record) -> bytes:
    return (json.dumps(record.to_json(), ensure_ascii=False) + "\n").encode()


class FolderLock:
    """A lock that allows one process at a time in a folder. The system releases it with the process, so none can be stale.

    Raises:
        RunError: another process holds it (its number is named).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_errors(path):
            self._file = open(path, "a+")  # noqa: SIM115 (it stays open as long as the lock is held)
        try:
            _lock(self._file.fileno())
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            if error.errno in _BUSY:
                raise RunError(f"{path.parent}: in use by process {holder}; wait for it or end it") from None
            raise RunError(f"{path}: this file system cannot lock files ({error.strerror})") from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        with disk_errors(path):
            self._file.flush()

    def release(self) -> None:
        """Release the lock."""
        self._file.close()

    @staticmethod
    def is_held(path: Path) -> bool:
        """Whether a process holds the lock now."""
        try:
            file = path.open("r+")
        except OSError:
            return False
        with file:
            try:
                _lock(file.fileno())
            except OSError as error:
                return error.errno in _BUSY
        return False


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
