"""A reviewed base that takes the place of the one that a run builds from its student's errors (`knowledge.base`)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Status, content_hash
from nesycd.knowledge.entities import Entities, read_entities
from nesycd.knowledge.store import KnowledgeBase, knowledge_version


@dataclass(frozen=True)
class Reviewed:
    """The approved entries of a base, and its merged entities and declared relations."""

    path: Path
    entries: tuple[Entry, ...]
    entities: Entities

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content, independent of the file's place and of what is not approved."""
        told = [[one.item.id, [evidence.id for evidence in one.evidence]] for one in self.entries]
        return content_hash([told, self.entities.fingerprint])

    @property
    def version(self) -> str:
        """As `KnowledgeBase.version`."""
        return knowledge_version(one.item_id for one in self.entries)


def read_reviewed(path: Path) -> Reviewed:
    """A base by its path.

    Raises:
        KnowledgeError: there is no base, or nothing in it is approved.
    """
    with KnowledgeBase.open(path, create=False) as kb:
        entries, entities = tuple(kb.entries(status=Status.APPROVED)), read_entities(kb)
    if not entries:
        raise KnowledgeError(
            f"{path}: no approved items, so it cannot take the place of a run's base; approve some (nesycd kb approve)"
        )
    return Reviewed(path, entries, entities)


def copy_base(source: Path, target: Path) -> Path:
    """Copy an SQLite database with what its write-ahead log holds, while others may read and write it.

    Raises:
        KnowledgeError: it cannot be copied.
    """
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
    except sqlite3.Error as error:
        raise KnowledgeError(f"{source}: cannot be copied: {error}") from None
    return target
