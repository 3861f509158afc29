"""Which files are documents, and what they are called in what cites them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nesycd.core.errors import KnowledgeError
from nesycd.core.files import file_hash
from nesycd.core.records import content_hash
from nesycd.core.text import printable
from nesycd.knowledge.citations import SUFFIXES

MOST_BYTES = 50_000_000
"""Of a document."""
MOST_FILES = 1_000
"""Of a folder."""


@dataclass(frozen=True)
class File:
    """A document: `name` is the file's, of one in a folder its path below that."""

    name: str
    path: Path

    @property
    def suffix(self) -> str:
        """Its ending, in small letters."""
        return self.path.suffix.lower()


def files_of(paths: Sequence[Path]) -> list[File]:
    """The documents that paths of files and folders name, in their order; of a folder in the order of their names.

    Hidden files, links and files of other endings in a folder are passed over.

    Raises:
        KnowledgeError: a path names none, a document is too large, or two have one name.
    """
    found: dict[str, File] = {}
    for path in paths:
        for file in _below(path) if path.is_dir() else [_single(path)]:
            other = found.setdefault(file.name, file)
            if other.path.resolve() != file.path.resolve():
                raise KnowledgeError(
                    f"{other.path} and {file.path}: two documents are called {file.name}, and items cite a document by its "
                    "name: rename one, or name the folder around both"
                )
    return list(found.values())


def documents_in(paths: Sequence[Path]) -> frozenset[str]:
    """The names of the documents.

    Raises:
        KnowledgeError: see `files_of`.
    """
    return frozenset(file.name for file in files_of(paths))


def documents_hash(paths: Sequence[Path]) -> str:
    """Hash of the documents' names and contents.

    Raises:
        KnowledgeError: see `files_of`.
    """
    return content_hash([[file.name, file_hash(file.path)] for file in files_of(paths)])


def _single(path: Path) -> File:
    if path.suffix.lower() not in SUFFIXES:
        ending = f"the ending {printable(path.suffix)!r} is none of" if path.suffix else "has no ending of"
        raise KnowledgeError(
            f"{path}: {ending} documents ({', '.join(SUFFIXES)}); save it as Markdown, text or a table"
        )
    return _fitting(File(_named(path.name), path))


def _below(folder: Path) -> Iterator[File]:
    count = 0
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        hidden = any(part.startswith((".", "~$")) for part in below.parts)
        linked = any((folder / part).is_symlink() for part in (below, *below.parents) if part != Path())
        if hidden or linked or path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if (count := count + 1) > MOST_FILES:
            raise KnowledgeError(f"{folder}: more than {MOST_FILES:,} documents; name the files or folders that matter")
        yield _fitting(File(_named(below.as_posix()), path))
    if not count:
        raise KnowledgeError(f"{folder}: no document is in it ({', '.join(SUFFIXES)})")


def _named(name: str) -> str:
    return printable(" ".join(name.split()))


def _fitting(file: File) -> File:
    try:
        size = file.path.stat().st_size
    except OSError as error:
        raise KnowledgeError(f"{file.path}: cannot be read: {error.strerror}") from None
    if size > MOST_BYTES:
        raise KnowledgeError(f"{file.path}: has {size:,} bytes, and at most {MOST_BYTES:,} are read; split it")
    return file
