"""A cache of predictions by prompt, so that the same request gets the first answer again.

In a run folder they are in `predictions.jsonl`, which only grows until the run is finished; then those of students that no longer
exist are removed. Without a file they are kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path

from nesycd.core.answers import Answer, Attempt, Prediction, Verdict
from nesycd.core.errors import RunError
from nesycd.core.storage import RecordLog

FILE = "predictions.jsonl"
VERDICTS = ".verdicts"
"""Suffix of the stage with the verdicts on a stage's answers."""


class Predictions:
    """Predictions by key and by id, in a file or in memory alone; one writer at a time.

    Args:
        path: the file, which need not exist; None: memory only.
        notify: called when an incomplete last line was removed; None: the file is only read, and what is added is kept in memory.
    """

    def __init__(self, path: Path | None = None, notify: Callable[[str], None] | None = None) -> None:
        self._notify = notify
        self._log = None if path is None else RecordLog(path, Prediction)
        self._writes = path is not None and notify is not None

    @cached_property
    def _by_key(self) -> dict[str, list[Prediction]]:
        """Predictions by key, read at first use.

        Raises:
            RunError: a damaged file.
        """
        found: dict[str, list[Prediction]] = {}
        for one in [] if self._log is None else self._log.read(torn=self._notify):
            found.setdefault(one.key, []).append(one)
        return found

    @cached_property
    def by_id(self) -> dict[str, Prediction]:
        """All predictions by `Prediction.id`."""
        return {one.id: one for variants in self._by_key.values() for one in variants}

    def variants(self, key: str) -> Sequence[Prediction]:
        """The predictions with this key, the first made first: they differ in what their calls found."""
        return self._by_key.get(key, ())

    def add(self, made: Iterable[Prediction]) -> None:
        """Add predictions, written to disk when this returns where the file is written to.

        The first prediction counts: one whose key is known and whose calls found the same is ignored.
        """
        for one in made:
            variants = self._by_key.setdefault(one.key, [])
            if all(_found(other) != _found(one) for other in variants):
                if self._log is not None and self._writes:
                    self._log.append(one)
                variants.append(one)
                self.by_id[one.id] = one
        if self._log is not None and self._writes:
            self._log.sync()

    def keep_only(self, students: Collection[str]) -> None:
        """Drop the predictions of all other students (`Prediction.student`); the file is rewritten atomically."""
        kept = {key: made for key, made in self._by_key.items() if made[0].student in students}
        if len(kept) < len(self._by_key):
            left = [one for made in kept.values() for one in made]
            if self._log is not None and self._writes:
                self._log.rewrite(left)
            self.close()
            self.__dict__ |= {"_by_key": kept, "by_id": {one.id: one for one in left}}

    def close(self) -> None:
        """Close the file; it is opened again when something is added."""
        if self._log is not None:
            self._log.close()


def _found(one: Prediction) -> list[tuple[str, str]]:
    return [(call.asked, call.found) for call in one.trace]


def read_attempts(folder: Path, stage: str, predictions: Predictions | None = None) -> list[Attempt]:
    """The answers of a run's stage with their predictions and verdicts, for readers.

    Args:
        folder: of the run.
        stage: such as `eval-test-nesycd`; the result is empty where it is not finished.
        predictions: of the run, where they have been read already.

    Raises:
        RunError: a damaged file, or answers whose predictions or verdicts are gone.
    """
    answers = RecordLog(folder / "stages" / f"{stage}.jsonl", Answer).read()
    verdicts = RecordLog(folder / "stages" / f"{stage}{VERDICTS}.jsonl", Verdict).read()
    known = (predictions or Predictions(folder / FILE)).by_id
    by_example = {verdict.example: verdict for verdict in verdicts}
    try:
        if any(by_example[one.example].prediction != one.predictions[-1] for one in answers if verdicts):
            raise RunError(f"{folder}: the verdicts of {stage} are on other answers; run the recipe again")
        return [Attempt.of(answer, known, by_example[answer.example]) for answer in answers] if verdicts else []
    except KeyError:
        raise RunError(f"{folder}: predictions of {stage} are gone; run the recipe again to make them anew") from None
