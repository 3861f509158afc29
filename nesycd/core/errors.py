"""The exceptions for users' mistakes: one sentence that names what is wrong and what to do.

The CLI prints a `NesycdError` as one line and exits with 2; any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class NesycdError(Exception):
    """A mistake in what the user gave (file, line, key, value, machine), told in one sentence."""


class ConfigError(NesycdError):
    """A recipe or `--set` override that cannot be used."""


class DataError(NesycdError):
    """A data file, or a line of one, that cannot be used."""


class RunError(NesycdError):
    """A run folder that cannot be read, written or continued."""


class ReviewWaits(RunError):
    """A run with `knowledge.review = "human"` whose items wait for review; not a mistake, but the run cannot go on yet."""


@dataclass(frozen=True)
class Waiting:
    """A stage of the run in `folder` whose shards `missing` (numbers, of `total`) are waited for."""

    folder: Path
    stage: str
    missing: tuple[int, ...]
    total: int


class ShardsWait(RunError):
    """Work of stages is dealt out, and the run goes on when it is made; not a mistake.

    Args:
        waiting: the stages, at least one.
    """

    def __init__(self, waiting: Iterable[Waiting]) -> None:
        self.waiting = tuple(dict.fromkeys(waiting))
        stages = ", ".join(f"{one.stage} ({len(one.missing)} of {one.total})" for one in self.waiting)
        count = sum(len(one.missing) for one in self.waiting)
        folders = {one.folder for one in self.waiting}
        place = next(iter(folders)) if len(folders) == 1 else Path(os.path.commonpath(folders))
        super().__init__(
            f"shards to be made: {count}, of {stages}; make them by `nesycd stage {place} --shard I/N` for each I from 0 to "
            "N-1, then give this command again"
        )


class ModelError(NesycdError):
    """A model folder or id that cannot be loaded."""


class TeacherError(NesycdError):
    """A teacher that cannot be asked at all (a single failed question becomes a record instead)."""


class Unanswered(TeacherError):
    """Some questions were not answered, and may be asked again; all others were answered.

    Args:
        count: how many.
        reason: why the first of them was not.
    """

    def __init__(self, count: int, reason: str) -> None:
        super().__init__(
            f"{count} of the questions were not answered: {reason}; what was answered is kept, ask again for the rest"
        )
        self.reason = reason


class KnowledgeError(NesycdError):
    """A knowledge base, item or exchange file that cannot be used."""
