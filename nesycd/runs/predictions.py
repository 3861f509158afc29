"""A cache of predictions by prompt, so that the same request gets the first answer again.

In a run folder they are in `predictions.jsonl`, which only grows until the run is finished; then those of students that no longer
exist are removed. Without a file they are kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from nesycd.core.answers import Answer, Attempt, Prediction, Verdict
from nesycd.core.errors import RunError
from nesycd.core.storage import RecordLog

FILE = "predictions.jsonl"
VERDICTS = ".verdicts"
"""Suffix of the stage with the verdicts on a stage's answers."""


_Kept = int | Prediction
"""Where a prediction is: its place in the file, or, where it is not in one, itself."""


class Predictions:
    """Predictions by key and by id, in a file or in memory alone; one writer at a time. Of a file only places are kept.

    Args:
        path: the file, which need not exist; None: memory only.
        notify: called when an incomplete last line was removed; None: the file is only read, and what is added is kept in memory.
    """

    def __init__(self, path: Path | None = None, notify: Callable[[str], None] | None = None) -> None:
        self._notify = notify
        self._log = None if path is None else RecordLog(path, Prediction)
        self._writes = path is not None and notify is not None

    @cached_property
    def _places(self) -> _Places:
        """Where all predictions are; the file is read at first use.

        Raises:
            RunError: a damaged file.
        """
        places = _Places()
        for place, one in () if self._log is None else self._log.each(self._notify, hold=True):
            places.put(one, place)
        return places

    @property
    def by_id(self) -> Mapping[str, Prediction]:
        """All predictions by `Prediction.id`, each read when it is asked for."""
        return _ById(self)

    def variants(self, key: str) -> Sequence[Prediction]:
        """The predictions with this key, the first made first: they differ in what their calls found."""
        return [self._read(kept) for kept in self._places.by_key.get(key, ())]

    def add(self, made: Iterable[Prediction]) -> None:
        """Add predictions, written to disk when this returns where the file is written to.

        The first prediction counts: one whose key is known and whose calls found the same is ignored.
        """
        for one in made:
            if all(_found(other) != _found(one) for other in self.variants(one.key)):
                self._places.put(one, self._log.append(one) if self._log is not None and self._writes else one)
        if self._log is not None and self._writes:
            self._log.sync()

    def keep_only(self, students: Collection[str]) -> None:
        """Drop the predictions of all other students (`Prediction.student`); the file is rewritten atomically."""
        if self._places.students <= set(students):
            return
        every = (self.variants(key) for key in self._places.by_key)
        left = (one for made in every if made[0].student in students for one in made)
        if self._log is not None and self._writes:
            self._log.rewrite(left)
            del self._places  # read again, since all stand elsewhere now
        else:
            kept = _Places()
            for one in left:
                kept.put(one, one)
            self._places = kept

    def close(self) -> None:
        """Close the file; it is opened again when something is added."""
        if self._log is not None:
            self._log.close()

    def _read(self, kept: _Kept) -> Prediction:
        if isinstance(kept, Prediction):
            return kept
        assert self._log is not None
        return self._log.at(kept)


class _Places:
    """Where predictions are, by key and by id, and whose they are."""

    def __init__(self) -> None:
        self.by_key: dict[str, tuple[_Kept, ...]] = {}
        self.by_id: dict[str, _Kept] = {}
        self.students: set[str] = set()

    def put(self, one: Prediction, kept: _Kept) -> None:
        """Take in a prediction."""
        self.by_key[one.key] = (*self.by_key.get(one.key, ()), kept)
        self.by_id[one.id] = kept
        self.students.add(one.student)


class _ById(Mapping[str, Prediction]):
    """`Predictions.by_id`."""

    def __init__(self, predictions: Predictions) -> None:
        self._predictions = predictions

    def __getitem__(self, prediction_id: str) -> Prediction:
        return self._predictions._read(self._predictions._places.by_id[prediction_id])

    def __contains__(self, prediction_id: object) -> bool:
        return prediction_id in self._predictions._places.by_id

    def __iter__(self) -> Iterator[str]:
        return iter(self._predictions._places.by_id)

    def __len__(self) -> int:
        return len(self._predictions._places.by_id)


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
