"""The exceptions for users' mistakes: one sentence that names what is wrong and what to do.

The CLI prints a `NesycdError` as one line and exits with 2; any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations


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
